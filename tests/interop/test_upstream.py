"""Metadata that others wrote and signed; see `tests/upstream/in-toto-golang/README.md`."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parent.parent / "upstream" / "in-toto-golang"


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A copy of the data, and the folder in which its inspection may run."""
    shutil.copytree(DATA, tmp_path / "data")
    (tmp_path / "inspect").mkdir()
    shutil.copy(DATA / "foo.tar.gz", tmp_path / "inspect")
    return tmp_path


def verify(linkgate, demo: Path, layout: str, *options: str):
    options = ("--at", "2026-01-01T00:00:00Z", "--format", "json", *options)
    done = linkgate.verify(f"data/{layout}", "data/alice.pub", cwd=demo, links="data", options=options)
    answer = json.loads(done.stdout)
    return done.returncode, answer.get("verdict", answer)


def test_the_demo_is_accepted(linkgate, demo):
    code, answer = verify(linkgate, demo, "demo.dsse.layout")
    assert (code, answer["decision"], answer["findings"]) == (0, "accept", [])


def test_the_demo_without_its_inspection_is_undecided(linkgate, demo):
    code, answer = verify(linkgate, demo, "demo.dsse.layout", "--no-inspections")
    assert (code, answer["decision"], answer["code"]) == (2, "undecided", "inspection-not-run")


def test_the_demo_with_another_archive_is_rejected(linkgate, demo):
    with tarfile.open(demo / "inspect" / "foo.tar.gz", "w:gz") as archive:
        archive.add(demo / "data" / "README.md", "foo.py")
    code, answer = verify(linkgate, demo, "demo.dsse.layout")
    assert (code, answer["decision"]) == (1, "reject")
    assert "disallowed-artifact" in {finding["code"] for finding in answer["findings"]}


def test_the_demo_after_its_expiry_is_rejected(linkgate, demo):
    done = linkgate.verify("data/demo.dsse.layout", "data/alice.pub", cwd=demo, links="data", options=("--at", "2030-11-18T16:06:36Z"))
    assert done.returncode == 1


def test_the_demo_without_a_link_is_rejected(linkgate, demo):
    (demo / "data" / "package.d3ffd108.link").unlink()
    assert verify(linkgate, demo, "demo.dsse.layout")[0] == 1


def test_x509_constraints_are_undecided(linkgate, demo):
    code, answer = verify(linkgate, demo, "demo.layout")
    assert (code, answer["decision"], answer["code"]) == (2, "undecided", "layout-unsupported")


@pytest.mark.parametrize("name", ("alice", "carol", "dan", "frank", "grace"))
def test_a_key_of_theirs_loads(name, linkgate, demo):
    assert linkgate("key", "show", f"data/{name}.pub", cwd=demo).returncode == 0


@pytest.mark.parametrize("name", ("erin", "heidi"))
def test_a_key_on_another_curve_does_not(name, linkgate, demo):
    done = linkgate("key", "show", f"data/{name}.pub", cwd=demo)
    assert done.returncode != 0 and "panicked" not in done.stderr


def test_the_older_keyid_is_shown(linkgate, demo):
    assert "70ca5750c2eda80b18f41f4ec5f92146789b5d68dd09577be422a0159bd13680" in linkgate("key", "show", "data/alice.pub", cwd=demo).stdout
