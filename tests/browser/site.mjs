// The page as it is served, the package beside it, and a browser to look at it with.

import { createReadStream, existsSync, mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join, normalize, resolve } from "node:path";

export const root = resolve(import.meta.dirname, "../..");
export const target = join(resolve(process.env.CARGO_TARGET_DIR || join(root, "target")), "browser");
/** Packages are installed beside what is built, not in the source tree. */
export const require = createRequire(join(target, "package.json"));
const { chromium } = require("playwright-core");
/** The package that `install` made. */
export const built = join(target, "verifier");
/** Where pictures of the page go. */
export const pictures = resolve(process.env.ARTIFACTS || target);
mkdirSync(pictures, { recursive: true });

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".json": "application/json", ".mjs": "text/javascript", ".css": "text/css; charset=utf-8", ".wasm": "application/wasm", ".svg": "image/svg+xml" };

/** Serves the page on a free port of the loopback interface. */
export async function serve(mounts = {}) {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    const mount = Object.keys(mounts).find((prefix) => path.startsWith(prefix));
    const file = mount
      ? join(mounts[mount], path.slice(mount.length))
      : path.startsWith("/verifier/dist/")
        ? join(built, path.slice("/verifier/".length))
        : join(root, "policies/browser", path === "/" ? "index.html" : path);
    if (!existsSync(file) || !TYPES[extname(file)]) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": TYPES[extname(file)] });
    createReadStream(file).pipe(response);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
}

/** Debian's Chromium, which asks nobody for anything. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    headless: true,
    timeout: 60_000,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}
