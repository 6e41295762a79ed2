"""More than the gate can take, and sources that take too long."""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx
import pytest
from gate import Gate, takes_less_than, wait_for
from registry import IN_TOTO, MANIFEST, Registry, registry
from supply import PATIENCE, REPOSITORY, Image, Supply, linkgate, unknown_image
from test_admission import ask, denied, pod_spec, review
from test_gatekeeper import batch as provider_request


@contextmanager
def slow_evidence(supply: Supply, name: str = "web", **fields) -> Iterator[Callable[[], None]]:
    """A policy whose evidence is a mounted ConfigMap with a key that is a pipe: reading it ends once, when what this gives
    is called, and hangs from then on as it did before."""
    folder = supply.folder / "slow"
    folder.mkdir(exist_ok=True)
    supply.policy(name, evidence=[{"configMap": str(folder)}], **fields)
    pipe = folder / "zz-slow.link"
    os.mkfifo(pipe)
    answered, over = threading.Event(), threading.Event()

    def write() -> None:
        while not over.is_set():
            try:
                file = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                # Nobody reads yet.
                over.wait(0.02)
                continue
            answered.wait()
            answered.clear()
            # Whoever reads next finds another pipe: this one has its end when it is closed, and is not opened again.
            os.mkfifo(supply.folder / "slow.new")
            os.rename(supply.folder / "slow.new", pipe)
            # The reader may have ended.
            with suppress(BrokenPipeError):
                os.write(file, b"{}")
            os.close(file)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield answered.set
    finally:
        over.set()
        answered.set()
        writer.join(timeout=PATIENCE)


def test_a_caller_is_answered_within_its_time(web: Supply, serve: Callable[..., Gate]) -> None:
    with slow_evidence(web):
        gate = serve(web)
        image = web.image(links=web.folder / "slow")
        decisions: list[dict] = []
        assert takes_less_than(2, lambda: decisions.append(gate.verify(image, query="?timeout=500ms")))
        decision = decisions[-1]
        assert (decision["allowed"], decision["outcome"], decision["reason"]) == (False, "undecided", "timeout")
        assert str(image) in decision["message"] and "0.4 s" in decision["message"]
        answer = ask(gate, review("Pod", "CREATE", pod_spec(image)), "/validate?timeout=500ms")
        assert "no answer within" in denied(answer, 504, "Timeout")
        told = gate.post("/gatekeeper?timeout=500ms", provider_request(image)).json()["response"]
        assert told["items"] == [] and "no answer within" in told["systemError"]
        faces = "verify", "admission", "gatekeeper"
        assert [gate.decided("timeout", face) for face in faces] == [len(decisions), 1, 1]


def test_the_gates_own_time_is_the_longest(web: Supply, serve: Callable[..., Gate]) -> None:
    with slow_evidence(web):
        gate = serve(web, "--timeout", "0.3")
        queries = "", "?timeout=30s", "?timeout=nonsense"
        images = [web.image(links=web.folder / "slow") for _ in queries]

        def ask() -> None:
            for image, query in zip(images, queries):
                # All three wait for one listing, which ends at three times that.
                decision = gate.verify(image, query=query)
                assert decision["allowed"] is False and decision["reason"] in ("timeout", "source-down")

        assert takes_less_than(5, ask)


def test_many_images_have_one_time_together(web: Supply, serve: Callable[..., Gate]) -> None:
    with slow_evidence(web):
        gate = serve(web)
        images = [f"{REPOSITORY}@sha256:{number:064x}" for number in range(80)]
        for path in ("/validate?timeout=1s", "/v1/verify?timeout=1s", "/gatekeeper?timeout=1s"):
            if path.startswith("/validate"):
                body = review("Pod", "CREATE", pod_spec(*images))
            elif path.startswith("/gatekeeper"):
                body = provider_request(*images)
            else:
                web.policy(
                    "files",
                    artifacts=["**"],
                    images=["x.example/x"],
                    evidence=[{"configMap": str(web.folder / "slow")}],
                )
                wait_for(lambda: "files" in gate.get("/readyz").json()["policies"])
                body = {"subjects": [{"digests": {"sha256": f"{number:064x}"}} for number in range(80)]}
            statuses: list[int] = []
            assert takes_less_than(2, lambda: statuses.append(gate.post(path, body).status_code)), path
            assert set(statuses) == {200}


