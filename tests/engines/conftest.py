"""What the tests share: real images in a real registry, their links beside them, and gates that answer about them.

    tests/engines/install envoy docker-registry skopeo opa
    LINKGATE=target/release/linkgate ENGINES=target/engines/bin python -m pytest tests/engines

The interpreter is that of an environment with `tests/gate/requirements.txt` installed; what makes supply chains and
runs gates is in `tests/gate`, too. Suites of engines that take minutes to build (gatekeeper, kyverno, etcd and
kube-apiserver) are skipped where the engine is not there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS / "gate"), str(TESTS)]

import gate as gates
from engine import Engine, run
from gate import Gate, wait_for
from images import Image, Pushed, pushed
from supply import Keys, binary

POLICIES = Path(__file__).parents[2] / "policies"


def pytest_report_header() -> list[str]:
    return [f"{name}: {os.environ.get(name, 'is not set')}" for name in ("LINKGATE", "ENGINES")]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[Pushed]:
    """A good image, a tampered one and an unknown one, in a registry, and a policy for them."""
    made = pushed(tmp_path_factory.mktemp("images"), keys)
    yield made
    made.chain.stop()


@dataclass(frozen=True)
class Authority:
    """One that made a certificate, as policies/kubernetes/README.md does by hand."""

    folder: Path
    name: str = "gate.example"

    def __post_init__(self) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        names = f"subjectAltName=DNS:{self.name},DNS:localhost,IP:127.0.0.1"
        (self.folder / "names").write_text(names)
        for command in (
            ("req", "-x509", *key, "-days", "3650", "-subj", "/CN=linkgate-ca", "-keyout", "ca.key", "-out", "ca.pem"),
            ("req", *key, "-subj", f"/CN={self.name}", "-keyout", "tls.key", "-out", "tls.csr"),
            (
                *(
                    "x509",
                    "-req",
                    "-in",
                    "tls.csr",
                    "-CA",
                    "ca.pem",
                    "-CAkey",
                    "ca.key",
                    "-CAcreateserial",
                    "-days",
                    "365",
                ),
                *("-out", "tls.crt", "-extfile", "names"),
            ),
        ):
            run("openssl", *command, cwd=self.folder)

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def options(self) -> tuple[Any, ...]:
        return "--tls-cert", self.folder / "tls.crt", "--tls-key", self.folder / "tls.key"


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, images: Pushed) -> Iterator[Callable[..., Gate]]:
    """Starts gates, which end with the module."""
    started: list[Gate] = []

    def start(authority: Authority | None = None) -> Gate:
        """By default with a certificate of its own making."""
        chain = images.chain
        # What was believed a moment ago is asked again.
        options = (
            "--negative-ttl",
            "0.1",
            "--listing-ttl",
            "0.1",
            "--reload-interval",
            "0.1",
            "--plain-http",
            chain.registry.host,
        )
        certificate = authority.options if authority else ("--self-signed", "gate.example")
        folder, ca = tmp_path_factory.mktemp("gate"), authority.ca if authority else None
        started.append(gates.serve(folder, chain.supply.policies, *options, *certificate, ca=ca))
        return started[-1]

    yield start
    for gate in started:
        gate.kill()


@pytest.fixture(scope="module")
def gate(serve: Callable[..., Gate]) -> Gate:
    return serve()


@pytest.fixture(scope="module")
def inner(images: Pushed, gate: Gate) -> Iterator[Image]:
    """A good image that may run in the namespace `prod` only."""
    image = images.chain.make("good", repository="inner/app")
    path = images.chain.policy("inner", "inner/**", namespaces=["prod"])
    wait_for(lambda: gate.verify(image, "prod")["allowed"])
    yield image
    path.unlink()


@pytest.fixture(scope="module")
def misnamed(tmp_path_factory: pytest.TempPathFactory, images: Pushed) -> Iterator[Gate]:
    """A gate at an address that is not in its certificate."""
    serving = (binary(), "serve", "--policies", images.chain.supply.policies, "--listen", "127.0.0.2:0")
    command = (*serving, "--self-signed", "gate.example", "--plain-http", images.chain.registry.host)
    gate = Gate([str(part) for part in command], tmp_path_factory.mktemp("gate"))
    yield gate
    gate.kill()


@pytest.fixture(scope="module")
def engines() -> Iterator[Callable[..., Engine]]:
    """Starts engines, which end with the module, the last one first."""
    started: list[Engine] = []

    def start(*arguments: Any, **more: Any) -> Engine:
        started.append(Engine(*arguments, **more))
        return started[-1]

    yield start
    for engine in reversed(started):
        engine.stop()
