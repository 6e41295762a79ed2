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
      assert.deepEqual(await policy.evaluate(input(good)), { allowed: true, reasons: [] });
      const said = await policy.evaluate(input(bad));
      assert.equal(said.allowed, false);
      assert.match(said.reasons[0], /sha256:/);
      assert.equal((await policy.evaluate({ ...input(good), links: [] })).allowed, false);
    }));
}

test('what is no question is denied', () =>
  using({}, async (policy) => {
    for (const question of [undefined, null, {}, [], 'x', { sha256: 1, links: 2 }, { links: input(good).links }, () => 1]) {
      assert.notEqual((await policy.evaluate(question))?.allowed, true);
    }
    assert.equal((await policy.evaluate(input(good))).allowed, true);
  }));

test('the whole answer arrives', () =>
  using({ policy: path('own.wasm') }, async (policy) => {
    const verifier = await Verifier.load(readFileSync(files.verifier));
    for (const one of [good, bad]) {
      assert.deepEqual(await policy.evaluate(one), JSON.parse(verifier.verify(JSON.stringify(one))));
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
