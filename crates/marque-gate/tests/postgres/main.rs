//! The ledger in the resource server's own Postgres, on a real server.

mod alone;
#[path = "../common/mod.rs"]
mod common;
mod effects;
mod faults;
mod support;
mod uses;
