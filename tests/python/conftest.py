"""The package in policies/python as it stands there, and a real chain, recorded and signed by LINKGATE.

CORE names the core module; without it LINKGATE writes it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "policies/python"
LINKGATE = os.environ.get("LINKGATE", str(ROOT / "target/release/linkgate"))
NOW = 1_790_000_000
sys.dont_write_bytecode = True
sys.path.insert(0, str(PACKAGE / "src"))

Request = dict[str, Any]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "CORE" in os.environ:
        return Path(os.environ["CORE"]).resolve()
    file = tmp_path_factory.mktemp("core") / "verifier.core.wasm"
    with file.open("wb") as out:
        subprocess.run([LINKGATE, "component", "--format", "core"], stdout=out, check=True, timeout=60)
    return file


@pytest.fixture(scope="session")
def verifier(core: Path) -> Any:
    import linkgate

    return linkgate.Verifier(module=core)


@pytest.fixture(scope="session")
def tampered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `linkgate demo` leaves: a chain with a source that was changed after its review."""
    folder = tmp_path_factory.mktemp("chain") / "demo"
    run(LINKGATE, "demo", folder, cwd=folder.parent)
    (folder / "owner.json").write_text(run(LINKGATE, "key", "show", "--json", folder / "owner.pub"))
    return folder


@pytest.fixture(scope="session")
def sound(tampered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same chain, its source as it was reviewed and everybody's work done again."""
    folder = tmp_path_factory.mktemp("chain") / "sound"
    run("cp", "-r", tampered, folder)
    run("sed", "-i", "s/hallo/hello/", "src/greet.sh", "test.sh", cwd=folder)
    tar = ["tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "-cf", "greet.tar", "src"]
    for builder in ["bob", "carol"]:
        (folder / "greet.tar").unlink()
        run(
            *[LINKGATE, "run", "-n", "build", "-k", builder, "-d", "links"],
            *["-m", "src", "-p", "greet.tar", "--", *tar],
            cwd=folder,
        )
    run(
        *[LINKGATE, "run", "-n", "test", "-k", "dave", "-d", "links", "-m", "greet.tar,test.sh", "-p", "greet.tar"],
        *["--", "sh", "test.sh"],
        cwd=folder,
    )
    return folder


def request_of(folder: Path) -> Request:
    links = sorted((folder / "links").glob("*.link"))
    return {
        "layout": (folder / "root.layout").read_bytes(),
        "trust": {"signed_by": list(json.loads((folder / "owner.json").read_text()).values())},
        "documents": [{"name": link.name, "content": link.read_bytes()} for link in links],
        "now": NOW,
    }


@pytest.fixture
def good(sound: Path) -> Request:
    return request_of(sound)


@pytest.fixture
def bad(tampered: Path) -> Request:
    return request_of(tampered)
