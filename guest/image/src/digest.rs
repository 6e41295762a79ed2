//! Digests of contents (OCI image specification 1.1, "Digests").

use core::fmt;
use core::str::FromStr;

use linkgate_verifier::key::hex;
use linkgate_verifier::verdict::shown;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::prelude::*;

/// The digest of a manifest, or of what one leads to: `sha256:` and lower-case hexadecimal digits, or sha384 or sha512.
///
/// It holds nothing that means something in a path: digests may become names of files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManifestDigest {
    algorithm: Algorithm,
    hex: String,
}

/// The algorithms whose digests mean one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// Why a text is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest: `sha256:` and 64 lower-case hexadecimal digits are expected (or sha384, sha512)")]
pub struct DigestError(String);

impl ManifestDigest {
    /// The SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            hex: Algorithm::Sha256.hash(bytes),
        }
    }

    /// Whether these bytes have it.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        self.algorithm.hash(bytes) == self.hex
    }

    /// `sha256`, `sha384` or `sha512`
    pub fn algorithm(&self) -> &'static str {
        self.algorithm.name()
    }

    /// Its hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// How many digits its digests have.
    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    fn hash(self, bytes: &[u8]) -> String {
        match self {
            Self::Sha256 => hex(&Sha256::digest(bytes)),
            Self::Sha384 => hex(&Sha384::digest(bytes)),
            Self::Sha512 => hex(&Sha512::digest(bytes)),
        }
    }
}

impl FromStr for ManifestDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let wrong = || DigestError(shown(text));
        let (name, hex) = text.split_once(':').ok_or_else(wrong)?;
        let mut known = Algorithm::ALL.into_iter();
        let algorithm = known.find(|known| known.name() == name).ok_or_else(wrong)?;
        let is_hex = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() != algorithm.digits() || !is_hex {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_of_bytes() {
        // FIPS 180-4's examples of "abc".
        for digest in [
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd\
             454d4423643ce80e2a9ac94fa54ca49f",
        ] {
            let read: ManifestDigest = digest.parse().unwrap();
            assert_eq!(read.to_string(), digest);
            assert!(read.is_of(b"abc") && !read.is_of(b"abC"), "{digest}");
            assert_eq!(ManifestDigest::of(b"abc") == read, read.algorithm() == "sha256");
        }
    }

    #[test]
    fn only_what_means_one_content() {
        let empty = ManifestDigest::of(b"");
        for wrong in [
            String::new(),
            "sha256".to_owned(),
            "sha256:".to_owned(),
            "md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            empty.to_string().to_uppercase(),
            format!("sha256:{}", empty.hex().to_uppercase()),
            format!("{empty}0"),
            format!("{empty}\n"),
            format!("sha512:{}", empty.hex()),
            format!("sha256:../{}", "0".repeat(61)),
        ] {
            assert!(wrong.parse::<ManifestDigest>().is_err(), "{wrong}");
        }
    }
}
