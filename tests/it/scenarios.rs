//! Plays `vectors/scenarios` against the remote gate: plans that were approved at the realm, tokens that were exchanged,
//! calls that a resource server asks about, results that it signs.
//!
//! Approving takes a browser, so stories with the same terms share a plan: each has its steps under names of its own, and
//! a token for these alone. What a running server cannot be told is left out, and counted: another time, another turn,
//! what is blocked elsewhere, what happened before. A story ends where a person would have to be asked again.

use crate::evaluation::EVALUATION;
use crate::exchange::token_of;
use crate::support::keys::{Client, Key, now};
use crate::support::plans::grant;
use crate::support::realm::Admin;
use crate::support::reply::Reply;
use crate::support::stack::Stack;
use crate::support::until;
use marque_core::call::Call;
use marque_core::canonical::{Digest, encode};
use marque_core::catalog::Catalog;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN, TYP_CATALOG, TYP_RECEIPT};
use marque_core::reason::Reason;
use marque_core::receipt::{Leaf, ReceiptResult, disclose};
use marque_scenarios::AGENT;
use marque_scenarios::format::{self, CallEntry, Entry, Expect, HopEntry, HopExpect, LaterEntry, Outcome, Scenario};
use marque_scenarios::story;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Steps and bytes of a shared plan: below what a plan may have.
const STEPS: usize = 150;
const BYTES: usize = 48 * 1024;
const BUDGETS: usize = 16;

/// A scenario and its file's members.
struct Told {
    file_name: String,
    scenario: Scenario,
    plan: Map<String, Value>,
    prefix: String,
}

fn told() -> Vec<Told> {
    let mut all = Vec::new();
    for (file_name, file) in format::files() {
        let plans: Vec<_> = file.scenarios.iter().map(|scenario| story::plan(&file, scenario)).collect();
        for (scenario, plan) in file.scenarios.into_iter().zip(plans) {
            let prefix = format!("s{}~", all.len());
            all.push(Told { file_name: file_name.clone(), scenario, plan, prefix });
        }
    }
    all
}

impl Told {
    /// Why a running server cannot play it.
    fn out_of_reach(&self) -> Option<&'static str> {
        let scenario = &self.scenario;
        let calls =
            || scenario.story.iter().filter_map(|entry| if let Entry::Call(call) = entry { Some(call) } else { None });
        let hops =
            || scenario.story.iter().filter_map(|entry| if let Entry::Hop(hop) = entry { Some(hop) } else { None });
        let limits = &self.plan["limits"];
        let steps = self.plan["steps"].as_array().unwrap();
        let ways = [
            (calls().any(|call| call.now.is_some()), "another time"),
            (steps.iter().any(|step| step.get("window").is_some()), "a window around the story's time"),
            (limits.get("expires_at").is_some(), "an end at the story's time"),
            (calls().any(|call| call.turn.is_some()) || limits.get("turns").is_some(), "another turn"),
            (calls().any(|call| call.blocked_since.is_some()), "blocked later"),
            (!scenario.blocked_above.is_empty(), "blocked by the realm"),
            (!scenario.before.is_empty(), "what happened before"),
            (calls().any(|call| call.by_step_up), "an approval in advance"),
            (self.plan["mode"] == "permissive", "steps that permissive mode names itself"),
            (hops().any(|hop| hop.asks.is_empty()), "a hop that asks for nothing"),
        ];
        ways.into_iter().find(|(is, _)| *is).map(|(_, why)| why)
    }

    /// What stories of one plan have in common.
    fn terms(&self) -> String {
        let mut limits = self.plan["limits"].clone();
        limits.as_object_mut().unwrap().remove("budgets");
        limits.as_object_mut().unwrap().remove("max_hops");
        json!([self.plan["mode"], limits, self.plan.get("blocked"), self.is_blocked_in_part()]).to_string()
    }

    /// What one story blocks must not reach another.
    fn is_blocked_in_part(&self) -> Option<&str> {
        self.plan.get("blocked").map(|_| self.prefix.as_str())
    }

    fn steps(&self) -> Vec<Value> {
        let mut steps: Vec<Value> =
            self.plan["steps"].as_array().unwrap().iter().map(|step| self.renamed(step)).collect();
        for step in &mut steps {
            let mut own = |pointer: &str| {
                if let Some(Value::String(name)) = step.pointer_mut(pointer) {
                    *name = format!("{}{name}", self.prefix);
                }
            };
            own("/id");
            own("/group");
            for earlier in step.get_mut("after").and_then(Value::as_array_mut).into_iter().flatten() {
                *earlier = format!("{}{}", self.prefix, earlier.as_str().unwrap()).into();
            }
        }
        steps
    }

    fn budgets(&self) -> Vec<Value> {
        let mut budgets = self.plan["limits"].get("budgets").and_then(Value::as_array).cloned().unwrap_or_default();
        for step in budgets.iter_mut().flat_map(|budget| budget["steps"].as_array_mut().unwrap()) {
            *step = format!("{}{}", self.prefix, step.as_str().unwrap()).into();
        }
        budgets
    }

    /// The same with this story's names for the steps that values come from.
    fn renamed(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|item| self.renamed(item)).collect(),
            Value::Object(members) => {
                members.iter().map(|(name, member)| (name.clone(), self.member(name, member))).collect()
            }
            other => other.clone(),
        }
    }

    fn member(&self, name: &str, member: &Value) -> Value {
        let mut member = match name {
            "const" | "one_of" => return member.clone(),
            _ => self.renamed(member),
        };
        if matches!(name, "ref" | "ref_set" | "same_as" | "extract" | "quote")
            && let Some(Value::String(step)) = member.get_mut("step")
        {
            *step = format!("{}{step}", self.prefix);
        }
        member
    }
}

