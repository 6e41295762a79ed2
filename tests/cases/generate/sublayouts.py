"""Cases of sublayouts (rule 13)."""

from __future__ import annotations

import json

from corpus import Corpus, named, request, result
from metadata import Key, changed, digest, dsse, ed, file_name, files, inspection, layout, link, metablock, step, text

OWNER, ALICE, BOB, CAROL = ed("owner"), ed("alice"), ed("bob"), ed("carol")
REST = ["DISALLOW", "*"]


def folder(name: str, key: Key) -> str:
    return f"{name}.{key.keyid[:8]}"


def inner_layout(**extra):
    """Alice's sublayout: carol's `fetch` and then carol's `compile`."""
    return layout(
        [
            step("fetch", CAROL, materials=[["ALLOW", "src"], REST], products=[["ALLOW", "src"], REST]),
            step("compile", CAROL, materials=[["MATCH", "src", "WITH", "PRODUCTS", "FROM", "fetch"], REST], products=[["CREATE", "app"], REST]),
        ],
        [CAROL],
        **extra,
    )


FETCH = link("fetch", materials=files("src"), products=files("src"))
COMPILE = link("compile", materials=files("src"), products=files("app"), command=["cc"])


def inner_documents(under: str, sign=metablock, compile_=COMPILE) -> dict[str, str]:
    links = named(("fetch", CAROL, sign(FETCH, CAROL)), ("compile", CAROL, sign(compile_, CAROL)))
    return {f"{under}/{name}": document for name, document in links.items()}


# What speaks for `outer` beside a sublayout, and agrees with alice's.
GOOD_LINK = named(("outer", BOB, metablock(link("outer", materials=files("src"), products=files("app")), BOB)))


def outer_layout(signers=(ALICE,), threshold=1, materials=None, products=None, **extra):
    """The owner's layout: `outer`, whose work a sublayout may describe."""
    return layout(
        [
            step(
                "outer",
                list(signers),
                threshold=threshold,
                materials=[["ALLOW", "src"], REST] if materials is None else materials,
                products=[["ALLOW", "app"], REST] if products is None else products,
            )
        ],
        [ALICE, BOB],
        **extra,
    )


def delegated(documents, outer=None, sign=metablock, **rest):
    return request(sign(outer or outer_layout(), OWNER), documents, OWNER, **rest)


def by(key: Key, value=None, sign=metablock, name=None, inner=None) -> dict[str, str]:
    """A sublayout by this key, with all that it needs."""
    document = sign(value or inner_layout(), key)
    return {name or file_name("outer", key): document} | (inner_documents(folder("outer", key), sign) if inner is None else inner)


