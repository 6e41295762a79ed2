//! Which paths are not recorded.
//!
//! Patterns are those of `.gitignore`, as in-toto has them: `*` and `?` stop at `/`, `**` does not, a pattern without
//! a `/` in its middle matches at any depth, a leading `/` binds it to the base path, a final `/` restricts it to
//! folders, a later `!pattern` takes files back, `#` begins a comment, `\` escapes. What matches a folder excludes all
//! that is in it.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// What in-toto excludes where nothing else is said: links, git's own folder, compiled Python and editors' backups.
pub const DEFAULT: [&str; 4] = ["*.link*", ".git", "*.pyc", "*~"];

/// A pattern that is none.
#[derive(Debug, thiserror::Error)]
#[error("the exclude pattern `{pattern}` is malformed: {cause}")]
pub struct ExcludeError {
    pattern: String,
    cause: ignore::Error,
}

/// Compiled exclude patterns.
#[derive(Clone, Debug)]
pub struct Exclude(Gitignore);

impl Exclude {
    /// Compiles patterns; a later one outweighs an earlier one.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<Self, ExcludeError> {
        let mut builder = GitignoreBuilder::new("");
        let malformed = |pattern: &str, cause| ExcludeError {
            pattern: pattern.to_owned(),
            cause,
        };
        for pattern in patterns {
            builder
                .add_line(None, &without_braces(pattern))
                .map_err(|cause| malformed(pattern, cause))?;
        }
        builder.build().map(Self).map_err(|cause| malformed("", cause))
    }

    /// Whether a path that was found inside a folder is excluded by itself.
    pub(super) fn covers(&self, location: &str, is_folder: bool) -> bool {
        self.0.matched(relative(location), is_folder).is_ignore()
    }

    /// Whether a path is excluded by itself or by a folder that it is in.
    pub(super) fn covers_within(&self, location: &str, is_folder: bool) -> bool {
        self.0
            .matched_path_or_any_parents(relative(location), is_folder)
            .is_ignore()
    }
}

/// The pattern with its braces escaped: they mean themselves in a .gitignore file, and alternatives to the matcher.
fn without_braces(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let (mut escaped, mut in_class) = (false, false);
    for character in pattern.chars() {
        if matches!(character, '{' | '}') && !escaped && !in_class {
            out.push('\\');
        }
        in_class = !escaped && (character == '[' || (in_class && character != ']'));
        escaped = character == '\\' && !escaped;
        out.push(character);
    }
    out
}

/// Absolute paths are matched like others: from their first segment.
fn relative(location: &str) -> &Path {
    Path::new(location.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen with `pathspec` 1.0, which in-toto uses.
    #[test]
    fn as_in_toto_has_them() {
        for (patterns, path, wanted) in [
            (&["#a"][..], "#a", false),
            (&["\\#a"], "#a", true),
            (&["*.py", "!b.py"], "b.py", false),
            (&["/a"], "x/a", false),
            (&["/a"], "a", true),
            (&["a/"], "a", false),
            (&["a/"], "a/b", true),
            (&["a/"], "x/a/b", true),
            (&["a/b"], "x/a/b", false),
            (&["a/b"], "a/b/c", true),
            (&["**/b"], "a/b", true),
            (&["a/**"], "a/x/y", true),
            (&["a/**"], "a", false),
            (&["a/**/b"], "a/b", true),
            (&["a*b"], "a/b", false),
            (&["a?c"], "a/c", false),
            (&["a"], "/abs/a", true),
            (&["/abs/a"], "/abs/a", true),
            (&["a"], "../a", true),
            (&["[ab]"], "a", true),
            (&["[!ab]"], "c", true),
            (&["A"], "a", false),
            (&["./a"], "a", false),
            (&["*.link*"], "d/x.link.y", true),
            (&["\\*"], "*", true),
            (&[".git"], ".github", false),
            (&["{a,b}"], "a", false),
            (&["{a,b}"], "{a,b}", true),
            (&["\\{a[{]"], "{a{", true),
            (&["!a"], "a", false),
            (&["*/b"], "x/a/b", false),
            (&["**"], "a/b", true),
            (&["a**b"], "axb", true),
            (&["[a-c]x"], "bx", true),
        ] {
            let exclude = Exclude::new(patterns.iter().copied()).unwrap();
            assert_eq!(exclude.covers_within(path, false), wanted, "{patterns:?} {path}");
        }
    }

    #[test]
    fn a_malformed_pattern_is_named() {
        let error = Exclude::new(["a[z-a]"]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the exclude pattern `a[z-a]` is malformed"),
            "{error}"
        );
    }
}
