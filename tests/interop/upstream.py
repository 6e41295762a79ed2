"""Metadata that others wrote. It is not part of the repository, and is read where it lies: in the folder that the variable
LINKGATE_UPSTREAM names (a relative path begins at the checkout), else, without LINKGATE_UPSTREAM, in `../shared/upstream`
beside the checkout.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
VARIABLE = "LINKGATE_UPSTREAM"


def folder(name: str, checkout: Path = CHECKOUT) -> Path:
    """The folder of this name among the metadata. Without it the test is skipped, or fails if the variable is set."""
    named = os.environ.get(VARIABLE)
    found = (checkout / named if named else checkout.parent / "shared" / "upstream") / name
    if found.is_dir():
        return found
    if named:
        pytest.fail(f"{VARIABLE} is set to `{named}`, but the folder `{found}` does not exist", pytrace=False)
    pytest.skip(f"the folder `{found}` does not exist; {VARIABLE} can name another folder in which `{name}` lies")


def copy(source: Path, target: Path) -> None:
    """Copies a folder's files, which may be read-only, to where they can be changed."""
    target.mkdir()
    for path in source.iterdir():
        if path.is_dir():
            copy(path, target / path.name)
        else:
            shutil.copyfile(path, target / path.name)
