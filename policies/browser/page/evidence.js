// What the files are that somebody gave: seen from their content, and to be changed by hand.

import { hexDigest, readImageLayout } from "./image_layout.js";
import { keysIn, materialOf } from "./public_key.js";
import { harmless } from "./element.js";

export const ROLES = {
  layout: "the layout",
  owner: "an owner's public key",
  link: "a link, or a sublayout",
  artifact: "an artifact that must have been made",
  image: "an image layout (OCI)",
  request: "a saved request",
  none: "nothing: leave it out",
};

/** What the verifier's own limits admit of one document, and of a whole request in JSON. */
const METADATA_BYTES = 128 << 20;
const REQUEST_BYTES = 400 << 20;
const ARTIFACT_BYTES = 1 << 30;
const FILES = 20_000;

/** Files that were given, in order. */
export class Evidence {
  files = [];

  /** Adds files with their paths; the text says what was noted about them. */
  async add(given) {
    if (this.files.length + given.length > FILES) throw new Error(`more than ${FILES} files`);
    for (const { file, path } of given) {
      const known = this.files.find((entry) => entry.path === path);
      const entry = await recognised(file, path);
      if (known) Object.assign(known, entry);
      else this.files.push(entry);
    }
    this.assign();
  }

  remove(entry) {
    this.files = this.files.filter((other) => other !== entry);
    this.assign();
  }

  /** Keys that the layout names itself are its functionaries', unless somebody says otherwise. */
  assign() {
    const layouts = this.files.filter((entry) => entry.role === "layout" && entry.layout);
    const functionaries = new Set(layouts.flatMap((entry) => Object.values(entry.layout.keys ?? {}).map(materialOf)));
    for (const entry of this.files.filter((entry) => entry.keys && !entry.chosen)) {
      const isFunctionary = entry.keys.every((key) => functionaries.has(materialOf(key)));
      entry.role = isFunctionary ? "none" : "owner";
      entry.note = isFunctionary ? "a functionary's key: the layout has it already" : entry.keyNote;
    }
  }

  with(role) {
    return this.files.filter((entry) => entry.role === role);
  }

  /** The request that the files make, with the layout in it where it can be read. Throws what is missing. */
  async request({ now, strict, digest }) {
    const saved = this.with("request");
    if (saved.length > 0) {
      if (saved.length > 1 || this.with("layout").length > 0) throw new Error("There is a saved request and something else to judge: leave one of them out.");
      const text = await saved[0].file.text();
      return { request: text, layout: layoutOfRequest(text), isSaved: true };
    }
    const layouts = this.with("layout");
    if (layouts.length !== 1) throw new Error(layouts.length === 0 ? "Add the signed layout." : "There is more than one layout: leave all but one out.");
    const owners = this.with("owner");
    if (owners.length === 0) throw new Error("Add the public key of the layout's owner: without it nobody says that the layout is to be believed.");
    const unusable = owners.find((entry) => !entry.keys);
    if (unusable) throw new Error(`${harmless(unusable.path)} is no public key that this page can read.`);
    const subjects = [...(digest ? [subjectOf(digest)] : [])];
    for (const entry of this.with("artifact")) {
      if (entry.file.size > ARTIFACT_BYTES) throw new Error(`${harmless(entry.path)} is too large to be hashed here: give its digest instead.`);
      entry.sha256 ??= await hexDigest("SHA-256", await entry.file.arrayBuffer());
      subjects.push({ digests: { sha256: entry.sha256 } });
    }
    const documents = [];
    for (const entry of this.with("image")) {
      if (!entry.image) throw new Error(`${harmless(entry.path)} is no image layout.`);
      const about = entry.about ?? entry.image.images[0]?.digest;
      if (!about) throw new Error(`There is no image in ${harmless(entry.path)}.`);
      documents.push(...(await entry.image.linksAbout(about)));
      subjects.push(subjectOf(about));
    }
    const links = this.with("link");
    const top = commonFolder(links.map((entry) => entry.path));
    for (const entry of links) documents.push({ name: entry.path.slice(top.length), bytes: await bytesOf(entry.file) });
    return {
      request: {
        layout: { bytes: await bytesOf(layouts[0].file) },
        trust: { signed_by: owners.flatMap((entry) => entry.keys) },
        documents,
        // A request that asks about no artifact has no such list: an empty one is a mistake.
        subjects: subjects.length > 0 ? subjects : undefined,
        options: { strict },
        now,
      },
      layout: layouts[0].layout,
      isSaved: false,
    };
  }
}

