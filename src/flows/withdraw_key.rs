//! Withdraws one of a realm's signing keys: whatever it signed holds no longer.
//!
//! 1. Lock the signing keys: no server opens a keyring between.
//! 2. The next number of the feed, under the feed's lock, so that numbers follow commit order.
//! 3. Notify: every gate hears of it, in a message that another key signs.
//!
//! A server that runs goes on with the keyring that it opened, and nothing that it signs with this key is believed by a
//! gate. One that is started later makes another key. Where the key signs the feed itself, a running server falls silent,
//! and gates close, until it is started again.

use super::FlowError;
use crate::clock::Clock;
use crate::random;
use crate::store::{revocations, signing_keys};
use sqlx::PgPool;

/// Withdraws a key by its id. Answers false for one that never was the realm's, true also for one that was withdrawn
/// before.
///
/// # Errors
/// When the database is away: then nothing was withdrawn.
pub async fn withdraw_key(
    pool: &PgPool,
    clock: &Clock,
    realm: &str,
    kid: &str,
    cause: &str,
) -> Result<bool, FlowError> {
    let mut tx = pool.begin().await?;
    signing_keys::lock(&mut tx).await?;
    if !signing_keys::exists(&mut tx, realm, kid).await? {
        return Ok(false);
    }
    if revocations::is_withdrawn(&mut tx, realm, kid).await? {
        return Ok(true);
    }
    revocations::position(&mut tx, realm, random::opaque_id()).await?;
    revocations::append_withdrawal(&mut tx, realm, kid, cause, clock.now()).await?;
    tx.commit().await?;
    tracing::info!(kid, cause, "key.withdrawn");
    Ok(true)
}
