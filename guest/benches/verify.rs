//! How long verifications take natively: `cargo bench --profile dist -p linkgate-verifier --bench verify`.
//!
//! A chain has one functionary a step, and each step takes what the one before it made. All of it is made in memory
//! from fixed bytes, so that every run measures the same.

#![expect(clippy::expect_used, reason = "a workload that cannot be made measures nothing")]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::{Signer as _, SigningKey};
use linkgate_verifier::canonical;
use linkgate_verifier::key::{self, PublicKey};
use linkgate_verifier::limits::Budget;
use linkgate_verifier::pattern::Pattern;
use linkgate_verifier::request::{Content, Document, Key, Options, Request, Trust};
use linkgate_verifier::signature::{Checker, Outcome, Pure};
use linkgate_verifier::verdict::Decision;
use linkgate_verifier::verify;

/// A host that is infinitely fast: what remains is the verifier's own work.
struct Believing;

impl Checker for Believing {
    fn check(&mut self, _: &PublicKey, _: &[u8], _: &[u8]) -> Result<Outcome, String> {
        Ok(Outcome::Valid)
    }
}

/// A key of the bytes `seed`.
struct Functionary {
    secret: SigningKey,
    public: String,
    keyid: String,
}

impl Functionary {
    fn new(seed: u8) -> Self {
        let secret = SigningKey::from_bytes(&[seed; 32]);
        let public = key::hex(secret.verifying_key().as_bytes());
        let key = PublicKey::from_parts("ed25519", "ed25519", &public).expect("a sound key");
        Self {
            keyid: key.keyid(),
            secret,
            public,
        }
    }

    fn object(&self) -> String {
        format!(
            r#"{{"keyid":"{}","keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}}"#,
            self.keyid, self.public
        )
    }

    fn envelope(&self, signed: &str) -> Vec<u8> {
        let message = canonical::encode(signed).expect("it has a canonical form");
        let signature = key::hex(&self.secret.sign(message.as_bytes()).to_bytes());
        format!(
            r#"{{"signatures":[{{"keyid":"{}","sig":"{signature}"}}],"signed":{signed}}}"#,
            self.keyid
        )
        .into_bytes()
    }
}

/// The artifacts that a step makes, half of them unchanged since the step before.
fn artifacts(step: usize, count: usize) -> String {
    let mut text = String::from("{");
    for number in 0..count {
        let changed = if number % 2 == 0 { 0 } else { step };
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}"src/module{:03}/file{number:06}.rs":{{"sha256":"{:064x}"}}"#,
            number % 100,
            number * 1_000 + changed
        );
    }
    text.push('}');
    text
}

fn link(step: usize, count: usize) -> String {
    let materials = if step == 0 {
        "{}".to_owned()
    } else {
        artifacts(step - 1, count)
    };
    format!(
        r#"{{"_type":"link","byproducts":{{"return-value":0}},"command":["make"],"environment":{{}},"materials":{materials},"name":"step{step:02}","products":{}}}"#,
        artifacts(step, count)
    )
}

fn chain(steps: usize, count: usize) -> Request {
    let owner = Functionary::new(0xff);
    let (mut keys, mut rules, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..steps {
        let functionary = Functionary::new(u8::try_from(step).expect("few steps"));
        keys.push(format!(r#""{}":{}"#, functionary.keyid, functionary.object()));
        let materials = match step.checked_sub(1) {
            Some(before) => format!(r#"["MATCH","*","WITH","PRODUCTS","FROM","step{before:02}"],"#),
            None => String::new(),
        };
        rules.push(format!(
            r#"{{"_type":"step","expected_command":["make"],"expected_materials":[{materials}["DISALLOW","*"]],"expected_products":[["CREATE","src/*"],["MODIFY","src/*.rs"],["ALLOW","src/module[0-9]*"],["DISALLOW","*"]],"name":"step{step:02}","pubkeys":["{}"],"threshold":1}}"#,
            functionary.keyid
        ));
        documents.push(Document {
            name: format!("step{step:02}.{}.link", functionary.keyid.get(..8).expect("a keyid")),
            content: Content(functionary.envelope(&link(step, count))),
        });
    }
    let layout = format!(
        r#"{{"_type":"layout","expires":"2100-01-01T00:00:00Z","inspect":[],"keys":{{{}}},"readme":"","steps":[{}]}}"#,
        keys.join(","),
        rules.join(",")
    );
    Request {
        layout: Content(owner.envelope(&layout)),
        trust: Trust::SignedBy(vec![Key::new(
            None,
            "ed25519".into(),
            "ed25519".into(),
            owner.public.clone(),
        )]),
        documents,
        inspections: Vec::new(),
        parameters: [].into(),
        subjects: Vec::new(),
        options: Options::default(),
        now: 0,
    }
}

fn chains(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    group.sample_size(10);
    for (name, steps, count) in [("S", 4, 10), ("M", 10, 1_000), ("L", 10, 10_000)] {
        let request = chain(steps, count);
        let bytes: usize = request.documents.iter().map(|document| document.content.0.len()).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        let accepted = |checker: &mut dyn Checker| {
            let verdict = verify::verify(black_box(&request), checker).expect("it is decided");
            assert_eq!(verdict.decision, Decision::Accept, "{:?}", verdict.findings);
        };
        group.bench_function(BenchmarkId::new("pure", name), |bencher| {
            bencher.iter(|| accepted(&mut Pure));
        });
        group.bench_function(BenchmarkId::new("believing", name), |bencher| {
            bencher.iter(|| accepted(&mut Believing));
        });
    }
    group.finish();
}

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parts");
    let text = link(1, 10_000);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("canonical form of a link", |bencher| {
        bencher.iter(|| canonical::encode(black_box(&text)));
    });
    group.throughput(Throughput::Elements(1));
    let name = "src/module042/some/deeply/nested/folder/file000042.rs";
    for pattern in ["*", "src/*", "*.rs", "src/module[0-9]*/*/f?le*.rs", "*a*a*a*b"] {
        let compiled = Pattern::plain(pattern);
        let budget = Budget::default();
        group.bench_function(BenchmarkId::new("pattern", pattern), |bencher| {
            bencher.iter(|| compiled.matches(black_box(name), &budget).unwrap_or_default());
        });
    }
    group.finish();
}

criterion_group!(benches, chains, parts);
criterion_main!(benches);
