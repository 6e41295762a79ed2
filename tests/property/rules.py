"""Artifact rules against in-toto's `verify_item_rules`, on whole signed chains of two steps.

Where SEMANTICS differs from Python on purpose, the draw stays away:
- names that rule 19 refuses (`./a`, `a//b`, ..) never count here and are rewritten there;
- an absolute name after a destination prefix, or a rest that begins with `/`: Python's `os.path.join` drops the
  prefix there, rule 17 does not;
- a backslash in a name or prefix under IN: Python turns it into a slash and then fails to find it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any, Iterator

from in_toto.exceptions import RuleVerificationError
from in_toto.models.link import Link
from in_toto.verifylib import verify_item_rules

from oracle import Oracle, batches

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cases" / "generate"))

from corpus import request  # noqa: E402
from metadata import ed, layout, link, metablock, step  # noqa: E402

OWNER, WRITER, BUILDER = ed("owner"), ed("writer"), ed("builder")
NAMES = ["a", "b", "ab", "c.py", "src/a", "src/b", "src/ab", "src/src/a", "src-a", "out/a", "out/b", "out/src/a", "out/o/a", "\u00e9", "a\nb", "[", "*"]
PATTERNS = ["*", "*", "a", "b", "?", "a*", "*a", "src/*", "*/a", "[ab]", "[!a]", "[", "\\*", "src/", "\u00e9", "nothing", "*.py", "out/?"]
PREFIXES = ["src", "src/", "out", "out/", "", "out/src", "sr", "missing", "src//", "*"]
DIGESTS = [{"sha256": c * 64} for c in "0123"] + [{"sha256": "0" * 64, "md5": "0" * 32}]
STEPS = ["write", "build", "nowhere"]

Chain = dict[str, dict[str, Any]]  # by step: materials, products, expected_materials, expected_products


def rule(random: Random) -> list[str]:
    keyword = random.choice(("CREATE", "DELETE", "MODIFY", "ALLOW", "DISALLOW", "REQUIRE", "MATCH", "MATCH", "MATCH"))
    cased = random.choice((keyword, keyword, keyword.lower()))
    if keyword == "REQUIRE":
        return [cased, random.choice(NAMES)]
    if keyword != "MATCH":
        # A DISALLOW of everything would decide nearly every list by itself.
        return [cased, random.choice(PATTERNS[2:] if keyword == "DISALLOW" else PATTERNS)]
    value = [cased, random.choice(PATTERNS)]
    if random.random() < 0.4:
        value += ["IN", random.choice(PREFIXES)]
    value += ["WITH", random.choice(("PRODUCTS", "MATERIALS", "products"))]
    if random.random() < 0.4:
        value += ["IN", random.choice(PREFIXES)]
    return value + ["FROM", random.choice(STEPS)]


def rules(random: Random) -> list[list[str]]:
    value = [rule(random) for _ in range(random.choice((0, 0, 1, 2, 3, 5)))]
    return value + ([["DISALLOW", "*"]] if value and random.random() < 0.5 else [])


def artifacts(random: Random) -> dict[str, Any]:
    return {name: random.choice(DIGESTS) for name in random.sample(NAMES, random.choice((0, 1, 2, 3, 6)))}


def chain(random: Random) -> Chain:
    """Two steps; most of what one has the other has too, else nothing would ever match."""
    value: Chain = {}
    pool = artifacts(random)
    for name in STEPS[:2]:
        value[name] = {
            "materials": {**artifacts(random), **dict(random.sample(list(pool.items()), len(pool) // 2))},
            "products": {**pool, **artifacts(random)} if random.random() < 0.6 else artifacts(random),
            "expected_materials": rules(random),
            "expected_products": rules(random),
        }
    return value


def asked(value: Chain) -> dict[str, Any]:
    keys = dict(zip(STEPS, (WRITER, BUILDER)))
    steps = [
        step(name, keys[name], materials=part["expected_materials"], products=part["expected_products"])
        for name, part in value.items()
    ]
    documents = {
        f"{name}.link": metablock(link(name, part["materials"], part["products"]), keys[name])
        for name, part in value.items()
    }
    return request(metablock(layout(steps, [WRITER, BUILDER]), OWNER), documents, OWNER)


def expected(value: Chain) -> set[str]:
    """The codes of the lists that Python fails."""
    links = {
        name: Link(name=name, materials=part["materials"], products=part["products"]) for name, part in value.items()
    }
    codes = set()
    for name, part in value.items():
        for side in ("materials", "products"):
            try:
                verify_item_rules(name, side, part[f"expected_{side}"], links)
            except RuleVerificationError as error:
                disallowed = str(error).startswith("'DISALLOW")
                codes.add("disallowed-artifact" if disallowed else "required-artifact-missing")
    return codes


def difference(value: Chain, answer: dict[str, Any]) -> str | None:
    wanted, found = expected(value), {finding["code"] for finding in answer["findings"]}
    decision = "reject" if wanted else "accept"
    # Python stops a list at its first failure; a list that fails here may show a later one too.
    if answer["decision"] == decision and wanted <= found:
        return None
    return f"python {decision} {sorted(wanted)}, ours {answer['decision']} {sorted(found)}\n  {value}"


def smaller(value: Chain) -> Iterator[Chain]:
    """The chains that come of leaving one rule or artifact out."""
    for name, part in value.items():
        for member, items in part.items():
            for key in range(len(items)) if isinstance(items, list) else list(items):
                less = items[:key] + items[key + 1 :] if isinstance(items, list) else {k: v for k, v in items.items() if k != key}
                yield {**value, name: {**part, member: less}}


def run(oracle: Oracle, random: Random, count: int) -> str | None:
    """Nothing, or the smallest difference found."""

    def differs(value: Chain) -> str | None:
        return difference(value, oracle.verify([asked(value)])[0])

    accepted = 0
    for batch in batches((chain(random) for _ in range(count)), 200):
        for value, answer in zip(batch, oracle.verify([asked(value) for value in batch])):
            accepted += answer["decision"] == "accept"
            if not difference(value, answer):
                continue
            while less := next((x for x in smaller(value) if differs(x)), None):
                value = less
            return differs(value)
    assert count < 1_000 or 0.1 < accepted / count < 0.9, f"{accepted} of {count} accept: the draw shows too little"
    return None
