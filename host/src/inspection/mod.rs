//! Running inspections, once the layout that asks for them is trusted.
//!
//! A command of the owner's runs on the verifying person's machine: in a faithful copy of the inspected folder or, where
//! that is asked for, in the folder itself; within a time limit. What is recorded is what in-toto's own tools record: the
//! folder before and after, less links and caches. Symbolic links are followed wherever they lead.

mod copy;
mod missing;
mod route;
mod scratch;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linkgate_verifier::plan::InspectionRequirement;
use linkgate_verifier::request::{Content, InspectionResult};

use crate::record::collect::{self, Artifacts, CollectError, Note, Options};
use crate::record::command::{self, CommandError};
use crate::record::exclude::{self, Exclude, ExcludeError};
use crate::record::hash;
use crate::record::link::{self, Signals, StepName, StepNameError, Times};
use crate::record::path::{NameError, Naming};
use copy::CopyError;
use scratch::Scratch;

/// Why an inspection has no result.
#[derive(Debug, thiserror::Error)]
pub enum InspectionError {
    /// The folder has no faithful copy.
    #[error("the folder cannot be copied as it is: {0}")]
    Copy(#[from] CopyError),
    /// There is no place for a copy.
    #[error("cannot make a private folder for a copy below `{}`: {cause}", .below.display())]
    Scratch {
        /// The folder of temporary files.
        below: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The folder could not be recorded.
    #[error("cannot record the inspected folder: {0}")]
    Collect(#[from] CollectError),
    /// The command could not be run, or took too long.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The person who verifies wants no more of it.
    #[error("it was interrupted")]
    Interrupted,
    /// The name cannot be a link's.
    #[error(transparent)]
    Name(#[from] StepNameError),
    /// The default patterns do not compile.
    #[error(transparent)]
    Exclude(#[from] ExcludeError),
    /// No prefixes are given, so none can clash.
    #[error(transparent)]
    Naming(#[from] NameError),
}

/// An inspection that was run.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// What the verifier is told.
    pub result: InspectionResult,
    /// The end of what the command printed, for the person who reads that it failed.
    pub output: String,
    /// What was in the folder and is not recorded.
    pub notes: BTreeSet<Note>,
    /// Whether the command ended with 0.
    passed: bool,
}

/// Where inspections run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the folder itself, as in-toto's tools run them: what they write stays there.
    Folder,
    /// In a copy, which is removed afterwards.
    Copy,
}

/// Runs inspections one after the other in one place, until one fails or has no result: the next one may rely on it.
pub fn run(
    inspections: &[InspectionRequirement],
    folder: &Path,
    place: Place,
    limit: Duration,
) -> Vec<(String, Result<Inspected, InspectionError>)> {
    let scratch = match place {
        Place::Folder => Ok(None),
        Place::Copy => Scratch::copy_of(folder).map(Some),
    };
    let scratch = match scratch {
        Ok(scratch) => scratch,
        Err(error) => {
            let name = inspections.first().map(|inspection| inspection.name.clone());
            return name.map(|name| (name, Err(error))).into_iter().collect();
        }
    };
    let folder = scratch.as_ref().map_or(folder, Scratch::folder);
    let mut results = Vec::new();
    for inspection in inspections {
        let result = run_one(inspection, folder, limit);
        let passed = result.as_ref().is_ok_and(|inspected| inspected.passed);
        results.push((inspection.name.clone(), result));
        if !passed {
            break;
        }
    }
    results
}

fn run_one(inspection: &InspectionRequirement, folder: &Path, limit: Duration) -> Result<Inspected, InspectionError> {
    let name = StepName::new(inspection.name.clone())?;
    let (materials, mut notes) = record(folder)?;
    let started = link::now();
    let outcome = command::run(
        &inspection.run,
        command::Options {
            folder: Some(folder),
            streams: command::Streams::Tail,
            timeout: Some(limit),
        },
    )?;
    if outcome.interrupted {
        return Err(InspectionError::Interrupted);
    }
    let times = Times {
        started,
        finished: link::now(),
    };
    let (products, after) = record(folder)?;
    notes.extend(after);
    let payload = link::payload(
        &name,
        &inspection.run,
        &materials,
        &products,
        link::byproducts(&outcome, Signals::AsShells),
        link::environment(times),
    );
    Ok(Inspected {
        result: InspectionResult {
            at: inspection.at.clone(),
            name: inspection.name.clone(),
            content: Content(payload.to_string().into_bytes()),
        },
        output: outcome.tail.text(),
        notes,
        passed: outcome.code() == 0,
    })
}

/// What is in a folder, and what of it is not recorded.
fn record(folder: &Path) -> Result<(Artifacts, BTreeSet<Note>), InspectionError> {
    let options = Options {
        base: folder.to_owned(),
        exclude: Exclude::new(exclude::DEFAULT.iter().copied())?,
        naming: Naming::new(Vec::new())?,
        follow_folders: true,
        content: hash::Content::Exact,
        lenient: true,
        without_keys: false,
    };
    let collected = collect::collect(&[".".to_owned()], &options)?;
    Ok((collected.artifacts, collected.notes.into_iter().collect()))
}
