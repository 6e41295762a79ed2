"""Cases of the documents: envelopes, JSON, canonical form, layouts and links (rules 1 to 6)."""

from __future__ import annotations

import base64
import json

from corpus import Corpus, named, request
from metadata import (
    ENVELOPES,
    PAYLOAD_TYPE,
    b64,
    canonical,
    changed,
    digest,
    dsse,
    ed,
    files,
    inspection,
    layout,
    link,
    metablock,
    pae,
    step,
    text,
)

OWNER, ALICE, BOB = ed("owner"), ed("alice"), ed("bob")


def build_layout(**extra):
    """One step `build` by alice that may make `app` and nothing else."""
    rules = [["CREATE", "app"], ["DISALLOW", "*"]]
    return changed(layout([step("build", ALICE, products=rules)], [ALICE]), **extra)


BUILD = link("build", products=files("app"))


def with_layout(document, **rest):
    return request(document, named(("build", ALICE, metablock(BUILD, ALICE))), OWNER, **rest)


def with_link(document, **rest):
    return request(metablock(build_layout(), OWNER), named(("build", ALICE, document)), OWNER, **rest)


def raw_metablock(signed_text: str, key, message: bytes | None = None) -> str:
    """A Metablock around a text, signed over its canonical form (or over `message`)."""
    message = canonical(json.loads(signed_text)) if message is None else message
    signatures = text([{"keyid": key.keyid, "sig": key.sign(message).hex()}])
    return f'{{"signed": {signed_text}, "signatures": {signatures}}}'


def url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def unpadded(data: bytes) -> str:
    return b64(data).rstrip("=")


def padded_to(remainder: int, value: dict) -> bytes:
    """The value's text with so many spaces that its length leaves this remainder by three."""
    body = text(value).encode()
    return body + b" " * ((remainder - len(body)) % 3)


