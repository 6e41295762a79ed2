"""The given conformance cases in the form of the project's own.

Each says `accept` or `refuse`; which of reject and undecided a refusal is, and with which code, is decided here by
what the case does, from the semantics.
"""

from __future__ import annotations

import base64
import fnmatch
import gzip
import json
from pathlib import Path

from corpus import NOW
from metadata import Json, link, text

# By the case's name without its envelope: decision, codes, warnings.
REFUSALS: dict[str, tuple[str, list[str], list[str]]] = {
    "case-variant-Steps": ("reject", ["disallowed-artifact"], ["unknown-layout-field"]),
    "dup-steps-key": ("undecided", ["layout-malformed"], []),
    "empty-digest": ("reject", ["threshold-not-met"], ["digest-weak"]),
    "expired": ("reject", ["layout-expired"], []),
    "hexcase": ("reject", ["threshold-not-met"], ["digest-malformed"]),
    "in-prefix-not-present": ("reject", ["disallowed-artifact"], []),
    "inspect-empty-run": ("undecided", ["layout-malformed"], []),
    "inspect-false": ("reject", ["inspection-failed"], []),
    "params-missing": ("undecided", ["layout-malformed"], []),
    "replay-name-mismatch": ("reject", ["threshold-not-met"], ["step-unknown"]),
    "rule-backslash-escape": ("reject", ["disallowed-artifact"], []),
    "rule-collide-clean": ("reject", ["threshold-not-met"], ["artifact-name-malformed"]),
    "rule-dot-slash-artifact": ("reject", ["threshold-not-met"], ["artifact-name-malformed"]),
    "rule-dot-slash-pattern": ("reject", ["disallowed-artifact"], []),
    "rule-dotdot-artifact-disallow": ("reject", ["threshold-not-met"], ["artifact-name-malformed"]),
    "rule-dstar-disallow": ("reject", ["disallowed-artifact"], []),
    "rule-match-pattern-ignored": ("reject", ["disallowed-artifact"], []),
    "rule-modify-dotslash": ("reject", ["threshold-not-met"], ["artifact-name-malformed"]),
    "rule-neg-caret": ("reject", ["disallowed-artifact"], []),
    "rule-nfd-nfc": ("reject", ["disallowed-artifact"], []),
    "rule-range-rev": ("reject", ["disallowed-artifact"], []),
    "rule-require-dotslash": ("reject", ["threshold-not-met"], ["artifact-name-malformed"]),
    "rule-trailing-slash-pat": ("reject", ["disallowed-artifact"], []),
    "rule-unclosed-bracket-disallow": ("reject", ["disallowed-artifact"], []),
    "same-key-two-keyids-thr2": ("reject", ["threshold-not-met"], []),
    "subset-algs": ("reject", ["disallowed-artifact"], []),
    "thr1-disagree": ("reject", ["links-disagree"], []),
    "thr2-third-disagrees": ("reject", ["links-disagree"], []),
    "threshold-1-nolinks": ("undecided", ["layout-malformed"], []),
    "threshold0-nolinks": ("undecided", ["layout-malformed"], []),
    "unauthorised-layout-key": ("reject", ["threshold-not-met"], ["signer-unauthorized"]),
    "first-sig-bad": ("reject", ["layout-signature-invalid"], []),
    "unknown-field-added": ("reject", ["layout-signature-invalid"], []),
    "dup-step-name": ("undecided", ["layout-malformed"], []),
    "inspection-name-eq-step": ("undecided", ["layout-malformed"], []),
    "keys-dictkey-mismatch": ("undecided", ["layout-malformed"], []),
    "missing-expires": ("undecided", ["layout-malformed"], []),
    "missing-inspect": ("undecided", ["layout-malformed"], []),
    "null-expires": ("undecided", ["layout-malformed"], []),
    "null-inspect": ("undecided", ["layout-malformed"], []),
    "step-badrule": ("undecided", ["layout-malformed"], []),
    "step-cmd-string": ("undecided", ["layout-malformed"], []),
    "step-dup-pubkeys-thr2": ("reject", ["threshold-not-met"], []),
    "step-emptyrule": ("undecided", ["layout-malformed"], []),
    "step-thr-1.0": ("undecided", ["layout-malformed"], []),
    "step-thr-huge": ("reject", ["threshold-not-met"], []),
    "step-thr-str": ("undecided", ["layout-malformed"], []),
    "step-thr-true": ("undecided", ["layout-malformed"], []),
    "glob-step-name": ("reject", ["threshold-not-met"], ["step-unknown"]),
    "keyid-case-thr2": ("undecided", ["layout-malformed"], []),
    "layout-2keys-1signed": ("reject", ["layout-signature-missing"], []),
    "step-traversal": ("undecided", ["layout-malformed"], []),
}
WARNED = {
    "malformed-extra-link": ["document-malformed"],
    "no-steps": ["no-steps"],
    "sublayout-empty": ["no-steps"],
}
# In the Metablock form of this one the field was added after signing.
BY_ID = {"mb-case-variant-Steps": ("undecided", ["layout-malformed"], [])}


