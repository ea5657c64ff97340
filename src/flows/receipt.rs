//! The receipt page: what became of a plan, and ending it now.
//!
//! A browser is known by a cookie that the approval set, or that signing in at the realm sets. Who
//! signs in must be the plan's user; to everybody else the plan does not exist.

use super::approve_plan::Decided;
use super::realm_login::{Begun, Callback, Errand, begin_login, finish_login};
use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id, revoke_intent};
use crate::{random, store};
use marque_core::canonical::Digest;
use marque_core::catalog::Catalog;
use marque_core::lifecycle::{Event, IntentState};
use marque_core::plan::{ResolvedPlan, Step, Uses};
use marque_core::{display, jws};
use sqlx::PgConnection;
use time::Duration;
use uuid::Uuid;

/// How long a browser stays signed in.
pub const SESSION: Duration = Duration::minutes(10);

/// What the page shows.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The intent.
    pub intent_id: Uuid,
    /// Where it stands, as a word; `expired` if its time is over.
    pub state: &'static str,
    /// The comparison words.
    pub words: String,
    /// When it ends, RFC 3339.
    pub expires_at: String,
    /// The lines that the approval page showed.
    pub lines: Vec<String>,
    /// Uses of each step: id, used, allowed.
    pub uses: Vec<(String, u64, String)>,
    /// What the person gave as reason for a denial.
    pub denial_reason: Option<String>,
    /// Whether it can still be revoked.
    pub can_revoke: bool,
    /// The token against cross-site requests that goes with the cookie.
    pub csrf: String,
}

/// Signs a browser in for one intent; answers its cookie.
pub(super) async fn sign_in(cx: Context<'_>, intent_id: Uuid) -> Result<String, FlowError> {
    let cookie = random::secret()?;
    let sha256 = Digest::of(cookie.as_bytes());
    let until = cx.app.clock.now() + SESSION;
    let keep = async |conn: &mut PgConnection| {
        store::receipt_sessions::insert(conn, sha256.as_bytes(), intent_id, until).await
    };
    cx.app.db.write(keep).await?;
    Ok(cookie)
}

/// Sends a browser without a cookie to sign in at the realm.
///
/// # Errors
/// Not found if the id is none; unavailable while the realm is.
pub async fn begin(cx: Context<'_>, intent_id: &str) -> Result<Begun, FlowError> {
    let id = parse_intent_id(intent_id).ok_or_else(unknown)?;
    let known = store::intents::find(&mut *cx.app.db.look().await?, cx.realm_name(), id).await?;
    known.ok_or_else(unknown)?;
    begin_login(cx, Errand::Receipt, id).await
}

/// The browser is back from signing in.
///
/// # Errors
/// Not found, as for an unknown plan, if somebody else than the plan's user signed in.
pub async fn complete(cx: Context<'_>, callback: &Callback<'_>) -> Result<Decided, FlowError> {
    let (login, token, _) = finish_login(cx, false, callback).await?;
    let mut conn = cx.app.db.look().await?;
    store::intents::find(&mut conn, cx.realm_name(), login.intent_id).await?.ok_or_else(unknown)?;
    let plan = store::intents::plan(&mut conn, login.intent_id).await?;
    drop(conn);
    let plan = ResolvedPlan::from_canonical(&plan).map_err(FlowError::internal)?;
    if !plan.user.is(&token.issuer, &token.sub, &token.username) {
        return Err(unknown().into());
    }
    Ok(Decided { intent_id: login.intent_id, receipt_cookie: sign_in(cx, login.intent_id).await? })
}

/// What the receipt page shows to a signed-in browser; nothing to another.
///
/// # Errors
/// When the plan cannot be read.
pub async fn find(cx: Context<'_>, intent_id: &str, cookie: Option<&str>) -> Result<Option<Receipt>, FlowError> {
    let (Some(id), Some(cookie)) = (parse_intent_id(intent_id), cookie) else { return Ok(None) };
    let now = cx.app.clock.now();
    let mut conn = cx.app.db.look().await?;
    let sha256 = Digest::of(cookie.as_bytes());
    if !store::receipt_sessions::is_signed_in(&mut conn, sha256.as_bytes(), id, now).await? {
        return Ok(None);
    }
    let Some(intent) = store::intents::find(&mut conn, cx.realm_name(), id).await? else { return Ok(None) };
    // Where the ledger cannot be read, nothing can be used any more.
    let ledger = match cx.ledger(&mut conn, id).await {
        Err(FlowError::Refused(_)) => None,
        ledger => Some(ledger?),
    };
    let documents = store::intents::documents(&mut conn, id).await?;
    let plan = ResolvedPlan::from_canonical(&documents.plan).map_err(FlowError::internal)?;
    let is_over = now >= intent.expires_at || (intent.state() == IntentState::Pending && now >= intent.pending_until);
    let used = |step: &Step| match (&ledger, step.uses) {
        (Some(ledger), _) => ledger.uses(&step.id),
        (None, Uses::Count(allowed)) => allowed,
        (None, Uses::Any) => 0,
    };
    Ok(Some(Receipt {
        intent_id: id,
        state: if is_over && intent.state().after(Event::Revoke).is_ok() { "expired" } else { intent.state().word() },
        words: plan.digest().words(),
        expires_at: plan.limits.expires_at.clone(),
        lines: lines(&plan, &documents.catalogs)?,
        uses: plan.steps.iter().map(|step| (step.id.clone(), used(step), allowed(step.uses))).collect(),
        denial_reason: intent.denial_reason.clone(),
        can_revoke: !is_over && intent.state().after(Event::Revoke).is_ok(),
        csrf: csrf(cookie, id),
    }))
}

fn allowed(uses: Uses) -> String {
    match uses {
        Uses::Count(count) => count.to_string(),
        Uses::Any => "any".into(),
    }
}

fn lines(plan: &ResolvedPlan, catalogs: &[String]) -> Result<Vec<String>, FlowError> {
    let parse = |compact: &String| {
        let payload = jws::unverified_payload(compact).map_err(FlowError::internal)?;
        Catalog::parse(&payload).map_err(FlowError::internal)
    };
    let catalogs = catalogs.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    display::lines(plan, &catalogs, "en").map_err(FlowError::internal)
}

fn csrf(cookie: &str, intent_id: Uuid) -> String {
    Digest::of(format!("marque/csrf/v1\0{intent_id}\0{cookie}").as_bytes()).to_base64()
}

/// "Revoke now": the signed-in browser, from the page's own form, ends the intent.
///
/// # Errors
/// Not found without cookie or form token.
pub async fn revoke(
    cx: Context<'_>,
    intent_id: &str,
    cookie: Option<&str>,
    csrf_sent: Option<&str>,
) -> Result<Uuid, FlowError> {
    let receipt = find(cx, intent_id, cookie).await?.ok_or_else(unknown)?;
    let matches = csrf_sent
        .is_some_and(|sent| bool::from(subtle::ConstantTimeEq::ct_eq(sent.as_bytes(), receipt.csrf.as_bytes())));
    if !matches {
        return Err(Refusal::new(OAuthError::AccessDenied, "send the form of the receipt page").into());
    }
    revoke_intent::revoke_intent(cx, receipt.intent_id, "user").await?;
    Ok(receipt.intent_id)
}

fn unknown() -> Refusal {
    Refusal::new(OAuthError::NotFound, "there is no such plan")
}
