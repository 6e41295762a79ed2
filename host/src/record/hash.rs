//! The SHA-256 of files, and proof that a file stood still while it was read.

use std::cell::RefCell;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use rustix::fs::OFlags;

/// Bytes that are read at once: they stay in the second-level cache between the kernel's copy and the hash, and most
/// source files need a single read.
const BLOCK: usize = 128 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BLOCK]);
}

/// A SHA-256; shown as lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self::finished(&digest::digest(&digest::SHA256, bytes))
    }

    fn finished(digest: &digest::Digest) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        formatter.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// Why a file has no digest.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The system does not let it be read.
    #[error("cannot read `{}`: {cause}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Something else than a regular file.
    #[error("`{}` is not a regular file; only those are recorded", .0.display())]
    NotRegular(PathBuf),
    /// Its size, time or identity was another before than after: what was hashed may never have been its content.
    #[error("`{}` changed while it was read; record it when nothing writes to it", .0.display())]
    Changed(PathBuf),
}

/// Which bytes of a file are hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Those that it has.
    #[default]
    Exact,
    /// `\r\n` and `\r` as `\n`, so that a checkout on another system has the same digest.
    UnixLines,
}

/// Hashes a file. It costs an open, a stat, the reads, a stat and a close.
pub fn file(path: &Path, content: Content) -> Result<Digest, HashError> {
    file_watched(path, content, |_| {})
}

/// [`file`], where `watch` is told of every so many bytes that were read.
pub(super) fn file_watched(path: &Path, content: Content, watch: impl Fn(u64)) -> Result<Digest, HashError> {
    let unreadable = |cause| HashError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    // A pipe in the file's place would otherwise be waited for.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(unreadable)?;
    let before = file.metadata().map_err(unreadable)?;
    if !before.is_file() {
        return Err(HashError::NotRegular(path.to_owned()));
    }
    let (digest, length) = BUFFER
        .with_borrow_mut(|buffer| read(&mut file, before.len(), content, buffer, watch))
        .map_err(unreadable)?;
    // By its path and not by the open file, so that a file put in its place is seen too.
    match std::fs::metadata(path) {
        Ok(after) if stamp(&before) == stamp(&after) && length == before.len() => Ok(digest),
        _ => Err(HashError::Changed(path.to_owned())),
    }
}

/// What tells a file from itself at another time.
fn stamp(metadata: &Metadata) -> (u64, u64, u64, i64, i64) {
    (
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    )
}

/// The digest of what can be read, and how many bytes that were.
fn read(
    file: &mut File,
    expected: u64,
    content: Content,
    buffer: &mut [u8],
    watch: impl Fn(u64),
) -> io::Result<(Digest, u64)> {
    let mut hasher = digest::Context::new(&digest::SHA256);
    let mut lines = UnixLines::default();
    let mut length = 0;
    loop {
        let count = match file.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        length += count as u64;
        watch(count as u64);
        match content {
            Content::Exact => hasher.update(&buffer[..count]),
            Content::UnixLines => lines.feed(&buffer[..count], |part| hasher.update(part)),
        }
        // A read that ends short of its buffer at the size the file had needs no further one to find the end.
        if count == 0 || (length >= expected && count < buffer.len()) {
            return Ok((Digest::finished(&hasher.finish()), length));
        }
    }
}

/// Rewrites line endings block by block.
#[derive(Debug, Default)]
struct UnixLines {
    /// The last block ended with `\r`, for which `\n` was already given.
    after_return: bool,
}

impl UnixLines {
    fn feed(&mut self, mut block: &[u8], mut give: impl FnMut(&[u8])) {
        if std::mem::take(&mut self.after_return) {
            block = block.strip_prefix(b"\n").unwrap_or(block);
        }
        while let Some(place) = block.iter().position(|byte| *byte == b'\r') {
            give(&block[..place]);
            give(b"\n");
            block = &block[place + 1..];
            self.after_return = block.is_empty();
            block = block.strip_prefix(b"\n").unwrap_or(block);
        }
        give(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_in_hexadecimal() {
        assert_eq!(
            Digest::of(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn line_endings_across_blocks() {
        for (text, wanted) in [
            ("a\r\nb", "a\nb"),
            ("a\rb", "a\nb"),
            ("\r\r\n\n", "\n\n\n"),
            ("a\r", "a\n"),
            ("\r\n\r\n", "\n\n"),
            ("\n", "\n"),
            ("", ""),
        ] {
            for size in 1..=text.len().max(1) {
                let (mut lines, mut out) = (UnixLines::default(), Vec::new());
                for block in text.as_bytes().chunks(size) {
                    lines.feed(block, |part| out.extend_from_slice(part));
                }
                assert_eq!(String::from_utf8(out).unwrap(), wanted, "{text:?} in blocks of {size}");
            }
        }
    }

    #[test]
    fn every_length_around_a_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let bytes = vec![7; length];
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(file(&path, Content::Exact).unwrap(), Digest::of(&bytes), "{length}");
        }
    }

    #[test]
    fn a_file_that_is_no_regular_one() {
        assert!(matches!(
            file(Path::new("/dev/null"), Content::Exact),
            Err(HashError::NotRegular(_))
        ));
        assert!(matches!(
            file(Path::new("/"), Content::Exact),
            Err(HashError::NotRegular(_))
        ));
        assert!(matches!(
            file(Path::new("none"), Content::Exact),
            Err(HashError::Unreadable { .. })
        ));
    }

    #[test]
    fn a_file_that_is_not_what_its_size_says() {
        // Its size is 0, and it has content.
        if Path::new("/proc/version").exists() {
            assert!(matches!(
                file(Path::new("/proc/version"), Content::Exact),
                Err(HashError::Changed(_))
            ));
        }
    }
}
