"""Signals whose handlers raise: they pass through at once, strike nothing else, and leave nothing behind."""

import contextvars
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import linkgate
import pytest
from conftest import ROOT, Request
from test_bad_days import costly, stopped
from test_verify import as_text

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers here")


# Later releases warn of each fork in a process with threads.
PYTHON = [sys.executable, "-W", "ignore::DeprecationWarning"]


class Struck(Exception):
    pass


@contextmanager
def struck_after(seconds: float) -> Iterator[None]:
    def strike(*_: object) -> None:
        raise Struck

    before = signal.signal(signal.SIGALRM, strike)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def eventually(what: Any) -> bool:
    ends = time.monotonic() + 60
    while not what() and time.monotonic() < ends:
        time.sleep(0.02)
    return bool(what())


def none_under_way() -> bool:
    return not sys.modules["linkgate.apart"]._under_way


def test_a_storm(core: Path, good: Request, tmp_path: Path) -> None:
    """Memory is corrupted where a handler's exception unwinds over the engine's frames, or amidst its bindings."""
    request = tmp_path / "good.json"
    request.write_text(json.dumps(as_text(good)))
    command = [*PYTHON, str(ROOT / "tests/python/storm.py"), str(core), str(request), "128", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert json.loads(done.stdout) == {"0": 128}, done.stderr
    assert done.stderr == ""


def test_a_question_that_is_left_is_ended(core: Path, good: Request) -> None:
    verifier = linkgate.Verifier(module=core)
    verifier.load()
    for _ in range(3):
        with struck_after(0.2), pytest.raises(Struck):
            verifier.verify(costly())
        # Long before its deadline of 60 s, and others are not ended with it.
        assert verifier.verify(good)
    assert eventually(none_under_way)


def test_a_hanging_check(core: Path, good: Request) -> None:
    """It cannot be ended; whoever asks need not wait for it."""
    released = threading.Event()

    def hangs(*_: object) -> None:
        released.wait(60)

    verifier = linkgate.Verifier(module=core, deadline=0.3)
    verifier.load()
    try:
        with struck_after(0.2), pytest.raises(Struck):
            linkgate.Verifier(module=core).verify(good, check=hangs)
        assert stopped(verifier.verify(good, check=hangs)).endswith("within 0.3 s")
        assert eventually(lambda: verifier.verify(good))
    finally:
        released.set()
    assert eventually(none_under_way)


def test_no_function_of_python_is_imported_without_a_check(verifier: linkgate.Verifier, good: Request) -> None:
    from wasmtime import _func

    during: list[int] = []

    class Slab(type(_func.FUNCTIONS)):  # type: ignore[misc]
        def allocate(self, value: Any) -> int:
            during.append(1)
            return int(super().allocate(value))

    known = _func.FUNCTIONS
    _func.FUNCTIONS = Slab()
    try:
        assert verifier.verify(good) and during == []
        assert verifier.verify(good, check=linkgate.cryptography_check) and during == [1]
    finally:
        _func.FUNCTIONS = known


def test_nothing_of_the_engine_is_left_to_the_collector(core: Path, good: Request) -> None:
    """It runs in any thread, the main one included, where a handler may strike."""
    from wasmtime import Managed

    hasty = linkgate.Verifier(module=core, deadline=0.05, memory=16 << 20)
    hasty.load()
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for check in [None, linkgate.cryptography_check, lambda *_: 1 / 0]:
            hasty.verify(good, check=check)
        assert stopped(hasty.verify(costly()))
        gc.collect()
        left = [kept for kept in gc.garbage if isinstance(kept, Managed)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert left == []


def test_a_check_is_asked_in_the_callers_context(verifier: linkgate.Verifier, good: Request) -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")
    tenant.set("acme")
    seen: list[tuple[str, bool]] = []

    def check(*_: object) -> None:
        seen.append((tenant.get(), threading.current_thread() is threading.main_thread()))
        tenant.set("other")

    assert verifier.verify(good, check=check)
    assert seen[0] == ("acme", False) and tenant.get() == "acme"


PROGRAM = """
import os, signal, sys, threading, time
sys.dont_write_bytecode = True
sys.path.insert(0, {source!r})
import linkgate
verifier, good = linkgate.Verifier(module={core!r}), open({good!r}, "rb").read()
assert verifier.verify(good)
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        # Ctrl-C while a check is asked, which goes on asking at the end of the program.
        (
            """
def slow(*_):
    time.sleep(0.05)
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    while True:
        verifier.verify(good, check=slow)
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(7)
""",
            (7, "interrupted\n", ""),
        ),
        # The same of a thread that nobody waits for.
        (
            """
def ask():
    while True:
        verifier.verify(good, check=lambda *_: time.sleep(0.01))
for _ in range(4):
    threading.Thread(target=ask, daemon=True).start()
time.sleep(0.3)
print("ended")
sys.exit(7)
""",
            (7, "ended\n", ""),
        ),
        # A handler that forks, and both go on.
        (
            """
children = []
def fork(*_):
    children.append(os.fork())
signal.signal(signal.SIGALRM, fork)
signal.setitimer(signal.ITIMER_REAL, 0.05)
verdict = verifier.verify(good, check=lambda *_: time.sleep(0.1))
if children == [0]:
    code = 5 if "was forked" in verdict.answer["message"] and verifier.verify(good) else 6
    os._exit(code)
assert verdict and os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 5
print("both")
""",
            (0, "both\n", ""),
        ),
        # A check that forks, in a thread that the child has and the one who asks is not in.
        (
            """
def forks(*_):
    child = os.fork()
    if child == 0:
        os._exit(5 if verifier.verify(good) else 6)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
assert verifier.verify(good, check=forks)
print("asked")
""",
            (0, "asked\n", ""),
        ),
    ],
)
def test_the_end_of_a_program(core: Path, good: Request, tmp_path: Path, program: str, said: tuple[int, str, str]) -> None:
    request = tmp_path / "good.json"
    request.write_text(json.dumps(as_text(good)))
    begin = PROGRAM.format(source=str(ROOT / "policies/python/src"), core=str(core), good=str(request))
    done = subprocess.run([*PYTHON, "-c", begin + program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == said


def test_forks_while_others_ask(core: Path, good: Request) -> None:
    """No child finds a lock that a thread of its parent's holds."""
    verifier = linkgate.Verifier(module=core)
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            verifier.verify(good, check=linkgate.cryptography_check)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(40):
            child = os.fork()
            if child == 0:
                os._exit(0 if verifier.verify(good) else 1)
            ended = 0
            for _ in range(600):
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    assert status == 0
                    break
                time.sleep(0.05)
            if not ended:
                os.kill(child, 9)
                os.waitpid(child, 0)
                pytest.fail("the child hangs")
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
