//! The folder of policies. At the start it is read as a whole or not at all; later, what cannot be read holds nothing else
//! back.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::context::Context;
use super::policy::{Governed, Policy, PolicyError};
use super::watched::Watched;
use crate::record::hash::Digest;
use crate::runtime::Arithmetic;
use crate::signer::keyring::{Asks, Keyring, TokenKeys};
use crate::signer::pkcs11::TokenError;

/// The policies of a folder that are in force.
pub struct Policies {
    /// The policies, in the order of their names.
    pub all: Vec<Arc<Policy>>,
    /// Policies that are not there any more, kept beside those that are while a file cannot be read: what was in one of them
    /// may stand there now. They allow nothing by themselves.
    pub ended: Vec<Arc<Policy>>,
    /// What keeps files on the disk from being in force.
    pub problems: Vec<PoliciesError>,
    /// Who does the arithmetic of signatures.
    pub arithmetic: Arithmetic,
    /// The digest of all that is in force.
    pub fingerprint: Digest,
    /// The keys of tokens.
    pub token_keys: TokenKeys,
    /// What tokens did not answer, so that the keys that were read before are kept.
    pub unanswered: Vec<String>,
    found: Found,
    watched: Watched,
}

impl fmt::Debug for Policies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Policies")
            .field("all", &self.all)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

/// Why a folder's policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    /// The folder cannot be read.
    #[error("cannot read `{}`: {cause}", .path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// No policy in it.
    #[error("`{}` holds no policy: they are files called `*.yaml`, in it or in a folder in it", .0.display())]
    None(PathBuf),
    /// A policy that cannot be used.
    #[error(transparent)]
    Policy(#[from] Box<PolicyError>),
    /// Two of one name.
    #[error("two policies are called `{name}`: `{}` and `{}`", .first.display(), .second.display())]
    Twice {
        /// The name.
        name: String,
        /// Where.
        first: PathBuf,
        /// And where.
        second: PathBuf,
    },
    /// A folder that would be passed over.
    #[error("`{}` is more than {DEEPEST} folders down: nothing is read there, and nothing is passed over", .0.display())]
    TooDeep(PathBuf),
    /// Files changed while they were read.
    #[error("`{}` changed while it was read", .0.display())]
    Changed(PathBuf),
}

/// How many folders down policies may lie. Symbolic links may lead around in circles.
const DEEPEST: u32 = 4;

/// How often a folder that changes while it is read is read again.
const TRIES: u32 = 3;

impl Policies {
    /// Reads a folder at the start. Files that change meanwhile are read again, so that no two moments are mixed; and one
    /// that cannot be used is an error.
    pub fn load(folder: &Path, context: &Context) -> Result<Self, PoliciesError> {
        let mut loaded = Self::read(folder, context, None, Asks::All)?;
        if loaded.problems.is_empty() {
            Ok(loaded)
        } else {
            Err(loaded.problems.swap_remove(0))
        }
    }

    /// Reads the folder again. What cannot be used holds nothing else back: the policy that was read from the same file before
    /// stays in force, so that no typing error opens or closes the gate. Where what is there takes trust away
    /// ([`Policy::standing_in`]), that policy allows nothing any more.
    pub fn reload(&self, folder: &Path, context: &Context, asks: Asks) -> Result<Self, PoliciesError> {
        Self::read(folder, context, Some(self), asks)
    }

    /// Whether every file is as it was when these policies were read from them.
    pub fn are_on_disk(&self, folder: &Path) -> bool {
        self.problems.is_empty()
            && Found::look(folder).is_ok_and(|found| found == self.found)
            && self.watched.is_as_it_was()
    }

    fn read(folder: &Path, context: &Context, before: Option<&Self>, asks: Asks) -> Result<Self, PoliciesError> {
        let mut tries = 1;
        loop {
            let found = match (Found::look(folder), before) {
                (Ok(found), _) => found,
                (Err(problem), Some(_)) => {
                    let mut reading = Reading::new(before, asks);
                    reading.stand_in(problem, context);
                    return reading.end(folder, Found::default(), context);
                }
                (Err(problem), None) => return Err(problem),
            };
            let mut reading = Reading::new(before, asks);
            for file in &found.files {
                reading.policy(file, context);
            }
            let is_still_so = reading.watched.is_as_it_was() && Found::look(folder).is_ok_and(|again| again == found);
            if !is_still_so && tries < TRIES {
                tries += 1;
                continue;
            }
            reading.take_back_what_changed(context);
            return reading.end(folder, found, context);
        }
    }

