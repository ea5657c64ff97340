//! Approval of one call: the person signs it at her realm, and Marque verifies it again. The steps are those of
//! [`super::approve_plan`], with a document of one call in the place of the plan.
//!
//! 1. The step-up waits for a decision; its intent is active.
//! 2. The browser goes to the realm; the extension is handed the document, its catalog and a fresh nonce.
//! 3. The browser is back with the realm's word on this very step-up. A denial is final.
//! 4. Assemble the evidence and verify all of it; the passkey is the pinned one and still hers.
//! 5. In one transaction: still pending, the display's nonce is used, the counter is new; keep the evidence.

use super::approve_plan::{DISPLAY, check_request, keep_evidence, signing_jwk};
use super::check_passkey::check_passkey;
use super::id_token::IdToken;
use super::realm_login::{Begun, Errand, begin_login};
use super::verify_evidence::{ApprovedClaim, Decision};
use super::verify_step_up::{ProvenStepUp, parse_claim, verify_step_up};
use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id};
use crate::keys::Purpose;
use crate::store::approvals::Approved;
use crate::store::logins::LoginRow;
use crate::store::step_ups::StepUpRow;
use crate::{random, store};
use marque_core::canonical::{Digest, encode};
use marque_core::evidence::{signing_input, write};
use marque_core::plan::Class;
use marque_core::reason::Reason;
use marque_core::step_up::Document;
use marque_core::step_up::evidence::StepUpPayload;
use marque_core::{limits, names, text};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Begins the approval of a call; nothing if the id names no step-up.
///
/// # Errors
/// Gone or conflict if there is nothing to decide; unavailable while the realm is.
pub(super) async fn begin(cx: Context<'_>, id: &str) -> Result<Option<Begun>, FlowError> {
    let Some(id) = parse_intent_id(id) else { return Ok(None) };
    let mut conn = cx.app.db.look().await?;
    let Some(row) = store::step_ups::find(&mut conn, cx.realm_name(), id).await? else { return Ok(None) };
    expect_open(cx, &mut conn, &row).await?;
    drop(conn);
    begin_login(cx, Errand::StepUp(id), row.intent_id).await.map(Some)
}

/// A decision is still to be taken, and would still permit something.
async fn expect_open(cx: Context<'_>, conn: &mut PgConnection, row: &StepUpRow) -> Result<(), FlowError> {
    if row.state != "pending" {
        return Err(Refusal::new(OAuthError::Conflict, "this call was decided already").about(row.intent_id).into());
    }
    let is_over = cx.app.clock.now() >= row.pending_until;
    if is_over || cx.why_not_active(conn, row.intent_id).await?.is_some() {
        return Err(Refusal::new(OAuthError::Gone, "the time to decide on this call is over")
            .about(row.intent_id)
            .into());
    }
    Ok(())
}

/// Answers the extension's request for a step-up with a signed message that holds all it needs to render it itself.
///
/// # Errors
/// `invalid_token` if the realm did not sign the request for this step-up, not found or gone if nothing waits.
pub async fn answer_step_up_request(
    cx: Context<'_>,
    step_up_id: &str,
    request: Option<&str>,
) -> Result<String, FlowError> {
    let request = request.ok_or_else(|| Refusal::new(OAuthError::MissingToken, "send Authorization: Bearer"))?;
    check_request(cx, (names::TYP_STEP_UP_REQUEST, "step_up_id"), step_up_id, request).await?;
    let unknown = || Refusal::new(OAuthError::NotFound, "there is no such call to approve");
    let id = parse_intent_id(step_up_id).ok_or_else(unknown)?;
    let mut conn = cx.app.db.look().await?;
    let row = store::step_ups::find(&mut conn, cx.realm_name(), id).await?.ok_or_else(unknown)?;
    expect_open(cx, &mut conn, &row).await.map_err(gone)?;
    drop(conn);
    let (now, nonce) = (cx.app.clock.now(), random::bytes32()?);
    let (intent_id, until) = (row.intent_id, now + DISPLAY);
    let keep =
        async |conn: &mut PgConnection| store::logins::insert_display(conn, &nonce, intent_id, Some(id), until).await;
    cx.app.db.write(keep).await?;
    let mut answer = json!({
        "iss": cx.issuer(), "aud": cx.realm.config.keycloak_issuer, "step_up_id": step_up_id, "version": 1,
        "document": encode(&row.document), "nonce": encode(&nonce),
        "iat": now.unix_timestamp(), "exp": (now + DISPLAY).unix_timestamp(),
    });
    if let (Some(members), Some(catalog)) = (answer.as_object_mut(), row.catalog) {
        members.insert("catalog".into(), catalog.into());
    }
    Ok(cx.realm.keyring.sign(Purpose::StepUpAnswer, &answer)?)
}

fn gone(error: FlowError) -> FlowError {
    match error {
        FlowError::Refused(refusal) => Refusal { error: OAuthError::Gone, ..*refusal }.into(),
        other => other,
    }
}

/// Takes the realm's word on a call.
pub(super) async fn decide(
    cx: Context<'_>,
    step_up_id: Uuid,
    login: &LoginRow,
    token: &IdToken,
    raw: String,
) -> Result<(), FlowError> {
    let claim = token.approval().ok_or_else(|| invalid("the realm returned no decision"))?;
    let decision = parse_claim(claim).map_err(|error| invalid(&format!("the realm's decision {error}")))?;
    let decided_for = match &decision {
        Decision::Approved(claim) => &claim.intent_id,
        Decision::Denied(claim) => &claim.intent_id,
    };
    if *decided_for != step_up_id.to_string() {
        return Err(invalid("the realm's decision is on another call").into());
    }
    let now = cx.app.clock.now();
    let mut conn = cx.app.db.look().await?;
    let row = find(cx, &mut conn, step_up_id).await?;
    expect_open(cx, &mut conn, &row).await?;
    drop(conn);
    let document = Document::from_canonical(&row.document).map_err(FlowError::internal)?;
    if document.user.iss != token.issuer || document.user.sub != token.sub {
        return Err(Refusal::new(OAuthError::AccessDenied, "this call is for another user").into());
    }
    match decision {
        Decision::Approved(claim) => approve(cx, (&row, &document), login, raw, &claim, now).await,
        Decision::Denied(claim) => deny(cx, step_up_id, claim.reason).await,
    }
}

