// Within Chromium: asks the package, and where it is told to checks signatures by @noble/curves, which answers at once.

import { ed25519 } from "@noble/curves/ed25519.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { verify } from "/verifier/dist/index.js";

const CURVES = { "ecdsa-sha2-nistp256": [p256, 65], "ecdsa-sha2-nistp384": [p384, 97], "ecdsa-sha2-nistp521": [p521, 133] };

/** `valid`, or left to the verifier. The point is the end of the SubjectPublicKeyInfo. RSA is not handled. */
function check({ scheme, spki }, message, signature) {
  try {
    if (scheme === "ed25519") return ed25519.verify(signature, message, spki.subarray(-32), { zip215: false }) || undefined;
    const [curve, length] = CURVES[scheme] ?? [];
    return curve?.verify(signature, message, spki.subarray(-length), { format: "der", lowS: false }) || undefined;
  } catch {
    return undefined;
  }
}

const options = (isChecking) => (isChecking ? { check } : {});

/** The answer to the request at an address. */
globalThis.judge = async (address, isChecking) => {
  const request = await (await fetch(address, { cache: "no-store" })).text();
  return verify(request, options(isChecking)).json;
};

/** The median of so many rounds, in microseconds. */
globalThis.timed = (request, rounds, isChecking) => {
  const taken = [];
  for (let round = -3; round < rounds; round += 1) {
    const begin = performance.now();
    verify(request, options(isChecking));
    if (round >= 0) taken.push((performance.now() - begin) * 1000);
  }
  return taken.sort((one, other) => one - other)[taken.length >> 1];
};
globalThis.ready = true;
