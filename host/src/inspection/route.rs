//! Where symbolic links of a copy may lead.

use std::path::{Component, Path, PathBuf};

/// Whether a link with this text, in a folder that is `place` below a root, cannot lead out of the root by itself: it first
/// climbs no further than the root, by real folders, and then only descends. A link that it descends through is judged
/// by its own text.
pub(super) fn stays(text: &Path, place: &Path) -> bool {
    let mut climbed = 0;
    let mut descends = false;
    for component in text.components() {
        match component {
            Component::Normal(_) => descends = true,
            Component::CurDir => {}
            Component::ParentDir if !descends => climbed += 1,
            // After a name it would depend on what that name is.
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    climbed <= place.components().count()
}

/// The way from one folder to something else; both are absolute, and no link is on the way.
pub(super) fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(to.components().skip(shared)).collect();
    if way.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_stay() {
        for (text, place, wanted) in [
            ("a", "", true),
            ("a/b", "x", true),
            ("./a", "", true),
            (".", "", true),
            ("..", "", false),
            ("../a", "", false),
            ("../a", "x", true),
            ("../..", "x/y", true),
            ("../../a", "x", false),
            ("./../../a", "x", false),
            ("a/../b", "x", false),
            ("../a/../../..", "x/y", false),
            ("/etc", "x", false),
            ("/", "x", false),
        ] {
            assert_eq!(stays(Path::new(text), Path::new(place)), wanted, "{text} in {place}");
        }
    }

    #[test]
    fn ways() {
        for (from, to, wanted) in [
            ("/r", "/r/a", "a"),
            ("/r/x/y", "/r/a/b", "../../a/b"),
            ("/r/x", "/r", ".."),
            ("/r", "/r", "."),
            ("/r/xy", "/r/x", "../x"),
        ] {
            assert_eq!(
                relative(Path::new(from), Path::new(to)),
                Path::new(wanted),
                "{from} {to}"
            );
        }
    }
}
