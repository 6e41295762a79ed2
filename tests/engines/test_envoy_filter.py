"""Envoy with the verifier in it, by policies/envoy/filter: skopeo pulls through it what the chain made, and nothing else."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import POLICIES
from engine import Engine, listens, program, run
from images import Image, Pushed
from ports import free_port
from supply import PATIENCE, binary
from test_envoy import CLIENT, Proxy, while_it_moves


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The filter: FILTER, or what the binary under test holds."""
    if path := os.environ.get("FILTER"):
        return Path(path).resolve(strict=True)
    path = tmp_path_factory.mktemp("filter") / "verifier.proxy.wasm"
    with path.open("wb") as out:
        subprocess.run([binary(), "component", "--format", "proxy-wasm"], stdout=out, check=True, timeout=PATIENCE)
    return path


# An Envoy that hands on the trailers of HTTP/1.1, as it does those of HTTP/2.
PROTOCOL = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
TRAILERS = {
    "@type": f"type.googleapis.com/{PROTOCOL}",
    "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}},
}


class Filter(Proxy):
    """An Envoy with the filter."""

    admin: int

    def stats(self, prefix: str = "wasmcustom.linkgate_") -> dict[str, int]:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{self.admin}/stats?filter=linkgate", timeout=PATIENCE
        ) as reply:
            lines = reply.read().decode().splitlines()
        found = (re.fullmatch(re.escape(prefix) + r"(\w+): (\d+)", line) for line in lines)
        return {match[1]: int(match[2]) for match in found if match}


def configured(images: Pushed, **changes: Any) -> dict[str, Any]:
    """The plugin's configuration for the images of the tests."""
    chain = images.chain
    [owner] = chain.keys.in_layout("owner").values()
    return json.loads((POLICIES / "envoy/filter/plugin.json").read_text()) | {
        "registry": {"cluster": "registry", "authority": chain.registry.host},
        "repositories": [f"{chain.registry.host}/web/**", f"{chain.registry.host}/many/**"],
        "subject": ["image", "amd64.json", "arm64.json"],
        "layout": json.loads((chain.supply.policies / "root.layout").read_text()),
        "owners": [owner],
        "cache": {"refused_seconds": 0},
    } | changes


