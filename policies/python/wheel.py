"""Refuses to build a wheel that could only ever answer that it has no verifier."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = "src/linkgate/verifier.core.wasm"
HEADER = b"\0asm\x01\0\0\0"


class VerifierIsThere(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        module = Path(self.root) / MODULE
        if not module.is_file() or module.read_bytes()[: len(HEADER)] != HEADER:
            raise SystemExit(f"{module} is no core module: write it by `linkgate component --format core > {MODULE}`")
