"""Envoy in front of a registry, by policies/envoy: skopeo pulls through it what the gate allows, and nothing else."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from conftest import POLICIES, Authority
from engine import Engine, listens, program
from gate import Gate, wait_for
from images import Image, Pushed, skopeo
from pack import INDEX, MANIFEST
from ports import free_port
from supply import PATIENCE

# The test's own client of the registry, as the registry logs it.
CLIENT = "linkgate-test"
NO_ANSWER = "the gate gives no answer, so nothing is pulled; try again later"


@dataclass
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def error(self) -> str:
        """The message of an OCI error."""
        [error] = json.loads(self.body)["errors"]
        return f"{error['code']}: {error['message']}"


@dataclass
class Proxy:
    """An Envoy that runs."""

    engine: Engine
    port: int
    folder: Path

    def ask(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """Sends a path as it is, whatever that may mean."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            named = {"Accept": f"{MANIFEST}, {INDEX}", "User-Agent": CLIENT, **headers}
            for name, value in named.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            reply = connection.getresponse()
            return Reply(reply.status, reply.read(), {name.lower(): value for name, value in reply.getheaders()})
        finally:
            connection.close()

    def manifest(self, repository: str, reference: str, **headers: str) -> Reply:
        return self.ask(f"/v2/{repository}/manifests/{reference}", **headers)

    def pull(self, image: Image, reference: str, code: int = 0) -> dict[str, bytes] | str:
        """What skopeo brings, by digest, or what it says that went wrong."""
        to = self.folder / "pulled"
        shutil.rmtree(to, ignore_errors=True)
        options = ("--quiet", "--all", "--preserve-digests", "--src-tls-verify=false")
        name = f"docker://127.0.0.1:{self.port}/{image.repository}{reference}"
        done = skopeo("copy", *options, name, f"oci:{to}:v1", cwd=self.folder, code=code)
        if code:
            assert not list(to.glob("blobs/sha256/*"))
            return done.stderr
        return {f"sha256:{path.name}": path.read_bytes() for path in (to / "blobs/sha256").iterdir()}


def filled(form: str, **places: str) -> str:
    """The configuration, with the names and addresses of a test."""
    text = (POLICIES / f"envoy/{form}.yaml").read_text()
    for written, place in places.items():
        written = {"listen": "port_value: 8000", "gate": "port_value: 8443", "registry": "port_value: 5000"}.get(
            written, written
        )
        assert written in text, written
        text = text.replace(written, place)
    return text


def with_fallback(text: str, *gates: Gate) -> str:
    """The configuration with several gates, as the README has it."""
    [written] = re.findall(r"```yaml\n(.*?)```", (POLICIES / "envoy/README.md").read_text(), re.S)
    several = yaml.safe_load(written)
    # A gate that is gone refuses its connections at once; one that answers late on a busy machine is not gone.
    several["health_checks"][0]["timeout"] = f"{PATIENCE}s"
    for endpoints, gate in zip(several["load_assignment"]["endpoints"], gates, strict=True):
        [endpoint] = endpoints["lb_endpoints"]
        host, _, port = gate.address.rpartition(":")
        endpoint["endpoint"]["address"]["socket_address"] = {"address": host, "port_value": int(port)}
    configuration = yaml.safe_load(text)
    [cluster] = [cluster for cluster in configuration["static_resources"]["clusters"] if cluster["name"] == "gate"]
    cluster |= several
    return yaml.safe_dump(configuration)


