//! References to keys in tokens: `hsm:LABEL`, and PKCS#11 URIs (RFC 7512).

use std::path::PathBuf;

use linkgate_verifier::key::Scheme;

/// What every reference to a key in a token begins with.
const PREFIXES: [&str; 2] = ["hsm:", "pkcs11:"];

/// RFC 7512's attribute for a PIN in the URI itself, which is refused wherever it stands.
const PIN: &str = "pin-value";

/// A key in a token as a person refers to it. What is not said may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    /// As it was written.
    pub text: String,
    /// The key's label, `CKA_LABEL`.
    pub label: Option<String>,
    /// The key's id, `CKA_ID`.
    pub id: Option<Vec<u8>>,
    /// Whether it says that it means a private or a public key.
    pub half: Option<Half>,
    /// The token's label.
    pub token: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// The token's manufacturer.
    pub manufacturer: Option<String>,
    /// The token's model.
    pub model: Option<String>,
    /// The slot's number.
    pub slot: Option<u64>,
    /// The module that has the token.
    pub module: Option<PathBuf>,
    /// The file whose first line is the PIN.
    pub pin_source: Option<PathBuf>,
    /// How the key signs, where that is not its type's default: the vendor attribute `x-scheme`.
    pub scheme: Option<Scheme>,
}

/// Which half of a key pair is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The one that signs.
    Private,
    /// The one that checks.
    Public,
    /// The certificate of the one that checks.
    Certificate,
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` does not name a key in a token: {problem}")]
pub struct ReferenceError {
    /// The text, its PIN left out if it has one.
    text: String,
    /// What is wrong with it.
    problem: Problem,
}

/// What is wrong with a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("a label is missing after `hsm:`")]
    NoLabel,
    #[error("neither `object` nor `id` says which key it is")]
    NoKey,
    #[error("`{0}` is not `name=value`")]
    NoValue(String),
    #[error("`{0}` stands twice")]
    Twice(String),
    #[error("the attribute `{0}` is not known here; it could mean another key than the one that would be taken")]
    Unknown(String),
    #[error("`{0}` has a `%` without two hexadecimal digits after it, or is no UTF-8")]
    Escape(String),
    #[error("`type` is `{0}`, which is none of private, public and cert")]
    Type(String),
    #[error("`slot-id` is `{0}`, no number")]
    Slot(String),
    #[error("`x-scheme` is `{0}`, no scheme of in-toto's")]
    Scheme(String),
    #[error(
        "a PIN has no place in an argument, where others can read it: use `pin-source`, --pkcs11-pin-file or PKCS11_PIN"
    )]
    Pin,
    #[error(
        "`pin-source` is `{0}`: it may be the path of a file of this host, alone or after `file:` (`file:///run/pin`), and no command"
    )]
    PinSource(String),
}

