//! Signature schemes, as in-toto names them (in-toto specification 1.0, section 4.2).

use core::fmt;

use crate::key::Material;

/// How a key signs (in-toto specification 1.0, section 4.2). Nothing but the key itself names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// Ed25519 (RFC 8032), checked strictly
    Ed25519,
    /// ECDSA on P-256 with SHA-256, signatures in DER
    EcdsaSha2Nistp256,
    /// ECDSA on P-384 with SHA-384, signatures in DER
    EcdsaSha2Nistp384,
    /// ECDSA on P-521 with SHA-512, signatures in DER
    EcdsaSha2Nistp521,
    /// RSASSA-PSS (RFC 8017) with SHA-256, MGF1 with the same, and a salt of any length
    RsassaPssSha256,
    /// RSASSA-PSS with SHA-384
    RsassaPssSha384,
    /// RSASSA-PSS with SHA-512
    RsassaPssSha512,
    /// RSASSA-PKCS1-v1_5 (RFC 8017) with SHA-256
    RsaPkcs1v15Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384
    RsaPkcs1v15Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512
    RsaPkcs1v15Sha512,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 10] = [
        Self::Ed25519,
        Self::EcdsaSha2Nistp256,
        Self::EcdsaSha2Nistp384,
        Self::EcdsaSha2Nistp521,
        Self::RsassaPssSha256,
        Self::RsassaPssSha384,
        Self::RsassaPssSha512,
        Self::RsaPkcs1v15Sha256,
        Self::RsaPkcs1v15Sha384,
        Self::RsaPkcs1v15Sha512,
    ];

    /// The scheme as in-toto spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaSha2Nistp256 => "ecdsa-sha2-nistp256",
            Self::EcdsaSha2Nistp384 => "ecdsa-sha2-nistp384",
            Self::EcdsaSha2Nistp521 => "ecdsa-sha2-nistp521",
            Self::RsassaPssSha256 => "rsassa-pss-sha256",
            Self::RsassaPssSha384 => "rsassa-pss-sha384",
            Self::RsassaPssSha512 => "rsassa-pss-sha512",
            Self::RsaPkcs1v15Sha256 => "rsa-pkcs1v15-sha256",
            Self::RsaPkcs1v15Sha384 => "rsa-pkcs1v15-sha384",
            Self::RsaPkcs1v15Sha512 => "rsa-pkcs1v15-sha512",
        }
    }

    /// The scheme of this name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// The key type of this scheme's keys, as in-toto spells it now.
    pub const fn keytype(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaSha2Nistp256 | Self::EcdsaSha2Nistp384 | Self::EcdsaSha2Nistp521 => "ecdsa",
            Self::RsassaPssSha256
            | Self::RsassaPssSha384
            | Self::RsassaPssSha512
            | Self::RsaPkcs1v15Sha256
            | Self::RsaPkcs1v15Sha384
            | Self::RsaPkcs1v15Sha512 => "rsa",
        }
    }

    /// The key type that ECDSA keys had in old metadata: the scheme's own name.
    pub(crate) fn old_keytype(self) -> Option<&'static str> {
        (self.keytype() == "ecdsa").then_some(self.name())
    }

    pub(crate) fn fits(self, material: &Material) -> bool {
        match material {
            Material::Ed25519(_) | Material::Ecdsa { .. } => self == material.default_scheme(),
            Material::Rsa { .. } => self.keytype() == "rsa",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_names() {
        for scheme in Scheme::ALL {
            assert_eq!(Scheme::parse(scheme.name()), Some(scheme));
        }
        assert_eq!(Scheme::parse("RSASSA-PSS-SHA256"), None);
    }
}
