//! linkgate's native host: it records and signs links, supplies evidence to the embedded verifier, and prints what that says.

pub mod cli;
mod command;
