"""A registry as small as can be: the read side of the OCI distribution specification, over HTTP on loopback."""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

IN_TOTO = "application/vnd.in-toto+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass
class Registry:
    """What it holds, what it was asked, and how long it takes to answer."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    referrers: dict[str, list[dict]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    delay: float = 0
    broken: bool = False
    address: str = ""

    def blob(self, content: bytes) -> dict:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.blobs[digest] = content
        return {"mediaType": "application/octet-stream", "digest": digest, "size": len(content)}

    def put(self, manifest: dict) -> str:
        """Its digest."""
        content = json.dumps(manifest).encode()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.manifests[digest] = content
        return digest

    def image(self, text: str) -> str:
        empty = self.blob(b"{}") | {"mediaType": "application/vnd.oci.image.config.v1+json"}
        layer = self.blob(text.encode()) | {"mediaType": "application/vnd.oci.image.layer.v1.tar"}
        return self.put({"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": [layer]})

    def index(self, *digests: str) -> str:
        manifests = [
            {"mediaType": MANIFEST, "digest": digest, "size": len(self.manifests[digest])} for digest in digests
        ]
        return self.put({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})

    def attach(self, digest: str, links: list[Path]) -> None:
        """Links as an artifact that refers to a manifest."""
        empty = self.blob(b"{}") | {"mediaType": "application/vnd.oci.empty.v1+json"}
        layers = []
        for link in links:
            title = {"org.opencontainers.image.title": link.name}
            layers.append(self.blob(link.read_bytes()) | {"mediaType": IN_TOTO, "annotations": title})
        subject = {"mediaType": MANIFEST, "digest": digest, "size": len(self.manifests[digest])}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": IN_TOTO,
            "config": empty,
            "layers": layers,
            "subject": subject,
        }
        referrer = self.put(manifest)
        described = {
            "mediaType": MANIFEST,
            "artifactType": IN_TOTO,
            "digest": referrer,
            "size": len(self.manifests[referrer]),
        }
        self.referrers.setdefault(digest, []).append(described)

    def answer(self, path: str) -> tuple[int, str, bytes]:
        parts = path.split("?")[0].split("/")
        if path.rstrip("/") == "/v2":
            return 200, "application/json", b"{}"
        kind, reference = parts[-2:]
        if kind == "referrers":
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.referrers.get(reference, [])}
            return 200, INDEX, json.dumps(index).encode()
        if kind == "manifests":
            content = self.manifests.get(self.tags.get(reference, reference))
            if content is not None:
                return 200, json.loads(content)["mediaType"], content
        if kind == "blobs" and reference in self.blobs:
            return 200, "application/octet-stream", self.blobs[reference]
        return 404, "application/json", b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown"}]}'


@contextmanager
def registry(tls: ssl.SSLContext | None = None) -> Iterator[Registry]:
    """One that runs. It speaks TLS if it is given what to show, and plain HTTP otherwise."""
    served = Registry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # noqa: N802
            served.asked.append(self.path)
            time.sleep(served.delay)
            status, media, content = served.answer(self.path)
            if served.broken:
                status, media, content = 500, "text/plain", b"broken"
            self.send_response(status)
            self.send_header("content-type", media)
            self.send_header("content-length", str(len(content)))
            if "/manifests/" in self.path and status == 200:
                self.send_header("docker-content-digest", "sha256:" + hashlib.sha256(content).hexdigest())
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        # With a queue of five, connections that come at once are begun again a second later.
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    served.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
