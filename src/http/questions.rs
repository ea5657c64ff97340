//! What AuthZEN requests are made of. Members that are not known are let be; the arguments are strict all the same.

use crate::flows::evaluate_access::{Evaluation, PresentedToken};
use crate::flows::evaluate_batch::{self, Question, Semantic};
use crate::flows::properties::Properties;
use crate::flows::prove_call::Possession;
use crate::flows::request_access::Requested;
use crate::flows::resolve_by_subject::Named;
use crate::flows::search_access::{AGENT, Search, Target};
use crate::flows::{OAuthError, Refusal, location_ledger};
use marque_core::call::{Call, CallResource};
use marque_core::canonical::Digest;
use marque_core::facts::Records;
use marque_core::{json, limits};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Members that an item of a batch may leave to the top level.
const INHERITED: [&str; 4] = ["subject", "action", "resource", "context"];
/// Members of an entity that the top level fills in where an item states the entity without them.
const REQUIRED: [&str; 3] = ["type", "id", "name"];

#[derive(Deserialize, JsonSchema)]
struct Entity {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(default)]
    properties: Map<String, Value>,
}

/// An entity that is searched for has no id, or one that is not looked at.
#[derive(Deserialize, JsonSchema)]
struct Sought {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    properties: Map<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
struct Action {
    name: String,
    #[serde(default, deserialize_with = "stated")]
    properties: Option<Map<String, Value>>,
}

/// A member that is stated has a value, and `null` is none.
fn stated<'de, D: Deserializer<'de>, T: Deserialize<'de>>(source: D) -> Result<Option<T>, D::Error> {
    T::deserialize(source).map(Some)
}

/// A question about an agent: its token and its proof come with it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Presented {
    subject: Entity,
    action: Action,
    resource: Entity,
    context: Proven,
}

#[derive(Deserialize, JsonSchema)]
struct Proven {
    location: String,
    txn_token: Option<String>,
    access_token: Option<String>,
    #[serde(default, deserialize_with = "stated")]
    dpop: Option<String>,
    #[serde(default, deserialize_with = "stated")]
    method: Option<String>,
    #[serde(default, deserialize_with = "stated")]
    url: Option<String>,
    #[serde(default, rename = "x5t#S256", deserialize_with = "stated")]
    certificate: Option<String>,
    call_id: String,
    /// The ledger of the resource server's that hands the call over.
    ledger: Option<String>,
    environment: Option<String>,
    #[serde(default)]
    #[schemars(with = "Map<String, Value>")]
    records: Records,
}

/// A question about anybody else.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Plain {
    subject: Entity,
    action: Action,
    resource: Entity,
    #[serde(default)]
    context: Stated,
}

