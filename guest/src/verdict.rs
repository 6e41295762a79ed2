//! What the verifier answers. Its serde form is the JSON form of an answer (`wit/answer.schema.json`).
//!
//! A verdict is data: it names documents and artifacts and never echoes them, and holds nothing about the host, the
//! component or who did the arithmetic, so that equal requests give equal bytes everywhere.

use serde::Serialize;

use crate::limits::{self, Spent};
use crate::prelude::*;
use crate::rule::Side;

/// The answer to a request.
pub type Answer = Result<Verdict, Box<Undecided>>;

/// The JSON form of an answer, compact and without a final newline.
pub fn to_json(answer: &Answer) -> String {
    let text = match answer {
        Ok(verdict) => serde_json::to_string(verdict),
        Err(undecided) => serde_json::to_string(undecided),
    };
    // Strings and integers only: there is nothing in it that could fail.
    text.unwrap_or_default()
}

/// Whether what was judged holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Everything that the layout demands is there.
    Accept,
    /// It was judged, and falls short.
    Reject,
}

/// A judgement: accept or reject, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Accept only if there is no finding.
    pub decision: Decision,
    /// On whose word the layout is believed.
    pub trust: TrustReport,
    /// The steps of the root layout and of the sublayouts that were looked at.
    pub steps: Vec<StepReport>,
    /// Why it is a reject.
    pub findings: Vec<Finding>,
    /// What an owner should know.
    pub warnings: Vec<Finding>,
    /// How many findings and warnings are not listed.
    pub omitted: u64,
    /// Artifacts that no rule consumed.
    pub unconstrained: Unconstrained,
    /// The subjects of the request that were found, in its order.
    pub subjects: Vec<SubjectReport>,
    /// The summary link: materials of the first step, products, command and byproducts of the last. Only of an accepted chain.
    pub summary: Option<Summary>,
    /// The earliest instant, in seconds since 1970, at which this verdict could become another. None: time does not change it.
    pub valid_until: Option<i64>,
}

/// No judgement was possible. Refuse, as on a reject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Undecided {
    /// Always `undecided`.
    pub decision: UndecidedTag,
    /// The first reason.
    pub code: Code,
    /// The place of the first reason: folders of sublayouts, then the step or inspection.
    pub at: Vec<String>,
    /// The name of the limit that was reached.
    pub limit: Option<&'static str>,
    /// The first reason in one sentence.
    pub message: String,
    /// Every reason, the first included.
    pub reasons: Vec<Finding>,
    /// What an owner should know.
    pub warnings: Vec<Finding>,
    /// The steps as far as they could be counted.
    pub steps: Vec<StepReport>,
}

/// The tag of [`Undecided`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UndecidedTag {
    /// Neither accept nor reject.
    Undecided,
}

/// On whose word a layout is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrustReport {
    /// How.
    pub basis: Basis,
    /// The owners, or the functionaries that the caller named.
    pub keys: Vec<KeyReport>,
}

/// How a layout is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// All named owners have signed it.
    Signed,
    /// The caller vouches for it; nobody's signature was asked for.
    Asserted,
}

/// A key, in a verdict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KeyReport {
    /// What the layout or the caller calls it.
    pub label: String,
    /// SHA-256 of its material ([`crate::key::PublicKey::fingerprint`]).
    pub fingerprint: String,
}

/// How a step was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// The folders of the sublayouts that lead to it.
    pub at: Vec<String>,
    /// Its name.
    pub name: String,
    /// Whether enough functionaries signed, they agree, and no rule failed.
    pub verified: bool,
    /// How many distinct keys the layout wants.
    pub threshold: u64,
    /// Which keys counted.
    pub signers: Vec<Signer>,
    /// Which other keys may sign it.
    pub missing: Vec<KeyReport>,
    /// How many materials its links have.
    pub materials: u64,
    /// How many products.
    pub products: u64,
}

/// A key that counted for a step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Signer {
    /// The key.
    #[serde(flatten)]
    pub key: KeyReport,
    /// What it signed.
    pub document: String,
    /// Whether that is a sublayout.
    pub sublayout: bool,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub code: Code,
    /// Where: folders of sublayouts, then the step or inspection. Empty: the layout or the request as a whole.
    pub at: Vec<String>,
    /// In which document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// On which side of the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<&'static str>,
    /// By which rule of that list, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u64>,
    /// About which artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// What should have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// All of that in one plain sentence.
    pub message: String,
}

/// Findings as they are met. The first [`limits::FINDINGS`] are kept, and the first that a strict request turns into a
/// reject, wherever that stands; the others are counted.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    strict: bool,
    /// How many are not kept.
    pub omitted: u64,
}

