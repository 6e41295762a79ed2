"""A real API server that asks the gate, by policies/kubernetes: what it takes in, pins and refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from conftest import POLICIES, Authority
from engine import Engine, listens, program, run
from gate import Gate, wait_for
from images import Image, Pushed
from ports import free_port
from supply import PATIENCE, binary
from workloads import KINDS, images_of, workload

ETCD, APISERVER = program("etcd", optional=True), program("kube-apiserver", optional=True)
FOLDER = POLICIES / "kubernetes"
TOKEN = "secret"
PATCH = "application/strategic-merge-patch+json"
HOOKS = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations"
# Where objects of a kind are.
GROUPS = {
    **dict.fromkeys(["Namespace", "Pod", "ReplicationController", "ServiceAccount", "Service", "ConfigMap"], "/api/v1"),
    **dict.fromkeys(["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"], "/apis/apps/v1"),
    **dict.fromkeys(["Job", "CronJob"], "/apis/batch/v1"),
    "PodDisruptionBudget": "/apis/policy/v1",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2",
    "MutatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1",
}
CLUSTER = ("Namespace", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def place(kind: str, namespace: str = "default") -> str:
    inside = "" if kind in CLUSTER else f"/namespaces/{namespace}"
    return f"{GROUPS[kind]}{inside}/{kind.lower()}s"


@dataclass
class Answer:
    status: int
    body: dict
    warnings: list[str]

    @property
    def said(self) -> str:
        return self.body.get("message", "")


@dataclass
class Cluster:
    """An API server and what it stores in."""

    client: httpx.Client

    def ask(self, method: str, path: str, body: Any = None, media_type: str = "application/json") -> Answer:
        content = None if body is None else json.dumps(body)
        reply = self.client.request(method, path, content=content, headers={"Content-Type": media_type})
        return Answer(reply.status_code, reply.json(), reply.headers.get_list("warning"))

    def create(self, made: dict, namespace: str = "default", query: str = "?fieldValidation=Strict") -> Answer:
        return self.ask("POST", place(made["kind"], namespace) + query, made)

    def install(self, gate: Gate, registry: str) -> None:
        """The webhooks, with the gate's address and authority in the place of its Service and of cert-manager's."""
        bundle = base64.b64encode(gate.ca.read_bytes()).decode()
        hooks = documents("webhooks.yaml")
        for made in hooks:
            self.ask("DELETE", f"{place(made['kind'])}/{made['metadata']['name']}")
        # The API server hears of either a moment later.
        by_tag, by_digest = (f"{registry}/web/app{name}" for name in (":nothing", f"@sha256:{'ab' * 32}"))
        wait_for(lambda: self.try_out(by_tag).status == self.try_out(by_digest).status == 201)
        for made in hooks:
            for hook in made["webhooks"]:
                service = hook["clientConfig"].pop("service")
                hook["clientConfig"] = {"url": f"https://{gate.address}{service['path']}", "caBundle": bundle}
            assert self.create(made).status == 201
        wait_for(lambda: "pin.linkgate.dev" in self.try_out(by_tag).said and self.try_out(by_digest).status != 201)

    def try_out(self, image: str) -> Answer:
        return self.create(workload("Pod", image, name="tried"), query="?dryRun=All")


def documents(name: str) -> list[dict]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, engines: Callable[..., Engine]) -> Cluster:
    folder = tmp_path_factory.mktemp("cluster")
    client_port, peer_port, port = free_port(), free_port(), free_port()
    stores, peers = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    etcd = [
        *(ETCD, "--data-dir", "etcd", "--unsafe-no-fsync", "--log-level", "warn"),
        *("--listen-client-urls", stores, "--advertise-client-urls", stores),
        *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"),
    ]
    engines(etcd, folder, "etcd", lambda: listens(client_port))
    run("openssl", "genrsa", "-out", "accounts.key", "2048", cwd=folder)
    (folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
    # Whoever listens is known by its own certificate; the addresses are what an API server on 127.0.0.1 alone needs.
    options = {
        "etcd-servers": stores,
        "bind-address": "127.0.0.1",
        "advertise-address": "10.0.0.250",
        "endpoint-reconciler-type": "none",
        "secure-port": port,
        "cert-dir": "certificates",
        "service-account-key-file": "accounts.key",
        "service-account-signing-key-file": "accounts.key",
        "service-account-issuer": "https://localhost",
        "service-cluster-ip-range": "10.0.0.0/24",
        "token-auth-file": "tokens.csv",
        "authorization-mode": "AlwaysAllow",
        # Pods of the tests have none: there is no controller that makes it.
        "disable-admission-plugins": "ServiceAccount",
    }
    client = httpx.Client(
        base_url=f"https://127.0.0.1:{port}",
        # Made by the API server for itself a moment ago.
        verify=False,
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=PATIENCE,
        trust_env=False,
    )

    def is_ready() -> bool:
        try:
            return all(client.get(path).status_code == 200 for path in ("/readyz", "/api/v1/namespaces/default"))
        except httpx.TransportError:
            return False

    engines([APISERVER, *(f"--{name}={value}" for name, value in options.items())], folder, "kube-apiserver", is_ready)
    return Cluster(client)


@pytest.fixture(scope="module")
def gated(cluster: Cluster, gate: Gate, images: Pushed) -> Cluster:
    """With the webhooks."""
    cluster.install(gate, images.good.host)
    return cluster


DENIED = 'admission webhook "verify.linkgate.dev" denied the request: linkgate: '


# The manifests are what the API server takes.


@pytest.mark.parametrize("file", ["linkgate.yaml", "policies.yaml", "webhooks.yaml"])
def test_the_manifests_are_taken(cluster: Cluster, file: str) -> None:
    """Strictly: a field that is not known or given twice is an error. cert-manager.yaml is of kinds that an API server
    knows only where cert-manager is installed."""
    namespace = documents("linkgate.yaml")[0]
    assert cluster.create(namespace).status in (201, 409)
    for made in documents(file):
        if made == namespace:
            continue
        taken = cluster.create(made, "linkgate", "?dryRun=All&fieldValidation=Strict")
        assert (taken.status, taken.warnings) == (201, []), (made["kind"], taken)


def test_the_gates_own_pod_is_taken(cluster: Cluster) -> None:
    """By the restricted Pod security standard, which its namespace enforces, and in its priority class."""
    namespace, *others = documents("linkgate.yaml")
    assert cluster.create(namespace).status in (201, 409)
    [deployment] = [made for made in others if made["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    made = {"apiVersion": "v1", "kind": "Pod", **template}
    made["metadata"] = {"name": "linkgate", **template["metadata"]}
    taken = cluster.create(made, "linkgate", "?dryRun=All&fieldValidation=Strict")
    assert (taken.status, taken.warnings) == (201, []), taken
    made["spec"]["securityContext"]["runAsNonRoot"] = False
    assert "violates PodSecurity" in cluster.create(made, "linkgate", "?dryRun=All").said


def test_the_others_call_the_gates_service() -> None:
    """Where the policies of Gatekeeper and Kyverno, the webhooks and the certificate say that the gate is."""
    [service] = [made for made in documents("linkgate.yaml") if made["kind"] == "Service"]
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    host = f"{name}.{namespace}.svc"
    # What a URL and a webhook mean that name no port.
    assert [port["port"] for port in service["spec"]["ports"]] == [443]
    called = {
        "gatekeeper/provider.yaml": f"https://{host}/gatekeeper",
        "kyverno/validating-policy.yaml": f"https://{host}/v1/verify",
        "kyverno/cluster-policy.yaml": f"https://{host}/v1/verify",
    }
    for file, url in called.items():
        assert url in (POLICIES / file).read_text()
    for made in documents("webhooks.yaml"):
        for hook in made["webhooks"]:
            called_service = hook["clientConfig"]["service"]
            assert called_service == {"name": name, "namespace": namespace, "path": called_service["path"]}
    *_, certificate = documents("cert-manager.yaml")
    assert host in certificate["spec"]["dnsNames"]
    [deployment] = [made for made in documents("linkgate.yaml") if made["kind"] == "Deployment"]
    secrets = [
        volume["secret"]["secretName"]
        for volume in deployment["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    ]
    assert certificate["spec"]["secretName"] in secrets


@pytest.mark.parametrize("secret", ["without", "with"])
def test_the_gate_runs_as_its_deployment_says(images: Pushed, tmp_path: Path, secret: str) -> None:
    """With its arguments, and with files as a kubelet mounts them; the Secret for registries may be missing."""
    [deployment] = [made for made in documents("linkgate.yaml") if made["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    mounts = {mount["mountPath"]: tmp_path / mount["name"] for mount in container["volumeMounts"]}
    for folder in mounts.values():
        folder.mkdir()
    authority = Authority(tmp_path)
    mount(mounts["/policies"], {path.name: path.read_bytes() for path in images.chain.supply.policies.iterdir()})
    mount(mounts["/tls"], {name: (tmp_path / name).read_bytes() for name in ("tls.crt", "tls.key")})
    if secret == "with":
        mount(mounts["/registries"], {"config.json": b'{"auths": {"registry.example": {"auth": "dTpw"}}}'})

    def inside(value: str) -> str:
        for place, folder in mounts.items():
            value = value.replace(f"={place}", f"={folder}")
        return value.replace("0.0.0.0:8443", "127.0.0.1:0")

    variables = [inside(f"{variable['name']}={variable['value']}") for variable in container["env"]]
    command = [
        "env",
        "-i",
        *variables,
        str(binary()),
        *map(inside, container["args"]),
        "--plain-http",
        images.good.host,
    ]
    gate = Gate(command, tmp_path, authority.ca)
    try:
        assert gate.get(container["readinessProbe"]["httpGet"]["path"]).status_code == 200
        assert gate.get(container["livenessProbe"]["httpGet"]["path"]).status_code == 200
        assert gate.verify(images.good)["allowed"] is True
        assert gate.verify(images.unknown)["reason"] == "no-evidence"
        assert gate.stop() == 0
    finally:
        gate.kill()


def mount(folder: Path, files: dict[str, bytes]) -> None:
    """As a kubelet does it: by way of links, so that all files change at once."""
    inner = folder / "..2026_11_25_00_00_00.1"
    inner.mkdir()
    (folder / "..data").symlink_to(inner.name)
    for name, content in files.items():
        (inner / name).write_bytes(content)
        (folder / name).symlink_to(f"..data/{name}")


# What is taken in.


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(gated: Cluster, images: Pushed, kind: str) -> None:
    good, tampered, unknown = images.good, images.tampered, images.unknown
    taken = gated.create(workload(kind, good, name="good", initContainers=[good]))
    assert (taken.status, taken.warnings) == (201, []), taken
    assert images_of(taken.body) == [str(good)] * 2
    refused = gated.create(workload(kind, good, tampered))
    assert refused.status == 403
    assert refused.said.startswith(f"{DENIED}{tampered}: policy `web`: reject: ")
    assert "what it made as `image` is sha256:" in refused.said
    refused = gated.create(workload(kind, good, initContainers=[unknown]))
    assert refused.status == 403
    assert refused.said.startswith(f"{DENIED}{unknown}: policy `web`: reject: there is no link about it in ")


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_that_is_mounted(gated: Cluster, images: Pushed, kind: str) -> None:
    good, unknown = images.good, images.unknown
    taken = gated.create(workload(kind, good, name="mounts", mounted=(good, good.tagged)))
    assert taken.status == 201, taken
    assert images_of(taken.body) == [str(good), str(good), f"{good.tagged}@{good.digest}"]
    refused = gated.create(workload(kind, good, mounted=(good, unknown)))
    assert refused.status == 403
    assert refused.said.startswith(f"{DENIED}{unknown}: ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_tag_is_pinned(gated: Cluster, images: Pushed, kind: str) -> None:
    good = images.good
    taken = gated.create(workload(kind, good.tagged, good, name="tagged", initContainers=[good.tagged]))
    pinned = f"{good.tagged}@{good.digest}"
    assert taken.status == 201, taken
    assert images_of(taken.body) == [pinned, str(good), pinned]
    refused = gated.create(workload(kind, images.tampered.tagged))
    assert refused.status == 403
    assert refused.said.startswith(f"{DENIED}{images.tampered}: policy `web`: reject: ")


def test_a_tag_of_nothing(gated: Cluster, images: Pushed) -> None:
    refused = gated.create(workload("Pod", f"{images.good.host}/web/app:nothing"))
    assert refused.status == 403
    assert 'admission webhook "pin.linkgate.dev" denied the request: ' in refused.said
    assert "its registry has no such image" in refused.said


def test_what_no_policy_governs(gated: Cluster) -> None:
    refused = gated.create(workload("Pod", f"registry.example/other/app@sha256:{'ab' * 32}"))
    assert refused.status == 403
    assert refused.said.startswith(DENIED)
    assert "no policy governs it" in refused.said
    # Its registry is not asked what a tag means: whoever creates Pods does not choose to whom the gate speaks.
    refused = gated.create(workload("Pod", "127.0.0.1:1/other/app:1"))
    assert refused.status == 403
    assert refused.said.startswith(DENIED)
    assert "connect" not in refused.said


def test_an_ephemeral_container(gated: Cluster, images: Pushed) -> None:
    assert gated.create(workload("Pod", images.good, name="debugged")).status == 201
    path = f"{place('Pod')}/debugged/ephemeralcontainers"

    def debug(name: str, image: Any) -> Answer:
        patch = {"spec": {"ephemeralContainers": [{"name": name, "image": str(image)}]}}
        return gated.ask("PATCH", path, patch, PATCH)

    refused = debug("bad", images.unknown)
    assert refused.status == 403
    assert refused.said.startswith(f"{DENIED}{images.unknown}: ")
    taken = debug("good", images.good.tagged)
    assert taken.status == 200, taken
    [added] = taken.body["spec"]["ephemeralContainers"]
    assert added["image"] == f"{images.good.tagged}@{images.good.digest}"
    # What is there already does not stand in the way of another one, nor excuse it.
    assert debug("worse", images.tampered).status == 403
    assert debug("better", images.good).status == 200


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "CronJob"])
def test_an_update(gated: Cluster, images: Pushed, kind: str) -> None:
    made = gated.create(workload(kind, images.good, name="updated"))
    assert made.status == 201, made
    path = f"{place(kind)}/updated"
    text = json.dumps(made.body)
    refused = gated.ask("PUT", path, json.loads(text.replace(images.good.digest, images.tampered.digest)))
    assert refused.status == 403
    assert refused.said.startswith(f"{DENIED}{images.tampered}: ")
    taken = gated.ask("PUT", path, json.loads(text.replace(f"@{images.good.digest}", f":{images.good.tag}")))
    assert taken.status == 200, taken
    assert images_of(taken.body) == [f"{images.good.tagged}@{images.good.digest}"]
    labelled = gated.ask("PATCH", path, {"metadata": {"labels": {"more": "1"}}}, PATCH)
    assert labelled.status == 200
    assert gated.ask("DELETE", path).status == 200


def test_a_dry_run_is_decided_too(gated: Cluster, images: Pushed) -> None:
    assert gated.create(workload("Pod", images.good, name="dry"), query="?dryRun=All").status == 201
    assert gated.create(workload("Pod", images.unknown, name="dry"), query="?dryRun=All").status == 403
    assert gated.ask("GET", f"{place('Pod')}/dry").status == 404


def test_namespaces_have_policies_of_their_own(gated: Cluster, inner: Image) -> None:
    gated.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}})
    assert gated.create(workload("Pod", inner), "prod").status == 201
    refused = gated.create(workload("Pod", inner), "default")
    assert (refused.status, "no policy governs it" in refused.said) == (403, True), refused


def test_a_policy_that_only_warns(gated: Cluster, images: Pushed, gate: Gate) -> None:
    """What it would refuse is taken in, and whoever applies it is told."""
    chain = images.chain
    image = chain.make("good", repository="trial/app", push=False)
    chain.push(image)
    path = chain.policy("trial", "trial/**", mode="warn")
    try:
        wait_for(lambda: gate.verify(image)["allowed"])
        taken = gated.create(workload("Pod", image, name="warned"))
        assert taken.status == 201, taken
        [warning] = taken.warnings
        assert f"{image}: policy `trial`: reject: there is no link about it in " in warning
    finally:
        path.unlink()


def test_namespaces_that_are_left_out(gated: Cluster, images: Pushed) -> None:
    taken = gated.create(workload("Pod", images.unknown.tagged, name="left-out"), "kube-system")
    assert taken.status == 201, taken
    assert images_of(taken.body) == [images.unknown.tagged]
    # By their names, and no label does the same.
    labels = {"linkgate.dev/ungated": "true", "control-plane": "true", "kubernetes.io/metadata.name": "kube-system"}
    gated.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "labelled", "labels": labels}})
    assert gated.create(workload("Pod", images.unknown), "labelled").status == 403


def test_nothing_new_runs_without_a_gate(
    cluster: Cluster, gated: Cluster, serve: Callable[..., Gate], gate: Gate, images: Pushed
) -> None:
    another = serve()
    cluster.install(another, images.good.host)
    assert cluster.create(workload("Deployment", images.good, name="before")).status == 201
    another.kill()
    try:
        for kind in KINDS:
            refused = cluster.create(workload(kind, images.good, name="during"))
            assert refused.status == 500
            assert 'failed calling webhook "pin.linkgate.dev": failed to call webhook: Post ' in refused.said
        # The first ones may have been sent into connections that were still there.
        assert "connection refused" in refused.said
        # The namespaces that are left out do not wait for it, nor does what runs no images.
        assert cluster.create(workload("Pod", images.good, name="during"), "kube-system").status == 201
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "during"}}
        assert cluster.create(made).status == 201
        assert cluster.ask("DELETE", f"{place('Deployment')}/before").status == 200
    finally:
        cluster.install(gate, images.good.host)
    assert cluster.create(workload("Pod", images.good, name="after")).status == 201


def test_another_gate_is_not_asked(
    cluster: Cluster, gated: Cluster, misnamed: Gate, gate: Gate, images: Pushed
) -> None:
    cluster.install(misnamed, images.good.host)
    try:
        refused = cluster.create(workload("Pod", images.good, name="misnamed"))
        assert refused.status == 500
        assert "certificate" in refused.said
    finally:
        cluster.install(gate, images.good.host)
