//! Builds the verifier's packagings for WebAssembly: core modules, of which `linkgate-component` is yet to be encoded as a
//! component.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "wasm32-unknown-unknown";

/// No names, and every index in as few bytes as it needs: the linker leaves room for relocation otherwise. The memory has
/// a maximum, what the largest request takes, for engines that cannot bound it themselves. Functions that cost more than 15
/// instructions are not copied to where they are called: above that a module grows and does not become faster.
const FLAGS: [&str; 6] = [
    "-Cllvm-args=-inline-threshold=15",
    "-Clink-arg=--strip-all",
    "-Clink-arg=--compress-relocations",
    "-Clink-arg=-O2",
    "-Clink-arg=--max-memory=2147483648",
    "--cfg=sha2_backend_soft=\"compact\"",
];

fn main() -> Result<(), Box<dyn Error>> {
    let guest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    for input in [
        "src",
        "Cargo.toml",
        "arithmetic/src",
        "arithmetic/Cargo.toml",
        "component/src",
        "component/Cargo.toml",
        "core-module/src",
        "core-module/Cargo.toml",
        "image/src",
        "image/Cargo.toml",
        "kubewarden/src",
        "kubewarden/Cargo.toml",
        "proxy-wasm/src",
        "proxy-wasm/Cargo.toml",
        "runtime/src",
        "runtime/Cargo.toml",
        "../Cargo.lock",
        "../Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={}", guest.join(input).display());
    }
    println!("cargo::rerun-if-env-changed=CARGO_HOME");
    require_target()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for (package, file) in [
        ("linkgate-component", "verifier.component.wasm"),
        ("linkgate-core-module", "verifier.core.wasm"),
        ("linkgate-proxy-wasm", "verifier.proxy.wasm"),
        ("linkgate-kubewarden", "verifier.kubewarden.wasm"),
    ] {
        build(&guest, &out, package, file)?;
    }
    println!(
        "cargo::metadata=COMPONENT={}",
        out.join("verifier.component.wasm").display()
    );
    Ok(())
}

/// Builds a packaging, each in a call of its own, so that no packaging gets another's features. The target folder is one of
/// their own, since the build that runs this script holds the lock of the other.
fn build(guest: &Path, out: &Path, package: &str, file: &str) -> Result<(), Box<dyn Error>> {
    let target = out.join("target");
    let status = Command::new(env::var("CARGO")?)
        .args(["build", "--locked", "--profile", "wasm", "--package", package])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target)
        .current_dir(guest)
        // What was meant for the host's architecture is not meant for this one.
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", flags()?)
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        // Nor is a folder of intermediate files that the outer build has locked.
        .env_remove("CARGO_BUILD_BUILD_DIR")
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !status.success() {
        return Err(format!("{package} did not build").into());
    }
    let module = target.join(format!("{TARGET}/wasm/{}.wasm", package.replace('-', "_")));
    fs::copy(&module, out.join(file)).map_err(|error| format!("cannot copy {}: {error}", module.display()))?;
    Ok(())
}

/// Panics name the files of dependencies: by a path that is the same wherever Cargo keeps them, so that equal sources give equal
/// bytes, which do not tell whose machine made them. The project's own are relative already.
fn flags() -> Result<OsString, Box<dyn Error>> {
    let cargo = match env::var_os("CARGO_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => env::home_dir()
            .ok_or("there is no home folder, and no CARGO_HOME")?
            .join(".cargo"),
    };
    let mut flags = OsString::from(FLAGS.join("\x1f"));
    flags.push("\x1f--remap-path-prefix=");
    flags.push(cargo.join("registry/src"));
    flags.push("=registry");
    Ok(flags)
}

/// A missing target shows as hundreds of errors about `core`; better one sentence.
fn require_target() -> Result<(), Box<dyn Error>> {
    let printed = Command::new(env::var("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("cannot start rustc: {error}"))?;
    let library = String::from_utf8(printed.stdout)?;
    if !Path::new(library.trim()).is_dir() {
        println!("cargo::error=the Rust target {TARGET} is missing: run `rustup target add {TARGET}`");
        std::process::exit(1);
    }
    Ok(())
}
