//! `GET /.well-known/oauth-authorization-server` (RFC 8414) and `GET /jwks` (RFC 7517).

use super::extract::InRealm;
use crate::flows::metadata;
use axum::Json;
use axum::http::header;
use axum::response::IntoResponse;

/// How long a reader may keep them: a withdrawn key travels the feed, not this.
const MAX_AGE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "public, max-age=300")];

/// The metadata document.
pub async fn show(realm: InRealm) -> impl IntoResponse {
    (MAX_AGE, Json(metadata::describe(realm.context())))
}

/// The key set.
pub async fn keys(realm: InRealm) -> impl IntoResponse {
    (MAX_AGE, Json(metadata::keys(realm.context())))
}
