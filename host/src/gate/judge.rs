//! How one policy's say on one artifact comes to be: evidence is brought, the component is asked, its answer is put in
//! words. Nothing here decides; what is not known is undecided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use bytes::Bytes;
use linkgate_image::ManifestDigest;
use linkgate_verifier::envelope::Envelope;
use linkgate_verifier::payload;
use linkgate_verifier::request::{Content, InspectionResult, NamedKey, Options, Request, Subject, Trust};
use linkgate_verifier::rule::Side;
use linkgate_verifier::subject;
use linkgate_verifier::verdict::{self, Answer, Code, Decision, Finding, StepReport, SubjectReport, Verdict};
use serde_json::json;

use super::Gate;
use super::decision::{PolicyDecision, Reason};
use super::policy::Policy;
use super::queue::{Computed, Overloaded};
use super::verdicts::{Inputs, Kept};
use crate::evidence::{self, About, Piece, SharedDocument, SourceError};
use crate::memory::{Lease, NoRoom};
use crate::record::hash::Digest;
use crate::record::link;
use crate::runtime::{Arithmetic, Verifier};

/// Why a policy has no say.
enum Unjudged {
    /// A source did not say what it has.
    Source(SourceError),
    /// It is no product itself, and its registry did not say whether it is an index of products.
    Index(SourceError),
    /// Too much is asked at once.
    Overloaded,
    /// Nothing is judged by the policy.
    Suspended(String),
    /// The policy is made of something that whoever asks did not say.
    Unfilled(String),
    /// There is no memory for what it would be judged by.
    NoRoom(NoRoom),
}

impl From<SourceError> for Unjudged {
    fn from(error: SourceError) -> Self {
        match error.no_room {
            Some(no_room) => Self::NoRoom(no_room),
            None => Self::Source(error),
        }
    }
}

impl From<NoRoom> for Unjudged {
    fn from(no_room: NoRoom) -> Self {
        Self::NoRoom(no_room)
    }
}

impl From<Overloaded> for Unjudged {
    fn from(_: Overloaded) -> Self {
        Self::Overloaded
    }
}

/// What the component said, and what is told beside it.
struct Judged {
    kept: Kept,
    /// How many pieces of evidence there are.
    pieces: usize,
    /// The product that an image is under another name than the policy has for it.
    known_as: Option<String>,
}

/// What sources gave about an artifact.
struct Evidence {
    /// Equal pieces once, in an order that the sources do not choose.
    pieces: Arc<Vec<(Arc<Piece>, Bytes)>>,
    /// The room that the list takes.
    _room: Lease,
}

/// What a piece, or something else that a question lists, takes in it.
const LISTED: u64 = 256;

