//! The intent grant, and the CIBA grant for the same: the agent polls, and redeems an approval once.
//!
//! 1. The intent is this client's, by the key it was submitted with.
//! 2. Pending: wait, or slow down.
//! 3. Denied, revoked or over: say so.
//! 4. Approved: the evidence as it is kept, by Marque's own key, verified from its bytes unless this server verified the very
//!    same before; read the user's state again; sign.
//! 5. Keep, with others that come at once (`redeem_together`), if it is still redeemable; answer.
//! 6. A repeat within a minute, by the same client and key, is answered again; any other second redemption ends
//!    the intent.

use super::approved_plans::{Approved, approved_as_kept};
use super::authenticate_client::AuthenticatedClient;
use super::check_passkey::expect_current_passkey;
use super::revoke_intent::revoke_locked;
use super::status_list::place;
use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id};
use crate::batch::Batch;
use crate::keys::Purpose;
use crate::store::Database;
use crate::store::intents::{Intent, WithEvidence};
use crate::store::tokens::NewToken;
use crate::{random, store};
use marque_core::canonical::{Digest, decode};
use marque_core::claims::{Actor, IntentClaims, IntentProof, token_hash};
use marque_core::lifecycle::{Event, IntentState};
use marque_core::limits;
use marque_core::reason::Reason;
use serde_json::Value;
use time::{Duration, OffsetDateTime};

/// A lost answer may be asked for again so long.
const REPEAT: Duration = Duration::seconds(60);
/// What too early a poll adds to the interval (RFC 8628 §3.5).
const SLOW_DOWN_SECS: i32 = 5;
/// An intent token lives so long at most, and never longer than its plan.
const LIFETIME: Duration = Duration::hours(1);

/// Takes questions about intents, by realm and id, and answers them with others that come at once.
pub type Looks = Batch<(String, uuid::Uuid), Option<WithEvidence>>;

/// Starts to take questions.
pub fn start(db: Database) -> Looks {
    Batch::start(1, move |asked: Vec<(String, uuid::Uuid)>| {
        let db = db.clone();
        async move { store::intents::find_with_evidence(&mut *db.look().await?, &asked).await }
    })
}

/// The answer to a redemption.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The intent token.
    pub token: String,
    /// Seconds that it lives.
    pub expires_in: i64,
    /// Its distinct actions.
    pub scope: String,
    /// Its steps.
    pub authorization_details: Vec<Value>,
}

