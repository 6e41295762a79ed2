//! The `linkgate` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    linkgate::cli::main()
}
