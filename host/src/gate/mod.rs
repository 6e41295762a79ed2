//! The gate: may this artifact run, or be pulled?
//!
//! Callers name artifacts. Layouts, keys and the time are the gate's own, and evidence is fetched by it: so nobody who asks
//! can choose what is believed. Every answer is a verdict of the embedded component; this code brings it what it judges,
//! keeps answers for as long as they hold, and says them in the words of whoever asked.

mod allowed;
pub mod context;
pub mod decision;
pub mod face;
mod judge;
pub mod log;
pub mod metrics;
pub mod patterns;
pub mod policies;
pub mod policy;
pub mod queue;
pub mod recent;
pub mod self_test;
pub mod server;
pub mod template;
pub mod tls;
pub mod verdicts;
pub mod watched;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::stream::{self, StreamExt as _};
use linkgate_image::{Image, ImageError, ManifestDigest};
use linkgate_verifier::request::Subject;
use linkgate_verifier::verdict::shown;
use moka::future::Cache;

use crate::evidence::store::{self, Store};
use crate::evidence::{About, SourceError};
use crate::memory::Memory;
use crate::runtime::{COMPONENT, Verifier};
use crate::signer::keyring::Asks;
use crate::terminal::harmless;
use allowed::Allowed;
use context::Context;
use decision::{Decision, Reason};
use face::{Face, Room};
use metrics::Metrics;
use policies::{Policies, PoliciesError};
use policy::Governed;
use queue::Queue;
use recent::Recent;
use verdicts::Verdicts;

/// What happens to artifacts that no policy governs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Ungoverned {
    /// They are refused.
    #[default]
    Deny,
    /// They pass.
    Allow,
}

/// Which blobs may be pulled through Envoy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Blobs {
    /// Those of an image that this gate allowed shortly before.
    #[default]
    Allowed,
    /// Those of every repository that a policy governs: gates that share the load then need not know what another one
    /// allowed. A client has a blob's digest from a manifest that was allowed, or from elsewhere.
    Any,
}

/// How a gate is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of policies.
    pub policies: PathBuf,
    /// What no policy governs.
    pub ungoverned: Ungoverned,
    /// How long a caller waits who does not say how long.
    pub timeout: Duration,
    /// Verifications at once.
    pub verifications: usize,
    /// Verifications that wait.
    pub queue: usize,
    /// How evidence is kept.
    pub evidence: store::Keeping,
    /// How verdicts are kept.
    pub verdicts: verdicts::Keeping,
    /// How long the parts of an image may be pulled after it was allowed.
    pub pull_window: Duration,
    /// Which blobs may be pulled.
    pub blobs: Blobs,
    /// Whether there is a page for people.
    pub page: bool,
}

/// What images consist of that are indexes, and which registries did not say so just now.
type Indexes = Cache<Image, Result<Arc<Vec<ManifestDigest>>, SourceError>>;

/// How many of them are kept, and how long: a burst asks once.
const INDEXES: u64 = 10_000;
const REMEMBERED: Duration = Duration::from_secs(2);

/// The gate.
pub struct Gate {
    settings: Settings,
    context: Context,
    policies: ArcSwap<Policies>,
    /// Why the policies on the disk are not those in force, if they are not.
    broken: Mutex<Option<String>>,
    verifier: Arc<Verifier>,
    /// The digest of the component.
    component: String,
    /// Memory for all that others send.
    memory: Memory,
    store: Arc<Store>,
    verdicts: Verdicts,
    queue: Queue,
    room: Room,
    metrics: Arc<Metrics>,
    recent: Recent,
    allowed: Allowed,
    indexes: Indexes,
}

/// How many artifacts of one question are decided on at once.
const ABREAST: usize = 16;

/// When a caller goes away, however many artifacts it asked about.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: tokio::time::Instant,
    budget: Duration,
}

impl Deadline {
    /// So much later than now.
    pub fn after(budget: Duration) -> Self {
        Self {
            at: tokio::time::Instant::now() + budget,
            budget,
        }
    }

    /// What is done in time, or nothing.
    pub async fn bound<T>(self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at(self.at, work).await.ok()
    }

