//! Counting evidence: which documents speak for which step (specification 1.0, section 5.2).
//!
//! A document counts when its payload is a link whose name is the step's, and a key of that very step has signed it.
//! Anything else about it leaves it uncounted, with a warning: a stray file cannot deny a good chain. A layout whose file
//! name binds it to the step and to a key of it that has signed it is a sublayout, which has a say in any case
//! ([`crate::chain`]).

use crate::artifact::ArtifactError;
use crate::envelope::{Envelope, EnvelopeError, Form};
use crate::index::{self, Index};
use crate::json::JsonError;
use crate::layout::{Layout, Step};
use crate::limits::{self, Budget, Spent};
use crate::link::{Link, LinkError};
use crate::payload::{self, Kind};
use crate::prelude::*;
use crate::request::{self, Document, InspectionResult};
use crate::signature::{self, CheckError, Checked, Checker};
use crate::verdict::{Code, Finding, Findings, joined, shown};

/// Every document of a request in order of the names, its envelope opened or not.
pub struct Documents<'r>(Vec<(&'r str, Result<Envelope<'r>, DocumentError>)>);

/// Why a document has no envelope that could count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is larger than a document may be.
    #[error("it has {0} bytes, more than {max}", max = limits::DOCUMENT_BYTES)]
    TooLarge(usize),
    /// Its name is longer than that of a file may be.
    #[error("its name is longer than {} bytes", limits::NAME_BYTES)]
    Name,
    /// It is no envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

impl<'r> Documents<'r> {
    /// Opens the envelopes of documents. Several may have one name: each stands for itself.
    pub fn open(documents: &'r [Document], budget: &Budget) -> Result<Self, Spent> {
        let index = Index::new(documents.iter().map(|document| document.name.as_str()));
        let mut opened: Vec<(&str, Result<Envelope<'_>, DocumentError>)> = Vec::with_capacity(documents.len());
        for (name, at) in index.as_slice() {
            if let Some(document) = documents.get(*at) {
                // Those who sign the same side by side leave documents that begin and end alike.
                let before = opened.last().and_then(|(_, envelope)| envelope.as_ref().ok());
                let envelope = if name.len() <= limits::NAME_BYTES {
                    open(&document.content.0, before)
                } else {
                    Err(DocumentError::Name)
                };
                budget.memory(envelope.as_ref().map_or(0, Envelope::weight))?;
                opened.push((name, envelope));
            }
        }
        Ok(Self(opened))
    }

    /// The documents whose names begin with `folder`, and the rest of their names.
    fn under(&self, folder: &str) -> impl Iterator<Item = (&'r str, &'r str, &Result<Envelope<'r>, DocumentError>)> {
        let first = self.0.partition_point(|(name, _)| *name < folder);
        let from = self.0.get(first..).unwrap_or_default().iter();
        from.map_while(move |(name, envelope)| Some((*name, name.strip_prefix(folder)?, envelope)))
    }
}

/// Opens an envelope, if it is not too large.
fn open<'a>(bytes: &'a [u8], before: Option<&Envelope<'a>>) -> Result<Envelope<'a>, DocumentError> {
    if bytes.len() > limits::DOCUMENT_BYTES {
        return Err(DocumentError::TooLarge(bytes.len()));
    }
    Ok(Envelope::parse_after(before, bytes)?)
}

/// Opens what the caller vouches for, which may also be a link without an envelope.
fn open_vouched(bytes: &[u8]) -> Result<Envelope<'_>, DocumentError> {
    match open(bytes, None) {
        Err(DocumentError::Envelope(EnvelopeError::Bare("link"))) => Ok(Envelope::bare(bytes)?),
        opened => opened,
    }
}

/// Results of inspections in order of their places, their envelopes opened.
pub struct Results<'r>(Vec<(String, Result<Envelope<'r>, DocumentError>)>);

impl<'r> Results<'r> {
    /// Opens results, no two of which are of one inspection. A link may be bare, for the caller vouches for it.
    pub fn open(results: &'r [InspectionResult], budget: &Budget) -> Result<Self, Spent> {
        let mut list: Vec<_> = results
            .iter()
            .map(|result| (result.place(), open_vouched(&result.content.0)))
            .collect();
        let order = Index::new(list.iter().map(|(place, _)| place.as_str())).into_order();
        order.apply(&mut list);
        for (_, envelope) in &list {
            budget.memory(envelope.as_ref().map_or(0, Envelope::weight))?;
        }
        Ok(Self(list))
    }

