//! Tokens that are bound to a client's certificate (RFC 8705 §3): of clients that authenticate with one and send no proof.

use crate::evaluation::{EVALUATION, fresh, permit, refused};
use crate::exchange::token_of;
use crate::mutual_tls::{Authority, Identity, Mutual, params, register};
use crate::support::keys::{Client, Key};
use crate::support::person;
use crate::support::plans::{call, plan, rotation, shared, step, with};
use crate::support::reply::Reply;
use crate::support::stack::{Form, Stack};
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::jws;
use marque_core::names::{GRANT_INTENT, TOKEN_TYPE_ACCESS, TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use serde_json::{Value, json};

/// A client of the realm with two certificates of its own, at a server that takes them.
pub struct Holder {
    pub mutual: Mutual,
    pub id: &'static str,
    pub own: Identity,
    pub other: Identity,
}

pub fn cnf(token: &str) -> Value {
    Value::Object(jws::unverified_claims(token).unwrap())["cnf"].clone()
}

impl Holder {
    pub async fn open(id: &'static str) -> Self {
        let mutual = Mutual::listening(&Authority::new(), "").await;
        let identity = || Identity::own(&params("x", "bound.mtls.example", "spiffe://mtls.example/bound"));
        let (own, other) = (identity(), identity());
        let keys = [own.jwks()["keys"][0].clone(), other.jwks()["keys"][0].clone()];
        let users = mutual.stack.env.user.username.clone();
        register(id, &json!({"keys": keys}), json!({"marque.users": users})).await;
        Self { mutual, id, own, other }
    }

    /// What its tokens say.
    pub fn confirmation(&self) -> Value {
        json!({"x5t#S256": Digest::of(self.own.certificate.der()).to_base64()})
    }

    /// A request over TLS with a certificate, and with a proof of a key where one is given.
    pub async fn send(&self, what: &str, path: &str, form: &Form<'_>, identity: &Identity, key: Option<&Key>) -> Reply {
        let url = format!("{}/realms/{}{path}", self.mutual.origin, self.mutual.stack.env.keycloak.realm);
        let form = [form.clone(), vec![("client_id", self.id.into())]].concat();
        let request = identity.http().post(&url).form(&form);
        let proof = key.map(|key| key.proof_of(&Key::proof_claims("POST", &url)));
        Reply::to(what, proof.into_iter().fold(request, |request, proof| request.header("dpop", proof))).await
    }

    /// A request as it should be.
    pub async fn post(&self, what: &str, path: &str, form: &Form<'_>) -> Reply {
        self.send(what, path, form, &self.own, None).await
    }

    /// A plan of its own, approved; answers the intent.
    pub async fn approved(&self, plan: &Value) -> String {
        let details = json!([{"type": "agent_intent_plan", "plan": with(plan.clone(), json!({"agent": self.id}))}]);
        let reply = self.post("a plan", "/plans", &vec![("authorization_details", details.to_string())]).await;
        let intent_id = reply.success(201)["intent_id"].as_str().unwrap().to_owned();
        person::approve(&Stack::open().await, &intent_id).await;
        intent_id
    }

    /// Its intent token.
    pub async fn granted(&self, plan: &Value) -> String {
        let intent_id = self.approved(plan).await;
        let reply = self.post("the grant", "/token", &poll(&intent_id)).await;
        assert_eq!(reply.success(200)["token_type"], "Bearer", "RFC 8705 has no type of its own");
        token_of(&reply)
    }

    pub async fn exchanged(&self, what: &str, token: &str, kind: &str) -> Reply {
        self.post(what, "/token", &self.mutual.stack.exchange_form(token, kind)).await
    }
}

pub fn poll(intent_id: &str) -> Form<'static> {
    vec![("grant_type", GRANT_INTENT.into()), ("intent_id", intent_id.into())]
}

/// A read that is not counted, a read that is, and a rotation, which the worker may carry out too.
pub fn steps(stack: &Stack) -> Value {
    let list = |id: &str, uses: Value| with(step(stack, id, "list_service_accounts", id), json!({"uses": uses}));
    let steps = vec![
        list("production", json!("any")),
        list("staging", json!(2)),
        step(stack, "rotate", "rotate_key", "svc-api"),
    ];
    let delegate = json!({"client_id": stack.env.clients.worker.client_id, "steps": ["rotate"]});
    with(plan(stack, steps), json!({"delegates": [delegate]}))
}

