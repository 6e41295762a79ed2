//! Which names a policy governs: patterns over images, artifacts and namespaces.
//!
//! A pattern that could never match, or not what its author means, is a hole that nobody sees; so it is an error.

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use linkgate_image::pattern;

use super::policy::Problem;

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
            pattern::check(pattern).map_err(|error| Problem::Pattern {
                pattern: pattern.clone(),
                cause: error.to_string(),
            })?;
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

#[cfg(test)]
mod tests {
    use linkgate_image::pattern::Pattern;

    use super::*;

    /// What the filter and Kubewarden's policy match with means what is matched with here.
    #[test]
    fn globset_and_the_other_matcher_agree() {
        let patterns = [
            "**",
            "*/*",
            "*/**",
            "**/*",
            "**/app",
            "**/app/**",
            "*.example/app",
            "*.example/**",
            "r.example/app",
            "r.example/*",
            "r.example/**",
            "r.example/?",
            "r.example/*/*",
            "r.example/*/**",
            "r.example/**/*",
            "r.example/**/**",
            "r.example/**/app",
            "r.example/**/a/**",
            "r.example/**/a/**/b",
            "r.example/web/*",
            "r.example/web/**",
            "r.example/web-?/app",
            "r.example/a?c-*-z",
            "r.example/*a*a*b",
            "r.example/*a",
            "r.example/a*",
            "r.example/a*b*",
            "r.example:5000/*",
            "r.example:5000/web-*/app",
            "docker.io/library/*",
            "docker.io/**",
            "localhost/**",
            "?.example/a",
        ];
        let names = [
            "r.example/a",
            "r.example/b",
            "r.example/app",
            "r.example/apps",
            "r.example/a/b",
            "r.example/a/a",
            "r.example/b/a",
            "r.example/a/b/app",
            "r.example/a/b/apps",
            "r.example/a/x/b",
            "r.example/x/a/b",
            "r.example/x/a/y/b",
            "r.example/app/x",
            "r.example/web",
            "r.example/webs",
            "r.example/web/a",
            "r.example/web/a/b",
            "r.example/web-1/app",
            "r.example/abc-1-2-z",
            "r.example/ac-1-z",
            "r.example/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "r.example/aab",
            "r.example/abb",
            "r.example.evil/a",
            "a.example/app",
            "a.b.example/app",
            "a.b/c.example/app",
            "r.example:5000/a",
            "r.example:5000/web-1/app",
            "docker.io/library/nginx",
            "docker.io/bitnami/redis",
            "localhost/app",
        ];
        for written in patterns {
            let here = Patterns::of_images(&[written.to_owned()]).unwrap();
            let there: Pattern = written.parse().unwrap();
            for name in names {
                assert_eq!(here.match_any(name), there.matches(name), "{written} {name}");
            }
        }
    }
}