/// Stories that share a plan.
#[derive(Default)]
struct Shared<'t> {
    told: Vec<&'t Told>,
    steps: Vec<Value>,
    budgets: Vec<Value>,
}

fn share(told: &[Told]) -> Vec<Shared<'_>> {
    let mut open: BTreeMap<String, Shared<'_>> = BTreeMap::new();
    let mut full = Vec::new();
    for told in told {
        let (steps, budgets) = (told.steps(), told.budgets());
        let shared = open.entry(told.terms()).or_default();
        let count = shared.steps.len() + steps.len();
        let bytes = json!([shared.steps, steps]).to_string().len();
        if count > STEPS || bytes > BYTES || shared.budgets.len() + budgets.len() > BUDGETS {
            full.push(std::mem::take(shared));
        }
        shared.told.push(told);
        shared.steps.extend(steps);
        shared.budgets.extend(budgets);
    }
    full.extend(open.into_values());
    full
}

impl Shared<'_> {
    fn plan(&self, stack: &Stack) -> Value {
        let mut plan = self.told[0].plan.clone();
        plan.remove("delegates");
        plan.insert("agent".into(), stack.env.clients.agent.client_id.as_str().into());
        plan.insert("user".into(), json!({"username": stack.env.user.username}));
        plan.insert("steps".into(), self.steps.clone().into());
        let mut limits = plan["limits"].clone();
        limits["max_hops"] = 8.into();
        limits["lifetime_secs"] = 3600.into();
        limits["budgets"] = self.budgets.clone().into();
        plan.insert("limits".into(), limits);
        Value::Object(plan)
    }
}