impl Evidence {
    fn bytes(&self) -> usize {
        self.pieces.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

impl Gate {
    /// What a policy says on an artifact.
    pub(super) async fn ask(
        &self,
        policy: Arc<Policy>,
        about: &About,
        subjects: &[Subject],
        arithmetic: &Arithmetic,
    ) -> PolicyDecision {
        let judged = match &policy.suspended {
            Some(why) => Err(Unjudged::Suspended(why.clone())),
            None => self.judge(&policy, about, subjects, arithmetic).await,
        };
        let said = |reason: Reason, message: String| PolicyDecision {
            policy: policy.name.clone(),
            mode: policy.mode,
            outcome: reason.outcome(),
            reason,
            message,
            answer_sha256: None,
            answer: None,
        };
        match judged {
            Ok(judged) => {
                let (reason, message) = judged.reason(&policy);
                PolicyDecision {
                    answer_sha256: Some(judged.kept.sha256),
                    answer: Some(judged.kept.answer),
                    ..said(reason, message)
                }
            }
            Err(Unjudged::Source(error)) => said(
                Reason::SourceDown,
                format!("no answer from a source of evidence, so nothing is known: {error}"),
            ),
            Err(Unjudged::Index(error)) => said(
                Reason::SourceDown,
                format!(
                    "it is not what this chain made, and whether it is an index of what it made is not known: {error}"
                ),
            ),
            Err(Unjudged::Unfilled(why)) => said(Reason::Undecided, why),
            Err(Unjudged::Suspended(why)) => said(
                Reason::Undecided,
                format!("nothing is judged by it, for it has changed and cannot be used: {why}"),
            ),
            Err(Unjudged::Overloaded) => said(
                Reason::Overloaded,
                "too many verifications are waiting: ask again shortly".to_owned(),
            ),
            Err(Unjudged::NoRoom(no_room)) => {
                self.metrics.refused_for_memory();
                said(
                    Reason::of_no_room(no_room),
                    format!("its evidence was not judged: {no_room}"),
                )
            }
        }
    }

    /// The component's answer, and what is to be told beside it.
    async fn judge(
        &self,
        policy: &Arc<Policy>,
        about: &About,
        subjects: &[Subject],
        arithmetic: &Arithmetic,
    ) -> Result<Judged, Unjudged> {
        policy.filled(about).map_err(Unjudged::Unfilled)?;
        policy.subject_names(about).map_err(Unjudged::Unfilled)?;
        let fetching = Stopwatch::now();
        let evidence = self.evidence(policy, about).await;
        self.metrics.fetched(fetching.elapsed(), evidence.is_ok());
        let evidence = evidence?;
        let mut kept = self
            .named_verdict(policy, about, subjects, &evidence, arithmetic)
            .await?;
        let mut known_as = None;
        if !policy.subject.is_empty() && is_unknown_subject(&kept.answer) {
            // Whether the chain made it under a name that the policy does not have is only told, not decided by.
            let unnamed = self.verdict(policy, about, subjects, &evidence, arithmetic).await?;
            known_as = accepted_name(&unnamed.answer);
        }
        if let (Some(image), None, true) = (&about.image, &known_as, is_unknown_subject(&kept.answer)) {
            // An index is accepted as itself, or when every one of its manifests is.
            let children = self.index(image).await.map_err(|error| match error.no_room {
                Some(no_room) => Unjudged::NoRoom(no_room),
                None => Unjudged::Index(error),
            })?;
            if !children.is_empty() {
                let _room = self.memory.take(LISTED * children.len() as u64)?;
                let children: Vec<Subject> = children.iter().map(subject_of).collect();
                kept = self
                    .named_verdict(policy, about, &children, &evidence, arithmetic)
                    .await?;
            }
        }
        Ok(Judged {
            kept,
            pieces: evidence.pieces.len(),
            known_as,
        })
    }

    /// The component's answer about subjects under the names that the policy has for an image. Where it has several, the
    /// component is asked first under which name it knows each, and then about just those that the policy has.
    async fn named_verdict(
        &self,
        policy: &Arc<Policy>,
        about: &About,
        subjects: &[Subject],
        evidence: &Evidence,
        arithmetic: &Arithmetic,
    ) -> Result<Kept, Unjudged> {
        let known = policy.subject_names(about).map_err(Unjudged::Unfilled)?;
        let named = match known.as_slice() {
            [] => subjects.to_vec(),
            [only] => subjects.iter().map(|subject| called(subject, only)).collect(),
            [first, ..] => {
                let kept = self.verdict(policy, about, subjects, evidence, arithmetic).await?;
                let Ok(verdict) = &*kept.answer else {
                    return Ok(kept);
                };
                let found = |at: usize| {
                    let of_it = verdict.subjects.iter().find(|found| found.subject == at as u64);
                    of_it.map(|found| &found.artifact).filter(|name| known.contains(name))
                };
                let each = subjects.iter().enumerate();
                each.map(|(at, subject)| called(subject, found(at).unwrap_or(first)))
                    .collect()
            }
        };
        self.verdict(policy, about, &named, evidence, arithmetic).await
    }

    /// Brings what the policy's steps may need from all of its sources. One that does not answer may hold what decides.
    async fn evidence(&self, policy: &Policy, about: &About) -> Result<Evidence, Unjudged> {
        let each = policy.sources.iter().map(|source| async move {
            let listed = self.store.list(source, about).await?;
            let room = self.memory.take(LISTED * listed.pieces.len() as u64)?;
            let wanted = listed.pieces.iter().filter(|piece| piece.may_be_for(&policy.steps));
            let wanted: Vec<Arc<Piece>> = wanted.cloned().collect();
            // Nothing is brought that would find no place to be judged in.
            if self.queue.is_full() && !wanted.iter().all(|piece| self.store.has(piece)) {
                return Err(Unjudged::Overloaded);
            }
            let fetched = self.store.fetch_all(source, wanted).await?;
            Ok::<_, Unjudged>((fetched, room))
        });
        let (mut pieces, mut room) = (Vec::new(), self.memory.nothing());
        for (fetched, held) in futures_util::future::try_join_all(each).await? {
            pieces.extend(fetched);
            room.join(held);
        }
        pieces.sort_by(|(a, _), (b, _)| (&a.name, &a.digest).cmp(&(&b.name, &b.digest)));
        pieces.dedup_by(|(a, _), (b, _)| a.name == b.name && a.digest == b.digest);
        Ok(Evidence {
            pieces: Arc::new(pieces),
            _room: room,
        })
    }

    /// The component's answer, from the cache if it is there.
    async fn verdict(
        &self,
        policy: &Arc<Policy>,
        about: &About,
        subjects: &[Subject],
        evidence: &Evidence,
        arithmetic: &Arithmetic,
    ) -> Result<Kept, Unjudged> {
        let now = link::now();
        let inputs = Inputs {
            component: &self.component,
            checker: checker(arithmetic),
            policy,
            about,
            subjects,
            evidence: &evidence.pieces,
        };
        let key = inputs.key();
        let found = self.verdicts.get(&key, now).await;
        self.metrics.asked_cache("verdicts", found.is_some());
        if let Some(kept) = found {
            return Ok(kept);
        }
        let (verifier, arithmetic) = (Arc::clone(&self.verifier), arithmetic.clone());
        let metrics = Arc::clone(&self.metrics);
        let (pieces, asked_by) = (Arc::clone(&evidence.pieces), Arc::clone(policy));
        let (about, subjects) = (about.clone(), subjects.to_vec());
        let parameters = policy.filled(&about).map_err(Unjudged::Unfilled)?;
        let judge = move |memory| {
            let judging = Stopwatch::now();
            let question = Question {
                request: asked_by.request_with(parameters.clone(), subjects.clone(), now),
                documents: evidence::documents(pieces.to_vec()),
                inspections: &asked_by.inspections,
                digest: &about.digest,
            };
            let answer = question.answer(&verifier, &arithmetic, memory);
            metrics.judged(judging.elapsed());
            answer
        };
        let answer = self.queue.run(evidence.bytes() + policy.layout.len(), judge).await?;
        let kept = Kept {
            sha256: Digest::of(verdict::to_json(&answer).as_bytes()).to_string(),
            answer: Arc::new(answer),
            judged: now,
        };
        self.verdicts.put(key, &kept).await;
        Ok(kept)
    }
}

/// A request, and whose links stand for the inspections of its layout.
struct Question<'p> {
    request: Request,
    documents: Vec<SharedDocument>,
    inspections: &'p BTreeMap<String, Vec<NamedKey>>,
    /// What is asked about.
    digest: &'p ManifestDigest,
}

impl Question<'_> {
    /// The verifier's answer in so many bytes of its memory.
    fn answer(mut self, verifier: &Verifier, arithmetic: &Arithmetic, memory: usize) -> Computed<Answer> {
        let mut wanted_memory = false;
        for (name, keys) in self.inspections {
            let (content, wanted) = self.inspected(name, keys, verifier, arithmetic, memory);
            wanted_memory |= wanted;
            if let Some(content) = content {
                self.request.inspections.push(InspectionResult {
                    at: Vec::new(),
                    name: name.clone(),
                    content,
                });
            }
        }
        let judged = verifier.verify_within(&self.request, &self.documents, arithmetic, memory);
        Computed {
            value: judged.answer,
            wanted_memory: wanted_memory || judged.wanted_memory,
        }
    }

