//! Asks the Kubewarden policy as the policy server does: the crates `wapc` and `wasmtime-provider`, an engine with epochs,
//! and a deadline for each call.
//!
//!     kubewarden-host MODULE OPERATION < MESSAGE
//!
//! It prints the answer. What the host would refuse for, it says on standard error, and exits with 1.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use wapc::WapcHost;
use wasmtime_provider::wasmtime::{Config, Engine, Module};
use wasmtime_provider::{EpochDeadlines, WasmtimeEngineProviderBuilder};

const TICK: Duration = Duration::from_millis(10);
/// The policy server's usual deadline: 2 s.
const TICKS: u64 = 200;

fn main() -> ExitCode {
    match ask() {
        Ok(answer) => match std::io::stdout().write_all(&answer) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn ask() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, module, operation] = arguments.as_slice() else {
        return Err("usage: kubewarden-host MODULE OPERATION < MESSAGE".into());
    };
    let mut message = Vec::new();
    std::io::stdin().read_to_end(&mut message)?;
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config)?;
    let module = Module::from_file(&engine, module)?;
    let ticking = engine.clone();
    thread::spawn(move || {
        loop {
            thread::sleep(TICK);
            ticking.increment_epoch();
        }
    });
    let provider = WasmtimeEngineProviderBuilder::new()
        .engine(engine)
        .module(module)
        .enable_epoch_interruptions(EpochDeadlines {
            wapc_init: TICKS,
            wapc_func: TICKS,
        })
        .build()?;
    let host = WapcHost::new(Box::new(provider), None)?;
    Ok(host.call(operation, &message)?)
}
