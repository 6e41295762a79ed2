// OCI image layouts in tar files (OCI image specification 1.1): images, and the links that are attached to them.
//
// Nothing is believed that its digest does not cover: every blob that is read is hashed first.

import { read } from "../verifier/dist/json.js";

const IN_TOTO = "application/vnd.in-toto+json";
const DSSE = "application/vnd.dsse.envelope.v1+json";
const EMPTY = "application/vnd.oci.empty.v1+json";
const INDEXES = ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const IMAGES = ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const TITLE = "org.opencontainers.image.title";
const REF_NAME = "org.opencontainers.image.ref.name";

/** As registries have them, as a request may hold, and as the verifier takes. */
const MANIFEST_BYTES = 4 << 20;
const MANIFESTS = 10_000;
const LINKS = 10_000;
const LINK_BYTES = 128 << 20;
const ENTRIES = 200_000;

/** Members that a reader which ignores case would take for another one. */
const KNOWN = ["annotations", "artifactType", "config", "data", "digest", "layers", "manifests", "mediaType", "schemaVersion", "size", "subject"];

/** What a tar file's layout holds, or undefined where it is no layout. Throws where it cannot be believed. */
export async function readImageLayout(file) {
  const entries = await entriesOf(file);
  const marker = entries?.get("oci-layout");
  if (!marker) return undefined;
  const version = json(await bytesOf(marker, MANIFEST_BYTES, "oci-layout"), "oci-layout").imageLayoutVersion;
  if (!String(version).startsWith("1.")) throw new Error("`oci-layout` is of no known version of image layouts");
  const index = entries.get("index.json");
  if (!index) throw new Error("there is no `index.json` in the layout");
  const manifests = manifest(await bytesOf(index, MANIFEST_BYTES, "index.json"), "index.json").manifests ?? [];
  const images = new Map();
  const evidence = [];
  const seen = new Set();
  const waiting = [...manifests];
  while (waiting.length > 0) {
    const descriptor = waiting.pop();
    const { digest } = descriptor;
    // What is listed once more in another way may be evidence only in one of them.
    const listed = JSON.stringify([digest, descriptor.artifactType, nameOf(descriptor)]);
    if (seen.has(listed)) continue;
    seen.add(listed);
    if (seen.size > MANIFESTS) throw new Error(`more than ${MANIFESTS} manifests`);
    const kind = descriptor.artifactType;
    const mayBeEvidence = kind === undefined || kind === IN_TOTO || kind === EMPTY;
    const bytes = mayBeEvidence ? await blob(entries, digest, MANIFEST_BYTES, kind === IN_TOTO) : undefined;
    if (!bytes) {
      if (mayBeEvidence && !isAttestationTag(descriptor)) images.set(digest, nameOf(descriptor));
      continue;
    }
    const content = manifest(bytes, digest);
    if (content.manifests) {
      waiting.push(...content.manifests);
      if (!content.manifests.every((listed) => listed.artifactType === IN_TOTO)) images.set(digest, nameOf(descriptor));
      continue;
    }
    const artifact = content.artifactType ?? content.config?.mediaType;
    const tag = /^(sha256|sha512)-([0-9a-f]+)\.att$/.exec(nameOf(descriptor) ?? "");
    const about = tag ? `${tag[1]}:${tag[2]}` : artifact === IN_TOTO ? content.subject?.digest : undefined;
    if (about) evidence.push(...links(content, about));
    else if (artifact !== IN_TOTO) images.set(digest, nameOf(descriptor));
    if (evidence.length > LINKS) throw new Error(`more than ${LINKS} links`);
  }
  return {
    images: [...images].map(([digest, name]) => ({ digest, name })),
    /** The links about an image, in bytes, under the names that they have among evidence. */
    linksAbout: async (digest) => {
      const documents = [];
      const had = new Set();
      for (const link of evidence.filter((link) => link.about === digest)) {
        const key = JSON.stringify([link.name, link.digest]);
        if (had.has(key)) continue;
        had.add(key);
        const bytes = await blob(entries, link.digest, LINK_BYTES, true);
        if (bytes.length !== link.size) throw new Error(`the link ${link.digest} has ${bytes.length} bytes, and is said to have ${link.size}`);
        // Two may have one name. Neither is called otherwise: by it a sublayout is bound to its step.
        documents.push({ name: link.name, bytes });
      }
      return documents;
    },
  };
}

function links(content, about) {
  return (content.layers ?? [])
    .filter((layer) => [IN_TOTO, DSSE].includes(layer.mediaType))
    .map((layer) => {
      const title = layer.annotations?.[TITLE];
      const [, hex] = checked(layer.digest);
      return { about, digest: layer.digest, size: Number(layer.size), name: isSafe(title) ? title : `${hex}.link` };
    });
}

function nameOf(descriptor) {
  const name = descriptor.annotations?.[REF_NAME];
  return typeof name === "string" ? name.slice(name.lastIndexOf(":") + 1) : undefined;
}

function isAttestationTag(descriptor) {
  return /^sha(256|512)-[0-9a-f]+\.att$/.test(nameOf(descriptor) ?? "");
}

