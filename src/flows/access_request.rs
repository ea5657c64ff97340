//! How a denied call could be asked for: `access_request` of the AuthZEN Access Request and Approval Profile (draft 1).

use super::submit_plan::PENDING;
use super::{Context, FlowError};
use marque_core::reason::Reason;
use marque_core::{names, timestamp};
use serde_json::{Value, json};

/// The object for a denial that a plan would mend; nothing for every other.
///
/// What is submitted is a plan, by the agent itself and for a person to sign: `template` says so, and `endpoint` is
/// where plans go. A resource server cannot submit for the agent, so the profile's own endpoint is not offered.
///
/// # Errors
/// When the instant cannot be written.
pub fn for_denial(cx: Context<'_>, reason: Reason) -> Result<Option<Value>, FlowError> {
    if !reason.is_outside_plan() && reason != Reason::NoLiveIntent {
        return Ok(None);
    }
    let expires_at = (cx.app.clock.now() + PENDING).unix_timestamp();
    Ok(Some(json!({
        "endpoint": format!("{}/plans", cx.issuer()),
        "template": names::DETAIL_PLAN,
        "expires_at": timestamp::format(expires_at).map_err(FlowError::internal)?,
        "display": {
            "title": "Ask for approval",
            "description": "The agent submits a plan that holds this call, and the person approves it.",
        },
    })))
}