    /// How long the caller waits in all, in seconds.
    pub fn seconds(self) -> f32 {
        self.budget.as_secs_f32()
    }
}

/// What is asked about.
#[derive(Clone, Debug)]
pub enum Asked {
    /// An image, as a caller wrote it.
    Image(String),
    /// An artifact that is no image.
    Artifact(Subject),
}

impl Gate {
    /// A gate with the policies of its folder.
    pub fn new(settings: Settings, context: Context) -> Result<Self, PoliciesError> {
        let policies = Policies::load(&settings.policies, &context)?;
        let metrics = Arc::new(Metrics::default());
        metrics.policies(policies.all.len());
        advise(&policies);
        Ok(Self {
            policies: ArcSwap::from_pointee(policies),
            broken: Mutex::new(None),
            verifier: Arc::clone(&context.verifier),
            component: crate::record::hash::Digest::of(COMPONENT).to_string(),
            store: Store::new(settings.evidence, &context.memory),
            memory: context.memory.clone(),
            verdicts: Verdicts::new(settings.verdicts),
            room: Room::new(&context.memory),
            queue: Queue::new(settings.verifications, settings.queue, context.verifier.bounds().memory),
            metrics,
            recent: Recent::default(),
            allowed: Allowed::new(settings.pull_window),
            indexes: Cache::builder().max_capacity(INDEXES).time_to_live(REMEMBERED).build(),
            settings,
            context,
        })
    }

    /// Decides on what a caller named, in the time that the caller has.
    pub async fn decide(self: &Arc<Self>, asked: &Asked, namespace: &str, face: Face, until: Deadline) -> Decision {
        let shown = asked.shown();
        let decided = until.bound(self.decide_at_leisure(asked, &shown, namespace)).await;
        let decision = decided.unwrap_or_else(|| {
            let message = format!("{shown}: no answer within {} s", until.seconds());
            Decision::refused(shown, String::new(), Reason::Timeout, &message)
        });
        self.metrics.decided(face, &decision);
        self.metrics.queue(self.queue.waiting());
        if self.settings.page {
            self.recent.add(face, &decision);
        }
        tracing::info!(
            face = face.name(),
            subject = decision.subject,
            namespace = decision.namespace,
            allowed = decision.allowed,
            outcome = decision.outcome.name(),
            reason = decision.reason.name(),
            why = decision.message,
            answers = ?decision.policies.iter().filter_map(|policy| policy.answer_sha256.as_deref()).collect::<Vec<_>>(),
            "decision"
        );
        decision
    }

    /// Decides on each of several, some of them at once, in their order.
    pub async fn decide_all(
        self: &Arc<Self>,
        asked: Vec<Asked>,
        namespace: &str,
        face: Face,
        until: Deadline,
    ) -> Vec<Decision> {
        stream::iter(asked)
            .map(|asked| async move { self.decide(&asked, namespace, face, until).await })
            .buffered(ABREAST)
            .collect()
            .await
    }

    async fn decide_at_leisure(&self, asked: &Asked, shown: &str, namespace: &str) -> Decision {
        let refused = |reason, message: String| {
            let message = format!("{shown}: {message}");
            let namespace = if is_namespace(namespace) { namespace } else { "" };
            Decision::refused(shown.to_owned(), namespace.to_owned(), reason, &message)
        };
        if !is_namespace(namespace) {
            let why = "its namespace is none that Kubernetes has".to_owned();
            return refused(Reason::InvalidImage, why);
        }
        let named = match asked.named() {
            Ok(named) => named,
            Err(error) => return refused(Reason::InvalidImage, error.to_string()),
        };
        let policies = self.policies.load_full();
        let governing = policies.governing(named.governed(), namespace);
        let governing = match self.settings.ungoverned {
            Ungoverned::Allow if governing.is_empty() => policies.ended_governing(named.governed(), namespace),
            _ => governing,
        };
        if governing.is_empty() {
            let place = if namespace.is_empty() {
                String::new()
            } else {
                format!(" in namespace `{namespace}`")
            };
            let mut decision = refused(Reason::NoPolicy, format!("no policy governs it{place}"));
            decision.allowed = self.settings.ungoverned == Ungoverned::Allow;
            return decision;
        }
        let (about, subjects) = match named.resolved(namespace) {
            Ok(resolved) => resolved,
            Err((reason, message)) => return refused(reason, message),
        };
        let each = governing
            .into_iter()
            .map(|policy| self.ask(policy, &about, &subjects, &policies.arithmetic));
        let said = futures_util::future::join_all(each).await;
        Decision::of(shown.to_owned(), namespace.to_owned(), said)
    }

