"""What linkgate records is what the reference records; what it cannot record it says, and writes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from parties import Alias, payload, tamper, write_layout

# Paths, and the options beside them; `@` stands for the folder.
OPTIONS = {
    "a-file": (["src/main.c"], []),
    "a-folder": (["src"], []),
    "a-folder-with-slash": (["src/"], []),
    "two-folders": (["src", "data"], []),
    "the-present-folder": (["."], []),
    "an-absolute-path": (["@/src"], []),
    "a-missing-path": (["src", "nowhere"], []),
    "exclude-a-pattern": (["src"], ["--exclude", "*.h"]),
    "exclude-a-folder": (["src", "data"], ["--exclude", "lib"]),
    "exclude-several": (["src", "data"], ["--exclude", "*.h", "*.bin"]),
    "base-path": (["main.c", "lib"], ["--base-path", "src"]),
    "lstrip": (["src"], ["--lstrip-paths", "src/"]),
    "lstrip-two": (["src", "data"], ["--lstrip-paths", "src/", "data/"]),
    "lstrip-absolute": (["@/src"], ["--lstrip-paths", "@/"]),
    "base-path-and-lstrip": (["src"], ["--base-path", "@", "--lstrip-paths", "src/lib/"]),
}


@pytest.fixture
def tree(workspace: Path) -> Path:
    (workspace / "src" / "lib" / "lib.h").write_text("extern int lib;\n")
    (workspace / "src" / ".hidden").write_text("hidden\n")
    (workspace / "src" / "empty").write_bytes(b"")
    (workspace / "src" / "dos.txt").write_bytes(b"one\r\ntwo\rthree\n")
    (workspace / "data").mkdir()
    (workspace / "data" / "large.bin").write_bytes(os.urandom(3_000_000))
    (workspace / "data" / "na me \u00e9.txt").write_text("name\n")
    (workspace / "data" / "link.bin").symlink_to("large.bin")
    (workspace / "src" / "linked-folder").symlink_to("lib")
    return workspace


def recorded(tool, options: list[str], cwd: Path, command: list[str] | None = None) -> dict:
    """The link that the tool records with these options, `@` in them standing for the folder."""
    options = [option.replace("@", str(cwd)) for option in options]
    done = tool.run("step", "key", *options, command=command or ["true"], cwd=cwd)
    assert done.returncode == 0, done.stderr
    [link] = cwd.glob("links/step.*.link")
    value = payload(link)
    link.unlink()
    return value


@pytest.mark.parametrize(("paths", "options"), OPTIONS.values(), ids=OPTIONS)
def test_both_record_the_same_materials_and_products(paths, options, tree, linkgate, python):
    python.keygen("ed25519", "key", tree)
    arguments = ["-m", *paths, "-p", *paths, *options]
    theirs, ours = recorded(python, arguments, tree), recorded(Alias(linkgate.binary), arguments, tree)
    assert ours["materials"] == theirs["materials"] and theirs["materials"]
    assert ours["products"] == theirs["products"]
    assert (ours["name"], ours["command"]) == (theirs["name"], theirs["command"])
    assert ours["byproducts"]["return-value"] == theirs["byproducts"]["return-value"] == 0


def test_both_record_streams(tree, linkgate, python):
    python.keygen("ed25519", "key", tree)
    command = ["sh", "-c", "printf out; printf err >&2"]
    for tool in (linkgate, python):
        byproducts = recorded(tool, ["-s"], tree, command)["byproducts"]
        assert (byproducts["stdout"], byproducts["stderr"]) == ("out", "err")


def test_line_endings_are_normalised_when_asked(tree, linkgate):
    linkgate.keygen("ed25519", "key", tree)
    (tree / "src" / "unix.txt").write_bytes(b"one\ntwo\nthree\n")
    plain = recorded(linkgate, ["-m", "src/dos.txt", "src/unix.txt"], tree)["materials"]
    assert plain["src/dos.txt"] != plain["src/unix.txt"]
    normal = recorded(linkgate, ["-m", "src/dos.txt", "src/unix.txt", "--normalize-line-endings"], tree)["materials"]
    assert normal["src/dos.txt"] == normal["src/unix.txt"] == plain["src/unix.txt"]


def test_folders_behind_symlinks_are_followed_when_asked(tree, linkgate):
    linkgate.keygen("ed25519", "key", tree)
    assert not any("linked-folder/" in name for name in recorded(linkgate, ["-m", "src"], tree)["materials"])
    assert "src/linked-folder/lib.h" in recorded(linkgate, ["-m", "src", "--follow-symlink-dirs"], tree)["materials"]


def refused(done, workspace: Path, *said: str) -> None:
    """The tool ended in an error that says this, and left no link, whole or half."""
    assert done.returncode not in (0, None)
    for word in said:
        assert word in done.stdout + done.stderr
    assert "panicked" not in done.stderr
    assert not list(workspace.glob("links/*")), "a refused recording leaves nothing behind"


def test_a_symlink_loop_is_named_and_leaves_no_link(workspace, linkgate):
    linkgate.keygen("ed25519", "key", workspace)
    (workspace / "src" / "lib" / "loop").symlink_to("..")
    done = linkgate.run("step", "key", "-m", "src", "--follow-symlink-dirs", command=["true"], cwd=workspace)
    refused(done, workspace, "loop")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named_and_leaves_no_link(workspace, linkgate):
    linkgate.keygen("ed25519", "key", workspace)
    (workspace / "src" / "main.c").chmod(0)
    refused(linkgate.run("step", "key", "-m", "src", command=["true"], cwd=workspace), workspace, "src/main.c")


def test_a_missing_links_folder_is_named(workspace, linkgate):
    linkgate.keygen("ed25519", "key", workspace)
    (workspace / "links").rmdir()
    done = linkgate.run("step", "key", "-m", "src", command=["touch", "ran"], cwd=workspace)
    assert done.returncode != 0 and "links" in done.stderr
    assert not (workspace / "ran").exists(), "what cannot be recorded is not run"


def test_a_failed_command_is_recorded_only_when_asked(workspace, linkgate):
    linkgate.keygen("ed25519", "key", workspace)
    done = linkgate.run("step", "key", "-m", "src", command=["sh", "-c", "exit 7"], cwd=workspace)
    assert done.returncode == 7 and not list(workspace.glob("links/*"))
    done = linkgate.run("step", "key", "-m", "src", "--record-failure", command=["sh", "-c", "exit 7"], cwd=workspace)
    assert done.returncode == 7
    [link] = workspace.glob("links/step.*.link")
    assert payload(link)["byproducts"]["return-value"] == 7


def test_a_failed_link_is_verified_with_a_warning_and_refused_by_strict(workspace, linkgate):
    for key in ("key", "owner"):
        linkgate.keygen("ed25519", key, workspace)
    linkgate.run("step", "key", "-m", "src", "--record-failure", command=["false"], cwd=workspace)
    write_layout(workspace, False, [{"name": "step", "pubkeys": ["key.pub"], "expected_materials": [["ALLOW", "*"]]}], ["key.pub"])
    assert linkgate.sign("root.layout", "owner", cwd=workspace).returncode == 0
    assert linkgate.verify("root.layout", "owner.pub", cwd=workspace).returncode == 0
    strict = linkgate.verify("root.layout", "owner.pub", cwd=workspace, options=("--strict", "--format", "json"))
    assert strict.returncode == 1 and "step-command-failed" in strict.stdout


def unfinished(workspace: Path) -> Path:
    [path] = [path for path in workspace.rglob("*") if path.is_file() and "unfinished" in path.name]
    return path


@pytest.mark.parametrize("dsse", (False, True), ids=("metablock", "dsse"))
def test_a_tampered_unfinished_record_is_refused(dsse, workspace, linkgate):
    linkgate.keygen("ed25519", "key", workspace)
    options = ["--use-dsse"] if dsse else []
    assert linkgate.start("step", "key", "-m", "src", *options, cwd=workspace).returncode == 0
    path = unfinished(workspace)
    tamper(path, lambda link: link["materials"]["src/main.c"].update(sha256="0" * 64))
    done = linkgate.stop("step", "key", "-p", "src", *options, cwd=workspace)
    assert done.returncode != 0 and not list(workspace.glob("links/step.*.link"))


def test_an_unfinished_record_by_another_key_is_refused(workspace, linkgate):
    for key in ("key", "other"):
        linkgate.keygen("ed25519", key, workspace)
    assert linkgate.start("step", "key", "-m", "src", cwd=workspace).returncode == 0
    assert linkgate.stop("step", "other", "-p", "src", cwd=workspace).returncode != 0
    assert not list(workspace.glob("links/step.*.link"))
    assert linkgate.stop("step", "key", "-p", "src", cwd=workspace).returncode == 0


def test_stop_without_start_is_refused(workspace, linkgate):
    linkgate.keygen("ed25519", "key", workspace)
    refused(linkgate.stop("step", "key", "-p", "src", cwd=workspace), workspace, "step")


def test_the_unfinished_record_is_gone_after_stop(workspace, linkgate):
    linkgate.keygen("ed25519", "key", workspace)
    assert linkgate.start("step", "key", "-m", "src", cwd=workspace).returncode == 0
    assert linkgate.stop("step", "key", "-p", "src", cwd=workspace).returncode == 0
    assert not [path for path in workspace.rglob("*") if "unfinished" in path.name]


def test_keygen_never_overwrites_and_hides_the_secret(workspace, linkgate):
    linkgate.must("keygen", "-t", "ed25519", "-n", "key", cwd=workspace)
    assert (workspace / "key").stat().st_mode & 0o777 == 0o600
    before = (workspace / "key").read_bytes(), (workspace / "key.pub").read_bytes()
    assert linkgate("keygen", "-t", "rsa", "-n", "key", cwd=workspace).returncode != 0
    assert before == ((workspace / "key").read_bytes(), (workspace / "key.pub").read_bytes())


@pytest.mark.parametrize("family", ("ed25519", "ecdsa", "rsa"))
def test_key_show_gives_the_reference_s_keyid(family, workspace, linkgate, python):
    from in_toto.models.layout import Layout

    for name, tool in (("ours", linkgate), ("theirs", python)):
        tool.keygen(family, name, workspace)
        expected = Layout().add_functionary_key_from_path(str(workspace / f"{name}.pub"))
        [shown] = json.loads(linkgate.must("key", "show", f"{name}.pub", "--json", cwd=workspace).stdout).values()
        assert {member: shown[member] for member in ("keyid", "keytype", "scheme", "keyval")} == expected


MATCHES = {
    "equal": lambda cwd: None,
    "changed": lambda cwd: (cwd / "src" / "main.c").write_text("changed\n"),
    "gone": lambda cwd: (cwd / "src" / "main.c").unlink(),
    "more": lambda cwd: (cwd / "src" / "more.c").write_text("more\n"),
}


@pytest.mark.parametrize("options", ([], ["-p", "src"], ["-p", "src", "-e", "*.h"], ["-p", "src", "--lstrip-paths", "src/"]), ids=("nothing", "paths", "exclude", "lstrip"))
@pytest.mark.parametrize("change", MATCHES.values(), ids=MATCHES)
@pytest.mark.parametrize("recorder", ("linkgate", "python"))
def test_both_match_products_alike(recorder, change, options, party, workspace, linkgate, python):
    party(recorder).keygen("ed25519", "key", workspace)
    strip = ["--lstrip-paths", "src/"] if "--lstrip-paths" in options else []
    assert party(recorder).run("step", "key", "-p", "src", *strip, command=["true"], cwd=workspace).returncode == 0
    [link] = workspace.glob("links/step.*.link")
    link.rename(workspace.parent / "step.link")
    for name in ("key", "key.pub"):
        (workspace / name).unlink()
    change(workspace)
    ours, theirs = (tool.match_products("-l", "../step.link", *options, "-v", cwd=workspace) for tool in (linkgate, python))
    assert ours.returncode == theirs.returncode
    differing = lambda done: sorted(line for line in done.stdout.splitlines() if ": " in line)
    assert differing(ours) == differing(theirs)