#[tokio::test]
async fn every_scenario_comes_out_at_the_remote_gate_as_it_says() {
    let stack = Stack::open().await;
    let rs = Key::read(&stack.env.clients.rs.key);
    publish(&stack, &rs).await;
    let (mut told, mut left_out) = (told(), BTreeMap::<&str, usize>::new());
    told.retain(|told| {
        let why =
            if told.scenario.refused.is_some() { Some("a submission that is refused") } else { told.out_of_reach() };
        *left_out.entry(why.unwrap_or("played")).or_default() += 1;
        why.is_none()
    });
    let (mut calls, mut failures) = (0, Vec::new());
    for shared in share(&told) {
        let granted = grant(&stack, &stack.agent(), &shared.plan(&stack)).await;
        for told in shared.told {
            let mut play = Play::new(&stack, &rs, told, &granted.token);
            match play.story().await {
                Ok(()) => calls += play.calls,
                Err(failure) => failures.push(format!("{}: {}\n    {failure}", told.file_name, told.scenario.name)),
            }
        }
    }
    println!("{calls} calls at the remote gate; {left_out:?}");
    assert!(failures.is_empty(), "{} scenarios:\n{}", failures.len(), failures.join("\n"));
    assert!(left_out["played"] >= 150 && calls >= 350, "{calls} calls, {left_out:?}");
}

#[tokio::test]
async fn every_submission_that_is_refused_is_refused_by_the_server_for_its_reason() {
    let stack = Stack::open().await;
    publish(&stack, &Key::read(&stack.env.clients.rs.key)).await;
    let mut played = 0;
    for told in told() {
        let Some(refused) = &told.scenario.refused else { continue };
        if !told.scenario.blocked_above.is_empty() {
            continue;
        }
        let mut plan = told.plan.clone();
        if told.scenario.submitted_by.is_none() {
            plan.insert("agent".into(), stack.env.clients.agent.client_id.as_str().into());
        }
        let reply = stack.submit(&told.scenario.name, &stack.agent(), &Value::Object(plan)).await;
        assert_eq!(
            (reply.status, &reply.body["reason"]),
            (400, &json!(refused.reason)),
            "{}: {}",
            reply.what,
            reply.text
        );
        let described = reply.body["error_description"].as_str().unwrap();
        // What is refused before the plan is a plan is named where it was sent.
        let sent = refused.at.replacen('$', "$[0].plan", 1);
        assert!(
            described.contains(&refused.at) || described.contains(&sent),
            "{}: {described} does not name {}",
            reply.what,
            refused.at
        );
        played += 1;
    }
    assert!(played >= 30, "{played} submissions");
}

/// The resource server answers for the scenarios' locations too, and publishes their catalogs.
pub async fn publish(stack: &Stack, rs: &Key) {
    static ONCE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    ONCE.get_or_init(|| publish_once(stack, rs)).await;
}

async fn publish_once(stack: &Stack, rs: &Key) {
    let catalogs = format::catalogs();
    let locations: BTreeSet<&str> = catalogs.values().map(|catalog| catalog.document().location.as_str()).collect();
    let client_id = &stack.env.clients.rs.client_id;
    Admin::sign_in(stack).await.add_words(client_id, "marque.locations", &locations).await;
    for catalog in catalogs.values() {
        until("the realm's new locations are known", || async {
            let reply = upload(stack, rs, catalog).await;
            reply.status == 201 || reply.body["error"] != "invalid_target"
        })
        .await;
        upload(stack, rs, catalog).await.success(201);
    }
}

async fn upload(stack: &Stack, rs: &Key, catalog: &Catalog) -> Reply {
    let mut document = json!(catalog.document());
    document["iss"] = stack.env.clients.rs.client_id.as_str().into();
    let signed = rs.sign(TYP_CATALOG, &document);
    let request = stack.http.post(stack.url("/catalogs")).bearer_auth(stack.access_token().await);
    Reply::to("a scenario's catalog", request.header("content-type", "application/jose").body(signed)).await
}

/// A permitted call.
struct Permitted {
    context: Value,
    call: Call,
    receipt: Option<(String, Vec<Leaf>)>,
}

struct Play<'p> {
    stack: &'p Stack,
    rs: &'p Key,
    agent: Client,
    told: &'p Told,
    intent_token: &'p str,
    tokens: BTreeMap<String, String>,
    latest: String,
    named: BTreeMap<String, Permitted>,
    calls: usize,
}