def test_who_asks_again_finds_what_was_fetched(web: Supply, serve: Callable[..., Gate]) -> None:
    with slow_evidence(web) as answer:
        gate = serve(web)
        image = web.image(links=web.folder / "slow")
        assert gate.verify(image, query="?timeout=300ms")["reason"] == "timeout"
        answer()
        # Another fetch would hang: the source answers once.
        assert gate.verify(image)["allowed"] is True


def test_a_source_that_hangs_hangs_no_other(web: Supply, serve: Callable[..., Gate]) -> None:
    """Its threads are bounded, and those of verifications are others."""
    good = web.image()
    with slow_evidence(web, name="hangs", images=["registry.example/slow/*"]):
        web.policy(images=["registry.example/web/*"])
        gate = serve(web, "--timeout", "0.3", "--verdict-ttl", "0", "--listing-ttl", "0")
        images = [f"registry.example/slow/app@sha256:{number:064x}" for number in range(1500)]
        batches = [provider_request(*images[begin : begin + 100]) for begin in range(0, 1500, 100)]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda body: gate.post("/gatekeeper", body), batches))
        assert not any("value" in item for answer in answers for item in answer.json()["response"]["items"])
        # Nothing that hangs ends any more. On a busy machine 0.3 s may be too short for one verification, not for each.
        wait_for(lambda: gate.verify(good)["allowed"])


def costly(supply: Supply, count: int = 400) -> Image:
    """A chain that takes long: one step with a threshold that many functionaries reach."""
    image = supply.image()
    link = json.loads(image.link("build").read_text())["signed"]
    # Many artifacts make each of the links long to read and to compare.
    link["materials"] = {f"src/{number}.c": {"sha256": f"{number:064x}"} for number in range(count)}
    link["products"] = {f"out/{number}.o": {"sha256": f"{number:064x}"} for number in range(count)}
    steps = supply.steps()
    steps[0] |= {
        "expected_materials": [["ALLOW", f"src/{number}?*.c"] for number in range(300)] + [["ALLOW", "*"]],
        "expected_products": [["ALLOW", f"out/{number}?*.o"] for number in range(300)] + [["ALLOW", "*"]],
    }
    steps[1]["expected_materials"] = [["ALLOW", "*"]]
    supply.layout(steps=steps)
    unsigned = supply.folder / "costly.link"
    unsigned.write_text(json.dumps(link))
    linkgate(
        "sign", "-q", "-f", unsigned, "-k", supply.keys.pair("builder"), "-o", image.link("build"), cwd=supply.folder
    )
    return image


def test_overload(web: Supply, serve: Callable[..., Gate]) -> None:
    good = costly(web)
    bad = web.image()
    bad.tamper("package")
    gate = serve(web, "--verifications", "1", "--queue", "2", "--verdict-ttl", "0", "--listing-ttl", "60")
    assert gate.verify(good)["allowed"] is True
    before = gate.rss()
    bodies = [json.dumps({"image": str(image)}) for image in (good, bad)] * 100
    clients = threading.local()
    opened: list[httpx.Client] = []

    def question(body: str) -> httpx.Response:
        if not hasattr(clients, "client"):
            clients.client = gate.connect()
            opened.append(clients.client)
        return clients.client.post("/v1/verify", content=body)

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(question, bodies))
    for client in opened:
        client.close()
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused and len(refused) < len(answers)
    for answer in refused:
        assert int(answer.headers["retry-after"]) >= 1 and "error" in answer.json()
    for body, answer in zip(bodies, answers):
        if answer.status_code != 503:
            assert answer.status_code == 200
            assert answer.json()["allowed"] is (str(good) in body)
    samples = gate.metrics()
    assert samples["linkgate_overloaded_total"] == len(refused)
    assert samples['linkgate_requests_total{face="verify",status="503"}'] == len(refused)
    assert samples["linkgate_queue_length"] == 0 and samples["linkgate_requests_in_flight"] == 0
    assert gate.rss() - before < 100 << 20
    # It has recovered.
    assert gate.verify(good)["allowed"] is True


