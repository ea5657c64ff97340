//! What is measured, one file each. Every figure prepares what it needs by itself.

pub mod decisions;
pub mod exchange;
pub mod revocation;