def basics(c: Corpus) -> None:
    for form, sign in {"metablock": metablock, "dsse": dsse}.items():
        c.add(f"sublayout/good-{form}", "Rule 13: a payload that is a layout stands for the links that it asks for.", delegated(by(ALICE, sign=sign), sign=sign), "accept")
    c.add("sublayout/good-mixed-envelopes", "Rules 1 and 13: envelopes mix inside a sublayout too.", delegated(by(ALICE, sign=dsse, inner=inner_documents(folder("outer", ALICE)))), "accept")
    c.add("sublayout/good-under-the-full-keyid", "Rule 13: a document may be named after the full keyid; its folder bears eight digits also then.", delegated(by(ALICE, name=f"outer.{ALICE.keyid}.link")), "accept")
    summary = "Rule 13: a sublayout is replaced by its summary: materials of its first step, products of its last"
    c.add("sublayout/summary-has-the-materials-of-the-first", summary + ".", delegated(by(ALICE), outer_layout(materials=[["REQUIRE", "src"], ["ALLOW", "src"], REST])), "accept")
    c.add("sublayout/summary-material-disallowed", summary + ".", delegated(by(ALICE), outer_layout(materials=[REST])), "reject", "disallowed-artifact")
    c.add("sublayout/summary-product-disallowed", summary + ".", delegated(by(ALICE), outer_layout(products=[REST])), "reject", "disallowed-artifact")
    c.add("sublayout/summary-lacks-inner-products", summary + ", and nothing in between.", delegated(by(ALICE), outer_layout(products=[["REQUIRE", "src"]])), "reject", "required-artifact-missing")

    def packed(app: str):
        value = layout(
            [
                step("outer", ALICE, products=[["ALLOW", "app"], REST]),
                step("pack", BOB, materials=[["MATCH", "app", "WITH", "PRODUCTS", "FROM", "outer"], REST]),
            ],
            [ALICE, BOB],
        )
        documents = by(ALICE) | named(("pack", BOB, metablock(link("pack", materials=files(app=app)), BOB)))
        return delegated(documents, value)

    c.add("sublayout/summary-matched-by-a-later-step", summary + "; other steps match them.", packed("app"), "accept")
    c.add("sublayout/summary-matched-in-vain", summary + "; other steps match them.", packed("changed"), "reject", "disallowed-artifact")
    app = [{"digests": digest("app")}]
    c.add("sublayout/summary-product-as-subject", "Rules 13 and 22: a summary's products are the step's.", delegated(by(ALICE), subjects=app), "accept")
    c.add("sublayout/inner-product-is-no-subject", "Rules 13 and 22: what an inner step made between is not.", delegated(by(ALICE), subjects=[{"digests": digest("src")}]), "reject", "subject-not-found")
    agreed = link("outer", materials=files("src"), products=files("app"))
    c.add("sublayout/agrees-with-a-link", "Rules 12 and 13: a summary counts beside a link and agrees with it.", delegated(by(ALICE) | named(("outer", BOB, metablock(agreed, BOB))), outer_layout([ALICE, BOB], 2)), "accept")
    disagreed = link("outer", materials=files("src"), products=files(app="changed"))
    c.add("sublayout/disagrees-with-a-link", "Rules 12 and 13: or it does not.", delegated(by(ALICE) | named(("outer", BOB, metablock(disagreed, BOB))), outer_layout([ALICE, BOB], 1)), "reject", "links-disagree")
    c.add("sublayout/two-for-threshold-2", "Rules 12 and 13: two functionaries' sublayouts meet a threshold of 2, each with documents of its own.", delegated(by(ALICE) | by(BOB, inner_layout(readme="bob's")), outer_layout([ALICE, BOB], 2)), "accept")
    c.add("sublayout/two-for-threshold-2-one-incomplete", "Rule 13: the documents of one signer's sublayout serve no other's.", delegated(by(ALICE) | by(BOB, inner_layout(readme="bob's"), inner={}), outer_layout([ALICE, BOB], 2)), "reject", "sublayout-rejected", "threshold-not-met")


def empties(c: Corpus) -> None:
    empty = by(ALICE, layout([], [CAROL]), inner={})
    c.add("sublayout/empty", "Rule 13: a sublayout without steps has an empty summary, and a warning.", delegated(empty), "accept", warnings=["no-steps"], adversarial=27)
    c.add("sublayout/empty-but-something-required", "Rule 13: an empty summary made nothing.", delegated(empty, outer_layout(products=[["REQUIRE", "app"]])), "reject", "required-artifact-missing", adversarial=27)
    c.add("strict/sublayout-empty", "Rule 23: strict rejects a sublayout without steps as it does a layout.", delegated(empty, options={"strict": True}), "reject", "sublayout-rejected", "no-steps", adversarial=27)
    c.add("sublayout/empty-as-subject", "Rule 22: it made no subject.", delegated(empty, subjects=[{"digests": digest("app")}]), "reject", "subject-not-found", adversarial=27)


