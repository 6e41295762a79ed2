//! The host's tests in one program: each would link the WebAssembly runtime for itself, which takes longer than they do.

mod cases;
mod component;
mod keys;
mod place;
mod readme;
mod record;
mod remains;
mod secrets;
mod shown;
mod verbs;
mod wycheproof;
