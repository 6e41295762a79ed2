"""The verifier's core module in wasmtime: a fresh instance for each question, bounded in memory and time.

The core module and not the component: wasmtime's bindings for Python hand a component each byte by itself, at 0.6 µs and 85
bytes of memory a byte, outside of any bound. The interface is `wit/core-module.md`.
"""

import math
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from wasmtime import (
    Caller,
    Config,
    Engine,
    Func,
    FuncType,
    Instance,
    Memory,
    Module,
    Store,
    Trap,
    TrapCode,
    ValType,
    WasmtimeError,
)

from linkgate.apart import Late, Lost, apart
from linkgate.clock import Asked, clock
from linkgate.request import Malformed, Request, to_json
from linkgate.signatures import Check, PublicKey
from linkgate.verdict import Verdict, malformed, stopped, told

ABI_VERSION = 1
FILE = "verifier.core.wasm"
NOT_HANDLED, VALID, INVALID = 0, 1, 2
ADDRESSABLE = 1 << 32
"""What the module could ever use. The bindings cut off what is longer than 64 bits, and a negative number is no bound at all."""


class ModuleError(Exception):
    """The verifier's module cannot be used."""


class _Stopped(Exception):
    """There is no answer, and why."""


class Verifier:
    """The verifier, ready to be asked by any number of threads.

    `module` is the file of the core module: the package's own if none is named. `memory` bounds the bytes of an instance's
    memory, `deadline` the seconds that it computes. A server is better off with less: some ten times its largest request,
    and as long as its clients wait.
    """

    def __init__(
        self, *, module: str | os.PathLike[str] | None = None, memory: int = 2 << 30, deadline: float = 60.0
    ) -> None:
        if isinstance(memory, bool) or not isinstance(memory, int) or memory <= 0:
            raise ValueError(f"memory is a number of bytes, not {memory!r}")
        if not 0 < deadline < math.inf:
            raise ValueError(f"deadline is a number of seconds, not {deadline!r}")
        self._file = module
        self._memory = memory
        self._deadline = deadline
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None
        _verifiers.add(self)

    def load(self) -> None:
        """Compiles the module now, in some 0.2 s, and not at the first question. `ModuleError` if it cannot be used."""
        try:
            apart(lambda _: self._load())
        except Lost as error:
            raise ModuleError(f"the verifier's module cannot be loaded: {error}") from None

    def verify(self, request: Request | str | bytes, *, check: Check | None = None) -> Verdict:
        """Judges a request: a mapping, or its JSON text. `check` is asked about signatures; see `Check`.

        Nothing that is asked makes it raise. What a signal's handler raises passes through, at once: the question is then
        ended without an answer, and the next one can be asked. `check`, and the request's own methods, are called in another
        thread, in a copy of the caller's context.
        """
        try:
            return apart(lambda asked: self._answer(request, check, asked))
        except Lost as error:
            return stopped(str(error))
        except Late:
            return stopped(self._late())

    def _answer(self, request: object, check: Check | None, asked: Asked) -> Verdict:
        try:
            return self._ask(to_json(request), check, asked)
        except Malformed as error:
            return malformed(str(error))
        except (_Stopped, ModuleError) as error:
            return stopped(str(error))
        except Exception as error:
            return stopped(told(error))

    def _load(self) -> "_Loaded":
        with self._loading:
            if self._loaded is None:
                self._loaded = _Loaded(self._file)
            return self._loaded

    def _ask(self, request: bytes, check: Check | None, asked: Asked) -> Verdict:
        loaded = self._load()
        asked.ends = time.monotonic() + self._deadline
        with loaded.engine() as engine, clock.watching(asked, engine.engine):
            store = Store(engine.engine)
            try:
                store.set_limits(memory_size=min(self._memory, ADDRESSABLE))
                # The clock counts on once.
                store.set_epoch_deadline(1)
                question = _Question(store, engine, check)
                try:
                    text = question.answer(request)
                finally:
                    if question.interrupted is not None:
                        raise question.interrupted
                return Verdict.read(text)
            except ValueError as error:
                raise _Stopped(f"it gave no answer: {error}") from None
            except (Trap, WasmtimeError) as error:
                # Its frames hold it. The collector would free it some time, in the main thread.
                error.__traceback__ = None
                raise _Stopped(self._cause(error)) from None
            finally:
                # The instance goes with it, whatever has become of it.
                with _unforked:
                    store.close()

    def _cause(self, error: Trap | WasmtimeError) -> str:
        if isinstance(error, Trap) and error.trap_code == TrapCode.INTERRUPT:
            return self._late()
        what = str(error).strip().splitlines()[-1].strip()
        return f"{what}, with at most {self._memory >> 20} MiB of memory"

    def _late(self) -> str:
        return f"it did not end within {self._deadline:g} s"


