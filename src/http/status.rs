//! `GET /status/{list}` (Token Status List).

use super::error::HttpError;
use super::extract::{InRealm, ListNumber};
use crate::flows::status_list::{TTL_SECS, status_list};
use axum::http::header;
use axum::response::IntoResponse;

/// The list, for whoever has a token that names it; pages of other origins too.
pub async fn show(realm: InRealm, ListNumber(list): ListNumber) -> Result<impl IntoResponse, HttpError> {
    let list = status_list(realm.context(), &list).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/statuslist+jwt".to_owned()),
        (header::CACHE_CONTROL, format!("public, max-age={TTL_SECS}")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned()),
    ];
    Ok((headers, list))
}
