// A chain as a picture: steps as boxes, what one passes to the next as arrows, and where it does not hold.

import { cut, harmless, shape } from "./element.js";

const WIDTH = 216;
const HEIGHT = 112;
const ACROSS = 96;
const DOWN = 40;
const MARGIN = 10;
const CHARACTERS = 28;
const LABEL = 13;

/** Boxes that are drawn; the table has all. */
const STEPS = 40;

/** The picture of an answer. The layout says which step gets its materials from which. */
export function picture(result, layout) {
  const steps = result.answer.steps.slice(0, STEPS);
  const root = steps.filter((step) => step.at.length === 0);
  const arrows = arrowsOf(root, layout, result.answer.findings ?? result.answer.reasons);
  const nodes = placed(root, arrows);
  const last = Math.max(-1, ...nodes.map((node) => node.column));
  const rows = Math.max(1, ...nodes.map((node) => node.row + 1));
  const end = { column: last + 1, row: 0, ...endOf(result) };
  // Sublayouts' steps stand beneath the step that they stand for.
  const inner = steps.filter((step) => step.at.length > 0);
  nodes.push(...inner.map((step, at) => ({ step, column: at % (last + 2), row: rows + Math.floor(at / (last + 2)), ...boxOf(step) })));
  const corners = (node) => [MARGIN + node.column * (WIDTH + ACROSS), MARGIN + node.row * (HEIGHT + DOWN)];
  const lowest = Math.max(...[...nodes, end].map((node) => node.row + 1)) * (HEIGHT + DOWN);
  const height = MARGIN * 2 + lowest;
  const width = MARGIN * 2 + (last + 2) * WIDTH + (last + 1) * ACROSS;
  const drawn = [];
  const byName = new Map(nodes.filter((node) => node.step.at.length === 0).map((node) => [node.step.name, node]));
  const isSource = new Set(arrows.map((arrow) => arrow.from));
  const ends = root.filter((step) => !isSource.has(step.name)).map((step) => ({ from: step.name, to: null, label: "", bad: result.outcome !== "accept" && !step.verified }));
  for (const arrow of [...arrows, ...ends]) {
    const [from, to] = [byName.get(arrow.from), arrow.to === null ? end : byName.get(arrow.to)];
    drawn.push(...line(corners(from), corners(to), to.column - from.column, arrow));
  }
  const svg = shape("svg", { role: "img", "aria-label": spoken(result, nodes), width, height, viewBox: `0 0 ${width} ${height}` });
  const tip = (id, kind) =>
    shape("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, shape("path", { class: kind, d: "M0,0 L8,4 L0,8 z" }));
  svg.append(shape("defs", {}, tip("tip", "plain"), tip("tip-bad", "bad")), ...drawn);
  for (const node of [...nodes, end]) svg.append(box(corners(node), node));
  return svg;
}

/** What stands for a verdict: a sign and a word, so that nobody has to tell colours apart. */
export function endOf({ outcome }) {
  return {
    accept: { kind: "good", name: "accepted", state: "✓ the chain holds", lines: [] },
    reject: { kind: "bad", name: "rejected", state: "✗ it does not hold", lines: [] },
    undecided: { kind: "odd", name: "undecided", state: "? not to be judged", lines: [] },
  }[outcome];
}

/** MATCH rules as arrows between steps; the order of the steps where there are none. */
function arrowsOf(steps, layout, findings) {
  const names = steps.map((step) => step.name);
  const arrows = new Map();
  for (const step of Array.isArray(layout?.steps) ? layout.steps : []) {
    for (const rule of Array.isArray(step?.expected_materials) ? step.expected_materials : []) {
      if (!Array.isArray(rule) || String(rule[0]).toUpperCase() !== "MATCH") continue;
      const from = rule[rule.length - 1];
      if (!names.includes(from) || !names.includes(step.name) || names.indexOf(from) >= names.indexOf(step.name)) continue;
      const key = JSON.stringify([from, step.name]);
      const arrow = arrows.get(key) ?? { from, to: step.name, patterns: [] };
      arrow.patterns.push(String(rule[1]));
      arrows.set(key, arrow);
    }
  }
  const made = [...arrows.values()];
  const all = made.length > 0 ? made : names.slice(1).map((to, at) => ({ from: names[at], to, patterns: [] }));
  return all.map((arrow) => {
    const wrong = findings.filter((finding) => finding.at.length === 1 && finding.at[0] === arrow.to && finding.list === "materials");
    const label = wrong[0]?.artifact ?? (arrow.patterns.length > 1 ? `${arrow.patterns[0]} +${arrow.patterns.length - 1}` : (arrow.patterns[0] ?? ""));
    return { ...arrow, label, bad: wrong.length > 0 };
  });
}

/** Columns by the longest way to a step, rows in the order of the layout. */
function placed(steps, arrows) {
  const columns = new Map();
  const rows = new Map();
  return steps.map((step) => {
    const before = arrows.filter((arrow) => arrow.to === step.name).map((arrow) => columns.get(arrow.from) ?? 0);
    const column = before.length > 0 ? Math.max(...before) + 1 : 0;
    columns.set(step.name, column);
    const row = rows.get(column) ?? 0;
    rows.set(column, row + 1);
    return { step, column, row, ...boxOf(step) };
  });
}

function boxOf(step) {
  const signers = step.signers.map((signer) => `${signer.sublayout ? "sublayout by" : "signed by"} ${short(signer.label)}`);
  const lines = signers.length > 2 ? [signers[0], `and ${signers.length - 1} more`] : signers;
  if (step.signers.length < Number(step.threshold) && lines.length < 2) lines.push(`could sign: ${step.missing.map((key) => short(key.label)).join(", ")}`);
  return {
    kind: step.verified ? "good" : "bad",
    name: [...step.at, step.name].join("/"),
    state: `${step.verified ? "✓" : "✗ failed,"} ${step.signers.length} of ${step.threshold} signatures`,
    lines: [...lines, `materials: ${step.materials}, products: ${step.products}`],
  };
}

/** As much of a keyid as tells keys apart. */
export function short(label) {
  return /^[0-9a-f]{40,}$/.test(label) ? label.slice(0, 8) : harmless(label);
}

function box([x, y], { kind, name, state, lines }) {
  const text = (content, line, kind) => shape("text", { x: x + 12, y: y + line, class: kind }, cut(content, CHARACTERS));
  return shape(
    "g",
    { class: kind },
    shape("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 8 }),
    text(name, 26, "name"),
    text(state, 48, "state"),
    ...lines.map((line, at) => text(line, 69 + at * 17, "soft")),
  );
}

function line([fromX, fromY], [toX, toY], columns, { label, bad }) {
  const kind = bad ? "bad" : "plain";
  const marker = { class: kind, "marker-end": `url(#${bad ? "tip-bad" : "tip"})` };
  const [startX, startY, endX, endY] = [fromX + WIDTH, fromY + HEIGHT / 2, toX - 3, toY + HEIGHT / 2];
  const middle = startX + ACROSS / 2;
  // Over several columns it goes beneath the boxes between.
  const beneath = Math.max(fromY, toY) + HEIGHT + DOWN / 2;
  const way =
    columns > 1
      ? `M${startX},${startY + 20} C${startX + 50},${startY + 20} ${startX},${beneath} ${startX + 50},${beneath} L${endX - 50},${beneath} C${endX},${beneath} ${endX - 50},${endY + 20} ${endX},${endY + 20}`
      : `M${startX},${startY} C${middle},${startY} ${middle},${endY} ${endX},${endY}`;
  const made = [shape("path", { ...marker, d: way })];
  if (label) {
    const [x, y] = columns > 1 ? [(startX + endX) / 2, beneath - 5] : [middle, (startY + endY) / 2 - 9];
    made.push(shape("text", { x, y, class: `edge ${kind}`, "text-anchor": "middle" }, `${bad ? "✗ " : ""}${cut(label, LABEL)}`));
  }
  return made;
}

function spoken(result, nodes) {
  const each = nodes.map((node) => harmless(`${node.name}: ${node.verified === false ? "not verified, " : ""}${node.state}; ${node.lines.join(", ")}`));
  return `The chain, ${endOf(result).name}. ${each.join(". ")}`;
}
