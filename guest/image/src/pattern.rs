//! Patterns of images' names, `REGISTRY/REPOSITORY`: `*` and `?` stay within a part of a name, `**` crosses `/`.
//!
//! They mean what they mean to globset, with which the gate matches: it knows more wildcards, and no others mean something
//! else. A pattern that could never match is a hole that nobody sees; so it is an error.

use core::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use crate::image::{Image, ImageError, is_host};
use crate::prelude::*;

/// A pattern of images' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<String>,
}

/// Why a pattern cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It has a tag or a digest.
    #[error("images are matched by REGISTRY/REPOSITORY, without tag or digest")]
    Reference,
    /// It has upper-case letters.
    #[error("names of images are lower-case")]
    Case,
    /// It has a part that no name has.
    #[error("a name has no empty part, `.` or `..`")]
    Part,
    /// It has a character that neither a name nor a wildcard has.
    #[error("names of images have lower-case letters, digits, `.`, `_` and `-`, and no `{0}`")]
    Character(char),
    /// It has `**` beside other characters, where it would be `*`.
    #[error("`**` crosses `/` only where it stands alone between slashes")]
    Crossing,
    /// It has the port that names do not have.
    #[error("the port 443 is left out of names")]
    Port,
    /// It has no `/`.
    #[error("it matches no image, since every name of one has a `/`: write `**`")]
    OnePart,
    /// It has wildcards that only globset knows.
    #[error("there are `*`, `?` and `**`, and no other wildcards")]
    Wildcard,
    /// No image is called so, whatever stands in the place of its wildcards.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Images that could be meant are called otherwise.
    #[error("images are matched by REGISTRY/REPOSITORY: write `{0}`")]
    Other(String),
}

/// What begins a wildcard of globset that [`Pattern`] does not know. What it stands for is not known here.
const GLOBSET: [char; 3] = ['[', '{', '\\'];

/// Characters of such wildcards.
const FOREIGN: [char; 7] = ['[', ']', '{', '}', '\\', '!', '^'];

/// Whether an image could match a pattern, and those that its author means. Globset's further wildcards may be in it.
pub fn check(written: &str) -> Result<(), PatternError> {
    let (host, repository) = written.split_once('/').unwrap_or((written, ""));
    if written.contains('@') || repository.contains(':') {
        return Err(PatternError::Reference);
    }
    if written.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(PatternError::Case);
    }
    if written.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(PatternError::Part);
    }
    if written.split('/').any(|part| part.contains("**") && part != "**") {
        return Err(PatternError::Crossing);
    }
    if host.ends_with(":443") {
        return Err(PatternError::Port);
    }
    if written == "**" {
        return Ok(());
    }
    if repository.is_empty() && is_wild(host) {
        // `*` stays before the `/` that every image has.
        return Err(PatternError::OnePart);
    }
    let mut characters = written.chars();
    match characters.find(|character| !is_known(*character)) {
        Some(other) if !written.contains(GLOBSET) => Err(PatternError::Character(other)),
        _ if is_wild(host) => check_under_any_host(written, host, repository),
        _ => check_reading(written, host, repository),
    }
}

/// Whether container runtimes read a name as it is written, with something in the place of the repository's wildcards.
fn check_reading(written: &str, host: &str, repository: &str) -> Result<(), PatternError> {
    let filled = filled(repository);
    let probe = match repository {
        "" => host.to_owned(),
        _ => format!("{host}/{filled}"),
    };
    let name = probe.parse::<Image>()?.name();
    if name == probe {
        return Ok(());
    }
    // They put something before it all, or before the repository.
    let said = match (name.strip_suffix(&probe), name.strip_suffix(&filled)) {
        (Some(before), _) => format!("{before}{written}"),
        (None, Some(before)) => format!("{before}{repository}"),
        (None, None) => name,
    };
    Err(PatternError::Other(said))
}

/// Whether there could be such a host, and such a repository under it. Globset's further wildcards may have slashes in them,
/// so that nobody knows which part of the pattern is the host's.
fn check_under_any_host(written: &str, host: &str, repository: &str) -> Result<(), PatternError> {
    if host.contains(GLOBSET) {
        return Ok(());
    }
    let (domain, port) = host.split_once(':').unwrap_or((host, "1"));
    let domain = domain.replace("**", "x.x").replace('*', "x.x").replace('?', "x");
    let port = port.replace(['*', '?'], "1");
    if !is_host(&format!("{domain}:{port}")) {
        return Err(ImageError::Host(written.to_owned()).into());
    }
    format!("x.x/{}", filled(repository)).parse::<Image>()?;
    Ok(())
}

