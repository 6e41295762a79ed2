//! Which names a policy governs: patterns over images, artifacts and namespaces.
//!
//! A pattern that could never match, or not what its author means, is a hole that nobody sees; so it is an error.

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::policy::Problem;
use crate::image::Image;

/// Patterns, as they were written and compiled. `*` and `?` stay within a part of a name, `**` crosses `/`.
#[derive(Clone, Debug)]
pub struct Patterns {
    /// As they were written.
    pub written: Vec<String>,
    compiled: GlobSet,
}

impl Patterns {
    /// Patterns of images. One that could never match is a hole that nobody sees.
    pub(super) fn of_images(written: &[String]) -> Result<Self, Problem> {
        for pattern in written {
            if let Some(cause) = matches_no_image(pattern) {
                return Err(Problem::Pattern {
                    pattern: pattern.clone(),
                    cause,
                });
            }
        }
        Self::new(written)
    }

    /// Patterns of namespaces, whose names are lower-case.
    pub(super) fn of_namespaces(written: &[String]) -> Result<Self, Problem> {
        let is_upper = |pattern: &&String| pattern.chars().any(|character| character.is_ascii_uppercase());
        match written.iter().find(is_upper) {
            Some(pattern) => Err(Problem::Pattern {
                pattern: pattern.clone(),
                cause: "names of namespaces are lower-case".to_owned(),
            }),
            None => Self::new(written),
        }
    }

    pub(super) fn new(written: &[String]) -> Result<Self, Problem> {
        let mut builder = GlobSetBuilder::new();
        for pattern in written {
            let failed = |cause: String| Problem::Pattern {
                pattern: pattern.clone(),
                cause,
            };
            let glob = GlobBuilder::new(pattern)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| failed(error.kind().to_string()))?;
            builder.add(glob);
        }
        Ok(Self {
            written: written.to_vec(),
            compiled: builder.build().map_err(|error| Problem::Form(error.to_string()))?,
        })
    }

    pub(super) fn match_any(&self, name: &str) -> bool {
        self.compiled.is_match(name)
    }
}

impl fmt::Display for Patterns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written.join(", "))
    }
}

/// Why no image's `REGISTRY/REPOSITORY` could match a pattern, or not those that its author means.
fn matches_no_image(pattern: &str) -> Option<String> {
    const GLOB: [char; 5] = ['*', '?', '[', '{', '\\'];
    let (host, repository) = pattern.split_once('/').unwrap_or((pattern, ""));
    if pattern.contains('@') || repository.contains(':') {
        return Some("images are matched by REGISTRY/REPOSITORY, without tag or digest".to_owned());
    }
    if pattern.chars().any(|character| character.is_ascii_uppercase()) {
        return Some("names of images are lower-case".to_owned());
    }
    if pattern.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some("a name has no empty part, `.` or `..`".to_owned());
    }
    if pattern.split('/').any(|part| part.contains("**") && part != "**") {
        return Some("`**` crosses `/` only where it stands alone between slashes".to_owned());
    }
    if host.ends_with(":443") {
        return Some("the port 443 is left out of names".to_owned());
    }
    if !pattern.contains('/') && pattern.contains(GLOB) {
        // `*` stays before the `/` that every image has.
        return (pattern != "**")
            .then(|| "it matches no image, since every name of one has a `/`: write `**`".to_owned());
    }
    if host.contains(GLOB) {
        return None;
    }
    // What stands in the repository's place is not known where it has wildcards; its number of parts is.
    let probe = match (
        repository.is_empty(),
        repository.contains(GLOB),
        repository.contains('/'),
    ) {
        (true, ..) => host.to_owned(),
        (_, true, _) if repository.contains("**") => format!("{host}/x/x"),
        (_, true, true) => format!("{host}/x/x"),
        (_, true, false) => format!("{host}/x"),
        (_, false, _) => pattern.to_owned(),
    };
    let image = match probe.parse::<Image>() {
        Ok(image) => image,
        Err(error) => return Some(error.to_string()),
    };
    if image.name() == probe {
        return None;
    }
    let filled = image.name();
    let said = match filled.strip_suffix(&probe) {
        Some(before) => format!("{before}{pattern}"),
        None => filled.replacen("/x", &format!("/{repository}"), 1),
    };
    Some(format!("images are matched by REGISTRY/REPOSITORY: write `{said}`"))
}
