"""Evidence and tags in a registry: what the gate asks it, and what it makes of slow and broken answers."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from gate import Gate, takes_less_than, wait_for
from registry import Registry, registry
from supply import Image, Supply, step
from test_admission import LISTS, ask, denied, pod_spec, review


@pytest.fixture
def hub() -> Iterator[Registry]:
    with registry() as served:
        yield served


def chain(supply: Supply, hub: Registry, digest: str) -> list:
    """Links of a chain whose last step made the manifest of that digest."""
    supply.count += 1
    work = supply.folder / f"chain-{supply.count}"
    work.mkdir()
    manifest = work / "given"
    manifest.write_bytes(hub.manifests[digest])
    assert digest == "sha256:" + hashlib.sha256(manifest.read_bytes()).hexdigest()
    supply.run("package", "packager", work, [], ["manifest.json"], "cp given manifest.json")
    return list(work.glob("*.link"))


@pytest.fixture
def stored(supply: Supply, hub: Registry) -> Supply:
    """A policy whose evidence is in the image's own registry."""
    keyid = supply.keys.keyid("packager")
    supply.layout(steps=[step("package", [keyid], [], [["CREATE", "manifest.json"], ["DISALLOW", "*"]])])
    supply.policy(drop=("evidence",))
    return supply


def start(serve: Callable[..., Gate], supply: Supply, hub: Registry, *options: str) -> Gate:
    return serve(supply, "--plain-http", hub.address, *options)


def stored_image(supply: Supply, hub: Registry, text: str = "an image") -> Image:
    digest = hub.image(text)
    hub.attach(digest, chain(supply, hub, digest))
    return Image(digest, supply.evidence, f"{hub.address}/web/app")


def test_evidence_that_refers_to_the_image(stored: Supply, hub: Registry, serve: Callable[..., Gate]) -> None:
    good = stored_image(stored, hub)
    bare = Image(hub.image("without links"), stored.evidence, good.repository)
    gate = start(serve, stored, hub)
    assert gate.verify(good)["allowed"] is True
    assert gate.verify(bare)["reason"] == "no-evidence"
    assert hub.address in gate.verify(bare)["message"]


def test_what_is_known_is_not_asked_again(stored: Supply, hub: Registry, serve: Callable[..., Gate]) -> None:
    """One question to the registry, however many ask at once and after."""
    good = stored_image(stored, hub)
    hub.delay = 0.1
    gate = start(serve, stored, hub)
    with ThreadPoolExecutor(24) as pool:
        assert all(decision["allowed"] for decision in pool.map(gate.verify, [good] * 48))
    listings = [path for path in hub.asked if "/referrers/" in path]
    assert len(listings) == 1, hub.asked
    assert len([path for path in hub.asked if "/blobs/" in path]) == 1
    before = len(hub.asked)
    hub.broken = True
    assert gate.verify(good)["allowed"] is True and len(hub.asked) == before


def test_a_slow_registry(stored: Supply, hub: Registry, serve: Callable[..., Gate]) -> None:
    good = stored_image(stored, hub)
    gate = start(serve, stored, hub)
    # There are several questions, each with an answer that takes so long.
    hub.delay = 3

    def attempt() -> None:
        answer = ask(gate, review("Pod", "CREATE", pod_spec(good)), "/validate?timeout=500ms")
        assert "no answer within" in denied(answer, 504, "Timeout")

    assert takes_less_than(1, attempt)
    # What was begun for the first who asked is there for the next. Nobody waits for as long as each answer takes.
    wait_for(lambda: len(hub.asked) >= 1)
    hub.delay = 1.5
    wait_for(lambda: gate.verify(good, query="?timeout=1400ms")["allowed"] is True)


def test_a_broken_registry(stored: Supply, hub: Registry, serve: Callable[..., Gate]) -> None:
    good = stored_image(stored, hub)
    gate = start(serve, stored, hub, "--negative-ttl", "0.1")
    hub.broken = True
    decision = gate.verify(good)
    assert (decision["allowed"], decision["outcome"], decision["reason"]) == (False, "undecided", "source-down")
    assert hub.address in decision["message"] and "500" in decision["message"] and decision["message"].isprintable()
    denied(ask(gate, review("Pod", "CREATE", pod_spec(good))), 503, "ServiceUnavailable")
    hub.broken = False
    wait_for(lambda: gate.verify(good)["allowed"] is True)


def test_no_registry_at_all(stored: Supply, serve: Callable[..., Gate]) -> None:
    decision = serve(stored).verify(f"127.0.0.1:1/app@sha256:{'ab' * 32}")
    assert decision["reason"] == "source-down" and "127.0.0.1:1" in decision["message"]


