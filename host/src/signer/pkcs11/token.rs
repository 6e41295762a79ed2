//! A token, and the sessions that this process has on it.
//!
//! A session serves one call at a time and is kept for the next one. Sessions lose their validity without anybody's
//! fault, when a token is reset or another program logs out: then a new one is opened, once. A PIN that was refused is
//! never tried again, by no thread, for a token counts wrong ones.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::error::TokenError;
use super::library::{Slotted, called, unanswered};
use super::object::{Class, Query, public_key};
use super::options::{Options, PIN_VARIABLE};
use super::patience::Patience;

/// A token in a slot.
pub(super) struct Token {
    functions: Pkcs11,
    slot: Slot,
    label: String,
    serial: String,
    /// Whether the PIN is typed on the reader itself.
    own_keypad: bool,
    /// Whether it knows logins at all.
    needs_login: bool,
    pin_file: Option<PathBuf>,
    /// The file that a reference names; it comes first.
    pin_source: Mutex<Option<PathBuf>>,
    pin: Mutex<Option<Zeroizing<String>>>,
    limit: Duration,
    limit_of_making: Duration,
    idle: Mutex<Vec<Seat>>,
    access: Mutex<Access>,
    /// Whether it took the PIN that is known: a login that fails then says nothing against the PIN.
    took_pin: AtomicBool,
    patience: Patience,
    /// The patience with the file that has the PIN.
    patience_with_file: Patience,
}

/// Held by the thread that asks a person for a PIN.
static ASKING: Mutex<()> = Mutex::new(());

/// Whether the process is logged in. A login holds for all sessions that it has on the token.
enum Access {
    Public,
    User,
    /// The token did not take the PIN.
    Refused(TokenError),
}

/// What a call needs of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// What anybody may see and do.
    Public,
    /// A user's login.
    User,
    /// A user's login, to make a key.
    Making,
}

/// A session, and what was found in it. It belongs to one thread at a time.
pub(super) struct Seat {
    pub(super) session: Session,
    /// Handles hold as long as the session does.
    handles: RefCell<BTreeMap<Query, Vec<ObjectHandle>>>,
    /// Objects that were seen to be the key that they are taken for.
    proven: RefCell<Vec<(ObjectHandle, Vec<u8>)>>,
}

/// Why a call in a session failed.
pub(super) enum Fault {
    /// A function of the module did.
    Called(Error),
    /// What it gave is not what is needed.
    Found(TokenError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Called(error)
    }
}

impl From<TokenError> for Fault {
    fn from(error: TokenError) -> Self {
        Self::Found(error)
    }
}

impl Fault {
    /// Whether the session is to blame, so that a new one may do better. A handle is only valid in a session that is.
    fn is_of_the_session(&self) -> bool {
        matches!(
            self,
            Self::Called(Error::Pkcs11(
                RvError::SessionHandleInvalid
                    | RvError::SessionClosed
                    | RvError::DeviceRemoved
                    | RvError::UserNotLoggedIn
                    | RvError::ObjectHandleInvalid
                    | RvError::KeyHandleInvalid
                    | RvError::OperationActive,
                _
            ))
        )
    }

    /// Whether a new session may do better. Making a key is not tried twice: it may have been made.
    fn is_worth_another_try(&self, need: Need) -> bool {
        self.is_of_the_session()
            && match need {
                Need::Public => !self.wants_login(),
                Need::User => true,
                Need::Making => false,
            }
    }

    /// Whether the token wants a login for what it was asked.
    fn wants_login(&self) -> bool {
        matches!(self, Self::Called(Error::Pkcs11(RvError::UserNotLoggedIn, _)))
    }
}

impl Seat {
    /// The objects that a query finds. Looked for once a session.
    pub(super) fn find(&self, query: &Query) -> Result<Vec<ObjectHandle>, Error> {
        if let Some(handles) = self.handles.borrow().get(query) {
            return Ok(handles.clone());
        }
        let handles = self.session.find_objects(&query.attributes())?;
        // What is not there yet may be there later.
        if !handles.is_empty() {
            self.handles.borrow_mut().insert(query.clone(), handles.clone());
        }
        Ok(handles)
    }

    /// Whether a public object is the key of this DER `SubjectPublicKeyInfo`. Labels and ids prove nothing: another key may
    /// stand under them by now, or another token in the reader. Looked at once a session.
    pub(super) fn is_the_key(&self, object: ObjectHandle, spki: &[u8]) -> Result<bool, Error> {
        let claim = (object, spki.to_vec());
        if self.proven.borrow().contains(&claim) {
            return Ok(true);
        }
        let found = public_key(self, object, Class::Public, None)?;
        let is = found.is_ok_and(|found| found.spki_der() == spki);
        if is {
            self.proven.borrow_mut().push(claim);
        }
        Ok(is)
    }
}

