//! Evidence in OCI registries (OCI distribution specification 1.1).
//!
//! What a registry answers is read within bounds and checked against its digest. That it has nothing is believed only
//! where it says so in the protocol's words; everything else that is no answer is a [`SourceError`].

mod address;
mod authorization;
mod credentials;
mod evidence;
mod fault;
mod helper;
mod lead;
mod options;
mod push;
mod referrers;
mod request;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use linkgate_image::manifest::{ACCEPTED, MANIFEST_BYTES};
use linkgate_image::{Image, ManifestDigest};
use linkgate_verifier::limits;
use moka::future::Cache;
use reqwest::header::{ACCEPT, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder, Method, StatusCode, Url};

pub use self::evidence::RegistryEvidence;
pub use self::options::Options;
pub use self::push::{Attached, Attachment, Link};

use self::authorization::{Access, Authorization};
use self::credentials::Credentials;
use self::fault::Fault;
use self::lead::Others;
use self::request::Request;
use super::SourceError;
use super::manifest::{Manifest, Unread};
use crate::gate::watched;
use crate::memory::Memory;

/// Why no client of registries can be made of the options.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A registry that is no host.
    #[error("--plain-http `{0}`: a host is expected, or HOST:PORT")]
    Host(String),
    /// Authorities that cannot be read.
    #[error("--registry-ca `{}`: {cause}", .path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file without a certificate.
    #[error("--registry-ca `{}`: no certificate in PEM is in it", .0.display())]
    NoCertificate(PathBuf),
    /// Credentials that were named and are not there.
    #[error("--registry-config `{}`: there is no such file, and no config.json in such a folder", .0.display())]
    NoConfig(PathBuf),
    /// TLS that cannot be set up: of no authority is known that it is trusted, say.
    #[error("cannot set up TLS for registries: {0}; name trusted authorities with --registry-ca")]
    Tls(String),
}

/// A client of registries that many tasks use at once.
pub struct Registry {
    clients: ArcSwap<Clients>,
    options: Options,
    /// Registries that are spoken with in the clear.
    plain: Vec<String>,
    seconds: u64,
    /// What it may hold of what registries send.
    memory: Memory,
    credentials: Credentials,
    authorizations: Cache<Access, Authorization>,
}

/// The clients of HTTP, and whom they trust.
struct Clients {
    /// The one that asks registries. It follows no redirection by itself.
    http: reqwest::Client,
    /// Those that ask whom registries lead to.
    others: Others,
    /// The authorities (DER) besides the system's.
    authorities: Vec<Vec<u8>>,
}

/// How long what a registry wants to see is known. No token holds for less than 60 s ("Token Authentication
/// Specification").
const AUTHORIZATION_LIFETIME: Duration = Duration::from_secs(50);

/// Bytes of tokens, and of the names of what they are for, that are kept.
const AUTHORIZATIONS: u64 = 16 << 20;

/// The host that answers for `docker.io`.
const DOCKER_HUB: &str = "index.docker.io";

