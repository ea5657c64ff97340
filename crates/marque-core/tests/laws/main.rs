//! The attenuation laws of the plan language, as properties, and the decision beside a second one.
//!
//! `cargo test --test laws` runs a quick part with fixed seeds; `make laws` runs the whole, over a
//! million pairs of envelopes, and prints the figures.

mod budgets;
mod generate;
mod ledger;
mod oracle;
mod pairs;
mod refused;
mod sample;
mod small;
mod support;
mod table;
mod universe;