/** Whether a title is a path of a link that stays in its folder. */
function isSafe(title) {
  const isPart = (part) => part !== "" && !part.startsWith(".") && part.length <= 255;
  return typeof title === "string" && title.length <= 1024 && title.endsWith(".link") && title.split("/").every(isPart) && !/[\\\u0000-\u001f\u007f-\u009f]/.test(title);
}

function checked(digest) {
  const found = /^(sha256):([0-9a-f]{64})$|^(sha512):([0-9a-f]{128})$/.exec(digest);
  if (!found) throw new Error(`\`${String(digest).slice(0, 100)}\` is no digest`);
  return found[1] ? [found[1], found[2]] : [found[3], found[4]];
}

/** A blob whose bytes have the digest that it is called by. */
async function blob(entries, digest, most, isNeeded) {
  const [algorithm, hex] = checked(digest);
  const path = `blobs/${algorithm}/${hex}`;
  const entry = entries.get(path);
  if (!entry) {
    if (isNeeded) throw new Error(`\`${path}\` is not in the layout`);
    return undefined;
  }
  const bytes = await bytesOf(entry, most, path);
  if ((await hexDigest(algorithm === "sha256" ? "SHA-256" : "SHA-512", bytes)) !== hex) {
    throw new Error(`\`${path}\` does not have the digest that it is called by`);
  }
  return bytes;
}

/** A digest in hexadecimal digits. */
export async function hexDigest(algorithm, bytes) {
  if (!globalThis.crypto?.subtle) throw new Error("digests can only be computed on a page from https or from this machine (localhost)");
  const digest = await crypto.subtle.digest(algorithm, bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function bytesOf(entry, most, path) {
  if (entry.size > most) throw new Error(`\`${path}\` is larger than ${most} bytes`);
  return new Uint8Array(await entry.arrayBuffer());
}

function json(bytes, path) {
  let value;
  try {
    value = read(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw new Error(`\`${path}\` is no JSON: ${error.message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`\`${path}\` is no JSON object`);
  return value;
}

/** A manifest that has one reading: container runtimes take `Layers` for `layers`. */
function manifest(bytes, path) {
  const value = json(bytes, path);
  const walk = (inner) => {
    if (typeof inner !== "object" || inner === null) return;
    const names = Object.keys(inner);
    const folded = new Set(names.map((name) => name.toLowerCase()));
    if (!Array.isArray(inner) && (folded.size < names.length || names.some((name) => KNOWN.some((known) => known !== name && known.toLowerCase() === name.toLowerCase())))) {
      throw new Error(`\`${path}\` has a member that could be taken for another one`);
    }
    Object.values(inner).forEach(walk);
  };
  walk(value);
  const { mediaType, manifests, layers } = value;
  const isIndex = manifests !== undefined;
  if (isIndex === (layers !== undefined) || (mediaType !== undefined && !(isIndex ? INDEXES : IMAGES).includes(mediaType))) {
    throw new Error(`\`${path}\` is a manifest that has \`manifests\` and \`layers\`, or not those that its media type says`);
  }
  const listed = manifests ?? layers;
  if (!Array.isArray(listed) || !listed.every((each) => typeof each === "object" && each !== null)) throw new Error(`\`${path}\` is no manifest`);
  listed.forEach((each) => checked(each.digest));
  return value;
}

/** The regular files of a tar archive by name (POSIX ustar, with pax and GNU names); undefined where it is no tar archive. */
async function entriesOf(file) {
  const entries = new Map();
  const text = (bytes) => new TextDecoder().decode(bytes).replace(/\0.*$/s, "");
  let at = 0;
  let longName;
  let isEnded = false;
  for (let count = 0; at + 512 <= file.size; count += 1) {
    if (count > ENTRIES) throw new Error(`more than ${ENTRIES} files in the archive`);
    const header = new Uint8Array(await file.slice(at, at + 512).arrayBuffer());
    isEnded = header.every((byte) => byte === 0);
    if (isEnded) break;
    const sum = header.reduce((total, byte, place) => total + (place >= 148 && place < 156 ? 32 : byte), 0);
    const isHeader = text(header.subarray(257, 262)) === "ustar" && parseInt(text(header.subarray(148, 156)), 8) === sum;
    if (!isHeader) {
      if (count === 0) return undefined;
      throw new Error("the archive is damaged: a header's sum is wrong");
    }
    const size = parseInt(text(header.subarray(124, 136)), 8);
    if (!(size >= 0) || at + 512 + size > file.size) throw new Error("the archive ends early");
    const content = file.slice(at + 512, at + 512 + size);
    const type = String.fromCharCode(header[156]);
    if (type === "L") longName = text(new Uint8Array(await bytesOf(content, MANIFEST_BYTES, "a name")));
    else if (type === "x") longName = /\d+ path=([^\n]*)\n/.exec(await content.slice(0, MANIFEST_BYTES).text())?.[1] ?? longName;
    else {
      const prefix = text(header.subarray(345, 500));
      const name = (longName ?? (prefix ? `${prefix}/` : "") + text(header.subarray(0, 100))).replace(/^(\.\/)+/, "");
      longName = undefined;
      if (type === "0" || type === "\0") {
        if (entries.has(name)) throw new Error(`the archive has two files \`${name.slice(0, 200)}\``);
        entries.set(name, content);
      }
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  if (!isEnded && at > 0 && at < file.size) throw new Error("the archive ends early");
  return entries.size > 0 ? entries : undefined;
}
