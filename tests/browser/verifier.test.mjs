// The npm package in Node: what it answers, and that nothing makes it throw or accept.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { makeChain, requestOf, tamper } from "./chain.mjs";
import { built, target } from "./site.mjs";

const bounded = { timeout: 120_000 };
const load = (folder) => import(pathToFileURL(join(folder, "dist/index.js")));
const { verify, plan, verifyWithin, oneLine } = await load(built);
let good;
let bad;

before(() => {
  const folder = makeChain();
  good = requestOf(folder);
  tamper(folder, "package");
  bad = requestOf(folder);
});

/** The answer, whose text is always that of an undecided one with this code. */
function undecided(result, code, message) {
  assert.equal(result.outcome, "undecided", result.json);
  assert.equal(result.answer.decision, "undecided");
  assert.equal(result.answer.code, code, result.json);
  assert.deepEqual(JSON.parse(result.json).code, code);
  if (message) assert.match(result.answer.message, message);
}

test("the answers are the command line's, byte for byte", bounded, () => {
  assert.equal(verify(good.text).json, good.native);
  assert.equal(verify(good.text).outcome, "accept");
  assert.equal(verify(JSON.parse(good.text)).json, good.native);
  assert.equal(verify(bad.text).json, bad.native);
  assert.equal(verify(bad.text).outcome, "reject");
  assert.equal(plan(good.text).outcome, "requirements");
  assert.equal(JSON.parse(plan(good.text).json).steps[1].name, "package");
});

test("contents as bytes and as base64 are the same contents", bounded, () => {
  const request = JSON.parse(good.text);
  const utf8 = Buffer.from(request.layout.text);
  for (const layout of [{ bytes: new Uint8Array(utf8) }, { base64: utf8.toString("base64") }, { base64: utf8.toString("base64url") + "=".repeat((3 - (utf8.length % 3)) % 3) }]) {
    assert.equal(verify({ ...request, layout }).json, good.native);
  }
  assert.equal(verify({ ...request, now: BigInt(request.now) }).json, good.native);
});

test("whole numbers of 64 bits stay exact", bounded, () => {
  const request = JSON.parse(good.text);
  for (const now of [-(2n ** 63n), 2n ** 53n + 1n, 2n ** 63n - 1n]) {
    undecided(verify({ ...request, now }), "request-malformed", new RegExp(` ${now} s after 1970`));
  }
  assert.equal(verify({ ...request, now: 0n }).outcome, "accept");
  assert.equal(verify({ ...request, now: 253402300799n }).answer.findings[0].code, "layout-expired");
  undecided(verify({ ...request, now: 2n ** 63n }), "request-malformed");
  undecided(verify({ ...request, now: 2 ** 53 }), "request-malformed", /64 bits/);
  for (const now of ["9223372036854775807", "9223372036854775808", "1.0", "1e3", "-0"]) {
    const text = good.text.replace(/"now":-?\d+/, `"now":${now}`);
    assert.notEqual(text, good.text);
    undecided(verify(text), "request-malformed", now === "9223372036854775807" ? / 9223372036854775807 s after 1970/ : undefined);
  }
});

