"""Times the filter in Envoy, by the proxy's own clock: pulls of an image whose chain is that of the first case, none remembered.

    ENGINES=.. python tests/portable/envoy.py --cases IN.jsonl --time N --module verifier.proxy.wasm --image MANIFEST

MANIFEST is the image's, and the case's subject. The filter answers pulls and gives no verdicts, so that it has nothing to say
about the other cases. It needs PyYAML.
"""

import argparse
import hashlib
import http.client
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))

from ports import free_port

OCI = "application/vnd.oci.image.{}.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
HOST = "registry.example"
WARM_UP = 3
PATIENCE = 30


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry(http.server.ThreadingHTTPServer):
    """A registry that holds one image and its evidence."""

    def __init__(self, image: bytes, links: dict[str, bytes]) -> None:
        self.contents = {digest(link): link for link in links.values()} | {"v1": image, digest(image): image}
        layers = [
            self.described(link, IN_TOTO) | {"annotations": {"org.opencontainers.image.title": name}}
            for name, link in links.items()
        ]
        empty = self.described(b"{}", "application/vnd.oci.empty.v1+json")
        evidence = self.manifest(
            artifactType=IN_TOTO, config=empty, layers=layers, subject=self.described(image, OCI.format("manifest"))
        )
        listed = self.described(evidence, OCI.format("manifest")) | {"artifactType": IN_TOTO}
        index = {"schemaVersion": 2, "mediaType": OCI.format("index"), "manifests": [listed]}
        self.referrers = json.dumps(index).encode()
        super().__init__(("127.0.0.1", 0), Answering)

    def manifest(self, **members: object) -> bytes:
        return json.dumps({"schemaVersion": 2, "mediaType": OCI.format("manifest"), **members}).encode()

    def described(self, content: bytes, media_type: str) -> dict[str, object]:
        self.contents[digest(content)] = content
        return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


class Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        found = self.server.referrers if "/referrers/" in path else self.server.contents.get(path.rpartition("/")[2])
        body = b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}' if found is None else found
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def bootstrap(module: Path, request: dict, registry: int, listen: int, admin: int) -> dict:
    """The shipped one, with the case's layout and keys, and a memory of nothing."""
    whole = yaml.safe_load((ROOT / "policies/envoy/filter/envoy.yaml").read_text())
    whole["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}}
    [listener] = whole["static_resources"]["listeners"]
    listener["address"]["socket_address"]["port_value"] = listen
    plugin = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][0]["typed_config"]["config"]
    plugin["vm_config"]["code"]["local"]["filename"] = str(module)
    plugin["configuration"]["value"] = json.dumps({
        "registry": {"cluster": "registry", "authority": HOST},
        "repositories": [f"{HOST}/**"],
        "subject": [request["subjects"][0]["name"]],
        "layout": request["layout"],
        "owners": request["trust"]["signed_by"],
        "cache": {"accepted_seconds": 0, "refused_seconds": 0},
    })
    [cluster] = whole["static_resources"]["clusters"]
    [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoint["endpoint"]["address"]["socket_address"]["port_value"] = registry
    return whole


@contextmanager
def envoy(settings: dict, listen: int):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "envoy.yaml").write_text(yaml.safe_dump(settings))
        command = [f"{os.environ['ENGINES']}/envoy", "-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "1"]
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen([*command, "-l", "warning"], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until = time.monotonic() + PATIENCE
            while True:
                try:
                    socket.create_connection(("127.0.0.1", listen), timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > until:
                        raise SystemExit((Path(folder) / "log").read_text()) from None
                    time.sleep(0.1)
            yield
        finally:
            process.kill()
            process.wait()


def median(admin: int, count: int) -> float:
    """What the proxy's histogram says, once all is in it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with opener.open(f"http://127.0.0.1:{admin}/stats?filter=linkgate", timeout=PATIENCE) as reply:
            stats = reply.read().decode()
        found = re.search(r"verification_us: .*P50\([^,]*,([\d.e+]+)\)", stats)
        accepted = re.search(r"linkgate_accepted: (\d+)", stats)
        if found and accepted and int(accepted[1]) == count:
            return float(found[1])
        time.sleep(0.5)
    raise SystemExit(f"not all pulls were accepted, or counted:\n{stats}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--signatures", choices=["none"], default="none")
    parser.add_argument("--time", type=int, required=True)
    parser.add_argument("--module", type=Path, required=True)
    parser.add_argument("--image", type=Path, required=True)
    options = parser.parse_args()
    request = json.loads(json.loads(options.cases.read_text().splitlines()[0])["request"])
    image = options.image.read_bytes()
    registry = Registry(image, {one["name"]: one["text"].encode() for one in request["documents"]})
    threading.Thread(target=registry.serve_forever, daemon=True).start()
    listen, admin = free_port(), free_port()
    settings = bootstrap(options.module.absolute(), request, registry.server_address[1], listen, admin)
    count = WARM_UP + options.time
    with envoy(settings, listen):
        client = http.client.HTTPConnection("127.0.0.1", listen, timeout=PATIENCE)
        for _ in range(count):
            client.request("GET", "/v2/app/manifests/v1")
            reply = client.getresponse()
            if reply.status != 200 or reply.read() != image:
                raise SystemExit(f"the image does not arrive: {reply.status} {reply.read()[:500]!r}")
        took = median(admin, count)
    print(json.dumps({"median_us": took, "engine": "Envoy's filter"}))


if __name__ == "__main__":
    main()
