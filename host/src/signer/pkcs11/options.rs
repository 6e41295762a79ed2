//! Which tokens are meant, and how they are reached.

use std::path::PathBuf;
#[cfg(feature = "pkcs11")]
use std::time::Duration;

/// Names the module, as p11-kit's and other tools' users know it.
pub const MODULE_VARIABLE: &str = "PKCS11_MODULE";
/// Names the slot, by its number or index.
pub const SLOT_VARIABLE: &str = "PKCS11_SLOT";
/// Holds the PIN. No command that linkgate runs is given it.
pub const PIN_VARIABLE: &str = "PKCS11_PIN";

/// What the help calls the options.
pub const HEADING: &str = "Hardware keys (hsm:LABEL, pkcs11:URI)";

/// How tokens are reached, besides what a reference itself says.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = HEADING)]
pub struct Options {
    /// The PKCS#11 module of the token, else `PKCS11_MODULE`.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub pkcs11_module: Option<PathBuf>,

    /// The token's slot, by number or index, else `PKCS11_SLOT`. Only needed where there are several tokens.
    #[arg(long, value_name = "SLOT", hide_short_help = true)]
    pub pkcs11_slot: Option<String>,

    /// The file whose first line is the PIN, else `PKCS11_PIN`, else it is asked for.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub pkcs11_pin_file: Option<PathBuf>,

    /// How long the token may take over one answer; 10 seconds, and 5 minutes to make a key, if it is not given.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600), hide_short_help = true)]
    pub pkcs11_timeout: Option<u64>,
}

#[cfg(feature = "pkcs11")]
impl Options {
    /// The module's file; a reference's own comes first.
    pub(super) fn module(&self) -> Option<PathBuf> {
        let set = std::env::var_os(MODULE_VARIABLE).map(PathBuf::from);
        let named = self.pkcs11_module.clone().or(set);
        // The loader takes an empty path for this program itself.
        named.filter(|path| !path.as_os_str().is_empty())
    }

    /// The slot's number or index.
    pub(super) fn slot(&self) -> Option<String> {
        let set = std::env::var(SLOT_VARIABLE).ok();
        self.pkcs11_slot.clone().or(set).filter(|slot| !slot.is_empty())
    }

    /// How long one answer may take. A signature is there in a fraction of a second, on the slowest smart card in three.
    pub(super) fn limit(&self) -> Duration {
        Duration::from_secs(self.pkcs11_timeout.unwrap_or(10))
    }

    /// How long making a key may take: a chip seeks RSA's primes for minutes.
    pub(super) fn limit_of_making(&self) -> Duration {
        Duration::from_secs(self.pkcs11_timeout.unwrap_or(300))
    }
}
