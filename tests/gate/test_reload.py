"""Policies and certificates that change while the gate runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from gate import Gate, wait_for
from registry import registry
from supply import PATIENCE, Supply, binary

SUCCEEDED = 'linkgate_reloads_total{what="policies",result="ok"}'
FAILED = 'linkgate_reloads_total{what="policies",result="error"}'


def reload_state(gate: Gate) -> str:
    return gate.get("/readyz").json()["reload"]


def test_a_changed_policy_takes_effect(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web)
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    before = gate.get("/readyz").json()["fingerprint"]
    web.policy(images=["registry.example/other/*"])
    wait_for(lambda: gate.verify(image)["reason"] == "no-policy")
    assert gate.get("/readyz").json()["fingerprint"] != before
    # New policies are in force before they are counted.
    wait_for(lambda: SUCCEEDED in gate.metrics())
    assert gate.metrics()[SUCCEEDED] == 1
    assert gate.logged("policies reloaded")["policies"] == 1
    web.policy("second")
    wait_for(lambda: gate.verify(image)["allowed"] is True)
    assert gate.metrics()["linkgate_policies"] == 2
    (web.policies / "second.yaml").unlink()
    wait_for(lambda: gate.verify(image)["reason"] == "no-policy")


def test_a_changed_layout_and_key_take_effect(web: Supply, serve: Callable[..., Gate]) -> None:
    """They are part of the policy that names them; no verdict by the old ones is given any more."""
    gate = serve(web)
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    web.layout(steps=web.steps(packager="second"), keys=("builder", "second"))
    wait_for(lambda: gate.verify(image)["reason"] == "rejected")
    web.layout(owners=("other-owner",))
    wait_for(lambda: reload_state(gate) != "ok")
    shutil.copy(web.keys.public("other-owner"), web.policies / "owner.pub")
    wait_for(lambda: gate.verify(image)["allowed"] is True)


def test_a_broken_policy_keeps_the_old_ones(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web)
    good, bad = web.image(), web.image()
    bad.tamper("build")
    web.policy(images=["registry.example/[x"])
    wait_for(lambda: reload_state(gate) != "ok")
    told = reload_state(gate)
    assert "web.yaml" in told and "`registry.example/[x`" in told and "from before are in force" in told
    ready = gate.get("/readyz")
    assert ready.status_code == 200 and ready.json()["ready"] is True
    assert gate.verify(good)["allowed"] is True and gate.verify(bad)["allowed"] is False
    logged = gate.logged("policies not reloaded")
    assert logged["level"] == "ERROR" and "web.yaml" in logged["error"] and "stay in force" in logged["message"]
    assert gate.metrics()[FAILED] == 1 and gate.metrics()["linkgate_policies"] == 1
    # It is no news again at each look, but another fault is.
    time.sleep(0.5)
    assert len([line for line in gate.log() if line["level"] == "ERROR"]) == 1
    web.policy(keys=["nobody.pub"])
    wait_for(lambda: "nobody.pub" in reload_state(gate))
    # What is wrong is told before it is counted.
    wait_for(lambda: gate.metrics()[FAILED] != 1)
    assert gate.metrics()[FAILED] == 2
    web.policy(images=["registry.example/web/*"])
    wait_for(lambda: reload_state(gate) == "ok")
    assert gate.metrics()[SUCCEEDED] == 1
    assert gate.verify(good)["allowed"] is True
    assert gate.verify(f"registry.example/other@{good.digest}")["reason"] == "no-policy"


def test_a_policy_that_is_broken_and_as_it_was_again(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web)
    web.policy(mode="nonsense")
    wait_for(lambda: reload_state(gate) != "ok")
    web.policy()
    wait_for(lambda: reload_state(gate) == "ok")


def test_a_folder_that_is_gone_or_empty(web: Supply, serve: Callable[..., Gate]) -> None:
    """The policies from before stay in force, but not those whose keys or layouts are gone with it."""
    outside = web.folder / "outside"
    outside.mkdir()
    for name in ("root.layout", "owner.pub"):
        shutil.copy(web.policies / name, outside)
    web.policy("web", images=["registry.example/web/*"])
    web.policy("away", images=["registry.example/away/*"], layout="../outside/root.layout", keys=["../outside/owner.pub"])
    gate = serve(web)
    inside = web.image()
    away = f"registry.example/away/app@{inside.digest}"
    assert gate.verify(inside)["allowed"] is True and gate.verify(away)["allowed"] is True
    # Keys and layouts stay, and no policy does.
    kept = {path: path.read_bytes() for path in web.policies.glob("*.yaml")}
    for path in kept:
        path.unlink()
    wait_for(lambda: "holds no policy" in reload_state(gate))
    time.sleep(0.5)
    assert gate.verify(inside)["allowed"] is True and gate.verify(away)["allowed"] is True
    for path, content in kept.items():
        path.write_bytes(content)
    wait_for(lambda: reload_state(gate) == "ok")
    web.policies.rename(web.folder / "moved")
    wait_for(lambda: gate.verify(inside)["outcome"] == "undecided")
    refused = gate.verify(inside)["message"]
    assert str(web.policies) in reload_state(gate) and "nothing is allowed by this policy" in reload_state(gate)
    assert "owner.pub` is gone" in refused or "root.layout` is gone" in refused
    # Where a policy's files lie by way of the folder, they are gone with it.
    assert gate.verify(away)["outcome"] == "undecided"
    web.policies.mkdir()
    wait_for(lambda: "holds no policy" in reload_state(gate))
    assert gate.verify(inside)["outcome"] == "undecided"
    web.policies.rmdir()
    (web.folder / "moved").rename(web.policies)
    wait_for(lambda: reload_state(gate) == "ok")
    assert gate.verify(inside)["allowed"] is True and gate.verify(away)["allowed"] is True


def pipe_for(name: str) -> Callable[[Supply], object]:
    def put(web: Supply) -> None:
        (web.policies / name).unlink()
        os.mkfifo(web.policies / name)

    return put


def loop_for(name: str) -> Callable[[Supply], object]:
    def put(web: Supply) -> None:
        (web.policies / name).unlink()
        (web.policies / name).symlink_to(name)

    return put


def text_for(name: str) -> Callable[[Supply], object]:
    def put(web: Supply) -> None:
        (web.policies / name).write_text("{")

    return put


FAULTS = {
    "policy-malformed": lambda web: web.policy(keys=["first.pub", "second.pub"], nonsense=True),
    "policy-pipe": pipe_for("web.yaml"),
    "policy-loop": loop_for("web.yaml"),
    "layout-malformed": text_for("root.layout"),
    "layout-pipe": pipe_for("root.layout"),
    "key-malformed": text_for("first.pub"),
    "key-pipe": pipe_for("first.pub"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("taken", ["deleted", "replaced"])
def test_a_malformed_file_holds_no_revocation_back(web: Supply, serve: Callable[..., Gate], fault: str, taken: str) -> None:
    """Beside it a key is deleted or replaced: the policy allows nothing any more, until all of it can be read again."""
    names = ("web.yaml", "root.layout", "first.pub", "second.pub")
    web.layout(owners=("owner", "other-owner"))
    shutil.copy(web.keys.public("owner"), web.policies / "first.pub")
    shutil.copy(web.keys.public("other-owner"), web.policies / "second.pub")
    web.policy(keys=["first.pub", "second.pub"])
    kept = {name: (web.policies / name).read_bytes() for name in names}
    gate = serve(web)
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    FAULTS[fault](web)
    wait_for(lambda: reload_state(gate) != "ok")
    # The fault says nothing.
    assert gate.verify(image)["allowed"] is True
    key = web.policies / "second.pub"
    if taken == "deleted":
        key.unlink()
    else:
        shutil.copy(web.keys.public("builder"), web.folder / "scratch")
        (web.folder / "scratch").rename(key)
    wait_for(lambda: gate.verify(image)["outcome"] == "undecided")
    assert "second.pub`" in gate.verify(image)["message"]
    assert "second.pub`" in reload_state(gate) and "nothing is allowed by this policy" in reload_state(gate)
    for name, content in kept.items():
        (web.folder / "scratch").write_bytes(content)
        (web.folder / "scratch").rename(web.policies / name)
    wait_for(lambda: reload_state(gate) == "ok")
    assert gate.verify(image)["allowed"] is True


def test_a_layout_that_its_policy_does_not_fit(web: Supply, serve: Callable[..., Gate]) -> None:
    """The owners signed it, and it takes a signer out: what else it asks for does not keep the one from before in force."""
    gate = serve(web)
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    inspect = [{"_type": "inspection", "name": "untar", "run": ["untar"], "expected_materials": [], "expected_products": []}]
    web.layout(steps=web.steps(packager="second"), keys=("builder", "second"), inspect=inspect)
    wait_for(lambda: gate.verify(image)["outcome"] == "undecided")
    assert "root.layout` is not the one that was read" in gate.verify(image)["message"]


@pytest.mark.parametrize("ungoverned", ["deny", "allow"])
def test_the_last_policy_ends_beside_a_malformed_file(web: Supply, serve: Callable[..., Gate], ungoverned: str) -> None:
    gate = serve(web, "--ungoverned", ungoverned)
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    (web.policies / "b.yaml").write_text("{")
    wait_for(lambda: "b.yaml" in reload_state(gate))
    assert gate.verify(image)["allowed"] is True
    for name in ("web.yaml", "owner.pub", "root.layout"):
        (web.policies / name).unlink()
    if ungoverned == "deny":
        wait_for(lambda: gate.verify(image)["reason"] == "no-policy")
    else:
        # It may stand in the malformed file, and then its key is gone.
        wait_for(lambda: gate.verify(image)["outcome"] == "undecided")
    assert gate.verify(image)["allowed"] is False
    assert gate.get("/readyz").json()["policies"] == []
    web.layout()
    web.policy()
    wait_for(lambda: gate.verify(image)["allowed"] is True)


def test_what_cannot_be_read_holds_nothing_else_back(web: Supply, serve: Callable[..., Gate]) -> None:
    """A pipe, a name that leads nowhere, a folder too far down, a large file, a policy that is none: they are told, or are
    nothing of the gate's, and the signer who was taken out of the layout beside them is believed no more."""
    gate = serve(web)
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    os.mkfifo(web.policies / "pipe")
    os.mkfifo(web.policies / "pipe.yaml")
    (web.policies / "nowhere.yaml").symlink_to("nothing")
    (web.policies / "a/b/c/d/e").mkdir(parents=True)
    (web.policies / "large").write_bytes(b"\0" * (17 << 20))
    (web.policies / "other.yaml").write_text("apiVersion: linkgate.dev/v1\nkind: Policy\nimages: []\n")
    web.layout(steps=web.steps(packager="second"), keys=("builder", "second"))
    wait_for(lambda: gate.verify(image)["reason"] == "rejected")
    wait_for(lambda: reload_state(gate) != "ok")
    told = reload_state(gate)
    for name in ("pipe.yaml", "nowhere.yaml", "a/b/c/d/e", "other.yaml"):
        assert f"/{name}`" in told, told
    assert "/pipe`" not in told and "/large`" not in told
    assert gate.get("/readyz").status_code == 200
    for name in ("pipe.yaml", "nowhere.yaml", "other.yaml"):
        (web.policies / name).unlink()
    shutil.rmtree(web.policies / "a")
    wait_for(lambda: reload_state(gate) == "ok")
    assert gate.verify(image)["reason"] == "rejected"


