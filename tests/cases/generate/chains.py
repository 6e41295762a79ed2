"""Cases of the chain: links, thresholds, parameters, inspections, subjects and strictness (rules 10 to 14, 21 to 23)."""

from __future__ import annotations

import json

from corpus import Corpus, named, request, result
from metadata import (
    Key,
    changed,
    digest,
    dsse,
    ed,
    file_name,
    files,
    inspection,
    layout,
    link,
    metablock,
    step,
    text,
)

OWNER, ALICE, BOB, CAROL = ed("owner"), ed("alice"), ed("bob"), ed("carol")
BUILD = link("build", products=files("app"))


def one_step(signers, documents, threshold=1, keys=(ALICE, BOB, CAROL), trust=OWNER, **rest):
    """A layout whose only step is `build`."""
    value = layout([step("build", signers, threshold=threshold)], list(keys))
    return request(metablock(value, OWNER), documents, trust, **rest)


def links(c: Corpus) -> None:
    write = link("write", products=files("src"))
    two_steps = layout([step("write", ALICE), step("build", ALICE)], [ALICE])
    c.add(
        "link/renamed-for-another-step",
        "Rule 11: a link counts for the step that it names, whatever its file is called.",
        request(
            metablock(two_steps, OWNER),
            {
                file_name("write", ALICE): metablock(write, ALICE),
                file_name("build", ALICE): metablock(write, ALICE),
            },
            OWNER,
        ),
        "reject",
        "threshold-not-met",
        adversarial=1,
    )
    for fault, names in {
        "unhelpful": ["one.link", "two.link"],
        "swapped": [file_name("build", ALICE), file_name("write", ALICE)],
        "of-another-key": [file_name("write", BOB), file_name("build", BOB)],
        "unicode": ["\u00e9\u4e16.link", " .link"],
    }.items():
        c.add(
            f"link/file-names-{fault}",
            "Rule 11: the name of a link's file is no evidence, neither for nor against it.",
            request(
                metablock(two_steps, OWNER),
                {names[0]: metablock(write, ALICE), names[1]: metablock(BUILD, ALICE)},
                OWNER,
            ),
            "accept",
        )
    c.add(
        "link/in-a-subfolder",
        "Rule 11: files in subfolders belong to sublayouts alone.",
        one_step(ALICE, {f"build.{ALICE.keyid[:8]}/{file_name('build', ALICE)}": metablock(BUILD, ALICE)}),
        "reject",
        "threshold-not-met",
    )
    c.add(
        "link/signed-by-a-key-of-another-step",
        "Rule 11: a key of the layout signs only the steps that list it.",
        request(
            metablock(layout([step("write", ALICE), step("build", BOB)], [ALICE, BOB]), OWNER),
            named(("write", ALICE, metablock(write, ALICE)), ("build", ALICE, metablock(BUILD, ALICE))),
            OWNER,
        ),
        "reject",
        "threshold-not-met",
        warnings=["signer-unauthorized"],
        adversarial=6,
    )
    c.add(
        "link/signed-by-the-owner",
        "Rule 11: an owner is no functionary unless a step lists them.",
        one_step(ALICE, named(("build", OWNER, metablock(BUILD, OWNER)))),
        "reject",
        "threshold-not-met",
        warnings=["signer-unauthorized"],
        adversarial=6,
    )
    c.add(
        "link/signed-by-a-key-not-in-the-layout",
        "Rule 11: a key must be listed by the step and be present in the layout.",
        one_step([ALICE, CAROL], named(("build", CAROL, metablock(BUILD, CAROL))), keys=[ALICE]),
        "reject",
        "threshold-not-met",
    )
    c.add(
        "link/a-step-lists-a-key-that-is-absent",
        "Rule 11: an absent key among a step's keys keeps the others from nothing.",
        one_step([CAROL, ALICE], named(("build", ALICE, metablock(BUILD, ALICE))), keys=[ALICE]),
        "accept",
    )
    c.add(
        "link/unsigned",
        "Rule 11: a link without a signature counts for nothing.",
        one_step(ALICE, {"build.link": metablock(BUILD)}),
        "reject",
        "threshold-not-met",
    )
    c.add(
        "link/missing",
        "Rule 12: a step without any link does not meet its threshold.",
        one_step(ALICE, {}),
        "reject",
        "threshold-not-met",
    )
    good = named(("build", ALICE, metablock(BUILD, ALICE)))
    corrupt = {
        "not-json": ("{", "document-malformed"),
        "empty": ("", "document-malformed"),
        "list": ("[]", "document-malformed"),
        "an-image": ("\u0000\u0001PNG", "document-malformed"),
        "deep-nesting": ("[" * 50_000, "document-malformed"),
        "another-type": (metablock({"_type": "report", "name": "build"}, BOB), "document-malformed"),
        "bad-signature": (metablock(BUILD, ALICE.named(BOB.keyid)), "signature-invalid"),
        "unknown-signer": (metablock(BUILD, ed("mallory")), "signer-unauthorized"),
        "unknown-step": (metablock(link("other", products=files("app")), BOB), "step-unknown"),
        "bad-artifact-name": (metablock(link("build", products=files("a/../app")), BOB), "artifact-name-malformed"),
        "weak-digest": (metablock(link("build", products={"app": {"md5": "0" * 32}}), BOB), "digest-weak"),
        "bad-digest": (metablock(link("build", products={"app": {"sha256": "0"}}), BOB), "digest-malformed"),
    }
    for fault, (document, warning) in corrupt.items():
        c.add(
            f"link/extra-{fault}",
            "Rule 11: whatever is wrong with a document leaves it uncounted, with a warning: a stray file cannot deny a good chain.",
            one_step([ALICE, BOB], {file_name("build", BOB): document} | good),
            "accept",
            warnings=[warning],
            adversarial=41,
        )
        c.add(
            f"link/extra-{fault}-for-threshold-2",
            "Rule 11: and it does not help to a threshold either.",
            one_step([ALICE, BOB], {file_name("build", BOB): document} | good, threshold=2),
            "reject",
            "threshold-not-met",
            warnings=[warning],
            adversarial=41,
        )


