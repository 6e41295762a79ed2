//! Key files: PKCS#8, PKCS#1, SEC 1 and SPKI as PEM or DER, and securesystemslib's JSON.
//!
//! What a file holds is told by what it is, never by its name. An error names the file, what was found in it, and what
//! to do about it.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use linkgate_verifier::canonical;
use linkgate_verifier::envelope::decode_hex;
use linkgate_verifier::key::{KeyError, PublicKey, Scheme};
use linkgate_verifier::request;
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use crate::secret;
use crate::terminal::{self, Hidden, harmless};

mod asn1;

use asn1::Encryption;
pub(crate) use asn1::fault;

/// The environment variable that holds the password of encrypted keys, where no argument gives one.
pub const PASSWORD_VARIABLE: &str = "LINKGATE_KEY_PASSWORD";

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {problem}", path.display())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// No form of a key that this program knows.
    #[error(
        "no key was found in it; keys are read as PEM or DER (PKCS#8, PKCS#1, SEC 1, SPKI) or as securesystemslib's JSON"
    )]
    Unknown,
    /// Its PEM or base64 is damaged.
    #[error("its PEM is damaged: {0}")]
    Pem(&'static str),
    /// Its JSON is no key.
    #[error("its JSON is no key: {0}")]
    Json(String),
    /// Its key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A public key where a private one is needed.
    #[error("a public key, but signing needs the private one (usually the same name without `.pub`)")]
    PublicForPrivate,
    /// A private key where a public one is needed.
    #[error("a private key, but checking needs the public one (usually the same name with `.pub`)")]
    PrivateForPublic,
    /// Encrypted in a way that is not read: weak, or by an older form of PEM.
    #[error(
        "encrypted with {0}, which is not read; convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW`"
    )]
    Encryption(String),
    /// It has the form of a private key and is none.
    #[error("the private key is damaged: it is no sound {0}")]
    Damaged(&'static str),
    /// securesystemslib's own encryption.
    #[error(
        "encrypted in securesystemslib's old form; convert it with `docs/migrate_key.py` of the securesystemslib repository, or make a new key with `linkgate keygen`"
    )]
    LegacyJson,
    /// OpenSSH's form.
    #[error("in OpenSSH's form; convert a copy with `{0}`")]
    OpenSsh(&'static str),
    /// A certificate.
    #[error("a certificate, not a key; extract its key with `openssl x509 -pubkey -noout -in FILE`")]
    Certificate,
    /// A GPG key.
    #[error("a GPG key, which this build does not support")]
    Gpg,
    /// An encrypted key without a password.
    #[error("encrypted, and no password was given (`--password`, or `{PASSWORD_VARIABLE}` in the environment)")]
    NoPassword,
    /// An encrypted key with the wrong password, or a damaged one.
    #[error("cannot be decrypted: the password is wrong, or the file is damaged")]
    Password,
    /// More than one key where one is needed.
    #[error("{0} keys, where one is needed")]
    Many(usize),
}

/// Where the password of an encrypted key comes from.
#[derive(Debug, Default)]
pub enum Password {
    /// From the environment, else typed if there is a terminal.
    #[default]
    Found,
    /// Typed on the terminal.
    Prompt,
    /// Given.
    Given(Zeroizing<String>),
}

impl Password {
    /// The password of an argument whose value may be left out: `--password` prompts, `--password secret` gives one, and a
    /// warning unless the caller wants to hear only of errors.
    pub fn from_argument(argument: Option<&str>, is_quiet: bool) -> Self {
        match argument {
            None => Self::Found,
            Some("") => Self::Prompt,
            Some(password) => {
                if !is_quiet {
                    terminal::warning(format_args!(
                        "the password stands on the command line, which this machine's other users and its logs can read: \
                         leave the value out to be asked for it, or set {PASSWORD_VARIABLE}"
                    ));
                }
                Self::Given(Zeroizing::new(password.to_owned()))
            }
        }
    }

    /// The password as far as nobody has to be asked for it.
    pub fn without_asking(self) -> Option<Zeroizing<String>> {
        match self {
            Self::Given(password) => Some(password),
            Self::Found => secret::variable(PASSWORD_VARIABLE),
            Self::Prompt => None,
        }
    }

    /// The password of the encrypted key in this file, or nothing if there is none to be had.
    pub fn of(&self, path: &Path) -> Result<Option<Zeroizing<String>>, std::io::Error> {
        match self {
            Self::Given(password) => Ok(Some(password.clone())),
            Self::Prompt => prompt(&format!("Password of {}: ", path.display())).map(Some),
            Self::Found => match secret::variable(PASSWORD_VARIABLE) {
                Some(password) => Ok(Some(password)),
                None if std::io::stdin().is_terminal() => {
                    prompt(&format!("Password of {}: ", path.display())).map(Some)
                }
                None => Ok(None),
            },
        }
    }
}

