//! How registries are reached.

use std::path::PathBuf;

/// Options of all commands that speak with registries.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Registries")]
pub struct Options {
    /// Speak plain HTTP with this registry, `HOST` or `HOST:PORT`: whoever is on the way reads and changes what is said.
    #[arg(long, value_name = "HOST")]
    pub plain_http: Vec<String>,

    /// Trust registries whose certificates are by these authorities (PEM), besides those that the system trusts.
    #[arg(long, value_name = "FILE")]
    pub registry_ca: Option<PathBuf>,

    /// Where the credentials are: docker's config.json or podman's auth.json, or a folder with a config.json.
    /// Otherwise `$REGISTRY_AUTH_FILE`, the config.json in `$DOCKER_CONFIG`, or ~/.docker/config.json.
    #[arg(long, value_name = "PATH")]
    pub registry_config: Option<PathBuf>,

    /// How long a registry may take to answer a request.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub registry_timeout: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            plain_http: Vec::new(),
            registry_ca: None,
            registry_config: None,
            registry_timeout: 10,
        }
    }
}
