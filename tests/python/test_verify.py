"""What is asked and answered."""

import base64
import json
from pathlib import Path
from typing import Any

import linkgate
import pytest
from conftest import LINKGATE, Request, run
from linkgate.verdict import Verdict


def as_text(request: Request) -> Request:
    """The request in its JSON form, without bytes."""
    return {
        **request,
        "layout": {"text": request["layout"].decode()},
        "documents": [{"name": d["name"], "text": d["content"].decode()} for d in request["documents"]],
    }


def code(verdict: Verdict) -> Any:
    assert verdict.outcome == "undecided" and not verdict
    return verdict.answer["code"]


def test_an_accept_and_a_reject(verifier: linkgate.Verifier, good: Request, bad: Request) -> None:
    accepted, rejected = verifier.verify(good), verifier.verify(bad)
    assert accepted.outcome == "accept" and accepted
    assert rejected.outcome == "reject" and not rejected
    assert [finding["code"] for finding in rejected.answer["findings"]] == ["disallowed-artifact"]
    assert json.loads(accepted.json) == accepted.answer


def test_the_answer_is_the_command_lines(
    verifier: linkgate.Verifier, good: Request, bad: Request, tmp_path: Path
) -> None:
    import subprocess

    for request in [good, bad]:
        file = tmp_path / "request.json"
        file.write_text(json.dumps(as_text(request)))
        command = [LINKGATE, "verify", "--request", str(file), "--format", "json"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
        assert said.rstrip("\n") == verifier.verify(request).json


def test_every_form_of_a_request_is_the_same_request(verifier: linkgate.Verifier, good: Request) -> None:
    text = as_text(good)
    encoded = {
        **good,
        "layout": {"base64": base64.b64encode(good["layout"]).decode()},
        "documents": tuple(
            {"name": d["name"], "base64": base64.urlsafe_b64encode(d["content"]).decode()} for d in good["documents"]
        ),
    }
    written = json.dumps(text)
    forms: list[Any] = [text, encoded, written, written.encode(), bytearray(written.encode())]
    assert {verifier.verify(form).json for form in forms} == {verifier.verify(good).json}


def test_bytes_that_are_no_text_arrive(verifier: linkgate.Verifier, good: Request) -> None:
    good["documents"].append({"name": "odd.link", "content": b"\xff\xfe\0"})
    verdict = verifier.verify(good)
    assert verdict.outcome == "accept"
    assert verdict.answer["warnings"][0]["document"] == "odd.link"


def test_what_is_no_request_is_undecided(verifier: linkgate.Verifier, good: Request) -> None:
    text = as_text(good)
    cyclic: Request = {**good}
    cyclic["options"] = cyclic
    written = json.dumps(text)
    wrong: dict[str, Any] = {
        "none": None,
        "a number": 7,
        "a list": [good],
        "no JSON": "{",
        "nothing": "",
        "no UTF-8": b"\xff",
        "half a character": '"\ud800"',
        "half a character within": {**good, "parameters": {"a": "\ud800"}},
        "a member too many": {**good, "strict": True},
        "a member twice": '{"now": 1, ' + written[1:],
        "a member too few": {name: value for name, value in good.items() if name != "now"},
        "a number as a name": {**good, "parameters": {1: "x"}},
        "a fraction": {**good, "now": 1.0},
        "no number": {**good, "now": float("nan")},
        "a truth": {**good, "now": True},
        "64 bits and one more": {**good, "now": 1 << 63},
        "a number of many digits": {**good, "now": 10**5000},
        "a text as bytes": {**good, "documents": [{"name": b"a", "content": b""}]},
        "bytes elsewhere": {**good, "parameters": {"a": b"x"}},
        "a set": {**good, "subjects": {1}},
        "two contents": {**good, "documents": [{"name": "a", "content": b"", "text": ""}]},
        "a content that is text": {**good, "documents": [{"name": "a", "content": "x"}]},
        "no content": {**good, "documents": [{"name": "a"}]},
        "base64 with stray bits": {**text, "layout": {"base64": "AB=="}},
        "base64 without padding": {**text, "layout": {"base64": "AA"}},
        "base64 in lines": {**text, "layout": {"base64": "AAAA\nAAAA"}},
        "a cycle": cyclic,
        "a key that nobody has": {**good, "trust": {"signed_by": []}},
        "two trusts": {**good, "trust": {"signed_by": [], "asserted": []}},
    }
    for what, request in wrong.items():
        verdict = verifier.verify(request)
        assert code(verdict) == "request-malformed", (what, verdict.json)
        assert verdict.json.encode().decode() and json.loads(verdict.json) == verdict.answer


class _Text(str):
    def encode(self, *_: object) -> bytes:  # type: ignore[override]
        return b"{}"


class _Bytes(bytes):
    lie = ""

    def decode(self, *_: object) -> str:  # type: ignore[override]
        return self.lie

    def __bytes__(self) -> bytes:
        return self.lie.encode()


class _Number(int):
    def __repr__(self) -> str:
        return "0"

    __str__ = __repr__


class _Names(dict[Any, Any]):
    """A name that only the second look shows."""

    def __iter__(self) -> Any:
        return iter(["a"])

    def items(self) -> Any:
        return [(1, "x")]


class _Other(str):
    """Equal to no other text, so that a mapping can hold it twice."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class _Speechless(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class _Raises(dict[Any, Any]):
    def items(self) -> Any:
        raise _Speechless


def test_what_lies_about_itself_is_what_it_holds(verifier: linkgate.Verifier, good: Request, bad: Request) -> None:
    written = json.dumps(as_text(good))
    _Bytes.lie = good["layout"].decode()
    same = [
        _Text(written),
        _Bytes(written.encode()),
        {**good, "layout": _Bytes(good["layout"])},
        {**good, "now": _Number(good["now"])},
    ]
    assert {verifier.verify(form).json for form in same} == {verifier.verify(good).json}  # type: ignore[arg-type]
    assert code(verifier.verify({**good, "layout": _Bytes(b"nonsense")})) == "layout-malformed"
    # What is no text is judged as what it holds, too.
    odd = [{"name": "odd.link", "content": _Bytes(b"\xff")}]
    assert verifier.verify({**good, "documents": good["documents"] + odd}).outcome == "accept"
    malformed: list[Any] = [
        {**good, "parameters": _Names(a="x")},
        {**good, _Other("now"): good["now"]},
        {**good, "documents": iter(good["documents"])},
        {**good, "documents": (document for document in good["documents"])},
        {**good, "documents": [{"name": b"\xff.link".decode(errors="surrogateescape"), "content": b""}]},
        {**good, "parameters": {"a": "\ud83d\ude00"}},
        {**good, "layout": bytearray(good["layout"])},
        {**good, "now": float(good["now"])},
    ]
    for request in malformed:
        assert code(verifier.verify(request)) == "request-malformed", request
    assert code(verifier.verify({**good, "parameters": _Raises(a="x")})) == "verifier-stopped"


def test_integers_of_64_bits_are_exact(verifier: linkgate.Verifier, good: Request) -> None:
    for now in [-(1 << 63), (1 << 63) - 1, (1 << 53) + 1]:
        verdict = verifier.verify({**good, "now": now})
        assert code(verdict) == "request-malformed" and f" {now} s after 1970" in verdict.json
    assert verifier.verify({**good, "now": 0}).outcome == "accept"
    assert verifier.verify({**good, "now": 253_402_300_799}).outcome == "reject"


def test_the_reply_is_true_for_an_accept_only() -> None:
    for outcome, said in [("accept", True), ("reject", False), ("undecided", False)]:
        verdict = Verdict.read(json.dumps({"decision": outcome}))
        assert bool(verdict) is said
    for text in ["", "{}", "[]", '"accept"', '{"decision": "Accept"}', '{"decision": ["accept"]}', "1"]:
        with pytest.raises(ValueError):
            Verdict.read(text)


def test_text_by_others_stands_on_one_line(verifier: linkgate.Verifier, good: Request) -> None:
    """As the Rust function of that name has it (guest/image/src/line.rs)."""
    for plain in ["", "a b", "hé", "he\u0301", "שלום", "ไทย", "日本", "😀", "a::b", "a # b#", "\\n", "'\"`<&>"]:
        assert linkgate.one_line(plain) == plain
    for text, shown in [
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred\x7f\x9b\0", "\\u{1b}[31mred\\u{7f}\\u{9b}\\u{0}"),
        ("\u202e\u2066\u200f\u061c", "\\u{202e}\\u{2066}\\u{200f}\\u{61c}"),
        ("\u2028\u2029\x85", "\\u{2028}\\u{2029}\\u{85}"),
        ("\U000e0041\ufe0f\u3164\u034f", "\\u{e0041}\\u{fe0f}\\u{3164}\\u{34f}"),
        ("\ue000\u0378\xa0\ud800", "\\u{e000}\\u{378}\\u{a0}\\u{d800}"),
        ("::error::x", "\\u{3a}:error::x"),
        ("  ::error::x", "  \\u{3a}:error::x"),
        ("a ##[error]x", "a #\\u{23}[error]x"),
        ("###vso[x]", "#\\u{23}\\u{23}vso[x]"),
    ]:
        assert linkgate.one_line(text) == shown == linkgate.one_line(shown)
    # The name of a document, in a verdict.
    good["documents"].append({"name": "a\n##[error]\x1b[2J.link", "content": b"{}"})
    (warning,) = verifier.verify(good).answer["warnings"]
    assert "\x1b" in warning["message"] and "a\\n#\\u{23}[error]\\u{1b}[2J.link" in linkgate.one_line(warning["message"])


def test_settings_that_mean_nothing_are_errors() -> None:
    for settings in [{"memory": 0}, {"memory": 1.5}, {"memory": True}, {"deadline": 0}, {"deadline": float("inf")}]:
        with pytest.raises(ValueError):
            linkgate.Verifier(**settings)  # type: ignore[arg-type]


def test_the_example(core: Path, sound: Path, tampered: Path, tmp_path: Path) -> None:
    """The wheel is built as the README says, installed into an environment of its own, and its example is run there."""
    import subprocess
    import sys

    from conftest import PACKAGE

    source = tmp_path / "python"
    run("cp", "-r", PACKAGE, source)
    module = source / "src/linkgate/verifier.core.wasm"
    module.unlink(missing_ok=True)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    refused = subprocess.run(build, capture_output=True, text=True, timeout=300)
    assert refused.returncode != 0 and "linkgate component --format core" in refused.stdout + refused.stderr
    module.write_bytes(core.read_bytes())
    run(*build)
    (wheel,) = tmp_path.glob("*.whl")
    environment = tmp_path / "venv"
    run(sys.executable, "-m", "venv", environment)
    python = environment / "bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[cryptography]")
    for folder, said in [(sound, (0, "accept\n")), (tampered, (1, "reject\n"))]:
        example = [str(python), str(PACKAGE / "example.py"), str(folder), str(folder / "owner.json")]
        done = subprocess.run(example, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.stderr == "" and (done.returncode, done.stdout[: len(said[1])]) == said
    for checked in ["-m mypy --strict -p linkgate", f"-m mypy --strict {PACKAGE / 'example.py'}"]:
        words = checked.split()
        run(sys.executable, *words, "--python-executable", python, "--cache-dir", tmp_path / "mypy", cwd=tmp_path)
