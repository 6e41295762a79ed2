//! Recording: what files a step found and left, what its command did, and the link that says so.
//!
//! [`collect()`](collect::collect) finds and hashes files, [`image`] looks up the digests of container images,
//! [`command`] runs the step's command, and [`link`] puts it all into the payload that a functionary signs.

pub mod collect;
pub mod command;
pub mod exclude;
pub mod hash;
pub mod image;
pub mod link;
pub mod path;
pub mod unfinished;
mod walk;
