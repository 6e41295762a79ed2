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


def strike(*_: object) -> None:
    raise Struck


def slow(*_: object) -> None:
    time.sleep(0.0005)


def again(verifier: linkgate.Verifier, request: bytes) -> Any:
    def check(*_: object) -> None:
        assert verifier.verify(request)

    return check


def storm(verifier: linkgate.Verifier, request: bytes, number: int, seed: int) -> int:
    """The process's own end: 0, or which thing was wrong."""
    drawn = random.Random(seed * 1_000 + number)
    checks: list[Any] = [None, linkgate.cryptography_check, slow, again(verifier, request)]
    check = checks[number % len(checks)]
    answered = struck = 0
    signal.signal(signal.SIGALRM, strike)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until or struck == 0:
        try:
            signal.setitimer(signal.ITIMER_REAL, drawn.uniform(0.0001, 0.02), drawn.choice([0, 0, 0.0003, 0.002]))
            verdict = verifier.verify(request, check=check)
            signal.setitimer(signal.ITIMER_REAL, 0)
            answered += 1
            if verdict.outcome != "accept":
                os.write(2, verdict.json.encode() + b"\n")
                return 3
        except Struck:
            struck += 1
            while True:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    break
                except Struck:
                    pass
    if number % 8 == 7:
        # A question that nobody waits for may be under way at the end.
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        try:
            verifier.verify(request, check=slow)
            time.sleep(1)
        except Struck:
            pass
    # It is as usable as before.
    return 0 if verifier.verify(request, check=check) else 4


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