def test_overload_in_other_words(web: Supply, serve: Callable[..., Gate]) -> None:
    """Who speaks AdmissionReview or ProviderRequest is told so in it, and nothing is accepted."""
    good = costly(web)
    gate = serve(web, "--verifications", "1", "--queue", "0", "--verdict-ttl", "0", "--listing-ttl", "60")
    assert gate.verify(good)["allowed"] is True
    images = [
        f"{good.repository}@{good.digest}",
        *(f"registry.example/a{number}@{good.digest}" for number in range(12)),
    ]
    answer = ask(gate, review("Pod", "CREATE", pod_spec(*images)))
    assert "too many verifications are waiting" in denied(answer, 503, "ServiceUnavailable")
    told = gate.post("/gatekeeper", provider_request(*images)).json()["response"]
    assert "too many verifications are waiting" in told["systemError"] and len(told["items"]) < len(images)
    assert gate.decided("overloaded", "admission") >= 1 and gate.decided("overloaded", "gatekeeper") >= 1


def test_callers_who_hang_up(web: Supply, serve: Callable[..., Gate]) -> None:
    """They leave nothing behind: no place, no request under way, no wrong answer for whoever comes next."""
    good = costly(web)
    gate = serve(web, "--verifications", "1", "--queue", "4", "--verdict-ttl", "0")
    host, port = gate.address.rsplit(":", 1)
    body = json.dumps({"image": str(good)}).encode()
    head = b"POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    for _ in range(60):
        plain = socket.create_connection((host, int(port)), timeout=PATIENCE)
        with gate.context().wrap_socket(plain, server_hostname=host) as secure:
            secure.sendall(head + body)

    def is_answered() -> bool:
        """What they asked may be read after they have gone; until then there may be no place for more."""
        response = gate.post("/v1/verify", {"image": str(good)})
        if response.status_code == 503:
            return False
        assert response.status_code == 200 and response.json()["allowed"] is True, response.text
        return True

    for _ in range(3):
        wait_for(is_answered)
    wait_for(lambda: gate.metrics()["linkgate_requests_in_flight"] == 0)
    assert gate.metrics()["linkgate_queue_length"] == 0
    assert gate.verify(good)["allowed"] is True


def test_out_of_file_descriptors(web: Supply, serve: Callable[..., Gate]) -> None:
    """What cannot be read is not known, connections that cannot be taken wait, and it is over when it is over."""
    gate = serve(web, "--listing-ttl", "0", "--negative-ttl", "0")
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    host, port = gate.address.rsplit(":", 1)
    used = len(os.listdir(f"/proc/{gate.process.pid}/fd"))
    before = resource.prlimit(gate.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gate.process.pid, resource.RLIMIT_NOFILE, (used + 20, before[1]))
    connections = [socket.create_connection((host, int(port)), timeout=PATIENCE) for _ in range(60)]
    wait_for(lambda: len(os.listdir(f"/proc/{gate.process.pid}/fd")) >= used + 20)
    # Over the connection that it has. What it reads its policies with may be free for a moment before a connection has it.
    decision = wait_for(lambda: next((said for said in [gate.verify(image)] if not said["allowed"]), None))
    assert (decision["allowed"], decision["reason"], decision["outcome"]) == (False, "source-down", "undecided")
    assert "Too many open files" in decision["message"]
    for connection in connections:
        connection.close()
    wait_for(lambda: gate.verify(image)["allowed"] is True)
    with gate.connect() as client:
        assert client.get("/readyz").status_code == 200
    wait_for(lambda: gate.get("/readyz").json()["reload"] == "ok")


