//! `GET /status` and `GET /status/{list}` (Token Status List).

use super::error::HttpError;
use super::extract::{InRealm, ListNumber};
use crate::flows::status_list::{StatusLists, TTL_SECS, status_list, status_lists};
use axum::Json;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;

/// The list, for whoever has a token that names it; pages of other origins too.
pub async fn show(realm: InRealm, ListNumber(list): ListNumber) -> Result<impl IntoResponse, HttpError> {
    let list = status_list(realm.context(), &list).await?;
    Ok((kept_by_anybody(), [(header::CONTENT_TYPE, "application/statuslist+jwt")], list))
}

/// Every list, for whoever fetches them beforehand and asks for none in particular.
pub async fn list(realm: InRealm) -> Result<impl IntoResponse, HttpError> {
    let lists: StatusLists = status_lists(realm.context()).await?;
    Ok((kept_by_anybody(), Json(lists)))
}

fn kept_by_anybody() -> [(HeaderName, String); 2] {
    [
        (header::CACHE_CONTROL, format!("public, max-age={TTL_SECS}")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned()),
    ]
}