def test_a_registry_that_lies(stored: Supply, hub: Registry, serve: Callable[..., Gate]) -> None:
    """Bytes under the digest of others are no evidence."""
    good = stored_image(stored, hub)
    for digest in hub.blobs:
        if hub.blobs[digest].startswith(b"{") and len(hub.blobs[digest]) > 2:
            hub.blobs[digest] = hub.blobs[digest].replace(b"manifest.json", b"manifest.jsoN")
    decision = start(serve, stored, hub).verify(good)
    assert decision["allowed"] is False and decision["outcome"] == "undecided"
    assert "another digest" in decision["message"] or "digest" in decision["message"]


def test_an_index_whose_manifests_were_all_made(stored: Supply, hub: Registry, serve: Callable[..., Gate]) -> None:
    made = [hub.image(name) for name in ("amd64", "arm64")]
    other = hub.image("riscv64")
    # One link that made both manifests.
    work = stored.folder / "both"
    work.mkdir()
    for number, digest in enumerate(made):
        (work / f"given-{number}").write_bytes(hub.manifests[digest])
    keyid = stored.keys.keyid("packager")
    stored.layout(steps=[step("package", [keyid], [], [["ALLOW", "*.json"], ["DISALLOW", "*"]])])
    script = "cp given-0 amd64.json; cp given-1 arm64.json"
    stored.run("package", "packager", work, [], ["amd64.json", "arm64.json"], script)
    gate = start(serve, stored, hub)
    for digests, allowed in ((made, True), (made[:1], True), ([*made, other], False), ([other], False)):
        index = hub.index(*digests)
        hub.attach(index, list(work.glob("*.link")))
        decision = gate.verify(f"{hub.address}/web/app@{index}")
        assert decision["allowed"] is allowed, decision["message"]
        assert decision["reason"] == ("accepted" if allowed else "rejected")


# Tags.


def test_tags_become_digests(stored: Supply, hub: Registry, serve: Callable[..., Gate]) -> None:
    good = stored_image(stored, hub)
    hub.tags["1.2"] = hub.tags["latest"] = good.digest
    gate = start(serve, stored, hub)
    spec = pod_spec(f"{hub.address}/web/app:1.2", good)
    for place in LISTS[1:]:
        spec[place] = [{"name": place.lower(), "image": f"{hub.address}/web/app"}]
    spec["volumes"] = [{"name": "data", "image": {"reference": f"{hub.address}/web/app:1.2"}}]
    answer = ask(gate, review("Pod", "CREATE", spec), "/mutate")
    assert answer["allowed"] is True and answer["patchType"] == "JSONPatch"
    patch = json.loads(base64.b64decode(answer["patch"]))
    assert [operation["op"] for operation in patch] == ["test", "replace"] * 4
    applied = {operation["path"]: operation["value"] for operation in patch if operation["op"] == "replace"}
    assert applied == {
        "/spec/containers/0/image": f"{hub.address}/web/app:1.2@{good.digest}",
        "/spec/initContainers/0/image": f"{hub.address}/web/app@{good.digest}",
        "/spec/ephemeralContainers/0/image": f"{hub.address}/web/app@{good.digest}",
        "/spec/volumes/0/image/reference": f"{hub.address}/web/app:1.2@{good.digest}",
    }
    assert good.digest in answer["auditAnnotations"]["pinned"]
    # What was pinned is what the validating webhook then decides on.
    spec["containers"][0]["image"] = applied["/spec/containers/0/image"]
    assert ask(gate, review("Pod", "CREATE", pod_spec(*applied.values())))["allowed"] is True


def test_a_tag_that_is_not_there(stored: Supply, hub: Registry, serve: Callable[..., Gate]) -> None:
    answer = ask(start(serve, stored, hub), review("Pod", "CREATE", pod_spec(f"{hub.address}/web/app:none")), "/mutate")
    assert f"{hub.address}/web/app:none" in denied(answer) and "no such image" in answer["status"]["message"]


def test_tags_of_a_registry_that_is_broken_or_slow(stored: Supply, hub: Registry, serve: Callable[..., Gate]) -> None:
    gate = start(serve, stored, hub)
    body = review("Pod", "CREATE", pod_spec(f"{hub.address}/web/app:1.2"))
    hub.broken = True
    assert hub.address in denied(ask(gate, body, "/mutate"), 503, "ServiceUnavailable")
    hub.broken, hub.delay = False, 2
    denied(ask(gate, body, "/mutate?timeout=500ms"), 504, "Timeout")
