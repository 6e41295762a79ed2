//! What the component costs: loading it, and one small verification, with native signature checks and without:
//! `cargo bench --profile dist -p linkgate --bench verify`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use linkgate::checker::Native;
use linkgate::runtime::{Arithmetic, Bounds, Verifier};
use linkgate_verifier::request::Request;
use linkgate_verifier::verify;

/// A chain that is accepted: one step, two of three functionaries.
fn request() -> Request {
    let case = include_str!("../../tests/cases/threshold/two-of-three.json");
    let case: serde_json::Value = serde_json::from_str(case).expect("a case");
    Request::from_json(case["request"].to_string()).expect("its request")
}

fn component(criterion: &mut Criterion) {
    let request = request();
    criterion.bench_function("load", |bencher| {
        bencher.iter(|| Verifier::load(Bounds::default(), 1).expect("the component loads"));
    });
    let single = Verifier::load(Bounds::default(), 1).expect("the component loads");
    let pooled = Verifier::load(Bounds::default(), 8).expect("the component loads");
    for (name, verifier, arithmetic) in [
        ("component", &single, &Arithmetic::Native),
        ("component, pooled", &pooled, &Arithmetic::Native),
        ("component, pure", &single, &Arithmetic::Pure),
    ] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| verifier.verify(black_box(&request), arithmetic));
        });
    }
    criterion.bench_function("native", |bencher| {
        bencher.iter(|| verify::verify(black_box(&request), &mut Native));
    });
}

criterion_group!(benches, component);
criterion_main!(benches);
