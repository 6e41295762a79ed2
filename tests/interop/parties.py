"""The two tool sets behind one face, and metadata made and changed for them."""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from in_toto.models.layout import Layout
from in_toto.models.metadata import Envelope, Metablock

FAMILIES = ("ed25519", "ecdsa", "rsa")
Outcome = subprocess.CompletedProcess


def run(*command: Any, cwd: Path, timeout: float = 60) -> Outcome:
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=timeout)


def must(*command: Any, cwd: Path) -> Outcome:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


KEYS: dict[tuple[str, str, str], tuple[bytes, bytes]] = {}


def kept(tool: str, family: str, name: str, cwd: Path, generate: Callable[[], Any]) -> None:
    """Makes a key pair once a run and copies it afterwards: RSA keys take their time."""
    files = cwd / name, cwd / f"{name}.pub"
    if (tool, family, name) in KEYS:
        for path, content in zip(files, KEYS[tool, family, name]):
            path.write_bytes(content)
        files[0].chmod(0o600)
    else:
        generate()
        KEYS[tool, family, name] = files[0].read_bytes(), files[1].read_bytes()


@dataclass(frozen=True)
class Alias:
    """linkgate by the name of in-toto-run, with that tool's ways: links to folders are followed, what is missing is not."""

    binary: Path

    def run(self, step: str, key: str, *options: Any, command: list[str], cwd: Path) -> Outcome:
        arguments = ["in-toto-run", "--step-name", step, "--signing-key", key, "--metadata-directory", "links", *options]
        arguments = [str(part) for part in [*arguments, "--", *command]]
        return subprocess.run(arguments, executable=self.binary, cwd=cwd, capture_output=True, text=True, timeout=60)


@dataclass(frozen=True)
class Linkgate:
    """linkgate by its own name and options."""

    binary: Path

    def __call__(self, *arguments: Any, cwd: Path) -> Outcome:
        return run(self.binary, *arguments, cwd=cwd)

    def must(self, *arguments: Any, cwd: Path) -> Outcome:
        return must(self.binary, *arguments, cwd=cwd)

    def keygen(self, family: str, name: str, cwd: Path) -> None:
        kept("linkgate", family, name, cwd, lambda: self.must("keygen", "-t", family, "-n", name, cwd=cwd))

    def run(self, step: str, key: str, *options: Any, command: list[str], cwd: Path) -> Outcome:
        return self("run", "--name", step, "--key-path", key, "--links-dir", "links", *options, "--", *command, cwd=cwd)

    def start(self, step: str, key: str, *options: Any, cwd: Path) -> Outcome:
        return self("record", "start", step, "--key-path", key, "--links-dir", "links", *options, cwd=cwd)

    def stop(self, step: str, key: str, *options: Any, cwd: Path) -> Outcome:
        return self("record", "stop", step, "--key-path", key, "--links-dir", "links", *options, cwd=cwd)

    def sign(self, file: str, key: str, *options: Any, cwd: Path) -> Outcome:
        return self("sign", "-f", file, "-k", key, *options, cwd=cwd)

    def match_products(self, *options: Any, cwd: Path) -> Outcome:
        return self("match-products", *options, cwd=cwd)

    def verify(self, layout: str, *keys: str, cwd: Path, links: str = "links", options: tuple = ()) -> Outcome:
        owners = [part for key in keys for part in ("--key", key)]
        return self("verify", "--layout", layout, "--links-dir", links, "--inspect-dir", "inspect", *owners, *options, cwd=cwd)

    def codes(self, layout: str, *keys: str, cwd: Path, links: str = "links") -> tuple[str, set[str]]:
        """The decision, and the codes of its findings (or of an undecided answer)."""
        answer = json.loads(self.verify(layout, *keys, cwd=cwd, links=links, options=("--format", "json")).stdout)
        answer = answer.get("verdict", answer)
        found = {finding["code"] for finding in answer["findings"]}
        return answer["decision"], found | ({answer["code"]} if "code" in answer else set())


