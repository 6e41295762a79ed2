"""Makes the key files beside it, which `tests/suite/keys.rs` reads, with cryptography, securesystemslib and openssl.

    pip install securesystemslib cryptography && python make.py
"""

import base64
import json
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from securesystemslib.signer import SSlibKey

PLAIN = NoEncryption()
SECRET = BestAvailableEncryption(b"secret")
PKCS8, OLD, SSH = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL, PrivateFormat.OpenSSH
HERE = Path(__file__).parent
keyids = {}


def write(name, content, key):
    (HERE / name).write_bytes(content)
    keyids[name] = SSlibKey.from_crypto(key.public_key()).keyid


def private(name, key, encoding, form, encryption=PLAIN):
    write(name, key.private_bytes(encoding, form, encryption), key)


def public(name, key, encoding, form=PublicFormat.SubjectPublicKeyInfo):
    write(name, key.public_key().public_bytes(encoding, form), key)


ed = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
p256, p384, p521 = (
    ec.derive_private_key(0x1234567890ABCDEF, curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
)
r = rsa.generate_private_key(65537, 2048)

private("ed25519.pem", ed, Encoding.PEM, PKCS8)
private("ed25519.der", ed, Encoding.DER, PKCS8)
private("ed25519-encrypted.pem", ed, Encoding.PEM, PKCS8, SECRET)
private("ed25519-encrypted.der", ed, Encoding.DER, PKCS8, SECRET)
private("ed25519-openssh.pem", ed, Encoding.PEM, SSH)
private("p256-sec1.pem", p256, Encoding.PEM, OLD)
parameters = subprocess.check_output(["openssl", "ecparam", "-name", "prime256v1"])
write("p256-sec1-parameters.pem", parameters + (HERE / "p256-sec1.pem").read_bytes(), p256)
private("p384-sec1.der", p384, Encoding.DER, OLD)
private("p521.pem", p521, Encoding.PEM, PKCS8)
private("rsa.pem", r, Encoding.PEM, PKCS8)
private("rsa-pkcs1.pem", r, Encoding.PEM, OLD)
private("rsa-pkcs1.der", r, Encoding.DER, OLD)
private("rsa-old-encryption.pem", r, Encoding.PEM, OLD, SECRET)
public("ed25519.pub", ed, Encoding.PEM)
public("ed25519.pub.der", ed, Encoding.DER)
public("p521.pub", p521, Encoding.PEM)
public("rsa-pkcs1.pub", r, Encoding.PEM, PublicFormat.PKCS1)
public("rsa-pkcs1.pub.der", r, Encoding.DER, PublicFormat.PKCS1)
public("ed25519-openssh.pub", ed, Encoding.OpenSSH, PublicFormat.OpenSSH)


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], cwd=HERE, check=True, capture_output=True)


# What is refused: other encryptions, kinds and sizes, and damage.
convert = ["pkcs8", "-topk8", "-in", "ed25519.pem", "-passout", "pass:secret"]
openssl(*convert, "-v2", "des3", "-out", "ed25519-3des.pem")
openssl(*convert, "-v1", "PBE-SHA1-3DES", "-outform", "DER", "-out", "ed25519-pbes1.der")
for kind in ("ed448", "x25519"):
    openssl("genpkey", "-algorithm", kind, "-out", f"{kind}.pem")
openssl("ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out", "secp256k1-sec1.pem")
openssl("pkcs8", "-topk8", "-nocrypt", "-in", "secp256k1-sec1.pem", "-out", "secp256k1.pem")
openssl("genrsa", "-out", "rsa-1024.pem", "1024")
openssl("genpkey", "-algorithm", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa-pss.pem")
openssl("dsaparam", "-genkey", "-noout", "-out", "dsa-traditional.pem", "1024")
openssl("pkcs8", "-topk8", "-nocrypt", "-in", "dsa-traditional.pem", "-out", "dsa.pem")
(HERE / "dsa-traditional.pem").unlink()
damaged = bytearray(base64.b64decode("".join((HERE / "rsa.pem").read_text().splitlines()[1:-1])))
damaged[len(damaged) // 2] ^= 1
(HERE / "rsa-damaged.der").write_bytes(damaged)

sslib = SSlibKey.from_crypto(ed.public_key())
value = {"public": sslib.keyval["public"], "private": bytes(range(32)).hex()}
write("ed25519.json", json.dumps({"keytype": "ed25519", "scheme": "ed25519", "keyval": value}).encode(), ed)
write("ed25519.pub.json", json.dumps({**sslib.to_dict(), "keyid": "ab" * 32}).encode(), ed)
both = {key.keyid: key.to_dict() for key in (sslib, SSlibKey.from_crypto(p521.public_key()))}
(HERE / "two.json").write_text(json.dumps(both))
(HERE / "ed25519-old-encryption.json").write_text("00" * 16 + "@@@@100000@@@@" + "@@@@".join(["00" * 32] * 3))
(HERE / "keyids.json").write_text(json.dumps(keyids, indent=1))
