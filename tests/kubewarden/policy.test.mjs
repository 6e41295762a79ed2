// The Kubewarden policy in a small host of waPC (policies/kubewarden/host.mjs), with chains that LINKGATE records and signs.
//
//   LINKGATE=target/release/linkgate KUBEWARDEN=verifier.kubewarden.wasm node --test tests/kubewarden
//
// KUBEWARDEN is the policy; without it, the one that `linkgate component --format kubewarden` writes is taken.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Policy, call } from '../../policies/kubewarden/host.mjs';
import {
  YEAR,
  bob,
  built,
  chain,
  changed,
  digest,
  file,
  folder,
  good,
  layout,
  links,
  module,
  other,
  owner,
  pod,
  review,
  settings,
  stranger,
  top,
} from './chain.mjs';

const policy = new Policy(module, { deadline: 20_000 });

async function refused(request, set, said, code = 403, by = policy) {
  const answer = await by.validate(request, set);
  assert.equal(answer.accepted, false, JSON.stringify(answer));
  assert.match(answer.message, said);
  assert.equal(answer.code, code, answer.message);
  return answer;
}

const accepted = async (request, set = settings, by = policy) => assert.deepEqual(await by.validate(request, set), { accepted: true });

test('it takes from its host what Kubewarden hosts have, and no more', async () => {
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(module)).map(({ module: from, name }) => `${from} ${name}`);
  assert.deepEqual(imports.sort(), [
    'wapc __guest_error',
    'wapc __guest_request',
    'wapc __guest_response',
    'wasi_snapshot_preview1 clock_time_get',
  ]);
  assert.equal(await policy.protocolVersion(), 'v1');
  assert.throws(() => call(new WebAssembly.Module(module), 'mutate', ''), /there is no function `mutate`/);
});

test('an image that the chain made is let in', async () => {
  assert.deepEqual(await policy.validateSettings(settings), { valid: true });
  await accepted(review(pod(good)));
  await accepted(review(pod(good, `registry.example/web/other:tag@${digest}`)));
  const template = { spec: { template: pod(good) } };
  for (const [group, kind, object] of [['apps', 'Deployment', template], ['batch', 'CronJob', { spec: { jobTemplate: template } }]]) {
    await accepted(review(object, { kind: { group, version: 'v1', kind } }));
  }
  await accepted(review(pod()));
});

test('nothing is taken from a prototype, and the deadline begins when the policy is loaded', async () => {
  const members = { accepted: true, answer: '{"accepted":true}', error: 'x', memory: 1, deadline: 1, clock: 0, call: {}, eval: true, execArgv: ['--no'] };
  for (const [name, value] of Object.entries(members)) {
    Object.defineProperty(Object.prototype, name, { value, configurable: true, writable: true });
  }
  try {
    const own = new Policy(module);
    assert.equal((await own.validate(review(pod(good)), settings)).accepted, true);
    assert.equal((await own.validate(review(pod(`registry.example/web/app@${other}`)), settings)).accepted, false);
    assert.equal((await new Policy(module, { deadline: 40 }).validate(null, settings)).accepted, false);
  } finally {
    for (const name of Object.keys(members)) {
      delete Object.prototype[name];
    }
  }
});

