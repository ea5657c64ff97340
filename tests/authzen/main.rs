//! The certification scenario of the AuthZEN Authorization API 1.0, as a black box: HTTP against a running stack into
//! which `demo authzen-fixture` (`make authzen-fixture`) loaded the scenario's fixture. `MARQUE_STACK` names the
//! stack's env.json. Every sub-level has its module; every test of the scenario is here.
#![allow(
    clippy::disallowed_methods,
    reason = "an outside party reads its own environment, and verifies tokens with a library of its own"
)]

mod asker;
mod basic;
mod batch;
mod discovery;
mod live;
mod search;
