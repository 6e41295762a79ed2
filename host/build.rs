//! Encodes the verifier's core module as a component and precompiles it, for the host to embed both.
//!
//! The host's wasmtime has no compiler: what is precompiled here is what runs. The precompilation targets a baseline
//! processor, so that a binary built on one machine runs on every other of its architecture.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context, anyhow};

fn main() -> anyhow::Result<()> {
    if env::var_os("CARGO_CFG_UNIX").is_none() {
        println!(
            "cargo::error=linkgate does not build for Windows: use it in WSL 2, or the verifier in Node or Python \
            (policies/browser/verifier, policies/python)"
        );
        std::process::exit(1);
    }
    let module = PathBuf::from(env::var("DEP_LINKGATE_PACKAGINGS_COMPONENT")?);
    println!("cargo::rerun-if-changed={}", module.display());
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let component = wit_component::ComponentEncoder::default()
        .module(&fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?)?
        .validate(true)
        .encode()
        .context("cannot encode the component")?;
    fs::write(out.join("verifier.wasm"), &component)?;
    let precompiled =
        precompile(&component, &target()?).map_err(|error| anyhow!("cannot precompile the component: {error:#}"))?;
    fs::write(out.join("verifier.cwasm"), precompiled)?;
    Ok(())
}

/// Compiles for the oldest processor of the architecture: naming the target turns off what only this machine's has.
fn precompile(component: &[u8], target: &str) -> wasmtime::Result<Vec<u8>> {
    let mut config = wasmtime::Config::new();
    config.target(target)?;
    // These must be what `host/src/runtime/mod.rs` has.
    config.epoch_interruption(true);
    config.gc_support(false);
    config.concurrency_support(false);
    config.generate_address_map(false);
    config.native_unwind_info(false);
    config.wasm_backtrace_max_frames(None);
    wasmtime::Engine::new(&config)?.precompile_component(component)
}

/// The target of the binary that is being built, as Cranelift names it.
fn target() -> anyhow::Result<String> {
    let architecture = env::var("CARGO_CFG_TARGET_ARCH")?;
    // Cranelift calls macOS by its kernel's name, as Rust's targets do.
    let system = match env::var("CARGO_CFG_TARGET_OS")? {
        system if system == "macos" => "darwin".to_owned(),
        system => system,
    };
    Ok(match env::var("CARGO_CFG_TARGET_ENV")?.as_str() {
        "" => format!("{architecture}-unknown-{system}"),
        environment => format!("{architecture}-unknown-{system}-{environment}"),
    })
}
