//! `linkgate verify`

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant as Stopwatch};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use linkgate_verifier::envelope::Envelope;
use linkgate_verifier::instant::Instant;
use linkgate_verifier::layout::{Layout, Reading};
use linkgate_verifier::limits::{self, Budget};
use linkgate_verifier::parameter::Parameters;
use linkgate_verifier::payload;
use linkgate_verifier::request::{Content, NamedKey, Options, Request, RequestError, Subject, Trust};
use linkgate_verifier::verdict::{self, Answer, Code, Decision, Finding, Undecided};
use linkgate_verifier::verify;

use super::quoted;
use crate::cli::{Called, UsageError};
use crate::evidence::folder;
use crate::file::{self, Mode};
use crate::inspection::{self, Inspected, InspectionError, Place};
use crate::key::PublicKeyFile;
use crate::receipt::{Receipt, Times};
use crate::record::collect::Note;
use crate::record::{hash, link};
use crate::report::names::Names;
use crate::report::text::{self, Detail, Known, SubjectFile};
use crate::runtime::{Arithmetic, Bounds, Judged, Verifier};
use crate::signer::keyring::Keyring;
use crate::signer::pkcs11::{self, Reference};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  linkgate verify --layout root.layout --links-dir links --key owner.pub
      Was everything that the owner's layout demands done, by the right people, untampered?
  linkgate verify -l root.layout -d links -k owner.pub --functionary-key bob.pub carol.pub
      The same; Bob's and Carol's signatures are reported under their names.
  linkgate verify -l root.layout -d links -k owner.pub --subject app=sha256:9f86d0..
      Did this chain also make the artifact of that digest? A file may be named instead.
  linkgate verify -l layout.json -d links --trust-layout --functionary-key builder=bob.pub
      A layout from a trusted place, signed or not, whose `pubkeys` may say `builder`.
  linkgate verify -l root.layout -d links -k owner.pub --format json | jq .findings
      Why was this refused? `linkgate verify --request FILE` replays what --save-request kept.
  linkgate verify -l root.layout -d links -k owner.pub --inspect-dir delivery
      The owner's inspections look at a delivery: they run in a copy of it.

The exit code is 0 for accept, 1 for reject, and 2 where no judgement was possible
(undecided) or the command line is wrong. A gate refuses on all but 0.";

