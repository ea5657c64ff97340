//! `POST /access/v1/evaluation` and `/evaluations`: the remote gate (AuthZEN Authorization API 1.0 §6 and §7).

use super::error::HttpError;
use super::extract::{InRealm, bearer, body_of_type, single};
use super::questions::{self, Batch};
use crate::app::App;
use crate::flows::authenticate_resource_server::{ResourceServer, authenticate_resource_server};
use crate::flows::evaluate_access::{Evaluated, Permit, StepUpNeeded};
use crate::flows::evaluate_batch::{Answer, answer, evaluate_batch};
use crate::flows::resolve_by_subject::Advised;
use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use marque_core::reason::Reason;
use marque_core::{decide, limits};
use serde_json::{Value, json};
use std::sync::Arc;

/// Names a request to the decision point (AuthZEN Authorization API 1.0).
const REQUEST_ID: &str = "x-request-id";
/// Token, proof and arguments together.
const REQUEST_BYTES: usize = limits::CALL_BYTES + 64 * 1024;
/// A batch: most of what the server takes in one request.
const BATCH_BYTES: usize = 448 * 1024;

/// Evaluates one call. A refused call is 200 with `decision: false`.
pub async fn evaluate(realm: InRealm, State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, HttpError> {
    let (resource_server, body) = authenticated(&realm, &app, request, REQUEST_BYTES).await?;
    alone(&realm, &resource_server, body).await
}

/// Evaluates several calls in order. Without items it is [`evaluate`].
pub async fn evaluate_all(
    realm: InRealm,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    let (resource_server, body) = authenticated(&realm, &app, request, BATCH_BYTES).await?;
    let Some(Batch { questions, semantic }) = questions::batch(&body)? else {
        return alone(&realm, &resource_server, body).await;
    };
    let answers = evaluate_batch(realm.context(), &resource_server, questions, semantic).await?;
    Ok(Json(json!({"evaluations": answers.into_iter().map(told).collect::<Vec<_>>()})))
}

async fn alone(realm: &InRealm, resource_server: &ResourceServer, body: Value) -> Result<Json<Value>, HttpError> {
    let question = questions::question(body)?;
    Ok(Json(told(answer(realm.context(), resource_server, &question).await?)))
}

/// The resource server that asks, and its document.
pub(super) async fn authenticated(
    realm: &InRealm,
    app: &Arc<App>,
    request: Request,
    most: usize,
) -> Result<(ResourceServer, Value), HttpError> {
    single(request.headers(), REQUEST_ID)?;
    let token = bearer(request.headers())?.map(str::to_owned);
    let resource_server = authenticate_resource_server(realm.context(), token.as_deref()).await?;
    let body = body_of_type(request, app, "application/json").await?;
    Ok((resource_server, questions::document(&body, most)?))
}

/// Gives `X-Request-ID` back with every answer of the decision point, whoever made it: also where a method or a realm is not
/// known, a body is too long or the time is over. One that is repeated is none.
pub async fn with_request_id(request: Request, next: Next) -> Response {
    let is_asked = request.uri().path().contains("/access/v1/");
    let mut ids = request.headers().get_all(REQUEST_ID).iter();
    let id = ids.next().filter(|_| is_asked && ids.next().is_none()).cloned();
    let mut response = next.run(request).await;
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn told(answer: Answer) -> Value {
    match answer {
        Answer::Charged(Evaluated::Permit(permit)) => permitted(&permit),
        Answer::Charged(Evaluated::Refused(refusal, intent_id)) => refused(&refusal, intent_id),
        Answer::Charged(Evaluated::Beyond(refusal, intent_id, request)) => {
            let how = [("evaluation_id", json!(request.evaluation_id)), ("access_request", request.access_request)];
            with_context(refused(&refusal, Some(intent_id.to_string())), how)
        }
        Answer::Charged(Evaluated::StepUp(needed)) => step_up(&needed),
        Answer::Advised(Advised::Permit { intent_id, step }) => json!({"decision": true, "context": {
            "intent_id": intent_id, "step": step, "resolved_by": "subject", "charged": false,
        }}),
        Answer::Advised(Advised::Refused(refusal, intent_id)) => {
            let answer = refused(&refusal, intent_id.map(|id| id.to_string()));
            with_context(answer, [("resolved_by", json!("subject"))])
        }
        Answer::Malformed(refusal) => json!({"decision": false, "context": {
            "error": refusal.error.code(), "error_description": refusal.description,
        }}),
    }
}

/// An answer with further members of its context.
fn with_context(mut answer: Value, more: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    if let Some(Value::Object(context)) = answer.get_mut("context") {
        context.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    answer
}

fn permitted(permit: &Permit) -> Value {
    json!({"decision": true, "context": {
        "permit": {
            "id": permit.permit_id, "call_digest": permit.call_digest, "expires_at": permit.expires_at,
            "state": permit.state, "seq": permit.seq,
        },
        "intent_id": permit.intent_id,
        "step": permit.step,
    }})
}

fn step_up(needed: &StepUpNeeded) -> Value {
    let reason = Reason::StepUpRequired;
    json!({"decision": false, "context": {
        "reason": reason, "error_description": reason.meaning(), "intent_id": needed.intent_id,
        "step_up": {"step": needed.step, "values": needed.values},
    }})
}

fn refused(refusal: &decide::Refusal, intent_id: Option<String>) -> Value {
    let mut context = json!({"reason": refusal.reason, "error_description": refusal.reason.meaning()});
    if let Some(context) = context.as_object_mut() {
        context.extend(intent_id.map(|id| ("intent_id".to_owned(), json!(id))));
        context.extend(refusal.nearest.as_ref().map(|nearest| ("nearest".to_owned(), json!(nearest))));
    }
    json!({"decision": false, "context": context})
}
