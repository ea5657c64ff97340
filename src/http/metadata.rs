//! `GET /.well-known/oauth-authorization-server` (RFC 8414), `GET /.well-known/authzen-configuration` (AuthZEN
//! Authorization API 1.0 §9), `GET /jwks` (RFC 7517) and `GET /plan-schema`.

use super::error::HttpError;
use super::extract::InRealm;
use crate::flows::metadata;
use axum::Json;
use axum::http::header;
use axum::response::IntoResponse;
use marque_core::schema;

/// How long a reader may keep them: a withdrawn key travels the feed, not this.
const MAX_AGE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "public, max-age=300")];

/// The metadata document.
pub async fn show(realm: InRealm) -> impl IntoResponse {
    (MAX_AGE, Json(metadata::describe(realm.context())))
}

/// The decision point's metadata.
pub async fn decision_point(realm: InRealm) -> Result<impl IntoResponse, HttpError> {
    Ok((MAX_AGE, Json(metadata::decision_point(realm.context())?)))
}

/// The key set.
pub async fn keys(realm: InRealm) -> impl IntoResponse {
    (MAX_AGE, Json(metadata::keys(realm.context())))
}

/// The JSON Schema of the submitted plan. It is the same in every realm.
pub async fn plan_schema(_realm: InRealm) -> impl IntoResponse {
    (MAX_AGE, [(header::CONTENT_TYPE, schema::MEDIA_TYPE)], metadata::plan_schema())
}
