"""AdmissionReview: every kind, operation and place of an image, and what Kubernetes is told."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from gate import Gate
from supply import Image, unknown_image

KINDS = {
    "Pod": ("", "v1", "/spec"),
    "ReplicationController": ("", "v1", "/spec/template/spec"),
    "ReplicaSet": ("apps", "v1", "/spec/template/spec"),
    "Deployment": ("apps", "v1", "/spec/template/spec"),
    "StatefulSet": ("apps", "v1", "/spec/template/spec"),
    "DaemonSet": ("apps", "v1", "/spec/template/spec"),
    "Job": ("batch", "v1", "/spec/template/spec"),
    "CronJob": ("batch", "v1", "/spec/jobTemplate/spec/template/spec"),
}
LISTS = ("containers", "initContainers", "ephemeralContainers")


def thing(kind: str, spec: dict) -> dict:
    """An object of a kind with that specification of a pod."""
    group, version, path = KINDS[kind]
    inner: Any = spec
    for part in reversed(path.split("/")[1:]):
        inner = {part: inner}
    api = f"{group}/{version}" if group else version
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, **inner}


def pod_spec(*images: Any) -> dict:
    return {"containers": [{"name": f"c{number}", "image": str(image)} for number, image in enumerate(images)]}


def review(kind: str, operation: str, spec: dict | None, old: dict | None = None, **more: Any) -> dict:
    group, version, _ = KINDS[kind]
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": kind.lower() + "s"},
        "requestKind": {"group": group, "version": version, "kind": kind},
        "name": "x",
        "namespace": "prod",
        "operation": operation,
        "userInfo": {"username": "system:serviceaccount:ci:deployer", "groups": ["system:authenticated"]},
        "object": None if spec is None else thing(kind, spec),
        "oldObject": None if old is None else thing(kind, old),
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        **more,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def ask(gate: Gate, body: dict, path: str = "/validate") -> dict:
    response = gate.post(path, body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert answer["response"]["uid"] == body["request"]["uid"]
    return answer["response"]


def denied(answer: dict, code: int = 403, reason: str = "Forbidden") -> str:
    """The message of a refusal."""
    assert answer["allowed"] is False
    status = answer["status"]
    assert (status["code"], status["reason"]) == (code, reason)
    assert "\n" not in status["message"]
    return status["message"]


@pytest.mark.parametrize("path", ["/validate", "/verify", "/validate?timeout=5s"])
@pytest.mark.parametrize("kind", KINDS)
def test_create(gate: Gate, good: Image, bad: Image, kind: str, path: str) -> None:
    accepted = ask(gate, review(kind, "CREATE", pod_spec(good)), path)
    assert accepted["allowed"] is True and "status" not in accepted
    message = denied(ask(gate, review(kind, "CREATE", pod_spec(good, bad)), path))
    assert str(bad) in message and str(good) not in message


@pytest.mark.parametrize("kind", KINDS)
def test_update(gate: Gate, good: Image, bad: Image, kind: str) -> None:
    # What runs already is no reason to refuse a change of something else.
    unchanged = review(kind, "UPDATE", pod_spec(bad) | {"hostname": "other"}, pod_spec(bad))
    assert ask(gate, unchanged)["allowed"] is True
    assert str(bad) in denied(ask(gate, review(kind, "UPDATE", pod_spec(bad), pod_spec(good))))
    assert ask(gate, review(kind, "UPDATE", pod_spec(good), pod_spec(bad)))["allowed"] is True
    # One more container with an image that another one has is a new container.
    assert str(bad) in denied(ask(gate, review(kind, "UPDATE", pod_spec(bad, bad), pod_spec(bad))))


@pytest.mark.parametrize("kind", KINDS)
def test_update_whose_old_object_is_not_understood(gate: Gate, bad: Image, kind: str) -> None:
    body = review(kind, "UPDATE", pod_spec(bad), None)
    assert str(bad) in denied(ask(gate, body))
    body["request"]["oldObject"] = {"spec": "none"}
    assert str(bad) in denied(ask(gate, body))


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_starts_nothing(gate: Gate, bad: Image, kind: str, operation: str) -> None:
    assert ask(gate, review(kind, operation, None, pod_spec(bad)))["allowed"] is True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", LISTS)
def test_every_list_of_containers(gate: Gate, good: Image, bad: Image, kind: str, place: str) -> None:
    spec = pod_spec(good)
    spec[place] = [*spec.get(place, []), {"name": "other", "image": str(bad)}]
    assert str(bad) in denied(ask(gate, review(kind, "CREATE", spec)))
    spec[place][-1]["image"] = str(good)
    assert ask(gate, review(kind, "CREATE", spec))["allowed"] is True


def test_ephemeral_container_by_its_subresource(gate: Gate, good: Image, bad: Image) -> None:
    old = pod_spec(good)
    for image, allowed in ((good, True), (bad, False)):
        new = old | {"ephemeralContainers": [{"name": "debug", "image": str(image)}]}
        body = review(
            "Pod", "UPDATE", new, old, subResource="ephemeralcontainers", requestSubResource="ephemeralcontainers"
        )
        assert ask(gate, body)["allowed"] is allowed


@pytest.mark.parametrize("kind", KINDS)
def test_image_volume(gate: Gate, good: Image, bad: Image, kind: str) -> None:
    spec = pod_spec(good) | {
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "data", "image": {"reference": str(bad)}}]
    }
    assert str(bad) in denied(ask(gate, review(kind, "CREATE", spec)))
    spec["volumes"][1]["image"]["reference"] = str(good)
    assert ask(gate, review(kind, "CREATE", spec))["allowed"] is True


@pytest.mark.parametrize(
    "image", ["registry.example/web/app:1.2", "registry.example/web/app", "registry.example/web/app:latest"]
)
def test_tag(gate: Gate, image: str) -> None:
    message = denied(ask(gate, review("Pod", "CREATE", pod_spec(image))))
    assert "registry.example/web/app" in message and "may be another image tomorrow" in message
    assert "by digest" in message and "@sha256:" in message


@pytest.mark.parametrize(
    "image", ["", "a b", "UPPER/case", "x@sha256:12", "x@sha256:" + "G" * 64, "\x1b[31mred\n", "x" * 2000]
)
def test_what_is_no_image(gate: Gate, image: str) -> None:
    message = denied(ask(gate, review("Pod", "CREATE", pod_spec(image))))
    assert message.isprintable() and len(message) < 1000


def test_what_names_no_image_is_named(gate: Gate, good: Image) -> None:
    for place, what in zip(
        LISTS, ("container `odd`", "init container `odd`", "ephemeral container `odd`"), strict=True
    ):
        for image in ({}, {"image": ""}, {"image": None}):
            spec = pod_spec(good)
            spec[place] = [*spec.get(place, []), {"name": "odd", **image}]
            assert what in denied(ask(gate, review("Pod", "CREATE", spec)))
    spec = pod_spec(good) | {"volumes": [{"name": "odd", "image": {"pullPolicy": "Always"}}]}
    assert "image volume `odd`" in denied(ask(gate, review("Pod", "CREATE", spec)))


def test_kind_that_is_not_known(gate: Gate, good: Image) -> None:
    body = review("Pod", "CREATE", pod_spec(good))
    for group, kind in (
        ("serving.knative.dev", "Service"),
        ("example.com", "Pod"),
        ("apps", "Pod"),
        ("", "Deployment"),
    ):
        body["request"]["kind"] = {"group": group, "version": "v1", "kind": kind}
        message = denied(ask(gate, body))
        assert f"kind {kind}" in message and "webhook's rules" in message


@pytest.mark.parametrize("kind", KINDS)
def test_object_of_another_form(gate: Gate, kind: str) -> None:
    for value in (None, {}, [], "text", {"spec": None}):
        body = review(kind, "CREATE", None)
        body["request"]["object"] = value
        denied(ask(gate, body))
    for containers in ("text", {"a": 1}, 3):
        denied(ask(gate, review(kind, "CREATE", {"containers": containers})))
    for image in (3, ["a"], {"a": "b"}, True):
        denied(ask(gate, review(kind, "CREATE", {"containers": [{"name": "c", "image": image}]})))
    denied(ask(gate, review(kind, "CREATE", {"containers": [{"name": "c"}]})))
    denied(ask(gate, review(kind, "CREATE", {"containers": [None]})))


def test_operation_that_is_not_known(gate: Gate, good: Image) -> None:
    assert "PATCH" in denied(ask(gate, review("Pod", "PATCH", pod_spec(good))))


def test_dry_run_is_answered_alike(gate: Gate, good: Image, bad: Image) -> None:
    for image in (good, bad):
        real = ask(gate, review("Pod", "CREATE", pod_spec(image)))
        assert ask(gate, review("Pod", "CREATE", pod_spec(image), dryRun=True)) == real


@pytest.mark.parametrize("path", ["/validate", "/verify", "/mutate"])
def test_what_is_no_review(gate: Gate, good: Image, path: str) -> None:
    body = review("Pod", "CREATE", pod_spec(good))
    cases: list[Any] = [
        body | {"apiVersion": "admission.k8s.io/v1beta1"},
        body | {"kind": "Review"},
        {key: value for key, value in body.items() if key != "request"},
        body | {"request": None},
        body | {"request": []},
        [],
        None,
        "{",
        "",
        b"\xff\xfe",
        "[" * 10_000,
        json.dumps(body)[:-1],
        json.dumps(body) + "x",
    ]
    for missing in ("uid", "kind", "operation"):
        cut = copy.deepcopy(body)
        del cut["request"][missing]
        cases.append(cut)
    for case in cases:
        response = gate.post(path, case)
        assert response.status_code == 400, case
        assert list(response.json()) == ["error"]


def test_body_that_is_too_large(gate: Gate, good: Image) -> None:
    body = review("Pod", "CREATE", pod_spec(good) | {"padding": "x" * (9 << 20)})
    response = gate.post("/validate", body)
    assert response.status_code == 413 and "bytes" in response.json()["error"]
    body["request"]["object"]["spec"]["padding"] = "x" * (3 << 20)
    assert ask(gate, body)["allowed"] is True


@pytest.mark.parametrize("path", ["/validate", "/verify", "/mutate", "/gatekeeper", "/v1/verify"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_method(gate: Gate, method: str, path: str) -> None:
    response = gate.client.request(method, path)
    assert response.status_code == 405 and "error" in response.json()
    assert response.headers["allow"] == "POST"


def test_audit_annotations_hold_the_digest_of_the_answer(gate: Gate, good: Image, bad: Image) -> None:
    for image in (good, bad):
        decision = gate.verify(image, "prod")
        [policy] = decision["policies"]
        answer = ask(gate, review("Pod", "CREATE", pod_spec(image)))
        assert answer["auditAnnotations"] == {
            "decision": f"{image} {decision['outcome']} ({decision['reason']})",
            "verdict": f"{image} by web: sha256:{policy['answer_sha256']}",
        }
    both = ask(gate, review("Pod", "CREATE", pod_spec(good, bad)))["auditAnnotations"]
    assert both["verdict"].count("sha256:") == 4 and str(good) in both["decision"] and str(bad) in both["decision"]


def test_no_image_at_all(gate: Gate) -> None:
    answer = ask(gate, review("Pod", "CREATE", {"containers": []}))
    assert answer["allowed"] is True and "auditAnnotations" not in answer


def test_all_refused_images_are_named(gate: Gate, bad: Image) -> None:
    other = unknown_image()
    message = denied(ask(gate, review("Pod", "CREATE", pod_spec(bad, other, "registry.example/x:1"))))
    assert str(bad) in message and str(other) in message and "registry.example/x:1" in message


def test_more_images_than_are_taken(gate: Gate) -> None:
    images = [f"registry.example/a{number}@{unknown_image().digest}" for number in range(501)]
    assert "500" in denied(ask(gate, review("Pod", "CREATE", pod_spec(*images))))


def test_mutation_leaves_digests_alone(gate: Gate, good: Image) -> None:
    answer = ask(gate, review("Pod", "CREATE", pod_spec(good)), "/mutate")
    assert answer["allowed"] is True and "patch" not in answer and "patchType" not in answer


def test_mutation_of_a_tag_that_cannot_be_resolved(gate: Gate) -> None:
    # Nothing listens on port 1.
    answer = ask(gate, review("Pod", "CREATE", pod_spec("127.0.0.1:1/app:1.2")), "/mutate")
    assert answer["allowed"] is False and "127.0.0.1:1/app:1.2" in answer["status"]["message"]
    assert "patch" not in answer


@pytest.mark.parametrize(
    "value", ["5s", "500ms", "1m30s", "0s", "", "x", "-1s", "1e9s", "9999999h", "%35s", "5s&timeout=x"]
)
def test_any_timeout_is_survived(gate: Gate, good: Image, value: str) -> None:
    assert ask(gate, review("Pod", "CREATE", pod_spec(good)), f"/validate?timeout={value}")["allowed"] is True
