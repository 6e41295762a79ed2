"""What the tests share: the image that buildah makes of policies/kubernetes/Dockerfile, and containers of it.

    policies/kubernetes/build-context target/image
    LINKGATE=target/release/linkgate CONTEXT=target/image python -m pytest tests/image

Whoever runs this is root, and has buildah, runc (or crun) and openssl. The interpreter is that of an environment with
`tests/gate/requirements.txt` installed; what makes supply chains and asks gates is in `tests/gate`, too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS / "gate"), str(TESTS)]

from supply import PATIENCE, Keys

FOLDER = TESTS.parent / "policies/kubernetes"
# How each runtime is called. Where runc finds no control groups that it could use, crun does without them.
RUNTIMES = {"runc": (), "crun": ("--cgroup-manager=disabled",)}


def pytest_report_header() -> list[str]:
    return [f"{name}: {os.environ.get(name, 'is not set')}" for name in ("LINKGATE", "CONTEXT")]


def run(*command: Any, cwd: Path, code: int | None = 0) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    if code is not None:
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


@dataclass(frozen=True)
class Image:
    """An image as an OCI layout, and the folder into which its files were unpacked."""

    layout: Path
    root: Path

    def blob(self, described: dict) -> Path:
        return self.layout / "blobs" / described["digest"].replace(":", "/")

    @property
    def manifest(self) -> dict:
        [described] = json.loads((self.layout / "index.json").read_text())["manifests"]
        return json.loads(self.blob(described).read_text())

    @property
    def config(self) -> dict:
        return json.loads(self.blob(self.manifest["config"]).read_text())["config"]

    @property
    def members(self) -> dict[str, tarfile.TarInfo]:
        """What its layers hold, by name."""
        found = {}
        for layer in self.manifest["layers"]:
            with tarfile.open(self.blob(layer)) as archive:
                found |= {member.name.strip("/"): member for member in archive}
        return found

    def unpack(self) -> None:
        self.root.mkdir(mode=0o755)
        for layer in self.manifest["layers"]:
            with tarfile.open(self.blob(layer)) as archive:
                archive.extractall(self.root, filter="fully_trusted")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Built without a registry, a daemon or what this machine has in store."""
    context = os.environ.get("CONTEXT")
    assert context, "set CONTEXT to the folder that policies/kubernetes/build-context makes"
    folder = tmp_path_factory.mktemp("image")
    store = ("--root", folder / "store", "--runroot", folder / "run", "--storage-driver", "vfs")
    build = ("build", "--isolation", "chroot", "--file", FOLDER / "Dockerfile", "--tag", "localhost/linkgate")
    run("buildah", *store, *build, Path(context).absolute(), cwd=folder)
    built = Image(folder / "layout", folder / "root")
    run("buildah", *store, "push", "localhost/linkgate", f"oci:{built.layout}", cwd=folder)
    # It holds the program several times.
    shutil.rmtree(folder / "store")
    built.unpack()
    return built


def deployment() -> dict:
    [found] = [
        made for made in yaml.safe_load_all((FOLDER / "linkgate.yaml").read_text()) if made["kind"] == "Deployment"
    ]
    return found["spec"]["template"]["spec"]


@dataclass
class Containers:
    """Containers of the image, each as the Deployment has it, by a runtime that can run them here."""

    image: Image
    folder: Path
    runtime: str = ""
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        reasons = []
        for self.runtime in filter(shutil.which, RUNTIMES):
            tried = run(*self.command("version"), cwd=self.folder, code=None)
            if tried.returncode == 0:
                return
            reasons.append(f"{self.runtime}: {tried.returncode}\n{tried.stdout}{tried.stderr}")
        raise AssertionError("no runtime can run the image here:\n" + "\n".join(reasons or ["there is none"]))

    @property
    def call(self) -> list[str]:
        return [self.runtime, "--root", str(self.folder / self.runtime), *RUNTIMES[self.runtime]]

    def command(self, *arguments: str, mounts: dict[str, Path] | None = None) -> list[str]:
        """What runs a new container; without arguments with those of the image."""
        name = f"linkgate-{os.getpid()}-{len(self.names)}"
        bundle = self.folder / name
        bundle.mkdir()
        run(*self.call, "spec", cwd=bundle)
        path = bundle / "config.json"
        path.write_text(json.dumps(self.spec(json.loads(path.read_text()), arguments, mounts or {})))
        self.names.append(name)
        return [*self.call, "run", "--bundle", str(bundle), name]

    def spec(self, spec: dict, arguments: tuple[str, ...], mounts: dict[str, Path]) -> dict:
        """A runtime's own example, with what the image and the Deployment say. The network is this machine's."""
        pod, config = deployment(), self.image.config
        [container] = pod["containers"]
        allowed, user = container["securityContext"], pod["securityContext"]
        assert allowed["capabilities"] == {"drop": ["ALL"]}
        spec["process"] |= {
            "terminal": False,
            "user": {"uid": user["runAsUser"], "gid": user["runAsGroup"], "additionalGids": [user["fsGroup"]]},
            "args": [*config["Entrypoint"], *(arguments or config["Cmd"])],
            "env": [*config["Env"], *(f"{entry['name']}={entry['value']}" for entry in container["env"])],
            "cwd": config.get("WorkingDir") or "/",
            "capabilities": {kind: [] for kind in spec["process"]["capabilities"]},
            "noNewPrivileges": not allowed["allowPrivilegeEscalation"],
        }
        spec["root"] = {"path": str(self.image.root), "readonly": allowed["readOnlyRootFilesystem"]}
        spaces = spec["linux"]["namespaces"]
        spec["linux"]["namespaces"] = [space for space in spaces if space["type"] not in ("network", "cgroup")]
        spec["mounts"] = [mount for mount in spec["mounts"] if mount["type"] != "cgroup"] + [
            {"destination": place, "type": "bind", "source": str(path), "options": ["rbind", "ro"]}
            for place, path in mounts.items()
        ]
        return spec

    def pid(self, name: str) -> int:
        return json.loads(run(*self.call, "state", name, cwd=self.folder).stdout)["pid"]

    def remove(self) -> None:
        for name in self.names:
            run(*self.call, "delete", "--force", name, cwd=self.folder, code=None)


RUNTIME = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def containers(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, image: Image
) -> Iterator[Containers]:
    made = Containers(image, tmp_path_factory.mktemp("containers"))
    pytestconfig.stash[RUNTIME] = made.runtime
    yield made
    made.remove()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if RUNTIME in config.stash:
        terminalreporter.write_line(f"the image was run by {config.stash[RUNTIME]}")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))
