//! The gate's certificates: from files that are read anew when they change, or made for trying it out.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use super::watched;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read.
    #[error("cannot read `{}`: {cause}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file that holds something else.
    #[error("`{}` {problem}", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key do not go together, or cannot be used.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// A certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Made(#[from] rcgen::Error),
}

/// Where certificates come from.
#[derive(Clone, Debug)]
pub enum Certificates {
    /// PEM files: the chain and its key.
    Files {
        /// The certificate and those above it.
        chain: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Made at the start.
    Made(Arc<SelfSigned>),
}

/// A certificate that was made at the start, and the authority that it is by, in PEM.
#[derive(Debug)]
pub struct SelfSigned {
    /// The authority's certificate: what callers are given as `caBundle`.
    pub authority: String,
    certificate: Certificate,
    pair: KeyPair,
}

impl SelfSigned {
    /// A certificate for these host names and addresses, by an authority whose key is forgotten at once.
    pub fn make(names: &[String]) -> Result<Self, TlsError> {
        let (begins, ends) = (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2046, 1, 1));
        let mut authority = CertificateParams::default();
        (authority.not_before, authority.not_after) = (begins, ends);
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Of two authorities of one name a client may take the wrong one.
        let mut random = [0; 4];
        let _ = aws_lc_rs::rand::fill(&mut random);
        let name = format!("linkgate {}", linkgate_verifier::key::hex(&random));
        authority.distinguished_name.push(rcgen::DnType::CommonName, name);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let mut params = CertificateParams::new(names.to_vec())?;
        (params.not_before, params.not_after) = (begins, ends);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let pair = KeyPair::generate()?;
        let certificate = params.signed_by(&pair, &authority)?;
        Ok(Self {
            authority: authority.pem(),
            certificate,
            pair,
        })
    }

    /// The certificate, in PEM.
    pub fn chain_pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its private key, in PEM.
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.pair.serialize_pem())
    }
}

impl Certificates {
    /// TLS with these certificates as they are now. Clients must have a certificate by one of `clients`' authorities, if
    /// that names a file.
    pub fn load(&self, clients: Option<&Path>) -> Result<Arc<ServerConfig>, TlsError> {
        let (chain, key) = match self {
            Self::Files { chain, key } => (certificates(chain)?, private_key(key)?),
            Self::Made(made) => (
                vec![made.certificate.der().clone()],
                PrivatePkcs8KeyDer::from(made.pair.serialize_der()).into(),
            ),
        };
        let provider = provider();
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13, &TLS12])?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| TlsError::Pem {
                        path: path.to_owned(),
                        problem: format!("cannot be used to know clients by: {error}"),
                    })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// The bytes of the files, to see whether they changed.
    pub fn fingerprint(&self, clients: Option<&Path>) -> Vec<Option<Vec<u8>>> {
        let files: Vec<&Path> = match self {
            Self::Files { chain, key } => vec![chain, key],
            Self::Made(_) => Vec::new(),
        };
        files
            .into_iter()
            .chain(clients)
            .map(|path| watched::read(path).ok())
            .collect()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(wrong(path, "holds no certificate in PEM".to_owned())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(wrong(path, format!("is damaged: {error}"))),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|error| wrong(path, format!("holds no private key in PEM: {error}")))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    watched::read(path).map_err(|cause| TlsError::Unreadable {
        path: path.to_owned(),
        cause,
    })
}

fn wrong(path: &Path, problem: String) -> TlsError {
    TlsError::Pem {
        path: path.to_owned(),
        problem,
    }
}
