"""Verifies software supply chains (in-toto) in WebAssembly.

    verdict = linkgate.verify({"layout": .., "trust": .., "documents": .., "now": ..})
    if not verdict:
        refuse(verdict.answer)

A verdict is true if and only if it is an accept. Nothing that is asked makes `verify` raise: what cannot be judged is undecided. What a
signal's handler raises passes through.
"""

from linkgate.line import one_line
from linkgate.request import Request
from linkgate.signatures import Check, PublicKey, cryptography_check
from linkgate.verdict import Outcome, Verdict
from linkgate.verifier import ModuleError, Verifier

__all__ = [
    "Check",
    "ModuleError",
    "Outcome",
    "PublicKey",
    "Request",
    "Verdict",
    "Verifier",
    "cryptography_check",
    "one_line",
    "verify",
]

_verifier = Verifier()


def verify(request: Request | str | bytes, *, check: Check | None = None) -> Verdict:
    """Judges a request by the module that came with the package, within 2 GiB and 60 s. As `Verifier.verify`."""
    return _verifier.verify(request, check=check)
