//! `POST /access/v1/evaluation`: the remote gate (AuthZEN Authorization API 1.0 §6).

use super::error::HttpError;
use super::extract::{InRealm, bearer, body_of_type, single};
use crate::app::App;
use crate::flows::authenticate_resource_server::authenticate_resource_server;
use crate::flows::evaluate_access::{Evaluated, Evaluation, Permit, StepUpNeeded, evaluate_access};
use crate::flows::{OAuthError, Refusal};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use marque_core::call::{Call, CallResource};
use marque_core::facts::Records;
use marque_core::reason::Reason;
use marque_core::{decide, json, limits};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Tokens, proof and arguments together.
const REQUEST_BYTES: usize = limits::CALL_BYTES + 64 * 1024;

/// AuthZEN lets unknown members be; the arguments are strict all the same.
#[derive(Deserialize)]
struct Body {
    subject: Subject,
    action: Action,
    resource: CallResource,
    context: CallContext,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

#[derive(Deserialize)]
struct Action {
    name: String,
    #[serde(default)]
    properties: Map<String, Value>,
}

#[derive(Deserialize)]
struct CallContext {
    location: String,
    txn_token: String,
    dpop: String,
    method: String,
    url: String,
    call_id: String,
    environment: Option<String>,
    #[serde(default)]
    records: Records,
}

/// Evaluates one call. A refused call is 200 with `decision: false`. `X-Request-ID` comes back with every answer.
pub async fn evaluate(realm: InRealm, State(app): State<Arc<App>>, request: Request) -> Result<Response, HttpError> {
    let request_id = single(request.headers(), "x-request-id")?.and_then(|id| HeaderValue::from_str(id).ok());
    let mut response = answer(&realm, &app, request).await.into_response();
    if let Some(id) = request_id {
        response.headers_mut().insert("x-request-id", id);
    }
    Ok(response)
}

async fn answer(realm: &InRealm, app: &Arc<App>, request: Request) -> Result<Json<Value>, HttpError> {
    let token = bearer(request.headers())?.map(str::to_owned);
    let resource_server = authenticate_resource_server(realm.context(), token.as_deref()).await?;
    let evaluation = read(&body_of_type(request, app, "application/json").await?)?;
    Ok(match evaluate_access(realm.context(), &resource_server, &evaluation).await? {
        Evaluated::Permit(permit) => Json(permitted(&permit)),
        Evaluated::Refused(refusal, intent_id) => Json(refused(&refusal, intent_id)),
        Evaluated::StepUp(needed) => Json(step_up(&needed)),
    })
}

fn read(bytes: &[u8]) -> Result<Evaluation, Refusal> {
    let refused = |refused: json::Refused| Refusal::new(OAuthError::InvalidRequest, refused.to_string());
    let body: Body = json::typed(json::parse_call(bytes, REQUEST_BYTES).map_err(refused)?).map_err(refused)?;
    if body.subject.kind != "agent" {
        return Err(Refusal::new(OAuthError::InvalidRequest, "$.subject.type: must be agent"));
    }
    if !limits::is_single_use_id(&body.context.call_id) {
        let text = "$.context.call_id: must be 1 to 512 printable ASCII characters";
        return Err(Refusal::new(OAuthError::InvalidRequest, text));
    }
    Ok(Evaluation {
        client_id: body.subject.id,
        call: Call {
            environment: body.context.environment,
            records: body.context.records,
            ..Call::new(body.context.location, body.action.name, body.resource, body.action.properties)
        },
        txn_token: body.context.txn_token,
        dpop: body.context.dpop,
        method: body.context.method,
        url: body.context.url,
        call_id: body.context.call_id,
    })
}

fn permitted(permit: &Permit) -> Value {
    json!({"decision": true, "context": {
        "permit": {
            "id": permit.permit_id, "call_digest": permit.call_digest, "expires_at": permit.expires_at,
            "state": permit.state,
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
