//! One policy: which artifacts a layout governs, on whose word the layout is believed, and where the links are.
//!
//! A policy is read once, with everything that it names, and is a value from then on: no request reads its files. What it
//! cannot mean is refused here, so that deciding has nothing left to doubt but the evidence.

mod keys;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use linkgate_image::ImageError;
use linkgate_verifier::instant::Instant;
use linkgate_verifier::request::{self, Content, NamedKey, Options, Request, Trust};
use linkgate_verifier::verdict::{self, Code, Undecided};
use linkgate_verifier::verify;
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::patterns::Patterns;
use super::template::{Template, TemplateError};
use super::watched::{Watched, is_gone};
use crate::checker::Native;
use crate::evidence::{About, Source};
use crate::record::hash::Digest;
use crate::record::link;
use crate::report::names::Names;
use crate::runtime::Arithmetic;
use crate::signer::SignerError;
use crate::signer::keyring::Keyring;
use crate::signer::pkcs11::TokenError;
use keys::Keys;
use written::Written;

/// Whether a policy's refusal refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It is said, and the artifact passes.
    Warn,
}

impl Mode {
    /// Its name in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Warn => "warn",
        }
    }
}

/// A policy, ready to judge by.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What it is called.
    pub name: String,
    /// The file that it was read from.
    pub file: PathBuf,
    /// Whether its refusals refuse.
    pub mode: Mode,
    /// The images that it governs, as they were written.
    pub images: Patterns,
    /// The artifacts that it governs which are no images.
    pub artifacts: Patterns,
    /// The namespaces that it governs; all if there is none.
    pub namespaces: Patterns,
    /// The layout's file.
    pub layout_file: PathBuf,
    /// The layout.
    pub layout: Vec<u8>,
    /// Why it is believed.
    pub trust: Trust,
    /// Values for its parameters.
    pub parameters: BTreeMap<String, Template>,
    /// The keys whose signed links stand for the results of inspections.
    pub inspections: BTreeMap<String, Vec<NamedKey>>,
    /// What the products are called that may be the image; any product if that is not said.
    pub subject: Vec<Template>,
    /// How to judge.
    pub options: Options,
    /// Where evidence is.
    pub sources: Vec<Arc<dyn Source>>,
    /// What keys are called.
    pub names: Names,
    /// The steps that the layout has, so far as no sublayout adds any.
    pub steps: BTreeSet<String>,
    /// The instant at which the layout expires.
    pub expires: Option<Instant>,
    /// What is to be said of steps that have no threshold.
    pub thresholds: Vec<String>,
    /// SHA-256 of everything above that a verdict depends on.
    pub digest: Digest,
    /// The files that it was read from.
    pub watched: Watched,
    /// The references of the keys in tokens that it names.
    pub tokens: Vec<String>,
    /// Why nothing is judged by it, where that is so: since it was read, something took trust away.
    pub suspended: Option<String>,
}

