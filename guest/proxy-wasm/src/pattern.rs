//! Which repositories are governed: `*` stays within a part of a name, `**` is any number of parts.

/// A pattern over `REGISTRY/REPOSITORY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<String>);

impl Pattern {
    /// Compiles a pattern. One that could never match is a hole that nobody sees.
    pub fn new(written: &str) -> Result<Self, String> {
        let wrong = |cause: &str| Err(format!("the pattern `{written}` {cause}"));
        let parts: Vec<String> = written.split('/').map(str::to_owned).collect();
        let is_known = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'*')
        };
        if parts.iter().any(|part| part.is_empty() || part == "." || part == "..") {
            return wrong("has an empty part, `.` or `..`, and no image's name has");
        }
        if !parts.iter().all(|part| part.bytes().all(is_known)) {
            return wrong(
                "has other characters than images' names (lower-case letters, digits, `.`, `_`, `-`) and `*`",
            );
        }
        if parts.iter().skip(1).any(|part| part.contains(':')) {
            return wrong("has a tag or digest: images are matched by REGISTRY/REPOSITORY");
        }
        if parts.iter().any(|part| part.contains("**") && part != "**") {
            return wrong("has `**` beside other characters: it must stand alone between slashes");
        }
        if parts.len() == 1 && written != "**" {
            return wrong("matches nothing, since every image's name has a `/`: write REGISTRY/REPOSITORY");
        }
        Ok(Self(parts))
    }

    /// Whether it matches the whole name.
    pub fn matches(&self, name: &str) -> bool {
        let parts: Vec<&str> = name.split('/').collect();
        all(
            &self.0,
            &parts,
            |pattern| pattern == "**",
            |pattern, part| {
                let (pattern, part): (Vec<char>, Vec<char>) = (pattern.chars().collect(), part.chars().collect());
                all(
                    &pattern,
                    &part,
                    |element| *element == '*',
                    |element, character| element == character,
                )
            },
        )
    }
}

/// Matching with elements that stand for any number of others. It costs pattern times name, no more: only the last such
/// element is ever tried again.
fn all<P, N>(pattern: &[P], name: &[N], is_any: impl Fn(&P) -> bool, is_one: impl Fn(&P, &N) -> bool) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut retry = None;
    while here < name.len() {
        match (pattern.get(at), name.get(here)) {
            (Some(element), _) if is_any(element) => {
                at += 1;
                retry = Some((at, here));
            }
            (Some(element), Some(other)) if is_one(element, other) => {
                at += 1;
                here += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    at = after;
                    here = from + 1;
                    retry = Some((after, here));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(is_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_part() {
        for (pattern, name, matches) in [
            ("r.example/**", "r.example/a", true),
            ("r.example/**", "r.example/a/b", true),
            ("r.example/**", "r.example.evil/a", false),
            ("r.example/web/*", "r.example/web/a", true),
            ("r.example/web/*", "r.example/web/a/b", false),
            ("r.example:5000/web-*/app", "r.example:5000/web-1/app", true),
            ("r.example/**/app", "r.example/a/b/app", true),
            ("r.example/**/app", "r.example/a/b/apps", false),
            ("**", "r.example/a", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).unwrap().matches(name),
                matches,
                "{pattern} {name}"
            );
        }
        for wrong in [
            "",
            "app",
            "r/a:v1",
            "R/a",
            "r//a",
            "r/a**",
            "r/[a]",
            "r/../a",
            "r/a@sha256:0",
        ] {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
    }
}
