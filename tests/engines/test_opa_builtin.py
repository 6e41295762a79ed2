"""An OPA that verifies by itself, by policies/opa/builtin: no gate, and no server but its own.

    LINKGATE=.. ENGINES=target/engines/bin CORE=verifier.core.wasm python -m pytest tests/engines/test_opa_builtin.py

CORE is the core module; without it, the one that `linkgate component --format core` writes is taken.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import POLICIES
from engine import Engine, listens, program, run
from ports import free_port
from supply import PATIENCE, Image, Keys, Supply, binary

FOLDER = POLICIES / "opa" / "builtin"


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("CORE")
    if given:
        return Path(given).resolve(strict=True)
    path = tmp_path_factory.mktemp("core") / "verifier.core.wasm"
    with path.open("wb") as module:
        subprocess.run([binary(), "component", "--format", "core"], stdout=module, check=True, timeout=PATIENCE)
    return path


@dataclass(frozen=True)
class Placed:
    """A folder with the policy, the data that it trusts, and images that a chain made."""

    folder: Path
    core: Path
    good: Image
    tampered: Image

    @property
    def files(self) -> list[str]:
        return ["policy.rego", "data.json"]

    def question(self, image: Image) -> dict:
        links = [{"name": path.name, "text": path.read_text()} for path in sorted(image.links.iterdir())]
        return {"sha256": image.hex, "links": links}

    def evaluate(self, question: Any, query: str = "data.release.decision", *options: str, **more: Any) -> str:
        data = [option for file in self.files for option in ("--data", file)]
        command = [program("opa-intoto"), "eval", *data, "--format", "raw", "--stdin-input", *options, query]
        environment = {"LINKGATE_MODULE": str(self.core), **more}
        return run(*command, cwd=self.folder, stdin=json.dumps(question), **environment).stdout

    def decision(self, question: Any, **more: Any) -> dict:
        return json.loads(self.evaluate(question, **more))


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory, keys: Keys, core: Path) -> Placed:
    supply = Supply(tmp_path_factory.mktemp("supply"), keys)
    layout = supply.layout()
    folder = tmp_path_factory.mktemp("policy")
    shutil.copy(FOLDER / "policy.rego", folder)
    owners = list(keys.in_layout("owner").values())
    data = {"supplychain": {"layout": {"text": layout.read_text()}, "owners": owners}}
    (folder / "data.json").write_text(json.dumps(data))
    good, tampered = supply.image(), supply.image()
    tampered.tamper("build")
    return Placed(folder, core, good, tampered)


def test_its_own_tests(core: Path) -> None:
    done = run(program("opa-intoto"), "test", FOLDER, cwd=FOLDER, LINKGATE_MODULE=str(core))
    assert done.stdout.splitlines()[-1] == "PASS: 4/4"
    run(program("opa-intoto"), "check", "--strict", FOLDER, cwd=FOLDER, LINKGATE_MODULE=str(core))


@pytest.mark.parametrize("signatures", ["native", "pure"])
def test_a_good_chain_is_allowed(placed: Placed, signatures: str) -> None:
    said = placed.decision(placed.question(placed.good), LINKGATE_SIGNATURES=signatures)
    assert said == {"allowed": True, "reasons": []}


def test_a_tampered_link_is_denied(placed: Placed) -> None:
    said = placed.decision(placed.question(placed.tampered))
    assert said["allowed"] is False
    assert said["reasons"][0].startswith("step `build` ")


def test_good_links_of_another_artifact_are_denied(placed: Placed) -> None:
    question = {**placed.question(placed.good), "sha256": placed.tampered.hex}
    said = placed.decision(question)
    assert said["allowed"] is False
    assert "sha256:" + placed.tampered.hex in said["reasons"][0]


@pytest.mark.parametrize("missing", ["sha256", "links"])
def test_no_question_is_denied(placed: Placed, missing: str) -> None:
    question = placed.question(placed.good)
    del question[missing]
    said = placed.decision(question)
    assert said["allowed"] is False
    assert said["reasons"][0].startswith("there is nothing to verify")


@pytest.mark.parametrize(
    "wrong", [{"sha256": None}, {"sha256": "A" * 64}, {"links": None}, {"links": [{"name": "x"}]}, {"links": [[]]}]
)
def test_what_is_no_question_is_denied(placed: Placed, wrong: dict) -> None:
    said = placed.decision({**placed.question(placed.good), **wrong})
    assert said["allowed"] is False
    assert said["reasons"][0]


def test_the_input_cannot_bring_its_own_layout(placed: Placed, keys: Keys) -> None:
    own = {"supplychain": {"layout": {"text": "{}"}, "owners": list(keys.in_layout("builder").values())}}
    assert placed.decision({**placed.question(placed.tampered), **own, "data": own})["allowed"] is False


def test_the_clock_is_the_policys(placed: Placed) -> None:
    """A layout that has expired is denied: OPA's time arrives as whole seconds."""
    query = 'data.release.decision with time.now_ns as 2300000000123456789'
    said = json.loads(placed.evaluate(placed.question(placed.good), query))
    assert said["allowed"] is False
    assert "expired" in said["reasons"][0]