def thresholds(c: Corpus) -> None:
    def by(*keys: Key, value=BUILD) -> dict[str, str]:
        return named(*(("build", key, metablock(value, key)) for key in keys))

    three = [ALICE, BOB, CAROL]
    c.add("threshold/two-of-three", "Rule 12: two distinct keys meet a threshold of 2.", one_step(three, by(BOB, CAROL), 2), "accept")
    c.add("threshold/three-of-three", "Rule 12: three distinct keys meet a threshold of 3.", one_step(three, by(*three), 3), "accept")
    c.add("threshold/one-of-two", "Rule 12: one key does not meet a threshold of 2.", one_step(three, by(BOB), 2), "reject", "threshold-not-met")
    c.add("threshold/more-than-keys", "Rule 12: a threshold above the number of keys cannot be met.", one_step([ALICE, BOB], by(ALICE, BOB), 3), "reject", "threshold-not-met")
    c.add("threshold/pubkey-listed-twice", "Rule 12: a key listed twice is one key.", one_step([ALICE, ALICE], by(ALICE), 2), "reject", "threshold-not-met")
    for name, sign in {"metablock": metablock, "dsse": dsse}.items():
        c.add(
            f"threshold/one-document-two-signers-{name}",
            "Rule 12: a document signed by two of the keys counts for both.",
            one_step(three, {"build.link": sign(BUILD, ALICE, CAROL)}, 2),
            "accept",
        )
    one_bad = json.loads(metablock(BUILD, ALICE, CAROL))
    one_bad["signatures"][1]["sig"] = "00" * 64
    c.add(
        "threshold/one-document-two-signers-one-invalid",
        "Rule 12: and only for those whose signature is valid.",
        one_step(three, {"build.link": text(one_bad)}, 2),
        "reject",
        "threshold-not-met",
    )
    c.add(
        "threshold/one-signer-two-files",
        "Rule 12: one key's link in two files is one key.",
        one_step(three, by(ALICE) | {"copy.link": metablock(BUILD, ALICE)}, 2),
        "reject",
        "threshold-not-met",
        adversarial=2,
    )
    c.add(
        "threshold/one-signer-two-envelopes",
        "Rule 12: one key's link in both envelopes is one key, and no conflict.",
        one_step(ALICE, by(ALICE) | {"copy.link": dsse(BUILD, ALICE)}),
        "accept",
    )
    for fault, other in {
        "products": link("build", products=files(app="another")),
        "an-extra-product": link("build", products=files("app", "extra")),
        "a-missing-product": link("build"),
        "materials": link("build", materials=files("src"), products=files("app")),
        "digest-algorithms": link("build", products={"app": digest("app") | {"sha512": "0" * 128}}),
    }.items():
        c.add(
            f"threshold/links-disagree-on-{fault}",
            "Rule 12: all counted links of a step agree exactly, at a threshold of 1 too.",
            one_step([ALICE, BOB], by(ALICE) | by(BOB, value=other)),
            "reject",
            "links-disagree",
            adversarial=42,
        )
        c.add(
            f"threshold/third-link-disagrees-on-{fault}",
            "Rule 12: two that agree do not outvote a third.",
            one_step(three, by(ALICE, CAROL) | by(BOB, value=other), 2),
            "reject",
            "links-disagree",
            adversarial=42,
        )
        c.add(
            f"threshold/one-key-conflicts-on-{fault}",
            "Rule 12: two genuine links for one step by one key that differ are a conflict: an old one cannot be replayed beside the new one.",
            one_step(ALICE, by(ALICE) | {"old.link": metablock(other, ALICE)}),
            "reject",
            "conflicting-links",
            adversarial=49,
        )
        c.add(
            f"threshold/unauthorised-link-differs-in-{fault}",
            "Rule 12: only counted links need to agree.",
            one_step(ALICE, by(ALICE) | by(BOB, value=other)),
            "accept",
            warnings=["signer-unauthorized"],
            adversarial=42,
        )
    other = changed(BUILD, byproducts={"return-value": 0, "stdout": "later"}, environment={"time": "2"}, command=["make"])
    c.add(
        "threshold/links-differ-in-byproducts",
        "Rule 12: links agree on materials and products; byproducts, environment and command may differ.",
        one_step([ALICE, BOB], by(ALICE) | by(BOB, value=other), 2),
        "accept",
    )
    c.add(
        "threshold/one-key-repeats-with-other-byproducts",
        "Rule 12: a time in the byproducts is no conflict.",
        one_step(ALICE, by(ALICE) | {"again.link": metablock(other, ALICE)}),
        "accept",
    )
    wrong = link("write", products=files(src="other"))
    c.add(
        "threshold/one-key-two-steps-no-conflict",
        "Rule 12: links of different steps by one key are no conflict.",
        request(
            metablock(layout([step("write", ALICE), step("build", ALICE)], [ALICE]), OWNER),
            by(ALICE) | {"w.link": metablock(wrong, ALICE)},
            OWNER,
        ),
        "accept",
    )


