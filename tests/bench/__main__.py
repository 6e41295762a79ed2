"""Runs the commands in turn and prints the least user and system time, the least time by the clock and the most memory
of each, and how many times as long as linkgate each took."""

import argparse
import os
import pathlib
import subprocess
import sys

import workloads

RECORD = "record"


MEASURE = [sys.executable, "-I", "-S", pathlib.Path(__file__).resolve().parent / "measure.py"]


def measure(command, folder):
    """User and system seconds, seconds by the clock and MiB at the peak, of a command that must succeed."""
    ran = subprocess.run([*MEASURE, folder, *command], capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed in {folder}:\n{ran.stderr}")
    computing, waiting, memory = map(float, ran.stdout.split())
    return computing, waiting, memory / 1024


def verifying(options):
    yield "Python", [f"{options.python}/in-toto-verify", "-q", "-l", "root.layout"] + [
        *("--verification-keys", "owner.pub", "--link-dir", "links"),
    ]
    yield "Go", [options.go, "verify", "-l", "root.layout", "-k", "owner.pub", "-d", "links"]
    yield "linkgate", [options.linkgate, "verify", "-l", "root.layout", "--key", "owner.pub", "-d", "links"]


def recording(options):
    yield "Python", [f"{options.python}/in-toto-run", "-q", "-n", "s", "--signing-key", "key"] + [
        *("-m", "tree", "-p", "tree", "-x"),
    ]
    yield "Go", [options.go, "run", "-n", "s", "-k", "key", "-m", "tree", "-p", "tree", "-x"]
    yield "linkgate", [options.linkgate, "run", "-n", "s", "-k", "key", "-m", "tree", "-p", "tree", "-x"]


def compare(name, folder, commands, rounds):
    """Interleaves the commands, so that a slow moment of the machine hits them all."""
    commands = [(tool, command) for tool, command in commands if os.access(command[0], os.X_OK)]
    measured = {tool: [] for tool, _ in commands}
    for _ in range(rounds):
        for tool, command in commands:
            measured[tool].append(measure(command, folder))
    least = {tool: [min(column) for column in zip(*runs, strict=True)] for tool, runs in measured.items()}
    for tool, (computing, waiting, _) in least.items():
        memory = max(memory for *_, memory in measured[tool])
        ratios = f"{computing / least['linkgate'][0]:6.1f} x {waiting / least['linkgate'][1]:6.1f} x"
        line = f"{name:12} {tool:9} {computing * 1000:8.1f} ms {waiting * 1000:8.1f} ms {memory:5.0f} MiB"
        print(line, "" if tool == "linkgate" else ratios, flush=True)


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("workload", nargs="*", help=f"{', '.join(workloads.CHAINS)} or {RECORD}; all, if none is named")
    parser.add_argument("--rounds", type=int, default=9, help="how often each command runs (large workloads: a third)")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    for tool in ("linkgate", "go", "python"):
        parser.add_argument(f"--{tool}", required=True)
    options = parser.parse_args()
    chosen = options.workload or [*workloads.CHAINS, RECORD]
    if unknown := set(chosen) - {*workloads.CHAINS, RECORD}:
        parser.error(f"there is no workload {', '.join(sorted(unknown))}")
    print(f"{'':22} {'computing':>11} {'waiting':>11} {'memory':>9} {'both, as a multiple of linkgate':>20}")
    few = max(options.rounds // 3, 1)
    for name in chosen:
        if name in workloads.CHAINS:
            steps, artifacts, threshold = workloads.CHAINS[name]
            workloads.chain(options.folder / name, steps, artifacts, threshold)
            rounds = options.rounds if steps * artifacts < 50_000 else few
            compare(name, options.folder / name, verifying(options), rounds)
        else:
            for tree, (files, size) in workloads.TREES.items():
                workloads.tree(options.folder / tree, files, size)
                compare(tree, options.folder / tree, recording(options), few)


if __name__ == "__main__":
    main()