/// Where a registry says which digest a manifest has.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens are not shown.
        formatter
            .debug_struct("Registry")
            .field("plain", &self.plain)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// A client as the options have it, which reads answers into this memory. Nothing is sent yet.
    pub fn new(options: &Options, memory: Memory) -> Result<Self, RegistryError> {
        let plain = options.plain_http.iter().map(|host| plain(host));
        Ok(Self {
            clients: ArcSwap::from_pointee(Clients::new(authorities(options)?, options)?),
            options: options.clone(),
            plain: plain.collect::<Result<_, _>>()?,
            seconds: options.registry_timeout,
            memory,
            credentials: Credentials::new(options)?,
            authorizations: Cache::builder()
                .max_capacity(AUTHORIZATIONS)
                .weigher(authorization::weight)
                .time_to_live(AUTHORIZATION_LIFETIME)
                .build(),
        })
    }

    /// Trusts the authorities that their file has now, if they are others than before; those of the system are read again
    /// where `anew` says so. After an error the ones from before are trusted.
    pub fn reload(&self, anew: bool) -> Result<(), RegistryError> {
        let named = self
            .options
            .registry_ca
            .as_deref()
            .map(|path| (path, fs::metadata(path)));
        let authorities = match named {
            // A pipe gives what it has once.
            Some((_, Ok(kind))) if !kind.is_file() => self.clients.load().authorities.clone(),
            Some((path, Err(cause))) => {
                return Err(RegistryError::Ca {
                    path: path.to_owned(),
                    cause,
                });
            }
            Some((path, Ok(_))) => certificates(path, watched::read(path))?,
            None => Vec::new(),
        };
        if anew || authorities != self.clients.load().authorities {
            self.clients.store(Arc::new(Clients::new(authorities, &self.options)?));
        }
        Ok(())
    }

    /// The digest of what a tag means now, or of a digest that there is; none if there is no such image.
    pub async fn resolve(&self, image: &Image) -> Result<Option<ManifestDigest>, SourceError> {
        self.resolved(image).await.map_err(|fault| failed(image, &fault))
    }

    /// An image's manifest: that of its digest, against which it is checked, or that of its tag. None if there is none.
    pub async fn manifest(&self, image: &Image) -> Result<Option<Manifest>, SourceError> {
        self.get_manifest(image).await.map_err(|fault| failed(image, &fault))
    }

    async fn resolved(&self, image: &Image) -> Result<Option<ManifestDigest>, Fault> {
        let mut request = self.manifest_request(image)?;
        // Registries count manifests that are read, not those that are asked about.
        request.method = Method::HEAD;
        let reply = self.send(&request).await?;
        let mut said = reply.headers.get_all(CONTENT_DIGEST).iter();
        let digest: Option<ManifestDigest> = match (said.next(), said.next()) {
            (Some(only), None) => only.to_str().ok().and_then(|digest| digest.parse().ok()),
            _ => None,
        };
        let is_it = |digest: &ManifestDigest| image.digest().is_none_or(|wanted| wanted == digest);
        match (reply.status, digest.filter(is_it)) {
            (StatusCode::OK, Some(digest)) => Ok(Some(digest)),
            // What went wrong is told by an answer that has a body.
            _ => Ok(self.get_manifest(image).await?.map(|manifest| manifest.digest)),
        }
    }

    async fn get_manifest(&self, image: &Image) -> Result<Option<Manifest>, Fault> {
        let request = self.manifest_request(image)?;
        let reply = self.send(&request).await?;
        if reply.is_absence() {
            return Ok(None);
        }
        if reply.status != StatusCode::OK {
            return Err(Fault::of_status(image.registry(), reply.anonymous, &reply));
        }
        let digest = checked(image, &request.what, image.digest(), &reply.body)?;
        self.read_manifest(image, request.what, reply.body, digest).map(Some)
    }

    /// Reads the bytes of a manifest or an index, which have this digest.
    fn read_manifest(
        &self,
        image: &Image,
        what: String,
        bytes: Bytes,
        digest: ManifestDigest,
    ) -> Result<Manifest, Fault> {
        Manifest::read(bytes, digest, &self.memory).map_err(|unread| match unread {
            Unread::NoRoom(no_room) => Fault::no_room(image, no_room),
            Unread::Manifest(cause) => Fault::Manifest {
                host: image.registry().to_owned(),
                what,
                cause,
            },
        })
    }

    fn manifest_request<'a>(&self, image: &'a Image) -> Result<Request<'a>, Fault> {
        let name = match image.digest() {
            Some(digest) => digest.to_string(),
            None => image.tag().unwrap_or("latest").to_owned(),
        };
        let what = format!("the manifest `{name}` of `{}`", image.repository());
        let request = Request::get(self, image, &format!("manifests/{name}"), &what, MANIFEST_BYTES)?;
        let request = request.with(ACCEPT, ACCEPTED.to_owned());
        // What a tag means only the registry says.
        Ok(if image.digest().is_some() {
            request.by_digest()
        } else {
            request
        })
    }

    /// A blob of a repository, which has this digest and number of bytes.
    async fn blob(&self, image: &Image, digest: &ManifestDigest, size: u64) -> Result<Bytes, Fault> {
        let host = || image.registry().to_owned();
        let what = format!("the blob {digest}");
        let most = usize::try_from(size).unwrap_or(usize::MAX).min(limits::DOCUMENT_BYTES);
        if size > most as u64 {
            let (host, most) = (host(), limits::DOCUMENT_BYTES);
            return Err(Fault::TooLarge { host, what, most });
        }
        // A refusal is read even where it is longer than what was asked for.
        let request = Request::get(self, image, &format!("blobs/{digest}"), &what, most.max(64 << 10))?.by_digest();
        let reply = self.send(&request).await?;
        let length = reply.body.len() as u64;
        match reply.status {
            StatusCode::OK if length != size => Err(Fault::Length {
                host: host(),
                digest: digest.clone(),
                length,
                size,
            }),
            StatusCode::OK => checked(image, &what, Some(digest), &reply.body).map(|_| reply.body),
            _ if reply.is_absence() => Err(Fault::Missing {
                host: host(),
                digest: digest.clone(),
            }),
            _ => Err(Fault::of_status(image.registry(), reply.anonymous, &reply)),
        }
    }

    /// The root of a registry's interface.
    fn root(&self, image: &Image) -> Result<Url, Fault> {
        let is_plain = self.plain.iter().any(|host| host == image.registry());
        let scheme = if is_plain { "http" } else { "https" };
        let host = match image.registry() {
            "docker.io" => DOCKER_HUB,
            host => host,
        };
        let text = format!("{scheme}://{host}/v2/");
        Url::parse(&text).map_err(|error| Fault::Host {
            host: image.registry().to_owned(),
            cause: error.to_string(),
        })
    }

    /// A place in a repository. Names and digests were parsed, and hold nothing that means something in a URL.
    fn url(&self, image: &Image, place: &str) -> Result<Url, Fault> {
        let mut url = self.root(image)?;
        url.set_path(&format!("/v2/{}/{place}", image.repository()));
        Ok(url)
    }
}