def refusals(c: Corpus) -> None:
    def bad(fault, about, documents, *warnings, outer=None, number=None):
        c.add(f"sublayout/{fault}", about, delegated(documents, outer), "reject", "threshold-not-met", warnings=warnings, adversarial=number)

    always = "Rule 13: a sublayout that is bound and validly signed always has a say: if it is expired, malformed or rejected its step fails, with its own findings beneath"

    def contradicts(fault, documents, *codes):
        c.add(f"sublayout/{fault}", always + ".", delegated(documents), "reject", "sublayout-rejected", *codes)
        c.add(
            f"sublayout/{fault}-beside-a-good-link",
            always + ", also beside a link that would be enough.",
            delegated(documents | GOOD_LINK, outer_layout([ALICE, BOB])),
            "reject",
            "sublayout-rejected",
            *codes,
        )

    compiled = {
        "rule-broken": link("compile", materials=files(src="changed"), products=files("app")),
        "extra-product": link("compile", materials=files("src"), products=files("app", "evil")),
    }
    contradicts("expired", by(ALICE, inner_layout(expires="2025-11-24T16:00:00Z")), "layout-expired")
    contradicts("inner-link-missing", by(ALICE, inner=dict(list(inner_documents(folder("outer", ALICE)).items())[:1])), "threshold-not-met")
    for fault, value in compiled.items():
        contradicts(f"inner-{fault}", by(ALICE, inner=inner_documents(folder("outer", ALICE), compile_=value)), "disallowed-artifact")
    c.add("sublayout/expiring-a-second-later", "Rule 13: its own expiry is judged at the same instant.", delegated(by(ALICE, inner_layout(expires="2025-11-24T16:00:01Z"))), "accept")
    for fault, value in {
        "malformed-rule": layout([step("compile", CAROL, products=[[]])], [CAROL]),
        "malformed-expiry": inner_layout(expires="tomorrow"),
        "malformed-threshold": layout([step("compile", CAROL, threshold=0)], [CAROL]),
        "malformed-without-keys": {k: v for k, v in inner_layout().items() if k != "keys"},
    }.items():
        contradicts(fault, by(ALICE, value), "layout-malformed")
    # Nothing canonical is signed in a DSSE: its signature may be valid over what is no strict JSON.
    whole = text(inner_layout())
    for fault, payload in {
        "steps-twice": whole.replace('"steps":', '"steps": [], "steps":', 1),
        "not-a-number": whole.replace('"readme": ""', '"readme": NaN'),
        "lone-surrogate": whole.replace('"readme": ""', '"readme": "\\ud800"'),
        "more-text": whole + "}",
    }.items():
        assert payload != whole, fault
        contradicts(f"dsse-{fault}", by(ALICE, payload, sign=dsse, inner={}), "layout-malformed")
    bad("signed-by-another", "Rule 13: the document's name binds it to one signer, whose signature it must bear.", {file_name("outer", ALICE): metablock(inner_layout(), BOB)} | inner_documents(folder("outer", ALICE)), outer=outer_layout([ALICE, BOB]))
    bad("signature-invalid", "Rule 11: a sublayout with a bad signature does not count.", by(BOB.named(ALICE.keyid)), "signature-invalid")
    bad("signer-unauthorised", "Rule 11: a sublayout by a key that the step does not list does not count.", by(BOB), "signer-unauthorized", number=6)
    for fault, name in {
        "named-freely": "sub.link",
        "named-after-no-key": "outer.link",
        "named-after-another-step": f"other.{ALICE.keyid[:8]}.link",
        "named-after-seven-digits": f"outer.{ALICE.keyid[:7]}.link",
        "named-after-nine-digits": f"outer.{ALICE.keyid[:9]}.link",
        "named-with-more": f"outer.{ALICE.keyid[:8]}.2.link",
    }.items():
        bad(fault, "Rule 13: a sublayout names no step, so a name that binds it to none leaves it unbound.", by(ALICE, name=name), "sublayout-unbound")
    bad("inner-links-in-the-root", "Rule 13: a sublayout reads its own folder alone.", by(ALICE, inner={name.split("/")[1]: document for name, document in inner_documents("x").items()}))
    bad("inner-links-in-another-folder", "Rule 13: a sublayout reads its own folder alone.", by(ALICE, inner=inner_documents(folder("outer", BOB))))
    bad("inner-links-under-the-full-keyid", "Rule 13: the folder bears eight digits also where the document bears the full keyid.", by(ALICE, name=f"outer.{ALICE.keyid}.link", inner=inner_documents(f"outer.{ALICE.keyid}")))
    bad("inner-links-signed-by-a-root-functionary", "Rule 13: only the sublayout's own keys sign its steps.", by(ALICE, inner={f"{folder('outer', ALICE)}/{n}": d for n, d in named(("fetch", ALICE, metablock(FETCH, ALICE)), ("compile", ALICE, metablock(COMPILE, ALICE))).items()}))
    inner = {name: document for name, document in inner_documents(folder("outer", ALICE)).items()}
    c.add(
        "sublayout/stray-file-beside-inner-links",
        "Rule 11: a stray file denies nothing inside a sublayout either.",
        delegated(by(ALICE, inner=inner | {f"{folder('outer', ALICE)}/stray.link": "{"})),
        "accept",
        warnings=["document-malformed"],
    )


