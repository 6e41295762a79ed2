"""Cases of the keys: every family in both envelopes, both keyids, and what no key may be (rules 7 and 8)."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from corpus import Corpus, named, request
from metadata import (
    ED_ORDER,
    ENVELOPES,
    Key,
    canonical,
    der,
    der_integer_pair,
    ecdsa,
    ed,
    ed_scalar,
    ed_seed,
    files,
    layout,
    link,
    metablock,
    pem,
    pss_salt_max,
    rsa,
    rsa_secret,
    rsa_spki,
    step,
    text,
)

OWNER, ALICE = ed("owner"), ed("alice")
BUILD = link("build", products=files("app"))
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def families() -> Iterator[tuple[str, Key]]:
    yield "ed25519", ed("alice")
    for curve in ("p256", "p384", "p521"):
        key = ecdsa("alice", curve)
        yield f"ecdsa-{curve}", key
        yield f"ecdsa-{curve}-scheme-as-keytype", key.typed(keytype=key.scheme)
    for bits in (2048, 3072, 4096):
        secret = rsa_secret(f"rsa-{bits}")
        for digest in ("sha256", "sha384", "sha512"):
            yield f"rsa-{bits}-pss-{digest}", rsa("alice", secret, f"rsassa-pss-{digest}")
            if bits != 3072:
                yield f"rsa-{bits}-pkcs1v15-{digest}", rsa("alice", secret, f"rsa-pkcs1v15-{digest}")


def signed_by(key: Key, *extra: Key, threshold: int = 1, documents=None, **rest) -> dict:
    """An ed25519 owner's layout with one step `build` by these keys, and a link by the first."""
    value = layout([step("build", [key, *extra], threshold=threshold)], [key, *extra])
    documents = named(("build", key, metablock(BUILD, key))) if documents is None else documents
    return request(metablock(value, OWNER), documents, OWNER, **rest)


def without_keyid(key: Key) -> dict:
    value = key.object()
    del value["keyid"]
    return value


def every_family(c: Corpus) -> None:
    for family, key in families():
        for form, sign in ENVELOPES.items():
            value = layout([step("build", key.old())], [key.old()])
            c.add(
                f"key/{family}-{form}",
                "Rules 7 and 8: the family signs a layout under today's keyid (the request names none) and a link under the older one.",
                request(
                    sign(value, key),
                    named(("build", key.old(), sign(BUILD, key.old()))),
                    {"signed_by": [without_keyid(key)]},
                ),
                "accept",
            )
            c.add(
                f"key/{family}-{form}-old-keyid-owner",
                "Rule 8: an owner's key without a declared keyid is recognised by the older formula too.",
                request(
                    sign(layout([step("build", key)], [key]), key.old()),
                    named(("build", key, sign(BUILD, key))),
                    {"signed_by": [without_keyid(key)]},
                ),
                "accept",
            )
            other = sign(link("build", products=files(app="another")), key)
            tampered = json.loads(sign(BUILD, key)) | {"signatures": json.loads(other)["signatures"]}
            c.add(
                f"key/{family}-{form}-tampered",
                "Rule 7: a signature over another content is invalid.",
                signed_by(key, documents=named(("build", key, text(tampered)))),
                "reject",
                "threshold-not-met",
                warnings=["signature-invalid"],
            )


def salts(c: Corpus) -> None:
    for bits in (2048, 3072):
        secret = rsa_secret(f"rsa-{bits}")
        for digest in ("sha256", "sha384", "sha512"):
            longest = pss_salt_max(secret, digest)
            for name, salt in {"0": 0, "1": 1, "20": 20, "33": 33, "64": 64, "longest": longest}.items():
                if digest != "sha256" and name not in ("0", "longest"):
                    continue
                c.add(
                    f"key/rsa-{bits}-pss-{digest}-salt-{name}",
                    "Rule 7: a PSS salt may have any length.",
                    signed_by(rsa("alice", secret, f"rsassa-pss-{digest}", salt=salt)),
                    "accept",
                    adversarial=44,
                )


