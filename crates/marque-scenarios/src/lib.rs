//! Reads `vectors/scenarios`, for the tests that play them against the library and the gates. What the words mean is in
//! the README there. For tests alone: what does not fit panics.

pub mod book;
pub mod format;
pub mod story;
pub mod tag;

/// 2026-11-22T03:00:00Z: the time of a story that does not say another.
pub const NOW: i64 = 1_795_316_400;
/// The name of the token that carries the whole plan.
pub const AGENT: &str = "agent";
/// The Marque issuer of all stories.
pub const ISSUER: &str = "https://marque.example";
