"""Metadata of the project's own in the form of in-toto-golang's: the same kinds of files under the same names.

The generator of `tests/cases` writes keys, signatures and envelopes. Neither linkgate nor an in-toto library has a part in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

sys.path.append(str(Path(__file__).resolve().parents[1] / "cases" / "generate"))

from metadata import KEYS, Key, canonical, dsse, ecdsa, ed, ed_spki, files, rsa, rsa_secret  # noqa: E402

Json = Any

# All sign under keyids of the older formula.
OWNER = rsa("owner", rsa_secret("rsa-2048")).old()
WRITER = rsa("writer", rsa_secret("rsa-3072")).old()
PACKAGER = rsa("packager", rsa_secret("rsa-2048-b")).old()
MAINTAINER = rsa("maintainer", rsa_secret("rsa-4096")).old()
RELEASER = rsa("releaser", rsa_secret("rsa-4096-b")).old()
# The keys of the two authorities for certificates.
ROOT, INTERMEDIATE = MAINTAINER, RELEASER

PUBLIC_KEYS = {
    "alice": OWNER.public,
    "carol": ed_spki(ed("carol")),
    "dan": WRITER.public.strip(),
    "erin": ecdsa("erin", "secp256k1").public,
    "frank": ecdsa("frank", "p521").public,
    "grace": ecdsa("grace", "p384").public,
    "heidi": ecdsa("heidi", "p224").public,
    "ivan": ecdsa("ivan", "p256").public,
}

SOURCE = b"print('linkgate')\n"
EXPIRES = "2040-02-29T12:34:56Z"
MATCHED_SOURCE = ["MATCH", "foo.py", "WITH", "PRODUCTS", "FROM", "write-code"]


def write(folder: Path) -> None:
    """Fills a folder:

    - `demo.dsse.layout`: a layout in DSSE whose steps `write-code` and `package` have links that are Metablocks, and whose
      inspection unpacks `foo.tar.gz`;
    - `demo.layout`: that layout as a Metablock, its first step bound to certificates; `demo.plain.layout`: not so bound;
    - `steps.dsse.layout`: a layout in DSSE of the steps `clone-dsse`, `update-version-dsse` and `package-dsse`, whose links are
      in DSSE too;
    - `*.link`, `foo.tar.gz`, the owner's `alice.pub`, other public keys, and certificates.
    """
    for name, public in PUBLIC_KEYS.items():
        (folder / f"{name}.pub").write_text(public)
    write_demo(folder)
    write_steps_in_dsse(folder)


def write_demo(folder: Path) -> None:
    archive = packed(SOURCE)
    (folder / "foo.tar.gz").write_bytes(archive)
    source = {"foo.py": sha256(SOURCE)}
    code = link("write-code", {}, source, command=[], byproducts={})
    package = link("package", source, {"foo.tar.gz": sha256(archive)}, ["tar", "zcvf", "foo.tar.gz", "foo.py"], ran("", "a foo.py\n"))
    for value, key in ((code, WRITER), (package, PACKAGER)):
        (folder / file_name(value, key)).write_text(metablock(value, key))
    (folder / "demo.dsse.layout").write_text(in_dsse(demo(), OWNER, indent=4))
    (folder / "demo.plain.layout").write_text(metablock(demo(), OWNER))
    root, intermediate, leaf = certificates()
    bound = demo(
        {"rootcas": authorities(ROOT, root), "intermediatecas": authorities(INTERMEDIATE, intermediate)},
        {"cert_constraints": [constraint(ROOT.keyid)]},
    )
    (folder / "demo.layout").write_text(metablock(bound, OWNER))
    for name, certificate in {"root": root, "example.com.intermediate": intermediate, "example.com.write-code": leaf}.items():
        (folder / f"{name}.cert.pem").write_text(certificate)


def write_steps_in_dsse(folder: Path) -> None:
    cloned, updated = files(**{"project/foo.py": "1.0"}), files(**{"project/foo.py": "1.1"})
    clone = link("clone-dsse", {}, cloned, ["git", "clone", "https://git.example/project"], ran("", ""))
    update = link("update-version-dsse", cloned, updated, command=[], byproducts={})
    package = link(
        "package-dsse",
        updated,
        files("project.tar.gz"),
        ["tar", "--exclude", ".git", "-zcvf", "project.tar.gz", "project"],
        ran("project/\nproject/foo.py\n", ""),
    )
    for value, key in ((clone, MAINTAINER), (update, MAINTAINER), (package, RELEASER)):
        (folder / file_name(value, key)).write_text(in_dsse(value, key))
    (folder / "steps.dsse.layout").write_text(in_dsse(steps_in_dsse(), OWNER, indent=4))


# --- layouts and links, their members in the tool's order


def demo(members: Json = {}, of_the_first_step: Json = {}) -> Json:
    code = step("write-code", WRITER, [], [["ALLOW", "foo.py"]], **of_the_first_step)
    package = step(
        "package",
        PACKAGER,
        [MATCHED_SOURCE, ["DISALLOW", "*"]],
        [["ALLOW", "foo.tar.gz"], ["ALLOW", "foo.py"]],
        expected_command=["tar", "zcvf", "foo.tar.gz", "foo.py"],
    )
    untar = {
        "_type": "inspection",
        "run": ["tar", "xfz", "foo.tar.gz"],
        "name": "untar",
        "expected_materials": [["MATCH", "foo.tar.gz", "WITH", "PRODUCTS", "FROM", "package"], ["DISALLOW", "foo.tar.gz"]],
        "expected_products": [MATCHED_SOURCE, ["DISALLOW", "foo.py"]],
    }
    return layout([code, package], [untar], [WRITER, PACKAGER], members)


def steps_in_dsse() -> Json:
    def from_step(name: str) -> list[Json]:
        return [["MATCH", "project/*", "WITH", "PRODUCTS", "FROM", name], ["DISALLOW", "*"]]

    steps = [
        step("clone-dsse", MAINTAINER, [["DISALLOW", "*"]], [["CREATE", "project/foo.py"], ["DISALLOW", "*"]]),
        step("update-version-dsse", MAINTAINER, from_step("clone-dsse"), [["MODIFY", "project/foo.py"], ["DISALLOW", "*"]]),
        step("package-dsse", RELEASER, from_step("update-version-dsse"), [["CREATE", "project.tar.gz"], ["DISALLOW", "*"]]),
    ]
    return layout(steps, [], [MAINTAINER, RELEASER], {})


def layout(steps: list[Json], inspect: list[Json], keys: list[Key], members: Json) -> Json:
    return {
        "_type": "layout",
        "steps": steps,
        "inspect": inspect,
        "keys": {key.keyid: key_object(key, {"public": key.public.strip()}) for key in keys},
        **members,
        "expires": EXPIRES,
        "readme": "",
    }


def step(name: str, key: Key, materials: list[Json], products: list[Json], expected_command: Json = (), **members: Json) -> Json:
    return {
        "_type": "step",
        "pubkeys": [key.keyid],
        **members,
        "expected_command": list(expected_command),
        "threshold": 1,
        "name": name,
        "expected_materials": materials,
        "expected_products": products,
    }


def link(name: str, materials: Json, products: Json, command: list[str], byproducts: Json) -> Json:
    return {
        "_type": "link",
        "name": name,
        "materials": materials,
        "products": products,
        "byproducts": byproducts,
        "command": command,
        "environment": {},
    }


def ran(stdout: str, stderr: str) -> Json:
    return {"return-value": 0, "stderr": stderr, "stdout": stdout}


def key_object(key: Key, value: Json) -> Json:
    return {
        "keyid": key.keyid,
        "keyid_hash_algorithms": ["sha256", "sha512"],
        "keytype": key.keytype,
        "keyval": value,
        "scheme": key.scheme,
    }


# --- files


def metablock(value: Json, key: Key) -> str:
    """A Metablock, whose signature has a place for a certificate."""
    signature = {"keyid": key.keyid, "sig": key.sign(canonical(value)).hex(), "cert": ""}
    return json.dumps({"signed": value, "signatures": [signature]}, indent=2)


def in_dsse(value: Json, key: Key, indent: int | None = None) -> str:
    """A DSSE envelope, whose payload's members are sorted."""
    return json.dumps(json.loads(dsse(json.dumps(value, sort_keys=True), key)), indent=indent)