def binding(c: Corpus) -> None:
    two = layout([step("outer", ALICE), step("other", ALICE)], [ALICE])
    reused = by(ALICE) | {file_name("other", ALICE): metablock(inner_layout(), ALICE)} | inner_documents(folder("other", ALICE))
    c.add("sublayout/copied-to-another-step", "Rule 13: one payload that is bound to two steps fails both.", delegated(reused, two), "reject", "sublayout-reused", adversarial=1)
    both = by(ALICE) | {file_name("other", ALICE): metablock(inner_layout(readme="other"), ALICE)} | inner_documents(folder("other", ALICE))
    c.add("sublayout/one-signer-two-steps", "Rule 13: a signer who may sign several steps draws a warning: nothing in a sublayout says for which it was made.", delegated(both, two), "accept", warnings=["sublayout-shared-signer"], adversarial=1)
    forgotten = layout([step("compile", [CAROL, BOB], threshold=..., materials=[["ALLOW", "src"], REST], products=[["CREATE", "app"], REST])], [CAROL, BOB])
    c.add("sublayout/threshold-missing-for-two-keys", "Rules 5 and 13: a threshold that a sublayout lacks is told as the owner's is.", delegated(by(ALICE, forgotten)), "accept", warnings=["threshold-absent"], adversarial=7)
    c.add("strict/sublayout-threshold-missing-for-two-keys", "Rule 23: strict rejects the sublayout for it.", delegated(by(ALICE, forgotten), options={"strict": True}), "reject", "threshold-not-met", adversarial=7)
    c.add("strict/sublayout-shared-signer", "Rule 23: strict rejects it.", delegated(both, two, options={"strict": True}), "reject", "sublayout-shared-signer", adversarial=1)
    moved = {file_name("other", ALICE): metablock(inner_layout(), ALICE)} | inner_documents(folder("other", ALICE))
    c.add("sublayout/moved-to-a-step-of-another-signer", "Rule 13: a sublayout renamed for a step that its signer may not sign does not count.", delegated(moved, layout([step("outer", ALICE), step("other", BOB)], [ALICE, BOB])), "reject", "threshold-not-met", adversarial=1)
    c.add("sublayout/moved-to-another-signers-name", "Rule 13: nor does one renamed for another signer of its step.", delegated({file_name("outer", BOB): metablock(inner_layout(), ALICE)} | inner_documents(folder("outer", BOB)), outer_layout([ALICE, BOB])), "reject", "threshold-not-met", adversarial=1)
    first, second = ALICE.named("deadbeef" + "1" * 56), BOB.named("deadbeef" + "2" * 56)
    value = layout([step("outer", [first, second])], [first, second])
    inner = inner_documents("outer.deadbeef")
    good = {f"outer.{second.keyid}.link": metablock(link("outer", materials=files("src"), products=files("app")), second)}
    about = "Rule 13: eight digits that fit two signers fail the step"
    for signer, key in {"first": first, "second": second}.items():
        document = {"outer.deadbeef.link": metablock(inner_layout(), key)} | inner
        c.add(f"sublayout/keyids-share-eight-digits-{signer}", about + ", whichever of them signed.", delegated(document, value), "reject", "sublayout-ambiguous", adversarial=4)
    c.add("sublayout/keyids-share-eight-digits-beside-a-good-link", about + ", also beside a link that would be enough.", delegated(document | good, value), "reject", "sublayout-ambiguous", adversarial=4)
    c.add("sublayout/keyids-share-eight-digits-signed-by-neither", "Rule 13: a document without a valid signature by one of them is uncounted.", delegated({"outer.deadbeef.link": metablock(inner_layout(), CAROL)} | good, value), "accept", warnings=["signer-unauthorized"], adversarial=4)
    full = {f"outer.{first.keyid}.link": metablock(inner_layout(), first)} | inner
    c.add("sublayout/keyids-share-eight-digits-named-in-full", "Rule 13: the full keyid fits one signer.", delegated(full, value), "accept", adversarial=4)
    short = BOB.named("deadbeef")
    value = layout([step("outer", [first, short])], [first, short])
    for signer, key, decision in (("first", first, ("reject", "sublayout-ambiguous")), ("second", short, ("accept",))):
        document = {"outer.deadbeef.link": metablock(inner_layout(), key)} | inner
        c.add(f"sublayout/full-keyid-is-anothers-eight-digits-{signer}", about + ", unless it is the full keyid of the one who signed.", delegated(document, value), *decision, adversarial=4)


