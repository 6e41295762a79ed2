"""Tokens that fail: a clear error or an undecided verdict within the limit, never an accept, a reject or half a link."""

import json
import time
from pathlib import Path

import pytest
from conftest import PATIENCE, Token, build, layout, required

# The limit for calls that hang, and for those that do not: on a busy machine they may take longer than that, too.
SECONDS, PATIENT = "1", "30"
# What a limit of one second may take with all around it, on a busy machine.
BOUND = 20


def limit(fault: str) -> str:
    return SECONDS if fault.startswith("hang") else PATIENT


def nothing_left(workspace: Path) -> bool:
    return not [path for path in workspace.rglob("*") if path.suffix == ".link" or path.name.startswith(".tmp")]


def verify(token: Token, workspace: Path, *more: str, code: int | None, seconds: str = PATIENT):
    begins = time.monotonic()
    done = token.linkgate(
        *("verify", "-l", "layout.json", "-d", "links", "--format", "json", "--pkcs11-timeout", seconds),
        *("-k", "hsm:owner.pub", *more),
        cwd=workspace,
        code=code,
    )
    assert time.monotonic() - begins < BOUND
    return done


@pytest.fixture
def chain(softhsm: Token, workspace: Path) -> Token:
    for label in ("owner", "builder-key"):
        softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", label, cwd=workspace)
    build(softhsm, workspace)
    layout(softhsm, workspace, ("owner",))
    return softhsm


@pytest.mark.parametrize(
    ("function", "fault", "code"),
    [
        ("C_Verify", "0x30", "C_Verify answered CKR_DEVICE_ERROR"),
        ("C_VerifyInit", "0x32", "C_VerifyInit answered CKR_DEVICE_REMOVED"),
        ("C_Verify", "0x5", "C_Verify answered CKR_GENERAL_ERROR"),
        ("C_Verify", "0x80000123", "C_Verify answered CKR_VENDOR_DEFINED (0x80000123)"),
        ("C_VerifyInit", "0x70", "C_VerifyInit answered CKR_MECHANISM_INVALID"),
        ("C_OpenSession", "0xb1 1000 1", "C_OpenSession answered CKR_SESSION_COUNT"),
        ("C_Verify", "hang", "no answer within 1 s"),
        # What is no answer about the signature is none, whatever its name.
        ("C_VerifyInit", "0xc0", "C_VerifyInit answered CKR_SIGNATURE_INVALID"),
        # A token is not believed against the arithmetic: it can only keep a chain from being judged.
        ("C_Verify", "0xc0", "contradicts the arithmetic"),
        ("C_Verify", "0xc1", "contradicts the arithmetic"),
    ],
)
def test_a_token_that_cannot_check_is_undecided(chain: Token, workspace: Path, faulty, function, fault, code):
    faulty(**{function: fault})
    if function == "C_OpenSession":
        # The public key is read in the one session that opens; another is needed only after a failure.
        faulty(C_VerifyInit="0xb3 1")
    answer = json.loads(verify(chain, workspace, code=2, seconds=limit(fault)).stdout)
    assert answer["decision"] == "undecided" and answer["code"] == "signature-unchecked"
    assert "token `builder`" in answer["message"] and "key `owner`" in answer["message"]
    assert code in answer["message"], answer["message"]


def test_a_functionary_s_token_that_hangs(chain: Token, workspace: Path, faulty):
    """The token is asked about the layout first, answers, and then hangs: the chain is undecided all the same."""
    chain.linkgate("hsm", "public", "owner", "-o", "owner.pub", cwd=workspace)
    faulty(C_VerifyInit="0x30 1000 1")
    answer = json.loads(verify(chain, workspace, "--hsm-verify", code=2).stdout)
    assert answer["code"] == "signature-unchecked" and "key `builder-key`" in answer["message"]


