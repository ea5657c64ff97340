//! `POST /transaction-authorization`: a client hands in a resource server's challenge, and polls for the person's
//! decision (draft-rosomakho-oauth-txn-challenge).

use super::error::HttpError;
use super::extract::{Form, InRealm};
use super::plans::authenticate;
use crate::flows::request_step_up::{poll_step_up, request_step_up};
use crate::flows::{OAuthError, Refusal};
use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

/// Takes a challenge, or answers a poll.
pub async fn answer(realm: InRealm, headers: HeaderMap, form: Form) -> Result<(StatusCode, Json<Value>), HttpError> {
    let client = authenticate(&realm, &headers, &form, "/transaction-authorization").await?;
    match (form.get("transaction_challenge"), form.get("transaction_authorization_id")) {
        (Some(challenge), None) => {
            let requested = request_step_up(realm.context(), &client, challenge).await?;
            let body = json!({
                "transaction_authorization_id": requested.step_up_id,
                "document_digest": requested.document_digest,
                "digest_words": requested.document_digest.words(),
                "approval_uri": requested.approval_uri,
                "expires_in": requested.expires_in,
                "interval": requested.interval,
            });
            Ok((StatusCode::CREATED, Json(body)))
        }
        (None, Some(id)) => {
            let approved = poll_step_up(realm.context(), &client, id).await?;
            let body = json!({
                "transaction_authorization_id": approved.step_up_id,
                "state": "approved",
                "intent_id": approved.intent_id,
                "step": approved.step,
                "call_digest": approved.call_digest,
                "expires_in": approved.expires_in,
            });
            Ok((StatusCode::OK, Json(body)))
        }
        _ => {
            let text = "send either transaction_challenge or transaction_authorization_id";
            Err(Refusal::new(OAuthError::InvalidRequest, text).into())
        }
    }
}
