// The page in Debian's Chromium: verdicts, files of all kinds, keyboard, accessibility, and that nothing leaves it.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { evidenceOf, imageLayout, linksOf, makeChain, requestOf, run, tamper } from "./chain.mjs";
import { launch, pictures, require, serve } from "./site.mjs";

const bounded = { timeout: 90_000 };
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const IMAGE = JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: `sha256:${"0".repeat(64)}`, size: 2 }, layers: [] });
let site;
let browser;

before(async () => {
  site = await serve();
  browser = await launch();
}, { timeout: 90_000 });

after(async () => {
  await browser?.close();
  await site?.close();
}, { timeout: 30_000 });

/** The page, opened; whatever asks for another place, and whatever fails in it, fails the test. */
async function opened(t, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(30_000);
  t.after(() => context.close());
  const page = await context.newPage();
  const requests = [];
  const faults = [];
  context.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(site.url);
  return {
    page,
    context,
    check: () => {
      assert.deepEqual(requests.filter((url) => !url.startsWith(site.url)), []);
      assert.deepEqual(faults, []);
    },
  };
}

async function give(page, files) {
  await page.evaluate(() => (document.getElementById("noted").textContent = ""));
  await page.setInputFiles("#files", files);
  await page.waitForFunction(() => /^\d+ files?\.$/.test(document.getElementById("noted").textContent));
}

/** The outcome's words. */
async function judged(page) {
  await page.click("#verify");
  await page.waitForSelector("#result:not([hidden]) #outcome");
  return page.textContent("#outcome");
}

async function accessible(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  assert.deepEqual(violations.map((one) => [one.id, one.nodes.map((node) => node.html)]), []);
}

test("accept, with the artifact hashed here", bounded, async (t) => {
  const { page, check } = await opened(t);
  const folder = makeChain();
  await give(page, [...evidenceOf(folder), join(folder, "app.txt")]);
  assert.match(await judged(page), /Accepted/);
  assert.match(await page.textContent(".banner p"), /2 steps verified; it made app.txt of step package/);
  // Whose word it is shows by what the key is, not by what its file calls it.
  const fingerprint = /^fingerprint +(\S+)$/m.exec(run(folder, "key", "show", "owner.pub"))[1];
  assert.ok((await page.textContent(".banner")).includes(`owner's key ${fingerprint}`));
  assert.equal(await page.evaluate(() => document.activeElement.id), "outcome");
  await page.waitForFunction(() => /Accepted/.test(document.getElementById("announced").textContent));
  assert.match(await page.getAttribute(".picture svg", "aria-label"), /source: ✓ 1 of 1 signatures/);
  await page.screenshot({ path: join(pictures, "accept.png"), fullPage: true });
  await page.fill("#digest", `sha256:${"a".repeat(64)}`);
  assert.match(await judged(page), /Rejected/);
  await page.fill("#digest", "nonsense");
  assert.match(await judged(page), /Nothing was judged/);
  check();
});

test("reject of what was tampered with, in words and in the picture", bounded, async (t) => {
  const { page, check } = await opened(t);
  const folder = makeChain();
  tamper(folder, "package");
  await give(page, evidenceOf(folder));
  assert.match(await judged(page), /Rejected/);
  assert.equal(await page.locator(".picture g.bad .state").first().textContent(), "✗ failed, 0 of 1 signatures");
  const words = await page.textContent("#result");
  assert.match(words, /threshold-not-met/);
  assert.match(words, /signature-invalid/);
  await page.screenshot({ path: join(pictures, "reject.png"), fullPage: true });
  check();
});

test("an accept that no artifact was asked about says so, seen and heard", bounded, async (t) => {
  const { page, check } = await opened(t);
  await give(page, evidenceOf(makeChain()));
  assert.match(await judged(page), /Accepted/);
  assert.match(await page.textContent(".banner strong"), /No artifact was asked about/);
  await page.waitForFunction(() => /No artifact was asked about/.test(document.getElementById("announced").textContent));
  check();
});

