//! Credentials for registries, where docker, podman and Kubernetes keep them.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use linkgate_image::Image;
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::fault::Fault;
use super::{Options, RegistryError, helper};

/// Processes of credential helpers at one time.
const HELPERS: usize = 4;
/// How much longer than a helper may take it is waited for, so that it is ended before anyone goes on.
const END: Duration = Duration::from_millis(500);

/// The file that says who one is to registries; none if there is no such file.
pub(super) struct Credentials {
    file: Option<PathBuf>,
    seconds: u64,
    helpers: Arc<Semaphore>,
}

/// What registries do not show to others.
pub(super) enum Secret {
    Password(String, String),
    Identity(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Those that the options name, or those of the environment. The file is read when a registry asks for them, so that
    /// it may change meanwhile.
    pub(super) fn new(options: &Options) -> Result<Self, RegistryError> {
        let variable = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let found = || {
            let docker = variable("DOCKER_CONFIG").or_else(|| Some(variable("HOME")?.join(".docker")));
            variable("REGISTRY_AUTH_FILE").or_else(|| in_folder(&docker?))
        };
        let file = match &options.registry_config {
            Some(named) => Some(in_folder(named).ok_or_else(|| RegistryError::NoConfig(named.clone()))?),
            None => found(),
        };
        Ok(Self {
            file,
            seconds: options.registry_timeout,
            helpers: Arc::new(Semaphore::new(HELPERS)),
        })
    }

    /// What an image's registry knows the reader by; nothing where no credentials are configured for it.
    pub(super) async fn find(&self, image: &Image) -> Result<Option<Secret>, Fault> {
        let Some(file) = self.file.clone() else {
            return Ok(None);
        };
        let slow = || {
            let (registry, file) = (image.registry(), file.display());
            Fault::Credentials(format!(
                "the credential helper in `{file}` gave nothing for `{registry}` in time"
            ))
        };
        let found = async {
            let place = Arc::clone(&self.helpers).acquire_owned().await.ok()?;
            let (send, found) = oneshot::channel();
            let (file, image) = (file.clone(), image.clone());
            let patience = Duration::from_secs(self.seconds);
            // A helper is waited for by a thread of its own.
            thread::spawn(move || {
                let _ = send.send(read(&file, &image, patience));
                drop(place);
            });
            found.await.ok()
        };
        timeout(Duration::from_secs(self.seconds) + END, found)
            .await
            .ok()
            .flatten()
            .ok_or_else(slow)?
    }
}

/// The file of credentials that is at a path.
fn in_folder(path: &Path) -> Option<PathBuf> {
    if !path.is_dir() {
        return path.exists().then(|| path.to_owned());
    }
    // The second is what Kubernetes calls it in secrets of the type `kubernetes.io/dockerconfigjson`.
    let files = ["config.json", ".dockerconfigjson"].map(|name| path.join(name));
    files.into_iter().find(|file| file.exists())
}

fn read(file: &Path, image: &Image, patience: Duration) -> Result<Option<Secret>, Fault> {
    let shown = file.display();
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Fault::Credentials(format!(
                "cannot read the credentials in `{shown}`: {error}"
            )));
        }
    };
    let Ok(mut config) = serde_json::from_slice::<Value>(&text) else {
        return Err(Fault::Credentials(format!("the credentials in `{shown}` are not JSON")));
    };
    let server = server(&config, image);
    find_in(&mut config, &server, patience)
        .map_err(|cause| Fault::Credentials(format!("the credentials for `{server}` in `{shown}`: {cause}")))
}

