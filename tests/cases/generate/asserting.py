"""Cases of asserted trust (rule 9) and of the request itself."""

from __future__ import annotations

from corpus import NOW, Corpus, named, request
from metadata import changed, dsse, ecdsa, ed, files, layout, link, metablock, rsa, rsa_secret, step, text

OWNER, ALICE, BOB = ed("owner"), ed("alice"), ed("bob")
BUILD = link("build", products=files("app"))
REST = ["DISALLOW", "*"]


def entry(label: str, key) -> dict:
    value = key.object()
    del value["keyid"]
    return {"label": label, "key": value}


def asserted(value, *entries, documents=None, **rest):
    documents = named(("build", ALICE, metablock(BUILD, ALICE))) if documents is None else documents
    return request(value, documents, {"asserted": list(entries)}, **rest)


def shorn(value: dict) -> dict:
    """A layout without what only asserted trust may leave out."""
    return changed(value, expires=..., inspect=..., keys=..., readme=...)


def bare(pubkeys, products=None, **extra) -> str:
    rules = [["ALLOW", "app"], REST] if products is None else products
    return text(changed(shorn(layout([step("build", pubkeys, products=rules)], [])), **extra))


def trust(c: Corpus) -> None:
    alice = entry("builder", ALICE)
    allowed = "Rule 9: with asserted trust a bare layout may be read, `expires`, `inspect` and `keys` may be absent, each with a warning, and `pubkeys` may hold labels."
    c.add("asserted/bare-layout-with-labels", allowed, asserted(bare(["builder"]), alice), "accept", warnings=["layout-field-absent"])
    c.add("asserted/bare-layout-with-keyids", allowed, asserted(bare([ALICE.keyid]), alice), "accept", warnings=["layout-field-absent"])
    c.add("asserted/bare-layout-with-old-keyids", "Rule 8: a key is recognised under either keyid.", asserted(bare([ALICE.old_formula()]), alice), "accept")
    c.add("asserted/link-signed-under-the-old-keyid", "Rule 8: in a signature too.", asserted(bare(["builder"]), alice, documents=named(("build", ALICE.old(), metablock(BUILD, ALICE.old())))), "accept")
    for family, key in {"ecdsa": ecdsa("alice", "p384"), "rsa": rsa("alice", rsa_secret("rsa-2048"))}.items():
        for form, sign in {"metablock": metablock, "dsse": dsse}.items():
            c.add(f"asserted/{family}-functionary-{form}", allowed, asserted(bare(["builder"]), entry("builder", key), documents=named(("build", key, sign(BUILD, key)))), "accept")
    whole = layout([step("build", ALICE, products=[["ALLOW", "app"], REST])], [ALICE])
    c.add("asserted/signed-by-somebody", "Rule 9: the caller vouches for the bytes: signatures on the layout are not asked for.", asserted(metablock(whole, BOB), alice), "accept")
    c.add("asserted/unsigned-envelope", "Rule 9: nor need there be any.", asserted(metablock(whole), alice), "accept")
    c.add("asserted/complete-bare-layout", "Rule 9: a bare layout that has everything.", asserted(text(whole), alice), "accept")
    c.add("asserted/dsse-layout", "Rule 9: a DSSE layout from a trusted place.", asserted(dsse(whole), alice), "accept")
    c.add("asserted/expired", "Rule 10: an expiry that is there is judged.", asserted(bare(["builder"], expires="2020-01-01T00:00:00Z"), alice), "reject", "layout-expired")
    c.add("asserted/expiry-malformed", "Rule 5: and is well-formed.", asserted(bare(["builder"], expires="soon"), alice), "undecided", "layout-malformed")
    c.add("asserted/expires-null", "Rule 9: absent is absent; null is malformed.", asserted(bare(["builder"], expires=None), alice), "undecided", "layout-malformed")
    c.add("asserted/steps-absent", "Rule 9: nothing else may be absent.", asserted(bare(["builder"], steps=...), alice), "undecided", "layout-malformed")
    c.add("asserted/type-absent", "Rule 9: nothing else may be absent.", asserted(bare(["builder"], _type=...), alice), "undecided", "layout-malformed")
    for fault, rule in {"bare-pattern-rule": "app", "bare-pattern-list": ["app"]}.items():
        c.add(f"asserted/{fault}", "Rule 9: bare patterns as rules stay malformed.", asserted(bare(["builder"], products=[rule]), alice), "undecided", "layout-malformed")
    c.add("asserted/label-unknown", "Rule 9: a label that nobody gave names no key.", asserted(bare(["packer"]), alice), "reject", "threshold-not-met")
    c.add("asserted/label-of-another-key", "Rule 11: a step's label decides whose link counts.", asserted(bare(["packer"]), alice, entry("packer", BOB)), "reject", "threshold-not-met", warnings=["signer-unauthorized"], adversarial=6)
    two = text(shorn(layout([step("build", ["one", "two"], threshold=2)], [])))
    c.add("asserted/one-key-under-two-labels", "Rule 8: one key under two labels is one key.", asserted(two, entry("one", ALICE), entry("two", ALICE)), "reject", "threshold-not-met", adversarial=2)
    documents = named(("build", ALICE, metablock(BUILD, ALICE)), ("build", BOB, metablock(BUILD, BOB)))
    c.add("asserted/two-keys-under-two-labels", "Rule 12: two keys are two.", asserted(two, entry("one", ALICE), entry("two", BOB), documents=documents), "accept")
    c.add("asserted/link-by-nobody", "Rule 9: links are signed whatever the layout is.", asserted(bare(["builder"]), alice, documents={"build.link": text(BUILD)}), "reject", "threshold-not-met", warnings=["document-malformed"])
    c.add("asserted/rule-broken", "Rule 16: rules are judged whatever the trust rests on.", asserted(bare(["builder"], products=[REST]), alice), "reject", "disallowed-artifact")
    c.add("asserted/unknown-field", "Rule 2: unknown fields draw a warning whatever the trust rests on.", asserted(bare(["builder"], note=1), alice), "accept", warnings=["unknown-layout-field"])
    c.add("asserted/signed-trust-needs-expires", "Rule 9: what asserted trust may lack, signed trust may not.", request(metablock(layout([step("build", ALICE)], [ALICE], expires=...), OWNER), named(("build", ALICE, metablock(BUILD, ALICE))), OWNER), "undecided", "layout-malformed", adversarial=24)