def test_listings_are_bounded_by_their_bytes(web: Supply, serve: Callable[..., Gate]) -> None:
    """A folder that is for all images is not kept once for each of them."""
    mount = web.folder / "mount"
    mount.mkdir()
    web.policy(evidence=[{"configMap": str(mount)}])
    web.image(links=mount)
    # With a signature missing nothing depends on which image it is.
    next(mount.glob("build.*.link")).unlink()
    (mount / "build.00000000.link").write_text(" " * (1 << 20))
    gate = serve(web, "--evidence-cache", "16", "--log-level", "error", "--timeout", PATIENCE)
    gate.verify(unknown_image())
    before = gate.rss()
    for number in range(6):
        images = [f"{REPOSITORY}@sha256:{number * 100 + each:064x}" for each in range(100)]
        told = gate.post("/gatekeeper", provider_request(*images)).json()["response"]
        assert len(told["items"]) == 100, told["systemError"]
    assert gate.rss() - before < 150 << 20
    assert gate.verify(unknown_image())["allowed"] is False


FILLINGS = {"objects": b'{"":0},', "lists": b"[],", "numbers": b"0,", "strings": b'"",', "names": b'"%d":0,'}


@pytest.mark.parametrize("filling", FILLINGS)
def test_a_large_body_takes_no_more_than_some_times_its_size(
    web: Supply, serve: Callable[..., Gate], filling: str
) -> None:
    """Objects have parts that the gate does not look at; it does not build them either."""
    gate = serve(web)
    image = web.image()
    piece = FILLINGS[filling]
    if filling == "names":
        content = b"{" + b"".join(piece % number for number in range(500_000)) + b'"":0}'
    else:
        content = b"[" + piece * min((7 << 20) // len(piece), 900_000) + b"0]"
    body = json.dumps(review("Pod", "CREATE", pod_spec(image) | {"filling": 0})).encode()
    body = body.replace(b'"filling": 0', b'"filling": ' + content)
    before = gate.rss("VmHWM")
    for path in ("/validate", "/mutate"):
        response = gate.post(path, body)
        assert response.status_code == 200 and response.json()["response"]["allowed"] is True
    grown = gate.rss("VmHWM") - before
    assert grown < 64 << 20, f"{grown >> 20} MiB"


def test_a_body_of_too_many_values_is_refused(web: Supply, serve: Callable[..., Gate]) -> None:
    """No object of a cluster has as many: etcd takes 1.5 MiB."""
    gate = serve(web)
    body = json.dumps(review("Pod", "CREATE", pod_spec(web.image()) | {"filling": 0})).encode()
    body = body.replace(b'"filling": 0', b'"filling": [' + b'"",' * 2_000_000 + b"0]")
    response = gate.post("/validate", body)
    assert response.status_code == 400 and "more than 2000000 values" in response.text


# Memory. Sizes, not times: what a process ever had in memory is a bound that it keeps, however slow the machine is.

ENOUGH = 600 << 20


def junk(mib: int) -> bytes:
    """An unsigned link of about so many MiB: nobody's key is needed for it, and the verifier has to read it."""
    artifacts = {f"f{number:07d}": {"sha256": "0" * 64} for number in range(mib * 10_500)}
    link = {"_type": "link", "name": "build", "materials": {}, "products": artifacts, "command": [], "byproducts": {}}
    return json.dumps({"signed": link | {"environment": {}}, "signatures": []}).encode()


def at_once(callers: int, ask: Callable[[int], object]) -> list:
    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(ask, range(callers)))


def test_waiting_questions_share_their_evidence(web: Supply, serve: Callable[..., Gate]) -> None:
    """Each of them held a copy of it while it waited: 60 callers, 3.2 GB."""
    folder = web.folder / "large"
    folder.mkdir()
    web.policy(evidence=[{"directory": str(folder)}])
    link = junk(28)
    (folder / "a.link").write_bytes(link)
    (folder / "b.link").write_bytes(link + b" ")
    gate = serve(web, "--verifications", "1")

    def ask(number: int) -> int:
        with gate.connect() as client:
            asked = {"image": f"{REPOSITORY}@sha256:{number:064x}"}
            return client.post("/v1/verify", content=json.dumps(asked)).status_code

    statuses = at_once(60, ask)
    assert set(statuses) <= {200, 503}
    assert gate.rss("VmHWM") < ENOUGH, f"{gate.rss('VmHWM') >> 20} MiB"


