"""Cases of the artifacts: rules, prefixes, patterns, names and digests (rules 15 to 20)."""

from __future__ import annotations

import fnmatch

from corpus import Corpus, named, request
from metadata import digest, ed, files, layout, link, metablock, step

OWNER, ALICE, BOB = ed("owner"), ed("alice"), ed("bob")
REST = ["DISALLOW", "*"]


def judged(materials=None, products=None, used=None, made=None, before=None, **rest):
    """`build` uses and makes these under these rules; `write` before it used and made `before` (a pair)."""
    took, gave = before or ({}, {})
    value = layout(
        [
            step("write", BOB, materials=[["ALLOW", "*"]], products=[["ALLOW", "*"]]),
            step("build", ALICE, materials=materials, products=products),
        ],
        [ALICE, BOB],
    )
    documents = named(
        ("write", BOB, metablock(link("write", materials=took, products=gave), BOB)),
        ("build", ALICE, metablock(link("build", materials=used, products=made), ALICE)),
    )
    return request(metablock(value, OWNER), documents, OWNER, **rest)


def rules(c: Corpus) -> None:
    def good(fault, about, number=None, warnings=(), **arguments):
        c.add(f"rule/{fault}", about, judged(**arguments), "accept", adversarial=number, warnings=warnings)

    def bad(fault, about, code="disallowed-artifact", number=None, **arguments):
        c.add(f"rule/{fault}", about, judged(**arguments), "reject", code, adversarial=number)

    create = "Rule 17: CREATE covers what is new in the products."
    good("create-new-product", create, products=[["CREATE", "*"], REST], made=files("app"))
    bad("create-a-product-that-was-a-material", create, materials=[["ALLOW", "*"]], products=[["CREATE", "*"], REST], used=files("app"), made=files("app"))
    bad("create-among-materials", create, materials=[["CREATE", "*"], REST], used=files("src"))
    bad("create-a-changed-material", create, products=[["CREATE", "*"], REST], used=files(app="old"), made=files("app"))
    delete = "Rule 17: DELETE covers what is gone from the products."
    good("delete-a-material", delete, materials=[["DELETE", "*"], REST], used=files("src"))
    bad("delete-a-material-that-is-still-there", delete, materials=[["DELETE", "*"], REST], used=files("src"), made=files("src"))
    bad("delete-among-products", delete, products=[["DELETE", "*"], REST], made=files("src"))
    modify = "Rule 17: MODIFY covers what is in both with unequal digest maps."
    both = {"used": files(src="old"), "made": files(src="new")}
    good("modify-products", modify, products=[["MODIFY", "*"], REST], materials=[["ALLOW", "*"]], **both)
    good("modify-materials", modify, materials=[["MODIFY", "*"], REST], products=[["ALLOW", "*"]], **both)
    bad("modify-an-equal-file", modify, products=[["MODIFY", "*"], REST], used=files("src"), made=files("src"))
    bad("modify-a-new-file", modify, products=[["MODIFY", "*"], REST], made=files("src"))
    good("modify-another-set-of-algorithms", modify, products=[["MODIFY", "*"], REST], used=files("src"), made={"src": digest("src") | {"sha512": "0" * 128}}, warnings=["unconstrained-artifact"])
    good("modify-only-md5-differs", modify, products=[["MODIFY", "*"], REST], used={"a": digest("a") | {"md5": "0" * 32}}, made={"a": digest("a") | {"md5": "1" * 32}})
    good("allow-matches-nothing", "Rule 16: nothing but DISALLOW and REQUIRE fails.", products=[["ALLOW", "x"], ["CREATE", "x"], ["MODIFY", "x"], ["DELETE", "x"], ["MATCH", "x", "WITH", "PRODUCTS", "FROM", "write"], REST])
    bad("allow-comes-too-late", "Rule 16: rules are judged in their order.", products=[REST, ["ALLOW", "*"]], made=files("app"))
    bad("disallow-one-of-two", "Rule 16: DISALLOW fails if it matches anything left.", products=[["ALLOW", "app"], REST], made=files("app", "extra"))
    good("disallow-matches-nothing-left", "Rule 16: DISALLOW sees only what is left.", products=[["ALLOW", "app"], ["DISALLOW", "app"]], made=files("app"))
    bad("disallow-does-not-consume", "Rule 16: a second DISALLOW sees the same.", products=[["DISALLOW", "other"], ["DISALLOW", "app"]], made=files("app"))
    bad("materials-and-products-apart", "Rule 16: a queue per list: what products allow, materials do not.", materials=[REST], products=[["ALLOW", "*"]], used=files("src"), made=files("src"))
    require = "Rule 16: REQUIRE fails if its name is not in the queue, and consumes nothing."
    good("require-present", require, products=[["REQUIRE", "app"], ["ALLOW", "app"], REST], made=files("app"))
    bad("require-missing", require, "required-artifact-missing", products=[["REQUIRE", "app"]], made=files("lib"))
    bad("require-does-not-consume", require, products=[["REQUIRE", "app"], REST], made=files("app"))
    good("require-alone-leaves-it-unconstrained", require, products=[["REQUIRE", "app"]], made=files("app"), warnings=["unconstrained-artifact"])
    bad("require-after-it-was-consumed", require, "required-artifact-missing", products=[["ALLOW", "app"], ["REQUIRE", "app"]], made=files("app"))
    good("require-twice", require, products=[["REQUIRE", "app"], ["REQUIRE", "app"], ["ALLOW", "*"]], made=files("app"))
    bad("require-is-no-pattern", require + " It is a literal name.", "required-artifact-missing", products=[["REQUIRE", "*"]], made=files("app"))
    good("require-a-star", require + " It is a literal name.", products=[["REQUIRE", "*"], ["ALLOW", "*"]], made=files("*"))
    bad("require-in-another-case", require, "required-artifact-missing", products=[["REQUIRE", "App"]], made=files("app"))
    bad("require-among-no-artifacts", require, "required-artifact-missing", materials=[["REQUIRE", "src"]])
    for keyword in ("allow", "Allow", "aLLOW"):
        good(f"keyword-{'lower' if keyword == 'allow' else 'first' if keyword == 'Allow' else 'mixed'}-case", "Rule 15: keywords are case-insensitive.", products=[[keyword, "app"], ["disallow", "*"]], made=files("app"))
    bad("keyword-lower-case-disallow", "Rule 15: keywords are case-insensitive.", products=[["disallow", "*"]], made=files("app"))
    good("keyword-lower-case-match", "Rule 15: keywords are case-insensitive.", materials=[["match", "*", "in", "a", "with", "products", "in", "b", "from", "write"], REST], used={"a/x": digest("x")}, before=({}, {"b/x": digest("x")}))
    good("name-is-a-keyword", "Rule 15: a pattern or a prefix may read like a keyword.", materials=[["MATCH", "WITH", "IN", "IN", "WITH", "PRODUCTS", "IN", "FROM", "FROM", "write"], REST], used={"IN/WITH": digest("x")}, before=({}, {"FROM/WITH": digest("x")}))

    match = "Rule 17: MATCH covers what has the whole digest map at the destination."
    good("match-products", match, materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "write"], REST], used=files("src"), before=({}, files("src")))
    good("match-materials", match, materials=[["MATCH", "*", "WITH", "MATERIALS", "FROM", "write"], REST], used=files("src"), before=(files("src"), {}))
    bad("match-materials-for-products", match, materials=[["MATCH", "*", "WITH", "MATERIALS", "FROM", "write"], REST], used=files("src"), before=({}, files("src")))
    bad("match-another-digest", match, materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "write"], REST], used=files("src"), before=({}, files(src="changed")))
    bad("match-missing-item", match, materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "write"], REST], used=files("src", "more"), before=({}, files("src")))
    bad("match-item-that-the-pattern-leaves-out", match, materials=[["MATCH", "*.c", "WITH", "PRODUCTS", "FROM", "write"], REST], used=files("src"), before=({}, files("src")))
    bad("match-missing-step", "Rule 17: a missing destination step consumes nothing.", number=34, materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "nowhere"], REST], used=files("src"))
    good("match-missing-step-and-nothing-to-match", "Rule 17: a missing destination step consumes nothing, and fails nothing.", number=34, materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "nowhere"], REST])
    good("match-itself", "Rule 17: a step may match itself: weak, and what the owner wrote.", number=33, materials=[["MATCH", "*", "WITH", "MATERIALS", "FROM", "build"], REST], used=files("src"))
    good("match-its-own-products", "Rule 17: a step may match its own other side.", number=33, products=[["MATCH", "*", "WITH", "MATERIALS", "FROM", "build"], REST], used=files("src"), made=files("src"))
    bad("match-its-own-products-in-vain", "Rule 17: and is compared with it.", number=33, products=[["MATCH", "*", "WITH", "MATERIALS", "FROM", "build"], REST], used=files("src"), made=files(src="changed"))
    more = {"src": digest("src") | {"sha512": "0" * 128}}
    bad("match-a-subset-of-algorithms", match, materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "write"], REST], used=files("src"), before=({}, more))
    bad("match-a-superset-of-algorithms", match, materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "write"], REST], used=more, before=({}, files("src")))
    good("match-two-algorithms", match, materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "write"], REST], used=more, before=({}, more))
    bad("match-weak-digest-differs", match, materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "write"], REST], used={"a": digest("a") | {"md5": "0" * 32}}, before=({}, {"a": digest("a") | {"md5": "1" * 32}}))
    good("match-a-later-step", "Rule 17: steps match steps, whatever their order.", before=(files("app"), {}), made=files("app"), products=[["MATCH", "*", "WITH", "MATERIALS", "FROM", "write"], REST])
    bad("disallow-open-bracket", "Rule 18: an unclosed `[` is literal, so DISALLOW holds it.", number=36, products=[["DISALLOW", "["]], made=files("["))
    bad("disallow-open-bracket-and-star", "Rule 18: an unclosed `[` is literal, so DISALLOW holds it.", number=36, products=[["DISALLOW", "*[!"]], made=files("evil[!"))
    good("disallow-open-bracket-another-name", "Rule 18: and it holds nothing else.", number=36, products=[["DISALLOW", "["], ["ALLOW", "*"]], made=files("a"))
    bad("disallow-empty-set", "Rule 18: `[]` is unclosed, hence literal.", number=36, products=[["DISALLOW", "[]"]], made=files("[]"))
    bad("disallow-backslash", "Rule 18: a `\\` is literal.", number=36, products=[["DISALLOW", "a\\"]], made=files("a\\"))


