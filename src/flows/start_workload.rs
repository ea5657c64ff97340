//! A workload starts a call chain of its own, without an intent (`self_signed` of draft-ietf-oauth-transaction-tokens).
//!
//! 1. It authenticated as an agent of the realm, and signed the subject token with the same keys, for this issuer, once.
//! 2. It asks for nothing that only a signed plan gives.
//! 3. The token is about the workload itself, and has no steps: nothing is permitted by it. Missing never means
//!    everything.

use super::authenticate_client::AuthenticatedClient;
use super::error::malformed;
use super::exchange_policy::request_context;
use super::exchange_token::{Exchange, Exchanged, LIFETIME};
use super::own_tokens::Kind;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::keys::Purpose;
use crate::store::workload_tokens::NewWorkloadToken;
use crate::{random, store};
use marque_core::claims::{Actor, NoSteps, WorkloadClaims, token_hash};
use marque_core::jws;
use marque_core::reason::Reason;
use marque_core::times::{Lives, Times, TimesError};
use marque_core::{limits, names};
use serde_json::{Map, Value};

/// Seconds from `iat` to `exp` of a subject token at most.
const SUBJECT_SECS: i64 = 300;

/// Answers the token of a new chain.
///
/// # Errors
/// `invalid_request` for a subject token that is not the client's own; `unauthorized_client` unless it is an agent.
pub(super) async fn start_workload(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    exchange: &Exchange<'_>,
) -> Result<Exchanged, FlowError> {
    if !client.record.is_kind("agent") {
        let text = "the client is no agent (attribute marque.kind=agent)";
        return Err(Refusal::new(OAuthError::UnauthorizedClient, text).into());
    }
    expect_nothing(exchange)?;
    let subject = exchange.subject_token.ok_or_else(|| malformed("subject_token is missing"))?;
    let (jti, over_at) = verify(cx, client, subject)?;
    let rctx = request_context(client, exchange.request_context, &Map::new())?;
    // The same ids as those of client assertions: either kind of the client's own word could be taken for the other.
    if !cx.use_once("assertion", client.client_id(), &jti, over_at).await? {
        return Err(bad("was used before: its jti is single use").into());
    }
    let now = cx.app.clock.now();
    let (txn, id) = (random::opaque_id(), random::opaque_id());
    let claims = WorkloadClaims {
        iss: cx.issuer().into(),
        aud: cx.realm.config.trust_domain.clone(),
        sub: client.client_id().into(),
        iat: now.unix_timestamp(),
        exp: (now + LIFETIME).unix_timestamp(),
        jti: id.to_string(),
        txn: txn.to_string(),
        scope: String::new(),
        req_wl: client.client_id().into(),
        tctx: NoSteps::default(),
        rctx,
        act: Actor::first(client.client_id()),
        cnf: client.cnf.clone(),
    };
    let token = cx.realm.keyring.sign(Purpose::TxnToken, &claims)?;
    let (hash, parent) = (token_hash(&token), token_hash(subject));
    let row = NewWorkloadToken {
        jti: id,
        client_id: client.client_id(),
        jkt: &client.jkt,
        txn,
        token_sha256: hash.as_bytes(),
        parent_sha256: parent.as_bytes(),
        issued_at: now,
        expires_at: now + LIFETIME,
    };
    cx.app.db.write(async |conn| store::workload_tokens::insert(conn, cx.realm_name(), &row).await).await?;
    tracing::info!(token = %hash, client = client.client_id(), "token.started_without_intent");
    let expires_in = claims.exp - claims.iat;
    Ok(Exchanged {
        token,
        issued_token_type: Kind::Txn.identifier(),
        token_type: Kind::Txn.token_type(&client.cnf),
        expires_in,
        scope: String::new(),
        steps: Vec::new(),
    })
}

fn bad(what: &str) -> Refusal {
    malformed(format!("subject_token {what}")).because(Reason::TokenInvalid)
}

/// There are no steps to choose from, and nobody to hand them on to.
fn expect_nothing(exchange: &Exchange<'_>) -> Result<(), Refusal> {
    if exchange.scope.is_some() {
        let text = "scope: a chain without an intent has no actions";
        return Err(Refusal::new(OAuthError::InvalidScope, text).because(Reason::WiderThanParent));
    }
    if let Some(resource) = exchange.resource.first() {
        return Err(Refusal::new(OAuthError::InvalidTarget, format!("no step is at the resource {resource}")));
    }
    if exchange.authorization_details.is_some() || exchange.may_act.is_some() {
        let text = "authorization_details, may_act: a chain without an intent has no steps";
        return Err(malformed(text).because(Reason::WiderThanParent));
    }
    Ok(())
}

/// The subject token's id, and from when on it is over.
fn verify(cx: Context<'_>, client: &AuthenticatedClient, subject: &str) -> Result<(String, i64), Refusal> {
    let claims = jws::verify(subject, names::TYP_JWT, &client.record.keys).and_then(|verified| verified.claims());
    let claims = claims.map_err(|error| bad(&error.to_string()))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(client.client_id()) || text("sub") != Some(client.client_id()) {
        return Err(bad("must have the client_id as iss and sub: a workload speaks for itself"));
    }
    if text("aud") != Some(cx.issuer()) {
        return Err(bad(&format!("must have the aud {} alone", cx.issuer())));
    }
    let times = Times::check(&claims, Lives::FromIssue(SUBJECT_SECS), cx.now_secs()).map_err(|error| match error {
        TimesError::Over => malformed(Reason::TokenExpired.meaning()).because(Reason::TokenExpired),
        error => bad(&error.to_string()),
    })?;
    let jti = text("jti").filter(|jti| limits::is_single_use_id(jti)).ok_or_else(|| bad("has no usable jti"))?;
    Ok((jti.to_owned(), times.over_at()))
}