@pytest.fixture(scope="module", params=["http", "grpc"])
def form(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def before(form: str, images: Pushed, engines: Callable[..., Engine], tmp_path_factory: pytest.TempPathFactory):
    """Starts an Envoy before the registry that asks a gate."""

    def start(gate: Gate, ca: Path | None = None, name: str = "gate.example", fallback: Gate | None = None) -> Proxy:
        folder, port, registry = tmp_path_factory.mktemp("envoy"), free_port(), images.chain.registry
        text = filled(
            form,
            listen=f"port_value: {port}",
            gate=f"port_value: {gate.address.rpartition(':')[2]}",
            registry=f"port_value: {registry.port}",
            **{"registry.example:5000": registry.host, "/etc/linkgate/ca.pem": str(ca or gate.ca)},
        )
        text = text.replace("sni: gate.example", f"sni: {name}")
        (folder / "envoy.yaml").write_text(with_fallback(text, gate, fallback) if fallback else text)
        command = [program("envoy"), "-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "2", "-l", "warning"]
        return Proxy(engines(command, folder, "envoy", lambda: listens(port)), port, folder)

    return start


@pytest.fixture(scope="module")
def envoy(before: Callable[..., Proxy], gate: Gate) -> Proxy:
    return before(gate)


@pytest.fixture(scope="module")
def indexes(images: Pushed) -> dict[str, Image]:
    """Of two platforms: an index that is a product, one whose manifests are, and one of whose manifests one is."""
    chain = images.chain
    chain.policy("many", "many/**", subject=["amd64.json", "arm64.json"])
    # By this one only what is called so is an image's manifest, whatever else the step made.
    chain.policy("few", "few/**", subject=["amd64.json", "image"])
    return {
        "itself": chain.make("itself", "amd64", "arm64"),
        "each": chain.make("each", "amd64", "arm64", repository="many/app", manifests=("amd64", "arm64")),
        "other": chain.make("other", "amd64", "arm64", repository="few/app", manifests=("amd64", "arm64")),
        "one": chain.make("one", "amd64", "arm64", repository="many/app", manifests=("amd64",)),
    }


@pytest.fixture(scope="module")
def elsewhere(images: Pushed) -> Image:
    """A good image in a repository that no policy governs."""
    return images.chain.make("good", repository="elsewhere/app")


@pytest.fixture(scope="module")
def elsewhere_index(images: Pushed) -> Image:
    """An index in such a repository, which is a product itself."""
    return images.chain.make("index", "amd64", "arm64", repository="elsewhere/app")


# What is good arrives.


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_good_image_arrives(envoy: Proxy, images: Pushed, by: str) -> None:
    good = images.good
    assert envoy.pull(good, f":{good.tag}" if by == "tag" else f"@{good.digest}") == good.blobs


@pytest.mark.parametrize("which", ["itself", "each"])
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_good_index_arrives_with_all_of_it(envoy: Proxy, indexes: dict[str, Image], which: str, by: str) -> None:
    index = indexes[which]
    blobs = envoy.pull(index, f":{index.tag}" if by == "tag" else f"@{index.digest}")
    assert blobs == index.blobs
    # Two manifests with a configuration and a layer each, and the index.
    assert len(blobs) == 7


def test_one_platform_of_a_good_index(envoy: Proxy, indexes: dict[str, Image]) -> None:
    """What a node pulls."""
    index = indexes["each"]
    name = f"docker://127.0.0.1:{envoy.port}/{index.repository}:{index.tag}"
    options = ("--quiet", "--override-arch=arm64", "--override-os=linux", "--src-tls-verify=false")
    skopeo("copy", *options, name, f"dir:{envoy.folder / 'arm64'}", cwd=envoy.folder)
    assert (envoy.folder / "arm64/manifest.json").read_bytes() == (index.work / "arm64.json").read_bytes()


def test_head_tells_what_get_brings(envoy: Proxy, images: Pushed) -> None:
    head = envoy.ask(f"/v2/{images.good.repository}/manifests/{images.good.tag}", "HEAD")
    assert (head.status, head.headers["docker-content-digest"]) == (200, images.good.digest)
    head = envoy.ask(f"/v2/{images.tampered.repository}/manifests/{images.tampered.tag}", "HEAD")
    assert (head.status, head.body) == (403, b"")


# What is not good does not, and its client says why.


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_tampered_image_is_refused(envoy: Proxy, images: Pushed, by: str) -> None:
    tampered = images.tampered
    said = envoy.pull(tampered, f":{tampered.tag}" if by == "tag" else f"@{tampered.digest}", code=1)
    assert f"denied: linkgate: {tampered}: policy `web`: reject: " in said
    assert "what it made as `image` is sha256:" in said


def test_a_product_that_is_not_the_image_is_refused(envoy: Proxy, images: Pushed) -> None:
    """A manifest of other layers lies among the products; the policy says that the image is called `image`."""
    chain = images.chain
    hidden = chain.make(f"hidden-{envoy.port}", push=False)
    release = chain.make(f"release-{envoy.port}", beside=hidden.manifest)
    assert envoy.pull(release, f":{release.tag}") == release.blobs
    chain.push(hidden)
    chain.attach(hidden, release.work / "links")
    said = envoy.pull(hidden, f":{hidden.tag}", code=1)
    assert f"denied: linkgate: {hidden}: policy `web`: reject: " in said


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_an_unknown_image_is_refused(envoy: Proxy, images: Pushed, by: str) -> None:
    unknown = images.unknown
    said = envoy.pull(unknown, f":{unknown.tag}" if by == "tag" else f"@{unknown.digest}", code=1)
    assert f"denied: linkgate: {unknown}: policy `web`: reject: there is no link about it in " in said


def test_an_index_with_a_manifest_by_nobody_is_refused(envoy: Proxy, indexes: dict[str, Image]) -> None:
    index = indexes["one"]
    [_, nobodys] = [listed["digest"] for listed in json.loads(index.manifest)["manifests"]]
    said = envoy.pull(index, f":{index.tag}", code=1)
    assert f"denied: linkgate: {index}: policy `many`: reject: " in said
    # Nor is that manifest.
    assert envoy.manifest(index.repository, nobodys).status == 403


def test_an_index_with_a_manifest_of_another_name_is_refused(envoy: Proxy, indexes: dict[str, Image]) -> None:
    index = indexes["other"]
    said = envoy.pull(index, f":{index.tag}", code=1)
    assert f"denied: linkgate: {index}: policy `few`: reject: " in said


def test_a_tag_of_nothing(envoy: Proxy, images: Pushed) -> None:
    reply = envoy.manifest(images.good.repository, "nothing")
    assert (reply.status, reply.error.partition(":")[0]) == (404, "MANIFEST_UNKNOWN")


def test_a_repository_that_no_policy_governs(envoy: Proxy, elsewhere: Image) -> None:
    assert envoy.manifest(elsewhere.repository, elsewhere.tag).status == 403
    assert "no policy governs it" in envoy.pull(elsewhere, f":{elsewhere.tag}", code=1)


# Blobs and manifests of what was not allowed.


def test_blobs_pass_with_their_image_only(
    before: Callable[..., Proxy], serve: Callable[..., Gate], images: Pushed
) -> None:
    """By a gate that was not yet asked anything."""
    envoy, good, tampered = before(serve()), images.good, images.tampered
    layers = {image.tag: json.loads(image.manifest)["layers"][0]["digest"] for image in (good, tampered)}
    asked = {tag: f"/v2/{good.repository}/blobs/{layer}" for tag, layer in layers.items()}
    for path in asked.values():
        reply = envoy.ask(path)
        assert (reply.status, reply.error.partition(":")[0]) == (403, "DENIED")
    assert "pull its manifest first" in reply.error
    assert envoy.manifest(tampered.repository, tampered.tag).status == 403
    assert envoy.manifest(good.repository, good.tag).body == good.manifest
    assert envoy.ask(asked[good.tag]).body == good.blob(layers[good.tag])
    assert envoy.ask(asked[tampered.tag]).status == 403
    # Blobs are by repository: no other one is read by way of this one.
    assert envoy.ask(f"/v2/web/other/blobs/{layers[good.tag]}").status == 403


def test_parts_pass_with_their_index_only(
    before: Callable[..., Proxy], serve: Callable[..., Gate], indexes: dict[str, Image]
) -> None:
    """Neither manifest of this index is a product by itself."""
    envoy, index = before(serve()), indexes["itself"]
    [part, _] = [listed["digest"] for listed in json.loads(index.manifest)["manifests"]]
    [layer] = [layer["digest"] for layer in json.loads(index.blob(part))["layers"]]
    assert envoy.manifest(index.repository, part).status == 403
    assert envoy.ask(f"/v2/{index.repository}/blobs/{layer}").status == 403
    assert envoy.manifest(index.repository, index.digest).body == index.manifest
    assert envoy.ask(f"/v2/{index.repository}/blobs/{layer}").status == 403
    assert envoy.manifest(index.repository, part).body == index.blob(part)
    assert envoy.ask(f"/v2/{index.repository}/blobs/{layer}").body == index.blob(layer)


def test_a_policy_that_changes(envoy: Proxy, images: Pushed, elsewhere_index: Image) -> None:
    """What it allowed is not allowed any longer: neither an index nor its manifests."""
    index, path = elsewhere_index, images.chain.policy("elsewhere", "elsewhere/**")
    [part, _] = [listed["digest"] for listed in json.loads(index.manifest)["manifests"]]
    try:
        wait_for(lambda: envoy.manifest(index.repository, index.digest).status == 200)
        assert envoy.manifest(index.repository, part).body == index.blob(part)
    finally:
        path.unlink()
    wait_for(lambda: envoy.manifest(index.repository, index.digest).status == 403)
    assert envoy.manifest(index.repository, index.tag).status == 403
    assert envoy.manifest(index.repository, part).status == 403


# What was decided on is what is delivered.


def test_a_tag_is_pinned(envoy: Proxy, images: Pushed) -> None:
    """The registry is asked for the digest that was decided on, though the client asked for a tag."""
    good, registry = images.good, images.chain.registry
    before = len(registry.requests(CLIENT))
    assert envoy.manifest(good.repository, good.tag).body == good.manifest
    assert registry.requests(CLIENT)[before:] == [f"GET /v2/{good.repository}/manifests/{good.digest}"]


def while_it_moves(envoy: Proxy, images: Pushed) -> list[Reply]:
    """What is answered about a tag that means now the good image, now the tampered one."""
    good, tampered, registry = images.good, images.tampered, images.chain.registry
    registry.tag("moves", good.manifest)
    done = threading.Event()

    def move() -> None:
        while not done.is_set():
            for image in (tampered, good):
                registry.move("moves", image.digest)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        replies = [envoy.manifest(good.repository, "moves") for _ in range(300)]
        # It means both in between, and sooner or later it is asked for when it means the one and the other.
        ends = time.monotonic() + PATIENCE
        while len({reply.status for reply in replies} & {200, 403}) < 2 and time.monotonic() < ends:
            replies.append(envoy.manifest(good.repository, "moves"))
    finally:
        done.set()
        mover.join(timeout=PATIENCE)
    return replies


def test_a_tag_that_moves_while_it_is_pulled(envoy: Proxy, images: Pushed) -> None:
    replies = while_it_moves(envoy, images)
    assert {reply.body for reply in replies if reply.status == 200} == {images.good.manifest}
    assert {reply.status for reply in replies} == {200, 403}


def test_a_client_does_not_choose_the_path(envoy: Proxy, images: Pushed) -> None:
    good, tampered, registry = images.good, images.tampered, images.chain.registry
    wanted = f"/v2/{tampered.repository}/manifests/{tampered.digest}"
    before = len(registry.requests(CLIENT))
    for reference in (good.tag, good.digest):
        assert envoy.manifest(good.repository, reference, x_linkgate_path=wanted).body == good.manifest
        assert (
            envoy.manifest(good.repository, reference, X_Linkgate_Path=wanted, x_linkgate_path=wanted).body
            == good.manifest
        )
    assert (
        envoy.manifest(
            tampered.repository, tampered.tag, x_linkgate_path=f"/v2/{good.repository}/manifests/{good.digest}"
        ).status
        == 403
    )
    assert envoy.ask("/v2/", x_linkgate_path=wanted).body == b"{}"
    [layer] = [layer["digest"] for layer in json.loads(good.manifest)["layers"]]
    assert envoy.ask(f"/v2/{good.repository}/blobs/{layer}", x_linkgate_path=wanted).body == good.blob(layer)
    asked = registry.requests(CLIENT)[before:]
    assert len(asked) == 6
    assert not [request for request in asked if tampered.digest in request]


ODD = [
    "/v2/web/app/%6danifests/{tag}",
    "/v2/web/app/manifests/{tag}%3f",
    "/v2/web/app/manifests/%74ampered",
    "/v2/web/app/manifests/{percent}",
    "/v2/web%2fapp/manifests/{tag}",
    "/v2/web/app%2Fmanifests%2F{tag}",
    "/v2/web%5capp/manifests/{tag}",
    "/v2/web\\app/manifests/{tag}",
    "/v2/web/good/%2e%2e/app/manifests/{tag}",
    "/v2/web/good/../app/manifests/{tag}",
    "/v2/web/app/./manifests/{tag}",
    "/v2/web/app/%2e/manifests/{tag}",
    "/v2/web//app/manifests/{tag}",
    "//v2/web/app/manifests/{tag}",
    "/v2//web/app/manifests/{tag}",
    "/v2/web/app/manifests//{tag}",
    "/v2/web/app/manifests/{tag}/",
    "/v2/web/app/manifests/{tag}?x=y",
    "/v2/web/app/manifests/{tag}?ns=docker.io&x=y",
    "/v2/web/app/manifests/{tag}?ns=docker.io",
    "/v2/web/app/manifests/{good}/../{tag}",
    "/v2/web/app/manifests/{good}?/../{tag}",
    "/v2/web/app/manifests/{good};/../{tag}",
    "/v2/web/app/manifests/{good}%00/../{tag}",
    "/v2/web/app/manifests/{good}#/../{tag}",
    "/v2/web/app/manifests/{digest};x",
    "/v2/web/app/manifests/{digest}%20",
    "/v2/web/app/manifests/{upper}",
    "/V2/web/app/manifests/{tag}",
    "/v2/WEB/app/manifests/{tag}",
    "/./v2/web/app/manifests/{tag}",
    "/x/../v2/web/app/manifests/{tag}",
    "http://127.0.0.1/v2/web/app/manifests/{tag}",
    "http://registry.example:5000/v2/web/app/manifests/{tag}",
    "/v2/web/app/blobs/{layer}",
    "/v2/web/app/blobs/{layer}?x=y",
    "/v2/web/app/blobs/%73ha256:{layer}",
    "/v2/web/app/blobs/uploads/",
    "/v2/web/app/tags/list",
    "/v2/web/app/referrers/{digest}",
    "/v2/_catalog",
    "/v2/?x=y/web/app/manifests/{tag}",
    "/v1/search",
    "/",
    "*",
]


def test_odd_paths_do_not_reach_the_registry(envoy: Proxy, images: Pushed) -> None:
    """Every other way to write the path of a manifest that is refused, and of what is no image."""
    tampered, registry = images.tampered, images.chain.registry
    places = {
        "tag": tampered.tag,
        "good": images.good.tag,
        "digest": tampered.digest,
        "percent": tampered.digest.replace(":", "%3a"),
        "upper": tampered.digest.upper(),
        "layer": json.loads(tampered.manifest)["layers"][0]["digest"],
    }
    known = set(tampered.blobs.values())
    before = len(registry.requests(CLIENT))
    for odd in ODD:
        for method in ("GET", "HEAD"):
            reply = envoy.ask(odd.format(**places), method)
            assert 400 <= reply.status < 500, (method, odd, reply)
            assert reply.body not in known
    assert registry.requests(CLIENT)[before:] == []


def test_a_mirrors_client_names_the_registry(envoy: Proxy, images: Pushed) -> None:
    """As containerd does. It changes nothing."""
    good, registry = images.good, images.chain.registry
    assert envoy.manifest(good.repository, f"{good.tag}?ns=docker.io").body == good.manifest
    assert registry.requests(CLIENT)[-1] == f"GET /v2/{good.repository}/manifests/{good.digest}?ns=docker.io"


def test_a_push_is_refused(envoy: Proxy, images: Pushed) -> None:
    good, registry = images.good, images.chain.registry
    options = ("--quiet", "--dest-tls-verify=false")
    to = f"docker://127.0.0.1:{envoy.port}/{good.repository}:pushed"
    # It asks whether the registry has the blobs already, and gets no further.
    skopeo("copy", *options, f"oci:{images.unknown.layout}:v1", to, cwd=envoy.folder, code=1)
    before = len(registry.requests(CLIENT))
    for path in (f"/v2/{good.repository}/manifests/{good.tag}", f"/v2/{good.repository}/blobs/uploads/"):
        for method in ("PUT", "POST", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
            reply = envoy.ask(path, method, Content_Length="0")
            said = f"UNSUPPORTED: linkgate: {method} does not pass: only images are pulled through this gate"
            assert (reply.status, reply.error) == (405, said)
        for method in ("TRACE", "CONNECT"):
            assert 400 <= envoy.ask(path, method).status < 500
    assert registry.requests(CLIENT)[before:] == []
    assert registry.ask(f"/v2/{good.repository}/manifests/{good.tag}", Accept=MANIFEST) == good.manifest


# Where no answer can be had, nothing is pulled.


def test_nothing_is_pulled_without_a_gate(
    before: Callable[..., Proxy], serve: Callable[..., Gate], images: Pushed
) -> None:
    gate, good = serve(), images.good
    envoy = before(gate)
    assert envoy.pull(good, f":{good.tag}") == good.blobs
    gate.kill()
    # Clients that ask whether there is a registry do not tell more than the status.
    for reference in (f":{good.tag}", f"@{good.digest}"):
        assert "503 (Service Unavailable)" in envoy.pull(good, reference, code=1)
    before = len(images.chain.registry.requests(CLIENT))
    [layer] = [layer["digest"] for layer in json.loads(good.manifest)["layers"]]
    for path in ("/v2/", f"/v2/{good.repository}/manifests/{good.digest}", f"/v2/{good.repository}/blobs/{layer}"):
        reply = envoy.ask(path)
        assert (reply.status, reply.error) == (503, f"UNAVAILABLE: {NO_ANSWER}")
    assert images.chain.registry.requests(CLIENT)[before:] == []


def test_another_gate_takes_over(
    before: Callable[..., Proxy], serve: Callable[..., Gate], images: Pushed, tmp_path: Path
) -> None:
    authority, good = Authority(tmp_path), images.good
    first, second = serve(authority), serve(authority)
    envoy = before(first, fallback=second)
    for _ in range(5):
        assert envoy.pull(good, f":{good.tag}") == good.blobs
    assert {face: second.decided("accepted", face) for face in ("envoy-http", "envoy-grpc")} == {
        "envoy-http": 0,
        "envoy-grpc": 0,
    }
    first.kill()
    wait_for(lambda: envoy.ask("/v2/").status == 200)
    assert envoy.pull(good, f":{good.tag}") == good.blobs
    assert envoy.manifest(images.tampered.repository, images.tampered.tag).status == 403
    second.kill()
    wait_for(lambda: envoy.ask("/v2/").status == 503)


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_another_gate_is_not_asked(
    before: Callable[..., Proxy], serve: Callable[..., Gate], images: Pushed, gate: Gate, wrong: str
) -> None:
    """One with a certificate by another authority, or of another name."""
    envoy = before(gate, ca=serve().ca) if wrong == "authority" else before(gate, name="other.example")
    reply = envoy.manifest(images.good.repository, images.good.tag)
    assert (reply.status, reply.error) == (503, f"UNAVAILABLE: {NO_ANSWER}")


def test_evidence_that_cannot_be_had(envoy: Proxy, images: Pushed, elsewhere: Image) -> None:
    """The image is there, and the registry in which its policy's evidence is does not answer."""
    dead = f"127.0.0.1:{free_port()}"
    fields = {"evidence": [{"registry": {"repository": f"{dead}/evidence"}}]}
    path = images.chain.policy("elsewhere", "elsewhere/**", **fields)
    try:
        asked = (elsewhere.repository, elsewhere.digest)
        wait_for(lambda: "no policy governs it" not in envoy.manifest(*asked).error)
        said = envoy.pull(elsewhere, f":{elsewhere.tag}", code=1)
        assert envoy.manifest(*asked).status == 424
    finally:
        path.unlink()
    why = "policy `elsewhere`: undecided: no answer from a source of evidence, so nothing is known: "
    assert f"unavailable: linkgate: {elsewhere}: {why}" in said
    assert f"cannot connect to `{dead}`: connection refused" in said
    wait_for(lambda: "no policy governs it" in envoy.manifest(*asked).error)


def test_a_registry_that_is_down(before: Callable[..., Proxy], serve: Callable[..., Gate], images: Pushed) -> None:
    """So it cannot be asked what a tag means, and nothing is kept that would say so."""
    envoy, good, registry = before(serve()), images.good, images.chain.registry
    assert envoy.manifest(good.repository, good.tag).status == 200
    registry.engine.stop()
    try:
        reply = envoy.manifest(good.repository, good.tag)
        envoy.pull(good, f":{good.tag}", code=1)
    finally:
        registry.engine.start()
    assert (reply.status, reply.error.partition(":")[0]) == (424, "UNAVAILABLE")
    assert good.tagged in reply.error and "refused" in reply.error
    assert envoy.pull(good, f":{good.tag}") == good.blobs
