//! The agent: hands in plans, redeems what was approved, and asks for decisions as its resource server would.

use crate::client::{Client, success, text};
use crate::marque::{Marque, TRUST_DOMAIN};
use crate::realm::{Realm, USERNAME, now};
use bench_keys::{Failure, Key};
use marque_core::call::{Call, CallResource};
use marque_core::canonical::canonical;
use marque_core::claims::token_hash;
use marque_core::names::{GRANT_INTENT, GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN, TYP_CATALOG};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The agent's client id.
pub const AGENT: &str = "bench-agent";
/// The resource server's client id.
pub const RESOURCE_SERVER: &str = "bench-api";
/// The resource server's location.
pub const LOCATION: &str = "https://api.bench.example";
/// Counted steps of a plan: how far the uses of one intent spread.
pub const COUNTED: usize = 4;
/// Uses of a counted step: as many as a plan may have.
const USES: u64 = marque_core::limits::USES;

/// The agent and its resource server.
pub struct Agent {
    /// The agent's client.
    pub client: Client,
    /// For what is not measured.
    pub http: reqwest::Client,
    resource_server: Key,
}

/// An approved plan and a token of the agent for all of its steps.
pub struct Granted {
    /// The intent.
    pub intent_id: String,
    /// The token.
    pub token: String,
}

impl Agent {
    /// An agent that the realm knows, with a resource server that the realm knows.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new(realm: &Realm) -> Result<Self, Failure> {
        let resource_server = Key::new()?;
        let client = Client::new(realm, AGENT, json!({"marque.kind": "agent", "marque.users": USERNAME}))?;
        let is_server = json!({"marque.kind": "resource-server", "marque.locations": LOCATION});
        realm.add_client(RESOURCE_SERVER, &resource_server, is_server);
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { client, resource_server, http })
    }

    /// Publishes the resource server's catalog.
    ///
    /// # Errors
    /// When Marque does not take it.
    pub async fn publish(&self, marque: &Marque, access_token: &str) -> Result<(), Failure> {
        let action = |class: &str, resource: &str, display: &str| json!({"class": class, "reversible": false, "resource": resource, "args": {}, "display": {"en": display}});
        let catalog = json!({
            "iss": RESOURCE_SERVER, "version": 1, "location": LOCATION,
            "actions": {
                "list_service_accounts": action("read", "environment", "List the service accounts of {resource}"),
                "rotate_key": action("change", "service_account", "Replace the key of service account {resource}"),
            },
        });
        let signed = self.resource_server.sign_bytes(TYP_CATALOG, &canonical(&catalog))?;
        let request = self.http.post(format!("{}/catalogs", marque.issuer)).bearer_auth(access_token);
        success(request.header("content-type", "application/jose").body(signed)).await.map(drop)
    }

    /// Hands in a plan.
    ///
    /// # Errors
    /// When Marque does not take it.
    pub async fn submit(&self, marque: &Marque, plan: &Value) -> Result<String, Failure> {
        let details = json!([{"type": "agent_intent_plan", "plan": plan}]).to_string();
        let form = [("authorization_details", details.as_str())];
        let answer = self.client.post(&self.http, &marque.issuer, "/plans", &form).await?;
        Ok(text(&answer, "intent_id")?.to_owned())
    }

    /// Redeems an approved plan: its intent token.
    ///
    /// # Errors
    /// When Marque refuses.
    pub async fn redeem(&self, marque: &Marque, intent_id: String) -> Result<Granted, Failure> {
        let form = [("grant_type", GRANT_INTENT), ("intent_id", &intent_id)];
        let answer = self.client.post(&self.http, &marque.issuer, "/token", &form).await?;
        Ok(Granted { token: text(&answer, "access_token")?.to_owned(), intent_id })
    }

    /// Exchanges an intent token for a transaction token with all steps.
    ///
    /// # Errors
    /// When Marque refuses.
    pub async fn exchange(&self, marque: &Marque, intent: &Granted) -> Result<Granted, Failure> {
        let form = exchange(&intent.token, TOKEN_TYPE_INTENT);
        let answer = self.client.post(&self.http, &marque.issuer, "/token", &form).await?;
        Ok(Granted { token: text(&answer, "access_token")?.to_owned(), intent_id: intent.intent_id.clone() })
    }

    /// An evaluation request with a proof and a call id of its own.
    ///
    /// # Errors
    /// When the proof cannot be signed.
    pub fn question(&self, granted: &Granted, call: &Call) -> Result<String, Failure> {
        let url = format!("{LOCATION}/{}", call.action);
        let proof = self.client.proof.prove(&json!({
            "jti": Uuid::new_v4(), "iat": now(), "htm": "POST", "htu": url, "ath": token_hash(&granted.token),
            "call_digest": call.digest(),
        }))?;
        let question = json!({
            "subject": {"type": "agent", "id": AGENT},
            "action": {"name": call.action, "properties": call.args},
            "resource": {"type": call.resource.kind, "id": call.resource.id},
            "context": {
                "location": LOCATION, "txn_token": granted.token, "dpop": proof, "method": "POST", "url": url,
                "call_id": Uuid::new_v4(),
            },
        });
        Ok(question.to_string())
    }
}

