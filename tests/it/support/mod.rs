//! What all tests stand on: the stack, clients with keys, other servers, a realm that the tests control.

pub mod document;
pub mod jose;
pub mod keys;
pub mod load;
pub mod middlebox;
pub mod person;
pub mod places;
pub mod plans;
pub mod realm;
pub mod reply;
pub mod server;
pub mod sign_in;
pub mod sse;
pub mod stack;

use std::time::Duration;

/// How much of a long test is done: all of it by `make faults`, a share of it by `make test`.
pub fn share<T>(all: T, share: T) -> T {
    if std::env::var("MARQUE_FAULTS").is_ok_and(|faults| faults == "all") { all } else { share }
}

/// Longer than anything healthy takes: only what hangs comes here.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until something is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !look().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not so after {} s", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
