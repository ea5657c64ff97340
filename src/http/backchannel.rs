//! `POST /bc-authorize`: submission for clients that speak CIBA (OpenID Connect CIBA Core 1.0), poll mode.

use super::error::HttpError;
use super::extract::{Form, InRealm, single};
use super::plans::{authenticate_submitter, hint, submitted_members};
use crate::flows::submit_plan::{Backchannel, Submission, submit_plan};
use crate::flows::{FlowError, OAuthError, Refusal};
use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

/// What belongs to other ways of CIBA than are offered: parameter, why it is refused.
const REFUSED: &[(&str, &str)] = &[
    ("client_notification_token", "ping and push are not offered: poll for the token"),
    ("user_code", "user codes are not offered: the person proves herself with her passkey"),
    ("request", "signed requests are not offered: send the parameters in the form"),
    ("request_uri", "requests by reference are not offered: send the parameters in the form"),
];

/// Takes in a plan.
pub async fn authorize(realm: InRealm, headers: HeaderMap, form: Form) -> Result<Json<Value>, HttpError> {
    let client = authenticate_submitter(&realm, &headers, &form, "/bc-authorize").await?;
    let hint = hint(&form)?.ok_or_else(|| refuse("send one of login_hint, id_token_hint and login_hint_token"))?;
    if let Some((name, why)) = REFUSED.iter().find(|(name, _)| form.get(name).is_some()) {
        return Err(refuse(&format!("{name}: {why}")).into());
    }
    if form.get("scope").is_some_and(|scope| scope != "openid") {
        let text = "scope may only be openid: what is asked for stands in authorization_details";
        return Err(Refusal::new(OAuthError::InvalidScope, text).into());
    }
    let submission = Submission {
        authorization_details: form.require("authorization_details")?,
        idempotency_key: single(&headers, "idempotency-key")?,
        hint: Some(hint),
        backchannel: Some(Backchannel {
            binding_message: form.get("binding_message"),
            requested_expiry: form.get("requested_expiry").map(seconds).transpose()?,
        }),
    };
    let submitted = submit_plan(realm.context(), &client, &submission).await.map_err(forbidden)?;
    let mut body = submitted_members(&submitted);
    body.insert("auth_req_id".into(), submitted.auth_req_id.into());
    Ok(Json(body.into()))
}

fn refuse(text: &str) -> Refusal {
    Refusal::new(OAuthError::InvalidRequest, text)
}

/// A positive number of seconds, as it is written.
fn seconds(text: &str) -> Result<time::Duration, Refusal> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 9 && !text.starts_with('0');
    let secs = digits.then(|| text.parse().ok()).flatten();
    secs.map(time::Duration::seconds).ok_or_else(|| refuse("requested_expiry must be a positive number of seconds"))
}

/// CIBA §13 has its own status for who may not ask.
fn forbidden(error: FlowError) -> HttpError {
    match error {
        FlowError::Refused(refusal) if refusal.error == OAuthError::AccessDenied => {
            HttpError::from(*refusal).with_status(StatusCode::FORBIDDEN)
        }
        other => other.into(),
    }
}
