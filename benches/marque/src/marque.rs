//! Marque's side: all that the measurements know of `marque-core`'s interface.

use bench_harness::contender::Contender;
use bench_harness::plan::{ACTIONS, Call, Failure, KIND, LOCATION, NOTE_CHARS, Step};
use marque_core::attenuate::covers;
use marque_core::call::{Call as MarqueCall, CallResource};
use marque_core::canonical::Digest;
use marque_core::catalog::Catalog;
use marque_core::claims::Confirmation;
use marque_core::decide::Decision;
use marque_core::envelope::Envelope;
use marque_core::facts::{Facts, Past};
use marque_core::plan::SubmittedPlan;
use marque_core::prepared::Prepared;
use marque_core::resolve::{Completion, resolve};
use serde_json::{Map, Value, json};

/// 2026-11-22T03:00:00Z.
pub const NOW: i64 = 1_795_316_400;

/// A verified token's envelope and what was used of it.
pub struct Marque {
    prepared: Prepared,
    unused: Facts,
    used: Facts,
}

impl Contender for Marque {
    const NAME: &'static str = "marque-core";
    type Call = MarqueCall;

    fn new(steps: &[Step]) -> Result<Self, Failure> {
        let used = steps.last().map(|step| (step.id.clone(), Past::counted(1, 1))).into_iter().collect();
        let steps = steps.iter().map(|step| signed(submitted(step))).collect();
        let used = Facts { steps: used, ..Facts::default() };
        Ok(Self { prepared: envelope(steps)?.into(), unused: Facts::default(), used })
    }

    fn call(&self, call: &Call) -> Result<MarqueCall, Failure> {
        let args = call.args.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        Ok(marque_call(&call.location, &call.action, &call.resource, args))
    }

    fn permits(&self, call: &MarqueCall) -> bool {
        matches!(self.prepared.decide(call, &self.unused, NOW), Decision::Permit(_))
    }

    fn permits_again(&self, call: &MarqueCall) -> bool {
        matches!(self.prepared.decide(call, &self.used, NOW), Decision::Permit(_))
    }
}

impl Marque {
    /// Whether this envelope allows all that the other does.
    pub fn covers(&self, child: &Self) -> bool {
        covers(self.prepared.envelope(), child.prepared.envelope())
    }

    /// A plan whose steps have an argument of every kind, and the call that its last step permits.
    ///
    /// # Errors
    /// When the plan is not one.
    pub fn with_all_kinds(count: usize) -> Result<(Self, MarqueCall), Failure> {
        let constraints: Map<_, _> = every_kind().into_iter().map(|(name, kind, _)| (name.to_owned(), kind)).collect();
        let step = |index| {
            signed(json_step(&format!("step-{index}"), action_of(index), &resource_of(index), json!(constraints)))
        };
        let last = count.saturating_sub(1);
        let args = every_kind().into_iter().map(|(name, _, value)| (name.to_owned(), value)).collect();
        let call = marque_call(LOCATION, action_of(last), &resource_of(last), args);
        let prepared = envelope((0..count).map(step).collect())?.into();
        Ok((Self { prepared, unused: Facts::default(), used: Facts::default() }, call))
    }
}

/// An argument per kind of constraint that needs no history: its name, the constraint, a value that satisfies it.
fn every_kind() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("const", json!({"const": "accounts@supplier.example"}), json!("accounts@supplier.example")),
        ("one_of", json!({"one_of": ["quarterly", "reminder", "urgent"]}), json!("urgent")),
        ("text", json!({"text": {"max": 200}}), json!("Paid in full on Friday. Please archive it.")),
        ("pattern", json!({"pattern": "INV-[0-9]{4}-[0-9]{6}"}), json!("INV-2026-000012")),
        ("num", json!({"num": {"min": "0", "max": "99.5"}}), json!(12.25)),
        (
            "amount",
            json!({"amount": {"max": "900.00", "currency": "EUR"}}),
            json!({"currency": "EUR", "value": "812.40"}),
        ),
        ("time", json!({"time_window": {"to": "2026-12-31T00:00:00Z"}}), json!("2026-11-30T12:00:00+01:00")),
        ("domain", json!({"domain": {"any_of": ["supplier.example"]}}), json!("accounts@supplier.example")),
        ("prefix", json!({"prefix": "/invoices/2026/"}), json!("/invoices/2026/11/a.pdf")),
        ("items", json!({"items": {"of": {"one_of": ["a", "b"]}, "max": 5}}), json!(["a", "b", "a"])),
        ("obj", json!({"obj": {"x": {"const": 1}, "y": {"optional": {"const": 2}}}}), json!({"x": 1})),
        ("each", json!({"each": {"num": {"min": "0"}}}), json!([1, 2, 3])),
        ("all", json!({"all": [{"num": {"min": "1"}}, {"num": {"max": "5"}}]}), json!(3)),
        ("either", json!({"either": [{"const": "x"}, {"prefix": "a/"}]}), json!("a/b")),
        ("optional", json!({"optional": {"const": "x"}}), json!("x")),
        ("any", json!({"any": true}), json!({"colour": "blue"})),
    ]
}

