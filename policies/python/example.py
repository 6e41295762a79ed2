"""Judges the chain of a folder: `python example.py FOLDER OWNER.json`, OWNER.json being of `linkgate key show --json`."""

import json
import sys
import time
from pathlib import Path

import linkgate

folder, owners = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())

verdict = linkgate.verify(
    {
        "layout": (folder / "root.layout").read_bytes(),
        "trust": {"signed_by": list(owners.values())},
        "documents": [
            {"name": link.name, "content": link.read_bytes()} for link in sorted((folder / "links").glob("*.link"))
        ],
        "now": int(time.time()),
    },
    check=linkgate.cryptography_check,
)

print(verdict.outcome)
for reason in verdict.answer.get("reasons", verdict.answer.get("findings", [])):
    # It quotes names that whoever made the evidence chose.
    print(" ", linkgate.one_line(reason["message"]))
sys.exit(0 if verdict else 1)
