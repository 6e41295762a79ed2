//! One verb a file; what several verbs take stands in [`recording`] and [`signing`].

pub(crate) mod aliases;
pub(crate) mod completions;
pub(crate) mod component;
pub(crate) mod demo;
pub(crate) mod key;
pub(crate) mod keygen;
pub(crate) mod man;
pub(crate) mod match_products;
pub(crate) mod mock;
pub(crate) mod record;
mod recording;
pub(crate) mod run;
pub(crate) mod sign;
mod signing;
pub(crate) mod verify;
pub(crate) mod version;