def envelopes(c: Corpus) -> None:
    for layout_form, sign_layout in ENVELOPES.items():
        for link_form, sign_link in ENVELOPES.items():
            c.add(
                f"envelope/{layout_form}-layout-{link_form}-link",
                "Rule 1: Metablock and DSSE are told apart by shape and may be mixed.",
                request(
                    sign_layout(build_layout(), OWNER),
                    named(("build", ALICE, sign_link(BUILD, ALICE))),
                    OWNER,
                ),
                "accept",
            )
    both = json.loads(metablock(build_layout(), OWNER)) | json.loads(dsse(build_layout(), OWNER))
    c.add(
        "envelope/both-forms-at-once-layout",
        "Rule 1: `signed` and `payload` together are malformed, also where each is signed well.",
        with_layout(text(both)),
        "undecided",
        "layout-malformed",
        adversarial=19,
    )
    both = json.loads(metablock(BUILD, ALICE)) | json.loads(dsse(BUILD, ALICE))
    c.add(
        "envelope/both-forms-at-once-link",
        "Rule 1: a link with `signed` and `payload` is malformed and does not count.",
        with_link(text(both)),
        "reject",
        "threshold-not-met",
        warnings=["document-malformed"],
        adversarial=19,
    )
    for type_name, payload_type in {
        "text": "text/plain",
        "json": "application/json",
        "upper-case": "application/vnd.in-toto+JSON",
        "statement": "application/vnd.in-toto.provenance+json",
    }.items():
        c.add(
            f"envelope/payload-type-{type_name}-layout",
            "Rule 4: a layout's payloadType is `application/vnd.in-toto+json`, whoever signed another.",
            with_layout(dsse(build_layout(), OWNER, payload_type=payload_type)),
            "undecided",
            "layout-malformed",
            adversarial=20,
        )
    c.add(
        "envelope/payload-type-text-link",
        "Rule 4: a link under another payloadType does not count.",
        with_link(dsse(BUILD, ALICE, payload_type="text/plain")),
        "reject",
        "threshold-not-met",
        warnings=["document-malformed"],
        adversarial=20,
    )
    wrong_type = json.loads(dsse(BUILD, ALICE))
    wrong_type["signatures"][0]["sig"] = b64(ALICE.sign(text(BUILD).encode()))
    c.add(
        "envelope/dsse-signed-without-pae",
        "Rule 4: DSSE signs the PAE, not the payload alone.",
        with_link(text(wrong_type)),
        "reject",
        "threshold-not-met",
        warnings=["signature-invalid"],
    )
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "app", "digest": digest("app")}],
        "predicateType": "https://in-toto.io/attestation/link/v0.3",
    }
    c.add(
        "envelope/statement-as-layout",
        "Rule 5: a statement whose predicate is a layout is no layout.",
        with_layout(dsse(statement | {"predicate": build_layout()}, OWNER)),
        "undecided",
        "layout-malformed",
        adversarial=20,
    )
    c.add(
        "envelope/layout-as-link-predicate",
        "Rule 6: a statement whose predicate is a layout counts for no step.",
        with_link(dsse(statement | {"predicate": build_layout()}, ALICE)),
        "reject",
        "threshold-not-met",
        adversarial=20,
    )
    # Keyids and contents are chosen so that both alphabets differ from each other in the text.
    spicy = link("build", products=files("app"), environment={"note": "???>>>~~~\u00ff\u00fe"})
    body = padded_to(2, spicy)
    assert set("-_") & set(url_safe(body)), "the payload shows no difference between the alphabets"
    c.add(
        "envelope/base64-url-safe",
        "Rule 4: URL-safe base64 is accepted in payload and signature.",
        with_link(dsse(body, ALICE, encode=url_safe)),
        "accept",
        adversarial=21,
    )
    c.add(
        "envelope/base64-url-safe-layout",
        "Rule 4: URL-safe base64 is accepted in a layout.",
        with_layout(dsse(padded_to(2, build_layout(readme="???>>>\u00ff\u00fe")), OWNER, encode=url_safe)),
        "accept",
        adversarial=21,
    )
    for remainder in (1, 2):
        body = padded_to(remainder, BUILD)
        envelope = json.loads(dsse(body, ALICE))
        c.add(
            f"envelope/base64-padded-by-{3 - remainder}",
            "Rule 4: a padded payload is read.",
            with_link(text(envelope)),
            "accept",
        )
        envelope["payload"] = unpadded(body)
        assert envelope["payload"] != b64(body)
        c.add(
            f"envelope/base64-payload-lacks-{3 - remainder}-of-padding",
            "Rule 4: an unpadded payload is malformed, so the link does not count.",
            with_link(text(envelope)),
            "reject",
            "threshold-not-met",
            warnings=["document-malformed"],
            adversarial=21,
        )
    envelope = json.loads(dsse(padded_to(1, build_layout()), OWNER))
    envelope["payload"] = envelope["payload"].rstrip("=")
    c.add(
        "envelope/base64-unpadded-layout",
        "Rule 4: a layout with an unpadded payload is malformed.",
        with_layout(text(envelope)),
        "undecided",
        "layout-malformed",
        adversarial=21,
    )
    envelope = json.loads(dsse(BUILD, ALICE))
    envelope["signatures"][0]["sig"] = envelope["signatures"][0]["sig"].rstrip("=")
    c.add(
        "envelope/base64-unpadded-signature",
        "Rule 4: an unpadded signature is malformed, so the link does not count.",
        with_link(text(envelope)),
        "reject",
        "threshold-not-met",
        adversarial=21,
    )
    envelope = json.loads(dsse(BUILD, ALICE))
    del envelope["signatures"][0]["keyid"]
    c.add(
        "envelope/dsse-signature-without-keyid",
        "Rule 4: a DSSE signature without keyid is tried against every candidate.",
        request(
            metablock(layout([step("build", [BOB, ALICE])], [ALICE, BOB]), OWNER),
            named(("build", ALICE, text(envelope))),
            OWNER,
        ),
        "accept",
    )
    envelope = json.loads(dsse(build_layout(), OWNER))
    del envelope["signatures"][0]["keyid"]
    c.add(
        "envelope/dsse-layout-signature-without-keyid",
        "Rule 4: on a layout, too, a DSSE signature without keyid is tried against every owner key.",
        with_layout(text(envelope)),
        "accept",
    )
    good = {"keyid": OWNER.keyid, "sig": b64(OWNER.sign(pae(PAYLOAD_TYPE, text(build_layout()).encode())))}
    bad = {"keyid": OWNER.keyid, "sig": b64(bytes(64))}
    for order, pair in {"bad-then-good": [bad, good], "good-twice": [good, good]}.items():
        c.add(
            f"envelope/dsse-layout-one-keyid-{order}",
            "Rule 4: two DSSE signatures by one keyid are malformed.",
            with_layout(dsse(build_layout(), *pair)),
            "undecided",
            "layout-malformed",
            adversarial=18,
        )
    message = pae(PAYLOAD_TYPE, text(BUILD).encode())
    good = {"keyid": ALICE.keyid, "sig": b64(ALICE.sign(message))}
    c.add(
        "envelope/dsse-link-one-keyid-bad-then-good",
        "Rule 4: two DSSE signatures by one keyid are malformed, so the link does not count.",
        with_link(dsse(BUILD, {"keyid": ALICE.keyid, "sig": b64(bytes(64))}, good)),
        "reject",
        "threshold-not-met",
        warnings=["document-malformed"],
        adversarial=18,
    )
    zero = {"sig": "00" * 64}
    good = {"keyid": ALICE.keyid, "sig": ALICE.sign(canonical(BUILD)).hex()}
    c.add(
        "envelope/metablock-link-bad-then-good",
        "Rule 11: a Metablock link with a bad signature before a good one by the same key counts by the good one.",
        with_link(metablock(BUILD, zero | {"keyid": ALICE.keyid}, good)),
        "accept",
        adversarial=18,
    )
    c.add(
        "envelope/metablock-layout-bad-then-good",
        "Rule 9: an invalid signature by an owner rejects the layout even if a valid one follows.",
        with_layout(metablock(build_layout(), zero | {"keyid": OWNER.keyid}, OWNER)),
        "reject",
        "layout-signature-invalid",
        adversarial=18,
    )
    c.add(
        "envelope/metablock-layout-good-then-bad",
        "Rule 9: an invalid signature by an owner rejects the layout also after a valid one.",
        with_layout(metablock(build_layout(), OWNER, zero | {"keyid": OWNER.keyid})),
        "reject",
        "layout-signature-invalid",
        adversarial=18,
    )
    strangers = [{"keyid": f"{n:064x}", "sig": "00" * 64} for n in range(200)]
    c.add(
        "envelope/two-hundred-unknown-signatures-layout",
        "Rule 9: signatures by others are ignored, however many.",
        with_layout(metablock(build_layout(), *strangers, OWNER)),
        "accept",
        adversarial=22,
    )
    c.add(
        "envelope/two-hundred-unknown-signatures-link",
        "Rule 11: signatures by unknown signers do not keep a link from counting by the known one.",
        with_link(metablock(BUILD, *strangers, ALICE)),
        "accept",
        adversarial=22,
    )
    c.add(
        "envelope/unknown-members",
        "Rule 2: members of the envelope that nobody knows change nothing.",
        with_link(text(json.loads(metablock(BUILD, ALICE)) | {"note": {"a": [1, None]}})),
        "accept",
    )
    c.add(
        "envelope/signature-inside-the-link",
        "Rule 6: a link with its signature inside is recognised and does not count.",
        with_link(text(BUILD | {"signature": ALICE.sign(canonical(BUILD)).hex()})),
        "reject",
        "threshold-not-met",
        warnings=["document-malformed"],
    )
    c.add(
        "envelope/bare-layout",
        "Rule 9: with signed trust a bare layout object is malformed.",
        with_layout(text(build_layout())),
        "undecided",
        "layout-malformed",
    )
    for name, signatures in {"empty": [], "missing": None, "null": ...}.items():
        value = {"signed": build_layout(), "signatures": signatures}
        if signatures is None:
            del value["signatures"]
        if signatures is ...:
            value["signatures"] = None
        decision = ("reject", "layout-signature-missing") if signatures == [] else ("undecided", "layout-malformed")
        c.add(
            f"envelope/signatures-{name}",
            "Rule 9: a layout without signatures is not trusted; without the member it is malformed.",
            with_layout(text(value)),
            *decision,
        )


