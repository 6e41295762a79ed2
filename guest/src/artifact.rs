//! Artifacts of links: names and digests, strictly read (specification 1.0, section 4.4; in-toto/attestation `DigestSet`).

use alloc::borrow::Cow;
use core::cmp::Ordering;

use crate::index::{self, Index};
use crate::json::{JsonError, Reader};
use crate::prelude::*;
use crate::verdict::joined;

/// Why materials or products cannot count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// Not JSON of the right shape. The place is counted within the payload.
    #[error("{0} of the payload")]
    Json(#[from] JsonError),
    /// A name that could be written in another way, or that names no file.
    #[error("the artifact name `{0}` is empty, or has an empty, `.` or inner `..` segment, a final `/` or a NUL")]
    Name(String),
    /// A digest of a known algorithm that is not what that algorithm gives.
    #[error("the {algorithm} digest of `{artifact}` is not {digits} lower-case hexadecimal digits")]
    Digest {
        /// Whose digest.
        artifact: String,
        /// Its name as it stands.
        algorithm: String,
        /// How many digits the algorithm has.
        digits: usize,
    },
    /// No digest that today's attackers could not forge; likewise no digest at all.
    #[error("`{0}` has no digest of SHA-2 or better")]
    Weak(String),
}

/// The artifacts of one side of a link, in order of their names, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts<'a>(Vec<Artifact<'a>>);

/// A file, image or other thing, and what it hashed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact<'a> {
    /// As it stands; compared byte by byte.
    pub name: Cow<'a, str>,
    /// What it hashed to.
    pub digests: Digests<'a>,
}

/// One digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest<'a> {
    /// The algorithm's name as it stands.
    pub algorithm: Cow<'a, str>,
    /// The value as it stands: lower-case hexadecimal for known algorithms.
    pub value: Cow<'a, str>,
}

/// The digests of one artifact, in order of their algorithms; nearly always a single one, which needs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digests<'a> {
    /// A single digest.
    One(Digest<'a>),
    /// Any other number of them.
    Many(Vec<Digest<'a>>),
}

impl<'a> Digests<'a> {
    /// Reads an object of algorithm names and values.
    fn read(reader: &mut Reader<'a>, artifact: &str) -> Result<Self, ArtifactError> {
        let mut digests = Self::Many(Vec::new());
        let mut strong = false;
        reader.borrowed_object(|reader, algorithm| {
            let value = reader.string()?;
            strong |= is_strong(&algorithm, &value, artifact)?;
            digests.push(Digest { algorithm, value });
            Ok::<_, ArtifactError>(())
        })?;
        if !strong {
            return Err(ArtifactError::Weak(artifact.to_owned()));
        }
        if let Self::Many(many) = &mut digests {
            // No algorithm stands twice.
            let order = Index::new(many.iter().map(|digest| &*digest.algorithm)).into_order();
            order.apply(many);
        }
        Ok(digests)
    }

    fn push(&mut self, digest: Digest<'a>) {
        match self {
            Self::Many(many) if many.is_empty() => *self = Self::One(digest),
            Self::Many(many) => many.push(digest),
            Self::One(_) => {
                if let Self::One(first) = core::mem::replace(self, Self::Many(Vec::with_capacity(2))) {
                    self.push_all([first, digest]);
                }
            }
        }
    }

    fn push_all(&mut self, digests: [Digest<'a>; 2]) {
        if let Self::Many(many) = self {
            many.extend(digests);
        }
    }

    /// The digests in order of their algorithms' names.
    pub fn iter(&self) -> impl Iterator<Item = &Digest<'a>> {
        match self {
            Self::One(digest) => core::slice::from_ref(digest).iter(),
            Self::Many(digests) => digests.iter(),
        }
    }

    /// `sha256:0a1b..`, several joined with a comma; as much of it as a verdict shows.
    pub fn show(&self) -> String {
        let parts = self.iter().enumerate().flat_map(|(at, digest)| {
            let before = if at > 0 { ", " } else { "" };
            [before, &*digest.algorithm, ":", &*digest.value]
        });
        joined(parts, "")
    }

    fn weight(&self) -> usize {
        let owned = |digest: &Digest<'_>| owned_bytes(&digest.algorithm) + owned_bytes(&digest.value);
        match self {
            Self::One(digest) => owned(digest),
            Self::Many(digests) => digests.iter().map(|digest| 48 + owned(digest)).sum(),
        }
    }
}

/// What a text takes that is not part of its document's.
#[expect(clippy::ptr_arg, reason = "a text of its own costs what a borrowed one does not")]
pub(crate) fn owned_bytes(text: &Cow<'_, str>) -> usize {
    match text {
        Cow::Owned(text) => 16 + text.len(),
        Cow::Borrowed(_) => 0,
    }
}

impl Artifact<'_> {
    /// What it costs to look for an artifact like this one and to compare the digests, in units of
    /// [`limits::PATTERN_WORK`](crate::limits::PATTERN_WORK).
    pub(crate) fn cost(&self) -> usize {
        let digests = self.digests.iter();
        let digests: usize = digests
            .map(|digest| 16 + (digest.algorithm.len() + digest.value.len()) / 8)
            .sum();
        32 + self.name.len() / 2 + digests
    }
}

