//! What an exchange may say beside the steps: who may act next, and in what environment the request came.

use super::authenticate_client::AuthenticatedClient;
use super::error::bad_input;
use super::{Context, FlowError, OAuthError, Refusal};
use marque_core::claims::{Actor, MayAct};
use marque_core::json;
use marque_core::plan::ResolvedPlan;
use marque_core::reason::Reason;
use serde_json::{Map, Value};

/// Bytes of `request_context` and `may_act`: both travel on in the token.
const BYTES: usize = 512;

/// Whether a client may exchange a token that another one holds: the signed plan lists it, or the holder named it.
pub(super) fn is_named(plan: &ResolvedPlan, client_id: &str, named: Option<&MayAct>) -> bool {
    plan.is_delegate(client_id) || named.is_some_and(|named| named.sub == client_id)
}

/// Whether a client was given a step that the parent token has. Who is not in the plan got the token from its holder, with
/// all that is in it; what the plan gives to a delegate is not made more by being named.
pub(super) fn was_given(plan: &ResolvedPlan, client_id: &str, step: &str) -> bool {
    let is_in_plan = plan.agent.client_id == client_id || plan.is_delegate(client_id);
    !is_in_plan || plan.may_carry_out(client_id, step)
}

/// Whom the child's holder names as the next one: an enabled agent of the realm that does not act in the chain yet, where the
/// plan allows one more hop.
///
/// # Errors
/// `invalid_request` with what is wrong.
pub(super) async fn name_next(
    cx: Context<'_>,
    asked: Option<&str>,
    act: &Actor,
    plan: &ResolvedPlan,
) -> Result<Option<MayAct>, FlowError> {
    let Some(text) = asked else { return Ok(None) };
    if !cx.realm.config.may_act {
        let text =
            "may_act is not taken in this realm: who may carry out steps beside the agent are the plan's delegates";
        return Err(Refusal::new(OAuthError::InvalidRequest, text).into());
    }
    let refused = |refused: json::Refused| bad_input(OAuthError::InvalidRequest, &refused.under("may_act: $"));
    let named: MayAct = json::parse_plan(text.as_bytes(), BYTES).and_then(json::typed).map_err(refused)?;
    let refuse = |reason: Reason| Refusal::new(OAuthError::InvalidRequest, reason.meaning()).because(reason);
    if act.chain().contains(&named.sub.as_str()) {
        return Err(refuse(Reason::ActorLoop).into());
    }
    if act.hops() >= plan.limits.max_hops {
        return Err(refuse(Reason::TooManyHops).into());
    }
    let record = cx.realm.directory.find_client(&cx.realm.keycloak, &named.sub).await?;
    if record.is_some_and(|record| record.enabled && record.is_kind("agent")) {
        return Ok(Some(named));
    }
    Err(Refusal::new(OAuthError::InvalidRequest, "may_act: $.sub: is no enabled agent of this realm").into())
}

/// The environment of the child's request: the parent's, and what this client may add. What is there never changes along a
/// chain.
///
/// # Errors
/// `invalid_request` for what is no object, for a member that the client may not set, and for another value of one that is set.
pub(super) fn request_context(
    client: &AuthenticatedClient,
    asked: Option<&str>,
    held: &Map<String, Value>,
) -> Result<Map<String, Value>, Refusal> {
    let mut context = held.clone();
    let Some(text) = asked else { return Ok(context) };
    let refused = |refused: json::Refused| bad_input(OAuthError::InvalidRequest, &refused.under("request_context: $"));
    let added: Map<String, Value> = json::parse_plan(text.as_bytes(), BYTES).and_then(json::typed).map_err(refused)?;
    for (name, value) in added {
        let refuse = |what: &str| {
            let name: String = name.chars().take(64).collect();
            Refusal::new(OAuthError::InvalidRequest, format!("request_context: $.{name}: {what}"))
        };
        if !client.record.words("marque.request_context").any(|allowed| allowed == name) {
            return Err(refuse("the client may not set it (attribute marque.request_context)"));
        }
        if held.get(&name).is_some_and(|held| *held != value) {
            return Err(refuse("the parent token says otherwise, and it never changes along a chain"));
        }
        context.insert(name, value);
    }
    Ok(context)
}
