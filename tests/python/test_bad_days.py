"""Nothing hangs, nothing raises, nothing passes; and the next question gets its right answer."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import linkgate
import pytest
from conftest import LINKGATE, NOW, Request

MIB = 1 << 20


def stopped(verdict: linkgate.Verdict) -> str:
    """Why a host has no answer: all hosts say it in this form."""
    message = verdict.answer["message"]
    place = '{"code":"verifier-stopped","at":[],'
    assert isinstance(message, str) and message.startswith("the verifier was stopped: ")
    said = json.dumps(message, ensure_ascii=False)
    assert verdict.json == (
        f'{{"decision":"undecided",{place[1:]}"limit":null,"message":{said},'
        f'"reasons":[{place}"message":{said}}}],"warnings":[],"steps":[]}}'
    )
    assert verdict.outcome == "undecided" and not verdict
    return message


def costly() -> Request:
    """Some seconds of comparing names with patterns."""
    names = {f"{'a' * 120}{at}": {"sha256": "0" * 64} for at in range(5_000)}
    rules = [["DISALLOW", "*a*a*a*a*b"]] * 900
    link = {"_type": "link", "name": "look", "command": [], "materials": names, "products": {}}
    link["byproducts"] = {"return-value": 0}
    layout = {
        "_type": "layout",
        "expires": "2036-01-01T00:00:00Z",
        "steps": [],
        "inspect": [{"name": "look", "run": ["true"], "expected_materials": rules, "expected_products": []}],
    }
    key = {
        "keytype": "ed25519",
        "scheme": "ed25519",
        "keyval": {"public": "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"},
    }
    return {
        "layout": json.dumps(layout).encode(),
        "trust": {"asserted": [{"label": "carol", "key": key}]},
        "inspections": [{"at": [], "name": "look", "content": json.dumps(link).encode()}],
        "now": NOW,
    }


def test_a_request_over_its_limits(verifier: linkgate.Verifier, good: Request) -> None:
    many = [{"name": f"{at}.link", "content": b""} for at in range(10_001)]
    verdict = verifier.verify({**good, "documents": many})
    assert (verdict.outcome, verdict.answer["code"], verdict.answer["limit"]) == (
        "undecided",
        "limit-exceeded",
        "documents",
    )


def test_a_module_that_is_none(core: Path, tmp_path: Path, good: Request) -> None:
    code = core.read_bytes()
    component = tmp_path / "component.wasm"
    component.write_bytes(run_bytes(LINKGATE, "component"))
    other = b"\0asm\x01\0\0\0"
    modules: dict[str, tuple[bytes, str]] = {
        "truncated": (code[: len(code) // 2], "cannot be compiled"),
        "empty": (b"", "is no WebAssembly"),
        "text": (b"(module)", "is no WebAssembly"),
        "component": (component.read_bytes(), "is the component, and the core module is expected"),
        "another": (other, "is another module than the verifier"),
    }
    for name, (bytes_, said) in modules.items():
        file = tmp_path / f"{name}.wasm"
        file.write_bytes(bytes_)
        broken = linkgate.Verifier(module=file)
        assert said in stopped(broken.verify(good)), name
        with pytest.raises(linkgate.ModuleError, match=said):
            broken.load()
        # The file has been put right: nobody has to start anew.
        file.write_bytes(code)
        assert broken.verify(good).outcome == "accept"
    missing = linkgate.Verifier(module=tmp_path / "none.wasm")
    assert "`linkgate component --format core > FILE` writes it" in stopped(missing.verify(good))


def run_bytes(*command: str) -> bytes:
    import subprocess

    return subprocess.run(command, check=True, timeout=60, capture_output=True).stdout


@pytest.mark.parametrize("wat", ['(func (export "abi_version") (result i32) i32.const 2)', ""])
def test_a_module_of_another_interface(tmp_path: Path, good: Request, wat: str) -> None:
    from wasmtime import wat2wasm

    imported = '(import "linkgate" "signatures" (func (param i32 i32 i32 i32 i32 i32 i32 i32) (result i64)))'
    file = tmp_path / "other.wasm"
    file.write_bytes(wat2wasm(f"(module {imported} {wat})"))
    message = stopped(linkgate.Verifier(module=file).verify(good))
    assert "another interface" in message or "no function `abi_version`" in message


@pytest.mark.parametrize(
    "answer",
    [
        "i64.const 0xffff0000_00000010",  # beyond the memory
        "i64.const 0x00000000_00000000",  # nothing
        "i64.const 0x00000010_00000002",  # `{}`
        "unreachable",
        "call $verify",  # its stack has an end
    ],
)
def test_a_module_that_answers_nonsense(tmp_path: Path, good: Request, answer: str) -> None:
    from wasmtime import wat2wasm

    file = tmp_path / "other.wasm"
    file.write_bytes(
        wat2wasm(f"""(module
            (import "linkgate" "signatures" (func (param i32 i32 i32 i32 i32 i32 i32 i32) (result i64)))
            (memory (export "memory") 2)
            (data (i32.const 16) "{{}}")
            (func (export "abi_version") (result i32) i32.const 1)
            (func (export "alloc") (param i32) (result i32) i32.const 64)
            (func (export "dealloc") (param i32 i32))
            (func $verify (export "verify") (param i32 i32) (result i64)
                {"local.get 0 local.get 1 call $verify i64.const 1 i64.add" if "call" in answer else answer}))""")
    )
    stopped(linkgate.Verifier(module=file).verify(good))


def test_a_bound_on_memory(core: Path, good: Request) -> None:
    small = linkgate.Verifier(module=core, memory=8 * MIB)
    # The one has no room for its request, the other is stopped at work: its request is not the larger part of it.
    for size, said in [(16 * MIB, "it has no memory for a request"), (6 * MIB, "with at most 8 MiB of memory")]:
        large = {**good, "documents": [*good["documents"], {"name": "a.link", "content": b"x" * size}]}
        assert said in stopped(small.verify(large))
        assert small.verify(good).outcome == "accept"
    assert "memory" in stopped(linkgate.Verifier(module=core, memory=MIB).verify(good))


def in_time(verifier: linkgate.Verifier, request: Request) -> linkgate.Verdict:
    """The verdict, asked for again where the deadline passed: on a busy machine it may be too short for a good one, but
    not each time."""
    ends = time.monotonic() + 60
    while True:
        verdict = verifier.verify(request)
        is_late = verdict.outcome == "undecided" and "it did not end within" in str(verdict.answer["message"])
        if not is_late or time.monotonic() > ends:
            return verdict


def test_a_deadline(core: Path, good: Request) -> None:
    hasty, long = linkgate.Verifier(module=core, deadline=0.3), costly()
    hasty.load()
    for _ in range(2):
        began = time.monotonic()
        assert stopped(hasty.verify(long)).endswith("it did not end within 0.3 s")
        assert 0.2 < time.monotonic() - began < 3
        assert in_time(hasty, good).outcome == "accept"

    def ticks() -> bool:
        return any(thread.name == "linkgate-clock" and thread.is_alive() for thread in threading.enumerate())

    # The thread that ticks is not needed in between, and there is another one afterwards.
    ends = time.monotonic() + 60
    while ticks() and time.monotonic() < ends:
        time.sleep(0.1)
    assert not ticks()
    assert stopped(hasty.verify(long)).endswith("within 0.3 s")


def ends_well(child: int, why_not: str) -> None:
    # It compiles the module anew, which takes a while on a busy machine.
    for _ in range(1800):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0
            return
        time.sleep(0.1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail(f"the child hangs: {why_not}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_deadline_in_a_forked_process(core: Path, good: Request) -> None:
    hasty = linkgate.Verifier(module=core, deadline=0.3)
    assert in_time(hasty, good)
    child = os.fork()
    if child == 0:
        said = False
        try:
            said = hasty.verify(costly()).answer["code"] == "verifier-stopped" and bool(in_time(hasty, good))
        finally:
            os._exit(0 if said else 1)
    ends_well(child, "nothing ticks in it")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_loads_anew(core: Path, good: Request) -> None:
    """Threads that compiled in the parent are not in the child, nor is one that holds the lock of what it loads."""
    assert linkgate.Verifier(module=core).verify(good)
    loading = linkgate.Verifier(module=core)
    thread = threading.Thread(target=loading.load)
    thread.start()
    child = os.fork()
    if child == 0:
        said = False
        try:
            said = bool(linkgate.Verifier(module=core).verify(good)) and bool(loading.verify(good))
        finally:
            os._exit(0 if said else 1)
    thread.join()
    ends_well(child, "it waits for a thread of its parent")


class _Text(str):
    def __repr__(self) -> str:
        raise RuntimeError("no words for it")


class _Speechless(Exception):
    """Who only looks at it leaves the program."""

    def __str__(self) -> str:
        raise SystemExit(3)


def _fail(error: BaseException) -> Callable[..., Any]:
    def check(*_: object) -> None:
        raise error

    return check


@pytest.mark.parametrize(
    "check",
    [
        _fail(OSError("the token is gone")),
        _fail(OSError("half a character: \ud800")),
        _fail(OSError("x" * 100_000)),
        _fail(MemoryError()),
        _fail(_Speechless()),
        lambda *_: "valid",
        lambda *_: 1,
        lambda *_: 0,
        lambda *_: _Text("a"),
        lambda *_: NotImplemented,
        lambda: True,
        "no function",
    ],
)
def test_a_check_that_fails_or_answers_nonsense(verifier: linkgate.Verifier, good: Request, check: Any) -> None:
    verdict = verifier.verify(good, check=check)
    assert (verdict.outcome, verdict.answer["code"]) == ("undecided", "signature-unchecked"), verdict.json
    assert verifier.verify(good).outcome == "accept"


def test_a_check_that_asks_itself(verifier: linkgate.Verifier, good: Request) -> None:
    """Each level has a thread, so that there is an end to it."""
    said: list[str] = []

    def check(*_: object) -> None:
        if not said:
            inner = verifier.verify(good, check=check)
            if not said:
                said.append(stopped(inner))

    assert verifier.verify(good, check=check)
    assert said[0].endswith("16 times deep")


def test_a_check_is_asked_and_believed(verifier: linkgate.Verifier, good: Request) -> None:
    asked: list[tuple[linkgate.PublicKey, bytes, bytes]] = []

    def check(key: linkgate.PublicKey, message: bytes, signature: bytes) -> bool | None:
        asked.append((key, message, signature))
        # It may itself ask.
        assert verifier.verify(good)
        return None

    plain = verifier.verify(good).json
    assert verifier.verify(good, check=check).json == plain
    assert len(asked) == 5 and {key.scheme for key, _, _ in asked} == {"ed25519"}
    assert all(linkgate.cryptography_check(*each) is True for each in asked)
    key, message, signature = asked[0]
    for wrong in [
        (key, message + b"x", signature),
        (key, message, signature[::-1]),
        (linkgate.PublicKey("ed25519", b"x"), message, signature),
    ]:
        assert linkgate.cryptography_check(*wrong) is None
    assert linkgate.cryptography_check(linkgate.PublicKey("rsassa-pss-sha256", key.spki), message, signature) is None
    assert verifier.verify(good, check=linkgate.cryptography_check).json == plain
    assert verifier.verify(good, check=lambda *_: False).outcome == "reject"


def test_the_end_of_the_program_is_not_held_up(verifier: linkgate.Verifier, good: Request) -> None:
    for error in [KeyboardInterrupt(), SystemExit(3)]:
        with pytest.raises(type(error)):
            verifier.verify(good, check=_fail(error))
    assert verifier.verify(good)


def test_many_threads(core: Path, good: Request, bad: Request) -> None:
    verifier = linkgate.Verifier(module=core, deadline=20)
    expected = [verifier.verify(request).json for request in (good, bad)]
    wrong: list[str] = []

    def ask(number: int) -> None:
        checks: list[Any] = [None, linkgate.cryptography_check, _fail(OSError("gone"))]
        for turn in range(12):
            request, answer = ((good, expected[0]), (bad, expected[1]))[(number + turn) % 2]
            check = checks[turn % 3]
            said = verifier.verify(request, check=check)
            right = said.answer["code"] == "signature-unchecked" if turn % 3 == 2 else said.json == answer
            if not right:
                wrong.append(said.json)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads) and wrong == []


def test_memory_is_given_back(core: Path, good: Request) -> None:
    import resource

    verifier = linkgate.Verifier(module=core)
    large = {**good, "documents": [*good["documents"], {"name": "a.link", "content": b"x" * (8 * MIB)}]}

    def peak() -> int:
        for _ in range(12):
            assert verifier.verify(large).outcome == "accept"
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert peak() * 1.2 + 20_000 > peak(), "instances are kept"