def additions(c: Corpus) -> None:
    """One more document never takes away a contradiction."""
    name = file_name("outer", ALICE)
    both = outer_layout([ALICE, BOB])
    disagrees = named(("outer", BOB, metablock(link("outer", materials=files("src"), products=files(app="changed")), BOB)))
    contradicted = list((by(ALICE) | disagrees).items())
    about = "Rule 13: two documents may have one name; neither is renamed or dropped for it"
    old = metablock(inner_layout(readme="old"), ALICE)
    for fault, more in {
        "junk": "{",
        "a-link": metablock(link("outer", materials=files("src"), products=files(app="changed")), BOB),
        "an-unsigned-layout": metablock(inner_layout(readme="junk")),
        "its-copy": dict(contradicted)[name],
    }.items():
        for order, documents in {"before": [(name, more), *contradicted], "after": [*contradicted, (name, more)]}.items():
            c.add(f"sublayout/name-shared-with-{fault}-{order}", about + ".", delegated(documents, both), "reject", "links-disagree")
    c.add("sublayout/name-shared-with-junk-and-good", about + ": a stray file denies nothing.", delegated([(name, "{"), *by(ALICE).items(), (name, "{}")]), "accept", warnings=["document-malformed"])
    c.add("sublayout/name-shared-by-two-that-hold", about + ".", delegated([(name, old), *by(ALICE).items()]), "accept")
    expired = metablock(inner_layout(expires="2025-11-24T16:00:00Z"), ALICE)
    c.add("sublayout/name-shared-with-an-expired-one", about + ": each has its say.", delegated([(name, expired), *by(ALICE).items()]), "reject", "sublayout-rejected", "layout-expired")
    c.add("link/name-shared-by-two-links", about + ".", delegated([("outer.link", document) for document in [*GOOD_LINK.values(), *disagrees.values()]], outer_layout([BOB])), "reject", "conflicting-links")
    replayed = metablock(link("compile", materials=files("src"), products=files(app="changed")), CAROL)
    documents = by(ALICE) | GOOD_LINK
    c.add("sublayout/good-beside-a-good-link", "What the replayed link beside it takes away.", delegated(documents, both), "accept")
    c.add("sublayout/old-link-in-its-folder", "Rule 13: an old link in its folder fails the sublayout, and that the step.", delegated(documents | {f"{folder('outer', ALICE)}/old.link": replayed}, both), "reject", "sublayout-rejected", "conflicting-links", adversarial=49)
    two = layout([step("outer", [ALICE, BOB]), step("other", [ALICE, BOB])], [ALICE, BOB])
    links = disagrees | named(("other", BOB, metablock(link("other", products=files(app="changed")), BOB)))
    copied = by(ALICE) | links | {file_name("other", ALICE): dict(contradicted)[name]}
    c.add("sublayout/copied-to-another-step-beside-links", "Rule 13: a copy under another step's name takes nothing away.", delegated(copied, two), "reject", "sublayout-reused", adversarial=1)
    unsigned = by(ALICE) | GOOD_LINK | named(("other", BOB, metablock(link("other"), BOB))) | {file_name("other", ALICE): metablock(inner_layout(), BOB)}
    c.add("sublayout/copied-to-another-step-unsigned", "Rule 13: and one that its signer has not signed denies nothing.", delegated(unsigned, two), "accept", adversarial=1)


def unreadable(c: Corpus) -> None:
    """What a DSSE holds can be signed whatever it is: it has a say even where nobody can read what kind it is of."""
    both, name = outer_layout([ALICE, BOB]), file_name("outer", ALICE)
    whole, deep = text(inner_layout()), "[" * 101 + "]" * 101
    before, after = (lambda member: "{" + member + "," + whole[1:]), (lambda member: whole[:-1] + "," + member + "}")
    about = "Rule 13: a sublayout that is validly signed has a say, also where it is malformed before its `_type`"
    for fault, payload in {
        "key-twice-before-its-type": before('"A": {"x": 1, "x": 2}'),
        "key-twice-after-its-type": after('"a": {"x": 1, "x": 2}'),
        "lone-surrogate-before-its-type": before('"A": "\\ud800"'),
        "no-json": "layout",
    }.items():
        documents = {name: dsse(payload, ALICE)}
        c.add(f"sublayout/dsse-{fault}", about + ".", delegated(documents | GOOD_LINK, both), "reject", "sublayout-rejected", "layout-malformed")
        c.add(f"sublayout/dsse-{fault}-unsigned", "Rule 11: what nobody signed denies nothing.", delegated({name: dsse(payload, CAROL.named(ALICE.keyid))} | GOOD_LINK, both), "accept", warnings=["signature-invalid"])
    stray = {"stray.link": dsse(before('"A": {"x": 1, "x": 2}'), ALICE)}
    c.add("sublayout/dsse-key-twice-before-its-type-under-a-free-name", "Rule 13: nor does what its name binds to nothing.", delegated(stray | GOOD_LINK, both), "accept", warnings=["document-malformed"])
    about = "Rules 13 and 24: one that is nested too deeply to be read is undecided"
    for where, payload in {"before": before(f'"A": {deep}'), "after": after(f'"zz": {deep}')}.items():
        documents = {name: dsse(payload, ALICE)}
        c.add(f"limit/sublayout-nested-too-deeply-{where}-its-type", about + ".", delegated(documents | GOOD_LINK, both), "undecided", "limit-exceeded", limit="json-depth")
        c.add(f"sublayout/nested-too-deeply-{where}-its-type-unsigned", "Rule 11: what nobody signed denies nothing.", delegated({name: dsse(payload, CAROL.named(ALICE.keyid))} | GOOD_LINK, both), "accept", warnings=["signature-invalid"])
    two = layout([step("outer", [ALICE, BOB]), step("other", [ALICE, BOB])], [ALICE, BOB])
    links = GOOD_LINK | named(("other", BOB, metablock(link("other"), BOB)))
    documents = {name: dsse(payload, ALICE), file_name("other", ALICE): dsse(payload.replace('"readme": ""', '"readme": "other"'), ALICE)}
    c.add("limit/sublayouts-nested-too-deeply-of-two-steps", about + ", and no copy of another such one.", delegated(documents | links, two), "undecided", "limit-exceeded", limit="json-depth")
    many = {name: dsse(after('"zz": [' + ",".join(['""'] * 10) + "]"), ALICE)}
    c.add("sublayout/unknown-list", "Rule 2: an unknown field of a sublayout is a warning.", delegated(many | inner_documents(folder("outer", ALICE))), "accept", warnings=["unknown-layout-field"])
    too_deep = metablock(changed(inner_layout(), zz=json.loads(deep)), ALICE)
    c.add("sublayout/metablock-nested-too-deeply", "Rules 11 and 24: of a Metablock that is nested too deeply there is no canonical form to check: it is uncounted.", delegated({name: too_deep} | GOOD_LINK, both), "accept", warnings=["document-malformed"])