    /// The digest that a tag of an image has now; none if there is no such image.
    pub async fn resolve(&self, image: &Image) -> Result<Option<ManifestDigest>, SourceError> {
        self.context.registry.resolve(image).await
    }

    /// The manifests of an image index; none if the image is no index, or its registry does not have it.
    async fn index(&self, image: &Image) -> Result<Arc<Vec<ManifestDigest>>, SourceError> {
        let look = async {
            Ok(Arc::new(match self.context.registry.manifest(image).await? {
                Some(manifest) if manifest.says.is_index() => {
                    let manifests = manifest.says.manifests();
                    if manifests.len() > allowed::LISTED {
                        return Err(allowed::too_long(image));
                    }
                    manifests
                }
                _ => Vec::new(),
            }))
        };
        self.indexes.get_with(image.clone(), look).await
    }

    /// Reads the policies anew if a file that they were read from has changed, or if `anew` says so. What cannot be read
    /// holds nothing else back, and what needs no token is in force before any token is asked.
    pub fn reload(&self, anew: bool) {
        let before = self.policies.load_full();
        let read = if anew || !before.are_on_disk(&self.settings.policies) {
            self.read_again(&before)
        } else {
            Ok(())
        };
        let registry = self.context.registry.reload(anew).err().map(|error| error.to_string());
        let problems: Vec<String> = read.err().into_iter().chain(registry).collect();
        let policies = self.policies.load();
        let is_changed = policies.fingerprint != before.fingerprint;
        if is_changed || anew {
            tracing::info!(policies = policies.all.len(), "policies reloaded");
            for why in &policies.unanswered {
                tracing::warn!(why, "a token gave no key: the public key that it gave before is kept");
            }
            advise(&policies);
        }
        self.metrics.policies(policies.all.len());
        if problems.is_empty() {
            if is_changed || anew {
                self.metrics.reloaded("policies", true);
            }
            self.set_broken(None);
            return;
        }
        let message = problems.join("; ");
        if self.set_broken(Some(message.clone())) {
            self.metrics.reloaded("policies", false);
            tracing::error!(
                error = message,
                "policies not reloaded: those from before stay in force, for these files"
            );
        }
    }

    /// Puts what the files say now in force: first without asking tokens, then with what they answer. The error says what
    /// could not be read.
    fn read_again(&self, before: &Policies) -> Result<(), String> {
        let folder = &self.settings.policies;
        let known = before
            .reload(folder, &self.context, Asks::None)
            .map_err(|error| error.to_string())?;
        let names_tokens = known.names_tokens();
        self.policies.store(Arc::new(known));
        if names_tokens {
            let known = self.policies.load_full();
            let answered = known.reload(folder, &self.context, Asks::All);
            self.policies
                .store(Arc::new(answered.map_err(|error| error.to_string())?));
        }
        self.policies.load().shown_problems().map_or(Ok(()), Err)
    }

    /// Says whether that is news.
    fn set_broken(&self, why: Option<String>) -> bool {
        let mut broken = self.broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_news = *broken != why;
        if is_news && why.is_none() {
            tracing::info!("the policies on the disk are those in force again");
        }
        self.metrics.broken(why.is_some());
        *broken = why;
        is_news
    }

