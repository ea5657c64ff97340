//! Plays `vectors/scenarios` against gates: every call arrives with a token and a proof, as it would over HTTP.
#![allow(dead_code, reason = "each test program uses its part")]

use super::common::{Key, heartbeat, snapshot};
use marque_core::attenuate::StepRequest;
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::catalog::Catalog;
use marque_core::claims::{Actor, Carried, Confirmation, IntentRef, TxnClaims, TxnContext};
use marque_core::decide::{Decision, decide};
use marque_core::envelope::Envelope;
use marque_core::jws::KeySet;
use marque_core::names::TYP_TXN;
use marque_core::reason::Reason;
use marque_gate::keys::Pending;
use marque_gate::ledger::{Ledger, Reservation, Reserved, Settlement};
use marque_gate::{Args, ConcreteAction, FixedKeys, Gate, GateConfig, Permit, Presented, Refusal, Revocations};
use marque_scenarios::book::Book;
use marque_scenarios::format::{CallEntry, Entry, Expect, File, HopEntry, HopExpect, LaterEntry, Scenario};
use marque_scenarios::story::{self, Tokens};
use marque_scenarios::{AGENT, ISSUER, NOW};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub const DOMAIN: &str = "scenarios.example";
/// Whose signatures the stories need.
pub struct Keys {
    marque: Key,
    agent: Key,
}

impl Keys {
    pub fn new() -> Self {
        Self { marque: Key::new(), agent: Key::new() }
    }
}

/// A ledger, and what a story needs of whoever keeps it.
pub trait Keeper {
    /// What the gates ask.
    fn ledger(&self) -> impl Ledger + 'static;
    /// The id of the story's intent.
    fn intent(&self) -> &str;
    /// What a ledger of Marque would know of the story.
    fn marque(&self) -> &StoryLedger;
    /// A call was permitted, and came to what its entry says.
    async fn permitted(&mut self, entry: &CallEntry, call: &Call, permit: Permit) -> Result<(), String>;
    /// More becomes known of a call.
    async fn later(&mut self, later: &LaterEntry) -> Result<(), String>;
}

/// Plays one story with a ledger. Returns how many calls it has.
pub async fn play<K: Keeper>(
    keys: &Keys,
    (file, scenario): (&File, &Scenario),
    catalogs: &BTreeMap<String, Catalog>,
    keeper: K,
) -> Result<usize, String> {
    let plan = story::submit(file, scenario, catalogs).map_err(|rejection| rejection.to_string())?;
    let envelope = Envelope::of(&plan).map_err(|refused| refused.to_string())?;
    let mut story = Story { keys, tokens: Tokens::new(&envelope)?, keeper, now: NOW, proofs: 0, calls: 0 };
    for (index, entry) in scenario.story.iter().enumerate() {
        let told = match entry {
            Entry::Call(call) => story.call(call).await,
            Entry::Hop(hop) => story.hop(hop),
            Entry::Later(later) => story.keeper.later(later).await,
        };
        told.map_err(|failure| format!("story[{index}]: {failure}"))?;
    }
    Ok(story.calls)
}

struct Story<'k, K> {
    keys: &'k Keys,
    tokens: Tokens,
    keeper: K,
    now: i64,
    proofs: u64,
    calls: usize,
}