def schemes(c: Corpus) -> None:
    secret = rsa_secret("rsa-2048")
    about = "Rule 7: the scheme is bound to the key: a signature in another scheme by the same key is invalid."
    for fault, scheme, signs in (
        ("pkcs1v15-signature-by-a-pss-key", "rsassa-pss-sha256", "rsa-pkcs1v15-sha256"),
        ("pss-signature-by-a-pkcs1v15-key", "rsa-pkcs1v15-sha256", "rsassa-pss-sha256"),
        ("pss-sha512-signature-by-a-pss-sha256-key", "rsassa-pss-sha256", "rsassa-pss-sha512"),
        ("pss-sha256-signature-by-a-pss-sha512-key", "rsassa-pss-sha512", "rsassa-pss-sha256"),
        ("pkcs1v15-sha512-signature-by-a-sha256-key", "rsa-pkcs1v15-sha256", "rsa-pkcs1v15-sha512"),
    ):
        key = rsa("alice", secret, scheme, signs=signs)
        c.add(f"key/{fault}", about, signed_by(key), "reject", "threshold-not-met", warnings=["signature-invalid"])
        document = json.loads(metablock(BUILD, key))
        document["signatures"][0] |= {"scheme": signs, "method": signs, "keytype": "rsa"}
        c.add(
            f"key/{fault}-that-says-so",
            "Rule 7: nothing in a signature can change the scheme.",
            signed_by(key, documents=named(("build", key, text(document)))),
            "reject",
            "threshold-not-met",
            warnings=["signature-invalid"],
        )
    for curve, digest in (("p256", hashes.SHA512()), ("p384", hashes.SHA256()), ("p521", hashes.SHA384())):
        c.add(
            f"key/ecdsa-{curve}-over-another-digest",
            "Rule 7: an ECDSA scheme names its digest.",
            signed_by(ecdsa("alice", curve, digest)),
            "reject",
            "threshold-not-met",
            warnings=["signature-invalid"],
        )