impl<'a> Artifacts<'a> {
    /// Reads an object of names and digests.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, ArtifactError> {
        let mut artifacts = Vec::new();
        let ordered = reader.borrowed_object(|reader, name| {
            if !is_name(&name) {
                return Err(ArtifactError::Name(name.into_owned()));
            }
            let digests = Digests::read(reader, &name)?;
            artifacts.push(Artifact { name, digests });
            Ok(())
        })?;
        if !ordered {
            let order = Index::new(artifacts.iter().map(|artifact| &*artifact.name)).into_order();
            order.apply(&mut artifacts);
        }
        artifacts.shrink_to_fit();
        Ok(Self(artifacts))
    }

    /// What they take beside their document's bytes.
    pub(crate) fn weight(&self) -> usize {
        let weights = self.0.iter();
        weights
            .map(|artifact| 48 + owned_bytes(&artifact.name) + artifact.digests.weight())
            .sum()
    }

    /// The artifacts in order of their names.
    pub fn as_slice(&self) -> &[Artifact<'a>] {
        &self.0
    }

    /// The artifact of that name.
    pub fn get(&self, name: &str) -> Option<&Artifact<'a>> {
        self.0.get(self.place(name)?)
    }

    /// The place of the artifact of that name.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.0.binary_search_by(|artifact| (*artifact.name).cmp(name)).ok()
    }

    /// A place from which names that ascend are found quickly, one after the other.
    pub fn cursor(&self) -> Cursor<'_, 'a> {
        Cursor { rest: &self.0 }
    }

    /// The names that one side lacks, or whose digests differ, in order; at most `most` of them.
    pub fn differences(&self, other: &Self, most: usize) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (these, those) in [(self, other), (other, self)] {
            let mut cursor = those.cursor();
            let differing = these.0.iter().filter(|artifact| {
                cursor
                    .find("", &artifact.name)
                    .is_none_or(|there| there.digests != artifact.digests)
            });
            for artifact in differing.take(most) {
                index::insert(&mut names, artifact.name.to_string());
            }
        }
        names.truncate(most);
        names
    }
}

/// A forward walk through artifacts.
#[derive(Clone, Debug)]
pub struct Cursor<'c, 'a> {
    rest: &'c [Artifact<'a>],
}

impl<'c, 'a> Cursor<'c, 'a> {
    /// The artifact that is named `prefix` followed by `rest`. Names that are asked for must ascend from call to call;
    /// the walk doubles its stride, so that a whole list costs about as much as reading it.
    pub fn find(&mut self, prefix: &str, rest: &str) -> Option<&'c Artifact<'a>> {
        let before = |artifact: &Artifact<'_>| compare(&artifact.name, prefix, rest) == Ordering::Less;
        let mut stride = 1;
        while self.rest.get(stride - 1).is_some_and(before) {
            self.rest = self.rest.get(stride..).unwrap_or_default();
            stride *= 2;
        }
        let near = self.rest.get(..stride.min(self.rest.len())).unwrap_or_default();
        let at = near.partition_point(before);
        self.rest = self.rest.get(at..).unwrap_or_default();
        self.rest
            .first()
            .filter(|artifact| compare(&artifact.name, prefix, rest) == Ordering::Equal)
    }
}

/// Compares `name` with `prefix` and `rest` joined.
fn compare(name: &str, prefix: &str, rest: &str) -> Ordering {
    let name = name.as_bytes();
    match name.split_at_checked(prefix.len()) {
        Some((head, tail)) => head.cmp(prefix.as_bytes()).then_with(|| tail.cmp(rest.as_bytes())),
        // Shorter than the prefix: equal so far means less, unless the prefix alone decides.
        None => name.cmp(prefix.as_bytes()),
    }
}

