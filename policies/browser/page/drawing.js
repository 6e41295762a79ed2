// Boxes and arrows as SVG: across the page, or down it where that is too narrow.

import { cut, shape } from "./element.js";

const WIDTH = 216;
const HEIGHT = 112;
const MARGIN = 10;
/** Room between boxes, and beside them for arrows that pass some by. */
const ACROSS = 96;
const DOWN = 44;
const BESIDE = 40;
const TRACK = 10;
/** Arrows beside one another; further ones share the outermost track. */
const TRACKS = 4;
const CHARACTERS = 28;
/** A label's characters between boxes, the fewest and the most that say anything beside them, and what one takes. */
const LABEL = 13;
const LABELS = [4, 32];
const CHARACTER = 7;

/**
 * Draws boxes, `{rank, lane, kind, name, state, lines}`, and arrows between them, `{from, to, label, bad}`: `rank` is how far
 * along the chain a box is, `lane` keeps those of one rank apart. Where the page is too narrow for all ranks side by side,
 * boxes stand one below the other, in the order given.
 */
export function drawing(boxes, arrows, spoken, room) {
  const across = new Across(boxes);
  const plan = across.size[0] <= room ? across : new Down(boxes, arrows, room);
  const [width, height] = plan.size;
  const svg = shape("svg", { role: "img", "aria-label": spoken, width, height, viewBox: `0 0 ${width} ${height}` });
  svg.append(shape("defs", {}, tip("tip", "plain"), tip("tip-bad", "bad")));
  for (const arrow of arrows) svg.append(...drawn(arrow, plan));
  for (const box of boxes) svg.append(boxAt(plan.corner(box), box));
  return svg;
}

/** Ranks as columns, lanes as rows. */
class Across {
  constructor(boxes) {
    const [ranks, lanes] = ["rank", "lane"].map((axis) => 1 + Math.max(...boxes.map((box) => box[axis])));
    this.size = [MARGIN * 2 + ranks * WIDTH + (ranks - 1) * ACROSS, MARGIN * 2 + lanes * (HEIGHT + BESIDE)];
  }

  corner({ rank, lane }) {
    return [MARGIN + rank * (WIDTH + ACROSS), MARGIN + lane * (HEIGHT + BESIDE)];
  }

  /** An arrow's way, and where its label stands. What passes boxes by goes beneath them. */
  way({ from, to }) {
    const [[fromX, fromY], [toX, toY]] = [this.corner(from), this.corner(to)];
    const [startX, startY, endX, endY] = [fromX + WIDTH, fromY + HEIGHT / 2, toX - 3, toY + HEIGHT / 2];
    const middle = startX + ACROSS / 2;
    if (to.rank - from.rank <= 1)
      return { path: `M${startX},${startY} C${middle},${startY} ${middle},${endY} ${endX},${endY}`, label: { x: middle, y: (startY + endY) / 2 - 9, "text-anchor": "middle" } };
    const beneath = Math.max(fromY, toY) + HEIGHT + BESIDE / 2;
    return {
      path: `M${startX},${startY + 20} C${startX + 50},${startY + 20} ${startX},${beneath} ${startX + 50},${beneath} L${endX - 50},${beneath} C${endX},${beneath} ${endX - 50},${endY + 20} ${endX},${endY + 20}`,
      label: { x: (startX + endX) / 2, y: beneath - 5, "text-anchor": "middle" },
    };
  }
}

/** One box below the other; an arrow that passes some by goes on a track of its own to the right of them. */
class Down {
  constructor(boxes, arrows, room) {
    this.rows = new Map(boxes.map((box, row) => [box, row]));
    this.tracks = new Map(arrows.filter((arrow) => !this.isShort(arrow)).map((arrow, at) => [arrow, Math.min(at, TRACKS - 1)]));
    this.outermost = MARGIN + WIDTH + (this.tracks.size > 0 ? TRACK * (2 + Math.min(this.tracks.size, TRACKS)) : MARGIN);
    const beside = Math.floor((room - this.outermost) / CHARACTER);
    this.beside = beside < LABELS[0] ? 0 : Math.min(beside, LABELS[1]);
    this.labels = new Map();
    const longest = Math.max(0, ...[...this.tracks.keys()].map(({ label }) => [...label].length + 2));
    this.size = [this.outermost + Math.min(longest, this.beside) * CHARACTER, MARGIN * 2 + boxes.length * (HEIGHT + DOWN) - DOWN];
  }

  isShort({ from, to }) {
    return this.rows.get(to) - this.rows.get(from) === 1;
  }

  corner(box) {
    return [MARGIN, MARGIN + this.rows.get(box) * (HEIGHT + DOWN)];
  }

  way(arrow) {
    const [[x, fromY], [, toY]] = [this.corner(arrow.from), this.corner(arrow.to)];
    if (this.isShort(arrow)) {
      const middle = x + WIDTH / 2;
      return { path: `M${middle},${fromY + HEIGHT} L${middle},${toY - 3}`, label: { x: middle + 12, y: toY - DOWN / 2 + 4 } };
    }
    const right = x + WIDTH;
    const track = right + TRACK * (2 + this.tracks.get(arrow));
    const [startY, endY] = [fromY + HEIGHT - 20, toY + 26];
    // Several that end in one box have their labels one below the other.
    const before = this.labels.get(arrow.to) ?? 0;
    this.labels.set(arrow.to, before + 1);
    return {
      path: `M${right},${startY} C${track},${startY} ${track},${startY} ${track},${startY + 24} L${track},${endY - 24} C${track},${endY} ${track},${endY} ${right + 3},${endY}`,
      label: { x: this.outermost, y: endY + 4 + before * 15 },
      characters: Math.max(0, this.beside - 2),
    };
  }
}

function drawn(arrow, plan) {
  const { path, label, characters = LABEL } = plan.way(arrow);
  const kind = arrow.bad ? "bad" : "plain";
  const made = [shape("path", { class: kind, "marker-end": `url(#${arrow.bad ? "tip-bad" : "tip"})`, d: path })];
  if (arrow.label && characters > 0) made.push(shape("text", { ...label, class: `edge ${kind}` }, `${arrow.bad ? "✗ " : ""}${cut(arrow.label, characters)}`));
  return made;
}

function boxAt([x, y], { kind, name, state, lines }) {
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

function tip(id, kind) {
  const marker = { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" };
  return shape("marker", marker, shape("path", { class: kind, d: "M0,0 L8,4 L0,8 z" }));
}
