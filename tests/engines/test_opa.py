"""A stock OPA that asks the gate, by policies/opa."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import POLICIES
from engine import Engine, listens, program, run
from gate import Gate
from images import Pushed
from ports import free_port
from supply import PATIENCE

FOLDER = POLICIES / "opa"


def place(folder: Path, gate: Gate, ca: Path | None = None) -> Path:
    """A folder with the policy and where the gate is."""
    shutil.copy(FOLDER / "linkgate.rego", folder)
    where = {"url": f"https://{gate.address}", "ca": str(ca or gate.ca)}
    (folder / "gate.json").write_text(json.dumps({"gate": where}))
    return folder


@pytest.fixture
def placed(tmp_path: Path, gate: Gate) -> Path:
    return place(tmp_path, gate)


def evaluate(folder: Path, question: Any, query: str = "data.linkgate.decision", *options: str, code: int = 0) -> str:
    data = ("--data", "linkgate.rego", "--data", "gate.json")
    command = [program("opa"), "eval", *data, "--format", "raw", "--stdin-input", *options, query]
    return run(*command, cwd=folder, code=code, stdin=json.dumps(question)).stdout


def decision(folder: Path, question: Any) -> dict:
    return json.loads(evaluate(folder, question))


def test_its_own_tests() -> None:
    # Not the whole folder: what is below it needs a function that a stock OPA lacks.
    files = ("linkgate.rego", "linkgate_test.rego")
    done = run(program("opa"), "test", *files, cwd=FOLDER)
    assert done.stdout.splitlines()[-1] == "PASS: 6/6"
    run(program("opa"), "check", "--strict", *files, cwd=FOLDER)


def test_a_good_image_is_allowed(placed: Path, images: Pushed) -> None:
    question = {"image": str(images.good), "namespace": "prod"}
    message = f"{images.good}: accepted by policy `web`"
    assert decision(placed, question) == {"allowed": True, "message": message, "reason": "accepted"}


@pytest.mark.parametrize(
    ("which", "reason", "why"),
    [
        ("tampered", "rejected", "what it made as `image` is sha256:"),
        ("unknown", "no-evidence", "there is no link about it in the image's own registry"),
    ],
)
def test_others_are_denied_with_the_gates_message(
    placed: Path, images: Pushed, gate: Gate, which: str, reason: str, why: str
) -> None:
    image = getattr(images, which)
    said = decision(placed, {"image": str(image)})
    assert said == {"allowed": False, "message": gate.verify(image)["message"], "reason": reason}
    assert why.format(image) in said["message"]


def test_a_tag_is_denied(placed: Path, images: Pushed) -> None:
    said = decision(placed, {"image": images.good.tagged})
    assert (said["allowed"], said["reason"]) == (False, "tag")
    assert "name it by digest" in said["message"]


@pytest.mark.parametrize(
    "question", [{}, [], "image", None, {"image": 1}, {"image": "x", "subjects": []}, {"picture": "x"}]
)
def test_what_is_no_question_is_denied(placed: Path, question: Any) -> None:
    said = decision(placed, question)
    assert said["allowed"] is False
    assert said["reason"] in ("no-answer", "invalid-image")
    assert said["message"]


def test_a_step_of_a_pipeline(placed: Path, images: Pushed) -> None:
    query = ("data.linkgate.allow = true", "--fail")
    assert evaluate(placed, {"image": str(images.good)}, *query) == "true\n"
    for image in (str(images.tampered), str(images.unknown), images.good.tagged):
        assert evaluate(placed, {"image": image}, *query, code=1) == ""


def test_a_service(placed: Path, images: Pushed, engines: Callable[..., Engine]) -> None:
    port = free_port()
    command = [program("opa"), "run", "--server", "--addr", f"127.0.0.1:{port}", "linkgate.rego", "gate.json"]
    engines(command, placed, "opa", lambda: listens(port))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as client:
        for image, allowed in (
            (images.good, True),
            (images.tampered, False),
            (images.good, True),
            (images.unknown, False),
        ):
            reply = client.post("/v1/data/linkgate/decision", json={"input": {"image": str(image)}})
            assert reply.json()["result"]["allowed"] is allowed


def test_a_policy_of_ones_own(placed: Path, images: Pushed) -> None:
    """As the README has it: on top of the gate's answer."""
    (placed / "own.rego").write_text(
        "package own\n\nimport data.linkgate\n\ndefault allow := false\n\n"
        'allow if {\n\tinput.team == "web"\n\tlinkgate.allow with input as {"image": input.image}\n}\n'
    )
    own = ("data.own.allow", "--data", "own.rego")
    for team, image, allowed in (
        ("web", images.good, True),
        ("ops", images.good, False),
        ("web", images.tampered, False),
    ):
        assert evaluate(placed, {"team": team, "image": str(image)}, *own) == f"{json.dumps(allowed)}\n"


def test_denied_while_the_gate_is_down(tmp_path: Path, images: Pushed, serve: Callable[..., Gate]) -> None:
    gate = serve()
    place(tmp_path, gate)
    question = {"image": str(images.good)}
    assert decision(tmp_path, question)["allowed"] is True
    gate.kill()
    said = decision(tmp_path, question)
    assert (said["allowed"], said["reason"]) == (False, "no-answer")
    assert said["message"].startswith(f'the gate gave no answer: Post "https://{gate.address}/v1/verify": ')
    assert "connection refused" in said["message"]
    assert evaluate(tmp_path, question, "data.linkgate.allow = true", "--fail", code=1) == ""


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_another_gate_is_not_asked(
    tmp_path: Path, images: Pushed, gate: Gate, serve: Callable[..., Gate], misnamed: Gate, wrong: str
) -> None:
    place(tmp_path, gate, serve().ca) if wrong == "authority" else place(tmp_path, misnamed)
    said = decision(tmp_path, {"image": str(images.good)})
    assert (said["allowed"], said["reason"]) == (False, "no-answer")
    assert "certificate" in said["message"]


def test_denied_where_nobody_said_where_the_gate_is(tmp_path: Path, images: Pushed, gate: Gate) -> None:
    (place(tmp_path, gate) / "gate.json").write_text("{}")
    said = decision(tmp_path, {"image": str(images.good)})
    assert (said["allowed"], said["reason"]) == (False, "no-answer")
    assert "is data.gate.url set" in said["message"]
