//! `linkgate serve`

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::cli::UsageError;
use crate::evidence::registry::{self, Registry};
use crate::evidence::store;
use crate::file::{self, Mode};
use crate::gate::context::Context;
use crate::gate::face::Face;
use crate::gate::log;
use crate::gate::server::{self, Listening};
use crate::gate::tls::{Certificates, SelfSigned};
use crate::gate::{Asked, Blobs, Deadline, Gate, Settings, Ungoverned, self_test, verdicts};
use crate::memory::Memory;
use crate::runtime::{Arithmetic, Bounds, Verifier};
use crate::signer::pkcs11;
use crate::{interrupt, terminal};

const EXAMPLES: &str = "\
Examples:
  linkgate serve --policies policies --self-signed gate.example,127.0.0.1
      Try it out: a certificate is made, and the caBundle that callers need is printed.
  linkgate serve --policies /policies --tls-cert tls.crt --tls-key tls.key
      As in a cluster. Policies, all that they name, and certificates are read anew when their files change, and at SIGHUP.
  linkgate serve --policies policies --check registry.example/app@sha256:9f86d0..
      Are the policies sound, and what would be decided on this image? Nothing listens.
  curl --cacert ca.pem https://127.0.0.1:8443/v1/verify -d '{\"image\": \"registry.example/app@sha256:9f86d0..\"}'
      Ask a gate. A caller denies unless `allowed` is true.

With --check the exit code is 0 if all images are allowed, 1 if one is refused, and 2 where one could
not be judged or a policy is broken.";

/// Arguments of `linkgate serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder of policies: `*.yaml` files in it and in the folders in it, with the layouts and keys that they name.
    #[arg(long, value_name = "DIR")]
    policies: PathBuf,

    /// What happens to artifacts that no policy governs.
    #[arg(long, value_enum, default_value_t = Ungoverned::Deny)]
    ungoverned: Ungoverned,

    /// Validate the policies, say what would be decided on these images, and end.
    #[arg(long, value_name = "IMAGE", num_args = 0..)]
    check: Option<Vec<String>>,

    /// The namespace that --check asks about.
    #[arg(long, value_name = "NAME", default_value = "", requires = "check")]
    namespace: String,

    /// Offer a page for people at `/`: policies and the last decisions. It tells whoever can reach it.
    #[arg(long)]
    page: bool,

    /// How log lines are written, to standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,

    /// Which log lines: `error`, `warn`, `info`, `debug`, or a filter of the crate tracing-subscriber.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,

    #[command(flatten)]
    listening: ListeningArgs,

    #[command(flatten)]
    load: LoadArgs,

    #[command(flatten)]
    registries: registry::Options,

    #[command(flatten)]
    tokens: pkcs11::Options,
}

/// Where it listens.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Listening")]
struct ListeningArgs {
    /// The address of its HTTPS listener.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,

    /// The certificate chain, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Its private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Make a certificate for these host names and addresses, and print the caBundle that callers need.
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "tls_cert")]
    self_signed: Vec<String>,

    /// Keep what --self-signed makes in this folder (tls.crt, tls.key, ca.crt), and use it again if it is there.
    #[arg(long, value_name = "DIR", requires = "self_signed")]
    tls_dir: Option<PathBuf>,

    /// Only answer clients with a certificate by one of these authorities, in PEM. Probes need one too.
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,

    /// Answer whole requests (layout, keys, links and time chosen by the caller) at `/v1/verify` on this second address.
    #[arg(long, value_name = "ADDR")]
    request_listen: Option<SocketAddr>,

    /// How often the files of policies, of all that they name, and of certificates are looked at, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    reload_interval: f64,

    /// How long requests under way may take after SIGTERM, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 25.0)]
    drain: f64,
}

/// How much is taken on.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Load")]
struct LoadArgs {
    /// How long a decision may take, in seconds. A caller's `?timeout=` shortens it.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    timeout: f64,

    /// Verifications at once; as many as there are processors if it is not given.
    #[arg(long, value_name = "COUNT")]
    verifications: Option<u32>,

    /// Verifications that may wait. One more is answered with 503 and Retry-After.
    #[arg(long, value_name = "COUNT", default_value_t = 1024)]
    queue: u32,

    /// MiB of memory that one verification may take. Those that take as much come one after another.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: u32,

    /// MiB of links that one artifact may have.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    evidence: u32,

    /// Memory for all that others send, such as `256MiB`: links and listings that are fetched, wait, are judged or are kept, and
    /// bodies of requests and answers. Where there is no room, what is only kept goes, and then requests get 503 and
    /// Retry-After. An eighth of it is left to small ones. Beside it are the memories of the verifier: once --memory, and
    /// 16 MiB for each further verification at once.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    evidence_memory: u64,

