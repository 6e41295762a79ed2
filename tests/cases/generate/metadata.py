"""Keys, envelopes and metadata for the cases, written from the specification.

Nothing here comes from an in-toto library: what makes the cases must be able to disagree with
what verifies them. Everything is a function of its arguments: keys are derived from labels (RSA
keys are read from `keys/`), ECDSA nonces and PSS salts are derived from the message, so that a
regeneration changes no byte.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Callable

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

Json = Any
KEYS = Path(__file__).parent / "keys"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def canonical(value: Json) -> bytes:
    """OLPC canonical JSON: keys by code point, no white space, only `\\` and `"` escaped."""

    def write(item: Json) -> str:
        if item is True:
            return "true"
        if item is False:
            return "false"
        if item is None:
            return "null"
        if isinstance(item, int):
            return str(item)
        if isinstance(item, str):
            return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if isinstance(item, list):
            return "[" + ",".join(write(part) for part in item) + "]"
        if isinstance(item, dict):
            return "{" + ",".join(f"{write(k)}:{write(item[k])}" for k in sorted(item)) + "}"
        raise TypeError(f"canonical JSON has no {type(item).__name__}")

    return write(value).encode()


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


# --- keys


@dataclass(frozen=True)
class Key:
    """A key pair, its in-toto form, and the keyid under which it signs."""

    label: str
    keytype: str
    scheme: str
    public: str
    signer: Callable[[bytes], bytes]
    declared: str | None = None

    @property
    def keyid(self) -> str:
        """The declared keyid, or the one that today's formula gives."""
        return self.declared or self.formula()

    def formula(self) -> str:
        """SHA-256 of the key's three members, its PEM as SPKI with a final newline."""
        public = self.public.strip() + "\n" if self.public.startswith("-----") else self.public
        return self._digest({}, public)

    def old_formula(self) -> str:
        """The older keyid: with `keyid_hash_algorithms`, the PEM stripped."""
        return self._digest({"keyid_hash_algorithms": ["sha256", "sha512"]}, self.public.strip())

    def _digest(self, extra: dict[str, Json], public: str) -> str:
        value = {"keytype": self.keytype, "scheme": self.scheme, "keyval": {"public": public}}
        return hashlib.sha256(canonical(value | extra)).hexdigest()

    def object(self, **extra: Json) -> dict[str, Json]:
        """The key object of a layout or of a request."""
        return {
            "keyid": self.keyid,
            "keytype": self.keytype,
            "scheme": self.scheme,
            "keyval": {"public": self.public},
        } | extra

    def named(self, keyid: str) -> Key:
        """The same key under another keyid."""
        return replace(self, declared=keyid)

    def old(self) -> Key:
        """The same key under its older keyid."""
        return self.named(self.old_formula())

    def typed(self, keytype: str | None = None, scheme: str | None = None) -> Key:
        """The same material called something else."""
        return replace(self, keytype=keytype or self.keytype, scheme=scheme or self.scheme)

    def sign(self, message: bytes) -> bytes:
        return self.signer(message)


def ed(label: str) -> Key:
    """The ed25519 key whose seed is the label's SHA-256."""
    private = ed25519.Ed25519PrivateKey.from_private_bytes(ed_seed(label))
    public = private.public_key().public_bytes_raw().hex()
    return Key(label, "ed25519", "ed25519", public, private.sign)


def ed_seed(label: str) -> bytes:
    return hashlib.sha256(f"linkgate test key {label}".encode()).digest()


def ed_spki(key: Key) -> str:
    """The PEM of an ed25519 key, which in-toto metadata holds as hex."""
    algorithm = der(0x30, bytes.fromhex("06032b6570"))
    return pem("PUBLIC KEY", der(0x30, algorithm, der(3, b"\0", bytes.fromhex(key.public))))


ED_ORDER = 2**252 + 27742317777372353535851937790883648493


def ed_scalar(label: str) -> int:
    """The clamped secret scalar of `ed(label)`."""
    raw = bytearray(hashlib.sha512(ed_seed(label)).digest()[:32])
    raw[0] &= 248
    raw[31] = raw[31] & 127 | 64
    return int.from_bytes(raw, "little")


CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm, str]] = {
    "p256": (ec.SECP256R1(), hashes.SHA256(), "ecdsa-sha2-nistp256"),
    "p384": (ec.SECP384R1(), hashes.SHA384(), "ecdsa-sha2-nistp384"),
    "p521": (ec.SECP521R1(), hashes.SHA512(), "ecdsa-sha2-nistp521"),
    "p224": (ec.SECP224R1(), hashes.SHA256(), "ecdsa-sha2-nistp224"),
    "secp256k1": (ec.SECP256K1(), hashes.SHA256(), "ecdsa-sha2-secp256k1"),
}


