// What comes in: a request's JSON form (`wit/request.schema.json`), as text or as objects, as the component's types.
//
// Whoever hands it over may be an attacker, and may hand over anything: each member is read once, what is not described is
// an error, and whatever throws is the caller's to catch.

import { isText, read } from "./json.js";

/** Items of a list: more than any of the verifier's own bounds, which then say which of them was met. */
const ITEMS = 1_000_000;

const WHOLE = [-(2n ** 63n), 2n ** 63n - 1n];

/** Why a value is no request. */
export class RequestError extends Error {}

const fail = (place, what) => {
  throw new RequestError(`${place}: ${what}`);
};

/** A request as the component takes it. */
export function question(request) {
  const given = typeof request === "string" ? parsed(request) : request;
  const members = object("request", given, ["layout", "trust", "documents", "inspections", "parameters", "subjects", "options", "now"]);
  return {
    layout: content("layout", object("layout", members.layout, CONTENT)),
    trust: trust(members.trust),
    documents: absent(members.documents, [], (value) => list("documents", value, document)),
    inspections: absent(members.inspections, [], (value) => list("inspections", value, inspection)),
    parameters: absent(members.parameters, [], (value) => pairs("parameters", value, "name")),
    subjects: absent(members.subjects, [], subjects),
    options: absent(members.options, { strict: false, subjectSteps: [], summaryLink: false }, options),
    now: whole("now", members.now),
  };
}

function parsed(request) {
  try {
    return read(request);
  } catch (error) {
    throw new RequestError(error instanceof RangeError ? "the text is too large" : error.message);
  }
}

const CONTENT = ["text", "base64", "bytes"];

function trust(value) {
  const members = object("trust", value, ["signed_by", "asserted"]);
  const given = Object.keys(members);
  if (given.length !== 1) fail("trust", "exactly one of `signed_by` and `asserted` must be given");
  return given[0] === "signed_by"
    ? { tag: "signed-by", val: list("trust.signed_by", members.signed_by, key) }
    : { tag: "asserted", val: list("trust.asserted", members.asserted, namedKey) };
}

function key(place, value) {
  const members = object(place, value, ["keyid", "keytype", "scheme", "keyval", "keyid_hash_algorithms"]);
  // Other members of `keyval` are ignored: tools write `private` and `certificate` there.
  const keyval = object(`${place}.keyval`, members.keyval, null);
  return {
    keyid: text(`${place}.keyid`, members.keyid ?? undefined, true),
    keytype: text(`${place}.keytype`, members.keytype),
    scheme: text(`${place}.scheme`, members.scheme),
    public: text(`${place}.keyval.public`, keyval.public),
  };
}

function namedKey(place, value) {
  const members = object(place, value, ["label", "key"]);
  return { label: text(`${place}.label`, members.label), key: key(`${place}.key`, members.key) };
}

function document(place, value) {
  const members = object(place, value, ["name", ...CONTENT]);
  return { name: text(`${place}.name`, members.name), content: content(place, members) };
}

function inspection(place, value) {
  const members = object(place, value, ["at", "name", ...CONTENT]);
  return {
    at: members.at === null ? [] : absent(members.at, [], (at) => list(`${place}.at`, at, text)),
    name: text(`${place}.name`, members.name),
    content: content(place, members),
  };
}

function subjects(value) {
  const items = list("subjects", value, subject);
  if (items.length === 0) fail("subjects", "it names no artifact: leave it out to ask about none");
  return items;
}

function subject(place, value) {
  const members = object(place, value, ["name", "digests"]);
  return {
    name: text(`${place}.name`, members.name ?? undefined, true),
    digests: pairs(`${place}.digests`, members.digests, "algorithm"),
  };
}

function options(value) {
  const members = object("options", value, ["strict", "subject_steps", "summary_link"]);
  return {
    strict: flag("options.strict", members.strict),
    subjectSteps: absent(members.subject_steps, [], (steps) => list("options.subject_steps", steps, text)),
    summaryLink: flag("options.summary_link", members.summary_link),
  };
}

function absent(value, otherwise, convert) {
  return value === undefined ? otherwise : convert(value);
}

/** An object's members that are given; `known` null: any may be there. */
function object(place, value, known) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail(place, `expected an object, got ${kind(value)}`);
  const members = Object.create(null);
  for (const name of Reflect.ownKeys(value)) {
    if (typeof name === "symbol" || (known && !known.includes(name))) {
      if (known) fail(place, `unknown member \`${shown(String(name))}\``);
      continue;
    }
    const member = value[name];
    if (member !== undefined) members[name] = member;
  }
  return members;
}

