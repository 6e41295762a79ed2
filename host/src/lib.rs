//! linkgate's native host: it records and signs links, supplies evidence to the embedded verifier, and prints what that says.

pub mod checker;
pub mod cli;
mod command;
pub mod file;
pub mod key;
pub mod metadata;
pub mod record;
pub mod signer;
pub mod terminal;
