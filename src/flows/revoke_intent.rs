//! Revocation: one transaction ends an intent, everything that was derived from it, and tells the feed.
//!
//! 1. Lock the intent, and every plan that was asked for beyond it: mints hold them for share, so a token is either before
//!    this or refused.
//! 2. Their state.
//! 3. The next number of the feed for each, under the feed's lock, so that numbers follow commit order.
//! 4. Notify.

use super::{Context, FlowError};
use crate::store;
use crate::store::intents::Intent;
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
    // All of them are locked before the feed is: who revokes only one of them waits for it with nothing that this needs.
    let (mut found, mut ending) = (vec![intent_id], Vec::new());
    while let Some(intent_id) = found.pop() {
        let Some(intent) = store::intents::lock(tx, cx.realm_name(), intent_id).await? else { continue };
        found.extend(store::access_requests::beyond(tx, intent_id).await?);
        ending.push(intent);
    }
    for intent in ending {
        end(tx, cx, &intent, cause).await?;
    }
    Ok(())
}

async fn end(tx: &mut PgConnection, cx: Context<'_>, intent: &Intent, cause: &str) -> Result<(), FlowError> {
    let Ok(state) = intent.state().after(Event::Revoke) else { return Ok(()) };
    let (intent_id, now) = (intent.intent_id, cx.app.clock.now());
    store::intents::set_state(tx, intent_id, state, None, now).await?;
    store::revocations::append(tx, cx.realm_name(), intent_id, cause, intent.expires_at, now).await?;
    tracing::info!(intent = %intent_id, cause, "intent.revoked");
    Ok(())
}
