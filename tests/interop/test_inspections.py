"""Inspections see what the folder has: in a copy what in-toto-verify sees in the folder itself, and nothing else.

A delivery is whoever's: its links may lead anywhere, its files may be none. What the owner's command sees and what is
recorded must not depend on whether that happens in a copy; where no copy can be made, nothing is decided.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from parties import Linkgate, Outcome, Python, run, write_layout

PATIENCE = 60


@dataclass(frozen=True)
class Chain:
    """A chain whose one step made nothing, and a folder `inspect` that its inspections look at."""

    folder: Path
    linkgate: Linkgate
    python: Python
    aliases: Path

    @property
    def inspected(self) -> Path:
        return self.folder / "inspect"

    def layout(self, *commands: list[str], **rules: list) -> None:
        """A signed layout with an inspection for each command: `look`, `look1`, .."""
        inspect = [
            {
                "_type": "inspection",
                "name": f"look{at or ''}",
                "run": command,
                "expected_materials": rules.get("materials", []),
                "expected_products": rules.get("products", []),
            }
            for at, command in enumerate(commands)
        ]
        write_layout(self.folder, False, [{"name": "build", "pubkeys": ["builder.pub"]}], ["builder.pub"], inspect=inspect)
        assert self.linkgate.sign("root.layout", "owner", cwd=self.folder).returncode == 0

    def verify(self, *options: str) -> Outcome:
        return self.linkgate.verify("root.layout", "owner.pub", cwd=self.folder, options=options)

    def as_in_toto(self, bin: Path | None = None) -> Outcome:
        """By the reference's name, or by the reference itself."""
        arguments = ["-l", "../root.layout", "--verification-keys", "../owner.pub", "--link-dir", "../links"]
        return run((bin or self.aliases) / "in-toto-verify", *arguments, cwd=self.inspected)

    def recorded(self, *options: str) -> dict[str, dict]:
        """The materials of `look`, as linkgate's verifier was told them."""
        self.verify("--save-request", "request.json", *options)
        results = json.loads((self.folder / "request.json").read_text())["inspections"]
        return json.loads(results[0]["text"])["materials"]

    def recorded_by_python(self) -> dict[str, dict]:
        self.as_in_toto(self.python.bin)
        link = self.inspected / "look.link"
        materials = json.loads(link.read_text())["signed"]["materials"]
        link.unlink()
        return materials


@pytest.fixture
def chain(workspace: Path, linkgate: Linkgate, python: Python, aliases: Path, monkeypatch: pytest.MonkeyPatch) -> Chain:
    for key in ("builder", "owner"):
        linkgate.keygen("ed25519", key, workspace)
    assert linkgate.run("build", "builder", command=["true"], cwd=workspace).returncode == 0
    (workspace / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(workspace / "tmp"))
    (workspace / "inspect" / "app").write_text("app")
    (workspace / "other").mkdir()
    (workspace / "other" / "evil.sh").write_text("evil")
    return Chain(workspace, linkgate, python, aliases)


def links(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / name).symlink_to(text)


def is_left(chain: Chain) -> list[Path]:
    return list((chain.folder / "tmp").iterdir())


# What is recorded.