def test_a_policy_that_ends_while_another_is_broken(web: Supply, serve: Callable[..., Gate]) -> None:
    """What no policy allows any more is not allowed; and nothing gets easier, for the broken file may have what was there."""
    web.layout("strict.layout", steps=web.steps(packager="second"), keys=("builder", "second"))
    web.policy("strict", layout="strict.layout", images=["registry.example/web/*"])
    web.policy(images=["registry.example/web/*", "registry.example/else/*"])
    gate, lenient = serve(web), serve(web, "--ungoverned", "allow")
    image = web.image()
    other = f"registry.example/else/app@{image.digest}"
    for asked in (gate, lenient):
        assert asked.verify(image)["reason"] == "rejected" and asked.verify(other)["allowed"] is True
    (web.policies / "strict.yaml").unlink()
    (web.policies / "renamed.yaml").write_text("nonsense")
    for asked in (gate, lenient):
        wait_for(lambda asked=asked: "renamed.yaml" in reload_state(asked))
        assert asked.verify(image)["reason"] == "rejected"
    web.policy(images=["registry.example/web/*"])
    wait_for(lambda: gate.verify(other)["reason"] == "no-policy")
    (web.policies / "renamed.yaml").unlink()
    for asked in (gate, lenient):
        wait_for(lambda asked=asked: reload_state(asked) == "ok")
        wait_for(lambda asked=asked: asked.verify(image)["allowed"] is True)


