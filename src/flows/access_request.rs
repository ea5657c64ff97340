//! A denial that can be asked for: `access_request` of the AuthZEN Access Request and Approval Profile (draft 1).
//!
//! 1. The call is outside the plan: what no plan would mend, and what the plan has and only the token has not, is not asked for. Nothing
//!    goes beyond an addition: what it does not permit is asked for beyond the plan that it adds to.
//! 2. The agent of the plan made it, with the key of the plan, and its proof covers this very call: whoever is on the way
//!    cannot have the person asked about another one.
//! 3. Marque signs what was denied and keeps nothing. [`request_access`](super::request_access) is where it is presented.

use super::approved_plans::{self, Approved};
use super::evaluate_access::Asked;
use super::{Context, FlowError};
use crate::keys::Purpose;
use crate::{random, store};
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::claims::Confirmation;
use marque_core::decide::{Offline, Refusal, decide_offline};
use marque_core::{names, timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Seconds within which a denial can be asked for: a program does so at once.
const GOOD_SECS: i64 = 240;
/// Members of the context that the decision depended on, beside the token.
const CONTEXT_MEMBERS: [&str; 3] = ["location", "environment", "records"];

/// What Marque signs of a denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Binding {
    iss: String,
    aud: String,
    iat: i64,
    pub(super) exp: i64,
    pub(super) jti: Uuid,
    /// `expires_at` of the denial.
    pub(super) denial_expires_at: String,
    /// The resource server that was answered.
    client_id: String,
    /// The agent.
    sub: String,
    /// Its key.
    pub(super) cnf: Confirmation,
    /// The intent that the call goes beyond.
    pub(super) intent: Uuid,
    /// Digest of its plan.
    pub(super) plan: Digest,
    /// Digest of agent, call and all of the context that counts.
    bound: Digest,
    binding_context_members: Vec<String>,
}

impl Binding {
    /// Whether it binds this call of this agent, for this resource server.
    pub(super) fn is_of(&self, cx: Context<'_>, client_id: &str, (agent, call): (&str, &Call)) -> bool {
        let is_ours = self.iss == cx.issuer() && self.aud == endpoint(cx);
        is_ours && self.client_id == client_id && self.sub == agent && self.bound == bound(agent, call)
    }
}

/// A denial with what it takes to ask for it.
#[derive(Clone, Debug)]
pub struct Requestable {
    /// `context.evaluation_id`.
    pub evaluation_id: Uuid,
    /// `context.access_request`.
    pub access_request: Value,
}

/// Where requests are handed in.
pub(super) fn endpoint(cx: Context<'_>) -> String {
    format!("{}/access/v1/requests", cx.issuer())
}

fn bound(agent: &str, call: &Call) -> Digest {
    Digest::of_canonical(&json!([agent, call.location, call.digest(), call.environment, call.records]))
}

/// Whether the call of an agent goes beyond an approved plan of its own, which is no addition to another one.
pub(super) async fn is_beyond(
    cx: Context<'_>,
    approved: &Approved,
    (agent, cnf): (&str, &Confirmation),
    call: &Call,
) -> Result<bool, FlowError> {
    let own = &approved.plan.agent;
    let is_outside = matches!(
        decide_offline(&approved.envelope, call, cx.now_secs()),
        Offline::Refused(refusal) if refusal.reason.is_outside_plan()
    );
    if !is_outside || own.client_id != agent || own.cnf != *cnf {
        return Ok(false);
    }
    Ok(!store::access_requests::is_addition(&mut *cx.app.db.look().await?, approved.intent_id).await?)
}

/// How to ask for what was denied; nothing where it cannot be asked for.
///
/// # Errors
/// When something that is needed is away.
pub(super) async fn of_denial(
    cx: Context<'_>,
    asked: &Asked<'_>,
    refusal: &Refusal,
) -> Result<Option<Requestable>, FlowError> {
    if !refusal.reason.is_outside_plan() || asked.proven.call_digest() != Some(asked.call_digest) {
        return Ok(None);
    }
    let approved = match approved_plans::approved(cx, asked.intent_id).await {
        Err(FlowError::Refused(_)) => return Ok(None),
        approved => approved?,
    };
    let (agent, call, now) = (&asked.evaluation.client_id, &asked.evaluation.call, cx.now_secs());
    if !is_beyond(cx, &approved, (agent, &asked.claims.cnf), call).await? {
        return Ok(None);
    }
    let (evaluation_id, exp) = (random::id(), now + GOOD_SECS);
    let expires_at = timestamp::format(exp).map_err(FlowError::internal)?;
    let binding = Binding {
        iss: cx.issuer().to_owned(),
        aud: endpoint(cx),
        iat: now,
        exp,
        jti: evaluation_id,
        denial_expires_at: expires_at.clone(),
        client_id: asked.client_id.to_owned(),
        sub: agent.clone(),
        cnf: asked.claims.cnf.clone(),
        intent: asked.intent_id,
        plan: approved.plan_digest,
        bound: bound(agent, call),
        binding_context_members: CONTEXT_MEMBERS.map(str::to_owned).to_vec(),
    };
    let access_request = json!({
        "endpoint": endpoint(cx),
        "template": names::DETAIL_PLAN,
        "expires_at": expires_at,
        "binding_token": cx.realm.keyring.sign(Purpose::AccessRequest, &binding)?,
        "display": {
            "title": "Ask for approval",
            "description": "The person is asked for this one call, beyond the plan that she approved.",
        },
    });
    Ok(Some(Requestable { evaluation_id, access_request }))
}