    /// The result of an inspection of the layout at `at`, and its place among all.
    pub fn get(&self, at: &[String], name: &str) -> Option<(usize, &Result<Envelope<'r>, DocumentError>)> {
        let place = request::place_of(at, name);
        let found = self.0.partition_point(|(other, _)| *other < place);
        let (other, result) = self.0.get(found)?;
        (*other == place).then_some((found, result))
    }
}

/// A document that counts for a step.
#[derive(Clone, Debug)]
pub struct Evidence<'e> {
    /// The document's name, from the root of the evidence.
    pub document: &'e str,
    /// The link, or the summary link of a sublayout. Documents that hold the very same share it.
    pub link: Rc<Link<'e>>,
    /// Every link whose command and return value are the step's: the link, or all that count for the last step of a
    /// sublayout, one of which the summary shows.
    pub ran: Vec<Rc<Link<'e>>>,
    /// Who signed it: places in the step's authorised keys, each once.
    pub signers: Vec<usize>,
    /// Whether it is a sublayout.
    pub sublayout: bool,
}

/// A sublayout that is bound to a step and signed by its signer, not yet verified itself.
#[derive(Clone, Debug)]
pub struct BoundSublayout<'e> {
    /// The document's name.
    pub document: &'e str,
    /// Its envelope.
    pub envelope: &'e Envelope<'e>,
    /// The place of its step in the layout.
    pub step: usize,
    /// The place of its signer in the step's authorised keys; none if its name fits several, one of whom signed it.
    pub signer: Option<usize>,
    /// The last part of the folder of its documents, `<step>.<keyid8>`.
    pub folder: String,
}

/// What a folder of documents holds for the steps of one layout.
#[derive(Debug, Default)]
pub struct Collected<'e> {
    /// Links by step's place.
    pub links: Vec<Vec<Evidence<'e>>>,
    /// Sublayouts in order of their documents' names.
    pub sublayouts: Vec<BoundSublayout<'e>>,
    /// Why documents do not count, and what is odd about those that do.
    pub warnings: Findings,
    /// Signatures that could not be checked, by step's place.
    pub unchecked: Vec<(usize, Finding)>,
}

/// Whom to ask about signatures, and what that may cost.
pub struct Judge<'j> {
    /// Answers what it can.
    pub checker: &'j mut dyn Checker,
    /// Pays for all of it.
    pub budget: &'j Budget,
}

/// Who validly signed a document.
#[derive(Debug, Default)]
struct Signers {
    valid: Vec<usize>,
    invalid: Vec<usize>,
    unchecked: Option<String>,
}

/// Collects what the documents directly in `folder` (empty, or with its final `/`) are for the steps of a layout.
pub fn collect<'e>(
    documents: &'e Documents<'e>,
    folder: &str,
    at: &[String],
    layout: &Layout,
    judge: &mut Judge<'_>,
) -> Result<Collected<'e>, Spent> {
    let mut collector = Collector {
        layout,
        places: layout.index(),
        names: layout.steps.iter().map(names).collect(),
        at,
        judge,
        collected: Collected::default(),
        last: None,
    };
    collector.collected.links.resize_with(layout.steps.len(), Vec::new);
    for (name, file, envelope) in documents.under(folder) {
        collector.judge.budget.read(name.len())?;
        // What is said of it takes longer than to read its name, and a folder is visited once for each copy of a sublayout.
        collector.judge.budget.compare(limits::SAID + name.len())?;
        if file.contains('/') {
            continue;
        }
        match envelope {
            Err(error) => collector.unopened(name, error),
            Ok(envelope) => {
                collector.judge.budget.read(envelope.payload().len())?;
                collector.document(name, file, envelope)?;
            }
        }
    }
    Ok(collector.collected)
}

struct Collector<'c, 'e, 'j> {
    layout: &'c Layout,
    places: Index<'c>,
    /// By step, the places of its authorised keys by all that these may be called.
    names: Vec<Index<'c>>,
    at: &'c [String],
    judge: &'c mut Judge<'j>,
    collected: Collected<'e>,
    last: Option<Last<'e>>,
}