impl<'p> Play<'p> {
    fn new(stack: &'p Stack, rs: &'p Key, told: &'p Told, intent_token: &'p str) -> Self {
        let (agent, tokens, named) = (stack.agent(), BTreeMap::new(), BTreeMap::new());
        Self { stack, rs, agent, told, intent_token, tokens, latest: AGENT.into(), named, calls: 0 }
    }

    async fn story(&mut self) -> Result<(), String> {
        let own: Vec<Value> = self.told.steps().iter().map(|step| json!({"id": step["id"]})).collect();
        let token = self.exchange((self.intent_token, TOKEN_TYPE_INTENT), own).await;
        self.tokens.insert(AGENT.into(), token_of(&token));
        for (index, entry) in self.told.scenario.story.iter().enumerate() {
            let told = match entry {
                Entry::Call(call) => self.call(call).await,
                Entry::Hop(hop) => self.hop(hop).await.map(|()| true),
                Entry::Later(later) => self.later(later).await.map(|()| true),
            };
            if !told.map_err(|failure| format!("story[{index}]: {failure}"))? {
                break;
            }
        }
        Ok(())
    }

    async fn exchange(&self, (token, kind): (&str, &str), mut asks: Vec<Value>) -> Reply {
        for ask in &mut asks {
            ask["type"] = "agent_intent_step".into();
        }
        let mut form = self.stack.exchange_form(token, kind);
        form.push(("authorization_details", json!(asks).to_string()));
        self.stack.post("an exchange", &self.agent, "/token", &form).await
    }

    async fn hop(&mut self, hop: &HopEntry) -> Result<(), String> {
        let parent = hop.from.as_ref().unwrap_or(&self.latest).clone();
        let asks = hop.asks.iter().map(|asked| self.asked(&json!(asked.1))).collect();
        let reply = self.exchange((&self.tokens[&parent], TOKEN_TYPE_TXN), asks).await;
        match &hop.expect {
            HopExpect::Accepted if reply.status == 200 => {
                self.tokens.insert(hop.name.clone(), token_of(&reply));
                self.latest.clone_from(&hop.name);
                Ok(())
            }
            HopExpect::Refused(reason) if reply.status == 400 => {
                // A request that is not well formed is refused before it is compared.
                let is_malformed = reply.body["error"] == "invalid_authorization_details";
                let fits = is_malformed || reply.body["reason"] == json!(reason);
                if fits { Ok(()) } else { Err(format!("expected {reason}, got {}", reply.text)) }
            }
            other => Err(format!("expected {}, got {}", json!(matches!(other, HopExpect::Accepted)), reply.text)),
        }
    }

    /// A request for a step, with this story's names.
    fn asked(&self, request: &Value) -> Value {
        let mut asked = self.told.renamed(request);
        asked["id"] = format!("{}{}", self.told.prefix, asked["id"].as_str().unwrap()).into();
        for name in ["after", "excludes"] {
            for step in asked.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten() {
                *step = format!("{}{}", self.told.prefix, step.as_str().unwrap()).into();
            }
        }
        asked
    }

    /// Whether the story goes on.
    async fn call(&mut self, entry: &CallEntry) -> Result<bool, String> {
        self.calls += 1;
        let steps = json!(self.told.steps());
        let places: BTreeSet<&str> =
            steps.as_array().unwrap().iter().filter_map(|step| step["location"].as_str()).collect();
        let location = match &entry.at {
            Some(at) => at.clone(),
            None => (*places.first().unwrap()).to_owned(),
        };
        let at = CallEntryAt { location: &location, entry };
        let (call, body) = at.request(&self.agent, &self.tokens[entry.by.as_deref().unwrap_or(AGENT)])?;
        let request = self.stack.http.post(self.stack.url(EVALUATION)).bearer_auth(self.stack.access_token().await);
        let reply = Reply::to("a call", request.header("content-type", "application/json").body(body)).await;
        // This story's names as the story has them.
        let text = reply.text.replace(&self.told.prefix, "");
        let answer: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        check(&entry.expect, &reply, &answer["context"]).map_err(|why| format!("{why}: {text}"))?;
        if answer["decision"] == true {
            self.permitted(entry, call.ok_or("a malformed call is permitted")?, &reply.body["context"]).await;
        }
        Ok(entry.then.is_none())
    }

