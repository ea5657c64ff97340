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

use super::id_token::IdToken;
use super::verify_evidence::{ApprovedClaim, Decision, DeniedClaim, Proven, verify_payload};
use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id, receipt};
use crate::keycloak::{KeycloakError, LoginRequest};
use crate::keys::Purpose;
use crate::store::approvals::{COUNTER_INDEX, PinnedPasskey};
use crate::store::intents::Intent;
use crate::store::logins::{LoginRow, NewLogin};
use crate::{random, store};
use marque_core::canonical::{Digest, decode, encode};
use marque_core::evidence::{Payload, signing_input, write};
use marque_core::lifecycle::{Event, IntentState};
use marque_core::plan::{Class, ResolvedPlan};
use marque_core::reason::Reason;
use marque_core::{jws, limits, names, text};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a browser may take from here to the realm and back.
const LOGIN: Duration = Duration::minutes(15);
/// How long one display of the approval page may be answered.
const DISPLAY: Duration = Duration::minutes(5);

/// Where to send a browser, and the cookie by which it is known again.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The realm's authorization endpoint.
    pub redirect_to: String,
    /// A secret for the browser alone.
    pub browser: String,
    /// Under which name the browser keeps it: see [`login_name`].
    pub login_name: String,
}

/// The name under which a browser keeps the secret of one sign-in. Each has its own, so that two tabs
/// of one browser do not overwrite each other's.
pub fn login_name(state: &str) -> String {
    Digest::of(state.as_bytes()).to_base64().chars().take(16).collect()
}

/// What came back with the browser.
#[derive(Clone, Copy, Debug, Default)]
pub struct Callback<'a> {
    /// `state`.
    pub state: Option<&'a str>,
    /// `code`.
    pub code: Option<&'a str>,
    /// `iss` (RFC 9207).
    pub iss: Option<&'a str>,
    /// `error_description`, if the realm answers an error.
    pub refusal: Option<&'a str>,
    /// The browser's cookie.
    pub browser: Option<&'a str>,
}

/// How the person decided.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The intent.
    pub intent_id: Uuid,
    /// Signs the browser in at the receipt page.
    pub receipt_cookie: String,
}

/// Begins an approval.
///
/// # Errors
/// Not found, gone or conflict if there is nothing to decide; unavailable while the realm is.
pub async fn begin(cx: Context<'_>, intent_id: &str) -> Result<Begun, FlowError> {
    let intent = find(cx, intent_id).await?;
    expect_pending(&intent, cx.app.clock.now())?;
    begin_login(cx, "approve", intent.intent_id).await
}

/// Sends a browser to the realm, for an approval or only to sign in at the receipt page.
pub(super) async fn begin_login(cx: Context<'_>, purpose: &str, intent_id: Uuid) -> Result<Begun, FlowError> {
    let (text, redirect_uri) = (intent_id.to_string(), redirect_uri(cx, purpose));
    let login = cx.realm.keycloak.begin_login(&login_request(cx, purpose, &redirect_uri, &text)).await?;
    let browser = random::secret()?;
    let (state_sha256, browser_sha256) = (Digest::of(login.state.as_bytes()), Digest::of(browser.as_bytes()));
    let row = NewLogin {
        state_sha256: state_sha256.as_bytes(),
        browser_sha256: browser_sha256.as_bytes(),
        purpose,
        row: LoginRow { intent_id, nonce: login.nonce, pkce_verifier: login.pkce_verifier },
        expires_at: cx.app.clock.now() + LOGIN,
    };
    store::logins::insert(&mut *cx.app.pool.acquire().await?, &row).await?;
    Ok(Begun { redirect_to: login.redirect_to, browser, login_name: login_name(&login.state) })
}

fn redirect_uri(cx: Context<'_>, purpose: &str) -> String {
    let path = if purpose == "approve" { "callback" } else { "receipt/callback" };
    format!("{}/{path}", cx.issuer())
}

fn login_request<'a>(cx: Context<'a>, purpose: &str, redirect_uri: &'a str, intent_id: &'a str) -> LoginRequest<'a> {
    let config = &cx.realm.config;
    match purpose {
        "approve" => LoginRequest { client_id: &config.keycloak_client_id, redirect_uri, intent_id: Some(intent_id) },
        _ => LoginRequest { client_id: &config.web_client_id, redirect_uri, intent_id: None },
    }
}

