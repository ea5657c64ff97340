//! The demo worker: a second service that carries out steps which the signed plan delegates to it.
//!
//! It is called with the agent's transaction token, verifies token and proof, exchanges the token for
//! a hop of its own and does as its input says. Its input is believed completely, as by a worker that
//! an injected prompt has taken over: what it can do is bounded by its token, not by its judgement.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use marque_core::call::{Call, CallResource};
use marque_core::constraint::Constraint;
use marque_core::envelope::EnvelopeStep;
use marque_core::names::{DETAIL_STEP, TOKEN_TYPE_TXN};
use marque_core::plan::ResourceId;
use marque_core::{json as strict, limits};
use marque_demo::clients::{self, Answer, Exchange, Party};
use marque_demo::env::Env;
use marque_demo::{Failure, Result};
use marque_gate::keys::Pending;
use marque_gate::remote::{AccessTokens, Marque};
use marque_gate::{Caller, Gate, GateConfig, Presented, Reason, Refusal, Revocations};
use serde::Deserialize;
use serde_json::{Map, Value, json};

const PATH: &str = "/work/rotate-keys";

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_ansi(false).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let file = std::env::args().nth(1).ok_or("usage: worker ENV_JSON")?;
    let env = Env::read(Path::new(&file))?;
    let config = GateConfig::new(&env.worker.url, &env.marque.issuer, &env.marque.trust_domain)?;
    let keys = Marque::new(&config, NoTokens)?.keys();
    let worker = Worker {
        gate: Gate::new(config, keys, Revocations::new()),
        party: Party::new(&env, &env.clients.worker)?,
        url: env.worker.url.clone(),
        resource_server: env.resource_server.url.clone(),
    };
    let app = Router::new()
        .route(PATH, post(rotate_keys))
        .with_state(Arc::new(worker))
        .route("/health", get(|| async { Json(json!({"status": "ok"})) }));
    clients::serve(&env.worker.url, app).await
}

/// The worker only reads Marque's public keys: it has no access token and needs none.
struct NoTokens;

impl AccessTokens for NoTokens {
    fn access_token<'a>(&'a self, _: Option<&'a str>) -> Pending<'a, std::result::Result<String, String>> {
        Box::pin(std::future::ready(Err("a worker has no access token".into())))
    }
}

struct Worker {
    gate: Gate,
    party: Party,
    url: String,
    resource_server: String,
}

/// What the worker is told to do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Work {
    /// Ids of the steps to carry out.
    steps: Vec<String>,
    /// Ids of the steps to ask for at the exchange; absent, what the worker was given.
    #[serde(default)]
    exchange: Option<Vec<String>>,
    /// Further calls to try with the worker's token.
    #[serde(default)]
    attempts: Vec<Attempt>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attempt {
    action: String,
    resource: CallResource,
    #[serde(default)]
    args: Map<String, Value>,
}

async fn rotate_keys(State(worker): State<Arc<Worker>>, headers: HeaderMap, body: Bytes) -> Response {
    match worker.verify(&headers).await {
        Ok(caller) => match worker.work(&caller, &body).await {
            Ok(report) => report,
            Err(error) => problem(StatusCode::BAD_GATEWAY, "server_error", &error.to_string()),
        },
        Err(refusal) => refusal.into_response(),
    }
}

fn problem(status: StatusCode, error: &str, description: &str) -> Response {
    (status, Json(json!({"error": error, "error_description": description}))).into_response()
}

impl Worker {
    /// Who calls. No step is charged for being asked.
    async fn verify(&self, headers: &HeaderMap) -> std::result::Result<Caller, Refusal> {
        let request = Presented::new("POST", &format!("{}{PATH}", self.url));
        let add = |request: Presented, (name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
            request.with_header(name.as_str(), value.to_str().unwrap_or_default())
        };
        let caller = self.gate.verify_caller(&headers.iter().fold(request, add), clients::now()).await?;
        tracing::info!(caller = caller.client_id(), intent = caller.intent().id, "asked to work");
        Ok(caller)
    }

    async fn work(&self, caller: &Caller, body: &[u8]) -> Result<Response> {
        let work: Work = match strict::parse_call(body, limits::CALL_BYTES).and_then(strict::typed) {
            Ok(work) => work,
            Err(refused) => {
                return Ok(Refusal::new(Reason::CallMalformed).because(refused.to_string()).into_response());
            }
        };
        let answer = self.exchange(caller, &work).await?;
        if answer.status != 200 {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
            return Ok((status, Json(answer.body)).into_response());
        }
        let token = answer.text("access_token").ok_or("Marque answered without a token")?.to_owned();
        let given = steps_of(&answer)?;
        let done = self.carry_out(&token, &given, &work.steps).await?;
        let attempts = self.attempt(&token, work.attempts).await?;
        let given: Vec<&str> = given.iter().map(|step| step.id.as_str()).collect();
        Ok(Json(json!({"given": given, "done": done, "attempts": attempts})).into_response())
    }

    /// Exchanges the caller's token for one bound to the worker's own key.
    async fn exchange(&self, caller: &Caller, work: &Work) -> Result<Answer> {
        let detail = |id: &String| json!({"type": DETAIL_STEP, "id": id});
        let steps = work.exchange.as_ref().map(|ids| ids.iter().map(detail).collect());
        let ask = Exchange { steps, resource: None };
        self.party.exchange(caller.token(), TOKEN_TYPE_TXN, &ask).await
    }

    async fn carry_out(&self, token: &str, given: &[EnvelopeStep], ids: &[String]) -> Result<Vec<Value>> {
        let mut done = Vec::new();
        for id in ids {
            let step = given.iter().find(|step| step.id == *id);
            let step = step.ok_or_else(|| Failure::from(format!("the worker was not given step {id:?}")))?;
            let answer = self.party.call(token, &call_of(step)?).await?;
            done.push(json!({"step": id, "status": answer.status, "body": answer.body}));
        }
        Ok(done)
    }

    async fn attempt(&self, token: &str, attempts: Vec<Attempt>) -> Result<Vec<Value>> {
        let mut tried = Vec::new();
        for Attempt { action, resource, args } in attempts {
            let call = Call::new(&self.resource_server, action, resource, args);
            let answer = self.party.call(token, &call).await?;
            tried.push(json!({"action": call.action, "status": answer.status, "body": answer.body}));
        }
        Ok(tried)
    }
}

/// The steps that an exchange gave (RFC 9396 §7).
fn steps_of(answer: &Answer) -> Result<Vec<EnvelopeStep>> {
    let details = answer.body.get("authorization_details").and_then(Value::as_array);
    let step = |detail: &Value| {
        let mut step = detail.clone();
        step.as_object_mut().and_then(|members| members.remove("type"));
        serde_json::from_value(step).map_err(Failure::from)
    };
    details.ok_or("Marque answered without authorization_details")?.iter().map(step).collect()
}

/// The one call that a step without freedom allows.
fn call_of(step: &EnvelopeStep) -> Result<Call> {
    let ResourceId::Exact(id) = &step.resource.id else {
        return Err(format!("step {:?} leaves its resource open", step.id).into());
    };
    let value = |(name, constraint): (&String, &Constraint)| match constraint {
        Constraint::Const(value) => Ok((name.clone(), value.clone())),
        _ => Err(Failure::from(format!("step {:?} leaves argument {name:?} open", step.id))),
    };
    let resource = CallResource { kind: step.resource.kind.clone(), id: id.clone() };
    Ok(Call::new(&step.location, &step.action, resource, step.args.iter().map(value).collect::<Result<_>>()?))
}