def prefixes(c: Corpus) -> None:
    """IN prefixes that truly consume: materials of `build` against products of `write`."""

    def match(pattern="*", source=None, destination=None):
        rule = ["MATCH", pattern] + (["IN", source] if source is not None else []) + ["WITH", "PRODUCTS"]
        return [rule + (["IN", destination] if destination is not None else []) + ["FROM", "write"], REST]

    def pair(fault, about, rule, name, origin, consumes=True, number=None):
        arguments = {"materials": rule, "used": {name: digest("x")}, "before": ({}, {origin: digest("x")})}
        decision = ("accept",) if consumes else ("reject", "disallowed-artifact")
        c.add(f"prefix/{fault}", about, judged(**arguments), *decision, adversarial=number)
        if consumes:
            arguments["before"] = ({}, {origin: digest("changed")})
            c.add(f"prefix/{fault}-changed", about + " The digest is compared.", judged(**arguments), "reject", "disallowed-artifact", adversarial=number)

    under = "Rule 17: with `IN prefix` only names under `prefix/` take part, and the pattern sees the rest."
    pair("source", under, match(source="src"), "src/a.c", "a.c")
    pair("destination", under, match(destination="out"), "a.c", "out/a.c")
    pair("both", under, match(source="src", destination="out"), "src/a.c", "out/a.c")
    pair("same-on-both-sides", under, match(source="src", destination="src"), "src/a.c", "src/a.c")
    pair("nested-folders", under, match(source="a/b", destination="c/d/e"), "a/b/x/y", "c/d/e/x/y")
    slash = "Rule 17: a prefix may end in `/` or not."
    pair("source-with-slash", slash, match(source="src/"), "src/a.c", "a.c")
    pair("destination-with-slash", slash, match(destination="out/"), "a.c", "out/a.c")
    pair("both-with-slash", slash, match(source="src/", destination="out/"), "src/a.c", "out/a.c")
    pair("one-with-slash", slash, match(source="src/", destination="out"), "src/a.c", "out/a.c")
    pair("pattern-sees-the-rest", under, match("a.c", source="src", destination="out"), "src/a.c", "out/a.c")
    pair("pattern-does-not-see-the-prefix", under, match("src/*", source="src", destination="src"), "src/a.c", "src/a.c", consumes=False)
    pair("pattern-sees-the-rest-of-folders", under, match("d/*", source="src"), "src/d/a.c", "d/a.c")
    pair("source-not-under", under, match(source="src", destination="src"), "a.c", "src/a.c", consumes=False)
    pair("destination-not-under", under, match(source="src", destination="out"), "src/a.c", "a.c", consumes=False)
    pair("source-that-only-begins-alike", under, match(source="src"), "src-evil/a.c", "-evil/a.c", consumes=False, number=30)
    pair("source-that-only-begins-alike-cut", under, match(source="sr"), "src/a.c", "c/a.c", consumes=False, number=30)
    pair("name-is-the-prefix", under, match(source="src"), "src", "src", consumes=False, number=30)
    pair("destination-that-only-begins-alike", under, match(destination="out"), "a.c", "outa.c", consumes=False, number=30)
    pair("prefix-is-not-normalised", "Rule 17: prefixes stand as they are: nothing escapes through `..`.", match(source="src", destination="out/.."), "src/a.c", "a.c", consumes=False, number=30)
    pair("source-prefix-is-not-normalised", "Rule 17: prefixes stand as they are.", match(source="./src"), "src/a.c", "a.c", consumes=False, number=30)
    pair("prefix-dot", "Rule 17: prefixes stand as they are: `.` is a folder of that name.", match(source="."), "a.c", "a.c", consumes=False, number=30)
    pair("prefix-two-slashes", "Rule 17: only the final `/` of a prefix may be left out.", match(source="src//"), "src/a.c", "a.c", consumes=False)
    pair("prefix-in-another-case", "Rule 17: prefixes stand as they are.", match(source="SRC"), "src/a.c", "a.c", consumes=False)
    pair("prefix-is-no-pattern", "Rule 17: prefixes stand as they are: a `*` in one is a star.", match(source="s*"), "src/a.c", "a.c", consumes=False, number=30)
    pair("prefix-holds-a-star", "Rule 17: prefixes stand as they are: a `*` in one is a star.", match(source="s*"), "s*/a.c", "a.c")
    pair("empty-source", "Rule 17: an empty prefix is none.", match(source=""), "a.c", "a.c")
    pair("empty-destination", "Rule 17: an empty prefix is none.", match(destination=""), "a.c", "a.c")
    pair("empty-source-and-a-destination", "Rule 17: an empty prefix is none.", match(source="", destination="out"), "a.c", "out/a.c")
    pair("absolute", "Rules 17 and 19: an absolute prefix over absolute names.", match(source="/abs", destination="/other"), "/abs/a.c", "/other/a.c")
    pair("absolute-source-only", "Rules 17 and 19: an absolute prefix over absolute names.", match(source="/abs"), "/abs/a.c", "a.c")
    pair("uri", "Rules 17 and 19: a URI's folder may be a prefix.", match(source="https://e.com/d"), "https://e.com/d/a.c", "a.c")
    absolute = "Rule 17: a rest that begins with `/` is not under the prefix."
    pair("rest-is-absolute", absolute, match(source="https:", destination="out"), "https://e.com/a.c", "/e.com/a.c", consumes=False, number=31)
    pair("rest-is-absolute-same-prefix", absolute, match(source="https:", destination="https:"), "https://e.com/a.c", "https://e.com/a.c", consumes=False, number=31)
    pair("rest-is-absolute-slash-prefix", absolute, match(source="file:/"), "file:///etc/passwd", "/etc/passwd", consumes=False, number=31)
    backslash = "Rule 17: a `\\` in a name or a prefix is a `\\`."
    pair("backslash-in-a-name", backslash, match(source="src", destination="out"), "src/a\\b", "out/a\\b", number=50)
    pair("backslash-in-a-prefix", backslash, match(source="a\\b", destination="c\\d"), "a\\b/x", "c\\d/x", number=50)
    pair("backslash-is-no-separator", backslash, match(source="src"), "src\\a.c", "a.c", consumes=False, number=50)
    pair("backslash-is-no-slash-at-the-end", backslash, match(source="src\\"), "src/a.c", "a.c", consumes=False, number=50)
    c.add(
        "prefix/two-rules-two-folders",
        under,
        judged(
            materials=[*match(source="a", destination="x")[:1], *match(source="b", destination="y")],
            used={"a/f": digest("1"), "b/f": digest("2")},
            before=({}, {"x/f": digest("1"), "y/f": digest("2")}),
        ),
        "accept",
    )
    c.add(
        "prefix/two-rules-two-folders-swapped",
        under,
        judged(
            materials=[*match(source="a", destination="x")[:1], *match(source="b", destination="y")],
            used={"a/f": digest("2"), "b/f": digest("1")},
            before=({}, {"x/f": digest("1"), "y/f": digest("2")}),
        ),
        "reject",
        "disallowed-artifact",
    )