def commands(c: Corpus) -> None:
    def run(expected, command, byproducts=None, sign=metablock, strict=False):
        rules = [["ALLOW", "*"]]
        value = layout([step("build", ALICE, products=rules, command=expected)], [ALICE])
        done = link("build", products=files("app"), command=command, byproducts=byproducts)
        rest = {"options": {"strict": True}} if strict else {}
        return request(metablock(value, OWNER), named(("build", ALICE, sign(done, ALICE))), OWNER, **rest)

    for fault, expected, command in (
        ("another-argument", ["make", "all"], ["make", "app"]),
        ("an-argument-more", ["make"], ["make", "app"]),
        ("none-recorded", ["make"], []),
        ("joined", ["make app"], ["make", "app"]),
        ("letter-case", ["make"], ["Make"]),
    ):
        about = "Rule 14: an expected command that differs is a warning"
        c.add(f"command/differs-{fault}", about + ".", run(expected, command), "accept", warnings=["command-differs"])
        c.add(f"strict/command-differs-{fault}", "Rule 23: strict turns a command that differs into a reject.", run(expected, command, strict=True), "reject", "command-differs")
    c.add("strict/command-agrees", "Rule 23: strict accepts the expected command.", run(["make", "app"], ["make", "app"], strict=True), "accept")
    values = {"1": 1, "minus-1": -1, "text-0": "0", "null": None, "true": True, "false": False, "2-to-the-70": 2**70, "list": [0]}
    for fault, value in values.items():
        byproducts = {"return-value": value}
        c.add(f"command/return-value-{fault}", "Rule 14: a `return-value` that is not the integer 0 draws a warning.", run([], [], byproducts), "accept", warnings=["step-command-failed"])
        c.add(f"strict/return-value-{fault}", "Rule 23: strict turns a failed command into a reject.", run([], [], byproducts, strict=True), "reject", "step-command-failed")
    c.add("strict/return-value-absent", "Rule 14: a link without `return-value` draws no warning.", run([], [], {"stdout": "x"}, strict=True), "accept")
    c.add("strict/return-value-float", "Rule 14: 0.0 is not the integer 0.", run([], [], {"return-value": 0.0}, sign=dsse, strict=True), "reject", "step-command-failed")


