//! Signs many links by one key in a token, from several threads that share it, and checks every signature: what
//! `tests/hsm` runs against real tokens.
//!
//! `sign_many REFERENCE THREADS LINKS` prints how many were signed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, ensure};
use linkgate::metadata;
use linkgate::signer::{Signer, pkcs11};
use linkgate_verifier::envelope::Form;
use serde_json::json;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, threads, links] = arguments.as_slice() else {
        anyhow::bail!("usage: sign_many REFERENCE THREADS LINKS");
    };
    let (threads, links): (usize, usize) = (threads.parse()?, links.parse()?);
    let signer = pkcs11::signer(reference, &pkcs11::Options::default())?;
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        let work = || -> anyhow::Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= links {
                    return Ok(());
                }
                sign(&signer, number).with_context(|| format!("link {number}"))?;
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        all.into_iter()
            .try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
    })?;
    let done = done.into_inner();
    ensure!(done == links, "{done} of {links}");
    println!("{done} links signed by {threads} threads");
    Ok(())
}

fn sign(signer: &dyn Signer, number: usize) -> anyhow::Result<()> {
    let link = json!({
        "_type": "link",
        "name": format!("step-{number}"),
        "materials": {},
        "products": {},
        "byproducts": {},
        "environment": {},
        "command": [],
    });
    let sealed = metadata::seal(&link, Form::Dsse, &[signer])?;
    let document = metadata::Document::read(sealed)?;
    let verified = document.verify(signer.public_key(), None)?;
    ensure!(verified == metadata::Verification::Valid, "the signature does not hold");
    Ok(())
}