def json_form(c: Corpus) -> None:
    good = text(build_layout())
    for fault, body in {
        "duplicate-key-at-the-top": good.replace('"steps":', '"steps": [], "steps":', 1),
        "duplicate-key-nested": good.replace('"threshold": 1', '"threshold": 9, "threshold": 1', 1),
        "duplicate-key-escaped": good.replace('"readme": ""', '"readme": "", "\\u0072eadme": ""', 1),
    }.items():
        for form, wrap in {
            "metablock": lambda t: raw_metablock(t, OWNER),
            "dsse": lambda t: dsse(t, OWNER),
        }.items():
            assert body != good
            c.add(
                f"json/{fault}-{form}-layout",
                "Rule 2: a duplicate JSON key at any depth is malformed, also when signed.",
                with_layout(wrap(body)),
                "undecided",
                "layout-malformed",
                adversarial=10,
            )
    c.add(
        "json/duplicate-key-in-envelope",
        "Rule 2: a duplicate key of the envelope itself is malformed.",
        with_layout('{"signatures": [], ' + metablock(build_layout(), OWNER)[1:]),
        "undecided",
        "layout-malformed",
        adversarial=10,
    )
    product = text(BUILD).replace('"products": {', '"products": {"app": {"sha256": "' + "0" * 64 + '"}, ', 1)
    c.add(
        "json/duplicate-key-in-products",
        "Rule 2: a link that names one artifact twice is malformed and does not count.",
        with_link(dsse(product, ALICE)),
        "reject",
        "threshold-not-met",
        warnings=["document-malformed"],
        adversarial=10,
    )
    c.add(
        "json/duplicate-key-in-byproducts",
        "Rule 2: a duplicate key is malformed also in a part that nothing judges.",
        with_link(dsse(text(BUILD).replace('"return-value": 0', '"return-value": 1, "return-value": 0'), ALICE)),
        "reject",
        "threshold-not-met",
        warnings=["document-malformed"],
        adversarial=10,
    )
    for fault, number in {"nan": "NaN", "infinity": "Infinity", "minus-infinity": "-Infinity"}.items():
        c.add(
            f"json/{fault}-in-dsse-link",
            "Rule 2: NaN and the infinities are no JSON.",
            with_link(dsse(text(BUILD).replace('"return-value": 0', f'"x": {number}, "return-value": 0'), ALICE)),
            "reject",
            "threshold-not-met",
            warnings=["document-malformed"],
            adversarial=13,
        )
    c.add(
        "json/nan-in-dsse-layout",
        "Rule 2: NaN in a layout is malformed.",
        with_layout(dsse(good.replace('"readme": ""', '"readme": NaN'), OWNER)),
        "undecided",
        "layout-malformed",
        adversarial=13,
    )
    for fault, escape in {
        "high": "\\ud800",
        "low": "\\udc00",
        "reversed-pair": "\\udc00\\ud800",
        "high-then-text": "\\ud83dx",
    }.items():
        c.add(
            f"json/lone-surrogate-{fault}",
            "Rule 2: a lone surrogate is malformed.",
            with_link(dsse(text(BUILD).replace('"return-value": 0', f'"x": "{escape}", "return-value": 0'), ALICE)),
            "reject",
            "threshold-not-met",
            warnings=["document-malformed"],
            adversarial=14,
        )
    c.add(
        "json/lone-surrogate-in-layout",
        "Rule 2: a lone surrogate in a layout is malformed.",
        with_layout(dsse(good.replace('"readme": ""', '"readme": "\\udead"'), OWNER)),
        "undecided",
        "layout-malformed",
        adversarial=14,
    )
    pair = text(BUILD).replace('"environment": {}', '"environment": {"x": "\\ud83d\\ude00"}')
    c.add(
        "json/surrogate-pair-metablock",
        "Rule 3: an escaped surrogate pair is the one character that it means, and signed as that.",
        with_link(raw_metablock(pair, ALICE)),
        "accept",
        adversarial=14,
    )
    for fault, tail in {"text": " x", "second-document": " {}", "nul": "\0", "brace": "}"}.items():
        c.add(
            f"json/input-after-the-layout-{fault}",
            "Rule 2: input after the document is malformed.",
            with_layout(metablock(build_layout(), OWNER) + tail),
            "undecided",
            "layout-malformed",
        )
    c.add(
        "json/input-after-the-payload",
        "Rule 2: input after a DSSE payload's value is malformed.",
        with_layout(dsse(good + "{}", OWNER)),
        "undecided",
        "layout-malformed",
    )
    c.add(
        "json/white-space-around",
        "Rule 2: white space before and after a document is no input.",
        with_layout("\r\n\t " + metablock(build_layout(), OWNER) + " \n\r\t"),
        "accept",
    )
    for fault, body in {
        "byte-order-mark": "\ufeff" + metablock(build_layout(), OWNER),
        "empty": "",
        "array": "[]",
        "null": "null",
        "trailing-comma": metablock(build_layout(), OWNER)[:-1] + ",}",
        "comment": "/* x */" + metablock(build_layout(), OWNER),
        "single-quotes": "{'signed': {}, 'signatures': []}",
        "raw-newline-in-string": metablock(build_layout(readme="a~b"), OWNER).replace("a~b", "a\nb"),
        "leading-zero": metablock(build_layout(), OWNER).replace('"threshold": 1', '"threshold": 01'),
        "bad-escape": metablock(build_layout(readme="a~b"), OWNER).replace("a~b", "a\\x62b"),
    }.items():
        c.add(
            f"json/layout-{fault}",
            "Rule 2: what is not one JSON object, strictly read, is no layout.",
            with_layout(body),
            "undecided",
            "layout-malformed",
        )
    broken = metablock(build_layout(), OWNER).encode().replace(b'"readme": ""', b'"readme": "\xff"')
    c.add(
        "json/layout-not-utf-8",
        "Rule 2: bytes that are not UTF-8 are malformed.",
        with_layout({"base64": b64(broken)}),
        "undecided",
        "layout-malformed",
    )
    broken = metablock(BUILD, ALICE).encode().replace(b'"environment": {}', b'"environment": {"x": "\xc0\xaf"}')
    c.add(
        "json/link-overlong-utf-8",
        "Rule 2: an overlong UTF-8 form is malformed, so the link does not count.",
        with_link({"base64": b64(broken)}),
        "reject",
        "threshold-not-met",
        warnings=["document-malformed"],
    )
    c.add(
        "json/request-in-base64",
        "A document may be handed over as base64 where its bytes are to stand for themselves.",
        request(
            {"base64": b64(metablock(build_layout(), OWNER).encode())},
            {"build.x.link": {"base64": b64(metablock(BUILD, ALICE).encode())}},
            OWNER,
        ),
        "accept",
    )


