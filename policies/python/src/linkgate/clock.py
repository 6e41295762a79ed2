"""What ends questions that take too long: a thread that ticks while any is asked.

An engine has no clock. It counts ticks, and stops what was given fewer of them than have passed.
"""

import os
import threading
import time
import weakref

from wasmtime import Engine

TICK = 0.01
"""Seconds between ticks."""

IDLE = 5.0
"""Seconds without a question after which the thread ends; the next question starts another."""

MOST = 1_000
"""Ticks made up for at once, after a machine has slept for days."""


class Clock:
    """Ticks while it is held as a context."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reset()
        _clocks.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._questions = 0
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="linkgate-clock", daemon=True)
                thread.start()
                self._thread = thread
            self._questions += 1
            self._changed.notify()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._questions -= 1

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._questions > 0, IDLE):
                    self._thread = None
                    return
            last = time.monotonic()
            while self._questions > 0:
                time.sleep(TICK)
                # Threads that compute may keep this one from waking in time.
                ticks = int((time.monotonic() - last) / TICK)
                last += ticks * TICK
                for _ in range(min(ticks, MOST)):
                    self._engine.increment_epoch()


_clocks: "weakref.WeakSet[Clock]" = weakref.WeakSet()


def _after_fork() -> None:
    # The child has no thread that ticks, and locks of threads that it does not have.
    for clock in list(_clocks):
        clock._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