    /// The link that stands for an inspection's result: one of that name, signed by a key that the policy names, about what
    /// is asked about. The component finds it as it would find the link of a step, by a layout that has this step alone.
    fn inspected(
        &self,
        name: &str,
        keys: &[NamedKey],
        verifier: &Verifier,
        arithmetic: &Arithmetic,
        memory: usize,
    ) -> (Option<Content>, bool) {
        let labels: Vec<&str> = keys.iter().map(|key| key.label.as_str()).collect();
        let step = json!({"name": name, "pubkeys": labels, "threshold": 1});
        let mut documents = self.about_it();
        // A link's name says nothing, and two may have one: these are called by their places.
        for (at, document) in documents.iter_mut().enumerate() {
            document.name = at.to_string();
        }
        let request = Request {
            layout: Content(json!({"_type": "layout", "steps": [step]}).to_string().into_bytes()),
            trust: Trust::Asserted(keys.to_vec()),
            documents: Vec::new(),
            inspections: Vec::new(),
            parameters: BTreeMap::new(),
            subjects: Vec::new(),
            options: Options::default(),
            now: self.request.now,
        };
        let judged = verifier.verify_within(&request, &documents, arithmetic, memory);
        let found = judged.answer.ok();
        let found = found.and_then(|verdict| Self::signed_by(&verdict, &documents));
        (found, judged.wanted_memory)
    }