/// By which of its ids a client asks for an intent's token.
#[derive(Clone, Copy, Debug)]
pub enum Handle<'a> {
    /// `intent_id`, in the intent grant.
    Intent(&'a str),
    /// `auth_req_id`, in the CIBA grant.
    AuthRequest(&'a str),
}

/// Answers one poll.
///
/// # Errors
/// The poll answers of RFC 8628 §3.5, `invalid_grant` for what is not this client's to redeem.
pub async fn grant_intent(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    handle: Handle<'_>,
) -> Result<Granted, FlowError> {
    let id = find_id(cx, handle).await?.ok_or_else(unknown)?;
    let now = cx.app.clock.now();
    let (intent, evidence) = look(cx, client, id, now).await?;
    let approved = approved_as_kept(cx, id, evidence).await?;
    expect_current_passkey(cx, &approved.sub, &approved.credential.id, &approved.credential.public_key).await?;
    // The realm was asked without holding a lock: the intent must still be redeemable when the token is kept.
    let Minted { granted, row } = mint(cx, client, &intent, &approved, now).await?;
    keep(cx, client, &intent, &row, now).await?;
    tracing::info!(intent = %id, token = %row.token_sha256, "intent.redeemed");
    Ok(granted)
}

/// An intent that can be redeemed as far as a look without a lock tells, and the digest of its evidence; otherwise the answer to
/// the poll.
async fn look(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    id: uuid::Uuid,
    now: OffsetDateTime,
) -> Result<(Intent, Option<Digest>), FlowError> {
    let asked = (cx.realm_name().to_owned(), id);
    match cx.app.looks.ask(id, asked).await?.filter(|found| seems_redeemable(&found.intent, client, now)) {
        Some(WithEvidence { intent, evidence }) => Ok((intent, evidence)),
        None => {
            let (mut tx, intent) = lock_redeemable(cx, client, id, now).await?;
            // It was approved a moment ago.
            let evidence = store::approvals::find_evidence_digest(&mut tx, id).await?;
            tx.rollback().await?;
            Ok((intent, evidence))
        }
    }
}

/// The intent of a handle. What cannot be one of Marque's ids is not asked for.
async fn find_id(cx: Context<'_>, handle: Handle<'_>) -> Result<Option<uuid::Uuid>, FlowError> {
    match handle {
        Handle::Intent(text) => Ok(parse_intent_id(text)),
        Handle::AuthRequest(text) if limits::is_single_use_id(text) => {
            let mut conn = cx.app.db.look().await?;
            Ok(store::auth_requests::find_intent(&mut conn, cx.realm_name(), text).await?)
        }
        Handle::AuthRequest(_) => Ok(None),
    }
}

/// Whether an intent can be redeemed, as far as a look without a lock tells.
fn seems_redeemable(intent: &Intent, client: &AuthenticatedClient, now: OffsetDateTime) -> bool {
    let is_own = intent.client_id == client.client_id() && intent.jkt == client.jkt && !is_over(intent, now);
    match intent.state() {
        IntentState::Approved => is_own,
        IntentState::Active => is_own && is_repeat(intent, client, now),
        _ => false,
    }
}

/// This client's intent, locked, if it can be redeemed now; otherwise the answer to the poll.
async fn lock_redeemable(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    id: uuid::Uuid,
    now: OffsetDateTime,
) -> Result<(store::Transaction, Intent), FlowError> {
    let mut tx = cx.app.db.begin().await?;
    let found = store::intents::lock(&mut tx, cx.realm_name(), id).await?;
    let intent = found.filter(|intent| intent.client_id == client.client_id()).ok_or_else(unknown)?;
    match intent.state() {
        IntentState::Denied => Err(denied(&intent).into()),
        IntentState::Revoked => Err(revoked(&intent, Reason::IntentRevoked.meaning()).into()),
        _ if is_over(&intent, now) => Err(over(&intent).into()),
        IntentState::Suspended => Err(suspended(&intent).into()),
        IntentState::Pending => Err(wait(tx, &intent, now).await?.into()),
        IntentState::Active if !is_repeat(&intent, client, now) => Err(end(tx, cx, &intent).await?.into()),
        IntentState::Approved if intent.jkt != client.jkt => Err(other_key(&intent).into()),
        IntentState::Approved if store::tokens::is_redeemed(&mut tx, id).await? => {
            Err(end(tx, cx, &intent).await?.into())
        }
        IntentState::Approved | IntentState::Active => Ok((tx, intent)),
    }
}

fn revoked(intent: &Intent, text: &str) -> Refusal {
    Refusal::new(OAuthError::InvalidGrant, text).because(Reason::IntentRevoked).about(intent.intent_id)
}

fn suspended(intent: &Intent) -> Refusal {
    let reason = Reason::IntentSuspended;
    Refusal::new(OAuthError::InvalidGrant, reason.meaning()).because(reason).about(intent.intent_id)
}

fn unknown() -> Refusal {
    Refusal::new(OAuthError::InvalidGrant, "this client has no such intent")
}

fn denied(intent: &Intent) -> Refusal {
    let text = match &intent.denial_reason {
        Some(reason) => format!("the person denied the plan: {reason}"),
        None => "the person denied the plan".into(),
    };
    Refusal::new(OAuthError::AccessDenied, text).because(Reason::DeniedByUser).about(intent.intent_id)
}

fn is_over(intent: &Intent, now: OffsetDateTime) -> bool {
    now >= intent.expires_at || (intent.state() == IntentState::Pending && now >= intent.pending_until)
}

fn over(intent: &Intent) -> Refusal {
    let text = "the intent's time is over: submit a new plan";
    Refusal::new(OAuthError::ExpiredToken, text).because(Reason::IntentExpired).about(intent.intent_id)
}

fn other_key(intent: &Intent) -> Refusal {
    let text =
        "the DPoP key, or the certificate where no proof is sent, is not the one that the plan was submitted with";
    Refusal::new(OAuthError::InvalidGrant, text).because(Reason::ProofKeyMismatch).about(intent.intent_id)
}

/// Too early a poll enlarges the interval for good.
async fn wait(mut tx: store::Transaction, intent: &Intent, now: OffsetDateTime) -> Result<Refusal, FlowError> {
    let interval = intent.poll_interval_secs;
    let too_early = intent.polled_at.is_some_and(|at| now - at < Duration::seconds(i64::from(interval)));
    let next = if too_early { interval.saturating_add(SLOW_DOWN_SECS) } else { interval };
    store::intents::note_poll(&mut tx, intent.intent_id, next, now).await?;
    tx.commit().await?;
    let refusal = if too_early {
        Refusal::new(OAuthError::SlowDown, format!("poll at most every {next} seconds"))
    } else {
        Refusal::new(OAuthError::AuthorizationPending, "the person has not decided yet")
    };
    Ok(refusal.about(intent.intent_id))
}

fn is_repeat(intent: &Intent, client: &AuthenticatedClient, now: OffsetDateTime) -> bool {
    intent.jkt == client.jkt && intent.redeemed_at.is_some_and(|at| now - at <= REPEAT)
}

/// A second redemption means that somebody else has the approval too: everything from it ends.
async fn end(mut tx: store::Transaction, cx: Context<'_>, intent: &Intent) -> Result<Refusal, FlowError> {
    revoke_locked(&mut tx, cx, intent.intent_id, "second redemption").await?;
    tx.commit().await?;
    Ok(revoked(intent, "the intent was redeemed before: everything that came from it is revoked"))
}

/// A token that is signed and not yet answered.
struct Minted {
    granted: Granted,
    row: NewToken,
}

/// Signs the intent token of an approved plan, if it is the client's by the plan.
async fn mint(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    intent: &Intent,
    approved: &Approved,
    now: OffsetDateTime,
) -> Result<Minted, FlowError> {
    let agent = &approved.plan.agent;
    if agent.client_id != client.client_id() || agent.cnf != client.cnf {
        return Err(other_key(intent).into());
    }
    let plan_ends = approved.plan.expires_at().map_err(FlowError::internal)?;
    let exp = plan_ends.min((now + LIFETIME).unix_timestamp());
    if exp <= now.unix_timestamp() {
        return Err(over(intent).into());
    }
    let jti = random::opaque_id();
    let status = Some(place(cx, intent.intent_id, jti, exp).await?);
    let claims = claims(cx, client, approved, (jti, now.unix_timestamp(), exp));
    let claims = IntentClaims { status, ..claims };
    let token = cx.realm.keyring.sign(Purpose::IntentToken, &claims)?;
    let row = NewToken {
        realm: cx.realm_name().to_owned(),
        intent_id: intent.intent_id,
        jti,
        kind: "intent",
        token_sha256: token_hash(&token),
        parent_sha256: None,
        client_id: client.client_id().to_owned(),
        jkt: client.jkt.clone(),
        txn: None,
        hops: 0,
        issued_at: now,
        expires_at: OffsetDateTime::from_unix_timestamp(exp).map_err(FlowError::internal)?,
    };
    let IntentClaims { scope, authorization_details, .. } = claims;
    Ok(Minted { granted: Granted { token, expires_in: exp - now.unix_timestamp(), scope, authorization_details }, row })
}

/// Keeps a token, with others that come at once; what they leave is kept by itself, or refused.
async fn keep(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    intent: &Intent,
    row: &NewToken,
    now: OffsetDateTime,
) -> Result<(), FlowError> {
    let together = if intent.state() == IntentState::Approved { &cx.app.redemptions } else { &cx.app.custody };
    if together.ask_with_others(row.intent_id, row.clone()).await? == Some(true) {
        return Ok(());
    }
    let (mut tx, intent) = lock_redeemable(cx, client, row.intent_id, now).await?;
    if intent.state() == IntentState::Approved {
        let state = intent.state().after(Event::Redeem).map_err(FlowError::internal)?;
        store::intents::set_state(&mut tx, intent.intent_id, state, None, now).await?;
    }
    if store::tokens::insert_active(&mut tx, std::slice::from_ref(row)).await? != [true] {
        return Err(over(&intent).into());
    }
    Ok(tx.commit().await?)
}

fn claims(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    approved: &Approved,
    (jti, iat, exp): (uuid::Uuid, i64, i64),
) -> IntentClaims {
    let credential_id = decode(&approved.credential.id).unwrap_or_default();
    IntentClaims {
        iss: cx.issuer().into(),
        aud: cx.issuer().into(),
        sub: approved.sub.clone(),
        iat,
        exp,
        jti: jti.to_string(),
        client_id: client.client_id().into(),
        cnf: client.cnf.clone(),
        act: Actor::first(client.client_id()),
        acr: approved.acr.clone(),
        auth_time: approved.auth_time,
        scope: approved.envelope.scope(),
        intent: IntentProof {
            id: approved.plan.intent_id.clone(),
            digest: approved.plan_digest,
            version: 1,
            evidence: approved.evidence,
            credential: Digest::of(&credential_id),
        },
        authorization_details: IntentClaims::details(&approved.envelope),
        bounds: approved.envelope.bounds.clone(),
        status: None,
    }
}