/// What a policy may govern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Governed<'n> {
    /// An image, by `REGISTRY/REPOSITORY`.
    Image(&'n str),
    /// Another artifact, by its name if it has one.
    Artifact(Option<&'n str>),
}

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("policy `{}`: {problem}", .file.display())]
pub struct PolicyError {
    /// Its file.
    pub file: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a policy.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be read, or a file that it names cannot.
    #[error("cannot read `{}`: {cause}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Not of the form of a policy.
    #[error("{0}")]
    Form(String),
    /// A pattern that means nothing.
    #[error("the pattern `{pattern}` cannot be used: {cause}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        cause: String,
    },
    /// It governs nothing.
    #[error("it governs nothing: name `images` or `artifacts`")]
    Nothing,
    /// Neither keys nor `trust: configmap`, or both.
    #[error(
        "it says {0} why its layout is to be believed: name the owners' `keys`, or say `trust: configmap` and name `functionaries`"
    )]
    Trust(&'static str),
    /// A key that cannot be used.
    #[error("{0}")]
    Key(#[from] SignerError),
    /// A label for a file of several keys.
    #[error("`{label}` names {count} keys: a functionary has one key")]
    Label {
        /// The label.
        label: String,
        /// How many keys the file has.
        count: usize,
    },
    /// A parameter's value with a placeholder that there is not.
    #[error("the parameter `{name}`: {cause}")]
    Parameter {
        /// The parameter.
        name: String,
        /// Why.
        cause: TemplateError,
    },
    /// A layout that nobody could be judged by.
    #[error("the layout `{}` cannot be used: {message}", .file.display())]
    Layout {
        /// Its file.
        file: PathBuf,
        /// Why, in the verifier's words.
        message: String,
        /// What the verifier found.
        code: Code,
    },
    /// An inspection that no key stands for: a gate runs no commands.
    #[error(
        "the layout has the inspection `{0}`, and a gate runs no commands: name under `inspections` the keys whose signed link of that name stands for its result, or make it a step"
    )]
    Inspection(String),
    /// Keys for an inspection that the layout does not have.
    #[error("`inspections` names `{0}`, which the layout does not have")]
    NoInspection(String),
    /// A source of evidence that cannot be meant.
    #[error("{0}")]
    Source(String),
    /// A repository that cannot be one.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl PolicyError {
    /// Why the policy that was read from the file before is not to be judged by any more, where that is so. What the file, or
    /// what it names, says now takes trust away: a key or layout is gone, another key is to be believed, or the owners did
    /// not sign the layout. A file that is only malformed says nothing.
    pub fn takes_trust_away(&self) -> bool {
        match &self.problem {
            Problem::Key(SignerError::Token(error)) => !matches!(error, TokenError::NotRead(_)),
            Problem::Layout { code, .. } => {
                matches!(code, Code::LayoutSignatureMissing | Code::LayoutSignatureInvalid)
            }
            Problem::Unreadable { path, cause } => *path != self.file && is_gone(cause),
            _ => false,
        }
    }

    /// The layout or key file that is malformed or unreadable, if it is one: only of it is not known what it says.
    pub fn malformed(&self) -> Option<&Path> {
        match &self.problem {
            Problem::Unreadable { path, .. } => Some(path),
            Problem::Key(SignerError::File(error)) => Some(&error.path),
            Problem::Layout { file, code, .. } => (*code == Code::LayoutMalformed).then_some(file),
            _ => None,
        }
    }

    /// What a token answered instead of a key.
    pub const fn of_token(&self) -> Option<&TokenError> {
        match &self.problem {
            Problem::Key(SignerError::Token(error)) => Some(error),
            _ => None,
        }
    }
}

impl Policy {
    /// Reads the policy of a file, and all that it names beside it.
    pub fn load(file: &Path, context: &Context, keyring: &mut Keyring) -> Result<Self, Box<PolicyError>> {
        Self::read(file, context, keyring).map_err(|problem| {
            Box::new(PolicyError {
                file: file.to_owned(),
                problem,
            })
        })
    }

    fn read(file: &Path, context: &Context, keyring: &mut Keyring) -> Result<Self, Problem> {
        let mut watched = Watched::default();
        let text = read(&mut watched, file)?;
        let text = String::from_utf8(text).map_err(|_| Problem::Form("it is not UTF-8".to_owned()))?;
        let written = Written::parse(&text)?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let name = match &written.name {
            Some(name) => name.clone(),
            None => file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        };
        if written.images.is_empty() && written.artifacts.is_empty() {
            return Err(Problem::Nothing);
        }
        let layout_file = folder.join(&written.layout);
        let layout = read(&mut watched, &layout_file)?;
        let mut keys = Keys::new(context, keyring, folder, watched);
        let mut policy = Self {
            images: Patterns::of_images(&written.images)?,
            artifacts: Patterns::new(&written.artifacts)?,
            namespaces: Patterns::of_namespaces(&written.namespaces)?,
            layout,
            trust: written.trust(&mut keys)?,
            parameters: written.templates()?,
            inspections: written
                .inspections
                .iter()
                .map(|(name, files)| Ok((name.clone(), keys.inspectors(files)?)))
                .collect::<Result<_, Problem>>()?,
            subject: written.subject()?,
            options: Options {
                strict: written.strict,
                subject_steps: written.subject_steps.clone(),
                summary_link: false,
            },
            sources: written.sources(folder, context)?,
            names: Names::of(keys.all()),
            mode: written.mode,
            file: file.to_owned(),
            layout_file,
            name,
            steps: BTreeSet::new(),
            expires: None,
            thresholds: Vec::new(),
            digest: Digest::of(b""),
            tokens: keys.tokens().to_vec(),
            watched: keys.watched(),
            suspended: None,
        };
        policy.check(context)?;
        policy.digest = policy.summed();
        Ok(policy)
    }

