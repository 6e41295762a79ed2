"""A gate whose policies name keys in a token, and the token fails: nothing is believed for that, and nothing that takes trust
away waits for it."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Token, build, layout, required

sys.path.insert(0, str(Path(__file__).parent.parent / "gate"))
from gate import Gate, wait_for  # noqa: E402

SECONDS = 1


@dataclass
class Guarded:
    """Policies `plain`, by key files, and `hsm`, by the owner's key in the token, each for images of its own."""

    token: Token
    folder: Path
    digest: str

    @property
    def policies(self) -> Path:
        return self.folder / "policies"

    def image(self, policy: str) -> str:
        return f"registry.example/{policy}/app@sha256:{self.digest}"

    def policy(self, name: str, *keys: str, layout: str = "layout.json") -> None:
        policy = {
            "apiVersion": "linkgate.dev/v1",
            "kind": "Policy",
            "images": [f"registry.example/{name}/*"],
            "layout": layout,
            "keys": list(keys),
            "evidence": [{"directory": str(self.folder / "links")}],
        }
        self.put(f"{name}.yaml", json.dumps(policy))

    def put(self, name: str, text: str) -> None:
        scratch = self.folder / "scratch"
        scratch.write_text(text)
        scratch.rename(self.policies / name)

    def revoke(self) -> None:
        """Lays down a layout by the owner that does not list who made the links."""
        self.token.linkgate("keygen", "-t", "ecdsa", "-n", "nobody", cwd=self.folder)
        shown = json.loads(self.token.linkgate("key", "show", "--json", "nobody.pub", cwd=self.folder).stdout)
        draft = json.loads((self.policies / "layout.json").read_text())["signed"]
        draft["keys"] = shown
        draft["steps"][0]["pubkeys"] = list(shown)
        scratch = self.folder / "revoked.json"
        scratch.write_text(json.dumps(draft))
        self.token.linkgate("sign", "-q", "-f", scratch, "-k", "hsm:owner", "chief", cwd=self.folder)
        self.revoked = scratch.read_text()


@pytest.fixture
def guarded(softhsm: Token, workspace: Path, faulty) -> Guarded:
    for label in ("owner", "builder-key"):
        softhsm.linkgate("keygen", "-t", "ecdsa", "--hsm", label, "-n", label, cwd=workspace)
    build(softhsm, workspace)
    layout(softhsm, workspace, ("owner",))
    # Whoever owns the other policy has a key in a file: no token is asked about it.
    softhsm.linkgate("keygen", "-n", "chief", cwd=workspace)
    softhsm.linkgate("sign", "-q", "-f", "layout.json", "-k", "chief", "--append", cwd=workspace)
    made = hashlib.sha256((workspace / "build-output/main").read_bytes()).hexdigest()
    guarded = Guarded(softhsm, workspace, made)
    guarded.policies.mkdir()
    shutil.copy(workspace / "layout.json", guarded.policies)
    shutil.copy(workspace / "chief.pub", guarded.policies)
    guarded.policy("plain", "chief.pub")
    guarded.policy("hsm", "hsm:owner.pub")
    guarded.revoke()
    faulty()
    return guarded


@pytest.fixture
def serve(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Gate]]:
    started: list[Gate] = []

    def start(*options: str, verdict_ttl: int = 0) -> Gate:
        for name, value in guarded.token.environment.items():
            monkeypatch.setenv(name, value)
        # Unless a verdict is kept, each question needs the token.
        command = [
            *(str(required("LINKGATE")), "serve", "--policies", "policies", "--listen", "127.0.0.1:0"),
            *("--self-signed", "127.0.0.1,localhost", "--reload-interval", "0.1", "--verdict-ttl", str(verdict_ttl)),
            *("--negative-ttl", "0", "--pkcs11-timeout", str(SECONDS), *options),
        ]
        started.append(Gate(command, guarded.folder))
        return started[-1]

    yield start
    for gate in started:
        gate.kill()


def test_a_token_that_was_slow_once_is_asked_again(guarded: Guarded, serve, faulty) -> None:
    gate = serve()
    assert gate.verify(guarded.image("hsm"))["allowed"] is True
    faults = faulty(C_Verify="hang")
    slow = gate.verify(guarded.image("hsm"))
    assert slow["outcome"] == "undecided" and "no answer within 1 s; it is not asked again for 3 s" in slow["message"]
    assert "asked again shortly" in gate.verify(guarded.image("hsm"))["message"]
    assert gate.get("/readyz").status_code == 200
    assert gate.verify(guarded.image("plain"))["allowed"] is True
    (faults / "C_Verify").unlink()
    wait_for(lambda: gate.verify(guarded.image("hsm"))["allowed"] is True)


@pytest.mark.parametrize("fault", ["C_Verify", "C_GetSlotList", "C_OpenSession", "C_FindObjectsInit", "killed"])
def test_a_token_holds_no_revocation_back(guarded: Guarded, serve, faulty, fault: str) -> None:
    """Whatever it is that hangs, or that the whole token is gone: the layouts of both policies are exchanged, and the policy
    by the token's key keeps that key."""
    gate = serve()
    for policy in ("plain", "hsm"):
        assert gate.verify(guarded.image(policy))["allowed"] is True
    tokens = guarded.token.folder / "tokens"
    if fault == "killed":
        tokens.rename(f"{tokens}.away")
    else:
        faults = faulty(**{fault: "hang"})
        gate.verify(guarded.image("hsm"))
    guarded.put("layout.json", guarded.revoked)
    wait_for(lambda: gate.verify(guarded.image("plain"))["reason"] == "rejected")
    assert gate.verify(guarded.image("hsm"))["allowed"] is False
    assert gate.get("/readyz").json()["reload"] == "ok"
    if fault in ("C_GetSlotList", "killed"):
        gate.logged("a token gave no key")
    if fault != "killed":
        (faults / fault).unlink()
        wait_for(lambda: gate.verify(guarded.image("hsm"))["reason"] == "rejected")