    /// MiB of links that are kept in memory, within --evidence-memory.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    evidence_cache: u32,

    /// How long it is believed which links a source has, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    listing_ttl: f64,

    /// How long it is believed that there are none, or that a chain was not accepted, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    negative_ttl: f64,

    /// How long an accept is kept at most, in seconds; never longer than it holds. 0: every question is judged anew.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0)]
    verdict_ttl: f64,

    /// MiB of verdicts that are kept.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    verdict_cache: u32,

    /// How long the blobs of an image may be pulled through Envoy after its manifest was allowed, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    pull_window: f64,

    /// Which blobs may be pulled through Envoy.
    #[arg(long, value_enum, default_value_t = Blobs::Allowed)]
    pull_blobs: Blobs,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// An object a line.
    Json,
    /// For people.
    Text,
}

/// Serves, or checks policies.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.start_log()?;
    if args.check.is_none() {
        // From here on, before the listener that reloads at it, no SIGHUP ends the process.
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::default()).context("cannot wait for SIGHUP")?;
    }
    let settings = args.settings()?;
    let bounds = Bounds {
        memory: usize::try_from(args.load.memory)? << 20,
        deadline: settings.timeout,
    };
    // One more than judge at once: policies are read meanwhile.
    let instances = u32::try_from(settings.verifications)?.max(2).saturating_add(1);
    let verifier = Arc::new(Verifier::load(bounds, instances)?);
    self_test::run(&verifier, &Arithmetic::Native)?;
    let memory = Memory::new(args.load.evidence_memory);
    let context = Context {
        verifier,
        registry: Arc::new(Registry::new(&args.registries, memory.clone())?),
        tokens: args.tokens.clone(),
        evidence: usize::try_from(settings.evidence.most)?,
        memory,
    };
    let gate = Arc::new(Gate::new(settings, context)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Beside the verifier's threads, each source may keep some that wait for its disk.
        .max_blocking_threads(2048)
        .build()
        .context("cannot start threads")?;
    let code = if let Some(images) = &args.check {
        runtime.block_on(args.check(&gate, images))
    } else {
        let listening = args.listening()?;
        // The server ends in its own way.
        let _server = interrupt::left_to_others();
        let served = runtime.block_on(server::serve(gate, listening, |address| {
            terminal::note(format_args!("linkgate listens on https://{address}"));
        }));
        served.map(|()| ExitCode::SUCCESS).map_err(Into::into)
    };
    // A disk that does not answer keeps a thread, not the process.
    runtime.shutdown_background();
    code
}

