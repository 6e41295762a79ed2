"""Envoy with the verifier in it, whose configuration changes while it runs: every request is judged by one of them."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import POLICIES
from gate import wait_for
from images import Chain, Image, Pushed
from pack import MANIFEST
from supply import PATIENCE
from test_envoy import Reply
from test_envoy_filter import Filter, Liar, before, configured, liar, module

DISCOVERY = "extension_config_discovery.http_filter.linkgate."


@dataclass
class Reloading:
    """An Envoy that reads the filter from a file of its own."""

    path: Path
    images: Pushed
    envoy: Filter = field(init=False)
    # What the README puts into the file.
    written: dict[str, Any] = field(default_factory=dict)

    def write(self, text: str) -> None:
        """In one move: Envoy never sees a part of it."""
        new = self.path.with_name("new.yaml")
        new.write_text(text)
        new.rename(self.path)

    def write_configured(self, **changes: Any) -> None:
        # What was decided is remembered for longer than any test takes.
        changes = {"cache": {"accepted_seconds": 300, "refused_seconds": 300}} | changes
        [resource] = self.written["resources"]
        resource["typed_config"]["config"]["configuration"]["value"] = json.dumps(configured(self.images, **changes))
        self.write(yaml.safe_dump(self.written))

    def count(self, what: str) -> int:
        return self.envoy.stats(DISCOVERY)[what]

    def change(self, **changes: Any) -> None:
        """Until Envoy took it."""
        taken = self.count("update_success")
        self.write_configured(**changes)
        wait_for(lambda: self.count("update_success") > taken)

    def settles(self, image: Image, status: int) -> Reply:
        """What every thread of Envoy answers, once it is that."""

        def answers() -> Reply | None:
            replies = [self.envoy.manifest(image.repository, image.tag) for _ in range(10)]
            return replies[0] if {reply.status for reply in replies} == {status} else None

        return wait_for(answers)

    def layer(self, image: Image) -> int:
        """The status of an image's layer."""
        layer = json.loads(image.manifest)["layers"][0]["digest"]
        return self.envoy.ask(f"/v2/{image.repository}/blobs/{layer}").status


@pytest.fixture(scope="module")
def start(
    before: Callable[..., Filter], images: Pushed, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Reloading]:
    """Starts an Envoy that reads the filter from a file, as the README has it."""
    readme = (POLICIES / "envoy/filter/README.md").read_text()
    section = readme.partition("## Another configuration without a restart\n")[2].partition("\n## ")[0]
    [node, discovery, form] = re.findall(r"```yaml\n(.*?)```", section, re.S)

    def begin(port: int | None = None, text: str | None = None, **changes: Any) -> Reloading:
        folder = tmp_path_factory.mktemp("plugin")
        reloading = Reloading(folder / "filter.yaml", images)

        def edit(bootstrap: dict[str, Any]) -> None:
            bootstrap |= yaml.safe_load(node)
            manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
            reloading.written = yaml.safe_load(form)
            [resource] = reloading.written["resources"]
            resource["typed_config"] = manager["http_filters"][0]["typed_config"]
            manager["http_filters"][:1] = yaml.safe_load(discovery.replace("/etc/linkgate/plugin", str(folder)))
            reloading.write(text) if text else reloading.write_configured(**changes)

        reloading.envoy = before(port, edit=edit)
        return reloading

    return begin


@pytest.fixture(scope="module")
def reloading(start: Callable[..., Reloading]) -> Reloading:
    return start()


def layout_of_others(chain: Chain, owner: str) -> dict[str, Any]:
    """By which somebody else must have made the image."""
    steps = chain.steps()
    steps[-1]["pubkeys"] = [chain.keys.keyid("stranger")]
    path = chain.supply.layout("others.layout", steps=steps, keys=("builder", "stranger"), owners=(owner,))
    layout = json.loads(path.read_text())
    path.unlink()
    return {"layout": layout, "owners": list(chain.keys.in_layout(owner).values())}