    /// The link that an accepted chain of one step has.
    fn signed_by(verdict: &Verdict, documents: &[SharedDocument]) -> Option<Content> {
        if verdict.decision != Decision::Accept {
            return None;
        }
        let signer = verdict.steps.first()?.signers.first()?;
        let found = |document: &&SharedDocument| document.name == signer.document && !signer.sublayout;
        let link = documents.iter().find(found);
        link.map(|document| Content(document.content.to_vec()))
    }
}

impl Question<'_> {
    /// The documents that could be an inspection's link about what is asked about: a run of the command would look at that,
    /// while a signed link may be about whatever was there before. Sublayouts are none.
    fn about_it(&self) -> Vec<SharedDocument> {
        let subjects = &self.request.subjects;
        let whole = subject_of(self.digest);
        // An index is judged by its manifests; it may be looked at as a whole, or each of them.
        let is_index = !subjects.iter().any(|subject| {
            let digests = &subject.digests;
            digests.get(self.digest.algorithm()).map(String::as_str) == Some(self.digest.hex())
        });
        let is_about = |document: &&SharedDocument| {
            let Ok(envelope) = Envelope::parse(&document.content) else {
                return false;
            };
            let Ok((link, _)) = payload::link(&envelope) else {
                return false;
            };
            let artifacts = || link.materials.as_slice().iter().chain(link.products.as_slice());
            let has = |subject: &Subject| artifacts().any(|artifact| subject::describes(subject, artifact));
            subjects.iter().all(has) || (is_index && has(&whole))
        };
        let top = self.documents.iter().filter(|document| !document.name.contains('/'));
        top.filter(is_about).cloned().collect()
    }
}

/// A subject under a name.
fn called(subject: &Subject, name: &str) -> Subject {
    Subject {
        name: Some(name.to_owned()),
        ..subject.clone()
    }
}

/// A manifest as the artifact that a chain must have made.
pub(super) fn subject_of(digest: &ManifestDigest) -> Subject {
    Subject {
        name: None,
        digests: [(digest.algorithm().to_owned(), digest.hex().to_owned())].into(),
    }
}

/// Whether all that is wrong is that the chain made other artifacts.
fn is_unknown_subject(answer: &Answer) -> bool {
    let only = |verdict: &Verdict| {
        !verdict.findings.is_empty()
            && verdict.omitted == 0
            && verdict
                .findings
                .iter()
                .all(|finding| finding.code == Code::SubjectNotFound)
    };
    answer.as_ref().is_ok_and(only)
}

fn checker(arithmetic: &Arithmetic) -> &'static str {
    match arithmetic {
        Arithmetic::Native => "native",
        Arithmetic::Pure => "pure",
        Arithmetic::Tokens(_) => "tokens",
    }
}

/// Whether a subject is no product of a subject step, but what the last step passed on.
fn passes_on(verdict: &Verdict) -> bool {
    let is_product = |found: &SubjectReport| found.list == Side::Products.name();
    !verdict.subjects.iter().all(is_product)
}

/// The first product that an accepted chain knows a subject as.
fn accepted_name(answer: &Answer) -> Option<String> {
    let verdict = answer.as_ref().ok()?;
    let accepted = verdict.decision == Decision::Accept;
    verdict
        .subjects
        .first()
        .filter(|_| accepted)
        .map(|found| found.artifact.clone())
}