class _Unforked:
    """Held where the engine holds locks of its own: a fork waits, so that its child finds none locked by a thread that it has not."""

    WAIT = 10.0

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._forking = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def before(self) -> None:
        self._forking = self._lock.acquire(timeout=self.WAIT)

    def after_in_parent(self) -> None:
        if self._forking:
            self._forking = False
            self._lock.release()


_unforked = _Unforked()
_verifiers: "weakref.WeakSet[Verifier]" = weakref.WeakSet()


def _after_fork() -> None:
    # The child has the locks of threads that it does not have.
    _unforked.reset()
    for verifier in list(_verifiers):
        verifier._loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_unforked.before, after_in_parent=_unforked.after_in_parent, after_in_child=_after_fork
    )


SILENT = (
    '(module (func (export "signatures") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i64) i64.const 0))'
)
"""The import of those who have no check: it leaves all to the verifier, and is no function of Python's."""


def _new_engine() -> Engine:
    config = Config()
    config.epoch_interruption = True
    # A forked process does not have the threads that its parent compiled with, and would wait for them.
    config.parallel_compilation = False
    return Engine(config)


class _Engine:
    """An engine with the compiled modules, for one question at a time: so it can be stopped, and no other one with it."""

    def __init__(self, verifier: bytes, silent: bytes) -> None:
        with _unforked:
            self.engine = _new_engine()
            self.verifier = Module.deserialize(self.engine, verifier)
            self.silent = Module.deserialize(self.engine, silent)


class _Loaded:
    """The module, compiled. It is shared by all questions."""

    KEPT = 8
    """Engines that wait for a question: making another takes a millisecond, and some 2 MB each."""

    def __init__(self, file: str | os.PathLike[str] | None) -> None:
        code, name = _read(file)
        with _unforked:
            engine = _new_engine()
            try:
                module = Module(engine, code)
            except WasmtimeError as error:
                raise ModuleError(f"{name} cannot be compiled: {error}") from error
            imports = [(item.module, item.name) for item in module.imports]
            if imports != [("linkgate", "signatures")]:
                raise ModuleError(
                    f"{name} is another module than the verifier: it does not import just linkgate.signatures"
                )
            self._modules = bytes(module.serialize()), bytes(Module(engine, SILENT).serialize())
        self._idle: deque[_Engine] = deque(maxlen=self.KEPT)

    @contextmanager
    def engine(self) -> Iterator[_Engine]:
        try:
            engine = self._idle.pop()
        except IndexError:
            engine = _Engine(*self._modules)
        try:
            yield engine
        finally:
            self._idle.append(engine)


def _read(file: str | os.PathLike[str] | None) -> tuple[bytes, str]:
    """The module's bytes, and what it is called in errors."""
    hint = "`linkgate component --format core > FILE` writes it"
    try:
        if file is not None:
            name, code = str(file), Path(file).read_bytes()
        else:
            with as_file(files("linkgate") / FILE) as path:
                name, code = str(path), path.read_bytes()
    except OSError as error:
        raise ModuleError(f"the verifier's module cannot be read ({error}): {hint}") from error
    if code.startswith(b"\0asm\x0d\0\x01\0"):
        raise ModuleError(f"{name} is the component, and the core module is expected: {hint}")
    if not code.startswith(b"\0asm\x01\0\0\0"):
        raise ModuleError(f"{name} is no WebAssembly: {hint}")
    return code, name


