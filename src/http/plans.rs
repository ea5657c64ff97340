//! `POST /plans`: submission, form-encoded like a pushed authorization request (RFC 9126, RFC 9396).
//! `GET /plans/{intent_id}`: the submitting agent's own plan.

use super::error::HttpError;
use super::extract::{Form, InRealm, IntentId, single};
use crate::flows::authenticate_client::{
    AuthenticatedClient, Credentials, IdentifiedClient, authenticate_client, identify_client,
};
use crate::flows::prove_user::Hint;
use crate::flows::show_plan::show_plan;
use crate::flows::submit_plan::{Submission, Submitted, submit_plan};
use crate::flows::{OAuthError, Refusal};
use axum::Json;
use axum::extract::OriginalUri;
use axum::http::{HeaderMap, StatusCode, header};
use marque_core::names;
use serde_json::{Map, Value, json};

/// Takes in a plan.
pub async fn submit(realm: InRealm, headers: HeaderMap, form: Form) -> Result<(StatusCode, Json<Value>), HttpError> {
    let client = authenticate_submitter(&realm, &headers, &form, "/plans").await?;
    let submission = Submission {
        authorization_details: form.require("authorization_details")?,
        idempotency_key: single(&headers, "idempotency-key")?,
        hint: hint(&form)?,
        backchannel: None,
    };
    let submitted = submit_plan(realm.context(), &client, &submission).await?;
    Ok((StatusCode::CREATED, Json(submitted_members(&submitted).into())))
}

/// What every submission is answered.
pub(super) fn submitted_members(submitted: &Submitted) -> Map<String, Value> {
    let members = [
        ("intent_id", json!(submitted.intent_id)),
        ("plan_digest", json!(submitted.plan_digest)),
        ("digest_words", json!(submitted.plan_digest.words())),
        ("approval_uri", json!(submitted.approval_uri)),
        ("expires_in", json!(submitted.expires_in)),
        ("interval", json!(submitted.interval)),
    ];
    members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// What the form says about the user: one of the three hints of CIBA §7.1 at most.
pub(super) fn hint(form: &Form) -> Result<Option<Hint<'_>>, Refusal> {
    match (form.get("login_hint"), form.get("id_token_hint"), form.get("login_hint_token")) {
        (None, None, None) => Ok(None),
        (Some(name), None, None) => Ok(Some(Hint::Login(name))),
        (None, Some(token), None) => Ok(Some(Hint::IdToken(token))),
        (None, None, Some(token)) => Ok(Some(Hint::LoginToken(token))),
        _ => {
            let text = "send only one of login_hint, id_token_hint and login_hint_token";
            Err(Refusal::new(OAuthError::InvalidRequest, text))
        }
    }
}

/// Shows the submitting agent its plan.
pub async fn show(
    realm: InRealm,
    IntentId(intent_id): IntentId,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Json<Value>, HttpError> {
    // The proof is for the URI as it was sent, which is percent-encoded still.
    let sent = uri.path().rsplit('/').next().unwrap_or_default();
    let client = authenticate_reader(&realm, &headers, &format!("/plans/{sent}")).await?;
    let own = show_plan(realm.context(), &client, &intent_id).await?;
    Ok(Json(json!({
        "intent_id": own.intent_id,
        "state": own.state,
        "plan_digest": own.plan_digest,
        "digest_words": own.plan_digest.words(),
        "approval_uri": own.approval_uri,
        "expires_in": own.expires_in,
        "interval": own.interval,
        "plan": own.plan,
    })))
}

/// Authenticates the client of a request without a form: the assertion travels in a header of its own, beside the proof.
async fn authenticate_reader(
    realm: &InRealm,
    headers: &HeaderMap,
    path: &str,
) -> Result<AuthenticatedClient, HttpError> {
    let assertion = single(headers, names::HEADER_CLIENT_ASSERTION)?;
    let credentials = Credentials {
        client_id: None,
        assertion_type: assertion.map(|_| names::ASSERTION_TYPE_JWT),
        assertion,
        has_secret: false,
        has_authorization: headers.contains_key(header::AUTHORIZATION),
        proof: single(headers, names::HEADER_DPOP)?,
        dpop_jkt: None,
        certificate: None,
        method: "GET",
        endpoint: &realm.url(path),
    };
    Ok(authenticate_client(realm.context(), &credentials).await?)
}

/// Authenticates the client of a form-encoded request.
pub(super) async fn authenticate(
    realm: &InRealm,
    headers: &HeaderMap,
    form: &Form,
    path: &str,
) -> Result<AuthenticatedClient, HttpError> {
    let endpoint = realm.url(path);
    Ok(authenticate_client(realm.context(), &credentials(realm, headers, form, &endpoint)?).await?)
}

/// [`authenticate`] where a plan is handed in: the key may be named, and is proven when the approval is redeemed.
pub(super) async fn authenticate_submitter(
    realm: &InRealm,
    headers: &HeaderMap,
    form: &Form,
    path: &str,
) -> Result<AuthenticatedClient, HttpError> {
    let endpoint = realm.url(path);
    let named = Credentials { dpop_jkt: form.get("dpop_jkt"), ..credentials(realm, headers, form, &endpoint)? };
    Ok(authenticate_client(realm.context(), &named).await?)
}

/// [`authenticate`] where no token is bound to the client's key.
pub(super) async fn identify(
    realm: &InRealm,
    headers: &HeaderMap,
    form: &Form,
    path: &str,
) -> Result<IdentifiedClient, HttpError> {
    let endpoint = realm.url(path);
    Ok(identify_client(realm.context(), &credentials(realm, headers, form, &endpoint)?).await?)
}

fn credentials<'a>(
    realm: &'a InRealm,
    headers: &'a HeaderMap,
    form: &'a Form,
    endpoint: &'a str,
) -> Result<Credentials<'a>, HttpError> {
    Ok(Credentials {
        client_id: form.get("client_id"),
        assertion_type: form.get("client_assertion_type"),
        assertion: form.get("client_assertion"),
        has_secret: form.get("client_secret").is_some(),
        has_authorization: headers.contains_key(header::AUTHORIZATION),
        proof: single(headers, names::HEADER_DPOP)?,
        dpop_jkt: None,
        certificate: realm.certificate(),
        method: "POST",
        endpoint,
    })
}