/// A password typed on the terminal, without an echo.
pub(crate) fn prompt(text: &str) -> Result<Zeroizing<String>, std::io::Error> {
    // Before the prompt is there, so that nothing typed in a hurry is seen either.
    let _hidden = Hidden::start();
    rpassword::prompt_password(harmless(text)).map(Zeroizing::new)
}

/// A public key and where it was found.
#[derive(Clone, Debug)]
pub struct PublicKeyFile {
    /// The file.
    pub path: PathBuf,
    /// What a person may call the key: the file's name without its extension, and of several keys in one file also the
    /// keyid's first eight digits.
    pub label: String,
    /// The keyid that the file declares, if it does. It need not follow a formula.
    pub keyid: Option<String>,
    /// The key.
    pub key: PublicKey,
}

impl PublicKeyFile {
    /// The key as a request names it.
    pub fn request_key(&self) -> request::Key {
        request::Key::new(
            self.keyid.clone(),
            self.key.keytype().to_owned(),
            self.key.scheme().name().to_owned(),
            self.key.public_text(),
        )
    }
}

/// The encoding of a private key, decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateForm {
    /// PKCS#8 `PrivateKeyInfo` (RFC 5958)
    Pkcs8,
    /// PKCS#1 `RSAPrivateKey` (RFC 8017)
    Pkcs1,
    /// SEC 1 `ECPrivateKey` (RFC 5915)
    Sec1,
    /// The 32 bytes of an Ed25519 seed
    Seed,
}

/// A private key's bytes, and what its file says about it. The bytes are wiped when it is dropped.
pub struct PrivateKeyFile {
    /// The file.
    pub path: PathBuf,
    /// How the bytes encode the key.
    pub form: PrivateForm,
    /// The bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The scheme that the file names, if it does.
    pub scheme: Option<Scheme>,
    /// The keyid that the file declares, if it does.
    pub keyid: Option<String>,
}

/// Reads the public keys of a file: one, or as many as a JSON object from keyids to keys has.
pub fn read_public(path: &Path) -> Result<Vec<PublicKeyFile>, KeyFileError> {
    let content = read(path).map_err(|problem| KeyFileError {
        path: path.to_owned(),
        problem,
    })?;
    public_in(path, &content)
}

/// The public keys in what a file holds: one, or a set as in-toto writes it.
pub fn public_in(path: &Path, content: &[u8]) -> Result<Vec<PublicKeyFile>, KeyFileError> {
    let keys = public_keys(content).map_err(|problem| KeyFileError {
        path: path.to_owned(),
        problem,
    })?;
    let stem = stem(path);
    let many = keys.len() > 1;
    Ok(keys
        .into_iter()
        .map(|(keyid, key)| PublicKeyFile {
            path: path.to_owned(),
            label: if many {
                format!("{stem}:{:.8}", keyid.clone().unwrap_or_else(|| key.keyid()))
            } else {
                stem.clone()
            },
            keyid,
            key,
        })
        .collect())
}

/// Reads the private key of a file, and asks for its password only if it is encrypted.
pub fn read_private(path: &Path, password: &Password) -> Result<PrivateKeyFile, KeyFileError> {
    let private = read(path).and_then(|content| private_key(path, &content, password));
    private.map_err(|problem| KeyFileError {
        path: path.to_owned(),
        problem,
    })
}

/// Whether a file holds a private key, as far as its outside tells.
pub fn is_private(path: &Path) -> Result<bool, KeyFileError> {
    let content = read(path).map_err(|problem| KeyFileError {
        path: path.to_owned(),
        problem,
    })?;
    Ok(matches!(public_keys(&content), Err(Problem::PrivateForPublic)))
}

/// The file's name without its extension: `alice` of `keys/alice.pub`.
fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Problem> {
    Ok(Zeroizing::new(fs::read(path)?))
}

/// A key as securesystemslib writes it.
#[derive(Deserialize)]
struct JsonKey {
    keytype: String,
    scheme: String,
    #[serde(default)]
    keyid: Option<String>,
    keyval: JsonKeyValue,
}

#[derive(Deserialize)]
struct JsonKeyValue {
    #[serde(default)]
    public: String,
    #[serde(default)]
    private: String,
}

impl Drop for JsonKeyValue {
    fn drop(&mut self) {
        self.private.zeroize();
    }
}

impl JsonKey {
    fn public(self) -> Result<(Option<String>, PublicKey), Problem> {
        let key = PublicKey::from_parts(&self.keytype, &self.scheme, &self.keyval.public)?;
        Ok((self.keyid, key))
    }
}

