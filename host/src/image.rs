//! References of images in the one form that policies are matched with.
//!
//! What a person writes in a manifest (`nginx`, `docker.io/nginx:1`, `Registry.example:443/app`) and what a policy's
//! pattern says must meet: short names are filled up as every container runtime does it, hosts are lower-case, and the
//! port that HTTPS has anyway is left out. What could be read in two ways is refused.

use std::fmt;
use std::str::FromStr;

use linkgate_verifier::verdict::shown;
use oci_client::Reference;

/// The digest of a manifest, as `sha256:` and lower-case hexadecimal digits (OCI image specification 1.1, "Digests").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManifestDigest {
    algorithm: Algorithm,
    hex: String,
}

/// The algorithms that the OCI image specification registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// Why a text is no digest of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest: `sha256:` and 64 lower-case hexadecimal digits are expected (or sha384, sha512)")]
pub struct DigestError(String);

impl ManifestDigest {
    /// The SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            hex: crate::record::hash::Digest::of(bytes).to_string(),
        }
    }

    /// `sha256`, `sha384` or `sha512`
    pub fn algorithm(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// Its hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// Whether these bytes have it.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
        let algorithm = match self.algorithm {
            Algorithm::Sha256 => &SHA256,
            Algorithm::Sha384 => &SHA384,
            Algorithm::Sha512 => &SHA512,
        };
        linkgate_verifier::key::hex(digest(algorithm, bytes).as_ref()) == self.hex
    }
}

impl FromStr for ManifestDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let wrong = || DigestError(shown(text));
        let (name, hex) = text.split_once(':').ok_or_else(wrong)?;
        let (algorithm, digits) = match name {
            "sha256" => (Algorithm::Sha256, 64),
            "sha384" => (Algorithm::Sha384, 96),
            "sha512" => (Algorithm::Sha512, 128),
            _ => return Err(wrong()),
        };
        let is_hex = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() != digits || !is_hex {
            return Err(wrong());
        }
        Ok(Self {
            algorithm,
            hex: hex.to_owned(),
        })
    }
}

impl fmt::Display for ManifestDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.algorithm(), self.hex)
    }
}

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
}

/// Longer references are refused before they are looked at. A repository has at most 255 characters, a tag 128.
const LONGEST: usize = 1024;

/// The names under which Docker Hub answers.
const HUB: [&str; 4] = [
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
];

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

    /// The reference as registries' clients take it.
    pub fn reference(&self) -> Reference {
        let (registry, repository) = (self.registry.clone(), self.repository.clone());
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Reference::with_digest(registry, repository, digest.to_string()),
            (None, tag) => {
                Reference::with_tag(registry, repository, tag.clone().unwrap_or_else(|| "latest".to_owned()))
            }
        }
    }
}

impl FromStr for Image {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let form = || ImageError::Form(shown(text));
        if text.len() > LONGEST {
            return Err(form());
        }
        let digest = text.split_once('@').map(|(_, digest)| digest.parse()).transpose()?;
        let parsed: Reference = text.parse().map_err(|_| form())?;
        if !is_repository(parsed.repository()) || parsed.tag().is_some_and(|tag| !is_tag(tag)) {
            return Err(form());
        }
        let host = parsed.registry().to_ascii_lowercase();
        let registry = host.strip_suffix(":443").unwrap_or(&host);
        // Without a dot or a port a host looks like the first part of a repository on Docker Hub.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'[' | b']');
        let is_host = registry.bytes().all(is_plain) && (registry.contains(['.', ':']) || registry == "localhost");
        if !is_host || registry.ends_with('.') || registry.contains(".:") {
            return Err(ImageError::Host(shown(text)));
        }
        let port = registry.split_once(':').map(|(_, port)| port);
        // `05000` is the port `5000`, and another text.
        if port.is_some_and(|port| port.starts_with('0') || port.parse::<u16>().is_err()) {
            return Err(ImageError::Host(shown(text)));
        }
        let is_hub = HUB.contains(&registry);
        let repository = parsed.repository();
        Ok(Self {
            registry: if is_hub { "docker.io" } else { registry }.to_owned(),
            repository: if is_hub && !repository.contains('/') {
                format!("library/{repository}")
            } else {
                repository.to_owned()
            },
            tag: match digest {
                Some(_) => None,
                None => Some(parsed.tag().unwrap_or("latest").to_owned()),
            },
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

/// Whether it is a tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
pub(crate) fn is_tag(tag: &str) -> bool {
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
    fn every_spelling_has_one_form() {
        for (written, form) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
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
            ("localhost/app", "localhost/app:latest"),
        ] {
            assert_eq!(written.parse::<Image>().unwrap().to_string(), form, "{written}");
        }
        for written in ["r.example/app", "r.example/app:tag"] {
            let image: Image = format!("{written}@sha256:{HEX}").parse().unwrap();
            assert_eq!(image.to_string(), format!("r.example/app@sha256:{HEX}"));
            assert_eq!(image.tag(), None);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for wrong in [
            "",
            "UPPER/case",
            "host:443/app",
            "r.example/App",
            "r.example/t\u{e9}",
            "r.example/app:t\u{e9}",
            "r_x.example/app",
            "r.example:0443/app",
            "r.example:05000/app",
            "r.example:0/app",
            "r.example:70000/app",
            "r.example/app@sha256:0",
            "r.example/app@md5:9f86d081884c7d659a2feaa0c55ad015",
            "r.example./app",
            "r.example.:5000/app",
            "r.example/../app",
            "r.example/app:tag:tag",
            "https://r.example/app",
            " r.example/app",
            "r.example/app\n",
        ] {
            assert!(wrong.parse::<Image>().is_err(), "{wrong:?}");
        }
        let upper = format!("r.example/app@sha256:{}", HEX.to_uppercase());
        assert!(upper.parse::<Image>().is_err());
    }

    #[test]
    fn digests_are_of_bytes() {
        let digest: ManifestDigest = format!("sha256:{HEX}").parse().unwrap();
        assert!(digest.is_of(b"test") && !digest.is_of(b"tesT"));
        assert_eq!(ManifestDigest::of(b"test"), digest);
    }
}
