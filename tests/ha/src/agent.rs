//! The agent and its resource server, as they speak to either server.

use crate::marque::{Marque, TRUST_DOMAIN};
use crate::realm::{Realm, USERNAME, now};
use bench_keys::{Failure, Key};
use marque_core::call::{Call, CallResource};
use marque_core::canonical::canonical;
use marque_core::claims::token_hash;
use marque_core::names::{
    ASSERTION_TYPE_JWT, GRANT_INTENT, GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN, TYP_CATALOG,
    TYP_CLIENT_ASSERTION,
};
use serde_json::{Map, Value, json};
use std::sync::Mutex;
use std::time::Duration;
use uuid::Uuid;

const AGENT: &str = "ha-agent";
const RESOURCE_SERVER: &str = "ha-api";
const LOCATION: &str = "https://api.ha.example";
/// Longer than a failover takes.
const REQUEST: Duration = Duration::from_secs(20);

/// Both.
pub struct Agent {
    assertion: Key,
    proof: Key,
    resource_server: Key,
    access_token: String,
    http: reqwest::Client,
    nonce: Mutex<Option<String>>,
}

/// An answer.
pub struct Answer {
    /// 0 where there was none.
    pub status: u16,
    /// Its JSON, or what went wrong.
    pub body: Value,
}

impl Answer {
    /// A text member of a success.
    pub fn text(&self, name: &str) -> Option<&str> {
        (self.status == 200 || self.status == 201).then(|| self.body.get(name)?.as_str()).flatten()
    }

    /// Whether it names a reason.
    pub fn is_because(&self, reason: &str) -> bool {
        self.body.to_string().contains(&format!("\"{reason}\""))
    }
}

