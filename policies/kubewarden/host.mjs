// Tries the policy without a cluster: a host of waPC as Kubewarden's policy server is one, in Node.
//
//   node host.mjs verifier.kubewarden.wasm review.json settings.json
//
// `review.json` is an AdmissionReview, or the request in it. It prints what the settings are found to be, and the answer; the
// exit code is 0 if the object is let in. Each call has an instance and a thread of its own; one that takes too long or
// too much is refused, as the policy server refuses it.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

import { bounded, given } from '../opa/wasm/verifier.mjs';

const PAGE = 65536;
/** WASI preview 1: the clock's number, and what is said where there is no such clock. */
const [REALTIME, EINVAL] = [0, 28];

/** Calls a function of a policy in this thread, and returns what it answers. Throws its error, or what stopped it. */
export function call(module, operation, message, now = () => Date.now()) {
  const [name, bytes] = [operation, message].map((text) => new TextEncoder().encode(text));
  let memory;
  let answer;
  let error;
  const view = (place, length) => new Uint8Array(memory.buffer, place >>> 0, length >>> 0);
  const text = (place, length) => new TextDecoder('utf-8', { fatal: true }).decode(view(place, length));
  const imports = {
    wapc: {
      __guest_request(namePlace, bytesPlace) {
        view(bytesPlace, bytes.length).set(bytes);
        view(namePlace, name.length).set(name);
      },
      __guest_response(place, length) {
        answer = text(place, length);
      },
      __guest_error(place, length) {
        error = text(place, length);
      },
      // Of these the policy takes none: it asks nothing of its host.
      __host_call: () => 0,
      __host_response_len: () => 0,
      __host_response() {},
      __host_error_len: () => 0,
      __host_error() {},
      __console_log(place, length) {
        console.error(text(place, length));
      },
    },
    wasi_snapshot_preview1: {
      clock_time_get(clock, _precision, place) {
        if (clock !== REALTIME) {
          return EINVAL;
        }
        new DataView(memory.buffer).setBigUint64(place >>> 0, BigInt(now()) * 1_000_000n, true);
        return 0;
      },
    },
  };
  const { exports } = new WebAssembly.Instance(module, imports);
  memory = exports.memory;
  exports._start?.();
  exports.wapc_init?.();
  const succeeded = exports.__guest_call(name.length, bytes.length);
  if (succeeded !== 1 || answer === undefined) {
    throw new Error(error ?? 'the policy gave no answer');
  }
  return answer;
}

/** A policy, its calls bounded in bytes of memory and in milliseconds. */
export class Policy {
  #module;
  #deadline;
  #clock;

  /**
   * `memory` is the most bytes of a call, `deadline` the milliseconds that it may compute, and `clock` the number of milliseconds
   * since 1970 to judge at, if that is not now.
   */
  constructor(bytes, settings) {
    const memory = given(settings, 'memory', 256 * 1024 * 1024);
    this.#module = new WebAssembly.Module(bounded(new Uint8Array(bytes), Math.floor(memory / PAGE)));
    this.#deadline = given(settings, 'deadline', 2000);
    this.#clock = given(settings, 'clock');
  }

  /** What the policy says about its settings: `{valid, message}`. */
  async validateSettings(settings) {
    try {
      return JSON.parse(await this.#call('validate_settings', JSON.stringify(settings)));
    } catch (error) {
      return { valid: false, message: String(error.message) };
    }
  }

  /** What the policy says about an AdmissionRequest: `{accepted, message, code}`. Whatever goes wrong refuses. */
  async validate(request, settings) {
    try {
      const answer = JSON.parse(await this.#call('validate', JSON.stringify({ request, settings })));
      // Its own: what stands on a prototype is no answer.
      if (typeof given(answer, 'accepted') !== 'boolean') {
        throw new Error('the policy gave no answer');
      }
      return answer;
    } catch (error) {
      return { accepted: false, message: `internal server error: ${error.message}`, code: 500 };
    }
  }

  async protocolVersion() {
    return JSON.parse(await this.#call('protocol_version', ''));
  }

  #call(operation, message) {
    const workerData = { call: { module: this.#module, operation, message, clock: this.#clock } };
    const worker = new Worker(new URL(import.meta.url), { __proto__: null, workerData });
    return new Promise((resolve, reject) => {
      let late;
      worker.on('message', (said) => {
        if (said === 'ready') {
          // Its modules are loaded: before that it is not to be ended, and spends nobody's time.
          late = setTimeout(() => {
            reject(new Error(`the policy did not end within ${this.#deadline} ms`));
            worker.terminate();
          }, this.#deadline);
        } else if (Object.hasOwn(said, 'answer')) {
          resolve(said.answer);
        } else {
          reject(new Error(said.error));
        }
      });
      worker.once('error', reject);
      worker.once('exit', () => {
        clearTimeout(late);
        reject(new Error('the policy ended without an answer'));
      });
    });
  }
}

async function main([file, review, settings]) {
  if (settings === undefined) {
    console.error('usage: node host.mjs verifier.kubewarden.wasm review.json settings.json');
    return 2;
  }
  const read = (name) => JSON.parse(readFileSync(name, 'utf8'));
  const policy = new Policy(readFileSync(file));
  const [asked, set] = [read(review), read(settings)];
  const found = await policy.validateSettings(set);
  console.log('settings:', JSON.stringify(found));
  const answer = await policy.validate(given(asked, 'request') ?? asked, set);
  console.log('answer:', JSON.stringify(answer));
  return given(found, 'valid') === true && given(answer, 'accepted') === true ? 0 : 1;
}

const asked = isMainThread ? undefined : given(workerData, 'call');
if (asked !== undefined) {
  const { module, operation, message, clock } = asked;
  parentPort.postMessage('ready');
  try {
    parentPort.postMessage({ answer: call(module, operation, message, clock === undefined ? undefined : () => clock) });
  } catch (error) {
    parentPort.postMessage({ error: String(error?.message ?? error) });
  }
} else if (isMainThread && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2)).catch((error) => {
    console.error(`host.mjs: ${error.message}`);
    return 2;
  });
}
