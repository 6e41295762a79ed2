// Times the Kubewarden policy in Node: a review of one image, whose chain is that of the first case and whose digest is its subject.
//
//   node tests/portable/kubewarden.mjs --cases IN.jsonl --time N --module verifier.kubewarden.wasm
//
// Its answers are a policy's and no verdicts, so that it has nothing to say about the other cases.

import { readFileSync } from "node:fs";
import { call } from "../../policies/kubewarden/host.mjs";
import { cases, module, time } from "./asked.mjs";

const policy = new WebAssembly.Module(readFileSync(module));
const { layout, trust, documents, subjects, now } = JSON.parse(cases[0].request);
const [{ name, digests }] = subjects;
const chain = {
  name: "chain",
  images: ["registry.example/**"],
  subject: name,
  layout: layout.text,
  keys: Object.fromEntries(trust.signed_by.map((key) => [key.keyid, key])),
  links: Object.fromEntries(documents.map((document) => [document.name, document.text])),
};
const image = `registry.example/app@sha256:${digests.sha256}`;
const request = {
  uid: "u",
  kind: { group: "", version: "v1", kind: "Pod" },
  operation: "CREATE",
  object: { spec: { containers: [{ name: "app", image }] } },
};
const message = JSON.stringify({ request, settings: { policies: [chain] } });
const judge = () => call(policy, "validate", message, () => now * 1000);
if (judge() !== '{"accepted":true}') throw new Error(`the image is not let in: ${judge()}`);
time(judge, `V8 ${process.versions.v8} (Kubewarden)`);
