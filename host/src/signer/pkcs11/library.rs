//! A token's module, a library in C that is loaded into this process, and the tokens that it has.
//!
//! A module may hang. Every call into it is made by a thread of its own, which is left behind when the time is over:
//! nothing that belongs to the module, a session above all, is ever touched or dropped by another thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::slot::{Slot, TokenInfo};

use super::error::TokenError;
use super::options::Options;
use super::patience::{Patience, Unanswered};
use super::reference::Reference;
use super::token::Token;

/// Every module of this process: PKCS#11 lets a process initialise one once.
static LIBRARIES: Mutex<BTreeMap<PathBuf, Arc<Library>>> = Mutex::new(BTreeMap::new());

/// The patience with each module. One that hangs while it is initialised is not among the others yet.
static PATIENCE: Mutex<BTreeMap<PathBuf, Arc<Patience>>> = Mutex::new(BTreeMap::new());

/// A module that was loaded and initialised.
pub(super) struct Library {
    path: PathBuf,
    functions: Pkcs11,
    patience: Arc<Patience>,
    tokens: Mutex<BTreeMap<u64, Arc<Token>>>,
}

/// A token in its slot.
#[derive(Clone, Debug)]
pub(super) struct Slotted {
    pub(super) slot: Slot,
    /// Its place among the tokens that are ready for use, from 0.
    pub(super) index: usize,
    pub(super) info: TokenInfo,
}

/// Wipes every PIN that is known. They are not needed any more when the process ends.
pub fn forget_pins() {
    // Whoever holds a lock for ever was left behind, and so will its memory be.
    let Ok(libraries) = LIBRARIES.try_lock() else { return };
    for library in libraries.values() {
        if let Ok(tokens) = library.tokens.try_lock() {
            tokens.values().for_each(|token| token.forget_pin());
        }
    }
}

impl Library {
    /// The module that a reference, else the options name.
    pub(super) fn named(reference: &Reference, options: &Options) -> Result<Arc<Self>, TokenError> {
        let named = reference.module.clone().or_else(|| options.module());
        let path = named.ok_or_else(|| TokenError::NoModule(reference.text.clone()))?;
        // One file under two names is one module, whose tokens count wrong PINs once.
        let file = path.canonicalize().unwrap_or_else(|_| path.clone());
        let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = libraries.get(&file) {
            return Ok(Arc::clone(library));
        }
        let patience = {
            let mut patience = PATIENCE.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(patience.entry(file.clone()).or_default())
        };
        let library = Arc::new(Self::load(&path, patience, options.limit())?);
        libraries.insert(file, Arc::clone(&library));
        Ok(library)
    }

