// A Rego policy compiled to WebAssembly, with the verifier as its builtin, in Node: policies/opa/wasm.
//
//   tests/engines/install opa
//   cp policies/opa/wasm/* target/opa-wasm && npm ci --prefix target/opa-wasm
//   ENGINES=target/engines/bin LINKGATE=.. CORE=verifier.core.wasm node --test tests/engines/opa_wasm.test.mjs
//
// CORE is the core module; without it, the one that `linkgate component --format core` writes is taken.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const top = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
// Where its dependency is installed: nothing is installed into the source tree.
const installed = resolve(process.env.OPA_WASM ?? join(top, 'target/opa-wasm'));
const { Policy } = await import(pathToFileURL(join(installed, 'policy.mjs')));
const { Verifier, native, pure, stopped } = await import(pathToFileURL(join(installed, 'verifier.mjs')));

const folder = mkdtempSync(join(tmpdir(), 'opa-wasm-'));
const path = (name) => join(folder, name);
const opa = (...args) => execFileSync(resolve(process.env.ENGINES ?? '', 'opa'), args, { cwd: folder, encoding: 'utf8' });

function request(name) {
  const whole = JSON.parse(readFileSync(join(top, 'tests/cases/subject', `${name}.json`), 'utf8'));
  return whole.request;
}

const good = request('product-of-the-last-step');
const bad = request('product-of-no-step');
const data = { supplychain: { layout: good.layout, owners: good.trust.signed_by } };
const input = ({ subjects, documents }) => ({ sha256: subjects[0].digests.sha256, links: documents });
const files = { policy: path('policy.wasm'), verifier: path('verifier.core.wasm') };

/** Thousands of signatures and many megabytes. */
function costly(from) {
  const text = from.documents[0].text + ' '.repeat(4000);
  const copies = Array.from({ length: 5000 }, (_, number) => ({ name: `copy.${number}`, text }));
  return { ...from, documents: [...from.documents, ...copies] };
}

/** Builds a policy as the README says. */
function build(rego, entrypoint, to) {
  const capabilities = JSON.parse(opa('capabilities', '--current'));
  capabilities.builtins.push(JSON.parse(readFileSync(join(installed, 'capability.json'), 'utf8')));
  writeFileSync(path('capabilities.json'), JSON.stringify(capabilities));
  const bundle = path('bundle.tar.gz');
  opa('build', '--target', 'wasm', '--capabilities', path('capabilities.json'), '--entrypoint', entrypoint, '--output', bundle, rego);
  execFileSync('tar', ['-xzf', bundle, '-C', folder, '/policy.wasm'], { stdio: 'ignore' });
  if (to !== 'policy.wasm') {
    execFileSync('mv', [path('policy.wasm'), path(to)]);
  }
}

/** What a policy says, asked again where its deadline passed: on a busy machine that may be too short for a good answer. */
async function inTime(policy, question) {
  for (const ends = performance.now() + 60_000; ; ) {
    const said = await policy.evaluate(question);
    if (said !== undefined || performance.now() > ends) {
      return said;
    }
  }
}

/** Its members, whose objects have no prototype, as others have them. */
const plain = (value) => JSON.parse(JSON.stringify(value));

async function using(options, use) {
  const policy = await Policy.load({ ...files, data, ...options });
  try {
    return await use(policy);
  } finally {
    await policy.close();
  }
}

before(() => {
  const core = process.env.CORE
    ? readFileSync(process.env.CORE)
    : execFileSync(process.env.LINKGATE, ['component', '--format', 'core'], { maxBuffer: 1 << 24 });
  writeFileSync(files.verifier, core);
  writeFileSync(path('own.rego'), 'package own\n\nanswer := intoto.verify(input)\n');
  build(path('own.rego'), 'own/answer', 'own.wasm');
  build(join(top, 'policies/opa/builtin/policy.rego'), 'release/decision', 'policy.wasm');
});
after(() => rmSync(folder, { recursive: true }));

for (const signatures of ['native', 'pure']) {
  test(`a good chain is allowed, others are not: ${signatures}`, () =>
    using({ signatures }, async (policy) => {
      assert.deepEqual(plain(await policy.evaluate(input(good))), { allowed: true, reasons: [] });
      const said = await policy.evaluate(input(bad));
      assert.equal(said.allowed, false);
      assert.match(said.reasons[0], /sha256:/);
      assert.equal((await policy.evaluate({ ...input(good), links: [] })).allowed, false);
    }));
}