impl Findings {
    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        let strict = finding.code.is_strict();
        if self.is_full() && (self.strict || !strict) {
            self.omitted += 1;
        } else {
            self.strict |= strict;
            self.list.push(finding);
        }
    }

    /// Adds all of another list, which is empty then.
    pub fn append(&mut self, other: &mut Self) {
        self.omitted += core::mem::take(&mut other.omitted);
        for finding in core::mem::take(&mut other.list) {
            self.push(finding);
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether more would only be counted.
    pub fn is_full(&self) -> bool {
        self.list.len() >= limits::FINDINGS
    }

    /// What a verdict lists; the rest is counted in `omitted`.
    pub(crate) fn listed(mut self, omitted: &mut u64) -> Vec<Finding> {
        *omitted += self.omitted + self.list.len().saturating_sub(limits::FINDINGS) as u64;
        self.list.truncate(limits::FINDINGS);
        self.list
    }
}

impl IntoIterator for Findings {
    type Item = Finding;
    type IntoIter = <Vec<Finding> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl From<Vec<Finding>> for Findings {
    fn from(list: Vec<Finding>) -> Self {
        let mut findings = Self::default();
        for finding in list {
            findings.push(finding);
        }
        findings
    }
}

/// Artifacts that no rule consumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unconstrained {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub artifacts: Vec<UnconstrainedArtifact>,
}

impl Unconstrained {
    /// Adds what another list left; lists at most [`limits::FINDINGS`] of all.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.count += other.count;
        self.artifacts.extend(other.artifacts);
        self.artifacts.truncate(limits::FINDINGS);
    }
}

/// An artifact that no rule consumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnconstrainedArtifact {
    /// The step or inspection, after the folders of sublayouts.
    pub at: Vec<String>,
    /// `materials` or `products`
    pub list: &'static str,
    /// Its name.
    pub artifact: String,
}

/// A subject of the request that the supply chain made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubjectReport {
    /// Its place in the request.
    pub subject: u64,
    /// The step that has it.
    pub step: String,
    /// `products`, or `materials` where the last step passed it on.
    pub list: &'static str,
    /// The name of the artifact that it is.
    pub artifact: String,
}

/// The summary link of an accepted chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// SHA-256 of its text.
    pub sha256: String,
    /// Its text, if the request asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What was found, by a name that does not change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

codes! {
    // Undecided.
    /// The request cannot be answered.
    RequestMalformed = "request-malformed",
    /// The root layout is no layout.
    LayoutMalformed = "layout-malformed",
    /// A layout has a constraint that this verifier cannot check.
    LayoutUnsupported = "layout-unsupported",
    /// A trusted key cannot be used.
    TrustedKeyUnusable = "trusted-key-unusable",
    /// A bound of the verification was reached.
    LimitExceeded = "limit-exceeded",
    /// No result of an inspection was supplied, or only one that may be of another command.
    InspectionNotRun = "inspection-not-run",
    /// The supplied result of an inspection is no link of that inspection.
    InspectionMalformed = "inspection-malformed",
    /// The host could not check a signature.
    SignatureUnchecked = "signature-unchecked",
    /// The host stopped the verifier: a trap, its memory's bound or a deadline. Only hosts say this.
    VerifierStopped = "verifier-stopped",
    // Reject.
    /// An owner has not signed the layout.
    LayoutSignatureMissing = "layout-signature-missing",
    /// A signature under an owner's name does not verify.
    LayoutSignatureInvalid = "layout-signature-invalid",
    /// The layout no longer holds.
    LayoutExpired = "layout-expired",
    /// Too few functionaries signed for a step.
    ThresholdNotMet = "threshold-not-met",
    /// The links of a step do not agree.
    LinksDisagree = "links-disagree",
    /// One functionary signed two links of a step that differ.
    ConflictingLinks = "conflicting-links",
    /// A sublayout that does not hold.
    SublayoutRejected = "sublayout-rejected",
    /// One sublayout under the names of two steps.
    SublayoutReused = "sublayout-reused",
    /// A sublayout whose file name fits two signers, or two steps, and which one of the signers signed.
    SublayoutAmbiguous = "sublayout-ambiguous",
    /// A DISALLOW rule matches an artifact.
    DisallowedArtifact = "disallowed-artifact",
    /// A REQUIRE rule does not find its artifact.
    RequiredArtifactMissing = "required-artifact-missing",
    /// An inspection's command failed.
    InspectionFailed = "inspection-failed",
    /// A subject was not made by the supply chain.
    SubjectNotFound = "subject-not-found",
    // Warnings.
    /// A document that is no link or sublayout.
    DocumentMalformed = "document-malformed",
    /// A document over its own bound.
    DocumentTooLarge = "document-too-large",
    /// A link of a step that the layout does not have.
    StepUnknown = "step-unknown",
    /// A document that no authorised key signed.
    SignerUnauthorized = "signer-unauthorized",
    /// A signature under an authorised key's name that does not verify.
    SignatureInvalid = "signature-invalid",
    /// A link with an artifact name that could be written in another way.
    ArtifactNameMalformed = "artifact-name-malformed",
    /// A link with a digest that its algorithm does not give.
    DigestMalformed = "digest-malformed",
    /// A link with an artifact that has no digest of SHA-2 or better.
    DigestWeak = "digest-weak",
    /// A sublayout whose file name binds it to no step and signer.
    SublayoutUnbound = "sublayout-unbound",
    /// A sublayout's signer may sign several steps that have sublayouts.
    SublayoutSharedSigner = "sublayout-shared-signer",
    /// A sublayout that could not be judged.
    SublayoutUndecided = "sublayout-undecided",
    /// Another command was run than the layout expects.
    CommandDiffers = "command-differs",
    /// A step's command did not return 0.
    StepCommandFailed = "step-command-failed",
    /// An artifact that no rule consumed.
    UnconstrainedArtifact = "unconstrained-artifact",
    /// A field that layouts do not have.
    UnknownLayoutField = "unknown-layout-field",
    /// What looks like a parameter, while none is given.
    UnfilledParameter = "unfilled-parameter",
    /// A step with several keys that does not say how many of them must sign: one is enough.
    ThresholdAbsent = "threshold-absent",
    /// A layout that demands nothing.
    NoSteps = "no-steps",
    /// A key of the layout that can never count.
    UnusableKey = "unusable-key",
    /// A field that only an asserted layout may leave out.
    LayoutFieldAbsent = "layout-field-absent",
    /// Rules that refer to a step that did not verify.
    RulesNotJudged = "rules-not-judged",
}

