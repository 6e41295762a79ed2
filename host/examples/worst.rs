//! Measures what comes closest to the verifier's limits: `tests/bench/worst` documents and runs it.
//!
//!     worst [NAME..]
//!
//! A line for each input: its name, its size, the seconds of processor time inside the component (no native checks), the
//! component's memory at its peak, the limit that it names, if any, and the outcome. It fails if one takes more than 5 s or
//! does not end within 256 MiB.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use linkgate::runtime::{Arithmetic, Bounds, Verifier};
use linkgate_verifier::canonical;
use linkgate_verifier::key::{PublicKey, hex};
use linkgate_verifier::request::{Content, Document, Key, Options, Request, Subject, Trust};
use linkgate_verifier::verdict::Decision;

const MIB: usize = 1 << 20;
const SHA256: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn main() -> anyhow::Result<ExitCode> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let bounds = Bounds {
        memory: 256 * MIB,
        deadline: Duration::from_mins(2),
    };
    let verifier = Verifier::load(bounds, 1)?;
    let mut held = true;
    println!(
        "{:38} {:>9} {:>8} {:>8}  {:16} outcome",
        "", "size", "time", "memory", "limit"
    );
    for (name, make) in INPUTS {
        if !chosen.is_empty() && !chosen.iter().any(|chosen| name.contains(chosen.as_str())) {
            continue;
        }
        let request = make();
        let mebibytes = f64::from(u32::try_from(size(&request))?) / f64::from(1 << 20);
        let begun = processor()?;
        let judged = verifier.verify(&request, &Arithmetic::Pure);
        let took = processor()?.saturating_sub(begun);
        let (limit, outcome) = match &judged.answer {
            Ok(verdict) if verdict.decision == Decision::Accept => ("", "accept".to_owned()),
            Ok(verdict) => (
                "",
                format!("reject {}", verdict.findings.first().context("no finding")?.code.name()),
            ),
            Err(undecided) => (
                undecided.limit.unwrap_or_default(),
                format!("undecided {}", undecided.code.name()),
            ),
        };
        held &= took <= Duration::from_secs(5) && !outcome.ends_with("verifier-stopped");
        println!(
            "{name:38} {mebibytes:5.1} MiB {:6.2} s {:4} MiB  {limit:16} {outcome}",
            took.as_secs_f64(),
            judged.memory.div_ceil(MIB),
        );
    }
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The time that this thread has had a processor: what else the machine does is not counted.
fn processor() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("only Linux tells a thread's time")?;
    let nanoseconds = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}

fn size(request: &Request) -> usize {
    let documents = request.documents.iter();
    let documents: usize = documents
        .map(|document| document.name.len() + document.content.0.len())
        .sum();
    let subjects = request.subjects.iter();
    let subjects: usize = subjects
        .map(|subject| subject.digests.values().map(String::len).sum::<usize>())
        .sum();
    request.layout.0.len() + documents + subjects
}