/// Arguments of `linkgate verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// The layout: signed by its owners, or with --trust-layout from a trusted place.
    #[arg(short, long, value_name = "FILE", required_unless_present = "request")]
    layout: Option<PathBuf>,

    /// The folder of links. Every `*.link` in it is read, and in its subfolders those of sublayouts.
    #[arg(
        short = 'd',
        long,
        visible_alias = "link-dir",
        value_name = "DIR",
        default_value = "."
    )]
    links_dir: PathBuf,

    /// Public keys of the layout's owners; each of them must have signed it. Files, or `hsm:LABEL.pub` or `pkcs11:` URIs
    /// for keys in hardware tokens, which then check the signatures themselves.
    #[arg(
        short,
        long,
        visible_alias = "verification-keys",
        visible_alias = "layout-keys",
        value_name = "FILE",
        num_args = 1..,
        required_unless_present_any = ["request", "trust_layout", "gpg"]
    )]
    key: Vec<PathBuf>,

    /// Public keys of functionaries. They name signers in the report; with --trust-layout, `pubkeys` may refer to them
    /// by LABEL, by default the file's stem.
    #[arg(long, value_name = "[LABEL=]FILE", num_args = 1..)]
    functionary_key: Vec<String>,

    /// Believe the layout without asking for an owner's signature. Its `pubkeys` refer to --functionary-key.
    #[arg(long, conflicts_with = "key", requires = "functionary_key")]
    trust_layout: bool,

    /// A value for a parameter `{NAME}` of the layout.
    #[arg(long, value_name = "NAME=VALUE")]
    param: Vec<String>,

    /// What the chain must have made: a digest, or a file to be hashed.
    #[arg(long, value_name = "[NAME=]sha256:HEX|FILE")]
    subject: Vec<String>,

    /// A step whose products may be subjects; the last one if none is named, with what it passed on from others.
    #[arg(long, value_name = "STEP")]
    subject_step: Vec<String>,

    /// The time to judge at, YYYY-MM-DDTHH:MM:SSZ; now if it is not given.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// Also refuse where a warning may hide a hole: a command that differs or failed, an artifact that no rule constrains, an unknown layout field, ..
    #[arg(long)]
    strict: bool,

    /// Leave all signature checks to the component; slower, and the same verdict. No token is asked then.
    #[arg(long)]
    pure: bool,

    /// Judge a request in its JSON form instead, as --save-request wrote it. It says itself whom to trust, so no command that
    /// it names is run, unless --run-inspections is given.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["layout", "key", "functionary_key", "param", "subject", "subject_step", "at", "strict"])]
    request: Option<PathBuf>,

    #[command(flatten)]
    inspecting: Inspecting,

    #[command(flatten)]
    output: Output,

    /// Let the token check every signature by a key that it holds, not only by those that are given as `hsm:LABEL`.
    #[arg(long, help_heading = pkcs11::HEADING, conflicts_with = "pure")]
    hsm_verify: bool,

    #[command(flatten)]
    tokens: pkcs11::Options,

    /// Accepted for in-toto-verify's sake: types are read from the keys.
    #[arg(short = 't', long, value_name = "TYPE", num_args = 1.., hide = true)]
    key_types: Vec<String>,

    /// GPG keys; not supported yet.
    #[arg(short, long, value_name = "ID", num_args = 1.., hide = true)]
    gpg: Vec<String>,

    /// GPG's folder: of no meaning beside a key file.
    #[arg(long, value_name = "DIR", hide = true)]
    gpg_home: Option<PathBuf>,
}

/// How inspections are run.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Inspections")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Inspecting {
    /// The folder that inspections look at: the current one if it is not given. They run in a copy of it, in which links
    /// that lead out of it are what they lead to.
    #[arg(long, value_name = "DIR")]
    inspect_dir: Option<PathBuf>,

    /// Run them in the folder itself, as in-toto-verify does: what they write stays there, and a second verification sees it.
    #[arg(long)]
    inspect_in_place: bool,

    /// Run none. A layout that has any is then undecided.
    #[arg(long)]
    no_inspections: bool,

    /// Run those of sublayouts too: commands of other people than the owners.
    #[arg(long)]
    inspect_sublayouts: bool,

    /// Run the commands that a --request names, if you trust whoever wrote it. Without this none of them is run.
    #[arg(long, conflicts_with = "no_inspections")]
    run_inspections: bool,

    /// How long one may take.
    #[arg(
        long,
        visible_alias = "inspection-timeout",
        value_name = "SECONDS",
        default_value_t = 60
    )]
    inspect_timeout: u64,
}

/// What is written, and where.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
struct Output {
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Write who judged what, when, from which bytes.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,

    /// Write the request in its JSON form, so that it can be judged again anywhere.
    #[arg(long, value_name = "FILE")]
    save_request: Option<PathBuf>,

    /// Also list all warnings and every artifact that no rule constrains.
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,

    /// Say nothing on an accept.
    #[arg(short, long)]
    quiet: bool,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// The answer's JSON form, on one line.
    Json,
}

