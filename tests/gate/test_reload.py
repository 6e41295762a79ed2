"""Policies and certificates that change while the gate runs."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from gate import Gate, wait_for
from supply import PATIENCE, Supply

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
    gate = serve(web)
    image = web.image()
    web.policies.rename(web.folder / "away")
    wait_for(lambda: reload_state(gate) != "ok")
    assert str(web.policies) in reload_state(gate)
    assert gate.verify(image)["allowed"] is True
    web.policies.mkdir()
    wait_for(lambda: "holds no policy" in reload_state(gate))
    assert gate.verify(image)["allowed"] is True
    web.policies.rmdir()
    (web.folder / "away").rename(web.policies)
    wait_for(lambda: reload_state(gate) == "ok")


def test_a_pipe_among_the_policies(web: Supply, serve: Callable[..., Gate]) -> None:
    """What is no file is nothing to wait for."""
    gate = serve(web)
    image = web.image()
    os.mkfifo(web.policies / "pipe")
    time.sleep(0.3)
    web.policy(images=["registry.example/other/*"])
    wait_for(lambda: gate.verify(image)["reason"] == "no-policy" or reload_state(gate) != "ok")


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
