"""TLS, HTTP/2, certificates of clients, clients that misbehave, and the end."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from gate import Gate, wait_for
from supply import PATIENCE, Image, Supply
from test_overload import slow_evidence
from test_reload import Authority


def secure(gate: Gate, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    host, port = gate.address.rsplit(":", 1)
    plain = socket.create_connection((host, int(port)), timeout=PATIENCE)
    return (context or gate.context()).wrap_socket(plain, server_hostname=host)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
def test_tls(gate: Gate, version: ssl.TLSVersion) -> None:
    context = gate.context()
    context.minimum_version = context.maximum_version = version
    with secure(gate, context) as connection:
        assert connection.version() == version.name.replace("_", ".")
    with secure(gate) as connection:
        assert connection.version() == "TLSv1.3"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_that_is_too_old(gate: Gate) -> None:
    context = gate.context()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        secure(gate, context)


def test_plain_http_is_not_answered(gate: Gate) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{gate.address}/healthz", timeout=PATIENCE, trust_env=False)


def test_a_certificate_by_another_authority_is_not_believed(gate: Gate) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"https://{gate.address}/healthz", timeout=PATIENCE, trust_env=False)


def test_http_2(gate: Gate, good: Image) -> None:
    with gate.connect(http2=True) as client:
        response = client.post("/v1/verify", content=json.dumps({"image": str(good)}))
        assert response.http_version == "HTTP/2" and response.json()["allowed"] is True
    with gate.connect(http1=True, http2=False) as client:
        assert client.get("/healthz").http_version == "HTTP/1.1"


def test_many_requests_on_one_connection_of_http_2(gate: Gate, good: Image, bad: Image) -> None:
    async def ask() -> list[bool]:
        limits = httpx.Limits(max_connections=1)
        options = {
            "base_url": f"https://{gate.address}",
            "verify": gate.context(),
            "timeout": PATIENCE,
            "trust_env": False,
        }
        async with httpx.AsyncClient(http1=False, http2=True, limits=limits, **options) as client:
            bodies = [json.dumps({"image": str(image)}) for image in (good, bad)] * 250
            answers = await asyncio.gather(*(client.post("/v1/verify", content=body) for body in bodies))
        return [answer.json()["allowed"] for answer in answers]

    assert asyncio.run(ask()) == [True, False] * 250


def test_certificates_of_clients(web: Supply, serve: Callable[..., Gate], tmp_path: Path) -> None:
    server, clients, strangers = (Authority(tmp_path / name, name) for name in ("server", "clients", "strangers"))
    certificate, key = server.issue("gate")
    options = ("--tls-cert", certificate, "--tls-key", key, "--client-ca", clients.certificate)
    gate = serve(web, *options, ca=server.certificate)
    image = web.image()
    body = json.dumps({"image": str(image)})
    with gate.connect(certificate=clients.issue("apiserver", "clientAuth")) as client:
        assert client.post("/v1/verify", content=body).json()["allowed"] is True
    wrong = [None, strangers.issue("stranger", "clientAuth"), clients.issue("a-server", "serverAuth")]
    for certificate in wrong:
        for path in ("/v1/verify", "/healthz"):
            with gate.connect(certificate=certificate) as client, pytest.raises(httpx.HTTPError):
                client.post(path, content=body)


def test_the_authorities_of_clients_are_read_anew(web: Supply, serve: Callable[..., Gate], tmp_path: Path) -> None:
    server, old, new = (Authority(tmp_path / name, name) for name in ("server", "old", "new"))
    certificate, key = server.issue("gate")
    live = tmp_path / "clients.pem"
    shutil.copy(old.certificate, live)
    gate = serve(web, "--tls-cert", certificate, "--tls-key", key, "--client-ca", live, ca=server.certificate)
    pairs = [authority.issue("client", "clientAuth") for authority in (old, new)]

    def is_let_in(pair: tuple[Path, Path]) -> bool:
        try:
            with gate.connect(certificate=pair) as client:
                return client.get("/healthz").status_code == 200
        except httpx.HTTPError:
            return False

    assert is_let_in(pairs[0]) and not is_let_in(pairs[1])
    shutil.copy(new.certificate, live)
    wait_for(lambda: is_let_in(pairs[1]))
    assert not is_let_in(pairs[0])
    before = len(gate.log())
    live.write_text("")
    wait_for(lambda: any(line["message"].startswith("certificates not reloaded") for line in gate.log()[before:]))
    assert is_let_in(pairs[1]) and not is_let_in(pairs[0])


# Clients that misbehave.


def test_bytes_that_are_no_tls(gate: Gate, good: Image) -> None:
    host, port = gate.address.rsplit(":", 1)
    for junk in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x00" * 100, b"\x00" * 1000):
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as plain:
            plain.sendall(junk)
    assert gate.verify(good)["allowed"] is True


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}   ",
        b"POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/verify HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 10_000 + b"\r\n",
        b"\x00\x01\x02\r\n\r\n",
    ],
    ids=["two lengths", "negative length", "no chunk", "long path", "many headers", "no words"],
)
def test_what_is_no_http(gate: Gate, head: bytes) -> None:
    with secure(gate) as connection:
        connection.settimeout(PATIENCE)
        answer = b""
        # The gate may end the connection before it has read all of it.
        with suppress(ssl.SSLError, ConnectionError):
            connection.sendall(head)
            answer = connection.recv(4096)
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer


def test_a_body_that_does_not_come_is_not_waited_for(gate: Gate) -> None:
    """As with a head that does not come: who sends nothing keeps no place."""
    heads = {
        "head": b"POST /v1/verify HTTP/1.1\r\nhost: x\r\n",
        "body": b"POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
    }
    connections = {name: secure(gate) for name in heads}
    for name, connection in connections.items():
        connection.sendall(heads[name])
    begun = time.monotonic()
    for name, connection in connections.items():
        connection.settimeout(20)
        try:
            answer = connection.recv(4096)
        except TimeoutError:
            pytest.fail(f"{name}: the gate waits for longer than {time.monotonic() - begun:.0f} s")
        assert not answer or answer.startswith(b"HTTP/1.1 408"), (name, answer)
        connection.close()


def test_a_connection_after_a_body_too_large(gate: Gate) -> None:
    """Where it is closed, that is said: a client that keeps connections would send its next request into the end."""
    for _ in range(40):
        refused = gate.post("/validate", b"[" + b" " * (9 << 20))
        assert refused.status_code == 413
        assert gate.get("/healthz").status_code == 200


def test_bodies_that_dribble_shut_nobody_out(gate: Gate, good: Image) -> None:
    """A body of a size that is not said takes the room that it has, not the most that it could have."""
    head = b"POST /v1/verify HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n"
    connections = [secure(gate) for _ in range(64)]
    for connection in connections:
        connection.sendall(head)
    wait_for(lambda: gate.metrics()["linkgate_requests_in_flight"] >= 30)
    response = gate.post("/v1/verify", {"image": str(good)})
    for connection in connections:
        connection.close()
    assert response.status_code == 200, response.text


# The end.


def curl(gate: Gate, path: str, body: dict, *options: str) -> subprocess.Popen:
    """A client that, other than httpx, reads on after the gate has said that its connection ends."""
    command = ["curl", "--silent", "--show-error", "--fail", "--cacert", str(gate.ca), "--noproxy", "*", *options]
    command += ["--json", json.dumps(body), f"https://{gate.address}{path}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_end_comes_after_what_is_under_way(web: Supply, serve: Callable[..., Gate]) -> None:
    with slow_evidence(web) as answer:
        # Whoever waits has time until all others wait, too.
        gate = serve(web, "--timeout", PATIENCE, "--drain", PATIENCE)
        image = web.image(links=web.folder / "slow")
        asked = [curl(gate, "/v1/verify", {"image": str(image)}, http) for http in ("--http1.1", "--http2") * 10]
        idle = gate.connect()
        assert idle.get("/healthz").status_code == 200
        wait_for(lambda: gate.metrics()["linkgate_requests_in_flight"] == 20)
        gate.process.send_signal(signal.SIGTERM)
        gate.logged("draining")

        def is_let_in() -> bool:
            try:
                with gate.connect() as client:
                    return client.get("/healthz").status_code == 200
            except httpx.HTTPError:
                return False

        # That is said just before the listener is closed.
        wait_for(lambda: not is_let_in())
        assert [process.poll() for process in asked] == [None] * 20
        answer()
        answers = [process.communicate(timeout=PATIENCE)[0] for process in asked]
        assert [process.returncode for process in asked] == [0] * 20
        assert [json.loads(answer)["allowed"] for answer in answers] == [True] * 20
        # A connection that is kept for later keeps nobody.
        assert gate.stop(seconds=5) == 0
        idle.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_gate_ends_at_once(web: Supply, serve: Callable[..., Gate], how: signal.Signals) -> None:
    gate = serve(web)
    assert gate.get("/healthz").status_code == 200
    begun = time.monotonic()
    assert gate.stop(how) == 0
    assert time.monotonic() - begun < 3
    assert "ended" in gate.log()[-1]["message"]


def test_the_end_does_not_wait_for_ever(web: Supply, serve: Callable[..., Gate]) -> None:
    """Neither for a source that hangs nor for a client that does."""
    with slow_evidence(web):
        gate = serve(web, "--drain", "1", "--timeout", "30")
        image = web.image(links=web.folder / "slow")
        thread = threading.Thread(target=lambda: pytest.raises(httpx.HTTPError, gate.verify, image), daemon=True)
        thread.start()
        silent = secure(gate)
        silent.sendall(b"POST /v1/verify HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        wait_for(lambda: gate.metrics()["linkgate_requests_in_flight"] == 2)
        gate.process.send_signal(signal.SIGTERM)
        gate.process.wait(timeout=10)
        assert gate.process.returncode == 0
