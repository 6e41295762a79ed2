"""What the tests share: real tokens in folders of their own, and linkgate with them.

    LINKGATE=target/release/linkgate SIGN_MANY=target/release/examples/sign_many STUB=target/hsm/stub.so \
        python -m pytest tests/hsm

`SOFTHSM` and `KRYOPTIC` name the modules; where one is not set, `tests/run hsm` says why it could not be had. The interpreter
is that of an environment with `tests/interop/requirements.txt` installed; its `in-toto-*` commands are the peers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

MODULES = {name: os.environ[name.upper()] for name in ("softhsm", "kryoptic") if os.environ.get(name.upper())}
PIN = "1234"
SO_PIN = "12345678"
# Longer than any bound of what is tested.
PATIENCE = 60


def required(variable: str) -> Path:
    path = os.environ.get(variable)
    assert path, f"set {variable}: tests/run hsm does"
    return Path(path).absolute()


@dataclass
class Token:
    """A token that was just initialised, with the label `builder`, and the environment in which commands reach it."""

    provider: str
    folder: Path
    module: str
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tokens = self.folder / "tokens"
        tokens.mkdir(parents=True)
        if self.provider == "softhsm":
            conf = self.folder / "softhsm2.conf"
            conf.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
            configured = {"SOFTHSM2_CONF": str(conf)}
        else:
            conf = self.folder / "kryoptic.conf"
            conf.write_text(f'[[slots]]\nslot = 42\ndbtype = "sqlite"\ndbargs = "{tokens}/token.sql"\n')
            configured = {"KRYOPTIC_CONF": str(conf)}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PKCS11_")}
        reached = {"PKCS11_MODULE": self.module, "PKCS11_SLOT": "0", "PKCS11_PIN": PIN}
        self.environment = {**clean, **configured, **reached}
        slot = "0" if self.provider == "softhsm" else "42"
        self.tool("--init-token", "--slot", slot, "--label", "builder", "--so-pin", SO_PIN, login=False)
        self.tool(
            *("--token-label", "builder", "--login", "--login-type", "so", "--so-pin", SO_PIN),
            *("--init-pin", "--pin", PIN),
            login=False,
        )

    def tool(self, *arguments: Any, login: bool = True) -> str:
        """OpenSC's pkcs11-tool, which is nothing of linkgate's."""
        access = ("--token-label", "builder", "--login", "--pin", PIN) if login else ()
        command = ["pkcs11-tool", "--module", self.module, *access, *map(str, arguments)]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def linkgate(self, *arguments: Any, cwd: Path, code: int | None = 0, **more: str) -> subprocess.CompletedProcess:
        return self.run(required("LINKGATE"), *arguments, cwd=cwd, code=code, **more)

    def run(self, *command: Any, cwd: Path, code: int | None = 0, **more: str) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if code is not None:
            assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done


@pytest.fixture(params=MODULES)
def token(request: pytest.FixtureRequest, tmp_path: Path) -> Token:
    return Token(request.param, tmp_path / "token", MODULES[request.param])


@pytest.fixture
def softhsm(tmp_path: Path) -> Token:
    return Token("softhsm", tmp_path / "token", MODULES["softhsm"])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with a source tree and an empty `links`."""
    folder = tmp_path / "workspace"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.c").write_text("int main(void) { return 0; }\n")
    (folder / "links").mkdir()
    return folder


@pytest.fixture
def faulty(softhsm: Token, tmp_path: Path):
    """SoftHSM behind a module that fails as it is told: a function's name and what it does instead."""
    faults = tmp_path / "faults"
    faults.mkdir()
    (faults / "calls").write_text("")
    softhsm.environment |= {"STUB_MODULE": softhsm.module, "STUB_DIR": str(faults)}
    real = softhsm.module

    def fails(**functions: str) -> Path:
        softhsm.environment["PKCS11_MODULE"] = str(required("STUB"))
        for name, fault in functions.items():
            (faults / name).write_text(fault)
        return faults

    assert real
    return fails


def peer(name: str) -> Path:
    """One of Python in-toto's commands."""
    return Path(sys.executable).parent / name


def keys_of(token: Token, *labels: str, cwd: Path) -> dict[str, dict]:
    """The member `keys` of a layout for public halves of keys in the token."""
    import json

    shown = token.linkgate("key", "show", "--json", *(f"hsm:{label}.pub" for label in labels), cwd=cwd)
    return json.loads(shown.stdout)


def layout(token: Token, workspace: Path, owners: tuple[str, ...], builder: str = "builder-key") -> None:
    """A layout whose step `build` is the builder's, signed by owners in the token, as `layout.json`."""
    import json

    keys = keys_of(token, builder, cwd=workspace)
    draft = {
        "_type": "layout",
        "readme": "",
        "expires": "2040-01-01T00:00:00Z",
        "keys": keys,
        "steps": [
            {
                "_type": "step",
                "name": "build",
                "pubkeys": list(keys),
                "threshold": 1,
                "expected_command": [],
                "expected_materials": [["ALLOW", "src/*"], ["DISALLOW", "*"]],
                "expected_products": [["CREATE", "build-output/*"], ["DISALLOW", "*"]],
            }
        ],
        "inspect": [],
    }
    (workspace / "layout.json").write_text(json.dumps(draft))
    signers = [f"hsm:{owner}" for owner in owners]
    token.linkgate("sign", "-f", "layout.json", "-k", *signers, cwd=workspace)


def build(token: Token, workspace: Path, key: str = "builder-key", **more: Any) -> subprocess.CompletedProcess:
    """The step `build`."""
    script = "mkdir -p build-output && cp src/main.c build-output/main"
    return token.linkgate(
        *("run", "-n", "build", "-k", f"hsm:{key}", "-d", "links", "-m", "src/", "-p", "build-output/"),
        *("--", "sh", "-c", script),
        cwd=workspace,
        **more,
    )
