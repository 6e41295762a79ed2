"""What the tests share: real registries on free ports, images in them, and linkgate.

    (cd tests/registry/referrers && go build -o ../../../target/referrers .)
    LINKGATE=target/release/linkgate REGISTRY=/usr/bin/docker-registry REFERRERS=target/referrers \
        python -m pytest tests/registry

`REGISTRY` is distribution's registry 2.8 (Debian's docker-registry), which knows no referrers; `REFERRERS`, where it is set,
is that of go-containerregistry, which does. Images are written as an OCI layout and pushed by skopeo, which is nothing of linkgate's. The interpreter is that
of an environment with `tests/interop/requirements.txt` installed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from ports import free_port

# Longer than any bound of what is tested.
PATIENCE = 60
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
DSSE = "application/vnd.dsse.envelope.v1+json"


def required(variable: str) -> Path:
    path = os.environ.get(variable)
    assert path, f"set {variable}: tests/run registry does"
    return Path(path).absolute()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def run(*command: Any, cwd: Path, code: int | None = 0, **more: str) -> subprocess.CompletedProcess:
    # Neither a proxy nor credentials of whoever runs the tests.
    foreign = ("PROXY", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "HOME")
    clean = {name: value for name, value in os.environ.items() if not name.upper().endswith(foreign)}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**clean, "HOME": str(cwd), **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if code is not None:
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


@dataclass
class Registry:
    """A registry that runs for one test."""

    command: list[str]
    port: int
    folder: Path
    scheme: str = "http"
    process: subprocess.Popen | None = field(default=None)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self) -> Registry:
        log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.folder)
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            assert self.process.poll() is None, self.log
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError(self.log)

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, path: str, method: str = "GET", data: bytes | None = None, **headers: str) -> tuple[bytes, Any]:
        """A request of the test's own, without authentication."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://{self.host}{path}", data=data, method=method, headers=named)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE) as reply:
            return reply.read(), reply.headers

    def put_blob(self, repository: str, data: bytes) -> dict[str, Any]:
        _, headers = self.ask(f"/v2/{repository}/blobs/uploads/", "POST", b"")
        location = headers["Location"].removeprefix(f"http://{self.host}")
        joined = "&" if "?" in location else "?"
        media = {"Content_Type": "application/octet-stream"}
        self.ask(f"{location}{joined}digest={digest_of(data)}", "PUT", data, **media)
        return {"digest": digest_of(data), "size": len(data)}

    def put_manifest(self, repository: str, reference: str, manifest: dict[str, Any]) -> str:
        data = json.dumps(manifest).encode()
        self.ask(f"/v2/{repository}/manifests/{reference}", "PUT", data, Content_Type=manifest["mediaType"])
        return digest_of(data)

    def manifest(self, repository: str, reference: str) -> dict[str, Any]:
        accepted = f"{MANIFEST}, {INDEX}"
        return json.loads(self.ask(f"/v2/{repository}/manifests/{reference}", Accept=accepted)[0])

    def stored(self, digest: str) -> Path:
        """Where distribution's registry stores a blob."""
        name = digest.removeprefix("sha256:")
        return self.folder / "storage/docker/registry/v2/blobs/sha256" / name[:2] / name / "data"