@pytest.mark.parametrize(
    "texts",
    [
        {"run": "../other/evil.sh"},
        {"lib": "../other"},
        {"run": "{}/other/evil.sh"},
        {"lib": "{}/other"},
        {"first": "second", "second": "../other/evil.sh"},
        {"lib": "../other", "through": "lib/evil.sh"},
        {"back": "lib/../inspect/app", "lib": "../other"},
        {"back": "../inspect/app"},
        {"self": "{}/inspect/app"},
        {"over": "lib/../other/evil.sh", "lib": "../other"},
        {"a": "../other", "b": "../other", "c": "../other/evil.sh"},
        {"nothing": "../none", "none": "{}/none", "inside": "none/x", "file": "app/x", "loop": "loop"},
        {"etc": "/etc/ssl"},
        {"x.link": "../other/evil.sh", "x.pyc": "../other/evil.sh", ".git": "../other"},
        {"deep": "app", "deeper": "./deep", "deepest": ".//deeper"},
    ],
    ids=lambda texts: "-".join(f"{name}={text}" for name, text in texts.items()),
)
def test_what_links_lead_to_is_recorded_as_the_reference_does(texts, chain):
    chain.layout(["true"])
    links(chain.folder / "other", up="evil.sh", back="../inspect/app")
    links(chain.inspected, **{name: text.format(chain.folder) for name, text in texts.items()})
    theirs = chain.recorded_by_python()
    assert chain.recorded() == theirs
    assert chain.recorded("--inspect-in-place") == theirs


def test_what_a_link_leads_out_to_is_refused_as_the_reference_does(chain):
    chain.layout(["true"], materials=[["ALLOW", "app"], ["DISALLOW", "*"]])
    assert chain.verify().returncode == 0
    links(chain.inspected, run="../other/evil.sh", lib="../other")
    done = chain.verify()
    assert done.returncode == 1 and "`run` is a material" in done.stdout and "`lib/evil.sh` is a material" in done.stdout
    assert chain.as_in_toto().returncode == chain.as_in_toto(chain.python.bin).returncode == 1


# A delivery's link that leads to nothing until the inspection unpacked it.
UNPACK = ["sh", "-c", "mkdir -p proj && cp app proj/foo.py"]
LATER = {
    "file": {"late": "proj/../proj/foo.py"},
    "folder": {"late": "./proj/../proj"},
    "excluded": {"late": "proj/../proj/../evil~"},
    "absolute": {"late": "{}/inspect/proj/foo.py"},
    "absolute-folder": {"late": "{}/inspect/proj/"},
    "through-a-link": {"late": "{}/inspect/on", "on": "proj/foo.py"},
    "from-outside": {"lib": "../other"},
    "up-from-a-link": {"late": "lib/../inspect/proj/foo.py", "lib": "../other"},
}


@pytest.mark.parametrize("texts", LATER.values(), ids=LATER)
def test_what_a_link_leads_to_after_the_command_is_refused_as_the_reference_does(texts, chain):
    given = [["ALLOW", name] for name in ("app", "lib/evil.sh", "on", "proj/foo.py")]
    chain.layout(UNPACK, products=[*given, ["DISALLOW", "*"]])
    (chain.inspected / "evil~").write_text("evil")
    assert chain.verify().returncode == 0
    if "lib" in texts:
        links(chain.folder / "other", late=f"{chain.inspected}/proj/../proj/foo.py")
    links(chain.inspected, **{name: text.format(chain.folder) for name, text in texts.items()})
    done = chain.verify()
    assert done.returncode == 1 and "is a product of `look`" in done.stdout, done
    assert chain.as_in_toto(chain.python.bin).returncode == 1


def test_links_to_one_missing_place_outside_share_it(chain):
    chain.layout(["sh", "-c", "echo evil > a"], products=[["ALLOW", "app"], ["ALLOW", "a"], ["DISALLOW", "*"]])
    links(chain.inspected, a="../none", b="{}/none".format(chain.folder))
    assert chain.verify().returncode == 1
    assert not (chain.folder / "none").exists()
    assert chain.as_in_toto(chain.python.bin).returncode == 1


@pytest.mark.parametrize(
    "texts",
    (
        {"late": "proj/../../inspect/proj/foo.py"},
        {"late": "proj/../lib/../inspect/proj/foo.py", "lib": "../other"},
        {"a": "../other/none", "lib": "../other"},
        {"a": "../other/sub", "lib": "../other"},
    ),
    ids=("out-and-back", "up-from-a-link", "copied-later", "copied-twice"),
)
def test_what_a_copy_could_show_otherwise_is_undecided(texts, chain):
    chain.layout(UNPACK)
    (chain.folder / "other" / "sub").mkdir()
    assert chain.verify().returncode == 0
    links(chain.inspected, **texts)
    done = chain.verify()
    assert done.returncode == 2 and "[inspection-not-run]" in done.stdout
    assert "the folder cannot be copied as it is" in done.stderr
    assert is_left(chain) == []