def test_files_outside_and_hidden_ones(web: Supply, serve: Callable[..., Gate]) -> None:
    """Whatever a policy was read from is watched, wherever it lies."""
    outside = web.folder / "outside"
    mount = Mount(outside)
    layout = web.policies / "root.layout"
    mount.write({"root.layout": layout.read_bytes(), "owner.pub": web.keys.public("owner").read_bytes()})
    hidden = web.policies / ".hidden"
    hidden.mkdir()
    shutil.copy(layout, hidden / ".root.layout")
    shutil.copy(web.keys.public("owner"), hidden / ".owner.pub")
    (web.policies / "web.yaml").unlink()
    web.policy("away", images=["registry.example/web/*"], layout="../outside/root.layout", keys=["../outside/owner.pub"])
    web.policy("hid", images=["registry.example/hid/*"], layout=".hidden/.root.layout", keys=[".hidden/.owner.pub"])
    gate = serve(web)
    image = web.image()
    away, hid = str(image), f"registry.example/hid/app@{image.digest}"
    assert gate.verify(away)["allowed"] is True and gate.verify(hid)["allowed"] is True
    web.layout(steps=web.steps(packager="second"), keys=("builder", "second"))
    revoked = layout.read_bytes()
    mount.write({"root.layout": revoked, "owner.pub": web.keys.public("owner").read_bytes()})
    wait_for(lambda: gate.verify(away)["reason"] == "rejected")
    assert gate.verify(hid)["allowed"] is True
    shutil.copy(layout, hidden / ".root.layout")
    wait_for(lambda: gate.verify(hid)["reason"] == "rejected")
    # Another owner's key, in place.
    shutil.copy(web.keys.public("other-owner"), hidden / ".owner.pub")
    wait_for(lambda: ".hidden/.root.layout" in reload_state(gate))
    assert "is not signed by owner" in reload_state(gate)
    # The owner from before is believed no more.
    web.layout(steps=web.steps())
    shutil.copy(layout, hidden / ".root.layout")
    time.sleep(0.5)
    refused = gate.verify(hid)
    assert refused["outcome"] == "undecided" and "is not signed by owner" in refused["message"]
    shutil.copy(web.keys.public("owner"), hidden / ".owner.pub")
    wait_for(lambda: gate.verify(hid)["allowed"] is True)