def labels(c: Corpus) -> None:
    """A sublayout's name may have any keyid of its signer."""
    expired = inner_layout(expires="2025-11-24T16:00:00Z")
    second = ALICE.named("second-label")
    two = layout([step("outer", [ALICE, second, BOB])], [ALICE, second, BOB])
    about = "Rules 8 and 13: a key is its material, and a sublayout may be named after each of its keyids"
    places = {
        "second-label": ("second-label", second, two),
        "second-labels-first-eight": ("second-l", second, two),
        "computed-keyid": (ALICE.keyid, ALICE, layout([step("outer", [second, BOB])], [second, BOB])),
        "computed-keyids-first-eight": (ALICE.keyid[:8], second, layout([step("outer", [second, BOB])], [second, BOB])),
        "older-keyid": (ALICE.old_formula(), second, layout([step("outer", [second, BOB])], [second, BOB])),
        "upper-case": (ALICE.keyid[:8].upper(), ALICE, outer_layout([ALICE, BOB])),
    }
    dotted = ALICE.named("alice@example.com")
    places["dotted-label"] = (dotted.keyid, dotted, layout([step("outer", [dotted, BOB])], [dotted, BOB]))
    pointed = ALICE.named("a.b.c")
    places["short-dotted-label"] = (pointed.keyid, pointed, layout([step("outer", [pointed, BOB]), step("a", BOB)], [pointed, BOB]))
    for fault, (keyid, signer, value) in places.items():
        more = {step_["name"]: metablock(link(step_["name"]), BOB) for step_ in value["steps"][1:]}
        more = {f"{name_}.link": document for name_, document in more.items()} | GOOD_LINK
        c.add(f"sublayout/named-after-the-{fault}", about + ".", delegated({f"outer.{keyid}.link": metablock(expired, signer)} | more, value), "reject", "sublayout-rejected", "layout-expired")
        c.add(f"sublayout/good-named-after-the-{fault}", about + "; its folder has the first eight of that.", delegated({f"outer.{keyid}.link": metablock(inner_layout(), signer)} | inner_documents(f"outer.{keyid[:8]}") | {n: d for n, d in more.items() if n not in GOOD_LINK}, value), "accept")
    link_ = metablock(link("outer", materials=files("src"), products=files("app")), second)
    c.add("link/signed-under-the-second-label", "Rule 8: a signature may name its key by each label that the step lists.", delegated({"outer.link": link_}, two), "accept")
    unlisted = layout([step("outer", [ALICE, BOB])], [ALICE, second, BOB])
    c.add("sublayout/named-after-an-unlisted-label", "Rule 13: a name that the step does not list binds it to nobody.", delegated({"outer.second-label.link": metablock(expired, ALICE)} | GOOD_LINK, unlisted), "accept", warnings=["sublayout-unbound"])
    short, long = ALICE.named("b.key"), BOB.named("key")
    value = layout([step("outer", [short, CAROL]), step("outer.b", [long, CAROL])], [short, long, CAROL])
    links = {f"{at}.link": metablock(link(at), CAROL) for at in ("outer", "outer.b")}
    for signer, key in {"short": short, "long": long}.items():
        c.add(f"sublayout/name-fits-two-steps-{signer}", "Rule 13: a name that fits two steps and signers fails that whose signer signed it.", delegated({"outer.b.key.link": metablock(inner_layout(), key)} | links, value), "reject", "sublayout-ambiguous")
    c.add("sublayout/name-fits-two-steps-signed-by-neither", "Rule 13: signed by neither, it is uncounted.", delegated({"outer.b.key.link": metablock(inner_layout(), ALICE.named("else"))} | links, layout([step("outer", [long, CAROL]), step("outer.b", [long, CAROL])], [long, CAROL])), "accept", warnings=["signer-unauthorized"])