    async fn permitted(&mut self, entry: &CallEntry, call: Call, context: &Value) {
        let mut permitted = Permitted { context: context.clone(), call, receipt: None };
        if permitted.context["permit"]["state"] == "reserved" {
            permitted.receipt = self.receipt(entry, &permitted);
            match entry.outcome.unwrap_or(Outcome::Committed) {
                Outcome::Reserved => {}
                Outcome::Released => self.settle(&permitted, "released", None).await,
                Outcome::Committed => {
                    let pointers = pointers(entry.gives.as_ref(), entry.discloses.as_ref());
                    self.settle(&permitted, "committed", pointers).await;
                }
            }
        }
        if let Some(name) = &entry.name {
            self.named.insert(name.clone(), permitted);
        }
    }

    async fn later(&mut self, later: &LaterEntry) -> Result<(), String> {
        let permitted = self.named.get(&later.of).ok_or("no such call")?;
        match later.outcome {
            Some(Outcome::Released) => self.settle(permitted, "released", None).await,
            _ => self.settle(permitted, "committed", pointers(later.gives.as_ref(), later.discloses.as_ref())).await,
        }
        Ok(())
    }

    /// The one receipt of a call, over everything that the story ever tells of its result, and that result's leaves.
    fn receipt(&self, entry: &CallEntry, permitted: &Permitted) -> Option<(String, Vec<Leaf>)> {
        let laters: Vec<&LaterEntry> = self
            .told
            .scenario
            .story
            .iter()
            .filter_map(|later| match later {
                Entry::Later(later) if Some(&later.of) == entry.name.as_ref() => Some(later),
                _ => None,
            })
            .collect();
        let whole = entry.gives.clone().or_else(|| laters.iter().find_map(|later| later.gives.clone()));
        let parts: Vec<_> =
            entry.discloses.iter().chain(laters.iter().filter_map(|later| later.discloses.as_ref())).collect();
        let (result, leaves) = match (whole, parts.as_slice()) {
            (None, []) => return None,
            (Some(whole), []) => (ReceiptResult::Values(whole), Vec::new()),
            (Some(whole), _) => disclose(&whole, salt).unwrap(),
            (None, parts) => partial(parts.iter().flat_map(|part| part.iter())),
        };
        let Permitted { context, call, .. } = permitted;
        let claims = json!({
            "iss": self.stack.env.clients.rs.client_id, "aud": self.stack.issuer(), "iat": now(),
            "jti": context["permit"]["id"], "intent": context["intent_id"], "step": context["step"],
            "call_digest": call.digest(), "seq": context["permit"]["seq"], "outcome": "committed", "result": result,
        });
        Some((self.rs.sign(TYP_RECEIPT, &claims), leaves))
    }

    async fn settle(&self, permitted: &Permitted, outcome: &str, tells: Option<Pointers>) {
        let context = &permitted.context;
        let mut body = json!({
            "permit_id": context["permit"]["id"], "intent_id": context["intent_id"], "outcome": outcome,
        });
        if let (Some((receipt, leaves)), Some(tells)) = (&permitted.receipt, tells) {
            body["receipt"] = receipt.as_str().into();
            let told = leaves.iter().filter(|leaf| tells.holds(&leaf.pointer)).map(|leaf| leaf.disclosure.clone());
            body["disclosures"] = told.collect();
        }
        self.stack.post_json("a result", "/results", &body).await.success(200);
    }
}

/// Which leaves of a result are told.
enum Pointers {
    All,
    These(BTreeSet<String>),
}

impl Pointers {
    fn holds(&self, pointer: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(pointers) => pointers.contains(pointer),
        }
    }
}

