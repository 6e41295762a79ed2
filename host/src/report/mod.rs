//! What people read. Rendering decides nothing: it says what a verdict holds.

pub mod names;
pub mod text;
