//! linkgate's native host: it records and signs links, supplies evidence to the embedded verifier, and prints what that says.

pub mod checker;
pub mod cli;
mod command;
pub mod key;
pub mod signer;
