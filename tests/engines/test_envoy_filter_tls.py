"""Envoy with the verifier in it, before a registry that speaks TLS: it is asked, and believed, if its certificate is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import POLICIES, Authority
from images import Pushed, Registry
from test_envoy import CLIENT
from test_envoy_filter import Filter, before, module

NAME = "registry.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), NAME)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, images: Pushed, authority: Authority) -> Iterator[Registry]:
    """The images, in a registry that speaks TLS alone."""
    folder, storage = tmp_path_factory.mktemp("secure") / "registry", images.chain.registry.storage
    registry = Registry(folder, storage=storage, tls=(authority.folder / "tls.crt", authority.folder / "tls.key"))
    yield registry
    registry.engine.stop()


@pytest.fixture(scope="module")
def over_tls(before: Callable[..., Filter]) -> Callable[..., Filter]:
    """Starts an Envoy that speaks TLS with a port, as the README has it."""

    def start(port: int, ca: Path, name: str = NAME) -> Filter:
        readme = (POLICIES / "envoy/filter/README.md").read_text()
        section = readme.partition("## A registry that speaks TLS\n")[2].partition("\n## ")[0]
        [text] = re.findall(r"```yaml\n(.*?)```", section, re.S)
        for written, here in ((f"sni: {NAME}", f"sni: {name}"), ("/etc/ssl/certs/ca-certificates.crt", str(ca))):
            assert written in text
            text = text.replace(written, here)

        def edit(bootstrap: dict[str, Any]) -> None:
            resources = bootstrap["static_resources"]
            [cluster], [listener] = resources["clusters"], resources["listeners"]
            cluster |= yaml.safe_load(text)
            [host] = listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
            host["routes"][0]["route"]["host_rewrite_literal"] = NAME

        return before(port, edit=edit)

    return start


@pytest.fixture(scope="module")
def envoy(over_tls: Callable[..., Filter], secure: Registry, authority: Authority) -> Filter:
    return over_tls(secure.port, authority.ca)


def test_a_good_image_arrives(envoy: Filter, secure: Registry, images: Pushed) -> None:
    good = images.good
    for reference in (f":{good.tag}", f"@{good.digest}"):
        assert envoy.pull(good, reference) == good.blobs
    # It came from where TLS is spoken, under that name, and so did its evidence.
    assert f"GET /v2/{good.repository}/manifests/{good.digest.replace(':', '-')} HTTP" in secure.engine.log
    assert envoy.manifest(good.repository, good.tag).body == good.manifest
    assert secure.requests(CLIENT)[-1] == f"GET /v2/{good.repository}/manifests/{good.digest}"
    assert f"http.request.host={NAME} " in secure.engine.log


@pytest.mark.parametrize(("which", "why"), [("tampered", "it is not what this chain made"), ("unknown", "no link")])
def test_what_nobody_made_is_refused(envoy: Filter, images: Pushed, which: str, why: str) -> None:
    image = getattr(images, which)
    assert why in envoy.pull(image, f":{image.tag}", code=1)
    assert envoy.manifest(image.repository, image.digest).status == 403


def assert_silent(envoy: Filter, images: Pushed) -> None:
    """Nothing arrives, whatever is asked for, and that is told from a refusal."""
    good = images.good
    for count, reference in enumerate((good.tag, good.digest), 1):
        reply = envoy.manifest(good.repository, reference)
        assert (reply.status, reply.error.partition(":")[0]) == (503, "UNAVAILABLE")
        assert envoy.stats()["source_down"] == count
    assert envoy.ask("/v2/").status == 503
    envoy.pull(good, f":{good.tag}", code=1)
    assert envoy.stats()["accepted"] == envoy.stats()["rejected"] == 0


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_certificate_that_is_not_the_registrys(
    over_tls: Callable[..., Filter], secure: Registry, images: Pushed, authority: Authority, tmp_path: Path, wrong: str
) -> None:
    """Of another authority under the same name, or of the right one for another name: that is no registry to ask."""
    if wrong == "authority":
        envoy = over_tls(secure.port, Authority(tmp_path, NAME).ca)
    else:
        envoy = over_tls(secure.port, authority.ca, "other.example")
    before = len(secure.requests(CLIENT))
    assert_silent(envoy, images)
    assert len(secure.requests(CLIENT)) == before


def test_a_registry_that_speaks_no_tls(over_tls: Callable[..., Filter], images: Pushed, authority: Authority) -> None:
    """It is not asked without."""
    assert_silent(over_tls(images.chain.registry.port, authority.ca), images)