/// What a file's content looks like.
enum Content<'a> {
    Pem(Vec<Pem<'a>>),
    Json(&'a str),
    Der(&'a [u8]),
}

impl<'a> Content<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, Problem> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Ok(Self::Der(bytes));
        };
        match text.trim_start() {
            // Before PEM, which JSON may hold.
            json if json.starts_with('{') => Ok(Self::Json(json)),
            pem if pem.contains("-----BEGIN ") => pem_blocks(pem).map(Self::Pem),
            encrypted if is_old_encryption(encrypted) => Err(Problem::LegacyJson),
            line if ["ssh-", "ecdsa-sha2-"].iter().any(|prefix| line.starts_with(prefix)) => {
                Err(Problem::OpenSsh("ssh-keygen -e -m PKCS8 -f FILE"))
            }
            _ => Ok(Self::Der(bytes)),
        }
    }
}

/// securesystemslib's old encryption: salt, iterations, HMAC, IV and ciphertext, in hexadecimal but for the second.
fn is_old_encryption(text: &str) -> bool {
    let fields = text.trim_end().split("@@@@");
    fields.clone().count() == 5 && fields.flat_map(str::bytes).all(|byte| byte.is_ascii_hexdigit())
}

/// One block of PEM.
struct Pem<'a> {
    label: &'a str,
    /// How its body is encrypted, in OpenSSL's traditional form.
    encryption: Option<String>,
    bytes: Zeroizing<Vec<u8>>,
}

/// The blocks of a text, with whatever else stands around them. `openssl` puts a curve's parameters before its key.
fn pem_blocks(text: &str) -> Result<Vec<Pem<'_>>, Problem> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, block)) = rest.split_once("-----BEGIN ") {
        let (label, block) = block
            .split_once("-----")
            .ok_or(Problem::Pem("a BEGIN line does not end"))?;
        let end = format!("-----END {label}-----");
        let (body, after) = block.split_once(&end).ok_or(Problem::Pem("an END line is missing"))?;
        rest = after;
        let encryption = body.contains(':').then(|| traditional(body));
        let bytes = if encryption.is_some() {
            Vec::new()
        } else {
            let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
            STANDARD
                .decode(&*body)
                .map_err(|_| Problem::Pem("its body is not base64"))?
        };
        if label != "EC PARAMETERS" {
            blocks.push(Pem {
                label,
                encryption,
                bytes: Zeroizing::new(bytes),
            });
        }
    }
    Ok(blocks)
}

/// The cipher in the headers of a block: `DEK-Info: AES-128-CBC,<iv>` (RFC 1421, section 4.6.1.3).
fn traditional(body: &str) -> String {
    let cipher = body
        .lines()
        .find_map(|line| line.trim().strip_prefix("DEK-Info:"))
        .and_then(|info| info.split(',').next())
        .map_or("a cipher that it does not name", str::trim);
    format!("{cipher} in OpenSSL's traditional form")
}

/// The one block of a file that is to hold one key.
fn one<T>(mut items: Vec<T>) -> Result<T, Problem> {
    match (items.pop(), items.len()) {
        (Some(item), 0) => Ok(item),
        (Some(_), others) => Err(Problem::Many(others + 1)),
        (None, _) => Err(Problem::Unknown),
    }
}