# Each by which the good image does not pass, with the reason.
OTHERS: dict[str, tuple[Callable[[Chain], dict[str, Any]], str]] = {
    "layout": (lambda chain: layout_of_others(chain, "owner"), "step `package` needs links"),
    "owner": (lambda chain: layout_of_others(chain, "other-owner"), "step `package` needs links"),
    "subject": (lambda chain: {"subject": ["other"]}, "`other` is no product"),
    "repositories": (lambda chain: {"repositories": [f"{chain.registry.host}/other/**"]}, "no policy governs it"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_configuration_holds_at_once(reloading: Reloading, images: Pushed, what: str) -> None:
    """Without what was decided by the one before; that counts again when it is back."""
    good, (others, why) = images.good, OTHERS[what]
    reloading.change()
    assert reloading.settles(good, 200).body == good.manifest
    assert reloading.layer(good) == 200
    reloading.change(**others(images.chain))
    assert why in reloading.settles(good, 403).error
    assert reloading.layer(good) == 403
    misses = reloading.envoy.stats()["cache_misses"]
    reloading.change()
    assert reloading.settles(good, 200).body == good.manifest
    assert reloading.layer(good) == 200
    assert reloading.envoy.stats()["cache_misses"] == misses


def test_a_connection_that_stays_open(reloading: Reloading, images: Pushed) -> None:
    """The next request on it is judged by what was configured meanwhile."""
    good = images.good
    reloading.change()
    reloading.settles(good, 200)
    connection = http.client.HTTPConnection("127.0.0.1", reloading.envoy.port, timeout=PATIENCE)

    def status() -> int:
        connection.request("GET", f"/v2/{good.repository}/manifests/{good.tag}", headers={"Accept": MANIFEST})
        reply = connection.getresponse()
        reply.read()
        return reply.status

    try:
        assert status() == 200
        here = connection.sock.getsockname()
        reloading.change(subject=["other"])
        wait_for(lambda: status() == 403)
        assert connection.sock.getsockname() == here
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mode": "warn"}, "unknown field `mode`"),
        # The owner's layout is not signed by whose word is taken now.
        ({"owners": "stranger"}, "`layout`: "),
        ("resources: [\n", "Filesystem config update failure"),
        ("resources: []\n", "Unexpected number of resources"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    reloading: Reloading, images: Pushed, changes: dict[str, Any] | str, why: str
) -> None:
    """Envoy says why, and goes on with what it had."""
    good, tampered = images.good, images.tampered
    reloading.change()
    reloading.settles(good, 200)
    before = reloading.count("config_fail")
    if isinstance(changes, str):
        reloading.write(changes)
    elif "owners" in changes:
        reloading.write_configured(owners=list(images.chain.keys.in_layout(changes["owners"]).values()))
    else:
        reloading.write_configured(**changes)
    wait_for(lambda: reloading.count("config_fail") > before)
    assert why in reloading.envoy.engine.log
    assert reloading.settles(good, 200).body == good.manifest
    reloading.settles(tampered, 403)
    # Nor does it keep what follows from being taken.
    reloading.change(subject=["other"])
    reloading.settles(good, 403)


def expired(chain: Chain) -> dict[str, Any]:
    """The layout, which held until some years ago."""
    path = chain.supply.layout("expired.layout", steps=chain.steps(), expires="2020-01-01T00:00:00Z")
    layout = json.loads(path.read_text())
    path.unlink()
    return {"layout": layout}


def test_an_expired_layout_ends_no_proxy(
    reloading: Reloading, start: Callable[..., Reloading], before: Callable[..., Filter], images: Pushed
) -> None:
    """An Envoy that runs takes it, one that starts with it starts, in a file of its own and in the bootstrap. What it governs is
    refused, with the reason, and counted; the rest of the proxy goes on, and the next configuration holds."""
    good = images.good
    reloading.change()
    reloading.settles(good, 200)
    reloading.change(**expired(images.chain))
    new = start(**expired(images.chain))
    for running in (reloading, new):
        counted = running.envoy.stats().get("rejected", 0)
        assert "the layout expired at 2020-01-01T00:00:00Z" in running.settles(good, 403).error
        assert running.envoy.stats()["rejected"] >= counted + 10
        assert running.envoy.ask("/v2/").status == 200
        assert "every pull is refused: the layout expired at 2020-01-01T00:00:00Z" in running.envoy.engine.log
        running.change()
        assert running.settles(good, 200).body == good.manifest
    in_bootstrap = before(**expired(images.chain))
    refused = in_bootstrap.manifest(good.repository, good.tag)
    assert refused.status == 403 and "the layout expired at" in refused.error


def test_a_forgotten_threshold_is_told(reloading: Reloading, images: Pushed) -> None:
    chain = images.chain
    steps = chain.steps()
    steps[-1]["pubkeys"].append(chain.keys.keyid("stranger"))
    steps[-1].pop("threshold")
    path = chain.supply.layout("forgotten.layout", steps=steps, keys=("builder", "packager", "stranger"))
    changes = {"layout": json.loads(path.read_text())}
    path.unlink()
    reloading.change(**changes)
    reloading.settles(images.good, 200)
    said = "step `package` has no `threshold`: any 1 of its 2 keys is enough"
    assert said in reloading.envoy.engine.log
    reloading.change(strict=True, **changes)
    assert said in reloading.settles(images.good, 403).error


@pytest.mark.parametrize("text", [None, "resources: []\n"])
def test_without_a_configuration_nothing_passes(start: Callable[..., Reloading], images: Pushed, text: str | None) -> None:
    """Envoy runs where what it finds at its start cannot be used, and lets no request through."""
    good, registry = images.good, images.chain.registry
    reloading = start(text=text) if text else start(mode="warn")
    before = len(registry.engine.log)
    for path in ("/v2/", f"/v2/{good.repository}/manifests/{good.tag}"):
        assert reloading.envoy.ask(path).status == 500
    assert len(registry.engine.log) == before
    reloading.change()
    assert reloading.settles(good, 200).body == good.manifest


def test_requests_that_are_under_way(start: Callable[..., Reloading], liar: Liar, images: Pushed) -> None:
    """They are answered, each by the configuration that it began under: neither is any of it let through by the next one."""
    good, tampered = images.good, images.tampered
    # They wait for two changes.
    reloading = start(liar.port, limits={"milliseconds": 19_000})
    liar.may_list.clear()
    try:
        with ThreadPoolExecutor(8) as clients:
            asked = [clients.submit(reloading.envoy.manifest, image.repository, image.tag) for image in (good, tampered) * 4]
            wait_for(lambda: sum("/referrers/" in path for path in liar.asked) == len(asked))
            elsewhere = [f"{images.chain.registry.host}/other/**"]
            reloading.change(repositories=elsewhere)
            reloading.settles(good, 403)
            # By this one everything passes, but not what was asked before.
            reloading.change(repositories=elsewhere, ungoverned="allow")
            assert reloading.settles(tampered, 200).body == tampered.manifest
            assert not any(request.done() for request in asked)
            liar.may_list.set()
            replies = [request.result(PATIENCE) for request in asked]
    finally:
        liar.may_list.set()
    assert [reply.status for reply in replies] == [200, 403] * 4
    assert all(reply.body == good.manifest for reply in replies[::2])
    # What they found is remembered of their configuration, and of no other one.
    reloading.change(subject=["other"])
    reloading.settles(good, 403)


def test_many_at_once_while_it_changes(start: Callable[..., Reloading], images: Pushed) -> None:
    """Every request has an answer, and nothing but what one of the configurations accepts arrives."""
    reloading, good = start(), images.good
    done = threading.Event()
    replies: list[tuple[Image, Reply]] = []

    def ask(image: Image, reference: str) -> int:
        reply = reloading.envoy.manifest(image.repository, reference)
        replies.append((image, reply))
        return reply.status

    def change() -> None:
        try:
            for number in range(5):
                # One by which nothing is decided yet, one that is never in force, and one that refuses what is good.
                reloading.change(parameters={"number": str(number)})
                wait_for(lambda: ask(good, good.tag) == 200)
                reloading.write_configured(mode="warn")
                reloading.change(subject=["other"])
                wait_for(lambda: ask(good, good.digest) == 403)
        finally:
            done.set()

    shown = (good, images.tampered, images.unknown)
    everything = [(image, reference) for image in shown for reference in (image.tag, image.digest)]
    with ThreadPoolExecutor(9) as threads:
        changer = threads.submit(change)
        while not done.is_set() or len(replies) < 300:
            list(threads.map(lambda wanted: ask(*wanted), everything * 8, timeout=PATIENCE))
        changer.result()
    for image, reply in replies:
        is_good = image is good and (reply.status, reply.body) == (200, good.manifest)
        assert reply.status == 403 or is_good, (image, reply)
    stats = reloading.envoy.stats()
    assert stats["accepted"] + stats["rejected"] == len(replies)
    assert "panicked" not in reloading.envoy.engine.log
