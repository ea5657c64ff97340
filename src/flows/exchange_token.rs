//! Token exchange (RFC 8693) for a transaction token (draft-ietf-oauth-transaction-tokens), or for an access token for one
//! resource server (RFC 9068).
//!
//! 1. The request is one that this endpoint profiles; an access token is for a place where each call is decided on.
//! 2. The subject token is Marque's own, not over.
//! 3. Who exchanges it: its holder, with the key it is bound to, a delegate of the signed plan, or whom the holder
//!    named. The plan comes from the evidence, never from a row.
//! 4. No actor twice, no more hops than signed.
//! 5. Narrow.
//! 6. Sign.
//! 7. Keep, in the statement that joins the still-active intent, with others that come at once (`keep_tokens`); steps that
//!    are too long for the token in a transaction of its own, under the digest that it carries.
//! 8. Answer.

use super::access_token::{self, expect_gate};
use super::approved_plans::{Approved, approved};
use super::authenticate_client::AuthenticatedClient;
use super::envelopes;
use super::error::{bad_input, malformed, refuse};
use super::exchange_policy::{is_named, name_next, request_context, was_given};
use super::keep_tokens::{Minted, keep};
use super::leave_domain::{foreign_issuer, leave_domain};
use super::own_tokens::{self, Kind, OwnToken};
use super::start_workload::start_workload;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::keys::Purpose;
use crate::random;
use marque_core::attenuate::{StepRequest, attenuate};
use marque_core::claims::{Actor, Carried, TxnClaims, TxnContext};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::plan::ResolvedPlan;
use marque_core::reason::Reason;
use marque_core::{json, limits, names};
use serde_json::Map;
use std::collections::BTreeSet;
use std::sync::Arc;
use time::Duration;
use uuid::Uuid;

/// A transaction token lives so long at most (draft-ietf-oauth-transaction-tokens: minutes or less).
pub(super) const LIFETIME: Duration = Duration::minutes(5);

/// The parameters of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exchange<'a> {
    /// `subject_token`.
    pub subject_token: Option<&'a str>,
    /// `subject_token_type`.
    pub subject_token_type: Option<&'a str>,
    /// `requested_token_type`.
    pub requested_token_type: Option<&'a str>,
    /// `audience`, every value.
    pub audience: &'a [String],
    /// `resource`, every value: only the steps there.
    pub resource: &'a [String],
    /// `scope`.
    pub scope: Option<&'a str>,
    /// `authorization_details`: the steps to keep.
    pub authorization_details: Option<&'a str>,
    /// Whether `actor_token` or `actor_token_type` was sent.
    pub has_actor_token: bool,
    /// `request_context`: the environment of the request, from clients that may say it.
    pub request_context: Option<&'a str>,
    /// Whether `request_details` was sent.
    pub has_request_details: bool,
    /// `may_act`: whom the child's holder names as the next actor.
    pub may_act: Option<&'a str>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted<'a> {
    Transaction,
    /// An access token for one location.
    Access(&'a str),
    /// A grant for a foreign issuer.
    Grant,
}

/// The answer to an exchange.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// The token.
    pub token: String,
    /// Its identifier (RFC 8693 §3).
    pub issued_token_type: &'static str,
    /// How it is used: `DPoP`, or `N_A` for what is no access token.
    pub token_type: &'static str,
    /// Seconds that it lives.
    pub expires_in: i64,
    /// Its distinct actions.
    pub scope: String,
    /// Its steps.
    pub steps: Vec<EnvelopeStep>,
}

/// Exchanges a token.
///
/// # Errors
/// `invalid_request` for a subject token or request that is not acceptable, `invalid_target`, `invalid_scope`.
pub async fn exchange_token(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    exchange: &Exchange<'_>,
) -> Result<Exchanged, FlowError> {
    let wanted = wanted(cx, exchange)?;
    match wanted {
        Wanted::Transaction if exchange.subject_token_type == Some(names::TOKEN_TYPE_SELF_SIGNED) => {
            return start_workload(cx, client, exchange).await;
        }
        Wanted::Transaction => {}
        Wanted::Access(location) => expect_gate(cx, location).await?,
        Wanted::Grant => return leave_domain(cx, client, exchange).await,
    }
    let subject = exchange.subject_token.ok_or_else(|| malformed("subject_token is missing"))?;
    let parent = verify_subject(cx, subject, exchange.subject_token_type)?;
    let approved = signed_plan(cx, &parent).await?;
    let plan = &approved.plan;
    let act = next_actor(&parent, client, plan)?;
    let held = envelopes::carried(cx, &parent.carried).await?;
    let held = held.ok_or_else(|| refuse(Reason::TokenInvalid, &parent.intent.id))?.into_owned();
    let envelope = narrow(&parent, held, client, plan, exchange)?;
    let may_act = name_next(cx, exchange.may_act, &act, plan).await?;
    let rctx = request_context(client, exchange.request_context, &parent.rctx)?;
    let ids = (random::opaque_id(), parent.txn.unwrap_or_else(random::opaque_id));
    let claims = claims(cx, client, &parent, plan, &envelope, ids)?;
    let claims = TxnClaims { act, may_act, rctx, ..claims };
    let (token, kind, answered) = match wanted {
        Wanted::Transaction => (cx.realm.keyring.sign(Purpose::TxnToken, &claims)?, "txn", Kind::Txn),
        Wanted::Access(location) => {
            let ids = (parent.intent_id, ids.0);
            (access_token::sign(cx, &claims, ids, location).await?, "access", Kind::Access)
        }
        Wanted::Grant => return Err(FlowError::internal("a grant is made elsewhere")),
    };
    let minted = Minted { kind, token: &token, claims: &claims, envelope: &envelope, ids, parent: &parent, subject };
    keep(cx, client, &minted).await?;
    Ok(Exchanged {
        token,
        issued_token_type: answered.identifier(),
        token_type: answered.token_type(&client.cnf),
        expires_in: claims.exp - claims.iat,
        scope: claims.scope,
        steps: envelope.steps,
    })
}