    /// This policy in the place of one that cannot be used. It allows nothing any more where what is there takes trust away:
    /// the problem itself, one of its files that is gone or another than was read, or what a token answers for its key. Only of
    /// a malformed file is not known what it says. Once it allows nothing, that holds until a policy can be read again.
    #[must_use]
    pub fn standing_in(&self, problem: Option<&PolicyError>, context: &Context, keyring: &mut Keyring) -> Self {
        let mut policy = self.clone();
        let malformed: Vec<&Path> = problem.and_then(PolicyError::malformed).into_iter().collect();
        // What the policy's own file says is known, or it is what cannot be used.
        let named = self.watched.clone().without(&self.file);
        let taken_back = named.taken_back(&malformed);
        let taken_back = taken_back.or_else(|| {
            let mut tokens = self.tokens.iter();
            tokens.find_map(|reference| keyring.taken_back(reference, &context.tokens))
        });
        let trustless = problem.is_some_and(PolicyError::takes_trust_away);
        if trustless || taken_back.is_some() {
            let mut reasons: Vec<String> = problem.map(ToString::to_string).into_iter().collect();
            // A token may have said it already, when the policy was read.
            reasons.extend(taken_back.filter(|why| !reasons.iter().any(|said| said.contains(why))));
            policy.suspended = Some(reasons.join("; "));
        }
        policy
    }

    /// What makes it another policy than one that was read at another time, in a text.
    pub fn identity(&self) -> String {
        let (files, digest) = (self.watched.summed(), &self.digest);
        format!(
            "{}\0{files}{digest}\0{}\0",
            self.file.display(),
            self.suspended.is_some()
        )
    }

    /// Whether it governs a thing of that name in a namespace.
    pub fn governs(&self, governed: Governed<'_>, namespace: &str) -> bool {
        let named = match governed {
            Governed::Image(name) => self.images.match_any(name),
            Governed::Artifact(Some(name)) => self.artifacts.match_any(name),
            // Whoever does not say what it is is asked for what any artifact must satisfy.
            Governed::Artifact(None) => !self.artifacts.written.is_empty(),
        };
        // Whoever does not say where it is to run is asked for what any place demands.
        let is_here = namespace.is_empty() || self.namespaces.written.is_empty();
        named && (is_here || self.namespaces.match_any(namespace))
    }

    /// What products are called that may be the image; any, if there is no name.
    pub fn subject_names(&self, about: &About) -> Result<Vec<String>, String> {
        let names = self.subject.iter().filter(|_| about.image.is_some());
        names
            .map(|name| name.fill(about).map_err(|why| format!("`subject`: {why}")))
            .collect()
    }

    /// The values of its layout's parameters for an artifact, or why one has none.
    pub fn filled(&self, about: &About) -> Result<BTreeMap<String, String>, String> {
        let fill = |(name, template): (&String, &Template)| match template.fill(about) {
            Ok(value) => Ok((name.clone(), value)),
            Err(why) => Err(format!("the parameter `{name}`: {why}")),
        };
        self.parameters.iter().map(fill).collect()
    }