def canonical_form(c: Corpus) -> None:
    strings = {
        "control-characters": ("".join(map(chr, range(32))) + "\x7f", 15),
        "line-separators": ("a\u2028b\u2029c\u0085", 15),
        "html": ("<script>&amp;'\"</script>", 15),
        "backslash-and-quote": ('\\ \\\\ \\n " \\" /', 15),
        "beyond-the-basic-plane": ("\U0001f600\U0010ffff\uffff\ufffd", 15),
        "not-normalised": ("e\u0301 \u00e9 \ufb01 \u1e9b\u0323", 15),
    }
    for fault, (value, number) in strings.items():
        # `json.dumps` escapes the controls on the wire; the canonical form that is signed holds them raw.
        c.add(
            f"canonical/string-{fault}",
            "Rule 3: only `\\` and `\"` are escaped in what a Metablock signs; everything else stands raw.",
            with_link(metablock(link("build", products=files("app"), byproducts={"x": value, value: 0}), ALICE)),
            "accept",
            adversarial=number,
        )
        c.add(
            f"canonical/string-{fault}-escaped-on-the-wire",
            "Rule 3: the form on the wire does not matter, only the value that it means.",
            with_link(
                json.dumps(
                    json.loads(
                        metablock(
                            link("build", products=files("app"), byproducts={"x": value, value: 0}), ALICE
                        )
                    )
                ).replace("<", "\\u003C")
            ),
            "accept",
            adversarial=number,
        )
    keys = {"z": 1, "a": 2, "A": 3, "\u00e9": 4, "\uffff": 5, "\U00010000": 6, "": 7, "a\u0000": 8, "aa": 9}
    c.add(
        "canonical/keys-by-code-point",
        "Rule 3: object keys are ordered by code point: U+FFFF before U+10000, unlike UTF-16's order.",
        with_link(metablock(link("build", products=files("app"), environment=keys), ALICE)),
        "accept",
    )
    escaped = text(link("build", products=files("app"), environment={"~": 1, "a": 2, "b": 3}))
    c.add(
        "canonical/keys-ordered-by-value-not-by-text",
        "Rule 3: keys are ordered by what they mean: `\\u0061` is `a`, and comes before `b`.",
        with_link(raw_metablock(escaped.replace('"a": 2, "b": 3', '"b": 3, "\\u0061": 2'), ALICE)),
        "accept",
    )
    base = text(link("build", products=files("app"), byproducts={"v": "@"}))
    numbers = {
        "minus-zero": ("-0", "0"),
        "2-to-the-53-and-one": ("9007199254740993", "9007199254740993"),
        "2-to-the-64": ("18446744073709551616", "18446744073709551616"),
        "2-to-the-70": ("1180591620717411303424", "1180591620717411303424"),
        "minus-2-to-the-70": ("-1180591620717411303424", "-1180591620717411303424"),
        "five-hundred-digits": ("7" * 500, "7" * 500),
    }
    for fault, (wire, signed) in numbers.items():
        message = canonical(json.loads(base)).replace(b'"@"', signed.encode())
        c.add(
            f"canonical/integer-{fault}",
            "Rule 3: integers of any size are signed digit by digit, and `-0` as `0`.",
            with_link(raw_metablock(base.replace('"@"', wire), ALICE, message)),
            "accept",
            adversarial=16,
        )
    message = canonical(json.loads(base)).replace(b'"@"', b"9007199254740992")
    c.add(
        "canonical/integer-rounded",
        "Rule 3: 2^53+1 is not 2^53: a signature over the rounded number is invalid.",
        with_link(raw_metablock(base.replace('"@"', "9007199254740993"), ALICE, message)),
        "reject",
        "threshold-not-met",
        warnings=["signature-invalid"],
        adversarial=16,
    )
    for fault, wire, signed in (
        ("fraction", "1.5", "1.5"),
        ("integral", "1.0", "1"),
        ("exponent", "1e3", "1000"),
        ("minus-zero", "-0.0", "0"),
    ):
        message = canonical(json.loads(base)).replace(b'"@"', signed.encode())
        c.add(
            f"canonical/float-{fault}-in-metablock-link",
            "Rule 3: canonical JSON has no floats, so such a Metablock is malformed.",
            with_link(raw_metablock(base.replace('"@"', wire), ALICE, message)),
            "reject",
            "threshold-not-met",
            warnings=["document-malformed"],
            adversarial=17,
        )
        c.add(
            f"canonical/float-{fault}-in-dsse-link",
            "Rule 6: byproducts are any JSON, and DSSE signs bytes: a float does no harm there.",
            with_link(dsse(base.replace('"@"', wire), ALICE)),
            "accept",
            adversarial=17,
        )
    body = text(build_layout()).replace('"readme": ""', '"readme": "", "note": 1.5')
    message = canonical(build_layout(note="@")).replace(b'"@"', b"1.5")
    c.add(
        "canonical/float-in-metablock-layout",
        "Rule 3: a Metablock layout with a float is malformed.",
        with_layout(raw_metablock(body, OWNER, message)),
        "undecided",
        "layout-malformed",
        adversarial=17,
    )
    tampered = json.loads(metablock(build_layout(), OWNER))
    tampered["signed"]["note"] = "added"
    c.add(
        "canonical/field-added-after-signing",
        "Rule 3: what is signed is the received value: a field added afterwards breaks the signature.",
        with_layout(text(tampered)),
        "reject",
        "layout-signature-invalid",
        adversarial=12,
    )
    tampered = json.loads(metablock(build_layout(), OWNER))
    tampered["signed"]["steps"][0]["note"] = "added"
    c.add(
        "canonical/field-added-to-a-step-after-signing",
        "Rule 3: the same inside a step.",
        with_layout(text(tampered)),
        "reject",
        "layout-signature-invalid",
        adversarial=12,
    )
    tampered = json.loads(metablock(BUILD, ALICE))
    tampered["signed"]["note"] = "added"
    c.add(
        "canonical/field-added-to-a-link-after-signing",
        "Rule 3: unknown fields of a link are ignored, and still signed.",
        with_link(text(tampered)),
        "reject",
        "threshold-not-met",
        warnings=["signature-invalid"],
        adversarial=12,
    )
    c.add(
        "canonical/unknown-link-field-signed",
        "Rule 2: an unknown field of a link that was signed is ignored.",
        with_link(metablock(BUILD | {"note": {"deep": [1, None, True]}}, ALICE)),
        "accept",
    )
    c.add(
        "canonical/unknown-layout-field-signed",
        "Rule 2: an unknown field of a layout that was signed draws a warning.",
        with_layout(metablock(build_layout(note=[None, False]), OWNER)),
        "accept",
        warnings=["unknown-layout-field"],
    )


