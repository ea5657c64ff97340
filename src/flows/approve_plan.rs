//! Approval: the person signs the plan at her realm, and Marque verifies it again.
//!
//! [`begin`]:
//! 1. The intent waits for a decision.
//! 2. Push an authorization request that carries its id alone.
//! 3. Remember the browser.
//!
//! [`answer_plan_request`]:
//! 4. The extension, with a request that the realm signed, is handed the plan, its catalogs and a fresh nonce.
//!
//! [`complete`]:
//! 5. The browser that began is back, once.
//! 6. Redeem the code; verify the ID token for this sign-in.
//! 7. A denial is final.
//! 8. Assemble the evidence and verify all of it; the passkey is the pinned one and still hers.
//! 9. In one transaction: still pending, the display's nonce is used, the counter is new; keep the evidence.

use super::check_passkey::check_passkey;
use super::id_token::IdToken;
use super::realm_login::{Begun, Callback, Errand, begin_login, finish_login};
use super::verify_evidence::{ApprovedClaim, Decision, DeniedClaim, Proven, verify_payload};
use super::{Context, FlowError, OAuthError, Refusal, approve_step_up, approved_plans, parse_intent_id, receipt};
use crate::keys::Purpose;
use crate::store::approvals::{Approved, COUNTER_INDEX};
use crate::store::intents::Intent;
use crate::store::logins::LoginRow;
use crate::{random, store};
use marque_core::canonical::{Digest, decode, encode};
use marque_core::evidence::{Credential, Payload, signing_input, write};
use marque_core::lifecycle::{Event, IntentState};
use marque_core::plan::{Class, ResolvedPlan};
use marque_core::reason::Reason;
use marque_core::times::{Lives, Times};
use marque_core::{jws, limits, names, text};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long one display of the approval page may be answered.
pub(super) const DISPLAY: Duration = Duration::minutes(5);

/// How the person decided.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The intent.
    pub intent_id: Uuid,
    /// Signs the browser in at the receipt page.
    pub receipt_cookie: String,
}

/// Begins an approval: of a plan, or of the one call of a step-up, whichever the id names.
///
/// # Errors
/// Not found, gone or conflict if there is nothing to decide; unavailable while the realm is.
pub async fn begin(cx: Context<'_>, intent_id: &str) -> Result<Begun, FlowError> {
    if let Some(begun) = approve_step_up::begin(cx, intent_id).await? {
        return Ok(begun);
    }
    let intent = find(cx, intent_id).await?;
    expect_pending(&intent, cx.app.clock.now())?;
    begin_login(cx, Errand::Approve, intent.intent_id).await
}

async fn find(cx: Context<'_>, intent_id: &str) -> Result<Intent, FlowError> {
    let unknown = || Refusal::new(OAuthError::NotFound, "there is no such plan");
    let id = parse_intent_id(intent_id).ok_or_else(unknown)?;
    let mut conn = cx.app.db.look().await?;
    Ok(store::intents::find(&mut conn, cx.realm_name(), id).await?.ok_or_else(unknown)?)
}

fn expect_pending(intent: &Intent, now: OffsetDateTime) -> Result<(), Refusal> {
    if intent.state() != IntentState::Pending {
        return Err(Refusal::new(OAuthError::Conflict, "this plan was decided already").about(intent.intent_id));
    }
    if now >= intent.pending_until {
        return Err(Refusal::new(OAuthError::Gone, "the time to decide on this plan is over").about(intent.intent_id));
    }
    Ok(())
}

