//! The ledger in the resource server's own Postgres, on a real server.

mod alone;
#[path = "../common/mod.rs"]
mod common;
mod effects;
mod faults;
mod one_ledger;
#[path = "../player/mod.rs"]
mod player;
mod stories;
mod support;
mod uses;
