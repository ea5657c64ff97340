//! What is measured, one file each. Every figure prepares what it needs by itself.

pub mod chain;
pub mod decisions;
pub mod exchange;
pub mod grant;
pub mod keycloak;
pub mod mutual;
pub mod pooled;
pub mod reading;
pub mod revocation;
pub mod rows;
pub mod start;
