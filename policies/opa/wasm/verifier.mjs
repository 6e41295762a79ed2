// linkgate's in-toto verifier in JavaScript: the core module that `linkgate component --format core` writes, for Node.
//
//   const verifier = await Verifier.load(await readFile('verifier.core.wasm'));
//   const answer = JSON.parse(verifier.verify(JSON.stringify(request)));
//   if (answer.decision !== 'accept') refuse();
//
// A call computes until it is done: who needs a deadline asks in a worker that can be ended, as policy.mjs does.
import { constants, createPublicKey, verify } from 'node:crypto';

/** The version of the module's interface that this file speaks. */
const INTERFACE = 1;

const PAGE = 64 * 1024;

const MEMORY = 256 * 1024 * 1024;

/**
 * A setting that somebody gave, else another. Only what the object has itself was given: what stands on a prototype, which one
 * careless merge of objects elsewhere in the program writes to, is nobody's word.
 */
export function given(settings, name, otherwise) {
  const value = settings != null && Object.hasOwn(settings, name) ? settings[name] : undefined;
  return value === undefined ? otherwise : value;
}

export class Verifier {
  #module;
  #check;
  #memory;

  /**
   * Compiles the module, once for all questions. `memory` is how many bytes it may have for one question, `check` who
   * checks signatures: `native`, which is Node's own cryptography; `pure`, which leaves all of it to the module; or one's
   * own, which is trusted with the verdict.
   */
  static async load(bytes, options) {
    const { memory, check } = settings(options);
    let module;
    try {
      module = await WebAssembly.compile(bounded(new Uint8Array(bytes), Math.floor(memory / PAGE)));
    } catch (cause) {
      throw new Error(
        `the verifier cannot be loaded: ${cause.message} (\`linkgate component --format core\` writes the module)`,
        { cause },
      );
    }
    return new Verifier(module, { __proto__: null, memory, check });
  }

  /** A verifier of a module that `load` compiled: `module` can be sent to a worker. */
  constructor(module, options) {
    const { memory, check } = settings(options);
    this.#module = module;
    this.#check = check;
    this.#memory = memory;
    const { abi_version } = this.#instance();
    if (abi_version() !== INTERFACE) {
      throw new Error(`the verifier cannot be loaded: its interface has version ${abi_version()}, not ${INTERFACE}`);
    }
  }

  get module() {
    return this.#module;
  }

  /** Answers a request, JSON to JSON. It does not throw: what goes wrong is undecided, which refuses as well. */
  verify(request) {
    // The encoder would write another character for half of one, and ask about what nobody said.
    if (typeof request !== 'string' || !request.isWellFormed()) {
      const what = typeof request === 'string' ? 'half a surrogate pair in a string' : 'expected its JSON text';
      return refused('request-malformed', `the request is not of the documented form: ${what}`);
    }
    try {
      // A fresh instance: nothing of one question is there for the next, and one that trapped is never asked again.
      const { memory, alloc, verify } = this.#instance();
      const [place, length] = put(memory, alloc, new TextEncoder().encode(request));
      const returned = BigInt.asUintN(64, verify(place, length));
      const answer = new Uint8Array(memory.buffer, Number(returned >> 32n), Number(returned & 0xffffffffn));
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(answer);
      if (!['accept', 'reject', 'undecided'].includes(given(JSON.parse(text), 'decision'))) {
        return stopped('it gave no answer');
      }
      return text;
    } catch (cause) {
      return stopped(`${told(cause)}, with at most ${Math.floor(this.#memory / 1024 / 1024)} MiB of memory`);
    }
  }

  #instance() {
    const check = this.#check;
    let own;
    const signatures = (...places) => {
      const { memory, alloc } = own.exports;
      const bytes = (at) => new Uint8Array(memory.buffer, places[at] >>> 0, places[at + 1] >>> 0).slice();
      let why;
      try {
        const outcome = check(new TextDecoder().decode(bytes(0)), bytes(2), bytes(4), bytes(6));
        switch (outcome) {
          case 'not-handled':
            return 0n;
          case 'valid':
            return 1n;
          case 'invalid':
            return 2n;
        }
        if (outcome instanceof Promise) {
          // Nobody will look at it: a process must not end because it is rejected.
          outcome.catch(() => {});
        }
        why = `the host's check said ${told(outcome)}, which means nothing`;
      } catch (cause) {
        why = `the host's check failed: ${told(cause)}`;
      }
      const [place, length] = put(memory, alloc, new TextEncoder().encode(why));
      return (BigInt(place) << 32n) | BigInt(length);
    };
    own = new WebAssembly.Instance(this.#module, { linkgate: { signatures } });
    return own.exports;
  }
}

