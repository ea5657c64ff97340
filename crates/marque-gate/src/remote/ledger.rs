//! The ledger of uses at a Marque server: AuthZEN evaluation and results.

use super::{ANSWER, Marque, plainly};
use crate::keys::Pending;
use crate::ledger::{Ledger, Outcome, Reservation, Reserved, Settlement};
use crate::refusal::Refusal;
use marque_core::canonical::Digest;
use marque_core::decide::Nearest;
use marque_core::json;
use marque_core::limits;
use marque_core::reason::Reason;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often a request is sent until it is answered. Repeating is safe: a reservation is made once
/// per `call_id`, a permit is settled once.
const ATTEMPTS: u32 = 3;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Reserves at `POST /access/v1/evaluation` (AuthZEN 1.0) and settles at `POST /results`. All
/// attempts of one call together have three seconds.
#[derive(Clone)]
pub struct RemoteLedger {
    marque: Marque,
}

/// An answer of the evaluation endpoint. Unlike tokens it may hold members of later versions.
#[derive(Deserialize)]
struct Evaluation {
    decision: bool,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    permit: Option<PermitAnswer>,
    intent_id: Option<String>,
    step: Option<String>,
    reason: Option<Reason>,
    error_description: Option<String>,
    nearest: Option<Box<Nearest>>,
    step_up: Option<StepUpAnswer>,
}

#[derive(Deserialize)]
struct StepUpAnswer {
    step: String,
}

#[derive(Deserialize)]
struct PermitAnswer {
    id: String,
    call_digest: Digest,
    state: PermitState,
    seq: Option<u64>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum PermitState {
    Reserved,
    Uncounted,
    #[serde(other)]
    Other,
}

impl PermitAnswer {
    /// What is reserved has a number; where nothing is counted there is none.
    fn is_whole(&self) -> bool {
        match self.state {
            PermitState::Reserved => self.seq.is_some(),
            PermitState::Uncounted => self.seq.is_none(),
            PermitState::Other => false,
        }
    }
}

pub(super) fn unavailable(problem: impl std::fmt::Display) -> Refusal {
    tracing::warn!(%problem, "the ledger is not available");
    Refusal::new(Reason::LedgerUnavailable)
}

impl RemoteLedger {
    pub(super) fn new(marque: Marque) -> Self {
        Self { marque }
    }

    /// Posts a body, or gets, until there is an answer below 500, within the deadline.
    pub(super) async fn ask(&self, path: &str, body: Option<&Value>) -> Result<(u16, Vec<u8>), String> {
        let url = format!("{}{path}", self.marque.address);
        let attempt = async || {
            let request = |client: &reqwest::Client| match body {
                Some(body) => client.post(&url).json(body),
                None => client.get(&url),
            };
            let answer = self.marque.send(request).await?;
            let status = answer.status().as_u16();
            if status >= 500 {
                return Err(format!("Marque answered {status}"));
            }
            Ok((status, body_of(answer, status, limits::JWS_BYTES).await?))
        };
        let attempts = async {
            for _ in 1..ATTEMPTS {
                match attempt().await {
                    Err(problem) => tracing::debug!(problem, "the ledger is asked again"),
                    answered => return answered,
                }
                sleep(PAUSE).await;
            }
            attempt().await
        };
        timeout(ANSWER, attempts).await.map_err(|_| "no answer in time".to_owned())?
    }

    async fn evaluate(&self, reservation: &Reservation<'_>) -> Result<Reserved, Refusal> {
        let body = evaluation_request(reservation);
        let (status, answer) = self.ask("/access/v1/evaluation", Some(&body)).await.map_err(unavailable)?;
        if status != 200 {
            return Err(unavailable(format!("Marque answered {status}")));
        }
        read_evaluation(&answer)
    }