impl Clients {
    fn new(authorities: Vec<Vec<u8>>, options: &Options) -> Result<Self, RegistryError> {
        let timeout = Duration::from_secs(options.registry_timeout);
        let http = client(&authorities, timeout, |builder| builder)?;
        let others = Others::new(&authorities, timeout, http.clone())?;
        Ok(Self {
            http,
            others,
            authorities,
        })
    }
}

/// The digest of what was sent, which is the one that was asked for if one was.
fn checked(image: &Image, what: &str, wanted: Option<&ManifestDigest>, bytes: &[u8]) -> Result<ManifestDigest, Fault> {
    match wanted {
        None => Ok(ManifestDigest::of(bytes)),
        Some(digest) if digest.is_of(bytes) => Ok(digest.clone()),
        Some(digest) => Err(Fault::Digest {
            host: image.registry().to_owned(),
            what: what.to_owned(),
            digest: digest.clone(),
        }),
    }
}

/// The error of a registry that could not say what it has.
fn failed(image: &Image, fault: &Fault) -> SourceError {
    fault.of_source(format!("registry {}", image.name()))
}

/// A client of HTTP that trusts these authorities (DER) besides the system's, and follows no redirection.
fn client(
    authorities: &[Vec<u8>],
    timeout: Duration,
    more: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<reqwest::Client, RegistryError> {
    let certificates: Result<Vec<_>, _> = authorities.iter().map(|der| Certificate::from_der(der)).collect();
    let built = certificates.and_then(|certificates| {
        let builder = reqwest::Client::builder()
            .tls_certs_merge(certificates)
            .redirect(Policy::none())
            .timeout(timeout)
            .user_agent(concat!("linkgate/", env!("CARGO_PKG_VERSION")));
        more(builder).build()
    });
    built.map_err(|error| RegistryError::Tls(fault::innermost(&error)))
}

/// A host as references of images have it.
fn plain(host: &str) -> Result<String, RegistryError> {
    let wrong = || RegistryError::Host(host.to_owned());
    let image: Image = format!("{host}/image").parse().map_err(|_| wrong())?;
    let is_same = image.registry().eq_ignore_ascii_case(host) && image.repository() == "image";
    is_same.then(|| image.registry().to_owned()).ok_or_else(wrong)
}

/// The certificates (DER) of the options' file.
fn authorities(options: &Options) -> Result<Vec<Vec<u8>>, RegistryError> {
    let Some(path) = &options.registry_ca else {
        return Ok(Vec::new());
    };
    certificates(path, fs::read(path))
}

/// The certificates (DER) in what a file holds.
fn certificates(path: &Path, content: io::Result<Vec<u8>>) -> Result<Vec<Vec<u8>>, RegistryError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let text = content.map_err(|cause| RegistryError::Ca {
        path: path.to_owned(),
        cause,
    })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found.iter().map(|der| der.to_vec()).collect()),
        _ => Err(RegistryError::NoCertificate(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_of_references() {
        for (given, host) in [
            ("localhost:5000", "localhost:5000"),
            ("R.example", "r.example"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
        ] {
            assert_eq!(plain(given).unwrap(), host);
        }
        for wrong in [
            "http://r.example",
            "r.example/app",
            "",
            "app",
            "r.example:443x",
            "r example",
        ] {
            assert!(plain(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tls_unless_named() {
        let options = Options {
            plain_http: vec!["r.example:5000".to_owned()],
            ..Options::default()
        };
        let registry = Registry::new(&options, Memory::unbounded()).unwrap();
        for (image, url) in [
            ("r.example:5000/a/b", "http://r.example:5000/v2/a/b/tags/list"),
            ("r.example/a/b", "https://r.example/v2/a/b/tags/list"),
            ("nginx", "https://index.docker.io/v2/library/nginx/tags/list"),
        ] {
            assert_eq!(
                registry.url(&image.parse().unwrap(), "tags/list").unwrap().as_str(),
                url
            );
        }
    }
}
