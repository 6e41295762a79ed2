// What a runner in JavaScript is asked, by its arguments: which cases, with whose signature checks, and where answers go.

import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    cases: { type: "string" },
    answers: { type: "string" },
    signatures: { type: "string", default: "none" },
    module: { type: "string" },
    time: { type: "string" },
  },
});
if (!values.cases || !(values.answers || values.time) || !["host", "none"].includes(values.signatures)) {
  const runner = basename(process.argv[1]);
  console.error(`${runner}: --cases FILE, --answers FILE or --time N, and --signatures host or none are needed`);
  process.exit(2);
}

/** The verifier's file or folder, if one is named. */
export const module = values.module;

/** Whether the host checks signatures. */
export const checksSignatures = values.signatures === "host";

/** How often the first case is to be timed; 0: the cases are to be answered. */
export const rounds = Number(values.time ?? 0);

/** The cases, each a name and a request's text. */
export const cases = readFileSync(values.cases, "utf8")
  .split("\n")
  .filter(Boolean)
  .map((line) => JSON.parse(line));

/** Writes a line a case. `judge` gives a request's answer, or a promise of it. */
export async function answer(judge) {
  const lines = [];
  for (const { name, request } of cases) lines.push(`${JSON.stringify({ name, answer: await judge(request) })}\n`);
  writeFileSync(values.answers, lines.join(""));
}

/** Prints the median time of a judgement of the first case, after three that do not count. */
export function time(judge, engine) {
  const taken = [];
  for (let round = -3; round < rounds; round += 1) {
    const begin = process.hrtime.bigint();
    const answered = judge(cases[0].request);
    const microseconds = Number(process.hrtime.bigint() - begin) / 1000;
    if (answered.startsWith('{"decision":"undecided"')) throw new Error(`the case is undecided: ${answered}`);
    if (round >= 0) taken.push(microseconds);
  }
  print(taken.sort((one, other) => one - other)[taken.length >> 1], engine);
}

/** Prints a median. */
export function print(microseconds, engine) {
  console.log(JSON.stringify({ median_us: microseconds, engine }));
}
