// Makes the package: the component as JavaScript by jco, and what is written by hand in `src/` beside it.
//
//   COMPONENT  the component's file; without it `linkgate component` is asked for it
//   PACKAGE    the folder to make the package in; this one if it is not given

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";

const here = import.meta.dirname;
const target = resolve(process.env.PACKAGE || here);
const dist = join(target, "dist");
const work = mkdtempSync(join(tmpdir(), "linkgate-verifier-"));
const path = [join(here, "node_modules", ".bin"), process.env.PATH].join(delimiter);
try {
  const component = process.env.COMPONENT ? resolve(process.env.COMPONENT) : join(work, "verifier.wasm");
  if (!process.env.COMPONENT) {
    writeFileSync(component, execFileSync("linkgate", ["component"], { maxBuffer: 64 << 20, timeout: 60_000 }));
  }
  // Modules stay files of their own: a policy of the page's may forbid `data:`, and they are compiled once for all instances.
  const options = ["--name", "component", "--instantiation", "sync", "--base64-cutoff", "0", "--no-nodejs-compat", "--no-typescript", "--quiet"];
  execFileSync("jco", ["transpile", component, "--out-dir", work, ...options], {
    env: { ...process.env, PATH: path },
    stdio: "inherit",
    timeout: 300_000,
  });
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist, { recursive: true });
  for (const name of readdirSync(work).filter((name) => /^component\.(js|core\d*\.wasm)$/.test(name))) {
    cpSync(join(work, name), join(dist, name));
  }
  cpSync(join(here, "src"), dist, { recursive: true });
  if (target !== here) {
    for (const name of ["package.json", "README.md", "LICENSE"]) cpSync(join(here, name), join(target, name));
  }
} catch (error) {
  if (error?.code !== "ENOENT") throw error;
  console.error(`build: there is no ${error.path}: install it (npm install for jco), or name the component's file in COMPONENT`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
