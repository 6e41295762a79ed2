//! `linkgate record`

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;
use linkgate_verifier::envelope::Form;

use super::{recording, signing};
use crate::cli::{Called, UsageError};
use crate::file;
use crate::record::collect::Artifacts;
use crate::record::image::Image;
use crate::record::link::StepName;
use crate::record::unfinished::{self, Unfinished};
use crate::signer::Signer;

const EXAMPLES: &str = "\
Examples:
  linkgate record start edit -k alice -m src/
  $EDITOR src/main.c
  linkgate record stop edit -k alice -p src/ -d links
      Writes links/edit.<keyid>.link. In between, the signed file .edit.<keyid>.link-unfinished is kept here, and nothing
      else is taken for it. Both folders are looked at before anything is recorded: can they be written to?
  linkgate record -k alice start edit
      Without -m (or -p at the stop) the current folder is recorded, less links, keys and .git.
  linkgate record -k alice -m src/ start edit
      Options may stand before the verb, which ends a list of paths: a file of that name is `-m=start` or `./start`.";

/// What is left out besides the excluded where no path is given: files that are called as keys are.
const KEYS: [&str; 3] = ["*.pub", "*.pem", "*.key"];

/// Arguments of `linkgate record`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Whether the step begins or ends.
    verb: Verb,

    /// The step's name in the layout. In a CI job it defaults to the job's name.
    #[arg(value_name = "NAME")]
    step: Option<String>,

    /// The step's name, as an option.
    #[arg(short, long, visible_alias = "step-name", conflicts_with = "step")]
    name: Option<String>,

    /// The folder that the link is written to at the stop; the current one if none is given.
    #[arg(short = 'd', long, visible_alias = "metadata-directory", value_name = "DIR")]
    links_dir: Option<PathBuf>,

    /// At the start: files, folders or globs; several as a list, with commas, or by repeating.
    #[arg(short, long, value_name = "PATH", num_args = 1..)]
    materials: Vec<String>,

    /// At the stop: files, folders or globs.
    #[arg(short, long, value_name = "PATH", num_args = 1..)]
    products: Vec<String>,

    /// At the start, an image: NAME=oci-layout:DIR[:TAG] or NAME=docker-archive:FILE[:TAG].
    #[arg(long, value_name = "NAME=IMAGE")]
    material_image: Vec<Image>,

    /// At the stop, an image.
    #[arg(long, value_name = "NAME=IMAGE")]
    product_image: Vec<Image>,

    /// At the start: write the record, and so the link, in a DSSE envelope.
    #[arg(long)]
    use_dsse: bool,

    #[command(flatten)]
    recording: recording::Args,

    #[command(flatten)]
    signing: signing::Args,

    #[command(flatten)]
    talk: recording::Talk,
}

/// Which end of the step it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Verb {
    /// Record the materials.
    Start,
    /// Record the products and write the link.
    Stop,
}

/// The words of a command line with the verb, and the step's name after it, moved before all options: one line for each
/// word that could be the verb. None where the line is another verb's.
pub(crate) fn verb_first(words: &[OsString]) -> Vec<Vec<OsString>> {
    let word = |at: usize| words.get(at).and_then(|word| word.to_str());
    let begins = match word(0).map(|name| Path::new(name).file_stem()) {
        Some(Some(name)) if name == "in-toto-record" => 1,
        _ if word(1) == Some("record") => 2,
        _ => return Vec::new(),
    };
    let ends_words = |at: usize| {
        words
            .get(at)
            .is_none_or(|word| word.as_encoded_bytes().starts_with(b"-"))
    };
    let could_be_verb =
        |at: &usize| matches!(word(*at), Some("start" | "stop")) && (ends_words(at + 1) || ends_words(at + 2));
    let moved = |at: usize| {
        let after = if ends_words(at + 1) { at + 1 } else { at + 2 };
        [&words[..begins], &words[at..after], &words[begins..at], &words[after..]].concat()
    };
    (begins..words.len()).filter(could_be_verb).map(moved).collect()
}

