"""Patterns against Python's `fnmatch.fnmatchcase`.

Rule 18 drops a reversed range from its set. Python does the same since 3.11 (`[z-a]` is no error, matches nothing, and
`[z-ab]` is `b`), but for one shape, which `becomes_negation` leaves out; under an older Python the reversed ranges would differ, and `run` says so
before it starts.
"""

from __future__ import annotations

import fnmatch
from random import Random

from oracle import Oracle, batches

ALPHABETS = [
    "[]!-^*?\\{}ab/\u00e9\n",
    "[]!-ab",
    "[]-abcz!^",
    "*?ab",
    "*ab[]",
    "[]&|~-ab:",
    "a\U0001f600\u0301.$()+|*?[]!",
]


def draw(random: Random) -> tuple[str, str]:
    alphabet = random.choice(ALPHABETS)
    pattern = "".join(random.choices(alphabet, k=random.randint(0, 9)))
    if random.random() < 0.3:
        return pattern, "".join(random.choices(alphabet, k=random.randint(0, 6)))
    # A name that has a chance: the pattern with its wildcards filled in, then perhaps changed.
    name = "".join(
        "".join(random.choices(alphabet, k=random.randint(0, 2))) if c == "*" else random.choice(alphabet) if c == "?" else c
        for c in pattern
    )
    if random.random() < 0.7:
        start, end = name.find("["), name.rfind("]")
        if 0 <= start < end:
            name = name[:start] + random.choice(alphabet) + name[end + 1 :]
    if name and random.random() < 0.3:
        at = random.randrange(len(name))
        name = name[:at] + random.choice(("", random.choice(alphabet))) + name[at + 1 :]
    return pattern, name


def becomes_negation(pattern: str) -> bool:
    """Whether a set begins with reversed ranges and then has a `!`: Python drops the ranges from the pattern's text, so
    that the `!` comes first and negates (`[b-a!]` matches anything). Rule 18 drops them from the set; `!` is a member."""
    for at in (at for at, c in enumerate(pattern) if c == "["):
        rest = pattern[at + 1 :]
        dropped = False
        while len(rest) > 3 and rest[1] == "-" and rest[0] > rest[2]:
            rest, dropped = rest[3:], True
        if dropped and rest.startswith("!"):
            return True
    return False


def run(oracle: Oracle, random: Random, count: int) -> str | None:
    """Nothing, or the smallest difference found."""
    if not fnmatch.fnmatchcase("b", "[z-ab]") or fnmatch.fnmatchcase("z", "[z-a]"):
        raise SystemExit("this Python's fnmatch treats reversed ranges differently; use 3.11 or later")

    def differs(pattern: str, name: str) -> bool:
        return oracle.match([(pattern, name)]) != [fnmatch.fnmatchcase(name, pattern)]

    hits = 0
    drawn = (pair for pair in (draw(random) for _ in range(count)) if not becomes_negation(pair[0]))
    for batch in batches(drawn, 5_000):
        for (pattern, name), ours in zip(batch, oracle.match(batch)):
            theirs = fnmatch.fnmatchcase(name, pattern)
            hits += theirs
            if ours == theirs:
                continue
            while True:
                shorter = [(pattern[:i] + pattern[i + 1 :], name) for i in range(len(pattern))]
                shorter += [(pattern, name[:i] + name[i + 1 :]) for i in range(len(name))]
                smaller = next((pair for pair in shorter if differs(*pair)), None)
                if smaller is None:
                    break
                pattern, name = smaller
            theirs = fnmatch.fnmatchcase(name, pattern)
            return f"pattern {pattern!r}, name {name!r}: python {theirs}, ours {not theirs}"
    assert count < 1_000 or 0.1 < hits / count < 0.9, f"{hits} of {count} match: the draw shows too little"
    return None
