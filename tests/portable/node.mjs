// Judges cases with the npm package in Node. The package's folder: --module FOLDER, or target/browser/verifier.
//
//   node tests/portable/node.mjs --cases IN.jsonl --answers OUT.jsonl --signatures host|none [--time N] [--module FOLDER]

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { native } from "../../policies/opa/wasm/verifier.mjs";
import { answer, checksSignatures, module, rounds, time } from "./asked.mjs";

const root = resolve(import.meta.dirname, "../..");
const target = process.env.CARGO_TARGET_DIR || resolve(root, "target");
const folder = resolve(module || resolve(target, "browser/verifier"));
const { verify } = await import(pathToFileURL(resolve(folder, "dist/index.js")));

/** What Node's own cryptography accepts is valid; everything else is left to the verifier. */
function check({ scheme, spki }, message, signature) {
  return native(scheme, spki, message, signature) === "valid" || undefined;
}

const options = checksSignatures ? { check } : {};
const judge = (request) => verify(request, options).json;
if (rounds > 0) time(judge, `Node ${process.versions.node}`);
else await answer(judge);
