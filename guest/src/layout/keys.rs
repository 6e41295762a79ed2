//! The keys that a layout lists: what they are called, and those that never count.

use super::parts::{Parts, missing, within_limit};
use super::{AuthorisedKey, LayoutError, Notice};
use crate::index::Index;
use crate::json::{Kind, Reader};
use crate::key::PublicKey;
use crate::limits::{Budget, Limit, Spent};
use crate::prelude::*;
use crate::signature;
use crate::verdict::shown;

impl Parts<'_> {
    /// The keys in order of their labels; none for one that can never count.
    pub(super) fn keys(&mut self, reader: &mut Reader<'_>) -> Result<Vec<(String, Option<PublicKey>)>, LayoutError> {
        let mut keys: Vec<(String, Option<PublicKey>)> = Vec::new();
        reader.object(|reader, label| {
            let raw = RawKey::read(reader, self.reading.budget)?;
            if raw.keyid.as_deref() != Some(label) {
                return Err(LayoutError::KeyidMismatch {
                    label: shown(label),
                    found: shown(raw.keyid.as_deref().unwrap_or_default()),
                });
            }
            keys.push((label.to_owned(), self.key(label, raw)?));
            within_limit(keys.len(), Limit::Keys)
        })?;
        let folded: Vec<String> = keys.iter().map(|(label, _)| label.to_ascii_lowercase()).collect();
        let twice = Index::new(folded.iter().map(String::as_str)).twice();
        if let Some((label, _)) = twice.and_then(|at| keys.get(at)) {
            return Err(LayoutError::KeyidCase(shown(label)));
        }
        let order = Index::new(keys.iter().map(|(label, _)| label.as_str())).into_order();
        order.apply(&mut keys);
        Ok(keys)
    }

    fn key(&mut self, label: &str, raw: RawKey) -> Result<Option<PublicKey>, LayoutError> {
        if raw.gpg {
            self.unsupported.push(format!("the GPG key `{}`", shown(label)));
            return Ok(None);
        }
        if raw.certificate {
            self.unsupported
                .push(format!("the certificate of the key `{}`", shown(label)));
            return Ok(None);
        }
        for field in raw.unknown {
            self.notice(Notice::UnknownField {
                within: Some(shown(label)),
                field,
            })?;
        }
        let member =
            |member: Option<String>, name| member.ok_or_else(|| missing(&format!("key `{}`", shown(label)), name));
        let keytype = member(raw.keytype, "keytype")?;
        let scheme = member(raw.scheme, "scheme")?;
        let public = member(raw.public, "public")?;
        self.reading.budget.signature(signature::decoding_cost(&scheme))?;
        match PublicKey::from_parts(&keytype, &scheme, &public) {
            Ok(key) => Ok(Some(key)),
            Err(reason) => {
                self.notice(Notice::UnusableKey {
                    label: shown(label),
                    reason,
                })?;
                Ok(None)
            }
        }
    }
}

/// Every usable key of a layout and of the caller, with all its names.
pub(super) fn authorisable(
    keys: Vec<(String, Option<PublicKey>)>,
    asserted: &[(String, PublicKey)],
) -> Vec<Rc<AuthorisedKey>> {
    keys.into_iter()
        .filter_map(|(label, key)| Some((label, key?)))
        .chain(asserted.iter().cloned())
        .map(|(label, key)| {
            let mut names = vec![label.to_ascii_lowercase()];
            names.extend(key.keyids());
            Rc::new(AuthorisedKey {
                fingerprint: key.fingerprint(),
                label,
                key,
                names,
            })
        })
        .collect()
}

/// What a step's `pubkeys` call.
#[derive(Default)]
pub(super) struct Listed {
    /// Its keys, each material once.
    pub(super) authorised: Vec<Rc<AuthorisedKey>>,
    /// What those are called beside their labels, by place.
    pub(super) labels: Vec<(usize, String)>,
    /// The names under which there is no usable key.
    pub(super) unknown: Vec<String>,
}