impl Reference {
    /// Whether a text refers to a key in a token, well or not. All else is the path of a file.
    pub fn is_meant(text: &str) -> bool {
        // A URI's scheme has no letter case (RFC 3986, section 3.1).
        let begins = |prefix: &&str| {
            text.get(..prefix.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
        };
        PREFIXES.iter().any(begins)
    }

    /// A text as messages may repeat it: without the PIN that it may hold against all advice.
    pub fn shown(text: &str) -> String {
        match text.to_ascii_lowercase().find(PIN) {
            Some(at) => format!("{}{PIN}..", text.get(..at).unwrap_or_default()),
            None => text.to_owned(),
        }
    }

    /// Reads a reference.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        let read = if text.to_ascii_lowercase().contains(PIN) {
            Err(Problem::Pin)
        } else if scheme.eq_ignore_ascii_case("hsm") {
            Self::of_label(rest)
        } else {
            Self::of_uri(rest)
        };
        match read {
            Ok(reference) => Ok(Self {
                text: text.to_owned(),
                ..reference
            }),
            Err(problem) => Err(ReferenceError {
                text: Self::shown(text),
                problem,
            }),
        }
    }

    /// `LABEL`, or `LABEL.pub` for the public half.
    fn of_label(text: &str) -> Result<Self, Problem> {
        let (label, half) = match text.strip_suffix(".pub") {
            Some(label) => (label, Some(Half::Public)),
            None => (text, None),
        };
        if label.is_empty() {
            return Err(Problem::NoLabel);
        }
        Ok(Self {
            label: Some(label.to_owned()),
            half,
            ..Self::default()
        })
    }

    /// What follows `pkcs11:`: attributes that say which key (RFC 7512, section 2.3), and after a `?` how to get at it.
    fn of_uri(text: &str) -> Result<Self, Problem> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let mut reference = Self::default();
        let mut seen = Vec::new();
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = pair(attribute, &mut seen)?;
            reference.identify(name, value)?;
        }
        for attribute in query.split('&').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = pair(attribute, &mut seen)?;
            reference.reach(name, value)?;
        }
        if reference.label.is_none() && reference.id.is_none() {
            return Err(Problem::NoKey);
        }
        Ok(reference)
    }

    fn identify(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match name {
            "object" => self.label = Some(decoded(value)?),
            "id" => self.id = Some(bytes(value)?),
            "token" => self.token = Some(decoded(value)?),
            "serial" => self.serial = Some(decoded(value)?),
            "manufacturer" => self.manufacturer = Some(decoded(value)?),
            "model" => self.model = Some(decoded(value)?),
            "slot-id" => self.slot = Some(value.parse().map_err(|_| Problem::Slot(value.to_owned()))?),
            "type" => {
                self.half = Some(match value {
                    "private" => Half::Private,
                    "public" => Half::Public,
                    "cert" => Half::Certificate,
                    _ => return Err(Problem::Type(value.to_owned())),
                });
            }
            _ => return Err(Problem::Unknown(name.to_owned())),
        }
        Ok(())
    }

    fn reach(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match name {
            "pin-source" => self.pin_source = Some(pin_source(&decoded(value)?)?),
            "module-path" => self.module = Some(decoded(value)?.into()),
            "x-scheme" => {
                let scheme = Scheme::parse(value).ok_or_else(|| Problem::Scheme(value.to_owned()))?;
                self.scheme = Some(scheme);
            }
            // Section 2.4: what is not known about how to get at a key is passed over.
            _ => {}
        }
        Ok(())
    }

    /// What a person calls the key: its label, else its id.
    pub fn name(&self) -> String {
        match (&self.label, &self.id) {
            (Some(label), _) => label.clone(),
            (None, Some(id)) => format!("id {}", linkgate_verifier::key::hex(id)),
            (None, None) => self.text.clone(),
        }
    }
}

/// An attribute's name and value; no name may stand twice.
fn pair<'t>(attribute: &'t str, seen: &mut Vec<&'t str>) -> Result<(&'t str, &'t str), Problem> {
    let (name, value) = attribute
        .split_once('=')
        .ok_or_else(|| Problem::NoValue(attribute.to_owned()))?;
    if seen.contains(&name) {
        return Err(Problem::Twice(name.to_owned()));
    }
    seen.push(name);
    Ok((name, value))
}

fn decoded(value: &str) -> Result<String, Problem> {
    String::from_utf8(bytes(value)?).map_err(|_| Problem::Escape(value.to_owned()))
}

/// Bytes, of which `%` and two hexadecimal digits stand for one.
fn bytes(value: &str) -> Result<Vec<u8>, Problem> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut parts = value.split('%');
    decoded.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.ok_or_else(|| Problem::Escape(value.to_owned()))?);
        decoded.extend_from_slice(part.as_bytes().get(2..).unwrap_or_default());
    }
    Ok(decoded)
}