impl Code {
    /// Whether a strict request turns this warning into a reject.
    pub const fn is_strict(self) -> bool {
        matches!(
            self,
            Self::CommandDiffers
                | Self::StepCommandFailed
                | Self::UnconstrainedArtifact
                | Self::UnknownLayoutField
                | Self::UnfilledParameter
                | Self::ThresholdAbsent
                | Self::NoSteps
                | Self::SublayoutSharedSigner
        )
    }
}

impl Finding {
    /// A finding about the layout at `at` as a whole, or about the step or inspection that is its last name.
    pub fn new(code: Code, at: &[String], message: String) -> Self {
        Self {
            code,
            at: at.to_vec(),
            document: None,
            list: None,
            rule: None,
            artifact: None,
            expected: None,
            found: None,
            message,
        }
    }

    /// A bound of the whole verification was reached at `at`.
    pub fn spent(spent: Spent, at: &[String]) -> Self {
        Self::new(Code::LimitExceeded, at, spent.to_string()).found(spent.0.name())
    }

    /// Names the document.
    #[must_use]
    pub fn document(mut self, name: &str) -> Self {
        self.document = Some(shown(name));
        self
    }

    /// Names the list and the rule in it.
    #[must_use]
    pub fn rule(mut self, list: Side, rule: usize) -> Self {
        self.list = Some(list.name());
        self.rule = Some(rule as u64);
        self
    }

    /// Names the list.
    #[must_use]
    pub fn list(mut self, list: Side) -> Self {
        self.list = Some(list.name());
        self
    }

    /// Names the artifact.
    #[must_use]
    pub fn artifact(mut self, name: &str) -> Self {
        self.artifact = Some(shown(name));
        self
    }

    /// Gives the value that should have been.
    #[must_use]
    pub fn expected(mut self, value: &str) -> Self {
        self.expected = Some(shown(value));
        self
    }

    /// Gives the value that was.
    #[must_use]
    pub fn found(mut self, value: &str) -> Self {
        self.found = Some(shown(value));
        self
    }
}

/// What an answer says of thresholds that the layout's author may have forgotten: warnings, or, where the request is strict,
/// findings.
pub fn absent_thresholds(answer: &Answer) -> impl Iterator<Item = &str> {
    let (findings, warnings) = match answer {
        Ok(verdict) => (&verdict.findings, &verdict.warnings),
        Err(undecided) => (&undecided.reasons, &undecided.warnings),
    };
    let absent = findings
        .iter()
        .chain(warnings)
        .filter(|found| found.code == Code::ThresholdAbsent);
    absent.map(|found| found.message.as_str())
}

/// As much of a value as a verdict shows.
pub fn shown(value: &str) -> String {
    if value.chars().nth(limits::SHOWN).is_none() {
        return value.to_owned();
    }
    value.chars().take(limits::SHOWN).chain(['…']).collect()
}

/// As many values as a verdict shows, joined. It stops where nothing more is shown, so that it costs the same however many
/// there are.
pub(crate) fn joined<'v>(values: impl IntoIterator<Item = &'v str>, separator: &str) -> String {
    joined_all(&mut values.into_iter(), separator)
}

/// [`joined`], once for all kinds of iterators, so that it stands in the module once.
fn joined_all(values: &mut dyn Iterator<Item = &str>, separator: &str) -> String {
    let mut text = String::new();
    for (at, value) in values.enumerate() {
        if at > 0 {
            text.push_str(separator);
        }
        text.extend(value.chars().take(limits::SHOWN + 1));
        // A character has at most four bytes.
        if text.len() > 4 * limits::SHOWN {
            break;
        }
    }
    shown(&text)
}
