//! `POST /access/v1/search/{subject,resource,action}` (AuthZEN Authorization API 1.0 §8). There is one page: `page` of
//! the request is not looked at.

use super::access::authenticated;
use super::error::HttpError;
use super::extract::InRealm;
use super::questions;
use crate::app::App;
use crate::flows::search_access::{Found, Search, Target, search_access};
use axum::Json;
use axum::extract::{Request, State};
use marque_core::limits;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Token and arguments together.
const REQUEST_BYTES: usize = limits::CALL_BYTES + 64 * 1024;

/// Who may do it.
pub async fn subjects(realm: InRealm, State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, HttpError> {
    search(&realm, &app, request, Target::Subject).await
}

/// What it may be done to.
pub async fn resources(
    realm: InRealm,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    search(&realm, &app, request, Target::Resource).await
}

/// What may be done.
pub async fn actions(realm: InRealm, State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, HttpError> {
    search(&realm, &app, request, Target::Action).await
}

async fn search(realm: &InRealm, app: &Arc<App>, request: Request, target: Target) -> Result<Json<Value>, HttpError> {
    let (resource_server, body) = authenticated(realm, app, request, REQUEST_BYTES).await?;
    let search = questions::search(body, target)?;
    let found = search_access(realm.context(), &resource_server, &search).await?;
    Ok(Json(told(&search, found)))
}

fn told(search: &Search, found: Found) -> Value {
    let result = |result: &String| match search.target {
        Target::Subject => json!({"type": search.subject_kind, "id": result}),
        Target::Resource => json!({"type": search.resource.kind, "id": result}),
        Target::Action => json!({"name": result}),
    };
    let results: Vec<Value> = found.results.iter().map(result).collect();
    let mut context = Map::new();
    context.insert("steps".to_owned(), json!(found.steps));
    if found.is_cut {
        context.insert("cut".to_owned(), true.into());
    }
    if let Some(reason) = found.reason {
        context.insert("reason".to_owned(), json!(reason));
        context.insert("error_description".to_owned(), reason.meaning().into());
    }
    json!({"results": results, "context": context})
}