test('what is no question is denied', () =>
  using({}, async (policy) => {
    const cyclic = input(good);
    cyclic.links = [cyclic];
    const thrower = {
      get links() {
        throw new Error('no');
      },
    };
    const odd = [new Proxy(input(good), {}), thrower, cyclic, { ...input(good), sha256: 1n }, { ...input(good), sha256: NaN }, Symbol('x')];
    for (const question of [undefined, null, {}, [], 'x', { sha256: 1, links: 2 }, { links: input(good).links }, () => 1, ...odd]) {
      assert.notEqual((await policy.evaluate(question))?.allowed, true);
    }
    assert.equal((await policy.evaluate(input(good))).allowed, true);
  }));

test('the whole answer arrives', () =>
  using({ policy: path('own.wasm') }, async (policy) => {
    const verifier = await Verifier.load(readFileSync(files.verifier));
    for (const one of [good, bad]) {
      assert.deepEqual(plain(await policy.evaluate(one)), JSON.parse(verifier.verify(JSON.stringify(one))));
    }
    const many = { ...good, documents: Array.from({ length: 10001 }, (_, i) => ({ name: `${i}`, text: '' })) };
    assert.equal((await policy.evaluate(many)).code, 'limit-exceeded');
  }));

test('an undefined result is nothing that allows', () =>
  using({ data: {} }, async (policy) => assert.equal((await policy.evaluate({})).allowed, false)));

test('a deadline ends the evaluation, and the next one is answered', () =>
  using({ deadline: 1000, signatures: 'pure' }, async (policy) => {
    assert.equal((await inTime(policy, input(good))).allowed, true);
    const long = input(costly(good));
    const begin = performance.now();
    const [late, next] = [policy.evaluate(long), policy.evaluate(input(good))];
    assert.equal(await late, undefined);
    assert.ok(performance.now() - begin < 5000);
    assert.equal(((await next) ?? (await inTime(policy, input(good)))).allowed, true);
  }));

test('the deadline begins when the worker is ready', async () => {
  // Far shorter than it takes to start one. Whoever had it begin earlier would answer nothing, ever.
  await using({ deadline: 60 }, async (policy) => assert.equal((await inTime(policy, input(good))).allowed, true));
});

test('no worker is ended before it has loaded its modules', async () => {
  const { Worker } = await import('node:worker_threads');
  const { terminate, emit } = Worker.prototype;
  // What a worker says first, it says when its modules are loaded.
  const loaded = new WeakSet();
  const ended = [];
  Worker.prototype.terminate = function () {
    ended.push(loaded.has(this));
    return terminate.call(this);
  };
  Worker.prototype.emit = function (event, ...rest) {
    if (event === 'message') {
      loaded.add(this);
    }
    return emit.call(this, event, ...rest);
  };
  try {
    for (const deadline of [1, 5, 20]) {
      await using({ deadline }, (policy) => policy.evaluate(input(costly(good))));
    }
  } finally {
    Object.assign(Worker.prototype, { terminate, emit });
  }
  assert.deepEqual(ended, [true, true, true]);
});

test('an input is judged as it was when it was handed over', () =>
  using({}, async (policy) => {
    const [first, second] = [input(good), input(bad)];
    const said = [policy.evaluate(first), policy.evaluate(second)];
    // The first one's worker starts, and the second one waits for its turn.
    Object.assign(second, first);
    first.links = [];
    assert.deepEqual((await Promise.all(said)).map(({ allowed }) => allowed), [true, false]);
  }));

/** Runs something while every object seems to have such a member. */
async function polluted(members, use) {
  for (const [name, value] of Object.entries(members)) {
    Object.defineProperty(Object.prototype, name, { value, configurable: true, writable: true });
  }
  try {
    return await use();
  } finally {
    for (const name of Object.keys(members)) {
      delete Object.prototype[name];
    }
  }
}

