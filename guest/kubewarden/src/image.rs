//! References of images, in the one form that patterns are matched with. It is the gate's: short names are filled up, hosts are
//! lower-case, the port that HTTPS has anyway is left out, and what could be read in two ways is refused.

use core::fmt;

use linkgate_verifier::verdict::shown;

use crate::prelude::*;

/// Longer references are refused before they are looked at. A repository has at most 255 characters, a tag 128.
const LONGEST: usize = 1024;

/// The names under which Docker Hub answers.
const HUB: [&str; 4] = [
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
];

/// An image by digest, or by a tag, which may mean another one tomorrow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// `REGISTRY/REPOSITORY`
    pub(crate) name: String,
    /// The algorithm and the digits of its digest.
    pub(crate) digest: Option<(&'static str, String)>,
}

/// Why a text names no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ImageError {
    /// Not of the form that container runtimes take.
    #[error("`{0}` is no reference of an image: REGISTRY/REPOSITORY@sha256:DIGEST is expected")]
    Form(String),
    /// A digest of another algorithm or form.
    #[error("`{0}` is no digest: `sha256:` and 64 lower-case hexadecimal digits are expected (or sha384, sha512)")]
    Digest(String),
    /// A host that could be written in another way, or be taken for a part of a repository.
    #[error(
        "`{0}` names its registry in a way that could be read in two: write a host with a domain, without a final dot"
    )]
    Host(String),
}

impl Image {
    /// Reads a reference. A tag beside a digest means nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, ImageError> {
        let form = || ImageError::Form(shown(text));
        if text.len() > LONGEST {
            return Err(form());
        }
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(read_digest(digest)?)),
            None => (text, None),
        };
        let last = named.rfind('/').map_or(0, |slash| slash + 1);
        let (path, tag) = match named.get(last..).and_then(|part| part.split_once(':')) {
            Some((part, tag)) => (named.get(..last + part.len()).unwrap_or_default(), Some(tag)),
            None => (named, None),
        };
        let (host, repository) = split_host(path);
        if !is_repository(repository) || tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(form());
        }
        let host = host.to_ascii_lowercase();
        let registry = host.strip_suffix(":443").unwrap_or(&host);
        if !is_host(registry) {
            return Err(ImageError::Host(shown(text)));
        }
        let name = match (HUB.contains(&registry), repository.contains('/')) {
            (true, false) => format!("docker.io/library/{repository}"),
            (true, true) => format!("docker.io/{repository}"),
            (false, _) => format!("{registry}/{repository}"),
        };
        Ok(Self { name, digest })
    }
}

impl fmt::Display for Image {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        match &self.digest {
            Some((algorithm, hex)) => write!(formatter, "@{algorithm}:{hex}"),
            None => Ok(()),
        }
    }
}

/// The host and the repository. Without a host it is Docker Hub, which container runtimes see by the first part.
fn split_host(path: &str) -> (&str, &str) {
    match path.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => ("docker.io", path),
    }
}

/// A domain and perhaps a port, or `localhost`: without a dot or a port it looks like a part of a repository.
pub(crate) fn is_host(registry: &str) -> bool {
    let (domain, port) = match registry.split_once(':') {
        Some((domain, port)) => (domain, Some(port)),
        None => (registry, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    // `05000` is the port `5000`, and another text.
    let is_port = |port: &str| {
        !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    domain.split('.').all(is_label)
        && port.is_none_or(is_port)
        && (registry.contains(['.', ':']) || registry == "localhost")
}

fn read_digest(text: &str) -> Result<(&'static str, String), ImageError> {
    let wrong = || ImageError::Digest(shown(text));
    let (name, hex) = text.split_once(':').ok_or_else(wrong)?;
    let (algorithm, digits) = match name {
        "sha256" => ("sha256", 64),
        "sha384" => ("sha384", 96),
        "sha512" => ("sha512", 128),
        _ => return Err(wrong()),
    };
    if hex.len() != digits || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(wrong());
    }
    Ok((algorithm, hex.to_owned()))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` between slashes (OCI distribution specification 1.1, "Pulling manifests").
fn is_repository(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(is_plain)
            && bytes.last().copied().is_some_and(is_plain)
            && bytes.split(|byte| is_plain(*byte)).all(|separator| {
                matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
            })
    };
    name.len() <= 255 && name.split('/').all(is_part)
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_every_spelling() {
        let hex = "ab".repeat(32);
        for (written, name) in [
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1.27", "docker.io/library/nginx"),
            ("bitnami/redis:7", "docker.io/bitnami/redis"),
            ("DOCKER.IO/nginx", "docker.io/library/nginx"),
            ("registry.hub.docker.com/library/nginx", "docker.io/library/nginx"),
            ("Registry.Example:443/a/b:1", "registry.example/a/b"),
            ("registry.example:5000/a", "registry.example:5000/a"),
            ("localhost/app", "localhost/app"),
            ("r.example/a__b/c--d/e.f", "r.example/a__b/c--d/e.f"),
        ] {
            let image = Image::parse(written).unwrap();
            assert_eq!((image.name.as_str(), &image.digest), (name, &None), "{written}");
            let image = Image::parse(&format!("{written}@sha256:{hex}")).unwrap();
            assert_eq!(image.to_string(), format!("{name}@sha256:{hex}"));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for wrong in [
            "",
            "/",
            "a//b",
            "UPPER/case",
            "host:443/app",
            "r.example/App",
            "r.example/t\u{e9}",
            "r_x.example/app",
            "r.example:0443/app",
            "r.example:0/app",
            "r.example:70000/app",
            "r.example:+80/app",
            "r.example:/app",
            "r.example./app",
            "-r.example/app",
            "r..example/app",
            "[::1]:5000/app",
            "r.example/../app",
            "r.example/app:",
            "r.example/app:tag:tag",
            "r.example/app:t\u{e9}",
            "https://r.example/app",
            " r.example/app",
            "r.example/app\n",
            "r.example/app@sha256:0",
            "r.example/app@md5:9f86d081884c7d659a2feaa0c55ad015",
            "r.example/app@",
            "@sha256:0",
        ] {
            assert!(Image::parse(wrong).is_err(), "{wrong:?}");
        }
        let hex = "AB".repeat(32);
        assert!(Image::parse(&format!("r.example/app@sha256:{hex}")).is_err());
        assert!(Image::parse(&format!("r.example/{}", "a".repeat(2000))).is_err());
    }
}