    /// What its author may not know of it.
    pub fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        if self.subject.is_empty() && !self.images.written.is_empty() {
            advice.push(format!(
                "policy `{}` does not say by `subject` which product is the image: every product of its subject steps is taken for one",
                self.name
            ));
        }
        let refuses = if self.options.strict {
            ", and `strict` refuses that"
        } else {
            ""
        };
        advice.extend(
            self.thresholds
                .iter()
                .map(|threshold| format!("policy `{}`: {threshold}{refuses}", self.name)),
        );
        if let Some(expires) = self.expires.filter(|expires| *expires <= link::now()) {
            advice.push(format!(
                "policy `{}` refuses everything: its layout expired at {expires}",
                self.name
            ));
        }
        advice
    }

    /// The question whether an artifact's evidence satisfies the policy, without evidence yet.
    pub fn request(&self, about: &About, subjects: Vec<request::Subject>, now: Instant) -> Result<Request, String> {
        Ok(self.request_with(self.filled(about)?, subjects, now))
    }

    /// The same with parameters that were filled ([`Policy::filled`]).
    pub fn request_with(
        &self,
        parameters: BTreeMap<String, String>,
        subjects: Vec<request::Subject>,
        now: Instant,
    ) -> Request {
        Request {
            layout: Content(self.layout.clone()),
            trust: self.trust.clone(),
            documents: Vec::new(),
            inspections: Vec::new(),
            parameters,
            subjects,
            options: self.options.clone(),
            now: now.0,
        }
    }

    /// Lets the verifier read the layout as it will for every request, and asks what it demands.
    fn check(&mut self, context: &Context) -> Result<(), Problem> {
        // Whatever depends on the time is judged when somebody asks: an expired layout is no broken policy. It rejects, and
        // says why.
        let sample = self.request(&About::sample(), Vec::new(), Instant(0));
        let sample = sample.map_err(Problem::Form)?;
        let planned = context.verifier.plan(&sample, &Arithmetic::Native).answer;
        if planned
            .as_ref()
            .is_err_and(|undecided| undecided.code == Code::LayoutExpired)
        {
            // At 1970 already.
            self.expires = Some(Instant(0));
            return Ok(());
        }
        let answer = verify::verify(&sample, &mut Native);
        self.thresholds = verdict::absent_thresholds(&answer).map(str::to_owned).collect();
        let requirements = planned.map_err(|undecided| Problem::Layout {
            file: self.layout_file.clone(),
            message: sentences(&undecided),
            code: undecided.code,
        })?;
        let demanded: BTreeSet<&str> = requirements
            .inspections
            .iter()
            .map(|inspection| inspection.name.as_str())
            .collect();
        if let Some(missing) = demanded.iter().find(|name| !self.inspections.contains_key(**name)) {
            return Err(Problem::Inspection((*missing).to_owned()));
        }
        if let Some(other) = self.inspections.keys().find(|name| !demanded.contains(name.as_str())) {
            return Err(Problem::NoInspection(other.clone()));
        }
        self.steps = requirements.steps.into_iter().map(|step| step.name).collect();
        self.steps.extend(demanded.into_iter().map(str::to_owned));
        self.expires = requirements.valid_until.map(Instant);
        Ok(())
    }

    /// The digest of what a verdict depends on.
    fn summed(&self) -> Digest {
        #[derive(Serialize)]
        struct Summed<'p> {
            layout: String,
            trust: &'p Trust,
            parameters: BTreeMap<&'p str, String>,
            subject: Vec<String>,
            inspections: &'p BTreeMap<String, Vec<NamedKey>>,
            options: &'p Options,
        }
        let parameters = self
            .parameters
            .iter()
            .map(|(name, template)| (name.as_str(), template.to_string()));
        let summed = Summed {
            layout: Digest::of(&self.layout).to_string(),
            trust: &self.trust,
            parameters: parameters.collect(),
            subject: self.subject.iter().map(ToString::to_string).collect(),
            inspections: &self.inspections,
            options: &self.options,
        };
        // Strings, lists and maps with string keys: writing them as JSON has no way to fail.
        Digest::of(&serde_json::to_vec(&summed).unwrap_or_default())
    }
}

impl About {
    /// An artifact to try a policy's layout with.
    fn sample() -> Self {
        Self {
            image: None,
            name: Some("registry.example/app".to_owned()),
            digest: linkgate_image::ManifestDigest::of(b""),
            namespace: "default".to_owned(),
        }
    }
}

/// Why a layout cannot be used, in the verifier's sentences.
fn sentences(undecided: &Undecided) -> String {
    let reasons: Vec<&str> = undecided.reasons.iter().map(|reason| reason.message.as_str()).collect();
    let hint = match undecided.code {
        Code::LayoutMalformed if undecided.message.contains("bare layout") => {
            " (a layout without an envelope needs `trust: configmap`)"
        }
        _ => "",
    };
    format!("{}{hint}", reasons.join("; "))
}