/// The last link, if it counts. Where several must sign a step they often sign the very same, in documents that stand
/// side by side: it is then read once.
struct Last<'e> {
    envelope: &'e Envelope<'e>,
    /// The place of its step.
    place: usize,
    /// What its signatures are over.
    message: Vec<u8>,
}

impl<'e> Collector<'_, 'e, '_> {
    fn warn(&mut self, code: Code, step: Option<&Step>, document: &str, message: String) {
        let at = place(self.at, step.map(|step| step.name.as_str()));
        self.collected
            .warnings
            .push(Finding::new(code, &at, message).document(document));
    }

    fn unopened(&mut self, document: &str, error: &DocumentError) {
        let code = match error {
            DocumentError::TooLarge(_) => Code::DocumentTooLarge,
            DocumentError::Name | DocumentError::Envelope(_) => Code::DocumentMalformed,
        };
        let message = format!("`{}` does not count: {error}", shown(document));
        self.warn(code, None, document, message);
    }

    fn document(&mut self, document: &'e str, file: &str, envelope: &'e Envelope<'e>) -> Result<(), Spent> {
        match payload::kind(envelope) {
            Ok(Kind::Link) => self.link(document, envelope),
            Ok(Kind::Layout) => self.sublayout(document, file, envelope, None),
            Ok(Kind::Other(kind)) => {
                self.warn(
                    Code::DocumentMalformed,
                    None,
                    document,
                    format!("`{document}` does not count: its `_type` is `{kind}`, neither `link` nor `layout`"),
                );
                Ok(())
            }
            // A layout, perhaps.
            Err(error) => self.sublayout(document, file, envelope, Some(error)),
        }
    }

    fn link(&mut self, document: &'e str, envelope: &'e Envelope<'e>) -> Result<(), Spent> {
        let (link, message) = match self.read_link(envelope) {
            Ok(read) => read,
            Err(error) => {
                let code = link_error_code(&error);
                self.warn(code, None, document, format!("`{document}` does not count: {error}"));
                return Ok(());
            }
        };
        let Some((place, step)) = self
            .places
            .get(&link.name)
            .and_then(|at| Some((at, self.layout.steps.get(at)?)))
        else {
            self.warn(
                Code::StepUnknown,
                None,
                document,
                format!(
                    "`{document}` does not count: it is a link of `{}`, which is no step of the layout",
                    shown(&link.name)
                ),
            );
            return Ok(());
        };
        let signers = signers(envelope, &message, step, self.names.get(place), None, self.judge)?;
        self.report(&signers, step, place, document, envelope);
        if !signers.valid.is_empty()
            && let Some(links) = self.collected.links.get_mut(place)
        {
            self.judge.budget.memory(link.weight())?;
            links.push(Evidence {
                document,
                ran: vec![Rc::clone(&link)],
                link,
                signers: signers.valid,
                sublayout: false,
            });
            self.last = Some(Last {
                envelope,
                place,
                message,
            });
        }
        Ok(())
    }

    fn read_link(&mut self, envelope: &'e Envelope<'e>) -> Result<(Rc<Link<'e>>, Vec<u8>), LinkError> {
        // Taken, so that a message that is not needed any more is gone before the next is made.
        if let Some(last) = self.last.take()
            && last.envelope.holds_the_same(envelope)
            && let Some(evidence) = self.collected.links.get(last.place).and_then(|links| links.last())
        {
            return Ok((Rc::clone(&evidence.link), last.message));
        }
        let (link, message) = payload::link(envelope)?;
        Ok((Rc::new(link), message))
    }

