//! Step-up: a person approves one call, exactly as it will be executed.
//!
//! Reading order: a resource server signs a [`challenge`] for one call. Marque turns it into a [`document`], which a
//! person reads as [`mod@lines`] and signs with her passkey; what that proves is kept as [`evidence`].

pub mod challenge;
pub mod document;
pub mod evidence;
pub mod lines;

pub use challenge::{Challenge, ChallengeError};
pub use document::Document;