def test_a_policy_that_names_another_key_which_cannot_be_read(guarded: Guarded, serve, faulty) -> None:
    """Its owner's key is believed no more, though the new one is not known yet; and no other policy waits for it."""
    guarded.token.linkgate("keygen", "-t", "ecdsa", "--hsm", "second", cwd=guarded.folder)
    gate = serve()
    assert gate.verify(guarded.image("hsm"))["allowed"] is True
    faults = faulty(C_OpenSession="hang", C_FindObjectsInit="hang")
    guarded.policy("hsm", "hsm:second.pub")
    wait_for(lambda: gate.verify(guarded.image("hsm"))["outcome"] == "undecided")
    wait_for(lambda: "nothing is judged by it" in gate.verify(guarded.image("hsm"))["message"])
    assert "nothing is allowed by this policy" in gate.get("/readyz").json()["reload"]
    guarded.policy("plain", "chief.pub", layout="revoked.json")
    guarded.put("revoked.json", guarded.revoked)
    wait_for(lambda: gate.verify(guarded.image("plain"))["reason"] == "rejected")
    for fault in ("C_OpenSession", "C_FindObjectsInit"):
        (faults / fault).unlink()
    # By the second owner's key the first one's layout is not believed.
    wait_for(lambda: "is not signed by owner" in gate.verify(guarded.image("hsm"))["message"])
    assert gate.verify(guarded.image("hsm"))["allowed"] is False
    guarded.policy("hsm", "hsm:owner.pub")
    wait_for(lambda: gate.verify(guarded.image("hsm"))["allowed"] is True)


def test_not_ready_where_only_a_restart_helps(guarded: Guarded, serve, faulty) -> None:
    """The threads that hang are few, however long it is asked; and one answer that comes after all makes it ready again."""
    gate = serve()
    assert gate.verify(guarded.image("hsm"))["allowed"] is True
    faults = faulty(C_Verify="hang")

    def not_ready() -> bool:
        gate.verify(guarded.image("hsm"))
        return gate.get("/readyz").status_code == 503

    wait_for(not_ready)
    told = gate.get("/readyz").json()
    assert told["ready"] is False and "hsm:owner.pub" in told["restart"]
    calls = faults / "calls"
    asked = calls.read_text().count("C_Verify\n")
    assert 2 <= asked <= 6
    for _ in range(5):
        assert "only a restart of this process helps" in gate.verify(guarded.image("hsm"))["message"]
    time.sleep(SECONDS * 4)
    gate.verify(guarded.image("hsm"))
    assert calls.read_text().count("C_Verify\n") == asked
    assert gate.verify(guarded.image("plain"))["allowed"] is True
    (faults / "C_Verify").unlink()
    wait_for(lambda: gate.get("/readyz").status_code == 200)
    wait_for(lambda: gate.verify(guarded.image("hsm"))["allowed"] is True)


def test_a_pin_file_that_is_put_right(guarded: Guarded, serve, faulty) -> None:
    """A PIN that was refused is not tried twice, and another one in its file is."""
    guarded.token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "hidden", "--id", "07", "--private")
    guarded.token.environment.pop("PKCS11_PIN")
    pin = guarded.folder / "pin"
    pin.write_text("4321\n")
    gate = serve("--pkcs11-pin-file", str(pin))
    faults = faulty()
    guarded.policy("late", "hsm:hidden.pub")
    wait_for(lambda: "CKR_PIN_INCORRECT" in gate.get("/readyz").json()["reload"])
    time.sleep(SECONDS)
    assert (faults / "calls").read_text().count("C_Login\n") == 1
    assert gate.get("/readyz").status_code == 200
    pin.write_text("1234\n")
    # The key is read, and the layout is not its owner's.
    wait_for(lambda: "CKR_PIN_INCORRECT" not in gate.get("/readyz").json()["reload"])
    assert (faults / "calls").read_text().count("C_Login\n") == 2


@pytest.mark.parametrize("fault", ["none", "malformed"])
def test_a_key_that_is_deleted_in_its_token(guarded: Guarded, serve, fault: str) -> None:
    """The token answers that it has none: the key that it gave before is believed no more, however often it is asked, and
    whether or not the policy's file can be read."""
    gate = serve(verdict_ttl=600)
    assert gate.verify(guarded.image("hsm"))["allowed"] is True
    kept = (guarded.policies / "hsm.yaml").read_text()
    if fault == "malformed":
        guarded.put("hsm.yaml", "{")
        wait_for(lambda: gate.get("/readyz").json()["reload"] != "ok")
        assert gate.verify(guarded.image("hsm"))["allowed"] is True
    for half in ("pubkey", "privkey"):
        guarded.token.tool("--delete-object", "--type", half, "--label", "owner")
    gate.process.send_signal(signal.SIGHUP)
    wait_for(lambda: gate.verify(guarded.image("hsm"))["outcome"] == "undecided")
    for _ in range(20):
        refused = gate.verify(guarded.image("hsm"))
        assert refused["outcome"] == "undecided" and "has no public key `owner" in refused["message"]
        time.sleep(0.05)
    wait_for(lambda: "nothing is allowed by this policy" in gate.get("/readyz").json()["reload"])
    assert gate.verify(guarded.image("plain"))["allowed"] is True
    # Nor is it believed once the file is mended.
    guarded.put("hsm.yaml", kept)
    time.sleep(SECONDS)
    assert gate.verify(guarded.image("hsm"))["outcome"] == "undecided"