/// The form of an exchange of a token of this type for a transaction token with all steps.
pub fn exchange<'a>(token: &'a str, kind: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("grant_type", GRANT_TOKEN_EXCHANGE),
        ("audience", TRUST_DOMAIN),
        ("requested_token_type", TOKEN_TYPE_TXN),
        ("subject_token", token),
        ("subject_token_type", kind),
    ]
}

/// The plan that most figures are about: one read that is not counted, and counted changes.
pub fn plan() -> Value {
    let mut steps = vec![step("list", &reading(), json!("any"))];
    steps.extend((0..COUNTED).map(|index| step(&format!("rotate-{index}"), &rotation(index), json!(USES))));
    plan_of(steps, json!([]), 2)
}

/// A plan of so many rotations, each like the demonstration's, that so many delegates may carry out one after the other.
pub fn handed_on(steps: usize, delegates: &[Client]) -> Value {
    let ids: Vec<String> = (0..steps).map(|index| format!("rotate-{index}")).collect();
    let steps = ids.iter().enumerate().map(|(index, id)| {
        let call = rotation(index);
        let resource = json!({"type": call.resource.kind, "id": call.resource.id});
        json!({"id": id, "location": LOCATION, "action": call.action, "resource": resource})
    });
    let delegates: Vec<Value> = delegates.iter().map(|client| json!({"client_id": client.id, "steps": ids})).collect();
    plan_of(steps.collect(), json!(delegates), delegates.len())
}

fn plan_of(steps: Vec<Value>, delegates: Value, hops: usize) -> Value {
    json!({
        "version": 1, "purpose": "Measure how fast calls are decided.", "agent": AGENT,
        "user": {"username": USERNAME}, "mode": "strict", "limits": {"lifetime_secs": 3600, "max_hops": hops},
        "steps": steps, "delegates": delegates,
    })
}

/// The call that nothing counts.
pub fn reading() -> Call {
    call("list_service_accounts", "environment", "production")
}

/// The call of a counted step.
pub fn rotation(index: usize) -> Call {
    call("rotate_key", "service_account", &format!("svc-{index}"))
}

fn call(action: &str, kind: &str, id: &str) -> Call {
    Call::new(LOCATION, action, CallResource { kind: kind.into(), id: id.into() }, Map::new())
}

fn step(id: &str, call: &Call, uses: Value) -> Value {
    let resource = json!({"type": call.resource.kind, "id": call.resource.id});
    json!({"id": id, "location": LOCATION, "action": call.action, "resource": resource, "uses": uses})
}
