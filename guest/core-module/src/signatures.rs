//! The host behind the only import.

use alloc::format;
use alloc::string::String;

use linkgate_verifier::key::PublicKey;
use linkgate_verifier::signature::{Checker, Outcome};

use crate::memory;

/// The import `signatures` of the module `linkgate`.
mod import {
    #[link(wasm_import_module = "linkgate")]
    #[expect(unsafe_code, reason = "an import is a foreign function")]
    unsafe extern "C" {
        /// Asks the host about a signature: four texts, each a place and a length.
        pub(super) fn signatures(
            scheme: *const u8,
            scheme_length: usize,
            spki: *const u8,
            spki_length: usize,
            message: *const u8,
            message_length: usize,
            signature: *const u8,
            signature_length: usize,
        ) -> u64;
    }
}

/// The host behind the import.
pub(crate) struct Host;

impl Checker for Host {
    #[expect(unsafe_code, reason = "an import is called, and may name a place in the memory")]
    fn check(&mut self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<Outcome, String> {
        let scheme = key.scheme().name();
        let spki = key.spki_der();
        // SAFETY: the host reads what is lent to it here, and nothing else.
        let said = unsafe {
            import::signatures(
                scheme.as_ptr(),
                scheme.len(),
                spki.as_ptr(),
                spki.len(),
                message.as_ptr(),
                message.len(),
                signature.as_ptr(),
                signature.len(),
            )
        };
        match said {
            0 => Ok(Outcome::NotHandled),
            1 => Ok(Outcome::Valid),
            2 => Ok(Outcome::Invalid),
            // SAFETY: it is the host's promise that what it names is its own.
            said => Err(match unsafe { memory::take(said) } {
                Some(reason) => String::from_utf8_lossy(&reason).into_owned(),
                None => format!("the host answered {said}, which is no outcome"),
            }),
        }
    }
}