fn action_of(index: usize) -> &'static str {
    ACTIONS.get(index % ACTIONS.len()).copied().unwrap_or_default()
}

fn resource_of(index: usize) -> String {
    format!("INV-2026-{index:06}")
}

fn marque_call(location: &str, action: &str, resource: &str, args: Map<String, Value>) -> MarqueCall {
    let resource = CallResource { kind: KIND.into(), id: resource.into() };
    MarqueCall::new(location, action, resource, args)
}

/// A step with what it has when it is submitted.
fn submitted(step: &Step) -> Value {
    let args = json!({"to": {"const": step.to}, "tag": {"one_of": step.tags}, "note": {"text": {"max": NOTE_CHARS}}});
    json_step(&step.id, step.action, &step.resource, args)
}

fn json_step(id: &str, action: &str, resource: &str, args: Value) -> Value {
    json!({"id": id, "location": LOCATION, "action": action, "resource": {"type": KIND, "id": resource},
        "args": args, "uses": 1})
}

/// A submitted step with what resolution adds.
fn signed(mut step: Value) -> Value {
    if let Some(members) = step.as_object_mut() {
        members.insert("class".into(), json!("change"));
    }
    step
}

/// The steps of a plan as a token carries them.
///
/// # Errors
/// When they are none.
pub fn signed_steps(steps: &[Step]) -> Result<Envelope, Failure> {
    envelope(steps.iter().map(|step| signed(submitted(step))).collect())
}

fn envelope(steps: Vec<Value>) -> Result<Envelope, Failure> {
    Ok(Envelope { steps: serde_json::from_value(Value::Array(steps))?, ..Envelope::default() })
}

/// A plan as an agent writes it, which is not in the order of the canonical form. All texts of the plan are free of
/// quotation marks and backslashes.
fn written(steps: &[Step]) -> String {
    let step = |step: &Step| {
        let Step { id, action, resource, to, tags } = step;
        format!(
            r#"{{"id":"{id}","location":"{LOCATION}","action":"{action}","resource":{{"type":"{KIND}","id":"{resource}"}},"args":{{"to":{{"const":"{to}"}},"tag":{{"one_of":{}}},"note":{{"text":{{"max":{NOTE_CHARS}}}}}}},"uses":1}}"#,
            json!(tags)
        )
    };
    let steps: Vec<String> = steps.iter().map(step).collect();
    format!(
        r#"{{"version":1,"purpose":"Settle the quarter's invoices","agent":"invoice-agent","user":{{"username":"alice"}},"mode":"strict","limits":{{"lifetime_secs":3600,"max_hops":2}},"steps":[{}]}}"#,
        steps.join(",")
    )
}

/// A plan as an agent sends it, and what Marque needs to resolve it.
pub struct Submission {
    bytes: Vec<u8>,
    catalogs: Vec<Catalog>,
}

impl Submission {
    /// A plan of these steps.
    ///
    /// # Errors
    /// When Marque would not admit it.
    pub fn new(steps: &[Step]) -> Result<Self, Failure> {
        let text = json!({"type": "string"});
        let action = json!({"class": "change", "reversible": true, "resource": KIND,
            "args": {"to": text, "tag": text, "note": text}, "display": {"en": "Changes {resource}"}});
        let actions: Map<String, Value> = ACTIONS.iter().map(|name| ((*name).to_owned(), action.clone())).collect();
        let catalog = json!({"iss": "invoices", "version": 1, "location": LOCATION, "actions": actions});
        let catalogs = vec![Catalog::parse(catalog.to_string().as_bytes()).map_err(|refused| refused.to_string())?];
        let submission = Self { bytes: written(steps).into_bytes(), catalogs };
        submission.resolve_and_digest().ok_or("the plan is not admitted")?;
        Ok(submission)
    }

    /// Strict parsing of the plan's bytes, nothing else.
    pub fn parse(&self) -> Option<SubmittedPlan> {
        SubmittedPlan::parse(&self.bytes).ok()
    }

    /// From the plan's bytes to its digest: strict parsing, canonical form, SHA-256, and the checked plan.
    pub fn parse_and_digest(&self) -> Option<(SubmittedPlan, Digest)> {
        SubmittedPlan::parse_with_digest(&self.bytes).ok()
    }

    /// From the plan's bytes to the digest that a person signs: strict parsing, resolution, canonical form, SHA-256.
    pub fn resolve_and_digest(&self) -> Option<Digest> {
        let completion = Completion {
            issuer: "https://marque.example/realms/demo",
            realm_issuer: "https://sso.example/realms/demo",
            intent_id: "018f0000-0000-7000-8000-000000000001",
            client_id: "invoice-agent",
            cnf: Confirmation::Jkt("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".into()),
            started_by: None,
            catalogs: &self.catalogs,
            blocked: &[],
            unknown_actions: marque_core::catalog::UnknownActions::Refuse,
            now: NOW,
        };
        Some(resolve(SubmittedPlan::parse(&self.bytes).ok()?, &completion).ok()?.digest())
    }
}