impl Token {
    pub(super) fn new(functions: Pkcs11, slotted: &Slotted, options: &Options) -> Self {
        /// How long a person may take to type a PIN on the reader.
        const TYPING: Duration = Duration::from_mins(1);
        let own_keypad = slotted.info.protected_authentication_path();
        Self {
            functions,
            slot: slotted.slot,
            label: slotted.info.label().to_owned(),
            serial: slotted.info.serial_number().to_owned(),
            own_keypad,
            needs_login: slotted.info.login_required(),
            pin_file: options.pkcs11_pin_file.clone(),
            pin_source: Mutex::default(),
            pin: Mutex::default(),
            limit: if own_keypad {
                options.limit().max(TYPING)
            } else {
                options.limit()
            },
            limit_of_making: options.limit_of_making(),
            idle: Mutex::default(),
            access: Mutex::new(Access::Public),
            took_pin: AtomicBool::new(false),
            patience: Patience::default(),
            patience_with_file: Patience::default(),
        }
    }

    /// Says in which file a reference has the PIN. A token has one PIN, so that there may be only one such file.
    pub(super) fn pin_is_in(&self, file: Option<&Path>) -> Result<(), TokenError> {
        let mut source = lock(&self.pin_source);
        match (file, &*source) {
            (Some(file), Some(other)) if file != other => Err(TokenError::PinFile {
                path: file.to_owned(),
                reason: format!("another reference to the same token names `{}`", other.display()),
            }),
            (Some(file), _) => {
                *source = Some(file.to_owned());
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// Wipes the PIN.
    pub(super) fn forget_pin(&self) {
        if let Ok(mut pin) = self.pin.try_lock() {
            *pin = None;
        }
    }

    /// What messages call it.
    pub(super) fn shown(&self) -> String {
        format!("token `{}` (slot {})", self.label, self.slot.id())
    }

    /// Makes a call in a session of its own, at most so long as one may take; `key` is for messages.
    pub(super) fn call<R: Send + 'static>(
        self: &Arc<Self>,
        need: Need,
        key: &str,
        call: impl Fn(&Seat) -> Result<R, Fault> + Send + 'static,
    ) -> Result<R, TokenError> {
        let named = || {
            if key.is_empty() {
                String::new()
            } else {
                format!(", key `{key}`")
            }
        };
        if need != Need::Public && self.needs_login && !self.own_keypad {
            self.ask_for_pin()?;
        }
        let limit = if need == Need::Making {
            self.limit_of_making
        } else {
            self.limit
        };
        let (token, name) = (Arc::clone(self), key.to_owned());
        self.patience
            .call(limit, move || token.answer(need, &name, call))
            .unwrap_or_else(|why| Err(unanswered(why, self.shown(), named(), limit)))
    }

    /// [`Token::call`] in the thread that may be left behind.
    fn answer<R>(&self, need: Need, key: &str, call: impl Fn(&Seat) -> Result<R, Fault>) -> Result<R, TokenError> {
        let shown = self.shown();
        let mut tries = 0;
        loop {
            tries += 1;
            // After a failure the session is not used again: an operation may still be open in it.
            let answered = self
                .seat(need, key, tries > 1)
                .and_then(|seat| Ok((call(&seat)?, seat)));
            match answered {
                Ok((answer, seat)) => {
                    lock(&self.idle).push(seat);
                    return Ok(answer);
                }
                Err(fault) if tries == 1 && fault.is_worth_another_try(need) => self.forget_sessions(),
                Err(fault) => {
                    // With the last session the login is gone, too.
                    self.forget_login();
                    return Err(match fault {
                        Fault::Called(error) => called(&shown, key, &error),
                        Fault::Found(error) => error,
                    });
                }
            }
        }
    }

    /// A session that fits the need: an idle one, unless it must be new.
    fn seat(&self, need: Need, key: &str, new: bool) -> Result<Seat, Fault> {
        let idle = if new || need == Need::Making {
            None
        } else {
            lock(&self.idle).pop()
        };
        // Whoever took the token out of the reader may have put another one in, which is not to be given this PIN.
        if new && self.functions.get_token_info(self.slot)?.serial_number() != self.serial {
            return Err(Fault::Found(TokenError::Gone {
                token: self.shown(),
                key: key.to_owned(),
            }));
        }
        let seat = match idle {
            Some(seat) => seat,
            None => Seat {
                session: match need {
                    Need::Making => self.functions.open_rw_session(self.slot)?,
                    Need::Public | Need::User => self.functions.open_ro_session(self.slot)?,
                },
                handles: RefCell::default(),
                proven: RefCell::default(),
            },
        };
        if need != Need::Public && self.needs_login {
            self.log_in(&seat.session)?;
        }
        Ok(seat)
    }

    /// After a reset no session and no login is left.
    fn forget_sessions(&self) {
        let idle = std::mem::take(&mut *lock(&self.idle));
        drop(idle);
        self.forget_login();
    }

    /// Where the process may not be logged in any more, it logs in again when it must. A refusal is not forgotten.
    fn forget_login(&self) {
        let mut access = lock(&self.access);
        if matches!(*access, Access::User) {
            *access = Access::Public;
        }
    }

    fn log_in(&self, session: &Session) -> Result<(), Fault> {
        let mut access = lock(&self.access);
        match &*access {
            Access::User => return Ok(()),
            Access::Refused(error) => return Err(error.clone().into()),
            Access::Public => {}
        }
        // Exactly as long as it is, so that making it a secret leaves no copy behind.
        let pin = lock(&self.pin)
            .as_ref()
            .map(|pin| AuthPin::from(pin.as_str().to_owned()));
        match session.login(UserType::User, pin.as_ref()) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                self.took_pin.store(true, Ordering::Relaxed);
                *access = Access::User;
                Ok(())
            }
            Err(error) => {
                let fault = Fault::Called(error);
                if fault.is_of_the_session() {
                    return Err(fault);
                }
                // Whatever it was, the PIN may have been counted: only of one that was taken before this is not so.
                if let Fault::Called(error) = &fault
                    && (!self.took_pin.load(Ordering::Relaxed) || is_about_the_pin(error))
                {
                    *access = Access::Refused(called(&self.shown(), "", error));
                }
                Err(fault)
            }
        }
    }