def test_what_hangs_is_asked_once_and_every_key_named(chain: Token, workspace: Path, faulty):
    chain.linkgate("hsm", "public", "owner", "-o", "owner.pub", cwd=workspace)
    chain.linkgate("keygen", "-t", "ecdsa", "--hsm", "second", cwd=workspace)
    chain.linkgate("sign", "-f", "layout.json", "-k", "hsm:second", "--append", cwd=workspace)
    faults = faulty(C_Verify="hang")
    answer = verify(chain, workspace, "hsm:second.pub", code=2, seconds=SECONDS).stdout
    assert "key `owner`: no answer within 1 s" in answer
    assert "key `second`: not asked, for it gave no answer within 1 s before" in answer
    assert (faults / "calls").read_text().count("C_Verify\n") == 1


@pytest.mark.parametrize("code", ["0xb3", "0x32", "0x101", "0x82"])
def test_a_lost_session_is_renewed_once(chain: Token, workspace: Path, faulty, code):
    faulty(C_VerifyInit=f"{code} 1")
    assert json.loads(verify(chain, workspace, code=0).stdout)["decision"] == "accept"
    faults = faulty(C_SignInit=f"{code} 1")
    build(chain, workspace)
    assert not (faults / "C_SignInit").exists()
    faulty(C_SignInit=f"{code} 2")
    refused = build(chain, workspace, code=2)
    assert "C_SignInit answered CKR_" in refused.stderr


@pytest.mark.parametrize(
    ("function", "fault", "said"),
    [
        ("C_Sign", "0x30", "C_Sign answered CKR_DEVICE_ERROR"),
        ("C_SignInit", "0x32", "C_SignInit answered CKR_DEVICE_REMOVED: is the token still there?"),
        ("C_SignInit", "0x68", "C_SignInit answered CKR_KEY_FUNCTION_NOT_PERMITTED: the key's attributes"),
        ("C_Sign", "hang", "no answer within 1 s"),
        ("C_Login", "hang", "no answer within 1 s"),
        ("C_Initialize", "hang", "no answer within 1 s"),
        ("C_Initialize", "0x5", "C_Initialize answered CKR_GENERAL_ERROR"),
        ("C_GetSlotList", "hang", "no answer within 1 s"),
        ("C_Login", "0xa4", "C_Login answered CKR_PIN_LOCKED"),
        ("C_Login", "0xa3", "C_Login answered CKR_PIN_EXPIRED"),
    ],
)
def test_a_token_that_cannot_sign_leaves_nothing(softhsm: Token, workspace: Path, faulty, function, fault, said):
    softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    faulty(**{function: fault})
    begins = time.monotonic()
    done = softhsm.linkgate(
        *("run", "-n", "s", "-k", "hsm:k", "-d", "links", "--pkcs11-timeout", limit(fault), "--", "true"),
        cwd=workspace,
        code=2,
    )
    assert time.monotonic() - begins < BOUND
    assert said in done.stderr, done.stderr
    assert nothing_left(workspace)


def test_a_token_that_takes_everything_for_valid(chain: Token, workspace: Path, faulty):
    changed = (workspace / "layout.json").read_text().replace("2040", "2041")
    (workspace / "layout.json").write_text(changed)
    assert json.loads(verify(chain, workspace, code=1).stdout)["decision"] == "reject"
    faulty(C_Verify="0x0")
    answer = json.loads(verify(chain, workspace, code=2).stdout)
    assert answer["code"] == "signature-unchecked" and "contradicts the arithmetic" in answer["message"]


