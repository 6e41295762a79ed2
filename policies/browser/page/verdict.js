// A verdict in words, tables and a picture.

import { STEPS, endOf, picture, short } from "./chain.js";
import { element, harmless, worded } from "./element.js";

const SENTENCES = {
  accept: "Accepted: the supply chain holds",
  reject: "Rejected: the supply chain does not hold",
  undecided: "Undecided: refuse it, it could not be judged",
};

/** What is said aloud. */
export function sentence({ outcome, answer }) {
  const count = answer.findings?.length ?? answer.reasons?.length ?? 0;
  const noun = outcome === "undecided" ? "reason" : "finding";
  const asked = outcome === "accept" && answer.subjects.length === 0 ? " No artifact was asked about." : "";
  return `${SENTENCES[outcome]}.${asked}${count > 0 ? ` ${count} ${noun}${count === 1 ? "" : "s"}.` : ""}`;
}

/** Everything about a result; its heading, which has the id `outcome`, takes the focus. */
export function shownResult(result, { layout, judgedAt, isSaved }) {
  const { outcome, answer, json } = result;
  const { kind, state } = endOf(result);
  const findings = answer.findings ?? answer.reasons;
  const banner = element(
    "div",
    { class: `banner ${kind}` },
    element("h2", { id: "outcome", tabindex: -1 }, element("span", { "aria-hidden": "true" }, state[0]), SENTENCES[outcome]),
    element("p", {}, ...worded(summary(result))),
    outcome === "accept" && answer.subjects.length === 0 ? unasked() : undefined,
    outcome === "accept" ? element("p", {}, ...worded(trusted(answer.trust, isSaved))) : undefined,
  );
  const parts = [banner];
  if (findings.length > 0) parts.push(element("h3", {}, outcome === "undecided" ? "Why" : "Findings"), listOf(findings, outcome === "undecided" ? "odd" : "bad"));
  if (answer.steps.length > 0) {
    parts.push(
      element("h3", { id: "chain-heading" }, "The chain"),
      pictureOf(result, layout),
      answer.steps.length > STEPS ? element("p", { class: "small" }, `${STEPS} of ${answer.steps.length} steps are drawn; the table has all.`) : "",
      stepsTable(answer.steps),
    );
  }
  if (answer.warnings.length > 0) parts.push(element("h3", {}, "Warnings"), listOf(answer.warnings, "odd"));
  if (Number(answer.omitted ?? 0) > 0) parts.push(element("p", {}, `${answer.omitted} more are not listed.`));
  parts.push(element("h3", {}, "About this answer"), facts(result, judgedAt));
  const raw = element("details", {}, element("summary", {}, "The answer as JSON"), element("pre", { tabindex: 0, role: "group", "aria-label": "The answer as JSON" }, json));
  parts.push(raw);
  return parts;
}

/** The chain, drawn anew when there is room for another form of it. */
function pictureOf(result, layout) {
  const frame = element("div", { class: "picture", role: "group", tabindex: 0, "aria-labelledby": "chain-heading" });
  const drawn = picture(result, layout);
  let drawnFor;
  const draw = (room) => {
    if (room === drawnFor) return;
    drawnFor = room;
    frame.replaceChildren(drawn(room));
  };
  draw(document.querySelector("main").clientWidth);
  new ResizeObserver(([{ contentRect }]) => draw(contentRect.width)).observe(frame);
  return frame;
}

/** An accept that no artifact was asked about is easily taken for one of the artifact at hand. */
function unasked() {
  return element("p", { class: "unasked" }, element("strong", { class: "odd" }, element("span", { "aria-hidden": "true" }, "! "), "No artifact was asked about."), " That a file or an image in your hands came out of this chain is not shown: add it above, or its digest.");
}

function summary({ outcome, answer }) {
  if (outcome === "undecided") return harmless(answer.message);
  if (outcome === "reject") return harmless(answer.findings[0]?.message ?? "");
  const steps = answer.steps.filter((step) => step.at.length === 0).length;
  const made = answer.subjects.map((subject) => `${subject.artifact} of step ${subject.step}`);
  return harmless(`${steps} step${steps === 1 ? "" : "s"} verified${made.length > 0 ? `; it made ${made.join(", ")}` : ""}.`);
}