def test_nobody_else_s_file_is_taken_for_the_delivery_s(chain):
    """What lies where a relative link would lead to from the copy, at any height."""
    chain.layout(["true"])
    (chain.folder / "aside").mkdir()
    (chain.folder / "aside" / "lib.so").write_text("tampered")
    links(chain.inspected, **{"lib.so": "../aside/lib.so", "none": "../planted", "far": "../../planted", "farther": "../../../planted"})
    for place in (chain.folder / "tmp", chain.folder, chain.folder.parent):
        (place / "aside").mkdir(exist_ok=True)
    (chain.folder / "tmp" / "aside" / "lib.so").write_text("good")
    (chain.folder / "tmp" / "planted").write_text("planted")
    theirs = chain.recorded_by_python()
    assert set(theirs) == {"app", "lib.so"}
    assert chain.recorded() == theirs


def test_what_is_not_recorded_is_told(chain):
    chain.layout(["true"])
    links(chain.inspected, gone="../none")
    done = chain.verify()
    assert done.returncode == 0 and "inspection `look`: `gone` is a link to nothing and is not recorded" in done.stderr
    for at in range(20):
        links(chain.inspected, **{f"gone{at}": "nowhere"})
    assert chain.verify().stderr.count("is a link to nothing") == 5 and "16 more are not recorded" in chain.verify().stderr
    assert chain.verify("--quiet").stderr == ""


# What the command can do.


def test_a_command_writes_nowhere_but_to_the_copy(chain):
    victim = chain.folder / "victim.txt"
    victim.write_text("precious")
    (chain.folder / "other" / "kept").write_text("precious")
    links(chain.inspected, report=str(victim), relative="../victim.txt", lib="../other", new=str(chain.folder / "new"), near="../near")
    chain.layout(["sh", "-c", "for file in report relative lib/kept new near app; do echo written > $file || exit 1; done; rm lib/evil.sh"])
    before = sorted(chain.folder.rglob("*"))
    done = chain.verify()
    assert done.returncode == 0, done.stdout
    assert victim.read_text() == (chain.folder / "other" / "kept").read_text() == "precious"
    assert (chain.inspected / "app").read_text() == "app"
    assert sorted(chain.folder.rglob("*")) == before


def test_a_second_verification_sees_what_the_first_saw(chain):
    chain.layout(["sh", "-c", "test ! -e mark && touch mark && rm app"])
    assert [chain.verify().returncode for _ in range(2)] == [0, 0]
    assert os.listdir(chain.inspected) == ["app"]


@pytest.mark.parametrize("name", ("linkgate", "in-toto-verify"))
def test_in_the_folder_itself(name, chain):
    chain.layout(["sh", "-c", "test ! -e mark && touch mark"])

    def verify() -> Outcome:
        return chain.verify("--inspect-in-place") if name == "linkgate" else chain.as_in_toto()

    assert verify().returncode == 0
    assert (chain.inspected / "mark").exists()
    done = verify()
    assert done.returncode == 1 and "copy" not in done.stdout + done.stderr