def commands(c: Corpus) -> None:
    """What ran is what every link of the last step says, whatever their files are called."""
    under = folder("outer", ALICE)
    value = outer_layout()
    value["steps"][0]["expected_command"] = ["cc"]
    other = metablock(link("compile", materials=files("src"), products=files("app"), command=["evil"]), CAROL)
    inner = inner_documents(under)
    beside = {when: by(ALICE, inner=inner | {f"{under}/{name}.link": other}) for when, name in {"first": "a", "last": "z"}.items()}
    replaced = by(ALICE, inner=inner | {f"{under}/{file_name('compile', CAROL)}": other})
    faults = {"command-differs": replaced} | {f"command-differs-beside-the-expected-{when}": found for when, found in beside.items()}
    for fault, documents in faults.items():
        c.add(f"sublayout/{fault}", "Rules 13 and 14: a command that differs in any link that could stand for the sublayout is a warning.", delegated(documents, value), "accept", warnings=["command-differs"])
        c.add(f"strict/sublayout-{fault}", "Rule 23: strict rejects it, whatever stands beside that link.", delegated(documents, value, options={"strict": True}), "reject", "command-differs")
    c.add("strict/sublayout-command-expected", "Rule 23: strict accepts the expected command.", delegated(by(ALICE), value, options={"strict": True}), "accept")
    nested = layout([step("outer", ALICE, materials=[["ALLOW", "src"], REST], products=[["ALLOW", "app"], REST])], [ALICE])
    for when, documents in beside.items():
        deeper = {f"{under}/{name}": document for name, document in documents.items()} | {file_name("outer", ALICE): metablock(nested, ALICE)}
        c.add(f"strict/sublayout-command-differs-two-deep-{when}", "Rule 23: nor does it matter how deep the sublayout lies.", delegated(deeper, value, options={"strict": True}), "reject", "command-differs")


def nesting(c: Corpus) -> None:
    def nest(depth: int) -> dict[str, str]:
        """Sublayouts in sublayouts, `depth` of them, and at the bottom an `outer` link by alice."""
        documents, under = {}, ""
        for level in range(depth):
            documents[under + file_name("outer", ALICE)] = metablock(
                layout([step("outer", ALICE, products=[["ALLOW", "app"], REST])], [ALICE], readme=str(level)), ALICE
            )
            under += folder("outer", ALICE) + "/"
        documents[under + file_name("outer", ALICE)] = metablock(link("outer", products=files("app")), ALICE)
        return documents

    for depth in (2, 3, 8):
        c.add(f"sublayout/nested-{depth}-deep", "Rule 13: sublayouts nest.", delegated(nest(depth)), "accept")
    for depth in (9, 40):
        c.add(f"limit/sublayouts-nested-{depth}-deep", "Rules 13 and 24: their depth is bounded, and a budget spent is undecided.", delegated(nest(depth)), "undecided", "limit-exceeded", limit="sublayout-depth", adversarial=28)
    broken = nest(3)
    last = list(broken)[-1]
    broken[last] = metablock(link("outer", products=files("app", "evil")), ALICE)
    c.add("sublayout/nested-3-deep-rejected-at-the-bottom", "Rule 13: a fault at the bottom reaches the top.", delegated(broken), "reject", "sublayout-rejected", "disallowed-artifact")