/// Whether a name stands for one thing in one way, which closes CVE-2021-41087 without rewriting names. A path has no empty,
/// `.` or inner `..` segment and no NUL: one leading `/` is no empty segment, and only a path without it may begin with `..`
/// segments, for nothing is above `/`. What begins with a URI's scheme is no path, and has no NUL.
pub fn is_name(name: &str) -> bool {
    // A path in most cases: only another name can need the longer look.
    is_path(name) || has_scheme(name) && !name.contains('\0')
}

/// Whether all segments are sound, and no byte is NUL.
fn is_path(name: &str) -> bool {
    let (path, mut leads) = match name.strip_prefix('/') {
        Some(path) => (path, false),
        None => (name, true),
    };
    let (mut length, mut dots) = (0_usize, 0_usize);
    let mut is_sound = |length: usize, dots: usize| {
        leads &= (length, dots) == (2, 2);
        leads || length > 2 || length > dots
    };
    for byte in path.bytes() {
        match byte {
            0 => return false,
            b'/' if !is_sound(length, dots) => return false,
            b'/' => (length, dots) = (0, 0),
            _ => {
                length += 1;
                dots += usize::from(byte == b'.');
            }
        }
    }
    is_sound(length, dots)
}

/// Whether a name begins with a scheme (RFC 3986, section 3.1) of two characters or more: one letter is a drive's.
fn has_scheme(name: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.len() > 1
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    };
    name.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme))
}

/// Checks a digest of a known algorithm, and says whether it suffices alone: SHA-2 or better.
fn is_strong(algorithm: &str, value: &str, artifact: &str) -> Result<bool, ArtifactError> {
    if let Some(digits) = digits_of(algorithm) {
        if !is_lower_hex(value, digits) {
            return Err(ArtifactError::Digest {
                artifact: artifact.to_owned(),
                algorithm: algorithm.to_owned(),
                digits,
            });
        }
        return Ok(true);
    }
    Ok(match algorithm {
        // Git object names: SHA-256 if they have 64 digits, SHA-1 if they have 40.
        "gitCommit" | "gitTree" => is_lower_hex(value, 64),
        // A SHA-256 in hexadecimal digits, or as Go writes it: `h1:` and its base64.
        "dirHash" if is_lower_hex(value, 64) => true,
        "dirHash" => value
            .strip_prefix("h1:")
            .and_then(crate::envelope::decode_base64)
            .is_some_and(|hash| hash.len() == 32),
        _ => algorithm.starts_with("gitoid") && is_strong_gitoid(algorithm, value),
    })
}

/// `gitoid:blob:sha256:<64 digits>` as a value, or the digits alone under an algorithm that ends with `:sha256`.
fn is_strong_gitoid(algorithm: &str, value: &str) -> bool {
    let digits = match value.rsplit_once(':') {
        Some((head, digits)) if head.starts_with("gitoid:") && head.ends_with(":sha256") => digits,
        None if algorithm.ends_with(":sha256") => value,
        _ => return false,
    };
    is_lower_hex(digits, 64)
}

/// How many hexadecimal digits an algorithm of SHA-2 or better has.
fn digits_of(algorithm: &str) -> Option<usize> {
    match algorithm {
        "sha256" | "sha512_256" | "sha512-256" | "blake2s" => Some(64),
        "sha384" => Some(96),
        "sha512" | "blake2b" => Some(128),
        "sha224" | "sha512_224" | "sha512-224" => Some(56),
        _ => {
            let (family, bits) = algorithm.rsplit_once(['-', '_'])?;
            match (family, bits) {
                ("sha3" | "blake2b", "224") => Some(56),
                ("sha3" | "blake2b" | "blake2s", "256") => Some(64),
                ("sha3" | "blake2b", "384") => Some(96),
                ("sha3" | "blake2b", "512") => Some(128),
                _ => None,
            }
        }
    }
}

