//! What all tests stand on: the stack, clients with keys, other servers, a realm that the tests control.

pub mod document;
pub mod jose;
pub mod keys;
pub mod middlebox;
pub mod person;
pub mod plans;
pub mod realm;
pub mod reply;
pub mod server;
pub mod sse;
pub mod stack;

use std::time::Duration;

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