/// Answers the extension's request for a plan with a signed message that holds all it needs to
/// render the plan itself.
///
/// # Errors
/// `invalid_token` if the realm did not sign the request for this plan, not found or gone if nothing waits.
pub async fn answer_plan_request(cx: Context<'_>, intent_id: &str, request: Option<&str>) -> Result<String, FlowError> {
    let request = request.ok_or_else(|| Refusal::new(OAuthError::MissingToken, "send Authorization: Bearer"))?;
    check_request(cx, (names::TYP_PLAN_REQUEST, "intent_id"), intent_id, request).await?;
    let intent = find(cx, intent_id).await?;
    let now = cx.app.clock.now();
    expect_pending(&intent, now).map_err(|refusal| Refusal { error: OAuthError::Gone, ..refusal })?;
    let nonce = random::bytes32()?;
    let (intent_id, until) = (intent.intent_id, now + DISPLAY);
    let documents = cx.app.db.write(async |conn| {
        store::logins::insert_display(conn, &nonce, intent_id, None, until).await?;
        store::intents::documents(conn, intent_id).await
    });
    let documents = documents.await?;
    let answer = json!({
        "iss": cx.issuer(), "aud": cx.realm.config.keycloak_issuer, "intent_id": intent.intent_id, "version": 1,
        "plan": encode(&documents.plan), "catalogs": documents.catalogs, "nonce": encode(&nonce),
        "iat": now.unix_timestamp(), "exp": (now + DISPLAY).unix_timestamp(),
    });
    Ok(cx.realm.keyring.sign(Purpose::PlanAnswer, &answer)?)
}

/// Seconds from `iat` to `exp` of a request of the extension at most.
const REQUEST_SECS: i64 = 60;

/// A request of the extension: signed by the realm as `typ`, for the thing whose id is in the claim `member`, once.
pub(super) async fn check_request(
    cx: Context<'_>,
    (typ, member): (&str, &str),
    id: &str,
    request: &str,
) -> Result<(), FlowError> {
    let refuse = |text: String| Refusal::new(OAuthError::InvalidToken, text);
    let keys = cx.realm.realm_keys.with(&cx.realm.keycloak, jws::unverified_kid(request).as_deref()).await?;
    let claims = jws::verify(request, typ, &keys).and_then(|verified| verified.claims());
    let claims = claims.map_err(|error| refuse(format!("the plan request {error}")))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let is_for_us = text("iss") == Some(&cx.realm.config.keycloak_issuer) && text("aud") == Some(cx.issuer());
    if !is_for_us || text(member) != Some(id) {
        return Err(refuse("the plan request is of another realm or for another plan".into()).into());
    }
    let times = Times::check(&claims, Lives::FromIssue(REQUEST_SECS), cx.now_secs());
    let times = times.map_err(|error| refuse(format!("the plan request {error}")))?;
    let jti = text("jti").filter(|jti| limits::is_single_use_id(jti));
    let jti = jti.ok_or_else(|| refuse("the plan request has no usable jti".into()))?;
    if !cx.use_once("plan-request", "realm", jti, times.over_at()).await? {
        return Err(refuse("the plan request was used before".into()).into());
    }
    Ok(())
}

/// Completes an approval with what came back from the realm.
///
/// # Errors
/// Whatever does not hold; nothing is then approved.
pub async fn complete(cx: Context<'_>, callback: &Callback<'_>) -> Result<Decided, FlowError> {
    let (login, token, raw) = finish_login(cx, true, callback).await?;
    if let Some(step_up_id) = login.step_up_id {
        approve_step_up::decide(cx, step_up_id, &login, &token, raw).await?;
        let receipt_cookie = receipt::sign_in(cx, login.intent_id).await?;
        return Ok(Decided { intent_id: login.intent_id, receipt_cookie });
    }
    let invalid = |text: String| Refusal::new(OAuthError::InvalidGrant, text).because(Reason::EvidenceInvalid);
    let claim = token.approval().ok_or_else(|| invalid("the realm returned no decision".into()))?;
    let decision = Decision::parse(claim).map_err(|error| invalid(format!("the realm's decision {error}")))?;
    let decided_for = match &decision {
        Decision::Approved(claim) => &claim.intent_id,
        Decision::Denied(claim) => &claim.intent_id,
    };
    if *decided_for != login.intent_id.to_string() {
        return Err(invalid("the realm's decision is on another plan".into()).into());
    }
    match decision {
        Decision::Denied(claim) => deny(cx, &login, &token, claim).await?,
        Decision::Approved(claim) => approve(cx, &login, &token, raw, &claim).await?,
    }
    let receipt_cookie = receipt::sign_in(cx, login.intent_id).await?;
    Ok(Decided { intent_id: login.intent_id, receipt_cookie })
}

