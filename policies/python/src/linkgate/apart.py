"""Questions in threads of their own, where no signal's handler is ever run.

Python runs such handlers in the main thread, between any two of its instructions. What one raises there (a Ctrl-C, a limit by
SIGALRM) must not strike the engine's bindings: it would unwind over frames that are not Python's, or leave a store that is freed
twice. So the thread that asks only waits, and can be interrupted at any time.
"""

import atexit
import os
import time
from _thread import start_new_thread
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from queue import Empty, SimpleQueue
from typing import TypeVar

from linkgate.clock import Asked

T = TypeVar("T")

LOOK = 0.2
"""Seconds between two looks at what no answer would tell. Windows, too, handles a Ctrl-C then."""

GRACE = 1.0
"""Seconds that an answer may come after its deadline: the engine has been stopped, and says so."""

NESTED = 16
"""How deep checks may ask in turn: each level has a thread."""

LAST = 10.0
"""Seconds that the end of the program waits for questions that nobody waits for: a check may hang."""


class Lost(Exception):
    """No answer will come, and why."""


class Late(Exception):
    """There was none in time: something is under way that cannot be ended, such as a check."""


_depth: ContextVar[int] = ContextVar("linkgate_depth", default=0)
_under_way: set[Asked] = set()
_ending: list[None] = []


def apart(work: Callable[[Asked], T]) -> T:
    """What `work` returns or raises in a thread of its own, in a copy of the caller's context.

    Whatever a signal's handler raises passes through. `work` is then told that it is over, and its thread ends without anybody.
    """
    asked = Asked()
    said: SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = SimpleQueue()
    process = os.getpid()
    try:
        _start(work, asked, said)
        while True:
            try:
                answer, error = said.get(timeout=LOOK)
                break
            except Empty:
                if os.getpid() != process:
                    raise Lost("the process was forked while it was asked") from None
                if time.monotonic() >= asked.ends + GRACE:
                    raise Late from None
    finally:
        # One call into C comes first: no other handler is run before it is done.
        asked.left.append(None)
    if error is None:
        return answer  # type: ignore[return-value] # The one or the other.
    try:
        raise error
    finally:
        # It holds this frame.
        del error


def _start(work: Callable[[Asked], T], asked: Asked, said: "SimpleQueue[tuple[T, None] | tuple[None, BaseException]]") -> None:
    try:
        # Not `threading.Thread`: one that is interrupted while it starts is never forgotten.
        start_new_thread(copy_context().run, (_run, work, asked, said))
    except (RuntimeError, MemoryError) as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            # It was raised in a function of Python, which there is none of here: a signal's handler.
            raise
        raise Lost(f"no thread can be started for it: {error or type(error).__name__}") from None


def _run(work: Callable[[Asked], T], asked: Asked, said: "SimpleQueue[tuple[T, None] | tuple[None, BaseException]]") -> None:
    _under_way.add(asked)
    try:
        if asked.left or _ending:
            raise Lost("the program ends")
        depth = _depth.get()
        if depth == NESTED:
            raise Lost(f"a check asks the verifier, which asks it, {NESTED} times deep")
        _depth.set(depth + 1)
        answer = work(asked)
    except BaseException as error:
        said.put((None, error))
    else:
        said.put((answer, None))
    finally:
        _under_way.discard(asked)


def _end() -> None:
    """Ends what is still under way, before the interpreter ends its threads amidst the engine's frames."""
    _ending.append(None)
    until = time.monotonic() + LAST
    struck: BaseException | None = None
    while _under_way and time.monotonic() < until:
        try:
            for asked in list(_under_way):
                asked.left.append(None)
            time.sleep(0.005)
        except BaseException as error:
            struck = error
    if struck is not None:
        raise struck


atexit.register(_end)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_under_way.clear)
