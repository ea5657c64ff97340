//! The only source of randomness: the operating system's, by way of the crypto library.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use marque_core::canonical::encode;
use uuid::Uuid;

/// 32 random bytes.
///
/// # Errors
/// When the operating system gives none.
pub fn bytes32() -> Result<[u8; 32], RandomError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes)
}

/// A secret of 256 bits as 43 characters of base64url.
///
/// # Errors
/// When the operating system gives none.
pub fn secret() -> Result<String, RandomError> {
    bytes32().map(|bytes| encode(&bytes))
}

/// An id whose order follows time (UUID version 7). Not a secret.
#[expect(clippy::disallowed_methods, reason = "the one place that draws ids")]
pub fn id() -> Uuid {
    Uuid::now_v7()
}

/// An id that tells nothing (UUID version 4).
#[expect(clippy::disallowed_methods, reason = "the one place that draws ids")]
pub fn opaque_id() -> Uuid {
    Uuid::new_v4()
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct RandomError;