function settings(options) {
  const [memory, check] = [given(options, 'memory', MEMORY), given(options, 'check', native)];
  if (typeof memory !== 'number' || !(memory >= PAGE && memory <= 2 ** 32)) {
    throw new Error(`memory is ${told(memory)}: it takes a number of bytes, from ${PAGE} to ${2 ** 32}`);
  }
  if (typeof check !== 'function') {
    throw new Error(`check is ${told(check)}: it takes a function`);
  }
  return { memory, check };
}

/** The answer where the verifier gave none. Hosts of every language answer in this form. */
export function stopped(why) {
  return refused('verifier-stopped', `the verifier was stopped: ${why}`);
}

function refused(code, message) {
  const reasons = [{ code, at: [], message }];
  return JSON.stringify({ decision: 'undecided', code, at: [], limit: null, message, reasons, warnings: [], steps: [] });
}

/** Leaves all signatures to the verifier. */
export function pure() {
  return 'not-handled';
}

/**
 * Checks with Node's cryptography. It never says `invalid`: what that turns down is judged again by the verifier, so that a
 * signature which only one of the two accepts is still judged as everywhere else.
 */
export function native(scheme, spki, message, signature) {
  try {
    return holds(scheme, createPublicKey(bare({ key: Buffer.from(spki), format: 'der', type: 'spki' })), message, signature)
      ? 'valid'
      : 'not-handled';
  } catch {
    return 'not-handled';
  }
}

const CURVES = {
  'ecdsa-sha2-nistp256': ['prime256v1', 'sha256'],
  'ecdsa-sha2-nistp384': ['secp384r1', 'sha384'],
  'ecdsa-sha2-nistp521': ['secp521r1', 'sha512'],
};

function holds(scheme, key, message, signature) {
  const type = key.asymmetricKeyType;
  if (scheme === 'ed25519') {
    return type === 'ed25519' && verify(null, message, bare({ key }), signature);
  }
  if (Object.hasOwn(CURVES, scheme)) {
    const [curve, hash] = CURVES[scheme];
    // The scheme names the curve: a key on another one is not this scheme's.
    return (
      type === 'ec' &&
      key.asymmetricKeyDetails.namedCurve === curve &&
      verify(hash, message, bare({ key, dsaEncoding: 'der' }), signature)
    );
  }
  const rsa = /^(rsassa-pss|rsa-pkcs1v15)-(sha256|sha384|sha512)$/.exec(scheme);
  if (!rsa || type !== 'rsa') {
    return false;
  }
  const padding =
    rsa[1] === 'rsassa-pss'
      ? // The schemes do not say how long the salt is.
        { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
      : { padding: constants.RSA_PKCS1_PADDING };
  return verify(rsa[2], message, bare({ key, ...padding }), signature);
}

/** Without a prototype, on which Node would look for the settings that are not given. */
function bare(settings) {
  return { __proto__: null, ...settings };
}

/** Writes bytes where the module made room for them. */
function put(memory, alloc, bytes) {
  const place = alloc(bytes.length) >>> 0;
  if (place === 0) {
    throw new Error(`it has no room for ${bytes.length} bytes`);
  }
  // A view of this moment: the memory may have grown, and old views are then empty.
  new Uint8Array(memory.buffer, place, bytes.length).set(bytes);
  return [place, bytes.length];
}

function told(thing) {
  try {
    return String(thing instanceof Error ? thing.message : thing) || 'it does not say why';
  } catch {
    return 'it does not say why';
  }
}

/**
 * The module with another maximum of its memory. JavaScript cannot bound the memory that a module makes for itself, but the
 * module can: its memory section says `01 minimum maximum` (WebAssembly 2.0, section 5.5.8), and that is what is rewritten.
 */
export function bounded(bytes, pages) {
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) {
        break;
      }
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        return value;
      }
    }
    throw new Error('the module is cut short');
  };
  while (at < bytes.length) {
    const begin = at;
    const section = bytes[at++];
    const end = number() + at;
    if (section === 5) {
      const [count, flags, least] = [number(), number(), number()];
      const most = flags === 1 ? number() : pages;
      if (count !== 1 || flags > 1 || at !== end) {
        break;
      }
      if (pages < least) {
        throw new Error(`it needs ${least * PAGE} bytes of memory at least`);
      }
      const content = [1, 1, ...leb128(least), ...leb128(Math.min(most, pages))];
      const rewritten = [5, ...leb128(content.length), ...content];
      return Buffer.concat([bytes.subarray(0, begin), Uint8Array.from(rewritten), bytes.subarray(end)]);
    }
    at = end;
  }
  throw new Error('the module has no memory of its own, or is cut short');
}

function leb128(value) {
  const bytes = [];
  for (; value > 0x7f; value >>>= 7) {
    bytes.push((value & 0x7f) | 0x80);
  }
  return [...bytes, value];
}
