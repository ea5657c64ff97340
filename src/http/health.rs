//! Health, on the management port.

use super::error::HttpError;
use crate::app::App;
use crate::flows::check_ready;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

/// The process answers.
pub async fn live() -> Json<Value> {
    Json(json!({"status": "up"}))
}

/// The process can do its work: the database answers. Keycloak may be away; approvals then wait.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Json<Value>, HttpError> {
    check_ready(&app).await?;
    Ok(Json(json!({"status": "up"})))
}