/** A subject from `sha256:<hex>` or digits alone. */
function subjectOf(text) {
  const [, named, hex] = /^(?:(sha256|sha384|sha512):)?([0-9a-f]+)$/i.exec(text.trim()) ?? [];
  const algorithm = { 64: "sha256", 96: "sha384", 128: "sha512" }[hex?.length];
  if (!algorithm || (named && named.toLowerCase() !== algorithm)) throw new Error("The digest must be sha256:, sha384: or sha512: and its hexadecimal digits.");
  return { digests: { [algorithm]: hex.toLowerCase() } };
}

async function bytesOf(file) {
  if (file.size > METADATA_BYTES) throw new Error(`${harmless(file.name)} is too large for a layout or link.`);
  return new Uint8Array(await file.arrayBuffer());
}

/** The folders that all paths begin with: evidence is named from its own folder. */
function commonFolder(paths) {
  const folders = paths.map((path) => path.split("/").slice(0, -1));
  let common = folders[0] ?? [];
  for (const parts of folders) common = common.slice(0, common.findIndex((part, at) => part !== parts[at]) < 0 ? common.length : common.findIndex((part, at) => part !== parts[at]));
  return common.map((part) => `${part}/`).join("");
}

async function recognised(file, path) {
  const entry = { file, path, role: "artifact" };
  try {
    const image = await readImageLayout(file);
    if (image) return { ...entry, role: "image", image };
    if (path.endsWith(".link")) return { ...entry, role: "link" };
    if (file.size > REQUEST_BYTES) return entry;
    const head = await file.slice(0, 4096).text();
    if (!/^\s*(\{|-----BEGIN )/.test(head)) return path.includes("/") ? { ...entry, role: "none", note: "not recognised" } : entry;
    const text = await file.text();
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    if (json?.layout && json.trust && json.now !== undefined) return { ...entry, role: "request" };
    const payload = payloadOf(json);
    if (payload?._type === "layout") return isSigned(json) ? { ...entry, role: "layout", layout: payload } : { ...entry, role: "none", note: "a layout that nobody signed" };
    if (payload?._type === "link" || /^https:\/\/in-toto\.io\/Statement\//.test(payload?._type)) return { ...entry, role: "link" };
    const keys = keysIn(text, json);
    if (keys.length > 0) {
      const keyNote = keys.map((key) => key.scheme).join(", ");
      return { ...entry, role: "owner", keys, keyNote, note: keyNote };
    }
  } catch (error) {
    return { ...entry, role: "none", note: error.message, isBad: true };
  }
  return path.includes("/") ? { ...entry, role: "none", note: "not recognised" } : entry;
}

function isSigned(json) {
  return Array.isArray(json.signatures) && json.signatures.length > 0;
}

/** What an envelope of either kind holds, as far as the page must know it; the verifier reads it again, and strictly. */
function payloadOf(json) {
  if (typeof json?.payload === "string") {
    try {
      return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(json.payload.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0))));
    } catch {
      return undefined;
    }
  }
  return json?.signed ?? json;
}

function layoutOfRequest(text) {
  try {
    const { layout } = JSON.parse(text);
    const content = layout.text ?? new TextDecoder().decode(Uint8Array.from(atob(layout.base64), (character) => character.charCodeAt(0)));
    return payloadOf(JSON.parse(content));
  } catch {
    return undefined;
  }
}
