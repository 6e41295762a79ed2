"""Called by a reference tool's name, linkgate takes that tool's arguments and ends as it does.

Each row is a line of an existing pipeline. It runs twice, in two copies of one folder: with the reference tool, and
with linkgate under that name. Both must end with the code in the table; links must say the same.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from parties import Python, is_dsse, payload, run, tamper, write_layout

NAMES = ("run", "record", "verify", "sign", "match-products", "mock")


@dataclass(frozen=True)
class Line:
    """A command line, the lines before it that prepare for it, and the code with which it ends."""

    line: str
    code: int
    before: tuple[str, ...] = ()


KEY = "--signing-key builder"
BUILT = f"run -n build {KEY} -m src -p app -d links -- cp src/main.c app"
START = f"record start -n build {KEY} -m src"
LAYOUT = "-l ../root.layout --verification-keys ../owner.pub --link-dir ../links"
LINES = {
    "run": Line(BUILT, 0),
    "run-dsse": Line(f"run --use-dsse -n build {KEY} -m src -p app -d links -- cp src/main.c app", 0),
    "run-long-options": Line(f"run --step-name build {KEY} --materials src --products app --metadata-directory links -- cp src/main.c app", 0),
    "run-several-paths": Line(f"run -n build {KEY} -m src/main.c src/lib -p app src -d links -- cp src/main.c app", 0),
    "run-into-this-folder": Line(f"run -n build {KEY} -- true", 0),
    "run-exclude": Line(f"run -n build {KEY} -m src --exclude *.h lib -d links -- true", 0),
    "run-base-path": Line(f"run -n build {KEY} -m main.c --base-path src -d links -- true", 0),
    "run-lstrip": Line(f"run -n build {KEY} -m src --lstrip-paths src/ -d links -- true", 0),
    "run-streams": Line(f"run -n build {KEY} -s -d links -- echo said", 0),
    "run-no-command": Line(f"run -n build {KEY} -m src -x -d links", 0),
    "run-no-command-long": Line(f"run -n build {KEY} -m src --no-command -d links", 0),
    "run-verbose": Line(f"run -v -n build {KEY} -d links -- true", 0),
    "run-quiet": Line(f"run -q -n build {KEY} -d links -- true", 0),
    "run-timeout-kept": Line(f"run --run-timeout 60 -n build {KEY} -d links -- true", 0),
    "run-timeout-passed": Line(f"run --run-timeout 1 -n build {KEY} -d links -- sleep 20", 1),
    "run-command-fails": Line(f"run -n build {KEY} -d links -- false", 1),
    "run-command-fails-with-7": Line(f"run -n build {KEY} -d links -- exit7", 7),
    "run-command-missing": Line(f"run -n build {KEY} -d links -- no-such-command-anywhere", 1),
    "run-key-missing": Line("run -n build --signing-key nowhere -d links -- true", 1),
    "run-key-is-public": Line("run -n build --signing-key builder.pub -d links -- true", 1),
    "run-without-name": Line(f"run {KEY} -- true", 2),
    "run-without-key": Line("run -n build -- true", 2),
    "run-without-command": Line(f"run -n build {KEY}", 2),
    "run-unknown-option": Line(f"run --no-such-option -n build {KEY} -- true", 2),
    "run-verbose-and-quiet": Line(f"run -v -q -n build {KEY} -- true", 2),
    "run-version": Line("run --version", 0),
    "run-help": Line("run --help", 0),
    "record-start": Line(START, 0),
    "record-stop": Line(f"record stop -n build {KEY} -p app -d links", 0, (START,)),
    "record-stop-dsse": Line(f"record stop -n build {KEY} -p app -d links", 0, (f"{START} --use-dsse",)),
    "record-stop-without-start": Line(f"record stop -n build {KEY} -p app", 1),
    "record-stop-another-key": Line("record stop -n build --signing-key owner -p app", 1, (START,)),
    "record-start-without-key": Line("record start -n build -m src", 2),
    "record-start-without-name": Line(f"record start {KEY} -m src", 2),
    "record-start-key-missing": Line("record start -n build --signing-key nowhere", 1),
    "record-without-verb": Line("record", 2),
    "record-unknown-verb": Line("record pause -n build", 2),
    "verify": Line(f"verify {LAYOUT}", 0, (BUILT,)),
    "verify-long": Line("verify --layout ../root.layout --verification-keys ../owner.pub --link-dir ../links", 0, (BUILT,)),
    "verify-quiet": Line(f"verify -q {LAYOUT}", 0, (BUILT,)),
    "verify-verbose": Line(f"verify -v {LAYOUT}", 0, (BUILT,)),
    "verify-timeout": Line(f"verify --inspection-timeout 60 {LAYOUT}", 0, (BUILT,)),
    "verify-link-missing": Line(f"verify {LAYOUT}", 1),
    "verify-another-key": Line("verify -l ../root.layout --verification-keys ../builder.pub --link-dir ../links", 1, (BUILT,)),
    "verify-two-keys-one-signed": Line("verify -l ../root.layout --verification-keys ../owner.pub ../builder.pub --link-dir ../links", 1, (BUILT,)),
    "verify-layout-missing": Line("verify -l nowhere --verification-keys ../owner.pub --link-dir ../links", 1),
    "verify-key-missing": Line("verify -l ../root.layout --verification-keys nowhere --link-dir ../links", 1),
    "verify-layout-malformed": Line("verify -l ../src/main.c --verification-keys ../owner.pub --link-dir ../links", 1),
    "verify-without-layout": Line("verify --verification-keys ../owner.pub", 2),
    "verify-without-keys": Line("verify -l ../root.layout", 2),
    "verify-unknown-option": Line(f"verify {LAYOUT} --no-such-option", 2),
    "sign": Line("sign -f root.layout -k owner", 0),
    "sign-two-keys": Line("sign -f root.layout -k owner builder -o signed.layout", 0),
    "sign-append": Line("sign -f root.layout -k builder -a", 0),
    "sign-verify": Line("sign -f root.layout -k owner.pub --verify", 0),
    "sign-verify-another-key": Line("sign -f root.layout -k builder.pub --verify", 1),
    "sign-verify-two-keys": Line("sign -f root.layout -k owner.pub builder.pub --verify", 0, ("sign -f root.layout -k builder -a",)),
    "sign-file-missing": Line("sign -f nowhere -k owner", 2),
    "sign-no-metadata": Line("sign -f src/main.c -k owner", 2),
    "sign-key-missing": Line("sign -f root.layout -k nowhere", 2),
    "sign-without-file": Line("sign -k owner", 2),
    "sign-without-key": Line("sign -f root.layout", 2),
    "sign-append-and-verify": Line("sign -f root.layout -k owner.pub -a --verify", 2),
    "match-products": Line("match-products -l build.link -p app", 0, (BUILT, "copy-link")),
    "match-products-differ": Line("match-products -l build.link -p src", 1, ("copy-link",)),
    "match-products-link-missing": Line("match-products -l nowhere -p app", 1),
    "match-products-without-link": Line("match-products -p app", 2),
    "mock": Line("mock -n build -- cp src/main.c app", 0),
    "mock-dsse": Line("mock --use-dsse -n build -- cp src/main.c app", 0),
    "mock-without-name": Line("mock -- true", 2),
    "mock-without-command": Line("mock -n build", 2),
}


@dataclass(frozen=True)
class Named:
    """Tools by their `in-toto-*` names, in some folder."""

    folder: Path

    def __call__(self, line: str, cwd: Path):
        if line == "copy-link":
            [link] = [*cwd.glob("links/build.*.link")][:1] or [cwd / "made.link"]
            shutil.copy(link, cwd / "build.link")
            return None
        tool, *arguments = line.split()
        where = cwd / "inspect" if tool == "verify" else cwd
        return run(self.folder / f"in-toto-{tool}", *arguments, cwd=where)


@pytest.fixture
def pipeline(workspace: Path, python: Python) -> Path:
    """A workspace with keys, a signed layout and a link; `exit7` is a command of its own."""
    for key in ("builder", "owner"):
        python.keygen("ed25519", key, workspace)
    write_layout(workspace, False, [{"name": "build", "pubkeys": ["builder.pub"], "expected_products": [["CREATE", "app"], ["DISALLOW", "*"]]}], ["builder.pub"])
    assert python.sign("root.layout", "owner", cwd=workspace).returncode == 0
    assert python.run("made", "builder", "-p", "src/main.c", command=["true"], cwd=workspace).returncode == 0
    [link] = workspace.glob("links/made.*.link")
    link.rename(workspace / "made.link")
    return workspace


def work(line: Line, tools: Named, cwd: Path):
    for before in line.before:
        done = tools(before, cwd)
        assert done is None or done.returncode == 0, f"{before}: {done.stdout}{done.stderr}"
    return tools(line.line, cwd)


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_line_of_a_pipeline_ends_as_it_did(line, pipeline, aliases, python, twin, monkeypatch):
    commands = pipeline.parent / "commands"
    commands.mkdir()
    (commands / "exit7").write_text("#!/bin/sh\nexit 7\n")
    (commands / "exit7").chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=":")

    def once(tools: Named, cwd: Path):
        done = work(line, tools, cwd)
        links = {path.relative_to(cwd): path for path in cwd.rglob("*.link") if path.name != "made.link"}
        return done, {name: (is_dsse(path), payload(path)) for name, path in links.items()}

    (theirs, their_links), (ours, our_links) = twin(pipeline, Named(python.bin), Named(aliases), once)
    assert theirs.returncode == line.code, f"the table is wrong: {theirs.stdout}{theirs.stderr}"
    assert ours.returncode == line.code, ours.stdout + ours.stderr
    assert "panicked" not in ours.stderr
    assert our_links.keys() == their_links.keys()
    for name, (dsse, link) in our_links.items():
        their_dsse, other = their_links[name]
        assert dsse == their_dsse
        for member in ("_type", "name", "materials", "products", "command"):
            assert link[member] == other[member], f"{name}: {member}"
        for member, value in other["byproducts"].items():
            assert link["byproducts"].get(member, "") == value, f"{name}: {member}"


@pytest.mark.parametrize("line", ("run -n build -g -- true", "run -n build -g ABCD -- true", "record start -n build -g", "verify -l ../root.layout -g ABCD", "sign -f root.layout -g ABCD"))
def test_gpg_is_a_usage_error_that_says_so(line, pipeline, aliases):
    done = Named(aliases)(line, pipeline)
    assert done.returncode == 2 and "gpg" in (done.stdout + done.stderr).lower()


@pytest.mark.parametrize("line", ("sign -f root.layout -k owner", "sign -f root.layout -k owner.pub --verify", "sign -f root.layout -k owner --gpg-home nowhere"))
def test_a_success_is_silent_as_the_reference_s(line, pipeline, aliases, python, twin):
    def once(tools: Named, cwd: Path):
        done = work(Line(line, 0, (BUILT,)), tools, cwd)
        return done.returncode, done.stdout + done.stderr

    assert twin(pipeline, Named(python.bin), Named(aliases), once) == [(0, ""), (0, "")]


def test_another_command_than_expected_is_told_on_an_accept(pipeline, aliases, python, twin):
    step = {"name": "build", "pubkeys": ["builder.pub"], "expected_command": ["make"]}
    write_layout(pipeline, False, [step], ["builder.pub"])
    assert python.sign("root.layout", "owner", cwd=pipeline).returncode == 0

    def once(tools: Named, cwd: Path):
        done = work(Line(f"verify {LAYOUT} --gpg-home nowhere", 0, (BUILT,)), tools, cwd)
        return done.returncode, done.stderr.split("differs from expected command")[0].strip("[]' ,")

    (their_code, theirs), (our_code, ours) = twin(pipeline, Named(python.bin), Named(aliases), once)
    assert (their_code, our_code) == (0, 0)
    assert theirs.startswith("Run command ") and ours == "Run command 'cp src/main.c app"


@pytest.mark.parametrize("line", ("verify -l ../root.layout", "verify -l ../root.layout --verification-keys ../builder.pub --link-dir ../links", "run -n build -- true", f"run {KEY} -- true", f"record start {KEY}"))
def test_advice_is_in_the_reference_s_words(line, pipeline, aliases):
    said = Named(aliases)(line, pipeline).stderr
    assert "linkgate" not in said and "--key " not in said and "--name " not in said, said


def test_every_name_is_installed(aliases):
    assert {f"in-toto-{name}" for name in (*NAMES, "keygen")} <= {path.name for path in aliases.iterdir()}


def test_undecided_is_1_under_a_reference_name(pipeline, aliases, linkgate):
    tamper(pipeline / "root.layout", lambda layout: layout.update(expires="soon"))
    assert linkgate.verify("root.layout", "owner.pub", cwd=pipeline).returncode == 2
    assert Named(aliases)(f"verify {LAYOUT}", pipeline).returncode == 1


def test_the_workflow_line_runs_as_it_stands(pipeline, aliases, monkeypatch):
    (pipeline / "Makefile").write_text("all:\n\tcp src/main.c myapp.tar\n")
    (pipeline / "builder-key").write_bytes((pipeline / "builder").read_bytes())
    monkeypatch.setenv("GITHUB_JOB", "build")
    line = "run --key-path builder-key --links-dir links/ --materials src/ --products myapp.tar -- cp src/main.c myapp.tar"
    assert Named(aliases)(line, pipeline).returncode == 0
    [link] = pipeline.glob("links/build.*.link")
    assert set(payload(link)["products"]) == {"myapp.tar"}
    assert set(payload(link)["materials"]) == {"src/main.c", "src/lib/lib.c"}
