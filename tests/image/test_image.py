"""The image of policies/kubernetes, run as its Deployment has it: what is in it, what it may do, and what it answers."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Containers, Image, deployment, run
from gate import Gate
from names import Names, names
from registry import Registry, registry
from supply import PATIENCE, Keys, Supply, step
from supply import Image as Asked
from test_registry import chain, stored_image

USER = 65532
HOST = "registry.example"
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
# What a container has from its runtime and not from its image, and may be written to: memory, and the kernel's own.
OF_THE_RUNTIME = re.compile(r"/(dev|proc)(/.*)?")


@dataclass(frozen=True)
class Running:
    """A gate in a container, and the world that it is asked about."""

    gate: Gate
    pid: int
    hub: Registry
    names: Names
    good: Asked
    bare: Asked
    tampered: Asked


def certificates(folder: Path) -> None:
    """An authority, and what it says of the registry and of the gate."""
    folder.mkdir()
    key = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
    run("openssl", *key, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem", cwd=folder)
    for name, known_as in (("registry", f"DNS:{HOST}"), ("tls", "IP:127.0.0.1")):
        issued = ("-CA", "ca.pem", "-CAkey", "ca.key", "-subj", f"/CN={name}", "-addext", f"subjectAltName={known_as}")
        constraint = ("-addext", "basicConstraints=critical,CA:FALSE")
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
        run("openssl", *key, *issued, *constraint, *files, cwd=folder)


def supplied(folder: Path, keys: Keys, hub: Registry) -> tuple[Supply, Asked, Asked, Asked]:
    """Policies; an image with its evidence, one without any, and one whose evidence was changed after it was signed."""
    supply = Supply(folder, keys)
    keyid = keys.keyid("packager")
    supply.layout(steps=[step("package", [keyid], [], [["CREATE", "manifest.json"], ["DISALLOW", "*"]])])
    supply.policy(drop=("evidence",))
    good = stored_image(supply, hub)
    bare, tampered = (
        Asked(hub.image(text), supply.evidence, good.repository) for text in ("without evidence", "changed")
    )
    links = chain(supply, hub, tampered.digest)
    Asked(tampered.digest, links[0].parent).tamper("package")
    hub.attach(tampered.digest, links)
    return supply, good, bare, tampered


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, keys: Keys, image: Image, containers: Containers
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("running")
    certificates(folder / "tls")
    shows = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    shows.load_cert_chain(folder / "tls/registry.crt", folder / "tls/registry.key")
    with registry(shows) as hub, names(HOST) as served:
        hub.address = hub.address.replace("127.0.0.1", HOST)
        supply, *asked = supplied(folder / "supply", keys, hub)
        # As the Deployment mounts it: for the Pod's group.
        secret = folder / "secret"
        secret.mkdir()
        for name in ("tls.crt", "tls.key"):
            (secret / name).write_bytes((folder / "tls" / name).read_bytes())
            os.chown(secret / name, 0, USER)
            (secret / name).chmod(0o440)
        # As a cluster writes it.
        resolver = folder / "resolv.conf"
        resolver.write_text(f"nameserver {served.address}\nsearch svc.cluster.local\noptions ndots:5\n")
        mounts = {
            "/policies": supply.policies,
            "/tls": secret,
            "/etc/resolv.conf": resolver,
            # Its own is for authorities of the web. This one is believed only if that is the file that counts.
            f"/{AUTHORITIES}": folder / "tls/ca.pem",
        }
        [container] = deployment()["containers"]
        arguments = [re.sub("^--listen=.*", "--listen=127.0.0.1:0", argument) for argument in container["args"]]
        assert "--listen=127.0.0.1:0" in arguments
        command = containers.command(*arguments, mounts=mounts)
        gate = Gate(command, folder, folder / "tls/ca.pem")
        yield Running(gate, containers.pid(command[-1]), hub, served, *asked)
        gate.kill()


def test_only_a_program_and_authorities_are_in_it(image: Image) -> None:
    folders = {str(parent) for parent in Path(AUTHORITIES).parents} - {"."}
    assert set(image.members) == {"linkgate", AUTHORITIES} | folders
    program, authorities = image.members["linkgate"], image.members[AUTHORITIES]
    assert program.isfile() and authorities.isfile()
    assert (program.mode & 0o7777, authorities.mode & 0o7777) == (0o755, 0o644)
    assert {(member.uid, member.gid) for member in image.members.values()} == {(0, 0)}
    found = ssl.create_default_context(cafile=str(image.root / AUTHORITIES)).cert_store_stats()
    assert found["x509_ca"] > 50


def test_it_says_how_it_is_run(image: Image) -> None:
    config = image.config
    assert config["User"] == f"{USER}:{USER}"
    assert (config["Entrypoint"], config["Cmd"]) == (["/linkgate"], ["serve", "--help"])
    pod = deployment()
    user = pod["securityContext"]
    assert user["runAsNonRoot"] is True and f"{user['runAsUser']}:{user['runAsGroup']}" == config["User"]
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    # Pod Security Standards call it restricted.
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_it_helps_by_itself(containers: Containers) -> None:
    helped = run(*containers.command(), cwd=containers.folder)
    assert "--policies" in helped.stdout and not helped.stderr


def test_it_decides(running: Running) -> None:
    """Evidence comes from a registry that is known by its name and by an authority in the image's own file."""
    gate = running.gate
    accepted = gate.verify(running.good)
    assert (accepted["allowed"], accepted["reason"]) == (True, "accepted"), accepted
    for image, reason in ((running.tampered, "rejected"), (running.bare, "no-evidence")):
        refused = gate.verify(image)
        assert (refused["allowed"], refused["outcome"], refused["reason"]) == (False, "reject", reason), refused
    assert {HOST, f"{HOST}.svc.cluster.local"} <= running.names.asked
    assert any("/referrers/" in path for path in running.hub.asked)
    assert gate.get("/readyz").status_code == 200


