// A chain as a picture: steps as boxes, what one passes to the next as arrows, and where it does not hold.

import { drawing } from "./drawing.js";
import { harmless } from "./element.js";

/** Boxes that are drawn; the table has all. */
export const STEPS = 40;
/** Findings and patterns that are looked at for colours: a layout may have more than a page has time for. */
const LOOKED_AT = 100;

/** What draws an answer for so many pixels. The layout says which step gets its materials from which. */
export function picture(result, layout) {
  const steps = result.answer.steps.slice(0, STEPS);
  const root = steps.filter((step) => step.at.length === 0);
  const passed = arrowsOf(root, layout, result.answer.findings ?? result.answer.reasons);
  const boxes = placed(root, passed);
  const [ranks, lanes] = ["rank", "lane"].map((axis) => 1 + Math.max(-1, ...boxes.map((box) => box[axis])));
  const end = { rank: ranks, lane: 0, ...endOf(result) };
  const byName = new Map(root.map((step, at) => [step.name, boxes[at]]));
  const arrows = passed.map((arrow) => ({ ...arrow, from: byName.get(arrow.from), to: byName.get(arrow.to) }));
  const isSource = new Set(passed.map((arrow) => arrow.from));
  for (const step of root.filter((step) => !isSource.has(step.name)))
    arrows.push({ from: byName.get(step.name), to: end, label: "", bad: result.outcome !== "accept" && !step.verified });
  // Sublayouts' steps stand beneath the chain of the steps that they stand for.
  const inner = steps.filter((step) => step.at.length > 0);
  const beneath = inner.map((step, at) => ({ ...boxOf(step), rank: at % (ranks + 1), lane: Math.max(1, lanes) + Math.floor(at / (ranks + 1)) }));
  const words = spoken(result, [...boxes, ...beneath]);
  return (room) => drawing([...boxes, end, ...beneath], arrows, words, room);
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
    const about = findings.filter((finding) => finding.at.length === 1 && finding.at[0] === arrow.to && finding.list === "materials");
    const wrong = about.slice(0, LOOKED_AT).filter((finding) => isOf(finding, arrow, all));
    const label = wrong[0]?.artifact ?? (arrow.patterns.length > 1 ? `${arrow.patterns[0]} +${arrow.patterns.length - 1}` : (arrow.patterns[0] ?? ""));
    return { ...arrow, label, bad: wrong.length > 0 };
  });
}

/** Whether a finding about a step's material is about what this arrow brings: any to the step may be, if no rule names it. */
function isOf({ artifact }, arrow, all) {
  const brings = ({ patterns }) => artifact !== undefined && patterns.slice(0, LOOKED_AT).some((pattern) => resembles(pattern, artifact));
  return brings(arrow) || !all.some((other) => other.to === arrow.to && brings(other));
}

/** Only for the picture's colours, and so only of `*`: what a pattern matches is the verifier's to say. */
function resembles(pattern, artifact) {
  const parts = pattern.split("*");
  if (parts.length === 1) return pattern === artifact;
  const [first, last] = [parts.shift(), parts.pop()];
  if (!artifact.startsWith(first)) return false;
  let from = first.length;
  for (const part of parts) {
    const at = artifact.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return artifact.length - last.length >= from && artifact.endsWith(last);
}

/** Ranks by the longest way to a step, lanes in the order of the layout. */
function placed(steps, arrows) {
  const ranks = new Map();
  const lanes = new Map();
  return steps.map((step) => {
    const before = arrows.filter((arrow) => arrow.to === step.name).map((arrow) => ranks.get(arrow.from) ?? 0);
    const rank = before.length > 0 ? Math.max(...before) + 1 : 0;
    ranks.set(step.name, rank);
    const lane = lanes.get(rank) ?? 0;
    lanes.set(rank, lane + 1);
    return { ...boxOf(step), rank, lane };
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

function spoken(result, boxes) {
  const each = boxes.map((box) => harmless(`${box.name}: ${box.state}; ${box.lines.join(", ")}`));
  return `The chain, ${endOf(result).name}. ${each.join(". ")}`;
}
