//! What unlocks keys, where the environment holds it. With it anything could be signed, so it is this process's only: no child
//! of any kind gets it, were it started by a library.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::Command;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::key::PASSWORD_VARIABLE;
use crate::signer::pkcs11::PIN_VARIABLE;

/// The variables that hold such a thing.
const SECRETS: [&str; 2] = [PIN_VARIABLE, PASSWORD_VARIABLE];

/// What the environment held when the process began.
static TAKEN: OnceLock<BTreeMap<&str, Zeroizing<String>>> = OnceLock::new();

/// Takes the secrets out of the environment, and out of the sight of a user's other processes. To be called before there is
/// a second thread.
pub(crate) fn take() {
    TAKEN.get_or_init(|| {
        let is_set = |name: &&str| std::env::var_os(name).is_some();
        let set: Vec<&str> = SECRETS.into_iter().filter(is_set).collect();
        #[cfg(target_os = "linux")]
        if !set.is_empty() {
            // What a process began with stays to be read in /proc. Where the system refuses, another process of the user's
            // sees no more than it saw before.
            let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
        }
        let taken = set.into_iter().filter_map(|name| {
            let value = std::env::var(name).ok().map(Zeroizing::new);
            #[expect(unsafe_code, reason = "the environment belongs to all threads")]
            // SAFETY: there is no other thread yet that could read or write the environment.
            unsafe {
                std::env::remove_var(name);
            }
            Some((name, value?))
        });
        taken.collect()
    });
}

/// What a variable held; nothing where it is not set, or is no UTF-8.
pub(crate) fn variable(name: &str) -> Option<Zeroizing<String>> {
    match TAKEN.get() {
        Some(taken) => taken.get(name).cloned(),
        // A program that embeds this crate keeps its environment as it is.
        None => std::env::var(name).ok().map(Zeroizing::new),
    }
}

/// A child process, which gets no secret. Every child is made here.
pub(crate) fn child(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for secret in SECRETS {
        command.env_remove(secret);
    }
    command
}