/// A repository that matches a pattern of one if any does: between other characters, letters are allowed everywhere. What
/// globset's further wildcards stand for is not known; the number of parts is.
fn filled(repository: &str) -> String {
    if !repository.contains(GLOBSET) {
        return repository.replace("**", "x/x").replace(['*', '?'], "x");
    }
    let has_parts = repository.contains('/') || repository.contains("**");
    if has_parts { "x/x" } else { "x" }.to_owned()
}

fn is_wild(text: &str) -> bool {
    text.contains(['*', '?']) || text.contains(GLOBSET)
}

/// Whether a character is of a name, or a wildcard.
fn is_known(character: char) -> bool {
    character.is_ascii_lowercase()
        || character.is_ascii_digit()
        || matches!(character, '.' | '_' | '-' | ':' | '/' | '*' | '?')
}

impl Pattern {
    /// Whether it matches the whole name.
    pub fn matches(&self, name: &str) -> bool {
        // At its end, `**` stands for something.
        self.rest(name).is_some_and(<[_]>::is_empty)
    }

    /// Whether it matches the whole name, or all that lies under it, as `r.example/web/**` does for `r.example/web`.
    pub fn covers(&self, name: &str) -> bool {
        self.rest(name).is_some_and(|rest| rest.iter().all(is_crossing))
    }

    /// The parts that stand for nothing at the end of a name which the others match.
    fn rest(&self, name: &str) -> Option<&[String]> {
        let name: Vec<&str> = name.split('/').collect();
        rest(&self.parts, &name, is_crossing, |pattern, part| {
            part_matches(pattern.as_bytes(), part.as_bytes())
        })
    }
}

fn is_crossing(part: &String) -> bool {
    part == "**"
}

fn part_matches(pattern: &[u8], part: &[u8]) -> bool {
    let is_any = |element: &u8| *element == b'*';
    let left = rest(pattern, part, is_any, |element, byte| {
        *element == b'?' || element == byte
    });
    left.is_some_and(|left| left.iter().all(is_any))
}

