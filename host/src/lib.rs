//! linkgate's native host: it records and signs links, supplies evidence to the embedded verifier, and prints what that says.

pub mod checker;
pub mod cli;
mod command;
pub mod draft;
pub mod evidence;
pub mod file;
pub mod gate;
pub mod inspection;
pub mod interrupt;
pub mod key;
pub mod memory;
pub mod metadata;
pub mod receipt;
pub mod record;
pub mod report;
pub mod runtime;
mod secret;
pub mod signer;
pub mod terminal;
