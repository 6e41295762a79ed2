//! Paths of the distribution API (OCI distribution specification 1.1, "Endpoints"), read so strictly that a registry
//! cannot read them in another way.

use core::fmt;

use crate::digest::ManifestDigest;
use crate::image::{is_repository, is_tag};
use crate::prelude::*;

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
        /// `?ns=` and the registry that a mirror is asked for, or nothing.
        query: String,
    },
    /// A blob.
    Blob {
        /// Of this repository.
        repository: String,
        /// By this digest.
        digest: ManifestDigest,
    },
}

/// What a manifest is named by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A tag
    Tag(String),
    /// A digest
    Digest(ManifestDigest),
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => formatter.write_str(tag),
            Self::Digest(digest) => digest.fmt(formatter),
        }
    }
}

/// What a path with its query wants; nothing if it is no path of a pull, or could be read in two ways.
pub fn parse(path: &str) -> Option<Wanted> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    // A mirror's client says which registry it means. What is delivered is what was judged, since it goes by digest.
    let query = match query {
        None => String::new(),
        Some(query) if is_namespace(query) => format!("?{query}"),
        Some(_) => return None,
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
            query,
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

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn pulls() {
        let digest: ManifestDigest = format!("sha256:{HEX}").parse().unwrap();
        let manifest = |repository: &str, reference: Reference, query: &str| Wanted::Manifest {
            repository: repository.to_owned(),
            reference,
            query: query.to_owned(),
        };
        let tag = |tag: &str| Reference::Tag(tag.to_owned());
        for (path, wanted) in [
            ("/v2/", Wanted::Ping),
            ("/v2", Wanted::Ping),
            (
                "/v2/a/b-c/d.e/manifests/v1.0?ns=docker.io",
                manifest("a/b-c/d.e", tag("v1.0"), "?ns=docker.io"),
            ),
            // A repository may be called as a part of the API is.
            (
                "/v2/a/manifests/manifests/latest",
                manifest("a/manifests", tag("latest"), ""),
            ),
            (
                &format!("/v2/a/manifests/{digest}"),
                manifest("a", Reference::Digest(digest.clone()), ""),
            ),
            (
                &format!("/v2/a/blobs/{digest}"),
                Wanted::Blob {
                    repository: "a".to_owned(),
                    digest: digest.clone(),
                },
            ),
        ] {
            assert_eq!(parse(path), Some(wanted), "{path}");
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
            "/v2/a/manifests/latest?ns=",
            "/v2/a/manifests/latest?ns=a&ns=b",
            "/v2/A/manifests/latest",
            "/v2/a..b/manifests/latest",
            "/v2/-a/manifests/latest",
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
