//! `/results`: a resource server commits or releases a permit, and asks which ones are open.

use super::error::HttpError;
use super::extract::{Form, InRealm, bearer, body_of_type};
use super::openapi::OutcomeWord;
use crate::app::App;
use crate::flows::authenticate_resource_server::authenticate_resource_server;
use crate::flows::list_open_permits::{OpenPermit, PAGE, list_open_permits};
use crate::flows::settle_permit::{Outcome, Settlement, settle_permit};
use crate::flows::{OAuthError, Refusal};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::HeaderMap;
use marque_core::canonical::Digest;
use marque_core::{json, limits};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// What became of a permitted call.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Settlement")]
pub(super) struct Body {
    permit_id: String,
    intent_id: String,
    #[schemars(with = "OutcomeWord")]
    outcome: Outcome,
    /// The signed receipt of the result: a compact JWS.
    receipt: Option<String>,
    /// The values that the receipt's digests stand for.
    #[serde(default)]
    disclosures: Vec<String>,
}

/// Settles a permit.
pub async fn settle(realm: InRealm, State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, HttpError> {
    let token = bearer(request.headers())?.map(str::to_owned);
    let resource_server = authenticate_resource_server(realm.context(), token.as_deref()).await?;
    let bytes = body_of_type(request, &app, "application/json").await?;
    let refused = |refused: json::Refused| Refusal::new(OAuthError::InvalidRequest, refused.to_string());
    let body: Body = json::typed(json::parse_call(&bytes, limits::JWS_BYTES).map_err(refused)?).map_err(refused)?;
    let Body { permit_id, intent_id, outcome, receipt, disclosures } = body;
    let settlement = Settlement { intent_id, permit_id, outcome, receipt, disclosures };
    settle_permit(realm.context(), &resource_server, &settlement).await?;
    Ok(Json(json!({"permit_id": settlement.permit_id, "state": outcome.code()})))
}

/// Lists the resource server's own permits that are reserved or unknown: `?limit=` of them, `?after=` the `next` of an
/// earlier page.
pub async fn list(realm: InRealm, headers: HeaderMap, RawQuery(query): RawQuery) -> Result<Json<Value>, HttpError> {
    let resource_server = authenticate_resource_server(realm.context(), bearer(&headers)?).await?;
    let query = Form::parse(query.unwrap_or_default().as_bytes())?;
    let number = |text: &str| text.parse::<u32>().ok();
    let limit = query.get("limit").map(|text| {
        let refusal = || Refusal::new(OAuthError::InvalidRequest, format!("limit: must be 1 to {PAGE}"));
        number(text).ok_or_else(refusal)
    });
    let page = list_open_permits(realm.context(), &resource_server, query.get("after"), limit.transpose()?).await?;
    let mut answer = json!({"permits": page.permits.iter().map(shown).collect::<Vec<_>>()});
    if let (Some(answer), Some(next)) = (answer.as_object_mut(), page.next) {
        answer.insert("next".to_owned(), next.into());
    }
    Ok(Json(answer))
}

fn shown(permit: &OpenPermit) -> Value {
    json!({
        "permit_id": permit.permit_id, "intent_id": permit.intent_id, "step": permit.step_id, "seq": permit.seq,
        "call_id": permit.call_id, "call_digest": Digest::from_slice(&permit.call_digest), "state": permit.state,
        "reserved_at": permit.reserved_at.unix_timestamp(),
    })
}
