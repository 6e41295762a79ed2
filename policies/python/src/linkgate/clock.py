"""What ends questions that take too long, or that nobody waits for any more: a thread that looks while any is asked.

An engine has no clock. It counts, and what it runs stops once somebody has counted on: so each question that is asked has an
engine to itself.
"""

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from wasmtime import Engine

TICK = 0.01
"""Seconds between two looks."""

IDLE = 5.0
"""Seconds without a question after which the thread ends; the next question starts another."""


@dataclass(eq=False, slots=True)
class Asked:
    """A question, as those see it who may end it."""

    left: list[None] = field(default_factory=list)
    """Not empty once nobody waits for the answer: to append to a list is one step, which no signal's handler divides."""

    ends: float = math.inf
    """When the answer must be there, by `time.monotonic`."""

    def is_over(self) -> bool:
        return bool(self.left) or time.monotonic() >= self.ends


class Clock:
    """Counts on for the engine of each question that is over. Only threads that handle no signals come here."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets all questions, and locks that somebody else may hold: a forked process has none of these threads."""
        self._changed = threading.Condition()
        self._watched: dict[Asked, Engine] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, asked: Asked, engine: Engine) -> Iterator[None]:
        """Ends what the engine runs meanwhile as soon as the question is over, and nothing that it runs afterwards."""
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="linkgate-clock", daemon=True)
                thread.start()
                self._thread = thread
            self._watched[asked] = engine
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                del self._watched[asked]

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._watched, IDLE):
                    self._thread = None
                    return
                for asked, engine in self._watched.items():
                    if asked.is_over():
                        engine.increment_epoch()
            time.sleep(TICK)


clock = Clock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=clock.reset)
