"""Answers cases as a Python program does: by the package in policies/python.

    python tests/portable/python.py --cases IN.jsonl --answers OUT.jsonl --signatures host|none [--module FILE] [--time N]
"""

import argparse
import json
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "policies/python/src"))

import linkgate  # noqa: E402

WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--signatures", choices=["host", "none"], default="none")
    parser.add_argument("--module", type=Path, help="verifier.core.wasm; the package's own if none is named")
    parser.add_argument("--time", type=int, default=0)
    options = parser.parse_args()
    verifier = linkgate.Verifier(module=options.module)
    verifier.load()
    check = linkgate.cryptography_check if options.signatures == "host" else None
    with options.cases.open(encoding="utf-8") as cases:
        if options.time > 0:
            request = json.loads(next(cases))["request"]
            took = []
            for _ in range(WARM_UP + options.time):
                began = time.perf_counter()
                verdict = verifier.verify(request, check=check)
                took.append(time.perf_counter() - began)
                if verdict.outcome == "undecided":
                    raise SystemExit(f"the case is undecided: {verdict.json}")
            median = round(statistics.median(took[WARM_UP:]) * 1e6)
            print(json.dumps({"median_us": median, "engine": f"wasmtime {version('wasmtime')} (Python)"}))
            return
        with options.answers.open("w", encoding="utf-8") as answers:
            for line in cases:
                case = json.loads(line)
                answer = verifier.verify(case["request"], check=check).json
                answers.write(json.dumps({"name": case["name"], "answer": answer}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