test("what is no request is undecided", bounded, () => {
  const request = JSON.parse(good.text);
  const thrower = { get layout() { throw new Error("no"); } };
  const proxy = new Proxy({}, { ownKeys() { throw Symbol("no"); } });
  const { proxy: revoked, revoke } = Proxy.revocable([], {});
  revoke();
  const cyclic = { ...request };
  cyclic.documents = [cyclic];
  const odd = [undefined, null, 0, 1n, NaN, "", "{", "nul", "[]", '"x"', true, [], {}, () => {}, Symbol("x"), new Date(), new Map(), thrower, proxy, revoked, cyclic, new Proxy(function () {}, {}),
    { ...request, more: 1 }, { ...request, [Symbol("x")]: 1 }, { ...request, documents: {} }, { ...request, documents: null }, { ...request, documents: new Array(5) }, { ...request, documents: { length: 1 } },
    { ...request, layout: { text: "\ud800" } }, { ...request, layout: { text: "a", base64: "YQ==" } }, { ...request, layout: { base64: "YR==" } }, { ...request, layout: { base64: "YQ" } }, { ...request, layout: { base64: "+_==" } }, { ...request, layout: { base64: "é===" } },
    { ...request, layout: { bytes: [1] } }, { ...request, layout: { bytes: new Uint16Array(2) } }, { ...request, layout: { bytes: { __proto__: Uint8Array.prototype } } },
    { ...request, trust: { ...request.trust, asserted: [] } }, { ...request, trust: {} }, { ...request, parameters: { a: 1 } }, { ...request, parameters: [] }, { ...request, options: { strict: 1 } }, { ...request, now: "1" }, { ...request, now: 1.5 },
    { ...request, subjects: [{}] }, { ...request, subjects: [] }, { ...request, subjects: null }, good.text.replace("{", '{"now":1,'), good.text.replace('"now"', '"n\\u006fw":1,"now"'), `${good.text}x`, good.text.slice(0, -1), "[".repeat(1e6), `{"a":${"[".repeat(200)}${"]".repeat(200)}}`, "\u0000", "{\"\\ud800\":1}"];
  for (const [number, given] of odd.entries()) undecided(verify(given), "request-malformed", new RegExp(number === 0 ? "expected an object" : ""));
  undecided(verify(), "request-malformed");
  undecided(plan(), "request-malformed");
});

test("options that are none are undecided", bounded, () => {
  for (const options of [{ check: 1 }, { memory: "1" }, { memory: NaN }, { memory: -1 }, { get check() { throw 1; } }, new Proxy({}, { ownKeys() { throw null; } })]) {
    undecided(verify(good.text, options), "verifier-stopped");
  }
  assert.equal(verify(good.text, null).outcome, "accept");
});

test("a check is believed where it says yes, and anything odd is undecided", bounded, () => {
  const seen = [];
  const spy = (key, message, signature) => void seen.push([key.scheme, key.spki, message, signature]);
  assert.equal(verify(good.text, { check: spy }).json, good.native);
  assert.deepEqual(new Set(seen.map(([scheme]) => scheme)), new Set(["ecdsa-sha2-nistp256", "ed25519"]));
  assert.ok(seen.every(([, ...bytes]) => bytes.every((each) => each instanceof Uint8Array)));
  assert.equal(verify(bad.text).answer.steps[1].signers.length, 0);
  assert.equal(verify(bad.text, { check: () => true }).answer.steps[1].signers.length, 1);
  assert.equal(verify(good.text, { check: () => false }).outcome, "reject");
  const never = Promise.reject(new Error("late"));
  for (const said of [Promise.resolve(true), never, 1, 0, "true", null, {}, [], Symbol("x"), new Proxy({}, { getPrototypeOf() { throw 1; } })]) {
    undecided(verify(good.text, { check: () => said }), "signature-unchecked");
  }
  for (const thrown of [new Error("unplugged"), "unplugged", undefined, null, Symbol("x"), { toString() { throw 1; } }, "\ud800", { payload: { code: "accept" } }]) {
    undecided(verify(good.text, { check: () => { throw thrown; } }), "signature-unchecked");
  }
  undecided(verify(good.text, { check: () => { throw new Error("unplugged"); } }), "signature-unchecked", /unplugged/);
  // A check that asks the verifier itself gets an instance of its own.
  let inner;
  assert.equal(verify(good.text, { check: () => void (inner = verify(good.text).outcome) }).outcome, "accept");
  assert.equal(inner, "accept");
  assert.equal(verify(good.text).json, good.native);
});

/** A request that takes long, and much memory: a layout of megabytes that nobody signed. */
function costly(megabytes) {
  const request = JSON.parse(good.text);
  const layout = JSON.parse(request.layout.text);
  const text = JSON.stringify(layout).replace(/"readme":""/, () => `"readme":"${"x".repeat(megabytes << 20)}"`);
  return { ...request, layout: { text } };
}

test("memory is bounded, and the next question is answered", bounded, () => {
  undecided(verify(good.text, { memory: 65_536 }), "verifier-stopped");
  undecided(verify(costly(16), { memory: 8 << 20 }), "verifier-stopped", /its memory may have|unreachable/);
  assert.equal(verify(good.text, { memory: 8 << 20 }).json, good.native);
  assert.equal(verify(costly(16)).outcome, "reject");
});

