//! `GET /internal/plans/{intent_id}`: the realm's extension fetches a plan to show it.

use super::error::HttpError;
use super::extract::{InRealm, IntentId, bearer};
use crate::flows::approve_plan::answer_plan_request;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;

/// Answers the extension.
pub async fn show_plan(
    realm: InRealm,
    IntentId(intent_id): IntentId,
    headers: HeaderMap,
) -> Result<impl IntoResponse, HttpError> {
    let answer = answer_plan_request(realm.context(), &intent_id, bearer(&headers)?).await?;
    Ok(([(header::CONTENT_TYPE, "application/jose")], answer))
}
