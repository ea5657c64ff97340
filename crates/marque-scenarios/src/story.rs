//! What every player of a story does alike: the plan, the tokens, the calls as they are sent.

use crate::format::{CallEntry, File, Scenario};
use crate::{AGENT, ISSUER, NOW};
use marque_core::attenuate::{StepRequest, Widening, attenuate};
use marque_core::call::{Call, CallResource};
use marque_core::catalog::Catalog;
use marque_core::claims::Confirmation;
use marque_core::envelope::Envelope;
use marque_core::json::parse_call;
use marque_core::limits;
use marque_core::plan::{ResolvedPlan, SubmittedPlan};
use marque_core::resolve::{Completion, Rejection, resolve};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The plan as it is submitted: the file's, member by member replaced by the scenario's.
pub fn plan(file: &File, scenario: &Scenario) -> Map<String, Value> {
    let mut plan = file.plan.clone();
    plan.extend(scenario.plan.clone());
    plan
}

/// The plan as it would be signed.
///
/// # Errors
/// As the submission is refused.
pub fn submit(
    file: &File,
    scenario: &Scenario,
    catalogs: &BTreeMap<String, Catalog>,
) -> Result<ResolvedPlan, Rejection> {
    let plan = plan(file, scenario);
    let agent = plan.get("agent").and_then(Value::as_str).unwrap_or_default().to_owned();
    let client_id = scenario.submitted_by.as_ref().unwrap_or(&agent);
    let known =
        |name: &String| catalogs.get(name).unwrap_or_else(|| panic!("there is no catalogs/{name}.yaml")).clone();
    let catalogs: Vec<Catalog> = file.catalogs.iter().map(known).collect();
    let plan = SubmittedPlan::parse(Value::Object(plan).to_string().as_bytes())?;
    let completion = Completion {
        issuer: ISSUER,
        realm_issuer: "https://realm.example",
        intent_id: "018f0000-0000-7000-8000-000000000001",
        client_id,
        cnf: Confirmation::Jkt("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".into()),
        started_by: None,
        catalogs: &catalogs,
        blocked: &scenario.blocked_above,
        unknown_actions: Default::default(),
        now: NOW,
    };
    resolve(plan, &completion)
}

/// A token: its envelope and whose it was narrowed from.
pub struct Token {
    pub envelope: Envelope,
    pub parent: Option<String>,
}

/// The tokens of a story by name.
pub struct Tokens {
    tokens: BTreeMap<String, Token>,
    latest: String,
}

/// The envelope as a token carries it.
fn carried(envelope: &Envelope) -> Result<Envelope, String> {
    let read: Envelope = serde_json::from_value(serde_json::json!(envelope)).map_err(|error| error.to_string())?;
    if read == *envelope { Ok(read) } else { Err("an envelope is not read back as it was".into()) }
}

impl Tokens {
    /// The token that carries the whole plan.
    pub fn new(envelope: &Envelope) -> Result<Self, String> {
        let token = Token { envelope: carried(envelope)?, parent: None };
        Ok(Self { tokens: BTreeMap::from([(AGENT.to_owned(), token)]), latest: AGENT.to_owned() })
    }

    pub fn get(&self, name: &str) -> Result<&Token, String> {
        self.tokens.get(name).ok_or_else(|| format!("no hop is called {name:?}"))
    }

    /// Whose token a hop narrows if it does not say.
    pub fn latest(&self) -> &str {
        &self.latest
    }

    /// Narrows a token and keeps the result under a name; the outer error is the story's own.
    pub fn narrow(
        &mut self,
        parent: &str,
        name: &str,
        requests: &[StepRequest],
    ) -> Result<Result<(), Widening>, String> {
        let child = match attenuate(&self.get(parent)?.envelope, requests) {
            Ok(child) => child,
            Err(widening) => return Ok(Err(widening)),
        };
        let token = Token { envelope: carried(&child)?, parent: Some(parent.into()) };
        if self.tokens.insert(name.into(), token).is_some() {
            return Err(format!("another hop is called {name:?}"));
        }
        name.clone_into(&mut self.latest);
        Ok(Ok(()))
    }
}

/// Where a call is sent.
///
/// # Errors
/// When the entry does not say and the token names several places.
pub fn location(entry: &CallEntry, envelope: &Envelope) -> Result<String, String> {
    let places: BTreeSet<&str> = envelope.steps.iter().map(|step| step.location.as_str()).collect();
    match (&entry.at, places.first()) {
        (Some(at), _) => Ok(at.clone()),
        (None, Some(only)) if places.len() == 1 => Ok((*only).to_owned()),
        _ => Err("say at which location: the plan has several".into()),
    }
}

/// The arguments as they are sent: JSON text.
///
/// # Errors
/// When the entry says it twice.
pub fn arguments(entry: &CallEntry) -> Result<String, String> {
    match &entry.with_json {
        Some(_) if !entry.with.is_empty() => Err("with and with_json are two ways to say the same".into()),
        Some(text) => Ok(text.clone()),
        None => Ok(Value::Object(entry.with.clone()).to_string()),
    }
}

/// The call as it is sent; the arguments are read from their JSON as strictly as a gate reads them: the inner error.
pub fn read(entry: &CallEntry, envelope: &Envelope) -> Result<Result<Call, String>, String> {
    read_at(entry, &location(entry, envelope)?)
}

/// [`read`], where it is known where the call is sent.
///
/// # Errors
/// As [`read`].
pub fn read_at(entry: &CallEntry, location: &str) -> Result<Result<Call, String>, String> {
    let text = arguments(entry)?;
    let args = match parse_call(text.as_bytes(), limits::CALL_BYTES) {
        Ok(Value::Object(args)) => args,
        Ok(_) => return Ok(Err("the arguments are no object".into())),
        Err(refused) => return Ok(Err(refused.to_string())),
    };
    let resource = CallResource { kind: entry.resource.kind.clone(), id: entry.resource.id.clone() };
    let mut call = Call::new(location, entry.action.clone(), resource, args);
    call.environment.clone_from(&entry.environment);
    call.records.clone_from(&entry.records);
    Ok(Ok(call))
}