impl Agent {
    /// Both, known to the realm.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new(realm: &Realm, issuer: &str) -> Result<Self, Failure> {
        let (assertion, proof, resource_server) = (Key::new()?, Key::new()?, Key::new()?);
        realm.add_client(AGENT, &assertion, json!({"marque.kind": "agent", "marque.users": USERNAME}));
        let is_server = json!({"marque.kind": "resource-server", "marque.locations": LOCATION});
        realm.add_client(RESOURCE_SERVER, &resource_server, is_server);
        let access_token = realm.access_token(RESOURCE_SERVER, issuer)?;
        let http = reqwest::Client::builder().no_proxy().timeout(REQUEST).build()?;
        Ok(Self { assertion, proof, resource_server, access_token, http, nonce: Mutex::default() })
    }

    /// Publishes the resource server's catalog.
    ///
    /// # Errors
    /// When Marque does not take it.
    pub async fn publish(&self, marque: &Marque) -> Result<(), Failure> {
        let action = |class: &str, kind: &str| json!({"class": class, "reversible": false, "resource": kind, "args": {}, "display": {"en": "Touch {resource}"}});
        let actions = json!({"look": action("read", "thing"), "turn": action("change", "thing")});
        let catalog = json!({"iss": RESOURCE_SERVER, "version": 1, "location": LOCATION, "actions": actions});
        let signed = self.resource_server.sign_bytes(TYP_CATALOG, &canonical(&catalog))?;
        let request = self.http.post(format!("{}/catalogs", marque.base)).bearer_auth(&self.access_token);
        let answer = answer(request.header("content-type", "application/jose").body(signed)).await;
        if answer.status == 201 { Ok(()) } else { Err(answer.body.to_string().into()) }
    }

    /// Hands in a plan of one read that is not counted, and one change that may be done once.
    ///
    /// # Errors
    /// When Marque does not take it.
    pub async fn submit(&self, marque: &Marque) -> Result<String, Failure> {
        let step = |id: &str, action: &str, uses: Value| json!({"id": id, "location": LOCATION, "action": action, "resource": {"type": "thing", "id": "one"}, "uses": uses});
        let plan = json!({
            "version": 1, "purpose": "Outlive a leader.", "agent": AGENT, "user": {"username": USERNAME}, "mode": "strict",
            "limits": {"lifetime_secs": 3600, "max_hops": 2},
            "steps": [step("look", "look", json!("any")), step("turn", "turn", json!(1))],
        });
        let details = json!([{"type": "agent_intent_plan", "plan": plan}]).to_string();
        let answer = self.post(marque, "/plans", &[("authorization_details", &details)]).await?;
        answer.text("intent_id").map(str::to_owned).ok_or_else(|| answer.body.to_string().into())
    }

    /// Redeems an approved plan.
    ///
    /// # Errors
    /// When a key cannot sign.
    pub async fn redeem(&self, marque: &Marque, intent_id: &str) -> Result<Answer, Failure> {
        self.post(marque, "/token", &[("grant_type", GRANT_INTENT), ("intent_id", intent_id)]).await
    }

    /// Exchanges an intent token for a transaction token with all steps.
    ///
    /// # Errors
    /// When a key cannot sign.
    pub async fn exchange(&self, marque: &Marque, token: &str) -> Result<Answer, Failure> {
        let form = [
            ("grant_type", GRANT_TOKEN_EXCHANGE),
            ("audience", TRUST_DOMAIN),
            ("requested_token_type", TOKEN_TYPE_TXN),
            ("subject_token", token),
            ("subject_token_type", TOKEN_TYPE_INTENT),
        ];
        self.post(marque, "/token", &form).await
    }

    /// Posts with client authentication and a proof, with a fresh nonce where the last one is too old.
    async fn post(&self, marque: &Marque, path: &str, form: &[(&str, &str)]) -> Result<Answer, Failure> {
        let first = self.post_once(marque, path, form).await?;
        if first.is_because("use_dpop_nonce") { self.post_once(marque, path, form).await } else { Ok(first) }
    }

    async fn post_once(&self, marque: &Marque, path: &str, form: &[(&str, &str)]) -> Result<Answer, Failure> {
        let assertion = json!({
            "iss": AGENT, "sub": AGENT, "aud": marque.issuer, "jti": Uuid::new_v4(), "iat": now(), "exp": now() + 60,
        });
        let assertion = self.assertion.sign(TYP_CLIENT_ASSERTION, &assertion)?;
        let htu = format!("{}{path}", marque.issuer);
        let mut proof = json!({"jti": Uuid::new_v4(), "iat": now(), "htm": "POST", "htu": htu});
        let nonce = self.nonce.lock().ok().and_then(|nonce| nonce.clone());
        if let (Some(nonce), Some(members)) = (nonce, proof.as_object_mut()) {
            members.insert("nonce".into(), nonce.into());
        }
        let mut form = form.to_vec();
        form.extend([("client_assertion_type", ASSERTION_TYPE_JWT), ("client_assertion", &assertion)]);
        let request = self.http.post(format!("{}{path}", marque.base)).header("dpop", self.proof.prove(&proof)?);
        let sent = request.form(&form).send().await;
        let offered = sent.as_ref().ok().and_then(|answer| answer.headers().get("dpop-nonce")?.to_str().ok());
        if let (Some(offered), Ok(mut nonce)) = (offered, self.nonce.lock()) {
            *nonce = Some(offered.to_owned());
        }
        Ok(read(sent).await)
    }

    /// Asks whether the change may be done, with an id of its own for the call.
    ///
    /// # Errors
    /// When a key cannot sign.
    pub async fn turn(&self, marque: &Marque, token: &str) -> Result<Answer, Failure> {
        let resource = CallResource { kind: "thing".into(), id: "one".into() };
        let call = Call::new(LOCATION, "turn", resource, Map::new());
        let url = format!("{LOCATION}/turn");
        let proof = self.proof.prove(&json!({
            "jti": Uuid::new_v4(), "iat": now(), "htm": "POST", "htu": url, "ath": token_hash(token),
            "call_digest": call.digest(),
        }))?;
        let question = json!({
            "subject": {"type": "agent", "id": AGENT}, "action": {"name": "turn", "properties": {}},
            "resource": {"type": "thing", "id": "one"},
            "context": {
                "location": LOCATION, "txn_token": token, "dpop": proof, "method": "POST", "url": url,
                "call_id": Uuid::new_v4(),
            },
        });
        let request = self.http.post(format!("{}/access/v1/evaluation", marque.base)).bearer_auth(&self.access_token);
        Ok(answer(request.json(&question)).await)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    read(request.send().await).await
}

async fn read(sent: Result<reqwest::Response, reqwest::Error>) -> Answer {
    match sent {
        Err(error) => Answer { status: 0, body: error.to_string().into() },
        Ok(answer) => {
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap_or_default();
            Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
        }
    }
}
