"""Packs a program into an image; the step `package` runs it.

python pack.py LAYOUT PLATFORM...    packs the file `app` into an OCI layout
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def pack(layout: Path, app: bytes, platforms: list[str]) -> None:
    """One image a platform, and if there are several an index of them. Each manifest is in PLATFORM.json, too."""
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, media_type: str) -> dict[str, Any]:
        (blobs / digest_of(data).removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

    def image(platform: str) -> dict[str, Any]:
        content = platform.encode() + b"\n" + app
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            entry = tarfile.TarInfo("app")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        layer = blob(gzip.compress(tar.getvalue(), mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
        rootfs = {"type": "layers", "diff_ids": [digest_of(tar.getvalue())]}
        config = json.dumps({"architecture": platform, "os": "linux", "rootfs": rootfs}).encode()
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST}
        manifest["config"] = blob(config, "application/vnd.oci.image.config.v1+json")
        manifest["layers"] = [layer]
        data = json.dumps(manifest).encode()
        (layout.parent / f"{platform}.json").write_bytes(data)
        return blob(data, MANIFEST) | {"platform": {"architecture": platform, "os": "linux"}}

    listed = [image(platform) for platform in platforms]
    top = listed[0]
    if len(listed) > 1:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
        top = blob(json.dumps(index).encode(), INDEX)
    top["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path("app").read_bytes(), sys.argv[2:])