def test_over_its_limits(placed: Placed) -> None:
    question = placed.question(placed.good)
    question["links"] = [{"name": str(number), "text": ""} for number in range(10_001)]
    assert placed.evaluate(question, "data.release.answer.code") == "limit-exceeded\n"
    assert placed.evaluate(question, "data.release.allow") == "false\n"


def costly(placed: Placed) -> dict:
    question = placed.question(placed.good)
    text = question["links"][0]["text"] + " " * 4000
    question["links"] += [{"name": f"copy.{number}", "text": text} for number in range(5_000)]
    return question


def test_a_deadline(placed: Placed) -> None:
    said = placed.decision(costly(placed), LINKGATE_DEADLINE="100ms", LINKGATE_SIGNATURES="pure")
    assert said == {"allowed": False, "reasons": ["the verifier was stopped: it did not end within 100ms"]}


def test_too_little_memory(placed: Placed) -> None:
    said = placed.decision(costly(placed), LINKGATE_MEMORY_MIB="24")
    assert said["allowed"] is False
    assert said["reasons"][0].startswith("the verifier was stopped: ")
    assert said["reasons"][0].endswith(", with at most 24 MiB of memory")


def test_a_compiled_module_is_kept(placed: Placed, tmp_path: Path) -> None:
    for _ in range(2):
        assert placed.decision(placed.question(placed.good), LINKGATE_CACHE=str(tmp_path))["allowed"] is True
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"LINKGATE_MODULE": ""}, "LINKGATE_MODULE is not set"),
        ({"LINKGATE_MODULE": "/nowhere.wasm"}, "/nowhere.wasm"),
        ({"LINKGATE_DEADLINE": "soon"}, "LINKGATE_DEADLINE"),
        ({"LINKGATE_MEMORY_MIB": "0"}, "LINKGATE_MEMORY_MIB"),
        ({"LINKGATE_MEMORY_MIB": "2049"}, "2 GiB"),
        ({"LINKGATE_QUESTIONS": "0"}, "LINKGATE_QUESTIONS"),
        ({"LINKGATE_SIGNATURES": "none"}, "LINKGATE_SIGNATURES"),
    ],
)
def test_it_does_not_start_without_a_verifier(placed: Placed, settings: dict, why: str) -> None:
    environment = {"LINKGATE_MODULE": str(placed.core), **settings}
    done = run(program("opa-intoto"), "eval", "true", cwd=placed.folder, code=2, **environment)
    assert done.stderr.startswith("opa-intoto: ")
    assert why in done.stderr


def test_it_does_not_start_with_half_a_module(placed: Placed, tmp_path: Path) -> None:
    half = tmp_path / "half.wasm"
    half.write_bytes(placed.core.read_bytes()[:100_000])
    done = run(program("opa-intoto"), "eval", "true", cwd=placed.folder, code=2, LINKGATE_MODULE=str(half))
    assert done.stderr.startswith(f"opa-intoto: {half}: the verifier cannot be loaded: ")


def test_a_step_of_a_pipeline(placed: Placed) -> None:
    command = [program("opa-intoto"), "eval", "--data", "policy.rego", "--data", "data.json", "--format", "raw"]
    command += ["--fail", "--stdin-input", "data.release.allow = true"]
    for image, code in ((placed.good, 0), (placed.tampered, 1)):
        stdin = json.dumps(placed.question(image))
        run(*command, cwd=placed.folder, code=code, stdin=stdin, LINKGATE_MODULE=str(placed.core))


def test_a_service(placed: Placed, engines: Callable[..., Engine]) -> None:
    """Over HTTP, at once, with questions among them that stop the verifier: each gets its own answer."""
    port = free_port()
    command = [program("opa-intoto"), "run", "--server", "--addr", f"127.0.0.1:{port}", *placed.files]
    settings = {"LINKGATE_MODULE": str(placed.core), "LINKGATE_MEMORY_MIB": "24", "LINKGATE_QUESTIONS": "2"}
    # Others are waited for, too: on a busy machine for longer than it takes to answer alone.
    settings["LINKGATE_DEADLINE"] = f"{PATIENCE}s"
    engines(command, placed.folder, "opa-intoto", lambda: listens(port), settings)
    questions = {
        "good": placed.question(placed.good),
        "tampered": placed.question(placed.tampered),
        "costly": costly(placed),
        "empty": {},
    }
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as client:

        def ask(name: str) -> tuple[str, bool]:
            reply = client.post("/v1/data/release/decision", json={"input": questions[name]})
            return name, reply.json()["result"]["allowed"]

        with ThreadPoolExecutor(4) as threads:
            for name, allowed in threads.map(ask, ["good", "tampered", "costly", "empty", "good"] * 8):
                assert allowed is (name == "good"), name