fn wanted<'a>(cx: Context<'_>, exchange: &Exchange<'a>) -> Result<Wanted<'a>, Refusal> {
    if exchange.has_actor_token {
        return Err(malformed("actor_token is not used here: the actor is the authenticated client"));
    }
    if exchange.has_request_details {
        let text = "request_details is not taken: what may be done follows from the signed plan; narrow it with \
                    authorization_details";
        return Err(malformed(text));
    }
    match exchange.requested_token_type {
        Some(names::TOKEN_TYPE_TXN) => expect_trust_domain(cx, exchange).map(|()| Wanted::Transaction),
        Some(names::TOKEN_TYPE_ACCESS) if exchange.may_act.or(exchange.request_context).is_some() => Err(malformed(
            "may_act and request_context are said of transaction tokens: an access token carries neither",
        )),
        Some(names::TOKEN_TYPE_ACCESS) => only_resource(cx, exchange).map(Wanted::Access),
        Some(names::TOKEN_TYPE_JWT) => Ok(Wanted::Grant),
        None if foreign_issuer(cx, exchange).is_some() => Ok(Wanted::Grant),
        _ => {
            let (txn, access, jwt) = (names::TOKEN_TYPE_TXN, names::TOKEN_TYPE_ACCESS, names::TOKEN_TYPE_JWT);
            Err(malformed(format!("requested_token_type must be {txn}, {access} or {jwt}")))
        }
    }
}

/// An access token is for one resource server, which is named by its location alone.
fn only_resource<'a>(cx: Context<'_>, exchange: &Exchange<'a>) -> Result<&'a str, Refusal> {
    let is_foreign = |location: &String| cx.realm.config.foreign_issuers.iter().any(|it| it.issuer == *location);
    if exchange.resource.iter().any(is_foreign) {
        let text = "the resource is a foreign issuer: ask for a grant (requested_token_type)";
        return Err(Refusal::new(OAuthError::InvalidTarget, text));
    }
    match (exchange.resource, exchange.audience) {
        ([location], []) => Ok(location),
        _ => {
            let text =
                "an access token is for one resource server: name its location in resource, once, and no audience";
            Err(Refusal::new(OAuthError::InvalidTarget, text))
        }
    }
}

fn expect_trust_domain(cx: Context<'_>, exchange: &Exchange<'_>) -> Result<(), Refusal> {
    if exchange.audience != [cx.realm.config.trust_domain.as_str()] {
        let text = format!("audience must be the trust domain {} alone", cx.realm.config.trust_domain);
        return Err(Refusal::new(OAuthError::InvalidTarget, text));
    }
    Ok(())
}

/// A token that Marque itself signed for this use, and that is not over: an intent token or a transaction token.
pub(super) fn verify_subject(cx: Context<'_>, token: &str, kind: Option<&str>) -> Result<Arc<OwnToken>, Refusal> {
    let kind = match kind {
        Some(names::TOKEN_TYPE_INTENT) => Kind::Intent,
        Some(names::TOKEN_TYPE_TXN) => Kind::Txn,
        _ => {
            let (intent, txn, own) = (names::TOKEN_TYPE_INTENT, names::TOKEN_TYPE_TXN, names::TOKEN_TYPE_SELF_SIGNED);
            let text = format!("subject_token_type must be {intent}, {txn} or {own}");
            return Err(malformed(text));
        }
    };
    let invalid = |error| malformed(format!("subject_token {error}")).because(Reason::TokenInvalid);
    let parent = own_tokens::read_as(cx, token, kind).map_err(invalid)?;
    if parent.exp <= cx.now_secs() { Err(refuse(Reason::TokenExpired, &parent.intent.id)) } else { Ok(parent) }
}

