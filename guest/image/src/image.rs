//! References of images, in the one form that policies are matched with.
//!
//! What a person writes in a manifest (`nginx`, `docker.io/nginx:1`, `Registry.example:443/app`) and what a policy's
//! pattern says must meet: short names are filled up as every container runtime does it, hosts are lower-case, and the
//! port that HTTPS has anyway is left out. What could be read in two ways is refused.

use core::fmt;
use core::str::FromStr;

use linkgate_verifier::verdict::shown;

use crate::digest::{DigestError, ManifestDigest};
use crate::prelude::*;

/// An image's reference: where its repository is, and which of its manifests is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Image {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<ManifestDigest>,
}

/// Why a text names no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Not of the form that container runtimes take.
    #[error("`{0}` is no reference of an image: REGISTRY/REPOSITORY@sha256:DIGEST is expected")]
    Form(String),
    /// A digest of another algorithm or length.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A host that could be written in another way, or be taken for a part of a repository.
    #[error(
        "`{0}` names its registry in a way that could be read in two: write a host with a domain, without a final dot"
    )]
    Host(String),
    /// A number, which means whatever image a machine has under it.
    #[error("`{0}` is the number of an image that a machine may have already: write REGISTRY/REPOSITORY@sha256:DIGEST")]
    Number(String),
}

/// Longer references are refused before they are looked at. A repository has at most 255 characters, a tag 128.
const LONGEST: usize = 1024;

/// Docker Hub, which is meant where no host is named.
const HUB: &str = "docker.io";

/// Other names under which it answers.
const HUB_TOO: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

impl Image {
    /// The image of a digest.
    #[must_use]
    pub fn at(&self, digest: ManifestDigest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The image of a tag.
    #[must_use]
    pub fn tagged(&self, tag: &str) -> Self {
        Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        }
    }

    /// Its registry: a host, and a port unless that is 443.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Its repository within the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// `REGISTRY/REPOSITORY`: what patterns of policies match, and `{IMAGE_NAME}` stands for.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Its tag: a name that may mean another manifest tomorrow. `latest` if it has neither a tag nor a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Its digest. Where there is one, a tag beside it means nothing.
    pub fn digest(&self) -> Option<&ManifestDigest> {
        self.digest.as_ref()
    }
}

impl FromStr for Image {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let form = || ImageError::Form(shown(text));
        if text.len() > LONGEST {
            return Err(form());
        }
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest.parse()?)),
            None => (text, None),
        };
        let (path, tag) = split_tag(named);
        if is_hex(path) || (path == "sha256" && tag.is_some_and(is_hex)) {
            return Err(ImageError::Number(shown(text)));
        }
        let (host, repository) = split_host(path);
        let registry = registry(host);
        let repository = match registry.as_deref() {
            Some(HUB) if !repository.contains('/') => format!("library/{repository}"),
            _ => repository.to_owned(),
        };
        if !is_repository(&repository) || tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(form());
        }
        let tag = tag.unwrap_or("latest").to_owned();
        Ok(Self {
            registry: registry.ok_or_else(|| ImageError::Host(shown(text)))?,
            repository,
            tag: digest.is_none().then_some(tag),
            digest,
        })
    }
}

impl fmt::Display for Image {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(formatter, "@{digest}"),
            (None, Some(tag)) => write!(formatter, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}

/// Whether container runtimes take it for the number of an image that they have already.
fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What is before the tag, and the tag. A `:` with a `/` after it is before a port.
fn split_tag(named: &str) -> (&str, Option<&str>) {
    match named.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (named, None),
    }
}

/// The host and the repository. Container runtimes see by the first part whether there is a host; to some of them an
/// upper-case letter is enough, which no repository has.
fn split_host(path: &str) -> (&str, &str) {
    match path.split_once('/') {
        Some((first, rest)) if stands_alone(first) || first.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            (first, rest)
        }
        _ => (HUB, path),
    }
}

/// Whether nobody takes it for a part of a repository.
fn stands_alone(host: &str) -> bool {
    host.contains(['.', ':']) || host == "localhost"
}