class _Question:
    """One instance, for one question."""

    def __init__(self, store: Store, engine: _Engine, check: Check | None) -> None:
        self._store = store
        self._check = check
        self.interrupted: BaseException | None = None
        with _unforked:
            if check is None:
                signatures = Instance(store, engine.silent, []).exports(store)["signatures"]
            else:
                # A type belongs to the first engine that has seen it, and another one would end the process over it.
                asked = FuncType([ValType.i32()] * 8, [ValType.i64()])
                signatures = Func(store, asked, self._signatures, access_caller=True)
            self._exports = Instance(store, engine.verifier, [signatures]).exports(store)

    def answer(self, request: bytes) -> str:
        """Asks, and copies the answer out."""
        if self._call("abi_version") != ABI_VERSION:
            raise _Stopped(f"its module has another interface than version {ABI_VERSION}")
        place = _unsigned(self._call("alloc", _signed(len(request), 32)), 32)
        if place == 0:
            raise _Stopped(f"it has no memory for a request of {len(request)} bytes")
        self._memory().write(self._store, request, place)
        return _bytes(self._store, self._memory(), self._call("verify", _signed(place, 32), len(request))).decode()

    def _call(self, name: str, *arguments: int) -> int:
        function = self._exports.get(name)
        if not isinstance(function, Func):
            raise _Stopped(f"its module has no function `{name}`")
        said = function(self._store, *arguments)
        if not isinstance(said, int):
            raise _Stopped(f"its module has a function `{name}` of another type")
        return said

    def _memory(self) -> Memory:
        memory = self._exports.get("memory")
        if not isinstance(memory, Memory):
            raise _Stopped("its module has no memory")
        return memory

    def _signatures(self, caller: Caller, *lent: int) -> int:
        """The import: nothing that it asks may raise into the engine."""
        try:
            assert self._check is not None
            memory = caller["memory"]
            assert isinstance(memory, Memory)
            scheme, spki, message, signature = (
                _bytes(caller, memory, _unsigned(place, 32) << 32 | _unsigned(length, 32))
                for place, length in zip(lent[::2], lent[1::2], strict=True)
            )
            said = self._check(PublicKey(scheme.decode(), spki), message, signature)
            if said is None:
                return NOT_HANDLED
            if said is True:
                return VALID
            if said is False:
                return INVALID
            return _reason(caller, f"the check answered {said!r:.100}, and True, False or None is expected")
        except BaseException as error:
            if not isinstance(error, Exception):
                # The program is to end, and not for the verifier to keep: it is raised again when the call has returned.
                self.interrupted = error
            return _reason(caller, f"the check failed: {told(error)}")


def _reason(caller: Caller, why: str) -> int:
    """Gives the module the reason why a signature could not be checked."""
    try:
        text = why.encode("utf-8", "replace")[:4096]
        alloc, memory = caller["alloc"], caller["memory"]
        assert isinstance(alloc, Func) and isinstance(memory, Memory)
        place = _unsigned(alloc(caller, len(text)), 32)
        if place != 0:
            memory.write(caller, text, place)
            return _signed(place << 32 | len(text), 64)
    except Exception:
        pass
    # No outcome, which the module takes as an error.
    return -1


def _bytes(store: Store | Caller, memory: Memory, named: int) -> bytes:
    """A copy of what a place in the upper half and a length in the lower name."""
    named = _unsigned(named, 64)
    place, length = named >> 32, named & 0xFFFF_FFFF
    if place + length > memory.data_len(store):
        raise _Stopped("it named a place beyond its memory")
    return bytes(memory.read(store, place, place + length))


def _unsigned(value: int, bits: int) -> int:
    return value & ((1 << bits) - 1)


def _signed(value: int, bits: int) -> int:
    if value >> bits:
        raise _Stopped(f"{value} is more than it can be handed")
    return value - (1 << bits) if value >> (bits - 1) else value