/// The plan that the person signed, from its evidence, if it is the one that the parent token names.
pub(super) async fn signed_plan(cx: Context<'_>, parent: &OwnToken) -> Result<Arc<Approved>, FlowError> {
    let approved = approved(cx, parent.intent_id).await?;
    if approved.plan_digest != parent.intent.digest || approved.sub != parent.sub {
        return Err(refuse(Reason::EvidenceInvalid, &parent.intent.id).into());
    }
    Ok(approved)
}

/// The chain of actors after this exchange: the holder's own exchange adds none.
pub(super) fn next_actor(
    parent: &OwnToken,
    client: &AuthenticatedClient,
    plan: &ResolvedPlan,
) -> Result<Actor, Refusal> {
    let refuse = |reason| Err(refuse(reason, &parent.intent.id));
    let client_id = client.client_id();
    if parent.act.sub == client_id {
        return if parent.cnf == client.cnf { Ok(parent.act.clone()) } else { refuse(Reason::ProofKeyMismatch) };
    }
    if !is_named(plan, client_id, parent.may_act.as_ref()) {
        return refuse(Reason::NotADelegate);
    }
    if parent.act.chain().contains(&client_id) {
        return refuse(Reason::ActorLoop);
    }
    let act = parent.act.clone().followed_by(client_id);
    if act.hops() > plan.limits.max_hops { refuse(Reason::TooManyHops) } else { Ok(act) }
}

fn narrow(
    parent: &OwnToken,
    mut held: Envelope,
    client: &AuthenticatedClient,
    plan: &ResolvedPlan,
    exchange: &Exchange<'_>,
) -> Result<Envelope, Refusal> {
    held.steps.retain(|step| was_given(plan, client.client_id(), &step.id));
    let mut envelope = match exchange.authorization_details {
        None => held,
        Some(details) => {
            let requests = requests(details)?;
            attenuate(&held, &requests)
                .map_err(|widening| malformed(widening.message).because(widening.reason).about(&parent.intent.id))?
        }
    };
    if let Some(nowhere) = exchange.resource.iter().find(|uri| envelope.steps.iter().all(|step| step.location != **uri))
    {
        return Err(Refusal::new(OAuthError::InvalidTarget, format!("no step is at the resource {nowhere}")));
    }
    if !exchange.resource.is_empty() {
        envelope.steps.retain(|step| exchange.resource.contains(&step.location));
    }
    restrict_to_scope(&mut envelope, exchange.scope)?;
    if envelope.steps.is_empty() {
        return Err(refuse(Reason::WiderThanParent, &parent.intent.id));
    }
    Ok(envelope)
}

pub(super) fn requests(details: &str) -> Result<Vec<StepRequest>, Refusal> {
    let refused = |refused: json::Refused| bad_input(OAuthError::InvalidAuthorizationDetails, &refused);
    let value = json::parse_plan(details.as_bytes(), limits::PLAN_BYTES).map_err(refused)?;
    let requests: Vec<StepRequest> = json::typed(value).map_err(refused)?;
    for (index, request) in requests.iter().enumerate() {
        request.check(&format!("$[{index}]")).map_err(refused)?;
    }
    if requests.is_empty() { Err(malformed("authorization_details: $: names no step")) } else { Ok(requests) }
}

/// A requested scope keeps only its actions; one that the parent does not have is refused.
fn restrict_to_scope(envelope: &mut Envelope, scope: Option<&str>) -> Result<(), Refusal> {
    let Some(scope) = scope else { return Ok(()) };
    let wanted: BTreeSet<&str> = scope.split(' ').filter(|word| !word.is_empty()).collect();
    if let Some(unknown) = wanted.iter().find(|word| envelope.steps.iter().all(|step| step.action != **word)) {
        let text = format!("scope: the parent token has no action {unknown:?}");
        return Err(Refusal::new(OAuthError::InvalidScope, text).because(Reason::WiderThanParent));
    }
    envelope.steps.retain(|step| wanted.contains(step.action.as_str()));
    Ok(())
}

/// The claims of the child: `txn`, `sub` and `aud` never change along a chain.
fn claims(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    parent: &OwnToken,
    plan: &ResolvedPlan,
    envelope: &Envelope,
    (jti, txn): (Uuid, Uuid),
) -> Result<TxnClaims, FlowError> {
    let now = cx.app.clock.now();
    let plan_ends = plan.expires_at().map_err(FlowError::internal)?;
    let claims = TxnClaims {
        iss: cx.issuer().into(),
        aud: cx.realm.config.trust_domain.clone(),
        sub: parent.sub.clone(),
        iat: now.unix_timestamp(),
        exp: plan_ends.min((now + LIFETIME).unix_timestamp()),
        jti: jti.to_string(),
        txn: txn.to_string(),
        scope: envelope.scope(),
        req_wl: client.client_id().into(),
        tctx: TxnContext { intent: parent.intent.clone(), carried: Carried::of(envelope.clone()) },
        rctx: Map::new(),
        act: parent.act.clone(),
        may_act: None,
        cnf: client.cnf.clone(),
    };
    if claims.exp <= claims.iat {
        return Err(refuse(Reason::IntentExpired, &parent.intent.id).into());
    }
    Ok(claims)
}