def test_another_key_under_the_same_name(chain: Token, workspace: Path, faulty):
    """Between two calls the token is changed, or another one is in the reader: a name proves nothing.

    The layout is signed by the other key, under the owner's keyid.
    """
    import subprocess
    import threading

    from cryptography.hazmat.primitives import serialization

    chain.linkgate("keygen", "-t", "ecdsa", "-n", "other", cwd=workspace)
    keyids = [chain.linkgate("key", "show", "--json", key, cwd=workspace).stdout for key in ("hsm:owner.pub", "other")]
    owner, other = (next(iter(json.loads(keyid))) for keyid in keyids)
    chain.linkgate("sign", "-f", "layout.json", "-k", "other", cwd=workspace)
    forged = workspace / "layout.json"
    forged.write_text(forged.read_text().replace(other, owner))
    public = serialization.load_pem_public_key((workspace / "other.pub").read_bytes())
    (workspace / "other.der").write_bytes(
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    listed = chain.linkgate("hsm", "list", cwd=workspace).stdout
    number = listed.partition("object=owner;id=")[2].split()[0].replace("%", "")

    # The session is lost, and the key is looked for again in a new one.
    faults = faulty(C_VerifyInit="0xb3 1", C_OpenSession="hang 1")
    done = []
    verifying = ("verify", "-l", "layout.json", "-d", "links", "-k", "hsm:owner.pub", "--pkcs11-timeout", "30")
    asking = threading.Thread(target=lambda: done.append(chain.linkgate(*verifying, cwd=workspace, code=None)))
    asking.start()
    begins = time.monotonic()
    while (faults / "calls").read_text().count("C_OpenSession") < 2:
        assert time.monotonic() - begins < BOUND
        time.sleep(0.02)
    real = {name: value for name, value in chain.environment.items() if not name.startswith("STUB_")}

    def tool(*arguments: str) -> None:
        access = ("--token-label", "builder", "--login", "--pin", "1234")
        command = ["pkcs11-tool", "--module", chain.module, *access, *arguments]
        subprocess.run(command, env=real, check=True, capture_output=True, timeout=PATIENCE)

    tool("--delete-object", "--type", "pubkey", "--id", number)
    tool("--write-object", str(workspace / "other.der"), "--type", "pubkey", "--label", "owner", "--id", number)
    (faults / "C_OpenSession").unlink()
    asking.join(PATIENCE)
    (done,) = done
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no longer has the key `owner`" in done.stdout + done.stderr


def test_a_key_that_only_a_login_shows_survives_a_lost_session(softhsm: Token, workspace: Path, faulty):
    softhsm.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "owner", "--id", "01", "--private")
    softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", "builder-key", cwd=workspace)
    build(softhsm, workspace)
    layout(softhsm, workspace, ("owner",))
    verify(softhsm, workspace, code=0)
    for code in ("0xb3", "0x32", "0x101"):
        faulty(C_VerifyInit=f"{code} 1")
        verify(softhsm, workspace, code=0)


def test_a_made_key_is_never_called_unmade(softhsm: Token, workspace: Path, faulty):
    # The first answer about attributes after the key is made is lost.
    faulty(C_GetAttributeValue="0x32 1")
    done = softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace, code=2)
    assert "CKR_DEVICE_REMOVED" in done.stderr and "nothing was made" not in done.stderr
    (workspace / "file").write_text("")
    missing = softhsm.linkgate("keygen", "--hsm", "j", "-n", "nowhere/j", cwd=workspace, code=2)
    assert "nowhere" in missing.stderr
    softhsm.linkgate("hsm", "public", "j", cwd=workspace, code=2)


def test_a_module_that_waits_when_the_process_ends(softhsm: Token, workspace: Path, tmp_path: Path):
    """Its destructor waits for the call that hangs: the verdict is there within the limit, and so is the end."""
    import subprocess

    source, module = tmp_path / "waits.c", tmp_path / "waits.so"
    source.write_text(
        "#include <pthread.h>\n#include <unistd.h>\n"
        "static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;\n"
        "unsigned long C_GetFunctionList(void **list) {\n"
        "    (void)list; pthread_mutex_lock(&held); for (;;) pause();\n}\n"
        "__attribute__((destructor)) static void wait_for_it(void) { pthread_mutex_lock(&held); }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", module, source, "-lpthread"], check=True)
    begins = time.monotonic()
    done = softhsm.linkgate(
        *("run", "-n", "s", "-k", "hsm:k", "-d", "links", "-x", "--pkcs11-timeout", SECONDS),
        cwd=workspace,
        code=2,
        PKCS11_MODULE=str(module),
    )
    assert time.monotonic() - begins < BOUND
    assert "no answer within 1 s" in done.stderr
    assert nothing_left(workspace)


def test_one_module_under_two_names_is_one(chain: Token, workspace: Path, faulty):
    faults = faulty()
    (workspace / "other.so").symlink_to(required("STUB"))
    (faults / "calls").write_text("")
    (workspace / "draft.json").write_text(
        '{"_type": "layout", "expires": "2040-01-01T00:00:00Z", "steps": [], "inspect": [], "keys": {}}'
    )
    chain.linkgate(
        *("sign", "-f", "draft.json", "-k", "hsm:owner"),
        f"pkcs11:object=builder-key?module-path={workspace}/other.so",
        cwd=workspace,
        code=2,
        PKCS11_PIN="4321",
    )
    assert (faults / "calls").read_text().count("C_Login") == 1


