"""The description of the interface, and whether the gate is as it describes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import schemathesis
from gate import Gate
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from supply import PATIENCE, Image, Supply, unknown_image
from test_admission import pod_spec, review

OPERATIONS = [
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/readyz"),
    ("POST", "/gatekeeper"),
    ("POST", "/mutate"),
    ("POST", "/v1/verify"),
    ("POST", "/validate"),
    ("POST", "/verify"),
]


@pytest.fixture(scope="module")
def description(world) -> dict:
    response = world[0].get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    return response.json()


def test_every_operation_is_described(description: dict) -> None:
    described = {
        (method.upper(), path)
        for path, item in description["paths"].items()
        for method in item
        if method in ("get", "post")
    }
    assert description["openapi"].startswith("3.1") and described == set(OPERATIONS)
    names = [operation["operationId"] for item in description["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))


def test_the_description_names_what_the_gate_names(description: dict) -> None:
    schemas = description["components"]["schemas"]
    assert schemas["Reason"]["enum"] == [
        *("accepted", "rejected", "no-evidence", "source-down", "undecided", "no-policy", "tag", "invalid-image"),
        *("timeout", "overloaded"),
    ]
    assert schemas["Outcome"]["enum"] == ["accept", "reject", "undecided"]
    assert schemas["Mode"]["enum"] == ["enforce", "warn"]


def response_schema(description: dict, path: str, status: str) -> dict:
    response = description["paths"][path]["post"]["responses"][status]
    if "$ref" in response:
        response = description["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    return {**response["content"]["application/json"]["schema"], "components": description["components"]}


def test_answers_are_as_described(description: dict, gate: Gate, good: Image, bad: Image) -> None:
    """Each reason that this gate can give."""
    images = [str(good), str(bad), str(unknown_image()), "registry.example/web/app:1", "no image"]
    schema = response_schema(description, "/v1/verify", "200")
    for image in images:
        for namespace in ("", "prod"):
            jsonschema.validate(gate.verify(image, namespace), schema)
    subjects = [{"name": "a", "digests": {"sha256": "00" * 32}}, {"digests": {"sha256": "11" * 32}}]
    answer = gate.post("/v1/verify", {"subjects": subjects}).json()
    assert len(answer["decisions"]) == 2
    jsonschema.validate(answer, schema)
    for path in ("/validate", "/verify", "/mutate"):
        for image in images:
            answer = gate.post(path, review("Pod", "CREATE", pod_spec(image))).json()
            jsonschema.validate(answer, response_schema(description, path, "200"))
    keys = {"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest", "request": {"keys": images}}
    jsonschema.validate(gate.post("/gatekeeper", keys).json(), response_schema(description, "/gatekeeper", "200"))
    for path in ("/v1/verify", "/validate", "/verify", "/mutate", "/gatekeeper"):
        jsonschema.validate(gate.post(path, "{").json(), response_schema(description, path, "400"))
        large = gate.post(path, "[" + " " * (8 << 20))
        assert large.status_code == 413
        jsonschema.validate(large.json(), response_schema(description, path, "413"))
        jsonschema.validate(gate.get(path).json(), response_schema(description, path, "405"))


def test_an_answer_with_warnings_is_as_described(description: dict, web: Supply, serve: Callable[..., Gate]) -> None:
    web.policy(mode="warn")
    gate = serve(web)
    decision = gate.verify(unknown_image())
    assert decision["warnings"]
    jsonschema.validate(decision, response_schema(description, "/v1/verify", "200"))
    answer = gate.post("/validate", review("Pod", "CREATE", pod_spec(unknown_image()))).json()
    assert answer["response"]["warnings"]
    jsonschema.validate(answer, response_schema(description, "/validate", "200"))


def test_the_answer_of_the_verifier_is_described_as_by_the_verifier(
    description: dict, gate: Gate, good: Image, bad: Image
) -> None:
    """`wit/answer.schema.json` is what the verifier's JSON is; the description has to hold for it."""
    own = json.loads((Path(__file__).parents[2] / "wit" / "answer.schema.json").read_text())
    described = {**description["components"]["schemas"]["VerifierAnswer"], "components": description["components"]}
    for image in (good, bad, unknown_image()):
        answer = gate.verify(image)["policies"][0]["answer"]
        jsonschema.validate(answer, own)
        jsonschema.validate(answer, described)


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
@pytest.mark.filterwarnings("ignore")
def test_drawn_requests(gate: Gate, description: dict, method: str, path: str) -> None:
    """Requests that the description allows, and others that it does not: each is answered as described."""
    schema = schemathesis.openapi.from_dict(description)
    schema.config.generation.update(modes=list(schemathesis.GenerationMode))
    operation = schema[path][method]
    refused = 0

    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE) | negative(operation))
    @settings(
        max_examples=100,
        deadline=None,
        database=None,
        derandomize=True,
        verbosity=Verbosity.quiet,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def drawn(case: schemathesis.Case) -> None:
        nonlocal refused
        response = case.call(base_url=f"https://{gate.address}", verify=str(gate.ca), timeout=PATIENCE)
        case.validate_response(response, checks=CHECKS)
        refused += response.status_code == 400
        if response.status_code == 200 and path == "/v1/verify":
            assert response.json()["allowed"] is False

    drawn()
    if method == "POST":
        assert refused
    assert gate.process.poll() is None


def negative(operation):
    """Requests that the description does not allow; none where it allows all."""
    from hypothesis import strategies

    if operation.body or operation.query:
        return operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    return strategies.nothing()