PATTERNS: dict[str, tuple[str, str, bool]] = {
    "star": ("*", "anything", True),
    "star-over-slash": ("*", "a/b/c", True),
    "star-over-a-leading-dot": ("*", ".hidden", True),
    "star-over-a-newline": ("a*b", "a\nb", True),
    "star-is-nothing-too": ("a*b", "ab", True),
    "star-at-the-end": ("src/*", "src/a/b", True),
    "star-at-the-end-not-the-folder": ("src/*", "srca", False),
    "two-stars": ("**/x", "a/b/x", True),
    "two-stars-need-their-slash": ("**/x", "x", False),
    "question-mark": ("a?c", "abc", True),
    "question-mark-over-slash": ("a?c", "a/c", True),
    "question-mark-over-a-newline": ("a?c", "a\nc", True),
    "question-mark-is-one": ("a?c", "ac", False),
    "question-mark-is-one-code-point": ("a?c", "a\U0001f600c", True),
    "question-mark-is-not-two-code-points": ("?", "e\u0301", False),
    "whole-name-at-the-end": ("app", "apple", False),
    "whole-name-at-the-start": ("app", "snapp", False),
    "newline-after": ("app", "app\n", False),
    "letter-case": ("APP", "app", False),
    "letter-case-in-a-set": ("[A-Z]", "a", False),
    "composed-and-decomposed": ("\u00e9", "e\u0301", False),
    "decomposed-and-composed": ("e\u0301", "\u00e9", False),
    "not-ascii": ("\u00e9*\u4e16", "\u00e9-\u4e16", True),
    "set": ("[abc]", "b", True),
    "set-other": ("[abc]", "d", False),
    "set-range": ("[a-c]x", "bx", True),
    "set-range-end": ("[a-c]", "c", True),
    "set-range-beyond-the-end": ("[a-c]", "d", False),
    "set-range-of-code-points": ("[\u00e0-\u00ff]", "\u00e9", True),
    "set-holds-slash": ("a[/]b", "a/b", True),
    "set-negated": ("[!a]", "b", True),
    "set-negated-itself": ("[!a]", "a", False),
    "set-negated-over-slash": ("a[!x]b", "a/b", True),
    "set-negated-over-a-newline": ("a[!x]b", "a\nb", True),
    "set-negated-needs-a-character": ("a[!x]", "a", False),
    "caret-does-not-negate": ("[^a]", "b", False),
    "caret-is-itself": ("[^a]", "^", True),
    "caret-set-holds-the-rest": ("[^a]", "a", True),
    "set-begins-with-bracket": ("[]x]", "]", True),
    "set-begins-with-bracket-and-holds-more": ("[]x]", "x", True),
    "set-negated-begins-with-bracket": ("[!]x]", "y", True),
    "set-negated-begins-with-bracket-itself": ("[!]x]", "]", False),
    "set-ends-with-dash": ("[x-]", "-", True),
    "set-begins-with-dash": ("[-x]", "-", True),
    "set-dash-between-ranges": ("[a-c-e]", "-", True),
    "set-dash-between-ranges-is-no-range": ("[a-c-e]", "d", False),
    "set-holds-open-bracket": ("[[]", "[", True),
    "set-holds-star": ("[*]", "*", True),
    "set-star-is-no-wildcard": ("[*]", "a", False),
    "set-holds-bang": ("[a!]", "!", True),
    "set-holds-backslash": ("[\\]", "\\", True),
    "set-holds-backslash-and-letter": ("[\\d]", "7", False),
    "set-double-ampersand": ("[a&&b]", "&", True),
    "set-double-tilde": ("[a~~b]", "~", True),
    "set-double-bar": ("[a||b]", "|", True),
    "set-posix-class-is-none": ("[[:alpha:]]", "a]", True),
    "set-posix-class-alone": ("[[:alpha:]]", "q", False),
    "unclosed": ("[ab", "[ab", True),
    "unclosed-is-no-set": ("[ab", "a", False),
    "unclosed-empty": ("[]", "[]", True),
    "unclosed-negated": ("[!]", "[!]", True),
    "unclosed-then-star": ("[*", "[abc", True),
    "closing-alone": ("]", "]", True),
    "backslash": ("a\\b", "a\\b", True),
    "backslash-escapes-nothing": ("a\\*", "a*", False),
    "backslash-before-star": ("a\\*", "a\\bcd", True),
    "braces": ("{a,b}", "{a,b}", True),
    "braces-are-no-choice": ("{a,b}", "a", False),
    "regex-characters": ("a.b+c$(d|e)^", "a.b+c$(d|e)^", True),
    "dot-is-no-wildcard": ("a.b", "axb", False),
    "plus-is-no-repetition": ("a+", "aa", False),
    "dollar-newline": ("a$", "a", False),
    "space": ("a b", "a b", True),
    "space-not-trimmed": ("app ", "app", False),
    # Python's regular expressions differ between versions over reversed ranges; rule 18 is the law.
    "range-reversed": ("[z-a]", "z", False),
    "range-reversed-and-a-letter": ("[z-ab]", "b", True),
    "range-reversed-and-its-end": ("[z-ab]", "a", False),
    "range-reversed-negated": ("[!z-a]", "q", True),
    "range-reversed-negated-needs-a-character": ("a[!z-a]", "a", False),
    "backtracking": ("*a*a*a*b", "a" * 250, False),
    "backtracking-that-ends-well": ("*a*a*a*b", "a" * 250 + "b", True),
    "many-stars": ("*" * 200 + "x", "a" * 200, False),
    "star-before-a-long-literal": ("*" + "a" * 200 + "b", "a" * 400, False),
    "question-marks-and-stars": ("?*" * 50 + "z", "a" * 300, False),
}


