//! `linkgate component`

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use linkgate_packagings::{CORE_MODULE, ENVOY_FILTER, KUBEWARDEN_POLICY};

use crate::cli::UsageError;
use crate::runtime::COMPONENT;

const EXAMPLES: &str = "\
Examples:
  linkgate component > verifier.wasm
      The verifier, for any host that loads WebAssembly components.
  linkgate component --format core > verifier.core.wasm
      The same verifier, JSON to JSON, for engines that load core modules, such as wazero and V8.
      wit/core-module.md says how it is asked.
  linkgate component --format proxy-wasm > verifier.proxy.wasm
      A filter of Envoy that lets images be pulled whose supply chain holds. policies/envoy/filter says how it is set up.
  linkgate component --format kubewarden > verifier.kubewarden.wasm
      A policy of Kubewarden that lets objects in whose images' supply chains hold. policies/kubewarden has its settings.
  linkgate component | sha256sum
      The same digest as `linkgate version --verbose` prints and receipts hold.";

/// Arguments of `linkgate component`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What kind of WebAssembly.
    #[arg(long, value_enum, default_value_t = Format::Component)]
    format: Format,
}

/// A packaging of the verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A component with a WIT interface.
    Component,
    /// A core module that is asked in JSON.
    Core,
    /// A filter of Envoy, before an OCI registry.
    ProxyWasm,
    /// A policy of Kubewarden.
    Kubewarden,
}

impl Format {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Component => COMPONENT,
            Self::Core => CORE_MODULE,
            Self::ProxyWasm => ENVOY_FILTER,
            Self::Kubewarden => KUBEWARDEN_POLICY,
        }
    }

    /// The command that writes it into a file.
    fn advice(self) -> &'static str {
        match self {
            Self::Component => "linkgate component > verifier.wasm",
            Self::Core => "linkgate component --format core > verifier.core.wasm",
            Self::ProxyWasm => "linkgate component --format proxy-wasm > verifier.proxy.wasm",
            Self::Kubewarden => "linkgate component --format kubewarden > verifier.kubewarden.wasm",
        }
    }
}

/// Writes an embedded packaging to standard output.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        let advice = args.format.advice();
        return Err(UsageError(format!("WebAssembly is binary: redirect it, `{advice}`")).into());
    }
    out.write_all(args.format.bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