test("a deadline ends the worker, and the next question is answered", bounded, async () => {
  const long = costly(30);
  const begin = performance.now();
  undecided(await verifyWithin(long, { milliseconds: 50 }), "verifier-stopped", /longer than 50 ms/);
  assert.ok(performance.now() - begin < 10_000);
  assert.equal((await verifyWithin(good.text)).json, good.native);
  const [one, other] = await Promise.all([verifyWithin(good.text), verifyWithin(JSON.parse(bad.text))]);
  assert.deepEqual([one.json, other.json], [good.native, bad.native]);
  undecided(await verifyWithin(good.text, { milliseconds: 0 }), "verifier-stopped");
  undecided(await verifyWithin(), "request-malformed");
  undecided(await verifyWithin({ ...JSON.parse(good.text), now: () => 1 }), "request-malformed");
  for (const milliseconds of ["1", NaN, -1]) undecided(await verifyWithin(good.text, { milliseconds }), "verifier-stopped");
  undecided(await verifyWithin(good.text, { check: () => true }), "verifier-stopped");
  undecided(await verifyWithin(costly(16), { memory: 8 << 20 }), "verifier-stopped");
  assert.equal((await verifyWithin(good.text)).json, good.native);
});

/** A copy of the package, which has no worker yet. */
function copy(name) {
  const folder = join(target, "spoilt", name);
  rmSync(folder, { recursive: true, force: true });
  cpSync(built, folder, { recursive: true });
  return load(folder);
}

test("the deadline begins when the worker is ready, and none is ended before", bounded, async () => {
  const { terminate, emit } = Worker.prototype;
  // What a worker says first, it says when it has loaded the verifier.
  const loaded = new WeakSet();
  const ended = [];
  Worker.prototype.terminate = function () {
    ended.push(loaded.has(this));
    return terminate.call(this);
  };
  Worker.prototype.emit = function (event, ...rest) {
    if (event === "message") loaded.add(this);
    return emit.call(this, event, ...rest);
  };
  try {
    const fresh = await copy("fresh");
    for (const milliseconds of [0, 1, 5]) undecided(await fresh.verifyWithin(costly(30), { milliseconds }), "verifier-stopped", /longer than/);
    // Shorter than it takes to start one; on a busy machine it may be too short for an answer, but not each time.
    let said;
    for (let turn = 0; turn < 100 && said?.outcome !== "accept"; turn += 1) said = await fresh.verifyWithin(good.text, { milliseconds: 30 });
    assert.equal(said.json, good.native);
  } finally {
    Object.assign(Worker.prototype, { terminate, emit });
  }
  assert.ok(ended.length >= 3 && ended.every(Boolean));
});

test("a request is judged as it was when it was handed over", bounded, async () => {
  const request = JSON.parse(bad.text);
  const fresh = await copy("handed-over");
  const said = fresh.verifyWithin(request);
  request.documents = JSON.parse(good.text).documents;
  assert.equal((await said).outcome, "reject");
  // The one who checks signatures may write to what it is shown.
  const check = (key, message, signature) => void [key.spki, message, signature].forEach((bytes) => bytes.fill(7));
  assert.equal(verify(bad.text, { check }).json, bad.native);
  assert.equal(verify(good.text, { check }).json, good.native);
  const contents = new Uint8Array(new SharedArrayBuffer(8));
  undecided(verify({ ...JSON.parse(good.text), layout: { bytes: contents } }), "layout-malformed");
});

/** Runs something while every object of a kind seems to have such members. */
async function polluted(prototype, members, use) {
  const descriptor = (value) => (typeof value === "object" && value !== null && "get" in value ? value : { value, writable: true });
  for (const [name, value] of Object.entries(members)) Object.defineProperty(prototype, name, { __proto__: null, configurable: true, ...descriptor(value) });
  try {
    return await use();
  } finally {
    for (const name of Object.keys(members)) delete prototype[name];
  }
}

