//! `POST /ledgers`: a ledger of a resource server's own asks whether it counts at a location.

use super::error::HttpError;
use super::extract::{InRealm, bearer, body_of_type};
use crate::app::App;
use crate::flows::authenticate_resource_server::authenticate_resource_server;
use crate::flows::location_ledger::count_here;
use crate::flows::{OAuthError, Refusal};
use axum::Json;
use axum::extract::{Request, State};
use marque_core::{json, limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which ledger counts where.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LocationLedger")]
pub(super) struct Body {
    location: String,
    /// Names the ledger; never `marque`, which is the server's own.
    ledger: String,
}

/// Has the ledger count at the location, unless another one does.
pub async fn count(realm: InRealm, State(app): State<Arc<App>>, request: Request) -> Result<Json<Body>, HttpError> {
    let token = bearer(request.headers())?.map(str::to_owned);
    let resource_server = authenticate_resource_server(realm.context(), token.as_deref()).await?;
    let bytes = body_of_type(request, &app, "application/json").await?;
    let refused = |refused: json::Refused| Refusal::new(OAuthError::InvalidRequest, refused.to_string());
    let body: Body = json::typed(json::parse_call(&bytes, limits::CALL_BYTES).map_err(refused)?).map_err(refused)?;
    count_here(realm.context(), &resource_server, &body.location, &body.ledger).await?;
    Ok(Json(body))
}
