"""Evidence travels with its image: what is attached is fetched, byte for byte, by linkgate and by others."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from typing import Any

import pytest
from conftest import DSSE, IN_TOTO, INDEX, MANIFEST, UNKNOWN, Registry, Workspace, digest_of, run


def options(registry: Registry) -> tuple[str, str]:
    return ("--plain-http", registry.host)


def fallback_tag(workspace: Workspace) -> str:
    return workspace.digest.replace(":", "-")


def test_byte_for_byte(any_registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(any_registry)
    tagged = f"{any_registry.host}/app:1"
    attached = workspace.linkgate("attach", tagged, "links", *options(any_registry))
    assert f"{tagged} is {image} now" in attached.stderr
    artifact = attached.stdout.strip().removeprefix(f"{any_registry.host}/app@")
    fetched = workspace.linkgate("fetch", image, "out", *options(any_registry))
    assert workspace.links("out") == workspace.links()
    assert fetched.stdout.split() == [f"out/{name}" for name in sorted(workspace.links())]
    manifest = any_registry.manifest("app", artifact)
    assert manifest["artifactType"] == IN_TOTO
    assert manifest["subject"]["digest"] == workspace.digest
    layers = {layer["annotations"]["org.opencontainers.image.title"]: layer for layer in manifest["layers"]}
    assert sorted(layers) == sorted(workspace.links())
    steps = {name: layer["annotations"]["dev.linkgate.step"] for name, layer in layers.items()}
    assert sorted(steps.values()) == ["build", "compile", "test"]
    assert {layer["mediaType"] for layer in layers.values()} == {IN_TOTO, DSSE}


def test_again_changes_nothing(any_registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(any_registry)
    first = workspace.linkgate("attach", image, "links", *options(any_registry))
    if "under the tag" in first.stderr:
        before = any_registry.manifest("app", fallback_tag(workspace))
    again = workspace.linkgate("attach", image, "links", *options(any_registry))
    assert again.stdout == first.stdout
    assert "was attached already" in again.stderr
    if "under the tag" in first.stderr:
        assert any_registry.manifest("app", fallback_tag(workspace)) == before
    workspace.linkgate("fetch", image, "out", *options(any_registry))
    again = workspace.linkgate("fetch", image, "out", *options(any_registry))
    assert "wrote 0 files into out; 3 were there already" in again.stderr
    assert workspace.links("out") == workspace.links()


def test_referrers_are_listed_by_the_registry_that_can(any_registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(any_registry)
    attached = workspace.linkgate("attach", image, "links", *options(any_registry))
    artifact = attached.stdout.strip().rpartition("@")[2]
    if "listed under the tag" in attached.stderr:
        listed = any_registry.manifest("app", fallback_tag(workspace))
        # Others read it, too.
        raw = run(
            *("skopeo", "inspect", "--raw", "--tls-verify=false"),
            f"docker://{any_registry.host}/app:{fallback_tag(workspace)}",
            cwd=workspace.folder,
        )
        assert json.loads(raw.stdout) == listed
    else:
        listed = json.loads(any_registry.ask(f"/v2/app/referrers/{workspace.digest}")[0])
    assert listed["mediaType"] == INDEX
    (descriptor,) = listed["manifests"]
    assert descriptor["digest"] == artifact
    if "listed under the tag" in attached.stderr:
        assert descriptor["artifactType"] == IN_TOTO


def test_a_gate_judges_it_where_it_is(any_registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(any_registry)
    policies = workspace.folder / "policies"
    for folder in (policies, workspace.folder / "made"):
        folder.mkdir()
    recorded = ("--product-image", "image=oci-layout:layout:1", "--", "true")
    workspace.linkgate("run", "-n", "package", "-k", "bob", "-d", "made", *recorded)
    layout = {"_type": "layout", "steps": [{"name": "package", "pubkeys": ["bob"], "threshold": 1}]}
    (policies / "layout.json").write_text(json.dumps(layout))
    (policies / "bob.pub").write_bytes((workspace.folder / "bob.pub").read_bytes())
    policy = {
        "apiVersion": "linkgate.dev/v1",
        "kind": "Policy",
        "images": [f"{any_registry.host}/**"],
        "layout": "layout.json",
        "trust": "configmap",
        "functionaries": {"bob": "bob.pub"},
        "subject": "image",
    }
    (policies / "web.yaml").write_text(json.dumps(policy))

    def check(code: int) -> str:
        gate = ("serve", "--policies", "policies", *options(any_registry), "--check", image)
        return workspace.linkgate(*gate, code=code).stdout

    assert "deny [no-evidence]" in check(1)
    workspace.linkgate("attach", image, "links", *options(any_registry))
    assert "deny [rejected]" in check(1)
    workspace.linkgate("attach", image, "made", *options(any_registry))
    assert "allow [accepted]" in check(0)
    any_registry.stop()
    assert "deny [source-down]" in check(2)


def test_what_another_client_attached(any_registry: Registry, workspace: Workspace) -> None:
    """Two artifacts about one image, one of them without titles, and one of another kind."""
    image = workspace.push(any_registry)
    workspace.linkgate("attach", image, "links", *options(any_registry))
    subject = {"mediaType": MANIFEST, "digest": workspace.digest, "size": 1}
    listed = []
    for kind, content in ((IN_TOTO, b"theirs"), ("application/spdx+json", b"no link")):
        config = any_registry.put_blob("app", b"{}") | {"mediaType": "application/vnd.oci.empty.v1+json"}
        layer = any_registry.put_blob("app", content) | {"mediaType": IN_TOTO}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind}
        manifest |= {"config": config, "layers": [layer], "subject": subject}
        digest = any_registry.put_manifest("app", digest_of(json.dumps(manifest).encode()), manifest)
        size = len(json.dumps(manifest))
        listed.append({"mediaType": MANIFEST, "digest": digest, "size": size, "artifactType": kind})
    if "docker" in any_registry.command[0]:
        index = any_registry.manifest("app", fallback_tag(workspace))
        index["manifests"] += listed
        any_registry.put_manifest("app", fallback_tag(workspace), index)
    workspace.linkgate("fetch", image, "out", *options(any_registry))
    theirs = {f"{digest_of(b'theirs').removeprefix('sha256:')}.link": b"theirs"}
    assert workspace.links("out") == workspace.links() | theirs


def test_cosigns_tag(registry: Registry, workspace: Workspace) -> None:
    """An attestation as cosign 2 stores it: an image under `sha256-<hex>.att` whose layers are DSSE envelopes."""
    image = workspace.push(registry)
    envelope = next(data for name, data in workspace.links().items() if name.startswith("test."))
    config = registry.put_blob("app", b'{"rootfs":{"type":"layers","diff_ids":[]}}')
    layer = registry.put_blob("app", envelope) | {
        "mediaType": DSSE,
        "annotations": {"dev.cosignproject.cosign/signature": "", "predicateType": "https://in-toto.io/Link/v0.3"},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config | {"mediaType": "application/vnd.oci.image.config.v1+json"},
        "layers": [layer],
    }
    registry.put_manifest("app", f"{fallback_tag(workspace)}.att", manifest)
    workspace.linkgate("fetch", image, "out", *options(registry))
    assert list(workspace.links("out").values()) == [envelope]


def test_equal_names_lose_nothing(any_registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(any_registry)
    name = next(name for name in workspace.links() if name.startswith("test."))
    first = workspace.links()[name]
    workspace.linkgate("attach", image, f"links/{name}", *options(any_registry))
    workspace.linkgate("run", "-n", "test", "-k", "bob", "-d", "links", "-m", "bob.pub", "--", "true")
    second = workspace.links()[name]
    workspace.linkgate("attach", image, f"links/{name}", *options(any_registry))
    workspace.linkgate("fetch", image, "out", *options(any_registry))
    found = workspace.links("out")
    assert sorted(found.values()) == sorted([first, second])
    assert name in found


def test_a_sublayout_keeps_its_name(registry: Registry, workspace: Workspace) -> None:
    """Junk of the same name does not take a sublayout's: by it the sublayout is bound to its step. Two of them are not written."""

    def layer(content: bytes) -> dict[str, Any]:
        blob = registry.put_blob("app", content)
        return blob | {"mediaType": IN_TOTO, "annotations": {"org.opencontainers.image.title": "build.deadbeef.link"}}

    def attached(*contents: bytes) -> str:
        config = registry.put_blob("app", b"{}") | {"mediaType": "application/vnd.oci.empty.v1+json"}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer(each) for each in contents]}
        registry.put_manifest("app", f"{fallback_tag(workspace)}.att", manifest)
        return workspace.push(registry)

    one, two = (b'{"signed":{"_type":"layout","readme":"%d"},"signatures":[]}' % number for number in (1, 2))
    junk = [b"junk %d" % number for number in range(8)]
    image = workspace.push(registry)
    image = attached(*junk[:4], one, *junk[4:])
    workspace.linkgate("fetch", image, "out", *options(registry))
    found = workspace.links("out")
    assert found["build.deadbeef.link"] == one and sorted(found.values()) == sorted([one, *junk])
    image = attached(one, two, *junk)
    refused = workspace.linkgate("fetch", image, "more", *options(registry), code=2)
    assert "two sublayouts that differ are attached as `build.deadbeef.link`" in refused.stderr
    assert not (workspace.folder / "more").exists()


