//! Where a symbolic link that leads to nothing would lead, if what is missing were made.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Links on one way, as many as Linux follows.
const LINKS: usize = 40;

/// Where the way of a link ends, as far as it is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// The last that is there, a real path: a folder that lacks the first of `rest`, or a file where a folder would have to
    /// be. In front of a link that is itself copied it is the folder of that link.
    pub(super) there: PathBuf,
    /// The components from there on, as the texts of the links have them.
    pub(super) rest: Vec<OsString>,
}

/// Follows a link with this text in `folder`, a real path, up to the first component that is not there. A link on the way
/// that is itself copied ends the way as well, unless a `..` comes after it. `None` if nothing is missing or if there are
/// too many links.
pub(super) fn find(folder: &Path, text: &Path, is_copied: impl Fn(&Path) -> bool) -> io::Result<Option<Missing>> {
    let mut there = folder.to_owned();
    let mut ahead = VecDeque::new();
    enter(text, &mut there, &mut ahead);
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        let next = there.join(&name);
        let metadata = match fs::symlink_metadata(&next) {
            Ok(metadata) => metadata,
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                ahead.push_front(name);
                let rest = ahead.into();
                return Ok(Some(Missing { there, rest }));
            }
            Err(cause) => return Err(cause),
        };
        if name == "." {
            continue;
        }
        if name == ".." {
            there.pop();
            continue;
        }
        if !metadata.is_symlink() {
            there = next;
            continue;
        }
        if is_copied(&next) && ahead.iter().all(|name| name != "..") {
            ahead.push_front(name);
            let rest = ahead.into();
            return Ok(Some(Missing { there, rest }));
        }
        links += 1;
        if links > LINKS {
            return Ok(None);
        }
        enter(&fs::read_link(&next)?, &mut there, &mut ahead);
    }
    Ok(None)
}

/// Puts the components of a text ahead of the others. A slash at its end asks for a folder, as `.` does.
fn enter(text: &Path, there: &mut PathBuf, ahead: &mut VecDeque<OsString>) {
    if text.is_absolute() {
        *there = PathBuf::from("/");
    }
    let bytes = text.as_os_str().as_bytes();
    if bytes.ends_with(b"/") {
        ahead.push_front(OsString::from("."));
    }
    for name in bytes.split(|byte| *byte == b'/').rev().filter(|name| !name.is_empty()) {
        ahead.push_front(OsStr::from_bytes(name).to_owned());
    }
}

/// What a way comes by.
pub(super) enum Ends {
    /// The same way is right in the copy: all that it comes by is where it is in the original.
    Inside,
    /// It ends at this place, of which there is no copy.
    Outside(PathBuf),
    /// It leads out and back, or through a link and up from there.
    Unclear,
}

impl Missing {
    /// Follows the rest as if all that is missing were folders. `copy_of` knows the copy of a real path.
    pub(super) fn ends(&self, copy_of: impl Fn(&Path) -> Option<PathBuf>) -> Ends {
        let (mut real, mut copy) = (self.there.clone(), copy_of(&self.there));
        let mut ahead = self.rest.iter();
        while let Some(name) = ahead.next() {
            if name == ".." {
                real.pop();
                copy = copy.filter(|copy| copy_of(&real).as_deref() == copy.parent());
                copy = copy.and_then(|copy| copy.parent().map(Path::to_owned));
            } else if name != "." {
                real.push(name);
                copy = copy.map(|copy| copy.join(name));
                copy = copy.filter(|copy| copy_of(&real).as_ref() == Some(copy));
                let climbs = ahead.clone().any(|name| name == "..");
                if climbs && fs::symlink_metadata(&real).is_ok_and(|metadata| metadata.is_symlink()) {
                    return Ends::Unclear;
                }
            }
        }
        match copy {
            Some(_) => Ends::Inside,
            None if copy_of(&real).is_none() => Ends::Outside(real),
            None => Ends::Unclear,
        }
    }
}