async fn find(cx: Context<'_>, intent_id: &str) -> Result<Intent, FlowError> {
    let unknown = || Refusal::new(OAuthError::NotFound, "there is no such plan");
    let id = parse_intent_id(intent_id).ok_or_else(unknown)?;
    let mut conn = cx.app.pool.acquire().await?;
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
    check_plan_request(cx, intent_id, request).await?;
    let intent = find(cx, intent_id).await?;
    let now = cx.app.clock.now();
    expect_pending(&intent, now).map_err(|refusal| Refusal { error: OAuthError::Gone, ..refusal })?;
    let nonce = random::bytes32()?;
    store::logins::insert_display(&mut *cx.app.pool.acquire().await?, &nonce, intent.intent_id, now + DISPLAY).await?;
    let answer = json!({
        "iss": cx.issuer(), "aud": cx.realm.config.keycloak_issuer, "intent_id": intent.intent_id, "version": 1,
        "plan": encode(&intent.plan), "catalogs": intent.catalogs, "nonce": encode(&nonce),
        "iat": now.unix_timestamp(), "exp": (now + DISPLAY).unix_timestamp(),
    });
    Ok(cx.realm.keyring.sign(Purpose::PlanAnswer, &answer)?)
}

async fn check_plan_request(cx: Context<'_>, intent_id: &str, request: &str) -> Result<(), FlowError> {
    let refuse = |text: String| Refusal::new(OAuthError::InvalidToken, text);
    let keys = cx.realm.realm_keys.with(&cx.realm.keycloak, jws::unverified_kid(request).as_deref()).await?;
    let claims = jws::verify(request, names::TYP_PLAN_REQUEST, &keys).and_then(|verified| verified.claims());
    let claims = claims.map_err(|error| refuse(format!("the plan request {error}")))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let instant = |name: &str| claims.get(name).and_then(Value::as_i64);
    let is_for_us = text("iss") == Some(&cx.realm.config.keycloak_issuer) && text("aud") == Some(cx.issuer());
    if !is_for_us || text("intent_id") != Some(intent_id) {
        return Err(refuse("the plan request is of another realm or for another plan".into()).into());
    }
    let now = cx.now_secs();
    let (Some(iat), Some(exp), Some(jti)) = (instant("iat"), instant("exp"), text("jti")) else {
        return Err(refuse("the plan request has no iat, exp or jti".into()).into());
    };
    let in_time = exp + limits::CLOCK_LEEWAY_SECS > now && iat <= now + limits::CLOCK_LEEWAY_SECS && exp - iat <= 60;
    if !in_time || !limits::is_single_use_id(jti) {
        return Err(refuse("the plan request is not of the last minute".into()).into());
    }
    if !cx.use_once("plan-request", "realm", jti, exp + limits::CLOCK_LEEWAY_SECS).await? {
        return Err(refuse("the plan request was used before".into()).into());
    }
    Ok(())
}

