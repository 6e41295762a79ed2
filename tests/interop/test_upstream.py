"""Metadata in the form of in-toto-golang's: the project's own (`golang.py`), and what others wrote and signed (`upstream.py`)."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import golang
import pytest
import upstream
from parties import payload, tamper

GOLANG = "in-toto-golang"
# The owner's keyid by the older formula.
OLDER_KEYID = {"ours": golang.OWNER.old_formula(), "theirs": "70ca5750c2eda80b18f41f4ec5f92146789b5d68dd09577be422a0159bd13680"}


@pytest.fixture(scope="session")
def ours(tmp_path_factory) -> Path:
    """A folder with the project's own metadata."""
    folder = tmp_path_factory.mktemp("ours")
    golang.write(folder)
    return folder


@pytest.fixture(params=("ours", "theirs"))
def source(request) -> str:
    """Whose metadata it is: each test that takes this is run with both."""
    return request.param


@pytest.fixture
def data(source, request) -> Path:
    return request.getfixturevalue("ours") if source == "ours" else upstream.folder(GOLANG)


def prepared(data: Path, folder: Path) -> Path:
    """The folder, with a copy of the data in it, and a folder in which the inspection may run."""
    upstream.copy(data, folder / "data")
    (folder / "inspect").mkdir()
    shutil.copyfile(data / "foo.tar.gz", folder / "inspect" / "foo.tar.gz")
    return folder


@pytest.fixture
def demo(data, tmp_path) -> Path:
    return prepared(data, tmp_path)


@pytest.fixture
def own_demo(ours, tmp_path) -> Path:
    """The project's own metadata, for what the others' do not hold."""
    return prepared(ours, tmp_path)


def verify(linkgate, demo: Path, layout: str, *options: str, at: str = "2026-01-01T00:00:00Z"):
    options = ("--at", at, "--format", "json", *options)
    done = linkgate.verify(f"data/{layout}", "data/alice.pub", cwd=demo, links="data", options=options)
    answer = json.loads(done.stdout)
    return done.returncode, answer.get("verdict", answer)


def codes(answer) -> set[str]:
    return {finding["code"] for finding in answer["findings"]}


def link_of(demo: Path, step: str) -> Path:
    [link] = (demo / "data").glob(f"{step}.*.link")
    return link


def test_the_demo_is_accepted(linkgate, demo):
    code, answer = verify(linkgate, demo, "demo.dsse.layout")
    assert (code, answer["decision"], answer["findings"]) == (0, "accept", [])
    # The links in DSSE lie beside it, and are of another layout's steps.
    unknown = {warning["document"].split(".")[0] for warning in answer["warnings"] if warning["code"] == "step-unknown"}
    assert unknown == {"clone-dsse", "update-version-dsse", "package-dsse"}
    assert not (demo / "inspect" / "foo.py").exists(), "the inspection runs in a scratch copy"


def test_the_demo_without_its_inspection_is_undecided(linkgate, demo):
    code, answer = verify(linkgate, demo, "demo.dsse.layout", "--no-inspections")
    assert (code, answer["decision"], answer["code"]) == (2, "undecided", "inspection-not-run")


def test_the_demo_with_another_archive_is_rejected(linkgate, demo):
    (demo / "inspect" / "foo.tar.gz").write_bytes(golang.packed(b"print('another')\n"))
    code, answer = verify(linkgate, demo, "demo.dsse.layout")
    assert (code, answer["decision"]) == (1, "reject")
    assert "disallowed-artifact" in codes(answer)


