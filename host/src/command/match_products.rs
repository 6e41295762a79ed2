//! `linkgate match-products`

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use linkgate_verifier::envelope::Envelope;
use serde_json::{Map, Value};

use super::recording;
use crate::cli::Called;
use crate::record::collect::{Artifacts, Options, collect};
use crate::record::exclude::{self, Exclude};
use crate::record::hash::Content;
use crate::record::path::{Naming, split};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  linkgate match-products -l build.776a00e2.link -p out/
      Compares the files in out/ with the products of the link. Exits 0 if they are the same, 1 if not.

The link's signature is not checked: verify the supply chain first.";

/// Arguments of `linkgate match-products`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The link.
    #[arg(short, long, value_name = "FILE")]
    link: PathBuf,

    /// The local files, folders or globs; the current folder if none is given.
    #[arg(short, long, value_name = "PATH", num_args = 1..)]
    paths: Vec<String>,

    /// Leave out what matches: patterns as in a .gitignore file, in place of the default ones; a comma is part of a pattern.
    #[arg(short, long, value_name = "PATTERN", num_args = 1..)]
    exclude: Vec<String>,

    /// Cut this prefix off names before they are compared.
    #[arg(long, value_name = "PREFIX", num_args = 1..)]
    lstrip_paths: Vec<String>,

    /// Say what differs; always done under linkgate's own name.
    #[arg(short, long)]
    verbose: bool,
}

/// Compares local files with a link's products.
pub(crate) fn run(args: &Args, called: Called) -> anyhow::Result<ExitCode> {
    let products = products(args)?;
    let artifacts = args.artifacts()?;
    let differences = differences(&products, &artifacts);
    if args.verbose || called == Called::Linkgate {
        if differences.is_empty() {
            terminal::print("Local artifacts match products in passed link.")?;
        } else {
            terminal::print("Local artifacts don't match products in passed link.")?;
            terminal::print_all(&differences)?;
        }
    }
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The products that the link names.
fn products(args: &Args) -> anyhow::Result<Map<String, Value>> {
    let shown = args.link.display();
    let bytes = fs::read(&args.link).with_context(|| format!("cannot read `{shown}`"))?;
    let envelope = Envelope::parse(&bytes).with_context(|| format!("`{shown}` is malformed"))?;
    let mut payload: Value =
        serde_json::from_str(envelope.payload()).with_context(|| format!("`{shown}` is malformed"))?;
    match payload["products"].take() {
        Value::Object(products) if payload["_type"] == "link" => Ok(products),
        _ => bail!("`{shown}` is not a link"),
    }
}

impl Args {
    fn artifacts(&self) -> anyhow::Result<Artifacts> {
        let patterns: Vec<&str> = if self.exclude.is_empty() {
            exclude::DEFAULT.to_vec()
        } else {
            self.exclude.iter().map(String::as_str).collect()
        };
        let options = Options {
            base: PathBuf::new(),
            exclude: Exclude::new(patterns)?,
            naming: Naming::new(self.lstrip_paths.clone())?,
            follow_folders: false,
            content: Content::Exact,
            // What is not there is told by the comparison.
            lenient: true,
            without_keys: false,
        };
        let here = [".".to_owned()];
        let paths: &[String] = if self.paths.is_empty() { &here } else { &self.paths };
        let collected = collect(&split(paths, &options.base), &options)?;
        for note in collected.notes {
            recording::Talk::default().warning(note);
        }
        Ok(collected.artifacts)
    }
}

/// One line for each name on one side only, or with another SHA-256.
fn differences(products: &Map<String, Value>, artifacts: &Artifacts) -> Vec<String> {
    let expected: BTreeSet<&String> = products.keys().collect();
    let found: BTreeSet<&String> = artifacts.keys().collect();
    let only_products = expected
        .difference(&found)
        .map(|name| format!("Only in products: {name}"));
    let not_in_products = found
        .difference(&expected)
        .map(|name| format!("Not in products: {name}"));
    let differ = artifacts.iter().filter_map(|(name, digest)| {
        let expected = products.get(name)?;
        (expected["sha256"] != digest.to_string()).then(|| format!("Hashes differ: {name}"))
    });
    only_products.chain(not_in_products).chain(differ).collect()
}
