"""The host's say in the checking of signatures."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key together with the only scheme that its signatures may have."""

    scheme: str
    """As in-toto names it: `ed25519`, `ecdsa-sha2-nistp256`, `rsassa-pss-sha256`, .."""

    spki: bytes
    """SubjectPublicKeyInfo in DER."""


Check = Callable[[PublicKey, bytes, bytes], bool | None]
"""Says whether a key made a signature over a message: key, message, signature.

`True` is believed: whoever answers is trusted with the verdict. `None` leaves it to the verifier, and is right in any doubt.
`False` is only for those who accept exactly what the verifier accepts. What raises, or answers anything else, makes the
verdict undecided. Signatures of ECDSA are in DER. It is called in a thread of its question, in a copy of the caller's context.
"""


def cryptography_check(key: PublicKey, message: bytes, signature: bytes) -> bool | None:
    """Checks signatures by the package `cryptography` (`pip install linkgate[cryptography]`), which is OpenSSL.

    It never says `False`: what OpenSSL does not accept is left to the verifier.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    curves: dict[str, tuple[type[ec.EllipticCurve], hashes.HashAlgorithm]] = {
        "ecdsa-sha2-nistp256": (ec.SECP256R1, hashes.SHA256()),
        "ecdsa-sha2-nistp384": (ec.SECP384R1, hashes.SHA384()),
        "ecdsa-sha2-nistp521": (ec.SECP521R1, hashes.SHA512()),
    }
    digests: dict[str, hashes.HashAlgorithm] = {
        "sha256": hashes.SHA256(),
        "sha384": hashes.SHA384(),
        "sha512": hashes.SHA512(),
    }
    family, _, digest = key.scheme.rpartition("-")
    try:
        public = load_der_public_key(key.spki)
        if key.scheme == "ed25519" and isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, message)
        elif key.scheme in curves and isinstance(public, ec.EllipticCurvePublicKey):
            curve, algorithm = curves[key.scheme]
            if not isinstance(public.curve, curve):
                return None
            public.verify(signature, message, ec.ECDSA(algorithm))
        elif family == "rsassa-pss" and digest in digests and isinstance(public, rsa.RSAPublicKey):
            salted = padding.PSS(padding.MGF1(digests[digest]), padding.PSS.AUTO)
            public.verify(signature, message, salted, digests[digest])
        elif family == "rsa-pkcs1v15" and digest in digests and isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, message, padding.PKCS1v15(), digests[digest])
        else:
            return None
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return None
    return True
