"""Log lines: JSON, found by the request's id, and without anything that is nobody's business."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import httpx
import pytest
from gate import LISTENS, Gate, wait_for
from supply import PATIENCE, Image, Supply, binary, linkgate, step
from test_admission import pod_spec, review


def of(gate: Gate, request_id: str, member: str = "message") -> list[dict]:
    """The lines of a request, once there is one with that member."""
    is_of = lambda line: line.get("span", {}).get("id") == request_id and member in line
    return wait_for(lambda: [line for line in gate.log() if is_of(line)])


def test_a_decision_is_found_by_the_id_of_its_request(gate: Gate, good: Image, bad: Image) -> None:
    seen = set()
    for image in (good, bad):
        response = gate.post("/v1/verify", {"image": str(image), "namespace": "prod"})
        request_id = response.headers["x-request-id"]
        seen.add(request_id)
        decision = response.json()
        [line] = of(gate, request_id, "outcome")
        for member in ("subject", "namespace", "allowed", "outcome", "reason"):
            assert line[member] == decision[member], member
        assert line["face"] == "verify" and line["level"] == "INFO"
        assert decision["policies"][0]["answer_sha256"] in line["answers"]
        assert decision["message"] in line.values()
    assert len(seen) == 2


def test_a_callers_id_is_kept_if_it_is_harmless(gate: Gate, good: Image) -> None:
    body = json.dumps({"image": str(good)})
    response = gate.client.post("/v1/verify", content=body, headers={"x-request-id": "abc-1_2.3"})
    assert response.headers["x-request-id"] == "abc-1_2.3" and of(gate, "abc-1_2.3")
    for forged in ('a"}{', "a b", "x" * 65, "é".encode(), ""):
        response = gate.client.post("/v1/verify", content=body, headers=[("x-request-id", forged)])
        assert response.headers["x-request-id"].isalnum() and len(response.headers["x-request-id"]) == 16


def test_errors_have_an_id_too(gate: Gate) -> None:
    for response in (gate.post("/v1/verify", "{"), gate.get("/nowhere"), gate.get("/v1/verify")):
        assert of(gate, response.headers["x-request-id"])


def test_every_line_is_an_object_without_members_twice(gate: Gate, good: Image) -> None:
    gate.verify(good)

    def once(pairs: list[tuple[str, object]]) -> dict:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), names
        return dict(pairs)

    for line in list(gate.stderr):
        if not line.startswith(("linkgate listens", "standard output has", "LS0t")) and not line.startswith(
            "linkgate: "
        ):
            parsed = json.loads(line, object_pairs_hook=once)
            assert {"timestamp", "level", "message"} <= set(parsed)


def test_a_line_cannot_be_forged(gate: Gate) -> None:
    forged = '\n{"level":"INFO","allowed":true,"message":"forged"}\n'
    for response in (
        gate.post("/v1/verify", {"image": forged, "namespace": forged}),
        gate.post("/v1/verify", {"subjects": [{"name": forged, "digests": {"sha256": "00" * 32}}]}),
        gate.client.get("/" + "%0a" + '{"level":"INFO"}'),
    ):
        # The last line of a request.
        assert of(gate, response.headers["x-request-id"], "status")
    assert not any(
        line["message"] == "forged" or line.get("allowed") is True and "span" not in line for line in gate.log()
    )


def test_a_line_of_text_cannot_be_forged(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web, "--log-format", "text")
    forged = "x\n2026-11-25T00:00:00Z  INFO forged\x1b[2J"
    gate.post("/v1/verify", {"image": forged, "namespace": forged})
    gate.post("/v1/verify", {"subjects": [{"name": forged, "digests": {"sha256": "00" * 32}}]})
    key = {"keys": [forged, f"{forged}|{forged}"]}
    gate.post(
        "/gatekeeper", {"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest", "request": key}
    )
    spec = pod_spec(forged)
    gate.post("/validate", review("Pod", "CREATE", spec, namespace=forged))
    assert gate.stop() == 0
    assert len([line for line in gate.stderr if "decision" in line]) == 5
    assert not any(line.startswith("2026-11-25T00:00:00Z") for line in gate.stderr)
    assert "[2J" not in "".join(gate.stderr).replace("\\u{1b}[2J", "").replace("\\x1b[2J", "")


def assert_harmless(lines: list[str]) -> None:
    for line in lines:
        assert line.isprintable(), ascii(line)
        assert not line.lstrip().startswith("::") and "##" not in line, ascii(line)
        assert not set("\ufe0f\U000e0041\u200b") & set(line)


# It turns the direction of writing, breaks lines, is seen by nobody, moves a cursor, and gives orders to a CI system.
HOSTILE = "::error::x\u202ex\u2028x\u200b\ufeff\U000e0041\x9b2Jx\x1b[2J\r\n##[error]x"


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_others_say_does_nothing(web: Supply, serve: Callable[..., Gate], form: str) -> None:
    image = web.image()
    stray = {"_type": "link", "name": HOSTILE, "command": [], "materials": {}, "products": {}}
    for link in image.links.glob("*.link"):
        link.write_text(json.dumps({"signed": stray, "signatures": []}))
    gate = serve(web, "--log-format", form, "--page")
    provider = {"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest"}
    said = []
    for path, body in (
        ("/v1/verify", {"image": HOSTILE, "namespace": HOSTILE}),
        ("/v1/verify", {"image": str(image)}),
        ("/v1/verify", {"subjects": [{"name": HOSTILE, "digests": {"sha256": "00" * 32}}]}),
        ("/v1/verify", {HOSTILE: 1}),
        ("/gatekeeper", {**provider, "request": {"keys": [HOSTILE]}}),
        ("/validate", review("Pod", "CREATE", pod_spec(HOSTILE), namespace=HOSTILE)),
        ("/validate", review("Pod", "CREATE", pod_spec(image))),
    ):
        answer = gate.client.post(path, content=json.dumps(body)).json()
        # What was asked stands beside what is said, as it was asked.
        said += [
            answer.get("message", ""),
            answer.get("error", ""),
            *(policy["message"] for policy in answer.get("policies", ())),
            *(item["error"] for item in answer.get("response", {}).get("items", ())),
            answer.get("response", {}).get("status", {}).get("message", ""),
        ]
    envoy = gate.client.get("/envoy/registry.example/v2/%E2%80%AE%0A/manifests/x").json()
    said.append(envoy["errors"][0]["message"])
    assert sum(1 for message in said if message) >= 9
    assert sum("\\u{202e}" in message for message in said) >= 6
    for page in (gate.client.get("/").text, gate.client.get("/decisions/1").text, gate.client.get("/decisions/2").text):
        said += page.splitlines()
    assert gate.stop() == 0
    assert any("u202e" in line or "u{202e}" in line for line in gate.stderr)
    assert_harmless([line.removesuffix("\n") for line in gate.stderr] + said)


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_stands_in_policies_does_nothing(web: Supply, serve: Callable[..., Gate], form: str) -> None:
    """Whoever writes a policy's name or a folder's, a step's or an image's gives no orders to who reads the log."""
    hostile = HOSTILE + "\x1b]0;x\x07"
    step_name = "##[error]\u202ebuild"
    keyid = web.keys.keyid("builder")
    web.layout(steps=[step(step_name, [keyid], [], [["CREATE", hostile], ["DISALLOW", "*"]])])
    web.policy(hostile, file="web.yaml")
    web.policy("warns", mode="warn", evidence=[{"directory": f"{web.evidence}/{hostile}/{{IMAGE_DIGEST_HEX}}"}])
    image = web.image()
    gate = serve(web, "--log-format", form, "--page")
    asked = review("Pod", "CREATE", pod_spec(image), namespace="prod")
    answers = [gate.post("/validate", asked).json()["response"] for _ in range(2)]
    decision = gate.verify(image)
    said = [decision["message"], *decision["warnings"], *(policy["message"] for policy in decision["policies"])]
    for answer in answers:
        assert answer["allowed"] is False and answer["warnings"]
        said += [answer["status"]["message"], *answer["warnings"], *answer.get("auditAnnotations", {}).values()]
    assert sum("\\u{202e}" in message for message in said) >= 6
    for page in (gate.get("/"), gate.get("/decisions/1"), gate.get("/metrics")):
        said += page.text.split("\n")
    # A change that cannot be meant is told in the log, with the names that it has.
    web.policy(hostile, file="again.yaml", layout=f"{hostile}.layout")
    wait_for(lambda: gate.metrics().get("linkgate_policies_broken"))
    said += [*gate.get("/").text.split("\n"), gate.get("/readyz").json()["reload"]]
    assert gate.stop() == 0
    assert any("again.yaml" in line for line in gate.stderr)
    listed = subprocess.run(
        [str(binary()), "serve", "--policies", str(web.policies), "--check", str(image)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    said += [*listed.stdout.split("\n"), *listed.stderr.split("\n")]
    (web.policies / "again.yaml").unlink()
    listed = linkgate("serve", "--policies", web.policies, "--check", image, cwd=web.folder, code=1)
    said += [*listed.stdout.split("\n"), *listed.stderr.split("\n")]
    assert_harmless([line.removesuffix("\n") for line in gate.stderr] + said)


@pytest.mark.parametrize("level", ["trace", "debug", "info"])
def test_secrets_are_in_no_line(web: Supply, serve: Callable[..., Gate], level: str) -> None:
    secrets = {
        "authorization": "Bearer s3cr3t-t0ken-of-a-service-account",
        "cookie": "session=s3cr3t-c00kie",
        "x-forwarded-access-token": "s3cr3t-forwarded",
    }
    image = web.image()
    # The lines of other crates are not linkgate's to answer for below `debug`.
    level = "linkgate=trace" if level == "trace" else level
    gate = serve(web, "--log-level", level)
    spec = pod_spec(image)
    spec["containers"][0]["env"] = [{"name": "PASSWORD", "value": "s3cr3t-in-a-body"}]
    ca = gate.ca.read_text()
    for path, body in (
        ("/validate", review("Pod", "CREATE", spec)),
        ("/mutate", review("Pod", "CREATE", spec)),
        ("/v1/verify?token=s3cr3t-in-a-query", {"image": str(image)}),
        ("/v1/verify", {"image": "x", "s3cr3t-member": "s3cr3t-value"}),
        ("/v1/verify", '{"s3cr3t-broken'),
        ("/gatekeeper", {"apiVersion": "x", "kind": "s3cr3t-kind", "request": {"keys": []}}),
        ("/s3cr3t-path", {}),
    ):
        for http2 in (False, True):
            with gate.connect(http2=http2) as client:
                response = client.post(
                    path, content=body if isinstance(body, str) else json.dumps(body), headers=secrets
                )
                assert response.status_code < 500
                assert "s3cr3t-t0ken" not in response.text
    web.policy(mode="nonsense")
    wait_for(lambda: gate.get("/readyz").json()["reload"] != "ok")
    assert gate.stop() == 0
    text = "".join(gate.stderr)
    assert "decision" in text
    for secret in ("s3cr3t", base64.b64encode(b"s3cr3t").decode().rstrip("=")):
        assert secret not in text
    assert "PRIVATE KEY" not in text + ca
    for name in ("owner", "builder"):
        body = "".join(web.keys.pair(name).read_text().splitlines()[1:-1])
        assert body and body not in text


def test_a_log_that_nobody_reads_any_more(web: Supply, tmp_path: Path) -> None:
    """A gate that cannot log answers; nobody's requests end with whoever kept its log."""
    command = [binary(), "serve", "--policies", web.policies, "--listen", "127.0.0.1:0", "--self-signed", "127.0.0.1"]
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        address = next(found[1] for line in process.stderr if (found := LISTENS.search(line)))
        ca = tmp_path / "ca.pem"
        ca.write_text(
            "".join(takewhile(lambda line: "END" not in line, process.stdout)) + "-----END CERTIFICATE-----\n"
        )
        process.stderr.close()
        process.stdout.close()
        context = ssl.create_default_context(cafile=str(ca))
        with httpx.Client(base_url=f"https://{address}", verify=context, timeout=PATIENCE, trust_env=False) as client:
            for _ in range(3):
                response = client.post("/v1/verify", content=json.dumps({"image": str(web.image())}))
                assert response.json()["allowed"] is True
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    finally:
        process.kill()
        process.wait(timeout=PATIENCE)