def layouts(c: Corpus) -> None:
    def malformed(fault: str, about: str, value: dict, *numbers: int, code: str = "layout-malformed") -> None:
        c.add(
            f"layout/{fault}",
            about,
            with_layout(metablock(value, OWNER)),
            "undecided",
            code,
            adversarial=numbers[0] if numbers else None,
        )

    about = "Rule 5: `_type`, `steps`, `inspect`, `keys` and `expires` are required."
    for name in ("_type", "steps", "inspect", "keys", "expires"):
        number = (24,) if name == "expires" else ()
        malformed(f"without-{name.strip('_')}", about, build_layout(**{name: ...}), *number)
        malformed(f"null-{name.strip('_')}", about, build_layout(**{name: None}), *number)
    malformed("type-link", about, build_layout(_type="link"))
    malformed("type-upper-case", about, build_layout(_type="Layout"))
    malformed("expires-empty", about, build_layout(expires=""), 24)
    malformed("expires-number", about, build_layout(expires=2208988800), 24)
    c.add(
        "layout/without-readme",
        "Rule 5: `readme` is optional.",
        with_layout(metablock(build_layout(readme=...), OWNER)),
        "accept",
    )
    malformed("readme-number", "Rule 5: `readme` is text.", build_layout(readme=7))
    dates = {
        "fraction": "2040-01-01T00:00:00.5Z",
        "offset": "2040-01-01T00:00:00+00:00",
        "lower-case": "2040-01-01t00:00:00z",
        "without-zone": "2040-01-01T00:00:00",
        "date-only": "2040-01-01",
        "leap-second": "2040-06-30T23:59:60Z",
        "short-fields": "2040-1-1T0:0:0Z",
        "space-before": " 2040-01-01T00:00:00Z",
        "newline-after": "2040-01-01T00:00:00Z\n",
        "space-between": "2040-01-01 00:00:00Z",
        "thirtieth-of-february": "2040-02-30T00:00:00Z",
        "twenty-ninth-of-february": "2039-02-29T00:00:00Z",
        "century-without-leap-day": "2100-02-29T00:00:00Z",
        "thirty-first-of-april": "2040-04-31T00:00:00Z",
        "thirteenth-month": "2040-13-01T00:00:00Z",
        "month-zero": "2040-00-10T00:00:00Z",
        "day-zero": "2040-01-00T00:00:00Z",
        "hour-24": "2040-01-01T24:00:00Z",
        "minute-60": "2040-01-01T00:60:00Z",
        "five-digit-year": "12040-01-01T00:00:00Z",
        "signed-year": "+2040-01-01T00:00:00Z",
        "other-digits": "\u0662\u0660\u0664\u0660-01-01T00:00:00Z",
        "other-separators": "2040:01:01T00-00-00Z",
    }
    for fault, date in dates.items():
        malformed(
            f"expires-{fault}",
            "Rule 5: `expires` is exactly `YYYY-MM-DDTHH:MM:SSZ`, a real date and time.",
            build_layout(expires=date),
            25,
        )
    for fault, date in {"leap-day": "2040-02-29T23:59:59Z", "leap-day-of-2400": "2400-02-29T00:00:00Z", "last-year": "9999-12-31T23:59:59Z"}.items():
        c.add(
            f"layout/expires-{fault}",
            "Rule 5: a date that is real and far away is good.",
            with_layout(metablock(build_layout(expires=date), OWNER)),
            "accept",
        )
    # 1764000000 is 2025-11-24T16:00:00Z.
    for fault, date, decision in (
        ("the-second-before", "2025-11-24T15:59:59Z", ("reject", "layout-expired")),
        ("this-very-second", "2025-11-24T16:00:00Z", ("reject", "layout-expired")),
        ("the-next-second", "2025-11-24T16:00:01Z", ("accept",)),
    ):
        c.add(
            f"expiry/{fault}",
            "Rule 5: `now >= expires` is expired.",
            with_layout(metablock(build_layout(expires=date), OWNER)),
            *decision,
        )
    expiring = metablock(build_layout(expires="2026-01-01T00:00:00Z"), OWNER)
    for fault, now, decision in (
        ("clock-after", 1767225600, ("reject", "layout-expired")),
        ("clock-set-back", 1767225599, ("accept",)),
    ):
        c.add(
            f"expiry/{fault}",
            "Time is an argument: the same bytes with another `now` may get another verdict, and nothing else decides.",
            with_layout(expiring, now=now),
            *decision,
            adversarial=26,
        )
    c.add(
        "expiry/before-the-epoch",
        "Rule 5: a date before 1970 is a date, long past.",
        with_layout(metablock(build_layout(expires="1969-12-31T23:59:59Z"), OWNER), now=0),
        "reject",
        "layout-expired",
    )
    c.add(
        "expiry/expired-and-badly-signed",
        "Rules 9 and 10: the signature comes first: an expired layout that nobody signed is not called expired only.",
        with_layout(metablock(build_layout(expires="2020-01-01T00:00:00Z"), BOB)),
        "reject",
        "layout-signature-missing",
    )

    def one_step(**extra):
        return layout([step("build", ALICE, **extra)], [ALICE])

    for fault, threshold in {
        "zero": 0,
        "negative": -1,
        "true": True,
        "string": "1",
        "null": None,
        "list": [1],
        "beyond-64-bits-negative": -(2**70),
    }.items():
        about = "Rule 5: `threshold` is an integer of at least 1."
        malformed(f"threshold-{fault}", about, one_step(threshold=threshold), 7)
        c.add(
            f"layout/threshold-{fault}-without-links",
            about,
            request(metablock(one_step(threshold=threshold), OWNER), {}, OWNER),
            "undecided",
            "layout-malformed",
            adversarial=7,
        )
    body = text(one_step()).replace('"threshold": 1', '"threshold": 1.0')
    c.add(
        "layout/threshold-float",
        "Rule 5: `1.0` is no integer.",
        with_layout(dsse(body, OWNER)),
        "undecided",
        "layout-malformed",
        adversarial=7,
    )
    c.add(
        "layout/threshold-missing",
        "Rule 5: a missing threshold is 1.",
        with_layout(metablock(one_step(threshold=...), OWNER)),
        "accept",
        adversarial=7,
    )
    c.add(
        "layout/threshold-missing-without-links",
        "Rule 5: a missing threshold is 1, so a step without links fails.",
        request(metablock(one_step(threshold=...), OWNER), {}, OWNER),
        "reject",
        "threshold-not-met",
        adversarial=7,
    )
    two = [ALICE, BOB]
    absent = ["threshold-absent"]

    def of_two(pubkeys=two, **extra):
        one = step("build", pubkeys, products=[["CREATE", "app"], ["DISALLOW", "*"]], **extra)
        return with_layout(metablock(layout([one], two), OWNER), **strictly)

    for strictly, kind in (({}, "layout"), ({"options": {"strict": True}}, "strict")):
        about = "Rule 5: a missing threshold is 1, and that any one of several keys is enough is told" if not strictly else "Rule 23: strict rejects it"
        verdict = (["accept"], {"warnings": absent}) if not strictly else (["reject", "threshold-absent"], {})
        c.add(f"{kind}/threshold-missing-for-two-keys", f"{about}.", of_two(threshold=...), *verdict[0], adversarial=7, **verdict[1])
        misspelt = metablock({**layout([{**step("build", two, threshold=...), "treshold": 2}], two)}, OWNER)
        warned = {"warnings": ["unknown-layout-field", *absent]} if not strictly else {}
        code = ["accept"] if not strictly else ["reject", "unknown-layout-field"]
        c.add(f"{kind}/threshold-misspelt", f"{about}: also where another field is beside it.", with_layout(misspelt, **strictly), *code, adversarial=7, **warned)
        c.add(f"{kind}/threshold-1-of-two-keys", "Rule 5: a threshold of 1 that is said is meant.", of_two(threshold=1), "accept", adversarial=7)
        c.add(f"{kind}/threshold-missing-for-one-key-twice", "Rules 5 and 8: one key under two names is one key.", of_two([ALICE, ALICE.keyid.upper()], threshold=...), "accept", adversarial=7)
    c.add(
        "layout/threshold-beyond-64-bits",
        "Rule 5: a threshold is an integer of any size: one that nobody can meet is not met.",
        with_layout(metablock(one_step(threshold=2**70), OWNER)),
        "reject",
        "threshold-not-met",
        adversarial=7,
    )
    for fault, rule in {
        "empty": [],
        "string": "ALLOW *",
        "null": None,
        "bare-pattern": "*",
        "unknown-keyword": ["PERMIT", "*"],
        "keyword-alone": ["ALLOW"],
        "two-patterns": ["ALLOW", "a", "b"],
        "number-as-pattern": ["ALLOW", 7],
        "nested": [["ALLOW", "*"]],
        "match-without-from": ["MATCH", "*", "WITH", "PRODUCTS"],
        "match-without-with": ["MATCH", "*", "PRODUCTS", "FROM", "build"],
        "match-with-neither": ["MATCH", "*", "WITH", "BYPRODUCTS", "FROM", "build"],
        "match-two-prefixes": ["MATCH", "*", "IN", "a", "IN", "b", "WITH", "PRODUCTS", "FROM", "build"],
        "match-in-without-prefix": ["MATCH", "*", "IN", "WITH", "PRODUCTS", "FROM", "build"],
        "match-text-after": ["MATCH", "*", "WITH", "PRODUCTS", "FROM", "build", "x"],
        "keyword-with-space": ["ALLOW ", "*"],
        "keyword-dotless-i": ["D\u0131SALLOW", "*"],
        "keyword-long-s": ["DI\u017fALLOW", "*"],
    }.items():
        number = (8,) if fault == "empty" else ()
        malformed(f"rule-{fault}", "Rule 15: anything but the seven forms is malformed.", one_step(products=[rule]), *number)
        if fault in ("empty", "bare-pattern"):
            malformed(f"rule-{fault}-in-materials", "Rule 15: likewise among materials.", one_step(materials=[rule]), *number)
            value = layout([], [ALICE], inspect=[inspection("look", ["true"], products=[rule])])
            malformed(f"rule-{fault}-in-inspection", "Rule 15: likewise in an inspection.", value, *number)
    malformed("rules-no-list", "Rule 5: rules are a list.", one_step(expected_products={"ALLOW": "*"}))
    c.add(
        "layout/rules-and-command-absent",
        "Rule 5: rules and `expected_command` default to empty.",
        with_layout(
            metablock(
                one_step(expected_products=..., expected_materials=..., expected_command=...), OWNER
            )
        ),
        "accept",
        warnings=["unconstrained-artifact"],
    )
    malformed("command-a-string", "Rule 5: `expected_command` is a list of strings.", one_step(command="make"))
    malformed("command-with-a-number", "Rule 5: `expected_command` is a list of strings.", one_step(command=["make", 1]))
    malformed("pubkeys-absent", "Rule 5: `pubkeys` is required.", one_step(pubkeys=...))
    malformed("pubkeys-a-string", "Rule 5: `pubkeys` is a list.", one_step(pubkeys=ALICE.keyid))
    malformed("name-absent", "Rule 5: a step has a name.", layout([changed(step("build", ALICE), name=...)], [ALICE]))
    names = {
        "slash": "a/b",
        "parent-folder": "../build",
        "dot": ".",
        "dots": "..",
        "backslash": "a\\b",
        "nul": "a\0b",
        "newline": "a\nb",
        "delete-character": "a\x7fb",
        "next-line-character": "a\u0085b",
        "empty": "",
        "256-characters": "n" * 256,
    }
    for fault, name in names.items():
        value = layout([step(name, ALICE)], [ALICE])
        documents = {"one.link": metablock(link(name, products=files("app")), ALICE)}
        c.add(
            f"layout/step-name-{fault}",
            "Rule 5: names have 1 to 255 characters, no `/`, `\\` or control characters, and are not `.` or `..`.",
            request(metablock(value, OWNER), documents, OWNER),
            "undecided",
            "layout-malformed",
            adversarial=40,
        )
    for fault, name in {
        "star": "*",
        "brackets": "a[1]",
        "question-mark": "a?",
        "three-dots": "...",
        "spaces": " a b ",
        "255-characters": "\u00e9" * 255,
    }.items():
        value = layout([step(name, ALICE, products=[["ALLOW", "app"], ["DISALLOW", "*"]])], [ALICE])
        documents = {"one.link": metablock(link(name, products=files("app")), ALICE)}
        c.add(
            f"layout/step-name-{fault}",
            "Rule 5: other names mean themselves, glob characters included.",
            request(metablock(value, OWNER), documents, OWNER),
            "accept",
            adversarial=40,
        )
        if fault in ("star", "question-mark"):
            documents = {"one.link": metablock(link("ab", products=files("app")), ALICE)}
            c.add(
                f"layout/step-name-{fault}-is-no-wildcard",
                "Rule 5: a step named like a glob takes no other step's link.",
                request(metablock(value, OWNER), documents, OWNER),
                "reject",
                "threshold-not-met",
                warnings=["step-unknown"],
                adversarial=40,
            )
    look = inspection("build", ["true"])
    malformed("two-steps-of-one-name", "Rule 5: names are unique.", layout([step("build", ALICE)] * 2, [ALICE]), 9)
    malformed("inspection-named-like-a-step", "Rule 5: names are unique over steps and inspections.", build_layout(inspect=[look]), 9)
    malformed("two-inspections-of-one-name", "Rule 5: names are unique.", layout([], [ALICE], inspect=[look] * 2), 9)
    malformed("inspection-run-empty", "Rule 5: `run` may not be empty.", build_layout(inspect=[inspection("look", [])]))
    malformed("inspection-run-absent", "Rule 5: `run` is required.", build_layout(inspect=[changed(inspection("look", []), run=...)]))
    malformed("inspection-run-a-string", "Rule 5: `run` is a list.", build_layout(inspect=[changed(inspection("look", []), run="true")]))
    open_steps = [step("build", ALICE)]
    strict_steps = [step("build", ALICE, products=[["DISALLOW", "*"]])]
    c.add(
        "layout/Steps-beside-steps-strict",
        "Rule 2: keys are case-sensitive: `steps` counts, `Steps` is unknown.",
        with_layout(metablock(layout(strict_steps, [ALICE], Steps=open_steps), OWNER)),
        "reject",
        "disallowed-artifact",
        warnings=["unknown-layout-field"],
        adversarial=11,
    )
    c.add(
        "layout/Steps-beside-steps-open",
        "Rule 2: the same the other way round.",
        with_layout(metablock(layout(open_steps, [ALICE], Steps=strict_steps), OWNER)),
        "accept",
        warnings=["unknown-layout-field"],
        adversarial=11,
    )
    c.add(
        "layout/expected_material-misspelt",
        "Rule 2: an owner's typo in a step must not vanish.",
        with_layout(metablock(one_step(expected_product=[["DISALLOW", "*"]]), OWNER)),
        "accept",
        warnings=["unknown-layout-field"],
    )
    c.add(
        "layout/inspection-field-misspelt",
        "Rule 2: likewise in an inspection.",
        request(
            metablock(build_layout(inspect=[inspection("look", ["true"], expected_material=[])]), OWNER),
            named(("build", ALICE, metablock(BUILD, ALICE))),
            OWNER,
            inspections=[{"at": [], "name": "look", "text": text(link("look"))}],
        ),
        "accept",
        warnings=["unknown-layout-field"],
    )
    c.add(
        "layout/key-field-unknown",
        "Rule 2: likewise in a key.",
        with_layout(metablock(layout([step("build", ALICE)], {ALICE.keyid: ALICE.object(usage="build")}), OWNER)),
        "accept",
        warnings=["unknown-layout-field"],
    )
    c.add(
        "layout/harmless-fields",
        "Rule 2: `keyid_hash_algorithms`, an empty private part and certificate, any `_type` of a step, and empty `rootcas`, `intermediatecas` and `cert_constraints` draw no warning, so strict accepts.",
        with_layout(
            metablock(
                layout(
                    [
                        step(
                            "build",
                            ALICE,
                            products=[["ALLOW", "*"]],
                            _type="anything",
                            cert_constraints=[],
                        )
                    ],
                    {
                        ALICE.keyid: ALICE.object(
                            keyid_hash_algorithms=["sha256", "sha512"],
                            keyval={"public": ALICE.public, "private": "", "certificate": ""},
                        )
                    },
                    rootcas={},
                    intermediatecas={},
                ),
                OWNER,
            ),
            options={"strict": True},
        ),
        "accept",
    )
    constraint = {"common_name": "*", "dns_names": [""], "emails": [""], "organizations": ["*"], "roots": ["*"], "uris": ["*"]}
    unsupported = {
        "cert_constraints": one_step(cert_constraints=[constraint]),
        "rootcas": build_layout(rootcas={"ab": {"keyid": "ab", "keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": "", "certificate": "-----BEGIN CERTIFICATE-----"}}}),
        "intermediatecas": build_layout(intermediatecas={"ab": {"keyid": "ab"}}),
        "expected_predicates": one_step(expected_predicates=[{"predicateType": "https://slsa.dev/provenance/v1"}]),
    }
    for fault, value in unsupported.items():
        malformed(f"unsupported-{fault}", "Rule 2: a known constraint that is not supported is undecided, never skipped.", value, 48, code="layout-unsupported")
    gpg = {
        "keyid": "8465a1e2e0fb2b40adb2478e18fb3f537e0c8a17",
        "type": "rsa",
        "method": "pgp+rsa-pkcsv1.5",
        "hashes": ["pgp+SHA2"],
        "creation_time": 1510870182,
        "keyval": {"private": "", "public": {"e": "010001", "n": "00" * 256}},
    }
    with_subkeys = gpg | {"subkeys": {"c5a0abe6ec19d0d65f85e2c39be9df5131d924e9": gpg | {"keyid": "c5a0abe6ec19d0d65f85e2c39be9df5131d924e9"}}}
    for fault, key, number in (("gpg-key", gpg, None), ("gpg-key-with-subkeys-for-threshold-2", with_subkeys, 45)):
        c.add(
            f"layout/unsupported-{fault}",
            "Rule 2: a GPG key is not supported yet, so the layout is undecided; its subkeys are never two functionaries.",
            with_layout(
                metablock(
                    layout(
                        [step("build", [ALICE, key["keyid"]], threshold=2 if number else 1)],
                        {ALICE.keyid: ALICE.object(), key["keyid"]: key},
                    ),
                    OWNER,
                )
            ),
            "undecided",
            "layout-unsupported",
            adversarial=number,
        )
    malformed(
        "dict-key-differs-from-keyid",
        "Rule 5: a dict key in `keys` equals that key's `keyid`.",
        layout([step("build", ALICE)], {ALICE.keyid: ALICE.object(keyid=BOB.keyid)}),
        5,
    )
    malformed(
        "dict-key-differs-in-case",
        "Rule 5: equals means equal, letter case included.",
        layout([step("build", ALICE)], {ALICE.keyid: ALICE.object(keyid=ALICE.keyid.upper())}),
        5,
    )
    keyless = ALICE.object()
    del keyless["keyid"]
    malformed(
        "key-without-keyid",
        "Rule 5: a key of a layout carries its `keyid`.",
        layout([step("build", ALICE)], {ALICE.keyid: keyless}),
        5,
    )
    loud = ALICE.named(ALICE.keyid.upper())
    malformed(
        "keyids-differ-in-case",
        "Rule 5: two keyids that differ only in case are malformed, whatever keys they name.",
        layout([step("build", [ALICE, loud], threshold=2)], [ALICE, loud]),
        3,
    )
    other = BOB.named(ALICE.keyid.upper())
    malformed(
        "keyids-differ-in-case-two-keys",
        "Rule 5: two keyids that differ only in case are malformed, whatever keys they name.",
        layout([step("build", [ALICE, other], threshold=2)], [ALICE, other]),
        3,
    )


