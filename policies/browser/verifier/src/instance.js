// The component's modules and its instances: a fresh one for each question, dropped after it whatever happened.

import { instantiate } from "./component.js";
import { reason, requirements, stopped, undecided, verdict } from "./answer.js";
import { bounded, PAGE } from "./memory.js";

/** The native host's bound: it holds the largest request that the verifier's own limits admit. */
export const MEMORY = 2 * 2 ** 30;

const MAIN = "component.core.wasm";
const FILES = [MAIN, "component.core2.wasm", "component.core3.wasm"];
const VERIFICATION = "linkgate:verifier/verification@0.1.0";
const SIGNATURES = "linkgate:verifier/signatures";

/** Compiled modules of the last bounds that were asked for; compiling one takes longer than most questions. */
const KEPT = 4;
const compiled = new Map();

const files = new Map();
let failure;

// The package is usable as soon as it is imported. What cannot be loaded makes every answer undecided, and no import fail.
try {
  const loaded = await Promise.all(FILES.map((name) => bytesOf(new URL(name, import.meta.url))));
  loaded.forEach((bytes, at) => files.set(FILES[at], bytes));
  compiled.set(MEMORY / PAGE, await WebAssembly.compile(bounded(files.get(MAIN), MEMORY / PAGE)));
  for (const name of FILES.slice(1)) files.set(name, await WebAssembly.compile(files.get(name)));
} catch (error) {
  failure = `it cannot be loaded: ${reason(error)}`;
}

async function bytesOf(url) {
  if (url.protocol === "file:" && globalThis.process?.versions?.node) {
    const { readFile } = await import("node:fs/promises");
    return new Uint8Array(await readFile(url));
  }
  const response = await fetch(url, { __proto__: null, credentials: "same-origin" });
  if (!response.ok) throw new Error(`${url}: status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Asks a new instance; `name` is the function's. */
export function ask(name, question, { check, memory = MEMORY }) {
  if (failure) return stopped(failure);
  if (typeof memory !== "number" || !(memory >= PAGE)) return stopped(`\`memory\` must be a number of bytes, ${PAGE} or more`);
  const pages = Math.min(Math.floor(memory / PAGE), MEMORY / PAGE);
  let own;
  try {
    const main = mainModule(pages);
    const component = instantiate(
      (file) => (file === MAIN ? main : files.get(file)),
      { [SIGNATURES]: { check: checking(check) } },
      (module, imports) => {
        const instance = new WebAssembly.Instance(module, imports);
        if (module === main) own = instance.exports.memory;
        return instance;
      },
    );
    const given = component[VERIFICATION][name](question);
    return name === "plan" ? requirements(given) : verdict(given);
  } catch (error) {
    if (isUndecided(error)) return undecided(error.payload);
    const held = own ? `, with ${own.buffer.byteLength} bytes of the ${pages * PAGE} that its memory may have` : "";
    return stopped(`${reason(error)}${held}`);
  }
}

/** An answer, not a fault: the glue throws the error of the contract with the error record in it. */
function isUndecided(error) {
  return error instanceof Error && Object.hasOwn(error, "payload") && typeof error.payload === "object" && error.payload !== null;
}

function mainModule(pages) {
  const known = compiled.get(pages);
  if (known) return known;
  const module = new WebAssembly.Module(bounded(files.get(MAIN), pages));
  if (compiled.size >= KEPT) compiled.delete([...compiled.keys()].find((key) => key !== MEMORY / PAGE));
  compiled.set(pages, module);
  return module;
}

/** The component's import. What the caller's function does wrong is an error of the check: undecided, never a crash. */
function checking(check) {
  if (check === undefined || check === null) return () => "not-handled";
  return (key, message, signature) => {
    let said;
    try {
      said = check({ scheme: key.scheme, spki: key.spki }, message, signature);
      // Nobody may ever look at a promise: a process must not end because it is rejected.
      if (said instanceof Promise) said.catch(() => {});
    } catch (error) {
      throw unchecked(reason(error));
    }
    if (said === true) return "valid";
    if (said === false) return "invalid";
    if (said === undefined) return "not-handled";
    throw unchecked("`check` must return true, false or undefined at once, and returned something else");
  };
}

function unchecked(why) {
  return Object.assign(new Error(why), { payload: why });
}