/// Verifies a supply chain.
pub(crate) fn run(args: &Args, called: Called) -> anyhow::Result<ExitCode> {
    if !args.gpg.is_empty() {
        let option = called.spelling("--key", "--verification-keys");
        return Err(UsageError(format!(
            "GPG keys are not supported yet: give the owners' keys as PEM files with {option}"
        ))
        .into());
    }
    if args.inspecting.run_inspections && args.request.is_none() {
        // clap drops what an option requires where something else stands in that one's way.
        let message = "--run-inspections is for a --request: those of a layout that is given run without it";
        return Err(UsageError(message.to_owned()).into());
    }
    let fetching = Stopwatch::now();
    let mut keys = KeyFiles::read(args)?;
    let mut request = match &args.request {
        Some(path) => match read_request(path)? {
            Ok(request) => request,
            Err(error) => return args.unread(path, error, called),
        },
        None => args.request(&keys)?,
    };
    let fetch = fetching.elapsed();
    let arithmetic = std::mem::take(&mut keys.keyring).arithmetic(args.pure);
    for path in [&args.output.save_request, &args.output.receipt].into_iter().flatten() {
        file::check_output(path)?;
    }
    let verifier = Verifier::load(Bounds::default(), 1)?;
    let judging = Stopwatch::now();
    let mut judged = verifier.verify(&request, &arithmetic);
    let mut known = Known {
        names: keys.names(),
        ..Known::default()
    };
    if args.may_inspect(&judged.answer) {
        match args.inspect(&verifier, &mut request, &arithmetic, &mut known, called) {
            Ok(true) => judged = verifier.verify(&request, &arithmetic),
            Ok(false) => {}
            Err(undecided) => judged.answer = Err(undecided),
        }
    }
    let times = Times {
        fetch,
        judge: judging.elapsed(),
    };
    args.write_files(&request, &judged, times)?;
    known.subjects = args.subject_files(&judged.answer, &request);
    args.print(&judged.answer, &known, called)?;
    args.say_of_inspections(&judged.answer, &known);
    if args.output.format == Format::Text && !args.output.quiet {
        args.advise(&judged.answer, &request, &keys, called);
    }
    // The process ends here, and takes all memory along at once.
    std::mem::forget((verifier, request));
    Ok(exit_code(&judged.answer, called))
}

fn exit_code(answer: &Answer, called: Called) -> ExitCode {
    match (answer, called) {
        (Ok(verdict), _) if verdict.decision == Decision::Accept => ExitCode::SUCCESS,
        // in-toto-verify knows two outcomes: what is undecided did not pass.
        (Ok(_), _) | (Err(_), Called::InToto) => ExitCode::FAILURE,
        (Err(_), Called::Linkgate) => ExitCode::from(2),
    }
}

/// The key files of a command line, read.
struct KeyFiles {
    owners: Vec<PublicKeyFile>,
    functionaries: Vec<PublicKeyFile>,
    keyring: Keyring,
}

impl KeyFiles {
    fn read(args: &Args) -> anyhow::Result<Self> {
        let mut keyring = Keyring::default();
        if args.hsm_verify {
            keyring.add_all(&args.tokens)?;
        }
        let mut owners = Vec::new();
        for path in &args.key {
            owners.extend(keyring.read(path, &args.tokens)?);
        }
        let mut functionaries = Vec::new();
        for argument in &args.functionary_key {
            let (label, path) = match argument.split_once('=') {
                Some((label, path)) if !Reference::is_meant(label) => (Some(label), path),
                _ => (None, argument.as_str()),
            };
            let read = keyring.read(path.as_ref(), &args.tokens)?;
            functionaries.extend(read.into_iter().map(|key| PublicKeyFile {
                label: label.map_or_else(|| key.label.clone(), str::to_owned),
                ..key
            }));
        }
        Ok(Self {
            owners,
            functionaries,
            keyring,
        })
    }

    fn names(&self) -> Names {
        Names::of(self.owners.iter().chain(&self.functionaries))
    }
}

