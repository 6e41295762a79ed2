"""Writes workload S with an image in it: see tests/bench/embedded."""

import hashlib
import json
import sys
from pathlib import Path

import workloads

CONFIG = b"{}"


def described(content, media_type):
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}


def main():
    folder = Path(sys.argv[1])
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described(CONFIG, "application/vnd.oci.image.config.v1+json"),
        "layers": [],
    }).encode()
    workloads.chain(folder, *workloads.CHAINS["S"], first=manifest)
    (folder / "manifest.json").write_bytes(manifest)
    last = max((folder / "links").iterdir())
    name = next(iter(json.loads(last.read_text())["signed"]["products"]))
    (folder / "subject").write_text(f"{name}=sha256:{hashlib.sha256(manifest).hexdigest()}")


main()