    /// The policies that govern a thing: all of them must accept it.
    pub fn governing(&self, governed: Governed<'_>, namespace: &str) -> Vec<Arc<Policy>> {
        let governs = |policy: &&Arc<Policy>| policy.governs(governed, namespace);
        let mut governing: Vec<_> = self.all.iter().filter(governs).cloned().collect();
        if !governing.is_empty() {
            governing.extend(self.ended_governing(governed, namespace));
        }
        governing
    }

    /// The policies that govern a thing and are not there any more: only what none governs may pass without a policy.
    pub fn ended_governing(&self, governed: Governed<'_>, namespace: &str) -> Vec<Arc<Policy>> {
        let governs = |policy: &&Arc<Policy>| policy.governs(governed, namespace);
        self.ended.iter().filter(governs).cloned().collect()
    }

    /// Whether a policy names a key in a token.
    pub fn names_tokens(&self) -> bool {
        !self.token_keys.is_empty() || self.problems.iter().any(|problem| problem.of_token().is_some())
    }

    /// What cannot be read, and what comes of it, in one line; nothing if all is in force.
    pub fn shown_problems(&self) -> Option<String> {
        let shown = |problem: &PoliciesError| {
            let said = problem.to_string();
            let of_it = self
                .all
                .iter()
                .filter(|policy| policy.file.starts_with(problem.place()));
            let mut suspended = of_it.filter_map(|policy| policy.suspended.as_deref()).peekable();
            if suspended.peek().is_none() && !problem.takes_trust_away() {
                return said;
            }
            let more: BTreeSet<&str> = suspended
                .map(|why| why.strip_prefix(&said).unwrap_or(why).trim_start_matches("; "))
                .filter(|why| !why.is_empty())
                .collect();
            let said = [said.as_str()].into_iter().chain(more).collect::<Vec<_>>().join("; ");
            format!("{said} (for as long as that is so, nothing is allowed by this policy)")
        };
        let shown: Vec<String> = self.problems.iter().map(shown).collect();
        (!shown.is_empty()).then(|| shown.join("; "))
    }

    /// Why only a restart of the process helps, where that is so.
    pub fn need_restart(&self) -> Option<String> {
        let is_hopeless = |problem: &&PoliciesError| problem.of_token().is_some_and(TokenError::needs_restart);
        let hopeless = self.problems.iter().find(is_hopeless);
        hopeless.map(ToString::to_string).or_else(|| {
            let reference = self.token_keys.need_restart().next()?;
            Some(format!(
                "the token of the key `{reference}` does not answer any more, whatever is tried"
            ))
        })
    }
}

impl PoliciesError {
    /// What a token answered instead of a key.
    fn of_token(&self) -> Option<&TokenError> {
        self.of_policy().and_then(PolicyError::of_token)
    }

    fn takes_trust_away(&self) -> bool {
        self.of_policy().is_some_and(PolicyError::takes_trust_away)
    }

    fn of_policy(&self) -> Option<&PolicyError> {
        match self {
            Self::Policy(error) => Some(error),
            _ => None,
        }
    }

    /// The file or folder that cannot be used.
    fn place(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. } | Self::None(path) | Self::TooDeep(path) | Self::Changed(path) => path,
            Self::Policy(error) => &error.file,
            Self::Twice { second, .. } => second,
        }
    }
}

/// Policies while they are read.
struct Reading<'b> {
    before: Option<&'b Policies>,
    keyring: Keyring,
    all: Vec<Arc<Policy>>,
    problems: Vec<PoliciesError>,
    watched: Watched,
}

impl<'b> Reading<'b> {
    fn new(before: Option<&'b Policies>, asks: Asks) -> Self {
        let known = before.map(|before| before.token_keys.clone()).unwrap_or_default();
        Self {
            before,
            keyring: Keyring::knowing(known, asks),
            all: Vec::new(),
            problems: Vec::new(),
            watched: Watched::default(),
        }
    }

    fn policy(&mut self, file: &Path, context: &Context) {
        match Policy::load(file, context, &mut self.keyring) {
            Ok(policy) => {
                self.watched.extend(&policy.watched);
                if let Some(first) = self.all.iter().find(|other| other.name == policy.name) {
                    // Both are in force: which one is meant is not known, and all that govern must accept.
                    self.problems.push(PoliciesError::Twice {
                        name: policy.name.clone(),
                        first: first.file.clone(),
                        second: file.to_owned(),
                    });
                }
                self.all.push(Arc::new(policy));
            }
            Err(error) => self.stand_in(PoliciesError::Policy(error), context),
        }
    }