impl Args {
    fn request(&self, keys: &KeyFiles) -> anyhow::Result<Request> {
        let layout = self.layout.as_deref().context("no layout is given")?;
        let content =
            folder::read_file(layout).with_context(|| format!("cannot read the layout `{}`", layout.display()))?;
        let evidence = folder::read(&self.links_dir, limits::TOTAL_BYTES + 1)?;
        for path in evidence.empty {
            terminal::warning(format_args!("`{}` holds no link and is passed over", path.display()));
        }
        Ok(Request {
            layout: Content(content),
            trust: if self.trust_layout {
                let named = keys.functionaries.iter().map(|file| NamedKey {
                    label: file.label.clone(),
                    key: file.request_key(),
                });
                Trust::Asserted(named.collect())
            } else {
                Trust::SignedBy(keys.owners.iter().map(PublicKeyFile::request_key).collect())
            },
            documents: evidence.documents,
            inspections: Vec::new(),
            parameters: parameters(&self.param)?,
            subjects: self
                .subject
                .iter()
                .map(|text| subject(text))
                .collect::<anyhow::Result<_>>()?,
            options: Options {
                strict: self.strict,
                subject_steps: self.subject_step.clone(),
                summary_link: false,
            },
            now: self.now()?.0,
        })
    }

    fn now(&self) -> anyhow::Result<Instant> {
        match &self.at {
            None => Ok(link::now()),
            Some(text) => Instant::parse(text)
                .ok_or_else(|| UsageError(format!("--at `{text}` is not a real YYYY-MM-DDTHH:MM:SSZ")).into()),
        }
    }

    /// Whether nothing but inspections keeps the chain from being judged. On one that is rejected already, none is run.
    fn may_inspect(&self, answer: &Answer) -> bool {
        !self.inspecting.no_inspections && !self.runs_nothing() && lacks_only_inspections(answer)
    }

    /// Whether no command is run because a file names it, and with it the owners whose word it would be run on.
    fn runs_nothing(&self) -> bool {
        self.request.is_some() && !self.inspecting.run_inspections
    }

    /// Runs the inspections that the trusted layouts demand; says whether there is any new result, or why the layouts can
    /// no longer be trusted: a token may have been taken away since.
    fn inspect(
        &self,
        verifier: &Verifier,
        request: &mut Request,
        arithmetic: &Arithmetic,
        known: &mut Known,
        called: Called,
    ) -> Result<bool, Box<Undecided>> {
        let requirements = verifier.plan(request, arithmetic).answer?;
        let wanted: Vec<_> = requirements
            .inspections
            .into_iter()
            .filter(|inspection| inspection.at.is_empty() || self.inspecting.inspect_sublayouts)
            .collect();
        if wanted.is_empty() {
            return Ok(false);
        }
        let folder = self.inspecting.inspect_dir.as_deref().unwrap_or(Path::new("."));
        // in-toto-verify runs them where it stands.
        let place = if self.inspecting.inspect_in_place || called == Called::InToto {
            Place::Folder
        } else {
            known.copied = Some(folder.display().to_string());
            Place::Copy
        };
        let limit = Duration::from_secs(self.inspecting.inspect_timeout);
        let before = request.inspections.len();
        for (name, result) in inspection::run(&wanted, folder, place, limit) {
            match result {
                Ok(Inspected {
                    result, output, notes, ..
                }) => {
                    if called == Called::Linkgate && !self.output.quiet {
                        passed_over(&name, &notes);
                    }
                    let place = [result.at.as_slice(), &[name]].concat();
                    known.outputs.insert(place, output);
                    request.inspections.push(result);
                }
                Err(error) => no_result(&name, &error, known.copied.as_deref()),
            }
        }
        Ok(request.inspections.len() > before)
    }

    /// Says what became of inspections where the answer does not.
    fn say_of_inspections(&self, answer: &Answer, known: &Known) {
        if self.runs_nothing() && !self.inspecting.no_inspections && lacks_only_inspections(answer) {
            terminal::note(
                "No command that a request from a file names is run. If you trust whoever wrote it, --run-inspections runs them.",
            );
        }
        if self.output.format == Format::Json
            && !self.output.quiet
            && let Some(said) = text::in_a_copy(answer, known)
        {
            terminal::note(said);
        }
    }

