"""Kyverno's command, which asks the gate by policies/kyverno what it may admit. Its calls are real ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import POLICIES
from engine import program, run
from gate import Gate
from images import Pushed
from workloads import KINDS, workload

KYVERNO = program("kyverno", optional=True)
# By default it speaks to no address of this machine.
REACHABLE = {"FLAG_HTTP_BLOCKLIST": "169.254.169.254/32"}


@dataclass
class Kyverno:
    """The command with one of the policies."""

    folder: Path
    policy: str
    gate: Gate
    ca: Path

    def __post_init__(self) -> None:
        text = (POLICIES / f"kyverno/{self.policy}.yaml").read_text()
        places = {"linkgate.linkgate.svc": self.gate.address}
        for name, place in places.items():
            assert text.count(name) == 1
            text = text.replace(name, place)
        if self.policy == "cluster-policy":
            bundle = self.ca.read_text().strip().splitlines()
            text, count = re.subn(
                r"^( *)CA_BUNDLE$", lambda found: "\n".join(found[1] + line for line in bundle), text, flags=re.M
            )
            assert count == 1
        (self.folder / "policy.yaml").write_text(text)

    @property
    def is_told(self) -> bool:
        """Whether the policy can tell the gate's message."""
        return self.policy == "validating-policy"

    def apply(self, *workloads: dict) -> dict[str, tuple[str, str]]:
        """Result and message by the names of workloads. A policy that Kyverno does not understand is passed over in
        silence, so the results are counted."""
        (self.folder / "workloads.yaml").write_text(yaml.safe_dump_all(workloads))
        trusted = {"SSL_CERT_FILE": str(self.ca)} if self.is_told else {}
        command = (KYVERNO, "apply", "policy.yaml", "-r", "workloads.yaml", "-p", "--output-format", "json")
        done = run(*command, cwd=self.folder, code=None, **REACHABLE, **trusted)
        reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert len(reports) == 1, f"{done.stdout}{done.stderr}"
        [report] = reports
        results = {
            result["resources"][0]["name"]: (result["result"], result["message"]) for result in report["results"]
        }
        assert len(report["results"]) == len(results) == len(workloads), report
        assert done.returncode == (0 if {result for result, _ in results.values()} == {"pass"} else 1)
        return results

    def check(self, result: tuple[str, str], wanted: str) -> None:
        """It failed, with the gate's words where they can be told."""
        assert result[0] == "fail"
        assert (wanted if self.is_told else "linkgate does not accept an image of this") in result[1]


@pytest.fixture(params=["validating-policy", "cluster-policy"])
def asking(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Kyverno]:
    def start(gate: Gate, ca: Path | None = None) -> Kyverno:
        return Kyverno(tmp_path, request.param, gate, ca or gate.ca)

    return start


@pytest.fixture
def kyverno(asking: Callable[..., Kyverno], gate: Gate) -> Kyverno:
    return asking(gate)


def test_every_kind(kyverno: Kyverno, images: Pushed) -> None:
    good, tampered, unknown = images.good, images.tampered, images.unknown
    workloads = []
    for kind in KINDS:
        workloads += [
            workload(kind, good, good, name=f"good-{kind}", initContainers=[good]),
            workload(kind, good, tampered, name=f"bad-{kind}"),
            workload(kind, good, name=f"init-{kind}", initContainers=[unknown]),
            workload(kind, good, name=f"mounts-good-{kind}", mounted=(good, good)),
            workload(kind, good, name=f"mounts-bad-{kind}", mounted=(good, tampered)),
        ]
    results = kyverno.apply(*workloads)
    for kind in KINDS:
        assert results[f"good-{kind}"][0] == results[f"mounts-good-{kind}"][0] == "pass"
        kyverno.check(results[f"mounts-bad-{kind}"], f"{tampered}: policy `web`: reject: ")
        kyverno.check(results[f"bad-{kind}"], f"{tampered}: policy `web`: reject: ")
        kyverno.check(results[f"init-{kind}"], f"{unknown}: policy `web`: reject: there is no link about it in ")


def test_other_images(kyverno: Kyverno, images: Pushed) -> None:
    elsewhere = f"registry.example/other/app@sha256:{'ab' * 32}"
    results = kyverno.apply(
        workload("Pod", images.good.tagged, name="tag"),
        workload("Pod", elsewhere, name="no-policy"),
        workload("Pod", images.good, name="ephemeral", ephemeralContainers=[images.unknown]),
        workload("Pod", images.tampered, images.good, name="first"),
        workload("Pod", images.good, name="good"),
    )
    kyverno.check(results["tag"], "name it by digest")
    kyverno.check(results["no-policy"], f"{elsewhere}: no policy governs it")
    kyverno.check(results["ephemeral"], f"{images.unknown}: ")
    kyverno.check(results["first"], f"{images.tampered}: ")
    assert results["good"][0] == "pass"


def test_every_refused_image_is_told(asking: Callable[..., Kyverno], gate: Gate, images: Pushed) -> None:
    kyverno = asking(gate)
    results = kyverno.apply(workload("Pod", images.tampered, images.good, name="both", initContainers=[images.unknown]))
    for image in (images.tampered, images.unknown):
        kyverno.check(results["both"], f"{image}: policy `web`: reject: ")


def test_namespaces_have_policies_of_their_own(kyverno: Kyverno, images: Pushed, inner: Any) -> None:
    results = kyverno.apply(
        workload("Pod", inner, name="there", namespace="prod"),
        workload("Deployment", inner, name="elsewhere", namespace="dev"),
    )
    assert results["there"][0] == "pass"
    kyverno.check(results["elsewhere"], "no policy governs it")


def test_nothing_is_admitted_without_a_gate(
    asking: Callable[..., Kyverno], serve: Callable[..., Gate], images: Pushed
) -> None:
    """An error is no pass: with failurePolicy Fail the webhook denies."""
    gate = serve()
    kyverno = asking(gate)
    workloads = [workload(kind, images.good, name=f"app-{kind}") for kind in ("Pod", "Deployment", "CronJob")]
    assert {result for result, _ in kyverno.apply(*workloads).values()} == {"pass"}
    gate.kill()
    for result, message in kyverno.apply(*workloads).values():
        assert result == "error"
        assert "connection refused" in message


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_another_gate_is_not_asked(
    asking: Callable[..., Kyverno], gate: Gate, serve: Callable[..., Gate], misnamed: Gate, images: Pushed, wrong: str
) -> None:
    kyverno = asking(gate, serve().ca) if wrong == "authority" else asking(misnamed)
    [(result, message)] = kyverno.apply(workload("Pod", images.good)).values()
    assert result == "error"
    assert "certificate" in message
