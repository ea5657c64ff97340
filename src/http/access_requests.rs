//! `/access/v1/requests`: what was denied is asked for (AuthZEN Access Request and Approval Profile, draft 1).

use super::access::authenticated;
use super::error::HttpError;
use super::extract::{InRealm, RequestId, bearer, single};
use super::questions;
use crate::app::App;
use crate::flows::authenticate_resource_server::authenticate_resource_server;
use crate::flows::request_access::{
    ProblemKind, RequestError, Requested, Task, request_access, show_request, status_endpoint,
};
use crate::flows::{FlowError, Refusal};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use marque_core::{limits, timestamp};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The call and the binding token together.
const REQUEST_BYTES: usize = limits::CALL_BYTES + 16 * 1024;
/// Media type of the profile's errors (RFC 9457).
pub(super) const PROBLEM: &str = "application/problem+json";

/// Why there is no task.
pub struct Failure(Box<Response>);

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self(Box::new(error.into_response()))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        HttpError::from(refusal).into()
    }
}

impl From<FlowError> for Failure {
    fn from(error: FlowError) -> Self {
        HttpError::from(error).into()
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Flow(error) => error.into(),
            RequestError::Problem(kind, detail) => Self(Box::new(problem(kind, &detail))),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// Takes in a request.
pub async fn submit(realm: InRealm, State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let key = single(request.headers(), "idempotency-key")?.map(str::to_owned);
    let (resource_server, body) = authenticated(&realm, &app, request, REQUEST_BYTES).await?;
    let requested: Requested = questions::access_request(body, key)?;
    let task = request_access(realm.context(), &resource_server, &requested).await?;
    let place = status_endpoint(realm.context(), task.request_id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(shown(&realm, &task)?)).into_response())
}

/// Says where a request stands.
pub async fn show(
    realm: InRealm,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
) -> Result<Json<Value>, Failure> {
    let resource_server = authenticate_resource_server(realm.context(), bearer(&headers)?).await?;
    let task = show_request(realm.context(), &resource_server, &request_id).await?;
    Ok(Json(shown(&realm, &task)?))
}

fn shown(realm: &InRealm, task: &Task) -> Result<Value, FlowError> {
    let until = timestamp::format(task.until.unix_timestamp()).map_err(FlowError::internal)?;
    let mut answer = Map::new();
    let handle = json!({
        "id": task.request_id,
        "status": task.status,
        "status_endpoint": status_endpoint(realm.context(), task.request_id),
        "expires_at": until,
        "links": {"ticket": task.approval_uri},
        "display": {
            "title": "Asked for approval",
            "description": "The agent hands the link to the person, and redeems the plan once she has approved it.",
        },
        "intent_id": task.intent_id,
        "plan_digest": task.plan_digest,
        "digest_words": task.plan_digest.words(),
        "interval": task.interval,
    });
    answer.insert("task".to_owned(), handle);
    if task.status == "approved" {
        let approval = json!({"id": task.intent_id, "approved_until": until});
        answer.insert("result".to_owned(), json!({"mode": "reevaluate", "approval": approval}));
    }
    Ok(answer.into())
}

fn problem(kind: ProblemKind, detail: &str) -> Response {
    let (status, name, title) = match kind {
        ProblemKind::NotRequestable => (StatusCode::BAD_REQUEST, "not_requestable", "It cannot be asked for"),
        ProblemKind::ExpiredDenial => (StatusCode::GONE, "expired_denial", "The denial is too old"),
        ProblemKind::InvalidDenialBinding => {
            (StatusCode::BAD_REQUEST, "invalid_denial_binding", "This is not what was denied")
        }
        ProblemKind::DuplicateRequest => (StatusCode::CONFLICT, "duplicate_request", "The key was used before"),
        ProblemKind::UnknownTask => (StatusCode::NOT_FOUND, "unknown_task", "There is no such request"),
        ProblemKind::TaskExpired => (StatusCode::GONE, "task_expired", "The request is over"),
    };
    let body = json!({
        "type": format!("urn:openid:authzen:access-request:error:{name}"), "title": title,
        "status": status.as_u16(), "detail": detail,
    });
    (status, [(header::CONTENT_TYPE, PROBLEM)], body.to_string()).into_response()
}
