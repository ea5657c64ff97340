//! Revocation of one token by the client that holds it (RFC 7009).
//!
//! An intent token stands for its intent: both end, with everything that came from them. Any other token ends with what was
//! exchanged for it, hop after hop; the intent and its other tokens go on. Here, the client alone says whose a token is:
//! one that lost its proof key can still end what is bound to it.
//!
//! 1. The token is one of this client's. Whatever else it is, nothing happens.
//! 2. Lock the intent: mints hold it for share, so a token is either among those that end, or refused.
//! 3. The next numbers of the feed, one for each token that is not over.
//! 4. Notify.

use super::authenticate_client::IdentifiedClient;
use super::own_tokens::{Kind, OwnToken, read};
use super::revoke_intent::revoke_intent;
use super::{Context, FlowError};
use crate::store;
use marque_core::lifecycle::IntentState;

/// What the rows of the feed say of why.
const CAUSE: &str = "revoked by its holder";

/// Revokes a token of the client's.
///
/// # Errors
/// When the database is away: then nothing was revoked.
pub async fn revoke_token(cx: Context<'_>, client: &IdentifiedClient, token: &str) -> Result<(), FlowError> {
    match read(cx, token).filter(|own| own.client_id() == client.client_id()) {
        None => Ok(()),
        Some(own) if own.kind == Kind::Intent => revoke_intent(cx, own.intent_id, CAUSE).await,
        Some(own) => revoke_below(cx, &own).await,
    }
}

async fn revoke_below(cx: Context<'_>, own: &OwnToken) -> Result<(), FlowError> {
    let (mut tx, now) = (cx.app.db.begin().await?, cx.app.clock.now());
    let intent = store::intents::lock(&mut tx, cx.realm_name(), own.intent_id).await?;
    let is_live = |state| matches!(state, IntentState::Active | IntentState::Suspended);
    if !intent.is_some_and(|intent| is_live(intent.state())) {
        return Ok(());
    }
    let tokens = store::tokens::subtree(&mut tx, own.intent_id, own.jti, now).await?;
    if tokens.is_empty() {
        return Ok(());
    }
    store::revocations::append_tokens(&mut tx, cx.realm_name(), own.intent_id, &tokens, CAUSE, now).await?;
    tx.commit().await?;
    tracing::info!(intent = %own.intent_id, token = %own.jti, ended = tokens.len(), "token.revoked");
    Ok(())
}
