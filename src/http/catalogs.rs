//! `/catalogs`: a resource server publishes its catalog, a compact JWS as the whole body; an administrator decides on
//! those that wait.

use super::error::HttpError;
use super::extract::{Form, InRealm, bearer, body_of_type};
use super::openapi::digest;
use crate::app::App;
use crate::flows::authenticate_administrator::authenticate_administrator;
use crate::flows::authenticate_resource_server::authenticate_resource_server;
use crate::flows::decide_catalog::{Decision, decide_catalog};
use crate::flows::list_catalogs::{Waiting, list_waiting_catalogs};
use crate::flows::publish_catalog::{Published, publish_catalog};
use crate::flows::{OAuthError, Refusal};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use marque_core::canonical::Digest;
use marque_core::{json, limits, timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Publishes a catalog: 201 if it counts from now on, 202 with what got milder if it waits for an administrator.
pub async fn publish(
    realm: InRealm,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), HttpError> {
    let token = bearer(request.headers())?.map(str::to_owned);
    let resource_server = authenticate_resource_server(realm.context(), token.as_deref()).await?;
    let body = body_of_type(request, &app, "application/jose").await?;
    let compact = std::str::from_utf8(&body)
        .map_err(|_| Refusal::new(OAuthError::InvalidRequest, "the body is no compact JWS"))?;
    match publish_catalog(realm.context(), &resource_server, compact).await? {
        Published::Admitted(reference) => Ok((StatusCode::CREATED, Json(json!(reference)))),
        Published::Waiting(reference, milder) => {
            let body = json!({
                "location": reference.location, "version": reference.version, "sha256": reference.sha256,
                "state": "waiting", "milder": milder,
            });
            Ok((StatusCode::ACCEPTED, Json(body)))
        }
    }
}

/// Lists the catalogs that wait: `?state=waiting`.
pub async fn list(realm: InRealm, headers: HeaderMap, RawQuery(query): RawQuery) -> Result<Json<Value>, HttpError> {
    let administrator = authenticate_administrator(realm.context(), bearer(&headers)?).await?;
    let query = Form::parse(query.unwrap_or_default().as_bytes())?;
    if query.require("state")? != "waiting" {
        return Err(Refusal::new(OAuthError::InvalidRequest, "state: the only list is the one of waiting").into());
    }
    let waiting = list_waiting_catalogs(realm.context(), &administrator).await?;
    Ok(Json(json!({"catalogs": waiting.iter().map(described).collect::<Vec<_>>()})))
}

fn described(waiting: &Waiting) -> Value {
    json!({
        "location": waiting.location, "version": waiting.version, "sha256": waiting.sha256,
        "client_id": waiting.client_id, "uploaded_at": instant(waiting.uploaded_at.unix_timestamp()),
        "state": "waiting", "milder": waiting.milder, "jws": waiting.jws,
    })
}

fn instant(secs: i64) -> Option<String> {
    timestamp::format(secs).ok()
}

/// An administrator's decision on a catalog that waits.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CatalogDecision")]
pub(super) struct Body {
    location: String,
    version: u64,
    /// Digest of the payload octets.
    #[schemars(schema_with = "digest", required)]
    sha256: Digest,
    decision: Word,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DecisionWord")]
enum Word {
    Accept,
    Refuse,
}

/// Accepts or refuses a catalog that waits.
pub async fn decide(realm: InRealm, State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, HttpError> {
    let token = bearer(request.headers())?.map(str::to_owned);
    let administrator = authenticate_administrator(realm.context(), token.as_deref()).await?;
    let bytes = body_of_type(request, &app, "application/json").await?;
    let refused = |refused: json::Refused| Refusal::new(OAuthError::InvalidRequest, refused.to_string());
    let body: Body = json::typed(json::parse_call(&bytes, limits::CALL_BYTES).map_err(refused)?).map_err(refused)?;
    let decision = Decision {
        location: &body.location,
        version: body.version,
        sha256: body.sha256,
        accept: body.decision == Word::Accept,
    };
    let at = decide_catalog(realm.context(), &administrator, &decision).await?;
    Ok(Json(json!({
        "location": body.location, "version": body.version, "sha256": body.sha256, "state": decision.word(),
        "decided_by": {"sub": administrator.sub, "username": administrator.username},
        "decided_at": instant(at.unix_timestamp()),
    })))
}
