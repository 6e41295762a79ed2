"""The component, which wasmtime for Python runs too: who needs its types or `plan` can load it so."""

import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import LINKGATE, Request
from wasmtime import Engine, Store
from wasmtime.component import Component, Linker, Variant

Ask = Callable[[str, Request], Any]


def record(**members: Any) -> SimpleNamespace:
    """A record of the interface, whose members' names have hyphens."""
    return SimpleNamespace(**{name.replace("_", "-"): member for name, member in members.items()})


def key(written: dict[str, Any]) -> SimpleNamespace:
    return record(
        keyid=written["keyid"],
        keytype=written["keytype"],
        scheme=written["scheme"],
        public=written["keyval"]["public"],
    )


def asked(request: Request) -> SimpleNamespace:
    return record(
        layout=request["layout"],
        trust=Variant("signed-by", [key(written) for written in request["trust"]["signed_by"]]),
        documents=[record(**document) for document in request["documents"]],
        inspections=[],
        parameters=[],
        subjects=[],
        options=record(strict=False, subject_steps=[], summary_link=False),
        now=request["now"],
    )


@pytest.fixture(scope="module")
def ask() -> Ask:
    """Asks one function of a fresh instance."""
    code = subprocess.run([LINKGATE, "component"], capture_output=True, check=True, timeout=60).stdout
    engine = Engine()
    component = Component(engine, code)

    def ask(function: str, request: Request) -> Any:
        linker = Linker(engine)
        with linker.root() as root, root.add_instance("linkgate:verifier/signatures@0.1.0") as signatures:
            signatures.add_func("check", lambda store, key, message, signature: Variant("ok", "not-handled"))
        store = Store(engine)
        instance = linker.instantiate(store, component)
        interface = instance.get_export_index(store, "linkgate:verifier/verification@0.1.0")
        found = instance.get_func(store, instance.get_export_index(store, function, interface))
        return found(store, asked(request))

    return ask


def test_it_judges(ask: Ask, good: Request, bad: Request) -> None:
    accepted, rejected = ask("verify", good), ask("verify", bad)
    assert (accepted.tag, accepted.payload.decision) == ("ok", "accept")
    assert (rejected.tag, rejected.payload.decision) == ("ok", "reject")
    assert [finding.code for finding in rejected.payload.findings] == ["disallowed-artifact"]


def test_it_says_what_it_needs(ask: Ask, good: Request) -> None:
    steps = [step.name for step in ask("plan", good | {"documents": []}).payload.steps]
    assert "build" in steps and len(steps) == len(set(steps))


def test_no_judgement_is_an_error(ask: Ask, good: Request) -> None:
    undecided = ask("verify", good | {"layout": b"{}"})
    assert (undecided.tag, undecided.payload.code) == ("err", "layout-malformed")