impl<K: Keeper> Story<'_, K> {
    fn hop(&mut self, hop: &HopEntry) -> Result<(), String> {
        let parent = hop.from.as_deref().unwrap_or(self.tokens.latest()).to_owned();
        let requests: Vec<StepRequest> = hop.asks.iter().map(|asked| asked.0.clone()).collect();
        match (self.tokens.narrow(&parent, &hop.name, &requests)?, &hop.expect) {
            (Ok(()), HopExpect::Accepted) => Ok(()),
            (Err(widening), HopExpect::Refused(reason)) if widening.reason == *reason => Ok(()),
            (narrowed, _) => Err(format!("the hop: {narrowed:?}")),
        }
    }

    async fn call(&mut self, entry: &CallEntry) -> Result<(), String> {
        self.calls += 1;
        self.now = entry.now.as_ref().map_or(self.now, |now| now.secs());
        let mut envelope = self.tokens.get(entry.by.as_deref().unwrap_or(AGENT))?.envelope.clone();
        let location = story::location(entry, &envelope)?;
        let call = story::read(entry, &envelope)?.ok();
        self.keeper.marque().begin(entry, call.as_ref());
        // What was blocked since the plan was signed reaches a gate by another way; here, as if it were in the plan.
        envelope.bounds.blocked.extend(self.keeper.marque().0.lock().unwrap().book.blocked().iter().cloned());
        let gate = self.gate(&location, entry.environment.as_deref());
        let request = self.request(&location, envelope, call.as_ref());
        let checked = match Args::parse(story::arguments(entry)?.as_bytes()) {
            Ok(args) => gate.check(&request, action(entry, args), self.now).await,
            Err(refusal) => Err(refusal),
        };
        match checked {
            Ok(permit) => {
                expect_permit(&entry.expect, permit.step())?;
                let call = call.ok_or("a call that is malformed is permitted")?;
                self.keeper.permitted(entry, &call, permit).await
            }
            Err(refusal) => self.refused(entry, call.as_ref(), &refusal),
        }
    }

    fn refused(&mut self, entry: &CallEntry, call: Option<&Call>, refusal: &Refusal) -> Result<(), String> {
        let reason = refusal.reason();
        let book = &mut self.keeper.marque().0.lock().unwrap().book;
        let (expected, nearest) = match &entry.expect {
            Expect::StepUp { .. } if reason == Reason::StepUpRequired => {
                return book.stepped_up(entry, call.ok_or("a call that is malformed is asked about")?);
            }
            Expect::Escalate { reason, nearest } | Expect::Deny { reason, nearest } => (*reason, nearest),
            other => return Err(format!("expected {other:?}, got {}", refusal.body())),
        };
        let found = json!(refusal.nearest());
        let is_near = |wanted: &serde_json::Map<String, Value>| {
            wanted.iter().all(|(name, value)| found.get(name).unwrap_or(&Value::Null) == value)
        };
        // What only the ledger knows may be wrong as well; by itself a gate then names what it can tell.
        if expected < reason && self.is_late_bound(entry)? {
            return book.refused(entry);
        }
        if expected != reason || !nearest.as_ref().is_none_or(is_near) {
            return Err(format!("expected {:?}, got {}", entry.expect, refusal.body()));
        }
        book.refused(entry)
    }

    fn is_late_bound(&self, entry: &CallEntry) -> Result<bool, String> {
        Ok(!self.tokens.get(entry.by.as_deref().unwrap_or(AGENT))?.envelope.remembered().is_empty())
    }

    fn gate(&self, location: &str, environment: Option<&str>) -> Gate {
        let mut config = GateConfig::new(location, ISSUER, DOMAIN).unwrap();
        if let Some(word) = environment {
            config = config.in_environment(word);
        }
        let keys = KeySet::from_jwks(&json!({"keys": [self.keys.marque.published(TYP_TXN)]})).unwrap();
        let revocations = Revocations::new();
        for message in [snapshot("e1", 0, self.now, &[]), heartbeat("e1", 0, self.now)] {
            revocations.apply(message, self.now);
        }
        Gate::new(config, FixedKeys::new(keys), revocations).with_ledger(self.keeper.ledger())
    }

    fn request(&mut self, location: &str, envelope: Envelope, call: Option<&Call>) -> Presented {
        let url = format!("{location}/act");
        let token = self.keys.marque.sign(TYP_TXN, &json!(self.claims(envelope)));
        self.proofs += 1;
        let mut proof = json!({
            "jti": format!("proof-{}-{}", self.keeper.intent(), self.proofs), "iat": self.now, "htm": "POST", "htu": url,
            "ath": Digest::of(token.as_bytes()),
        });
        if let Some(call) = call {
            proof["call_digest"] = json!(call.digest());
        }
        let proof = self.keys.agent.proof(&proof);
        Presented::new("POST", &url).with_header("Txn-Token", &token).with_header("DPoP", &proof)
    }

    fn claims(&self, envelope: Envelope) -> TxnClaims {
        let intent = IntentRef { id: self.keeper.intent().into(), digest: Digest::of(b"plan"), version: 1 };
        TxnClaims {
            iss: ISSUER.into(),
            aud: DOMAIN.into(),
            sub: "alice".into(),
            iat: self.now,
            exp: self.now + 300,
            jti: "token".into(),
            txn: "txn".into(),
            scope: envelope.scope(),
            req_wl: "agent".into(),
            tctx: TxnContext { intent, carried: Carried::Inline(envelope) },
            rctx: serde_json::Map::new(),
            act: Actor::first("agent"),
            may_act: None,

            cnf: Confirmation::Jkt(self.keys.agent.jkt.clone()),
        }
    }
}

