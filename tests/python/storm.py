"""Asks in many processes under a storm of signals whose handler raises, and counts how they end.

    python storm.py CORE.wasm GOOD.json PROCESSES SEED

Each process prints nothing and ends itself with 0 if each question got the right answer or ended in what the handler raised.
The last line is JSON: how many ended how, a signal's number being negative.
"""

import collections
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "policies/python/src"))

import linkgate  # noqa: E402

AT_ONCE = 4
SECONDS = 0.6


class Struck(Exception):
    """What the handler raises: an `Exception`, as a limit in time usually is."""


left = 0
"""How often the handler may yet raise. This script is no better armed than others where it handles what was raised."""


def strike(*_: object) -> None:
    global left
    if left > 0:
        left -= 1
        raise Struck


def slow(*_: object) -> None:
    time.sleep(0.0005)


def again(verifier: linkgate.Verifier, request: bytes) -> Any:
    def check(*_: object) -> None:
        assert verifier.verify(request)

    return check


def struck(verifier: linkgate.Verifier, request: bytes, check: Any, after: float, interval: float, times: int) -> Any:
    """The verdict, or None if the handler's exception came."""
    global left
    try:
        try:
            left = times
            signal.setitimer(signal.ITIMER_REAL, after, interval)
            return verifier.verify(request, check=check)
        finally:
            left = 0
    except Struck:
        return None


def storm(verifier: linkgate.Verifier, request: bytes, number: int, seed: int) -> int:
    """The process's own end: 0, or which thing was wrong."""
    drawn = random.Random(seed * 1_000 + number)
    checks: list[Any] = [None, linkgate.cryptography_check, slow, again(verifier, request)]
    check = checks[number % len(checks)]
    hits = 0
    signal.signal(signal.SIGALRM, strike)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until or hits == 0:
        after, interval = drawn.uniform(0.0001, 0.02), drawn.choice([0, 0, 0.0003, 0.002])
        verdict = struck(verifier, request, check, after, interval, drawn.choice([1, 2, 5]))
        signal.setitimer(signal.ITIMER_REAL, 0)
        hits += verdict is None
        if verdict is not None and verdict.outcome != "accept":
            os.write(2, verdict.json.encode() + b"\n")
            return 3
    # It is as usable as before.
    if not verifier.verify(request, check=check):
        return 4
    if number % 8 == 7:
        # A question that nobody waits for may be under way at the end.
        struck(verifier, request, slow, 0.001, 0, 1)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return 0


def main(core: str, good: str, processes: int, seed: int) -> None:
    verifier = linkgate.Verifier(module=core)
    request = Path(good).read_bytes()
    assert verifier.verify(request)
    ends: collections.Counter[int] = collections.Counter()
    under_way = 0
    for number in range(processes):
        if under_way == AT_ONCE:
            ends[os.waitstatus_to_exitcode(os.wait()[1])] += 1
            under_way -= 1
        if os.fork() == 0:
            # It ends as every program does, and not by `_exit`.
            sys.exit(storm(verifier, request, number, seed))
        under_way += 1
    for _ in range(under_way):
        ends[os.waitstatus_to_exitcode(os.wait()[1])] += 1
    print(json.dumps({str(end): count for end, count in sorted(ends.items())}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
