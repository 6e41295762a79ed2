// Real supply chains that linkgate made, for the page and the package: one that holds, and what befalls it.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folders = [];
process.on("exit", () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A folder that goes when the tests end. */
function newFolder() {
  folders.push(mkdtempSync(join(tmpdir(), "linkgate-browser-")));
  return folders.at(-1);
}

export const linkgate = process.env.LINKGATE || "linkgate";

/** Runs linkgate in a folder. */
export function run(folder, ...words) {
  return execFileSync(linkgate, words, { cwd: folder, encoding: "utf8", timeout: 60_000, stdio: ["ignore", "pipe", "pipe"] }).trim();
}

/**
 * A chain of two steps in a new folder: `source` by alice, `package` by bob, which makes `app.txt`. A longer one goes on with
 * `scan`, by alice, and `release`, by bob, which takes from both.
 */
export function makeChain({ review = "source", app = "app\n", isLong = false } = {}) {
  const folder = newFolder();
  const keyid = {};
  for (const name of ["owner", "alice", "bob"]) keyid[name] = run(folder, "keygen", "-t", name === "owner" ? "ecdsa" : "ed25519", "-n", name);
  mkdirSync(join(folder, "links"));
  writeFileSync(join(folder, "main.c"), "int main;\n");
  writeFileSync(join(folder, "app.txt"), app);
  const step = (name, who, materials, products) => ({ _type: "step", name, pubkeys: [keyid[who]], threshold: 1, expected_command: [], expected_materials: materials, expected_products: products });
  const end = ["DISALLOW", "*"];
  const layout = {
    _type: "layout",
    readme: "",
    expires: "2036-01-01T00:00:00Z",
    keys: JSON.parse(run(folder, "key", "show", "--json", "alice.pub", "bob.pub")),
    steps: [
      step(review, "alice", [end], [["CREATE", "main.c"], end]),
      step("package", "bob", [["MATCH", "main.c", "WITH", "PRODUCTS", "FROM", review], end], [["CREATE", "app.txt"], end]),
    ],
    inspect: [],
  };
  const application = ["MATCH", "app.txt", "WITH", "PRODUCTS", "FROM", "package"];
  if (isLong)
    layout.steps.push(
      step("scan", "alice", [application, end], [["CREATE", "report.txt"], end]),
      step("release", "bob", [application, ["MATCH", "report.txt", "WITH", "PRODUCTS", "FROM", "scan"], end], [["CREATE", "release.tar"], end]),
    );
  writeFileSync(join(folder, "layout.json"), JSON.stringify(layout));
  run(folder, "sign", "-f", "layout.json", "-k", "owner", "-o", "root.layout");
  run(folder, "run", "-n", review, "-k", "alice", "-d", "links", "-p", "main.c", "-x");
  run(folder, "run", "-n", "package", "-k", "bob", "-d", "links", "-m", "main.c", "-p", "app.txt", "-x");
  if (!isLong) return folder;
  for (const name of ["report.txt", "release.tar"]) writeFileSync(join(folder, name), name);
  run(folder, "run", "-n", "scan", "-k", "alice", "-d", "links", "-m", "app.txt", "-p", "report.txt", "-x");
  run(folder, "run", "-n", "release", "-k", "bob", "-d", "links", "-m", "app.txt", "-m", "report.txt", "-p", "release.tar", "-x");
  return folder;
}

/** The files that a verification needs, as paths. */
export function evidenceOf(folder) {
  return [join(folder, "root.layout"), join(folder, "owner.pub"), ...linksOf(folder)];
}

export function linksOf(folder) {
  return readdirSync(join(folder, "links")).map((name) => join(folder, "links", name));
}

/** A request about a chain, as the command line writes it, and its answer there. */
export function requestOf(folder) {
  const words = ["verify", "--layout", "root.layout", "--links-dir", "links", "--key", "owner.pub", "--at", "2030-01-01T00:00:00Z", "--save-request", "request.json", "--format", "json"];
  let native;
  try {
    native = run(folder, ...words);
  } catch (error) {
    native = error.stdout.trim();
  }
  return { text: readFileSync(join(folder, "request.json"), "utf8"), native };
}

/** Alters a byte of a link that somebody signed. */
export function tamper(folder, step) {
  const path = linksOf(folder).find((path) => path.includes(`/${step}.`));
  writeFileSync(path, readFileSync(path, "utf8").replace(/[0-9a-f]{64}(?="\s*\}\s*\})/, (digest) => (digest[0] === "0" ? "1" : "0") + digest.slice(1)));
}

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** An OCI image layout as a tar archive: an image with this manifest, and the chain's links attached to it. */
export function imageLayout(folder, image, { damage } = {}) {
  const files = new Map([["oci-layout", '{"imageLayoutVersion":"1.0.0"}']]);
  const blob = (bytes, mediaType, more = {}) => {
    const hex = sha256(bytes);
    files.set(`blobs/sha256/${hex}`, bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length, ...more };
  };
  const manifest = "application/vnd.oci.image.manifest.v1+json";
  const subject = blob(image, manifest, { annotations: { "org.opencontainers.image.ref.name": "v1" } });
  const inToto = "application/vnd.in-toto+json";
  const layers = linksOf(folder).map((path) => blob(readFileSync(path), inToto, { annotations: { "org.opencontainers.image.title": path.split("/").at(-1) } }));
  const config = blob(Buffer.from("{}"), "application/vnd.oci.empty.v1+json");
  const { mediaType, digest, size } = subject;
  const attached = { schemaVersion: 2, mediaType: manifest, artifactType: inToto, config, layers, subject: { mediaType, digest, size } };
  const artifact = blob(Buffer.from(JSON.stringify(attached)), manifest, { artifactType: inToto });
  files.set("index.json", JSON.stringify({ schemaVersion: 2, manifests: [subject, artifact] }));
  if (damage) files.set(`blobs/sha256/${layers[0].digest.split(":")[1]}`, readFileSync(linksOf(folder)[1]));
  const inFolder = newFolder();
  for (const [path, bytes] of files) {
    mkdirSync(join(inFolder, path, ".."), { recursive: true });
    writeFileSync(join(inFolder, path), bytes);
  }
  const archive = join(folder, damage ? "damaged.tar" : "image.tar");
  execFileSync("tar", ["-cf", archive, "-C", inFolder, "oci-layout", "index.json", "blobs"], { timeout: 60_000 });
  return archive;
}
