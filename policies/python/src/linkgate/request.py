"""What goes in: the JSON form of a request (`wit/request.schema.json`), in which bytes may stand for contents.

The types are for those who have a type checker. Nothing is checked here but what JSON could not say: the verifier itself
refuses members that it does not know, wrong types and everything else.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, TypedDict


class Text(TypedDict, total=False):
    """The content of a document: one of the two."""

    text: str
    base64: str


class _Named(Text):
    name: str


class _Document(_Named, total=False):
    content: bytes


class Document(_Document):
    """A link or a sublayout: its name, and one of `content`, `text` and `base64`."""


class Inspection(_Document, total=False):
    """The result of an inspection, which the caller vouches for."""

    at: list[str]


class KeyValue(TypedDict):
    public: str


class _Key(TypedDict, total=False):
    keyid: str | None
    keyid_hash_algorithms: Any


class Key(_Key):
    """A public key as in-toto has it; `linkgate key show --json` prints it."""

    keytype: str
    scheme: str
    keyval: KeyValue


class NamedKey(TypedDict):
    """A functionary's key under a name of the caller's."""

    label: str
    key: Key


class SignedBy(TypedDict):
    """Every one of these owners has signed the layout."""

    signed_by: list[Key]


class Asserted(TypedDict):
    """The caller vouches for the layout's bytes, and names functionaries."""

    asserted: list[NamedKey]


class _Subject(TypedDict, total=False):
    name: str | None


class Subject(_Subject):
    """What the supply chain must have made."""

    digests: dict[str, str]


class Options(TypedDict, total=False):
    """How to judge."""

    strict: bool
    subject_steps: list[str]
    summary_link: bool


class _Request(TypedDict, total=False):
    documents: list[Document]
    inspections: list[Inspection]
    parameters: dict[str, str]
    subjects: list[Subject]
    options: Options


class Request(_Request):
    """One question. Equal questions get equal answers, anywhere."""

    layout: bytes | Text
    trust: SignedBy | Asserted
    now: int


class Malformed(ValueError):
    """Not what a request could be."""


def to_json(request: object) -> bytes:
    """The request as the verifier reads it. `Malformed` if there is no such JSON."""
    try:
        # What a subclass makes of itself is not asked: bytes and texts are what they hold.
        if isinstance(request, (bytes, bytearray, memoryview)):
            return memoryview(request).tobytes()
        if isinstance(request, str):
            return str.encode(request)
        if not isinstance(request, Mapping):
            raise Malformed(f"a mapping or JSON text is expected, not {type(request).__name__}")
        plain = _plain(_with_texts(request), "the request")
        return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise Malformed("a text has half a character (a lone surrogate), which UTF-8 has not") from None
    except RecursionError:
        raise Malformed("it is nested too deeply") from None
    except Malformed:
        raise
    except ValueError as error:
        # A number of thousands of digits.
        raise Malformed(str(error)) from None


def _with_texts(request: Mapping[Any, Any]) -> dict[Any, Any]:
    """Bytes where contents may stand, as texts; elsewhere they are none of JSON's."""
    whole = dict(request)
    if isinstance(whole.get("layout"), bytes):
        whole["layout"] = _text(whole["layout"])
    for members in ("documents", "inspections"):
        if isinstance(whole.get(members), (list, tuple)):
            whole[members] = [_with_text(member) for member in whole[members]]
    return whole


def _with_text(document: object) -> object:
    if not isinstance(document, Mapping) or "content" not in document:
        return document
    rest = {name: value for name, value in document.items() if name != "content"}
    if not isinstance(document["content"], bytes):
        raise Malformed("`content` is bytes; a document in another form has `text` or `base64`")
    if "text" in rest or "base64" in rest:
        raise Malformed("a document has one of `content`, `text` and `base64`")
    return {**rest, **_text(document["content"])}


def _text(content: bytes) -> Text:
    try:
        return {"text": bytes.decode(content)}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(memoryview(content)).decode()}


def _plain(value: object, place: str) -> object:
    """Nothing that `json` would write as something else: it takes the number 1 for the name "1"."""
    # A `bool` is an `int` to Python; an enumeration's member is written as what it is made of.
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Mapping):
        return {_name(name, place): _plain(member, f"`{name}`") for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(member, place) for member in value]
    raise Malformed(f"{place} has a value of the type {type(value).__name__}, which no request has: numbers are whole, contents are bytes or texts")


def _name(name: object, place: str) -> str:
    if not isinstance(name, str):
        raise Malformed(f"{place} has the name {name!r}, which is no text")
    return name