def test_a_key_that_is_taken_away(web: Supply, serve: Callable[..., Gate]) -> None:
    """Deleting a key's file, or the layout, is no way to be believed for longer."""
    gate = serve(web)
    image = web.image()
    for path in (web.policies / "owner.pub", web.policies / "root.layout"):
        wait_for(lambda: gate.verify(image)["allowed"] is True)
        content = path.read_bytes()
        path.unlink()
        wait_for(lambda: gate.verify(image)["outcome"] == "undecided")
        refused = gate.verify(image)
        assert path.name in refused["message"] and "cannot read" in refused["message"]
        assert "nothing is allowed by this policy" in reload_state(gate)
        path.write_bytes(content)


def test_files_that_appear(web: Supply, serve: Callable[..., Gate]) -> None:
    """A policy whose files come later, outside its folder, is in force once they are there."""
    gate = serve(web)
    image = web.image()
    late = web.folder / "late"
    web.policy("late", layout="../late/root.layout", keys=["../late/owner.pub"])
    wait_for(lambda: "../late/root.layout`" in reload_state(gate))
    assert gate.verify(image)["allowed"] is True
    late.mkdir()
    web.layout("late.layout", steps=web.steps(packager="second"), keys=("builder", "second"))
    (web.policies / "late.layout").rename(late / "root.layout")
    wait_for(lambda: "../late/owner.pub`" in reload_state(gate))
    shutil.copy(web.keys.public("owner"), late / "owner.pub")
    wait_for(lambda: gate.verify(image)["reason"] == "rejected")
    assert reload_state(gate) == "ok"