def attached(registry: Registry, links: list[bytes], digest: str, layers: int = 1) -> None:
    """Links as evidence about a digest, of which a registry need not have the image."""
    described = [registry.blob(link) | {"mediaType": IN_TOTO} for link in links] * layers
    empty = registry.blob(b"{}") | {"mediaType": "application/vnd.oci.empty.v1+json"}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": IN_TOTO, "config": empty}
    subject = {"mediaType": MANIFEST, "digest": digest, "size": 1}
    put = registry.put(manifest | {"layers": described, "subject": subject})
    size = len(registry.manifests[put])
    listed = {"mediaType": MANIFEST, "artifactType": IN_TOTO, "digest": put, "size": size}
    registry.referrers.setdefault(digest, []).append(listed)


def pods(gate: Gate, images: list[list[str]]) -> list[dict]:
    """The answers about Pods of these images that are created at once."""

    def ask(number: int) -> dict:
        with gate.connect() as client:
            body = json.dumps(review("Pod", "CREATE", pod_spec(*images[number])))
            return client.post("/validate?timeout=10s", content=body).json()["response"]

    return at_once(len(images), ask)


def test_pods_whose_images_share_large_evidence(web: Supply, serve: Callable[..., Gate]) -> None:
    """Who may push to a governed repository attaches the same two blobs to many digests, and creates 12 Pods: 5 GB."""
    with registry() as attacked:
        web.policy(drop=("evidence",))
        link = junk(28)
        images = [[] for _ in range(12)]
        for number in range(12 * 30):
            digest = f"sha256:{number:064x}"
            attached(attacked, [link, link + b" "], digest)
            images[number // 30].append(f"{attacked.address}/web/app@{digest}")
        gate = serve(web, "--plain-http", attacked.address, "--log-level", "error")
        assert not any(answer["allowed"] for answer in pods(gate, images))
        assert gate.rss("VmHWM") < ENOUGH, f"{gate.rss('VmHWM') >> 20} MiB"


def test_images_that_share_no_evidence(web: Supply, serve: Callable[..., Gate]) -> None:
    """What is fetched and has no place is bounded too. Whoever has no room is told so, and others are answered."""
    good = web.image()
    with registry() as attacked:
        web.policy(images=["registry.example/**"])
        web.policy("attacked", images=[f"{attacked.address}/**"], drop=("evidence",))
        link = junk(10)
        images = []
        for number in range(60):
            digest = f"sha256:{number:064x}"
            attached(attacked, [link + b" " * number], digest)
            images.append([f"{attacked.address}/web/app@{digest}"])
        options = "--plain-http", attacked.address, "--evidence-memory", "64MiB", "--evidence-cache", "32"
        gate = serve(web, *options, "--verifications", "1", "--log-level", "error")
        answers = pods(gate, images)
        assert not any(answer["allowed"] for answer in answers)
        refused = [answer for answer in answers if "--evidence-memory" in answer["status"]["message"]]
        assert refused and all(answer["status"]["code"] == 503 for answer in refused)
        samples = gate.metrics()
        assert samples["linkgate_evidence_memory_refused_total"] >= len(refused)
        assert samples["linkgate_evidence_memory_bytes"] <= samples["linkgate_evidence_memory_bound_bytes"] == 64 << 20
        assert gate.rss("VmHWM") < 300 << 20, f"{gate.rss('VmHWM') >> 20} MiB"
        assert gate.verify(good)["allowed"] is True
        # Alone each of them is judged.
        said = gate.verify(images[0][0])
        assert (said["allowed"], said["reason"]) == (False, "rejected"), said["message"]


def test_evidence_larger_than_the_memory(web: Supply, serve: Callable[..., Gate]) -> None:
    """It is not waited for: nobody will ever have room for it."""
    good = web.image()
    large = web.image()
    (large.links / "z.link").write_bytes(junk(20))
    gate = serve(web, "--evidence-memory", "16MiB")
    said = gate.verify(large)
    assert (said["allowed"], said["outcome"], said["reason"]) == (False, "undecided", "undecided")
    assert "--evidence-memory" in said["message"]
    assert "--evidence-memory" in denied(ask(gate, review("Pod", "CREATE", pod_spec(large))), 503, "ServiceUnavailable")
    told = gate.post("/gatekeeper", provider_request(large)).json()["response"]
    assert told["items"] == [] and "--evidence-memory" in told["systemError"]
    assert gate.verify(good)["allowed"] is True


def test_many_large_manifests(web: Supply, serve: Callable[..., Gate]) -> None:
    """Of each of them no more is kept than the links that it names, be its annotations 3 MiB."""
    with registry() as attacked:
        web.policy(drop=("evidence",))
        digest = f"sha256:{1:064x}"
        filling = {f"{number:06d}": "" for number in range(240_000)}
        empty = attacked.blob(b"{}") | {"mediaType": "application/vnd.oci.empty.v1+json", "annotations": filling}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": IN_TOTO, "config": empty}
        template = json.dumps(manifest | {"subject": {"mediaType": MANIFEST, "digest": digest, "size": 1}})
        for number in range(60):
            link = attacked.blob(b"%d" % number) | {"mediaType": IN_TOTO}
            put = f'{template[:-1]}, "layers": [{json.dumps(link)}]}}'.encode()
            listed = attacked.blob(put) | {"mediaType": MANIFEST, "artifactType": IN_TOTO}
            attacked.manifests[listed["digest"]] = put
            attacked.referrers.setdefault(digest, []).append(listed)
        gate = serve(web, "--plain-http", attacked.address, "--log-level", "error", "--timeout", PATIENCE)
        said = gate.verify(f"{attacked.address}/web/app@{digest}")
        assert said["allowed"] is False
        assert gate.rss("VmHWM") < ENOUGH, f"{gate.rss('VmHWM') >> 20} MiB"


def test_questions_of_many_small_values(web: Supply, serve: Callable[..., Gate]) -> None:
    """Lists and maps take many times what they are written in. There is room for them before they are built."""
    gate = serve(web, "--evidence-memory", "64MiB", "--log-level", "error")
    digests = ",".join(f'"{number:x}":""' for number in range(80_000))
    bodies = {
        "/v1/verify": b'{"subjects": [{"digests": {%s}}]}' % digests.encode(),
        "/gatekeeper": b'{"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest", "request": {"keys": [%s""]}}'
        % (b'"",' * 300_000),
    }
    before = gate.rss("VmHWM")

    def ask(number: int) -> int:
        path, body = list(bodies.items())[number % 2]
        with gate.connect() as client:
            return client.post(path, content=body).status_code

    assert set(at_once(64, ask)) <= {200, 413, 503}
    grown = gate.rss("VmHWM") - before
    assert grown < 200 << 20, f"{grown >> 20} MiB"


def test_answers_that_nobody_reads(web: Supply, serve: Callable[..., Gate]) -> None:
    """They wait in memory for whoever asked."""
    image = web.image()
    # A thousand findings that are told, of a thousand characters each.
    link = json.loads(image.link("package").read_text())["signed"]
    link["products"] = {f"{'x' * 250}{number}": {"sha256": "0" * 64} for number in range(3000)}
    unsigned = web.folder / "large.link"
    unsigned.write_text(json.dumps(link))
    pair = web.keys.pair("packager")
    linkgate("sign", "-q", "-f", unsigned, "-k", pair, "-o", image.link("package"), cwd=web.folder)
    gate = serve(web, "--evidence-memory", "64MiB", "--log-level", "error")
    response = gate.post("/v1/verify", {"image": str(image)})
    assert response.status_code == 200 and len(response.content) > 300_000, response.text[:300]
    body = json.dumps({"image": str(image)}).encode()
    head = b"POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    host, port = gate.address.rsplit(":", 1)
    before = gate.rss("VmHWM")
    opened = []
    for _ in range(400):
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(PATIENCE)
        plain.connect((host, int(port)))
        secure = gate.context().wrap_socket(plain, server_hostname=host)
        secure.sendall(head + body)
        opened.append(secure)
    wait_for(lambda: gate.metrics()["linkgate_evidence_memory_refused_total"] > 0)
    grown = gate.rss("VmHWM") - before
    for secure in opened:
        secure.close()
    assert grown < 160 << 20, f"{grown >> 20} MiB"
    wait_for(lambda: gate.post("/v1/verify", {"image": str(image)}).status_code == 200)