async fn deny(cx: Context<'_>, login: &LoginRow, token: &IdToken, claim: DeniedClaim) -> Result<(), FlowError> {
    let reason = claim.reason.filter(|reason| {
        reason.chars().count() <= limits::DENIAL_REASON_CHARS && text::check_plain(reason).is_ok() && !reason.is_empty()
    });
    let now = cx.app.clock.now();
    let mut tx = cx.app.db.begin().await?;
    let intent = lock_pending(&mut tx, cx, login.intent_id, now).await?;
    let plan = store::intents::plan(&mut tx, login.intent_id).await?;
    let plan = ResolvedPlan::from_canonical(&plan).map_err(FlowError::internal)?;
    if !plan.user.is(&token.issuer, &token.sub, &token.username) {
        return Err(Refusal::new(OAuthError::AccessDenied, "this plan is for another user").into());
    }
    let state = intent.state().after(Event::Deny).map_err(|error| conflict(&error))?;
    store::intents::set_state(&mut tx, login.intent_id, state, reason.as_deref(), now).await?;
    tx.commit().await?;
    tracing::info!(intent = %login.intent_id, "plan.denied");
    Ok(())
}

async fn lock_pending(
    tx: &mut sqlx::PgConnection,
    cx: Context<'_>,
    intent_id: Uuid,
    now: OffsetDateTime,
) -> Result<Intent, FlowError> {
    let intent = store::intents::lock(tx, cx.realm_name(), intent_id).await?;
    let intent = intent.ok_or_else(|| Refusal::new(OAuthError::NotFound, "there is no such plan"))?;
    expect_pending(&intent, now)?;
    Ok(intent)
}

fn conflict(error: &impl std::fmt::Display) -> Refusal {
    Refusal::new(OAuthError::Conflict, error.to_string())
}

async fn approve(
    cx: Context<'_>,
    login: &LoginRow,
    token: &IdToken,
    raw: String,
    claim: &ApprovedClaim,
) -> Result<(), FlowError> {
    let now = cx.app.clock.now();
    let invalid = |text: &str| Refusal::new(OAuthError::InvalidGrant, text).because(Reason::EvidenceInvalid);
    let intent = find(cx, &login.intent_id.to_string()).await?;
    expect_pending(&intent, now)?;
    let payload = assemble(cx, login.intent_id, raw, claim, now).await?;
    let proven = verify_payload(&payload).map_err(|error| invalid(&error))?;
    if proven.sub != token.sub {
        return Err(invalid("the evidence is of another user").into());
    }
    let is_only_reads = proven.plan.steps.iter().all(|step| step.class == Class::Read);
    check_passkey(cx, &payload.credential, &proven.sub, is_only_reads, now).await?;
    let mut tx = cx.app.db.begin().await?;
    let locked = lock_pending(&mut tx, cx, login.intent_id, now).await?;
    if store::intents::plan_digest(&mut tx, login.intent_id).await? != payload.plan_digest {
        return Err(invalid("the plan's row was changed").into());
    }
    if !store::logins::use_display(&mut tx, claim.nonce.as_bytes(), login.intent_id, None, now).await? {
        return Err(invalid("the page was open too long or answered already: open the plan again").into());
    }
    let state = locked.state().after(Event::Approve).map_err(|error| conflict(&error))?;
    let approved = keep(&mut tx, cx, &payload, &proven, login.intent_id, now).await?;
    store::intents::set_state(&mut tx, login.intent_id, state, None, now).await?;
    tx.commit().await?;
    cx.realm.verified.remember(approved).await;
    tracing::info!(intent = %login.intent_id, plan_digest = %payload.plan_digest, "plan.approved");
    Ok(())
}