def test_writers_at_the_same_time(any_registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(any_registry)
    names = sorted(workspace.links())

    def attach(name: str) -> None:
        workspace.linkgate("attach", image, f"links/{name}", *options(any_registry), code=None)

    def attach_all(out: str) -> list[bytes]:
        """What is there after all of them."""
        threads = [threading.Thread(target=attach, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        workspace.linkgate("fetch", image, out, *options(any_registry))
        return sorted(workspace.links(out).values())

    # A registry that lists under a tag lets everybody write over it, and a writer that a busy machine holds up does so long
    # after others have looked whether theirs is there: they may try once more. Who never looks would lose that, too.
    wanted = sorted(workspace.links().values())
    assert attach_all("out") == wanted or attach_all("more") == wanted


class Slow:
    """A registry that lists no referrers, and takes its time for each answer: what is written counts in the middle of it."""

    def __init__(self, make_stub, manifest: bytes, seconds: float) -> None:
        self.stored = {"manifests/1": manifest, f"manifests/{digest_of(manifest)}": manifest}
        self.seconds = seconds
        self.stub = make_stub({"*": self.answer, "/v2/": (200, {}, b"")})
        self.index = f"manifests/{digest_of(manifest).replace(':', '-')}"

    def answer(self, request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        name = request.path.removeprefix("/v2/app/")
        time.sleep(self.seconds * random.uniform(0.2, 0.5))
        found = self.stored.get(name)
        if request.command == "PUT":
            self.stored[name] = body
        time.sleep(self.seconds * random.uniform(0.2, 0.5))
        if request.command == "PUT":
            return 201, {}, b""
        if name.startswith("blobs/"):
            return 200, {}, b""
        return (200, {}, found) if found else UNKNOWN

    def listed(self) -> set[str]:
        return {listed["digest"] for listed in json.loads(self.stored.get(self.index, b'{"manifests":[]}'))["manifests"]}


def test_no_writer_is_lost_without_a_word(workspace: Workspace, make_stub) -> None:
    """Each one that says that its links are listed is right, however slow the registry is, and whoever else writes."""
    config = {"mediaType": "x", "digest": digest_of(b"{}"), "size": 2}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}).encode()
    slow = Slow(make_stub, manifest, 0.6)
    link = next(path for path in (workspace.folder / "links").glob("build.*.link")).read_text()
    done: list[subprocess.CompletedProcess] = []

    def attach(number: int) -> None:
        path = workspace.folder / f"{number}.link"
        # Another file with the same link in it.
        path.write_text(link + " " * number)
        host = slow.stub.host
        done.append(workspace.linkgate("attach", f"{host}/app:1", path, "--plain-http", host, code=None))

    threads = [threading.Thread(target=attach, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
        # They meet while others wait for answers.
        time.sleep(0.15)
    for thread in threads:
        thread.join()
    well = [each.stdout.strip().rpartition("@")[2] for each in done if each.returncode == 0]
    assert set(well) <= slow.listed(), (len(set(well) - slow.listed()), len(done))
    assert len(well) >= len(done) // 2
    assert all("others write it at the same time" in each.stderr for each in done if each.returncode)


def test_a_repository_of_its_own(any_registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(any_registry)
    elsewhere = ("--repository", f"{any_registry.host}/evidence")
    workspace.linkgate("attach", image, "links", *elsewhere, *options(any_registry))
    nothing = workspace.linkgate("fetch", image, "out", *options(any_registry), code=1)
    assert "no evidence is attached" in nothing.stderr
    workspace.linkgate("fetch", image, "out", *elsewhere, *options(any_registry))
    assert workspace.links("out") == workspace.links()


def test_a_dry_run_pushes_nothing(registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(registry)
    dry = workspace.linkgate("attach", "--dry-run", image, "links", *options(registry))
    assert "nothing was" in dry.stderr and "@sha256:" in dry.stdout
    workspace.linkgate("fetch", image, "out", *options(registry), code=1)
    assert not (workspace.folder / "out").exists()
    real = workspace.linkgate("attach", image, "links", *options(registry))
    assert real.stdout == dry.stdout


def test_other_files_are_not_overwritten(registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(registry)
    workspace.linkgate("attach", image, "links", *options(registry))
    name = next(iter(workspace.links()))
    other = workspace.folder / "out" / name
    other.parent.mkdir(parents=True)
    other.write_text("other")
    refused = workspace.linkgate("fetch", image, "out", *options(registry), code=2)
    assert "nothing was written; --force replaces what differs" in refused.stderr
    assert workspace.links("out") == {name: b"other"}
    workspace.linkgate("fetch", image, "out", "--force", *options(registry))
    assert workspace.links("out") == workspace.links()


@pytest.mark.parametrize("title", ["../out.link", "/tmp/linkgate-out.link", "a/../../out.link", "a\\..\\out.link"])
def test_titles_do_not_lead_out(registry: Registry, workspace: Workspace, title: str) -> None:
    image = workspace.push(registry)
    config = registry.put_blob("app", b"{}") | {"mediaType": "application/vnd.oci.empty.v1+json"}
    layer = registry.put_blob("app", b"theirs") | {"mediaType": IN_TOTO}
    layer["annotations"] = {"org.opencontainers.image.title": title}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    registry.put_manifest("app", f"{fallback_tag(workspace)}.att", manifest)
    workspace.linkgate("fetch", image, "out", *options(registry))
    assert list(workspace.links("out")) == [f"{digest_of(b'theirs').removeprefix('sha256:')}.link"]


def test_only_links_are_attached(registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(registry)
    (workspace.folder / "notes.link").write_text("hello")
    (workspace.folder / "bare.link").write_text('{"_type":"link","name":"x","command":[],"materials":{},"products":{}}')
    (workspace.folder / "empty").mkdir()
    for path, why in [
        ("notes.link", "neither a link nor a layout"),
        ("bare.link", "is not signed"),
        ("empty", "holds no `*.link` files"),
        ("nonexistent", "cannot read `nonexistent`"),
    ]:
        refused = workspace.linkgate("attach", image, path, *options(registry), code=2)
        assert why in refused.stderr
    workspace.linkgate("fetch", image, "out", *options(registry), code=1)