fn public_keys(content: &[u8]) -> Result<Vec<(Option<String>, PublicKey)>, Problem> {
    match Content::of(content)? {
        Content::Pem(blocks) => {
            let block = one(blocks)?;
            let key = match block.label {
                "PUBLIC KEY" => PublicKey::from_spki(&block.bytes, None)?,
                "RSA PUBLIC KEY" => PublicKey::from_pkcs1(&block.bytes, None)?,
                "CERTIFICATE" => return Err(Problem::Certificate),
                label if label.starts_with("PGP ") => return Err(Problem::Gpg),
                label if label.ends_with("PRIVATE KEY") => return Err(Problem::PrivateForPublic),
                _ => return Err(Problem::Unknown),
            };
            Ok(vec![(None, key)])
        }
        Content::Json(text) => json_keys(text)?.into_iter().map(JsonKey::public).collect(),
        Content::Der(bytes) => {
            let spki = match PublicKey::from_spki(bytes, None) {
                Err(KeyError::Encoding(_)) => PublicKey::from_pkcs1(bytes, None),
                other => other,
            };
            match spki {
                Ok(key) => Ok(vec![(None, key)]),
                Err(KeyError::Encoding(_)) if private_der(bytes).is_some() || asn1::encryption(bytes).is_some() => {
                    Err(Problem::PrivateForPublic)
                }
                Err(KeyError::Encoding(_)) => Err(Problem::Unknown),
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// The key of a JSON object, or the keys of an object from keyids to keys.
fn json_keys(text: &str) -> Result<Vec<JsonKey>, Problem> {
    // Strict first: a member that stands twice would be read differently by others.
    let strict = canonical::encode(text).map(Zeroizing::new);
    strict.map_err(|error| Problem::Json(error.to_string()))?;
    serde_json::from_str(text).map(|key| vec![key]).or_else(|error| {
        let many: BTreeMap<String, JsonKey> =
            serde_json::from_str(text).map_err(|_| Problem::Json(error.to_string()))?;
        let named = many.into_iter().map(|(keyid, key)| JsonKey {
            keyid: key.keyid.or(Some(keyid)),
            ..key
        });
        Ok(named.collect())
    })
}

fn private_key(path: &Path, content: &[u8], password: &Password) -> Result<PrivateKeyFile, Problem> {
    let file = |form, bytes| PrivateKeyFile {
        path: path.to_owned(),
        form,
        bytes,
        scheme: None,
        keyid: None,
    };
    match Content::of(content)? {
        Content::Pem(blocks) => {
            let block = one(blocks)?;
            if let Some(encryption) = block.encryption {
                return Err(Problem::Encryption(encryption));
            }
            match block.label {
                "PRIVATE KEY" => Ok(file(PrivateForm::Pkcs8, block.bytes)),
                "ENCRYPTED PRIVATE KEY" => Ok(file(PrivateForm::Pkcs8, decrypt(path, &block.bytes, password)?)),
                "RSA PRIVATE KEY" => Ok(file(PrivateForm::Pkcs1, block.bytes)),
                "EC PRIVATE KEY" => Ok(file(PrivateForm::Sec1, block.bytes)),
                "DSA PRIVATE KEY" => Err(KeyError::Algorithm("DSA".to_owned()).into()),
                "OPENSSH PRIVATE KEY" => Err(Problem::OpenSsh("ssh-keygen -p -m PKCS8 -f FILE")),
                "CERTIFICATE" => Err(Problem::Certificate),
                label if label.starts_with("PGP ") => Err(Problem::Gpg),
                label if label.ends_with("PUBLIC KEY") => Err(Problem::PublicForPrivate),
                _ => Err(Problem::Unknown),
            }
        }
        Content::Json(text) => json_private(path, one(json_keys(text)?)?),
        Content::Der(bytes) => match private_der(bytes) {
            Some(form) => Ok(file(form, Zeroizing::new(bytes.to_vec()))),
            None if asn1::encryption(bytes).is_some() => Ok(file(PrivateForm::Pkcs8, decrypt(path, bytes, password)?)),
            None if public_keys(bytes).is_ok() => Err(Problem::PublicForPrivate),
            None => Err(Problem::Unknown),
        },
    }
}

fn json_private(path: &Path, key: JsonKey) -> Result<PrivateKeyFile, Problem> {
    if key.keyval.private.is_empty() {
        return Err(Problem::PublicForPrivate);
    }
    let scheme = Scheme::parse(&key.scheme);
    if scheme == Some(Scheme::Ed25519) {
        let seed = decode_hex(&key.keyval.private).ok_or(KeyError::Encoding("hexadecimal"))?;
        return Ok(PrivateKeyFile {
            path: path.to_owned(),
            form: PrivateForm::Seed,
            bytes: Zeroizing::new(seed),
            scheme,
            keyid: key.keyid,
        });
    }
    let inner = private_key(path, key.keyval.private.as_bytes(), &Password::Found)?;
    Ok(PrivateKeyFile {
        scheme,
        keyid: key.keyid,
        ..inner
    })
}

/// Which form of private key some DER is, if it is one.
fn private_der(bytes: &[u8]) -> Option<PrivateForm> {
    use pkcs8::der::asn1::{AnyRef, SequenceRef};
    use pkcs8::der::{Decode, Reader, SliceReader, Tag, Tagged};
    if pkcs8::PrivateKeyInfoRef::from_der(bytes).is_ok() {
        return Some(PrivateForm::Pkcs8);
    }
    let sequence = <&SequenceRef>::from_der(bytes).ok()?;
    let mut reader = SliceReader::new(sequence.as_bytes()).ok()?;
    let version = u8::decode(&mut reader).ok()?;
    let next = AnyRef::decode(&mut reader).ok()?.tag();
    match (version, next) {
        (0, Tag::Integer) if !reader.is_finished() => Some(PrivateForm::Pkcs1),
        (1, Tag::OctetString) => Some(PrivateForm::Sec1),
        _ => None,
    }
}

fn decrypt(path: &Path, bytes: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, Problem> {
    if let Some(Encryption::Other(name)) = asn1::encryption(bytes) {
        return Err(Problem::Encryption(name));
    }
    let encrypted = pkcs8::EncryptedPrivateKeyInfoRef::try_from(bytes).map_err(|_| Problem::Password)?;
    let password = password.of(path)?.ok_or(Problem::NoPassword)?;
    let decrypted = encrypted.decrypt(password.as_bytes()).map_err(|_| Problem::Password)?;
    Ok(decrypted.to_bytes())
}
