//! Builds the verifier's packagings for WebAssembly, and leaves them for the host to embed: the component, encoded and
//! precompiled, the core module, and the modules for Envoy and Kubewarden.
//!
//! The host's wasmtime has no compiler: what is precompiled here is what runs. The precompilation targets a baseline
//! processor, so that a binary built on one machine runs on every other of its architecture.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, anyhow, ensure};

const TARGET: &str = "wasm32-unknown-unknown";

/// No names, and every index in as few bytes as it needs: the linker leaves room for relocation otherwise. The memory has
/// a maximum, what the largest request takes, for engines that cannot bound it themselves.
const LINKER_FLAGS: [&str; 5] = [
    "-Clink-arg=--strip-all",
    "-Clink-arg=--compress-relocations",
    "-Clink-arg=-O2",
    "-Clink-arg=--max-memory=2147483648",
    "--cfg=sha2_backend_soft=\"compact\"",
];

/// A core module reads and writes JSON beside what the component does: its verifier is compiled for size throughout.
const SMALL: &str = r#"profile.wasm.package.linkgate-verifier.opt-level="z""#;

fn main() -> anyhow::Result<()> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?)
        .parent()
        .context("the host lies in the workspace")?
        .to_owned();
    for input in [
        "guest/src",
        "guest/Cargo.toml",
        "guest/arithmetic/src",
        "guest/arithmetic/Cargo.toml",
        "guest/component/src",
        "guest/component/Cargo.toml",
        "guest/core-module/src",
        "guest/core-module/Cargo.toml",
        "guest/image/src",
        "guest/image/Cargo.toml",
        "guest/kubewarden/src",
        "guest/kubewarden/Cargo.toml",
        "guest/proxy-wasm/src",
        "guest/proxy-wasm/Cargo.toml",
        "guest/runtime/src",
        "guest/runtime/Cargo.toml",
        "wit/verifier.wit",
        "Cargo.lock",
        "Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let guests = guests(&out)?;
    require_target()?;
    let module = build_module(&root, &guests, "linkgate-component", &[])?;
    let component = wit_component::ComponentEncoder::default()
        .module(&fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?)?
        .validate(true)
        .encode()
        .context("cannot encode the component")?;
    fs::write(out.join("verifier.wasm"), &component)?;
    let precompiled =
        precompile(&component, &target()?).map_err(|error| anyhow!("cannot precompile the component: {error:#}"))?;
    fs::write(out.join("verifier.cwasm"), precompiled)?;
    let small: &[&str] = &["--config", SMALL];
    for (package, options, file) in [
        ("linkgate-core-module", small, "verifier.core.wasm"),
        ("linkgate-proxy-wasm", &[], "verifier.proxy.wasm"),
        ("linkgate-kubewarden", &[], "verifier.kubewarden.wasm"),
    ] {
        let module = build_module(&root, &guests, package, options)?;
        fs::copy(&module, out.join(file)).with_context(|| format!("cannot copy {}", module.display()))?;
    }
    Ok(())
}

/// Where the packagings are built: a target folder of their own, since this build holds the lock of the other. It lies beside
/// the folders that Cargo gives this script for each of the host's features: what they build is the same.
fn guests(out: &Path) -> anyhow::Result<PathBuf> {
    let beside = out
        .ancestors()
        .nth(2)
        .context("OUT_DIR lies in a folder of this script's")?;
    Ok(beside.join("linkgate-guests"))
}

/// Builds a packaging as a core module, each in a call of its own, so that no packaging gets another's features.
fn build_module(root: &Path, guests: &Path, package: &str, options: &[&str]) -> anyhow::Result<PathBuf> {
    let status = Command::new(env::var("CARGO")?)
        .args(["build", "--locked", "--profile", "wasm", "--package", package])
        .args(options)
        .args(["--target", TARGET, "--target-dir"])
        .arg(guests)
        .current_dir(root)
        // What was meant for the host's architecture is not meant for this one.
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", LINKER_FLAGS.join("\x1f"))
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "{package} did not build");
    let file = format!("wasm/{}.wasm", package.replace('-', "_"));
    Ok(guests.join(TARGET).join(file))
}

/// A missing target shows as hundreds of errors about `core`; better one sentence.
fn require_target() -> anyhow::Result<()> {
    let printed = Command::new(env::var("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .context("cannot start rustc")?;
    let library = String::from_utf8(printed.stdout)?;
    if !Path::new(library.trim()).is_dir() {
        println!("cargo::error=the Rust target {TARGET} is missing: run `rustup target add {TARGET}`");
        std::process::exit(1);
    }
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
    let system = env::var("CARGO_CFG_TARGET_OS")?;
    Ok(match env::var("CARGO_CFG_TARGET_ENV")?.as_str() {
        "" => format!("{architecture}-unknown-{system}"),
        environment => format!("{architecture}-unknown-{system}-{environment}"),
    })
}
