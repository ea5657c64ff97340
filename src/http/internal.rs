//! `GET /internal/plans/{intent_id}` and `GET /internal/step-ups/{step_up_id}`: the realm's extension fetches what it
//! shows.

use super::error::HttpError;
use super::extract::{InRealm, IntentId, StepUpId, bearer};
use crate::flows::approve_plan::answer_plan_request;
use crate::flows::approve_step_up::answer_step_up_request;
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

/// Answers the extension about one call.
pub async fn show_step_up(
    realm: InRealm,
    StepUpId(step_up_id): StepUpId,
    headers: HeaderMap,
) -> Result<impl IntoResponse, HttpError> {
    let answer = answer_step_up_request(realm.context(), &step_up_id, bearer(&headers)?).await?;
    Ok(([(header::CONTENT_TYPE, "application/jose")], answer))
}
