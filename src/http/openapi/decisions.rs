//! What the decision point is asked and answers (AuthZEN Authorization API 1.0).

#![expect(dead_code, reason = "the schemas are all that is read of these types")]

use super::answers::{NearestStep, codes, digest, reasons, timestamp, uri, uuid};
use crate::http::questions::{Plain, Presented};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

/// One question: about an agent, whose token and proof come with it, or about somebody by name.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Question {
    Presented(Presented),
    Named(Plain),
}

fn semantics(_: &mut SchemaGenerator) -> Schema {
    codes(&["execute_all", "deny_on_first_deny", "permit_on_first_permit"])
}

fn items(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "object"}, "maxItems": crate::flows::evaluate_batch::ITEMS})
}

/// Several questions in order. An item leaves to the top level what it does not state; without items the top level is the
/// one question.
#[derive(JsonSchema)]
pub(super) struct Questions {
    subject: Option<Map<String, Value>>,
    action: Option<Map<String, Value>>,
    resource: Option<Map<String, Value>>,
    context: Option<Map<String, Value>>,
    #[schemars(schema_with = "items", default)]
    evaluations: Option<Vec<Map<String, Value>>>,
    options: Option<Options>,
}

/// When to stop.
#[derive(JsonSchema)]
struct Options {
    #[schemars(schema_with = "semantics", default)]
    evaluations_semantic: Option<String>,
}

/// A decision. A call that is refused is `decision: false`.
#[derive(JsonSchema)]
pub(super) struct Decision {
    decision: bool,
    context: DecisionContext,
}

/// What stands behind a decision.
#[derive(JsonSchema)]
struct DecisionContext {
    permit: Option<Permit>,
    intent_id: Option<String>,
    step: Option<String>,
    /// `subject` where the answer is about a name, and nothing was charged.
    resolved_by: Option<String>,
    charged: Option<bool>,
    #[schemars(schema_with = "reasons", default)]
    reason: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    nearest: Option<NearestStep>,
    step_up: Option<StepUp>,
    #[schemars(schema_with = "uuid", default)]
    evaluation_id: Option<String>,
    /// How to ask for it, where the person can be asked.
    access_request: Option<Requestable>,
}

/// How to ask for what was denied (AuthZEN Access Request and Approval Profile).
#[derive(JsonSchema)]
struct Requestable {
    #[schemars(schema_with = "uri", required)]
    endpoint: String,
    template: String,
    #[schemars(schema_with = "timestamp", required)]
    expires_at: String,
    /// What binds the request to the denial; given back as it is.
    binding_token: String,
    display: Display,
}

/// What a person can be shown.
#[derive(JsonSchema)]
struct Display {
    title: String,
    description: String,
}

fn task_states(_: &mut SchemaGenerator) -> Schema {
    codes(&["pending", "approved", "denied", "expired", "cancelled"])
}

/// Where a request stands, and once it is approved, how its approval is named.
#[derive(JsonSchema)]
pub(super) struct AccessTask {
    task: TaskHandle,
    result: Option<TaskResult>,
}

/// A request that was taken in.
#[derive(JsonSchema)]
struct TaskHandle {
    #[schemars(schema_with = "uuid", required)]
    id: String,
    #[schemars(schema_with = "task_states", required)]
    status: String,
    #[schemars(schema_with = "uri", required)]
    status_endpoint: String,
    #[schemars(schema_with = "timestamp", required)]
    expires_at: String,
    links: Links,
    display: Display,
    /// The plan that the agent redeems once it is approved.
    #[schemars(schema_with = "uuid", required)]
    intent_id: String,
    #[schemars(schema_with = "digest", required)]
    plan_digest: String,
    digest_words: String,
    /// Seconds between two polls of the agent.
    interval: i64,
}

/// Where else to look.
#[derive(JsonSchema)]
struct Links {
    /// Where the person decides.
    #[schemars(schema_with = "uri", required)]
    ticket: String,
}

/// What an approval comes to.
#[derive(JsonSchema)]
struct TaskResult {
    /// `reevaluate`: the next call is decided as every other.
    mode: String,
    approval: Approval,
}

/// An approval.
#[derive(JsonSchema)]
struct Approval {
    #[schemars(schema_with = "uuid", required)]
    id: String,
    #[schemars(schema_with = "timestamp", required)]
    approved_until: String,
}

/// Why a request was not taken (RFC 9457).
#[derive(JsonSchema)]
pub(super) struct Problem {
    #[schemars(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
}

fn number_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"oneOf": [{"type": "integer"}, {"type": "null"}]})
}

/// A permit for one call.
#[derive(JsonSchema)]
struct Permit {
    #[schemars(schema_with = "uuid", required)]
    id: String,
    #[schemars(schema_with = "digest", required)]
    call_digest: String,
    /// Seconds since the Unix epoch.
    expires_at: i64,
    /// `reserved`, or `uncounted` where there is nothing to settle.
    state: String,
    /// Its number among the intent's permits; null where nothing is counted.
    #[schemars(schema_with = "number_or_null", required)]
    seq: Option<u64>,
}

/// What a person has to approve first.
#[derive(JsonSchema)]
struct StepUp {
    step: String,
    values: Vec<LateValue>,
}

/// A value that was not in the plan, and where it came from.
#[derive(JsonSchema)]
struct LateValue {
    argument: Option<String>,
    value: Value,
    sources: Vec<String>,
}

/// The decisions in the order of the questions.
#[derive(JsonSchema)]
pub(super) struct Decisions {
    evaluations: Vec<Decision>,
}

/// The answer to a document with questions, or with one.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum DecisionOrDecisions {
    One(Box<Decision>),
    Many(Decisions),
}

/// Subjects, resources or actions, each as the request names them.
#[derive(JsonSchema)]
pub(super) struct Found {
    results: Vec<FoundEntity>,
    context: FoundContext,
}

/// A subject or a resource by type and id, or an action by name.
#[derive(JsonSchema)]
struct FoundEntity {
    #[schemars(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    name: Option<String>,
}

/// What stands behind what was found.
#[derive(JsonSchema)]
struct FoundContext {
    steps: Vec<Map<String, Value>>,
    /// Whether there was more than one search decides about.
    cut: Option<bool>,
    #[schemars(schema_with = "reasons", default)]
    reason: Option<String>,
    error_description: Option<String>,
}
