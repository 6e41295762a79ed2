"""The corpus: what a case is, and how a request is put together.

A case is one JSON file, `<group>/<fault>.json`: `about` (the rule that it shows), `adversarial` (its numbers in the
list of attacks, where it has any), `request`, `expect` (`decision`, `codes` that must be among the findings or be the
code of an undecided answer, `warnings` that must be there, `limit` where one is met), and `generate` where the request
is too large for a file. `generate` is a list of recipes, run in order, of two kinds:

- `{"kind": "repeat", "at": [...], "mark": M, "unit": U, "join": J, "count": N}`: in the string at that path of the
  request the mark is replaced by N copies of the unit, `<n>` in them by 0 to N-1, joined by J.
- `{"kind": "copies", "at": [...], "item": V, "count": N}`: N copies of the value are appended to the array at that
  path, `<n>` in all their strings replaced likewise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metadata import Json, Key, file_name

NOW = 1764000000  # 2025-11-24T16:00:00Z


@dataclass
class Case:
    group: str
    fault: str
    value: dict[str, Json]


@dataclass
class Corpus:
    """All cases, in the order in which they were added."""

    cases: dict[tuple[str, str], Case] = field(default_factory=dict)

    def add(
        self,
        name: str,
        about: str,
        request: dict[str, Json],
        decision: str,
        *codes: str,
        warnings: list[str] | tuple[str, ...] = (),
        adversarial: int | list[int] | None = None,
        limit: str | None = None,
        generate: list[Json] | None = None,
    ) -> None:
        group, fault = name.split("/")
        assert (group, fault) not in self.cases, f"two cases are called {name}"
        assert decision in ("accept", "reject", "undecided")
        assert (decision == "accept") == (not codes), f"{name}: a refusal needs its code"
        assert ("limit-exceeded" in codes) == (limit is not None), name
        value: dict[str, Json] = {"about": about}
        if adversarial is not None:
            value["adversarial"] = adversarial
        expect = {"decision": decision, "codes": list(codes), "warnings": list(warnings)}
        if limit:
            expect["limit"] = limit
        value |= {"expect": expect, "request": request}
        if generate:
            value["generate"] = generate
        self.cases[group, fault] = Case(group, fault, value)

    def write(self, root: Path) -> None:
        """Writes every case, and removes the files of groups that were written whose case is gone."""
        for group in {case.group for case in self.cases.values()}:
            folder = root / group
            folder.mkdir(exist_ok=True)
            for stale in folder.glob("*.json"):
                if (group, stale.stem) not in self.cases:
                    stale.unlink()
        for case in self.cases.values():
            path = root / case.group / f"{case.fault}.json"
            path.write_text(json.dumps(case.value, ensure_ascii=True, indent=1) + "\n")
            assert path.stat().st_size < 200_000, f"{path} is too large for a clone"


def request(
    layout: str | dict[str, str],
    documents: dict[str, str | dict[str, str]] | list[tuple[str, str | dict[str, str]]],
    trust: Key | list[Key] | dict[str, Json],
    now: int = NOW,
    **rest: Json,
) -> dict[str, Any]:
    """A request: documents by name (pairs, where several have one), as text unless they say `base64`."""

    def content(value: str | dict[str, str]) -> dict[str, str]:
        return {"text": value} if isinstance(value, str) else value

    if isinstance(trust, Key):
        trust = [trust]
    if isinstance(trust, list):
        trust = {"signed_by": [key.object() for key in trust]}
    pairs = documents.items() if isinstance(documents, dict) else documents
    return {
        "layout": content(layout),
        "trust": trust,
        "documents": [{"name": name} | content(value) for name, value in pairs],
        "now": now,
    } | rest


def result(name: str, document: str, at: list[str] | None = None) -> dict[str, Json]:
    """An inspection's result."""
    return {"at": at or [], "name": name, "text": document}


def named(*pairs: tuple[str, Key, str]) -> dict[str, str]:
    """Documents under their usual names: (step, signer, text)."""
    return {file_name(step, key): document for step, key, document in pairs}


def expand(case: dict[str, Json]) -> dict[str, Json]:
    """The request of a case, its recipes carried out."""
    request = json.loads(json.dumps(case["request"]))
    for recipe in case.get("generate", []):
        *parents, last = recipe["at"]
        holder = request
        for part in parents:
            holder = holder[part]
        if recipe["kind"] == "repeat":
            copies = (recipe["unit"].replace("<n>", str(n)) for n in range(recipe["count"]))
            holder[last] = holder[last].replace(recipe["mark"], recipe["join"].join(copies))
        elif recipe["kind"] == "copies":
            pattern = json.dumps(recipe["item"])
            holder.setdefault(last, []) if isinstance(holder, dict) else None
            holder[last] += [
                json.loads(pattern.replace("<n>", str(n))) for n in range(recipe["count"])
            ]
        else:
            raise ValueError(f"no recipe is called {recipe['kind']}")
    return request
