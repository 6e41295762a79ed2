//! Patterns of images, as the gate's policies have them: `*` and `?` stay within a part of a name, `**` crosses `/`.
//!
//! A pattern that could never match is a hole that nobody sees; so it is an error.

use serde::{Deserialize, Deserializer, de};

use crate::image::Image;
use crate::prelude::*;

/// A pattern over `REGISTRY/REPOSITORY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<String>,
}

/// Characters that other patterns have, and these have not.
const FOREIGN: [char; 7] = ['[', ']', '{', '}', '\\', '!', '^'];

impl Pattern {
    /// Reads a pattern, or says why it could not be meant.
    pub(crate) fn parse(written: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("the pattern `{written}` cannot be used: {why}"));
        let parts: Vec<String> = written.split('/').map(str::to_owned).collect();
        let (host, repository) = written.split_once('/').unwrap_or((written, ""));
        if written.contains('@') || repository.contains(':') {
            return wrong("images are matched by REGISTRY/REPOSITORY, without tag or digest");
        }
        if written.contains(FOREIGN) {
            return wrong("there are `*`, `?` and `**`, and no other wildcards");
        }
        if written.chars().any(|character| character.is_ascii_uppercase()) {
            return wrong("names of images are lower-case");
        }
        if parts.iter().any(|part| matches!(part.as_str(), "" | "." | "..")) {
            return wrong("a name has no empty part, `.` or `..`");
        }
        if parts.iter().any(|part| part.contains("**") && part != "**") {
            return wrong("`**` crosses `/` only where it stands alone between slashes");
        }
        if host.ends_with(":443") {
            return wrong("the port 443 is left out of names");
        }
        if written != "**" {
            if parts.len() == 1 && is_wild(written) {
                return wrong("it matches no image, since every name of one has a `/`: write `**`");
            }
            // Wildcards stand for something that a name may have there; then a runtime has to read it as it is written.
            let probe: String = written
                .replace("**", "x/x")
                .chars()
                .map(|c| if is_wildcard(c) { 'x' } else { c })
                .collect();
            if !is_wild(host) {
                match Image::parse(&probe) {
                    Ok(image) if image.name == probe => {}
                    Ok(image) if !is_wild(written) => {
                        return wrong(&format!(
                            "images are matched by REGISTRY/REPOSITORY: write `{}`",
                            image.name
                        ));
                    }
                    Ok(_) => {
                        return wrong("images are matched by REGISTRY/REPOSITORY: write `docker.io/…` for Docker Hub");
                    }
                    Err(error) => return wrong(&error.to_string()),
                }
            }
        }
        Ok(Self { parts })
    }

    /// Whether it is a pattern of that name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let name: Vec<&str> = name.split('/').collect();
        let pattern: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        let is_last = |at: usize| at + 1 == pattern.len();
        // Which beginnings of the name the pattern's parts so far match: at most 255 parts, so that this ends soon.
        let mut reached = vec![false; name.len() + 1];
        reached[0] = true;
        for (at, part) in pattern.iter().enumerate() {
            let mut next = vec![false; name.len() + 1];
            for from in 0..=name.len() {
                if !reached[from] {
                    continue;
                }
                if *part == "**" {
                    // At the end it stands for something.
                    let least = if is_last(at) { from + 1 } else { from };
                    next.iter_mut().skip(least).for_each(|to| *to = true);
                } else if name.get(from).is_some_and(|named| part_matches(part, named)) {
                    next[from + 1] = true;
                }
            }
            reached = next;
        }
        reached[name.len()]
    }
}

fn is_wildcard(character: char) -> bool {
    matches!(character, '*' | '?')
}

fn is_wild(text: &str) -> bool {
    text.contains(is_wildcard)
}

/// Whether a part of a name matches, by going back to the last `*` where it does not.
fn part_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut to) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while to < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, to));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[to] => {
                at += 1;
                to += 1;
            }
            _ => match star {
                Some((before, taken)) => {
                    star = Some((before, taken + 1));
                    at = before + 1;
                    to = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = String::deserialize(deserializer)?;
        Self::parse(&written).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, name, expected) in [
            ("r.example/app", "r.example/app", true),
            ("r.example/app", "r.example/app/x", false),
            ("r.example/*", "r.example/app", true),
            ("r.example/*", "r.example/a/b", false),
            ("r.example/**", "r.example/a/b", true),
            ("r.example/**", "r.example", false),
            ("r.example/**", "r.example.evil/a", false),
            ("r.example/**/app", "r.example/app", true),
            ("r.example/**/app", "r.example/a/b/app", true),
            ("r.example/**/app", "r.example/a/b/apps", false),
            ("**", "r.example/a/b", true),
            ("*.example/app", "a.example/app", true),
            ("*.example/app", "a.b/c.example/app", false),
            ("**/app", "r.example/app", true),
            ("r.example/a?c-*-z", "r.example/abc-1-2-z", true),
            ("r.example/a?c-*-z", "r.example/ac-1-z", false),
            (
                "r.example/*a*a*b",
                "r.example/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                false,
            ),
            ("r.example:5000/*", "r.example:5000/a", true),
            ("docker.io/library/*", "docker.io/library/nginx", true),
        ] {
            assert_eq!(
                Pattern::parse(pattern).unwrap().matches(name),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn what_matches_nothing_is_an_error() {
        for (pattern, said) in [
            ("nginx", "write `docker.io/library/nginx`"),
            ("bitnami/redis", "write `docker.io/bitnami/redis`"),
            ("bitnami/*", "write `docker.io/…`"),
            ("docker.io/nginx", "write `docker.io/library/nginx`"),
            ("index.docker.io/library/nginx", "write `docker.io/library/nginx`"),
            ("*", "write `**`"),
            ("r.example/a:1", "without tag or digest"),
            ("r.example/a@sha256:0", "without tag or digest"),
            ("R.example/a", "lower-case"),
            ("r.example//a", "no empty part"),
            ("r.example/../a", "no empty part"),
            ("r.example/", "no empty part"),
            ("", "no empty part"),
            ("r.example/a**", "stands alone"),
            ("r.example:443/a", "443"),
            ("r.example/[ab]", "no other wildcards"),
            ("r.example/{a,b}", "no other wildcards"),
            ("r.example./a", "in two"),
            ("r.example/a_-b", "no reference"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.contains(said), "{pattern}: {error}");
        }
    }
}