/// The keys of a layout, to be found by what `pubkeys` may call them.
pub(super) struct Keys<'k> {
    all: &'k [Rc<AuthorisedKey>],
    labels: Index<'k>,
    names: Index<'k>,
    materials: Index<'k>,
    /// By which step each material was listed last, counted from 1, and as which of its keys.
    listed: Vec<(usize, usize)>,
    step: usize,
}

impl<'k> Keys<'k> {
    pub(super) fn new(keys: &'k [Rc<AuthorisedKey>]) -> Self {
        let names = keys.iter().enumerate();
        Self {
            all: keys,
            labels: Index::new(keys.iter().map(|key| key.label.as_str())),
            names: Index::some(names.flat_map(|(at, key)| key.names.iter().map(move |name| (at, Some(name.as_str()))))),
            materials: Index::new(keys.iter().map(|key| key.fingerprint.as_str())),
            listed: vec![(0, 0); keys.len()],
            step: 0,
        }
    }

    /// What a step's `pubkeys` call.
    pub(super) fn of_step(&mut self, pubkeys: &[String]) -> Listed {
        self.step += 1;
        let mut step = Listed::default();
        for label in pubkeys {
            let at = self.labels.get(label);
            let at = at.or_else(|| self.names.get(&label.to_ascii_lowercase()));
            let Some(key) = at.and_then(|at| self.all.get(at)) else {
                step.unknown.push(shown(label));
                continue;
            };
            // The first key that has the material stands for all that have it.
            let material = self.materials.get(&key.fingerprint).unwrap_or_default();
            match self.listed.get_mut(material) {
                Some((listed, place)) if *listed == self.step => {
                    step.labels.push((*place, label.to_ascii_lowercase()));
                }
                Some(listed) => {
                    *listed = (self.step, step.authorised.len());
                    step.authorised.push(Rc::clone(key));
                }
                None => {}
            }
        }
        step
    }
}

/// A key's members as they stand.
#[derive(Default)]
struct RawKey {
    keyid: Option<String>,
    keytype: Option<String>,
    scheme: Option<String>,
    public: Option<String>,
    gpg: bool,
    certificate: bool,
    unknown: Vec<String>,
}

impl RawKey {
    fn read(reader: &mut Reader<'_>, budget: &Budget) -> Result<Self, LayoutError> {
        let mut raw = Self::default();
        reader.object(|reader, key| {
            match key {
                "keyid" => raw.keyid = Some(reader.string()?.into_owned()),
                "keytype" => raw.keytype = Some(reader.string()?.into_owned()),
                "scheme" => raw.scheme = Some(reader.string()?.into_owned()),
                "keyval" => reader.object(|reader, key| raw.value(reader, key, budget))?,
                "keyid_hash_algorithms" => reader.skip()?,
                // The members that only GPG keys have in securesystemslib.
                "method" | "hashes" | "subkeys" | "creation_time" | "validity_period" => {
                    raw.gpg = true;
                    reader.skip()?;
                }
                _ => {
                    raw.keep(shown(key), budget)?;
                    reader.skip()?;
                }
            }
            Ok::<_, LayoutError>(())
        })?;
        Ok(raw)
    }

    /// Keeps the name of a member that keys do not have.
    fn keep(&mut self, field: String, budget: &Budget) -> Result<(), Spent> {
        budget.memory(64 + field.len())?;
        self.unknown.push(field);
        Ok(())
    }

    fn value(&mut self, reader: &mut Reader<'_>, key: &str, budget: &Budget) -> Result<(), LayoutError> {
        match (key, reader.peek()?) {
            ("public", Kind::String) => self.public = Some(reader.string()?.into_owned()),
            ("public", Kind::Object) => {
                self.gpg = true;
                reader.skip()?;
            }
            ("certificate", Kind::String) => self.certificate = !reader.string()?.is_empty(),
            ("private", Kind::String) => {
                if !reader.string()?.is_empty() {
                    self.unknown.push("keyval.private".to_owned());
                }
            }
            _ => {
                self.keep(shown(&format!("keyval.{key}")), budget)?;
                reader.skip()?;
            }
        }
        Ok(())
    }
}