def test_it_has_no_rights(running: Running) -> None:
    status = Path(f"/proc/{running.pid}/status").read_text()
    fields = {name: value.split() for name, value in re.findall(r"^(\w+):\t(.*)$", status, re.MULTILINE)}
    assert fields["Uid"] == fields["Gid"] == [str(USER)] * 4
    assert set(fields["Groups"]) <= {str(USER)}
    assert {int(fields[f"Cap{kind}"][0], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert fields["NoNewPrivs"] == ["1"]
    # The first process of a space of its own: it hears of no signal that it does not wait for.
    assert fields["NSpid"][-1] == "1"


def test_it_can_write_nothing(running: Running) -> None:
    lines = [line.split() for line in Path(f"/proc/{running.pid}/mountinfo").read_text().splitlines()]
    writable = {fields[4] for fields in lines if "ro" not in fields[5].split(",")}
    assert {"/", "/policies", "/tls"} <= {fields[4] for fields in lines} - writable
    assert not [place for place in writable if not OF_THE_RUNTIME.fullmatch(place)]
    # Not even who is root can.
    with pytest.raises(OSError, match="Read-only file system"):
        Path(f"/proc/{running.pid}/root/written").write_text("")


def test_it_is_one_static_program(running: Running) -> None:
    assert os.readlink(f"/proc/{running.pid}/exe") == "/linkgate"
    mapped = re.findall(r" (/.*)$", Path(f"/proc/{running.pid}/maps").read_text(), re.MULTILINE)
    assert {path for path in mapped if not path.startswith("/memfd:")} <= {"/linkgate"}


def test_it_says_that_it_cannot_load_a_token(containers: Containers) -> None:
    tried = run(*containers.command("hsm", "list", "--pkcs11-module", "/softhsm.so"), cwd=containers.folder, code=2)
    assert "/softhsm.so" in tried.stderr and "panicked" not in tried.stderr


# The last one of the module: it ends what the others ask.
def test_it_ends_when_it_is_told_to(running: Running) -> None:
    # What it would not do for a signal that it does not handle, as the first process of its container.
    assert running.gate.stop(seconds=PATIENCE) == 0
    assert not Path(f"/proc/{running.pid}").exists()