test("nothing is taken from a prototype", bounded, async () => {
  const request = JSON.parse(good.text);
  const { trust, now } = request;
  const members = {
    // Options, and those of what is used here.
    check: () => true, memory: 65_536, milliseconds: 0, eval: true, execArgv: ["--no-such-flag"], method: "POST", body: "x",
    // A request, and what a worker says.
    strict: true, options: { strict: true }, subjects: [{ digests: { sha256: "0".repeat(64) } }], now: 0, signed_by: trust.signed_by, asserted: [], documents: [], keyid: "x", bytes: new Uint8Array(), base64: "", at: ["x"],
    outcome: "accept", decision: "accept", answer: { code: "verifier-stopped" }, code: "verifier-stopped", worker: {}, why: {}, limit: "x", document: "x", payload: {},
  };
  await polluted(Object.prototype, members, async () => {
    for (const judge of [verify, verifyWithin]) {
      for (const given of [good, bad]) {
        assert.equal((await judge(given.text)).json, given.native);
        assert.equal((await judge(JSON.parse(given.text), {})).json, given.native);
      }
      undecided(await judge({ ...request, trust: {} }), "request-malformed", /exactly one/);
    }
    const nothing = verify("{}").json;
    assert.ok(!nothing.includes('"x"') && nothing.includes('"limit":null'), nothing);
    for (const name of ["now", "trust", "layout"]) undecided(verify({ ...request, [name]: undefined }), "request-malformed");
  });
  await polluted(Object.prototype, { trust, now }, () => {
    for (const name of ["now", "trust"]) {
      const { [name]: gone, ...rest } = request;
      undecided(verify(rest), "request-malformed");
      assert.notEqual(gone, undefined);
    }
  });
  // A hole in a list is nothing: neither an owner's key nor a document.
  await polluted(Array.prototype, { 0: trust.signed_by[0] }, () => undecided(verify({ ...request, trust: { signed_by: new Array(1) } }), "request-malformed"));
  await polluted(Array.prototype, { 0: request.documents[0] }, () => undecided(verify({ ...request, documents: [, request.documents[1]] }), "request-malformed"));
});

test("text by others stands on one line, as guest/image/src/line.rs has it", bounded, () => {
  for (const plain of ["", "a b", "h\u00e9", "he\u0301", "שלום", "ไทย", "日本", "😀", "a::b", "a # b#", "\\n", "'\"`<&>"]) assert.equal(oneLine(plain), plain);
  for (const [text, shown] of [
    ["a\nb\r\tc", "a\\nb\\r\\tc"],
    ["\x1b[31mred\x7f\x9b\0", "\\u{1b}[31mred\\u{7f}\\u{9b}\\u{0}"],
    ["\u202e\u2066\u200f\u061c", "\\u{202e}\\u{2066}\\u{200f}\\u{61c}"],
    ["\u2028\u2029\x85", "\\u{2028}\\u{2029}\\u{85}"],
    ["\u200b\u2060\ufeff\xad", "\\u{200b}\\u{2060}\\u{feff}\\u{ad}"],
    ["\u{e0041}\ufe0f\u3164\u034f", "\\u{e0041}\\u{fe0f}\\u{3164}\\u{34f}"],
    ["\ue000\u0378\xa0\ud800", "\\u{e000}\\u{378}\\u{a0}\\u{d800}"],
    ["::error::x", "\\u{3a}:error::x"],
    ["  ::error::x", "  \\u{3a}:error::x"],
    ["a ##[error]x", "a #\\u{23}[error]x"],
    ["###vso[x]", "#\\u{23}\\u{23}vso[x]"],
  ]) {
    assert.equal(oneLine(text), shown);
    assert.equal(oneLine(shown), shown);
  }
});

test("objects that change while they are read are read once", bounded, () => {
  const request = JSON.parse(bad.text);
  const better = JSON.parse(good.text);
  let turn = 0;
  const documents = new Proxy(request.documents, { get: (own, name) => (name === "length" ? own.length : Reflect.get(turn++ % 2 ? better.documents : own, name)) });
  const said = verify({ ...request, documents });
  assert.ok(turn <= request.documents.length, "an item was read twice");
  assert.notEqual(said.outcome, undefined);
  const forever = new Proxy([], { get: (_, name) => (name === "length" ? 2 ** 53 : {}) });
  undecided(verify({ ...request, documents: forever }), "request-malformed");
  class Longer extends Uint8Array {
    get length() {
      return 2 ** 40;
    }
  }
  undecided(verify({ ...request, layout: { bytes: new Longer(3) } }), "layout-malformed");
  const later = { ...better, get documents() { throw new RangeError("Maximum call stack size exceeded"); } };
  undecided(verify(later), "request-malformed");
});

