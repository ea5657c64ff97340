//! Leaving the trust domain: a token is exchanged for a JWT grant (RFC 7523) for one foreign issuer
//! (draft-ietf-oauth-identity-chaining); a transaction token by the transaction-token chaining profile, which transcribes `txn`.
//! What the foreign issuer gives for it knows neither arguments nor uses nor the feed.
//!
//! 1. The issuer is one that the realm lets chains leave for.
//! 2. The subject token and who exchanges it: as for every exchange. An intent token starts a chain that leaves at once, which
//!    is a turn.
//! 3. The signed step that says so: reserved action, at that issuer, with no bound on arguments, which is how the person saw it.
//! 4. The person is still an enabled one, and has a name there.
//! 5. Sign, with a key of its own. Nothing from within travels: no steps, no actors, no context.
//! 6. Charge the step in the ledger, where the use is committed at once, and keep the grant, in one transaction.
//! 7. Answer.
//!
//! No endpoint takes such a grant: its `typ` is nobody's.

use super::authenticate_client::AuthenticatedClient;
use super::envelopes;
use super::error::{malformed, refuse};
use super::exchange_policy::was_given;
use super::exchange_token::{Exchange, Exchanged, next_actor, requests, signed_plan, verify_subject};
use super::ledger::Sought;
use super::location_ledger::may_count;
use super::own_tokens::OwnToken;
use super::reserve_together::Use;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::keys::Purpose;
use crate::store::permits::Ended;
use crate::store::reservations::{self, CallKey};
use crate::store::tokens::NewToken;
use crate::{random, store};
use marque_core::call::{Call, CallResource};
use marque_core::claims::{Confirmation, token_hash};
use marque_core::decide::{self, Decision};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::json::Refused;
use marque_core::reason::Reason;
use marque_core::recall::Recall;
use marque_core::receipt::Outcome;
use marque_core::{leave, names};
use serde::Serialize;
use serde_json::Map;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use time::Duration;
use uuid::Uuid;

/// A grant lives so long (chaining profile: 300 seconds at most, 60 preferred): it is redeemed at once.
const LIFETIME: Duration = Duration::seconds(60);

/// The claims of a grant.
#[derive(Serialize)]
struct GrantClaims<'g> {
    iss: &'g str,
    sub: &'g str,
    aud: &'g str,
    iat: i64,
    exp: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    txn: Option<String>,
    scope: &'g str,
    cnf: Confirmation,
}

/// A grant that is signed and not yet answered.
struct Grant<'g> {
    token: String,
    jti: Uuid,
    subject: &'g str,
    hops: u32,
}

/// What a grant is charged for.
struct Leaving<'l> {
    parent: &'l OwnToken,
    intent_id: Uuid,
    /// The call chain; of an intent token's grant a new one, which no token names.
    txn: Uuid,
    held: &'l Envelope,
    call: Call,
}

/// Exchanges an intent token or a transaction token for a grant for a foreign issuer.
///
/// # Errors
/// `invalid_target` for an issuer or step that does not leave, `invalid_request` for a subject token or request that is not
/// acceptable, with the ledger's reason where the step is used up.
pub(super) async fn leave_domain(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    exchange: &Exchange<'_>,
) -> Result<Exchanged, FlowError> {
    let issuer = destination(cx, exchange)?;
    let subject = exchange.subject_token.ok_or_else(|| malformed("subject_token is missing"))?;
    let parent = verify_subject(cx, subject, exchange.subject_token_type)?;
    let (intent_id, approved) = (parent.intent_id, signed_plan(cx, &parent).await?);
    let act = next_actor(&parent, client, &approved.plan)?;
    let held = envelopes::carried(cx, &parent.carried).await?;
    let mut held = held.ok_or_else(|| refuse(Reason::TokenInvalid, &parent.intent.id))?.into_owned();
    held.steps.retain(|step| was_given(&approved.plan, client.client_id(), &step.id));
    let step = leaving_step(&held, issuer, exchange.authorization_details)?;
    let signed = leave::scope(step).map_err(|refused| not_shown(&refused))?;
    let scope = scope(signed, exchange.scope)?;
    let sub = subject_at(cx, issuer, &parent.sub).await?;
    let (jti, now) = (random::opaque_id(), cx.now_secs());
    let claims = GrantClaims {
        iss: cx.issuer(),
        sub: &sub,
        aud: issuer,
        iat: now,
        exp: now + LIFETIME.whole_seconds(),
        jti: jti.to_string(),
        txn: parent.txn.map(|txn| txn.to_string()),
        scope: &scope,
        cnf: client.cnf.clone(),
    };
    let purpose = if parent.txn.is_some() { Purpose::DomainGrant } else { Purpose::IntentGrant };
    let token = cx.realm.keyring.sign(purpose, &claims)?;
    let resource = CallResource { kind: step.resource.kind.clone(), id: signed.to_owned() };
    let call = Call::new(issuer, names::ACTION_LEAVE, resource, Map::new());
    let grant = Grant { token, jti, subject, hops: act.hops() };
    let txn = parent.txn.unwrap_or_else(random::opaque_id);
    keep(cx, client, &Leaving { parent: &parent, intent_id, txn, held: &held, call }, &grant).await?;
    tracing::info!(intent = %intent_id, client = client.client_id(), issuer, "domain.left");
    Ok(Exchanged {
        token: grant.token,
        issued_token_type: names::TOKEN_TYPE_JWT,
        token_type: "N_A",
        expires_in: LIFETIME.whole_seconds(),
        scope,
        steps: Vec::new(),
    })
}

