//! The verifier's packagings for WebAssembly that need no more than to be built (`build.rs`).
//!
//! The component is encoded by who embeds it: its core module's path is `DEP_LINKGATE_PACKAGINGS_COMPONENT` in the build
//! script of a crate that depends on this one.

#![no_std]

/// The verifier as a core module, for engines that load no components (`wit/core-module.md`).
pub const CORE_MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/verifier.core.wasm"));

/// The verifier as a filter of Envoy (`policies/envoy/filter`).
pub const ENVOY_FILTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/verifier.proxy.wasm"));

/// The verifier as a policy of Kubewarden (`policies/kubewarden`).
pub const KUBEWARDEN_POLICY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/verifier.kubewarden.wasm"));
