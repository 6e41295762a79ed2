"""Asks the component in Python, by wasmtime's bindings for components, and times that.

    python tests/portable/component.py --cases IN.jsonl --time N --module verifier.wasm

The bindings convert bytes one by one, outside of any bound: a request of 10 MB takes seconds and a gigabyte. So the package in
policies/python has the core module, and this answers no cases.

Its import is a function of Python's. What a signal's handler raises within it unwinds over the engine's frames and corrupts the
process: a program that is more than a measurement asks in a thread that handles no signals, as that package does.
"""

import argparse
import base64
import json
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from wasmtime import Engine, Store
from wasmtime.component import Component, Linker, Variant

WARM_UP = 3


def record(**members: Any) -> SimpleNamespace:
    """A record of the interface, whose members' names have hyphens."""
    return SimpleNamespace(**{name.replace("_", "-"): member for name, member in members.items()})


def key(written: dict[str, Any]) -> SimpleNamespace:
    return record(
        keyid=written.get("keyid"),
        keytype=written["keytype"],
        scheme=written["scheme"],
        public=written["keyval"]["public"],
    )


def content(written: dict[str, Any]) -> bytes:
    return written["text"].encode() if "text" in written else base64.b64decode(written["base64"])


def subject(written: dict[str, Any]) -> SimpleNamespace:
    digests = [record(algorithm=algorithm, value=value) for algorithm, value in written["digests"].items()]
    return record(name=written.get("name"), digests=digests)


def asked(request: dict[str, Any]) -> SimpleNamespace:
    """A request in its JSON form, without inspections and parameters, as the interface has it."""
    documents = request.get("documents", [])
    return record(
        layout=content(request["layout"]),
        trust=Variant("signed-by", [key(written) for written in request["trust"]["signed_by"]]),
        documents=[record(name=document["name"], content=content(document)) for document in documents],
        inspections=[],
        parameters=[],
        subjects=[subject(written) for written in request.get("subjects", [])],
        options=record(strict=False, subject_steps=[], summary_link=False),
        now=request["now"],
    )


class Verifier:
    """The component, compiled. Each question has an instance of its own."""

    def __init__(self, code: bytes) -> None:
        self._engine = Engine()
        self._component = Component(self._engine, code)
        self._linker = Linker(self._engine)
        with self._linker.root() as root, root.add_instance("linkgate:verifier/signatures@0.1.0") as signatures:
            signatures.add_func("check", lambda store, key, message, signature: Variant("ok", "not-handled"))

    def ask(self, function: str, request: dict[str, Any]) -> Any:
        """Asks `verify` or `plan`: a `Variant` of the tag `ok` or `err`."""
        store = Store(self._engine)
        instance = self._linker.instantiate(store, self._component)
        interface = instance.get_export_index(store, "linkgate:verifier/verification@0.1.0")
        place = instance.get_export_index(store, function, interface)
        assert place is not None
        found = instance.get_func(store, place)
        assert found is not None
        return found(store, asked(request))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--signatures", choices=["none"], default="none")
    parser.add_argument("--module", type=Path, required=True)
    parser.add_argument("--time", type=int, required=True)
    options = parser.parse_args()
    verifier = Verifier(options.module.read_bytes())
    request = json.loads(json.loads(options.cases.read_text().splitlines()[0])["request"])
    took = []
    for _ in range(WARM_UP + options.time):
        began = time.perf_counter()
        answer = verifier.ask("verify", request)
        took.append(time.perf_counter() - began)
        if answer.tag != "ok":
            raise SystemExit(f"the case is undecided: {answer.payload.message}")
    median = round(statistics.median(took[WARM_UP:]) * 1e6)
    print(json.dumps({"median_us": median, "engine": f"wasmtime {version('wasmtime')} (Python, component)"}))


if __name__ == "__main__":
    main()