fn no_target(text: impl Into<String>) -> Refusal {
    Refusal::new(OAuthError::InvalidTarget, text)
}

/// The foreign issuer that is named, if it is one of the realm's.
pub(super) fn foreign_issuer<'c>(cx: Context<'c>, exchange: &Exchange<'_>) -> Option<&'c str> {
    let named = match (exchange.audience, exchange.resource) {
        ([audience], []) => audience,
        // The profile of transaction tokens wants the audience.
        ([], [resource]) if exchange.subject_token_type != Some(names::TOKEN_TYPE_TXN) => resource,
        _ => return None,
    };
    let mut issuers = cx.realm.config.foreign_issuers.iter().map(|foreign| foreign.issuer.as_str());
    issuers.find(|issuer| issuer == named)
}

/// The foreign issuer: the audience, or the resource, alone.
fn destination<'c>(cx: Context<'c>, exchange: &Exchange<'_>) -> Result<&'c str, Refusal> {
    if exchange.may_act.or(exchange.request_context).is_some() {
        return Err(malformed("may_act and request_context stay within the trust domain: a grant carries neither"));
    }
    foreign_issuer(cx, exchange).ok_or_else(|| {
        no_target(
            "a grant is for one issuer that this realm lets call chains leave for (foreign_issuers): name it in audience, once; \
             for an intent token in audience or in resource",
        )
    })
}

/// The one step by which the chain leaves: the named one, or the only one at the issuer.
fn leaving_step<'h>(held: &'h Envelope, issuer: &str, details: Option<&str>) -> Result<&'h EnvelopeStep, Refusal> {
    let named: Option<BTreeSet<String>> = match details {
        Some(details) => Some(requests(details)?.into_iter().map(|request| request.id).collect()),
        None => None,
    };
    let leaves = |step: &&EnvelopeStep| {
        step.location == issuer
            && leave::leaves(&step.action)
            && named.as_ref().is_none_or(|named| named.contains(&step.id))
    };
    let mut steps = held.steps.iter().filter(leaves);
    let is_one_named = named.as_ref().is_none_or(|named| named.len() == 1);
    let step = match (steps.next(), steps.next()) {
        (Some(step), None) if is_one_named => step,
        _ => {
            let text = format!(
                "the signed plan must have a step {} at the issuer; of several name one in authorization_details",
                names::ACTION_LEAVE
            );
            return Err(no_target(text));
        }
    };
    Ok(step)
}

/// A step that would have shown the person what nobody keeps beyond the domain. Submission refuses it, too.
fn not_shown(refused: &Refused) -> Refusal {
    no_target(format!("the signed step does not leave: {}", refused.message))
}

/// The requested part of the signed scope; all of it unless something is requested.
fn scope(signed: &str, requested: Option<&str>) -> Result<String, Refusal> {
    let allowed: BTreeSet<&str> = signed.split_ascii_whitespace().collect();
    let wanted: BTreeSet<&str> = requested.unwrap_or(signed).split_ascii_whitespace().collect();
    if !wanted.is_subset(&allowed) {
        let text = "scope: is more than the signed step's resource.id names";
        return Err(Refusal::new(OAuthError::InvalidScope, text).because(Reason::WiderThanParent));
    }
    Ok(wanted.into_iter().collect::<Vec<_>>().join(" "))
}

