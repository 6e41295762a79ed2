//! What keys are called when a person reads about them.

use std::collections::BTreeMap;

use linkgate_verifier::verdict::KeyReport;

use crate::key::PublicKeyFile;

/// Names of keys: the stem of a key file that was given (its path where another key has that stem), else the layout's
/// label, else eight digits of the keyid.
#[derive(Clone, Debug, Default)]
pub struct Names {
    by_fingerprint: BTreeMap<String, String>,
    /// The keyids under which the keys of the given files sign, by fingerprint.
    keyids: BTreeMap<String, String>,
    /// Names for the keyids that stand in sentences.
    by_keyid: BTreeMap<String, String>,
}

impl Names {
    /// Names after the files of these keys.
    pub fn of<'k>(keys: impl IntoIterator<Item = &'k PublicKeyFile>) -> Self {
        let mut names = Self::default();
        let keys: Vec<&PublicKeyFile> = keys.into_iter().collect();
        for file in &keys {
            let fingerprint = file.key.fingerprint();
            let is_shared =
                |other: &&PublicKeyFile| other.label == file.label && other.key.fingerprint() != fingerprint;
            let name = if keys.iter().any(is_shared) {
                file.path.display().to_string()
            } else {
                file.label.clone()
            };
            for keyid in file.key.keyids().into_iter().chain(file.keyid.clone()) {
                names.by_keyid.insert(keyid, name.clone());
            }
            let keyid = file.keyid.clone().unwrap_or_else(|| file.key.keyid());
            names.keyids.insert(fingerprint.clone(), keyid);
            names.by_fingerprint.insert(fingerprint, name);
        }
        names
    }

    /// The eight digits by which a link's file name tells that this key signed it, if they are known: what the layout calls
    /// the key need be no keyid.
    pub fn digits(&self, key: &KeyReport) -> Option<String> {
        let keyid = if is_keyid(&key.label) {
            &key.label
        } else {
            self.keyids.get(&key.fingerprint)?
        };
        Some(keyid.chars().take(8).collect())
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
    if is_keyid(label) {
        label.chars().take(8).collect()
    } else {
        label.to_owned()
    }
}

fn is_keyid(label: &str) -> bool {
    label.len() == 64 && label.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use linkgate_verifier::key::PublicKey;

    use super::*;

    fn file(path: &str, public: &str) -> PublicKeyFile {
        let path = PathBuf::from(path);
        PublicKeyFile {
            label: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            path,
            keyid: None,
            key: PublicKey::from_parts("ed25519", "ed25519", public).unwrap(),
        }
    }

    #[test]
    fn files_of_one_stem_are_told_apart() {
        let one = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let two = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        let files = [
            file("alice/key.pub", one),
            file("bob/key.pub", two),
            // The same key twice is one key.
            file("copy/key.pub", one),
            file("carol.pub", one),
        ];
        let name = |files: &[PublicKeyFile], at: usize| {
            let report = KeyReport {
                label: "builder".to_owned(),
                fingerprint: files[at].key.fingerprint(),
            };
            let names = Names::of(files);
            assert_eq!(names.digits(&report), Some(files[at].key.keyid()[..8].to_owned()));
            names.of_key(&report)
        };
        assert_eq!(name(&files[..2], 0), "alice/key.pub");
        assert_eq!(name(&files[..2], 1), "bob/key.pub");
        assert_eq!(name(&[files[0].clone(), files[2].clone()], 0), "key");
        assert_eq!(name(&[files[1].clone(), files[3].clone()], 1), "carol");
        let unknown = KeyReport {
            label: "builder".to_owned(),
            fingerprint: "f".to_owned(),
        };
        assert_eq!(Names::of(&files).digits(&unknown), None);
    }

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
