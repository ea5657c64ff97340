//! What an auditor takes away: an evidence file, and the trust file that anchors it.

use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id};
use crate::store;
use serde_json::{Value, json};
use uuid::Uuid;

/// The evidence file of an intent, or of a step-up, byte for byte as it was kept.
///
/// # Errors
/// Not found if there is no such approval.
pub async fn export_evidence(cx: Context<'_>, id: &str) -> Result<Vec<u8>, FlowError> {
    let unknown = || Refusal::new(OAuthError::NotFound, "there is no approval of this intent or step-up");
    let id = parse_intent_id(id).ok_or_else(unknown)?;
    let mut conn = cx.app.db.look().await?;
    let kept = if store::step_ups::find(&mut conn, cx.realm_name(), id).await?.is_some() {
        store::approvals::find_step_up_evidence(&mut conn, id).await?
    } else {
        store::intents::find(&mut conn, cx.realm_name(), id).await?.ok_or_else(unknown)?;
        store::approvals::find_evidence(&mut conn, id).await?
    };
    Ok(kept.ok_or_else(unknown)?)
}

/// The approved step-ups of an intent, in the order of their approval.
///
/// # Errors
/// Not found if there is no such intent.
pub async fn list_step_ups(cx: Context<'_>, intent_id: &str) -> Result<Vec<Uuid>, FlowError> {
    let unknown = || Refusal::new(OAuthError::NotFound, "there is no such intent");
    let id = parse_intent_id(intent_id).ok_or_else(unknown)?;
    let mut conn = cx.app.db.look().await?;
    store::intents::find(&mut conn, cx.realm_name(), id).await?.ok_or_else(unknown)?;
    Ok(store::approvals::step_ups_of(&mut conn, id).await?)
}

/// The trust file as of now: the issuers and the keys that they publish. An auditor compares its
/// thumbprints with what the operators of both tell her by another way.
///
/// # Errors
/// When the realm cannot be asked.
pub async fn export_trust(cx: Context<'_>) -> Result<Value, FlowError> {
    let realm = cx.realm.realm_keys.published(&cx.realm.keycloak).await?;
    Ok(json!({
        "marque": {"issuer": cx.issuer(), "jwks": cx.realm.keyring.jwks()},
        "realm": {"issuer": cx.realm.config.keycloak_issuer, "jwks": realm},
    }))
}
