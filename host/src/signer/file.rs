//! Signing with a key from a file, by AWS-LC.

use std::fmt;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use linkgate_verifier::key::{PublicKey, Scheme};

use super::{SignError, Signer, SignerError};
use crate::key::{self, KeyFileError, Password, PrivateForm, PrivateKeyFile};

/// A private key that was read from a file.
pub struct FileSigner {
    pair: Pair,
    public: PublicKey,
    keyid: String,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl FileSigner {
    /// Reads the private key of a file.
    pub fn open(path: &Path, password: &Password) -> Result<Self, SignerError> {
        let file = key::read_private(path, password)?;
        // What the library says of a key that it does not take means little to its owner.
        let unusable = || KeyFileError {
            path: path.to_owned(),
            problem: key::fault(&file),
        };
        let pair = Pair::of(&file).map_err(|_| unusable())?;
        let spki = pair.spki().map_err(|_| unusable())?;
        let public = PublicKey::from_spki(spki.as_ref(), file.scheme).map_err(|error| SignerError::Public {
            path: path.display().to_string(),
            error,
        })?;
        let keyid = file.keyid.unwrap_or_else(|| public.keyid());
        Ok(Self { pair, public, keyid })
    }
}

impl fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSigner")
            .field("keyid", &self.keyid)
            .finish_non_exhaustive()
    }
}

impl Signer for FileSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn keyid(&self) -> String {
        self.keyid.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        let signed = match &self.pair {
            Pair::Ed25519(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
            Pair::Ecdsa(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(rsa_encoding(self.public.scheme()), &random, message, &mut signature)
                    .map(|()| signature)
            }
        };
        signed.map_err(|_| SignError::File { keyid: self.keyid() })
    }
}

impl Pair {
    fn of(file: &PrivateKeyFile) -> Result<Self, KeyRejected> {
        match file.form {
            PrivateForm::Seed => Ed25519KeyPair::from_seed_unchecked(&file.bytes).map(Self::Ed25519),
            PrivateForm::Pkcs1 => RsaKeyPair::from_der(&file.bytes).map(Self::Rsa),
            PrivateForm::Sec1 => Self::ecdsa(&file.bytes),
            PrivateForm::Pkcs8 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&file.bytes)
                .map(Self::Ed25519)
                .or_else(|_| Self::ecdsa(&file.bytes))
                .or_else(|_| RsaKeyPair::from_pkcs8(&file.bytes).map(Self::Rsa)),
        }
    }

    /// A key on the one of the three curves that it fits.
    fn ecdsa(der: &[u8]) -> Result<Self, KeyRejected> {
        EcdsaKeyPair::from_private_key_der(&aws::ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .or_else(|_| EcdsaKeyPair::from_private_key_der(&aws::ECDSA_P384_SHA384_ASN1_SIGNING, der))
            .or_else(|_| EcdsaKeyPair::from_private_key_der(&aws::ECDSA_P521_SHA512_ASN1_SIGNING, der))
            .map(Self::Ecdsa)
    }

    fn spki(&self) -> Result<PublicKeyX509Der<'static>, aws_lc_rs::error::Unspecified> {
        match self {
            Self::Ed25519(pair) => pair.public_key().as_der(),
            Self::Ecdsa(pair) => pair.public_key().as_der(),
            Self::Rsa(pair) => pair.public_key().as_der(),
        }
    }
}

/// PSS with a salt as long as the digest, as securesystemslib signs, or PKCS#1 v1.5 where the key names that.
fn rsa_encoding(scheme: Scheme) -> &'static aws::RsaSignatureEncoding {
    match scheme {
        Scheme::RsassaPssSha384 => &aws::RSA_PSS_SHA384,
        Scheme::RsassaPssSha512 => &aws::RSA_PSS_SHA512,
        Scheme::RsaPkcs1v15Sha256 => &aws::RSA_PKCS1_SHA256,
        Scheme::RsaPkcs1v15Sha384 => &aws::RSA_PKCS1_SHA384,
        Scheme::RsaPkcs1v15Sha512 => &aws::RSA_PKCS1_SHA512,
        Scheme::RsassaPssSha256
        | Scheme::Ed25519
        | Scheme::EcdsaSha2Nistp256
        | Scheme::EcdsaSha2Nistp384
        | Scheme::EcdsaSha2Nistp521 => &aws::RSA_PSS_SHA256,
    }
}
