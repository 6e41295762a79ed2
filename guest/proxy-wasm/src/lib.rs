//! The verifier as a filter of Envoy before an OCI registry: images are pulled if their supply chain holds.
//!
//! [`plugin`] and [`stream`] talk to the proxy, and decide nothing. What they ask is pure and tested without one:
//! [`configuration`] is what an operator wrote, [`path`] what a client wants, [`manifest`] what a registry says an image is,
//! [`collection`] which evidence is still to be fetched, [`judgement`] the verifier's word, [`memory`] what is remembered
//! of it, [`denial`] what a client is told.
//!
//! Reading of references and manifests has twins in the host (`host/src/gate/face/envoy/path.rs`,
//! `host/src/evidence/manifest.rs`): those stand on crates that do not exist here, and in the verifier, whose component is
//! kept small, nothing would use them.

pub mod collection;
pub mod configuration;
pub mod denial;
pub mod digest;
pub mod judgement;
pub mod manifest;
pub mod memory;
pub mod path;
pub mod pattern;

#[cfg(target_family = "wasm")]
mod measure;
#[cfg(target_family = "wasm")]
mod plugin;
#[cfg(target_family = "wasm")]
mod stream;

#[cfg(target_family = "wasm")]
mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Trace);
        proxy_wasm::set_root_context(|_| Box::new(crate::plugin::Plugin::default()));
    }}
}
