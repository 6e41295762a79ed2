// The Kubewarden policy in the host that Kubewarden itself is made of: wapc and wasmtime-provider (tests/kubewarden/host).
// Optional: it takes minutes to build, with a wasmtime of its own.
//
//   cargo build --locked --release --manifest-path tests/kubewarden/host/Cargo.toml --target-dir target/kubewarden-host
//   KUBEWARDEN_HOST=target/kubewarden-host/release/kubewarden-host LINKGATE=.. node --test tests/kubewarden
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

import { built, changed, file, good, pod, review, settings } from './chain.mjs';

const host = process.env.KUBEWARDEN_HOST;
const skip = host ? false : 'KUBEWARDEN_HOST names no host';

function ask(operation, message) {
  const input = typeof message === 'string' ? message : JSON.stringify(message);
  const done = spawnSync(host, [file, operation], { input, encoding: 'utf8', timeout: 60_000, maxBuffer: 1 << 24 });
  assert.equal(done.signal, null);
  return done.status === 0 ? JSON.parse(done.stdout) : { failed: done.stderr };
}

test('its functions', { skip }, () => {
  assert.equal(ask('protocol_version', ''), 'v1');
  assert.deepEqual(ask('validate_settings', settings), { valid: true });
  assert.match(ask('mutate', '').failed, /there is no function `mutate`/);
});

test('an accept by the clock of the host, and refusals', { skip }, () => {
  assert.deepEqual(ask('validate', { request: review(pod(good)), settings }), { accepted: true });
  for (const [image, said] of [['registry.example/web/app:1', /by a tag/], ['nginx', /no policy governs it/]]) {
    const answer = ask('validate', { request: review(pod(good, image)), settings });
    assert.equal(answer.accepted, false);
    assert.match(answer.message, said);
  }
  assert.equal(ask('validate', '{').accepted, false);
});

test('what takes longer than Kubewarden waits is refused', { skip }, () => {
  const [, link] = Object.entries(built)[0];
  const copies = Object.fromEntries(Array.from({ length: 9_000 }, (_, at) => [`copy${at}.link`, `${link}${' '.repeat(at)}`]));
  const images = Array.from({ length: 400 }, (_, at) => good.replace('/app@', `/app${at}@`));
  const answer = ask('validate', { request: review(pod(...images)), settings: changed({ links: copies }) });
  assert.match(answer.failed ?? '', /execution deadline exceeded/);
});