def test_a_folder_that_becomes_a_link(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web)
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    web.layout(steps=web.steps(packager="second"), keys=("builder", "second"))
    other = web.folder / "other"
    web.policies.rename(other)
    web.policies.symlink_to(other)
    wait_for(lambda: gate.verify(image)["reason"] == "rejected")


def test_sighup_reads_everything_anew(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web, "--reload-interval", "3600")
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    web.layout(steps=web.steps(packager="second"), keys=("builder", "second"))
    time.sleep(0.3)
    gate.process.send_signal(signal.SIGHUP)
    wait_for(lambda: gate.verify(image)["reason"] == "rejected")
    gate.logged("SIGHUP")
    gate.logged("policies reloaded")
    gate.logged("certificates reloaded")
    for _ in range(20):
        gate.process.send_signal(signal.SIGHUP)
    wait_for(lambda: gate.metrics()[SUCCEEDED] >= 2)
    assert gate.process.poll() is None and gate.verify(image)["reason"] == "rejected"


def test_sighup_before_the_gate_listens(web: Supply, tmp_path: Path) -> None:
    """It ends nothing at the start either: a policy that takes its time to be read is waited for."""
    web.policy()
    command = [str(binary()), "serve", "--policies", str(web.policies), "--listen", "127.0.0.1:0", "--self-signed", "localhost"]
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            # Before this the process has not begun to be a gate.
            wait_for(lambda: handles_hangups(process.pid) or process.poll() is not None)
            time.sleep(delay)
            process.send_signal(signal.SIGHUP)
            assert any("linkgate listens" in line for line in process.stderr)
        finally:
            process.kill()
            process.wait(PATIENCE)


def handles_hangups(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught & 1 << (signal.SIGHUP - 1))


def test_authorities_of_registries(web: Supply, serve: Callable[..., Gate], tmp_path: Path) -> None:
    """An authority that is taken out of its file is believed no more, and one that is put there is."""
    import ssl as tls

    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other", name="other")
    context = tls.SSLContext(tls.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, authority.issue("registry")))
    trusted = tmp_path / "trusted.pem"
    shutil.copy(other.certificate, trusted)
    with registry(tls=context) as fake:
        image = web.image()
        web.policy(images=["**"], evidence=[{"registry": {"repository": f"{fake.address}/evidence"}}])
        gate = serve(web, "--registry-ca", trusted, "--listing-ttl", "0", "--negative-ttl", "0", "--verdict-ttl", "0")
        assert "is not trusted" in gate.verify(image)["message"]
        shutil.copy(authority.certificate, trusted)
        wait_for(lambda: "is not trusted" not in gate.verify(image)["message"])
        shutil.copy(other.certificate, trusted)
        wait_for(lambda: "is not trusted" in gate.verify(image)["message"])
        trusted.write_text("nonsense")
        wait_for(lambda: str(trusted) in reload_state(gate))
        # That holds nothing else back.
        web.policy(images=["registry.example/other/*"])
        wait_for(lambda: gate.verify(image)["reason"] == "no-policy")


