"""Gatekeeper's engine, which asks the gate by policies/gatekeeper what it may admit."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import POLICIES
from engine import environment, program
from gate import Gate, wait_for
from images import Image, Pushed
from supply import PATIENCE
from workloads import KINDS, workload

ENGINE = program("gatekeeper", optional=True)
FILES = [POLICIES / "gatekeeper/template.yaml", POLICIES / "gatekeeper/constraint.yaml"]


@dataclass
class Gatekeeper:
    """The engine, which answers reviews line by line."""

    folder: Path
    gate: Gate
    ca: Path
    cache: str = "0"

    def __post_init__(self) -> None:
        text = (POLICIES / "gatekeeper/provider.yaml").read_text()
        written = {
            "https://linkgate.linkgate.svc/": f"https://{self.gate.address}/",
            "caBundle: CA_BUNDLE": f"caBundle: {base64.b64encode(self.ca.read_bytes()).decode()}",
        }
        for name, place in written.items():
            assert name in text, name
            text = text.replace(name, place)
        provider = self.folder / "provider.yaml"
        provider.write_text(text)
        self.process = subprocess.Popen(
            [str(part) for part in (ENGINE, "-cache", self.cache, *FILES, provider)],
            env=environment(self.folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def review(
        self, workload: dict, old: dict | None = None, namespace: str = "prod", subresource: str = ""
    ) -> list[str]:
        """Why it is denied; nothing if it is allowed."""
        group, _, version = workload["apiVersion"].rpartition("/")
        request = {
            "uid": "7",
            "kind": {"group": group, "version": version, "kind": workload["kind"]},
            "resource": {"group": group, "version": version, "resource": workload["kind"].lower() + "s"},
            "operation": "UPDATE" if old else "CREATE",
            "namespace": namespace,
            "name": "app",
            "object": workload,
            "userInfo": {},
        }
        request |= ({"oldObject": old} if old else {}) | ({"subResource": subresource} if subresource else {})
        line = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert answer["allowed"] is not bool(answer["messages"]), answer
        return answer["messages"]

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Gatekeeper]]:
    """Starts engines that ask a gate."""
    started: list[Gatekeeper] = []

    def start(gate: Gate, ca: Path | None = None, **more: Any) -> Gatekeeper:
        started.append(Gatekeeper(tmp_path_factory.mktemp("gatekeeper"), gate, ca or gate.ca, **more))
        return started[-1]

    yield start
    for engine in started:
        engine.stop()


@pytest.fixture(scope="module")
def gatekeeper(asking: Callable[..., Gatekeeper], gate: Gate) -> Gatekeeper:
    return asking(gate)


def pod(*containers: Any, **more: Any) -> dict:
    return workload("Pod", *containers, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(gatekeeper: Gatekeeper, images: Pushed, kind: str) -> None:
    assert gatekeeper.review(workload(kind, images.good)) == []
    [said] = gatekeeper.review(workload(kind, images.good, images.tampered))
    assert said.startswith(f"rejected: {images.tampered}: policy `web`: reject: ")
    assert "what it made as `image` is sha256:" in said
    [said] = gatekeeper.review(workload(kind, images.good, initContainers=[images.unknown]))
    assert said.startswith(f"no-evidence: {images.unknown}: ")
    assert "there is no link about it in the image's own registry" in said


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_that_is_mounted(gatekeeper: Gatekeeper, images: Pushed, kind: str) -> None:
    good, unknown = images.good, images.unknown
    assert gatekeeper.review(workload(kind, good, mounted=(good,))) == []
    [said] = gatekeeper.review(workload(kind, good, mounted=(good, unknown)))
    assert said.startswith(f"no-evidence: {unknown}: ")


def test_every_image_is_told(gatekeeper: Gatekeeper, images: Pushed) -> None:
    said = gatekeeper.review(pod(images.tampered, images.good, initContainers=[images.unknown]))
    assert [line.split(": ")[1] for line in sorted(said)] == [str(images.unknown), str(images.tampered)]


def test_a_tag(gatekeeper: Gatekeeper, images: Pushed) -> None:
    [said] = gatekeeper.review(pod(images.good.tagged))
    assert said.startswith(f"tag: {images.good.tagged}: ")
    assert "name it by digest" in said


@pytest.mark.parametrize("image", ["", "Not an image", "nginx"])
def test_what_the_gate_does_not_know(gatekeeper: Gatekeeper, images: Pushed, image: str) -> None:
    assert len(gatekeeper.review(pod(images.good, image))) == 1


def test_a_container_without_an_image(gatekeeper: Gatekeeper) -> None:
    without = pod()
    without["spec"]["containers"] = [{"name": "c"}]
    assert len(gatekeeper.review(without)) == 1


def test_an_ephemeral_container(gatekeeper: Gatekeeper, images: Pushed) -> None:
    running = pod(images.good)
    update = {"old": running, "subresource": "ephemeralcontainers"}
    assert gatekeeper.review(pod(images.good, ephemeralContainers=[images.good]), **update) == []
    [said] = gatekeeper.review(pod(images.good, ephemeralContainers=[images.unknown]), **update)
    assert said.startswith(f"no-evidence: {images.unknown}: ")


def test_an_update(gatekeeper: Gatekeeper, images: Pushed) -> None:
    """What runs may be changed; what is new is asked about."""
    assert gatekeeper.review(pod(images.tampered), old=pod(images.tampered)) == []
    [said] = gatekeeper.review(pod(images.tampered), old=pod(images.good))
    assert said.startswith(f"rejected: {images.tampered}: ")


def test_an_update_of_what_is_mounted(gatekeeper: Gatekeeper, images: Pushed) -> None:
    before = pod(images.good, mounted=(images.unknown,))
    assert gatekeeper.review(before, old=before) == []
    [said] = gatekeeper.review(pod(images.good, mounted=(images.tampered,)), old=before)
    assert said.startswith(f"rejected: {images.tampered}: ")


def test_what_is_left_out(gatekeeper: Gatekeeper, images: Pushed) -> None:
    for namespace in ("kube-system", "gatekeeper-system", "linkgate"):
        assert gatekeeper.review(pod(images.tampered), namespace=namespace) == []
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "app", "namespace": "prod"}, "spec": {}}
    assert gatekeeper.review(service) == []


def test_namespaces_have_policies_of_their_own(gatekeeper: Gatekeeper, inner: Image) -> None:
    assert gatekeeper.review(pod(inner)) == []
    [said] = gatekeeper.review(pod(inner), namespace="dev")
    assert said.startswith(f"no-policy: {inner}: ")


def test_nothing_is_admitted_without_a_gate(
    asking: Callable[..., Gatekeeper], serve: Callable[..., Gate], images: Pushed
) -> None:
    gate = serve()
    gatekeeper = asking(gate)
    assert gatekeeper.review(pod(images.good)) == []
    gate.kill()
    [said] = gatekeeper.review(pod(images.good))
    assert said.startswith(f"{images.good}: ")
    assert "connection refused" in said
    # What runs can be changed meanwhile.
    assert gatekeeper.review(pod(images.good), old=pod(images.good)) == []


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_another_gate_is_not_asked(
    asking: Callable[..., Gatekeeper],
    gate: Gate,
    serve: Callable[..., Gate],
    misnamed: Gate,
    images: Pushed,
    wrong: str,
) -> None:
    gatekeeper = asking(gate, serve().ca) if wrong == "authority" else asking(misnamed)
    [said] = gatekeeper.review(pod(images.good))
    assert "certificate" in said


def test_answers_are_kept_as_by_default(
    asking: Callable[..., Gatekeeper], serve: Callable[..., Gate], images: Pushed
) -> None:
    """For minutes: of a good image and of a tampered one, but not what may be over a moment later."""
    registry, gate = images.chain.registry, serve()
    gatekeeper = asking(gate, cache="3m")
    image = images.chain.make("later", repository="web/later")
    registry.engine.stop()
    try:
        [said] = gatekeeper.review(pod(image))
        assert "no answer from a source of evidence" in said
    finally:
        registry.engine.start()
    wait_for(lambda: gatekeeper.review(pod(image)) == [])
    [said] = gatekeeper.review(pod(images.tampered))
    gate.kill()
    assert gatekeeper.review(pod(image)) == []
    assert gatekeeper.review(pod(images.tampered)) == [said]
    [said] = gatekeeper.review(pod(images.unknown))
    assert "connection refused" in said
