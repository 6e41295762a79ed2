//! Paths as they are given, and the artifact names that they get.

use std::path::Path;

use linkgate_verifier::artifact::is_name;

/// Why a path gets no name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// One prefix begins another, so that a name would depend on their order.
    #[error("of the prefixes to strip, `{0}` begins with `{1}`: keep one of them")]
    Prefixes(String, String),
    /// A verifier would not count a link with this name.
    #[error(
        "`{path}` would be recorded as `{name}`, which verifiers refuse (empty, or an empty, `.` or inner `..` segment): \
         set --base-path to a folder above it, or --lstrip-paths to what precedes the name"
    )]
    Refused {
        /// The path.
        path: String,
        /// The name that it would get.
        name: String,
    },
}

/// How names are made of paths: in-toto's `--lstrip-paths`.
#[derive(Debug, Default)]
pub struct Naming {
    prefixes: Vec<String>,
}

impl Naming {
    /// Takes the prefixes of which at most one is cut off each path.
    pub fn new(prefixes: Vec<String>) -> Result<Self, NameError> {
        for (place, one) in prefixes.iter().enumerate() {
            for other in &prefixes[place + 1..] {
                let (long, short) = if one.len() < other.len() {
                    (other, one)
                } else {
                    (one, other)
                };
                if long.starts_with(short.as_str()) {
                    return Err(NameError::Prefixes(long.clone(), short.clone()));
                }
            }
        }
        Ok(Self { prefixes })
    }

    /// The name of the artifact at `path`, whose `scheme` (`file:`, `dir:` or none) stays in front.
    pub(super) fn name(&self, path: &str, scheme: &str) -> Result<String, NameError> {
        let stripped = self
            .prefixes
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix.as_str()));
        let name = format!("{scheme}{}", stripped.unwrap_or(path));
        if is_name(&name) {
            Ok(name)
        } else {
            Err(NameError::Refused {
                path: path.to_owned(),
                name,
            })
        }
    }
}

/// Splits each argument at its commas, except inside the braces of a glob, and unless a file has just that name.
pub fn split(arguments: &[String], base: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    for argument in arguments {
        if argument.contains(',') && base.join(argument).symlink_metadata().is_err() {
            paths.extend(split_at_commas(argument));
        } else {
            paths.push(argument.clone());
        }
    }
    paths
}

fn split_at_commas(argument: &str) -> impl Iterator<Item = String> {
    let mut depth = 0_usize;
    argument
        .split(move |character| {
            match character {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            character == ',' && depth == 0
        })
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
}

/// The shortest way to write a path, by its letters alone: no `.`, no `//`, no final `/`, `x/..` taken out.
pub(super) fn normalize(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." if segments.last().is_some_and(|last| *last != "..") => {
                segments.pop();
            }
            ".." if absolute => {}
            _ => segments.push(segment),
        }
    }
    match (absolute, segments.is_empty()) {
        (true, _) => format!("/{}", segments.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => segments.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalized() {
        for (path, wanted) in [
            (".", "."),
            ("", "."),
            ("./a", "a"),
            ("a/", "a"),
            ("a//b/./c", "a/b/c"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("../../a/..", "../.."),
            ("/", "/"),
            ("/../a", "/a"),
            ("a/..", "."),
            ("a\\b", "a\\b"),
        ] {
            assert_eq!(normalize(path), wanted, "{path}");
        }
    }

    #[test]
    fn split_at_commas_but_not_in_globs_or_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("c,d"), "").unwrap();
        let arguments = ["a,b/".to_owned(), "c,d".to_owned(), "src/*.{c,h}, x,".to_owned()];
        assert_eq!(split(&arguments, folder.path()), ["a", "b/", "c,d", "src/*.{c,h}", "x"]);
    }

    #[test]
    fn names() {
        let naming = Naming::new(vec!["/abs/".to_owned(), "../".to_owned()]).unwrap();
        for (path, scheme, wanted) in [
            ("a/b", "", Ok("a/b")),
            ("/abs/a", "", Ok("a")),
            ("/other/a", "", Ok("/other/a")),
            ("../a", "", Ok("a")),
            ("../../a", "", Ok("../a")),
            ("/abs/", "", Err("")),
            ("a", "file:", Ok("file:a")),
            (".", "dir:", Ok("dir:.")),
        ] {
            let named = naming.name(path, scheme);
            let wanted = wanted.map(str::to_owned).map_err(|name: &str| NameError::Refused {
                path: path.to_owned(),
                name: name.to_owned(),
            });
            assert_eq!(named, wanted, "{path}");
        }
    }

    #[test]
    fn a_prefix_must_not_begin_another() {
        let prefixes = vec!["a/".to_owned(), "b".to_owned(), "a/b".to_owned()];
        assert_eq!(
            Naming::new(prefixes).unwrap_err(),
            NameError::Prefixes("a/b".to_owned(), "a/".to_owned())
        );
    }
}