test('anything else is refused, and why', async () => {
  await refused(review(pod(`registry.example/web/app@${other}`)), settings, /^linkgate: registry\.example\/web\/app@sha256:.*: policy `web`: reject: /);
  await refused(review(pod('registry.example/web/app:1.0')), settings, /is named by a tag, .*: name it by digest/);
  await refused(review(pod('registry.example/web/app')), settings, /is named by a tag/);
  await refused(review(pod(`registry.example/db/app@${digest}`)), settings, /no policy governs it/);
  await refused(review(pod(`nginx@${digest}`)), settings, /docker\.io\/library\/nginx@sha256:.*no policy governs it/);
  await refused(review(pod('registry.example/web/app@sha256:abc')), settings, /is no digest/);
  await refused(review(pod('')), settings, /container `c0` names no image/);
  const both = await refused(review(pod('registry.example/web/a:1', good, 'registry.example/web/b:1')), settings, /web\/a:1` is named by a tag/);
  assert.match(both.message, /also refused: registry\.example\/web\/b:1$/);
  for (const member of ['initContainers', 'ephemeralContainers']) {
    const object = pod(good);
    object.spec[member] = [{ name: 'x', image: 'evil.example/x:1' }];
    await refused(review(object), settings, /no policy governs it/);
  }
  const volume = { ...pod(good).spec, volumes: [{ name: 'v', image: { reference: 'evil.example/x:1' } }] };
  await refused(review({ spec: volume }), settings, /no policy governs it/);
  await refused(review(pod(good), { kind: { group: '', version: 'v1', kind: 'Node' } }), settings, /kind Node \(core\)/);
  await refused(review(pod(good), { operation: 'OTHER' }), settings, /operation OTHER/);
  const many = Array.from({ length: 501 }, (_, at) => `registry.example/web/a${at}:1`);
  await refused(review(pod(...many)), settings, /more than 500 images/);
});

test('an update is asked about what it brings', async () => {
  const [old, evil] = [pod('old.example/x:1'), pod('old.example/x:1', 'evil.example/x:1')];
  await accepted(review(old, { operation: 'UPDATE', oldObject: old }));
  await refused(review(evil, { operation: 'UPDATE', oldObject: old }), settings, /evil\.example/);
  await refused(review(old, { operation: 'UPDATE', oldObject: null }), settings, /old\.example/);
  await accepted(review(null, { operation: 'DELETE', oldObject: old }));
});

test('an image that no policy governs passes only if the settings say so', async () => {
  await accepted(review(pod('nginx:1.27', good)), { ...settings, ungoverned: 'allow' });
  await refused(review(pod('registry.example/web/app:1')), { ...settings, ungoverned: 'allow' }, /named by a tag/);
});

test('every policy that governs an image must accept it', async () => {
  const strict = { ...chain, name: 'all', images: ['**'], keys: owner, links: {} };
  await refused(review(pod(good)), { policies: [chain, strict] }, /policy `all`: reject/);
  await accepted(review(pod(good)), { policies: [chain, { ...chain, name: 'all', images: ['**'] }] });
});

test('the chain is judged: owners, signatures, links, time', async () => {
  const object = review(pod(good));
  await refused(object, changed({ keys: stranger }), /policy `web`: reject: /);
  await refused(object, changed({ links: {} }), /policy `web`: reject: /);
  const [name, text] = Object.entries(built)[0];
  await refused(object, changed({ links: { [name]: text.replace(digest.slice(7), other.slice(7)) } }), /policy `web`: reject: /);
  await refused(object, changed({ layout: chain.layout.replace(/"readme": ?""/, '"readme": "x"') }), /policy `web`: reject: .*signature/);
  await refused(object, changed({ subject: 'another' }), /policy `web`: reject: /);
  await accepted(object, changed({ subject: ['another', 'image'] }));
  await accepted(object, changed({ subject: undefined }));
  await accepted(object, settings, new Policy(module, { deadline: 20_000, clock: Date.now() + YEAR / 2 }));
  await refused(object, settings, /policy `web`: reject: .*expired/, 403, new Policy(module, { deadline: 20_000, clock: Date.now() + 2 * YEAR }));
});

test('a file that the last step only passed on is not the image', async () => {
  const steps = ['build', 'ship'].map((name) => ({
    _type: 'step',
    name,
    pubkeys: Object.keys(bob),
    threshold: 1,
    expected_command: [],
    expected_materials: [['ALLOW', '*']],
    expected_products: [['ALLOW', '*']],
  }));
  writeFileSync(join(folder, 'note'), 'x');
  const passed = changed({
    layout: layout({ steps }),
    links: links(['build', '-p', 'image', '-x'], ['ship', '-m', 'image', '-p', 'note', '-x']),
  });
  await refused(review(pod(good)), passed, /policy `web`: reject: /);
  await accepted(review(pod(good)), { policies: [{ ...passed.policies[0], subjectSteps: ['build'] }] });
});

test('settings that cannot be meant are refused, and why', async () => {
  const inspection = { _type: 'inspection', name: 'look', run: ['true'], expected_materials: [], expected_products: [] };
  for (const [set, said] of [
    [{}, /missing field `policies`/],
    [null, /invalid type/],
    [{ policies: [] }, /name at least one policy/],
    [{ ...settings, other: 1 }, /unknown field `other`/],
    [{ ...settings, ungoverned: 'perhaps' }, /unknown variant `perhaps`/],
    [changed({ imagess: [] }), /unknown field `imagess`/],
    [changed({ name: '' }), /has no name/],
    [{ policies: [chain, chain] }, /two policies are called so/],
    [changed({ images: [] }), /it governs nothing/],
    [changed({ images: ['nginx'] }), /write `docker\.io\/library\/nginx`/],
    [changed({ images: ['r.example/[a]'] }), /no other wildcards/],
    [changed({ keys: {} }), /name the owners' `keys`/],
    [changed({ keys: { a: Object.values(owner)[0] } }), /under another name than its keyid/],
    [changed({ keys: { a: { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: '00' } } } }), /policy `web`: the layout cannot be used: the key/],
    [changed({ keys: stranger }), /policy `web`: the layout cannot be used/],
    [changed({ layout: '{}' }), /policy `web`: the layout cannot be used/],
    [changed({ layout: chain.layout.slice(0, -20) }), /policy `web`: the layout cannot be used/],
    [changed({ layout: layout({ inspect: [inspection] }) }), /has the inspection `look`, and Kubewarden runs no commands/],
    [changed({ subjectSteps: ['ship'] }), /`ship` is no step/],
    [changed({ subject: [] }), /`subject` names nothing/],
    [changed({ links: [] }), /invalid type/],
  ]) {
    const found = await policy.validateSettings(set);
    assert.equal(found.valid, false, JSON.stringify(set));
    assert.match(found.message, said);
  }
  const advice = await policy.validateSettings(changed({ layout: layout({}, Date.now() - YEAR), subject: undefined }));
  assert.equal(advice.valid, true, advice.message);
  assert.match(advice.message, /policy `web` refuses everything: .*expired/);
  assert.match(advice.message, /does not say by `subject`/);
  // In 1970 nothing else had: that is no other kind of mistake.
  const ancient = await policy.validateSettings(changed({ layout: layout({}, 0) }));
  assert.equal(ancient.valid, true, ancient.message);
  assert.match(ancient.message, /policy `web` refuses everything: .*expired at 1970-01-01T00:00:00Z/);
  const mallory = Object.keys(stranger)[0];
  const [step] = JSON.parse(layout()).signed.steps;
  const { threshold, ...forgotten } = { ...step, pubkeys: [...step.pubkeys, mallory] };
  assert.equal(threshold, 1);
  for (const strict of [false, true]) {
    const told = await policy.validateSettings(changed({ layout: layout({ keys: { ...bob, ...stranger }, steps: [forgotten] }), strict }));
    assert.equal(told.valid, true, told.message);
    assert.match(told.message, /policy `web`: step `build` has no `threshold`: any 1 of its 2 keys is enough/);
  }
  for (const set of [null, {}, { policies: [] }, changed({ imagess: [] })]) {
    await refused(review(pod(good)), set, /^linkgate: the settings cannot be used/, 503);
  }
});

test('a request of another form is refused', async () => {
  const compiled = new WebAssembly.Module(module);
  const whole = JSON.stringify({ request: review(pod(good)), settings });
  assert.equal(JSON.parse(call(compiled, 'validate', whole)).accepted, true);
  for (const text of ['', '{', '[]', '{}', 'null', whole.slice(0, -1), `${whole}x`, `{"request": {}, ${whole.slice(1)}`, JSON.stringify({ request: null, settings }), '['.repeat(1e6)]) {
    const answer = JSON.parse(call(compiled, 'validate', text));
    assert.equal(answer.accepted, false, text.slice(0, 80));
    assert.match(answer.message, /^linkgate: /);
  }
});

test('without a clock nothing is let in', async () => {
  for (const clock of [0, 1_000_000_000_000]) {
    await refused(review(pod(good)), settings, /the host's clock says \d+, which is in the past/, 503, new Policy(module, { deadline: 20_000, clock }));
  }
  const compiled = new WebAssembly.Module(module);
  const whole = JSON.stringify({ request: review(pod(good)), settings });
  assert.throws(() => call(compiled, 'validate', whole, () => NaN));
});

test('names by others break no line', async () => {
  const answer = await refused(review(pod('registry.example/a\n\u202egood\u001b[31m')), settings, /is no reference of an image/);
  assert.doesNotMatch(answer.message, /[\n\u202e\u001b]/);
});

test('bad days: limits, memory, deadline, a truncated module', async () => {
  const object = review(pod(good));
  const many = Object.fromEntries(Array.from({ length: 10_001 }, (_, at) => [`${at}.link`, '']));
  await refused(object, changed({ links: many }), /policy `web`: undecided: the limit `documents`/, 503);
  const [, link] = Object.entries(built)[0];
  const copies = Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`copy${at}.link`, `${link}${' '.repeat(at)}`]));
  const small = new Policy(module, { memory: 8 << 20, deadline: 20_000 });
  await refused(object, changed({ links: copies }), /^internal server error: /, 500, small);
  await accepted(object, settings, small);
  const hasty = new Policy(module, { deadline: 500 });
  const began = performance.now();
  await refused(object, changed({ links: copies }), /did not end within 500 ms/, 500, hasty);
  assert.ok(performance.now() - began < 5_000);
  // On a busy machine half a second may be too short for a good answer, too, but not each time.
  let answer;
  const ends = performance.now() + 60_000;
  do {
    answer = await hasty.validate(object, settings);
  } while (/did not end within/.test(answer.message) && performance.now() < ends);
  assert.deepEqual(answer, { accepted: true });
  assert.throws(() => new Policy(module.subarray(0, module.length >> 1)));
});

test('the files of the README', async () => {
  const at = (name) => join(top, 'policies/kubewarden', name);
  const run = (...args) => spawnSync('node', args, { encoding: 'utf8', timeout: 60_000, cwd: folder });
  const tried = (image) => {
    const asked = JSON.parse(readFileSync(at('review.json'), 'utf8'));
    if (image) {
      asked.request.object.spec.containers[0].image = image;
    }
    writeFileSync(join(folder, 'review.json'), JSON.stringify(asked));
    // Two seconds are what a host gives a policy; a busy machine may take longer to start it, but not each time.
    let done;
    const ends = performance.now() + 60_000;
    do {
      done = run(at('host.mjs'), file, 'review.json', at('settings.json'));
    } while (/did not end within/.test(done.stdout) && performance.now() < ends);
    return done;
  };
  for (const [image, status, said] of [
    [undefined, 0, /^settings: {"valid":true}\nanswer: {"accepted":true}\n$/],
    ['registry.example/web/app:1.0', 1, /answer: {"accepted":false,"message":"linkgate: `registry\.example\/web\/app:1\.0` is named by a tag/],
  ]) {
    const done = tried(image);
    assert.equal(done.stderr, '');
    assert.match(done.stdout, said);
    assert.equal(done.status, status);
  }
  // JSON is YAML.
  const resource = readFileSync(at('cluster-admission-policy.yaml'), 'utf8');
  assert.deepEqual(JSON.parse(resource.split('  settings:\n')[1]), JSON.parse(readFileSync(at('settings.json'), 'utf8')));

  mkdirSync(join(folder, 'evidence/sub'), { recursive: true });
  for (const [name, text] of Object.entries(built)) {
    writeFileSync(join(folder, 'evidence', name), text);
  }
  writeFileSync(join(folder, 'owner.json'), JSON.stringify(owner));
  writeFileSync(join(folder, 'chain.layout'), chain.layout);
  const printed = run(
    ...[at('settings.mjs'), '--name', 'web', '--images', 'registry.example/web/**', '--subject', 'image'],
    ...['--layout', 'chain.layout', '--keys', 'owner.json', '--links', 'evidence'],
  );
  assert.equal(printed.stderr, '');
  await accepted(review(pod(good)), JSON.parse(printed.stdout));
  const without = run(at('settings.mjs'), '--name', 'web');
  assert.equal(without.status, 2);
  assert.match(without.stderr, /--images is missing/);
});