fn is_lower_hex(value: &str, digits: usize) -> bool {
    let (words, tail) = value.as_bytes().as_chunks::<8>();
    // Without an early end: nearly every digest is sound.
    let all_words = words
        .iter()
        .fold(true, |all, word| all & are_lower_hex(u64::from_le_bytes(*word)));
    value.len() == digits && all_words && tail.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether all eight bytes of a word are digits or letters from `a` to `f`.
const fn are_lower_hex(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    /// The high bit of each byte that is at least a bound, where all are below 0x80.
    const fn at_least(word: u64, bound: u8) -> u64 {
        word.wrapping_add(ONES * (0x80 - bound as u64))
    }
    let digits = at_least(word, b'0') & !at_least(word, b'9' + 1);
    let letters = at_least(word, b'a') & !at_least(word, b'f' + 1);
    word & HIGHS == 0 && (digits | letters) & HIGHS == HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_a_word_at_a_time() {
        for place in 0..10 {
            for byte in 0..=255 {
                let mut bytes = *b"0123456789";
                bytes[place] = byte;
                let wanted = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                let Ok(text) = core::str::from_utf8(&bytes) else {
                    // What is no text is no digit either.
                    assert!(!are_lower_hex(u64::from_le_bytes([byte; 8])));
                    continue;
                };
                assert_eq!(is_lower_hex(text, 10), wanted, "{text:?}");
                assert!(!is_lower_hex(text, 9) && !is_lower_hex(text, 11));
            }
        }
        assert!(is_lower_hex("", 0));
    }

    #[test]
    fn names() {
        for name in [
            "a",
            "a/b",
            "/a/b",
            "...",
            ".a",
            "a ",
            "a\\..\\b",
            "https://x/y",
            "file:///a",
            "pkg:npm/x@1",
            "a:b//c".replace("//", "/").as_str(),
            "é\n",
            "..",
            "../../x",
            "../..x",
            "C:x",
            "C:\\x",
            "https://",
            "https:////a",
            "https://x//y/",
            "http://a/../b",
            "pkg:golang/a//b@1#c/./d",
            "pkg:",
            "a1+-.:/",
            "ab:../..",
        ] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "/",
            "//a",
            "./a",
            "a/./b",
            "a/..",
            "a/../b",
            "../a/..",
            "/..",
            "/../x",
            "../",
            "..//x",
            "../.",
            ".",
            "a/",
            "a//b",
            "a\0",
            "https://\0",
            "1x://y",
            "a:b//c",
            "a://b",
            ":a//b",
            "a_b://c",
            "a/pkg:b//c",
            "\u{e9}a://b",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn strength() {
        let (sha256, sha1) = ("a".repeat(64), "a".repeat(40));
        for (algorithm, value, wanted) in [
            ("sha256", sha256.as_str(), Some(true)),
            ("sha256", &sha1, None),
            ("sha256", &sha256.to_uppercase(), None),
            ("SHA256", &sha256, Some(false)),
            ("sha3-256", &sha256, Some(true)),
            ("blake2b_256", &sha256, Some(true)),
            ("blake2s", &sha1, None),
            ("sha1", &sha1, Some(false)),
            ("md5", "anything", Some(false)),
            ("gitCommit", &sha256, Some(true)),
            ("gitCommit", &sha1, Some(false)),
            ("gitoid:blob:sha256", &sha256, Some(true)),
            ("gitoid:sha256", &format!("gitoid:blob:sha256:{sha256}"), Some(true)),
            ("gitoid:sha1", &format!("gitoid:blob:sha1:{sha1}"), Some(false)),
            ("dirHash", "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", Some(true)),
            ("dirHash", "h1:AAAA", Some(false)),
            ("x", "", Some(false)),
        ] {
            assert_eq!(is_strong(algorithm, value, "f").ok(), wanted, "{algorithm} {value}");
        }
    }

    #[test]
    fn a_cursor_finds_what_a_search_finds() {
        let names: Vec<String> = (0..500).map(|n| format!("p/{:03}", n * 7 % 1000)).collect();
        let text: Vec<String> = names
            .iter()
            .map(|name| format!("\"{name}\":{{\"sha256\":\"{}\"}}", "0".repeat(64)))
            .collect();
        let text = format!("{{{}}}", text.join(","));
        let artifacts = Artifacts::read(&mut Reader::new(&text)).unwrap();
        let mut cursor = artifacts.cursor();
        for n in 0..1000 {
            let rest = format!("{n:03}");
            let found = cursor.find("p/", &rest).map(|artifact| artifact.name.clone());
            assert_eq!(
                found,
                artifacts
                    .get(&format!("p/{rest}"))
                    .map(|artifact| artifact.name.clone()),
                "{n}"
            );
        }
    }

    #[test]
    fn joined_names_compare_as_one() {
        for (name, prefix, rest) in [
            ("a", "a/", "b"),
            ("b", "a/", "b"),
            ("a/b", "a/", "b"),
            ("a/c", "a/", "b"),
            ("A", "a/", ""),
            ("", "a", ""),
        ] {
            assert_eq!(
                compare(name, prefix, rest),
                name.cmp(&format!("{prefix}{rest}")),
                "{name}"
            );
        }
    }
}
