//! A pure in-toto verifier: a request of bytes goes in, a verdict comes out.
//!
//! There is no clock, file, network, randomness or thread here: time is an argument, evidence is bytes, and a signature
//! check may be answered by the host that embeds the verifier.

pub mod artifact;
pub mod canonical;
mod der;
pub mod envelope;
pub mod instant;
pub mod json;
pub mod key;
pub mod limits;
pub mod signature;
