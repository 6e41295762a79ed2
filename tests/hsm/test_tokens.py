"""Keys that are made in real tokens sign and check there, and what they signed verifies everywhere."""

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest
from conftest import MODULES, PIN, Token, build, layout, peer, required

KINDS = {
    "p256": ("-t", "ecdsa"),
    "p384": ("-t", "ecdsa", "--curve", "p384"),
    "p521": ("-t", "ecdsa", "--curve", "p521"),
    "rsa2048": ("-t", "rsa", "--bits", "2048"),
    "ed25519": ("-t", "ed25519"),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def verify(token: Token, workspace: Path, key: str, *more: str, code: int):
    return token.linkgate(
        *("verify", "-l", "layout.json", "-d", "links", "-k", key, *more), cwd=workspace, code=code
    )


def python_verifies(workspace: Path, key: str) -> bool:
    import subprocess

    done = subprocess.run(
        [peer("in-toto-verify"), "-l", "layout.json", "--link-dir", "links", "--verification-keys", key],
        cwd=workspace,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


def test_a_whole_chain(token: Token, workspace: Path, kind: str):
    for label in ("owner-key", "builder-key"):
        token.linkgate("keygen", *KINDS[kind], "--hsm", label, "-n", label, cwd=workspace)
        exported = token.linkgate("hsm", "public", label, cwd=workspace).stdout
        assert (workspace / f"{label}.pub").read_text() == exported
        assert not (workspace / label).exists()
    build(token, workspace)
    layout(token, workspace, ("owner-key",))
    for key in ("hsm:owner-key.pub", "owner-key.pub"):
        done = verify(token, workspace, key, "--receipt", f"{Path(key).name}.receipt", code=0)
        assert "Supply chain integrity verified" in done.stdout
    receipt = json.loads((workspace / "hsm:owner-key.pub.receipt").read_text())
    by = [check["by"] for check in receipt["signatures"]]
    assert by[0].startswith("token `builder` (slot ") and by[0].endswith("key `owner-key`") and by[1] == "host"
    assert python_verifies(workspace, "owner-key.pub")

    link = next((workspace / "links").glob("build.*.link"))
    sound = link.read_text()
    link.write_text(sound.replace('"src/main.c"', '"src/evil.c"'))
    assert verify(token, workspace, "hsm:owner-key.pub", "--hsm-verify", code=1).stdout
    assert not python_verifies(workspace, "owner-key.pub")
    link.write_text(sound)
    changed = (workspace / "layout.json").read_text().replace("2040", "2041")
    (workspace / "layout.json").write_text(changed)
    refused = verify(token, workspace, "hsm:owner-key.pub", code=1).stdout
    assert "layout-signature-invalid" in refused
    assert not python_verifies(workspace, "owner-key.pub")


def test_a_gate_asks_the_token(token: Token, workspace: Path, kind: str):
    for label in ("owner-key", "builder-key"):
        token.linkgate("keygen", *KINDS[kind], "--hsm", label, "-n", label, cwd=workspace)
    build(token, workspace)
    layout(token, workspace, ("owner-key",))
    policies = workspace / "policies"
    policies.mkdir()
    signed = (workspace / "layout.json").read_text()
    (policies / "layout.json").write_text(signed)
    policy = {
        "apiVersion": "linkgate.dev/v1",
        "kind": "Policy",
        "images": ["registry.example/**"],
        "layout": "layout.json",
        "keys": ["hsm:owner-key.pub"],
        "evidence": [{"directory": str(workspace / "links")}],
    }
    (policies / "web.yaml").write_text(json.dumps(policy))
    made = hashlib.sha256((workspace / "build-output/main").read_bytes()).hexdigest()

    def check(code: int) -> str:
        image = f"registry.example/app@sha256:{made}"
        done = token.linkgate("serve", "--policies", "policies", "--check", image, cwd=workspace, code=code)
        return done.stdout + done.stderr

    assert "allow [accepted]" in check(0)
    (policies / "layout.json").write_text(signed.replace("2040", "2041"))
    assert "does not verify: the layout was changed" in check(2)


def test_the_private_half_never_leaves(token: Token, workspace: Path, kind: str):
    token.linkgate("keygen", *KINDS[kind], "--hsm", "k", cwd=workspace)
    objects = token.tool("--list-objects", "--type", "privkey")
    access = next(line for line in objects.splitlines() if "Access:" in line)
    for property in ("sensitive", "always sensitive", "never extractable", "local"):
        assert property in access, objects
    again = token.linkgate("keygen", *KINDS[kind], "--hsm", "k", cwd=workspace, code=2)
    assert "has a key `k` already" in again.stderr


def test_recorded_in_two_calls(token: Token, workspace: Path, kind: str):
    token.linkgate("keygen", *KINDS[kind], "--hsm", "k", cwd=workspace)
    token.linkgate("record", "-k", "hsm:k", "-d", "links", "start", "build", "-m", "src/", cwd=workspace)
    token.linkgate("record", "-k", "hsm:k", "-d", "links", "stop", "build", "-p", "src/", cwd=workspace)
    (link,) = (workspace / "links").iterdir()
    token.linkgate("sign", "--verify", "-f", link, "-k", "hsm:k.pub", cwd=workspace)


def test_the_field_s_commands_as_they_stand(token: Token, workspace: Path):
    """Also the links and environment of an existing pipeline: only the key's name says that it is in a token."""
    aliases = workspace / "bin"
    token.linkgate("install-aliases", "bin", cwd=workspace)
    for label in ("builder-key-id", "builder-key", "tester-key"):
        token.linkgate("keygen", "-t", "ecdsa", "--hsm", label, cwd=workspace)
    (workspace / "build.sh").write_text("#!/bin/sh\nmkdir -p build-output\ncp src/main.c build-output/main\n")
    (workspace / "build.sh").chmod(0o755)
    token.run(
        *(aliases / "in-toto-run", "--key-path", "hsm:builder-key-id", "--links-dir", "links/"),
        *("--materials", "src/", "--products", "build-output/", "--", "./build.sh"),
        cwd=workspace,
        GITHUB_JOB="build",
    )
    layout(token, workspace, ("builder-key", "tester-key"), builder="builder-key-id")
    verifying = (
        *(aliases / "in-toto-verify", "--layout", "layout.json", "--links-dir", "links/"),
        *("--key", "hsm:builder-key.pub", "hsm:tester-key.pub"),
    )
    token.run(*verifying, cwd=workspace)
    layout(token, workspace, ("builder-key",), builder="builder-key-id")
    assert "tester-key" in token.run(*verifying, cwd=workspace, code=1).stderr


def test_keys_that_are_only_functionaries(token: Token, workspace: Path):
    token.linkgate("keygen", "--hsm", "owner", cwd=workspace)
    token.linkgate("keygen", "--hsm", "builder-key", cwd=workspace)
    build(token, workspace)
    layout(token, workspace, ("owner",))
    told = verify(token, workspace, "hsm:builder-key.pub", code=1)
    assert "--functionary-key hsm:builder-key.pub" in told.stdout + told.stderr
    named = verify(token, workspace, "hsm:owner.pub", "--functionary-key", "hsm:builder-key.pub", code=0)
    assert "link signed by builder-key" in named.stdout
    labelled = verify(token, workspace, "hsm:owner.pub", "--functionary-key", "bob=pkcs11:object=builder-key", code=0)
    assert "link signed by bob" in labelled.stdout


def test_a_token_checks_whatever_it_holds(token: Token, workspace: Path):
    token.linkgate("keygen", "-t", "ecdsa", "--hsm", "owner", "-n", "owner", cwd=workspace)
    token.linkgate("keygen", "-t", "ecdsa", "--hsm", "builder-key", cwd=workspace)
    build(token, workspace)
    layout(token, workspace, ("owner",))
    verify(token, workspace, "owner.pub", "--hsm-verify", "--receipt", "receipt", code=0)
    by = [check["by"] for check in json.loads((workspace / "receipt").read_text())["signatures"]]
    assert [who.rpartition(" ")[2] for who in by] == ["`owner`", "`builder-key`"]
    verify(token, workspace, "hsm:owner.pub", "--pure", "--receipt", "receipt-pure", code=0)
    by = [check["by"] for check in json.loads((workspace / "receipt-pure").read_text())["signatures"]]
    assert by == ["component", "component"]


def test_uris_name_keys(token: Token, workspace: Path):
    token.linkgate("keygen", "-t", "ecdsa", "--hsm", "a;b c", cwd=workspace)
    (workspace / "pin").write_text(f"{PIN}\n")
    listed = token.linkgate("hsm", "list", "--login", cwd=workspace).stdout
    uri = next(line.split()[2] for line in listed.splitlines() if line.startswith("private key"))
    assert "object=a%3bb%20c;id=%" in uri
    more = f";token=builder;type=private?module-path={token.module}&pin-source=file:{workspace}/pin"
    for number, reference in enumerate((uri, f"pkcs11:{uri.partition(';')[2]}", f"{uri}{more}")):
        without = {"PKCS11_PIN": "", "PKCS11_MODULE": "", "PKCS11_SLOT": ""} if more in reference else {}
        token.linkgate("run", "-n", f"s{number}", "-k", reference, "-x", cwd=workspace, **without)
    for reference, why in [
        ("pkcs11:object=a%3bb%20c;token=other", "no token is token=other; the module has `builder`"),
        ("pkcs11:object=a%3bb%20c;colour=red", "colour"),
        ("pkcs11:object=a%3bb%20c?pin-value=1234", "PIN has no place"),
        ("hsm:nobody", "has no private key `nobody`; it has `a;b c`"),
        ("hsm:nobody.pub", "signing needs the private one"),
    ]:
        refused = token.linkgate("run", "-n", "s", "-k", reference, "-x", cwd=workspace, code=2)
        assert why in refused.stderr and PIN not in refused.stderr, refused.stderr


def test_a_key_of_the_other_scheme(token: Token, workspace: Path):
    token.linkgate("keygen", "-t", "rsa", "--bits", "2048", "--hsm", "k", cwd=workspace)
    reference = "pkcs11:object=k?x-scheme=rsa-pkcs1v15-sha256"
    token.linkgate("run", "-n", "s", "-k", reference, "-x", cwd=workspace)
    (link,) = workspace.glob("s.*.link")
    token.linkgate("sign", "--verify", "-f", link, "-k", reference, cwd=workspace)
    token.linkgate("sign", "--verify", "-f", link, "-k", "hsm:k.pub", cwd=workspace, code=1)


def test_a_key_whose_public_half_is_in_a_certificate(token: Token, workspace: Path):
    from datetime import datetime, timedelta, timezone

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bob")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (workspace / "certificate.der").write_bytes(certificate)
    (workspace / "private.der").write_bytes(private)
    token.tool("--write-object", workspace / "private.der", "--type", "privkey", "--label", "bob", "--id", "77", "--usage-sign")
    token.tool("--write-object", workspace / "certificate.der", "--type", "cert", "--label", "bob's", "--id", "77")
    token.linkgate("run", "-n", "s", "-k", "hsm:bob", "-x", cwd=workspace)
    (link,) = workspace.glob("s.*.link")
    token.linkgate("sign", "--verify", "-f", link, "-k", "pkcs11:id=%77;type=cert", cwd=workspace)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    exported = token.linkgate("hsm", "public", "pkcs11:id=%77", cwd=workspace).stdout
    assert exported.encode() == public


def test_halves_that_share_an_id_and_no_label(token: Token, workspace: Path):
    """As smart cards name them."""
    token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "Private key 9a", "--id", "9a")
    sign = ("run", "-n", "s", "-k", "pkcs11:id=%9a", "-x")
    token.linkgate(*sign, cwd=workspace)
    (link,) = workspace.glob("s.*.link")
    for reference in ("pkcs11:id=%9a", "pkcs11:id=%9a;type=private", "pkcs11:id=%9a;type=public"):
        token.linkgate("sign", "--verify", "-f", link, "-k", reference, cwd=workspace)
    refused = token.linkgate("hsm", "public", "pkcs11:id=%9a;type=cert", cwd=workspace, code=2)
    assert "has no public key" in refused.stderr


def test_a_pin_source_counts_whoever_names_it(token: Token, workspace: Path):
    for label in ("a", "b"):
        token.linkgate("keygen", "-t", "ecdsa", "--hsm", label, cwd=workspace)
    (workspace / "pin").write_text(PIN)
    (workspace / "draft.json").write_text(
        '{"_type": "layout", "expires": "2040-01-01T00:00:00Z", "steps": [], "inspect": [], "keys": {}}'
    )
    sourced = f"pkcs11:object=b?pin-source={workspace}/pin"
    token.linkgate("sign", "-f", "draft.json", "-k", sourced, "hsm:a", cwd=workspace, PKCS11_PIN="4321")
    two = token.linkgate(
        *("sign", "-f", "draft.json", "-k", sourced, "pkcs11:object=a?pin-source=/elsewhere"), cwd=workspace, code=2
    )
    assert "another reference to the same token names" in two.stderr


def test_a_key_that_wants_its_pin_for_every_signature(token: Token, workspace: Path):
    token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "k", "--id", "01", "--always-auth")
    refused = token.linkgate("run", "-n", "s", "-k", "hsm:k", "-x", cwd=workspace, code=2)
    assert "CKA_ALWAYS_AUTHENTICATE" in refused.stderr