type Input = (&'static str, fn() -> Request);

const INPUTS: &[Input] = &[
    ("honest: 3 steps, 100,000 artifacts", || honest(3, 100_000)),
    ("honest: 300 steps, 500 artifacts", || honest(300, 500)),
    ("honest: 1,000 rules, 10,000 artifacts", || {
        ruled(&rules(1_000, |n| format!(r#"["ALLOW","g{n}"]"#)), 10_000, "f", 1)
    }),
    ("layout: keys that descend", || {
        unsigned(&format!(
            r#"{{"keys":{{{}}}}}"#,
            members(5_000, |n| format!(
                "{:?}:{}",
                format!("k{:05}", 5_000 - n),
                key_as(5_000 - n)
            ))
        ))
    }),
    ("layout: points of P-521, compressed", || {
        unsigned(&format!(r#"{{"keys":{{{}}}}}"#, members(5_000, p521)))
    }),
    ("layout: 5,000 keys, all listed", || {
        unsigned(&layout(
            &members(4_990, key_member),
            &step("s", &pubkeys((0..4_990).map(|n| format!("k{n:05}"))), "", ""),
        ))
    }),
    ("layout: 5,000 names of no key", || {
        unsigned(&layout(
            &members(4_990, key_member),
            &step("s", &pubkeys((0..5_000).map(|n| format!("z{n}"))), "", ""),
        ))
    }),
    ("layout: 100,000 pubkeys", || {
        unsigned(&layout(
            &members(4_990, key_member),
            &step("s", &pubkeys((0..100_000).map(|_| "zz".into())), "", ""),
        ))
    }),
    ("layout: a pattern of unclosed sets", || {
        unsigned(&layout(
            "",
            &step("s", "", &format!(r#"["ALLOW","{}"]"#, "[".repeat(30 * MIB)), ""),
        ))
    }),
    ("layout: a pattern of question marks", || {
        unsigned(&layout(
            "",
            &step("s", "", &format!(r#"["ALLOW","{}"]"#, "?".repeat(30 * MIB)), ""),
        ))
    }),
    ("layout: a million short rules", || {
        unsigned(&layout(
            "",
            &step("s", "", &rules(600_000, |_| r#"["ALLOW","*"]"#.into()), ""),
        ))
    }),
    ("layout: unknown fields", || {
        unsigned(&layout(
            "",
            &format!(
                r#"{{"name":"{}","pubkeys":[],{}}}"#,
                "s".repeat(255),
                members(1_000_000, |n| format!(r#""x{n}":0"#))
            ),
        ))
    }),
    ("layout: parameters everywhere", || {
        let mut request = unsigned(&layout(
            "",
            &step("s", "", &format!(r#"["ALLOW","{}"]"#, "{a}".repeat(8 * MIB)), ""),
        ));
        request.parameters.insert("a".into(), "x".repeat(1_000));
        request
    }),
    ("layout: 1,000 signatures, 5,000 owners", || {
        let mut request = unsigned(&layout("", ""));
        request.trust = Trust::SignedBy((0..5_000).map(|n| Functionary::new(n % 250).key()).collect());
        let signatures = members(1_000, |n| format!(r#"{{"keyid":"{n}","sig":""}}"#));
        request.layout =
            Content(format!(r#"{{"signed":{},"signatures":[{signatures}]}}"#, layout("", "")).into_bytes());
        request
    }),
    ("json: an object of unordered members", || {
        linked(&[named_link(
            "one",
            &format!(
                r#""environment":{{{}}}"#,
                members(1_900_000, |n| format!(r#""{}":0"#, n * 7_919 % 1_900_000))
            ),
        )])
    }),
    ("json: two of them", || {
        linked(&[0, 1].map(|_| {
            named_link(
                "one",
                &format!(
                    r#""environment":{{{}}}"#,
                    members(1_900_000, |n| format!(r#""{}":0"#, n * 7_919 % 1_900_000))
                ),
            )
        }))
    }),
    ("json: unordered members, long and alike", || {
        let prefix = "p".repeat(1_000);
        linked(&[0, 1].map(|_| {
            named_link(
                "one",
                &format!(
                    r#""environment":{{{}}}"#,
                    members(31_000, |n| format!(r#""{prefix}{}":0"#, n * 7_919 % 31_000))
                ),
            )
        }))
    }),
    ("json: 5,000,000 values", || {
        linked(&[named_link(
            "one",
            &format!(r#""command":[{}]"#, members(5_000_000, |_| "\"\"".into())),
        )])
    }),
    ("json: 2,000,000 words of a command", || {
        linked(&[0, 1].map(|_| {
            named_link(
                "one",
                &format!(r#""command":[{}]"#, members(1_990_000, |_| r#""\u0001""#.into())),
            )
        }))
    }),
    ("json: 100 levels", || {
        linked(&[0, 1].map(|_| {
            named_link(
                "one",
                &format!(
                    r#""environment":{{"x":[{}]}}"#,
                    members(20_000, |_| "[".repeat(95) + &"]".repeat(95))
                ),
            )
        }))
    }),
    ("links: artifacts that do not ascend", || {
        linked(&[0, 1].map(|_| {
            link(
                "one",
                "",
                &artifacts(330_000, |n| format!("{:06}", n * 7_919 % 330_000)),
            )
        }))
    }),
    ("links: a million digests of an artifact", || {
        linked(&[0, 1].map(|_| {
            link(
                "one",
                "",
                &format!(
                    r#""a":{{{},"sha256":"{SHA256}"}}"#,
                    members(900_000, |n| format!(r#""{n:07}":"\u0001""#))
                ),
            )
        }))
    }),
    ("links: DSSE, 64 MiB", || {
        let payload = link(
            "one",
            "",
            &artifacts(280_000, |n| format!("{:06}", n * 7_919 % 280_000)),
        );
        documents(
            (0..2).map(|n| Functionary::new(n).dsse(&payload)).collect(),
            &step("one", &pubkeys((0..2).map(|n| Functionary::new(n).keyid)), "", ""),
            2,
        )
    }),
    ("links: 9,000 that differ", || {
        linked(
            &(0..9_000)
                .map(|n| link("one", "", &artifacts(60, |m| format!("f{n}-{m}"))))
                .collect::<Vec<_>>(),
        )
    }),
    ("links: 1,000 signers of two that differ", || {
        let texts = [
            link("one", "", &artifacts(200_000, |n| format!("a{n:06}"))),
            link("one", "", &artifacts(200_000, |n| format!("b{n:06}"))),
        ];
        let signed = texts.iter().map(|text| signed_by_all(text, 250)).collect();
        documents(
            signed,
            &step("one", &pubkeys((0..250).map(|n| Functionary::new(n).keyid)), "", ""),
            250,
        )
    }),
    ("links: 1,000 signatures under no name", || {
        let bodies = (0..2_000)
            .map(|_| {
                format!(
                    r#"{{"signed":{},"signatures":[{}]}}"#,
                    link("one", "", ""),
                    members(1_000, |n| format!(r#"{{"keyid":"{n}","sig":""}}"#))
                )
            })
            .map(String::into_bytes)
            .collect();
        documents(
            bodies,
            &step("one", &pubkeys((0..4_000).map(|n| format!("k{n:05}"))), "", ""),
            4_000,
        )
    }),
    ("links: a long command expected", || {
        let mut step = step("one", &pubkeys([Functionary::new(0).keyid]), "", "");
        step.insert_str(1, &format!(r#""expected_command":["{}"],"#, "x".repeat(20 * MIB)));
        documents(
            (0..9_000)
                .map(|n| Functionary::new(0).metablock(&named_link("one", &format!(r#""environment":{{"n":{n}}}"#))))
                .collect(),
            &step,
            1,
        )
    }),
    ("signatures: 5,000 of P-521", || {
        let sig = "3081880242".to_owned() + &"01".repeat(66) + "0242" + &"01".repeat(66);
        let bodies = (0..5)
            .map(|_| {
                format!(
                    r#"{{"signed":{},"signatures":[{}]}}"#,
                    link("one", "", ""),
                    members(1_000, |_| format!(r#"{{"keyid":"k0","sig":"{sig}"}}"#))
                )
                .into_bytes()
            })
            .collect();
        documents_of(bodies, &p521_as("k0", 0), &step("one", r#""k0""#, "", ""))
    }),
    ("signatures: of 30 MiB, 100 keys", || {
        let text = named_link("one", &format!(r#""environment":{{"x":"{}"}}"#, "x".repeat(31 * MIB)));
        documents(
            vec![signed_by_all(&text, 100)],
            &step("one", &pubkeys((0..100).map(|n| Functionary::new(n).keyid)), "", ""),
            100,
        )
    }),
    ("rules: a star at every character", || {
        ruled(
            &rules(1_000, |n| format!(r#"["ALLOW","*a*a*a*a?{n}"]"#)),
            1_000,
            &"a".repeat(1_000),
            1,
        )
    }),
    ("rules: sets after a star", || {
        ruled(
            r#"["ALLOW","*[b-y][!a][a-y]?[a][a][a]z"]"#,
            10_000,
            &"a".repeat(1_000),
            1,
        )
    }),
    ("rules: question marks after a star", || {
        ruled(
            &format!(r#"["ALLOW","*{}b"]"#, "?".repeat(500)),
            10_000,
            &"a".repeat(1_000),
            1,
        )
    }),
    ("rules: a long literal after a star", || {
        ruled(
            &format!(r#"["ALLOW","*{}b"]"#, "a".repeat(500)),
            10_000,
            &"a".repeat(1_000),
            1,
        )
    }),
    ("rules: 600,000 over 10,000 artifacts", || {
        ruled(
            &rules(400_000, |_| {
                r#"["MATCH","x","IN","yyyy","WITH","PRODUCTS","FROM","z"]"#.into()
            }),
            10_000,
            "f",
            1,
        )
    }),
    ("rules: digests that differ at their end", || {
        let digests = |last: &str| {
            format!(
                r#""a":{{{},"sha256":"{SHA256}","z":"{last}"}}"#,
                members(400_000, |n| format!(r#""{n:07}":"""#))
            )
        };
        let text = link("one", &digests("1"), &digests("2"));
        documents(
            vec![Functionary::new(0).metablock(&text)],
            &step(
                "one",
                &pubkeys([Functionary::new(0).keyid]),
                "",
                &rules(10_000, |_| r#"["MATCH","a","WITH","MATERIALS","FROM","one"]"#.into()),
            ),
            1,
        )
    }),
    ("rules: 1,000 findings of 100,000 artifacts", || {
        ruled(
            &(rules(100, |_| r#"["MATCH","*","WITH","PRODUCTS","FROM","two"]"#.into()) + r#",["DISALLOW","*"]"#),
            100_000,
            "f",
            1,
        )
    }),
    ("rules: 600 steps that disallow", || {
        ruled(r#"["DISALLOW","*"]"#, 500, "f", 600)
    }),
    ("subjects: 10,000 of 100,000 products", || {
        let mut request = ruled(r#"["ALLOW","*"]"#, 100_000, "f", 1);
        request.subjects = (0..9_000)
            .map(|_| Subject {
                name: None,
                digests: [("sha256".to_owned(), "1".repeat(64))].into(),
            })
            .collect();
        request
    }),
    ("sublayouts: two names at each of 8 levels", || {
        let mut request = nested(8, 8 * MIB);
        request.now = 0;
        request
    }),
    ("all: work, signatures and bytes", || {
        let keys: Vec<Functionary> = (0..2).map(Functionary::new).collect();
        let sig = "3081880242".to_owned() + &"01".repeat(66) + "0242" + &"01".repeat(66);
        let one = link("one", "", &artifacts(300, |n| "a".repeat(1_000) + &n.to_string()));
        let costly = format!(
            r#"{{"signed":{},"signatures":[{}]}}"#,
            link("one", "", ""),
            members(105, |_| format!(r#"{{"keyid":"k0","sig":"{sig}"}}"#))
        )
        .into_bytes();
        let big = || {
            named_link(
                "two",
                &format!(
                    r#""environment":{{{}}}"#,
                    members(1_900_000, |n| format!(r#""{}":0"#, n * 7_919 % 1_900_000))
                ),
            )
            .into_bytes()
        };
        let wrap = |text: Vec<u8>| [br#"{"signatures":[],"signed":"#, &*text, b"}"].concat();
        let rules = rules(1_000, |n| format!(r#"["ALLOW","*a*a*a*a?{n}"]"#));
        documents_of(
            vec![
                keys.first().map(|key| key.metablock(&one)).unwrap_or_default(),
                costly,
                wrap(big()),
                wrap(big()),
            ],
            &format!(
                "{},{}",
                p521_as("k0", 0),
                keys.first().map(Functionary::member).unwrap_or_default()
            ),
            &step(
                "one",
                &pubkeys(
                    ["k0".into()]
                        .into_iter()
                        .chain(keys.first().map(|key| key.keyid.clone())),
                ),
                "",
                &rules,
            ),
        )
    }),
];

/// A key of one byte.
struct Functionary {
    pair: Ed25519KeyPair,
    public: String,
    keyid: String,
}

impl Functionary {
    fn new(seed: usize) -> Self {
        let mut bytes = [7; 32];
        bytes[0] = u8::try_from(seed % 251).unwrap_or_default();
        let pair = Ed25519KeyPair::from_seed_unchecked(&bytes).expect("32 bytes are a seed");
        let public = hex(pair.public_key().as_ref());
        let keyid = PublicKey::from_parts("ed25519", "ed25519", &public)
            .expect("it is a key")
            .keyid();
        Self { pair, public, keyid }
    }

    fn owner() -> Self {
        Self::new(250)
    }

    fn key(&self) -> Key {
        Key::new(None, "ed25519".into(), "ed25519".into(), self.public.clone())
    }

    fn object(&self, keyid: &str) -> String {
        format!(
            r#"{{"keyid":"{keyid}","keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}}"#,
            self.public
        )
    }

    fn member(&self) -> String {
        format!(r#""{}":{}"#, self.keyid, self.object(&self.keyid))
    }

    fn signature(&self, message: &[u8]) -> String {
        format!(
            r#"{{"keyid":"{}","sig":"{}"}}"#,
            self.keyid,
            hex(self.pair.sign(message).as_ref())
        )
    }

    fn metablock(&self, signed: &str) -> Vec<u8> {
        let message = canonical::encode(signed).unwrap_or_default();
        format!(
            r#"{{"signatures":[{}],"signed":{signed}}}"#,
            self.signature(message.as_bytes())
        )
        .into_bytes()
    }

    fn dsse(&self, payload: &str) -> Vec<u8> {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let message = linkgate_verifier::envelope::pae("application/vnd.in-toto+json", payload.as_bytes());
        let signature = STANDARD.encode(self.pair.sign(&message));
        format!(
            r#"{{"payload":"{}","payloadType":"application/vnd.in-toto+json","signatures":[{{"keyid":"{}","sig":"{signature}"}}]}}"#,
            STANDARD.encode(payload),
            self.keyid
        )
        .into_bytes()
    }
}

fn signed_by_all(signed: &str, count: usize) -> Vec<u8> {
    let message = canonical::encode(signed).unwrap_or_default();
    let signatures = members(count, |n| Functionary::new(n).signature(message.as_bytes()));
    format!(r#"{{"signatures":[{signatures}],"signed":{signed}}}"#).into_bytes()
}

fn members(count: usize, member: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for n in 0..count {
        let comma = if n > 0 { "," } else { "" };
        let _ = write!(text, "{comma}{}", member(n));
    }
    text
}

fn rules(count: usize, rule: impl Fn(usize) -> String) -> String {
    members(count, rule)
}

fn artifacts(count: usize, name: impl Fn(usize) -> String) -> String {
    members(count, |n| format!(r#""{}":{{"sha256":"{SHA256}"}}"#, name(n)))
}

fn pubkeys(labels: impl IntoIterator<Item = String>) -> String {
    let labels: Vec<String> = labels.into_iter().map(|label| format!("\"{label}\"")).collect();
    labels.join(",")
}

/// An Ed25519 key under a label of five digits: one of 250 materials.
fn key_as(n: usize) -> String {
    Functionary::new(n % 250).object(&format!("k{n:05}"))
}

fn key_member(n: usize) -> String {
    format!(r#""k{n:05}":{}"#, key_as(n))
}

/// A point of P-521 whose y must be computed. Half of these x have none, which costs the same.
fn p521(n: usize) -> String {
    p521_as(&format!("k{n:05}"), n)
}

fn p521_as(label: &str, n: usize) -> String {
    use base64::Engine as _;
    // SubjectPublicKeyInfo, id-ecPublicKey, secp521r1, a compressed point.
    let head = "3058301006072a8648ce3d020106052b810400230344000200";
    // The generator's x, so that there is a y; others where n says so.
    let base = "c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66";
    let x = if n == 0 { base.to_owned() } else { format!("{n:0130x}") };
    let bytes = linkgate_verifier::envelope::decode_hex(&format!("{head}{x}")).unwrap_or_default();
    let pem = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!(
        r#""{label}":{{"keyid":"{label}","keytype":"ecdsa","keyval":{{"public":"-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n"}},"scheme":"ecdsa-sha2-nistp521"}}"#
    )
}

fn layout(keys: &str, steps: &str) -> String {
    format!(
        r#"{{"_type":"layout","expires":"2100-01-01T00:00:00Z","inspect":[],"keys":{{{keys}}},"readme":"","steps":[{steps}]}}"#
    )
}

fn step(name: &str, pubkeys: &str, materials: &str, products: &str) -> String {
    format!(
        r#"{{"expected_materials":[{materials}],"expected_products":[{products}],"name":"{name}","pubkeys":[{pubkeys}]}}"#
    )
}

fn link(name: &str, materials: &str, products: &str) -> String {
    format!(r#"{{"_type":"link","materials":{{{materials}}},"name":"{name}","products":{{{products}}}}}"#)
}

fn named_link(name: &str, more: &str) -> String {
    format!(r#"{{"_type":"link","materials":{{}},"name":"{name}","products":{{}},{more}}}"#)
}

fn request(layout: Vec<u8>, documents: Vec<Document>) -> Request {
    Request {
        layout: Content(layout),
        trust: Trust::SignedBy(vec![Functionary::owner().key()]),
        documents,
        inspections: Vec::new(),
        parameters: [].into(),
        subjects: Vec::new(),
        options: Options::default(),
        now: 0,
    }
}

fn unsigned(layout: &str) -> Request {
    request(
        format!(r#"{{"signatures":[],"signed":{layout}}}"#).into_bytes(),
        Vec::new(),
    )
}

fn documents_of(bodies: Vec<Vec<u8>>, keys: &str, steps: &str) -> Request {
    let documents = bodies.into_iter().enumerate().map(|(n, body)| Document {
        name: format!("{n:05}.link"),
        content: Content(body),
    });
    request(
        Functionary::owner().metablock(&layout(keys, steps)),
        documents.collect(),
    )
}

/// Documents for a layout with so many keys; beyond 250 they are materials under further labels.
fn documents(bodies: Vec<Vec<u8>>, steps: &str, keys: usize) -> Request {
    let keys = members(keys, |n| {
        if keys > 250 {
            key_member(n)
        } else {
            Functionary::new(n).member()
        }
    });
    documents_of(bodies, &keys, steps)
}

/// Links of step `one` by one functionary.
fn linked(links: &[String]) -> Request {
    let key = Functionary::new(0);
    let bodies = links.iter().map(|link| key.metablock(link)).collect();
    documents(bodies, &step("one", &pubkeys([key.keyid]), "", ""), 1)
}

/// Steps with so many products and these rules for them.
fn ruled(rules: &str, count: usize, prefix: &str, steps: usize) -> Request {
    let key = Functionary::new(0);
    let bodies = (0..steps).map(|n| {
        key.metablock(&link(
            &format!("s{n}"),
            "",
            &artifacts(count, |n| format!("{prefix}{n}")),
        ))
    });
    let steps = members(steps, |n| {
        step(&format!("s{n}"), &pubkeys([key.keyid.clone()]), "", rules)
    });
    documents(bodies.collect(), &steps, 1)
}

/// A chain in which each step takes what the one before made.
fn honest(steps: usize, count: usize) -> Request {
    let key = Functionary::new(0);
    let made = |step: usize| {
        artifacts(count, |n| {
            format!("src/module{:03}/file{n:06}-{}.rs", n % 100, step / 10)
        })
    };
    let bodies = (0..steps).map(|n| {
        key.metablock(&link(
            &format!("s{n:03}"),
            &if n > 0 { made(n - 1) } else { String::new() },
            &made(n),
        ))
    });
    let steps = members(steps, |n| {
        let from = format!(
            r#"["MATCH","*","WITH","PRODUCTS","FROM","s{:03}"],["ALLOW","*"],["DISALLOW","*"]"#,
            n.saturating_sub(1)
        );
        step(
            &format!("s{n:03}"),
            &pubkeys([key.keyid.clone()]),
            &from,
            r#"["CREATE","src/*"],["MODIFY","*"],["ALLOW","*"],["DISALLOW","*"]"#,
        )
    });
    documents(bodies.collect(), &steps, 1)
}

/// Sublayouts in sublayouts, each of which lies there under both names that bind it, and a large link beneath them all.
fn nested(levels: usize, bytes: usize) -> Request {
    let key = Functionary::new(0);
    let eight = key.keyid.get(..8).unwrap_or_default().to_owned();
    let inner = |n: usize| {
        layout(
            &key.member(),
            &step(&format!("s{n}"), &pubkeys([key.keyid.clone()]), "", ""),
        )
    };
    let mut documents = Vec::new();
    let mut folder = String::new();
    for n in 0..levels {
        let body = key.metablock(&inner(n + 1).replace(r#""readme":"""#, &format!(r#""readme":"{n}""#)));
        for keyid in [&eight, &key.keyid] {
            documents.push(Document {
                name: format!("{folder}s{n}.{keyid}.link"),
                content: Content(body.clone()),
            });
        }
        let _ = write!(folder, "s{n}.{eight}/");
    }
    let text = link(&format!("s{levels}"), "", &artifacts(bytes / 90, |n| format!("{n:06}")));
    documents.push(Document {
        name: format!("{folder}s{levels}.{eight}.link"),
        content: Content(key.metablock(&text)),
    });
    request(Functionary::owner().metablock(&inner(0)), documents)
}
