//! `linkgate run`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::{recording, signing};
use crate::cli::{Called, UsageError};
use crate::file;
use crate::record::command::{self, CommandError, Outcome};
use crate::record::image::Image;
use crate::record::link::{self, Signals, Times};

const EXAMPLES: &str = "\
Examples:
  linkgate run -n build -k builder -m src/ -p app.tar -- tar cf app.tar src
      Records src/ before and app.tar after the command, and writes build.<keyid>.link.
  linkgate run -n build -k builder -d links -m 'src/**/*.c,Makefile' -p out/ -s -- make
      Takes globs and lists, keeps the command's output, and writes into links/.
  linkgate run -n package -k builder -m app.tar --product-image app:1=oci-layout:image -- make
      Records the image's digest as the artifact app:1.
  linkgate run -n review -k alice -m . -x
      Signs for the files as they are; no command is run.

The exit code is the command's own, 128 + n if signal n ended it, 124 if its time was up, and 2 if linkgate failed.";

/// Arguments of `linkgate run`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,

    /// The step's name in the layout. In a CI job it defaults to the job's name.
    #[arg(short, long, visible_alias = "step-name")]
    name: Option<String>,

    /// The folder that the link is written to; the current one if none is given. Whether it can be written to is seen before
    /// the command runs.
    #[arg(short = 'd', long, visible_alias = "metadata-directory", value_name = "DIR")]
    links_dir: Option<PathBuf>,

    /// Files, folders or globs recorded before the command; several as a list, with commas, or by repeating.
    #[arg(short, long, value_name = "PATH", num_args = 1..)]
    materials: Vec<String>,

    /// Files, folders or globs recorded after the command.
    #[arg(short, long, value_name = "PATH", num_args = 1..)]
    products: Vec<String>,

    /// An image recorded before the command: NAME=oci-layout:DIR[:TAG] or NAME=docker-archive:FILE[:TAG].
    #[arg(long, value_name = "NAME=IMAGE")]
    material_image: Vec<Image>,

    /// An image recorded after the command.
    #[arg(long, value_name = "NAME=IMAGE")]
    product_image: Vec<Image>,

    /// Run no command.
    #[arg(short = 'x', long)]
    no_command: bool,

    /// Keep what the command prints in the link, up to 16 MiB a stream.
    #[arg(short = 's', long)]
    record_streams: bool,

    /// Write the link in a DSSE envelope.
    #[arg(long)]
    use_dsse: bool,

    /// Kill the command and all that it started after this many seconds. It then cannot read from the terminal.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    run_timeout: Option<u64>,

    /// Write a link although the command failed.
    #[arg(long)]
    record_failure: bool,

    #[command(flatten)]
    recording: recording::Args,

    #[command(flatten)]
    signing: signing::Args,

    #[command(flatten)]
    talk: recording::Talk,
}

/// Runs a step's command and writes its link.
pub(crate) fn run(args: &Args, called: Called) -> anyhow::Result<ExitCode> {
    let name = recording::step_name(args.name.as_deref(), called.spelling("--name", "--step-name"))?;
    let command = args.command()?;
    let folder = args.links_dir.clone().unwrap_or_default();
    let signer = args.signing.signer(called, args.talk)?;
    file::check_writable(&folder)?;
    let options = args.recording.options(called, &[])?;
    if args.records_nothing() {
        args.talk
            .warning("neither --materials nor --products: the link names no artifacts");
    }

    let path = folder.join(name.link_file(&signer.keyid()));
    let started = link::now();
    let materials = recording::artifacts(&args.materials, &args.material_image, &options, args.talk)?;
    let outcome = match args.execute(command) {
        Err(error @ CommandError::Timeout { .. }) if called == Called::Linkgate => {
            crate::terminal::error(error);
            args.warn_of_earlier(&path);
            return Ok(ExitCode::from(124));
        }
        outcome => outcome?,
    };
    let code = outcome.as_ref().map_or(0, |outcome| match called {
        Called::Linkgate => outcome.code(),
        Called::InToto => outcome.code_as_in_toto(),
    });
    if code != 0 && called == Called::Linkgate && !args.record_failure {
        args.talk.warning(format_args!(
            "the command failed with {code}: no link is written (--record-failure writes one)"
        ));
        args.warn_of_earlier(&path);
        return Ok(exit_code(code));
    }
    let products = if args.is_one_look() {
        materials.clone()
    } else {
        recording::artifacts(&args.products, &args.product_image, &options, args.talk)?
    };
    let times = Times {
        started,
        finished: link::now(),
    };
    let signals = match called {
        Called::Linkgate => Signals::AsShells,
        Called::InToto => Signals::AsInToto,
    };
    if let Some(outcome) = &outcome
        && (outcome.stdout.truncated || outcome.stderr.truncated)
    {
        args.talk
            .warning("the command printed more than 16 MiB: the link keeps the beginning of it");
    }
    let byproducts = outcome.map_or_else(|| json!({}), |outcome| link::byproducts(&outcome, signals));
    let payload = link::payload(
        &name,
        command,
        &materials,
        &products,
        byproducts,
        link::environment(times),
    );
    recording::write(&path, &payload, args.use_dsse, &[&*signer])?;
    args.talk.note(
        called,
        format_args!(
            "wrote `{}`: {}, {}",
            path.display(),
            recording::count(materials.len(), "material"),
            recording::count(products.len(), "product")
        ),
    );
    Ok(exit_code(code))
}

impl Args {
    fn command(&self) -> anyhow::Result<&[String]> {
        if self.no_command {
            Ok(&[])
        } else if self.command.is_empty() {
            let message = "no command: put it after `--`, or say --no-command";
            Err(UsageError(message.to_owned()).into())
        } else {
            Ok(&self.command)
        }
    }

    /// Says that the link of an earlier run is still there, where this one writes none.
    fn warn_of_earlier(&self, path: &Path) {
        if path.exists() {
            let shown = path.display();
            self.talk.warning(format_args!(
                "`{shown}` is still there, from an earlier run: remove it if that does not count any more"
            ));
        }
    }

    fn records_nothing(&self) -> bool {
        self.materials.is_empty()
            && self.products.is_empty()
            && self.material_image.is_empty()
            && self.product_image.is_empty()
    }

    /// Whether materials and products are the same files at the same moment: no command runs between them.
    fn is_one_look(&self) -> bool {
        self.no_command && self.materials == self.products && self.material_image == self.product_image
    }

    fn execute(&self, command: &[String]) -> Result<Option<Outcome>, CommandError> {
        if command.is_empty() {
            return Ok(None);
        }
        let options = command::Options {
            streams: if self.record_streams {
                command::Streams::Kept
            } else {
                command::Streams::Passed
            },
            timeout: self.run_timeout.map(Duration::from_secs),
            folder: None,
        };
        command::run(command, options).map(Some)
    }
}

/// The low eight bits, which are what a process can give.
fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(code.to_le_bytes()[0])
}