def patterns(c: Corpus) -> None:
    for fault, (pattern, name, matches) in PATTERNS.items():
        if not fault.startswith("range-reversed"):
            assert fnmatch.fnmatchcase(name, pattern) == matches, fault
        number = 39 if len(name) >= 200 else None
        number = 37 if fault in ("newline-after", "letter-case", "composed-and-decomposed", "decomposed-and-composed") else number
        c.add(
            f"pattern/{fault}",
            f"Rule 18: the pattern {'matches' if matches else 'does not match'} the name.",
            judged(products=[["ALLOW", pattern], REST], made={name: digest("x")}),
            *(("accept",) if matches else ("reject", "disallowed-artifact")),
            adversarial=number,
        )
    c.add(
        "pattern/disallow-in-another-case",
        "Rule 18: DISALLOW holds the case that it shows, and no other.",
        judged(products=[["DISALLOW", "EVIL"], ["ALLOW", "*"]], made=files("evil")),
        "accept",
        adversarial=37,
    )
    c.add(
        "pattern/match-composed-with-decomposed",
        "Rule 19: names are compared as they stand: NFC is not NFD.",
        judged(materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "write"], REST], used={"\u00e9": digest("x")}, before=({}, {"e\u0301": digest("x")})),
        "reject",
        "disallowed-artifact",
        adversarial=37,
    )
    c.add(
        "pattern/match-with-newline-after",
        "Rule 19: names are compared as they stand: a newline at the end is a character.",
        judged(materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "write"], REST], used={"a\n": digest("x")}, before=({}, {"a": digest("x")})),
        "reject",
        "disallowed-artifact",
        adversarial=37,
    )