def parameters(c: Corpus) -> None:
    def rules(products, made, parameters=None, strict=False, command=None, materials=None, used=None, **rest):
        """One step with these rules on products `made`; `write` is a step before it that made the same."""
        value = layout(
            [
                step("write", BOB, products=[["ALLOW", "*"]]),
                step("build", ALICE, products=products, materials=materials, command=command),
            ],
            [ALICE, BOB],
        )
        documents = named(
            ("write", BOB, metablock(link("write", products=made), BOB)),
            ("build", ALICE, metablock(link("build", materials=used, products=made, command=["make", "v1"]), ALICE)),
        )
        if parameters is not None:
            rest["parameters"] = parameters
        if strict:
            rest["options"] = {"strict": True}
        return request(metablock(value, OWNER), documents, OWNER, **rest)

    only = [["DISALLOW", "*"]]

    def good(fault, about, *arguments, number=None, warnings=(), **named_arguments):
        c.add(f"parameter/{fault}", about, rules(*arguments, **named_arguments), "accept", adversarial=number, warnings=warnings)

    def bad(fault, about, code, *arguments, number=None, **named_arguments):
        decision = "reject" if code in ("disallowed-artifact", "required-artifact-missing") else "undecided"
        c.add(f"parameter/{fault}", about, rules(*arguments, **named_arguments), decision, code, adversarial=number)

    about = "Rule 10: `{name}` is replaced inside one list element"
    good("in-a-pattern", about + ": in a pattern.", [["ALLOW", "app-{v}.tar"], *only], files("app-1.tar"), {"v": "1"})
    bad("in-a-pattern-another-value", about + ": with the value that was given.", "disallowed-artifact", [["ALLOW", "app-{v}.tar"], *only], files("app-1.tar"), {"v": "2"})
    good("twice-in-one-element", about + ", every time that it stands there.", [["ALLOW", "{v}-{w}-{v}"], *only], files("1-2-1"), {"v": "1", "w": "2"})
    good("in-require", about + ": in REQUIRE's name.", [["REQUIRE", "{v}"]], files("app"), {"v": "app"}, warnings=["unconstrained-artifact"])
    bad("in-require-missing", about + ": in REQUIRE's name.", "required-artifact-missing", [["REQUIRE", "{v}"]], files("app"), {"v": "lib"})
    good("in-from", about + ": in the step after FROM.", [["MATCH", "*", "WITH", "PRODUCTS", "FROM", "{s}"], *only], files("app"), {"s": "write"})
    good("in-a-prefix", about + ": in a prefix.", [["MATCH", "*", "IN", "{d}", "WITH", "PRODUCTS", "IN", "{d}", "FROM", "write"], *only], files("src/app"), {"d": "src"})
    good("in-the-command", about + ": in an expected command.", [["ALLOW", "*"]], files("app"), {"v": "v1"}, command=["make", "{v}"], strict=True)
    good("in-the-command-another-value", about + ": in an expected command.", [["ALLOW", "*"]], files("app"), {"v": "v2"}, command=["make", "{v}"], warnings=["command-differs"])
    good("value-with-spaces", about + ": a value with spaces stays one element.", [["ALLOW", "{v}"], *only], files("a b"), {"v": "a b"})
    good("value-with-braces", "Rule 10: a value is not searched for parameters again.", [["ALLOW", "{v}"], *only], files("{w}"), {"v": "{w}", "w": "app"}, number=43)
    good("value-empty", "Rule 10: a value may be empty.", [["ALLOW", "app{v}"], *only], files("app"), {"v": ""})
    good("unused", "Rule 10: a parameter that stands nowhere changes nothing.", [["ALLOW", "app"], *only], files("app"), {"v": "1"})
    good("name-of-digits-and-dashes", "Rule 10: a name is of `[A-Za-z0-9_-]+`.", [["ALLOW", "{0}{a-b_C}"], *only], files("app"), {"0": "a", "a-b_C": "pp"})
    good("doubled-braces", "Rule 10: with parameters, doubled braces are literal ones.", [["ALLOW", "{{v}}"], *only], files("{v}"), {"v": "app"})
    bad("doubled-braces-are-not-filled", "Rule 10: with parameters, doubled braces are literal ones.", "disallowed-artifact", [["ALLOW", "{{v}}"], *only], files("app"), {"v": "app"})
    good("tripled-braces", "Rule 10: a literal brace around a parameter.", [["ALLOW", "{{{v}}}"], *only], files("{app}"), {"v": "app"})

    literal = "Rule 10: a value is matched literally inside a pattern: its `*`, `?` and `[` are no wildcards."
    for fault, value, other in (("star", "*", "app"), ("question-mark", "?", "a"), ("brackets", "[ab]", "a"), ("star-in-the-middle", "a*p", "app"), ("negated-set", "[!x]", "a"), ("bracket-open", "[", "]")):
        good(f"value-{fault}", literal, [["ALLOW", "{v}"], *only], files(value), {"v": value}, number=43)
        bad(f"value-{fault}-is-no-wildcard", literal, "disallowed-artifact", [["ALLOW", "{v}"], *only], files(other), {"v": value}, number=43)
    good("value-star-in-disallow", literal, [["DISALLOW", "{v}"]], files("app"), {"v": "*"}, number=43, warnings=["unconstrained-artifact"])
    good("value-star-beside-a-wildcard", literal, [["ALLOW", "*{v}?"], *only], files("ab*c"), {"v": "*"}, number=43)
    bad("value-opens-a-set-that-the-pattern-closes", literal, "disallowed-artifact", [["ALLOW", "{v}ab]"], *only], files("a"), {"v": "["}, number=43)
    good("value-inside-a-written-set", literal + " Nor does it end a set.", [["ALLOW", "{v}ab]"], *only], files("[ab]"), {"v": "["}, number=43)

    keyword = "Rule 10: a parameter never stands in a keyword's place"
    bad("as-keyword", keyword + ".", "layout-malformed", [["{v}", "*"]], files("app"), {"v": "ALLOW"}, number=43)
    bad("as-with", keyword + ".", "layout-malformed", [["MATCH", "*", "{v}", "PRODUCTS", "FROM", "write"]], files("app"), {"v": "WITH"}, number=43)
    bad("as-products", keyword + ".", "layout-malformed", [["MATCH", "*", "WITH", "{v}", "FROM", "write"]], files("app"), {"v": "PRODUCTS"}, number=43)
    bad("as-part-of-a-keyword", keyword + ".", "layout-malformed", [["ALL{v}", "*"]], files("app"), {"v": "OW"}, number=43)
    good("value-is-a-keyword", keyword + ", and a keyword as its value is a name.", [["ALLOW", "{v}"], *only], files("DISALLOW"), {"v": "DISALLOW"}, number=43)
    good("value-is-with", keyword + ", and a keyword as its value is a name.", [["MATCH", "{v}", "WITH", "PRODUCTS", "FROM", "write"], *only], files("WITH"), {"v": "WITH"}, number=43)
    good("value-is-in-as-prefix", keyword + ", and a keyword as its value is a name.", [["MATCH", "*", "IN", "{v}", "WITH", "PRODUCTS", "IN", "IN", "FROM", "write"], *only], files("IN/app"), {"v": "IN"}, number=43)

    form = "Rule 10: a format spec, an attribute, an index or a conversion is malformed."
    for fault, pattern in {
        "attribute": "{v.__class__}",
        "index": "{v[0]}",
        "conversion": "{v!r}",
        "format-spec": "{v:>10}",
        "nested": "{v:{v}}",
        "empty-name": "{}",
        "space-in-name": "{v }",
        "unicode-name": "{\u00e9}",
    }.items():
        bad(f"form-{fault}", form, "layout-malformed", [["ALLOW", pattern]], files("app"), {"v": "app"}, number=43)
    for fault, pattern in {"opening": "a{", "closing": "a}", "opening-before-text": "{v", "closing-after-pair": "{v}}", "opening-after-pair": "{{v}"}.items():
        bad(f"lone-brace-{fault}", "Rule 10: with parameters, a lone brace is malformed.", "layout-malformed", [["ALLOW", pattern]], files("app"), {"v": "app"}, number=43)
    bad("unknown", "Rule 10: a name that was not given is malformed.", "layout-malformed", [["ALLOW", "{w}"]], files("app"), {"v": "app"})
    bad("unknown-in-the-command", "Rule 10: likewise in a command.", "layout-malformed", [["ALLOW", "*"]], files("app"), {"v": "app"}, command=["{w}"])
    c.add(
        "parameter/unknown-in-an-inspection",
        "Rule 10: likewise in what an inspection runs.",
        request(
            metablock(layout([], [ALICE], inspect=[inspection("look", ["ls", "{w}"])]), OWNER),
            {},
            OWNER,
            inspections=[result("look", text(link("look")))],
            parameters={"v": "app"},
        ),
        "undecided",
        "layout-malformed",
    )
    for fault, given in {"none": None, "empty": {}}.items():
        about = "Rule 10: without parameters braces are literal, and what looks like a parameter draws a warning."
        good(f"{fault}-given", about, [["ALLOW", "{v}"], *only], files("{v}"), given, warnings=["unfilled-parameter"])
        bad(f"{fault}-given-and-the-value-made", about, "disallowed-artifact", [["ALLOW", "{v}"], *only], files("v"), given)
        good(f"{fault}-given-doubled-braces", "Rule 10: without parameters, doubled braces are two.", [["ALLOW", "{{v}}"], *only], files("{{v}}"), given)
        good(f"{fault}-given-lone-braces", "Rule 10: without parameters, a lone brace is itself.", [["ALLOW", "}a{"], *only], files("}a{"), given)
    c.add("strict/unfilled-parameter", "Rule 23: strict turns an unfilled parameter into a reject.", rules([["ALLOW", "{v}"], ["ALLOW", "*"]], files("app"), strict=True), "reject", "unfilled-parameter")
    c.add("strict/filled-parameter", "Rule 23: and accepts one that is filled.", rules([["ALLOW", "{v}"], ["ALLOW", "*"]], files("app"), {"v": "x"}, strict=True), "accept")
    value = layout([step("{v}", ALICE, products=[["ALLOW", "app"], *only])], [ALICE], readme="{v} {w")
    c.add(
        "parameter/not-in-names",
        "Rule 10: parameters stand in rules and commands: a step's name and the readme are left alone.",
        request(metablock(value, OWNER), {"a.link": metablock(link("{v}", products=files("app")), ALICE)}, OWNER, parameters={"v": "build"}),
        "accept",
    )
    for fault, given in {"number": {"v": 1}, "list": {"v": ["app"]}, "null": {"v": None}}.items():
        bad(f"value-a-{fault}", "A parameter's value is text.", "request-malformed", [["ALLOW", "{v}"]], files("app"), given)
    bad("name-with-a-dot", "Rule 10: a parameter's name is of `[A-Za-z0-9_-]+`.", "request-malformed", [["ALLOW", "*"]], files("app"), {"v.w": "app"})


