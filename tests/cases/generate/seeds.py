"""Seeds of the fuzz targets that read metadata and keys: small files of every kind, some of them to be refused."""

from __future__ import annotations

import base64
from pathlib import Path

from metadata import (
    PAYLOAD_TYPE,
    canonical,
    der,
    der_integer,
    digest,
    dsse,
    ecdsa,
    ed,
    ed_spki,
    files,
    inspection,
    layout,
    link,
    metablock,
    pem,
    rsa,
    rsa_secret,
    rsa_spki,
    step,
    text,
)

OWNER, WRITER, PACKAGER = ed("owner"), ecdsa("writer", "p256"), rsa("packager", rsa_secret("rsa-2048"))


def of_canonical() -> dict[str, bytes]:
    """JSON texts: metadata in both envelopes and without one, and odd ones."""
    rest = ["DISALLOW", "*"]
    code = step("write-code", WRITER.old(), products=[["CREATE", "src/*"], rest])
    package = step(
        "package",
        [PACKAGER, WRITER.old()],
        materials=[["MATCH", "*", "IN", "src", "WITH", "PRODUCTS", "IN", "src", "FROM", "write-code"], ["REQUIRE", "src/main.c"], rest],
        products=[["CREATE", "app.tar"], ["ALLOW", "src/*"], ["DELETE", "tmp"], ["MODIFY", "log"], rest],
        threshold=2,
        command=["tar", "cf", "app.tar", "src"],
    )
    untar = inspection("untar", ["tar", "xf", "app.tar"], [["MATCH", "app.tar", "WITH", "PRODUCTS", "FROM", "package"], rest], [["ALLOW", "*"]])
    root = layout([code, package], [OWNER, WRITER.old(), PACKAGER], [untar], readme="built for {version}\n")
    certified = layout(
        [step("write-code", [], cert_constraints=[{"common_name": "*", "dns_names": [], "roots": ["ab" * 32], "uris": ["spiffe://a"]}])],
        {},
        rootcas={"ab" * 32: {"keytype": "rsa", "keyval": {"public": "", "certificate": pem("CERTIFICATE", b"\x30\0")}}},
    )
    done = link(
        "package",
        files("src/main.c"),
        {"app.tar": digest("app") | {"sha512": "0" * 128}, "src/\u00e9": digest("e")},
        ["tar", "cf", "app.tar", "src"],
        {"return-value": 0, "stdout": "src/\nsrc/main.c\n", "stderr": "\u001b[0m \"quoted\" \\"},
    )
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "app.tar", "digest": digest("app")}],
        "predicateType": "https://in-toto.io/attestation/link/v0.3",
        "predicate": {"name": "package", "command": ["tar"], "materials": [], "byproducts": {}, "environment": {}},
    }
    documents = {
        "layout-metablock": metablock(root, OWNER),
        "layout-metablock-certificate-in-signature": metablock(root, {"keyid": OWNER.keyid, "sig": "00" * 64, "cert": ""}),
        "layout-dsse": dsse(root, OWNER, PACKAGER),
        "layout-without-envelope": text(root),
        "layout-canonical": canonical(root).decode(),
        "layout-certificates": text(certified),
        "link-metablock": metablock(done, WRITER),
        "link-dsse": dsse(done, PACKAGER.old()),
        "link-without-envelope": text(done),
        "link-dsse-canonical-payload": dsse(canonical(done), WRITER),
        "statement-dsse": dsse(statement, WRITER),
        "statement-without-envelope": text(statement),
        "envelope-both-forms": text({"signed": {}, "payload": "", "payloadType": PAYLOAD_TYPE, "signatures": []}),
    }
    return {f"{name}.json": value.encode() for name, value in documents.items()} | odd()


def odd() -> dict[str, bytes]:
    texts = {
        "array-empty": "[]",
        "array-trailing-comma": "[1,]",
        "bad-escape": '"\\x41"',
        "bare-words": "[true, false, null, NaN, Infinity]",
        "byte-order-mark": "\ufeff{}",
        "comment": "{} // nothing",
        "control-character": '"a\u0001b"',
        "control-characters-escaped": '{"\\u0000\\u001f\\u007f": "\\b\\f\\n\\r\\t"}',
        "deep-arrays": "[" * 100 + "]" * 100,
        "deep-objects": '{"a":' * 100 + "0" + "}" * 100,
        "duplicate-key": '{"a": 1, "b": {"c": 1, "c": 2}}',
        "duplicate-key-escaped": '{"a": 1, "\\u0061": 2}',
        "empty": "",
        "escapes": '"\\"\\\\\\/\\u00e9\\ud83d\\ude00"',
        "floats": "[1.5, 1.0, 1e3, 1E-3, -0.0, 1e400]",
        "integers": "[0, -1, 9007199254740993, 18446744073709551616, -1180591620717411303424]",
        "integer-long": "[" + "7" * 500 + "]",
        "keys-by-code-point": '{"\u00e9": 1, "z": 2, "\U0001f600": 3, "\uffff": 4, "": 5, "\\u0041": 6}',
        "leading-zero": "[01]",
        "line-separators": '"\u2028\u2029"',
        "minus-zero": "-0",
        "value-after": '{"a": 1} {"b": 2}',
        "not-normalised": '["\u00e9", "e\u0301"]',
        "nul-after": "{}\0",
        "single-quotes": "{'a': 1}",
        "surrogate-high": '"\\ud83d"',
        "surrogate-low": '"\\ude00"',
        "surrogates-reversed": '"\\ude00\\ud83d"',
        "too-deep": "[" * 101 + "]" * 101,
        "unfinished": '{"a": [1, "b',
        "white-space": ' \t\r\n{ "b" : [ 1 , 2 ] , "a" : { } } \n',
    }
    return {f"odd-{name}.json": value.encode() for name, value in texts.items()} | {
        "odd-not-utf-8.json": b'"\xff\xfe"',
        "odd-overlong-utf-8.json": b'"\xc0\xaf"',
        "odd-surrogate-in-utf-8.json": b'"\xed\xa0\xbd"',
    }