test('nothing is taken from a prototype', async () => {
  const yes = { allowed: true, reasons: [] };
  const wrong = {
    // Answers and what they are made of.
    whole: true,
    result: yes,
    allowed: true,
    decision: 'accept',
    // Settings: of the policy, the verifier, the worker and of Node's cryptography.
    check: () => 'valid',
    memory: 1,
    signatures: 'pure',
    deadline: 1,
    policyOfLinkgate: { rego: 1 },
    eval: true,
    execArgv: ['--no-such-flag'],
    stdin: true,
    padding: 77,
    saltLength: 1,
    dsaEncoding: 'ieee-p1363',
    passphrase: 1,
  };
  const core = readFileSync(files.verifier);
  const unlimited = JSON.stringify(good);
  await polluted(wrong, async () => {
    await using({}, async (policy) => {
      assert.equal((await policy.evaluate(input(good))).allowed, true);
      assert.equal((await policy.evaluate(input(bad))).allowed, false);
      assert.equal(await policy.evaluate(() => 1), undefined);
    });
    // One that says nothing of what the caller asks for, and one that is late.
    await using({ policy: path('own.wasm') }, async (policy) => assert.equal((await policy.evaluate(good)).allowed, undefined));
    await using({ deadline: 30, signatures: 'pure' }, async (policy) => assert.equal(await policy.evaluate(input(costly(good))), undefined));
    for (const options of [undefined, {}, { memory: 64 << 20 }, { check: undefined }]) {
      const verifier = await Verifier.load(core, options);
      assert.equal(JSON.parse(verifier.verify(unlimited)).decision, 'accept');
      assert.equal(JSON.parse(verifier.verify(JSON.stringify(bad))).decision, 'reject');
      assert.equal(JSON.parse(new Verifier(verifier.module).verify(JSON.stringify(bad))).decision, 'reject');
    }
  });
  // Whose keys own the layout is not a prototype's to say.
  await polluted({ data }, () =>
    using({ data: undefined }, async (policy) => assert.equal((await policy.evaluate(input(good))).allowed, false)),
  );
  // A module that answers without a decision gave none.
  await polluted({ decision: 'accept' }, async () => {
    const verifier = await Verifier.load(answering('{}'));
    assert.equal(JSON.parse(verifier.verify('{}')).code, 'verifier-stopped');
  });
});

/** A module that answers every question with the same short text. */
function answering(text) {
  const bytes = [...new TextEncoder().encode(text)];
  const section = (id, ...content) => [id, content.length, ...content];
  const name = (word) => [word.length, ...new TextEncoder().encode(word)];
  const [i32, i64] = [0x7f, 0x7e];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, 4, ...[0x60, 8, ...Array(8).fill(i32), 1, i64], ...[0x60, 0, 1, i32], ...[0x60, 1, i32, 1, i32], ...[0x60, 2, i32, i32, 1, i64]),
    ...section(2, 1, ...name('linkgate'), ...name('signatures'), 0, 0),
    ...section(3, 3, 1, 2, 3),
    ...section(5, 1, 1, 1, 2),
    ...section(7, 4, ...name('memory'), 2, 0, ...name('abi_version'), 0, 1, ...name('alloc'), 0, 2, ...name('verify'), 0, 3),
    // 1; the place 16; the text's length with the place 0, which is where it lies.
    ...section(10, 3, ...[4, 0, 0x41, 1, 0x0b], ...[4, 0, 0x41, 16, 0x0b], ...[4, 0, 0x42, bytes.length, 0x0b]),
    ...section(11, 1, 0, 0x41, 0, 0x0b, bytes.length, ...bytes),
  ]);
}

test('half a character is not asked about as another one', async () => {
  const verifier = await Verifier.load(readFileSync(files.verifier));
  const text = JSON.stringify({ ...good, parameters: { a: 'x' } });
  for (const half of [text.replace('"x"', '"\ud800"'), text.replace('"x"', '"\udc00x"')]) {
    assert.notEqual(half, text);
    assert.equal(JSON.parse(verifier.verify(half)).code, 'request-malformed');
  }
  for (const none of [undefined, null, 1, {}, new TextEncoder().encode(text)]) {
    assert.equal(JSON.parse(verifier.verify(none)).code, 'request-malformed');
  }
});

test('settings that mean nothing are errors', async () => {
  const core = readFileSync(files.verifier);
  for (const options of [{ memory: '1' }, { memory: NaN }, { memory: 1n }, { memory: 2 ** 33 }, { check: 'native' }, { check: null }]) {
    await assert.rejects(Verifier.load(core, options), /it takes/);
  }
  for (const deadline of [0, -1, NaN, Infinity, 2 ** 31, '1']) {
    await assert.rejects(Policy.load({ ...files, data, deadline }), /deadline is `.*`: it takes/);
  }
});

