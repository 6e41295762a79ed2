// A Rego policy compiled to WebAssembly, with the verifier as its builtin intoto.verify: no OPA and no server runs.
//
//   const policy = await Policy.load({ policy: 'policy.wasm', verifier: 'verifier.core.wasm', data });
//   const decision = await policy.evaluate(input);
//   if (decision?.allowed !== true) refuse();
//   await policy.close();
import { readFile } from 'node:fs/promises';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

import opa from '@open-policy-agent/opa-wasm';

import { Verifier, native, pure } from './verifier.mjs';

export class Policy {
  #options;
  #deadline;
  #worker;
  #heard = () => {};
  #turn = Promise.resolve();

  /**
   * `policy` and `verifier` are files, `data` is what the policy calls `data`. `signatures` is `native` or `pure`, `memory`
   * bounds the verifier's in bytes, and `deadline` one evaluation in milliseconds.
   */
  static async load({ policy, verifier, data = {}, signatures = 'native', memory, deadline = 5000 }) {
    if (!['native', 'pure'].includes(signatures)) {
      throw new Error(`signatures is \`${signatures}\`: it takes native or pure`);
    }
    const compiled = await Verifier.load(await readFile(verifier), { memory });
    const rego = await WebAssembly.compile(await readFile(policy));
    // Rather now than at the first question: the policy has no builtin that this host lacks, and takes the data.
    const loaded = await opa.loadPolicy(rego, undefined, builtins(compiled));
    loaded.setData(data);
    return new Policy({ rego, module: compiled.module, data, signatures, memory }, deadline);
  }

  constructor(options, deadline) {
    this.#options = options;
    this.#deadline = deadline;
  }

  /**
   * What the policy's entry point says about an input; undefined if it says nothing, if it cannot be evaluated, and if that
   * does not end in time. So compare what you get with what allows; nothing else does.
   */
  evaluate(input) {
    // One after the other: an evaluation that is stopped takes its worker along, and no other's answer.
    const result = this.#turn.then(() => this.#ask(input)).catch(() => undefined);
    this.#turn = result;
    return result;
  }

  /** Ends the worker. */
  async close() {
    await this.#turn;
    await this.#end();
  }

  async #ask(input) {
    this.#worker ??= this.#start();
    let timer;
    const answer = await new Promise((resolve) => {
      this.#heard = resolve;
      timer = setTimeout(() => resolve({}), this.#deadline);
      try {
        this.#worker.postMessage(input);
      } catch {
        // An input that cannot be sent, such as a function.
        resolve({});
      }
    });
    clearTimeout(timer);
    if (!answer.whole) {
      // Too late, failed or ended: whatever state it is in, it is not asked again.
      await this.#end();
    }
    return answer.result;
  }

  #start() {
    const worker = new Worker(new URL(import.meta.url), { workerData: { policyOfLinkgate: this.#options } });
    const heard = (answer) => {
      // One that was ended may still have something to say.
      if (this.#worker === worker) {
        this.#heard(answer);
      }
    };
    worker.on('message', heard);
    worker.on('error', () => heard({}));
    worker.on('exit', () => heard({}));
    return worker;
  }

  async #end() {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}

/** What the policy may call that is not in its own WebAssembly. */
function builtins(verifier) {
  return {
    'intoto.verify': (request) => JSON.parse(verifier.verify(JSON.stringify(request))),
    // Opa-wasm has no clock. Milliseconds are what JavaScript knows; the digits after them are not.
    'time.now_ns': () => Date.now() * 1e6,
  };
}

async function serve({ rego, module, data, signatures, memory }) {
  const verifier = new Verifier(module, { memory, check: signatures === 'pure' ? pure : native });
  const policy = await opa.loadPolicy(rego, undefined, builtins(verifier));
  policy.setData(data);
  parentPort.on('message', (input) => {
    // What is thrown here ends the worker, which is what its owner then sees.
    const results = policy.evaluate(input);
    parentPort.postMessage({ whole: true, result: results.length === 1 ? results[0].result : undefined });
  });
}

if (!isMainThread && workerData?.policyOfLinkgate) {
  await serve(workerData.policyOfLinkgate);
}