LOOK = """
import json, os, stat, sys
seen = {}
for folder, folders, files in os.walk("."):
    for name in [".", *folders, *files] if folder == "." else folders + files:
        path = os.path.join(folder, name)
        about = os.lstat(path)
        said = [stat.filemode(about.st_mode), about.st_uid, about.st_gid, about.st_mtime_ns]
        if stat.S_ISLNK(about.st_mode):
            said.append(os.readlink(path))
        elif stat.S_ISREG(about.st_mode):
            said += [about.st_nlink, about.st_size, about.st_blocks < 100, open(path, "rb").read(64).hex()]
            said.append({name: os.getxattr(path, name).hex() for name in os.listxattr(path) if name.startswith("user.")})
        seen[path] = said
same = lambda a, b: os.path.samefile(a, b)
seen["same"] = [same("hard", "app"), same("a/one", "b/two"), same("link", "app")]
json.dump(seen, open(sys.argv[1], "w"), sort_keys=True)
"""


def test_a_copy_is_faithful(chain):
    folder = chain.inspected
    for inner in ("a/deep", "b", ".git/objects", "empty", "closed"):
        (folder / inner).mkdir(parents=True)
    (folder / "a" / "one").write_text("one")
    (folder / ".git" / "config").write_text("[core]")
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (folder / "closed" / "x").write_text("x")
    os.link(folder / "app", folder / "hard")
    os.link(folder / "a" / "one", folder / "b" / "two")
    links(folder, link="app")
    links(folder / "a", up="../app", dangling="../none", self="self")
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 26)
        sparse.seek(1 << 25)
        sparse.write(b"data")
    os.setxattr(folder / "app", "user.origin", b"elsewhere")
    (folder / "a" / "one").chmod(0o4755)
    (folder / "closed" / "x").chmod(0o400)
    (folder / "b").chmod(0o2711)
    if os.geteuid() == 0:
        os.chown(folder / "a" / "deep", 1234, 1234)
    for at, path in enumerate([folder, *folder.rglob("*")]):
        os.utime(path, ns=(10**18, 10**18 + 123456789 * at), follow_symlinks=False)
    (folder / "closed").chmod(0o500)
    seen = {}
    for how in ((), ("--inspect-in-place",)):
        chain.layout([sys.executable, "-c", LOOK, str(chain.folder / "seen.json")])
        assert chain.verify(*how).returncode == 0
        seen[how] = json.loads((chain.folder / "seen.json").read_text())
    assert seen[()] == seen["--inspect-in-place",]
    assert seen[()]["same"] == [True, True, True]
    assert is_left(chain) == []


def test_the_copy_is_private_and_what_is_beside_it_is_nothing(chain):
    chain.layout(["sh", "-c", f"(pwd; ls -a ..; stat -c %a .. ../..) > {chain.folder}/said"])
    old = os.umask(0)
    try:
        assert chain.verify().returncode == 0
    finally:
        os.umask(old)
    said = (chain.folder / "said").read_text().splitlines()
    assert said[0].startswith(f"{(chain.folder / 'tmp').resolve()}/linkgate-inspection-") and said[0].endswith("/inspect")
    assert said[1:4] == [".", "..", "inspect"]
    assert said[4:] == ["700", "700"]


def test_an_inspected_folder_that_holds_the_folder_of_temporary_files(chain, monkeypatch):
    (chain.inspected / "tmp").mkdir()
    (chain.inspected / "tmp" / "kept").write_text("kept")
    monkeypatch.setenv("TMPDIR", str(chain.inspected / "tmp"))
    chain.layout(["true"], materials=[["ALLOW", "app"], ["ALLOW", "tmp/kept"], ["DISALLOW", "*"]])
    assert chain.verify().returncode == 0
    assert os.listdir(chain.inspected / "tmp") == ["kept"]


# Where there is no faithful copy.