def test_two_keys_of_one_label(token: Token, workspace: Path):
    for number in ("01", "02"):
        token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "twin", "--id", number)
    refused = token.linkgate("run", "-n", "s", "-k", "hsm:twin", "-x", cwd=workspace, code=2)
    assert "several keys `twin`" in refused.stderr
    assert "`pkcs11:object=twin;id=%01` or `pkcs11:object=twin;id=%02`" in refused.stderr
    token.linkgate("run", "-n", "s", "-k", "pkcs11:object=twin;id=%02", "-x", cwd=workspace)


@pytest.mark.skipif("kryoptic" not in MODULES, reason="pkcs11-tool makes no such key in SoftHSM, and kryoptic is not here")
def test_a_key_that_may_not_sign(tmp_path: Path, workspace: Path):
    token = Token("kryoptic", tmp_path / "token", MODULES["kryoptic"])
    token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "k", "--id", "01", "--usage-derive")
    refused = token.linkgate("run", "-n", "s", "-k", "hsm:k", "-x", cwd=workspace, code=2)
    assert "it may not sign" in refused.stderr


def test_a_key_without_a_public_half(softhsm: Token, workspace: Path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (workspace / "private.der").write_bytes(private)
    softhsm.tool("--write-object", workspace / "private.der", "--type", "privkey", "--label", "k", "--usage-sign")
    refused = softhsm.linkgate("run", "-n", "s", "-k", "hsm:k", "-x", cwd=workspace, code=2)
    assert "the public half is not in the token" in refused.stderr


def test_threads_share_a_token(token: Token, workspace: Path):
    for label, kind in (("p256", "-tecdsa"), ("ed25519", "-ted25519")):
        token.linkgate("keygen", kind, "--hsm", label, cwd=workspace)
        signed = token.run(required("SIGN_MANY"), f"hsm:{label}", "8", "1000", cwd=workspace)
        assert signed.stdout == "1000 links signed by 8 threads\n"


def test_the_command_never_sees_the_pin(token: Token, workspace: Path):
    token.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    told = token.linkgate("run", "-n", "s", "-k", "hsm:k", "-s", "--", "env", cwd=workspace)
    (link,) = workspace.glob("s.*.link")
    assert "PKCS11_MODULE" in link.read_text()
    assert "PKCS11_PIN" not in link.read_text() + told.stdout + told.stderr


def test_no_process_of_the_user_reads_the_pin(tmp_path_factory):
    """Nor the password of key files: they stand in linkgate's own environment, which the command is no reader of."""
    import shutil
    import subprocess
    import tempfile

    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o777)
        # Root reads everything.
        user = {"user": 65534} if os.geteuid() == 0 else {}
        shutil.copy(required("LINKGATE"), folder / "linkgate")
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        subprocess.run(["./linkgate", "keygen", "-n", "k"], cwd=folder, env=environment, check=True, **user)
        spy = "tr '\\0' '\\n' < /proc/$PPID/environ; env"
        done = subprocess.run(
            ["./linkgate", "run", "-n", "s", "-k", "k", "--record-failure", "--", "sh", "-c", spy],
            cwd=folder,
            env={**environment, "PKCS11_PIN": "secret-pin", "LINKGATE_KEY_PASSWORD": "secret-password"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **user,
        )
        assert "HOME=" in done.stdout and "secret" not in done.stdout + done.stderr, done.stdout + done.stderr
    finally:
        shutil.rmtree(folder)


def test_a_key_is_made_in_the_token_that_is_named(token: Token, workspace: Path):
    made = token.linkgate("keygen", "-t", "ecdsa", "--hsm", "pkcs11:token=builder;object=k", cwd=workspace)
    assert "made the key `k` in token `builder`" in made.stderr
    token.linkgate("hsm", "public", "k", cwd=workspace)
    for text, why in [
        ("pkcs11:token=other;object=j", "no token is token=other"),
        ("pkcs11:object=j;id=%01", "is drawn"),
        ("pkcs11:id=%01", "needs a label"),
        ("j.pub", "both halves are made"),
        ("", "a label is missing"),
    ]:
        refused = token.linkgate("keygen", "-t", "ecdsa", "--hsm", text, cwd=workspace, code=2)
        assert why in refused.stderr, refused.stderr


def test_the_pin_file_is_no_artifact(token: Token, workspace: Path):
    token.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    for name in ("pin", "source"):
        (workspace / name).write_text(PIN)
    for number, record in enumerate(
        [
            ("-k", "hsm:k", "--pkcs11-pin-file", "pin"),
            ("-k", f"pkcs11:object=k?pin-source={workspace}/source", "--pkcs11-pin-file", "pin"),
        ]
    ):
        token.linkgate("record", *record, "start", f"s{number}", cwd=workspace)
        token.linkgate("record", *record, "stop", f"s{number}", cwd=workspace)
    recorded = [set(json.loads(link.read_text())["signed"]["materials"]) for link in sorted(workspace.glob("s*.link"))]
    assert recorded[0] >= {"source", "src/main.c"} and "pin" not in recorded[0]
    assert "src/main.c" in recorded[1] and not {"pin", "source"} & recorded[1]


def test_where_the_pin_comes_from(token: Token, workspace: Path):
    token.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    (workspace / "pin").write_text(PIN)
    os.chmod(workspace / "pin", stat.S_IRUSR)
    sign = ("run", "-n", "s", "-k", "hsm:k", "-x")
    token.linkgate(*sign, "--pkcs11-pin-file", "pin", cwd=workspace, PKCS11_PIN="")
    needed = token.linkgate(*sign, cwd=workspace, code=2, PKCS11_PIN="")
    assert "needs its PIN: set PKCS11_PIN" in needed.stderr
    missing = token.linkgate(*sign, "--pkcs11-pin-file", "nowhere", cwd=workspace, code=2)
    assert "nowhere" in missing.stderr
    # Public keys are for everybody.
    token.linkgate("hsm", "public", "k", cwd=workspace, PKCS11_PIN="")


@pytest.mark.parametrize(("typed", "status"), [(f"{PIN}\n", 0), ("\x03", 130)])
def test_a_pin_that_is_typed_is_not_shown(softhsm: Token, workspace: Path, typed: str, status: int):
    import pty
    import select
    import termios
    import time

    softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    # The shell itself outlives what is meant for linkgate.
    script = 'trap : INT; cd "$1" && "$0" run -n s -k hsm:k -x; echo "rc=$?"; stty -a'
    child, terminal = pty.fork()
    if child == 0:
        environment = {**softhsm.environment, "PKCS11_PIN": "", "TERM": "dumb"}
        os.execvpe("sh", ["sh", "-c", script, str(required("LINKGATE")), str(workspace)], environment)
    shown, sent, ends = "", False, time.monotonic() + 120
    while time.monotonic() < ends:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            read = os.read(terminal, 4096)
        except OSError:
            break
        if not read:
            break
        shown += read.decode()
        if "PIN of token `builder`" in shown and not sent:
            sent = True
            assert not termios.tcgetattr(terminal)[3] & termios.ECHO
            os.write(terminal, typed.encode())
    os.waitpid(child, 0)
    assert f"rc={status}" in shown and PIN not in shown.partition("PIN of")[2].partition("rc=")[0], shown
    # The terminal shows what is typed again.
    assert " echo " in shown.partition("rc=")[2].replace(";", " ").replace("\r\n", " "), shown
    assert bool(list(workspace.glob("s.*.link"))) == (status == 0)


def test_a_wrong_pin(token: Token, workspace: Path):
    token.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    refused = token.linkgate("run", "-n", "s", "-k", "hsm:k", "-x", cwd=workspace, code=2, PKCS11_PIN="4321")
    assert "CKR_PIN_INCORRECT" in refused.stderr and "4321" not in refused.stderr
    assert not list(workspace.glob("s.*"))


def test_slots_by_number_and_index(token: Token, workspace: Path):
    token.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    listed = token.linkgate("hsm", "list", cwd=workspace, PKCS11_SLOT="").stdout
    number = next(line.split()[1] for line in listed.splitlines() if line.startswith("slot"))
    by_index = token.linkgate("hsm", "public", "k", cwd=workspace, PKCS11_SLOT="0")
    assert f"slot 0 is taken as the index of `builder` (slot {number}, index 0)" in by_index.stderr
    for slot in (number, hex(int(number))):
        assert token.linkgate("hsm", "public", "k", cwd=workspace, PKCS11_SLOT=slot).stderr == ""
    absent = token.linkgate("hsm", "public", "k", cwd=workspace, code=2, PKCS11_SLOT="7")
    assert "no token is in slot 7, by number or index; the module has `builder`" in absent.stderr
    assert "is no number" in token.linkgate("hsm", "public", "k", cwd=workspace, code=2, PKCS11_SLOT="x").stderr


def test_several_tokens(softhsm: Token, workspace: Path):
    softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    free = softhsm.tool("--list-slots", login=False).count("Slot ") - 1
    softhsm.tool("--init-token", "--slot-index", free, "--label", "other", "--so-pin", "12345678", login=False)
    several = softhsm.linkgate("hsm", "public", "k", cwd=workspace, code=2, PKCS11_SLOT="")
    assert "several tokens could be meant" in several.stderr
    assert "`builder`" in several.stderr and "`other`" in several.stderr
    softhsm.linkgate("hsm", "public", "pkcs11:token=builder;object=k", cwd=workspace, PKCS11_SLOT="")
