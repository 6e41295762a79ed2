"""Writes the cases, and fuzz seeds: `python tests/cases/generate` (needs PyPI `cryptography`, nothing else).

The groups are one module each. Everything is derived from labels and from the keys under `keys/`, so a second run
changes no byte. `conformance` needs the given cases (`--conformance cases.jsonl.gz`) and is left as it is without them.
"""

import argparse
from pathlib import Path

import artifacts
import asserting
import bounds
import chains
import conformance
import documents
import families
import seeds
import sublayouts
from corpus import Corpus

ROOT = Path(__file__).resolve().parent.parent
FUZZ_SEEDS = ROOT.parents[1] / "guest" / "fuzz" / "seeds"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--conformance", type=Path, help="the given cases, gzipped JSON lines")
    arguments = parser.parse_args()
    corpus = Corpus()
    for module in (documents, families, chains, artifacts, sublayouts, asserting, bounds):
        module.add(corpus)
    corpus.write(ROOT)
    print(f"{len(corpus.cases)} cases")
    print(f"{seeds.write(FUZZ_SEEDS)} fuzz seeds")
    if arguments.conformance:
        print(f"{conformance.write(ROOT / 'conformance', arguments.conformance)} conformance cases")