fn pin_source(value: &str) -> Result<PathBuf, Problem> {
    let path = match value.strip_prefix("file:") {
        // RFC 8089: with or without an authority, which can only be this host.
        Some(path) => match path
            .strip_prefix("//")
            .map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len())))
        {
            Some((host, path)) if host.is_empty() || host.eq_ignore_ascii_case("localhost") => path,
            Some(_) => return Err(Problem::PinSource(value.to_owned())),
            None => path,
        },
        None => value,
    };
    let names_a_scheme = value.strip_prefix("file:").is_none() && value.contains("://");
    if path.is_empty() || path.starts_with('|') || names_a_scheme {
        return Err(Problem::PinSource(value.to_owned()));
    }
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for (text, label, half) in [
            ("hsm:builder-key-id", "builder-key-id", None),
            ("hsm:builder-key.pub", "builder-key", Some(Half::Public)),
            ("hsm:a b/c", "a b/c", None),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.label.as_deref(), Some(label));
            assert_eq!(reference.half, half);
        }
        for text in ["hsm:", "hsm:.pub"] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
        assert!(!Reference::is_meant("keys/hsm:a"));
    }

    #[test]
    fn uris() {
        let text = "pkcs11:token=My%20token;object=a%3bb;id=%01a%ff;type=private;slot-id=7;serial=00;model=m;manufacturer=x\
                    ?module-path=/usr/lib/m.so&pin-source=file:/run/pin&x-scheme=rsa-pkcs1v15-sha256&x-other=1";
        let reference = Reference::parse(text).unwrap();
        let wanted = Reference {
            text: text.to_owned(),
            label: Some("a;b".to_owned()),
            id: Some(vec![1, b'a', 0xff]),
            half: Some(Half::Private),
            token: Some("My token".to_owned()),
            serial: Some("00".to_owned()),
            manufacturer: Some("x".to_owned()),
            model: Some("m".to_owned()),
            slot: Some(7),
            module: Some("/usr/lib/m.so".into()),
            pin_source: Some("/run/pin".into()),
            scheme: Some(Scheme::RsaPkcs1v15Sha256),
        };
        assert_eq!(reference, wanted);
        let by_id = Reference::parse("pkcs11:id=%0a").unwrap();
        assert_eq!(by_id.name(), "id 0a");
    }

    #[test]
    fn refused() {
        for (text, why) in [
            ("pkcs11:", "neither"),
            ("pkcs11:token=t", "neither"),
            ("pkcs11:object", "name=value"),
            ("pkcs11:object=a;object=b", "twice"),
            ("pkcs11:object=a;colour=red", "colour"),
            ("pkcs11:object=a;library-version=1", "library-version"),
            ("pkcs11:object=%4", "%"),
            ("pkcs11:object=%zz", "%"),
            ("pkcs11:object=%ff", "UTF-8"),
            ("pkcs11:object=%+1", "%"),
            ("pkcs11:object=a;type=secret-key", "secret-key"),
            ("pkcs11:object=a;slot-id=x", "slot-id"),
            ("pkcs11:object=a?x-scheme=rot13", "rot13"),
            ("pkcs11:object=a?pin-source=|cat%20pin", "command"),
            ("pkcs11:object=a?pin-source=https://x/pin", "command"),
            ("pkcs11:object=a?pin-source=file://host/run/pin", "of this host"),
            ("pkcs11:object=a?pin-source=file://localhostile/pin", "of this host"),
            ("pkcs11:object=a?pin-source=file://localhost:80/pin", "of this host"),
            ("pkcs11:object=a?pin-source=file://run/pin", "of this host"),
            ("pkcs11:object=a?pin-source=file://localhost", "of this host"),
            ("pkcs11:object=a?pin-source=file://", "of this host"),
            ("pkcs11:object=a?module-path=m&module-path=n", "twice"),
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_pin_is_refused_and_not_repeated() {
        let error = Reference::parse("pkcs11:object=a?pin-value=1234")
            .unwrap_err()
            .to_string();
        assert!(error.contains("PKCS11_PIN") && !error.contains("1234"), "{error}");
        for text in [
            "pkcs11:object?pin-value=1234",
            "pkcs11:object=a?pin-value:1234",
            "pkcs11:object=a&pin-value=1234",
            "PKCS11:object=a?PIN-VALUE=1234",
            "hsm:a?pin-value=1234",
        ] {
            assert!(Reference::is_meant(text));
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(!error.contains("1234"), "{error}");
        }
    }
}
