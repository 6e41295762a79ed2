//! The verifier as a filter of Envoy before an OCI registry: images are pulled if their supply chain holds.
//!
//! [`plugin`] and [`stream`] talk to the proxy, and decide nothing. What they ask is pure and tested without one:
//! [`configuration`] is what an operator wrote, [`collection`] which evidence is still to be fetched, [`judgement`] the
//! verifier's word, [`memory`] what is remembered of it, [`denial`] what a client is told. What a client wants, and what a
//! registry says that an image is, the crate `linkgate-image` reads, as it does for the gate.

pub mod collection;
pub mod configuration;
pub mod denial;
pub mod judgement;
pub mod memory;

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
