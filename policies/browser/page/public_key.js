// Public keys as tools write them: PEM with a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7), or securesystemslib's JSON.

/** Algorithms by their object identifier, and curves by theirs, in DER. */
const ED25519 = "06032b6570";
const RSA = "06092a864886f70d010101";
const EC = "06072a8648ce3d0201";
const CURVES = { "06082a8648ce3d030107": "nistp256", "06052b81040022": "nistp384", "06052b81040023": "nistp521" };

/** The keys in a file, as a request has them; none if there is none. Throws where a key cannot be used. */
export function keysIn(text, json) {
  if (/-----BEGIN (\w+ )*PRIVATE KEY-----/.test(text)) throw new Error("this is a private key: nobody but its owner should have it, and it is not read here");
  const pems = text.match(/-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----/g);
  if (pems) return pems.map(fromPem);
  if (json?.keytype && json.keyval) return [fromJson(json)];
  // What `linkgate key show --json` prints of several keys: an object of them by keyid.
  const listed = json && typeof json === "object" && !Array.isArray(json) ? Object.values(json) : [];
  return listed.length > 0 && listed.every((key) => key?.keytype && key?.keyval) ? listed.map(fromJson) : [];
}

/** A key's material, to see whether two are the same. */
export function materialOf(key) {
  return String(key?.keyval?.public ?? "").replace(/\s/g, "");
}

function fromJson(key) {
  if (key.keyval.private) throw new Error("this file holds a private key: nobody but its owner should have it, and it is not used here");
  const { keyid, keytype, scheme, keyval } = key;
  return { ...(keyid === undefined ? {} : { keyid }), keytype, scheme, keyval: { public: keyval.public } };
}

function fromPem(pem) {
  let der;
  try {
    der = Uint8Array.from(atob(pem.replace(/-----[^-]+-----|\s/g, "")), (character) => character.charCodeAt(0));
  } catch {
    throw new Error("the PEM is not base64");
  }
  const hex = Array.from(der, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const whole = inside(hex, "30");
  const algorithm = inside(whole.content, "30").content;
  const bits = inside(inside(whole.content, "30").rest, "03");
  if (whole.rest || bits.rest) throw new Error("the public key has more after it");
  const pemLines = `${pem.trim()}\n`;
  if (algorithm === ED25519) {
    if (bits.content.length !== 66) throw new Error("an ed25519 key has 32 bytes");
    return { keytype: "ed25519", scheme: "ed25519", keyval: { public: bits.content.slice(2) } };
  }
  if (algorithm.startsWith(RSA)) return { keytype: "rsa", scheme: "rsassa-pss-sha256", keyval: { public: pemLines } };
  const curve = algorithm.startsWith(EC) ? CURVES[algorithm.slice(EC.length)] : undefined;
  if (curve) return { keytype: "ecdsa", scheme: `ecdsa-sha2-${curve}`, keyval: { public: pemLines } };
  throw new Error("the public key is neither Ed25519, ECDSA on P-256, P-384 or P-521, nor RSA");
}

/** The content of the DER value that hexadecimal digits begin with, and what comes after it. */
function inside(hex, tag) {
  let at = 4;
  let length = parseInt(hex.slice(2, 4), 16);
  if (length > 128) {
    const digits = (length - 128) * 2;
    if (digits > 8) length = NaN;
    else {
      length = parseInt(hex.slice(4, 4 + digits), 16);
      at += digits;
    }
  }
  if (!hex.startsWith(tag) || !(at + length * 2 <= hex.length)) throw new Error("the public key is no SubjectPublicKeyInfo");
  return { content: hex.slice(at, at + length * 2), rest: hex.slice(at + length * 2) };
}