def test_a_pin_is_not_tried_on_several_tokens(chain: Token, workspace: Path, faulty):
    free = chain.tool("--list-slots", login=False).count("Slot ") - 1
    chain.tool("--init-token", "--slot-index", free, "--label", "other", "--so-pin", "12345678", login=False)
    faults = faulty()
    (faults / "calls").write_text("")
    refused = chain.linkgate("hsm", "list", "--login", cwd=workspace, code=2, PKCS11_SLOT="")
    assert "several tokens could be meant" in refused.stderr
    verifying = ("verify", "-l", "layout.json", "-d", "links", "-k", "pkcs11:token=builder;object=owner", "--hsm-verify")
    chain.linkgate(*verifying, cwd=workspace, PKCS11_SLOT="")
    assert "C_Login" not in (faults / "calls").read_text()
    faulty(C_VerifyInit="0x101")
    chain.linkgate(*verifying, cwd=workspace, code=2, PKCS11_SLOT="", PKCS11_PIN="4321")
    assert (faults / "calls").read_text().count("C_Login") <= 1


def test_what_is_refused_is_not_tried_again(softhsm: Token, workspace: Path, faulty):
    """A token locks itself after a few wrong PINs: eight threads try once."""
    softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    for wrong, code in (("4321", "CKR_PIN_INCORRECT"), ("1234", "CKR_PIN_LOCKED")):
        faults = faulty(C_Login="0xa4" if code == "CKR_PIN_LOCKED" else "0xa0")
        (faults / "calls").write_text("")
        done = softhsm.run(required("SIGN_MANY"), "hsm:k", "8", "100", cwd=workspace, code=1, PKCS11_PIN=wrong)
        assert code in done.stderr
        assert (faults / "calls").read_text().count("C_Login") == 1


def test_a_wrong_pin_for_two_keys_is_tried_once(softhsm: Token, workspace: Path, faulty):
    for label in ("a", "b"):
        softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", label, cwd=workspace)
    (workspace / "layout.json").write_text('{"_type": "layout", "expires": "2040-01-01T00:00:00Z", "steps": [], "inspect": [], "keys": {}}')
    faults = faulty()
    (faults / "calls").write_text("")
    softhsm.linkgate("sign", "-f", "layout.json", "-k", "hsm:a", "hsm:b", cwd=workspace, code=2, PKCS11_PIN="4321")
    assert (faults / "calls").read_text().count("C_Login") == 1


def test_the_token_is_taken_away_while_the_step_runs(softhsm: Token, workspace: Path):
    softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    tokens = softhsm.folder / "tokens"
    done = softhsm.linkgate(
        *("run", "-n", "s", "-k", "hsm:k", "-d", "links", "--", "mv", tokens, f"{tokens}.away"), cwd=workspace, code=2
    )
    assert "token `builder`" in done.stderr and "was it taken away?" in done.stderr, done.stderr
    assert nothing_left(workspace)


def answers(path: Path) -> bool:
    """Whether somebody listens there. The name is there before that."""
    import socket

    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(str(path))
        except OSError:
            return False
    return True