def distribution(folder: Path, **http_or_auth: Any) -> Registry:
    """Debian's registry. Its configuration is YAML, which JSON is, too."""
    folder.mkdir()
    port = free_port()
    configuration = {
        "version": "0.1",
        "log": {"level": "debug"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", **http_or_auth.get("http", {})},
    }
    if "auth" in http_or_auth:
        configuration["auth"] = http_or_auth["auth"]
    (folder / "config.yml").write_text(json.dumps(configuration))
    command = [str(required("REGISTRY")), "serve", str(folder / "config.yml")]
    scheme = "https" if "tls" in http_or_auth.get("http", {}) else "http"
    return Registry(command, port, folder, scheme).start()


def referrers(folder: Path) -> Registry:
    path = os.environ.get("REFERRERS")
    if not path:
        pytest.skip("REFERRERS is not set: no registry with the referrers API")
    folder.mkdir()
    port = free_port()
    return Registry([str(Path(path).absolute()), f"127.0.0.1:{port}"], port, folder).start()


@pytest.fixture
def make_registry(tmp_path: Path):
    """Starts registries of distribution, which end with the test."""
    started = []

    def make(**http_or_auth: Any) -> Registry:
        started.append(distribution(tmp_path / f"registry-{len(started)}", **http_or_auth))
        return started[-1]

    yield make
    for registry in started:
        registry.stop()


@pytest.fixture
def registry(make_registry) -> Registry:
    return make_registry()


@pytest.fixture(params=["distribution", "referrers"])
def any_registry(request: pytest.FixtureRequest, tmp_path: Path):
    """A registry of either kind."""
    make = {"distribution": distribution, "referrers": referrers}[request.param]
    registry = make(tmp_path / request.param)
    yield registry
    registry.stop()


@dataclass
class Stub:
    """What is no registry, or one that misbehaves: answers by path, and the requests that came."""

    server: ThreadingHTTPServer
    answers: dict[str, Any]
    seen: list[tuple[str, str, str | None, bytes]]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"


UNKNOWN = (404, {"Content-Type": "application/json"}, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')


@pytest.fixture
def make_stub():
    """Starts servers that give `answers[path]` (status, headers, body), or `answers["*"]`; in TLS if they are given a
    context."""
    servers = []

    def make(answers: dict[str, Any], tls: ssl.SSLContext | None = None) -> Stub:
        seen: list[tuple[str, str, str | None, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                seen.append((self.command, self.path, self.headers.get("Authorization"), body))
                answer = answers.get(self.path, answers.get(self.path.split("?")[0], answers.get("*", UNKNOWN)))
                if callable(answer):
                    answer = answer(self, body)
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items() if isinstance(headers, dict) else headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    # Who has read enough goes away.
                    with contextlib.suppress(OSError):
                        self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = answer

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            # With a queue of five, connections that come at once are begun again a second later.
            request_queue_size = 128

        server = Server(("127.0.0.1", 0), Handler)
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return Stub(server, answers, seen)

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@dataclass
class Workspace:
    """A folder with links of a small chain, an image's layout, and what runs there."""

    folder: Path

    def linkgate(self, *arguments: Any, code: int | None = 0, **more: str) -> subprocess.CompletedProcess:
        return run(required("LINKGATE"), *arguments, cwd=self.folder, code=code, **more)

    def push(self, registry: Registry, repository: str = "app", tag: str = "1", *options: str) -> str:
        """Pushes the image by skopeo; the reference of its digest."""
        to = f"docker://{registry.host}/{repository}:{tag}"
        run("skopeo", "copy", "--quiet", *(options or ("--dest-tls-verify=false",)), "oci:layout:1", to, cwd=self.folder)
        return f"{registry.host}/{repository}@{self.digest}"

    @property
    def digest(self) -> str:
        return json.loads((self.folder / "layout/index.json").read_text())["manifests"][0]["digest"]

    def links(self, folder: str = "links") -> dict[str, bytes]:
        root = self.folder / folder
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def write_layout(folder: Path) -> None:
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, media_type: str) -> dict[str, Any]:
        (blobs / digest_of(data).removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [],
    }
    listed = blob(json.dumps(manifest).encode(), MANIFEST)
    listed["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [listed]}))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = tmp_path / "workspace"
    (folder / "links").mkdir(parents=True)
    made = Workspace(folder)
    write_layout(folder / "layout")
    made.linkgate("keygen", "-n", "bob")
    for step, more in (("build", ()), ("test", ("--use-dsse",))):
        made.linkgate("run", "-n", step, "-k", "bob", "-d", "links", *more, "--", "true")
    # As the links of a sublayout lie beside it.
    inner = folder / "links/build.776a00e2"
    inner.mkdir()
    made.linkgate("run", "-n", "compile", "-k", "bob", "-d", inner, "--", "true")
    return made