    /// Why the policies on the disk are not those in force, if they are not.
    pub fn broken(&self) -> Option<String> {
        self.broken
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// The policies in force.
    pub fn policies(&self) -> Arc<Policies> {
        self.policies.load_full()
    }

    /// How it is run.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What it decided last.
    pub fn recent(&self) -> &Recent {
        &self.recent
    }

    /// The verifier itself, for requests whose callers name everything.
    pub fn verifier(&self) -> &Arc<Verifier> {
        &self.verifier
    }

    /// Room for the bodies of requests.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Memory for all that others send.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Where verifications wait.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }
}

/// Says what the authors of policies may not know of them.
fn advise(policies: &Policies) {
    for advice in policies.all.iter().flat_map(|policy| policy.advice()) {
        tracing::warn!("{advice}");
    }
}

impl Asked {
    /// How it is called in answers: normalised, if it can be.
    fn shown(&self) -> String {
        match self {
            Self::Image(text) => match text.parse::<Image>() {
                Ok(image) => image.to_string(),
                Err(_) => harmless(&shown(text)),
            },
            Self::Artifact(subject) => {
                let digests = subject
                    .digests
                    .iter()
                    .map(|(algorithm, value)| format!("{algorithm}:{value}"))
                    .collect::<Vec<_>>()
                    .join(",");
                let name = subject.name.as_deref().unwrap_or("artifact");
                harmless(&shown(&format!("{name}@{digests}")))
            }
        }
    }

    /// What it names.
    fn named(&self) -> Result<Named<'_>, ImageError> {
        Ok(match self {
            Self::Image(text) => {
                let image: Image = text.parse()?;
                Named::Image(image.name(), image)
            }
            Self::Artifact(subject) if is_too_long(subject) => return Err(ImageError::Form(self.shown())),
            Self::Artifact(subject) => Named::Artifact(subject),
        })
    }
}

/// What is asked about, read.
enum Named<'a> {
    /// An image, and its `REGISTRY/REPOSITORY`.
    Image(String, Image),
    Artifact(&'a Subject),
}

impl Named<'_> {
    fn governed(&self) -> Governed<'_> {
        match self {
            Self::Image(name, _) => Governed::Image(name),
            Self::Artifact(subject) => Governed::Artifact(subject.name.as_deref()),
        }
    }

    /// What evidence is sought about, and what a chain must have made; or why neither can be said.
    fn resolved(self, namespace: &str) -> Result<(About, Vec<Subject>), (Reason, String)> {
        let namespace = namespace.to_owned();
        match self {
            Self::Image(name, image) => {
                let Some(digest) = image.digest().cloned() else {
                    let tag = image.tag().unwrap_or("latest");
                    let message = format!(
                        "the tag `{tag}` may be another image tomorrow: name it by digest ({name}@sha256:..), or let the mutating webhook pin it"
                    );
                    return Err((Reason::Tag, message));
                };
                let subjects = vec![judge::subject_of(&digest)];
                let about = About {
                    image: Some(image),
                    name: Some(name),
                    digest,
                    namespace,
                };
                Ok((about, subjects))
            }
            Self::Artifact(subject) => {
                let digest = digest_of(&subject.digests).ok_or((
                    Reason::InvalidImage,
                    "it has no sha256, sha384 or sha512 digest in lower-case hexadecimal digits".to_owned(),
                ))?;
                let about = About {
                    image: None,
                    name: subject.name.clone(),
                    digest,
                    namespace,
                };
                Ok((about, vec![subject.clone()]))
            }
        }
    }
}

/// Whether a text can be the name of a namespace (RFC 1123, section 2.1), or is none at all.
fn is_namespace(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| is_plain(*byte) || *byte == b'-')
        && bytes.first().is_none_or(|byte| is_plain(*byte))
        && bytes.last().is_none_or(|byte| is_plain(*byte))
}

/// Whether a subject has longer texts than any artifact has.
fn is_too_long(subject: &Subject) -> bool {
    const NAME: usize = 1024;
    const DIGESTS: usize = 16;
    subject.name.as_deref().is_some_and(|name| name.len() > NAME)
        || subject.digests.len() > DIGESTS
        || subject
            .digests
            .iter()
            .any(|(algorithm, value)| algorithm.len() > NAME || value.len() > NAME)
}

/// The digest by which evidence about an artifact is found.
fn digest_of(digests: &BTreeMap<String, String>) -> Option<ManifestDigest> {
    ["sha256", "sha384", "sha512"]
        .into_iter()
        .find_map(|algorithm| format!("{algorithm}:{}", digests.get(algorithm)?).parse().ok())
}
