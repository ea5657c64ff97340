//! The exact readings of concrete values that constraints compare.
//!
//! Each reading either says exactly what a value is or refuses it. None repairs, rounds or guesses.

pub mod decimal;
pub mod expr;
pub mod host;
pub mod instant;
pub mod path;
pub mod pattern;
