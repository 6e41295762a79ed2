"""A gate that runs: linkgate serve on a free port, what it logs, and a client that trusts its certificate."""

from __future__ import annotations

import json
import queue
import re
import signal
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import httpx
from supply import PATIENCE, binary

LISTENS = re.compile(r"linkgate listens on https://(\S+)")


def wait_for(what: Callable[[], Any], seconds: float = PATIENCE, every: float = 0.05) -> Any:
    """What a function gives, once that is something. It is asked once more after its time: whoever was kept waiting in
    between has not seen it fail."""
    ends = time.monotonic() + seconds
    while True:
        is_last = time.monotonic() > ends
        found = what()
        if found:
            return found
        assert not is_last, f"not within {seconds} s"
        time.sleep(every)


def takes_less_than(seconds: float, take: Callable[[], Any], attempts: int = 5) -> bool:
    """Whether something takes less time. Whatever else this machine does may hold up one attempt, but not each of them."""
    for _ in range(attempts):
        begun = time.monotonic()
        take()
        if time.monotonic() - begun < seconds:
            return True
    return False


@dataclass
class Gate:
    """A process that serves, until it is stopped."""

    command: list[str]
    cwd: Path
    ca: Path | None = None
    stderr: list[str] = field(default_factory=list)
    stdout: list[str] = field(default_factory=list)
    address: str = ""

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ready: queue.Queue[str | None] = queue.Queue()
        self.readers = [
            threading.Thread(target=self._read, args=(ready,), daemon=True),
            threading.Thread(target=self._keep_authority, daemon=True),
        ]
        for reader in self.readers:
            reader.start()
        address = ready.get(timeout=PATIENCE)
        assert address, "the gate ended: " + "".join(self.stderr)
        self.address = address
        if self.ca is None:
            self.ca = self.cwd / f"ca-{self.process.pid}.pem"
            wait_for(lambda: "END CERTIFICATE" in "".join(self.stdout))
            self.ca.write_text("".join(self.stdout))
        self.client = self.connect()

    def _read(self, ready: queue.Queue[str | None]) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.stderr.append(line)
            if found := LISTENS.search(line):
                ready.put(found[1])
        ready.put(None)

    def _keep_authority(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.stdout.append(line)

    def context(self, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if certificate:
            context.load_cert_chain(*map(str, certificate))
        return context

    def connect(self, *, address: str | None = None, certificate: Any = None, **options: Any) -> httpx.Client:
        """A client of its own."""
        limits = httpx.Limits(max_connections=None)
        return httpx.Client(
            base_url=f"https://{address or self.address}",
            verify=self.context(certificate),
            timeout=PATIENCE,
            limits=limits,
            trust_env=False,
            **options,
        )

    # Questions.

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        content = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self.client.post(path, content=content, **options)

    def verify(self, image: Any, namespace: str = "", query: str = "") -> dict:
        """The decision on an image."""
        asked = {"image": str(image)} | ({"namespace": namespace} if namespace else {})
        response = self.post(f"/v1/verify{query}", asked)
        assert response.status_code == 200, response.text
        return response.json()

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels, as they are written."""
        text = self.get("/metrics").text
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def decided(self, reason: str, face: str = "verify") -> float:
        """How often a face decided for a reason."""
        wanted = (f'face="{face}"', f'reason="{reason}"')
        samples = self.metrics().items()
        return sum(
            value
            for name, value in samples
            if name.startswith("linkgate_decisions_total{") and all(label in name for label in wanted)
        )

    # What it is like from outside.

    def log(self) -> list[dict]:
        """Its log lines."""
        return [json.loads(line) for line in list(self.stderr) if line.startswith("{")]

    def logged(self, message: str) -> dict:
        """The last line with a message that begins so, once it is there."""
        said = lambda line: line.get("message", "").startswith(message)
        return wait_for(lambda: next((line for line in reversed(self.log()) if said(line)), None))

    def rss(self, which: str = "VmRSS") -> int:
        """Bytes that it has in memory; as `VmHWM` the most that it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{which}:\s+(\d+) kB", status)[1]) * 1024

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 30) -> int:
        """Its exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=PATIENCE)
            raise
        for reader in self.readers:
            reader.join(timeout=PATIENCE)
        return code

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=PATIENCE)


def serve(folder: Path, policies: Path, *options: Any, ca: Path | None = None) -> Gate:
    """A gate on a free port, with a certificate that it makes unless one is given."""
    certificate = () if ca else ("--self-signed", "127.0.0.1,localhost")
    command = [binary(), "serve", "--policies", policies, "--listen", "127.0.0.1:0", *certificate, *options]
    return Gate([str(part) for part in command], folder, ca)