/// Completes an approval with what came back from the realm.
///
/// # Errors
/// Whatever does not hold; nothing is then approved.
pub async fn complete(cx: Context<'_>, callback: &Callback<'_>) -> Result<Decided, FlowError> {
    let (login, token, raw) = finish_login(cx, "approve", callback).await?;
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

/// The browser that began is back: once, with an answer of this realm, for this sign-in.
pub(super) async fn finish_login(
    cx: Context<'_>,
    purpose: &str,
    callback: &Callback<'_>,
) -> Result<(LoginRow, IdToken, String), FlowError> {
    let refuse = |text: &str| Refusal::new(OAuthError::InvalidRequest, text);
    let (Some(state), Some(browser)) = (callback.state, callback.browser) else {
        return Err(refuse("this page is only for returning from the sign-in that this browser began").into());
    };
    let (state, browser) = (Digest::of(state.as_bytes()), Digest::of(browser.as_bytes()));
    let mut conn = cx.app.pool.acquire().await?;
    let now = cx.app.clock.now();
    let login = store::logins::take(&mut conn, state.as_bytes(), browser.as_bytes(), purpose, now).await?;
    drop(conn);
    let login = login.ok_or_else(|| refuse("this sign-in is over or was answered already: open the plan again"))?;
    if callback.iss.is_some_and(|iss| iss != cx.realm.config.keycloak_issuer) {
        return Err(refuse("the answer is of another issuer").into());
    }
    let Some(code) = callback.code else { return Err(refused_by_realm(callback.refusal, login.intent_id).into()) };
    let (intent_id, redirect_uri) = (login.intent_id.to_string(), redirect_uri(cx, purpose));
    let request = login_request(cx, purpose, &redirect_uri, &intent_id);
    let sign_in = cx.realm.keycloak.finish_login(&request, code, &login.pkce_verifier).await;
    let sign_in = sign_in.map_err(|error| match error {
        KeycloakError::Refused(_) => refuse("the realm does not take this answer: open the plan again").into(),
        error @ KeycloakError::Unavailable(_) => FlowError::from(error),
    })?;
    let token = verify_id_token(cx, &sign_in.id_token, request.client_id, &login.nonce).await?;
    Ok((login, token, sign_in.id_token))
}

/// The extension's own reasons, as sentences; the intent stays as it is.
fn refused_by_realm(code: Option<&str>, intent_id: Uuid) -> Refusal {
    let text = match code {
        Some("wrong_user") => "This plan is for another user. Sign in as the user whom it names.",
        Some("no_passkey") => "You have no passkey at this realm. Register one, then open the plan again.",
        Some("session_ended") => "Your session ended while the page was open. Open the plan again.",
        Some("plan_gone") => "There is no decision to take on this plan any more.",
        _ => "The sign-in was not completed. Open the plan again.",
    };
    Refusal::new(OAuthError::AccessDenied, text).about(intent_id)
}

async fn verify_id_token(cx: Context<'_>, raw: &str, client_id: &str, nonce: &str) -> Result<IdToken, FlowError> {
    let refuse = |text: String| Refusal::new(OAuthError::InvalidGrant, text).because(Reason::EvidenceInvalid);
    let keys = cx.realm.realm_keys.with(&cx.realm.keycloak, jws::unverified_kid(raw).as_deref()).await?;
    let token = IdToken::verify(raw, &keys, cx.now_secs()).map_err(refuse)?;
    if !token.is_for(&cx.realm.config.keycloak_issuer, client_id, nonce) {
        return Err(refuse("the ID token is not for this sign-in".into()).into());
    }
    Ok(token)
}

async fn deny(cx: Context<'_>, login: &LoginRow, token: &IdToken, claim: DeniedClaim) -> Result<(), FlowError> {
    let reason = claim.reason.filter(|reason| {
        reason.chars().count() <= limits::DENIAL_REASON_CHARS && text::check_plain(reason).is_ok() && !reason.is_empty()
    });
    let now = cx.app.clock.now();
    let mut tx = cx.app.pool.begin().await?;
    let intent = lock_pending(&mut tx, cx, login.intent_id, now).await?;
    let plan = ResolvedPlan::from_canonical(&intent.plan).map_err(FlowError::internal)?;
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
    let payload = assemble(cx, &intent, raw, claim, now).await?;
    let proven = verify_payload(&payload).map_err(|error| invalid(&error))?;
    if proven.sub != token.sub {
        return Err(invalid("the evidence is of another user").into());
    }
    check_passkey(cx, &payload, &proven, now).await?;
    let mut tx = cx.app.pool.begin().await?;
    let locked = lock_pending(&mut tx, cx, login.intent_id, now).await?;
    if Digest::of(&locked.plan) != payload.plan_digest {
        return Err(invalid("the plan's row was changed").into());
    }
    if !store::logins::use_display(&mut tx, claim.nonce.as_bytes(), login.intent_id, now).await? {
        return Err(invalid("the page was open too long or answered already: open the plan again").into());
    }
    let state = locked.state().after(Event::Approve).map_err(|error| conflict(&error))?;
    keep(&mut tx, cx, &payload, &proven, login.intent_id, now).await?;
    store::intents::set_state(&mut tx, login.intent_id, state, None, now).await?;
    tx.commit().await?;
    tracing::info!(intent = %login.intent_id, plan_digest = %payload.plan_digest, "plan.approved");
    Ok(())
}

/// Plan and catalogs come from Marque's own row, the rest from the realm; all of it is then verified together.
async fn assemble(
    cx: Context<'_>,
    intent: &Intent,
    id_token: String,
    claim: &ApprovedClaim,
    now: OffsetDateTime,
) -> Result<Payload, FlowError> {
    let invalid = |text: String| Refusal::new(OAuthError::InvalidGrant, text).because(Reason::EvidenceInvalid);
    let config = &cx.realm.config;
    let origin = claim.origin().filter(|origin| config.rp_origins.contains(origin));
    let realm_jwk = match jws::unverified_kid(&id_token) {
        Some(kid) => cx.realm.realm_keys.jwk(&kid).await,
        None => None,
    };
    let realm_jwk = realm_jwk.as_ref().and_then(Value::as_object).map(bare_jwk);
    Ok(Payload {
        version: 1,
        issuer: cx.issuer().to_owned(),
        intent_id: intent.intent_id.to_string(),
        plan: serde_json::from_slice(&intent.plan).map_err(FlowError::internal)?,
        plan_digest: Digest::of(&intent.plan),
        catalogs: intent.catalogs.clone(),
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

/// The realm's key without its certificates: key id, algorithm and the public members.
fn bare_jwk(jwk: &serde_json::Map<String, Value>) -> Value {
    let mut bare = jws::public_members(jwk);
    for name in ["kid", "alg", "use"] {
        bare.extend(jwk.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    Value::Object(bare)
}

/// The realm still lists the passkey for this user, and it is the one that was seen first under its id.
/// Its first sight is kept whatever comes after: the waiting period of an added passkey starts with it.
async fn check_passkey(
    cx: Context<'_>,
    payload: &Payload,
    proven: &Proven,
    now: OffsetDateTime,
) -> Result<(), FlowError> {
    expect_current_passkey(cx, &proven.sub, &payload.credential.id, &payload.credential.public_key).await?;
    let bytes = |text: &str| decode(text).ok_or_else(|| FlowError::internal("verified base64url does not decode"));
    let seen = PinnedPasskey {
        public_key: bytes(&payload.credential.public_key)?,
        backup_eligible: payload.credential.backup_eligible,
    };
    let id = bytes(&payload.credential.id)?;
    let mut conn = cx.app.pool.acquire().await?;
    let pinned = store::approvals::pin_passkey(&mut conn, cx.realm_name(), &proven.sub, &id, &seen, now).await?;
    if pinned.public_key != seen.public_key || pinned.backup_eligible != seen.backup_eligible {
        let text = "the passkey's public key is not the one that was first seen under its id";
        return Err(Refusal::new(OAuthError::InvalidGrant, text).because(Reason::EvidenceInvalid).into());
    }
    let all = store::approvals::pinned_passkeys(&mut conn, cx.realm_name(), &proven.sub).await?;
    expect_confirmed(&all, &id, &proven.plan, now)
}

/// How long an added passkey approves only reads.
const NEW_PASSKEY: Duration = Duration::hours(24);

/// The first passkey of a user approves at once; an added one approves only reads for a day, so that
/// somebody who can add passkeys to an account cannot at once act with them.
fn expect_confirmed(
    pinned: &[(Vec<u8>, OffsetDateTime)],
    id: &[u8],
    plan: &ResolvedPlan,
    now: OffsetDateTime,
) -> Result<(), FlowError> {
    let is_first = pinned.first().is_some_and(|(first, _)| first == id);
    let is_old = pinned.iter().any(|(known, at)| known == id && now - *at >= NEW_PASSKEY);
    if is_first || is_old || plan.steps.iter().all(|step| step.class == Class::Read) {
        return Ok(());
    }
    tracing::warn!(intent = %plan.intent_id, "passkey.unconfirmed");
    let text = "a passkey that was added approves only reads for 24 hours after its first use here: use your first one";
    Err(Refusal::new(OAuthError::AccessDenied, text).because(Reason::EvidenceInvalid).into())
}

/// The realm, asked now, knows the user as enabled and the passkey as hers.
pub(super) async fn expect_current_passkey(
    cx: Context<'_>,
    sub: &str,
    credential_id: &str,
    public_key: &str,
) -> Result<(), FlowError> {
    let user = cx.realm.directory.find_user(&cx.realm.keycloak, sub).await?;
    let refuse = |reason: Reason| Refusal::new(OAuthError::AccessDenied, reason.meaning()).because(reason);
    let user = user.filter(|user| user.enabled).ok_or_else(|| refuse(Reason::UserInactive))?;
    let is_hers = user.passkeys.iter().any(|key| key.credential_id == credential_id && key.public_key == public_key);
    if is_hers { Ok(()) } else { Err(refuse(Reason::PasskeyRemoved).into()) }
}

async fn keep(
    tx: &mut sqlx::PgConnection,
    cx: Context<'_>,
    payload: &Payload,
    proven: &Proven,
    intent_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), FlowError> {
    let key = cx.realm.keyring.key(Purpose::Evidence)?;
    let file = write(payload, key.public_jwk(), &key.sign_raw(&signing_input(payload))?);
    let credential_id = decode(&payload.credential.id).unwrap_or_default();
    let kept = store::approvals::insert(tx, intent_id, &file, &credential_id, proven.sign_count, now).await;
    kept.map_err(|error| {
        if store::violates(&error, COUNTER_INDEX) {
            let text = "the passkey's counter was used before: the assertion was replayed or the passkey was copied";
            return Refusal::new(OAuthError::InvalidGrant, text).because(Reason::EvidenceInvalid).into();
        }
        error.into()
    })
}
