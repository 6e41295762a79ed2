//! No work is free that grows with a product of two inputs, and what is certain stays so when nothing is left to spend.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use linkgate_verifier::key::PublicKey;
use linkgate_verifier::request::{Content, Document, Key, Options, Request, Subject, Trust};
use linkgate_verifier::signature::{Checker, Outcome};
use linkgate_verifier::verdict::{Answer, Code, Decision};
use linkgate_verifier::verify;

const SHA256: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// RFC 8032's first test vectors.
const OWNER: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const BOB: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
/// The generator of P-521, compressed.
const P521: &str = "3058301006072a8648ce3d020106052b810400230344000200c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66";
/// Structurally sound for Ed25519: R is the base point, S is 1.
const SOUND: &str = "58666666666666666666666666666666666666666666666666666666666666660100000000000000000000000000000000000000000000000000000000000000";
/// All zeros: R is of small order, which no checker is asked about.
const UNSOUND: &str = "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

/// Believes every signature that is structurally sound: the tests are about what comes after.
struct Believing;

impl Checker for Believing {
    fn check(&mut self, _: &PublicKey, _: &[u8], _: &[u8]) -> Result<Outcome, String> {
        Ok(Outcome::Valid)
    }
}

fn members(count: usize, member: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for n in 0..count {
        write!(text, "{}{}", if n > 0 { "," } else { "" }, member(n)).unwrap();
    }
    text
}

fn key(label: &str, public: &str) -> String {
    format!(
        r#""{label}":{{"keyid":"{label}","keytype":"ed25519","keyval":{{"public":"{public}"}},"scheme":"ed25519"}}"#
    )
}

fn layout(keys: &str, steps: &str) -> String {
    format!(
        r#"{{"_type":"layout","expires":"2100-01-01T00:00:00Z","inspect":[],"keys":{{{keys}}},"readme":"","steps":[{steps}]}}"#
    )
}

fn step(name: &str, materials: &str, products: &str) -> String {
    format!(
        r#"{{"expected_materials":[{materials}],"expected_products":[{products}],"name":"{name}","pubkeys":["bob"]}}"#
    )
}