    /// A layout, or what is `unread` as far as it would say what it is: under a name that binds it to a signer who
    /// validly signed it, it is a sublayout, which may not hold or not be judged.
    fn sublayout(
        &mut self,
        document: &'e str,
        file: &str,
        envelope: &'e Envelope<'e>,
        unread: Option<JsonError>,
    ) -> Result<(), Spent> {
        let bindings = match (self.bind(file)?, unread) {
            (Ok(bindings), _) => bindings,
            (Err(_), Some(error)) => {
                self.unopened(document, &DocumentError::Envelope(error.into()));
                return Ok(());
            }
            (Err(code), None) => {
                let why = if code == Code::SignerUnauthorized {
                    "its name binds this sublayout to a key that may not sign that step"
                } else {
                    "a sublayout's file is named `<step>.<keyid>.link` after a step of the layout and a key that may sign it"
                };
                self.warn(code, None, document, format!("`{document}` does not count: {why}"));
                return Ok(());
            }
        };
        let mut reader = envelope.reader();
        let message = match reader.skip().and_then(|()| reader.finish()) {
            Ok(canonical) => envelope.message(canonical),
            // Its signature may be valid nevertheless: then it is a malformed sublayout.
            Err(_) if envelope.form == Form::Dsse => envelope.message(String::new()),
            Err(error) => {
                self.unopened(document, &DocumentError::Envelope(error.into()));
                return Ok(());
            }
        };
        let ambiguous = bindings.len() > 1;
        for binding in bindings {
            let Some(step) = self.layout.steps.get(binding.step) else {
                continue;
            };
            let names = self.names.get(binding.step);
            let signers = signers(envelope, &message, step, names, Some(&binding.signers), self.judge)?;
            self.report(&signers, step, binding.step, document, envelope);
            if let Some(first) = signers.valid.first() {
                let has_its_full_keyid = |at: &&usize| binding.in_full.contains(at);
                let only = (binding.signers.len() == 1).then_some(first);
                let signer = signers.valid.iter().find(has_its_full_keyid).or(only);
                self.collected.sublayouts.push(BoundSublayout {
                    document,
                    envelope,
                    step: binding.step,
                    signer: signer.filter(|_| !ambiguous).copied(),
                    folder: format!("{}.{}", step.name, first_eight(binding.keyid)),
                });
            } else if let Some(error) = unread {
                self.unopened(document, &DocumentError::Envelope(error.into()));
            }
        }
        Ok(())
    }

    /// To which steps and signers a sublayout's file name binds it: to at least one, or why to none. More than one fit
    /// where names of steps and labels of keys have dots of their own.
    fn bind<'f>(&self, file: &'f str) -> Result<Result<Vec<Binding<'f>>, Code>, Spent> {
        /// What looking for one step costs.
        const LOOK: usize = 64;
        let both = file.strip_suffix(".link").unwrap_or_default();
        let (mut bindings, mut otherwise) = (Vec::new(), Code::SublayoutUnbound);
        for (dot, _) in both.match_indices('.') {
            self.judge.budget.compare(LOOK)?;
            let (name, keyid) = both.split_at(dot);
            let keyid = keyid.get(1..).unwrap_or_default();
            let Some(step) = self.places.get(name) else {
                continue;
            };
            let names = self.names.get(step).map(Index::as_slice).unwrap_or_default();
            self.judge.budget.compare(names.len())?;
            let folded = keyid.to_ascii_lowercase();
            let called = |so: &dyn Fn(&str) -> bool| {
                let mut places: Vec<usize> = names
                    .iter()
                    .filter(|(name, _)| so(name))
                    .map(|(_, place)| *place)
                    .collect();
                index::sort(&mut places);
                places.dedup();
                places
            };
            let in_full = called(&|name| name == folded);
            let signers = called(&|name| name == folded || first_eight(name) == folded);
            if !signers.is_empty() {
                bindings.push(Binding {
                    step,
                    keyid,
                    signers,
                    in_full,
                });
            } else if matches!(keyid.len(), 8 | 64) {
                otherwise = Code::SignerUnauthorized;
            }
        }
        Ok(if bindings.is_empty() {
            Err(otherwise)
        } else {
            Ok(bindings)
        })
    }

    /// Tells what is wrong with the signatures of a document.
    fn report(
        &mut self,
        signers: &Signers,
        step: &Step,
        place_of_step: usize,
        document: &str,
        envelope: &Envelope<'_>,
    ) {
        let at = place(self.at, Some(&step.name));
        for key in &signers.invalid {
            let label = shown(step.authorised.get(*key).map_or("", |key| &key.label));
            self.collected.warnings.push(
                Finding::new(
                    Code::SignatureInvalid,
                    &at,
                    format!("the signature on `{document}` under the name of `{label}` does not verify: it was changed after it was signed, or signed with another key"),
                )
                .document(document)
                .found(&label),
            );
        }
        if let Some(why) = &signers.unchecked {
            let message = format!("a signature on `{document}` could not be checked: {why}");
            let finding = Finding::new(Code::SignatureUnchecked, &at, message).document(document);
            self.collected.unchecked.push((place_of_step, finding));
        } else if signers.valid.is_empty() && signers.invalid.is_empty() {
            let found = envelope.signatures.iter();
            let found = found.filter_map(|signature| signature.keyid.as_deref());
            let allowed = step.authorised.iter().map(|key| key.label.as_str());
            self.collected.warnings.push(
                Finding::new(
                    Code::SignerUnauthorized,
                    &at,
                    format!(
                        "`{document}` does not count: no key that may sign step `{}` has signed it",
                        step.name
                    ),
                )
                .document(document)
                .expected(&joined(allowed, ", "))
                .found(&joined(found, ", ")),
            );
        }
    }
}

