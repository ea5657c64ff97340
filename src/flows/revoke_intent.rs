//! Revocation: one transaction ends an intent, everything that was derived from it, and tells the feed.
//!
//! 1. Lock the intent: mints hold it for share, so a token is either before this or refused.
//! 2. Its state.
//! 3. The next number of the feed, under the feed's lock, so that numbers follow commit order.
//! 4. Notify.

use super::{Context, FlowError};
use crate::store;
use marque_core::lifecycle::Event;
use sqlx::PgConnection;
use uuid::Uuid;

/// Ends an intent. One that is over already stays as it is.
///
/// # Errors
/// When the database is away: then nothing was revoked.
pub async fn revoke_intent(cx: Context<'_>, intent_id: Uuid, cause: &str) -> Result<(), FlowError> {
    let mut tx = cx.app.db.begin().await?;
    revoke_locked(&mut tx, cx, intent_id, cause).await?;
    tx.commit().await?;
    Ok(())
}

/// [`revoke_intent`] inside its caller's transaction.
pub(super) async fn revoke_locked(
    tx: &mut PgConnection,
    cx: Context<'_>,
    intent_id: Uuid,
    cause: &str,
) -> Result<(), FlowError> {
    let Some(intent) = store::intents::lock(tx, cx.realm_name(), intent_id).await? else { return Ok(()) };
    let Ok(state) = intent.state().after(Event::Revoke) else { return Ok(()) };
    let now = cx.app.clock.now();
    store::intents::set_state(tx, intent_id, state, None, now).await?;
    store::revocations::append(tx, cx.realm_name(), intent_id, cause, intent.expires_at, now).await?;
    tracing::info!(intent = %intent_id, cause, "intent.revoked");
    Ok(())
}
