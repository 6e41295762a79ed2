"""Canonical JSON against securesystemslib's `encode_canonical`."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Iterator

from securesystemslib.formats import encode_canonical

from oracle import Oracle, batches

CHARACTERS = [
    *map(chr, range(0x20)),
    *'"\\/ \x7f\x80\x85',
    *"abzAZ09_-{}[]:,<>&'",
    *"\u00e9\u0301\u2028\u2029\ud7ff\ue000\ufeff\ufffd\uffff\U00010000\U0001f600\U0010ffff",
]


def text(random: Random) -> str:
    return "".join(random.choices(CHARACTERS, k=random.choice((0, 1, 1, 2, 3, 8, 20))))


def number(random: Random) -> int:
    size = random.choice((1, 4, 8, 31, 32, 53, 54, 63, 64, 65, 70, 128, 1000))
    near = (1 << size) + random.randint(-2, 2)
    return random.choice((0, random.getrandbits(size), near)) * random.choice((1, -1))


def value(random: Random, depth: int = 0) -> Any:
    kind = random.random()
    if depth < 6 and kind < 0.3:
        return {text(random): value(random, depth + 1) for _ in range(random.randint(0, 5))}
    if depth < 6 and kind < 0.5:
        return [value(random, depth + 1) for _ in range(random.randint(0, 5))]
    if kind < 0.7:
        return text(random)
    if kind < 0.9:
        return number(random)
    return random.choice((None, True, False))


def chain(random: Random) -> Any:
    """A value that nests deeply, though less than the reader's bound."""
    inner: Any = text(random)
    for _ in range(random.randint(10, 90)):
        inner = [inner] if random.random() < 0.5 else {text(random): inner}
    return inner


def written(item: Any, random: Random) -> str:
    """The value as some writer might put it: white space, escapes and order are free."""
    space = lambda: random.choice(("", "", "", " ", "\n", "\t", "\r\n  "))
    if isinstance(item, dict):
        members = list(item.items())
        random.shuffle(members)
        body = ",".join(f"{space()}{written(k, random)}{space()}:{written(v, random)}" for k, v in members)
        return f"{space()}{{{body}{space()}}}{space()}"
    if isinstance(item, list):
        return f"{space()}[{','.join(written(part, random) for part in item)}{space()}]{space()}"
    if isinstance(item, str):
        return '"' + "".join(character(c, random) for c in item) + '"'
    if item == 0 and not isinstance(item, bool):
        return f"{space()}{random.choice(('0', '-0'))}{space()}"
    return f"{space()}{json.dumps(item)}{space()}"


SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\", "/": "\\/"}


def character(c: str, random: Random) -> str:
    if c in SHORT and (c < " " or c in '"\\' or random.random() < 0.5) and random.random() < 0.7:
        return SHORT[c]
    if c < " " or c in '"\\' or random.random() < 0.2:
        units = c.encode("utf-16-be")
        form = random.choice(("\\u%04x", "\\u%04X"))
        return "".join(form % int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return c


def smaller(item: Any) -> Iterator[Any]:
    """The values that come of leaving one thing out."""
    if isinstance(item, dict):
        yield from item.values()
        for key in item:
            yield {k: v for k, v in item.items() if k != key}
            yield from ({**item, key: less} for less in smaller(item[key]))
    elif isinstance(item, list):
        yield from item
        for at, part in enumerate(item):
            yield item[:at] + item[at + 1 :]
            yield from (item[:at] + [less] + item[at + 1 :] for less in smaller(part))
    elif isinstance(item, str):
        yield from (item[:at] + item[at + 1 :] for at in range(len(item)))


def run(oracle: Oracle, random: Random, count: int) -> str | None:
    """Nothing, or the smallest difference found."""

    def differs(item: Any, form: str) -> str | None:
        [ours] = oracle.canonical([form])
        expected = encode_canonical(item)
        return None if ours == expected else f"text {form!r}\n  python {expected!r}\n  ours   {ours!r}"

    def shorter(item: Any) -> Iterator[tuple[Any, str]]:
        for less in smaller(item):
            yield less, json.dumps(less, ensure_ascii=False)
            yield less, json.dumps(less)

    values = (chain(random) if n % 50 == 0 else value(random) for n in range(count))
    for batch in batches(((item, written(item, random)) for item in values), 500):
        for (item, form), ours in zip(batch, oracle.canonical([form for _, form in batch])):
            if ours == encode_canonical(item):
                continue
            found = (item, form)
            while less := next((pair for pair in shorter(found[0]) if differs(*pair)), None):
                found = less
            return differs(*found)
    return None
