//! An enforcement point as the scenario has it: it authenticates, finds the endpoints, and knows nothing of Marque.

use marque_demo::authzen::Fixture;
use marque_demo::clients::KeycloakTokens;
use marque_demo::env::Env;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Far more than an answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The endpoints, with the names that the metadata has for them.
pub const EVALUATION: &str = "access_evaluation_endpoint";
pub const EVALUATIONS: &str = "access_evaluations_endpoint";
pub const SUBJECTS: &str = "search_subject_endpoint";
pub const RESOURCES: &str = "search_resource_endpoint";
pub const ACTIONS: &str = "search_action_endpoint";

pub struct Asker {
    /// The decision point.
    pub base: String,
    pub http: Client,
    pub metadata: Value,
    token: String,
}

/// An answer: what was asked, status, headers, body.
pub struct Reply {
    pub what: String,
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Reply {
    pub async fn to(what: &str, request: RequestBuilder) -> Self {
        let answer = request.timeout(PATIENCE).send().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: no JSON: {error}: {text}"));
        Self { what: what.to_owned(), status, headers, body }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// 200 with JSON.
    pub fn success(&self) -> &Value {
        assert_eq!(self.status, 200, "{}: {}", self.what, self.body);
        assert_eq!(self.header("content-type"), "application/json", "{}", self.what);
        &self.body
    }

    /// 400.
    pub fn refused(&self) {
        assert_eq!(self.status, 400, "{}: {}", self.what, self.body);
    }

    /// A decision, in the form that a decision has.
    pub fn decision(&self) -> bool {
        decided(&self.what, self.success())
    }

    /// The decisions of a batch.
    pub fn decisions(&self) -> Vec<bool> {
        let answers =
            self.success()["evaluations"].as_array().unwrap_or_else(|| panic!("{}: {}", self.what, self.body));
        assert!(self.body.get("decision").is_none(), "{}", self.what);
        answers.iter().map(|answer| decided(&self.what, answer)).collect()
    }

    /// The results of a search: one member of each.
    pub fn results(&self, member: &str) -> Vec<String> {
        let results = self.success()["results"].as_array().unwrap_or_else(|| panic!("{}: {}", self.what, self.body));
        if let Some(page) = self.body.get("page") {
            assert!(page.is_object() && page["next_token"].is_string(), "{}: {page}", self.what);
        }
        let read = |result: &'_ Value| result[member].as_str().map(str::to_owned);
        let all: Option<Vec<String>> = results.iter().map(read).collect();
        all.unwrap_or_else(|| panic!("{}: a result without {member}: {}", self.what, self.body))
    }
}

fn decided(what: &str, answer: &Value) -> bool {
    assert!(answer.get("context").is_none_or(Value::is_object), "{what}: {answer}");
    answer["decision"].as_bool().unwrap_or_else(|| panic!("{what}: no decision: {answer}"))
}

impl Asker {
    /// The enforcement point of the fixture's resource server at the stack that `MARQUE_STACK` names.
    pub async fn open() -> Self {
        let file = std::env::var("MARQUE_STACK").unwrap_or_default();
        assert!(!file.is_empty(), "MARQUE_STACK must name the env.json of a running stack with the fixture");
        let env = Env::read(Path::new(&file)).unwrap_or_else(|error| panic!("MARQUE_STACK: {error}"));
        let fixture = Fixture::read(Path::new(&file).parent().unwrap()).unwrap_or_else(|error| panic!("{error}"));
        let token = KeycloakTokens::new(&env, &fixture.records).unwrap().token(None).await;
        let token = token.unwrap_or_else(|error| panic!("the realm gives no token: {error}"));
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let base = env.marque.issuer;
        let metadata = Reply::to("metadata", http.get(well_known(&base))).await.success().clone();
        Self { base, http, metadata, token }
    }

    /// A request to an endpoint, authenticated and without a body.
    pub fn request(&self, endpoint: &str) -> RequestBuilder {
        let url = self.metadata[endpoint].as_str().unwrap_or_else(|| panic!("the metadata has no {endpoint}"));
        self.http.post(url).bearer_auth(&self.token)
    }

    pub async fn ask(&self, what: &str, endpoint: &str, body: &Value) -> Reply {
        Reply::to(what, self.request(endpoint).json(body)).await
    }

    /// A text as a body of a media type.
    pub async fn send(&self, what: &str, endpoint: &str, media_type: &str, text: &str) -> Reply {
        let request = self.request(endpoint).header("content-type", media_type).body(text.to_owned());
        Reply::to(what, request).await
    }
}

/// The metadata's address: inserted between the host and the path.
pub fn well_known(base: &str) -> String {
    let (root, path) = base.split_once("/realms/").unwrap();
    format!("{root}/.well-known/authzen-configuration/realms/{path}")
}

pub fn user(id: &str) -> Value {
    json!({"type": "user", "id": id})
}

pub fn record(id: &str) -> Value {
    json!({"type": "record", "id": id})
}

pub fn action(name: &str) -> Value {
    json!({"name": name})
}

/// An entity with properties.
pub fn with(mut entity: Value, properties: Value) -> Value {
    entity["properties"] = properties;
    entity
}

pub fn question(subject: Value, action: Value, resource: Value) -> Value {
    json!({"subject": subject, "action": action, "resource": resource})
}

/// A document without one of its members, named by a JSON pointer.
pub fn without(document: &Value, pointer: &str) -> Value {
    let mut document = document.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    document
}

/// A document with another value at a JSON pointer.
pub fn changed(document: &Value, pointer: &str, value: Value) -> Value {
    let mut document = document.clone();
    *document.pointer_mut(pointer).unwrap() = value;
    document
}