@dataclass
class Mount:
    """A folder as Kubernetes mounts a ConfigMap: names lead through `..data`, which is exchanged at once."""

    path: Path
    number: int = 0

    def write(self, files: dict[str, bytes]) -> None:
        self.number += 1
        data = self.path / f"..2026_11_25_00_00_{self.number:02}.1"
        data.mkdir(parents=True)
        for name, content in files.items():
            (data / name).write_bytes(content)
        old = (self.path / "..data").resolve() if self.number > 1 else None
        scratch = self.path / "..data_tmp"
        scratch.symlink_to(data.name)
        scratch.rename(self.path / "..data")
        for name in files:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
        for path in self.path.iterdir():
            if not path.name.startswith("..") and path.name not in files:
                path.unlink()
        if old:
            shutil.rmtree(old)


def policy_files(supply: Supply) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in supply.policies.iterdir()}


def test_a_mounted_config_map_is_exchanged(web: Supply, serve: Callable[..., Gate]) -> None:
    mount = Mount(web.folder / "mounted")
    mount.write(policy_files(web))
    gate = serve(mount.path)
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    web.policy(images=["registry.example/other/*"])
    mount.write(policy_files(web))
    wait_for(lambda: gate.verify(image)["reason"] == "no-policy")
    web.policy("second")
    mount.write(policy_files(web))
    wait_for(lambda: gate.verify(image)["allowed"] is True)
    assert gate.get("/readyz").json()["policies"] == ["second", "web"]
    assert not [line for line in gate.log() if line["level"] == "ERROR"]
    (web.policies / "web.yaml").unlink()
    mount.write(policy_files(web))
    wait_for(lambda: gate.get("/readyz").json()["policies"] == ["second"])
    # For a moment there was the name of a file that was not there any more: as in Kubernetes, it goes last.
    assert all("web.yaml" in line["error"] for line in gate.log() if line["level"] == "ERROR")


# Certificates.


@dataclass
class Authority:
    """An authority of openssl's, and certificates by it."""

    folder: Path
    name: str = "ca"
    serial: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"),
            *("-keyout", f"{self.name}.key", "-out", f"{self.name}.pem", "-subj", f"/CN={self.name}"),
            *("-addext", "keyUsage=critical,keyCertSign"),
        )

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def openssl(self, *arguments: str) -> None:
        command = ["openssl", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr

    def issue(self, name: str, usage: str = "serverAuth") -> tuple[Path, Path]:
        """A certificate for 127.0.0.1 and its key."""
        self.serial += 1
        (self.folder / "extensions").write_text(
            f"subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n"
        )
        self.openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"),
        )
        self.openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key"),
            *("-set_serial", str(1000 + self.serial), "-days", "30", "-extfile", "extensions", "-out", f"{name}.pem"),
        )
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


def serial(gate: Gate) -> int:
    """The serial number of the certificate that the gate shows now."""
    import socket

    host, port = gate.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as plain:
        with gate.context().wrap_socket(plain, server_hostname=host) as secure:
            return int(secure.getpeercert()["serialNumber"], 16)


def replace(pair: tuple[Path, Path], live: tuple[Path, Path]) -> None:
    for new, path in zip(pair, live):
        scratch = path.with_suffix(".new")
        shutil.copy(new, scratch)
        scratch.rename(path)


def test_certificates(web: Supply, serve: Callable[..., Gate], tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    live = tmp_path / "tls.crt", tmp_path / "tls.key"
    replace(authority.issue("one"), live)
    gate = serve(web, "--tls-cert", live[0], "--tls-key", live[1], ca=authority.certificate)
    assert serial(gate) == 1001
    second = authority.issue("two")
    # The certificate first: it does not go with the key, and the pair from before stays.
    shutil.copy(second[0], live[0])
    wait_for(lambda: 'linkgate_reloads_total{what="certificates",result="error"}' in gate.metrics())
    assert serial(gate) == 1001
    shutil.copy(second[1], live[1])
    wait_for(lambda: serial(gate) == 1002)
    assert 'linkgate_reloads_total{what="certificates",result="ok"}' in gate.metrics()
    for broken in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "text"):
        live[0].write_text(broken)
        time.sleep(0.3)
        assert serial(gate) == 1002
    live[0].unlink()
    time.sleep(0.3)
    assert serial(gate) == 1002
    gate.logged("certificates not reloaded")
    replace(authority.issue("three"), live)
    wait_for(lambda: serial(gate) == 1003)


