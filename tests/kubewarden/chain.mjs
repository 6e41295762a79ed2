// A chain that LINKGATE records and signs, the policy's settings with it, and what Kubernetes asks.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

export const top = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const linkgate = resolve(process.env.LINKGATE ?? join(top, 'target/release/linkgate'));
export const folder = mkdtempSync(join(tmpdir(), 'kubewarden-'));
after(() => rmSync(folder, { recursive: true }));

const run = (...args) => execFileSync(linkgate, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
export const module = process.env.KUBEWARDEN
  ? readFileSync(process.env.KUBEWARDEN)
  : execFileSync(linkgate, ['component', '--format', 'kubewarden'], { maxBuffer: 1 << 24, timeout: 60_000 });
export const file = join(folder, 'verifier.kubewarden.wasm');
writeFileSync(file, module);

export const YEAR = 365 * 24 * 3600 * 1000;
const instant = (milliseconds) => new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z');
const manifest = '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}';
export const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`;
export const other = `sha256:${createHash('sha256').update('another').digest('hex')}`;
export const good = `registry.example/web/app@${digest}`;

export const owner = run('keygen', '-t', 'ed25519', '-n', 'owner') && JSON.parse(run('key', 'show', '--json', 'owner.pub'));
run('keygen', '-t', 'ecdsa', '-n', 'bob');
run('keygen', '-t', 'ed25519', '-n', 'mallory');
export const stranger = JSON.parse(run('key', 'show', '--json', 'mallory.pub'));
export const bob = JSON.parse(run('key', 'show', '--json', 'bob.pub'));

/** A signed layout in which bob builds what is called `image`, changed by `change`. */
export function layout(change = {}, expires = Date.now() + YEAR) {
  const step = (name, products) => ({
    _type: 'step',
    name,
    pubkeys: Object.keys(bob),
    threshold: 1,
    expected_command: [],
    expected_materials: [['ALLOW', 'image'], ['DISALLOW', '*']],
    expected_products: products,
  });
  const whole = {
    _type: 'layout',
    readme: '',
    expires: instant(expires),
    keys: bob,
    steps: [step('build', [['ALLOW', 'image'], ['DISALLOW', '*']])],
    inspect: [],
    ...change,
  };
  writeFileSync(join(folder, 'layout.json'), JSON.stringify(whole));
  run('sign', '-f', 'layout.json', '-k', 'owner', '-o', 'root.layout');
  return readFileSync(join(folder, 'root.layout'), 'utf8');
}

/** The links of a chain in which each of the steps is bob's. */
export function links(...steps) {
  mkdirSync(join(folder, 'links'), { recursive: true });
  for (const [name, ...args] of steps) {
    run('run', '-n', name, '-k', 'bob', '-d', 'links', ...args);
  }
  const all = Object.fromEntries(readdirSync(join(folder, 'links')).map((name) => [name, readFileSync(join(folder, 'links', name), 'utf8')]));
  rmSync(join(folder, 'links'), { recursive: true });
  return all;
}

writeFileSync(join(folder, 'image'), manifest);
export const built = links(['build', '-p', 'image', '-x']);
export const chain = { name: 'web', images: ['registry.example/web/**'], subject: 'image', keys: owner, layout: layout(), links: built };
export const settings = { policies: [chain] };
export const changed = (change, beside = {}) => ({ policies: [{ ...chain, ...change }], ...beside });

export const pod = (...images) => ({ spec: { containers: images.map((image, at) => ({ name: `c${at}`, image })) } });
export const review = (object, more = {}) => ({
  uid: 'u',
  kind: { group: '', version: 'v1', kind: 'Pod' },
  resource: { group: '', version: 'v1', resource: 'pods' },
  namespace: 'prod',
  name: 'app',
  operation: 'CREATE',
  userInfo: { username: 'someone' },
  object,
  ...more,
});
