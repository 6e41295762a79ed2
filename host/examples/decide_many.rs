//! Decides on one image many times, in process: what the gate costs without a network.
//!
//!     decide_many POLICIES IMAGE COUNT ABREAST [uncached]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _};
use linkgate::evidence::registry::{self, Registry};
use linkgate::evidence::store;
use linkgate::gate::context::Context;
use linkgate::gate::face::Face;
use linkgate::gate::{Asked, Blobs, Deadline, Gate, Settings, Ungoverned, verdicts};
use linkgate::memory::Memory;
use linkgate::runtime::{Bounds, Verifier};
use linkgate::signer::pkcs11;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [policies, image, count, abreast, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: decide_many POLICIES IMAGE COUNT ABREAST [uncached]");
    };
    let (count, abreast): (u32, usize) = (count.parse()?, abreast.parse()?);
    let gate = Arc::new(gate(policies, rest.first().is_some_and(|word| word == "uncached"))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let begun = Instant::now();
    let mut took: Vec<Duration> = runtime.block_on(async {
        let each = (0..count).map(|_| {
            let (gate, asked) = (Arc::clone(&gate), Asked::Image(image.clone()));
            tokio::spawn(async move {
                let begun = Instant::now();
                let until = Deadline::after(Duration::from_secs(10));
                let decision = gate.decide(&asked, "", Face::Check, until).await;
                assert!(decision.allowed, "{}", decision.message);
                begun.elapsed()
            })
        });
        let joined: Vec<_> = stream::iter(each).buffer_unordered(abreast).collect().await;
        joined.into_iter().collect::<Result<_, _>>()
    })?;
    let all = begun.elapsed();
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).map(Duration::as_secs_f64);
    println!(
        "{:.0} decisions/s, p50 {:.3} ms, p99 {:.3} ms",
        f64::from(count) / all.as_secs_f64(),
        at(50).context("none was made")? * 1e3,
        at(99).context("none was made")? * 1e3
    );
    Ok(())
}

fn gate(policies: &str, uncached: bool) -> anyhow::Result<Gate> {
    let verifications = std::thread::available_parallelism()?.get();
    let timeout = Duration::from_secs(10);
    let bounds = Bounds {
        memory: 512 << 20,
        deadline: timeout,
    };
    let hour = Duration::from_hours(1);
    let settings = Settings {
        policies: policies.into(),
        ungoverned: Ungoverned::Deny,
        timeout,
        verifications,
        queue: 1024,
        evidence: store::Keeping {
            listing: hour,
            negative: hour,
            bytes: 256 << 20,
            most: 64 << 20,
            patience: timeout,
        },
        verdicts: verdicts::Keeping {
            accept: if uncached { Duration::ZERO } else { hour },
            negative: hour,
            bytes: 64 << 20,
        },
        pull_window: hour,
        blobs: Blobs::Allowed,
        page: false,
    };
    let memory = Memory::new(256 << 20);
    let context = Context {
        verifier: Arc::new(Verifier::load(bounds, u32::try_from(verifications)?.max(2))?),
        registry: Arc::new(Registry::new(&registry::Options::default(), memory.clone())?),
        tokens: pkcs11::Options::default(),
        evidence: 64 << 20,
        memory,
    };
    Ok(Gate::new(settings, context)?)
}
