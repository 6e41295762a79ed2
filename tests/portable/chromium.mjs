// Judges cases with the npm package in Debian's Chromium; takes what `tests/browser/install` made.
//
//   node tests/portable/chromium.mjs --cases IN.jsonl --answers OUT.jsonl --signatures host|none [--time N]

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch, serve, target } from "../browser/site.mjs";
import { answer, cases, checksSignatures, module, print, rounds } from "./asked.mjs";

const packages = join(target, "node_modules");
// The page fetches each request: the largest are too large for the debugger's protocol.
const requests = mkdtempSync(join(tmpdir(), "linkgate-portable-"));
const site = await serve({
  "/requests/": requests,
  "/packages/": packages,
  "/judge.html": join(import.meta.dirname, "judge.html"),
  "/judge.js": join(import.meta.dirname, "judge.js"),
  ...(module ? { "/verifier/": module } : {}),
});
let browser;
try {
  browser = await launch();
  const page = await browser.newPage();
  await page.goto(`${site.url}judge.html`);
  await page.waitForFunction(() => globalThis.ready || globalThis.failed, undefined, { timeout: 120_000 });
  if (rounds > 0) {
    const timed = ([request, rounds, isChecking]) => globalThis.timed(request, rounds, isChecking);
    print(await page.evaluate(timed, [cases[0].request, rounds, checksSignatures]), `Chromium ${browser.version()}`);
  } else {
    const judged = (isChecking) => globalThis.judge("/requests/request.json", isChecking);
    await answer((request) => {
      writeFileSync(join(requests, "request.json"), request);
      return page.evaluate(judged, checksSignatures);
    });
  }
} finally {
  await browser?.close();
  await site.close();
  rmSync(requests, { recursive: true });
}