def make_socket(path: Path) -> None:
    # A socket's name has at most 107 characters.
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda folder: os.mkfifo(folder / "odd"), "pipe"),
        (lambda folder: make_socket(folder / "odd"), "socket"),
        (lambda folder: (os.mkfifo(folder.parent / "pipe"), links(folder, odd="../pipe")), "pipe"),
        (lambda folder: links(folder, odd="/dev/zero"), "device"),
        (lambda folder: links(folder, odd="/proc/self/status"), "makes up"),
    ],
    ids=("pipe", "socket", "link-to-a-pipe", "link-to-a-device", "link-to-a-file-of-the-system"),
)
def test_what_has_no_copy_is_undecided(make, what, chain):
    chain.layout(["touch", str(chain.folder / "ran")])
    make(chain.inspected)
    done = chain.verify()
    assert done.returncode == 2 and "[inspection-not-run]" in done.stdout
    assert what in done.stderr and "inspection `look` gave no result" in done.stderr and "--inspect-in-place" in done.stderr
    assert not (chain.folder / "ran").exists(), "the copy was not faithful"
    assert is_left(chain) == []
    if what != "makes up":
        assert chain.as_in_toto(chain.python.bin).returncode == 0
        (chain.inspected / "look.link").unlink()
        assert chain.verify("--inspect-in-place").returncode == chain.as_in_toto().returncode == 0


@pytest.mark.parametrize("text", ("..", "../..", "/", "{}"))
def test_a_folder_in_itself_is_undecided(text, chain):
    """By links that lead to a folder above."""
    (chain.inspected / "a").mkdir()
    links(chain.inspected / "a", up=text.format(chain.folder))
    chain.layout(["true"])
    done = chain.verify()
    assert done.returncode == 2 and "inspection `look` gave no result" in done.stderr
    assert is_left(chain) == []


def test_a_copy_that_does_not_fit_is_undecided(chain):
    (chain.inspected / "big").write_bytes(b"x" * (8 << 20))
    chain.layout(["true"])
    small = f"mount -t tmpfs -o size=4m tmpfs {chain.folder}/tmp && exec {chain.linkgate.binary} verify -l root.layout -d links -k owner.pub --inspect-dir inspect"
    done = run("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", small, cwd=chain.folder)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this machine lets nobody mount a small file system")
    assert done.returncode == 2 and "no storage space" in done.stderr, done.stderr


def test_a_name_forges_no_line_of_a_log(chain):
    name = "a\n::error::forged\x1b[31m"
    os.mkfifo(chain.inspected / name)
    links(chain.inspected, **{f"{name}2": "nowhere"})
    chain.layout(["true"])
    for done in (chain.verify(), chain.verify("--inspect-in-place")):
        said = done.stdout + done.stderr
        assert "forged" in said and "\x1b" not in said
        assert not any(line.startswith("::") for line in said.splitlines())


def test_folders_that_lead_to_one_another_end(chain):
    """Twenty folders, each with two links to the next: a million paths, one file."""
    for at in range(20):
        folder = chain.inspected / f"d{at}"
        folder.mkdir()
        links(folder, a=f"../d{at + 1}", b=f"{chain.inspected}/d{at + 1}")
    (chain.inspected / "d20").mkdir()
    (chain.inspected / "d20" / "x").write_text("x")
    chain.layout(["true"])
    done = chain.verify()
    assert done.returncode == 2 and "links lead to more folders or files than a link can hold" in done.stderr


# How they end.


@pytest.mark.parametrize("rule", (["exit 3"], ["touch evil"]), ids=("command", "rule"))
def test_a_failure_in_a_copy_says_that_it_was_one(rule, chain):
    chain.layout(["sh", "-c", *rule], products=[["DISALLOW", "evil"]])
    said = "Inspections ran in a copy of `inspect`; --inspect-in-place runs them in the folder itself"
    done = chain.verify()
    assert done.returncode == 1 and said in done.stdout.splitlines()
    done = chain.verify("--format", "json")
    assert done.returncode == 1 and said not in done.stdout and said in done.stderr.splitlines()
    done = chain.verify("--inspect-in-place")
    assert done.returncode == 1 and "copy" not in done.stdout + done.stderr


def test_none_is_run_after_one_that_failed(chain):
    chain.layout(["false"], ["touch", str(chain.folder / "ran")])
    assert chain.verify().returncode == chain.as_in_toto().returncode == chain.as_in_toto(chain.python.bin).returncode == 1
    assert not (chain.folder / "ran").exists()