@dataclass(frozen=True)
class Python:
    """The reference tools, by the face of [`Linkgate`]; its record and verify know no other folder than the present one."""

    bin: Path

    def __call__(self, tool: str, *arguments: Any, cwd: Path) -> Outcome:
        return run(self.bin / f"in-toto-{tool}", *arguments, cwd=cwd)

    def keygen(self, family: str, name: str, cwd: Path) -> None:
        kept("python", family, name, cwd, lambda: self._generate(family, cwd / name))

    def _generate(self, family: str, path: Path) -> None:
        private = {
            "ed25519": ed25519.Ed25519PrivateKey.generate,
            "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
            "rsa": lambda: rsa.generate_private_key(65537, 3072),
        }[family]()
        secret = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        path.write_bytes(secret)
        path.with_name(f"{path.name}.pub").write_bytes(public)

    def run(self, step: str, key: str, *options: Any, command: list[str], cwd: Path) -> Outcome:
        return self("run", "-n", step, "--signing-key", key, "-d", "links", *options, "--", *command, cwd=cwd)

    def start(self, step: str, key: str, *options: Any, cwd: Path) -> Outcome:
        return self("record", "start", "-n", step, "--signing-key", key, *options, cwd=cwd)

    def stop(self, step: str, key: str, *options: Any, cwd: Path) -> Outcome:
        # Only `start` needs to hear of DSSE here.
        options = tuple(option for option in options if option != "--use-dsse")
        return self("record", "stop", "-n", step, "--signing-key", key, "-d", "links", *options, cwd=cwd)

    def sign(self, file: str, key: str, *options: Any, cwd: Path) -> Outcome:
        return self("sign", "-f", file, "-k", key, *options, cwd=cwd)

    def match_products(self, *options: Any, cwd: Path) -> Outcome:
        return self("match-products", *options, cwd=cwd)

    def verify(self, layout: str, *keys: str, cwd: Path, links: str = "links") -> Outcome:
        # It runs inspections where it stands, so it stands in a folder of its own.
        paths = [f"../{key}" for key in keys]
        return self("verify", "-l", f"../{layout}", "--verification-keys", *paths, "--link-dir", f"../{links}", cwd=cwd / "inspect")


def write_layout(cwd: Path, dsse: bool, steps: list[dict[str, Any]], functionaries: list[str], **members: Any) -> None:
    """Writes the unsigned `root.layout` as the reference library forms it; in steps `pubkeys` holds key files."""
    keys = {name: Layout().add_functionary_key_from_path(str(cwd / name)) for name in functionaries}
    plain = {"_type": "step", "threshold": 1, "expected_command": [], "expected_materials": [], "expected_products": []}
    signable = Layout.read(
        {
            "_type": "layout",
            "expires": "2040-01-01T00:00:00Z",
            "readme": "",
            "inspect": [],
            "keys": {key["keyid"]: key for key in keys.values()},
            "steps": [{**plain, **step, "pubkeys": [keys[name]["keyid"] for name in step["pubkeys"]]} for step in steps],
            **members,
        }
    )
    metadata = Envelope.from_signable(signable) if dsse else Metablock(signed=signable)
    metadata.dump(str(cwd / "root.layout"))


def payload(path: Path) -> Any:
    """What a metadata file says, whichever envelope it is in."""
    envelope = json.loads(path.read_text())
    return envelope["signed"] if "signed" in envelope else json.loads(base64.b64decode(envelope["payload"]))


def tamper(path: Path, change: Callable[[Any], None]) -> None:
    """Changes what a metadata file says and leaves its signatures as they are."""
    envelope = json.loads(path.read_text())
    value = payload(path)
    change(value)
    if "signed" in envelope:
        envelope["signed"] = value
    else:
        envelope["payload"] = base64.b64encode(json.dumps(value).encode()).decode()
    path.write_text(json.dumps(envelope))


def is_dsse(path: Path) -> bool:
    return "payload" in json.loads(path.read_text())