/// Plan and catalogs come from Marque's own row, the rest from the realm; all of it is then verified together.
async fn assemble(
    cx: Context<'_>,
    intent_id: Uuid,
    id_token: String,
    claim: &ApprovedClaim,
    now: OffsetDateTime,
) -> Result<Payload, FlowError> {
    let invalid = |text: String| Refusal::new(OAuthError::InvalidGrant, text).because(Reason::EvidenceInvalid);
    let documents = store::intents::documents(&mut *cx.app.db.look().await?, intent_id).await?;
    let config = &cx.realm.config;
    let origin = claim.origin().filter(|origin| config.rp_origins.contains(origin));
    let realm_jwk = signing_jwk(cx, &id_token).await;
    Ok(Payload {
        version: 1,
        issuer: cx.issuer().to_owned(),
        intent_id: intent_id.to_string(),
        plan: serde_json::from_slice(&documents.plan).map_err(FlowError::internal)?,
        plan_digest: Digest::of(&documents.plan),
        catalogs: documents.catalogs,
        display: claim.display.clone(),
        display_digest: claim.display.digest(),
        nonce: claim.nonce,
        assertion: claim.assertion(),
        credential: claim.credential().map_err(invalid)?,
        rp_id: config.rp_id.clone(),
        origin: origin.ok_or_else(|| invalid("the passkey was used at another origin".into()))?,
        id_token,
        realm_jwk: realm_jwk.ok_or_else(|| invalid("the realm's key is not published".into()))?,
        approved_at: now.unix_timestamp(),
    })
}

/// The realm's key that signed an ID token.
pub(super) async fn signing_jwk(cx: Context<'_>, id_token: &str) -> Option<Value> {
    let jwk = cx.realm.realm_keys.jwk(&jws::unverified_kid(id_token)?).await;
    jwk.as_ref().and_then(Value::as_object).map(bare_jwk)
}

/// The realm's key without its certificates: key id, algorithm and the public members.
fn bare_jwk(jwk: &serde_json::Map<String, Value>) -> Value {
    let mut bare = jws::public_members(jwk);
    for name in ["kid", "alg", "use"] {
        bare.extend(jwk.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    Value::Object(bare)
}

async fn keep(
    tx: &mut sqlx::PgConnection,
    cx: Context<'_>,
    payload: &Payload,
    proven: &Proven,
    intent_id: Uuid,
    now: OffsetDateTime,
) -> Result<approved_plans::Approved, FlowError> {
    let key = cx.realm.keyring.key(Purpose::Evidence)?;
    let file = write(payload, key.public_jwk(), &key.sign_raw(&signing_input(payload))?);
    let approved = Approved { intent_id, step_up_id: None };
    keep_evidence(tx, approved, &file, &payload.credential, proven.sign_count, now).await?;
    store::intents::note_approver(tx, intent_id, &proven.sub, &proven.username).await?;
    approved_plans::Approved::by(cx, intent_id, &file)
}

/// Keeps an evidence file, unless the passkey's counter was seen in any approval.
pub(super) async fn keep_evidence(
    tx: &mut sqlx::PgConnection,
    approved: Approved,
    file: &[u8],
    credential: &Credential,
    sign_count: u32,
    now: OffsetDateTime,
) -> Result<(), FlowError> {
    let credential_id = decode(&credential.id).unwrap_or_default();
    let kept = store::approvals::insert(tx, approved, file, &credential_id, sign_count, now).await;
    kept.map_err(|error| {
        if !store::violates(&error, COUNTER_INDEX) {
            return error.into();
        }
        let text = "the passkey's counter was used before: the assertion was replayed or the passkey was copied";
        Refusal::new(OAuthError::InvalidGrant, text).because(Reason::EvidenceInvalid).into()
    })
}