def test_a_command_out_of_time_leaves_nothing(chain):
    chain.layout(["sh", "-c", "mkdir -m 500 closed; sleep 100"])
    done = chain.verify("--inspect-timeout", "1")
    assert done.returncode == 2 and "did not end within 1 s" in done.stderr
    assert is_left(chain) == []


@pytest.mark.parametrize("when", ("copying", "running"))
@pytest.mark.parametrize("how", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP), ids=lambda how: how.name)
def test_a_signal_leaves_nothing(when, how, chain):
    for at in range(2000 if when == "copying" else 1):
        (chain.inspected / f"file{at}").write_text("x")
    (chain.inspected / "closed").mkdir(mode=0o500)
    chain.layout(["sh", "-c", f"touch {chain.folder}/running; sleep 100"])
    verify = ["verify", "-l", "root.layout", "-d", "links", "-k", "owner.pub", "--inspect-dir", "inspect"]
    process = subprocess.Popen(
        [chain.linkgate.binary, *verify],
        cwd=chain.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A shell's background jobs, which this may be one of, ignore SIGINT, and so would the command.
        preexec_fn=lambda: signal.signal(how, signal.SIG_DFL),
    )
    end = time.monotonic() + PATIENCE
    while not (is_left(chain) if when == "copying" else (chain.folder / "running").exists()):
        assert time.monotonic() < end and process.poll() is None
    process.send_signal(how)
    assert process.wait(PATIENCE) in (2, -how)
    assert is_left(chain) == []


# Requests from files.


@pytest.fixture
def request_file(chain: Chain) -> Path:
    """A request whose layout has an inspection that leaves a mark."""
    chain.layout(["touch", str(chain.folder / "ran")])
    chain.verify("--no-inspections", "--save-request", "request.json")
    assert not (chain.folder / "ran").exists()
    return chain.folder / "request.json"


@pytest.mark.parametrize("source", ("file", "stdin", "in-toto-verify", "in-place", "sublayouts"))
def test_a_request_from_a_file_runs_nothing(source, request_file, chain):
    options = {"in-place": ["--inspect-in-place"], "sublayouts": ["--inspect-sublayouts"]}.get(source, [])
    program = chain.aliases / "in-toto-verify" if source == "in-toto-verify" else chain.linkgate.binary
    verb = [] if source == "in-toto-verify" else ["verify"]
    path = "/dev/stdin" if source == "stdin" else request_file
    done = subprocess.run(
        [program, *verb, "--request", path, *options], cwd=chain.inspected, input=request_file.read_text(), capture_output=True, text=True, check=False
    )
    assert done.returncode == (1 if source == "in-toto-verify" else 2)
    assert "[inspection-not-run]" in done.stdout + done.stderr and "--run-inspections" in done.stderr
    assert not (chain.folder / "ran").exists()


def test_a_request_from_a_file_runs_commands_when_that_is_asked_for(request_file, chain):
    done = chain.linkgate("verify", "--request", request_file, "--run-inspections", "--inspect-dir", "inspect", cwd=chain.folder)
    assert done.returncode == 0 and "--run-inspections" not in done.stderr
    assert (chain.folder / "ran").exists()


def test_a_request_with_its_results_runs_nothing_and_needs_nothing(request_file, chain):
    assert chain.verify("--save-request", "whole.json").returncode == 0
    (chain.folder / "ran").unlink()
    done = chain.linkgate("verify", "--request", "whole.json", cwd=chain.folder)
    assert done.returncode == 0 and done.stderr == ""
    assert not (chain.folder / "ran").exists()


def test_inspections_run_only_of_a_request_that_is_given(chain):
    chain.layout(["true"])
    done = chain.verify("--run-inspections")
    assert done.returncode == 2 and "--request" in done.stderr
