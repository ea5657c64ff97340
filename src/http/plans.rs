//! `POST /plans`: submission, form-encoded like a pushed authorization request (RFC 9126, RFC 9396).

use super::error::HttpError;
use super::extract::{Form, InRealm, single};
use crate::flows::authenticate_client::{AuthenticatedClient, Credentials, authenticate_client};
use crate::flows::submit_plan::{Submission, submit_plan};
use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

/// Takes in a plan.
pub async fn submit(realm: InRealm, headers: HeaderMap, form: Form) -> Result<(StatusCode, Json<Value>), HttpError> {
    let client = authenticate(&realm, &headers, &form, "/plans").await?;
    let submission = Submission {
        authorization_details: form.require("authorization_details")?,
        idempotency_key: single(&headers, "idempotency-key")?,
    };
    let submitted = submit_plan(realm.context(), &client, &submission).await?;
    let body = json!({
        "intent_id": submitted.intent_id,
        "plan_digest": submitted.plan_digest,
        "digest_words": submitted.plan_digest.words(),
        "approval_uri": submitted.approval_uri,
        "expires_in": submitted.expires_in,
        "interval": submitted.interval,
    });
    Ok((StatusCode::CREATED, Json(body)))
}

/// Authenticates the client of a form-encoded request.
pub(super) async fn authenticate(
    realm: &InRealm,
    headers: &HeaderMap,
    form: &Form,
    path: &str,
) -> Result<AuthenticatedClient, HttpError> {
    let credentials = Credentials {
        client_id: form.get("client_id"),
        assertion_type: form.get("client_assertion_type"),
        assertion: form.get("client_assertion"),
        has_secret: form.get("client_secret").is_some(),
        has_authorization: headers.contains_key(header::AUTHORIZATION),
        proof: single(headers, "dpop")?,
        certificate: realm.certificate(),
        endpoint: &realm.url(path),
    };
    Ok(authenticate_client(realm.context(), &credentials).await?)
}
