"""POST /v1/verify: images and artifacts, what is refused, and the listener for whole requests."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate import Gate
from supply import PATIENCE, Image, Supply, binary, linkgate, unknown_image


def hash_of(answer: Any) -> str:
    return hashlib.sha256(answer.encode()).hexdigest()


def test_an_image(gate: Gate, good: Image) -> None:
    decision = gate.verify(good)
    assert decision["allowed"] is True
    assert (decision["outcome"], decision["reason"], decision["subject"]) == ("accept", "accepted", str(good))
    assert decision["warnings"] == [] and "namespace" not in decision and "decisions" not in decision
    [policy] = decision["policies"]
    assert (policy["policy"], policy["mode"], policy["outcome"], policy["reason"]) == (
        "web",
        "enforce",
        "accept",
        "accepted",
    )
    assert policy["answer"]["decision"] == "accept"
    assert [step["name"] for step in policy["answer"]["steps"]] == ["build", "package"]


def test_the_answer_has_the_digest_that_is_said(gate: Gate, good: Image, bad: Image) -> None:
    for image in (good, bad):
        text = gate.post("/v1/verify", {"image": str(image)}).text
        begin = text.index('"answer":') + len('"answer":')
        _, end = json.JSONDecoder().raw_decode(text, begin)
        assert json.loads(text)["policies"][0]["answer_sha256"] == hash_of(text[begin:end])


def test_the_gate_and_the_command_agree(gate: Gate, world, tmp_path: Path) -> None:
    _, supply, good, bad = world
    for image, code in ((good, 0), (bad, 1)):
        done = linkgate(
            *("verify", "-l", supply.policies / "root.layout", "-d", image.links, "-k", supply.policies / "owner.pub"),
            *("--subject", image.digest, "--format", "json"),
            cwd=tmp_path,
            code=code,
        )
        [policy] = gate.verify(image)["policies"]
        assert policy["answer"] == json.loads(done.stdout)
        assert policy["answer_sha256"] == hash_of(done.stdout.rstrip("\n"))


def test_they_agree_on_links_that_were_changed(web: Supply, serve: Callable[..., Gate], tmp_path: Path) -> None:
    """A byte here and there: neither accepts what the other one does not, and their answers are equal."""
    drawn = random.Random(25)
    gate = serve(web, "--listing-ttl", "0", "--negative-ttl", "0")
    image = web.image()
    links = list(image.links.iterdir())
    original = {link: link.read_bytes() for link in links}
    decisions = set()
    for _ in range(80):
        link = drawn.choice(links)
        changed = bytearray(original[link])
        for _ in range(drawn.randint(1, 2)):
            at = drawn.randrange(len(changed))
            changed[at : at + drawn.randint(0, 1)] = drawn.choice([b"", b" ", b"0", b'"', b"{", b"\xff", b"\n"])
        link.write_bytes(changed)
        decision = gate.verify(image)
        [policy] = decision["policies"]
        command = [
            binary(),
            "verify",
            "-l",
            web.policies / "root.layout",
            "-d",
            image.links,
            "-k",
            web.policies / "owner.pub",
        ]
        command += ["--subject", image.digest, "--format", "json"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert policy["answer"] == json.loads(done.stdout), bytes(changed)
        assert decision["allowed"] is (done.returncode == 0)
        decisions.add(decision["allowed"])
        link.write_bytes(original[link])
    # Some changes are none: white space between members.
    assert False in decisions
    assert gate.verify(image)["allowed"] is True


def test_a_tag_beside_a_digest_means_nothing(gate: Gate, good: Image) -> None:
    decision = gate.verify(f"{good.repository}:1.2@{good.digest}")
    assert decision["allowed"] is True and good.digest in decision["subject"]


def test_digests_of_other_algorithms_are_other_digests(gate: Gate, good: Image) -> None:
    assert gate.verify(f"{good.repository}@sha512:{good.hex * 2}")["reason"] == "no-evidence"


@pytest.fixture
def artifacts(supply: Supply) -> tuple[Supply, Image]:
    supply.layout()
    supply.policy(drop=("images",), artifacts=["manifest*.json", "release/**"])
    return supply, supply.image()


def ask(gate: Gate, *subjects: dict, **more: Any) -> dict:
    response = gate.post("/v1/verify", {"subjects": list(subjects), **more})
    assert response.status_code == 200, response.text
    return response.json()


def test_an_artifact(artifacts: tuple[Supply, Image], serve: Callable[..., Gate]) -> None:
    supply, image = artifacts
    gate = serve(supply)
    subject = {"name": "manifest.json", "digests": {"sha256": image.hex}}
    decision = ask(gate, subject)
    assert decision["allowed"] is True and decision["subject"] == f"manifest.json@sha256:{image.hex}"
    assert "decisions" not in decision
    # The policy governs no image, and not every artifact.
    assert gate.verify(image)["reason"] == "no-policy"
    assert ask(gate, subject | {"name": "other"})["reason"] == "no-policy"
    # Who does not say what it is is asked for what any artifact must satisfy.
    assert ask(gate, {"digests": subject["digests"]})["reason"] == "accepted"
    # The chain made that digest under another name.
    assert ask(gate, subject | {"name": "manifest2.json"})["reason"] == "rejected"
    assert ask(gate, {"name": "manifest.json", "digests": {"sha256": "00" * 32}})["reason"] == "no-evidence"


def test_an_artifact_without_a_name(supply: Supply, serve: Callable[..., Gate]) -> None:
    supply.layout()
    supply.policy(drop=("images",), artifacts=["**"])
    decision = ask(serve(supply), {"digests": {"sha256": supply.image().hex}})
    assert decision["allowed"] is True


def test_several_artifacts(artifacts: tuple[Supply, Image], serve: Callable[..., Gate]) -> None:
    supply, image = artifacts
    other = supply.image()
    gate = serve(supply)
    good = [{"name": "manifest.json", "digests": {"sha256": each.hex}} for each in (image, other)]
    decision = ask(gate, *good)
    assert decision["allowed"] is True and [each["allowed"] for each in decision["decisions"]] == [True, True]
    bad = {"name": "manifest.json", "digests": {"sha256": "00" * 32}}
    decision = ask(gate, good[0], bad, good[1], namespace="prod")
    assert decision["allowed"] is False and decision["reason"] == "no-evidence" and decision["namespace"] == "prod"
    assert [each["allowed"] for each in decision["decisions"]] == [True, False, True]
    assert decision["subject"] == decision["decisions"][1]["subject"]


@pytest.mark.parametrize(
    "digests",
    [{}, {"md5": "00"}, {"sha256": "AB" * 32}, {"sha256": "ab"}, {"sha256": ""}, {"sha256": "../../etc/passwd"}],
)
def test_an_artifact_without_a_digest_that_counts(artifacts, serve: Callable[..., Gate], digests: dict) -> None:
    gate = serve(artifacts[0])
    for name in ({}, {"name": "manifest.json"}):
        decision = ask(gate, {**name, "digests": digests})
        assert (decision["allowed"], decision["reason"]) == (False, "invalid-image")
        assert not decision["message"].startswith(":")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "[]",
        "3",
        b"\xff",
        {},
        {"image": None},
        {"image": 3},
        {"image": ["a"]},
        {"image": "a", "subjects": []},
        {"image": "a", "subjects": [{"digests": {"sha256": "00" * 32}}]},
        {"image": "a", "layout": {"text": "{}"}},
        {"image": "a", "policy": "web"},
        {"image": "a", "now": 0},
        {"image": "a", "namespace": 3},
        {"image": "a", "namespace": None},
        {"subjects": []},
        {"subjects": [{}]},
        {"subjects": [{"digests": {"sha256": "00" * 32}, "extra": 1}]},
        {"subjects": [{"digests": {"sha256": "00" * 32}}] * 101},
        {"namespace": "prod"},
        '{"image": "a", "image": "b"}',
        '{"subjects": [{"digests": {"sha256": "%s", "sha256": "%s"}}]}' % ("00" * 32, "11" * 32),
        '{"subjects": [{"digests": {"sha256": "%s", "sha\\u0032%s": "%s"}}]}' % ("00" * 32, "56", "11" * 32),
    ],
    ids=str,
)
def test_what_is_no_question(gate: Gate, body: Any) -> None:
    response = gate.post("/v1/verify", body)
    assert response.status_code == 400, response.text
    assert list(response.json()) == ["error"] and response.json()["error"].isprintable()


def test_what_is_not_there(gate: Gate) -> None:
    for path in ("/v2", "/v1/verify/", "/policies", "/decisions/1", "/", "/verify/x", "//", "/%2e%2e/etc/passwd"):
        response = gate.get(path)
        assert response.status_code == 404 and "error" in response.json(), path


def test_a_query_and_headers_of_any_kind(gate: Gate, good: Image) -> None:
    response = gate.client.post(
        "/v1/verify?x=%00&timeout=3s&timeout",
        content=json.dumps({"image": str(good)}),
        headers={"content-type": "text/plain", "x-request-id": "a b\t" + "x" * 200, "accept": "text/html"},
    )
    assert response.status_code == 200 and response.json()["allowed"] is True
    assert len(response.headers["x-request-id"]) == 16


def whole_request(supply: Supply, image: Image, path: Path) -> bytes:
    linkgate(
        *("verify", "-l", supply.policies / "root.layout", "-d", image.links, "-k", supply.policies / "owner.pub"),
        *("--subject", image.digest, "--save-request", path, "-q"),
        cwd=supply.folder,
    )
    return path.read_bytes()


def test_whole_requests_have_a_listener_of_their_own(web: Supply, serve: Callable[..., Gate], tmp_path: Path) -> None:
    image = web.image()
    request = whole_request(web, image, tmp_path / "request.json")
    gate = serve(web, "--request-listen", "127.0.0.1:0")
    refused = gate.post("/v1/verify", request)
    assert refused.status_code == 400 and "error" in refused.json()
    warned = next(line for line in gate.log() if "whoever asks chooses" in line["message"])
    assert warned["level"] == "WARN"
    with gate.connect(address=warned["address"]) as other:
        answered = other.post("/v1/verify", content=request)
        done = linkgate("verify", "--request", tmp_path / "request.json", "--format", "json", cwd=tmp_path)
        assert answered.status_code == 200 and answered.text == done.stdout.rstrip("\n")
        tampered = json.loads(request)
        tampered["subjects"] = [{"digests": {"sha256": "00" * 32}}]
        assert other.post("/v1/verify", content=json.dumps(tampered)).json()["decision"] == "reject"
        for wrong in (b"{}", b"", json.dumps({"image": str(image)}).encode(), request[:-2]):
            assert other.post("/v1/verify", content=wrong).status_code == 400
        for path in ("/validate", "/gatekeeper", "/metrics", "/healthz"):
            assert other.post(path, content=request).status_code == 404, path


def test_without_being_asked_for_there_is_no_such_listener(gate: Gate, world, tmp_path: Path) -> None:
    _, supply, good, _ = world
    request = whole_request(supply, good, tmp_path / "request.json")
    for path in ("/v1/verify", "/validate", "/verify", "/gatekeeper"):
        assert gate.post(path, request).status_code == 400, path


def test_health(gate: Gate) -> None:
    assert gate.get("/healthz").text == "ok\n"
    ready = gate.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["ready"] is True and ready.json()["policies"] == ["web"] and ready.json()["reload"] == "ok"
    metrics = gate.get("/metrics")
    assert metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert metrics.text.endswith("# EOF\n")
    assert "registry.example" not in metrics.text and "sha256" not in metrics.text


def test_metrics_count_what_was_answered(gate: Gate, good: Image) -> None:
    def count() -> tuple[float, float]:
        samples = gate.metrics()
        return samples['linkgate_requests_total{face="verify",status="200"}'], gate.decided("no-evidence")

    gate.verify(good), gate.verify(unknown_image())
    before = count()
    gate.verify(good), gate.verify(unknown_image())
    after = count()
    assert (after[0] - before[0], after[1] - before[1]) == (2, 1)