    fn write_files(&self, request: &Request, judged: &Judged<Answer>, times: Times) -> anyhow::Result<()> {
        if let Some(path) = &self.output.save_request {
            file::write(path, serde_json::to_string(request)?.as_bytes(), Mode::Public)?;
        }
        if let Some(path) = &self.output.receipt {
            let receipt = Receipt::new(request, judged, link::now(), times)?;
            let mut text = serde_json::to_string_pretty(&receipt)?;
            text.push('\n');
            file::write(path, text.as_bytes(), Mode::Public)?;
        }
        Ok(())
    }

    /// Ends with what is no request. Whoever reads JSON gets the verifier's answer, as every host of it gives it.
    fn unread(&self, path: &Path, error: RequestError, called: Called) -> anyhow::Result<ExitCode> {
        if self.output.format != Format::Json {
            return Err(error).with_context(|| format!("`{}`", path.display()));
        }
        let answer = Err(verify::unread(&error));
        self.print(&answer, &Known::default(), called)?;
        Ok(exit_code(&answer, called))
    }

    fn print(&self, answer: &Answer, known: &Known, called: Called) -> anyhow::Result<()> {
        let mut out = anstream::stdout().lock();
        if self.output.format == Format::Json {
            writeln!(out, "{}", verdict::to_json(answer))?;
            return Ok(out.flush()?);
        }
        match (called, self.output.verbose, self.output.quiet) {
            (_, true, _) => text::write(&mut out, answer, known, Detail::Verbose)?,
            (Called::Linkgate, _, true) => text::write(&mut out, answer, known, Detail::Quiet)?,
            (Called::Linkgate, ..) => text::write(&mut out, answer, known, Detail::Usual)?,
            // in-toto-verify is silent about an accept, and with --quiet about all; what it has to say is an error.
            (Called::InToto, _, true) => {}
            (Called::InToto, ..) => {
                commands_that_differ(answer);
                text::write(&mut anstream::stderr(), answer, known, Detail::Quiet)?;
            }
        }
        Ok(out.flush()?)
    }

    /// Says what command would be right where every given key is a functionary's and none signed the layout, as in
    /// tutorials that pass the functionaries' keys.
    fn advise(&self, answer: &Answer, request: &Request, keys: &KeyFiles, called: Called) {
        let unsigned = match answer {
            Ok(verdict) => {
                verdict.decision == Decision::Reject
                    && verdict
                        .findings
                        .iter()
                        .all(|finding| finding.code == Code::LayoutSignatureMissing)
            }
            // A bare layout, without an envelope, is signed by nobody either.
            Err(undecided) => undecided.code == Code::LayoutMalformed,
        };
        if self.request.is_some() || self.trust_layout || !unsigned || !Self::all_functionaries(request, keys) {
            return;
        }
        let files = self.key.iter().map(|path| path.display().to_string());
        let files: Vec<String> = files.chain(self.functionary_key.iter().cloned()).collect();
        let (first, last) = (self.words_before_keys(called), self.words_after_keys());
        let option = called.spelling("--key", "--verification-keys");
        let command = |owners: &str| format!("{first} {owners} --functionary-key {}{last}", quoted(&files));
        for line in [
            format!(
                "None of these keys signed the layout: they are keys of its functionaries, whom the layout itself names. {option} takes"
            ),
            "the keys of the layout's owners:".to_owned(),
            format!("  {}", command(&format!("{option} OWNER.pub"))),
            "If the layout comes from a place that you trust as it is:".to_owned(),
            format!("  {}", command("--trust-layout")),
        ] {
            terminal::note(line);
        }
    }

    fn words_before_keys(&self, called: Called) -> String {
        let layout = self.layout.as_deref().unwrap_or(Path::new("")).display().to_string();
        let links = self.links_dir.display().to_string();
        let folder = called.spelling("--links-dir", "--link-dir");
        let options = quoted(["--layout", &layout, folder, &links]);
        format!("{} {options}", called.verb("verify"))
    }

