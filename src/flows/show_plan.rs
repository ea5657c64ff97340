//! The submitting agent reads its plan as it was completed, and where it stands.

use super::authenticate_client::AuthenticatedClient;
use super::pending_plan::{PRESENTED_BYTES, approval_uri};
use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id};
use crate::store;
use crate::store::intents::Intent;
use marque_core::canonical::Digest;
use marque_core::json;
use marque_core::lifecycle::IntentState;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

/// A plan and where it stands.
#[derive(Clone, Debug)]
pub struct OwnPlan {
    /// The intent.
    pub intent_id: Uuid,
    /// `pending`, `approved`, `denied`, `active`, `revoked`, or `expired` if its time is over.
    pub state: &'static str,
    /// Digest of the resolved plan.
    pub plan_digest: Digest,
    /// Where the person decides.
    pub approval_uri: String,
    /// Seconds until the person can no longer decide, or until the plan ends if she did; 0 where nothing can come of it.
    pub expires_in: i64,
    /// Seconds between two polls.
    pub interval: i64,
    /// The resolved plan.
    pub plan: Value,
}

/// A client's own plan.
///
/// # Errors
/// `not_found`, alike for what is not there and what is another client's.
pub async fn show_plan(cx: Context<'_>, client: &AuthenticatedClient, intent_id: &str) -> Result<OwnPlan, FlowError> {
    let unknown = || Refusal::new(OAuthError::NotFound, "this client has no such plan");
    let id = parse_intent_id(intent_id).ok_or_else(unknown)?;
    let mut conn = cx.app.db.look().await?;
    let found = store::intents::find(&mut conn, cx.realm_name(), id).await?;
    let intent = found.filter(|intent| intent.client_id == client.client_id()).ok_or_else(unknown)?;
    let (state, until) = standing(&intent, cx.app.clock.now());
    let canonical = store::intents::plan(&mut conn, id).await?;
    let plan = json::parse_plan(&canonical, PRESENTED_BYTES).map_err(FlowError::internal)?;
    Ok(OwnPlan {
        intent_id: id,
        state,
        plan_digest: Digest::of(&canonical),
        approval_uri: approval_uri(cx, id),
        expires_in: until.map_or(0, |until| (until - cx.app.clock.now()).whole_seconds().max(0)),
        interval: i64::from(intent.poll_interval_secs),
        plan,
    })
}

fn standing(intent: &Intent, now: OffsetDateTime) -> (&'static str, Option<OffsetDateTime>) {
    let until = match intent.state() {
        IntentState::Denied | IntentState::Revoked => return (intent.state().word(), None),
        IntentState::Pending => intent.pending_until.min(intent.expires_at),
        IntentState::Approved | IntentState::Active | IntentState::Suspended => intent.expires_at,
    };
    if now >= until { ("expired", None) } else { (intent.state().word(), Some(until)) }
}
