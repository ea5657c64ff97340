//! A decision by a user's name, for a resource server that is switched to it: no token, no proof, no charge.
//!
//! 1. The resource server is switched to it, by one kind of names, and answers for the location.
//! 2. The live intents of the named user there, from verified evidence, the newest first.
//! 3. The same `decide` as everywhere, with the uses so far. The first intent that permits decides; of several
//!    refusals the one that came closest is told.
//!
//! What is given up: whoever acts is not known to be the agent that the plan names, nor to hold its key. Uses are read
//! and not counted, so that for a counted step the answer is advice: it says what a call with a token would meet now.

use super::approved_plans::Approved;
use super::authenticate_resource_server::ResourceServer;
use super::live_intents::{self, facts_now};
use super::{Context, FlowError};
use marque_core::call::Call;
use marque_core::decide::{self, Decision, Offline, decide, decide_offline};
use marque_core::reason::Reason;
use uuid::Uuid;

/// The AuthZEN subject type of a realm's users.
pub const USER: &str = "user";

/// A call that a resource server asks about by the subject's name.
#[derive(Clone, Debug)]
pub struct Named {
    /// `subject.type`.
    pub kind: String,
    /// `subject.id`.
    pub id: String,
    /// `context.location`, where stated.
    pub location: Option<String>,
    /// The concrete call; its location is filled in here.
    pub call: Call,
}

/// The answer. No use was counted.
#[derive(Clone, Debug)]
pub enum Advised {
    /// A live intent of the subject permits the call now.
    Permit {
        /// The intent.
        intent_id: Uuid,
        /// The step that fits.
        step: String,
    },
    /// None does.
    Refused(Box<decide::Refusal>, Option<Uuid>),
}

/// Decides by the subject's name.
///
/// # Errors
/// `invalid_target` if the resource server does not answer for the location.
pub async fn resolve_by_subject(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    named: &Named,
) -> Result<Advised, FlowError> {
    let location = resource_server.location(named.location.as_deref())?;
    let Some(property) = resource_server.resolves_by() else { return Ok(refused(Reason::TokenMissing)) };
    if named.kind != USER {
        return Ok(refused(Reason::NoLiveIntent));
    }
    let call = Call { location: location.to_owned(), ..named.call.clone() };
    let mut closest = refused(Reason::NoLiveIntent);
    for approved in live_intents::find(cx, location, Some(property.of(&named.id)), live_intents::INTENTS).await? {
        match judge(cx, &approved, &call).await? {
            permit @ Advised::Permit { .. } => return Ok(permit),
            refused if reason(&refused) > reason(&closest) => closest = refused,
            Advised::Refused(..) => {}
        }
    }
    Ok(closest)
}

fn refused(reason: Reason) -> Advised {
    Advised::Refused(Box::new(decide::Refusal { reason, nearest: None }), None)
}

fn reason(advised: &Advised) -> Option<Reason> {
    match advised {
        Advised::Permit { .. } => None,
        Advised::Refused(refusal, _) => Some(refusal.reason),
    }
}

async fn judge(cx: Context<'_>, approved: &Approved, call: &Call) -> Result<Advised, FlowError> {
    let (intent_id, envelope) = (approved.intent_id, &approved.envelope);
    // Most intents of a user are about something else, and the ledger need not be asked about those.
    if let Offline::Refused(refusal) = decide_offline(envelope, call, cx.now_secs()) {
        return Ok(Advised::Refused(Box::new(refusal), Some(intent_id)));
    }
    let facts = facts_now(cx, intent_id, envelope).await?;
    Ok(match decide(envelope, call, &facts, cx.now_secs()) {
        Decision::Permit(step) => Advised::Permit { intent_id, step: step.id.clone() },
        Decision::StepUp(_) => {
            let refusal = decide::Refusal { reason: Reason::StepUpRequired, nearest: None };
            Advised::Refused(Box::new(refusal), Some(intent_id))
        }
        Decision::Escalate(refusal) | Decision::Deny(refusal) => Advised::Refused(Box::new(refusal), Some(intent_id)),
    })
}