test("what a message quotes is code, and a name with a backtick is no markup", bounded, async (t) => {
  const { page, check } = await opened(t);
  const folder = makeChain({ review: "re`view" });
  tamper(folder, "package");
  await give(page, evidenceOf(folder));
  assert.match(await judged(page), /Rejected/);
  const codes = await page.locator(".findings p code").allTextContents();
  assert.ok(codes.includes("package"), codes.join());
  check();
});

/** Whether all boxes and words of the picture lie in its frame, without scrolling. */
const fits = (page) =>
  page.evaluate(() => {
    const frame = document.querySelector(".picture").getBoundingClientRect();
    const shapes = [...document.querySelectorAll(".picture rect, .picture text, .picture svg > path")];
    const wide = shapes.map((shape) => shape.getBoundingClientRect()).filter(({ left, right }) => left < frame.left || right > frame.right);
    return wide.length === 0 && frame.right <= innerWidth;
  });

/** The left and upper edges of the picture's boxes. */
const corners = (page) => page.evaluate(() => [...document.querySelectorAll(".picture rect")].map((box) => ["x", "y"].map((axis) => Number(box.getAttribute(axis)))));

test("the picture lies across where it fits, else down the page", bounded, async (t) => {
  const { page, check } = await opened(t);
  await give(page, evidenceOf(makeChain()));
  await judged(page);
  assert.equal(new Set((await corners(page)).map(([, y]) => y)).size, 1);
  assert.ok(await fits(page));
  for (const width of [390, 700, 320]) {
    await page.setViewportSize({ width, height: 800 });
    await page.waitForFunction(() => new Set([...document.querySelectorAll(".picture rect")].map((box) => box.getAttribute("x"))).size === 1);
    const down = (await corners(page)).map(([, y]) => y);
    assert.deepEqual(down, [...new Set(down)].sort((one, other) => one - other));
    assert.ok(await fits(page), `the picture is wider than ${width} pixels`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.waitForFunction(() => new Set([...document.querySelectorAll(".picture rect")].map((box) => box.getAttribute("y"))).size === 1);
  check();
});

test("a long chain fits too, and what fails is red, nothing else", bounded, async (t) => {
  const { page, check } = await opened(t);
  const folder = makeChain({ isLong: true });
  await give(page, evidenceOf(folder));
  for (const width of [1280, 1100, 390, 320]) {
    await page.setViewportSize({ width, height: 800 });
    assert.match(await judged(page), /Accepted/);
    assert.ok(await fits(page), `the picture is wider than ${width} pixels`);
    assert.equal(await page.locator(".picture .bad").count(), 1, "the arrow's tip alone");
    await page.screenshot({ path: join(pictures, `long-${width}.png`), fullPage: true });
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  writeFileSync(join(folder, "app.txt"), "another\n");
  run(folder, "run", "-n", "release", "-k", "bob", "-d", "links", "-m", "app.txt", "-m", "report.txt", "-p", "release.tar", "-x");
  const again = await opened(t);
  await give(again.page, evidenceOf(folder));
  assert.match(await judged(again.page), /Rejected/);
  assert.deepEqual(await again.page.locator(".picture text.edge.bad").allTextContents(), ["✗ app.txt"]);
  assert.ok(await fits(again.page));
  check();
  again.check();
});

test("more steps than are drawn are said to be so", bounded, async (t) => {
  const { page, check } = await opened(t);
  const folder = makeChain();
  const layout = JSON.parse(readFileSync(join(folder, "layout.json"), "utf8"));
  const [first, second] = layout.steps;
  const from = (name) => Array.from({ length: 300 }, (_, at) => ["MATCH", `*${at}*`, "WITH", "PRODUCTS", "FROM", name]);
  const more = Array.from({ length: 45 }, (_, at) => ({ ...second, name: `more-${at}`, expected_materials: from(at > 0 ? `more-${at - 1}` : first.name) }));
  writeFileSync(join(folder, "layout.json"), JSON.stringify({ ...layout, steps: [...layout.steps, ...more] }));
  run(folder, "sign", "-f", "layout.json", "-k", "owner", "-o", "root.layout");
  await give(page, evidenceOf(folder));
  assert.match(await judged(page), /Rejected/);
  assert.match(await page.textContent("#result"), /40 of 47 steps are drawn; the table has all/);
  assert.equal(await page.locator(".picture g").count(), 41);
  assert.equal(await page.locator("#result table tbody tr").count(), 47);
  assert.ok(await fits(page));
  check();
});

test("undecided, and what is missing", bounded, async (t) => {
  const { page, check } = await opened(t);
  assert.match(await judged(page), /Nothing was judged/);
  const folder = makeChain();
  writeFileSync(join(folder, "saved.json"), requestOf(folder).text.replace(/"now":-?\d+/, '"now":1.5'));
  await give(page, [join(folder, "saved.json")]);
  assert.match(await judged(page), /Undecided/);
  assert.match(await page.textContent("#result"), /request-malformed/);
  await page.screenshot({ path: join(pictures, "undecided.png"), fullPage: true });
  writeFileSync(join(folder, "saved.json"), requestOf(folder).text);
  await give(page, [join(folder, "saved.json")]);
  assert.match(await judged(page), /Accepted/);
  assert.equal(await page.textContent("#result pre"), requestOf(folder).native);
  assert.match(await page.textContent(".banner"), /The saved request itself names the keys, and when it is judged/);
  check();
});

test("the time can be set", bounded, async (t) => {
  const { page, check } = await opened(t);
  await give(page, evidenceOf(makeChain()));
  await page.fill("#time", "2036-01-01T00:00:01");
  assert.match(await judged(page), /Rejected/);
  assert.match(await page.textContent("#result"), /layout-expired/);
  await page.fill("#time", "2035-12-31T23:59:59");
  assert.match(await judged(page), /Accepted/);
  check();
});

test("links that are attached to an image in a layout", bounded, async (t) => {
  const { page, check } = await opened(t);
  const folder = makeChain({ app: IMAGE });
  const mine = [join(folder, "root.layout"), join(folder, "owner.pub")];
  await give(page, [...mine, imageLayout(folder, IMAGE)]);
  assert.match(await judged(page), /Accepted/);
  assert.match(await page.textContent(".banner p"), /it made app.txt of step package/);
  check();
  const other = await opened(t);
  await give(other.page, [...mine, imageLayout(folder, '{"layers":[],"config":{}}')]);
  assert.match(await judged(other.page), /Rejected/);
  assert.match(await other.page.textContent("#result"), /subject-not-found/);
  const damaged = await opened(t);
  await give(damaged.page, [...mine, imageLayout(folder, IMAGE, { damage: true })]);
  assert.match(await judged(damaged.page), /Nothing was judged/);
  assert.match(await damaged.page.textContent("#result"), /does not have the digest/);
});

test("files that are nothing, or malformed, are said to be so", bounded, async (t) => {
  const { page, check } = await opened(t);
  const folder = makeChain();
  const image = readFileSync(imageLayout(folder, IMAGE));
  const half = { name: "half.tar", mimeType: "", buffer: image.subarray(0, 1700) };
  const key = (text) => `-----BEGIN PUBLIC KEY-----\n${text}\n-----END PUBLIC KEY-----\n`;
  await give(page, [half, { name: "a.pub", mimeType: "", buffer: Buffer.from(key("AAAA")) }, { name: "b.pub", mimeType: "", buffer: Buffer.from(key("MCowBQYDK2VuAyEA")) }, { name: "x.json", mimeType: "", buffer: Buffer.from('{"signed":') }, { name: "empty", mimeType: "", buffer: Buffer.alloc(0) }]);
  await give(page, [join(folder, "owner")]);
  const words = await page.textContent("#evidence") + (await page.textContent("#left-out"));
  for (const said of ["the archive ends early", "no SubjectPublicKeyInfo", "this is a private key"]) assert.ok(words.includes(said), said);
  await give(page, evidenceOf(folder));
  await page.getByLabel("x.json is taken for").selectOption("link");
  await page.getByLabel("empty is taken for").selectOption("none");
  assert.match(await judged(page), /Accepted/);
  assert.match(await page.textContent("#result"), /document-malformed/);
  check();
});

test("names that are markup stay text", bounded, async (t) => {
  const { page, check } = await opened(t);
  const review = '<img src=x onerror=alert(1)>"\'<script>alert(1)<∕script>';
  const folder = makeChain({ review });
  tamper(folder, "package");
  await give(page, evidenceOf(folder));
  await give(page, [{ name: '<svg onload="alert(1)">.link', mimeType: "", buffer: Buffer.from('{"signed":{"_type":"link","name":"<b>\u202ex</b>"}}') }]);
  assert.match(await judged(page), /Rejected/);
  assert.ok((await page.textContent("#result")).includes(review));
  assert.equal(await page.locator("#result img, #result script, #result b, main svg[onload]").count(), 0);
  assert.ok(!(await page.textContent("#result table")).includes("\u202e"));
  check();
});

test("by keyboard alone", bounded, async (t) => {
  const { page, check } = await opened(t);
  const folder = makeChain();
  const reach = async (id) => {
    for (let presses = 0; presses < 60; presses += 1) {
      await page.keyboard.press("Tab");
      const [at, outline] = await page.evaluate(() => [document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle]);
      // After the last element comes the browser's own frame.
      if (await page.evaluate(() => document.activeElement === document.body)) continue;
      assert.notEqual(outline, "none");
      if (at === id) return;
    }
    assert.fail(`${id} was not reached`);
  };
  // Asked for before there is anything to press: the browser is told in its own time.
  const chooser = page.waitForEvent("filechooser");
  await reach("choose-files");
  await page.keyboard.press("Enter");
  await (await chooser).setFiles(evidenceOf(folder));
  await page.waitForFunction(() => /^4 files/.test(document.getElementById("noted").textContent));
  await reach("role-1");
  await reach("digest");
  await reach("strict");
  await page.keyboard.press("Space");
  await reach("verify");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#outcome");
  assert.equal(await page.evaluate(() => document.activeElement.id), "outcome");
  assert.match(await page.textContent("#outcome"), /Accepted/);
  assert.ok(await page.isChecked("#strict"));
  check();
});

for (const [scheme, viewport] of [["light", { width: 1280, height: 900 }], ["dark", { width: 390, height: 800 }]]) {
  test(`nothing that assistive technology cannot use, ${scheme}, ${viewport.width} pixels wide`, bounded, async (t) => {
    const { page, check } = await opened(t, { colorScheme: scheme, viewport, bypassCSP: true });
    await accessible(page);
    const folder = makeChain();
    tamper(folder, "package");
    await give(page, [...evidenceOf(folder), join(folder, "owner"), join(folder, "alice.pub")]);
    await judged(page);
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    await accessible(page);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page is wider than the screen");
    await page.screenshot({ path: join(pictures, `${scheme}-${viewport.width}.png`), fullPage: true });
    check();
  });
}

test("offline once it is loaded, and the policy lets nothing out", bounded, async (t) => {
  const { page, context, check } = await opened(t);
  // The worker of the first question is there once the page is quiet.
  await page.waitForLoadState("networkidle");
  await context.setOffline(true);
  await give(page, evidenceOf(makeChain()));
  assert.match(await judged(page), /Accepted/);
  assert.match(await judged(page), /Accepted/);
  await context.setOffline(false);
  check();
  const left = await page.evaluate(async (links) => {
    const tried = [];
    for (const url of links) tried.push(await fetch(url).then(() => "sent", () => "refused"));
    return tried;
  }, ["http://127.0.0.1:9/", "http://localhost:9/"]);
  assert.deepEqual(left, ["refused", "refused"]);
});
