"""What comes out."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Outcome = Literal["accept", "reject", "undecided"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer of the verifier.

    It is true for an accept and false for everything else, so that `if verify(request):` lets pass only what holds. Without
    that it would be true always, as objects of Python are, and the shortest program would let everything pass.
    """

    outcome: Outcome
    """Refuse on all but `accept`."""

    json: str
    """The answer as the verifier wrote it, the same bytes on every host."""

    answer: dict[str, Any] = field(repr=False, compare=False)
    """`json`, parsed: the form is that of `wit/answer.schema.json`."""

    def __bool__(self) -> bool:
        return self.outcome == "accept"

    @classmethod
    def read(cls, text: str) -> "Verdict":
        """Reads an answer's JSON form. What is none raises `ValueError`."""
        answer = json.loads(text)
        if isinstance(answer, dict):
            for outcome in OUTCOMES:
                if answer.get("decision") == outcome:
                    return cls(outcome, text, answer)
        raise ValueError("it is no answer")


def undecided(code: str, message: str) -> Verdict:
    """The answer where the host has none, as every host writes it."""
    # What is shown to people holds no half characters.
    message = message.encode("utf-8", "replace").decode()
    place: dict[str, Any] = {"code": code, "at": []}
    answer = {
        "decision": "undecided",
        **place,
        "limit": None,
        "message": message,
        "reasons": [{**place, "message": message}],
        "warnings": [],
        "steps": [],
    }
    return Verdict("undecided", json.dumps(answer, ensure_ascii=False, separators=(",", ":")), answer)


def malformed(why: str) -> Verdict:
    """The answer to what is no request."""
    return undecided("request-malformed", f"the request is not of the documented form: {why}")


def stopped(why: str) -> Verdict:
    """The answer where the verifier gave none."""
    return undecided("verifier-stopped", f"the verifier was stopped: {why}")


def told(error: BaseException) -> str:
    """An exception in words, whatever its own `__str__` does."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:
        return type(error).__name__
