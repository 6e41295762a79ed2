"""One verdict everywhere: has every engine answer all cases, and compares what they say with the native answers, byte for byte.

    python tests/portable --folder FOLDER ENGINE...     judge, compare, and print a table
    python tests/portable --folder FOLDER --time N --request FILE [--image MANIFEST] ENGINE...
                                                        time N verifications of a saved request instead

FOLDER has what `tests/run portable` puts there: the program `portable`, the runners and the modules. The environment of Python,
`venv-python`, is beside it. An engine that is named must answer.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

HERE = Path(__file__).parent
PATIENCE = 900

# Engines that answer at once: most take one processor each.
AT_ONCE = 2


def runners(folder: Path) -> dict[str, list[str]]:
    """The engines, in the order of the table, and how they are started."""
    core = ["--module", str(folder / "verifier.core.wasm")]
    return {
        "wasmtime": [],
        "wazero": [str(folder / "wazero"), *core],
        "v8": ["node", str(HERE / "core.mjs"), *core],
        "node": ["node", str(HERE / "node.mjs")],
        "chromium": ["node", str(HERE / "chromium.mjs")],
        "python": [str(folder.parent / "venv-python/bin/python"), str(HERE / "python.py"), *core],
        "chicory": ["java", "-Xmx4g", "-cp", f"{folder}/chicory/classes:{folder}/chicory/lib/*", "linkgate.Runner", *core],
        "component": [str(folder.parent / "venv-python/bin/python"), str(HERE / "component.py"), "--module", str(folder / "verifier.wasm")],
        "kubewarden": ["node", str(HERE / "kubewarden.mjs"), "--module", str(folder / "verifier.kubewarden.wasm")],
        "envoy": [str(folder.parent / "venv-gate/bin/python"), str(HERE / "envoy.py"), "--module", str(folder / "verifier.proxy.wasm")],
    }


# Two decide on images by the verifier, and give no verdicts; Python converts components' bytes one by one, which takes too long
# for the large cases. They are timed alone, with signatures checked inside, where the request is about an image.
TIMED_ALONE = {"component", "kubewarden", "envoy"}

# Their glue reads the request's JSON itself, and says in words of its own why a text is no request.
READS_JSON = {"node", "chromium"}


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def answers(path: Path) -> dict[str, str]:
    # Lines end with a line feed alone: names hold other characters that end lines elsewhere.
    with path.open(encoding="utf-8", newline="\n") as lines:
        return {line["name"]: line["answer"] for line in map(json.loads, lines)}


def is_no_request(answer: str) -> bool:
    return json.loads(answer).get("code") == "request-malformed"


def difference(engine: str, expected: str, found: str | None) -> bool:
    if found == expected:
        return False
    return not (engine in READS_JSON and found is not None and is_no_request(expected) and is_no_request(found))


def ask(folder: Path, engine: str, signatures: str, cases: Path) -> tuple[dict[str, str], float]:
    """What an engine answers, and how many seconds it took."""
    began = monotonic()
    out = folder / f"{engine}-{signatures}.jsonl"
    out.unlink(missing_ok=True)
    if engine == "wasmtime":
        run([str(folder / "portable"), "component", signatures, str(cases), str(out)])
    else:
        run([*runners(folder)[engine], "--cases", str(cases), "--answers", str(out), "--signatures", signatures])
    found = answers(out)
    # Nobody reads them again, and the cases are large.
    out.unlink()
    return found, monotonic() - began


def compare(folder: Path, engines: list[str]) -> int:
    cases, native = folder / "cases.jsonl", folder / "native.jsonl"
    run([str(folder / "portable"), "cases", str(cases), str(native)])
    expected = answers(native)
    if len(expected) < 1_000:
        sys.exit(f"only {len(expected)} cases were found")
    differences = 0
    print(f"{'engine':<12}{'signatures':<14}{'cases':>7}{'equal':>8}{'own words':>11}{'different':>11}{'seconds':>9}")
    rows = [(engine, signatures) for engine in engines for signatures in ("none", "host")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for (engine, signatures), (found, seconds) in zip(rows, pool.map(lambda row: ask(folder, *row, cases), rows), strict=True):
            equal = sum(found.get(name) == answer for name, answer in expected.items())
            wrong = [name for name, answer in expected.items() if difference(engine, answer, found.get(name))]
            own = len(expected) - equal - len(wrong)
            by = "by the host" if signatures == "host" else "inside"
            print(f"{engine:<12}{by:<14}{len(found):>7}{equal:>8}{own:>11}{len(wrong):>11}{seconds:>9.0f}", flush=True)
            for name in wrong[:5]:
                print(f"  {name}\n    native: {expected[name][:300]}\n    {engine}: {str(found.get(name))[:300]}")
            differences += len(wrong) + abs(len(found) - len(expected))
    return differences


def time(folder: Path, engines: list[str], count: int, request: Path, image: Path | None) -> None:
    program, case = str(folder / "portable"), str(folder / "timed.jsonl")
    line = json.dumps({"name": request.name, "request": request.read_text(encoding="utf-8")})
    Path(case).write_text(f"{line}\n", encoding="utf-8")
    for signatures in ("none", "host"):
        native = json.loads(run([program, "time", "native", signatures, str(count), case]))["median_us"]
        print(f"{'native':<36}{signatures:<6}{native / 1000:>8.2f} ms")
        for engine in engines:
            if engine in TIMED_ALONE and signatures == "host":
                continue
            if engine == "wasmtime":
                said = run([program, "time", "component", signatures, str(count), case])
            else:
                about = ["--image", str(image)] if engine == "envoy" else []
                command = [*runners(folder)[engine], *about, "--cases", case, "--signatures", signatures]
                said = run([*command, "--time", str(count)])
            timed = json.loads(said)
            median = timed["median_us"]
            print(f"{timed['engine']:<36}{signatures:<6}{median / 1000:>8.2f} ms  {median / native:.1f} x native", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--time", type=int, metavar="N")
    parser.add_argument("--request", type=Path, metavar="FILE", help="what `linkgate verify --save-request` wrote")
    parser.add_argument("--image", type=Path, metavar="MANIFEST", help="the manifest that the saved request is about")
    parser.add_argument("engines", nargs="+")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    unknown = set(arguments.engines) - set(runners(folder))
    if unknown:
        parser.error(f"there is no engine {', '.join(sorted(unknown))}; there are {', '.join(runners(folder))}")
    os.environ.setdefault("CARGO_TARGET_DIR", str(folder.parent))
    if arguments.time:
        if not arguments.request:
            parser.error("--time needs --request")
        if "envoy" in arguments.engines and not arguments.image:
            parser.error("envoy needs --image")
        time(folder, arguments.engines, arguments.time, arguments.request, arguments.image)
    elif TIMED_ALONE & set(arguments.engines):
        parser.error(f"{', '.join(sorted(TIMED_ALONE))} can only be timed")
    elif differences := compare(folder, arguments.engines):
        sys.exit(f"{differences} answers differ")


if __name__ == "__main__":
    main()