def requests(c: Corpus) -> None:
    good = request(
        metablock(layout([step("build", ALICE)], [ALICE]), OWNER),
        named(("build", ALICE, metablock(BUILD, ALICE))),
        OWNER,
    )
    c.add("request/good", "What the malformed requests beside it differ from.", good, "accept")
    document = good["documents"][0]
    signed = good["trust"]["signed_by"]
    faults = {
        "without-layout": changed(good, layout=...),
        "without-trust": changed(good, trust=...),
        "without-now": changed(good, now=...),
        "now-a-text": changed(good, now="1764000000"),
        "now-a-fraction": changed(good, now=NOW + 0.5),
        "layout-a-text": changed(good, layout=good["layout"]["text"]),
        "layout-in-neither-form": changed(good, layout={}),
        "layout-in-both-forms": changed(good, layout=good["layout"] | {"base64": "e30="}),
        "layout-not-base64": changed(good, layout={"base64": "?"}),
        "both-trusts": changed(good, trust={"signed_by": signed, "asserted": []}),
        "neither-trust": changed(good, trust={}),
        "unknown-member": changed(good, subject=[]),
        "subjects-empty": changed(good, subjects=[]),
        "unknown-option": changed(good, options={"stricd": True}),
        "strict-a-text": changed(good, options={"strict": "yes"}),
        "document-without-name": changed(good, documents=[{"text": document["text"]}]),
        "document-without-content": changed(good, documents=[{"name": document["name"]}]),
        "documents-an-object": changed(good, documents={document["name"]: document["text"]}),
        "key-without-keyval": changed(good, trust={"signed_by": [{"keytype": "ed25519", "scheme": "ed25519"}]}),
    }
    for fault, value in faults.items():
        c.add(f"request/{fault}", "A request that is not of the one form is undecided.", value, "undecided", "request-malformed")
    minimal = changed(good, documents=...)
    c.add("request/only-what-is-needed", "All but layout, trust and now may be absent.", minimal, "reject", "threshold-not-met")
    c.add("request/now-at-the-end-of-the-calendar", "Time is an argument: the last second that can be written.", changed(good, now=253402300799), "reject", "layout-expired")
    for fault, now in {"in-the-far-future": 253402300800, "as-far-as-numbers-reach": 2**63 - 1, "before-1970": -1, "as-early-as-numbers-reach": -(2**63)}.items():
        c.add(f"request/now-{fault}", "Time is an argument, and one that no clock shows which is set is none.", changed(good, now=now), "undecided", "request-malformed")


def add(c: Corpus) -> None:
    trust(c)
    requests(c)