def ecdsa(label: str, curve: str, digest: hashes.HashAlgorithm | None = None) -> Key:
    """The ECDSA key whose secret is derived from the label, under keytype `ecdsa`."""
    kind, default, scheme = CURVES[curve]
    raw = hashlib.shake_256(f"linkgate test key {label} {curve}".encode()).digest(80)
    private = ec.derive_private_key(int.from_bytes(raw, "big") >> (641 - kind.key_size), kind)
    algorithm = ec.ECDSA(digest or default, deterministic_signing=True)
    return Key(label, "ecdsa", scheme, spki(private), lambda m: private.sign(m, algorithm))


def spki(private: Json) -> str:
    return (
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def der_integer_pair(signature: bytes) -> tuple[int, int]:
    return utils.decode_dss_signature(signature)


# --- RSA, by hand: salts and exponents that libraries refuse to make


@dataclass(frozen=True)
class RsaSecret:
    primes: tuple[int, ...]
    e: int

    @property
    def n(self) -> int:
        return math.prod(self.primes)

    @property
    def size(self) -> int:
        return (self.n.bit_length() + 7) // 8

    def raise_(self, block: bytes) -> bytes:
        value, result, product = int.from_bytes(block, "big"), 0, 1
        for prime in self.primes:  # by the Chinese remainder theorem, prime by prime
            part = pow(value, pow(self.e, -1, prime - 1), prime)
            result += product * ((part - result) * pow(product, -1, prime) % prime)
            product *= prime
        return result.to_bytes(self.size, "big")


@cache
def rsa_primes(stem: str) -> tuple[int, int, int]:
    pem = (KEYS / f"{stem}.pem").read_bytes()
    numbers = serialization.load_pem_private_key(pem, None).private_numbers()
    return numbers.p, numbers.q, numbers.public_numbers.e


def rsa_secret(*stems: str, e: int | None = None, extra: tuple[int, ...] = ()) -> RsaSecret:
    """The key of all the named keys' primes together (RSA with more than two primes)."""
    primes = [prime for stem in stems for prime in rsa_primes(stem)[:2]] + list(extra)
    exponent = rsa_primes(stems[0])[2] if e is None else e
    return RsaSecret(tuple(primes), exponent)


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 128 | len(size)]) + size + body


def der_integer(value: int) -> bytes:
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def pem(label: str, body: bytes) -> str:
    text = base64.b64encode(body).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def rsa_spki(secret: RsaSecret) -> str:
    key = der(0x30, der_integer(secret.n), der_integer(secret.e))
    algorithm = der(0x30, bytes.fromhex("06092a864886f70d010101"), der(5))
    return pem("PUBLIC KEY", der(0x30, algorithm, der(3, b"\0", key)))