def names(c: Corpus) -> None:
    malformed = {
        "empty": "",
        "dot": ".",
        "leading-dot-slash": "./app",
        "leading-dot-dot-slash": "../",
        "leading-dot-dot-empty-segment": "..//app",
        "leading-dot-dot-dot": ".././app",
        "leading-dot-dot-and-an-inner-one": "../a/../b",
        "inner-dot": "a/./b",
        "inner-dot-dot": "a/../b",
        "last-dot": "a/.",
        "last-dot-dot": "a/..",
        "trailing-slash": "a/",
        "empty-segment": "a//b",
        "slash-alone": "/",
        "two-leading-slashes": "//a",
        "absolute-dot-dot": "/../etc/passwd",
        "nul": "a\0b",
        "absolute-dot-dot-alone": "/..",
        "uri-nul": "https://e.com/\0",
        "uri-not-at-the-start": "a/https://e.com",
        "scheme-of-one-letter": "a://e.com/a",
        "scheme-with-a-digit-first": "1a://e.com/a",
        "scheme-with-an-underscore": "a_b://e.com/a",
        "scheme-empty": "://e.com/a",
        "scheme-not-ascii": "\u0430b://e.com/a",
        "drive-dot-dot": "C:/a/../b",
    }
    fine = {
        "absolute": "/usr/bin/app",
        "uri": "https://e.com/app",
        "uri-three-slashes": "file:///usr/bin/app",
        "uri-empty-segment": "https://e.com//a",
        "uri-dot-dot": "https://e.com/../a",
        "uri-four-slashes": "file:////a",
        "uri-trailing-slash": "https://e.com/",
        "scheme-of-two-letters": "ab:a/../b//c/",
        "scheme-and-nothing-after": "pkg:",
        "spdx": "SPDXRef-a:b/./c",
        "dot-dot": "..",
        "leading-dot-dot": "../app",
        "leading-dot-dots": "../../app",
        "leading-dots-in-a-segment": "..app/..b",
        "drive-relative": "C:app",
        "uri-with-plus": "git+https://e.com/r@v1#app",
        "package-url": "pkg:deb/debian/app@1.0?arch=amd64",
        "image": "myapp:1.0.0",
        "hidden": ".app",
        "three-dots": "...",
        "dots-in-a-segment": "a/..b/c..",
        "backslash": "a\\..\\b",
        "drive": "C:\\app",
        "newline": "a\nb",
        "spaces": " a ",
        "dash": "-rf",
        "tilde": "~/app",
        "percent": "a%2fb/%2e%2e/c",
        "unicode-dots": "a/\u2025/\uff0e\uff0e",
        "right-to-left": "a\u202eb",
    }
    for fault, name in malformed.items():
        for side in ("materials", "products"):
            if side == "materials" and fault not in ("empty", "inner-dot-dot", "nul"):
                continue
            made = link("build", **{side: {name: digest("x"), "app": digest("app")}})
            value = layout([step("build", ALICE)], [ALICE])
            c.add(
                f"name/{fault}" + ("-material" if side == "materials" else ""),
                "Rule 19: a link with such a name does not count.",
                request(metablock(value, OWNER), named(("build", ALICE, metablock(made, ALICE))), OWNER),
                "reject",
                "threshold-not-met",
                warnings=["artifact-name-malformed"],
            )
    for fault, name in fine.items():
        c.add(
            f"name/{fault}-is-fine",
            "Rule 19: other names stand as they are.",
            judged(
                materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "write"], REST],
                used={name: digest("x")},
                before=({}, {name: digest("x")}),
            ),
            "accept",
        )
    c.add(
        "name/dot-dot-against-disallow",
        "Rule 19: a name is never rewritten to get past DISALLOW: the link does not count.",
        judged(products=[["DISALLOW", "evil"]], made={"a/../evil": digest("x")}),
        "reject",
        "threshold-not-met",
        warnings=["artifact-name-malformed"],
    )
    c.add(
        "name/absolute-after-a-prefix",
        "Rules 17 and 19: `src//etc/passwd` is not `/etc/passwd` under `src`: the link does not count.",
        judged(
            materials=[["MATCH", "*", "IN", "src", "WITH", "PRODUCTS", "FROM", "write"], REST],
            used={"src//etc/passwd": digest("x")},
            before=({}, {"/etc/passwd": digest("x")}),
        ),
        "reject",
        "threshold-not-met",
        warnings=["artifact-name-malformed"],
        adversarial=31,
    )