    /// The PIN, from where it was said to be, else typed. Asked for before the time begins to count. One that was refused is
    /// asked for again only where its file holds another one since.
    fn ask_for_pin(&self) -> Result<(), TokenError> {
        if lock(&self.pin).is_some() && !self.is_refused() {
            return Ok(());
        }
        // One thread asks; the others wait for what it was told.
        let _asking = lock(&ASKING);
        if lock(&self.pin).is_some() {
            if self.is_refused() {
                self.take_changed_pin();
            }
            return Ok(());
        }
        let pin = self.read_pin()?;
        *lock(&self.pin) = Some(pin);
        Ok(())
    }

    /// Whether the token refused the PIN. A login that hangs is no refusal.
    fn is_refused(&self) -> bool {
        self.access
            .try_lock()
            .is_ok_and(|access| matches!(*access, Access::Refused(_)))
    }

    /// The file that has the PIN, if there is one.
    fn file_of_pin(&self) -> Option<PathBuf> {
        lock(&self.pin_source).clone().or_else(|| self.pin_file.clone())
    }

    /// Takes another PIN instead of the refused one, if its file has one. Nothing is typed, and no pipe is read twice.
    fn take_changed_pin(&self) {
        let is_file = self.file_of_pin().is_some_and(|path| path.is_file());
        let Some(pin) = is_file.then(|| self.read_pin().ok()).flatten() else {
            return;
        };
        if lock(&self.pin).as_ref() != Some(&pin) {
            *lock(&self.pin) = Some(pin);
            self.took_pin.store(false, Ordering::Relaxed);
            *lock(&self.access) = Access::Public;
        }
    }

    /// Whether only a restart of the process helps: calls hang in too great a number, or the PIN was refused and can only be
    /// given anew at the start.
    pub(super) fn needs_restart(&self) -> bool {
        self.patience.is_hopeless() || self.is_refused() && self.file_of_pin().is_none()
    }

    /// Whether a slot still has this token.
    pub(super) fn is(&self, info: &TokenInfo) -> bool {
        self.serial == info.serial_number() && self.label == info.label()
    }

    fn read_pin(&self) -> Result<Zeroizing<String>, TokenError> {
        if let Some(path) = self.file_of_pin() {
            let failed = |reason: String| TokenError::PinFile {
                path: path.clone(),
                reason,
            };
            let named = path.clone();
            // A pipe may have no writer. Who writes into one may have to ask a person first.
            let text = self
                .patience_with_file
                .call(self.limit_of_making, move || {
                    std::fs::read_to_string(named).map(Zeroizing::new)
                })
                .map_err(|_| failed("nothing came of it in time".to_owned()))?
                .map_err(|error| failed(error.to_string()))?;
            let line = text.lines().next().filter(|line| !line.is_empty());
            return line
                .map(|line| Zeroizing::new(line.to_owned()))
                .ok_or_else(|| failed("its first line is empty".to_owned()));
        }
        if let Some(pin) = crate::secret::variable(PIN_VARIABLE)
            && !pin.is_empty()
        {
            return Ok(pin);
        }
        let typed = std::io::stdin()
            .is_terminal()
            .then(|| crate::key::prompt(&format!("PIN of {}: ", self.shown())))
            .and_then(Result::ok);
        typed
            .filter(|pin| !pin.is_empty())
            .ok_or_else(|| TokenError::NoPin { token: self.shown() })
    }
}

/// Whether a login failed for the PIN's sake.
fn is_about_the_pin(error: &Error) -> bool {
    let Error::Pkcs11(code, _) = error else { return false };
    matches!(
        code,
        RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::UserPinNotInitialized
    )
}

/// What a thread that panicked left behind is still whole: nothing is half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
