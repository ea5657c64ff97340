//! Marque: a plan-before-execute authorization server for AI agents, companion to Keycloak.
//!
//! The rooms, and the one direction in which they know each other:
//! `main → cli → app → http → flows → { store, keycloak, passkey, keys, certificates } → marque-core`.
//!
//! | room | knows | must not know |
//! |---|---|---|
//! | [`http`] | bytes and typed commands, status codes | store, keycloak, keys |
//! | [`flows`] | the order of steps, transactions | axum, SQL text |
//! | [`store`] | rows and core types | flows, http, keycloak, the clock |
//! | [`keycloak`], [`passkey`], [`keys`], [`certificates`] | one outside thing each | store, flows, http |
//! | [`marks`] | what was seen of the database, in a file | store, flows, http |
//! | [`config`], [`environment`], [`clock`], [`random`] | the only readers of what they are named for | everything else |
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod app;
pub mod batch;
pub mod certificates;
pub mod cli;
pub mod clock;
pub mod config;
pub mod environment;
pub mod flows;
pub mod http;
pub mod keycloak;
pub mod keys;
pub mod marks;
pub mod passkey;
pub mod postgres;
pub mod random;
pub mod store;
