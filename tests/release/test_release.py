"""`.ci/release` packs LINKGATE, and what it packs can be installed and asked."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINKGATE = Path(os.environ.get("LINKGATE", ROOT / "target/release/linkgate")).resolve()
# What is packed for it is not asked what glibc it wants: LINKGATE was built for this machine.
TARGET = "some-target"
TIME = 1_790_000_000
# A chain that holds, and one that does not.
CASES = [json.loads((ROOT / "tests/cases/threshold" / name).read_text()) for name in ("two-of-three.json", "one-of-two.json")]


def release(target: Path, *words: str, linkgate: Path = LINKGATE) -> subprocess.CompletedProcess[str]:
    given = {"CARGO_TARGET_DIR": str(target), "LINKGATE": str(linkgate), "SOURCE_DATE_EPOCH": str(TIME)}
    return subprocess.run(
        [sys.executable, ROOT / ".ci/release", *words], env=os.environ | given, capture_output=True, text=True, timeout=600
    )


def packages(target: Path, *words: str) -> Path:
    done = release(target, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return target / "packages"


def version() -> str:
    return subprocess.run([LINKGATE, "version"], capture_output=True, text=True, check=True).stdout.split()[1]


def test_an_archive_is_the_same_whenever_and_wherever_it_is_made(tmp_path: Path) -> None:
    name = f"linkgate-{version()}-{TARGET}.tar.gz"
    made = [(packages(tmp_path / folder, "archive", TARGET) / name).read_bytes() for folder in ("one", "two")]
    assert made[0] == made[1]


def test_an_archive_holds_the_program_and_its_documents(tmp_path: Path) -> None:
    folder = f"linkgate-{version()}-{TARGET}"
    with tarfile.open(packages(tmp_path, "archive", TARGET) / f"{folder}.tar.gz") as tar:
        entries = {entry.name.removeprefix(f"{folder}/"): entry for entry in tar}
        tar.extractall(tmp_path, filter="data")
    assert list(entries) == sorted(entries)
    assert {"LICENSE", "README.md", "linkgate", "man/man1/linkgate.1", "man/man1/linkgate-verify.1"} < set(entries)
    assert {f"completions/{name}" for name in ("_linkgate", "linkgate.bash", "linkgate.fish")} < set(entries)
    assert {entry.mode for name, entry in entries.items() if name != "linkgate"} == {0o644}
    assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries.values()} == {(TIME, 0, 0, "", "")}
    program = tmp_path / folder / "linkgate"
    assert program.read_bytes() == LINKGATE.read_bytes()
    assert subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout == f"linkgate {version()}\n"


def test_a_program_that_wants_a_younger_glibc_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"\x7fELF\0GLIBC_2.4\0GLIBC_2.29\0GLIBC_PRIVATE\0")
    done = release(tmp_path, "archive", "x86_64-unknown-linux-gnu", linkgate=tmp_path / "program")
    assert done.returncode == 1
    assert done.stderr == ".ci/release: the program wants glibc 2.29; it must run with 2.28\n"
    assert not list((tmp_path / "packages").iterdir())


def test_the_packagings_are_those_of_the_program(tmp_path: Path) -> None:
    made = packages(tmp_path, "modules")
    for form, name in {
        "component": "verifier.wasm",
        "core": "verifier.core.wasm",
        "proxy-wasm": "verifier.proxy.wasm",
        "kubewarden": "verifier.kubewarden.wasm",
    }.items():
        written = subprocess.run([LINKGATE, "component", "--format", form], capture_output=True, check=True).stdout
        assert (made / name).read_bytes() == written


def test_sums_are_what_sha256sum_takes(tmp_path: Path) -> None:
    made = packages(tmp_path, "modules")
    packages(tmp_path, "sums")
    # Made once more they do not count themselves.
    packages(tmp_path, "sums")
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=made, check=True)
    lines = (made / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == len(list(made.iterdir())) - 1
    digest = hashlib.sha256((made / "verifier.wasm").read_bytes()).hexdigest()
    assert f"{digest}  verifier.wasm" in lines


def test_a_tag_is_that_of_the_version_which_all_packages_have(tmp_path: Path) -> None:
    assert release(tmp_path, "version", f"v{version()}").stdout == f"{version()}\n"
    done = release(tmp_path, "version", "v99.0.0")
    assert done.returncode == 1
    assert "the tag `v99.0.0` is not that of version" in done.stderr


def test_the_program_is_tried_on_cases(tmp_path: Path) -> None:
    done = release(tmp_path, "try")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"linkgate {version()}\n")


def test_the_npm_package_is_installed_from_its_tarball_and_judges(tmp_path: Path) -> None:
    tarball = packages(tmp_path, "npm") / f"linkgate-verifier-{version()}.tgz"
    project = tmp_path / "project"
    project.mkdir()
    options = ["--silent", "--no-audit", "--no-fund", "--offline"]
    subprocess.run(["npm", "install", *options, tarball], cwd=project, check=True, timeout=300)
    (project / "ask.mjs").write_text(
        'import { readFile } from "node:fs/promises";\n'
        'import { verify } from "@linkgate/verifier";\n'
        'console.log(verify(await readFile("request.json", "utf8")).outcome);\n'
    )
    for case in CASES:
        (project / "request.json").write_text(json.dumps(case["request"]))
        done = subprocess.run(["node", "ask.mjs"], cwd=project, capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.strip() == case["expect"]["decision"]


def test_the_wheel_is_installed_and_judges(tmp_path: Path) -> None:
    wheel = packages(tmp_path, "wheel") / f"linkgate-{version()}-py3-none-any.whl"
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=300)
    pip = [str(venv / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(pip, check=True, timeout=300)
    ask = "import json, linkgate, sys; print(linkgate.verify(json.load(sys.stdin)).outcome)"
    for case in CASES:
        asked = json.dumps(case["request"])
        python = [str(venv / "bin/python"), "-I", "-c", ask]
        done = subprocess.run(python, input=asked, capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.strip() == case["expect"]["decision"]