fn invalid(text: &str) -> Refusal {
    Refusal::new(OAuthError::InvalidGrant, text).because(Reason::EvidenceInvalid)
}

async fn find(cx: Context<'_>, conn: &mut PgConnection, step_up_id: Uuid) -> Result<StepUpRow, FlowError> {
    let found = store::step_ups::find(conn, cx.realm_name(), step_up_id).await?;
    Ok(found.ok_or_else(|| Refusal::new(OAuthError::NotFound, "there is no such call to approve"))?)
}

/// The step-up, locked, if a decision is still to be taken.
async fn lock_open(cx: Context<'_>, tx: &mut PgConnection, step_up_id: Uuid) -> Result<StepUpRow, FlowError> {
    let locked = store::step_ups::lock(tx, cx.realm_name(), step_up_id).await?;
    let row = locked.ok_or_else(|| Refusal::new(OAuthError::NotFound, "there is no such call to approve"))?;
    expect_open(cx, tx, &row).await?;
    Ok(row)
}

async fn deny(cx: Context<'_>, step_up_id: Uuid, reason: Option<String>) -> Result<(), FlowError> {
    let reason = reason.filter(|reason| {
        reason.chars().count() <= limits::DENIAL_REASON_CHARS && text::check_plain(reason).is_ok() && !reason.is_empty()
    });
    let mut tx = cx.app.db.begin().await?;
    lock_open(cx, &mut tx, step_up_id).await?;
    store::step_ups::set_state(&mut tx, step_up_id, "denied", reason.as_deref()).await?;
    tx.commit().await?;
    tracing::info!(step_up = %step_up_id, "step_up.denied");
    Ok(())
}

async fn approve(
    cx: Context<'_>,
    (row, document): (&StepUpRow, &Document),
    login: &LoginRow,
    raw: String,
    claim: &ApprovedClaim,
    now: OffsetDateTime,
) -> Result<(), FlowError> {
    let payload = assemble(cx, row, raw, claim, now).await?;
    let proven = verify_step_up(&payload).map_err(|error| invalid(&error))?;
    let is_only_reads = document.class == Class::Read;
    check_passkey(cx, &payload.credential, &document.user.sub, is_only_reads, now).await?;
    let mut tx = cx.app.db.begin().await?;
    let locked = lock_open(cx, &mut tx, row.step_up_id).await?;
    if Digest::of(&locked.document) != payload.document_digest {
        return Err(invalid("the call's row was changed").into());
    }
    let (nonce, step_up_id) = (claim.nonce.as_bytes(), Some(row.step_up_id));
    if !store::logins::use_display(&mut tx, nonce, login.intent_id, step_up_id, now).await? {
        return Err(invalid("the page was open too long or answered already: open the call again").into());
    }
    let approved = Approved { intent_id: row.intent_id, step_up_id };
    keep(&mut tx, cx, &payload, &proven, approved, now).await?;
    store::step_ups::set_state(&mut tx, row.step_up_id, "approved", None).await?;
    tx.commit().await?;
    tracing::info!(step_up = %row.step_up_id, document = %payload.document_digest, "step_up.approved");
    Ok(())
}

/// Document and catalog come from Marque's own row, the rest from the realm; all of it is then verified together.
async fn assemble(
    cx: Context<'_>,
    row: &StepUpRow,
    id_token: String,
    claim: &ApprovedClaim,
    now: OffsetDateTime,
) -> Result<StepUpPayload, FlowError> {
    let config = &cx.realm.config;
    let origin = claim.origin().filter(|origin| config.rp_origins.contains(origin));
    let realm_jwk = signing_jwk(cx, &id_token).await;
    Ok(StepUpPayload {
        version: 1,
        issuer: cx.issuer().to_owned(),
        step_up_id: row.step_up_id.to_string(),
        document: serde_json::from_slice(&row.document).map_err(FlowError::internal)?,
        document_digest: Digest::of(&row.document),
        catalog: row.catalog.clone(),
        display: claim.display.clone(),
        display_digest: claim.display.digest(),
        nonce: claim.nonce,
        assertion: claim.assertion(),
        credential: claim.credential().map_err(|error| invalid(&error))?,
        rp_id: config.rp_id.clone(),
        origin: origin.ok_or_else(|| invalid("the passkey was used at another origin"))?,
        id_token,
        realm_jwk: realm_jwk.ok_or_else(|| invalid("the realm's key is not published"))?,
        approved_at: now.unix_timestamp(),
    })
}

async fn keep(
    tx: &mut PgConnection,
    cx: Context<'_>,
    payload: &StepUpPayload,
    proven: &ProvenStepUp,
    approved: Approved,
    now: OffsetDateTime,
) -> Result<(), FlowError> {
    let key = cx.realm.keyring.key(Purpose::StepUpEvidence)?;
    let file = write(payload, key.public_jwk(), &key.sign_raw(&signing_input(payload))?);
    keep_evidence(tx, approved, &file, &payload.credential, proven.sign_count, now).await
}