def links(c: Corpus) -> None:
    def uncounted(fault: str, about: str, value: dict, warning: str = "document-malformed") -> None:
        c.add(
            f"link-form/{fault}",
            about,
            with_link(metablock(value, ALICE)),
            "reject",
            "threshold-not-met",
            warnings=[warning],
        )

    about = "Rule 6: `_type`, `name`, `materials` and `products` are required."
    for name in ("_type", "name", "materials", "products"):
        uncounted(f"without-{name.strip('_')}", about, changed(BUILD, **{name: ...}))
        uncounted(f"null-{name.strip('_')}", about, changed(BUILD, **{name: None}))
    uncounted("products-a-list", about, link("build", products=[["app", digest("app")]]))
    uncounted("digests-a-string", about, link("build", products={"app": digest("app")["sha256"]}))
    uncounted("digest-a-number", about, link("build", products={"app": {"sha256": 7}}))
    uncounted("type-upper-case", about, BUILD | {"_type": "Link"})
    uncounted("command-a-string", "Rule 6: `command` is a list of strings.", link("build", products=files("app"), command="make"))
    uncounted("byproducts-a-list", "Rule 6: `byproducts` is an object.", link("build", products=files("app"), byproducts=[1]))
    uncounted("environment-a-string", "Rule 6: `environment` is an object.", link("build", products=files("app"), environment="x"))
    c.add(
        "link-form/optional-members-absent",
        "Rule 6: `command`, `byproducts` and `environment` are optional.",
        with_link(metablock(link("build", products=files("app"), command=..., byproducts=..., environment=...), ALICE)),
        "accept",
    )


def add(c: Corpus) -> None:
    envelopes(c)
    json_form(c)
    canonical_form(c)
    layouts(c)
    links(c)
