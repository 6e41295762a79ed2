"""Asks the verifier's WebAssembly about every signature of Wycheproof that the native test wrote down.

Usage: python tests/wycheproof MODULE OUTCOMES
"""

import json
import struct
import sys

from wasmtime import Engine, Instance, Module, Store


class Checks:
    """An instance of the module of signature checks."""

    def __init__(self, path):
        engine = Engine()
        self.store = Store(engine)
        exports = Instance(self.store, Module.from_file(engine, path), []).exports(self.store)
        self.memory, self.allocate, self.holds = exports["memory"], exports["allocate"], exports["holds"]

    def ask(self, *parts):
        question = b"".join(struct.pack("<I", len(part)) + part for part in parts)
        place = self.allocate(self.store, len(question))
        self.memory.write(self.store, question, place)
        return self.holds(self.store, place, len(question))


def main():
    module, outcomes = sys.argv[1:]
    checks = Checks(module)
    tally, different = {}, 0
    with open(outcomes, encoding="ascii") as lines:
        for line in lines:
            vector = json.loads(line)
            answer = checks.ask(
                vector["scheme"].encode(), *(bytes.fromhex(vector[part]) for part in ("spki", "message", "signature"))
            )
            count = tally.setdefault(vector["scheme"], [0, 0])
            count[vector["valid"]] += 1
            if answer != int(vector["valid"]):
                different += 1
                print(f"natively {vector['valid']}, in WebAssembly {answer}: {line.strip()}", file=sys.stderr)
    for scheme, (invalid, valid) in sorted(tally.items()):
        print(f"{scheme:22} {valid:5} valid {invalid:5} invalid")
        # A family that is missing here would be a family that nobody compared.
        different += not (valid and invalid)
    print(f"{sum(map(sum, tally.values()))} signatures, {different} differences")
    return bool(different) or len(tally) != 10


if __name__ == "__main__":
    sys.exit(main())