fn action(entry: &CallEntry, args: Args) -> ConcreteAction {
    ConcreteAction::new(&entry.action, &entry.resource.kind, &entry.resource.id, args)
        .with_records(entry.records.clone())
}

fn expect_permit(expected: &Expect, step: &str) -> Result<(), String> {
    match expected {
        Expect::Permit { step: None } => Ok(()),
        Expect::Permit { step: Some(wanted) } if wanted == step => Ok(()),
        other => Err(format!("expected {other:?}, got a permit by {step}")),
    }
}

/// Decides with the story's facts, as the server's ledger does with its own.
#[derive(Clone)]
pub struct StoryLedger(Arc<Mutex<Told>>);

struct Told {
    book: Book,
    now: i64,
    permits: u64,
}

impl StoryLedger {
    pub fn new(scenario: &Scenario) -> Self {
        Self(Arc::new(Mutex::new(Told { book: Book::new(scenario), now: NOW, permits: 0 })))
    }

    /// A call was permitted, as far as this ledger is told.
    pub fn permitted(&self, entry: &CallEntry, call: &Call, step: &str) -> Result<(), String> {
        self.0.lock().unwrap().book.permitted(entry, call, step)
    }

    /// More becomes known of a call that this ledger was told of.
    pub fn later(&self, later: &LaterEntry) -> Result<(), String> {
        self.0.lock().unwrap().book.later(later)
    }

    /// How many permits it gave.
    pub fn permits(&self) -> u64 {
        self.0.lock().unwrap().permits
    }

    fn begin(&self, entry: &CallEntry, call: Option<&Call>) {
        let mut told = self.0.lock().unwrap();
        told.now = entry.now.as_ref().map_or(told.now, |now| now.secs());
        told.book.begin(entry, call);
    }

    fn charge(&self, reservation: &Reservation<'_>) -> Result<Reserved, Refusal> {
        let mut told = self.0.lock().unwrap();
        let envelope = reservation.caller.envelope();
        let step = match decide(envelope, reservation.call, &told.book.facts(), told.now) {
            Decision::Permit(step) => step.id.clone(),
            Decision::StepUp(_) => return Err(Refusal::new(Reason::StepUpRequired)),
            Decision::Escalate(refusal) | Decision::Deny(refusal) => {
                return Err(Refusal::new(refusal.reason).near(refusal.nearest));
            }
        };
        told.permits += 1;
        Ok(Reserved {
            permit_id: format!("permit-{}", told.permits),
            intent_id: reservation.caller.intent().id.clone(),
            step,
            call_digest: reservation.call.digest(),
            seq: Some(told.permits),
        })
    }
}

impl Ledger for StoryLedger {
    fn reserve<'a>(&'a self, reservation: Reservation<'a>) -> Pending<'a, Result<Reserved, Refusal>> {
        Box::pin(async move { self.charge(&reservation) })
    }

    fn settle<'a>(&'a self, _: &'a Reserved, _: Settlement) -> Pending<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn broken_off(&self, _: Reserved) {}
}
