//! A pure in-toto verifier: a request of bytes goes in, a verdict comes out.
//!
//! There is no clock, file, network, randomness or thread here, and without the standard library there cannot be: time is an argument, evidence is bytes, and a signature
//! check may be answered by the host that embeds the verifier. [`verify::verify`] and [`verify::plan`] are the two
//! questions; [`request::Request`] and [`verdict::Answer`] are what goes in and out.
//!
//! How a request travels: [`envelope`] and [`json`] open documents, [`layout`] and [`link`] parse them into typed data,
//! [`trust`] decides whether the layout is believed, [`evidence`] counts what speaks for each step, [`flow`] judges the
//! artifact rules, [`chain`] holds these together for a layout and its sublayouts, and [`subject`] looks for what was
//! asked about.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod artifact;
pub mod canonical;
pub mod chain;
mod der;
pub mod envelope;
pub mod evidence;
pub mod flow;
pub mod index;
pub mod instant;
pub mod json;
pub mod key;
pub mod layout;
pub mod limits;
pub mod link;
pub mod parameter;
pub mod pattern;
pub mod payload;
pub mod plan;
mod prelude;
pub mod request;
pub mod rule;
mod run;
mod scheme;
pub mod signature;
pub mod subject;
mod threshold;
pub mod trust;
pub mod verdict;
pub mod verify;