    fn load(path: &Path, patience: Arc<Patience>, limit: Duration) -> Result<Self, TokenError> {
        let file = path.to_owned();
        let loaded = patience.call(limit, move || {
            let functions = Pkcs11::new(&file)?;
            match functions.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
                // Another user of the module in this process was first.
                Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(functions),
                Err(error) => Err(error),
            }
        });
        let shown = || format!("the PKCS#11 module `{}`", path.display());
        match loaded {
            Ok(Ok(functions)) => Ok(Self {
                path: path.to_owned(),
                functions,
                patience,
                tokens: Mutex::default(),
            }),
            Ok(Err(error @ Error::Pkcs11(RvError::GeneralError, _))) => Err(called(&shown(), "", &error)
                .advised(": it is likely not configured; its own manual says how (SoftHSM: SOFTHSM2_CONF)")),
            Ok(Err(error @ Error::Pkcs11(..))) => Err(called(&shown(), "", &error)),
            Ok(Err(error)) => Err(TokenError::Load {
                path: path.to_owned(),
                reason: why_not_loaded(&error),
            }),
            Err(why) => Err(unanswered(why, shown(), String::new(), limit)),
        }
    }

    /// Its functions.
    pub(super) fn functions(&self) -> &Pkcs11 {
        &self.functions
    }

    /// Every token that is ready for use, in order of the slots.
    pub(super) fn slots(&self, limit: Duration) -> Result<Vec<Slotted>, TokenError> {
        let functions = self.functions.clone();
        let slots = self.patience.call(limit, move || {
            let slots = functions.get_slots_with_token()?.into_iter();
            // A token that was taken away between the two calls is no longer there.
            let tokens = slots.filter_map(|slot| Some((slot, functions.get_token_info(slot).ok()?)));
            let ready = tokens.filter(|(_, info)| info.token_initialized()).enumerate();
            Ok(ready
                .map(|(index, (slot, info))| Slotted { slot, index, info })
                .collect())
        });
        let shown = format!("the PKCS#11 module `{}`", self.path.display());
        match slots {
            Ok(Ok(slots)) => Ok(slots),
            Ok(Err(error)) => Err(called(&shown, "", &error)),
            Err(why) => Err(unanswered(why, shown, String::new(), limit)),
        }
    }

    /// The one token that a reference and the options mean.
    pub(super) fn token(self: &Arc<Self>, reference: &Reference, options: &Options) -> Result<Arc<Token>, TokenError> {
        let slots = self.slots(options.limit())?;
        let all = listed(&slots);
        let mut fitting: Vec<Slotted> = slots.into_iter().filter(|slotted| fits(reference, slotted)).collect();
        // A reference that names its token well enough needs no slot.
        let named = reference.token.is_some() || reference.serial.is_some() || reference.slot.is_some();
        if (!named || fitting.len() > 1)
            && let Some(slot) = options.slot()
        {
            fitting = chosen(&fitting, &slot)?;
        }
        match fitting.as_slice() {
            [] => Err(TokenError::NoToken {
                wanted: wanted(reference, options),
                found: all,
            }),
            [slotted] => {
                let token = self.opened(slotted, options);
                token.pin_is_in(reference.pin_source.as_deref())?;
                Ok(token)
            }
            several => Err(TokenError::ManyTokens { found: listed(several) }),
        }
    }

    /// Every token that the options mean, with its slot. A PIN is of one token: with a login there may be only one.
    pub(super) fn tokens(
        self: &Arc<Self>,
        options: &Options,
        log_in: bool,
    ) -> Result<Vec<(Slotted, Arc<Token>)>, TokenError> {
        let mut slots = self.slots(options.limit())?;
        if let Some(slot) = options.slot() {
            slots = chosen(&slots, &slot)?;
        }
        if log_in && slots.len() > 1 {
            return Err(TokenError::ManyTokens { found: listed(&slots) });
        }
        let opened = slots.into_iter().map(|slotted| {
            let token = self.opened(&slotted, options);
            (slotted, token)
        });
        Ok(opened.collect())
    }

    /// A token, with the sessions that the process has on it. Another token in the same slot is begun with anew.
    fn opened(&self, slotted: &Slotted, options: &Options) -> Arc<Token> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Token::new(self.functions.clone(), slotted, options));
        let token = tokens.entry(slotted.slot.id()).or_insert_with(new);
        if !token.is(&slotted.info) {
            *token = new();
        }
        Arc::clone(token)
    }

    /// The patience with calls that are no token's own.
    pub(super) fn patience(&self) -> &Patience {
        &self.patience
    }
}

/// Whether a reference may mean a token.
fn fits(reference: &Reference, slotted: &Slotted) -> bool {
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted.trim_end() == found);
    is(&reference.token, slotted.info.label())
        && is(&reference.serial, slotted.info.serial_number())
        && is(&reference.manufacturer, slotted.info.manufacturer_id())
        && is(&reference.model, slotted.info.model())
        && reference.slot.is_none_or(|slot| slot == slotted.slot.id())
}

/// The token of that slot number, else of that index. Modules number slots in their own ways (`SoftHSM` by chance), so
/// that people count them; where a number means one token as number and another as index, the number decides.
fn chosen(slots: &[Slotted], slot: &str) -> Result<Vec<Slotted>, TokenError> {
    let digits = slot.strip_prefix("0x").or_else(|| slot.strip_prefix("0X"));
    let number = match digits {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => slot.parse(),
    };
    let number = number.map_err(|_| TokenError::Slot(slot.to_owned()))?;
    let by = |is: &dyn Fn(&Slotted) -> bool| slots.iter().filter(|slotted| is(slotted)).cloned().collect::<Vec<_>>();
    let by_number = by(&|slotted| slotted.slot.id() == number);
    let by_index = by(&|slotted| slotted.index as u64 == number);
    match (by_number.first(), by_index.first()) {
        (Some(one), Some(other)) if one.slot != other.slot => say_once(format!(
            "slot {number} is taken as the number of {}, not as the index of {}",
            listed(&by_number),
            listed(&by_index)
        )),
        (None, Some(_)) => say_once(format!("slot {number} is taken as the index of {}", listed(&by_index))),
        _ => {}
    }
    Ok(if by_number.is_empty() { by_index } else { by_number })
}

/// Says which slot was taken. Every reference of a command line asks, and one answer is enough.
fn say_once(message: String) {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if !said.contains(&message) {
        crate::terminal::note(&message);
        said.push(message);
    }
}