/// How the foreign issuer knows the person, who is read from the realm once more.
async fn subject_at(cx: Context<'_>, issuer: &str, sub: &str) -> Result<String, FlowError> {
    let person = cx.realm.directory.find_user(&cx.realm.keycloak, sub).await?;
    let person = person.filter(|person| person.enabled && !person.is_service_account);
    let foreign = cx.realm.config.foreign_issuers.iter().find(|foreign| foreign.issuer == issuer);
    match (person, foreign) {
        (Some(person), Some(foreign)) => Ok(foreign.subject(&person.sub, &person.username).to_owned()),
        _ => Err(malformed("the person of the plan is no enabled user of the realm any more").into()),
    }
}

async fn keep(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    leaving: &Leaving<'_>,
    grant: &Grant<'_>,
) -> Result<(), FlowError> {
    let (intent_id, now) = (leaving.intent_id, cx.app.clock.now());
    let refused = |reason| FlowError::from(refuse(reason, &intent_id.to_string()));
    if !may_count(cx, client.client_id(), &leaving.call.location, None).await? {
        return Err(refused(Reason::LedgerUnavailable));
    }
    let _turn = cx.realm.queues.wait(intent_id).await?;
    let mut tx = cx.app.db.begin().await?;
    if leaving.parent.txn.is_none() && leaving.held.bounds.turns.is_some() {
        store::tokens::lock_turns(&mut tx, intent_id).await?;
    }
    if !store::intents::lock_active(&mut tx, cx.realm_name(), intent_id, now).await? {
        return Err(refused(cx.why_not_active(&mut tx, intent_id).await?.unwrap_or(Reason::IntentRevoked)));
    }
    if store::tokens::is_revoked(&mut tx, intent_id, leaving.parent.jti).await? {
        return Err(refused(Reason::TokenRevoked));
    }
    charge(cx, &mut tx, client, leaving, grant).await?;
    let row = NewToken {
        realm: cx.realm_name().to_owned(),
        intent_id,
        jti: grant.jti,
        kind: "grant",
        token_sha256: token_hash(&grant.token),
        parent_sha256: Some(token_hash(grant.subject)),
        client_id: client.client_id().to_owned(),
        jkt: client.jkt.clone(),
        txn: Some(leaving.txn),
        hops: i32::try_from(grant.hops).unwrap_or(i32::MAX),
        issued_at: now,
        expires_at: now + LIFETIME,
    };
    if store::tokens::insert_active(&mut tx, &[row]).await? != [true] {
        return Err(refused(Reason::TokenInvalid));
    }
    Ok(tx.commit().await?)
}

/// Counts one use of the step and commits it: what is beyond the domain tells nobody what became of it.
async fn charge(
    cx: Context<'_>,
    tx: &mut PgConnection,
    client: &AuthenticatedClient,
    leaving: &Leaving<'_>,
    grant: &Grant<'_>,
) -> Result<(), FlowError> {
    let Leaving { parent, intent_id, txn, held, call } = leaving;
    let now = cx.app.clock.now();
    let mut ledger = cx.lock_ledger(tx, *intent_id).await?;
    let sought = Sought { envelope: held, recall: Recall::of_call(held, call), txn: Some(*txn) };
    let facts = cx.facts(tx, &ledger, &sought).await?;
    let refused = |reason| FlowError::from(refuse(reason, &parent.intent.id));
    let step = match decide::decide(held, call, &facts, cx.now_secs()) {
        Decision::Permit(step) => step,
        Decision::StepUp(_) => return Err(refused(Reason::StepUpRequired)),
        Decision::Escalate(refusal) | Decision::Deny(refusal) => return Err(refused(refusal.reason)),
    };
    let key = CallKey {
        realm: cx.realm_name().to_owned(),
        intent_id: *intent_id,
        client_id: client.client_id().to_owned(),
        call_id: grant.jti.to_string(),
        token_id: parent.jti,
    };
    let used = Use { key, call, call_digest: call.digest(), presented: token_hash(&grant.token) };
    let (row, permit) = used.counted(&mut ledger, step, now)?;
    let counts = BTreeMap::from([(*intent_id, ledger.sealed_counts()?)]);
    reservations::keep(tx, &[row], &counts, now).await?;
    ledger.settle(&step.id, Outcome::Committed)?;
    let outcome = ledger.seal_outcome(permit.permit_id, &step.id, Outcome::Committed)?;
    let counts = ledger.sealed_counts()?;
    let ended = Ended { state: Outcome::Committed.code(), outcome: &outcome, counts: &counts };
    Ok(store::permits::settle(tx, *intent_id, permit.permit_id, &ended, now).await?)
}
