"""The verifier's core module in wasmtime: a fresh instance for each question, bounded in memory and time.

The core module and not the component: wasmtime's bindings for Python hand a component each byte by itself, at 0.6 µs and 85
bytes of memory a byte, outside of any bound. The interface is `wit/core-module.md`.
"""

import math
import os
import threading
import weakref
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

from linkgate.clock import TICK, Clock
from linkgate.request import Malformed, Request, to_json
from linkgate.signatures import Check, PublicKey
from linkgate.verdict import Verdict, malformed, stopped

ABI_VERSION = 1
FILE = "verifier.core.wasm"
NOT_HANDLED, VALID, INVALID = 0, 1, 2


class ModuleError(Exception):
    """The verifier's module cannot be used."""


class _Stopped(Exception):
    """There is no answer, and why."""


class Verifier:
    """The verifier, ready to be asked by any number of threads.

    `module` is the file of the core module: the package's own if none is named. `memory` bounds the bytes of an instance's
    memory, `deadline` the seconds that it computes. Both are those of `linkgate verify`; a server is better off with less:
    some ten times its largest request, and as long as its clients wait.
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
        self._load()

    def verify(self, request: Request | str | bytes, *, check: Check | None = None) -> Verdict:
        """Judges a request: a mapping, or its JSON text. `check` is asked about signatures; see `Check`.

        Nothing that is asked makes it raise. The deadline does not interrupt `check`.
        """
        try:
            return self._ask(to_json(request), check)
        except Malformed as error:
            return malformed(str(error))
        except (_Stopped, ModuleError) as error:
            return stopped(str(error))
        except Exception as error:
            return stopped(f"{type(error).__name__}: {error}")

    def _load(self) -> "_Loaded":
        with self._loading:
            if self._loaded is None:
                self._loaded = _Loaded(self._file)
            return self._loaded

    def _ask(self, request: bytes, check: Check | None) -> Verdict:
        loaded = self._load()
        store = Store(loaded.engine)
        try:
            store.set_limits(memory_size=self._memory)
            # The first tick may come at once.
            store.set_epoch_deadline(math.ceil(self._deadline / TICK) + 1)
            with loaded.clock:
                question = _Question(store, loaded.module, check)
                try:
                    text = question.answer(request)
                finally:
                    if question.interrupted is not None:
                        raise question.interrupted
            return Verdict.read(text)
        except ValueError as error:
            raise _Stopped(f"it gave no answer: {error}") from error
        except (Trap, WasmtimeError) as error:
            raise _Stopped(self._cause(error)) from error
        finally:
            # The instance goes with it, whatever has become of it.
            store.close()

    def _cause(self, error: Trap | WasmtimeError) -> str:
        if isinstance(error, Trap) and error.trap_code == TrapCode.INTERRUPT:
            return f"it did not end within {self._deadline:g} s"
        what = str(error).strip().splitlines()[-1].strip()
        return f"{what}, with at most {self._memory >> 20} MiB of memory"


_verifiers: "weakref.WeakSet[Verifier]" = weakref.WeakSet()


def _after_fork() -> None:
    # The child has the lock of a thread that it does not have.
    for verifier in list(_verifiers):
        verifier._loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Loaded:
    """The module, compiled. It is shared by all questions."""

    def __init__(self, file: str | os.PathLike[str] | None) -> None:
        code, name = _read(file)
        config = Config()
        config.epoch_interruption = True
        # A forked process does not have the threads that its parent compiled with, and would wait for them.
        config.parallel_compilation = False
        self.engine = Engine(config)
        try:
            self.module = Module(self.engine, code)
        except WasmtimeError as error:
            raise ModuleError(f"{name} cannot be compiled: {error}") from error
        imports = [(item.module, item.name) for item in self.module.imports]
        if imports != [("linkgate", "signatures")]:
            raise ModuleError(
                f"{name} is another module than the verifier: it does not import just linkgate.signatures"
            )
        self.clock = Clock(self.engine)


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

    def __init__(self, store: Store, module: Module, check: Check | None) -> None:
        self._store = store
        self._check = check
        self.interrupted: BaseException | None = None
        # A type belongs to the first engine that has seen it, and another one would end the process over it.
        asked = FuncType([ValType.i32()] * 8, [ValType.i64()])
        signatures = Func(store, asked, self._signatures, access_caller=True)
        self._exports = Instance(store, module, [signatures]).exports(store)

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
            if self._check is None:
                return NOT_HANDLED
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
            return _reason(caller, f"the check failed: {type(error).__name__}: {error}")


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
