"""Makes keys.json: keys, keyids and signatures by securesystemslib and cryptography, to test the verifier against.

    pip install securesystemslib cryptography && python keys.py > keys.json
"""

import hashlib
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import SSlibKey

MESSAGE = b"linkgate"
SPKI = PublicFormat.SubjectPublicKeyInfo


def keyid(keytype, scheme, public, **more):
    key = {"keytype": keytype, "scheme": scheme, "keyval": {"public": public}, **more}
    return hashlib.sha256(encode_canonical(key).encode()).hexdigest()


def entry(private, signature, scheme=None):
    public_key = private.public_key()
    key = SSlibKey.from_crypto(public_key, scheme=scheme)
    public = key.keyval["public"]
    keytypes = [key.keytype, key.scheme] if key.keytype == "ecdsa" else [key.keytype]
    keyids = []
    for keytype in keytypes:
        keyids.append(keyid(keytype, key.scheme, public))
        keyids.append(
            keyid(keytype, key.scheme, public.strip(), keyid_hash_algorithms=["sha256", "sha512"])
        )
    assert keyids[0] == key.keyid
    return {
        "keytype": key.keytype,
        "scheme": key.scheme,
        "public": public,
        "keyids": keyids,
        "fingerprint": hashlib.sha256(public_key.public_bytes(Encoding.DER, SPKI)).hexdigest(),
        "signature": signature.hex(),
    }


def pem(key, form=SPKI):
    return key.public_key().public_bytes(Encoding.PEM, form).decode()


def odd_rsa():
    """A key whose modulus has 8 n + 1 bits: PSS's encoded message is an octet shorter than it. OpenSSL makes none."""
    p = rsa.generate_private_key(65537, 2058).private_numbers().p
    q = rsa.generate_private_key(65537, 2056).private_numbers().p
    d = rsa.rsa_recover_private_exponent(65537, p, q)
    public = rsa.RSAPublicNumbers(65537, p * q)
    assert public.n.bit_length() == 2057
    return rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    ).private_key()


def pss(key, hash, salt, mgf=None):
    return key.sign(MESSAGE, padding.PSS(padding.MGF1(mgf or hash), salt), hash)


keys = []
private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
keys.append(entry(private, private.sign(MESSAGE)))
for curve, hash in [
    (ec.SECP256R1(), hashes.SHA256()),
    (ec.SECP384R1(), hashes.SHA384()),
    (ec.SECP521R1(), hashes.SHA512()),
]:
    private = ec.derive_private_key(0x1234567890ABCDEF1234567890ABCDEF, curve)
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    keys.append({**entry(private, private.sign(MESSAGE, ec.ECDSA(hash))), "compressed": point.hex()})
private = rsa.generate_private_key(65537, 2048)
for hash in [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()]:
    name = hash.name
    keys.append(entry(private, pss(private, hash, hash.digest_size), f"rsassa-pss-{name}"))
    keys.append(entry(private, private.sign(MESSAGE, padding.PKCS1v15(), hash), f"rsa-pkcs1v15-{name}"))
odd = odd_rsa()
keys.append(entry(odd, pss(odd, hashes.SHA256(), 32)))

print(
    json.dumps(
        {
            "keys": keys,
            "rsa_pkcs1": pem(private, PublicFormat.PKCS1),
            "pss_salts": [pss(private, hashes.SHA256(), salt).hex() for salt in (0, 20, 32, 222)],
            "pss_mgf_sha1": pss(private, hashes.SHA256(), 32, hashes.SHA1()).hex(),
            "refused": {
                "secp256k1": pem(ec.derive_private_key(99, ec.SECP256K1())),
                "p224": pem(ec.derive_private_key(99, ec.SECP224R1())),
                "rsa1024": pem(rsa.generate_private_key(65537, 1024)),
                "rsa_e3": pem(rsa.generate_private_key(3, 2048)),
            },
        },
        indent=1,
    )
)
