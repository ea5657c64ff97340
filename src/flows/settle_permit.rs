//! A resource server reports what became of a permitted call: the effect happened, or it did not.
//!
//! Only an open permit is settled, only by the resource server that was given it. One that is never
//! settled goes on counting as used, because nobody knows whether its effect happened.

use super::authenticate_resource_server::ResourceServer;
use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id};
use crate::store;
use marque_core::reason::Reason;

/// What became of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The effect happened: the use is spent.
    Committed,
    /// The effect surely did not happen: the use is given back.
    Released,
}

impl Outcome {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Released => "released",
        }
    }
}

/// Settles a permit. The same outcome again is answered again.
///
/// # Errors
/// Conflict with reason `permit_not_open` for a permit that is unknown here, over, or settled differently.
pub async fn settle_permit(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    intent_id: &str,
    permit_id: &str,
    outcome: Outcome,
) -> Result<(), FlowError> {
    let not_open =
        || Refusal::new(OAuthError::Conflict, Reason::PermitNotOpen.meaning()).because(Reason::PermitNotOpen);
    let (Some(intent), Some(id)) = (parse_intent_id(intent_id), parse_intent_id(permit_id)) else {
        return Err(not_open().into());
    };
    let now = cx.app.clock.now();
    let mut tx = cx.app.pool.begin().await?;
    let permit = store::permits::lock(&mut tx, intent, id, resource_server.client_id()).await?.ok_or_else(not_open)?;
    match permit.state.as_str() {
        state if state == outcome.word() => return Ok(()),
        "reserved" if now < permit.expires_at || outcome == Outcome::Committed => {}
        _ => return Err(not_open().into()),
    }
    store::permits::settle(&mut tx, intent, id, outcome.word(), now).await?;
    if outcome == Outcome::Released {
        store::permits::release_use(&mut tx, intent, &permit.step_id).await?;
    }
    tx.commit().await?;
    Ok(())
}