@pytest.fixture(scope="module")
def before(module: Path, images: Pushed, engines: Callable[..., Engine], tmp_path_factory: pytest.TempPathFactory):
    """Starts an Envoy with the filter before a registry."""

    def start(
        port: int | None = None,
        text: str | None = None,
        code: Path = module,
        idle: str = "20s",
        trailers: bool = False,
        edit: Callable[[dict[str, Any]], None] = lambda bootstrap: None,
        **changes: Any,
    ) -> Filter:
        folder, listen, admin = tmp_path_factory.mktemp("filter"), free_port(), free_port()
        bootstrap = yaml.safe_load((POLICIES / "envoy/filter/envoy.yaml").read_text())
        bootstrap["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}}
        resources = bootstrap["static_resources"]
        [listener] = resources["listeners"]
        listener["address"]["socket_address"]["port_value"] = listen
        [chain] = listener["filter_chains"]
        manager = chain["filters"][0]["typed_config"]
        manager["stream_idle_timeout"] = idle
        plugin = manager["http_filters"][0]["typed_config"]["config"]
        plugin["vm_config"]["code"]["local"]["filename"] = str(code)
        plugin["configuration"]["value"] = text or json.dumps(configured(images, **changes))
        if trailers:
            resources["clusters"][0]["typed_extension_protocol_options"] = {PROTOCOL: TRAILERS}
        [endpoints] = resources["clusters"][0]["load_assignment"]["endpoints"]
        [endpoint] = endpoints["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = port or images.chain.registry.port
        edit(bootstrap)
        (folder / "envoy.yaml").write_text(yaml.safe_dump(bootstrap))
        command = [program("envoy"), "-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "2", "-l", "warning"]
        engine = engines(command, folder, "envoy", lambda: listens(listen))
        proxy = Filter(engine, listen, folder)
        proxy.admin = admin
        return proxy

    return start


@pytest.fixture(scope="module")
def envoy(before: Callable[..., Filter]) -> Filter:
    return before()


@pytest.fixture(scope="module")
def indexes(images: Pushed) -> dict[str, Image]:
    """Of two platforms: an index that is a product, one whose manifests are, and one of whose manifests one is."""
    chain = images.chain
    return {
        "itself": chain.make("itself", "amd64", "arm64"),
        "each": chain.make("each", "amd64", "arm64", repository="many/app", manifests=("amd64", "arm64")),
        "one": chain.make("one", "amd64", "arm64", repository="many/app", manifests=("amd64",)),
    }


# What is good arrives.


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_good_image_arrives(envoy: Filter, images: Pushed, by: str) -> None:
    good = images.good
    assert envoy.pull(good, f":{good.tag}" if by == "tag" else f"@{good.digest}") == good.blobs


@pytest.mark.parametrize("which", ["itself", "each"])
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_good_index_arrives_with_all_of_it(envoy: Filter, indexes: dict[str, Image], which: str, by: str) -> None:
    index = indexes[which]
    assert envoy.pull(index, f":{index.tag}" if by == "tag" else f"@{index.digest}") == index.blobs


def test_head_tells_what_get_brings(envoy: Filter, images: Pushed) -> None:
    head = envoy.ask(f"/v2/{images.good.repository}/manifests/{images.good.tag}", "HEAD")
    assert (head.status, head.headers["docker-content-digest"]) == (200, images.good.digest)
    head = envoy.ask(f"/v2/{images.tampered.repository}/manifests/{images.tampered.tag}", "HEAD")
    assert (head.status, head.body) == (403, b"")


@pytest.fixture(scope="module")
def listing(engines: Callable[..., Engine], tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A registry that lists referrers, in whose log is what it was asked."""
    path = os.environ.get("REFERRERS")
    if not path:
        pytest.skip("REFERRERS is not set: no registry with the referrers API")
    port = free_port()
    command = [Path(path).absolute(), f"127.0.0.1:{port}"]
    return engines(command, tmp_path_factory.mktemp("listing"), "referrers", lambda: listens(port))


def test_evidence_in_a_list_of_referrers(before: Callable[..., Filter], images: Pushed, listing: Engine) -> None:
    chain, host = images.chain, listing.command[1]
    good, tampered, unknown = (replace(image, host=host) for image in (images.good, images.tampered, images.unknown))
    for image in (good, tampered, unknown):
        chain.push(image)
    for image in (good, tampered):
        chain.attach(image, good.work / "links")
    registry = {"cluster": "registry", "authority": host}
    envoy = before(int(host.partition(":")[2]), registry=registry, repositories=[f"{host}/web/**"])
    assert envoy.pull(good, f":{good.tag}") == good.blobs
    assert f"GET /v2/{good.repository}/referrers/{good.digest}" in listing.log
    for image, why in ((tampered, "it is not what this chain made"), (unknown, "no link")):
        assert why in envoy.pull(image, f":{image.tag}", code=1)
    # It came from the list: nothing was put under the fallback tag.
    assert f"PUT /v2/{good.repository}/manifests/sha256-" not in listing.log


# What is not good does not, and its client says why.


@pytest.mark.parametrize("by", ["tag", "digest"])
@pytest.mark.parametrize(("which", "why"), [("tampered", "it is not what this chain made"), ("unknown", "no link")])
def test_what_nobody_made_is_refused(envoy: Filter, images: Pushed, which: str, why: str, by: str) -> None:
    image = getattr(images, which)
    said = envoy.pull(image, f":{image.tag}" if by == "tag" else f"@{image.digest}", code=1)
    assert f"denied: linkgate: {image}: reject: " in said
    assert why in said


def test_an_index_with_a_manifest_by_nobody_is_refused(envoy: Filter, indexes: dict[str, Image]) -> None:
    index = indexes["one"]
    assert envoy.manifest(index.repository, index.digest).status == 403


def test_a_tag_of_nothing(envoy: Filter, images: Pushed) -> None:
    reply = envoy.manifest(images.good.repository, "nothing")
    assert (reply.status, reply.error.partition(":")[0]) == (404, "MANIFEST_UNKNOWN")


def test_a_repository_that_nothing_governs(before: Callable[..., Filter], envoy: Filter, images: Pushed) -> None:
    elsewhere = images.chain.make("good", repository="elsewhere/app")
    reply = envoy.manifest(elsewhere.repository, elsewhere.tag)
    assert reply.status == 403
    assert "no policy governs it" in reply.error
    assert before(ungoverned="allow").pull(elsewhere, f":{elsewhere.tag}") == elsewhere.blobs


@pytest.mark.parametrize(
    "path",
    [
        "/v2/web/app/manifest%73/%67ood",
        "/v2/web//app/manifests/good",
        "/v2/other/../web/app/manifests/good",
    ],
)
def test_paths_that_mean_a_plain_one(envoy: Filter, path: str) -> None:
    """Envoy makes one path of them, and that is judged and forwarded."""
    assert envoy.ask(path).status in (200, 403)
    assert envoy.ask(path.replace("good", "tampered").replace("%67ood", "tampered")).status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/v2/_catalog",
        "/v2/web/app/tags/list",
        "/v2/web/app/manifests/good?x=y",
        "/v2/web/app/manifests/good/",
        "/v2/web/app/manifests/good;x",
        "/v2/web/app/manifests/sha256%3a00",
        "/v2/web%2fapp/manifests/good",
        "/v2/web/app/blobs/uploads/",
        "/v1/",
    ],
)
def test_paths_that_do_not_pass(envoy: Filter, path: str) -> None:
    assert envoy.ask(path).status in (400, 403, 404)


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
def test_nothing_is_pushed(envoy: Filter, images: Pushed, method: str) -> None:
    before = len(images.chain.registry.requests(CLIENT))
    assert envoy.ask("/v2/web/app/manifests/good", method, Content_Length="0").status == 405
    assert len(images.chain.registry.requests(CLIENT)) == before


def test_the_ping_passes(envoy: Filter) -> None:
    assert (envoy.ask("/v2/").status, envoy.ask("/v2/", "HEAD").status) == (200, 200)


def test_blobs_pass_with_their_image_only(before: Callable[..., Filter], images: Pushed) -> None:
    """Of a configuration that was not yet asked anything."""
    envoy, good, tampered = before(), images.good, images.tampered
    layers = {image.tag: json.loads(image.manifest)["layers"][0]["digest"] for image in (good, tampered)}
    asked = {tag: f"/v2/{good.repository}/blobs/{layer}" for tag, layer in layers.items()}
    for path in asked.values():
        reply = envoy.ask(path)
        assert reply.status == 403
        assert "pull its manifest first" in reply.error
    assert envoy.manifest(tampered.repository, tampered.tag).status == 403
    assert envoy.manifest(good.repository, good.tag).body == good.manifest
    assert envoy.ask(asked[good.tag]).body == good.blob(layers[good.tag])
    assert envoy.ask(asked[tampered.tag]).status == 403
    # Blobs are by repository: no other one is read by way of this one.
    assert envoy.ask(f"/v2/web/other/blobs/{layers[good.tag]}").status == 403


# What was decided on is what is delivered.


def test_a_tag_is_pinned(envoy: Filter, images: Pushed) -> None:
    good, registry = images.good, images.chain.registry
    before = len(registry.requests(CLIENT))
    assert envoy.manifest(good.repository, good.tag).body == good.manifest
    assert registry.requests(CLIENT)[before:] == [f"GET /v2/{good.repository}/manifests/{good.digest}"]


def test_a_tag_that_moves_while_it_is_pulled(envoy: Filter, images: Pushed) -> None:
    replies = while_it_moves(envoy, images)
    assert {reply.status for reply in replies} <= {200, 403, 503}
    assert {reply.body for reply in replies if reply.status == 200} <= {images.good.manifest}


# A registry that fails, or lies.

# A status and a body, perhaps with headers; nothing for a long time.
Answer = tuple[int, bytes] | tuple[int, bytes, list[tuple[str, str]]] | None


class Liar(http.server.ThreadingHTTPServer):
    """Passes questions on to the registry, unless it is told what to answer."""

    daemon_threads = True
    # With a queue of five, connections that come at once are begun again a second later.
    request_queue_size = 128

    def __init__(self, registry: str) -> None:
        self.registry = registry
        # By what a path holds: how often it is answered rightly before, and the answer, or nothing for a long time.
        self.answers: dict[str, tuple[int, Answer]] = {}
        self.asked: list[str] = []
        self.digest = ""
        self.trailers = False
        # What bodies of answers are cut into, with a while between them.
        self.pieces = 1
        # Where it is cleared, lists of referrers wait for it.
        self.may_list = threading.Event()
        self.may_list.set()
        super().__init__(("127.0.0.1", 0), Lies)

    @property
    def port(self) -> int:
        return self.server_address[1]


class Lies(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Liar

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if "/referrers/" in self.path:
            self.server.may_list.wait(PATIENCE)
        for part, (after, answer) in self.server.answers.items():
            if part not in self.path:
                continue
            if after:
                self.server.answers[part] = after - 1, answer
                continue
            if answer is None:
                time.sleep(10)
                self.close_connection = True
                return
            status, body, *more = answer
            self.say(status, body, more=more[0] if more else [])
            return
        request = urllib.request.Request(f"http://{self.server.registry}{self.path}", method=self.command)
        request.add_header("Accept", self.headers.get("Accept", "*/*"))
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as reply:
                self.say(reply.status, reply.read(), reply.headers.get("Content-Type"))
        except urllib.error.HTTPError as error:
            self.say(error.code, error.read())

    do_HEAD = do_GET

    def say(self, status: int, body: bytes, kind: str | None = None, more: Iterable[tuple[str, str]] = ()) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/json")
        for name, value in more:
            self.send_header(name, value)
        if self.server.digest:
            self.send_header("Docker-Content-Digest", self.server.digest)
        if self.server.trailers or self.server.pieces > 1:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            length = -(-len(body) // self.server.pieces)
            for at in range(0, len(body), length):
                piece = body[at : at + length]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                time.sleep(0.05 if self.server.pieces > 1 else 0)
            self.wfile.write(b"0\r\nX: y\r\n\r\n" if self.server.trailers else b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            # Envoy hangs up on who says too much.
            pass

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def liar(images: Pushed) -> Iterator[Liar]:
    with Liar(images.chain.registry.host) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def lied_to(before: Callable[..., Filter]) -> Callable[..., Filter]:
    # What is not believed for long is asked again.
    limits, cache = {"milliseconds": LIMIT * 1000}, {"accepted_seconds": 1, "refused_seconds": 0}
    return lambda liar, **changes: before(liar.port, **{"limits": limits, "cache": cache} | changes)


BIG = b" " * (17 << 20)
# For one decision, in seconds: enough for a good image on a busy machine, and less than a liar that says nothing takes.
LIMIT = 4


@pytest.mark.parametrize("part", ["/referrers/", "/manifests/sha256-", ".att", "/blobs/", "/manifests/good"])
def test_a_registry_that_does_not_say_what_it_has(
    lied_to: Callable[..., Filter], liar: Liar, images: Pushed, part: str
) -> None:
    """Nothing is known then: 503, which is told from a refusal, and counted apart from it."""
    envoy, good = lied_to(liar), images.good
    assert envoy.manifest(good.repository, good.tag).body == good.manifest
    time.sleep(1.1)
    bad: list[Answer] = [(404, b"<html>"), (302, b""), (500, b""), (401, b"{}"), (200, b"{}"), (200, b""), (200, BIG), None]
    for number, answer in enumerate(bad, 1):
        liar.answers = {part: (0, answer)}
        if part == "/referrers/" and answer and answer[0] == 404:
            # So a registry says that it has no such API.
            continue
        begins = time.monotonic()
        reply = envoy.manifest(good.repository, good.tag)
        # Of the image itself the registry said something: that it is no manifest.
        if part == "/manifests/good" and answer in ((200, b"{}"), (200, b"")):
            assert reply.status == 403
            continue
        assert (reply.status, reply.error.partition(":")[0]) == (503, "UNAVAILABLE"), answer
        assert "nothing is known" in reply.error or "no decision within" in reply.error
        assert time.monotonic() - begins < LIMIT + 2
        assert envoy.stats()["source_down"] >= 1, number
    liar.answers = {}
    assert envoy.manifest(good.repository, good.tag).body == good.manifest


EMPTY_LIST = b'{"schemaVersion": 2, "manifests": []}'


@pytest.mark.parametrize(
    "headers",
    [
        ['<HERE?n=2>; rel="next"'],
        ['<HERE?n=2>; rel = "next"'],
        ["<HERE?n=2>; REL=next"],
        ['<HERE?n=2>; rel="next prefetch"'],
        ['</v2/>; rel="prev"', '<HERE?n=2>; rel="next"'],
        ["<?n=2>; rel=next"],
        ["<http://HOSTHERE?n=2>; rel=next"],
    ],
)
@pytest.mark.parametrize("second", [(404, b"{}"), (404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}'), (200, EMPTY_LIST)])
def test_the_second_page_of_a_list(
    lied_to: Callable[..., Filter], liar: Liar, images: Pushed, headers: list[str], second: Answer
) -> None:
    envoy, good = lied_to(liar), images.good
    here, host = f"/v2/{good.repository}/referrers/{good.digest}", images.chain.registry.host
    links = [("Link", header.replace("HERE", here).replace("HOST", host)) for header in headers]
    liar.answers = {f"{here}?n=2": (0, second), "/referrers/": (0, (200, EMPTY_LIST, links))}
    assert envoy.manifest(good.repository, good.digest).status == (200 if second[0] == 200 else 503)
    assert f"{here}?n=2" in liar.asked


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (["<?n=2; rel=next"], "cannot be read"),
        (["<?n=2>"], "cannot be read"),
        (["<?n=2>; rel=prev; rel=next"], "cannot be read"),
        (["<?n=2>; rel=next", "<?n=3>; rel=next"], "two next pages"),
        (["<http://127.0.0.1:1/v2/>; rel=next"], "at another place"),
        (["<//127.0.0.1:1/v2/>; rel=next"], "at another place"),
        (["</v2/other/referrers/x?n=2>; rel=next"], "at another place"),
        (["<?artifactType=application%2Fvnd.in-toto%2Bjson>; rel=next"], "lead back"),
    ],
)
def test_a_list_that_goes_on_nobody_knows_where(
    lied_to: Callable[..., Filter], liar: Liar, images: Pushed, headers: list[str], why: str
) -> None:
    envoy, good = lied_to(liar), images.good
    liar.answers = {"/referrers/": (0, (200, EMPTY_LIST, [("Link", header) for header in headers]))}
    reply = envoy.manifest(good.repository, good.digest)
    assert reply.status == 503
    assert "nothing is known" in reply.error and why in reply.error
    assert_sound(envoy, liar, good)


def test_other_bytes_than_those_of_the_digest(lied_to: Callable[..., Filter], liar: Liar, images: Pushed) -> None:
    """Links, evidence manifests, and the image itself after it was judged."""
    envoy, good, tampered = lied_to(liar), images.good, images.tampered
    # At first as the filter asks for it, then as the client gets it.
    for after in (0, 1):
        liar.answers = {f"/manifests/{good.digest}": (after, (200, tampered.manifest))}
        assert envoy.manifest(good.repository, good.digest).status == 503
        time.sleep(1.1)
    liar.answers = {}
    assert envoy.manifest(good.repository, good.digest).body == good.manifest


@pytest.mark.parametrize("answer", [(307, b""), (304, b""), (206, b"{}"), (203, b"{}")])
def test_an_answer_that_leads_elsewhere(
    lied_to: Callable[..., Filter], liar: Liar, images: Pushed, answer: tuple[int, bytes]
) -> None:
    """After the judgement the client is sent somewhere else, or told that it has the manifest: it could not tell."""
    envoy, good = lied_to(liar), images.good
    liar.answers = {f"/manifests/{good.digest}": (0, answer)}
    assert envoy.manifest(good.repository, good.tag).status == 503
    assert_sound(envoy, liar, good)


DIGEST_HEADER, EVIL = "Docker-Content-Digest", "sha256:" + "ab" * 32


@pytest.mark.parametrize("more", [[], [(DIGEST_HEADER, "GOOD")]])
def test_no_manifest_at_all(
    lied_to: Callable[..., Filter], liar: Liar, images: Pushed, more: list[tuple[str, str]]
) -> None:
    """A client that trusts the header would take nothing for the image. `HEAD` is answered without a body."""
    envoy, good = lied_to(liar), images.good
    liar.answers = {f"/manifests/{good.digest}": (0, (200, b"", [(name, good.digest) for name, _ in more]))}
    assert envoy.manifest(good.repository, good.tag).status == 503
    assert envoy.ask(f"/v2/{good.repository}/manifests/{good.tag}", "HEAD").status == 200
    assert_sound(envoy, liar, good)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "more",
    [
        [(DIGEST_HEADER, EVIL)],
        [(DIGEST_HEADER, "GOOD"), (DIGEST_HEADER, EVIL)],
        [(DIGEST_HEADER, EVIL), (DIGEST_HEADER, "GOOD")],
        [(DIGEST_HEADER, "GOOD"), (DIGEST_HEADER.lower(), "GOOD")],
        [(DIGEST_HEADER, f"GOOD, {EVIL}")],
        [("Content-Type", "application/vnd.oci.image.index.v1+json")],
        [("Content-Encoding", "gzip")],
    ],
)
def test_headers_that_say_two_things(
    lied_to: Callable[..., Filter], liar: Liar, images: Pushed, method: str, more: list[tuple[str, str]]
) -> None:
    envoy, good = lied_to(liar), images.good
    said = [(name, value.replace("GOOD", good.digest)) for name, value in more]
    liar.answers = {f"/manifests/{good.digest}": (0, (200, good.manifest, said))}
    assert envoy.ask(f"/v2/{good.repository}/manifests/{good.tag}", method).status == 503
    liar.answers = {f"/manifests/{good.digest}": (0, (200, good.manifest, [(DIGEST_HEADER, good.digest)]))}
    assert envoy.ask(f"/v2/{good.repository}/manifests/{good.tag}", method).status == 200


@pytest.mark.parametrize("status", [401, 404, 500])
def test_an_error_with_words_is_handed_on(lied_to: Callable[..., Filter], liar: Liar, images: Pushed, status: int) -> None:
    envoy, good = lied_to(liar), images.good
    liar.answers = {f"/manifests/{good.digest}": (0, (status, b'{"errors":[]}'))}
    reply = envoy.manifest(good.repository, good.tag)
    assert (reply.status, reply.body) == (status, b'{"errors":[]}')
    assert_sound(envoy, liar, good)


def test_a_client_that_accepts_no_manifest(before: Callable[..., Filter], images: Pushed) -> None:
    """The registry says 404 then, in words: that is no trap."""
    envoy, good = before(), images.good
    for _ in range(3):
        assert envoy.manifest(good.repository, good.digest, Accept="text/plain").status == 404
    assert envoy.manifest(good.repository, good.digest).body == good.manifest
    assert "panicked" not in envoy.engine.log


def test_trailers_let_no_manifest_go_unchecked(lied_to: Callable[..., Filter], liar: Liar, images: Pushed) -> None:
    envoy, good, tampered = lied_to(liar, trailers=True), images.good, images.tampered
    liar.trailers = True
    for manifest in [tampered.manifest, good.manifest]:
        liar.answers = {f"/manifests/{good.digest}": (0, (200, manifest))}
        assert envoy.manifest(good.repository, good.tag).status == 503
    liar.trailers = False
    assert_sound(envoy, liar, good)


def test_a_manifest_in_pieces_is_checked_as_a_whole(lied_to: Callable[..., Filter], liar: Liar, images: Pushed) -> None:
    """All of it is what was judged, whether it comes at once or not, and nothing comes after it."""
    envoy, good = lied_to(liar), images.good
    liar.pieces = 4
    assert envoy.manifest(good.repository, good.tag).body == good.manifest
    for pieces in [2, 3]:
        liar.pieces = pieces
        more = good.manifest + b" " * (len(good.manifest) * (pieces - 1))
        liar.answers = {f"/manifests/{good.digest}": (0, (200, more))}
        time.sleep(1.1)
        assert envoy.manifest(good.repository, good.tag).status == 503
    liar.pieces = 1
    assert_sound(envoy, liar, good)


def test_headers_that_are_no_text(lied_to: Callable[..., Filter], liar: Liar, images: Pushed) -> None:
    envoy, good = lied_to(liar), images.good
    liar.digest = "\xff"
    assert envoy.manifest(good.repository, good.tag).status == 503
    liar.digest = ""
    url = f"http://127.0.0.1:{envoy.port}/v2/{good.repository}/manifests/{good.tag}?ns=".encode() + b"\xff"
    command = ["curl", "--silent", "--http2-prior-knowledge", "--noproxy", "*", "--write-out", "%{http_code}", url]
    said = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE).stdout
    assert said[-3:] in (b"400", b"403"), said
    assert_sound(envoy, liar, good)


def assert_sound(envoy: Filter, liar: Liar, good: Image) -> None:
    liar.answers = {}
    assert envoy.manifest(good.repository, good.tag).body == good.manifest
    assert "panicked" not in envoy.engine.log


def test_a_registry_that_is_down(before: Callable[..., Filter], images: Pushed) -> None:
    envoy = before(free_port())
    assert envoy.manifest(images.good.repository, images.good.tag).status == 503


@pytest.mark.parametrize("limits", [{"fetches": 3}, {"evidence_bytes": 100}])
def test_more_evidence_than_is_allowed(before: Callable[..., Filter], images: Pushed, limits: dict[str, int]) -> None:
    reply = before(limits=limits).manifest(images.good.repository, images.good.tag)
    assert (reply.status, reply.error.partition(":")[0]) == (424, "UNAVAILABLE")
    assert "more evidence than" in reply.error


def capped(module: bytes, more: int) -> bytes:
    """The module with a memory that grows by so many pages at most: a maximum written into its memory section."""

    def number(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = module[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value, at

    def written(value: int) -> bytes:
        out = bytearray()
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes([*out, value])

    at, memory_section = 8, 5
    while module[at] != memory_section:
        length, content = number(at + 1)
        at = content + length
    length, content = number(at + 1)
    least, _ = number(content + 2)
    section = bytes([1, 1]) + written(least) + written(least + more)
    return module[:at] + bytes([memory_section]) + written(len(section)) + section + module[content + length :]


def test_a_trap_lets_nothing_pass(
    before: Callable[..., Filter], module: Path, liar: Liar, images: Pushed, tmp_path: Path
) -> None:
    """An answer that the filter has no memory for ends it: the request that it was asked ends too, and others are judged anew."""
    code, good = tmp_path / "capped.wasm", images.good
    # 4 MiB do for the good image.
    code.write_bytes(capped(module.read_bytes(), 64))
    envoy = before(liar.port, code=code, idle="3s", cache={"accepted_seconds": 0})
    assert envoy.manifest(good.repository, good.tag).body == good.manifest
    liar.answers = {"/referrers/": (0, (200, b" " * (12 << 20)))}
    begins = time.monotonic()
    assert envoy.manifest(good.repository, good.tag).status == 503
    assert time.monotonic() - begins < 10
    liar.answers = {}
    statuses = []
    while time.monotonic() - begins < PATIENCE and statuses[-1:] != [200]:
        statuses.append(envoy.manifest(good.repository, good.tag).status)
        time.sleep(0.2)
    assert statuses[-1] == 200 and set(statuses) <= {200, 503}, statuses


# What is remembered, and for how long.


def test_a_digest_is_asked_about_once(lied_to: Callable[..., Filter], liar: Liar, images: Pushed) -> None:
    envoy, good = lied_to(liar, cache={"accepted_seconds": 6}), images.good
    for _ in range(3):
        assert envoy.manifest(good.repository, good.digest).body == good.manifest
    assert sum("/referrers/" in path for path in liar.asked) == 1
    assert envoy.stats()["cache_hits"] == 2
    time.sleep(6.1)
    assert envoy.manifest(good.repository, good.digest).status == 200
    assert sum("/referrers/" in path for path in liar.asked) == 2


def test_nothing_is_believed_longer_than_its_verdict(before: Callable[..., Filter], images: Pushed) -> None:
    chain, good = images.chain, images.good
    layer = json.loads(good.manifest)["layers"][0]["digest"]
    asked = f"/v2/{good.repository}/manifests/{good.digest}", f"/v2/{good.repository}/blobs/{layer}"
    for seconds in (6, 24, 96):
        ends = int(time.time()) + seconds
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
        path = chain.supply.layout("short.layout", steps=chain.steps(), expires=expires)
        envoy = before(layout={"text": path.read_text()})
        path.unlink()
        statuses = [envoy.ask(path).status for path in asked]
        # A busy machine may take longer to start it.
        if time.time() < ends:
            break
    assert statuses == [200, 200]
    time.sleep(max(0, ends + 1 - time.time()))
    assert [envoy.ask(path).status for path in asked] == [403, 403]


def test_refusals_are_remembered_for_a_short_time(lied_to: Callable[..., Filter], liar: Liar, images: Pushed) -> None:
    envoy, unknown = lied_to(liar, cache={"refused_seconds": 6}), images.unknown
    for _ in range(3):
        assert envoy.manifest(unknown.repository, unknown.digest).status == 403
    assert sum("/referrers/" in path for path in liar.asked) == 1
    time.sleep(6.1)
    assert envoy.manifest(unknown.repository, unknown.digest).status == 403
    assert sum("/referrers/" in path for path in liar.asked) == 2


def test_what_is_counted(before: Callable[..., Filter], images: Pushed) -> None:
    envoy = before()
    envoy.manifest(images.good.repository, images.good.tag)
    envoy.manifest(images.tampered.repository, images.tampered.tag)
    stats = envoy.stats()
    assert (stats["accepted"], stats["rejected"], stats["source_down"]) == (1, 1, 0)


# A configuration that cannot be meant.


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mode": "warn"}, "unknown field `mode`"),
        ({"owners": []}, "whose word is taken"),
        ({"layout": {"text": "x"}}, "`layout`: "),
        ({"repositories": []}, "it governs nothing"),
    ],
)
def test_a_broken_configuration(before: Callable[..., Filter], changes: dict[str, Any], why: str) -> None:
    """Envoy does not start with it, and says why."""
    with pytest.raises(AssertionError, match="does not run") as raised:
        before(**changes)
    assert f"linkgate: the plugin's configuration cannot be used: " in str(raised.value)
    assert why in str(raised.value)
