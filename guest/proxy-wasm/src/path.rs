//! Paths of the distribution API (OCI distribution specification 1.1, "Endpoints"), read so strictly that a registry
//! cannot read them in another way.

use crate::digest::Digest;

/// What a client of a registry wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To know that there is a registry.
    Ping,
    /// A manifest.
    Manifest {
        /// Of this repository.
        repository: String,
        /// By this tag or digest.
        reference: Reference,
    },
    /// A blob.
    Blob {
        /// Of this repository.
        repository: String,
        /// By this digest.
        digest: Digest,
    },
}

/// What a manifest is named by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A tag
    Tag(String),
    /// A digest
    Digest(Digest),
}

impl std::fmt::Display for Reference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => formatter.write_str(tag),
            Self::Digest(digest) => digest.fmt(formatter),
        }
    }
}

/// What a path with its query wants; nothing if it is no path of a pull, or could be read in two ways. The one query that
/// clients of mirrors send, `?ns=HOST`, is understood, and not passed on.
pub fn parse(path: &str) -> Option<Wanted> {
    let path = match path.split_once('?') {
        Some((path, query)) if is_namespace(query) => path,
        Some(_) => return None,
        None => path,
    };
    let rest = path.strip_prefix("/v2")?;
    if rest.is_empty() || rest == "/" {
        return Some(Wanted::Ping);
    }
    let (rest, last) = rest.strip_prefix('/')?.rsplit_once('/')?;
    let (repository, kind) = rest.rsplit_once('/')?;
    if !is_repository(repository) {
        return None;
    }
    let repository = repository.to_owned();
    match kind {
        "manifests" => Some(Wanted::Manifest {
            repository,
            reference: match last.parse() {
                Ok(digest) => Reference::Digest(digest),
                Err(_) if is_tag(last) => Reference::Tag(last.to_owned()),
                Err(_) => return None,
            },
        }),
        "blobs" => Some(Wanted::Blob {
            repository,
            digest: last.parse().ok()?,
        }),
        _ => None,
    }
}

fn is_namespace(query: &str) -> bool {
    query.strip_prefix("ns=").is_some_and(|host| {
        (1..=255).contains(&host.len())
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':'))
    })
}

/// Whether it is a repository's name (OCI distribution specification 1.1, "Pulling manifests").
pub fn is_repository(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(is_plain)
            && bytes.last().copied().is_some_and(is_plain)
            && bytes.split(|byte| is_plain(*byte)).all(|separator| {
                matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
            })
    };
    name.len() <= 255 && name.split('/').all(is_part)
}

fn is_tag(tag: &str) -> bool {
    let bytes = tag.as_bytes();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    bytes.len() <= 128
        && bytes.first().is_some_and(is_word)
        && bytes.iter().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn pulls() {
        assert_eq!(parse("/v2/"), Some(Wanted::Ping));
        assert_eq!(parse("/v2"), Some(Wanted::Ping));
        assert_eq!(
            parse("/v2/a/manifests/manifests/v1?ns=docker.io"),
            Some(Wanted::Manifest {
                repository: "a/manifests".to_owned(),
                reference: Reference::Tag("v1".to_owned())
            })
        );
        for kind in ["manifests", "blobs"] {
            assert!(parse(&format!("/v2/a/b-c/d.e/{kind}/sha256:{HEX}")).is_some());
        }
    }

    #[test]
    fn what_a_registry_could_read_in_another_way() {
        for path in [
            "",
            "/",
            "/v1/",
            "/v2//manifests/latest",
            "/v2/a/../b/manifests/latest",
            "/v2/a//b/manifests/latest",
            "/v2/./a/manifests/latest",
            "/v2/a/manifests/latest/",
            "/v2/a/manifests/",
            "/v2/a/manifests/la%74est",
            "/v2/a/manifests/latest;x",
            "/v2/a%2fb/manifests/latest",
            "/v2/a/manifests/latest#x",
            "/v2/a/manifests/latest?x=y",
            "/v2/a/manifests/latest?ns=a&ns=b",
            "/v2/A/manifests/latest",
            "/v2/a..b/manifests/latest",
            "/v2/a/manifests/sha256:0",
            "/v2/a/manifests/.hidden",
            "/v2/a/blobs/latest",
            "/v2/a/blobs/uploads/",
            "/v2/a/referrers/sha256:0",
            "/v2/a/tags/list",
            "/v2/_catalog",
            "http://elsewhere/v2/a/manifests/latest",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
