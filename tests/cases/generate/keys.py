"""Makes the RSA keys of `keys/` where they are missing: test keys, worth nothing anywhere.

RSA keys cannot be derived from a label in reasonable time, so they are kept as files.
"""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from metadata import KEYS

SIZES = {
    "rsa-1024": (1024, 65537),
    "rsa-2040": (2040, 65537),
    "rsa-2048": (2048, 65537),
    "rsa-2048-b": (2048, 65537),
    "rsa-2048-e3": (2048, 3),
    "rsa-3072": (3072, 65537),
    "rsa-4096": (4096, 65537),
    "rsa-4096-b": (4096, 65537),
}

if __name__ == "__main__":
    for stem, (bits, exponent) in SIZES.items():
        path = KEYS / f"{stem}.pem"
        if path.exists():
            continue
        path.write_bytes(
            rsa.generate_private_key(exponent, bits).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