/// What the file says of a server, in docker's order: by the helper for the server, by what the file itself holds, and by the
/// helper for all servers.
fn find_in(config: &mut Value, server: &str, patience: Duration) -> Result<Option<Secret>, String> {
    if let Some(name) = config["credHelpers"][server].as_str().filter(|name| !name.is_empty()) {
        return helper::ask(name, server, patience);
    }
    let store = config.get_mut("credsStore").map_or(Value::Null, Value::take);
    match docker_credential::get_credential_from_reader(config.to_string().as_bytes(), server) {
        Ok(DockerCredential::UsernamePassword(name, password)) => Ok(Some(Secret::Password(name, password))),
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Secret::Identity(token))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => match store {
            Value::Null => Ok(None),
            Value::String(name) => helper::ask(&name, server, patience),
            _ => Err("`credsStore` is no name of a helper".to_owned()),
        },
        Err(error) => Err(error.to_string().to_lowercase()),
    }
}

/// The name under which a file has the credentials for an image: as podman has it the longest that the image's name
/// begins with, and Docker Hub's as docker has it.
fn server(config: &Value, image: &Image) -> String {
    let full = image.name();
    let has = |name: &str| config["auths"].get(name).is_some() || config["credHelpers"].get(name).is_some();
    let mut name = full.as_str();
    while let Some((shorter, _)) = name.rsplit_once('/') {
        if has(name) {
            return name.to_owned();
        }
        name = shorter;
    }
    let with_port = format!("{name}:443");
    if has(name) {
        name.to_owned()
    } else if has(&with_port) {
        with_port
    } else if name == "docker.io" {
        "https://index.docker.io/v1/".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &str, image: &str) -> Result<Option<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, config).unwrap();
        match read(&file, &image.parse().unwrap(), Duration::from_mins(1)) {
            Ok(secret) => Ok(secret.map(|secret| match secret {
                Secret::Password(name, password) => format!("{name}:{password}"),
                Secret::Identity(token) => token,
            })),
            Err(fault) => Err(fault.to_string()),
        }
    }

    #[test]
    fn the_longest_name_and_docker_hubs() {
        // `a:b`, `c:d`
        let config = r#"{"auths":{
            "r.example:5000":{"auth":"YTpi"},
            "r.example:5000/team":{"auth":"Yzpk"},
            "s.example:443":{"identitytoken":"token"},
            "https://index.docker.io/v1/":{"username":"u","password":"p"},
            "broken.example":{"auth":"%"}}}"#;
        for (image, secret) in [
            ("r.example:5000/app", Some("a:b")),
            ("r.example:5000/team/app", Some("c:d")),
            ("r.example:5000/teams/app", Some("a:b")),
            ("r.example/app", None),
            ("s.example/app", Some("token")),
            ("nginx", Some("u:p")),
        ] {
            assert_eq!(found(config, image).unwrap().as_deref(), secret, "{image}");
        }
        let error = found(config, "broken.example/app").unwrap_err();
        assert!(error.contains("unable to decode credential"), "{error}");
        assert!(found("{", "r.example/app").unwrap_err().contains("are not JSON"));
        assert_eq!(found("{}", "r.example/app"), Ok(None));
    }

    #[test]
    fn a_helper_that_is_not_there() {
        for config in [
            r#"{"credHelpers":{"r.example":"nonexistent"}}"#,
            r#"{"credsStore":"nonexistent"}"#,
            r#"{"credHelpers":{"r.example":""},"credsStore":"nonexistent"}"#,
        ] {
            let error = found(config, "r.example/app").unwrap_err();
            assert!(
                error.contains("the credential helper `docker-credential-nonexistent` cannot be run"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_the_file_holds_comes_before_the_helper_for_all() {
        // `a:b`
        let config = r#"{"credsStore":"nonexistent","auths":{"r.example":{"auth":"YTpi"}}}"#;
        assert_eq!(found(config, "r.example/app").unwrap().as_deref(), Some("a:b"));
        for (config, why) in [
            (r#"{"credsStore":1}"#, "`credsStore` is no name"),
            (r#"{"credHelpers":{"r.example":1}}"#, "unable to read config"),
            (r#"{"credHelpers":"x"}"#, "unable to read config"),
        ] {
            let error = found(config, "r.example/app").unwrap_err();
            assert!(error.contains(why), "{config}: {error}");
        }
    }
}
