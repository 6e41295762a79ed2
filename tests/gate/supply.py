"""Supply chains made by linkgate itself: keys, signed layouts, signed links, and policies that name them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = "registry.example/web/app"
# Longer than any bound of what is tested.
PATIENCE = 60
FOREVER = "2040-01-01T00:00:00Z"


def binary() -> Path:
    path = os.environ.get("LINKGATE")
    assert path, "set LINKGATE to the path of the binary under test"
    return Path(path).resolve(strict=True)


def linkgate(*arguments: Any, cwd: Path, code: int = 0) -> subprocess.CompletedProcess:
    command = [str(part) for part in (binary(), *arguments)]
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


@dataclass
class Keys:
    """Key pairs in a folder, each made once, and their form in layouts."""

    folder: Path
    made: dict[str, dict[str, dict]] = field(default_factory=dict)

    def pair(self, name: str, family: str = "ed25519") -> Path:
        path = self.folder / name
        if name not in self.made:
            linkgate("keygen", "-t", family, "-n", name, cwd=self.folder)
            shown = linkgate("key", "show", "--json", f"{name}.pub", cwd=self.folder)
            self.made[name] = json.loads(shown.stdout)
        return path

    def public(self, name: str) -> Path:
        return self.pair(name).with_name(f"{name}.pub")

    def in_layout(self, *names: str) -> dict[str, dict]:
        for name in names:
            self.pair(name)
        return {keyid: key for name in names for keyid, key in self.made[name].items()}

    def keyid(self, name: str) -> str:
        return next(iter(self.in_layout(name)))


@dataclass(frozen=True)
class Image:
    """An image whose manifest a chain made: the file that its last step's link names."""

    digest: str
    links: Path
    repository: str = REPOSITORY
    manifest: Path | None = None

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"

    @property
    def hex(self) -> str:
        return self.digest.removeprefix("sha256:")

    def link(self, step: str) -> Path:
        [path] = self.links.glob(f"{step}.*.link")
        return path

    def tamper(self, step: str) -> None:
        """Another digest for the product of a step, under the old signature."""
        path = self.link(step)
        link = json.loads(path.read_text())
        for digests in link["signed"]["products"].values():
            digests["sha256"] = "0" * 64
        path.write_text(json.dumps(link))


def step(name: str, pubkeys: list[str], materials: list, products: list, threshold: int = 1) -> dict:
    return {
        "_type": "step",
        "name": name,
        "pubkeys": pubkeys,
        "threshold": threshold,
        "expected_command": [],
        "expected_materials": materials,
        "expected_products": products,
    }


@dataclass
class Supply:
    """A folder of policies and a folder of evidence: what a gate is given."""

    folder: Path
    keys: Keys
    count: int = 0

    def __post_init__(self) -> None:
        self.policies.mkdir(parents=True)
        self.evidence.mkdir()

    @property
    def policies(self) -> Path:
        return self.folder / "policies"

    @property
    def evidence(self) -> Path:
        return self.folder / "evidence"

    def steps(
        self, *, threshold: int = 1, builders: tuple[str, ...] = ("builder",), packager: str = "packager"
    ) -> list:
        """Two steps: `build` makes `app` from `main.c`, `package` makes `manifest.json` from it."""
        keyid = self.keys.keyid
        return [
            step(
                *("build", [keyid(name) for name in builders]),
                *([["ALLOW", "main.c"], ["DISALLOW", "*"]], [["CREATE", "app"], ["DISALLOW", "*"]]),
                threshold,
            ),
            step(
                *("package", [keyid(packager)]),
                [["MATCH", "app", "WITH", "PRODUCTS", "FROM", "build"], ["DISALLOW", "*"]],
                [["CREATE", "manifest.json"], ["DISALLOW", "*"]],
            ),
        ]

    def layout(
        self,
        name: str = "root.layout",
        *,
        steps: list | None = None,
        inspect: list | None = None,
        expires: str = FOREVER,
        keys: tuple[str, ...] = ("builder", "packager"),
        owners: tuple[str, ...] = ("owner",),
        **more: Any,
    ) -> Path:
        """A layout among the policies; signed, unless it has no owners."""
        draft = {
            "_type": "layout",
            "readme": "",
            "expires": expires,
            "keys": self.keys.in_layout(*keys),
            "steps": self.steps() if steps is None else steps,
            "inspect": inspect or [],
            **more,
        }
        path = self.policies / name
        # Written beside it and moved, as whoever changes what a gate reads should do.
        scratch = self.folder / f"{name}.new"
        scratch.write_text(json.dumps(draft))
        if owners:
            linkgate("sign", "-q", "-f", scratch, "-k", *map(self.keys.pair, owners), cwd=self.folder)
        path.parent.mkdir(exist_ok=True)
        scratch.rename(path)
        return path

    def policy(self, name: str = "web", *, file: str | None = None, drop: tuple[str, ...] = (), **fields: Any) -> Path:
        """A policy that governs every image, unless it is said otherwise."""
        # Moved there as well: a gate that looks meanwhile would see a copy that is half written.
        shutil.copy(self.keys.public("owner"), self.folder / "owner.new")
        (self.folder / "owner.new").rename(self.policies / "owner.pub")
        policy = {
            "apiVersion": "linkgate.dev/v1",
            "kind": "Policy",
            "name": name,
            "images": ["**"],
            "layout": "root.layout",
            "keys": ["owner.pub"],
            "evidence": [{"directory": f"{self.evidence}/{{IMAGE_DIGEST_HEX}}"}],
            **fields,
        }
        policy = {key: value for key, value in policy.items() if key not in drop}
        path = self.policies / (file or f"{name}.yaml")
        scratch = self.folder / f"{name}.new"
        scratch.write_text(yaml.safe_dump(policy))
        scratch.rename(path)
        return path

    def image(
        self,
        *,
        repository: str = REPOSITORY,
        builders: tuple[str, ...] = ("builder",),
        packager: str = "packager",
        links: Path | None = None,
        text: str | None = None,
    ) -> Image:
        """Runs both steps; each call makes another image."""
        self.count += 1
        work = self.folder / f"work-{self.count}"
        work.mkdir()
        (work / "main.c").write_text(text or f"int main(void) {{ return {self.count}; }}\n")
        for builder in builders:
            self.run("build", builder, work, ["main.c"], ["app"], "cp main.c app")
        self.run("package", packager, work, ["app"], ["manifest.json"], "sed s/int/manifest/ app > manifest.json")
        digest = hashlib.sha256((work / "manifest.json").read_bytes()).hexdigest()
        links = links or self.evidence / digest
        links.mkdir(exist_ok=True)
        for path in work.glob("*.link"):
            shutil.move(path, links / path.name)
        return Image(f"sha256:{digest}", links, repository, work / "manifest.json")

    def run(self, name: str, key: str, work: Path, materials: list, products: list, script: str) -> None:
        recorded = (["-m", *materials] if materials else []) + ["-p", *products]
        linkgate(
            *("run", "-n", name, "-k", self.keys.pair(key), *recorded, "--", "sh", "-c", script),
            cwd=work,
        )


def unknown_image() -> Image:
    """An image that nothing is known about."""
    return Image(f"sha256:{'ab' * 32}", Path("/nonexistent"))
