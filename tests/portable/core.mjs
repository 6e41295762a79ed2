// Judges cases as a JavaScript program does that loads the core module: V8 in Node, by policies/opa/wasm/verifier.mjs.
//
//   node tests/portable/core.mjs --cases IN.jsonl --answers OUT.jsonl --signatures host|none [--time N] --module FILE

import { readFileSync } from "node:fs";
import { Verifier, native, pure } from "../../policies/opa/wasm/verifier.mjs";
import { answer, checksSignatures, module, rounds, time } from "./asked.mjs";

// As the native host has it, so that the largest cases come to their end.
const bounds = { memory: 2 ** 31, check: checksSignatures ? native : pure };
const verifier = await Verifier.load(readFileSync(module ?? "verifier.core.wasm"), bounds);
const judge = (request) => verifier.verify(request);
if (rounds > 0) time(judge, `V8 ${process.versions.v8}`);
else await answer(judge);