impl Judged {
    /// The reason, and one line of words: step and cause of what comes first.
    fn reason(&self, policy: &Policy) -> (Reason, String) {
        match &*self.kept.answer {
            // A file that the last step took over could have the image's name, and other bytes than the image.
            Ok(verdict) if verdict.decision == Decision::Accept && !policy.subject.is_empty() && passes_on(verdict) => (
                Reason::Rejected,
                "the last step did not make it, only passed it on: name the step that makes it under `subjectSteps`"
                    .to_owned(),
            ),
            Ok(verdict) if verdict.decision == Decision::Accept => (Reason::Accepted, "the chain holds".to_owned()),
            Ok(verdict) if self.pieces == 0 && verdict.findings.iter().all(is_about_evidence) => {
                let sources: Vec<String> = policy.sources.iter().map(|source| source.name()).collect();
                let message = format!("there is no link about it in {}", sources.join(" or "));
                (Reason::NoEvidence, message)
            }
            Ok(verdict) => {
                let message = match &self.known_as {
                    Some(name) => format!(
                        "the chain made it as `{name}`, which is no name that the policy's `subject` has for the image"
                    ),
                    None => sentence(policy, &verdict.findings, &verdict.warnings, &verdict.steps),
                };
                (Reason::Rejected, message)
            }
            Err(undecided) => (
                Reason::Undecided,
                sentence(policy, &undecided.reasons, &undecided.warnings, &undecided.steps),
            ),
        }
    }
}

/// Whether a finding would not be there if there were evidence: not one about the layout itself.
fn is_about_evidence(finding: &Finding) -> bool {
    !matches!(
        finding.code,
        Code::LayoutSignatureMissing | Code::LayoutSignatureInvalid | Code::LayoutExpired
    )
}

/// The first finding with its step, why links of that step did not count, and how many more findings there are.
fn sentence(policy: &Policy, findings: &[Finding], warnings: &[Finding], steps: &[StepReport]) -> String {
    // What no step has is said by the steps' own findings before it.
    let first = findings
        .iter()
        .find(|finding| finding.code != Code::SubjectNotFound)
        .or(findings.first());
    let Some(first) = first else {
        return "the verifier gave no reason".to_owned();
    };
    let step = match first.at.as_slice() {
        [] => String::new(),
        // Most sentences name their step themselves.
        [step] if first.message.contains(&format!("`{step}`")) => String::new(),
        at => format!("step `{}`: ", at.join("/")),
    };
    if let (Code::SubjectNotFound, Some(name), Some(found)) = (first.code, &first.artifact, &first.found) {
        let said = format!("the chain holds, but what it made as `{name}` is {found}: it did not make this");
        return counted(said, findings.len());
    }
    let mut said = format!("{step}{}", policy.names.within(&first.message));
    if first.code == Code::SublayoutRejected {
        // Why it does not hold is found beneath it.
        let after = findings.iter().skip_while(|finding| !std::ptr::eq(*finding, first));
        if let Some(cause) = after
            .into_iter()
            .find(|finding| finding.code != Code::SublayoutRejected)
        {
            said = format!("{said}: {}", policy.names.within(&cause.message));
        }
    }
    if first.code != Code::ThresholdNotMet {
        return counted(said, findings.len());
    }
    let about_step = |warning: &&Finding| {
        let name = first.at.last().map(|step| format!("{step}."));
        let is_named = |document: &str| name.as_deref().is_some_and(|name| document.starts_with(name));
        let document = warning.document.as_deref();
        document.is_some_and(|document| warning.at == first.at || is_named(document))
    };
    let any = || warnings.iter().find(|warning| warning.document.is_some());
    let cause = warnings.iter().find(about_step).or_else(any);
    let of_step = |report: &&StepReport| report.at.iter().chain([&report.name]).eq(&first.at);
    if let Some(report) = steps.iter().find(of_step).filter(|report| !report.missing.is_empty()) {
        let missing: Vec<String> = report.missing.iter().map(|key| policy.names.of_key(key)).collect();
        said = format!("{said} (could sign: {})", missing.join(", "));
    }
    if let Some(cause) = cause {
        said.push_str(": ");
        said.push_str(&policy.names.within(&cause.message));
    }
    counted(said, findings.len())
}

/// A sentence, and how many more findings there are than the one that it is about.
fn counted(said: String, findings: usize) -> String {
    match findings {
        1 => said,
        more => format!("{said} (and {} more)", more - 1),
    }
}