def file_name(value: Json, key: Key) -> str:
    return f"{value['name']}.{key.keyid[:8]}.link"


def packed(content: bytes) -> bytes:
    """An archive of `foo.py` with this content."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("foo.py")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def sha256(content: bytes) -> Json:
    return {"sha256": hashlib.sha256(content).hexdigest()}


# --- certificates, as ITE-7 has them


def certificates() -> list[str]:
    """Those of a root, of an authority below it, and of the one who writes code."""
    root, authority, writer = subject("root"), subject("authority"), subject("write-code.linkgate.example")
    return [
        certificate(root, "rsa-4096", root, "rsa-4096", "spiffe://root", is_authority=True),
        certificate(authority, "rsa-4096-b", root, "rsa-4096", "spiffe://linkgate.example", is_authority=True),
        certificate(writer, "rsa-3072", authority, "rsa-4096-b", "spiffe://linkgate.example/write-code", is_authority=False),
    ]


def subject(name: str) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, "linkgate"), (NameOID.COMMON_NAME, name))
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])


def certificate(name: x509.Name, key: str, issuer: x509.Name, issuer_key: str, uri: str, is_authority: bool) -> str:
    """A certificate's PEM; keys are named by their files."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(private(key).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2025, 1, 1, tzinfo=timezone.utc))
        .not_valid_after(datetime(2045, 1, 1, tzinfo=timezone.utc))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    return builder.sign(private(issuer_key), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def private(stem: str) -> Any:
    return serialization.load_pem_private_key((KEYS / f"{stem}.pem").read_bytes(), None)


def authorities(key: Key, certificate: str) -> Json:
    """The one authority with this key: its keyid is the key's, in whose place the certificate stands."""
    return {key.keyid: key_object(key, {"public": "", "certificate": certificate})}


def constraint(root: str) -> Json:
    return {
        "common_name": "write-code.linkgate.example",
        "dns_names": [],
        "emails": [],
        "organizations": ["linkgate"],
        "roots": [root],
        "uris": ["spiffe://linkgate.example/write-code"],
    }
