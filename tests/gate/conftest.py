"""What the tests share: supply chains made by linkgate, and gates that answer about them.

    LINKGATE=target/release/linkgate python -m pytest tests/gate

The interpreter is that of an environment with `requirements.txt` installed. `-m wrk` runs what only `-m wrk` runs: the
long run under load, which needs the program wrk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gate as gates
import pytest
from gate import Gate
from supply import Image, Keys, Supply


def pytest_report_header() -> str:
    return f"linkgate: {os.environ.get('LINKGATE', 'LINKGATE is not set')}"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "wrk: 100,000 requests by wrk; only with -m wrk")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("markexpr"):
        chosen = [item for item in items if not item.get_closest_marker("wrk")]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def supply(tmp_path: Path, keys: Keys) -> Supply:
    """Folders without a policy yet."""
    return Supply(tmp_path / "supply", keys)


@pytest.fixture
def web(supply: Supply) -> Supply:
    """A layout, and a policy `web` by it for all images."""
    supply.layout()
    supply.policy()
    return supply


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Gate]]:
    """Starts gates, which end with the test."""
    started: list[Gate] = []

    def start(policies: Any, *options: Any, ca: Path | None = None) -> Gate:
        folder = policies.policies if isinstance(policies, Supply) else policies
        often = () if "--reload-interval" in options else ("--reload-interval", "0.1")
        gate = gates.serve(tmp_path, folder, *often, *options, ca=ca)
        started.append(gate)
        return gate

    yield start
    for gate in started:
        gate.kill()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[tuple[Gate, Supply, Image, Image]]:
    """For tests that change nothing: a gate, its supply, a good image and one whose build was tampered with."""
    folder = tmp_path_factory.mktemp("world")
    supply = Supply(folder / "supply", keys)
    supply.layout()
    supply.policy()
    good, bad = supply.image(), supply.image()
    bad.tamper("build")
    gate = gates.serve(folder, supply.policies, "--log-level", "debug")
    yield gate, supply, good, bad
    gate.kill()


@pytest.fixture
def gate(world) -> Gate:
    return world[0]


@pytest.fixture
def good(world) -> Image:
    return world[2]


@pytest.fixture
def bad(world) -> Image:
    return world[3]