/// Checks the signatures on a document by the keys that may sign it, or only by some of them. One valid signature of a
/// key is enough for that key.
fn signers(
    envelope: &Envelope<'_>,
    message: &[u8],
    step: &Step,
    names: Option<&Index<'_>>,
    only: Option<&[usize]>,
    judge: &mut Judge<'_>,
) -> Result<Signers, Spent> {
    let mut standing: Vec<Option<Checked>> = vec![None; step.authorised.len()];
    judge.budget.compare(standing.len())?;
    let mut unchecked = None;
    for signature in &envelope.signatures {
        let folded = signature.folded_keyid();
        let mut candidates: Vec<usize> = match (&folded, names) {
            (Some(keyid), Some(names)) => names.places(keyid).collect(),
            _ => (0..standing.len()).collect(),
        };
        // A label may be a computed keyid, too.
        candidates.dedup();
        for place in candidates {
            let (Some(key), Some(standing)) = (step.authorised.get(place), standing.get_mut(place)) else {
                continue;
            };
            judge.budget.pattern(1)?;
            // They ascend.
            if *standing == Some(Checked::Valid) || only.is_some_and(|only| only.binary_search(&place).is_err()) {
                continue;
            }
            match signature::check(&key.key, message, &signature.bytes, judge.budget, judge.checker) {
                // Without a keyid it was only a guess that this key might have signed.
                Ok(Checked::Invalid) if folded.is_none() => {}
                Ok(checked) => *standing = Some(checked),
                Err(CheckError::Unchecked(why)) => unchecked = Some(why),
                Err(CheckError::Spent(spent)) => return Err(spent),
            }
        }
    }
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for (place, checked) in standing.into_iter().enumerate() {
        match checked {
            Some(Checked::Valid) => valid.push(place),
            Some(Checked::Invalid) => invalid.push(place),
            None => {}
        }
    }
    Ok(Signers {
        valid,
        invalid,
        unchecked,
    })
}

/// The places of a step's authorised keys by all that these may be called.
fn names(step: &Step) -> Index<'_> {
    let keys = step.authorised.iter().enumerate();
    let names = keys.flat_map(|(place, key)| key.names.iter().map(move |name| (place, name)));
    let labels = step.labels.iter().map(|(place, label)| (*place, label));
    Index::some(names.chain(labels).map(|(place, name)| (place, Some(name.as_str()))))
}

/// To what a sublayout's file name binds it.
struct Binding<'f> {
    step: usize,
    /// The keyid in the name, or the first eight characters of one.
    keyid: &'f str,
    /// The places of the keys that it fits, in the step's authorised keys; at least one.
    signers: Vec<usize>,
    /// Those of them whose whole keyid it is.
    in_full: Vec<usize>,
}

/// The first eight characters of a keyid, by which files and folders are named.
pub fn first_eight(keyid: &str) -> &str {
    keyid
        .char_indices()
        .nth(8)
        .and_then(|(end, _)| keyid.get(..end))
        .unwrap_or(keyid)
}

/// The place of a step in the layout at `at`.
pub fn place(at: &[String], step: Option<&str>) -> Vec<String> {
    at.iter().cloned().chain(step.map(str::to_owned)).collect()
}

fn link_error_code(error: &LinkError) -> Code {
    match error {
        LinkError::Artifact(ArtifactError::Name(_)) => Code::ArtifactNameMalformed,
        LinkError::Artifact(ArtifactError::Digest { .. }) => Code::DigestMalformed,
        LinkError::Artifact(ArtifactError::Weak(_)) => Code::DigestWeak,
        _ => Code::DocumentMalformed,
    }
}