fn pointers(gives: Option<&Value>, discloses: Option<&BTreeMap<String, Value>>) -> Option<Pointers> {
    let some = discloses.map(|leaves| Pointers::These(leaves.keys().cloned().collect()));
    gives.map(|_| Pointers::All).or(some)
}

fn salt() -> Option<String> {
    Some(encode(Uuid::new_v4().as_bytes()))
}

/// Leaves of a result that has one more, which is never told.
fn partial<'l>(leaves: impl Iterator<Item = (&'l String, &'l Value)>) -> (ReceiptResult, Vec<Leaf>) {
    let leaf = |(pointer, value): (&String, &Value)| {
        let disclosure = encode(json!([salt(), pointer, value]).to_string().as_bytes());
        Leaf { pointer: pointer.clone(), disclosure }
    };
    let leaves: Vec<Leaf> = leaves.map(leaf).collect();
    let kept_back = Digest::of(b"a leaf that is never told");
    let hashes = leaves.iter().map(|leaf| Digest::of(leaf.disclosure.as_bytes())).chain([kept_back]).collect();
    (ReceiptResult::Disclosures(hashes), leaves)
}

/// A call where it is sent.
struct CallEntryAt<'c> {
    location: &'c str,
    entry: &'c CallEntry,
}

impl CallEntryAt<'_> {
    /// The call, unless its arguments are malformed, and the evaluation request for it, its arguments as they are written.
    fn request(&self, agent: &Client, token: &str) -> Result<(Option<Call>, String), String> {
        let entry = self.entry;
        let url = format!("{}/act", self.location);
        let call = story::read_at(entry, self.location)?.ok();
        let proof = match &call {
            Some(call) => agent.dpop.prove_call(token, call, "POST", &url),
            None => agent.dpop.proof_of(&Key::proof_claims("POST", &url)),
        };
        let context = json!({
            "location": self.location, "txn_token": token, "dpop": proof, "method": "POST", "url": url,
            "call_id": Uuid::new_v4(), "environment": entry.environment, "records": entry.records,
        });
        let subject = json!({"type": "agent", "id": agent.id});
        let resource = json!({"type": entry.resource.kind, "id": entry.resource.id});
        let (name, args) = (json!(entry.action), story::arguments(entry)?);
        let body = format!(
            r#"{{"subject":{subject},"action":{{"name":{name},"properties":{args}}},"resource":{resource},"context":{context}}}"#
        );
        Ok((call, body))
    }
}

fn check(expected: &Expect, reply: &Reply, context: &Value) -> Result<(), String> {
    let differs = |what: &str| Err(format!("expected {what} {expected:?}"));
    if let Expect::Deny { reason: Reason::CallMalformed, .. } = expected {
        return if reply.status == 400 { Ok(()) } else { differs("a malformed request") };
    }
    if let Expect::Escalate { reason: Reason::LocationNotInPlan, .. } = expected
        && reply.body["error"] == "invalid_target"
    {
        // A resource server is not even told about another's location.
        return Ok(());
    }
    let is_permit = reply.status == 200 && reply.body["decision"] == true;
    match expected {
        Expect::Permit { step } => {
            let is_step = step.as_ref().is_none_or(|step| context["step"] == step.as_str());
            if is_permit && is_step { Ok(()) } else { differs("a permit") }
        }
        Expect::StepUp { .. } if context["reason"] == "step_up_required" => Ok(()),
        Expect::Escalate { reason, nearest } | Expect::Deny { reason, nearest } if !is_permit => {
            let found = context.get("nearest").unwrap_or(&Value::Null);
            let is_near = |wanted: &Map<String, Value>| {
                wanted.iter().all(|(name, value)| found.get(name).unwrap_or(&Value::Null) == value)
            };
            let fits = context["reason"] == json!(reason) && nearest.as_ref().is_none_or(is_near);
            if fits { Ok(()) } else { differs("the refusal") }
        }
        _ => differs("otherwise"),
    }
}