impl Args {
    fn start_log(&self) -> anyhow::Result<()> {
        let level = if self.check.is_some() { "error" } else { &self.log_level };
        let filter = EnvFilter::try_new(level)
            .map_err(|error| UsageError(format!("--log-level `{level}` is no filter: {error}")))?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            // Nobody may read the log any more. That is no reason to answer nothing.
            .log_internal_errors(false)
            .with_writer(log::writer(self.log_format == LogFormat::Json));
        match self.log_format {
            LogFormat::Json => lines
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false)
                .init(),
            LogFormat::Text => lines.init(),
        }
        Ok(())
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let load = &self.load;
        let timeout = seconds("--timeout", load.timeout)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let verifications = match load.verifications {
            Some(0) => return Err(UsageError("--verifications 0 would answer nothing".to_owned()).into()),
            Some(count) => usize::try_from(count)?,
            None => processors,
        };
        let negative = seconds("--negative-ttl", load.negative_ttl)?;
        Ok(Settings {
            policies: self.policies.clone(),
            ungoverned: self.ungoverned,
            timeout,
            verifications,
            queue: usize::try_from(load.queue)?,
            evidence: store::Keeping {
                listing: seconds("--listing-ttl", load.listing_ttl)?,
                negative,
                bytes: mebibytes(load.evidence_cache),
                most: mebibytes(load.evidence),
                // Whoever asks again finds what a fetch brought that took longer than a caller waits.
                patience: timeout.saturating_mul(3),
            },
            verdicts: verdicts::Keeping {
                accept: seconds("--verdict-ttl", load.verdict_ttl)?,
                negative,
                bytes: mebibytes(load.verdict_cache),
            },
            pull_window: seconds("--pull-window", load.pull_window)?,
            blobs: load.pull_blobs,
            page: self.page,
        })
    }

    fn listening(&self) -> anyhow::Result<Listening> {
        let listening = &self.listening;
        let certificates = match (
            &listening.tls_cert,
            &listening.tls_key,
            listening.self_signed.as_slice(),
        ) {
            (Some(chain), Some(key), _) => Certificates::Files {
                chain: chain.clone(),
                key: key.clone(),
            },
            (_, _, []) => {
                return Err(UsageError(
                    "the gate answers over HTTPS alone: give --tls-cert and --tls-key, or --self-signed NAME to try it out"
                        .to_owned(),
                )
                .into());
            }
            (_, _, names) => self_signed(names, listening.tls_dir.as_deref())?,
        };
        Ok(Listening {
            address: listening.listen,
            whole_requests: listening.request_listen,
            certificates,
            clients: listening.client_ca.clone(),
            reload: seconds("--reload-interval", listening.reload_interval)?.max(Duration::from_millis(50)),
            drain: seconds("--drain", listening.drain)?,
        })
    }

    /// Lists the policies, and what would be decided.
    async fn check(&self, gate: &Arc<Gate>, images: &[String]) -> anyhow::Result<ExitCode> {
        for policy in &gate.policies().all {
            let governed = [&policy.images, &policy.artifacts]
                .into_iter()
                .flat_map(|patterns| patterns.written.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(", ");
            let sources: Vec<String> = policy.sources.iter().map(|source| source.name()).collect();
            let expires = policy
                .expires
                .map_or_else(|| "never expires".to_owned(), |expires| format!("expires {expires}"));
            terminal::print(format_args!(
                "policy {} ({}): {governed}; layout {} {expires}; evidence: {}",
                policy.name,
                policy.mode.name(),
                policy.layout_file.display(),
                sources.join(", ")
            ))?;
        }
        for advice in gate.policies().all.iter().flat_map(|policy| policy.advice()) {
            terminal::warning(advice);
        }
        let mut code = 0;
        for image in images {
            let asked = Asked::Image(image.clone());
            let decision = gate
                .decide(
                    &asked,
                    &self.namespace,
                    Face::Check,
                    Deadline::after(gate.settings().timeout),
                )
                .await;
            let word = if decision.allowed { "allow" } else { "deny" };
            terminal::print(format_args!("{word} [{}] {}", decision.reason, decision.message))?;
            for warning in &decision.warnings {
                terminal::warning(warning);
            }
            let outcome = match (decision.allowed, decision.outcome) {
                (true, _) => 0,
                (false, crate::gate::decision::Outcome::Undecided) => 2,
                (false, _) => 1,
            };
            code = code.max(outcome);
        }
        Ok(ExitCode::from(code))
    }
}

/// Certificates that are made here, and printed for those who are to trust them.
fn self_signed(names: &[String], folder: Option<&Path>) -> anyhow::Result<Certificates> {
    let (authority, certificates) = match folder {
        None => {
            let made = SelfSigned::make(names)?;
            (made.authority.clone(), Certificates::Made(Arc::new(made)))
        }
        Some(folder) => {
            let path = |name: &str| folder.join(name);
            if !path("tls.crt").exists() {
                let made = SelfSigned::make(names)?;
                file::make_folder(folder)?;
                file::write(&path("ca.crt"), made.authority.as_bytes(), Mode::Public)?;
                file::write(&path("tls.key"), made.key_pem().as_bytes(), Mode::Private)?;
                file::write(&path("tls.crt"), made.chain_pem().as_bytes(), Mode::Public)?;
            }
            let authority = fs::read_to_string(path("ca.crt"))
                .with_context(|| format!("cannot read `{}`", path("ca.crt").display()))?;
            let certificates = Certificates::Files {
                chain: path("tls.crt"),
                key: path("tls.key"),
            };
            (authority, certificates)
        }
    };
    terminal::print_all(authority.lines())?;
    terminal::note("standard output has the certificate that callers trust; as `caBundle` in base64:");
    terminal::note(STANDARD.encode(&authority));
    Ok(certificates)
}

fn seconds(option: &str, seconds: f64) -> Result<Duration, UsageError> {
    Duration::try_from_secs_f64(seconds).map_err(|_| UsageError(format!("{option} {seconds} is no length of time")))
}

/// The least memory with which a gate answers anything.
const LEAST_MEMORY: u64 = 8 << 20;

/// A size as Kubernetes and people write it: `256MiB`, `1GiB`.
fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let parsed = units.into_iter().find_map(|(unit, power)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(1 << power)
    });
    match parsed {
        Some(bytes) if bytes >= LEAST_MEMORY => Ok(bytes),
        Some(_) => Err(format!("at least {} MiB are needed", LEAST_MEMORY >> 20)),
        None => Err("a number and KiB, MiB or GiB are expected: `256MiB`".to_owned()),
    }
}

fn mebibytes(count: u32) -> u64 {
    u64::from(count) << 20
}