def signatures(c: Corpus) -> None:
    def invalid(fault: str, about: str, key: Key, signature: bytes, number: int | None = None) -> None:
        document = metablock(BUILD, {"keyid": key.keyid, "sig": signature.hex()})
        c.add(
            f"signature/{fault}",
            about,
            signed_by(key, documents=named(("build", key, document))),
            "reject",
            "threshold-not-met",
            warnings=["signature-invalid"],
            adversarial=number,
        )

    message = canonical(BUILD)
    good = ALICE.sign(message)
    scalar = int.from_bytes(good[32:], "little")
    strict = "Rule 7: ed25519 verification is strict: S is canonical, and neither A nor R has small order."
    invalid("ed25519-s-not-canonical", strict, ALICE, good[:32] + (scalar + ED_ORDER).to_bytes(32, "little"), 44)
    # R = identity and S = k a: the equation without a cofactor holds.
    for fault, r in {"identity": bytes([1]) + bytes(31), "identity-not-canonical": (2**255 - 18).to_bytes(32, "little")}.items():
        k = int.from_bytes(hashlib.sha512(r + bytes.fromhex(ALICE.public) + message).digest(), "little")
        s = k * ed_scalar("alice") % ED_ORDER
        invalid(f"ed25519-r-{fault}", strict, ALICE, r + s.to_bytes(32, "little"), 44)
    for fault, a in {
        "identity": bytes([1]) + bytes(31),
        "identity-not-canonical": (2**255 - 18).to_bytes(32, "little"),
        "identity-negative": bytes([1]) + bytes(30) + b"\x80",
    }.items():
        key = Key("small", "ed25519", "ed25519", a.hex(), lambda _: bytes([1]) + bytes(63))
        c.add(
            f"signature/ed25519-a-{fault}",
            strict + " Under such a key one signature fits every message.",
            signed_by(key),
            "reject",
            "threshold-not-met",
            adversarial=44,
        )
        c.add(
            f"signature/ed25519-a-{fault}-as-owner",
            strict + " As an owner's key it makes no layout trusted.",
            request(metablock(layout([], []), key), {}, key),
            "undecided",
            "trusted-key-unusable",
            adversarial=44,
        )
    invalid("ed25519-short", "Rule 7: a signature has its scheme's length.", ALICE, good[:63])
    invalid("ed25519-long", "Rule 7: a signature has its scheme's length.", ALICE, good + b"\0")
    invalid("empty", "Rule 7: an empty signature is none.", ALICE, b"")
    key = ecdsa("alice", "p256")
    r, s = der_integer_pair(key.sign(message))
    about = "Rule 7: ECDSA signatures are DER."
    invalid("ecdsa-raw", about, key, r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    invalid("ecdsa-bytes-after", about, key, key.sign(message) + b"\0")
    padded = der(0x30, der(2, b"\0" * 3 + r.to_bytes(32, "big")), der(2, b"\0" * 3 + s.to_bytes(32, "big")))
    invalid("ecdsa-integers-not-minimal", about, key, padded)
    invalid("ecdsa-zeros", "Rule 7: r and s are within the order.", key, encode_dss_signature(0, 0))
    invalid("ecdsa-s-beyond-the-order", "Rule 7: r and s are within the order.", key, encode_dss_signature(r, s + P256_ORDER))
    document = metablock(BUILD, {"keyid": key.keyid, "sig": encode_dss_signature(r, P256_ORDER - s).hex()})
    c.add(
        "signature/ecdsa-other-s",
        "Rule 7: the other of the two values of s is as good: nothing rests on a signature's bytes being unique.",
        signed_by(key, documents=named(("build", key, document))),
        "accept",
    )
    secret = rsa_secret("rsa-2048")
    key = rsa("alice", secret)
    good = key.sign(message)
    about = "Rule 7: an RSA signature is as long as the modulus, and below it."
    invalid("rsa-zero-before", about, key, b"\0" + good)
    invalid("rsa-plus-modulus", about, key, (int.from_bytes(good, "big") + secret.n).to_bytes(257, "big"))
    for value in (0, 1):
        invalid(f"rsa-{value}", "Rule 7: a power that is no padding is invalid.", key, value.to_bytes(256, "big"))
    odd_hex = metablock(BUILD, {"keyid": ALICE.keyid, "sig": ALICE.sign(message).hex()[:-1]})
    c.add(
        "signature/odd-hex",
        "Rule 11: a signature that is no hex does not verify.",
        signed_by(ALICE, documents=named(("build", ALICE, odd_hex))),
        "reject",
        "threshold-not-met",
    )


def unusable(c: Corpus) -> None:
    small = [
        ("rsa-1024", rsa("k", rsa_secret("rsa-1024"))),
        ("rsa-2040", rsa("k", rsa_secret("rsa-2040"))),
        ("rsa-exponent-3", rsa("k", rsa_secret("rsa-2048-e3"))),
        ("rsa-exponent-1", rsa("k", rsa_secret("rsa-2048", e=1))),
        ("rsa-exponent-above-32-bits", rsa("k", rsa_secret("rsa-2048", e=2**32 + 15))),
        ("rsa-beyond-8192-bits", rsa("k", rsa_secret("rsa-4096", "rsa-4096-b", extra=(2**521 - 1,)))),
        ("p224", ecdsa("k", "p224")),
        ("secp256k1", ecdsa("k", "secp256k1")),
        ("secp256k1-as-p256", ecdsa("k", "secp256k1").typed(scheme="ecdsa-sha2-nistp256")),
        ("p384-as-p256", ecdsa("k", "p384", hashes.SHA256()).typed(scheme="ecdsa-sha2-nistp256")),
        ("p256-as-p384", ecdsa("k", "p256", hashes.SHA384()).typed(scheme="ecdsa-sha2-nistp384")),
        ("ed25519-31-bytes", replace(ed("k"), public=ed("k").public[:-2])),
        ("ed25519-not-on-the-curve", replace(ed("k"), public="02" + "00" * 31)),
        ("pem-broken", replace(ecdsa("k", "p256"), public="-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")),
        ("scheme-unknown", ed("k").typed(scheme="ed448")),
        ("rsa-scheme-unknown", rsa("k", rsa_secret("rsa-2048")).typed(scheme="rsassa-pss-md5")),
    ]
    for fault, key in small:
        c.add(
            f"unusable/{fault}",
            "Rules 5 and 7: a key outside the families never counts, with a warning.",
            signed_by(key),
            "reject",
            "threshold-not-met",
            warnings=["unusable-key"],
            adversarial=44,
        )
        c.add(
            f"unusable/{fault}-as-owner",
            "Rule 5: as a trusted key it makes the verdict undecided.",
            request(metablock(layout([], []), key), {}, key),
            "undecided",
            "trusted-key-unusable",
            adversarial=44,
        )
        c.add(
            f"unusable/{fault}-beside-a-good-key",
            "Rule 5: a key that cannot be used keeps no other from counting.",
            signed_by(ALICE, key),
            "accept",
            warnings=["unusable-key"],
        )
    for fault, key in (
        ("rsa-exponent-2-to-the-32-minus-5", rsa("k", rsa_secret("rsa-2048", e=2**32 - 5))),
        ("rsa-8192-bits", rsa("k", rsa_secret("rsa-4096", "rsa-4096-b"))),
    ):
        assert rsa_bits_fit(key)
        c.add(f"key/{fault}", "Rule 7: the ends of what an RSA key may be are good.", signed_by(key), "accept")


def rsa_bits_fit(key: Key) -> bool:
    numbers = load_pem_public_key(key.public.encode()).public_numbers()
    return 2048 <= numbers.n.bit_length() <= 8192 and 65537 <= numbers.e < 2**32


def identity(c: Corpus) -> None:
    """A key is its material."""

    def one_key(fault: str, first: Key, second: Key, number: int | None = None) -> None:
        documents = {
            f"build.{first.keyid[:8]}.link": metablock(BUILD, first),
            f"build.{second.keyid[:8]}.other.link": metablock(BUILD, second),
        }
        c.add(
            f"identity/{fault}",
            "Rule 8: a key is its decoded material: the same under two keyids counts once for a threshold of 2.",
            signed_by(first, second, threshold=2, documents=documents),
            "reject",
            "threshold-not-met",
            adversarial=number,
        )

    one_key("two-keyids", ALICE, ALICE.named("f" * 64), 2)
    one_key("two-keyids-both-formulas", ALICE, ALICE.old(), 2)
    p256 = ecdsa("alice", "p256")
    one_key("two-keytypes", p256, p256.typed(keytype=p256.scheme), 2)
    one_key("pem-with-carriage-returns", p256, replace(p256, public=p256.public.replace("\n", "\r\n"), declared="e" * 64), 2)
    one_key("pem-stripped", p256, replace(p256, public=p256.public.strip(), declared="e" * 64), 2)
    body = base64.b64decode("".join(p256.public.splitlines()[1:-1]))
    point = body[-64:]
    compressed = bytes([2 + point[63] % 2]) + point[:32]
    spki = der(0x30, der(0x30, bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06082a8648ce3d030107")), der(3, b"\0" + compressed))
    one_key("point-compressed", p256, replace(p256, public=pem("PUBLIC KEY", spki), declared="e" * 64), 2)
    secret = rsa_secret("rsa-2048")
    one_key("two-rsa-schemes", rsa("alice", secret), rsa("alice", secret, "rsa-pkcs1v15-sha256"), 2)
    one_key("two-pss-digests", rsa("alice", secret), rsa("alice", secret, "rsassa-pss-sha512"), 2)
    bob = ed("bob")
    first, second = ALICE.named("deadbeef" + "1" * 56), bob.named("deadbeef" + "2" * 56)
    documents = {"build.deadbeef.link": metablock(BUILD, first), "build.deadbeef.2.link": metablock(BUILD, second)}
    c.add(
        "identity/keyids-share-eight-digits",
        "Rule 8: two keys whose keyids begin alike are two keys.",
        signed_by(first, second, threshold=2, documents=documents),
        "accept",
        adversarial=4,
    )
    c.add(
        "identity/keyids-share-eight-digits-one-link",
        "Rule 8: and one link by one of them is one.",
        signed_by(first, second, threshold=2, documents=named(("build", first, metablock(BUILD, first)))),
        "reject",
        "threshold-not-met",
        adversarial=4,
    )
    c.add(
        "identity/keyid-of-a-layout-is-a-label",
        "Rule 8: in a layout keyids are labels and follow no formula.",
        signed_by(ALICE.named("the builder")),
        "accept",
    )
    c.add(
        "identity/keyid-names-another-key",
        "Rule 11: a signature under bob's keyid by alice's key is no signature by bob.",
        signed_by(bob, documents=named(("build", bob, metablock(BUILD, ALICE.named(bob.keyid))))),
        "reject",
        "threshold-not-met",
        warnings=["signature-invalid"],
    )
    c.add(
        "identity/keyid-in-upper-case-on-a-link",
        "Rule 8: one keyid in two letter cases is one key.",
        signed_by(ALICE, documents=named(("build", ALICE, metablock(BUILD, ALICE.named(ALICE.keyid.upper()))))),
        "accept",
    )
    value = layout([step("build", ALICE)], [ALICE])
    documents = named(("build", ALICE, metablock(BUILD, ALICE)))

    def owned(fault: str, about: str, keys: list[dict], signers: list, *decision: str, number: int | None = None) -> None:
        c.add(
            f"trust/{fault}",
            about,
            request(metablock(value, *signers), documents, {"signed_by": keys}),
            *decision,
            adversarial=number,
        )

    owner, second = ed("owner"), ed("second owner")
    owned("two-owners-two-signatures", "Rule 9: every owner key has a valid signature.", [owner.object(), second.object()], [owner, second], "accept", number=23)
    owned("two-owners-one-signature", "Rule 9: every owner key must have a valid signature.", [owner.object(), second.object()], [owner], "reject", "layout-signature-missing", number=23)
    owned("two-owners-signed-twice-by-one", "Rule 9: two signatures by one owner are not two owners'.", [owner.object(), second.object()], [owner, owner.named(owner.old_formula())], "reject", "layout-signature-missing", number=23)
    owned("one-owner-two-signatures", "Rule 9: signatures by others are ignored.", [owner.object()], [second, owner], "accept")
    owned("signed-by-another", "Rule 9: a layout that the owner did not sign is rejected.", [owner.object()], [second], "reject", "layout-signature-missing")
    owned("signed-by-a-functionary", "Rule 9: a functionary of the layout is no owner.", [owner.object()], [ALICE], "reject", "layout-signature-missing")
    owned("another-by-the-owners-keyid", "Rule 9: an invalid signature attributed to an owner rejects.", [owner.object()], [second.named(owner.keyid)], "reject", "layout-signature-invalid")
    zero = {"sig": "00" * 64}
    for name, keyid in {
        "declared": "the owner",
        "formula": owner.formula(),
        "old-formula": owner.old_formula(),
        "declared-in-upper-case": "THE OWNER",
        "formula-in-upper-case": owner.formula().upper(),
    }.items():
        labelled = owner.named("the owner")
        owned(f"invalid-beside-valid-by-{name}", "Rule 9: an invalid signature under any keyid of an owner rejects, though a valid one follows.", [labelled.object()], [zero | {"keyid": keyid}, labelled], "reject", "layout-signature-invalid")
        owned(f"valid-by-{name}", "Rules 8 and 9: an owner's signature is recognised under each of its keyids, in any case.", [labelled.object()], [owner.named(keyid)], "accept")
    owned("one-owner-named-twice", "Rule 8: one key supplied twice is one owner.", [owner.object(), owner.named("again").object()], [owner], "accept")
    p384 = ecdsa("owner", "p384")
    owned("ecdsa-signed-under-the-other-keytype", "Rule 8: an ECDSA key is recognised under the keyids of both its keytypes.", [without_keyid(p384)], [p384.named(p384.typed(keytype=p384.scheme).formula())], "accept")
    owned("ecdsa-signed-under-the-new-keytype", "Rule 8: and the other way round.", [without_keyid(p384.typed(keytype=p384.scheme))], [p384], "accept")
    stripped = without_keyid(replace(p384, public=p384.public.strip()))
    owned("pem-stripped", "Rule 8: the keyid is over the PEM re-encoded, however it was supplied.", [stripped], [p384], "accept")
    crlf = without_keyid(replace(p384, public="\r\n" + p384.public.replace("\n", "\r\n")))
    owned("pem-with-carriage-returns", "Rule 8: the keyid is over the PEM re-encoded, however it was supplied.", [crlf], [p384], "accept")
    extra = without_keyid(p384) | {"keyid_hash_algorithms": ["sha256", "sha512"]}
    owned("other-members-stay-out-of-the-keyid", "Rule 8: today's keyid is never over the other members, even where present.", [extra], [p384], "accept")
    owned("no-owner", "Rule 9: at least one owner key is supplied.", [], [owner], "undecided", "request-malformed")


def add(c: Corpus) -> None:
    every_family(c)
    salts(c)
    schemes(c)
    signatures(c)
    unusable(c)
    identity(c)
