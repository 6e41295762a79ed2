"""Writes the workloads: supply chains as Metablocks that all three commands accept, and trees to record."""

import hashlib
import json
import random
import shutil

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.formats import encode_canonical

# Steps, artifacts a step, and signatures a step.
CHAINS = {"S": (4, 10, 1), "M": (10, 1_000, 1), "T": (4, 100, 5), "L": (10, 10_000, 1), "X": (3, 100_000, 1)}
# Files and their bytes.
TREES = {"small-files": (10_000, 4 << 10), "large-files": (20, 50 << 20)}
KEYID_HASHES = ["sha256", "sha512"]


def digest(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


class Party:
    """An Ed25519 key that follows from its owner's name, and the two keyids under which tools know it."""

    def __init__(self, name):
        self.private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        public = self.private.public_key()
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
        self.pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        form = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": raw}}
        old = {"keyid_hash_algorithms": KEYID_HASHES, **form}
        self.keyids = [hashlib.sha256(encode_canonical(one).encode()).hexdigest() for one in (old, form)]
        self.form = {"keyid": self.keyids[0], **old}

    def metablock(self, signed, keyids=1):
        signature = self.private.sign(encode_canonical(signed).encode()).hex()
        signatures = [{"keyid": keyid, "sig": signature} for keyid in self.keyids[:keyids]]
        return json.dumps({"signatures": signatures, "signed": signed}, indent=1, sort_keys=True)


def chain(folder, steps, artifacts, threshold, first=None):
    """Each step takes what the one before made, and rewrites a tenth of it. `first` are the bytes of the first artifact, which
    is made once."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "links").mkdir(parents=True)
    paths = [f"src/package{number // 100:04}/file{number:06}.c" for number in range(artifacts)]
    keys, steps_of_layout, products, previous = {}, [], {}, None
    for at in range(steps):
        name = f"step{at:02}"
        materials = products
        products = {
            path: {"sha256": digest(at, path)} if not materials or number % 10 == at else materials[path]
            for number, path in enumerate(paths)
        }
        if first is not None:
            products[paths[0]] = {"sha256": hashlib.sha256(first).hexdigest()}
        parties = [Party(f"{name}-{number}") for number in range(threshold)]
        for party in parties:
            keys[party.keyids[0]] = party.form
            link = {
                "_type": "link",
                "name": name,
                "command": ["true"],
                "materials": materials,
                "products": products,
                "byproducts": {"return-value": 0, "stderr": "", "stdout": ""},
                "environment": {},
            }
            (folder / "links" / f"{name}.{party.keyids[0][:8]}.link").write_text(party.metablock(link))
        flow = [["MATCH", "*", "WITH", "PRODUCTS", "FROM", previous]] if previous else []
        steps_of_layout.append(
            {
                "_type": "step",
                "name": name,
                "pubkeys": [party.keyids[0] for party in parties],
                "threshold": threshold,
                "expected_command": ["true"],
                "expected_materials": [*flow, ["DISALLOW", "*"]],
                "expected_products": [["ALLOW" if previous else "CREATE", "*"], ["DISALLOW", "*"]],
            }
        )
        previous = name
    layout = {
        "_type": "layout",
        "expires": "2036-01-01T00:00:00Z",
        "readme": "",
        "keys": keys,
        "steps": steps_of_layout,
        "inspect": [],
    }
    owner = Party("owner")
    # Python looks for one of its keyids, Go for the other.
    (folder / "root.layout").write_text(owner.metablock(layout, keyids=2))
    (folder / "owner.pub").write_bytes(owner.pem)


def tree(folder, files, size):
    """A tree of files that do not compress, a hundred in a folder, and a key to sign with."""
    shutil.rmtree(folder, ignore_errors=True)
    generator = random.Random(files)
    for number in range(files):
        path = folder / "tree" / f"{number // 100:03}" / f"{number:05}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(generator.randbytes(size))
    pkcs8 = serialization.PrivateFormat.PKCS8
    key = Party("owner").private.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption())
    (folder / "key").write_bytes(key)
