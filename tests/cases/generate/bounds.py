"""Cases of the budgets (rule 24). What is too large for a file is a recipe; see `corpus`."""

from __future__ import annotations

import json

from corpus import Corpus, expand, named, request
from metadata import canonical, digest, ecdsa, ed, files, layout, link, metablock, step, text

OWNER, ALICE, BOB = ed("owner"), ed("alice"), ed("bob")
BUILD = link("build", products=files("app"))
REST = ["DISALLOW", "*"]
ABOUT = "Rule 24: {} spend from the budget, and spending it ends undecided with the limit's name."
WITHIN = "Rule 24: {} within the budget are judged."


def repeat(at: list, mark: str, unit: str, count: int, join: str = ", ") -> dict:
    return {"kind": "repeat", "at": at, "mark": mark, "unit": unit, "join": join, "count": count}


def copies(at: list, item, count: int) -> dict:
    return {"kind": "copies", "at": at, "item": item, "count": count}


def signed_template(template: str, recipe: dict, key) -> str:
    """A Metablock around a text that the recipe completes, signed as it will be then."""
    at = ["text"]
    whole = expand({"request": {"text": template}, "generate": [recipe | {"at": at}]})["text"]
    signature = {"keyid": key.keyid, "sig": key.sign(canonical(json.loads(whole))).hex()}
    return f'{{"signed": {template}, "signatures": {text([signature])}}}'


def built(layout_text: str, documents: dict, **rest) -> dict:
    return request(layout_text, documents, OWNER, **rest)


def simple() -> str:
    return metablock(layout([step("build", ALICE)], [ALICE]), OWNER)