def inside(c: Corpus) -> None:
    """What a sublayout has of its own: inspections, parameters, unsupported parts."""
    at = [folder("outer", ALICE)]
    looking = inner_layout(inspect=[inspection("look", ["rm", "-rf", "/"], materials=[["MATCH", "app", "WITH", "PRODUCTS", "FROM", "compile"], REST])])
    documents = by(ALICE, looking)
    good = text(link("look", materials=files("app")))
    about = "Rule 21: a third party's command is an inspection like others: its result is supplied, or there is no judgement"
    c.add("sublayout/inspection-not-run", about + ".", delegated(documents), "undecided", "inspection-not-run", adversarial=29)
    c.add("sublayout/inspection-supplied", about + ".", delegated(documents, inspections=[result("look", good, at)]), "accept", adversarial=29)
    c.add("sublayout/inspection-supplied-for-the-root", about + "; the root's is not the sublayout's.", delegated(documents, inspections=[result("look", good)]), "undecided", "inspection-not-run", adversarial=29)
    c.add("sublayout/inspection-planted-in-its-folder", about + "; it is never taken from among the evidence.", delegated(documents | {f"{at[0]}/look.link": metablock(link("look", materials=files("app")), CAROL)}), "undecided", "inspection-not-run", adversarial=[29, 46])
    c.add("sublayout/inspection-failed", about + ".", delegated(documents, inspections=[result("look", text(link("look", materials=files("app"), byproducts={"return-value": 2})), at)]), "reject", "sublayout-rejected", "inspection-failed", adversarial=29)
    c.add("sublayout/inspection-saw-another-file", about + ".", delegated(documents, inspections=[result("look", text(link("look", materials=files("evil"))), at)]), "reject", "sublayout-rejected", "disallowed-artifact", adversarial=29)
    for other in ("ls", "rm"):
        second = inner_layout(readme=other, inspect=[changed(looking["inspect"][0], run=[other, "-rf", "/"])])
        pair = documents | {f"outer.{ALICE.keyid}.link": metablock(second, ALICE)}
        about, supplied = "Rules 13 and 21: two sublayouts of a signer share a folder, and a result there", [result("look", good, at)]
        if other == "rm":
            c.add("sublayout/inspection-of-one-command-in-two", about + " is of one command.", delegated(pair, inspections=supplied), "accept")
        else:
            c.add("sublayout/inspection-of-two-commands", about + " is of one command: of two, nobody knows of which.", delegated(pair, inspections=supplied), "undecided", "inspection-not-run")
    unsupported = inner_layout()
    unsupported["steps"][0]["cert_constraints"] = [{"common_name": "*"}]
    c.add("sublayout/unsupported-constraint", "Rules 2 and 13: a constraint that cannot be checked, in a sublayout that is needed, is undecided.", delegated(by(ALICE, unsupported)), "undecided", "layout-unsupported", adversarial=48)
    c.add("sublayout/unsupported-constraint-beside-a-good-link", "Rule 2: it is never skipped, even beside evidence that would be enough.", delegated(by(ALICE, unsupported) | GOOD_LINK, outer_layout([ALICE, BOB])), "undecided", "layout-unsupported", warnings=["sublayout-undecided"], adversarial=48)
    braces = layout([step("make", CAROL, products=[["ALLOW", "{v}"], REST])], [CAROL])
    inner = {f"{at[0]}/{file_name('make', CAROL)}": metablock(link("make", products=files("{v}")), CAROL)}
    outer = outer_layout(materials=[REST], products=[["ALLOW", "{{{v}}}"], REST])
    c.add("sublayout/parameters-stay-outside", "Rule 10: parameters do not reach sublayouts, where all braces are literal.", delegated(by(ALICE, braces, inner=inner), outer, parameters={"v": "v"}), "accept")
    filled = {f"{at[0]}/{file_name('make', CAROL)}": metablock(link("make", products=files("app")), CAROL)}
    c.add("sublayout/parameters-do-not-fill-its-rules", "Rule 10: parameters do not reach sublayouts.", delegated(by(ALICE, braces, inner=filled), parameters={"v": "app"}), "reject", "sublayout-rejected", "disallowed-artifact")
    lone = layout([step("make", CAROL, products=[["ALLOW", "}a{"], REST])], [CAROL])
    inner = {f"{at[0]}/{file_name('make', CAROL)}": metablock(link("make", products=files("}a{")), CAROL)}
    c.add("sublayout/lone-braces-are-literal", "Rule 10: nor are lone braces malformed there.", delegated(by(ALICE, lone, inner=inner), outer_layout(products=[["ALLOW", "*"]]), parameters={"v": "app"}), "accept")


def add(c: Corpus) -> None:
    basics(c)
    empties(c)
    refusals(c)
    binding(c)
    additions(c)
    unreadable(c)
    labels(c)
    commands(c)
    nesting(c)
    inside(c)
