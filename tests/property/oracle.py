"""Talks to the verifier through `guest/examples/oracle.rs`: lists of questions go out, lists of answers come back."""

from __future__ import annotations

import json
import subprocess
from itertools import islice
from typing import Any, Iterable, Iterator


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


class Oracle:
    """A running oracle."""

    def __init__(self, command: list[str]):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the oracle ended over: {json.dumps(question)[:2000]}")
        return json.loads(line)

    def canonical(self, texts: list[str]) -> list[str | None]:
        return self._ask({"op": "canonical", "texts": texts})["canonical"]

    def match(self, pairs: list[tuple[str, str]]) -> list[bool]:
        return self._ask({"op": "match", "pairs": pairs})["match"]

    def verify(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self._ask({"op": "verify", "requests": requests})["answers"]