def test_the_demo_is_rejected_from_its_expiry_on(linkgate, demo):
    expires = payload(demo / "data" / "demo.dsse.layout")["expires"]
    before = (datetime.fromisoformat(expires) - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert verify(linkgate, demo, "demo.dsse.layout", at=before)[0] == 0
    code, answer = verify(linkgate, demo, "demo.dsse.layout", at=expires)
    assert (code, answer["decision"]) == (1, "reject")
    assert "layout-expired" in codes(answer)


@pytest.mark.parametrize("step", ("package", "write-code"))
def test_the_demo_without_a_link_is_rejected(step, linkgate, demo):
    link_of(demo, step).unlink()
    code, answer = verify(linkgate, demo, "demo.dsse.layout")
    assert (code, answer["decision"]) == (1, "reject")
    assert "threshold-not-met" in codes(answer)


@pytest.mark.parametrize("step", ("package", "write-code"))
def test_the_demo_with_a_changed_link_is_rejected(step, linkgate, demo):
    tamper(link_of(demo, step), lambda link: link["products"].update({"foo.py": golang.sha256(b"another")}))
    code, answer = verify(linkgate, demo, "demo.dsse.layout")
    assert (code, answer["decision"]) == (1, "reject")
    assert "threshold-not-met" in codes(answer)


def test_the_demo_with_a_changed_layout_is_rejected(linkgate, demo):
    tamper(demo / "data" / "demo.dsse.layout", lambda layout: layout.update(readme="changed"))
    code, answer = verify(linkgate, demo, "demo.dsse.layout")
    assert (code, answer["decision"]) == (1, "reject")
    assert "layout-signature-invalid" in codes(answer)


def test_x509_constraints_are_undecided(linkgate, demo):
    code, answer = verify(linkgate, demo, "demo.layout")
    assert (code, answer["decision"], answer["code"]) == (2, "undecided", "layout-unsupported")


def test_a_layout_from_which_x509_constraints_were_taken_is_rejected(linkgate, demo):
    def take(layout) -> None:
        del layout["rootcas"], layout["intermediatecas"], layout["steps"][0]["cert_constraints"]

    tamper(demo / "data" / "demo.layout", take)
    code, answer = verify(linkgate, demo, "demo.layout")
    assert (code, answer["decision"]) == (1, "reject")
    assert "layout-signature-invalid" in codes(answer)


def test_without_x509_constraints_it_is_accepted(linkgate, own_demo):
    code, answer = verify(linkgate, own_demo, "demo.plain.layout")
    assert (code, answer["decision"], answer["findings"]) == (0, "accept", [])


def test_a_certificate_in_a_signature_changes_nothing(linkgate, own_demo):
    link = link_of(own_demo, "write-code")
    metablock = json.loads(link.read_text())
    metablock["signatures"][0]["cert"] = (own_demo / "data" / "example.com.write-code.cert.pem").read_text()
    link.write_text(json.dumps(metablock))
    assert verify(linkgate, own_demo, "demo.plain.layout")[0] == 0
    code, answer = verify(linkgate, own_demo, "demo.layout")
    assert (code, answer["decision"], answer["code"]) == (2, "undecided", "layout-unsupported")


def test_links_in_dsse_are_accepted(linkgate, own_demo):
    code, answer = verify(linkgate, own_demo, "steps.dsse.layout")
    assert (code, answer["decision"], answer["findings"]) == (0, "accept", [])
    signed = [(step["name"], len(step["signers"])) for step in answer["steps"]]
    assert signed == [("clone-dsse", 1), ("update-version-dsse", 1), ("package-dsse", 1)]


@pytest.mark.parametrize("step", ("clone-dsse", "update-version-dsse", "package-dsse"))
def test_a_changed_link_in_dsse_is_rejected(step, linkgate, own_demo):
    tamper(link_of(own_demo, step), lambda link: link.update(command=["true"]))
    code, answer = verify(linkgate, own_demo, "steps.dsse.layout")
    assert (code, answer["decision"]) == (1, "reject")
    assert "threshold-not-met" in codes(answer)


SCHEMES = {
    "alice": "rsassa-pss-sha256",
    "carol": "ed25519",
    "dan": "rsassa-pss-sha256",
    "frank": "ecdsa-sha2-nistp521",
    "grace": "ecdsa-sha2-nistp384",
}


def scheme(linkgate, key: Path) -> str:
    done = linkgate("key", "show", "--json", key, cwd=key.parent)
    assert done.returncode == 0, done.stderr
    [shown] = json.loads(done.stdout).values()
    return shown["scheme"]


@pytest.mark.parametrize("name", SCHEMES)
def test_a_key_loads(name, linkgate, data):
    assert scheme(linkgate, data / f"{name}.pub") == SCHEMES[name]


def test_a_key_on_p256_loads(linkgate, ours):
    assert scheme(linkgate, ours / "ivan.pub") == "ecdsa-sha2-nistp256"


@pytest.mark.parametrize("name", ("erin", "heidi"))
def test_a_key_on_another_curve_does_not(name, linkgate, data):
    done = linkgate("key", "show", f"{name}.pub", cwd=data)
    assert done.returncode != 0 and "panicked" not in done.stderr
    assert "none of P-256, P-384 and P-521" in done.stderr


def test_the_older_keyid_is_shown(source, linkgate, data):
    assert f"{OLDER_KEYID[source]} (older formula)" in linkgate("key", "show", "alice.pub", cwd=data).stdout
    for layout in ("demo.dsse.layout", "demo.layout"):
        [signature] = json.loads((data / layout).read_text())["signatures"]
        assert signature["keyid"] == OLDER_KEYID[source], "the layout is signed under it"


def test_ours_are_made_as_theirs_are(ours):
    """Each of their files has one of the project's own beside it, which differs in nothing but what its texts and digests are."""
    theirs = {stem(path): path for path in upstream.folder(GOLANG).iterdir() if path.name != "README.md"}
    mine = {stem(path): path for path in ours.iterdir()}
    assert theirs.keys() <= mine.keys()
    for name, path in theirs.items():
        assert form(mine[name]) == form(path), name


def stem(path: Path) -> str:
    """A file's name without the keyid in it."""
    return re.sub(r"\.[0-9a-f]{8}\.link$", ".link", path.name)


def form(path: Path):
    """What a file is made of: its indentation, members in their order, and which kind of text stands where."""
    if path.suffix == ".gz":
        return "archive"
    text = path.read_text()
    if path.suffix == ".pub":
        return kind(text), len(text)
    if path.suffix == ".pem":
        return kind(text)
    envelope = json.loads(text)
    indentation = [len(line) - len(line.lstrip()) for line in text.splitlines()[:2]]
    return indentation, list(envelope), parts(payload(path)), parts(envelope["signatures"])


def parts(value, of: str = ""):
    if isinstance(value, dict):
        members = [(kind(name, kept="[a-z0-9_-]+"), parts(member, name)) for name, member in value.items()]
        # What keyids name has no order that counts.
        return sorted(members, key=repr) if members and members[0][0] == "<hex>" else members
    if isinstance(value, list):
        return [parts(member, of) for member in value]
    if isinstance(value, str):
        return value if of in ("_type", "name", "keytype", "scheme", "keyid_hash_algorithms", "run") else kind(value)
    return value


def kind(text: str, kept: str = "[A-Z]*") -> str:
    """A text that every such file has as it is (a member's name, a rule's keyword, nothing), else what it is."""
    if label := re.match("-----BEGIN ([A-Z ]+)-----\n", text):
        return label[1]
    kinds = (kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, text))
    return next(kinds, text if re.fullmatch(kept, text) else "<text>")