/// A registry as images' names have it; nothing if it could be read in two ways.
fn registry(host: &str) -> Option<String> {
    let lower = host.to_ascii_lowercase();
    let registry = lower.strip_suffix(":443").unwrap_or(&lower);
    if !is_host(&lower) || !stands_alone(host) || !stands_alone(registry) {
        return None;
    }
    Some(if HUB_TOO.contains(&registry) { HUB } else { registry }.to_owned())
}

/// A domain and perhaps a port.
pub(crate) fn is_host(host: &str) -> bool {
    let (domain, port) = match host.split_once(':') {
        Some((domain, port)) => (domain, Some(port)),
        None => (host, None),
    };
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(is_plain)
    };
    // `05000` is the port `5000`, and another text.
    let is_port = |port: &str| {
        !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    domain.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Whether it is a repository's name (OCI distribution specification 1.1, "Pulling manifests"):
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` between slashes.
pub(crate) fn is_repository(name: &str) -> bool {
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

/// Whether it is a tag (OCI distribution specification 1.1, "Pulling manifests"): `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
pub(crate) fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn every_spelling_has_one_form() {
        for (written, form) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("registry:5000", "docker.io/library/registry:5000"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
            ("registry-1.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("DOCKER.IO/nginx", "docker.io/library/nginx:latest"),
            ("docker.io:443/nginx", "docker.io/library/nginx:latest"),
            (
                "registry.hub.docker.com/library/nginx",
                "docker.io/library/nginx:latest",
            ),
            ("bitnami/redis:7", "docker.io/bitnami/redis:7"),
            ("Registry.Example/app:1", "registry.example/app:1"),
            ("registry.example:443/app:1", "registry.example/app:1"),
            ("registry.example:5000/a/b/c:1", "registry.example:5000/a/b/c:1"),
            ("127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:443/app", "localhost/app:latest"),
            ("r.example/a__b/c--d/e.f", "r.example/a__b/c--d/e.f:latest"),
        ] {
            assert_eq!(written.parse::<Image>().unwrap().to_string(), form, "{written}");
        }
        for written in ["r.example/app", "r.example/app:tag"] {
            let image: Image = format!("{written}@sha256:{HEX}").parse().unwrap();
            assert_eq!(image.to_string(), format!("r.example/app@sha256:{HEX}"));
            assert_eq!((image.tag(), image.name()), (None, "r.example/app".to_owned()));
            assert_eq!(image.tagged("1").to_string(), "r.example/app:1");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for wrong in [
            "",
            "/",
            "a//b",
            "UPPER/case",
            // A host to docker, and a part of a repository to others.
            "LOCALHOST/app",
            "host:443/app",
            "r.example:443:443/app",
            "r.example/App",
            "r.example/t\u{e9}",
            "r.example/app:t\u{e9}",
            "r.example/app:",
            "r_x.example/app",
            "r.example:0443/app",
            "r.example:05000/app",
            "r.example:0/app",
            "r.example:70000/app",
            "r.example:+80/app",
            "r.example:/app",
            "r.example./app",
            "r.example.:5000/app",
            "-r.example/app",
            "r..example/app",
            "[::1]:5000/app",
            "r.example/../app",
            "r.example/app:tag:tag",
            "https://r.example/app",
            " r.example/app",
            "r.example/app\n",
            "r.example/app@",
            "r.example/app@sha256:0",
            "r.example/app@md5:9f86d081884c7d659a2feaa0c55ad015",
            "@sha256:0",
            // Local images' numbers, which some take for names on Docker Hub.
            HEX,
            &format!("sha256:{HEX}"),
            &format!("{HEX}:latest"),
        ] {
            assert!(wrong.parse::<Image>().is_err(), "{wrong:?}");
        }
        for (wrong, length) in [("", 250), ("r.example/", 256), ("r.example/", 2_000)] {
            assert!(format!("{wrong}{}", "a".repeat(length)).parse::<Image>().is_err());
        }
        let upper = format!("r.example/app@sha256:{}", HEX.to_uppercase());
        assert!(upper.parse::<Image>().is_err());
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (wrong, said) in [
            ("r.example/a b", "is no reference of an image"),
            ("https://r.example/app", "is no reference of an image"),
            ("R_x/y", "could be read in two"),
            ("r.example./y", "could be read in two"),
            ("r.example/a@sha256:abc", "`sha256:abc` is no digest"),
        ] {
            let error = wrong.parse::<Image>().unwrap_err().to_string();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }
}