def add(c: Corpus) -> None:
    good = named(("build", ALICE, metablock(BUILD, ALICE)))

    def over(name, what, limit, value, generate=None, number=None):
        c.add(f"limit/{name}", ABOUT.format(what), value, "undecided", "limit-exceeded", limit=limit, generate=generate, adversarial=number)

    def within(name, what, value, generate=None, number=None, decision=("accept",), warnings=()):
        c.add(f"limit/{name}", WITHIN.format(what), value, *decision, generate=generate, adversarial=number, warnings=warnings)

    stray = {"name": "stray-<n>.link", "text": "{"}
    within("documents-9999", "documents", built(simple(), good), [copies(["documents"], stray, 9_998)], warnings=["document-malformed"])
    over("documents-10001", "documents", "documents", built(simple(), good), [copies(["documents"], stray, 10_000)])

    zero = {"keyid": "@", "sig": "00"}
    many = metablock(layout([step("build", ALICE)], [ALICE]), zero, OWNER)
    unit = '{"keyid": "<n>", "sig": "00"}'
    marked = many.replace(text(zero), "@@")
    assert "@@" in marked
    within("layout-signatures-1000", "signatures of a document", built(marked, good), [repeat(["layout", "text"], "@@", unit, 999)], number=22)
    over("layout-signatures-1002", "signatures of a document", "signatures", built(marked, good), [repeat(["layout", "text"], "@@", unit, 1001)], number=22)
    marked = metablock(BUILD, zero, ALICE).replace(text(zero), "@@")
    documents = named(("build", ALICE, marked))
    within("link-signatures-1000", "signatures of a document", built(simple(), documents), [repeat(["documents", 0, "text"], "@@", unit, 999)], number=22)
    c.add(
        "limit/link-signatures-1002",
        "Rules 11 and 24: a link over a limit of its own is a link that does not count, and denies nothing.",
        built(metablock(layout([step("build", [ALICE, BOB])], [ALICE, BOB]), OWNER), documents | named(("build", BOB, metablock(BUILD, BOB)))),
        "accept",
        generate=[repeat(["documents", 0, "text"], "@@", unit, 1001)],
        adversarial=22,
    )

    # 200 P-521 checks at 80 units each cost 16,000. One key's signature is repeated.
    slow = ecdsa("slow", "p521")
    value = layout([step("build", [slow, ALICE])], [slow, ALICE])
    envelope = metablock(BUILD, zero).replace(text(zero), "@@")
    unit = text({"keyid": slow.keyid, "sig": slow.sign(b"another message").hex()})
    over(
        "signature-cost-two-hundred-p521",
        "signature checks, in units by scheme,",
        "signature-cost",
        built(metablock(value, OWNER), good | {"costly.link": envelope}),
        [repeat(["documents", 1, "text"], "@@", unit, 200)],
        number=22,
    )

    for count, limit in ((1_000, None), (1_001, "steps")):
        unit = text(step("s<n>", ALICE))
        template = text(layout(["@@"], [ALICE])).replace('"@@"', "@@")
        recipe = repeat(["layout", "text"], "@@", unit, count)
        value = built(signed_template(template, recipe, OWNER), {})
        if limit:
            over(f"steps-{count}", "steps", limit, value, [recipe])
        else:
            within(f"steps-{count}", "steps", value, [recipe], decision=("reject", "threshold-not-met"))
    key = {"keyid": "k<n>", "keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": ALICE.public}}
    for count, limit in ((4_900, None), (5_001, "keys")):
        template = text(layout([step("build", ALICE)], {ALICE.keyid: ALICE.object(), "@@": 0})).replace('"@@": 0', "@@")
        recipe = repeat(["layout", "text"], "@@", f'"k<n>": {text(key)}', count)
        value = built(signed_template(template, recipe, OWNER), good)
        if limit:
            over(f"layout-keys-{count}", "keys", limit, value, [recipe])
        else:
            within(f"layout-keys-{count}", "keys", value, [recipe])
    over("trusted-keys-5001", "keys", "keys", built(simple(), good), [copies(["trust", "signed_by"], OWNER.object(), 5_000)])
    # Nobody signed these: what a layout may cost is bounded before its signatures are looked at.
    for name, limit, template, recipe in (
        ("pubkeys-5001", "keys", layout([step("build", ["@@"])], [ALICE]), repeat(["layout", "text"], '"@@"', '"k<n>"', 5_001)),
        ("rules", "memory", layout([step("build", ALICE, products=[["ALLOW", "@@"]])], [ALICE]), repeat(["layout", "text"], "@@", "?", 2_000_000, "")),
        ("json-values", "json-values", layout([step("build", ALICE)], [ALICE], note=["@@"]), repeat(["layout", "text"], '"@@"', "[]", 2_000_001)),
        ("keys-p521", "signature-cost", layout([step("build", ALICE)], {"@@": 0}), repeat(["layout", "text"], '"@@": 0', '"k<n>": ' + text(ecdsa("slow", "p521").object() | {"keyid": "k<n>"}), 4_000)),
    ):
        over(f"unsigned-{name}", "an unsigned layout's keys, rules and values", limit, built(metablock(template), good), [recipe])
    parameters = {"kind": "repeat", "at": ["layout", "text"], "mark": "@@", "unit": "{a}", "join": "", "count": 200_000}
    over(
        "unsigned-parameters",
        "parameters that are filled in",
        "memory",
        built(metablock(layout([step("build", ALICE, products=[["ALLOW", "@@"]])], [ALICE])), good, parameters={"a": "x" * 100}),
        [parameters],
    )

    deep = metablock(layout([step("build", ALICE)], [ALICE], note="@@"), OWNER).replace('"@@"', "@@[]@@")
    over(
        "json-100000-deep-layout",
        "levels of JSON",
        "json-depth",
        built(deep.replace("@@[]@@", "@@[]!!"), good),
        [repeat(["layout", "text"], "@@", "[", 100_000, ""), repeat(["layout", "text"], "!!", "]", 100_000, "")],
    )
    for depth, decision in ((90, ("accept",)), (200, ("reject", "threshold-not-met"))):
        nested: list = []
        for _ in range(depth):
            nested = [nested]
        c.add(
            f"limit/json-{depth}-deep-link",
            "Rules 11 and 24: a link that nests too deeply does not count; one that nests a little does.",
            built(simple(), named(("build", ALICE, metablock(link("build", products=files("app"), environment={"x": nested}), ALICE)))),
            *decision,
            warnings=["document-malformed"] if depth > 100 else [],
        )

    # Artifacts by recipe: `<n>` in a name; every file holds the same.
    unit = f'"f<n>": {text(digest("x"))}'

    def artifacts(count: int, rules: str, rule_recipe: dict | None, unit: str = unit):
        template = text(link("build", products={"@@": 0})).replace('"@@": 0', "@@")
        recipe = repeat(["documents", 0, "text"], "@@", unit, count)
        documents = named(("build", ALICE, signed_template(template, recipe, ALICE)))
        template = text(layout([step("build", ALICE, products=["@@"])], [ALICE])).replace('"@@"', rules)
        if rule_recipe is None:
            return built(metablock(json.loads(template), OWNER), documents), [recipe]
        return built(signed_template(template, rule_recipe, OWNER), documents), [recipe, rule_recipe]

    recipe = repeat(["layout", "text"], "@@", '["ALLOW", "g<n>"]', 1_000)
    value, generate = artifacts(10_000, '@@, ["ALLOW", "*"], ["DISALLOW", "*"]', recipe)
    within("rules-1000-artifacts-10000", "1,000 rules over 10,000 artifacts", value, generate, number=39)
    recipe = repeat(["layout", "text"], "@@", '["ALLOW", "*f*f*f*g<n>"]', 2_000)
    value, generate = artifacts(2_000, '@@, ["ALLOW", "*"]', recipe, f'"{"f" * 1_000}<n>": {text(digest("x"))}')
    over("pattern-work", "characters compared by patterns", "pattern-work", value, generate, number=39)
    recipe = None
    value, generate = artifacts(2_000, '["DISALLOW", "*"]', recipe)
    c.add(
        "limit/findings-2000",
        "Rule 24: findings beyond their bound are counted, not listed, and the reject stays one.",
        value,
        "reject",
        "disallowed-artifact",
        generate=generate,
    )
    value, generate = artifacts(2_000, '["ALLOW", "f1"]', recipe)
    c.add("limit/unconstrained-2000", "Rule 24: so are warnings.", value, "accept", warnings=["unconstrained-artifact"], generate=generate)

    # More than 32 MiB of white space: a document of its own size, and the layout.
    spaces = repeat(["documents", 0, "text"], "@@", " " * 1024, 33_000, "")
    c.add(
        "limit/document-bytes-link",
        "Rules 11 and 24: a document over its own size limit does not count, with a warning, and denies nothing.",
        built(simple(), {"huge.link": "@@" + metablock(BUILD, ALICE)} | good),
        "accept",
        warnings=["document-too-large"],
        generate=[spaces],
    )
    over("document-bytes-layout", "bytes", "document-bytes", built("@@" + simple(), good), [spaces | {"at": ["layout", "text"]}])
    wide(c)