/// Begins or ends a record.
pub(crate) fn run(args: &Args, called: Called) -> anyhow::Result<ExitCode> {
    args.check()?;
    let given = args.step.as_deref().or(args.name.as_deref());
    let name = recording::step_name(given, called.spelling("--name", "--step-name"))?;
    let signer = args.signing.signer(called, args.talk)?;
    let folder = args.links_dir.clone().unwrap_or_default();
    // The link's folder, and the one that has the unfinished record meanwhile: an hour's work is not to end with it.
    for folder in [&*folder, Path::new("")] {
        file::check_writable(folder)?;
    }
    let unfinished = PathBuf::from(name.unfinished_file(&signer.keyid()));
    match args.verb {
        Verb::Start => args.start(&name, &*signer, &unfinished, called)?,
        Verb::Stop => args.stop(&name, &*signer, &unfinished, &folder, called)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// Materials belong to the start, products to the stop.
    fn check(&self) -> Result<(), UsageError> {
        let misplaced = match self.verb {
            Verb::Start if !self.products.is_empty() || !self.product_image.is_empty() => {
                "products are recorded at the stop"
            }
            Verb::Stop if !self.materials.is_empty() || !self.material_image.is_empty() => {
                "materials are recorded at the start"
            }
            _ => return Ok(()),
        };
        Err(UsageError(misplaced.to_owned()))
    }

    fn start(&self, name: &StepName, signer: &dyn Signer, unfinished: &Path, called: Called) -> anyhow::Result<()> {
        let payload = unfinished::begin(name, &self.artifacts(&self.materials, &self.material_image, called)?);
        recording::write(unfinished, &payload, self.use_dsse, &[signer])?;
        let shown = unfinished.display();
        self.talk.note(
            called,
            format_args!("wrote `{shown}`: stop the record with the same key, in this folder"),
        );
        Ok(())
    }

    fn stop(
        &self,
        name: &StepName,
        signer: &dyn Signer,
        unfinished: &Path,
        folder: &Path,
        called: Called,
    ) -> anyhow::Result<()> {
        let record = Unfinished::read(unfinished, name, signer)?;
        let products = self.artifacts(&self.products, &self.product_image, called)?;
        let dsse = record.form == Form::Dsse;
        let link = folder.join(name.link_file(&signer.keyid()));
        recording::write(&link, &record.finish(&products), dsse, &[signer])?;
        fs::remove_file(unfinished)
            .with_context(|| format!("wrote the link, but cannot remove `{}`", unfinished.display()))?;
        self.talk.note(
            called,
            format_args!(
                "wrote `{}`: {}",
                link.display(),
                recording::count(products.len(), "product")
            ),
        );
        Ok(())
    }

    fn artifacts(&self, paths: &[String], images: &[Image], called: Called) -> anyhow::Result<Artifacts> {
        if !paths.is_empty() || !images.is_empty() {
            let options = self.recording.options(called, &[])?;
            return recording::artifacts(paths, images, &options, self.talk);
        }
        let mut keys: Vec<String> = KEYS.iter().map(|&pattern| pattern.to_owned()).collect();
        keys.extend(self.key_patterns());
        self.talk
            .warning("no path is given: recording the current folder, less links, keys and .git");
        let mut options = self.recording.options(called, &keys)?;
        options.without_keys = true;
        recording::artifacts(&[".".to_owned()], &[], &options, self.talk)
    }

    /// Patterns for the signing key and its public half, or the file with its PIN, if they lie in the folder that is recorded.
    fn key_patterns(&self) -> Vec<String> {
        let base = self.recording.base();
        let base = if base.as_os_str().is_empty() {
            Path::new(".")
        } else {
            base
        };
        let Ok(base) = fs::canonicalize(base) else {
            return Vec::new();
        };
        let mut patterns = Vec::new();
        for file in self.signing.secret_files() {
            let file = fs::canonicalize(file).unwrap_or_default();
            if let Some(inside) = file.strip_prefix(&base).ok().and_then(Path::to_str) {
                let inside = escape(inside);
                patterns.extend([format!("/{inside}"), format!("/{inside}.pub")]);
            }
        }
        patterns
    }
}

/// A pattern that means exactly this path.
fn escape(path: &str) -> String {
    path.chars()
        .flat_map(|character| ['\\', character])
        .collect::<String>()
        .replace("\\/", "/")
}
