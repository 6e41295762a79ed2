//! Where evidence comes from.

pub mod folder;