function list(place, value, convert) {
  if (!Array.isArray(value)) fail(place, `expected an array, got ${kind(value)}`);
  const length = value.length;
  if (!(length <= ITEMS)) fail(place, `more than ${ITEMS} items`);
  const items = [];
  // An item that is missing is nothing, and not what the arrays' prototype has in its place.
  for (let at = 0; at < length; at += 1) items.push(convert(`${place}[${at}]`, Object.hasOwn(value, at) ? value[at] : undefined));
  return items;
}

function pairs(place, value, called) {
  const members = object(place, value, null);
  return Object.keys(members).map((name) => {
    if (!isText(name)) fail(place, "half a surrogate pair in a name");
    return { [called]: name, value: text(`${place}.${shown(name)}`, members[name]) };
  });
}

function text(place, value, optional = false) {
  if (optional && value === undefined) return undefined;
  if (typeof value !== "string") fail(place, `expected a string, got ${kind(value)}`);
  if (!isText(value)) fail(place, "half a surrogate pair in a string");
  return value;
}

function flag(place, value) {
  if (value !== undefined && typeof value !== "boolean") fail(place, `expected true or false, got ${kind(value)}`);
  return value === true;
}

function whole(place, value) {
  const exact = typeof value === "number" && Number.isSafeInteger(value) && !Object.is(value, -0) ? BigInt(value) : value;
  if (typeof exact !== "bigint" || exact < WHOLE[0] || exact > WHOLE[1]) {
    fail(place, `expected a whole number of 64 bits (a BigInt, where a number would be rounded), got ${kind(value)}`);
  }
  return exact;
}

const encoder = new TextEncoder();

function content(place, members) {
  const forms = CONTENT.filter((form) => (members[form] ?? undefined) !== undefined);
  if (forms.length !== 1) fail(place, "exactly one of `text`, `base64` and `bytes` must be given");
  if (forms[0] === "text") return encoder.encode(text(`${place}.text`, members.text));
  if (forms[0] === "base64") return base64(`${place}.base64`, text(`${place}.base64`, members.base64));
  return bytes(`${place}.bytes`, members.bytes);
}

const TYPED = Object.getPrototypeOf(Uint8Array.prototype);
const kindOfArray = Object.getOwnPropertyDescriptor(TYPED, Symbol.toStringTag).get;
const lengthOfArray = Object.getOwnPropertyDescriptor(TYPED, "length").get;

/** A copy: what is judged must not change meanwhile, and a subclass may lie about its length. */
function bytes(place, value) {
  if (kindOfArray.call(value) !== "Uint8Array") fail(place, `expected a Uint8Array, got ${kind(value)}`);
  const copy = new Uint8Array(lengthOfArray.call(value));
  copy.set(value);
  return copy;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Standard or URL-safe base64, padded, no bit to spare: each content has one text in either alphabet. */
function base64(place, value) {
  const url = /[-_]/.test(value);
  const alphabet = DIGITS + (url ? "-_" : "+/");
  const values = new Uint8Array(128).fill(255);
  for (let at = 0; at < 64; at += 1) values[alphabet.charCodeAt(at)] = at;
  const padding = value.endsWith("==") ? 2 : value.endsWith("=") ? 1 : 0;
  const wrong = () => fail(place, "not padded base64");
  if (value.length % 4 !== 0) wrong();
  const decoded = new Uint8Array((value.length / 4) * 3 - padding);
  let bits = 0;
  let to = 0;
  for (let at = 0; at < value.length - padding; at += 1) {
    const digit = values[value.charCodeAt(at)] ?? 255;
    if (digit === 255) wrong();
    bits = ((bits << 6) | digit) & 0xffffff;
    if (at % 4 === 3) {
      decoded[to++] = bits >> 16;
      decoded[to++] = (bits >> 8) & 255;
      decoded[to++] = bits & 255;
    }
  }
  if (padding === 1) {
    if (bits & 3) wrong();
    decoded[to++] = (bits >> 10) & 255;
    decoded[to++] = (bits >> 2) & 255;
  } else if (padding === 2) {
    if (bits & 15) wrong();
    decoded[to++] = (bits >> 4) & 255;
  }
  return decoded;
}

function kind(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return value === undefined ? "nothing" : `a value of type ${typeof value}`;
}

function shown(name) {
  return name.length > 80 ? `${name.slice(0, 80).replace(/[\ud800-\udbff]$/, "")}…` : name;
}