test('the memory is bounded, and a trapped instance is not asked again', async () => {
  const verifier = await Verifier.load(readFileSync(files.verifier), { memory: 24 << 20, check: native });
  const large = JSON.stringify(costly(good));
  for (let round = 0; round < 3; round++) {
    const answer = JSON.parse(verifier.verify(large));
    assert.equal(answer.code, 'verifier-stopped');
    assert.match(answer.message, /with at most 24 MiB of memory$/);
    assert.equal(JSON.parse(verifier.verify(JSON.stringify(good))).decision, 'accept');
  }
  await using({ memory: 24 << 20, deadline: 20_000 }, async (policy) => {
    const said = await policy.evaluate(input(costly(good)));
    assert.equal(said.allowed, false);
    assert.match(said.reasons[0], /24 MiB/);
    assert.equal((await policy.evaluate(input(good))).allowed, true);
  });
  await assert.rejects(Verifier.load(readFileSync(files.verifier), { memory: 65536 }), /memory at least/);
});

test('what is no module is not loaded', async () => {
  const core = readFileSync(files.verifier);
  const another = Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, 5, 4, 1, 1, 1, 2]);
  for (const bytes of [new Uint8Array(), core.subarray(0, 100), core.subarray(0, core.length / 2), core.subarray(0, -1), another]) {
    await assert.rejects(Verifier.load(bytes));
  }
  writeFileSync(path('half.wasm'), core.subarray(0, core.length / 2));
  await assert.rejects(Policy.load({ ...files, verifier: path('half.wasm') }), /linkgate component --format core/);
  await assert.rejects(Policy.load({ ...files, policy: path('half.wasm') }));
  await assert.rejects(Policy.load({ ...files, verifier: path('missing.wasm') }), /missing.wasm/);
  await assert.rejects(Policy.load({ ...files, signatures: 'none' }), /native or pure/);
});

test('a check that goes wrong leaves the question undecided', async () => {
  const nothing = Object.create(null);
  const checks = {
    throws: () => {
      throw new Error('the token was unplugged');
    },
    'throws nothing': () => {
      throw undefined;
    },
    'says nonsense': () => 'VALID',
    'says yes': () => true,
    'says a number': () => 1,
    'says nothing': () => {},
    'says what has no words': () => nothing,
    promises: async () => 'valid',
    // A rejection that nobody handles would end the process.
    'promises in vain': async () => {
      throw new Error('too late');
    },
  };
  for (const [name, wrong] of Object.entries(checks)) {
    let check = wrong;
    const verifier = await Verifier.load(readFileSync(files.verifier), { check: (...all) => check(...all) });
    const answer = JSON.parse(verifier.verify(JSON.stringify(good)));
    assert.equal(answer.code, 'signature-unchecked', name);
    check = pure;
    assert.equal(JSON.parse(verifier.verify(JSON.stringify(good))).decision, 'accept', name);
  }
});

test('what the host says of signatures is believed', async () => {
  const verifier = await Verifier.load(readFileSync(files.verifier), { check: () => 'invalid' });
  assert.equal(JSON.parse(verifier.verify(JSON.stringify(good))).decision, 'reject');
});

test('a question at no place traps', async () => {
  const { instance } = await WebAssembly.instantiate(readFileSync(files.verifier), { linkgate: { signatures: () => 0n } });
  // What `alloc` answers where there is no memory, taken for a place.
  for (const length of [0, 2]) {
    assert.throws(() => instance.exports.verify(0, length), WebAssembly.RuntimeError);
  }
  assert.equal(instance.exports.alloc(-1), 0);
});

test('requests that are none are undecided', async () => {
  const verifier = await Verifier.load(readFileSync(files.verifier));
  for (const text of ['', '{', 'null', undefined, '\ud800']) {
    assert.equal(JSON.parse(verifier.verify(text)).decision, 'undecided');
  }
  assert.equal(
    stopped('<é>'),
    '{"decision":"undecided","code":"verifier-stopped","at":[],"limit":null,"message":"the verifier was stopped: <é>",' +
      '"reasons":[{"code":"verifier-stopped","at":[],"message":"the verifier was stopped: <é>"}],"warnings":[],"steps":[]}',
  );
});