def inspections(c: Corpus) -> None:
    found = [["MATCH", "app", "WITH", "PRODUCTS", "FROM", "build"], ["DISALLOW", "*"]]

    def looked(inspect, results, documents=None, **rest):
        value = layout([step("build", ALICE, products=[["ALLOW", "app"], ["DISALLOW", "*"]])], [ALICE], inspect=inspect)
        documents = named(("build", ALICE, metablock(BUILD, ALICE))) if documents is None else documents
        return request(metablock(value, OWNER), documents, OWNER, inspections=results, **rest)

    look = inspection("look", ["tar", "xf", "app"], materials=found)
    good = text(link("look", materials=files("app"), products=files("app")))
    c.add("inspection/supplied", "Rule 21: a result is a link in a field of its own.", looked([look], [result("look", good)]), "accept")
    for form, sign in {"metablock": metablock, "dsse": dsse}.items():
        c.add(f"inspection/supplied-in-{form}", "Rule 21: the result may stand in an envelope; whoever supplies it vouches for it.", looked([look], [result("look", sign(json.loads(good), BOB))]), "accept")
    c.add("inspection/missing", "Rule 21: a missing result makes the verdict undecided.", looked([look], []), "undecided", "inspection-not-run")
    c.add("inspection/one-of-two-missing", "Rule 21: every inspection needs its result.", looked([look, inspection("again", ["true"])], [result("look", good)]), "undecided", "inspection-not-run")
    c.add("inspection/result-of-another", "Rule 21: a result belongs to the inspection that it is supplied for.", looked([look], [result("other", text(link("other", materials=files("app"))))]), "undecided", "inspection-not-run")
    c.add("inspection/result-of-a-sublayout", "Rule 21: a result for a sublayout's inspection is none of the root's.", looked([look], [result("look", good, ["outer.00000000"])]), "undecided", "inspection-not-run")
    for name, document in {"bare": good, "signed": metablock(json.loads(good), ALICE)}.items():
        documents = named(("build", ALICE, metablock(BUILD, ALICE))) | {"look.link": document}
        c.add(
            f"inspection/planted-among-the-links-{name}",
            "Rule 21: a result never comes from among the evidence.",
            looked([look], [], documents),
            "undecided",
            "inspection-not-run",
            adversarial=46,
        )
    c.add(
        "inspection/planted-beside-the-real-one",
        "Rule 21: a planted result does not stand against the supplied one.",
        looked([look], [result("look", text(link("look", materials=files("app", "evil"))))], named(("build", ALICE, metablock(BUILD, ALICE))) | {"look.link": metablock(json.loads(good), ALICE)}),
        "reject",
        "disallowed-artifact",
        adversarial=46,
    )
    for fault, byproducts in {
        "1": {"return-value": 1},
        "minus-1": {"return-value": -1},
        "text-0": {"return-value": "0"},
        "null": {"return-value": None},
        "false": {"return-value": False},
        "absent": {},
    }.items():
        c.add(
            f"inspection/return-value-{fault}",
            "Rule 21: the integer `return-value` 0 is required of an inspection.",
            looked([look], [result("look", text(link("look", materials=files("app"), byproducts=byproducts)))]),
            "reject",
            "inspection-failed",
            adversarial=46,
        )
    c.add("inspection/byproducts-absent", "Rule 21: without byproducts there is no return value of 0.", looked([look], [result("look", text(link("look", materials=files("app"), byproducts=...)))]), "reject", "inspection-failed", adversarial=46)
    c.add("inspection/saw-another-file", "Rule 17: an inspection's materials are judged by its rules.", looked([look], [result("look", text(link("look", materials=files("app", "evil"))))]), "reject", "disallowed-artifact")
    c.add("inspection/saw-another-content", "Rule 17: MATCH compares digests with the step's.", looked([look], [result("look", text(link("look", materials=files(app="changed"))))]), "reject", "disallowed-artifact")
    products = inspection("look", ["true"], products=found)
    c.add("inspection/made-another-file", "Rule 17: an inspection's products are judged by its rules.", looked([products], [result("look", text(link("look", products=files("app", "evil"))))]), "reject", "disallowed-artifact")
    first = inspection("first", ["true"], materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "second"], ["DISALLOW", "*"]])
    second = inspection("second", ["true"])
    both = [result("first", text(link("first", materials=files("x")))), result("second", text(link("second", products=files("x"))))]
    for name, order in {"later": [first, second], "earlier": [second, first]}.items():
        c.add(f"inspection/matches-a-{name}-inspection", "Rule 17: inspections match all inspections: every result is in before rules are judged.", looked(order, both), "accept")
    wrong = [both[0], result("second", text(link("second", products=files(x="other"))))]
    c.add("inspection/matches-another-inspection-in-vain", "Rule 17: and compares its digests.", looked([first, second], wrong), "reject", "disallowed-artifact")
    value = layout(
        [step("build", ALICE, products=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "look"], ["DISALLOW", "*"]])],
        [ALICE],
        inspect=[inspection("look", ["true"])],
    )
    c.add(
        "inspection/a-step-cannot-match-one",
        "Rule 17: steps match steps: an inspection vouches for no step.",
        request(metablock(value, OWNER), named(("build", ALICE, metablock(BUILD, ALICE))), OWNER, inspections=[result("look", text(link("look", products=files("app"))))]),
        "reject",
        "disallowed-artifact",
    )
    c.add(
        "inspection/missing-beside-an-unmet-threshold",
        "Once a reject is certain it stays one: an inspection that nobody ran does not make it undecided.",
        looked([look], [], {}),
        "reject",
        "threshold-not-met",
    )
    c.add(
        "inspection/no-steps-but-an-inspection",
        "Rule 21: an inspection is judged also where there are no steps.",
        request(metablock(layout([], [ALICE], inspect=[inspection("look", ["true"], materials=[["DISALLOW", "*"]])]), OWNER), {}, OWNER, inspections=[result("look", good)]),
        "reject",
        "disallowed-artifact",
        warnings=["no-steps"],
    )