@pytest.mark.parametrize(("signal", "said"), [("KILL", "CKR_DEVICE_ERROR"), ("STOP", "no answer within 1 s")])
def test_the_token_is_in_a_process_that_is_killed_or_stopped(softhsm: Token, workspace: Path, signal: str, said: str):
    """p11-kit lends the token from a process of its own."""
    import glob
    import shutil
    import subprocess
    import tempfile

    softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    (client,) = glob.glob("/usr/lib/*/pkcs11/p11-kit-client.so")
    # The path of a socket is short, and a folder for temporary files may be far down.
    lent = tempfile.mkdtemp(dir="/tmp")
    socket = Path(lent) / "socket"
    lending = ["p11-kit", "server", "-f", "-n", socket, "--provider", softhsm.module, "pkcs11:token=builder"]
    server = subprocess.Popen(lending, env=softhsm.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        begins = time.monotonic()
        while not answers(socket):
            assert time.monotonic() - begins < BOUND and server.poll() is None
            time.sleep(0.02)
        softhsm.environment |= {"PKCS11_MODULE": client, "P11_KIT_SERVER_ADDRESS": f"unix:path={socket}"}
        run = ("run", "-n", "s", "-k", "hsm:k", "-d", "links", "--pkcs11-timeout")
        softhsm.linkgate(*run, PATIENT, "--", "true", cwd=workspace)
        (link,) = (workspace / "links").iterdir()
        link.unlink()
        # The process that serves this run is a child of the server.
        seconds = SECONDS if signal == "STOP" else PATIENT
        killing = ("--", "pkill", f"-{signal}", "-P", server.pid)
        done = softhsm.linkgate(*run, seconds, *killing, cwd=workspace, code=2)
        assert time.monotonic() - begins < BOUND
        assert "token `builder`" in done.stderr and said in done.stderr, done.stderr
        assert nothing_left(workspace)
    finally:
        subprocess.run(["pkill", "-KILL", "-P", str(server.pid)], check=False)
        server.kill()
        server.wait(PATIENCE)
        shutil.rmtree(lent)


def test_the_token_is_taken_away_between_start_and_stop(softhsm: Token, workspace: Path):
    softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", "k", cwd=workspace)
    softhsm.linkgate("record", "-k", "hsm:k", "-d", "links", "start", "s", "-m", "src", cwd=workspace)
    tokens = softhsm.folder / "tokens"
    tokens.rename(f"{tokens}.away")
    done = softhsm.linkgate("record", "-k", "hsm:k", "-d", "links", "stop", "s", "-p", "src", cwd=workspace, code=2)
    assert done.stderr
    assert nothing_left(workspace)
    # The step is not lost: the token comes back, and it can be stopped.
    Path(f"{tokens}.away").rename(tokens)
    softhsm.linkgate("record", "-k", "hsm:k", "-d", "links", "stop", "s", "-p", "src", cwd=workspace)


def test_a_token_that_is_gone_when_links_are_verified(chain: Token, workspace: Path):
    (chain.folder / "tokens").rename(chain.folder / "away")
    gone = chain.linkgate(
        *("verify", "-l", "layout.json", "-d", "links", "-k", "hsm:owner.pub"), cwd=workspace, code=2
    )
    assert "PKCS#11 module" in gone.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be loaded"), ("text", "cannot be loaded"), ("libm", "no PKCS#11 module")],
)
def test_modules_that_are_none(softhsm: Token, workspace: Path, content, said):
    module = workspace / "module.so"
    if content == "text":
        module.write_text("no library\n")
    elif content == "libm":
        import ctypes.util

        module = Path(ctypes.util.find_library("m"))
    refused = softhsm.linkgate("hsm", "list", cwd=workspace, code=2, PKCS11_MODULE=str(module))
    assert said in refused.stderr and str(module) in refused.stderr, refused.stderr


def test_no_module(softhsm: Token, workspace: Path):
    refused = softhsm.linkgate("run", "-n", "s", "-k", "hsm:k", "-x", cwd=workspace, code=2, PKCS11_MODULE="")
    assert "--pkcs11-module or PKCS11_MODULE" in refused.stderr


def test_a_public_key_that_is_no_pair(softhsm: Token, workspace: Path):
    """What the token signs must verify by the public half that stands beside the key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    halves = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    der = serialization.Encoding.DER
    private = halves[0].private_bytes(der, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = halves[1].public_key().public_bytes(der, serialization.PublicFormat.SubjectPublicKeyInfo)
    for name, content, kind in (("a", private, "privkey"), ("b", public, "pubkey")):
        (workspace / name).write_bytes(content)
        softhsm.tool("--write-object", workspace / name, "--type", kind, "--label", "k", "--id", "01", "--usage-sign")
    refused = softhsm.linkgate("run", "-n", "s", "-k", "hsm:k", "-d", "links", "-x", cwd=workspace, code=2)
    assert "they are no pair" in refused.stderr
    assert nothing_left(workspace)