/** On whose word: an accept is worth what its keys are, and a label is whatever the key's file says. */
function trusted({ basis, keys }, isSaved) {
  const named = isSaved ? "The saved request itself names the keys, and when it is judged. " : "";
  if (basis === "asserted") return `${named}The layout is taken as it stands: nobody's signature was asked for.`;
  const owners = keys.map((key) => `sha256:${key.fingerprint}`).join(", ");
  return harmless(`${named}Believed on the word of the owner's key ${owners}: compare it with what \`linkgate key show\` prints of the key that you trust.`);
}

function listOf(findings, kind) {
  const sign = kind === "bad" ? "✗" : "!";
  return element("ol", { class: "findings" }, ...findings.map((finding) => element("li", { class: kind }, element("p", {}, element("span", { class: kind, "aria-hidden": "true" }, `${sign} `), ...worded(harmless(finding.message))), details(finding))));
}

function details(finding) {
  const rows = [
    ["Where", finding.at.join(" / ")],
    ["Document", finding.document],
    ["Rule", finding.rule === undefined ? finding.list : `${Number(finding.rule) + 1} of expected_${finding.list}`],
    ["Artifact", finding.artifact],
    ["Expected", finding.expected],
    ["Found", finding.found],
    ["Code", finding.code],
  ];
  return definitions("", rows);
}

function definitions(kind, rows) {
  const list = element("dl", { class: kind || undefined });
  for (const [term, value] of rows) if (value !== undefined && value !== "") list.append(element("dt", {}, term), element("dd", {}, harmless(value)));
  return list;
}

function stepsTable(steps) {
  const heads = ["Step", "State", "Signed by", "Could also sign", "Materials", "Products"];
  const table = element("table", { class: "cards" }, element("caption", { class: "spoken" }, "Steps"), element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))));
  const body = element("tbody");
  for (const step of steps) {
    const signers = step.signers.map((signer) => `${short(signer.label)}${signer.sublayout ? " (sublayout)" : ""} in ${harmless(signer.document)}`);
    const state = step.verified ? "✓ verified" : "✗ not verified";
    const cells = [`${signers.length} of ${step.threshold} needed${signers.length > 0 ? `: ${signers.join("; ")}` : ""}`, step.missing.map((key) => short(key.label)).join(", ") || "nobody", step.materials, step.products];
    body.append(
      element(
        "tr",
        {},
        element("th", { scope: "row" }, harmless([...step.at, step.name].join(" / "))),
        element("td", { "data-name": heads[1] }, element("strong", { class: step.verified ? "good" : "bad" }, state)),
        ...cells.map((cell, at) => element("td", { "data-name": heads[at + 2] }, String(cell))),
      ),
    );
  }
  table.append(body);
  return table;
}

function facts({ answer }, judgedAt) {
  const rows = [];
  if (judgedAt !== undefined) rows.push(["Judged at", time(judgedAt)]);
  if (answer.valid_until !== undefined && answer.valid_until !== null) rows.push(["Could change at", time(answer.valid_until)]);
  if (answer.trust) {
    const keys = answer.trust.keys.map((key) => `${short(key.label)} (sha256:${key.fingerprint})`).join(", ");
    rows.push(["Believed on the word of", keys + (answer.trust.basis === "asserted" ? " (asserted; nobody's signature was asked for)" : "")]);
  }
  if (answer.unconstrained && Number(answer.unconstrained.count) > 0) rows.push(["Artifacts without a rule", `${answer.unconstrained.count}: ${answer.unconstrained.artifacts.map((one) => one.artifact).join(", ")}`]);
  if (answer.summary) rows.push(["Summary link, SHA-256", answer.summary.sha256]);
  return definitions("facts", rows);
}

function time(seconds) {
  const date = new Date(Number(seconds) * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} seconds since 1970` : date.toISOString().replace(".000Z", "Z");
}
