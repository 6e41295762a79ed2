"""A chain made by one tool set is verified by both; a changed copy is refused by both."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
from parties import FAMILIES, is_dsse, payload, tamper, write_layout

REST = ["DISALLOW", "*"]
STEPS = [
    {
        "name": "compile",
        "pubkeys": ["builder.pub"],
        "expected_command": ["cp", "src/main.c", "app"],
        "expected_materials": [["ALLOW", "src/*"], REST],
        "expected_products": [["CREATE", "app"], ["ALLOW", "src/*"], REST],
    },
    {
        "name": "package",
        "pubkeys": ["packer.pub"],
        "expected_materials": [["MATCH", "app", "WITH", "PRODUCTS", "FROM", "compile"], REST],
        "expected_products": [["CREATE", "app.tar"], REST],
    },
]
INSPECTION = {"_type": "inspection", "name": "look", "run": ["true"], "expected_materials": [], "expected_products": [["DISALLOW", "evil"]]}
TOOLS = ("linkgate", "python")
MATRIX = [
    pytest.param(*each, id="-".join((each[0], "dsse" if each[1] else "metablock", f"{each[2]}-records", f"{each[3]}-signs")))
    for each in itertools.product(FAMILIES, (False, True), TOOLS, TOOLS)
]


def make(workspace: Path, family: str, dsse: bool, recorder, signer) -> None:
    """The chain: a step run whole, a step recorded from start to stop, and a signed layout."""
    options = ["--use-dsse"] if dsse else []
    for key in ("builder", "packer"):
        recorder.keygen(family, key, workspace)
    signer.keygen(family, "owner", workspace)
    done = recorder.run("compile", "builder", "-m", "src", "-p", "app", "src", *options, command=["cp", "src/main.c", "app"], cwd=workspace)
    assert done.returncode == 0, done.stderr
    started = recorder.start("package", "packer", "-m", "app", *options, cwd=workspace)
    assert started.returncode == 0, started.stderr
    (workspace / "app.tar").write_bytes((workspace / "app").read_bytes() * 2)
    stopped = recorder.stop("package", "packer", "-p", "app.tar", *options, cwd=workspace)
    assert stopped.returncode == 0, stopped.stderr
    links = sorted(workspace.glob("links/*.link"))
    assert [link.name.split(".")[0] for link in links] == ["compile", "package"]
    assert all(is_dsse(link) == dsse for link in links)
    write_layout(workspace, dsse, STEPS, ["builder.pub", "packer.pub"], inspect=[INSPECTION])
    signed = signer.sign("root.layout", "owner", cwd=workspace)
    assert signed.returncode == 0, signed.stderr


@pytest.mark.parametrize(("family", "dsse", "recorder", "signer"), MATRIX)
def test_each_others_chains(family, dsse, recorder, signer, party, workspace, linkgate, python):
    make(workspace, family, dsse, party(recorder), party(signer))
    for tool in (linkgate, python):
        done = tool.verify("root.layout", "owner.pub", cwd=workspace)
        assert done.returncode == 0, f"{tool}\n{done.stdout}{done.stderr}"
    assert linkgate.codes("root.layout", "owner.pub", cwd=workspace) == ("accept", set())

    def both_refuse(decision: str, code: str, key: str = "owner.pub") -> None:
        assert python.verify("root.layout", key, cwd=workspace).returncode == 1
        assert linkgate.verify("root.layout", key, cwd=workspace).returncode == (1 if decision == "reject" else 2)
        found, codes = linkgate.codes("root.layout", key, cwd=workspace)
        assert found == decision and code in codes

    def with_copy(path: Path, work) -> None:
        kept = path.with_suffix(".kept")
        shutil.copy(path, kept)
        work()
        kept.replace(path)

    [compiled] = workspace.glob("links/compile.*.link")
    [packaged] = workspace.glob("links/package.*.link")
    root = workspace / "root.layout"

    def another_digest() -> None:
        tamper(compiled, lambda link: link["products"]["app"].update(sha256="0" * 64))
        both_refuse("reject", "threshold-not-met")

    def another_material() -> None:
        tamper(packaged, lambda link: link["materials"].update(evil={"sha256": "0" * 64}))
        both_refuse("reject", "threshold-not-met")

    def another_rule() -> None:
        tamper(root, lambda layout: layout["steps"][0].update(expected_products=[]))
        both_refuse("reject", "layout-signature-invalid")

    def no_link() -> None:
        packaged.unlink()
        both_refuse("reject", "threshold-not-met")

    with_copy(compiled, another_digest)
    with_copy(packaged, another_material)
    with_copy(root, another_rule)
    with_copy(packaged, no_link)
    both_refuse("reject", "layout-signature-missing", key="builder.pub")
    assert linkgate.verify("root.layout", "owner.pub", cwd=workspace).returncode == 0, "the copies were put back"


@pytest.mark.parametrize("dsse", (False, True), ids=("metablock", "dsse"))
@pytest.mark.parametrize("recorder", TOOLS)
def test_a_change_between_two_steps_is_refused_by_both(recorder, dsse, party, workspace, linkgate, python):
    tool, options = party(recorder), ["--use-dsse"] if dsse else []
    for key in ("builder", "packer", "owner"):
        tool.keygen("ed25519", key, workspace)
    assert tool.run("compile", "builder", "-m", "src", "-p", "app", "src", *options, command=["cp", "src/main.c", "app"], cwd=workspace).returncode == 0
    (workspace / "app").write_text("changed in between")
    assert tool.run("package", "packer", "-m", "app", "-p", "app.tar", *options, command=["cp", "app", "app.tar"], cwd=workspace).returncode == 0
    write_layout(workspace, dsse, STEPS, ["builder.pub", "packer.pub"])
    assert tool.sign("root.layout", "owner", cwd=workspace).returncode == 0
    assert python.verify("root.layout", "owner.pub", cwd=workspace).returncode == 1
    assert linkgate.verify("root.layout", "owner.pub", cwd=workspace).returncode == 1
    assert linkgate.codes("root.layout", "owner.pub", cwd=workspace) == ("reject", {"disallowed-artifact"})


@pytest.mark.parametrize("found", ("good", "evil"))
def test_both_run_inspections(found, workspace, linkgate, python):
    for key in ("builder", "packer", "owner"):
        python.keygen("ed25519", key, workspace)
    python.run("compile", "builder", "-m", "src", "-p", "app", "src", command=["cp", "src/main.c", "app"], cwd=workspace)
    python.run("package", "packer", "-m", "app", "-p", "app.tar", command=["cp", "app", "app.tar"], cwd=workspace)
    look = INSPECTION | {"run": ["touch", found]}
    write_layout(workspace, False, STEPS, ["builder.pub", "packer.pub"], inspect=[look])
    assert linkgate.sign("root.layout", "owner", cwd=workspace).returncode == 0
    wanted = 0 if found == "good" else 1
    assert linkgate.verify("root.layout", "owner.pub", cwd=workspace).returncode == wanted
    assert not (workspace / "inspect" / found).exists(), "inspections run in a scratch copy"
    assert python.verify("root.layout", "owner.pub", cwd=workspace).returncode == wanted
    skipped = linkgate.verify("root.layout", "owner.pub", cwd=workspace, options=("--no-inspections",))
    assert skipped.returncode == 2


def test_two_owners_sign_in_turn(workspace, linkgate, python):
    for key in ("builder", "packer", "owner", "second"):
        python.keygen("ed25519", key, workspace)
    python.run("compile", "builder", "-m", "src", "-p", "app", "src", command=["cp", "src/main.c", "app"], cwd=workspace)
    python.run("package", "packer", "-m", "app", "-p", "app.tar", command=["cp", "app", "app.tar"], cwd=workspace)
    write_layout(workspace, False, STEPS, ["builder.pub", "packer.pub"])
    assert linkgate.sign("root.layout", "owner", cwd=workspace).returncode == 0
    assert python.sign("root.layout", "second", "--append", cwd=workspace).returncode == 0
    for tool in (linkgate, python):
        assert tool.verify("root.layout", "owner.pub", "second.pub", cwd=workspace).returncode == 0
    assert python.sign("root.layout", "owner", cwd=workspace).returncode == 0
    assert linkgate.sign("root.layout", "second", "--append", cwd=workspace).returncode == 0
    for tool in (linkgate, python):
        assert tool.verify("root.layout", "owner.pub", "second.pub", cwd=workspace).returncode == 0
    assert linkgate.sign("root.layout", "second", cwd=workspace).returncode == 0
    for tool in (linkgate, python):
        assert tool.verify("root.layout", "owner.pub", "second.pub", cwd=workspace).returncode == 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dsse", (False, True), ids=("metablock", "dsse"))
@pytest.mark.parametrize("signer", TOOLS)
def test_sign_and_verify_a_signature(family, dsse, signer, party, workspace, linkgate, python):
    for key in ("builder", "owner", "stranger"):
        party(signer).keygen(family, key, workspace)
    write_layout(workspace, dsse, [], ["builder.pub"])
    assert party(signer).sign("root.layout", "owner", "-o", "signed.layout", cwd=workspace).returncode == 0
    assert payload(workspace / "root.layout") == payload(workspace / "signed.layout")
    for tool in (linkgate, python):
        assert tool.sign("signed.layout", "owner.pub", "--verify", cwd=workspace).returncode == 0
        assert tool.sign("signed.layout", "stranger.pub", "--verify", cwd=workspace).returncode == 1
    tamper(workspace / "signed.layout", lambda layout: layout.update(readme="changed"))
    for tool in (linkgate, python):
        assert tool.sign("signed.layout", "owner.pub", "--verify", cwd=workspace).returncode == 1