def digests(c: Corpus) -> None:
    sha = digest("app")["sha256"]
    sized = {"sha224": 56, "sha384": 96, "sha512": 128, "sha3-256": 64, "gitCommit": 64, "gitTree": 64, "gitoid:blob:sha256": 64, "dirHash": 64}
    for name, size in sized.items():
        c.add(
            f"digest/{name.replace(':', '-')}-of-{size}-digits-suffices",
            "Rule 20: one SHA-2 digest or better is enough.",
            judged(products=[["ALLOW", "app"], REST], made={"app": {name: "a1" * (size // 2)}}),
            "accept",
        )
    fine = {
        "md5-beside-sha256": {"sha256": sha, "md5": "0" * 32},
        "sha1-beside-sha256": {"sha256": sha, "sha1": "0" * 40},
        "invented-beside-sha256": {"sha256": sha, "crc": "any text"},
        "all-of-sha2": {"sha256": sha, "sha384": "0" * 96, "sha512": "0" * 128},
    }
    for fault, value in fine.items():
        c.add(f"digest/{fault}", "Rule 20: weak and unknown digests are kept beside a good one.", judged(products=[["ALLOW", "app"], REST], made={"app": value}), "accept")
    weak = {
        "empty-map": ({}, 32),
        "md5-alone": ({"md5": "0" * 32}, 38),
        "sha1-alone": ({"sha1": "0" * 40}, 38),
        "md5-and-sha1": ({"md5": "0" * 32, "sha1": "0" * 40}, 38),
        "invented-alone": ({"sha257": sha}, 38),
        "upper-case-algorithm": ({"SHA256": sha}, 38),
        "gitCommit-of-40-digits": ({"gitCommit": "0" * 40}, 38),
        "gitoid-sha1": ({"gitoid:blob:sha1": "0" * 40}, 38),
    }
    malformed = {
        "sha256-too-short": {"sha256": sha[:-1]},
        "sha256-too-long": {"sha256": sha + "0"},
        "sha256-half": {"sha256": sha[:32]},
        "sha256-empty": {"sha256": ""},
        "sha256-upper-case": {"sha256": sha.upper()},
        "sha256-no-hex": {"sha256": "g" * 64},
        "sha256-with-prefix": {"sha256": "0x" + sha[2:]},
        "sha256-with-space": {"sha256": sha[:-1] + " "},
        "sha256-wide-digits": {"sha256": "\uff11" * 64},
        "sha512-too-short-beside-sha256": {"sha256": sha, "sha512": "0" * 64},
        "sha384-upper-case-beside-sha256": {"sha256": sha, "sha384": "A" * 96},
    }
    for group, warning in ((weak, "digest-weak"), ({k: (v, None) for k, v in malformed.items()}, "digest-malformed")):
        for fault, (value, number) in group.items():
            made = {"app": value, "good": digest("good")}
            about = "Rule 20: a link with such a digest does not count."
            c.add(f"digest/{fault}", about, judged(products=[["ALLOW", "*"]], made=made), "reject", "threshold-not-met", warnings=[warning], adversarial=number)
            if fault in ("empty-map", "md5-alone", "sha256-too-short"):
                c.add(f"digest/{fault}-material", about, judged(materials=[["ALLOW", "*"]], used=made), "reject", "threshold-not-met", warnings=[warning], adversarial=number)
    c.add(
        "digest/empty-maps-match-nothing",
        "Rule 20: two empty digest maps are no proof of anything.",
        judged(materials=[["MATCH", "*", "WITH", "PRODUCTS", "FROM", "write"], REST], used={"app": {}}, before=({}, {"app": {}})),
        "reject",
        "threshold-not-met",
        warnings=["digest-weak"],
        adversarial=32,
    )


def add(c: Corpus) -> None:
    rules(c)
    prefixes(c)
    patterns(c)
    names(c)
    digests(c)