    /// What else decides the verdict, as it was given.
    fn words_after_keys(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        let repeated = [
            ("--param", &self.param),
            ("--subject", &self.subject),
            ("--subject-step", &self.subject_step),
        ];
        for (option, values) in repeated {
            words.extend(values.iter().flat_map(|value| [option.to_owned(), value.clone()]));
        }
        words.extend(self.at.iter().flat_map(|at| ["--at".to_owned(), at.clone()]));
        let folder = self.inspecting.inspect_dir.iter();
        words.extend(folder.flat_map(|folder| ["--inspect-dir".to_owned(), folder.display().to_string()]));
        let flags = [
            ("--strict", self.strict),
            ("--no-inspections", self.inspecting.no_inspections),
            ("--inspect-in-place", self.inspecting.inspect_in_place),
            ("--inspect-sublayouts", self.inspecting.inspect_sublayouts),
        ];
        words.extend(
            flags
                .iter()
                .filter(|(_, given)| *given)
                .map(|(flag, _)| (*flag).to_owned()),
        );
        if words.is_empty() {
            String::new()
        } else {
            format!(" {}", quoted(&words))
        }
    }

    /// The files among the subjects, with what the links record under their names. Only for advice: it decides nothing.
    fn subject_files(&self, answer: &Answer, request: &Request) -> BTreeMap<String, SubjectFile> {
        let is_missed = |finding: &Finding| finding.code == Code::SubjectNotFound;
        if !answer
            .as_ref()
            .is_ok_and(|verdict| verdict.findings.iter().any(is_missed))
        {
            return BTreeMap::new();
        }
        let steps = match self.subject_step.as_slice() {
            [] => layout_of(request)
                .and_then(|layout| layout.steps.last().map(|step| step.name.clone()))
                .into_iter()
                .collect(),
            steps => steps.to_vec(),
        };
        let files = self
            .subject
            .iter()
            .zip(&request.subjects)
            .filter_map(|(text, subject)| {
                // A digest was given as one; only a file's name says more.
                let is_file = subject.name.is_none() && digest_of(text).is_none();
                let digest = subject.digests.get("sha256").filter(|_| is_file)?;
                let file = SubjectFile {
                    path: text.clone(),
                    recorded: recorded(request, &steps, Path::new(text)),
                };
                Some((format!("sha256:{digest}"), file))
            });
        files.collect()
    }

    /// Whether each of the owners' keys may sign a step. Only for advice: it decides nothing.
    fn all_functionaries(request: &Request, keys: &KeyFiles) -> bool {
        let Some(layout) = layout_of(request) else {
            return false;
        };
        keys.owners.iter().all(|file| {
            let mut authorised = layout.steps.iter().flat_map(|step| &step.authorised);
            authorised.any(|authorised| authorised.key.material() == file.key.material())
        })
    }
}

/// Whether a chain is undecided for want of results of inspections, and of nothing else.
fn lacks_only_inspections(answer: &Answer) -> bool {
    answer.as_ref().is_err_and(|undecided| {
        let mut reasons = undecided.reasons.iter();
        reasons.all(|reason| reason.code == Code::InspectionNotRun)
    })
}

/// Says why an inspection has no result, and that it is another thing in the folder itself if it ran in a copy.
fn no_result(name: &str, error: &InspectionError, copied: Option<&str>) {
    let hint = match (copied, error) {
        (None, _) | (_, InspectionError::Interrupted) => String::new(),
        (Some(folder), _) => {
            format!(" (it was to run in a copy of `{folder}`; --inspect-in-place runs it in the folder itself)")
        }
    };
    terminal::warning(format_args!("inspection `{name}` gave no result: {error}{hint}"));
}

/// Says what an inspection did not record.
fn passed_over(name: &str, notes: &BTreeSet<Note>) {
    const SHOWN: usize = 5;
    for note in notes.iter().take(SHOWN) {
        terminal::warning(format_args!("inspection `{name}`: {note}"));
    }
    if notes.len() > SHOWN {
        terminal::warning(format_args!(
            "inspection `{name}`: and {} more are not recorded",
            notes.len() - SHOWN
        ));
    }
}