def subjects(c: Corpus) -> None:
    made = {"app": digest("app") | {"sha512": "a" * 128, "md5": "b" * 32}}
    signed_off = [["MATCH", "app", "WITH", "PRODUCTS", "FROM", "build"], ["ALLOW", "notes"], ["DISALLOW", "*"]]

    def asked(wanted, steps=None, approve_rules=None, approve_products=None, approve_materials=None, **rest):
        """`build` makes `app`; `approve`, the last step, takes it and makes nothing."""
        value = layout(
            [
                step("build", ALICE, products=[["ALLOW", "app"], ["ALLOW", "lib"], ["DISALLOW", "*"]]),
                step("approve", BOB, materials=signed_off if approve_rules is None else approve_rules),
            ],
            [ALICE, BOB],
        )
        documents = named(
            ("build", ALICE, metablock(link("build", products=made | files("lib")), ALICE)),
            ("approve", BOB, metablock(link("approve", materials=approve_materials or made | files("notes"), products=approve_products or {}), BOB)),
        )
        if steps is not None:
            rest["options"] = {"subject_steps": steps}
        return request(metablock(value, OWNER), documents, OWNER, subjects=wanted, **rest)

    def subject(content="app", name=None, **digests):
        value = {"digests": digests or digest(content)}
        return value | ({"name": name} if name is not None else {})

    def good(fault, about, *arguments, **named_arguments):
        c.add(f"subject/{fault}", about, asked(*arguments, **named_arguments), "accept")

    def missing(fault, about, *arguments, **named_arguments):
        c.add(f"subject/{fault}", about, asked(*arguments, **named_arguments), "reject", "subject-not-found")

    product = "Rule 22: a subject is a product of a subject step, the last one if none is named"
    good("product-of-the-last-step", product + ".", [subject("image")], approve_products=files("image"))
    missing("product-of-no-step", product + ".", [subject("image")])
    missing("product-of-an-earlier-step", product + ".", [subject("lib")])
    good("product-of-a-named-step", product + ".", [subject("lib")], ["build"])
    missing("product-of-a-step-not-named", product + ".", [subject("image")], ["build"], approve_products=files("image"))
    good("product-of-one-of-two-named-steps", product + ".", [subject("lib"), subject("image")], ["build", "approve"], approve_products=files("image"))
    passed = "Rule 22: a material of the last step that a MATCH .. WITH PRODUCTS rule consumed is passed on by it"
    good("passed-on-by-the-last-step", passed + ".", [subject("app")])
    missing("material-that-a-rule-only-allowed", passed + ".", [subject("notes")])
    missing("material-that-no-rule-consumed", passed + ".", [subject("app")], approve_rules=[["ALLOW", "app"]])
    missing("material-matched-with-materials", passed + ", and no other.", [subject("app")], approve_rules=[["MATCH", "*", "WITH", "MATERIALS", "FROM", "approve"]])
    missing("material-of-no-rule-at-all", passed + ".", [subject("app")], approve_rules=[])
    good("passed-on-by-name", "Rule 22: a name, where given, is the artifact's.", [subject("app", "app")])
    missing("under-another-name", "Rule 22: a name, where given, is the artifact's.", [subject("app", "lib")])
    missing("name-right-digest-wrong", "Rule 22: a name alone is nothing.", [subject("other", "app")])
    good("two-algorithms-agree", "Rule 22: all digest algorithms in common are equal.", [subject(**digest("app"), sha512="a" * 128)])
    missing("one-of-two-algorithms-differs", "Rule 22: all digest algorithms in common are equal.", [subject(**digest("app"), sha512="0" * 128)])
    missing("md5-differs-beside-an-equal-sha256", "Rule 22: all digest algorithms in common are equal, weak ones too.", [subject(**digest("app"), md5="0" * 32)])
    good("sha512-alone", "Rule 22: one SHA-2 digest in common is enough.", [subject(sha512="a" * 128)])
    good("an-algorithm-not-in-common", "Rule 22: an algorithm that only one side has is not compared.", [subject(**digest("app"), sha384="0" * 96)])
    missing("no-algorithm-in-common", "Rule 22: at least one SHA-2 digest is in common.", [subject(sha384="0" * 96)])
    missing("md5-alone-in-common", "Rule 22: at least one SHA-2 digest is in common.", [subject(md5="b" * 32, sha384="0" * 96)])
    missing("one-of-two-missing", "Rule 22: every subject is found.", [subject("app"), subject("nowhere")])
    value = layout([step("build", ALICE)], [ALICE], inspect=[inspection("look", ["true"])])
    c.add(
        "subject/seen-by-an-inspection",
        "Rule 22: what an inspection merely saw is no subject.",
        request(
            metablock(value, OWNER),
            named(("build", ALICE, metablock(BUILD, ALICE))),
            OWNER,
            inspections=[result("look", text(link("look", products=files("seen"))))],
            subjects=[subject("seen")],
        ),
        "reject",
        "subject-not-found",
    )
    c.add(
        "subject/no-steps",
        "Rule 22: a layout without steps made no subject.",
        request(metablock(layout([], [ALICE]), OWNER), {}, OWNER, subjects=[subject("app")]),
        "reject",
        "subject-not-found",
        warnings=["no-steps"],
    )
    for fault, wanted in {
        "without-digests": {"name": "app"},
        "with-no-digest": {"digests": {}},
        "with-a-digest-too-short": {"digests": {"sha256": "00"}},
        "with-a-number": {"digests": {"sha256": 0}},
    }.items():
        c.add(f"request/subject-{fault}", "Rule 22: a subject's digests are required, and are digests.", asked([wanted]), "undecided", "request-malformed")