#[derive(Default, Deserialize, JsonSchema)]
struct Stated {
    location: Option<String>,
    txn_token: Option<String>,
    environment: Option<String>,
    #[serde(default)]
    #[schemars(with = "Map<String, Value>")]
    records: Records,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ForSubjects {
    subject: Sought,
    action: Action,
    resource: Entity,
    #[serde(default)]
    context: Stated,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ForResources {
    subject: Entity,
    action: Action,
    resource: Sought,
    #[serde(default)]
    context: Stated,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ForActions {
    subject: Entity,
    resource: Entity,
    #[serde(default)]
    context: Stated,
}

/// A request for what was denied (AuthZEN Access Request and Approval Profile): the question again, and what came with the denial.
#[derive(Deserialize, JsonSchema)]
pub(super) struct AccessRequest {
    subject: Entity,
    action: Action,
    resource: Entity,
    context: Bound,
    #[serde(default)]
    denial: Denial,
}

/// The members of the context that the decision depended on.
#[derive(Deserialize, JsonSchema)]
struct Bound {
    location: String,
    environment: Option<String>,
    #[serde(default)]
    #[schemars(with = "Map<String, Value>")]
    records: Records,
}

#[derive(Default, Deserialize, JsonSchema)]
struct Denial {
    binding_token: Option<String>,
    expires_at: Option<String>,
    evaluation_id: Option<String>,
}

fn refused(refused: &json::Refused) -> Refusal {
    Refusal::new(OAuthError::InvalidRequest, refused.to_string())
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    json::typed(value).map_err(|error| refused(&error))
}

/// One strict JSON object of at most so many bytes.
pub fn document(bytes: &[u8], most: usize) -> Result<Value, Refusal> {
    let value = json::parse_call(bytes, most).map_err(|error| refused(&error))?;
    if value.is_object() { Ok(value) } else { Err(Refusal::new(OAuthError::InvalidRequest, "$: is not an object")) }
}

/// Reads one question.
pub fn question(value: Value) -> Result<Question, Refusal> {
    match value.pointer("/subject/type").and_then(Value::as_str) {
        Some(AGENT) => presented(typed(value)?),
        _ => named(typed(value)?),
    }
}

fn presented(body: Presented) -> Result<Question, Refusal> {
    if !limits::is_single_use_id(&body.context.call_id) {
        let text = "$.context.call_id: must be 1 to 512 printable ASCII characters";
        return Err(Refusal::new(OAuthError::InvalidRequest, text));
    }
    let possession = possession(&body.context)?;
    let Proven { location, txn_token, access_token, call_id, ledger, environment, records, .. } = body.context;
    if ledger.as_deref().is_some_and(|ledger| !location_ledger::is_name(ledger)) {
        let text =
            "$.context.ledger: must be the id of a ledger of the resource server's own, as POST /ledgers takes it";
        return Err(Refusal::new(OAuthError::InvalidRequest, text));
    }
    let token = match (txn_token, access_token) {
        (Some(token), None) => PresentedToken::Transaction(token),
        (None, Some(token)) => PresentedToken::Access(token),
        _ => {
            let text = "$.context: needs either txn_token or access_token, the one that the call came with";
            return Err(Refusal::new(OAuthError::InvalidRequest, text));
        }
    };
    let client_id = body.subject.id;
    let call = call(location, body.subject.properties, body.action, body.resource, environment, records);
    Ok(Question::Presented(Box::new(Evaluation { client_id, call, token, possession, call_id, ledger })))
}

/// What proves that the caller holds the token: exactly one of the two. Method and URL are what a proof is for.
fn possession(context: &Proven) -> Result<Possession, Refusal> {
    let refuse = |text: &str| Err(Refusal::new(OAuthError::InvalidRequest, text));
    let Proven { dpop, method, url, certificate, .. } = context;
    match (dpop, method, url, certificate) {
        (Some(proof), Some(method), Some(url), None) => {
            Ok(Possession::Proof { proof: proof.clone(), method: method.clone(), url: url.clone() })
        }
        (None, _, _, Some(thumbprint)) => match Digest::from_base64(thumbprint) {
            Some(thumbprint) => Ok(Possession::Certificate(thumbprint)),
            None => refuse("$.context.x5t#S256: must be the SHA-256 of a certificate's DER in base64url"),
        },
        _ => refuse(
            "$.context: needs either dpop with method and url, or x5t#S256, whichever the call came with beside its token",
        ),
    }
}

/// Reads a request for what was denied.
pub fn access_request(value: Value, idempotency_key: Option<String>) -> Result<Requested, Refusal> {
    if value.get("items").is_some() {
        let text = "$.items: one request is for one call; send several requests";
        return Err(Refusal::new(OAuthError::InvalidRequest, text));
    }
    let digest = Digest::of_canonical(&value);
    let AccessRequest { subject, action, resource, context, denial } = typed(value)?;
    if subject.kind != AGENT {
        return Err(Refusal::new(OAuthError::InvalidRequest, "$.subject.type: must be agent, whose call was denied"));
    }
    let Bound { location, environment, records } = context;
    let agent = subject.id;
    let call = call(location, subject.properties, action, resource, environment, records);
    let Denial { binding_token, expires_at, evaluation_id } = denial;
    Ok(Requested { agent, call, binding_token, expires_at, evaluation_id, idempotency_key, digest })
}

fn named(body: Plain) -> Result<Question, Refusal> {
    let Stated { location, txn_token, environment, records } = body.context;
    if txn_token.is_some() {
        return Err(Refusal::new(OAuthError::InvalidRequest, "$.subject.type: must be agent, who presents a token"));
    }
    let Entity { kind, id, properties } = body.subject;
    let call = call(String::new(), properties, body.action, body.resource, environment, records);
    Ok(Question::Named(Box::new(Named { kind, id, location, call })))
}

fn call(
    location: String,
    subject: Map<String, Value>,
    action: Action,
    resource: Entity,
    environment: Option<String>,
    mut records: Records,
) -> Call {
    Properties { subject, resource: resource.properties }.record(&resource.id, &mut records);
    let resource = CallResource { kind: resource.kind, id: resource.id };
    let args = action.properties.unwrap_or_default();
    Call { environment, records, ..Call::new(location, action.name, resource, args) }
}

/// A batch: questions in order, and when to stop. No items, or none stated, is no batch but one question.
pub struct Batch {
    /// The questions; one that is malformed says what is wrong with it.
    pub questions: Vec<Result<Question, Refusal>>,
    /// When to stop.
    pub semantic: Semantic,
}

/// Reads a batch; nothing if the document is one question.
pub fn batch(document: &Value) -> Result<Option<Batch>, Refusal> {
    let refuse = |text: String| Err(Refusal::new(OAuthError::InvalidRequest, text));
    let semantic = semantic(document.get("options"))?;
    let items = match document.get("evaluations") {
        None => return Ok(None),
        Some(Value::Array(items)) if items.is_empty() => return Ok(None),
        Some(Value::Array(items)) if items.len() <= evaluate_batch::ITEMS => items,
        Some(Value::Array(_)) => return refuse(format!("$.evaluations: at most {} items", evaluate_batch::ITEMS)),
        Some(_) => return refuse("$.evaluations: is not a list".into()),
    };
    let questions = items.iter().map(|item| question(inherited(document, item))).collect();
    Ok(Some(Batch { questions, semantic }))
}

fn semantic(options: Option<&Value>) -> Result<Semantic, Refusal> {
    let refuse = |text: &str| Err(Refusal::new(OAuthError::InvalidRequest, text));
    let stated = match options {
        None => None,
        Some(Value::Object(options)) => options.get("evaluations_semantic"),
        Some(_) => return refuse("$.options: is not an object"),
    };
    match stated.map(|word| word.as_str().and_then(Semantic::from_word)) {
        None => Ok(Semantic::default()),
        Some(Some(semantic)) => Ok(semantic),
        Some(None) => {
            refuse("$.options.evaluations_semantic: must be execute_all, deny_on_first_deny or permit_on_first_permit")
        }
    }
}

/// An item with what it leaves to the top level: a member that it states replaces the whole member there, and only
/// `type`, `id` and `name` are filled in.
fn inherited(document: &Value, item: &Value) -> Value {
    let Value::Object(own) = item else { return item.clone() };
    let mut whole = Map::new();
    for name in INHERITED {
        let default = document.get(name);
        let Some(stated) = own.get(name) else {
            whole.extend(default.map(|value| (name.to_owned(), value.clone())));
            continue;
        };
        let mut stated = stated.clone();
        if let (Value::Object(stated), Some(Value::Object(default)), true) = (&mut stated, default, name != "context") {
            for member in REQUIRED {
                if let (None, Some(value)) = (stated.get(member), default.get(member)) {
                    stated.insert(member.to_owned(), value.clone());
                }
            }
        }
        whole.insert(name.to_owned(), stated);
    }
    Value::Object(whole)
}

/// Reads a search.
pub fn search(value: Value, target: Target) -> Result<Search, Refusal> {
    Ok(match target {
        Target::Subject => {
            let ForSubjects { subject, action, resource, context } = typed(value)?;
            let subject = Entity { kind: subject.kind, id: String::new(), properties: subject.properties };
            searched(target, subject, Some(action), resource, context)
        }
        Target::Resource => {
            let ForResources { subject, action, resource, context } = typed(value)?;
            let resource = Entity { kind: resource.kind, id: String::new(), properties: resource.properties };
            searched(target, subject, Some(action), resource, context)
        }
        Target::Action => {
            let ForActions { subject, resource, context } = typed(value)?;
            searched(target, subject, None, resource, context)
        }
    })
}

fn searched(target: Target, subject: Entity, action: Option<Action>, resource: Entity, context: Stated) -> Search {
    let (action, args) = action.map_or_else(Default::default, |action| (action.name, action.properties));
    Search {
        target,
        subject_kind: subject.kind,
        subject_id: subject.id,
        txn_token: context.txn_token,
        location: context.location,
        action,
        args,
        resource: CallResource { kind: resource.kind, id: resource.id },
        environment: context.environment,
        records: context.records,
        properties: Properties { subject: subject.properties, resource: resource.properties },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_item_replaces_whole_members_and_inherits_what_it_leaves_out() {
        let document = json!({
            "subject": {"type": "user", "id": "alice", "properties": {"role": "admin"}},
            "resource": {"type": "record"}, "context": {"a": 1, "b": 2}, "evaluations": [],
        });
        let item =
            json!({"subject": {"id": "bob"}, "resource": {"id": "r", "properties": {"x": 1}}, "context": {"c": 3}});
        let expected = json!({
            "subject": {"type": "user", "id": "bob"},
            "resource": {"type": "record", "id": "r", "properties": {"x": 1}}, "context": {"c": 3},
        });
        assert_eq!(inherited(&document, &item), expected);
        let mut all = document.clone();
        all.as_object_mut().unwrap().remove("evaluations");
        assert_eq!(inherited(&document, &json!({})), all);
        assert_eq!(inherited(&document, &json!(5)), json!(5));
    }

    #[test]
    fn a_batch_is_bounded_and_its_semantic_is_one_of_three() {
        let of = |options: Value, items: Value| batch(&json!({"options": options, "evaluations": items}));
        let error = |result: Result<Option<Batch>, Refusal>| result.err().map(|refusal| refusal.description);
        for word in ["execute_all", "deny_on_first_deny", "permit_on_first_permit"] {
            assert!(matches!(of(json!({"evaluations_semantic": word}), json!([{}])), Ok(Some(_))), "{word}");
        }
        assert!(error(of(json!({"evaluations_semantic": "first"}), json!([{}]))).unwrap().contains("execute_all"));
        assert!(error(of(json!({"evaluations_semantic": 1}), json!([]))).is_some(), "even where there is no batch");
        assert!(error(of(json!([]), json!([{}]))).unwrap().starts_with("$.options"));
        assert!(error(of(json!({}), json!({}))).unwrap().starts_with("$.evaluations"));
        assert!(error(of(json!({}), json!(vec![json!({}); 101]))).unwrap().contains("100"));
        assert!(matches!(of(json!({}), json!([])), Ok(None)));
        let Ok(Some(batch)) = of(json!({}), json!([{}, 5])) else { panic!("no batch") };
        assert!(batch.questions.iter().all(Result::is_err) && batch.semantic == Semantic::ExecuteAll);
    }
}