def request(case: dict[str, Json]) -> dict[str, Json]:
    value = {
        "layout": {"text": case["layout"]},
        "trust": {"signed_by": list(case["keys"].values())},
        "documents": [{"name": name, "text": body} for name, body in case["links"].items()],
        "now": NOW,
    }
    if case["params"]:
        value["parameters"] = case["params"]
    for run, status in (("inspect-true", 0), ("inspect-false", 1)):
        if run in case["id"]:
            # What `true` or `false` leaves in an empty folder.
            ran = link("i", command=[run.removeprefix("inspect-")], byproducts={"return-value": status, "stdout": "", "stderr": ""})
            value["inspections"] = [{"at": [], "name": "i", "text": text(ran)}]
    return value


def expectation(case: dict[str, Json]) -> dict[str, Json]:
    envelope, name = case["id"].split("-", 1)
    if case["expected"] == "accept":
        return {"decision": "accept", "codes": [], "warnings": WARNED.get(name, [])}
    if "rnd" in case["id"]:
        return random_refusal(case)
    if name.startswith("exp") and name[3].isdigit():
        name = "missing-expires"  # a malformed date is like none
    decision, codes, warnings = BY_ID.get(case["id"]) or REFUSALS[name]
    return {"decision": decision, "codes": codes, "warnings": warnings}


def random_refusal(case: dict[str, Json]) -> dict[str, Json]:
    """The random chains are signed well and complete; what refuses them is a rule, and which kind is worked out here."""
    layout = payload(case["layout"])
    links: dict[str, Json] = {}
    for document in case["links"].values():
        value = payload(document)
        links.setdefault(value["name"], value)
    codes: list[str] = []
    for step in layout["steps"]:
        for side in ("materials", "products"):
            codes += broken(step[f"expected_{side}"], side, links[step["name"]], links)
    assert codes, f"{case['id']}: nothing is broken"
    return {"decision": "reject", "codes": sorted(set(codes)), "warnings": []}


def payload(document: str) -> Json:
    envelope = json.loads(document)
    return envelope["signed"] if "signed" in envelope else json.loads(base64.b64decode(envelope["payload"]))


def broken(rules: list[list[str]], side: str, link: Json, links: dict[str, Json]) -> list[str]:
    """The codes of the first rule of a list that fails (rules 16 to 18), for names without odd characters."""
    materials, products = link["materials"], link["products"]
    queue = set(link[side])
    for keyword, pattern, *rest in rules:
        keyword, hit = keyword.upper(), {name for name in queue if fnmatch.fnmatchcase(name, pattern)}
        if keyword == "ALLOW":
            queue -= hit
        elif keyword == "CREATE":
            queue -= hit & (products.keys() - materials.keys())
        elif keyword == "DELETE":
            queue -= hit & (materials.keys() - products.keys())
        elif keyword == "MODIFY":
            queue -= {n for n in hit & materials.keys() & products.keys() if materials[n] != products[n]}
        elif keyword == "DISALLOW" and hit:
            return ["disallowed-artifact"]
        elif keyword == "REQUIRE" and pattern not in queue:
            return ["required-artifact-missing"]
        elif keyword == "MATCH":
            source = destination = ""
            if rest[0].upper() == "IN":
                source, rest = rest[1], rest[2:]
            target = links.get(rest[-1], {}).get(rest[1].lower(), {})
            if rest[2].upper() == "IN":
                destination = rest[3]
            source = source and source.removesuffix("/") + "/"
            destination = destination and destination.removesuffix("/") + "/"
            for name in list(queue):
                tail = name.removeprefix(source)
                if name.startswith(source) and fnmatch.fnmatchcase(tail, pattern):
                    if target.get(destination + tail) == link[side][name]:
                        queue.discard(name)
    return []


def write(folder: Path, source: Path) -> int:
    folder.mkdir(exist_ok=True)
    with gzip.open(source, "rt") as lines:
        cases = [json.loads(line) for line in lines]
    drawn = []
    for case in cases:
        value = {"about": f"A conformance case: {case['id']}.", "expect": expectation(case), "request": request(case)}
        assert (value["expect"]["decision"] == "accept") == (case["expected"] == "accept"), case["id"]
        if "rnd" in case["id"]:
            drawn.append(json.dumps({"name": case["id"]} | value))
        else:
            name = case["id"].translate(str.maketrans({" ": "_", ":": "", "^": "", "+": "_"}))
            (folder / f"{name}.json").write_text(json.dumps(value, indent=1) + "\n")
    (folder / "random.jsonl").write_text("\n".join(drawn) + "\n")
    return len(cases)