test("a module that is cut off or gone makes everything undecided", bounded, async () => {
  for (const [name, spoil] of [["cut", (path) => truncateSync(path, 100_000)], ["empty", (path) => truncateSync(path, 0)], ["gone", (path) => rmSync(path)], ["other", (path) => writeFileSync(path, "hello")]]) {
    const folder = join(target, "spoilt", name);
    rmSync(folder, { recursive: true, force: true });
    cpSync(built, folder, { recursive: true });
    spoil(join(folder, "dist/component.core.wasm"));
    const package_ = await load(folder);
    undecided(package_.verify(good.text), "verifier-stopped", /cannot be loaded/);
    undecided(await package_.verifyWithin(good.text), "verifier-stopped", /cannot be loaded/);
  }
});

test("an instance that trapped is never asked again", bounded, async () => {
  // The glue counts its instances; all else is as it is published.
  const folder = join(target, "spoilt", "trap");
  rmSync(folder, { recursive: true, force: true });
  cpSync(built, folder, { recursive: true });
  const path = join(folder, "dist/instance.js");
  const glue = readFileSync(path, "utf8");
  const counted = glue.replace("const component = instantiate(", "globalThis.instances = (globalThis.instances ?? 0) + 1;\n    const component = instantiate(");
  assert.notEqual(counted, glue);
  writeFileSync(path, counted);
  const { verify } = await load(folder);
  for (const expected of [1, 2, 3]) {
    undecided(verify(costly(16), { memory: 8 << 20 }), "verifier-stopped");
    assert.equal(verify(good.text, { memory: 8 << 20 }).json, good.native);
    assert.equal(globalThis.instances, expected * 2);
  }
});

test("the packed package installs by name, and its types hold", bounded, () => {
  const folder = join(target, "installed-package");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const exec = (program, ...words) => execFileSync(program, words, { cwd: folder, encoding: "utf8", timeout: 100_000 });
  const [packed] = JSON.parse(exec("npm", "pack", "--json", "--pack-destination", folder, built));
  const names = packed.files.map((file) => file.path);
  for (const name of ["LICENSE", "README.md", "package.json", "dist/index.js", "dist/index.d.ts", "dist/component.core.wasm"]) assert.ok(names.includes(name), name);
  assert.ok(!names.some((name) => name.startsWith("src/") || name === "build.js"));
  writeFileSync(join(folder, "package.json"), '{"private": true, "type": "module"}');
  exec("npm", "install", "--offline", "--no-audit", "--no-fund", "--ignore-scripts", join(folder, packed.filename));
  writeFileSync(join(folder, "request.json"), good.text);
  writeFileSync(join(folder, "main.js"), 'import { verify } from "@linkgate/verifier";\nimport { readFileSync } from "node:fs";\nconsole.log(verify(readFileSync("request.json", "utf8")).json);\n');
  assert.equal(exec("node", "main.js").trim(), good.native);
  writeFileSync(join(folder, "types.ts"), `import { verify, verifyWithin, plan, type Request } from "@linkgate/verifier";
const request: Request = { layout: { bytes: new Uint8Array() }, trust: { signed_by: [] }, documents: [{ name: "a.link", text: "" }], now: 1n };
const result = verify(request, { check: (key, message, signature) => (key.scheme === "ed25519" && message.length > signature.length ? true : undefined), memory: 1 });
if (result.outcome === "accept") { const found: [] | { message: string }[] = result.answer.findings; void found; }
else if (result.outcome === "undecided") { const code: string = result.answer.code; void code;
// @ts-expect-error an undecided answer has no findings
result.answer.findings; }
// @ts-expect-error one form of the content only
const both: Request = { ...request, layout: { text: "", base64: "" } };
// @ts-expect-error a check answers at once
verify(request, { check: async () => true });
// @ts-expect-error a check cannot go to a worker
void verifyWithin(request, { check: () => true });
const planned = plan("{}"); if (planned.outcome === "requirements") void planned.answer.inspections[0]?.run;
void both;
`);
  exec(join(target, "node_modules/.bin/tsc"), "--noEmit", "--strict", "--module", "nodenext", "--moduleResolution", "nodenext", "--target", "es2022", "--lib", "es2022", "--types", "", "types.ts");
});
