//! Digests of the OCI image specification.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// `sha256:` and lower-case hexadecimal digits, or sha384 or sha512.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// The SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex(&Sha256::digest(bytes))))
    }

    /// Whether these bytes have it.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        let found = match self.algorithm() {
            "sha256" => hex(&Sha256::digest(bytes)),
            "sha384" => hex(&Sha384::digest(bytes)),
            _ => hex(&Sha512::digest(bytes)),
        };
        found == self.hex()
    }

    /// `sha256`, `sha384` or `sha512`
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// Its hexadecimal digits.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = match text.split_once(':') {
            Some(("sha256", hex)) => (hex, 64),
            Some(("sha384", hex)) => (hex, 96),
            Some(("sha512", hex)) => (hex, 128),
            _ => ("", 1),
        };
        let is_hex = digits.0.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits.0.len() == digits.1 && is_hex {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{}` is no digest: `sha256:` and 64 lower-case hexadecimal digits are expected",
                linkgate_verifier::verdict::shown(text)
            ))
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    linkgate_verifier::key::hex(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_one_content() {
        let empty = Digest::of(b"");
        assert_eq!(empty.to_string().parse(), Ok(empty.clone()));
        assert!(empty.is_of(b"") && !empty.is_of(b"x"));
        let long = format!("sha512:{}", hex(&Sha512::digest(b"x")));
        assert!(long.parse::<Digest>().is_ok_and(|digest| digest.is_of(b"x")));
        for wrong in [
            String::new(),
            "sha256:".to_owned(),
            "md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            empty.to_string().to_uppercase(),
            format!("{empty}0"),
            format!("sha512:{}", empty.hex()),
            format!("sha256:../{}", "0".repeat(61)),
        ] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
