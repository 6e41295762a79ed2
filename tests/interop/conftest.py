"""What the tests share: the two tool sets, and a small supply chain to run through them.

    LINKGATE=target/release/linkgate python -m pytest tests/interop

The interpreter is that of an environment with `requirements.txt` installed; its `in-toto-*` commands are the peers.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from parties import Linkgate, Python


def pytest_report_header() -> list[str]:
    return [f"{name}: {os.environ.get(name, 'is not set')}" for name in ("LINKGATE", "LINKGATE_UPSTREAM")]


@pytest.fixture(scope="session")
def linkgate() -> Linkgate:
    path = os.environ.get("LINKGATE")
    assert path, "set LINKGATE to the path of the binary under test"
    return Linkgate(Path(path).resolve(strict=True))


@pytest.fixture(scope="session")
def python() -> Python:
    # Not resolved: the tools stand beside the environment's interpreter, which may be a symlink.
    return Python(Path(sys.executable).parent)


@pytest.fixture
def party(request: pytest.FixtureRequest):
    """Turns a parameter, `linkgate` or `python`, into that tool set."""
    return lambda name: request.getfixturevalue(name)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with a source tree, an empty `links` and an empty `inspect`."""
    folder = tmp_path / "workspace"
    (folder / "src" / "lib").mkdir(parents=True)
    (folder / "src" / "main.c").write_text("int main(void) { return 0; }\n")
    (folder / "src" / "lib" / "lib.c").write_text("int lib;\n")
    (folder / "links").mkdir()
    (folder / "inspect").mkdir()
    return folder


@pytest.fixture(scope="session")
def aliases(linkgate: Linkgate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of linkgate's `in-toto-*` names."""
    folder = tmp_path_factory.mktemp("aliases")
    linkgate.must("install-aliases", folder, cwd=folder)
    return folder


@pytest.fixture
def twin():
    """Runs one function in two copies of the workspace and gives both results."""

    def run(workspace: Path, first, second, work):
        results = []
        for name, tools in (("first", first), ("second", second)):
            copy = workspace.parent / f"{workspace.name}-{name}"
            shutil.copytree(workspace, copy, symlinks=True)
            results.append(work(tools, copy))
        return results

    return run