fn artifacts(count: usize, name: impl Fn(usize) -> String) -> String {
    members(count, |n| format!(r#""{}":{{"sha256":"{SHA256}"}}"#, name(n)))
}

fn link(name: &str, materials: &str, products: &str) -> String {
    format!(r#"{{"_type":"link","materials":{{{materials}}},"name":"{name}","products":{{{products}}}}}"#)
}

fn signed(payload: &str, keyid: &str) -> Vec<u8> {
    format!(r#"{{"signatures":[{{"keyid":"{keyid}","sig":"{SOUND}"}}],"signed":{payload}}}"#).into_bytes()
}

fn owner(keyid: &str, public: &str) -> Key {
    Key::new(Some(keyid.into()), "ed25519".into(), "ed25519".into(), public.into())
}

fn request(layout: Vec<u8>, links: &[String]) -> Request {
    Request {
        layout: Content(layout),
        trust: Trust::SignedBy(vec![owner("owner", OWNER)]),
        documents: links
            .iter()
            .enumerate()
            .map(|(n, link)| Document {
                name: format!("{n:05}.link"),
                content: Content(signed(link, "bob")),
            })
            .collect(),
        inspections: Vec::new(),
        parameters: [].into(),
        subjects: Vec::new(),
        options: Options::default(),
        now: 0,
    }
}

/// Bob's steps and links.
fn bobs(steps: &str, links: &[String]) -> Request {
    request(signed(&layout(&key("bob", BOB), steps), "owner"), links)
}

fn limit(answer: &Answer) -> &'static str {
    answer.as_ref().unwrap_err().limit.unwrap()
}

fn judged(request: &Request) -> Answer {
    verify::verify(request, &mut Believing)
}

#[test]
fn keys_and_what_lists_them_are_bounded_before_a_signature_is_checked() {
    let unsigned = |layout: &str| request(format!(r#"{{"signatures":[],"signed":{layout}}}"#).into_bytes(), &[]);
    let listed = r#"{"name":"s","pubkeys":["#.to_owned() + &members(5_001, |_| "\"zz\"".into()) + "]}";
    assert_eq!(limit(&judged(&unsigned(&layout("", &listed)))), "keys");
    let two = members(2, |n| {
        let keys = members(2_501, |_| "\"zz\"".into());
        format!(r#"{{"name":"s{n}","pubkeys":[{keys}]}}"#)
    });
    assert_eq!(limit(&judged(&unsigned(&layout("", &two)))), "keys");
    let pem = "-----BEGIN PUBLIC KEY-----\\n-----END PUBLIC KEY-----";
    let costly = members(4_000, |n| {
        format!(
            r#""k{n}":{{"keyid":"k{n}","keytype":"ecdsa","keyval":{{"public":"{pem}"}},"scheme":"ecdsa-sha2-nistp521"}}"#
        )
    });
    assert_eq!(limit(&judged(&unsigned(&layout(&costly, "")))), "signature-cost");
}

#[test]
fn a_material_under_many_labels_is_one_key_of_a_step() {
    let keys = members(1_000, |n| key(&format!("k{n}"), BOB));
    let labels = members(1_000, |n| format!("\"k{n}\""));
    let steps = members(2, |n| format!(r#"{{"name":"s{n}","pubkeys":["none",{labels}]}}"#));
    let verdict = judged(&request(signed(&layout(&keys, &steps), "owner"), &[])).unwrap();
    assert_eq!(verdict.steps.len(), 2);
    for step in verdict.steps {
        let missing: Vec<&str> = step.missing.iter().map(|key| key.label.as_str()).collect();
        assert_eq!(missing, ["k0"]);
    }
}

#[test]
fn what_is_kept_is_paid_for() {
    let pattern = format!(r#"["ALLOW","{}"]"#, "?".repeat(1_600_000));
    assert_eq!(limit(&judged(&bobs(&step("s", "", &pattern), &[]))), "memory");
    let mut filled = bobs(&step("s", "", &format!(r#"["ALLOW","{}"]"#, "{a}".repeat(30_000))), &[]);
    filled.parameters.insert("a".into(), "x".repeat(1_000));
    assert_eq!(limit(&judged(&filled)), "memory");
    let unknown = members(50_000, |n| format!(r#""x{n}":0"#));
    let name = "s".repeat(255);
    let unknown = format!(
        r#"{{"name":"{name}","pubkeys":[],{unknown},{}}}"#,
        members(90_000, |n| format!(r#""y{n}":0"#))
    );
    assert_eq!(limit(&judged(&bobs(&unknown, &[]))), "memory");
    // Also where the key is refused once it is read: the keyid is missing.
    let fields = members(800_000, |n| format!(r#""x{n}":0"#));
    for key in [fields.clone(), format!(r#""keyval":{{{fields}}}"#)] {
        let layout = layout(&format!(r#""z":{{{key}}}"#), "");
        assert_eq!(limit(&judged(&request(signed(&layout, "owner"), &[]))), "memory");
    }
    let digests = members(600_000, |n| format!(r#""{n:07}":"\u0001""#));
    let links = [0, 1].map(|_| link("s", "", &format!(r#""a":{{{digests},"sha256":"{SHA256}"}}"#)));
    assert_eq!(limit(&judged(&bobs(&step("s", "", ""), &links))), "memory");
}

#[test]
fn values_of_a_text_are_bounded() {
    let values = format!(r#"{{"_type":"layout","x":[{}]}}"#, members(2_000_001, |_| "[]".into()));
    assert_eq!(limit(&judged(&request(signed(&values, "owner"), &[]))), "json-values");
    // A link over a limit of its own does not count, and denies nothing.
    let words = format!(
        r#"{{"_type":"link","command":[{}],"materials":{{}},"name":"s","products":{{}}}}"#,
        members(2_000_001, |_| "\"\"".into())
    );
    let verdict = judged(&bobs(&step("s", "", ""), &[words, link("s", "", "")])).unwrap();
    assert_eq!(verdict.decision, Decision::Accept);
    assert_eq!(verdict.warnings[0].code, Code::DocumentMalformed);
}

#[test]
fn members_that_do_not_ascend_and_the_bytes_that_this_moves_are_bounded() {
    let descend = members(1_400_000, |n| format!(r#""{:07}":0"#, 1_400_000 - n));
    let nested = r#"{"b":"#.repeat(97) + "\"" + &"x".repeat(6 << 20) + "\"" + &r#","a":0}"#.repeat(97);
    for odd in [format!("{{{descend}}}"), nested] {
        let odd = link("s", "", "").replace(r#""name""#, &format!(r#""mine":{odd},"name""#));
        let verdict = judged(&bobs(&step("s", "", ""), &[odd, link("s", "", "")])).unwrap();
        assert_eq!(verdict.decision, Decision::Accept);
        assert_eq!(verdict.warnings[0].code, Code::DocumentMalformed);
    }
    let shallow = r#"{"b":"#.repeat(3) + "\"" + &"x".repeat(24 << 20) + "\"" + &r#","a":0}"#.repeat(3);
    let odd = link("s", "", "").replace(r#""name""#, &format!(r#""mine":{shallow},"name""#));
    assert!(judged(&bobs(&step("s", "", ""), &[odd])).unwrap().warnings.is_empty());
}

#[test]
fn names_are_part_of_the_total() {
    let mut request = bobs(&step("s", "", ""), &[]);
    for n in 0..17 {
        request.documents.push(Document {
            name: n.to_string() + &"x".repeat(4 << 20),
            content: Content(b"{}".to_vec()),
        });
    }
    assert_eq!(limit(&judged(&request)), "total-bytes");
    request.documents.truncate(1);
    let good = link("s", "", "");
    request.documents.push(Document {
        name: "good.link".into(),
        content: Content(signed(&good, "bob")),
    });
    let verdict = judged(&request).unwrap();
    assert_eq!(verdict.decision, Decision::Accept);
    assert_eq!(verdict.warnings[0].code, Code::DocumentMalformed);
}

#[test]
fn rules_pay_for_artifacts_that_they_do_not_cover() {
    let products = artifacts(10_000, |n| format!("f{n}"));
    let rules = members(40_000, |_| {
        r#"["MATCH","*","IN","x","WITH","PRODUCTS","FROM","s"]"#.into()
    });
    assert_eq!(
        limit(&judged(&bobs(&step("s", "", &rules), &[link("s", "", &products)]))),
        "pattern-work"
    );
    let rules = members(40_000, |_| r#"["MATCH","*","WITH","PRODUCTS","FROM","none"]"#.into());
    assert_eq!(
        limit(&judged(&bobs(&step("s", "", &rules), &[link("s", "", &products)]))),
        "pattern-work"
    );
}

#[test]
fn rules_pay_for_the_digests_that_they_compare() {
    let digests = |last: &str| {
        let many = members(100_000, |n| format!(r#""{n:06}":"""#));
        format!(r#""a":{{{many},"sha256":"{SHA256}","z":"{last}"}}"#)
    };
    let links = [link("s", &digests("1"), &digests("2"))];
    let rules = members(1_000, |_| r#"["MATCH","a","WITH","MATERIALS","FROM","s"]"#.into());
    assert_eq!(limit(&judged(&bobs(&step("s", "", &rules), &links))), "pattern-work");
}

#[test]
fn subjects_pay_for_the_artifacts_that_they_are_compared_with() {
    let products = artifacts(10_000, |n| format!("f{n}"));
    let mut request = bobs(&step("s", "", ""), &[link("s", "", &products)]);
    let subject = |name: Option<&str>| Subject {
        name: name.map(str::to_owned),
        digests: [("sha256".to_owned(), "1".repeat(64))].into(),
    };
    request.subjects = vec![subject(None); 1_000];
    // The first of them was found missing before: that is certain.
    let verdict = judged(&request).unwrap();
    assert_eq!(verdict.decision, Decision::Reject);
    assert!(verdict.findings.len() < 1_000);
    // One with a name is looked up.
    request.subjects = vec![subject(Some("f1")); 100_000];
    assert_eq!(judged(&request).unwrap().findings.len(), 1_000);
}

#[test]
fn a_folder_under_two_names_is_read_twice_and_no_more() {
    let eight = "bobsbobs";
    let bob = "bobsbobsbobs";
    let inner = |n: usize| {
        let step = format!(r#"{{"name":"s{n}","pubkeys":["{bob}"]}}"#);
        layout(&key(bob, BOB), &step)
    };
    let mut request = request(signed(&inner(0), "owner"), &[]);
    let mut folder = String::new();
    let mut add = |name: String, payload: &str| {
        request.documents.push(Document {
            name,
            content: Content(signed(payload, bob)),
        });
    };
    for n in 0..7 {
        let body = inner(n + 1).replace(r#""readme":"""#, &format!(r#""readme":"{n}""#));
        add(format!("{folder}s{n}.{eight}.link"), &body);
        add(format!("{folder}s{n}.{bob}.link"), &body);
        write!(folder, "s{n}.{eight}/").unwrap();
    }
    add(
        format!("{folder}s7.link"),
        &link("s7", "", &artifacts(20_000, |n| format!("f{n:05}"))),
    );
    let answer = judged(&request);
    assert!(answer.is_err(), "{answer:?}");
    assert!(matches!(limit(&answer), "total-bytes" | "memory"));
}

#[test]
fn a_certain_reject_stays_one_without_its_explanation() {
    // 20,000 characters less 12,000, each tried against 12,000: what the rule costs can be paid once, and not once more.
    let name = "a".repeat(40_000);
    let pattern = format!("*{}b*?c", "?".repeat(8_000));
    let rules = format!(r#"["MATCH","{pattern}","WITH","PRODUCTS","FROM","one"],["DISALLOW","*"]"#);
    let artifact = format!(r#""{name}":{{"sha256":"{SHA256}"}}"#);
    let steps = format!("{},{}", step("one", "", ""), step("two", &rules, ""));
    let links = [link("one", "", ""), link("two", &artifact, "")];
    let verdict = judged(&bobs(&steps, &links)).unwrap();
    assert_eq!(verdict.decision, Decision::Reject);
    let finding = &verdict.findings[0];
    assert_eq!((finding.code, finding.rule), (Code::DisallowedArtifact, Some(1)));
    // The rule itself could not be paid for twice.
    let rules = format!(r#"["ALLOW","{pattern}"],{rules}"#);
    let steps = format!("{},{}", step("one", "", ""), step("two", &rules, ""));
    assert_eq!(limit(&judged(&bobs(&steps, &links))), "pattern-work");
}

#[test]
fn what_is_disallowed_for_certain_is_a_reject_whatever_the_rest_would_cost() {
    // The first in order matches at once, and the second is tried at each of its characters.
    let first = format!("A{}b", "c".repeat(20_000));
    let second = "a".repeat(60_000);
    let rules = format!(r#"["DISALLOW","*{}b"]"#, "?".repeat(20_000));
    let products = format!(r#""{first}":{{"sha256":"{SHA256}"}},"{second}":{{"sha256":"{SHA256}"}}"#);
    let verdict = judged(&bobs(&step("s", "", &rules), &[link("s", "", &products)])).unwrap();
    assert_eq!(verdict.decision, Decision::Reject);
    assert_eq!(verdict.findings[0].code, Code::DisallowedArtifact);
    let products = format!(r#""{second}":{{"sha256":"{SHA256}"}}"#);
    assert_eq!(
        limit(&judged(&bobs(&step("s", "", &rules), &[link("s", "", &products)]))),
        "pattern-work"
    );
}

#[test]
fn an_owners_invalid_signature_rejects_whatever_other_owners_cost() {
    let mut request = bobs("", &[]);
    let signature = |keyid: &str, sig: &str| format!(r#"{{"keyid":"{keyid}","sig":"{sig}"}}"#);
    let der = format!("3081880242{}0242{}", "01".repeat(66), "01".repeat(66));
    // Many valid ones of the second owner, no two of them alike.
    let many = members(200, |n| {
        signature(
            "slow",
            &der.replace("0101010101", &format!("01010101{:02x}", n % 120 + 1)),
        )
    });
    request.layout = Content(
        format!(
            r#"{{"signatures":[{},{many}],"signed":{}}}"#,
            signature("owner", UNSOUND),
            layout("", "")
        )
        .into_bytes(),
    );
    let pem = {
        use base64::Engine as _;
        let bytes = linkgate_verifier::envelope::decode_hex(P521).unwrap();
        let body = base64::engine::general_purpose::STANDARD.encode(bytes);
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    };
    let slow = Key::new(Some("slow".into()), "ecdsa".into(), "ecdsa-sha2-nistp521".into(), pem);
    request.trust = Trust::SignedBy(vec![owner("owner", OWNER), slow.clone()]);
    let verdict = judged(&request).unwrap();
    assert_eq!(verdict.decision, Decision::Reject);
    assert_eq!(verdict.findings[0].code, Code::LayoutSignatureInvalid);
    request.trust = Trust::SignedBy(vec![slow, owner("owner", OWNER)]);
    assert_eq!(limit(&judged(&request)), "signature-cost");
}

#[test]
fn links_that_differ_are_told_apart_whatever_their_number() {
    let links: Vec<String> = (0..2_000)
        .map(|n| link("s", "", &artifacts(1, |_| format!("f{}", n % 1_999))))
        .collect();
    let verdict = judged(&bobs(&step("s", "", ""), &links)).unwrap();
    assert_eq!(verdict.findings.len(), 1);
    let finding = &verdict.findings[0];
    assert_eq!(finding.code, Code::ConflictingLinks);
    assert_eq!(finding.document.as_deref(), Some("00001.link"));
    assert_eq!(finding.artifact.as_deref(), Some("f0"));
}

#[test]
fn a_strict_warning_is_kept_wherever_it_stands() {
    let mut request = bobs(&step("s", "", ""), &[link("s", "", &artifacts(1, |_| "f".into()))]);
    for n in 0..1_500 {
        request.documents.push(Document {
            name: format!("!{n:05}"),
            content: Content(b"{".to_vec()),
        });
    }
    let verdict = judged(&request).unwrap();
    assert_eq!((verdict.decision, verdict.warnings.len()), (Decision::Accept, 1_000));
    assert_eq!(verdict.omitted, 501);
    request.options.strict = true;
    let verdict = judged(&request).unwrap();
    assert_eq!(verdict.decision, Decision::Reject);
    assert_eq!(verdict.findings[0].code, Code::UnconstrainedArtifact);
}

#[test]
fn named_subjects_pay_for_each_step_that_they_are_looked_for_in() {
    let name = |n: usize| format!("{}{n}", "p".repeat(59));
    let steps: Vec<String> = (0..1_000).map(|n| format!("s{n}")).collect();
    let rules = r#"["ALLOW","*"]"#;
    let links: Vec<String> = steps.iter().map(|step| link(step, "", &artifacts(4, name))).collect();
    let mut request = bobs(&members(1_000, |n| step(&format!("s{n}"), "", rules)), &links);
    request.subjects = vec![
        Subject {
            name: Some(name(9)),
            digests: [("sha256".to_owned(), "1".repeat(64))].into(),
        };
        4_000
    ];
    request.options.subject_steps = steps;
    let verdict = judged(&request).unwrap();
    assert_eq!((verdict.decision, verdict.findings.len()), (Decision::Reject, 1_000));
    assert!(verdict.omitted < 3_000, "{}", verdict.omitted);
}

/// So many copies of a sublayout of Bob's, for a step of that name.
fn copies(count: usize, step_name: &str, sublayout: &str) -> Request {
    let mut request = bobs(&step(step_name, "", ""), &[]);
    request.documents = vec![
        Document {
            name: format!("{step_name}.bob.link"),
            content: Content(signed(sublayout, "bob")),
        };
        count
    ];
    request
}

#[test]
fn every_visit_of_a_document_is_paid_for() {
    let mut request = copies(100, "s", &layout("", ""));
    assert_eq!(judged(&request).unwrap().decision, Decision::Accept);
    for _ in 0..6_500 {
        request.documents.push(Document {
            name: "s.bob/".into(),
            content: Content(b"{".to_vec()),
        });
    }
    assert_eq!(limit(&judged(&request)), "pattern-work");
}

#[test]
fn what_is_said_at_a_long_place_is_paid_for() {
    let name = "\u{1f600}".repeat(255);
    let inspections = members(1_000, |n| {
        format!(r#"{{"expected_materials":[],"expected_products":[],"name":"i{n}","run":["x"]}}"#)
    });
    let inspecting = layout("", "").replace(r#""inspect":[]"#, &format!(r#""inspect":[{inspections}]"#));
    let undecided = judged(&copies(300, &name, &inspecting)).unwrap_err();
    // Two for each copy that was looked at.
    assert!(undecided.warnings.len() < 500, "{}", undecided.warnings.len());
    for (rule, said) in [(r#"["DISALLOW","*"]"#, "findings"), ("", "artifacts")] {
        let mut request = copies(300, &name, &layout(&key("bob", BOB), &step("t", "", rule)));
        request.documents.push(Document {
            name: format!("{name}.bob/t.link"),
            content: Content(signed(&link("t", "", &artifacts(1_000, |n| format!("f{n}"))), "bob")),
        });
        match (said, judged(&request)) {
            ("findings", Ok(verdict)) => {
                assert_eq!(verdict.decision, Decision::Reject);
                assert!(verdict.omitted < 250_000, "{}", verdict.omitted);
            }
            (_, answer) => assert_eq!((said, limit(&answer)), ("artifacts", "pattern-work")),
        }
    }
}