KINDS = {"<hex>": "[0-9a-f]{64,}", "<base64>": "[A-Za-z0-9+/]{64,}=*", "<time>": "[-0-9]+T[:0-9]+Z"}


# --- how others' metadata are found


def test_a_folder_beside_the_checkout_is_found(tmp_path, monkeypatch):
    monkeypatch.delenv(upstream.VARIABLE, raising=False)
    beside = tmp_path / "shared" / "upstream" / GOLANG
    beside.mkdir(parents=True)
    assert upstream.folder(GOLANG, tmp_path / "checkout") == beside


@pytest.mark.parametrize("value", (None, ""))
def test_without_the_folder_a_test_is_skipped(value, tmp_path, monkeypatch):
    monkeypatch.delenv(upstream.VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(upstream.VARIABLE, value)
    with pytest.raises(pytest.skip.Exception) as skipped:
        upstream.folder(GOLANG, tmp_path / "checkout")
    assert str(tmp_path / "shared" / "upstream" / GOLANG) in skipped.value.msg
    assert upstream.VARIABLE in skipped.value.msg


def test_the_variable_names_another_folder(tmp_path, monkeypatch):
    for folder in ("shared/upstream", "elsewhere"):
        (tmp_path / folder / GOLANG).mkdir(parents=True)
    monkeypatch.setenv(upstream.VARIABLE, str(tmp_path / "elsewhere"))
    assert upstream.folder(GOLANG, tmp_path / "checkout") == tmp_path / "elsewhere" / GOLANG


def test_where_the_variable_names_no_folder_a_test_fails(tmp_path, monkeypatch):
    (tmp_path / "shared" / "upstream" / GOLANG).mkdir(parents=True)
    monkeypatch.setenv(upstream.VARIABLE, str(tmp_path / "elsewhere"))
    with pytest.raises(pytest.fail.Exception, match="elsewhere"):
        upstream.folder(GOLANG, tmp_path / "checkout")


def test_a_copy_of_what_is_read_only_can_be_changed(tmp_path):
    original = tmp_path / "original"
    (original / "below").mkdir(parents=True)
    (original / "below" / "file").write_text("as it was")
    for path in (original / "below" / "file", original / "below", original):
        path.chmod(0o444 if path.is_file() else 0o555)
    upstream.copy(original, tmp_path / "copy")
    below = tmp_path / "copy" / "below"
    assert below.stat().st_mode & 0o200 and (below / "file").stat().st_mode & 0o200
    assert (below / "file").read_text() == "as it was"
    for path in (original, original / "below"):
        path.chmod(0o755)
