//! What can go wrong with a key in a token. Each error names the token and the key, and what to do.

use std::path::PathBuf;
use std::time::Duration;

use super::reference::ReferenceError;

/// How many times as long as a call may take nothing is asked of what did not answer.
pub(super) const REST: u32 = 3;

/// Why a key in a token could not be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// This program was built without PKCS#11.
    #[error(
        "`{0}` needs hardware tokens, and this linkgate was built without them: build it with `cargo install --path host --features pkcs11`"
    )]
    NotBuilt(String),
    /// The reference names no key.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// No module is named.
    #[error(
        "`{0}` needs the PKCS#11 module of a hardware token: name it with --pkcs11-module or PKCS11_MODULE, such as /usr/lib/softhsm/libsofthsm2.so"
    )]
    NoModule(String),
    /// The module's file cannot be loaded, or is no module.
    #[error("the PKCS#11 module `{}` cannot be loaded: {reason}", path.display())]
    Load {
        /// Its file.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// A function of the module failed.
    #[error("{token}{key}: {function} answered {code}{advice}")]
    Call {
        /// Which token, or which module before one is chosen.
        token: String,
        /// The key's label after `, key `, or nothing.
        key: String,
        /// The function, as PKCS#11 names it.
        function: String,
        /// The return code, as PKCS#11 names it.
        code: String,
        /// What to do about it; empty, or after `: `.
        advice: &'static str,
    },
    /// The module did not return in time. It is not asked again for a while.
    #[error("{token}{key}: no answer within {} s; it is not asked again for {} s", limit.as_secs_f32(), (*limit * REST).as_secs_f32())]
    TimedOut {
        /// Which token.
        token: String,
        /// The key's label after `, key `, or nothing.
        key: String,
        /// How long it may take.
        limit: Duration,
    },
    /// It did not return in time shortly before, and is not asked yet.
    #[error("{token}{key}: not asked, for it gave no answer within {} s before; it is asked again shortly", limit.as_secs_f32())]
    GivenUp {
        /// Which token.
        token: String,
        /// The key's label after `, key `, or nothing.
        key: String,
        /// How long it may take.
        limit: Duration,
    },
    /// Calls hang in such numbers that no new one is made.
    #[error(
        "{token}{key}: not asked any more, for calls to it hang, and so did each that tried again: only a restart of this process helps"
    )]
    Hopeless {
        /// Which token.
        token: String,
        /// The key's label after `, key `, or nothing.
        key: String,
    },
    /// A key that is not known yet, where no token is to be asked.
    #[error("`{0}` was not read yet")]
    NotRead(String),
    /// No token is the one that is meant.
    #[error("no token is {wanted}; the module has {found}")]
    NoToken {
        /// What was asked for, in words.
        wanted: String,
        /// The tokens that are there, in words.
        found: String,
    },
    /// Several tokens may be meant.
    #[error(
        "several tokens could be meant: {found}; choose one with --pkcs11-slot or PKCS11_SLOT, or with `token=` in a pkcs11: URI"
    )]
    ManyTokens {
        /// Which, in words.
        found: String,
    },
    /// The slot is no number.
    #[error("the slot `{0}` (--pkcs11-slot, PKCS11_SLOT) is no number")]
    Slot(String),
    /// The token has no such key.
    #[error("{token} has no {half} key `{key}`; it has {found}")]
    NoKey {
        /// Which token.
        token: String,
        /// `private` or `public`.
        half: &'static str,
        /// The key's name.
        key: String,
        /// The keys that are there, in words.
        found: String,
    },
    /// What the token says of a signature is not what the arithmetic says.
    #[error("{token}, key `{key}`: its answer contradicts the arithmetic of the signature: is it the same key still?")]
    Contradiction {
        /// Which token.
        token: String,
        /// The key's name.
        key: String,
    },
    /// The key wants the PIN anew for each signature.
    #[error(
        "{token}, key `{key}`: it wants its PIN for every single signature (CKA_ALWAYS_AUTHENTICATE), which linkgate cannot give it; choose another key"
    )]
    AlwaysAuthenticate {
        /// Which token.
        token: String,
        /// The key's name.
        key: String,
    },
    /// The token had the key a moment ago.
    #[error("{token} no longer has the key `{key}`: was it taken away?")]
    Gone {
        /// Which token.
        token: String,
        /// The key's name.
        key: String,
    },
    /// The token has several such keys.
    #[error("{token} has several keys `{key}`: choose one by its id, {ids}")]
    ManyKeys {
        /// Which token.
        token: String,
        /// The key's name.
        key: String,
        /// `pkcs11:object=..;id=%..` of each.
        ids: String,
    },
    /// The private key's attributes forbid it to sign.
    #[error("{token}, key `{key}`: it may not sign (its CKA_SIGN is false)")]
    MayNotSign {
        /// Which token.
        token: String,
        /// The key's name.
        key: String,
    },
    /// A public half where a private key is needed.
    #[error("`{0}` is the public half; signing needs the private one, the same name without `.pub`")]
    PublicForPrivate(String),
    /// The key is of a kind that in-toto has no scheme for, or its public half is malformed.
    #[error("{token}, key `{key}`: {reason}")]
    Kind {
        /// Which token.
        token: String,
        /// The key's name.
        key: String,
        /// Why.
        reason: String,
    },
    /// Nothing in the token tells the public half.
    #[error(
        "{token}, key `{key}`: the public half is not in the token, neither as a public key nor as a certificate of the same id; write it there with `pkcs11-tool --write-object FILE --type pubkey`"
    )]
    NoPublicHalf {
        /// Which token.
        token: String,
        /// The key's name.
        key: String,
    },
    /// The signature does not verify by the public half that stands beside the private key.
    #[error(
        "{token}, key `{key}`: what it signed does not verify by the public key of the same name: they are no pair"
    )]
    NoPair {
        /// Which token.
        token: String,
        /// The key's name.
        key: String,
    },
    /// There is no PIN.
    #[error(
        "{token} needs its PIN: set PKCS11_PIN, name a file that holds it with --pkcs11-pin-file, or have it asked for, with a terminal as the input"
    )]
    NoPin {
        /// Which token.
        token: String,
    },
    /// The file that should hold the PIN cannot be read.
    #[error("the PIN cannot be read from `{}`: {reason}", path.display())]
    PinFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A key of that label is there already.
    #[error("{token} has a key `{key}` already; nothing was made")]
    Exists {
        /// Which token.
        token: String,
        /// The label.
        key: String,
    },
}

impl TokenError {
    /// Whether the token said nothing of the key: it is not there, does not return or fails. Everything else is an answer, or
    /// a setting that is wrong.
    pub const fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. }
                | Self::GivenUp { .. }
                | Self::Hopeless { .. }
                | Self::Load { .. }
                | Self::Call { .. }
                | Self::NoToken { .. }
        )
    }

    /// Whether only a restart of the process helps.
    pub const fn needs_restart(&self) -> bool {
        matches!(self, Self::Hopeless { .. })
    }
}