    /// The policies from before stand in for those of a file or folder that cannot be used.
    fn stand_in(&mut self, problem: PoliciesError, context: &Context) {
        let before = self.before.into_iter().flat_map(|before| &before.all);
        let stand_ins = before.filter(|policy| policy.file.starts_with(problem.place()));
        for policy in stand_ins {
            let policy = policy.standing_in(problem.of_policy(), context, &mut self.keyring);
            self.keyring.keep(policy.tokens.iter().cloned());
            self.all.push(Arc::new(policy));
        }
        self.problems.push(problem);
    }

    /// The policies from before that are not there any more.
    fn ended(&mut self, context: &Context) -> Vec<Arc<Policy>> {
        let before = self.before.into_iter();
        let before = before.flat_map(|before| before.all.iter().chain(&before.ended));
        let mut ended = Vec::new();
        for policy in before {
            let is_there = |other: &Arc<Policy>| other.name == policy.name || other.file == policy.file;
            if !self.all.iter().any(is_there) {
                let policy = policy.standing_in(None, context, &mut self.keyring);
                self.keyring.keep(policy.tokens.iter().cloned());
                ended.push(Arc::new(policy));
            }
        }
        ended
    }

    /// A policy of which a file changes all the time is none of one moment.
    fn take_back_what_changed(&mut self, context: &Context) {
        let (all, changed): (Vec<_>, Vec<_>) = std::mem::take(&mut self.all)
            .into_iter()
            .partition(|policy| self.is_from_before(policy) || policy.watched.is_as_it_was());
        self.all = all;
        for policy in changed {
            self.stand_in(PoliciesError::Changed(policy.file.clone()), context);
        }
    }

    fn is_from_before(&self, policy: &Policy) -> bool {
        let before = self.before.into_iter().flat_map(|before| &before.all);
        before
            .into_iter()
            .any(|other| other.file == policy.file && other.watched == policy.watched)
    }

    fn end(mut self, folder: &Path, found: Found, context: &Context) -> Result<Policies, PoliciesError> {
        for problem in found.problems() {
            self.stand_in(problem, context);
        }
        // Later, the last policy may end beside a file that cannot be read: then no policy is in force.
        if self.all.is_empty() && (self.before.is_none() || self.problems.is_empty()) {
            return Err(self
                .problems
                .pop()
                .unwrap_or_else(|| PoliciesError::None(folder.to_owned())));
        }
        let ended = if self.problems.is_empty() {
            Vec::new()
        } else {
            self.ended(context)
        };
        self.all
            .sort_by(|one, other| (&one.name, &one.file).cmp(&(&other.name, &other.file)));
        let sum: String = self.all.iter().chain(&ended).map(|policy| policy.identity()).collect();
        Ok(Policies {
            all: self.all,
            ended,
            problems: self.problems,
            fingerprint: Digest::of(sum.as_bytes()),
            token_keys: self.keyring.token_keys(),
            unanswered: self.keyring.unanswered().iter().map(ToString::to_string).collect(),
            arithmetic: self.keyring.arithmetic(false),
            found,
            watched: self.watched,
        })
    }
}

/// The files of policies that a folder has, and the places in it where there may be more.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    files: Vec<PathBuf>,
    too_deep: Vec<PathBuf>,
    unreadable: Vec<(PathBuf, String)>,
}

impl Found {
    /// Looks for files called `*.yaml` in a folder and in the folders in it. What begins with a dot is how mounts are
    /// exchanged.
    fn look(folder: &Path) -> Result<Self, PoliciesError> {
        let mut found = Self::default();
        let entries = entries(folder).map_err(|cause| PoliciesError::Unreadable {
            path: folder.to_owned(),
            cause,
        })?;
        found.collect(entries, 0);
        found.files.sort();
        if found.files.is_empty() && found.too_deep.is_empty() && found.unreadable.is_empty() {
            return Err(PoliciesError::None(folder.to_owned()));
        }
        Ok(found)
    }

    fn collect(&mut self, paths: Vec<PathBuf>, depth: u32) {
        for path in paths {
            if !path.is_dir() {
                if is_policy(&path) {
                    self.files.push(path);
                }
            } else if depth < DEEPEST {
                match entries(&path) {
                    Ok(entries) => self.collect(entries, depth + 1),
                    Err(cause) => self.unreadable.push((path, cause.to_string())),
                }
            } else {
                self.too_deep.push(path);
            }
        }
    }

    /// The places where there may be policies that are not read.
    fn problems(&self) -> Vec<PoliciesError> {
        let too_deep = self.too_deep.iter().cloned().map(PoliciesError::TooDeep);
        let unreadable = self.unreadable.iter().map(|(path, cause)| PoliciesError::Unreadable {
            path: path.clone(),
            cause: io::Error::other(cause.clone()),
        });
        too_deep.chain(unreadable).collect()
    }
}

fn is_policy(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml"))
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden {
            entries.push(path);
        }
    }
    Ok(entries)
}