#[tokio::test]
async fn a_client_that_sends_no_proof_has_tokens_bound_to_its_certificate() {
    let holder = Holder::open("it-bound").await;
    let stack = &holder.mutual.stack;
    let intent_id = holder.approved(&steps(stack)).await;
    let form = poll(&intent_id);
    let key = Key::fresh();
    for (what, identity, key) in [
        ("a proof of a key beside the certificate", &holder.own, Some(&key)),
        ("another certificate of the client", &holder.other, None),
    ] {
        let reply = holder.send(what, "/token", &form, identity, key).await;
        reply.because(400, "invalid_grant", "proof_key_mismatch");
    }
    let reply = holder.post("the grant", "/token", &form).await;
    assert_eq!(reply.success(200)["token_type"], "Bearer");
    let intent = token_of(&reply);
    assert_eq!(cnf(&intent), holder.confirmation());

    let reply = holder.exchanged("an exchange", &intent, TOKEN_TYPE_INTENT).await;
    assert_eq!(reply.success(200)["token_type"], "N_A");
    let txn = token_of(&reply);
    assert_eq!(cnf(&txn), holder.confirmation());
    let narrowed = token_of(&holder.exchanged("one for one", &txn, TOKEN_TYPE_TXN).await);
    assert_eq!(cnf(&narrowed), holder.confirmation());
    let mut form = stack.exchange_form(&txn, TOKEN_TYPE_TXN);
    form.retain(|(name, _)| !["audience", "requested_token_type"].contains(name));
    form.extend([("resource", stack.location().into()), ("requested_token_type", TOKEN_TYPE_ACCESS.into())]);
    let reply = holder.post("an access token", "/token", &form).await;
    assert_eq!(reply.success(200)["token_type"], "Bearer");
    assert_eq!(cnf(&token_of(&reply)), holder.confirmation());

    let reply = holder.post("introspection", "/introspect", &vec![("token", txn.clone())]).await;
    assert_eq!(reply.success(200)["cnf"], holder.confirmation(), "{}", reply.text);
}

#[tokio::test]
async fn only_the_very_certificate_or_a_delegate_exchanges_a_token_that_is_bound_to_one() {
    let holder = Holder::open("it-bound-exchange").await;
    let stack = &holder.mutual.stack;
    let token = holder.granted(&steps(stack)).await;
    let (form, key) = (stack.exchange_form(&token, TOKEN_TYPE_INTENT), Key::fresh());
    for (what, identity, key) in [
        ("another certificate of the client", &holder.other, None),
        ("a proof of a key beside the certificate", &holder.own, Some(&key)),
    ] {
        let reply = holder.send(what, "/token", &form, identity, key).await;
        reply.because(400, "invalid_request", "proof_key_mismatch");
    }
    let stranger = Identity::own(&params("x", "x.example", "spiffe://x"));
    let none = holder.send("no certificate of the client's", "/token", &form, &stranger, None);
    none.await.refused(401, "invalid_client");
    let worker: Client = stack.worker();
    let by_delegate = Stack::open().await.post("a delegate", &worker, "/token", &form).await;
    assert_eq!(cnf(&token_of(&by_delegate)), json!({"jkt": worker.dpop.kid}), "its own key");
    assert_eq!(by_delegate.body["scope"], rotation(stack, "svc-api").action);
}

/// What was submitted with a key is redeemed and exchanged with that key, over whichever connection.
#[tokio::test]
async fn a_certificate_does_not_stand_in_for_a_proof() {
    let holder = Holder::open("it-bound-key").await;
    let stack = &holder.mutual.stack;
    let (key, plan) = (Key::fresh(), with(steps(stack), json!({"agent": holder.id})));
    let details = json!([{"type": "agent_intent_plan", "plan": plan}]).to_string();
    let details = vec![("authorization_details", details)];
    let reply = holder.send("with a proof", "/plans", &details, &holder.own, Some(&key)).await;
    let intent_id = reply.success(201)["intent_id"].as_str().unwrap().to_owned();
    person::approve(&Stack::open().await, &intent_id).await;
    let form = poll(&intent_id);
    let without = holder.post("the grant without a proof", "/token", &form).await;
    without.because(400, "invalid_grant", "proof_key_mismatch");
    let reply = holder.send("the grant", "/token", &form, &holder.own, Some(&key)).await;
    assert_eq!(reply.success(200)["token_type"], "DPoP");
    let token = token_of(&reply);
    assert_eq!(cnf(&token), json!({"jkt": key.kid}));
    let without = holder.exchanged("an exchange without a proof", &token, TOKEN_TYPE_INTENT).await;
    without.because(400, "invalid_request", "proof_key_mismatch");
    let form = stack.exchange_form(&token, TOKEN_TYPE_INTENT);
    let with_proof = holder.send("an exchange", "/token", &form, &holder.own, Some(&key)).await;
    assert_eq!(cnf(&token_of(&with_proof)), json!({"jkt": key.kid}));
}

