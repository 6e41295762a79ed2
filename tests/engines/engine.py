"""Engines that run: the programs that tests/engines/install brings, on free ports, until they are stopped."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import pytest
from supply import PATIENCE


def program(name: str, *, optional: bool = False) -> Path:
    """The program of an engine. One that takes minutes to build may be left out."""
    folder = os.environ.get("ENGINES")
    assert folder, "set ENGINES to the folder of programs that tests/engines/install makes: target/engines/bin"
    path = Path(folder).absolute() / name
    if optional and not path.exists():
        pytest.skip(f"{path} is not there: tests/engines/install {name} brings it", allow_module_level=True)
    assert path.exists(), f"{path} is not there: tests/engines/install {name} brings it"
    return path


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def environment(home: Path, **more: str) -> dict[str, str]:
    """Neither a proxy nor credentials of whoever runs the tests."""
    foreign = ("PROXY", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "KUBECONFIG", "HOME")
    clean = {name: value for name, value in os.environ.items() if not name.upper().endswith(foreign)}
    return {**clean, "HOME": str(home), **more}


def run(*command: Any, cwd: Path, code: int | None = 0, stdin: str = "", **more: str) -> subprocess.CompletedProcess:
    """What a command does that ends by itself."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(cwd, **more),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    if code is not None:
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


@dataclass
class Engine:
    """A process that serves, and what it writes."""

    command: list[Any]
    folder: Path
    name: str
    is_ready: Callable[[], bool]
    more: dict[str, str] = field(default_factory=dict)
    seconds: float = PATIENCE
    process: subprocess.Popen | None = None

    def __post_init__(self) -> None:
        # Where a fixture fails before its test begins, nobody else does it.
        atexit.register(self.stop)
        self.start()

    def start(self) -> Engine:
        with self.path.open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in self.command],
                cwd=self.folder,
                env=environment(self.folder, **self.more),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        ends = time.monotonic() + self.seconds
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > ends:
                self.stop()
                raise AssertionError(f"{self.name} does not run:\n{self.log[-4000:]}")
            time.sleep(0.05)
        return self

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def log(self) -> str:
        return self.path.read_text(errors="replace")

    def stop(self) -> None:
        """Without asking it: nothing that it would save is needed."""
        if not self.process:
            return
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=PATIENCE)