/// The layout of a request, if it can be read: for advice.
fn layout_of(request: &Request) -> Option<Layout> {
    let layout = &request.layout.0;
    let envelope = Envelope::parse(layout).or_else(|_| Envelope::bare(layout)).ok()?;
    let parameters = Parameters::new(request.parameters.clone());
    let reading = Reading {
        parameters: &parameters,
        root: true,
        asserted: None,
        budget: &Budget::default(),
    };
    payload::layout(&envelope, reading).ok().map(|(layout, _)| layout)
}

/// What links of these steps say that an artifact of a file's name is.
fn recorded(request: &Request, steps: &[String], file: &Path) -> Vec<String> {
    let names: Vec<&str> = [Some(file), file.file_name().map(Path::new)]
        .into_iter()
        .filter_map(|name| name?.to_str())
        .collect();
    let mut recorded = BTreeSet::new();
    for document in &request.documents {
        let Ok(envelope) = Envelope::parse(&document.content.0) else {
            continue;
        };
        let Ok((link, _)) = payload::link(&envelope) else {
            continue;
        };
        if !steps.iter().any(|step| *step == link.name) {
            continue;
        }
        let products = link.products.as_slice().iter();
        for product in products.filter(|product| names.contains(&&*product.name)) {
            for digest in product.digests.iter() {
                recorded.insert(format!(
                    "{}:{}, as `{}` of step '{}'",
                    digest.algorithm, digest.value, product.name, link.name
                ));
            }
        }
    }
    recorded.into_iter().collect()
}

/// Says which commands were not those that the layout expects, as in-toto-verify does on an accept too.
fn commands_that_differ(answer: &Answer) {
    let warnings = match answer {
        Ok(verdict) => &verdict.warnings,
        Err(undecided) => &undecided.warnings,
    };
    for warning in warnings.iter().filter(|warning| warning.code == Code::CommandDiffers) {
        terminal::note(format_args!(
            "Run command '{}' differs from expected command '{}'",
            warning.found.as_deref().unwrap_or_default(),
            warning.expected.as_deref().unwrap_or_default()
        ));
    }
}

fn read_request(path: &Path) -> anyhow::Result<Result<Request, RequestError>> {
    let text = fs::read(path).with_context(|| format!("cannot read the request `{}`", path.display()))?;
    Ok(Request::from_json(text))
}

fn parameters(texts: &[String]) -> Result<BTreeMap<String, String>, UsageError> {
    let mut parameters = BTreeMap::new();
    for text in texts {
        let Some((name, value)) = text.split_once('=') else {
            return Err(UsageError(format!("--param `{text}` is not NAME=VALUE")));
        };
        if parameters.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(UsageError(format!("--param gives two values for `{name}`")));
        }
    }
    Ok(parameters)
}

/// `[NAME=]ALGORITHM:HEX`, or a file.
fn subject(text: &str) -> anyhow::Result<Subject> {
    let (name, digest) = match text.split_once('=') {
        Some((name, digest)) if digest_of(digest).is_some() => (Some(name.to_owned()), digest),
        _ => (None, text),
    };
    let digests = match digest_of(digest) {
        Some((algorithm, value)) => {
            let digits = match algorithm {
                "sha256" => 64,
                "sha384" => 96,
                _ => 128,
            };
            if value.len() != digits || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let message = format!("--subject `{text}`: a {algorithm} has {digits} hexadecimal digits");
                bail!(UsageError(message));
            }
            [(algorithm.to_owned(), value.to_ascii_lowercase())].into()
        }
        None if Path::new(text).is_file() => {
            let digest = hash::file(Path::new(text), hash::Content::Exact)?;
            [("sha256".to_owned(), digest.to_string())].into()
        }
        None => bail!(UsageError(format!(
            "--subject `{text}` is neither [NAME=]sha256:HEX nor a file"
        ))),
    };
    Ok(Subject { name, digests })
}

fn digest_of(text: &str) -> Option<(&str, &str)> {
    text.split_once(':')
        .filter(|(algorithm, _)| matches!(*algorithm, "sha256" | "sha384" | "sha512"))
}