/// What is left of a pattern that otherwise matches the whole of a name, with elements that stand for any number of others.
/// It costs pattern times name, no more: only the last such element is ever tried again.
fn rest<'p, P, N>(
    pattern: &'p [P],
    name: &[N],
    is_any: impl Fn(&P) -> bool,
    is_one: impl Fn(&P, &N) -> bool,
) -> Option<&'p [P]> {
    let (mut at, mut here) = (0, 0);
    let mut retry = None;
    while let Some(other) = name.get(here) {
        match pattern.get(at) {
            Some(element) if is_any(element) => {
                at += 1;
                retry = Some((at, here));
            }
            Some(element) if is_one(element, other) => {
                at += 1;
                here += 1;
            }
            _ => {
                let (after, from) = retry?;
                at = after;
                here = from + 1;
                retry = Some((after, here));
            }
        }
    }
    pattern.get(at..)
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(written: &str) -> Result<Self, PatternError> {
        if written.contains(FOREIGN) {
            return Err(PatternError::Wildcard);
        }
        check(written)?;
        Ok(Self {
            parts: written.split('/').map(str::to_owned).collect(),
        })
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = String::deserialize(deserializer)?;
        let wrong = |error| de::Error::custom(format_args!("the pattern `{written}` cannot be used: {error}"));
        written.parse().map_err(|error: PatternError| wrong(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_part() {
        for (pattern, name, expected) in [
            ("r.example/app", "r.example/app", true),
            ("r.example/app", "r.example/app/x", false),
            ("r.example/*", "r.example/app", true),
            ("r.example/*", "r.example/a/b", false),
            ("r.example/**", "r.example/a", true),
            ("r.example/**", "r.example/a/b", true),
            ("r.example/**", "r.example", false),
            ("r.example/**", "r.example.evil/a", false),
            ("r.example/web/**", "r.example/web", false),
            ("r.example/web/*", "r.example/web/a", true),
            ("r.example/web/*", "r.example/web/a/b", false),
            ("r.example/**/app", "r.example/app", true),
            ("r.example/**/app", "r.example/a/b/app", true),
            ("r.example/**/app", "r.example/a/b/apps", false),
            ("r.example/**/**", "r.example/a", true),
            ("r.example/**/a/**", "r.example/a/a", true),
            ("r.example/**/a/**", "r.example/b/a", false),
            ("**", "r.example/a/b", true),
            ("**/app", "r.example/app", true),
            ("*.example/app", "a.example/app", true),
            ("*.example/app", "a.b/c.example/app", false),
            ("*/*", "r.example/app", true),
            ("r.example/a?c-*-z", "r.example/abc-1-2-z", true),
            ("r.example/a?c-*-z", "r.example/ac-1-z", false),
            (
                "r.example/*a*a*b",
                "r.example/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                false,
            ),
            ("r.example:5000/*", "r.example:5000/a", true),
            ("r.example:5000/web-*/app", "r.example:5000/web-1/app", true),
            ("docker.io/library/*", "docker.io/library/nginx", true),
        ] {
            let pattern: Pattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(name), expected, "{pattern:?} {name}");
            assert!(pattern.covers(name) || !expected, "{pattern:?} {name}");
        }
        for (pattern, name, expected) in [
            ("r.example/web/**", "r.example/web", true),
            ("r.example/*/**/**", "r.example/web", true),
            ("r.example/web/**", "r.example/webs", false),
            ("r.example/web/**/a", "r.example/web", false),
            ("r.example/web/*", "r.example/web", false),
        ] {
            assert_eq!(pattern.parse::<Pattern>().unwrap().covers(name), expected, "{pattern}");
        }
    }

    #[test]
    fn what_matches_nothing_is_an_error() {
        for (pattern, said) in [
            ("nginx", "write `docker.io/library/nginx`"),
            ("bitnami/redis", "write `docker.io/bitnami/redis`"),
            ("bitnami/*", "write `docker.io/bitnami/*`"),
            ("docker.io/nginx", "write `docker.io/library/nginx`"),
            ("docker.io/*", "write `docker.io/library/*`"),
            ("docker.io/{nginx,redis}", "write `docker.io/library/{nginx,redis}`"),
            ("index.docker.io/library/nginx", "write `docker.io/library/nginx`"),
            ("index.docker.io/library/*", "write `docker.io/library/*`"),
            ("index.docker.io/library/[a-n]*", "write `docker.io/library/[a-n]*`"),
            ("*", "write `**`"),
            ("*.example./web/**", "in two"),
            ("registry.*/we b/**", "no ` `"),
            ("*/-x", "no reference"),
            ("*.example:0*/a", "in two"),
            ("r.example:*", "write `**`"),
            ("r.example/a:1", "without tag or digest"),
            ("r.example/a@sha256:0", "without tag or digest"),
            ("R.example/a", "lower-case"),
            ("r.example//a", "no empty part"),
            ("r.example/../a", "no empty part"),
            ("r.example/", "no empty part"),
            ("", "no empty part"),
            ("r.example/a**", "stands alone"),
            ("r.example:443/a", "443"),
            ("r.example./a", "in two"),
            ("r.example/a_-b", "no reference"),
            ("r.example/*-", "no reference"),
            ("r.example/a]", "no `]`"),
            ("*.example/\u{e4}", "no `\u{e4}`"),
            ("*.example/a b", "no ` `"),
        ] {
            let error = check(pattern).unwrap_err().to_string();
            assert!(error.contains(said), "{pattern}: {error}");
            assert!(pattern.parse::<Pattern>().is_err(), "{pattern}");
        }
    }

    #[test]
    fn further_wildcards_are_globsets() {
        for pattern in [
            "r.example/[ab]",
            "r.example/{a,b/c}",
            "r.example/[!a]",
            "{r,s}.example/a",
            "{r.example/a,s.example/b}/c",
            "r.example/\\*",
        ] {
            assert_eq!(check(pattern), Ok(()), "{pattern}");
            assert_eq!(pattern.parse::<Pattern>(), Err(PatternError::Wildcard), "{pattern}");
        }
        let error = serde_json::from_str::<Pattern>(r#""r.example/[ab]""#)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the pattern `r.example/[ab]` cannot be used: there are"),
            "{error}"
        );
    }
}
