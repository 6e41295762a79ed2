//! Running inspections, once the layout that asks for them is trusted.
//!
//! A command of the owner's runs on the verifying person's machine: in a scratch copy of the inspected folder, within a
//! time limit. What is recorded is what in-toto's own tools record: the folder before and after, less links and caches.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linkgate_verifier::plan::InspectionRequirement;
use linkgate_verifier::request::{Content, InspectionResult};

use crate::record::collect::{self, CollectError, Options};
use crate::record::command::{self, CommandError};
use crate::record::exclude::{self, Exclude, ExcludeError};
use crate::record::hash;
use crate::record::link::{self, Signals, StepName, StepNameError, Times};
use crate::record::path::{NameError, Naming};

/// Why an inspection has no result.
#[derive(Debug, thiserror::Error)]
pub enum InspectionError {
    /// The folder could not be copied.
    #[error("cannot copy `{}` for the inspections: {cause}", .path.display())]
    Copy {
        /// What could not be copied.
        path: PathBuf,
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
}

/// Runs inspections one after the other in one scratch copy of `folder`, as in-toto's tools do in the folder itself.
pub fn run(
    inspections: &[InspectionRequirement],
    folder: &Path,
    limit: Duration,
) -> Vec<(String, Result<Inspected, InspectionError>)> {
    let scratch = match scratch(folder) {
        Ok(scratch) => scratch,
        Err(error) => {
            let name = inspections.first().map(|inspection| inspection.name.clone());
            return name.map(|name| (name, Err(error))).into_iter().collect();
        }
    };
    let mut results = Vec::new();
    for inspection in inspections {
        let result = run_one(inspection, scratch.path(), limit);
        let interrupted = matches!(result, Err(InspectionError::Interrupted));
        results.push((inspection.name.clone(), result));
        if interrupted {
            break;
        }
    }
    results
}

fn run_one(inspection: &InspectionRequirement, folder: &Path, limit: Duration) -> Result<Inspected, InspectionError> {
    let name = StepName::new(inspection.name.clone())?;
    let options = Options {
        base: folder.to_owned(),
        exclude: Exclude::new(exclude::DEFAULT.iter().copied())?,
        naming: Naming::new(Vec::new())?,
        follow_folders: true,
        content: hash::Content::Exact,
        lenient: true,
        without_keys: false,
    };
    let everything = [".".to_owned()];
    let materials = collect::collect(&everything, &options)?.artifacts;
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
    let products = collect::collect(&everything, &options)?.artifacts;
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
    })
}

/// A copy of the folder that goes away with what is returned. Version control is not copied; links stay links.
fn scratch(folder: &Path) -> Result<tempfile::TempDir, InspectionError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| InspectionError::Copy { path, cause }
    };
    let scratch = tempfile::Builder::new()
        .prefix("linkgate-inspection-")
        .tempdir()
        .map_err(failed(folder))?;
    copy(folder, scratch.path()).map_err(|(path, cause)| InspectionError::Copy { path, cause })?;
    Ok(scratch)
}

fn copy(from: &Path, to: &Path) -> Result<(), (PathBuf, io::Error)> {
    let failed = |cause| (from.to_owned(), cause);
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let at = |cause| (path.clone(), cause);
        let kind = entry.file_type().map_err(at)?;
        if kind.is_dir() {
            if entry.file_name() != ".git" {
                fs::create_dir(&target).map_err(at)?;
                copy(&path, &target)?;
            }
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&path).map_err(at)?, &target).map_err(at)?;
        } else if kind.is_file() {
            fs::copy(&path, &target).map_err(at)?;
        }
    }
    Ok(())
}
