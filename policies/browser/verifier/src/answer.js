// What goes out: the component's answer in its JSON form (`wit/answer.schema.json`), members in the order in which the
// verifier itself writes them, so that the text is the same bytes as everywhere.

import { isText, write } from "./json.js";

/** A verdict that the component gave. */
export function verdict(given) {
  return judged(given.decision, {
    decision: given.decision,
    trust: { basis: given.trust.basis, keys: given.trust.keys.map(key) },
    steps: given.steps.map(step),
    findings: given.findings.map(finding),
    warnings: given.warnings.map(finding),
    omitted: whole(given.omitted),
    unconstrained: {
      count: whole(given.unconstrained.count),
      artifacts: given.unconstrained.artifacts.map(({ at, list, artifact }) => ({ at, list, artifact })),
    },
    subjects: given.subjects.map(({ subject, step, list, artifact }) => ({ subject: whole(subject), step, list, artifact })),
    summary: given.summary ? present({ sha256: given.summary.sha256, link: given.summary.link }) : null,
    valid_until: whole(given.validUntil ?? null),
  });
}

/** What a plan gave. */
export function requirements(given) {
  return judged("requirements", {
    steps: given.steps.map((step) => ({
      at: step.at,
      name: step.name,
      threshold: whole(step.threshold),
      signers: step.signers.map(key),
      documents: step.documents,
    })),
    inspections: given.inspections.map(({ at, name, run }) => ({ at, name, run })),
    valid_until: whole(given.validUntil ?? null),
  });
}

/** An undecided answer that the component gave. */
export function undecided(given) {
  return judged("undecided", {
    decision: "undecided",
    code: given.code,
    at: given.at,
    limit: given.limit ?? null,
    message: given.message,
    reasons: given.reasons.map(finding),
    warnings: given.warnings.map(finding),
    steps: given.steps.map(step),
  });
}

/** An undecided answer of the host's own. */
export function refused(code, message) {
  const first = { __proto__: null, code, at: [], message };
  return undecided({ __proto__: null, ...first, reasons: [first], warnings: [], steps: [] });
}

/** The verifier did not come to an end. */
export function stopped(why) {
  return refused("verifier-stopped", `the verifier was stopped: ${why}`);
}

/** What was handed over is no request. */
export function malformed(why) {
  return refused("request-malformed", `the request is not of the documented form: ${why}`);
}

/** A reason in words, whatever was thrown. */
export function reason(thrown) {
  try {
    const text = String(thrown instanceof Error ? thrown.message || thrown.name : thrown).slice(0, 1000);
    return isText(text) ? text : text.replace(/[\ud800-\udfff]/g, "\ufffd");
  } catch {
    return "it threw what has no text";
  }
}

function judged(outcome, answer) {
  return { outcome, answer, json: write(answer) };
}

function key({ label, fingerprint }) {
  return { label, fingerprint };
}

function step(given) {
  return {
    at: given.at,
    name: given.name,
    verified: given.verified,
    threshold: whole(given.threshold),
    signers: given.signers.map((signer) => ({ ...key(signer.key), document: signer.document, sublayout: signer.sublayout })),
    missing: given.missing.map(key),
    materials: whole(given.materials),
    products: whole(given.products),
  };
}

function finding(given) {
  return present({
    code: given.code,
    at: given.at,
    document: given.document,
    list: given.list,
    rule: given.rule === undefined ? undefined : whole(given.rule),
    artifact: given.artifact,
    expected: given.expected,
    found: given.found,
    message: given.message,
  });
}

/** A number where that is exact, else the BigInt. */
function whole(value) {
  if (value === null) return null;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function present(members) {
  return Object.fromEntries(Object.entries(members).filter(([, member]) => member !== undefined));
}
