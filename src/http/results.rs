//! `POST /results`: a resource server commits or releases a permit.

use super::error::HttpError;
use super::extract::{InRealm, bearer, body_of_type};
use crate::app::App;
use crate::flows::authenticate_resource_server::authenticate_resource_server;
use crate::flows::settle_permit::{Outcome, settle_permit};
use crate::flows::{OAuthError, Refusal};
use axum::Json;
use axum::extract::{Request, State};
use marque_core::{json, limits};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    permit_id: String,
    intent_id: String,
    outcome: Word,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Committed,
    Released,
}

/// Settles a permit.
pub async fn settle(realm: InRealm, State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, HttpError> {
    let token = bearer(request.headers())?.map(str::to_owned);
    let resource_server = authenticate_resource_server(realm.context(), token.as_deref()).await?;
    let bytes = body_of_type(request, &app, "application/json").await?;
    let refused = |refused: json::Refused| Refusal::new(OAuthError::InvalidRequest, refused.to_string());
    let body: Body = json::typed(json::parse_call(&bytes, limits::CALL_BYTES).map_err(refused)?).map_err(refused)?;
    let outcome = match body.outcome {
        Word::Committed => Outcome::Committed,
        Word::Released => Outcome::Released,
    };
    settle_permit(realm.context(), &resource_server, &body.intent_id, &body.permit_id, outcome).await?;
    Ok(Json(json!({"permit_id": body.permit_id, "state": outcome.word()})))
}
