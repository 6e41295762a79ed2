//! What goes wrong with a registry, and what to do about it. No message holds a secret, or text of which a registry
//! could have made one.

use std::error::Error;
use std::io;

use linkgate_image::link::LinkError;
use linkgate_image::manifest::ManifestError;
use linkgate_image::{Image, ManifestDigest};
use reqwest::StatusCode;

use super::address::{INSIDE, Inside};
use super::lead::Astray;
use super::request::Reply;
use crate::evidence::SourceError;
use crate::memory::NoRoom;

/// Why a registry could not say what it has.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("`{host}` is no host: {cause}")]
    Host { host: String, cause: String },
    #[error("`{host}` is not asked: by this machine's clock it is before 1970, and no certificate holds")]
    Clock { host: String },
    #[error("`{host}` did not answer within {seconds} s: is it up, and is --registry-timeout long enough?")]
    Slow { host: String, seconds: u64 },
    #[error("cannot connect to `{host}`: {cause}")]
    Connection { host: String, cause: String },
    #[error("the certificate of `{host}` is not trusted ({cause}): name its authority with --registry-ca")]
    Certificate { host: String, cause: String },
    #[error("`{host}` does not speak TLS: if that is known, name it with --plain-http {host}")]
    Plain { host: String },
    #[error("the connection to `{host}` broke: {cause}")]
    Broken { host: String, cause: String },
    #[error("`{host}` refused {} ({status}): {LOG_IN}", if *.anonymous { "anonymous access" } else { "the credentials" })]
    Refused { host: String, status: u16, anonymous: bool },
    #[error("`{host}` was asked too often ({status}): wait, or log in if it counts anonymous requests")]
    TooMany { host: String, status: u16 },
    #[error("`{host}` answered {status}{code}: {}", if *.status < 500 { "does it speak the OCI distribution protocol?" } else { "its log says why" })]
    Status { host: String, status: u16, code: String },
    #[error("`{host}` answered 404 without saying what is unknown: is it a registry?")]
    NoRegistry { host: String },
    #[error("`{host}` sent {what} that is larger than {most} bytes")]
    TooLarge { host: String, what: String, most: usize },
    #[error("`{host}` sent {what} whose digest is not {digest}: what it stores was changed or damaged")]
    Digest {
        host: String,
        what: String,
        digest: ManifestDigest,
    },
    #[error("`{host}` sent {length} bytes for the blob {digest}, which has {size}")]
    Length {
        host: String,
        digest: ManifestDigest,
        length: u64,
        size: u64,
    },
    #[error("`{host}` sent {what}: {cause}")]
    Manifest {
        host: String,
        what: String,
        cause: ManifestError,
    },
    #[error("`{host}` lists {digest} and does not have it")]
    Missing { host: String, digest: ManifestDigest },
    #[error("`{host}` has more than {most} {what} of this image: remove those that are no longer needed")]
    Many {
        host: String,
        most: usize,
        what: &'static str,
    },
    #[error("the tag `{tag}` in `{host}` is of another kind than what is kept under such tags: {is}")]
    Tag {
        host: String,
        tag: String,
        is: &'static str,
    },
    #[error("`{host}` lists referrers in pages: {cause}")]
    Pages { host: String, cause: LinkError },
    #[error("`{host}` leads to `{to}` for {what}, which is not followed: {why}")]
    Astray {
        host: String,
        what: String,
        to: String,
        why: &'static str,
    },
    #[error("`{host}` redirects {what}, and where to cannot be read")]
    Place { host: String, what: String },
    #[error("`{host}` is not asked, to which a registry leads: {INSIDE}")]
    Inside { host: String },
    #[error("`{host}` leads to `{to}`, which answered {status}")]
    Elsewhere { host: String, to: String, status: u16 },
    #[error("`{host}` takes a blob and does not say where")]
    Location { host: String },
    #[error("`{host}` wants its credentials sent to `{realm}`, in the clear or to no place at all: they are not sent")]
    Realm { host: String, realm: String },
    #[error("`{host}` sent no token")]
    Token { host: String },
    #[error("{0}")]
    Credentials(String),
    #[error("of what `{host}` sent: {no_room}")]
    NoRoom { host: String, no_room: NoRoom },
    #[error("`{host}` loses what is listed under the tag `{tag}`: others write it at the same time; try again")]
    Lost { host: String, tag: String },
}

const LOG_IN: &str = "log in with docker login, or mount its config.json and name it with --registry-config";

impl Fault {
    /// The same as the error of what is called so.
    pub(super) fn of_source(&self, source_name: String) -> SourceError {
        SourceError {
            source_name,
            cause: self.to_string(),
            no_room: match self {
                Self::NoRoom { no_room, .. } => Some(*no_room),
                _ => None,
            },
        }
    }

    /// There is no memory for what a registry sends about an image.
    pub(super) fn no_room(image: &Image, no_room: NoRoom) -> Self {
        let host = image.registry().to_owned();
        Self::NoRoom { host, no_room }
    }

    /// What kept a request from being answered.
    pub(super) fn of_transport(host: &str, seconds: u64, error: &reqwest::Error) -> Self {
        let host = host.to_owned();
        if error.is_timeout() {
            return Self::Slow { host, seconds };
        }
        if is_caused_by::<Inside>(error) {
            return Self::Inside { host };
        }
        let cause = innermost(error);
        if cause.contains("invalid peer certificate") {
            let cause = cause.replace("invalid peer certificate: ", "");
            return Self::Certificate { host, cause };
        }
        if cause.contains("InvalidContentType") {
            return Self::Plain { host };
        }
        if error.is_connect() {
            return Self::Connection { host, cause };
        }
        Self::Broken { host, cause }
    }

    /// What an answer means that is not the one that was hoped for.
    pub(super) fn of_status(host: &str, anonymous: bool, reply: &Reply) -> Self {
        let host = host.to_owned();
        let status = reply.status.as_u16();
        if let Some(to) = reply.elsewhere.clone() {
            return Self::Elsewhere { host, to, status };
        }
        match reply.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Refused {
                host,
                status,
                anonymous,
            },
            StatusCode::TOO_MANY_REQUESTS => Self::TooMany { host, status },
            StatusCode::NOT_FOUND if reply.codes().is_empty() => Self::NoRegistry { host },
            _ => Self::Status {
                host,
                status,
                code: reply.codes().first().map(|code| format!(" {code}")).unwrap_or_default(),
            },
        }
    }

    pub(super) fn astray(host: &str, what: &str, astray: Astray) -> Self {
        Self::Astray {
            host: host.to_owned(),
            what: what.to_owned(),
            to: astray.to,
            why: astray.why,
        }
    }

    pub(super) fn many(image: &Image, most: usize, what: &'static str) -> Self {
        Self::Many {
            host: image.registry().to_owned(),
            most,
            what,
        }
    }
}

/// Whether an error of that type is in a chain of errors.
fn is_caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<E>() || error.source().is_some_and(is_caused_by::<E>)
}

/// The cause at the bottom of a chain of errors, without what the system's number is.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<io::Error>() {
        Some(system) if system.raw_os_error().is_some() => {
            let text = system.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            text.to_lowercase()
        }
        _ => cause.to_string(),
    }
}