fn read(watched: &mut Watched, path: &Path) -> Result<Vec<u8>, Problem> {
    watched.read(path).map_err(|cause| Problem::Unreadable {
        path: path.to_owned(),
        cause,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::LazyLock;

    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::registry::Registry;
    use crate::memory::Memory;
    use crate::runtime::{Bounds, Verifier};

    const BOB: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const CAROL: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

    static VERIFIER: LazyLock<Arc<Verifier>> =
        LazyLock::new(|| Arc::new(Verifier::load(Bounds::default(), 2).unwrap()));

    pub(in crate::gate) fn verifier() -> Arc<Verifier> {
        Arc::clone(&VERIFIER)
    }

    /// A policy's parts as they are written.
    #[derive(Clone)]
    pub(in crate::gate) struct Written {
        policy: Value,
        layout: Value,
        keys: BTreeMap<&'static str, &'static str>,
    }

    impl Default for Written {
        fn default() -> Self {
            Self {
                policy: json!({
                    "apiVersion": "linkgate.dev/v1",
                    "kind": "Policy",
                    "name": "web",
                    "images": ["r.example/**"],
                    "layout": "layout.json",
                    "trust": "configmap",
                    "functionaries": {"bob": "bob.pub", "carol": "carol.pub"},
                    "parameters": {"a": "{NAMESPACE}"},
                    "inspections": {"untar": ["carol.pub"]},
                    "evidence": [{"directory": "."}],
                }),
                layout: json!({
                    "_type": "layout",
                    "expires": "2030-01-01T00:00:00Z",
                    "steps": [
                        {"name": "build", "pubkeys": ["bob"], "expected_products": [["ALLOW", "{a}"]]},
                        {"name": "package", "pubkeys": ["bob"]},
                    ],
                    "inspect": [{"name": "untar", "run": ["untar"]}],
                }),
                keys: [("bob.pub", BOB), ("carol.pub", CAROL)].into(),
            }
        }
    }

    impl Written {
        fn with(&self, pointer: &str, member: &str, value: Value) -> Self {
            let mut changed = self.clone();
            let (root, pointer) = match pointer.strip_prefix("/policy") {
                Some(rest) => (&mut changed.policy, rest),
                None => (&mut changed.layout, pointer),
            };
            root.pointer_mut(pointer).unwrap()[member] = value;
            changed
        }

        /// This policy with each of what a verdict depends on as another.
        pub(in crate::gate) fn each_changed(&self) -> Vec<(&'static str, Self)> {
            let mut key = self.clone();
            key.keys.insert("bob.pub", CAROL);
            key.keys.insert("carol.pub", BOB);
            vec![
                ("policy's name", self.with("/policy", "name", json!("other"))),
                ("layout", self.with("", "expires", json!("2031-01-01T00:00:00Z"))),
                (
                    "functionaries' labels",
                    self.with(
                        "/policy",
                        "functionaries",
                        json!({"bob": "bob.pub", "dora": "carol.pub"}),
                    ),
                ),
                ("functionaries' keys", key),
                (
                    "parameters",
                    self.with("/policy", "parameters", json!({"a": "{IMAGE_NAME}"})),
                ),
                (
                    "inspections' keys",
                    self.with("/policy/inspections", "untar", json!(["bob.pub"])),
                ),
                ("subject", self.with("/policy", "subject", json!("image"))),
                ("another subject", self.with("/policy", "subject", json!("other"))),
                ("subjects", self.with("/policy", "subject", json!(["image", "other"]))),
                ("strict", self.with("/policy", "strict", json!(true))),
                ("subject steps", self.with("/policy", "subjectSteps", json!(["build"]))),
            ]
        }
    }

    /// Reads a policy from a folder of its own.
    pub(in crate::gate) fn load(written: &Written) -> Result<Policy, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, public) in &written.keys {
            let key = json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}});
            fs::write(folder.path().join(name), key.to_string()).unwrap();
        }
        fs::write(folder.path().join("layout.json"), written.layout.to_string()).unwrap();
        let file = folder.path().join("web.yaml");
        fs::write(&file, written.policy.to_string()).unwrap();
        let context = Context {
            verifier: verifier(),
            registry: Arc::new(
                Registry::new(&crate::evidence::registry::Options::default(), Memory::unbounded()).unwrap(),
            ),
            tokens: crate::signer::pkcs11::Options::default(),
            evidence: 1 << 20,
            memory: Memory::unbounded(),
        };
        Policy::load(&file, &context, &mut Keyring::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_sound_policy() {
        let policy = load(&Written::default()).unwrap();
        assert_eq!(policy.mode, Mode::Enforce);
        assert_eq!(policy.steps, ["build", "package", "untar"].map(str::to_owned).into());
        assert_eq!(policy.expires.unwrap().to_string(), "2030-01-01T00:00:00Z");
        assert!(policy.governs(Governed::Image("r.example/a/b"), "anywhere"));
        assert!(!policy.governs(Governed::Image("r.example.evil/a"), ""));
        assert!(!policy.governs(Governed::Artifact(Some("r.example/a")), ""));
        assert!(!policy.governs(Governed::Artifact(None), ""));
        let here = load(&Written::default().with("/policy", "namespaces", json!(["prod-*"]))).unwrap();
        for (namespace, governs) in [("prod-1", true), ("test", false), ("", true)] {
            assert_eq!(
                here.governs(Governed::Image("r.example/a"), namespace),
                governs,
                "{namespace}"
            );
        }
        let expired = Written::default().with("", "expires", json!("2020-01-01T00:00:00Z"));
        assert!(
            load(&expired).is_ok(),
            "an expired layout rejects; it is no broken policy"
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let written = Written::default();
        for (changed, said) in [
            (written.with("/policy", "modes", json!("warn")), "unknown field `modes`"),
            (written.with("/policy", "kind", json!("Layout")), "Layout"),
            (written.with("/policy", "images", json!([])), "it governs nothing"),
            (
                written.with("/policy", "images", json!(["nginx"])),
                "write `docker.io/library/nginx`",
            ),
            (
                written.with("/policy", "images", json!(["bitnami/*"])),
                "write `docker.io/bitnami/*`",
            ),
            (
                written.with("/policy", "images", json!(["r.example:443/a"])),
                "port 443 is left out",
            ),
            (written.with("/policy", "images", json!(["R.example/a"])), "lower-case"),
            (
                written.with("/policy", "images", json!(["r.example/a:1"])),
                "without tag or digest",
            ),
            (
                written.with("/policy", "images", json!(["r.example/[a"])),
                "`r.example/[a` cannot be used",
            ),
            (written.with("/policy", "layout", json!("none.layout")), "none.layout`"),
            (written.with("/policy", "keys", json!(["bob.pub"])), "says twice"),
            (written.with("/policy", "trust", json!("nobody")), "nobody"),
            (written.with("/policy", "trust", Value::Null), "says nowhere"),
            (
                written.with("/policy", "functionaries", json!({})),
                "by which `functionaries`",
            ),
            (
                written.with("/policy", "functionaries", json!({"bob": "none.pub"})),
                "none.pub`",
            ),
            (
                written.with("/policy", "parameters", json!({"a": "{IMAGE}"})),
                "`{IMAGE}` is filled by nothing",
            ),
            (
                written.with("/policy", "parameters", json!({"b": ""})),
                "no value is given for the parameter `{a}`",
            ),
            (
                written.with("/policy", "inspections", json!({})),
                "has the inspection `untar`, and a gate runs no commands",
            ),
            (
                written.with("/policy/inspections", "untar", json!([])),
                "an inspection without keys",
            ),
            (
                written.with("/policy/inspections", "other", json!(["bob.pub"])),
                "names `other`",
            ),
            (
                written.with("/policy", "subjectSteps", json!(["ship"])),
                "the subject step `ship` is no step",
            ),
            (written.with("/policy", "subject", json!([])), "`subject` names nothing"),
            (written.with("/policy", "subject", Value::Null), "OneOrMany"),
            (
                written.with("/policy", "evidence", json!([{"directory": "/nonexistent"}])),
                "is not there",
            ),
            (
                written.with("/policy", "evidence", json!([{"directory": "{DIGEST}"}])),
                "placeholder `{DIGEST}`",
            ),
            (
                written.with("/policy", "artifacts", json!(["a"])).with(
                    "/policy",
                    "evidence",
                    json!([{"registry": {}}]),
                ),
                "name the `repository`",
            ),
            (written.with("/steps/0", "threshold", json!(0)), "threshold"),
            (written.with("/steps/0", "expected_products", json!(["*"])), "rule"),
        ] {
            let error = load(&changed).unwrap_err();
            assert!(error.contains(said), "{said}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