def test_pipes_in_the_place_of_certificates(web: Supply, serve: Callable[..., Gate], tmp_path: Path) -> None:
    """Nobody writes into them: neither certificates nor policies wait for that."""
    authority = Authority(tmp_path / "ca")
    live = tmp_path / "tls.crt", tmp_path / "tls.key"
    replace(authority.issue("one"), live)
    trusted = tmp_path / "trusted.pem"
    shutil.copy(authority.certificate, trusted)
    options = ("--tls-cert", live[0], "--tls-key", live[1], "--registry-ca", trusted)
    gate = serve(web, *options, ca=authority.certificate)
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    for path in (*live, trusted):
        path.unlink()
        os.mkfifo(path)
    gate.logged("certificates not reloaded")
    web.layout(steps=web.steps(packager="second"), keys=("builder", "second"))
    wait_for(lambda: gate.verify(image)["reason"] == "rejected")
    gate.process.send_signal(signal.SIGHUP)
    gate.logged("SIGHUP")
    web.policy(images=["registry.example/other/*"])
    wait_for(lambda: gate.verify(image)["reason"] == "no-policy")
    for path in live:
        path.unlink()
    replace(authority.issue("two"), live)
    wait_for(lambda: serial(gate) == 1002)


@dataclass
class Asking:
    """Questions by many at once, over connections that are kept and over new ones, until it is enough."""

    gate: Gate
    allowed: str
    denied: str
    failed: list[str] = field(default_factory=list)
    answered: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self, keeps_connection: bool, http2: bool) -> None:
        client = self.gate.connect(http2=http2)
        while not self.over.is_set():
            for image, expected in ((self.allowed, True), (self.denied, False)):
                try:
                    response = client.post("/v1/verify", content=json.dumps({"image": image}))
                    if response.status_code != 200 or response.json()["allowed"] is not expected:
                        self.failed.append(response.text)
                except (httpx.HTTPError, ssl.SSLError) as error:
                    self.failed.append(repr(error))
                self.answered += 1
            if not keeps_connection:
                client.close()
                client = self.gate.connect(http2=http2)
        client.close()

    def __enter__(self) -> Asking:
        kinds = [(keeps, http2) for keeps in (True, False) for http2 in (True, False)] * 4
        self.threads = [threading.Thread(target=self.ask, args=kind) for kind in kinds]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(timeout=PATIENCE)


def test_reloads_under_load_drop_nothing(web: Supply, serve: Callable[..., Gate], tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pairs = [authority.issue(name) for name in ("one", "two")]
    live = tmp_path / "tls.crt", tmp_path / "tls.key"
    replace(pairs[0], live)
    good, bad = web.image(), web.image()
    bad.tamper("build")
    mount = Mount(web.folder / "mounted")
    mount.write(policy_files(web))
    options = ("--tls-cert", live[0], "--tls-key", live[1], "--verdict-ttl", "0.05")
    gate = serve(mount.path, *options, ca=authority.certificate)
    with Asking(gate, str(good), str(bad)) as asking:
        for number in range(8):
            web.policy(parameters={"round": str(number)})
            mount.write(policy_files(web))
            replace(pairs[number % 2], live)
            # Each is taken before the next one comes, however long that takes on a busy machine.
            wait_for(lambda: gate.metrics().get(SUCCEEDED) == number + 1)
            wait_for(lambda: serial(gate) == 1001 + number % 2)
            asked = asking.answered
            wait_for(lambda: asking.answered > asked + 20)
    assert not asking.failed, (len(asking.failed), asking.failed[:3])
    assert asking.answered > 100
    assert gate.metrics()['linkgate_reloads_total{what="certificates",result="ok"}'] >= 7
