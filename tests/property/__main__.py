"""Compares the verifier with Python on drawn inputs: canonical JSON, patterns, artifact rules.

    python tests/property [--oracle target/release/examples/oracle] [--seed N] [--count N] [canonical|patterns|rules ..]

The seed is fixed unless given, so a run can be repeated. Ends with 1 at the first difference, cut down to the smallest
input that still shows it. Needs what `tests/interop/requirements.txt` names, and the oracle:
`cargo build --release -p linkgate -p linkgate-verifier --example oracle`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from random import Random

import canonical_json
import patterns
import rules
from oracle import Oracle

ROOT = Path(__file__).resolve().parent.parent.parent
PROPERTIES = {
    "canonical": (canonical_json.run, 50_000),
    "patterns": (patterns.run, 400_000),
    "rules": (rules.run, 30_000),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--oracle", default=ROOT / "target/release/examples/oracle", type=Path)
    parser.add_argument("--seed", default=20251124, type=int)
    parser.add_argument("--count", type=int, help="how many inputs, instead of each property's own number")
    parser.add_argument("properties", nargs="*", metavar="PROPERTY", help=f"of {', '.join(PROPERTIES)}; all unless named")
    arguments = parser.parse_args()
    oracle = Oracle([str(arguments.oracle)])
    for name in arguments.properties or PROPERTIES:
        run, usual = PROPERTIES[name]
        count, began = arguments.count or usual, time.monotonic()
        found = run(oracle, Random(f"{name} {arguments.seed}"), count)
        if found:
            raise SystemExit(f"{name}, seed {arguments.seed}: a difference\n  {found}")
        print(f"{name}: {count} agree, seed {arguments.seed}, {time.monotonic() - began:.1f} s")
