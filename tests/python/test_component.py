"""The component, which wasmtime for Python runs too: who needs its types or `plan` can load it so."""

import subprocess
import sys
from typing import Any

import pytest
from conftest import LINKGATE, ROOT, Request
from test_verify import as_text

sys.path.insert(0, str(ROOT / "tests/portable"))

from component import Verifier  # noqa: E402


@pytest.fixture(scope="module")
def component() -> Verifier:
    return Verifier(subprocess.run([LINKGATE, "component"], capture_output=True, check=True, timeout=60).stdout)


def test_it_judges(component: Verifier, good: Request, bad: Request) -> None:
    accepted, rejected = (component.ask("verify", as_text(request)) for request in (good, bad))
    assert (accepted.tag, accepted.payload.decision) == ("ok", "accept")
    assert (rejected.tag, rejected.payload.decision) == ("ok", "reject")
    assert [finding.code for finding in rejected.payload.findings] == ["disallowed-artifact"]


def test_it_says_what_it_needs(component: Verifier, good: Request) -> None:
    planned: Any = component.ask("plan", as_text(good | {"documents": []}))
    steps = [step.name for step in planned.payload.steps]
    assert "build" in steps and len(steps) == len(set(steps))


def test_no_judgement_is_an_error(component: Verifier, good: Request) -> None:
    undecided = component.ask("verify", as_text(good | {"layout": b"{}"}))
    assert (undecided.tag, undecided.payload.code) == ("err", "layout-malformed")