def wide(c: Corpus) -> None:
    """Wide bombs: sublayouts that are cheap to write and dear to verify."""
    value = layout([], [])
    signers = [ed(f"signer {n}") for n in range(60)]
    outer = layout([step("outer", signers, threshold=60)], signers)
    documents = {f"outer.{key.keyid[:8]}.link": metablock(value | {"readme": key.label}, key) for key in signers}
    c.add(
        "sublayout/sixty-for-threshold-60",
        "Rule 13: sixty functionaries' sublayouts for one step are sixty.",
        request(metablock(outer, OWNER), documents, OWNER),
        "accept",
        warnings=["no-steps"],
        adversarial=28,
    )
    # Two levels: each of `first` sublayouts asks for `second` of its own. The lower ones are the same documents in
    # every folder, so that a recipe can lay them out.
    alice = ALICE.named("alicekey")
    plain = {"keys": {alice.keyid: alice.object()}, "_type": "layout", "inspect": [], "expires": "2040-01-01T00:00:00Z"}

    def asking(prefix: str, count: int, **more) -> dict:
        return {"steps": [{"name": f"{prefix}{n}", "pubkeys": [alice.keyid]} for n in range(count)], **plain, **more}

    for first, second in ((20, 20), (33, 31)):
        documents = {f"s{n}.alicekey.link": metablock(asking("t", second, readme=f"s{n}"), alice) for n in range(first)}
        lower = [
            copies(
                ["documents"],
                {"name": f"s<n>.alicekey/t{n}.alicekey.link", "text": metablock(asking("", 0, readme=f"t{n}"), alice)},
                first,
            )
            for n in range(second)
        ]
        value = request(metablock(asking("s", first), OWNER), documents, OWNER)
        total = first * (second + 1)
        if total > 1_000:
            about, decision = ABOUT.format("sublayouts, at any depth,"), ("undecided", "limit-exceeded")
        else:
            about, decision = WITHIN.format("sublayouts, at any depth,"), ("accept",)
        c.add(
            f"limit/sublayouts-{total}",
            about,
            value,
            *decision,
            limit="sublayouts" if total > 1_000 else None,
            generate=lower,
            adversarial=28,
        )