    async fn report(&self, reserved: &Reserved, settlement: &Settlement) -> Result<(), Refusal> {
        let Reserved { permit_id, intent_id, .. } = reserved;
        let mut body = json!({"permit_id": permit_id, "intent_id": intent_id, "outcome": settlement.outcome.code()});
        if let (Some(signed), Some(members)) = (&settlement.receipt, body.as_object_mut()) {
            members.insert("receipt".into(), signed.receipt.as_str().into());
            members.insert("disclosures".into(), signed.disclosures.clone().into());
        }
        match self.ask("/results", Some(&body)).await.map_err(unavailable)? {
            (200, _) => Ok(()),
            (409, _) => Err(Refusal::new(Reason::PermitNotOpen)),
            (400, _) if settlement.receipt.is_some() => Err(Refusal::new(Reason::ReceiptInvalid)),
            (status, _) => Err(unavailable(format!("Marque answered {status}"))),
        }
    }
}

fn evaluation_request(reservation: &Reservation<'_>) -> Value {
    let Reservation { caller, call, call_id, .. } = reservation;
    let token = if caller.has_access_token() { "access_token" } else { "txn_token" };
    let (held, possession) = match caller.certificate() {
        Some(thumbprint) => ("x5t#S256", thumbprint.to_base64()),
        None => ("dpop", caller.proof().unwrap_or_default().to_owned()),
    };
    json!({
        "subject": {"type": "agent", "id": caller.client_id()},
        "action": {"name": call.action, "properties": call.args},
        "resource": call.resource,
        "context": {
            "location": call.location, token: caller.token(), held: possession,
            "method": caller.method(), "url": caller.url(), "call_id": call_id, "environment": call.environment,
            "records": call.records, "ledger": reservation.handed_over_by,
        },
    })
}

fn read_evaluation(answer: &[u8]) -> Result<Reserved, Refusal> {
    let value = json::parse_call(answer, limits::JWS_BYTES).map_err(unavailable)?;
    let Evaluation { decision, context } = json::typed(value).map_err(unavailable)?;
    if !decision {
        let reason = context.reason.ok_or_else(|| unavailable("it refused without a reason"))?;
        let refusal = match (reason, context.step_up) {
            (Reason::StepUpRequired, Some(step_up)) => Refusal::needs_step_up(&step_up.step),
            (reason, _) => Refusal::new(reason).near(context.nearest),
        };
        return Err(match context.error_description {
            Some(description) => refusal.because(description),
            None => refusal,
        });
    }
    match (context.permit, context.intent_id, context.step) {
        (Some(permit), Some(intent_id), Some(step)) if permit.is_whole() => {
            Ok(Reserved { permit_id: permit.id, intent_id, step, call_digest: permit.call_digest, seq: permit.seq })
        }
        _ => Err(unavailable("it permitted without a reservation")),
    }
}

impl Ledger for RemoteLedger {
    fn reserve<'a>(&'a self, reservation: Reservation<'a>) -> Pending<'a, Result<Reserved, Refusal>> {
        Box::pin(async move { self.evaluate(&reservation).await })
    }

    fn settle<'a>(&'a self, reserved: &'a Reserved, settlement: Settlement) -> Pending<'a, Result<(), Refusal>> {
        Box::pin(async move { self.report(reserved, &settlement).await })
    }

    fn yields<'a>(&'a self, location: &'a str, ledger: &'a str) -> Pending<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let body = json!({"location": location, "ledger": ledger});
            match self.ask("/ledgers", Some(&body)).await.map_err(unavailable)? {
                (200, _) => Ok(()),
                (409, _) => Err(Refusal::new(Reason::LedgerUnavailable)
                    .because("another ledger counts at this location: all gates of a location use one")),
                (status, _) => Err(unavailable(format!("Marque answered {status}"))),
            }
        })
    }

    fn broken_off(&self, reserved: Reserved) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let ledger = self.clone();
        runtime.spawn(async move {
            let settlement = Settlement { outcome: Outcome::Committed, receipt: None };
            if let Err(refusal) = ledger.report(&reserved, &settlement).await {
                let (permit, intent) = (&reserved.permit_id, &reserved.intent_id);
                tracing::error!(permit, intent, %refusal, "a permit was not settled");
            }
        });
    }
}

/// The body of an answer with the expected status, read up to a limit.
pub(super) async fn body_of(mut answer: reqwest::Response, status: u16, limit: usize) -> Result<Vec<u8>, String> {
    if answer.status().as_u16() != status {
        return Err(format!("Marque answered {}", answer.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(plainly)? {
        body.extend_from_slice(&chunk);
        if body.len() > limit {
            return Err(format!("Marque's answer is longer than {limit} bytes"));
        }
    }
    Ok(body)
}