/// Tokens in words.
fn listed(slots: &[Slotted]) -> String {
    let listed: Vec<String> = slots
        .iter()
        .map(|slotted| {
            format!(
                "`{}` (slot {}, index {})",
                slotted.info.label(),
                slotted.slot.id(),
                slotted.index
            )
        })
        .collect();
    if listed.is_empty() {
        "none that was initialised".to_owned()
    } else {
        listed.join(", ")
    }
}

/// The token that is meant, in words.
fn wanted(reference: &Reference, options: &Options) -> String {
    let named = [
        ("token", &reference.token),
        ("serial", &reference.serial),
        ("manufacturer", &reference.manufacturer),
        ("model", &reference.model),
    ];
    let mut wanted: Vec<String> = named
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)))
        .collect();
    wanted.extend(reference.slot.map(|slot| format!("slot-id={slot}")));
    if wanted.is_empty() {
        options.slot().map_or_else(
            || "there".to_owned(),
            |slot| format!("in slot {slot}, by number or index"),
        )
    } else {
        wanted.join(";")
    }
}

/// The error where a module or token (as messages call it, and `, key ..` or nothing) gave no answer.
pub(super) fn unanswered(why: Unanswered, token: String, key: String, limit: Duration) -> TokenError {
    match why {
        Unanswered::TimedOut => TokenError::TimedOut { token, key, limit },
        Unanswered::Resting(limit) => TokenError::GivenUp { token, key, limit },
        Unanswered::Hopeless => TokenError::Hopeless { token, key },
    }
}

/// The error that a function of a module gave.
pub(super) fn called(token: &str, key: &str, error: &Error) -> TokenError {
    let (function, code) = match error {
        Error::Pkcs11(code, function) => (format!("C_{function:?}"), name_of(*code)),
        other => ("PKCS#11".to_owned(), other.to_string()),
    };
    TokenError::Call {
        token: token.to_owned(),
        key: if key.is_empty() {
            String::new()
        } else {
            format!(", key `{key}`")
        },
        function,
        code,
        advice: match error {
            Error::Pkcs11(code, _) => advice(*code),
            _ => "",
        },
    }
}

impl TokenError {
    /// Says what to do about it.
    fn advised(self, advice: &'static str) -> Self {
        match self {
            Self::Call {
                token,
                key,
                function,
                code,
                ..
            } => Self::Call {
                token,
                key,
                function,
                code,
                advice,
            },
            other => other,
        }
    }
}

/// What can be done about a return code.
fn advice(code: RvError) -> &'static str {
    match code {
        RvError::PinIncorrect => {
            ": the PIN is wrong; it is not tried again, for a token locks itself after a few wrong ones"
        }
        RvError::PinLenRange | RvError::PinInvalid => ": the PIN is no PIN of this token",
        RvError::PinLocked => ": the PIN is locked after too many wrong ones; the security officer can set a new one",
        RvError::PinExpired => ": the PIN must be changed first",
        RvError::UserPinNotInitialized => ": the token has no PIN yet",
        RvError::DeviceRemoved | RvError::TokenNotPresent => ": is the token still there?",
        RvError::MechanismInvalid => ": the token does not have this mechanism",
        RvError::KeyFunctionNotPermitted => ": the key's attributes do not permit that",
        _ => "",
    }
}

/// A return code as PKCS#11 names it.
fn name_of(code: RvError) -> String {
    match code {
        RvError::VendorDefined(number) => format!("CKR_VENDOR_DEFINED ({number:#010x})"),
        RvError::UnknownErrorCode(number) => format!("the unknown return code {number:#010x}"),
        known => {
            // The crate's names are PKCS#11's in another case.
            let mut name = "CKR".to_owned();
            for character in format!("{known:?}").chars() {
                if character.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(character.to_ascii_uppercase());
            }
            name
        }
    }
}

/// Why a file is no module, in the loader's words.
fn why_not_loaded(error: &Error) -> String {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        reason = inner.to_string();
        cause = inner.source();
    }
    match error {
        Error::MissingSymbol(_) | Error::NullFunctionPointer => "it is a library, but no PKCS#11 module".to_owned(),
        _ => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_return_codes() {
        for (code, name) in [
            (RvError::PinIncorrect, "CKR_PIN_INCORRECT"),
            (RvError::DeviceRemoved, "CKR_DEVICE_REMOVED"),
            (RvError::SessionHandleInvalid, "CKR_SESSION_HANDLE_INVALID"),
            (RvError::VendorDefined(0x8000_0001), "CKR_VENDOR_DEFINED (0x80000001)"),
        ] {
            assert_eq!(name_of(code), name);
        }
    }
}
