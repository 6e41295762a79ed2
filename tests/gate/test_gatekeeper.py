"""Gatekeeper's external data: batches of keys, each with its own answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gate import Gate
from supply import Image, Supply, unknown_image

VERSION = "externaldata.gatekeeper.sh/v1beta1"


def batch(*keys: Any, **more: Any) -> dict:
    return {"apiVersion": VERSION, "kind": "ProviderRequest", "request": {"keys": [str(key) for key in keys]}, **more}


def ask(gate: Gate, *keys: Any) -> dict:
    response = gate.post("/gatekeeper", batch(*keys))
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["apiVersion"], answer["kind"]) == (VERSION, "ProviderResponse")
    return answer["response"]


def test_good_and_bad(gate: Gate, good: Image, bad: Image) -> None:
    none = unknown_image()
    keys = [str(good), str(bad), str(none), "registry.example/web/app:1", "no image", "", str(good)]
    answer = ask(gate, *keys)
    assert "systemError" not in answer and [item["key"] for item in answer["items"]] == keys
    values = [item.get("value") for item in answer["items"]]
    assert values == ["accept", None, None, None, None, None, "accept"]
    errors = [item.get("error", "") for item in answer["items"]]
    assert errors[0] == errors[-1] == ""
    assert [error.split(":")[0] for error in errors[1:-1]] == [
        "rejected",
        "no-evidence",
        "tag",
        "invalid-image",
        "invalid-image",
    ]
    assert str(bad) in errors[1] and "policy `web`" in errors[1]
    assert all(error.isprintable() for error in errors)


def test_idempotent_unless_a_tag_is_asked_about(gate: Gate, good: Image) -> None:
    assert ask(gate, good)["idempotent"] is True
    assert ask(gate, good, "registry.example/web/app:1")["idempotent"] is False


def test_no_keys(gate: Gate) -> None:
    assert ask(gate)["items"] == []


def test_namespaces(web: Supply, serve: Callable[..., Gate]) -> None:
    web.policy(namespaces=["prod"])
    image = web.image()
    gate = serve(web)
    keys = [f"prod|{image}", f"dev|{image}", str(image), f"|{image}", f"prod|x|{image}"]
    items = ask(gate, *keys)["items"]
    assert [item["key"] for item in items] == keys
    assert [item.get("value") for item in items] == ["accept", None, "accept", "accept", None]
    assert items[1]["error"].startswith("no-policy: ") and "`dev`" in items[1]["error"]


def test_many_keys(gate: Gate, good: Image) -> None:
    images = [f"{good.repository}@sha256:{number:064x}" for number in range(999)]
    items = ask(gate, *images, good)["items"]
    assert [item["key"] for item in items] == [*images, str(good)]
    assert [item.get("value") for item in items] == [None] * 999 + ["accept"]
    answer = ask(gate, *images, good, good)
    assert "1000" in answer["systemError"] and answer["items"] == []


def test_what_may_pass_is_an_error_of_the_whole(web: Supply, serve: Callable[..., Gate]) -> None:
    """Gatekeeper keeps every item for minutes, whatever `systemError` says: what is not known now has none."""
    web.policy(images=["registry.example/web/*"])
    web.policy("down", images=["registry.example/down/*"], evidence=[{"configMap": str(web.folder / "none")}])
    image = web.image()
    down = f"registry.example/down/app@{image.digest}"
    answer = ask(serve(web), image, down, unknown_image())
    assert [item["key"] for item in answer["items"]] == [str(image), str(unknown_image())]
    assert answer["items"][0]["value"] == "accept" and answer["items"][1]["error"].startswith("no-evidence: ")
    assert down in answer["systemError"] and "policy `down`" in answer["systemError"]


@pytest.mark.parametrize(
    "body",
    [
        batch() | {"apiVersion": "externaldata.gatekeeper.sh/v2"},
        batch() | {"kind": "ProviderResponse"},
        batch() | {"request": {}},
        batch() | {"request": {"keys": "a"}},
        batch() | {"request": {"keys": [3]}},
        batch() | {"request": None},
        {},
        "",
        "[",
    ],
    ids=str,
)
def test_what_is_no_provider_request(gate: Gate, body: Any) -> None:
    response = gate.post("/gatekeeper", body)
    assert response.status_code == 400 and list(response.json()) == ["error"]


def test_the_older_version_is_answered_in_its_own(gate: Gate, good: Image) -> None:
    old = "externaldata.gatekeeper.sh/v1alpha1"
    answer = gate.post("/gatekeeper", batch(good, apiVersion=old)).json()
    assert answer["apiVersion"] == old and answer["response"]["items"][0]["value"] == "accept"
