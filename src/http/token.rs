//! `POST /token`: the intent grant, the CIBA grant and token exchange.

use super::error::HttpError;
use super::extract::{Form, InRealm};
use super::plans::authenticate;
use crate::flows::authenticate_client::AuthenticatedClient;
use crate::flows::exchange_token::{Exchange, exchange_token};
use crate::flows::grant_intent::{Handle, grant_intent};
use crate::flows::{OAuthError, Refusal};
use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use marque_core::claims::StepDetail;
use marque_core::names;
use serde::Serialize;

/// Answers a token request.
pub async fn answer(realm: InRealm, headers: HeaderMap, form: Form) -> Result<Response, HttpError> {
    let grant_type = form.require("grant_type")?;
    if !matches!(grant_type, names::GRANT_INTENT | names::GRANT_CIBA | names::GRANT_TOKEN_EXCHANGE) {
        return Err(Refusal::new(OAuthError::UnsupportedGrantType, "grant_type is none that is offered here").into());
    }
    let client = authenticate(&realm, &headers, &form, "/token").await?;
    match grant_type {
        names::GRANT_INTENT => grant(&realm, &client, Handle::Intent(form.require("intent_id")?)).await,
        names::GRANT_CIBA => grant(&realm, &client, Handle::AuthRequest(form.require("auth_req_id")?)).await,
        _ => exchange(&realm, &client, &form).await,
    }
}

/// A token response (RFC 6749 §5.1, RFC 8693 §2.2.1, RFC 9396 §7).
#[derive(Serialize)]
struct TokenResponse<'a, D> {
    access_token: &'a str,
    issued_token_type: &'static str,
    token_type: &'static str,
    expires_in: i64,
    scope: &'a str,
    authorization_details: Vec<D>,
}

async fn grant(realm: &InRealm, client: &AuthenticatedClient, handle: Handle<'_>) -> Result<Response, HttpError> {
    let granted = grant_intent(realm.context(), client, handle).await?;
    Ok(Json(TokenResponse {
        access_token: &granted.token,
        issued_token_type: names::TOKEN_TYPE_INTENT,
        // OAuth libraries take no other type than those of access tokens; the token is bound to what the client proved.
        token_type: client.cnf.token_type(),
        expires_in: granted.expires_in,
        scope: &granted.scope,
        authorization_details: granted.authorization_details,
    })
    .into_response())
}

async fn exchange(realm: &InRealm, client: &AuthenticatedClient, form: &Form) -> Result<Response, HttpError> {
    let exchange = Exchange {
        subject_token: form.get("subject_token"),
        subject_token_type: form.get("subject_token_type"),
        requested_token_type: form.get("requested_token_type"),
        audience: form.all("audience"),
        resource: form.all("resource"),
        scope: form.get("scope"),
        authorization_details: form.get("authorization_details"),
        has_actor_token: form.get("actor_token").or(form.get("actor_token_type")).is_some(),
        request_context: form.get("request_context"),
        has_request_details: form.get("request_details").is_some(),
        may_act: form.get("may_act"),
    };
    let exchanged = exchange_token(realm.context(), client, &exchange).await?;
    Ok(Json(TokenResponse {
        access_token: &exchanged.token,
        issued_token_type: exchanged.issued_token_type,
        token_type: exchanged.token_type,
        expires_in: exchanged.expires_in,
        scope: &exchanged.scope,
        authorization_details: exchanged.steps.iter().map(StepDetail::of).collect(),
    })
    .into_response())
}