def pss(secret: RsaSecret, digest: str, salt_length: int, message: bytes) -> bytes:
    """EMSA-PSS of RFC 8017 9.1.1, MGF1 over the same digest, the salt derived from the message."""
    bits = secret.n.bit_length() - 1
    length = (bits + 7) // 8
    hashed = hashlib.new(digest, message).digest()
    salt = hashlib.shake_256(b"salt" + message).digest(salt_length)
    inner = hashlib.new(digest, bytes(8) + hashed + salt).digest()
    padding = bytes(length - salt_length - len(hashed) - 2)
    block = padding + b"\1" + salt
    mask = b"".join(
        hashlib.new(digest, inner + i.to_bytes(4, "big")).digest()
        for i in range(len(block) // len(inner) + 1)
    )
    masked = bytearray(a ^ b for a, b in zip(block, mask))
    masked[0] &= 0xFF >> (8 * length - bits)
    return secret.raise_(bytes(masked) + inner + b"\xbc")


def pss_salt_max(secret: RsaSecret, digest: str) -> int:
    return (secret.n.bit_length() + 6) // 8 - hashlib.new(digest).digest_size - 2


DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def pkcs1v15(secret: RsaSecret, digest: str, message: bytes) -> bytes:
    info = DIGEST_INFO[digest] + hashlib.new(digest, message).digest()
    return secret.raise_(b"\0\1" + b"\xff" * (secret.size - len(info) - 3) + b"\0" + info)


def rsa(
    label: str,
    secret: RsaSecret,
    scheme: str = "rsassa-pss-sha256",
    salt: int | None = None,
    signs: str | None = None,
) -> Key:
    """An RSA key that signs as `signs` says (its own scheme unless given) with `salt` bytes."""
    kind, digest = (signs or scheme).rsplit("-", 1)
    size = hashlib.new(digest).digest_size if salt is None else salt
    if kind == "rsassa-pss":
        signer = lambda message: pss(secret, digest, size, message)
    else:
        signer = lambda message: pkcs1v15(secret, digest, message)
    return Key(label, "rsa", scheme, rsa_spki(secret), signer)


# --- envelopes

Signer = Key | dict[str, Json]


def text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def metablock(signed: Json, *signers: Signer) -> str:
    """A Metablock; a signer that is an object stands as the signature."""
    message = canonical(signed)
    signatures = [
        {"keyid": s.keyid, "sig": s.sign(message).hex()} if isinstance(s, Key) else s
        for s in signers
    ]
    return text({"signed": signed, "signatures": signatures})


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def dsse(
    payload: Json,
    *signers: Signer,
    payload_type: str = PAYLOAD_TYPE,
    encode: Callable[[bytes], str] = b64,
) -> str:
    """A DSSE envelope; a payload of bytes or text stands as it is."""
    body = payload if isinstance(payload, bytes) else None
    body = payload.encode() if isinstance(payload, str) else body
    body = text(payload).encode() if body is None else body
    message = pae(payload_type, body)
    signatures = [
        {"keyid": s.keyid, "sig": encode(s.sign(message))} if isinstance(s, Key) else s
        for s in signers
    ]
    return text({"payload": encode(body), "payloadType": payload_type, "signatures": signatures})


Envelope = Callable[..., str]
ENVELOPES: dict[str, Envelope] = {"metablock": metablock, "dsse": dsse}


# --- metadata


def layout(
    steps: list[Json],
    keys: list[Key] | dict[str, Json],
    inspect: list[Json] | None = None,
    expires: Json = "2040-01-01T00:00:00Z",
    **extra: Json,
) -> dict[str, Json]:
    """A layout; of an extra member whose value is `...` nothing remains."""
    value = {
        "_type": "layout",
        "steps": steps,
        "inspect": inspect or [],
        "keys": keys if isinstance(keys, dict) else {key.keyid: key.object() for key in keys},
        "expires": expires,
        "readme": "",
    }
    return without_blanks(value | extra)


def step(
    name: str,
    signers: list[Key | str] | Key,
    materials: list[Json] | None = None,
    products: list[Json] | None = None,
    threshold: Json = 1,
    command: Json = None,
    **extra: Json,
) -> dict[str, Json]:
    signers = [signers] if isinstance(signers, Key) else signers
    value = {
        "_type": "step",
        "name": name,
        "pubkeys": [s.keyid if isinstance(s, Key) else s for s in signers],
        "threshold": threshold,
        "expected_command": [] if command is None else command,
        "expected_materials": materials or [],
        "expected_products": products or [],
    }
    return without_blanks(value | extra)


def inspection(
    name: str,
    run: list[str],
    materials: list[Json] | None = None,
    products: list[Json] | None = None,
    **extra: Json,
) -> dict[str, Json]:
    value = {
        "_type": "inspection",
        "name": name,
        "run": run,
        "expected_materials": materials or [],
        "expected_products": products or [],
    }
    return without_blanks(value | extra)


def link(
    name: str,
    materials: Json = None,
    products: Json = None,
    command: Json = None,
    byproducts: Json = None,
    **extra: Json,
) -> dict[str, Json]:
    value = {
        "_type": "link",
        "name": name,
        "materials": {} if materials is None else materials,
        "products": {} if products is None else products,
        "command": [] if command is None else command,
        "byproducts": {"return-value": 0} if byproducts is None else byproducts,
        "environment": {},
    }
    return without_blanks(value | extra)


def changed(value: dict[str, Json], **members: Json) -> dict[str, Json]:
    """The value with these members instead; those that are `...` are gone."""
    return without_blanks(value | members)


def without_blanks(value: dict[str, Json]) -> dict[str, Json]:
    return {name: item for name, item in value.items() if item is not ...}


def digest(content: str) -> dict[str, str]:
    """The digest map of a file with this content."""
    return {"sha256": hashlib.sha256(content.encode()).hexdigest()}


def files(*names: str, **contents: str) -> dict[str, Json]:
    """Artifacts: those named alone hold their own name."""
    return {name: digest(name) for name in names} | {n: digest(c) for n, c in contents.items()}


def file_name(step_name: str, key: Key) -> str:
    return f"{step_name}.{key.keyid[:8]}.link"
