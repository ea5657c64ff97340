//! Withdraws one of a realm's signing keys: whatever it signed holds no longer.
//!
//! 1. Lock the signing keys: no server opens a keyring between.
//! 2. The next number of the feed, under the feed's lock, so that numbers follow commit order.
//! 3. Notify: every gate hears of it, in a message that another key signs.
//!
//! A server that runs hears of it as well (`follow_revocations`): it believes and publishes the key no longer, and makes
//! another one for what it signed.

use super::{Context, FlowError};
use crate::random;
use crate::store::{revocations, signing_keys};

/// Withdraws a key by its id. Answers false for one that never was the realm's, true also for one that was withdrawn
/// before.
///
/// # Errors
/// When the database is away: then nothing was withdrawn.
pub async fn withdraw_key(cx: Context<'_>, kid: &str, cause: &str) -> Result<bool, FlowError> {
    let realm = cx.realm_name();
    let mut tx = cx.app.db.begin().await?;
    signing_keys::lock(&mut tx).await?;
    if !signing_keys::exists(&mut tx, realm, kid).await? {
        return Ok(false);
    }
    if revocations::is_withdrawn(&mut tx, realm, kid).await? {
        return Ok(true);
    }
    revocations::position(&mut tx, realm, random::opaque_id()).await?;
    revocations::append_withdrawal(&mut tx, realm, kid, cause, cx.app.clock.now()).await?;
    tx.commit().await?;
    tracing::info!(kid, cause, "key.withdrawn");
    Ok(true)
}