#[tokio::test]
async fn a_client_with_an_assertion_still_needs_a_proof() {
    let mutual = Mutual::listening(&Authority::new(), "").await;
    let agent = mutual.stack.agent();
    let own = Identity::own(&params("x", "x.example", "spiffe://x"));
    let mut form = poll("x");
    form.push(("client_assertion_type", marque_core::names::ASSERTION_TYPE_JWT.into()));
    form.push(("client_assertion", agent.assert(&agent.assertion_claims(mutual.stack.issuer()))));
    let reply = Reply::to("an assertion over TLS", own.http().post(mutual.endpoint()).form(&form)).await;
    reply.refused(400, "invalid_dpop_proof").naming("DPoP");
}

/// A question of the resource server about a call with a token, and what it saw the caller prove.
fn question(holder: &Holder, token: &str, call: &Call, id: &str, held: Value) -> Value {
    let mut body = json!({
        "subject": {"type": "agent", "id": holder.id},
        "action": {"name": call.action, "properties": call.args},
        "resource": {"type": call.resource.kind, "id": call.resource.id},
        "context": {"location": call.location, "txn_token": token, "call_id": id},
    });
    body["context"].as_object_mut().unwrap().extend(held.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn the_decision_point_takes_the_certificate_that_the_resource_server_saw_for_reads_alone() {
    let holder = Holder::open("it-bound-access").await;
    let (stack, own) = (&holder.mutual.stack, holder.confirmation());
    let intent = holder.granted(&steps(stack)).await;
    let token = token_of(&holder.exchanged("an exchange", &intent, TOKEN_TYPE_INTENT).await);
    let list = |id: &str| call(stack, "list_service_accounts", "environment", id, json!({}));
    let ask = async |what: &str, call: &Call, id: &str, held: Value| {
        stack.post_json(what, EVALUATION, &question(&holder, &token, call, id, held)).await
    };
    let (any, counted) = (list("production"), list("staging"));

    let id = fresh();
    let first = permit(&ask("an uncounted read", &any, &id, own.clone()).await);
    assert_eq!(first["permit"]["state"], "uncounted");
    let again = permit(&ask("the same again", &any, &id, own.clone()).await);
    assert_eq!(again["permit"]["id"], first["permit"]["id"]);
    refused(&ask("its id for another call", &list("test"), &id, own.clone()).await, "resource_not_in_plan");
    let id = fresh();
    let first = permit(&ask("a counted read", &counted, &id, own.clone()).await);
    assert_eq!(permit(&ask("the same again", &counted, &id, own.clone()).await), first);
    refused(&ask("its id for another call", &any, &id, own.clone()).await, "call_malformed");
    permit(&ask("the second use", &counted, &fresh(), own.clone()).await);
    refused(&ask("a third", &counted, &fresh(), own.clone()).await, "uses_exhausted");

    refused(&ask("a change", &rotation(stack, "svc-api"), &fresh(), own.clone()).await, "call_digest_mismatch");
    let other = json!({"x5t#S256": Digest::of(holder.other.certificate.der()).to_base64()});
    refused(&ask("another certificate", &any, &fresh(), other.clone()).await, "certificate_mismatch");
    let url = format!("{}/x", stack.location());
    let proof = |token: &str| {
        let proof = Key::fresh().prove_call(token, &any, "GET", &url);
        json!({"dpop": proof, "method": "GET", "url": url})
    };
    refused(&ask("a proof", &any, &fresh(), proof(&token)).await, "certificate_mismatch");
    let mut both = proof(&token);
    both["x5t#S256"] = own["x5t#S256"].clone();
    for (what, held) in [
        ("both", both),
        ("neither", json!({})),
        ("neither, with a method", json!({"method": "GET", "url": url})),
        ("no thumbprint", json!({"x5t#S256": "abc"})),
        ("null", json!({"x5t#S256": null})),
    ] {
        ask(what, &any, &fresh(), held).await.refused(400, "invalid_request").naming("x5t#S256");
    }

    // A token that is bound to a key asks for a proof, whatever certificate the connection has.
    let agent = stack.agent();
    let granted = shared(stack).await;
    let keyed = stack.transaction_token(&agent, &granted.token, &["list"]).await;
    let mut body = question(&holder, &keyed, &any, &fresh(), own);
    body["subject"]["id"] = agent.id.as_str().into();
    refused(&stack.post_json("a certificate for a key", EVALUATION, &body).await, "proof_missing");
}
