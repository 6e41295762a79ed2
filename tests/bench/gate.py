"""Measures the gate: see tests/bench/gate."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import workloads

CONNECTIONS = 16
STARTS = 21

POLICY = """\
apiVersion: linkgate.dev/v1
kind: Policy
name: bench
images: ["registry.example/**"]
layout: root.layout
keys: [owner.pub]
evidence: [{{directory: {links}}}]
"""

LOAD = """\
wrk.method = "POST"
wrk.body = '{{"image": "{image}"}}'
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format("result %f %f %f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, failed))
end
"""


def prepare(folder):
    shutil.rmtree(folder, ignore_errors=True)
    workloads.chain(folder / "S", *workloads.CHAINS["S"])
    policies = folder / "policies"
    policies.mkdir()
    for name in ("root.layout", "owner.pub"):
        shutil.copy(folder / "S" / name, policies)
    (policies / "bench.yaml").write_text(POLICY.format(links=folder / "S" / "links"))
    last = max((folder / "S" / "links").iterdir())
    product = next(iter(json.loads(last.read_text())["signed"]["products"].values()))
    image = f"registry.example/app@sha256:{product['sha256']}"
    (folder / "load.lua").write_text(LOAD.format(image=image))
    return image


@contextmanager
def gate(linkgate, folder, *options):
    command = [linkgate, "serve", "--policies", folder / "policies", "--self-signed", "127.0.0.1"]
    command += ["--tls-dir", folder / "tls", "--listen", "127.0.0.1:0", "--log-level", "warn", "--listing-ttl", "3600"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        address = next(line.split("https://")[1].strip() for line in process.stderr if "listens on" in line)
        yield address, process
    finally:
        process.terminate()
        process.wait(timeout=30)


def load(folder, address, seconds):
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", folder / "load.lua", f"https://{address}/v1/verify"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, p50, p99, failed = next(line for line in output.splitlines() if line.startswith("result")).split()[1:]
    assert failed == "0", output
    return f"{float(rate):.0f} requests/s, p50 {float(p50):.2f} ms, p99 {float(p99):.2f} ms"


def memory(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) // 1024


def start(linkgate, folder):
    trusting = ssl.create_default_context(cafile=folder / "tls" / "ca.crt")
    begun = time.perf_counter()
    with gate(linkgate, folder) as (address, _):
        ready = time.perf_counter()
        urllib.request.urlopen(f"https://{address}/readyz", context=trusting, timeout=10).read()
        return [(moment - begun) * 1e3 for moment in (ready, time.perf_counter())]


def main():
    folder, linkgate, decide_many = (Path(argument).resolve() for argument in sys.argv[1:4])
    seconds = int(sys.argv[4])
    image = prepare(folder)
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}")
    for name, options in (("cached", ()), ("uncached", ("--verdict-ttl", "0"))):
        with gate(linkgate, folder, *options) as (address, process):
            load(folder, address, 2)
            print(f"{name} over HTTPS: {load(folder, address, seconds)}, {memory(process)} MiB")
    for name, options in (("cached", ()), ("uncached", ("uncached",))):
        count = seconds * (20_000 if name == "cached" else 3_000)
        command = [decide_many, folder / "policies", image, str(count), str(CONNECTIONS), *options]
        print(f"{name} in process: {subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()}")
    starts = [start(linkgate, folder) for _ in range(STARTS)]
    for what, times in zip(("until it listens", "until a new client has an answer"), zip(*starts)):
        print(f"from start {what}: {min(times):.1f} ms at best, {sorted(times)[STARTS // 2]:.1f} ms in the middle")


main()
