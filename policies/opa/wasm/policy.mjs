// A Rego policy compiled to WebAssembly, with the verifier as its builtin intoto.verify: no OPA and no server runs.
//
//   const policy = await Policy.load({ policy: 'policy.wasm', verifier: 'verifier.core.wasm', data });
//   const decision = await policy.evaluate(input);
//   if (decision?.allowed !== true) refuse();
//   await policy.close();
import { readFile } from 'node:fs/promises';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

import opa from '@open-policy-agent/opa-wasm';

import { Verifier, given, native, pure } from './verifier.mjs';

/** What timers can count. */
const LONGEST = 2 ** 31 - 1;

/** How long a worker may take to be ready, in milliseconds. */
const START = 60_000;

export class Policy {
  #options;
  #deadline;
  #worker;
  #turn = Promise.resolve();

  /**
   * `policy` and `verifier` are files, `data` is what the policy calls `data`. `signatures` is `native` or `pure`, `memory`
   * bounds the verifier's in bytes, and `deadline` one evaluation in milliseconds.
   */
  static async load(settings) {
    const [policy, verifier] = [given(settings, 'policy'), given(settings, 'verifier')];
    const [data, memory] = [given(settings, 'data', {}), given(settings, 'memory')];
    const [signatures, deadline] = [given(settings, 'signatures', 'native'), given(settings, 'deadline', 5000)];
    if (!['native', 'pure'].includes(signatures)) {
      throw new Error(`signatures is \`${signatures}\`: it takes native or pure`);
    }
    if (typeof deadline !== 'number' || !(deadline > 0 && deadline <= LONGEST)) {
      throw new Error(`deadline is \`${deadline}\`: it takes a number of milliseconds, at most ${LONGEST}`);
    }
    const compiled = await Verifier.load(await readFile(verifier), { __proto__: null, memory });
    const rego = await WebAssembly.compile(await readFile(policy));
    // Rather now than at the first question: the policy has no builtin that this host lacks, and takes the data.
    const loaded = await opa.loadPolicy(rego, undefined, builtins(compiled));
    loaded.setData(data);
    return new Policy(structuredClone({ rego, module: compiled.module, data, signatures, memory }), deadline);
  }

  constructor(options, deadline) {
    this.#options = options;
    this.#deadline = deadline;
  }

  /**
   * What the policy's entry point says about an input; undefined if it says nothing, if it cannot be evaluated, and if that
   * does not end in time. So compare what you get with what allows; nothing else does. Objects in it have no prototype: a
   * member that the policy does not name is undefined, whatever else the program holds.
   */
  evaluate(input) {
    let asked;
    try {
      // As it is at this moment: it may have to wait for its turn.
      asked = structuredClone(input);
    } catch {
      // An input that cannot be sent, such as a function.
      return Promise.resolve(undefined);
    }
    // One after the other: an evaluation that is stopped takes its worker along, and no other's answer.
    const result = this.#turn.then(() => this.#ask(asked)).catch(() => undefined);
    this.#turn = result;
    return result;
  }

  /** Ends the worker. */
  async close() {
    await this.#turn;
    await this.#end();
  }

  async #ask(input) {
    this.#worker ??= started(this.#options);
    const worker = await this.#worker;
    const answer = await worker?.ask(input, this.#deadline);
    if (answer === undefined) {
      // Too late, failed or ended: whatever state it is in, it is not asked again.
      await this.#end();
      return undefined;
    }
    return withoutPrototypes(given(answer, 'result'));
  }

  async #end() {
    const worker = this.#worker;
    this.#worker = undefined;
    await (await worker)?.end();
  }
}

/** A worker that is ready, or undefined if it cannot be. */
function started(options) {
  return new Promise((resolve) => {
    const worker = new Worker(new URL(import.meta.url), { __proto__: null, workerData: { policyOfLinkgate: options } });
    const own = new Asked(worker);
    // It is not ended while it loads its modules, which not every release of Node survives: it ends itself if it cannot.
    const late = setTimeout(() => {
      worker.unref();
      own.heard = () => worker.terminate();
      resolve(undefined);
    }, START);
    own.heard = (said) => {
      clearTimeout(late);
      resolve(said === undefined ? undefined : own);
    };
  });
}

/** A worker, and who is to hear what it says next. */
class Asked {
  heard = () => {};
  #worker;
  #isGone = false;

  constructor(worker) {
    this.#worker = worker;
    const gone = () => {
      this.#isGone = true;
      this.heard(undefined);
    };
    worker.on('message', (said) => this.heard(said));
    worker.on('error', gone);
    worker.on('exit', gone);
  }

  /** What it answers within so many milliseconds, which begin now. */
  async ask(input, milliseconds) {
    if (this.#isGone) {
      return undefined;
    }
    let timer;
    const answer = await new Promise((resolve) => {
      this.heard = resolve;
      timer = setTimeout(() => resolve(undefined), milliseconds);
      this.#worker.postMessage(input);
    });
    clearTimeout(timer);
    return answer;
  }

  end() {
    return this.#worker.terminate();
  }
}

function withoutPrototypes(value) {
  if (Array.isArray(value)) {
    return value.map(withoutPrototypes);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  const bare = Object.create(null);
  for (const [name, member] of Object.entries(value)) {
    bare[name] = withoutPrototypes(member);
  }
  return bare;
}

/** What the policy may call that is not in its own WebAssembly. */
function builtins(verifier) {
  return {
    __proto__: null,
    'intoto.verify': (request) => JSON.parse(verifier.verify(JSON.stringify(request))),
    // Opa-wasm has no clock. Milliseconds are what JavaScript knows; the digits after them are not.
    'time.now_ns': () => Date.now() * 1e6,
  };
}

async function serve({ rego, module, data, signatures, memory }) {
  let policy;
  parentPort.on('message', (input) => {
    // What is thrown here ends the worker, which is what its owner then sees.
    const results = policy.evaluate(input);
    parentPort.postMessage({ result: results.length === 1 ? results[0].result : undefined });
  });
  const verifier = new Verifier(module, { memory, check: signatures === 'pure' ? pure : native });
  policy = await opa.loadPolicy(rego, undefined, builtins(verifier));
  policy.setData(data);
  parentPort.postMessage('ready');
}

const options = isMainThread ? undefined : given(workerData, 'policyOfLinkgate');
if (options !== undefined) {
  // Not awaited: what fails is an error of the worker all the same, and its modules are loaded.
  void serve(options);
}
