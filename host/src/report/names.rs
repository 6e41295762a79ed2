//! What keys are called when a person reads about them.

use std::collections::BTreeMap;

use linkgate_verifier::verdict::KeyReport;

use crate::key::PublicKeyFile;

/// Names of keys: the stem of a key file that was given, else the layout's label, else eight digits of the keyid.
#[derive(Clone, Debug, Default)]
pub struct Names {
    by_fingerprint: BTreeMap<String, String>,
    /// Names for the keyids that stand in sentences.
    by_keyid: BTreeMap<String, String>,
}

impl Names {
    /// Names after the files of these keys.
    pub fn of<'k>(keys: impl IntoIterator<Item = &'k PublicKeyFile>) -> Self {
        let mut names = Self::default();
        for file in keys {
            names.by_fingerprint.insert(file.key.fingerprint(), file.label.clone());
            for keyid in file.key.keyids().into_iter().chain(file.keyid.clone()) {
                names.by_keyid.insert(keyid, file.label.clone());
            }
        }
        names
    }

    /// Learns the labels that a verdict's keys have.
    pub fn learn<'k>(&mut self, keys: impl IntoIterator<Item = &'k KeyReport>) {
        for key in keys {
            let name = self.of_key(key);
            self.by_keyid.insert(key.label.clone(), name);
        }
    }

    /// The name of a key.
    pub fn of_key(&self, key: &KeyReport) -> String {
        match self.by_fingerprint.get(&key.fingerprint) {
            Some(name) => name.clone(),
            None => short(&key.label),
        }
    }

    /// A sentence or value in which keyids stand as names.
    pub fn within(&self, text: &str) -> String {
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(|character: char| character.is_ascii_hexdigit()) {
            let (before, from) = rest.split_at(at);
            let end = from
                .find(|character: char| !character.is_ascii_alphanumeric())
                .unwrap_or(from.len());
            let (word, after) = from.split_at(end);
            named.push_str(before);
            match self.by_keyid.get(word) {
                // A word that goes on from other letters is part of something longer.
                _ if before.ends_with(|character: char| character.is_alphanumeric()) => named.push_str(word),
                Some(name) => named.push_str(name),
                // A digest stands after its algorithm and a colon, or is part of a path.
                None if before.ends_with([':', '/']) => named.push_str(word),
                None => named.push_str(&short(word)),
            }
            rest = after;
        }
        named.push_str(rest);
        named
    }
}

/// A keyid as its first eight digits; any other label as it is.
pub fn short(label: &str) -> String {
    if label.len() == 64 && label.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        label.chars().take(8).collect()
    } else {
        label.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyids_in_sentences() {
        let mut names = Names::default();
        let key = |label: &str, fingerprint: &str| KeyReport {
            label: label.to_owned(),
            fingerprint: fingerprint.to_owned(),
        };
        names.by_fingerprint.insert("f".into(), "bob".into());
        let (known, unknown) = ("a".repeat(64), "b".repeat(64));
        names.learn([&key(&known, "f"), &key(&unknown, "g"), &key("carol", "h")]);
        let (other, digest) = ("c".repeat(64), "d".repeat(64));
        let text = format!("`{known}`, {unknown}, {other} and carol; x{known} and sha256:{digest} stay");
        assert_eq!(
            names.within(&text),
            format!("`bob`, bbbbbbbb, cccccccc and carol; x{known} and sha256:{digest} stay")
        );
    }
}
