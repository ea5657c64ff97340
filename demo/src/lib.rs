//! The demonstration of Marque on real servers: Postgres, Keycloak, `marque serve`, a resource server, a worker,
//! and a scripted person with a passkey.

pub mod agent;
pub mod authzen;
pub mod clients;
pub mod env;
pub mod place;
pub mod stack;
pub mod story;

mod browser;
mod keycloak;
mod keys;
mod processes;

/// What went wrong, in words for the person at the terminal.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
/// The result of a part of the demonstration.
pub type Result<T> = std::result::Result<T, Failure>;

/// Names the thing that an error is about.
pub(crate) fn about<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> Failure {
    move |error| format!("{what}: {error}").into()
}