def strictness(c: Corpus) -> None:
    strict = {"options": {"strict": True}}
    rules = [["ALLOW", "app"]]

    def built(products, made, inspect=None, extra=None, documents=None, **rest):
        value = layout([step("build", ALICE, products=products)], [ALICE], inspect=inspect, **(extra or {}))
        chain = named(("build", ALICE, metablock(link("build", products=made), ALICE))) | (documents or {})
        return request(metablock(value, OWNER), chain, OWNER, **rest)

    c.add("strict/clean", "Rule 23: strict accepts a chain without a warning.", built(rules, files("app"), **strict), "accept")
    c.add("rule/no-disallow", "Rule 16: what remains at the end is allowed, and listed.", built(rules, files("app", "extra")), "accept", warnings=["unconstrained-artifact"], adversarial=35)
    c.add("strict/no-disallow", "Rule 23: strict rejects an artifact that no rule constrains.", built(rules, files("app", "extra"), **strict), "reject", "unconstrained-artifact", adversarial=35)
    c.add("strict/material-unconstrained", "Rule 23: a material likewise.", request(metablock(layout([step("build", ALICE)], [ALICE]), OWNER), named(("build", ALICE, metablock(link("build", materials=files("src")), ALICE))), OWNER, **strict), "reject", "unconstrained-artifact")
    c.add("strict/unknown-layout-field", "Rule 23: strict rejects an unknown layout field.", built(rules, files("app"), extra={"note": 1}, **strict), "reject", "unknown-layout-field")
    c.add("strict/no-steps", "Rule 23: strict rejects a layout without steps.", request(metablock(layout([], [ALICE]), OWNER), {}, OWNER, **strict), "reject", "no-steps")
    c.add("layout/no-steps", "Rule 13: a layout without steps is accepted with a warning.", request(metablock(layout([], [ALICE]), OWNER), {}, OWNER), "accept", warnings=["no-steps"])
    for fault, document in {"malformed-extra-document": "{", "unknown-signer": metablock(BUILD, BOB)}.items():
        c.add(f"strict/{fault}", "Rule 23: strict turns the named warnings into rejects, and no other: a stray file still cannot deny.", built(rules, files("app"), documents={"x.link": document}, **strict), "accept")
    c.add("strict/false", "Rule 23: strict is asked for.", built(rules, files("app", "extra"), options={"strict": False}), "accept", warnings=["unconstrained-artifact"])


def add(c: Corpus) -> None:
    links(c)
    thresholds(c)
    commands(c)
    parameters(c)
    inspections(c)
    subjects(c)
    strictness(c)