def of_key() -> dict[str, bytes]:
    """Public keys of every type, as PEM and as DER."""
    curves = {curve: ecdsa("seed", curve).public for curve in ("p256", "p384", "p521", "p224", "secp256k1")}
    moduli = {name: rsa_spki(rsa_secret(name)) for name in ("rsa-1024", "rsa-2040", "rsa-2048", "rsa-2048-e3", "rsa-3072", "rsa-4096")}
    moduli["rsa-8192"] = rsa_spki(rsa_secret("rsa-4096", "rsa-4096-b"))
    pems = {"ed25519": ed_spki(ed("seed"))} | curves | moduli
    pkcs1 = {name: rsa_public_key(name) for name in ("rsa-1024", "rsa-2048", "rsa-3072")}
    whole = body(pems["p256"])
    spki = {
        "ed25519-identity": ed_spki_of(bytes([1]) + bytes(31)),
        "ed25519-not-on-the-curve": ed_spki_of(bytes([2]) + bytes(31)),
        "ed25519-short": ed_spki_of(bytes(31)),
        "p256-curve-of-p384": der(0x30, der(0x30, EC_PUBLIC_KEY, P384), der(3, b"\0", whole[-65:])),
        "p256-infinity": der(0x30, der(0x30, EC_PUBLIC_KEY, P256), der(3, b"\0\0")),
        "p256-not-on-the-curve": whole[:-1] + bytes([whole[-1] ^ 1]),
        "p256-compressed": der(0x30, der(0x30, EC_PUBLIC_KEY, P256), der(3, b"\0", compressed(whole[-64:]))),
        "p521-compressed": der(0x30, der(0x30, EC_PUBLIC_KEY, P521), der(3, b"\0", compressed(body(pems["p521"])[-132:]))),
        "bytes-after": whole + b"\0",
        "unfinished": whole[:-7],
        "length-not-shortest": whole[:1] + b"\x81" + whole[1:],
        "rsa-without-parameters": der(0x30, der(0x30, RSA_ENCRYPTION), der(3, b"\0", pkcs1["rsa-2048"])),
        "rsa-modulus-negative": der(0x30, der(2, b"\x80" + bytes(255)), der_integer(65537)),
        "rsa-modulus-padded": der(0x30, der(2, b"\0\0" + rsa_secret("rsa-2048").n.to_bytes(256, "big")), der_integer(65537)),
    }
    seeds = {f"{name}.pem": value.encode() for name, value in pems.items()}
    seeds |= {f"{name}.der": body(value) for name, value in pems.items()}
    seeds |= {f"{name}.pkcs1.pem": pem("RSA PUBLIC KEY", value).encode() for name, value in pkcs1.items()}
    seeds |= {f"{name}.pkcs1.der": value for name, value in pkcs1.items()}
    seeds |= {f"{name}.der": value for name, value in spki.items()}
    return seeds | {
        "p256-carriage-returns.pem": pems["p256"].replace("\n", "\r\n").encode(),
        "p256-one-line.pem": pem_on_one_line(pems["p256"]).encode(),
        "p256-stripped.pem": pems["p256"].strip().encode(),
        "p256-labels-differ.pem": pems["p256"].replace("END PUBLIC", "END RSA PUBLIC").encode(),
        "p256-as-certificate.pem": pem("CERTIFICATE", whole).encode(),
        "p256-compressed.pem": pem("PUBLIC KEY", spki["p256-compressed"]).encode(),
        "ed25519.hex": ed("seed").public.encode(),
        "no-body.pem": pem("PUBLIC KEY", b"").encode(),
    }


EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
P256 = bytes.fromhex("06082a8648ce3d030107")
P384 = bytes.fromhex("06052b81040022")
P521 = bytes.fromhex("06052b81040023")
RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")


def body(pem_text: str) -> bytes:
    return base64.b64decode("".join(pem_text.splitlines()[1:-1]))


def pem_on_one_line(pem_text: str) -> str:
    first, *lines, last = pem_text.splitlines()
    return "\n".join((first, "".join(lines), last))


def rsa_public_key(stem: str) -> bytes:
    """The DER of a PKCS#1 RSAPublicKey."""
    secret = rsa_secret(stem)
    return der(0x30, der_integer(secret.n), der_integer(secret.e))


def ed_spki_of(point: bytes) -> bytes:
    return der(0x30, der(0x30, bytes.fromhex("06032b6570")), der(3, b"\0", point))


def compressed(point: bytes) -> bytes:
    """The compressed form of a point that is given by its two coordinates."""
    return bytes([2 + point[-1] % 2]) + point[: len(point) // 2]


def write(folder: Path) -> int:
    """Writes the seeds of both targets, removes any other file from their folders, and says how many there are."""
    targets = {"canonical": of_canonical(), "key": of_key()}
    for target, seeds in targets.items():
        (folder / target).mkdir(exist_ok=True)
        for path in (folder / target).iterdir():
            if path.name not in seeds:
                path.unlink()
        for name, content in seeds.items():
            (folder / target / name).write_bytes(content)
    return sum(len(seeds) for seeds in targets.values())
