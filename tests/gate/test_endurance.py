"""Memory under many requests. Only with -m wrk."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable

import pytest
from gate import Gate
from supply import PATIENCE, Supply, unknown_image

REQUESTS = 100_000
CONNECTIONS = 32


@pytest.mark.wrk
def test_memory_is_flat(web: Supply, serve: Callable[..., Gate]) -> None:
    """A second half of the requests takes no more memory than the first half left. They are bounded by time too: `wrk`
    counts seconds, not requests."""
    gate = serve(web, "--log-level", "error")
    good, bad = web.image(), web.image()
    bad.tamper("build")
    bodies = [json.dumps({"image": str(image)}) for image in (good, bad, unknown_image(), "registry.example/web/app:1")]
    script = web.folder / "post.lua"
    script.write_text(
        f"local bodies = {{{', '.join(f'[[{body}]]' for body in bodies)}}}\n"
        "local number = 0\n"
        'wrk.method = "POST"\n'
        'wrk.headers["content-type"] = "application/json"\n'
        "request = function()\n"
        "  number = number + 1\n"
        '  return wrk.format(nil, "/v1/verify", nil, bodies[number % #bodies + 1])\n'
        "end\n"
    )
    sent, resident = 0, []
    # On a slow machine they take minutes.
    for _ in range(200):
        command = ["wrk", "-t2", f"-c{CONNECTIONS}", "-d1s", "--timeout", "5s", "-s", script, f"https://{gate.address}"]
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
        sent += int(re.search(r"(\d+) requests in", done.stdout)[1])
        resident.append(gate.rss())
        if sent >= REQUESTS:
            break
    print(f"{sent} requests; MiB resident: {[size >> 20 for size in resident]}")
    assert sent >= REQUESTS, f"{sent} requests in {len(resident)} s"
    assert resident[-1] - resident[len(resident) // 2] < 16 << 20
    assert gate.verify(good)["allowed"] is True and gate.verify(bad)["allowed"] is False
