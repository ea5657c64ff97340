//! Two realms in one server: each has an issuer, keys and a trust domain of its own, and nothing crosses. Both know the
//! same clients with the same keys, so that nothing but the realm tells them apart.

use crate::evaluation::{EVALUATION, fresh, permit, request};
use crate::exchange::{exchange_all, token_of};
use crate::introspection::{ask, ask_as, inactive};
use crate::support::keys::{Client, Key, now};
use crate::support::plans::{call, grant, reading, shared};
use crate::support::realm::{Mood, Realm};
use crate::support::reply::Reply;
use crate::support::server::{Copy, Server};
use crate::support::sse::Feed;
use crate::support::stack::Stack;
use crate::withdrawn_keys::{published, withdraw_of};
use marque_core::jws;
use marque_core::names::{
    GRANT_INTENT, TOKEN_TYPE_ACCESS, TOKEN_TYPE_INTENT, TOKEN_TYPE_SELF_SIGNED, TOKEN_TYPE_TXN, TYP_JWT, TYP_TXN,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const OTHER: &str = "other";

/// One server with the stack's realm and another one, whose Keycloak is a stand-in.
struct House {
    server: Server,
    /// The other realm at the same server.
    other: Stack,
    realm: Realm,
    _copy: Copy,
}

impl House {
    async fn open(main: &Stack) -> Self {
        Self::with(main, "dpop_nonces = false").await
    }

    /// With further settings of the other realm. Its nonces, where it has some, are for who asks for them: tests share the
    /// one that was offered last.
    async fn with(main: &Stack, more: &str) -> Self {
        let mut realm = Realm::of(main);
        realm.go_up(Mood::Well).await;
        let copy = Copy::beside(main).await;
        let issuer = main.issuer().replace(&main.env.keycloak.realm, OTHER);
        let settings = format!(
            "\n[[realms]]\nname = {OTHER:?}\nissuer = {issuer:?}\ntrust_domain = \"other.marque.test\"\n\
             keycloak_issuer = {:?}\nkeycloak_client_id = \"marque\"\nweb_client_id = \"marque-web\"\n\
             rp_id = \"localhost\"\nrp_origins = [{:?}]\nshared_rp_host_accepted = true\n{more}\n",
            realm.issuer(),
            main.env.keycloak.base,
        );
        let server = copy.serve_as(&main.env.keycloak.issuer, &settings).await;
        let mut other = server.stack.clone();
        other.base = server.stack.base.replace(&main.env.keycloak.realm, OTHER);
        other.env.marque.issuer = issuer;
        other.env.marque.trust_domain = "other.marque.test".into();
        other.env.keycloak.issuer = realm.issuer().to_owned();
        Self { server, other, realm, _copy: copy }
    }

    fn one(&self) -> &Stack {
        &self.server.stack
    }

    /// An access token of the resource server's, of the other realm.
    fn access_token_of_other(&self) -> String {
        self.realm.key().sign(TYP_JWT, &self.realm.access_claims(&self.other))
    }

    /// A client asks the other realm, in whose answers nonces of its own are.
    async fn post_other(&self, what: &str, client: &Client, path: &str, form: Vec<(&str, String)>) -> Reply {
        self.other.post(what, client, path, &form).await
    }
}

/// An answer whose nonce nobody else is to use.
async fn quietly(what: &str, request: reqwest::RequestBuilder) -> Reply {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Reply { what: what.to_owned(), status, headers, text, body }
}

async fn get(stack: &Stack, path: &str) -> Value {
    stack.http.get(stack.url(path)).send().await.unwrap().json().await.unwrap()
}

/// What a workload signs to start a chain of its own.
async fn own_chain(stack: &Stack, agent: &Client) -> String {
    let claims = json!({
        "iss": agent.id, "sub": agent.id, "aud": stack.issuer(), "iat": now(), "exp": now() + 60, "jti": Uuid::new_v4(),
    });
    let form = stack.exchange_form(&agent.signing.sign(TYP_JWT, &claims), TOKEN_TYPE_SELF_SIGNED);
    token_of(&stack.post("a chain of its own", agent, "/token", &form).await)
}

#[tokio::test]
async fn each_realm_has_an_issuer_keys_and_a_trust_domain_of_its_own() {
    let main = Stack::open().await;
    let house = House::open(&main).await;
    let kids = async |stack: &Stack| -> BTreeSet<String> {
        let jwks = get(stack, "/jwks").await;
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let (one, other) = (kids(house.one()).await, kids(&house.other).await);
    assert_eq!(one.len(), other.len());
    assert!(one.is_disjoint(&other), "a key of both realms");
    for stack in [house.one(), &house.other] {
        let metadata = get(stack, "/.well-known/oauth-authorization-server").await;
        assert_eq!(metadata["issuer"], stack.issuer());
        let domains = &metadata["marque_txn_token_trust_domains_supported"];
        assert_eq!(*domains, json!([stack.env.marque.trust_domain]));
        let strange = metadata.to_string().matches("/realms/").count();
        assert_eq!(metadata.to_string().matches(stack.issuer()).count(), strange, "only its own addresses");
    }
}

#[tokio::test]
async fn no_token_of_one_realm_means_anything_in_the_other() {
    let main = Stack::open().await;
    let (agent, worker, granted) = (main.agent(), main.worker(), shared(&main).await);
    let house = House::open(&main).await;
    let txn = token_of(&exchange_all(house.one(), &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let foreign = own_chain(&house.other, &agent).await;
    let own = ask(house.one(), "its own", &agent, &txn).await;
    assert_eq!(own.body["active"], true, "{}", own.text);

    for (token, kind) in [(&granted.token, TOKEN_TYPE_INTENT), (&txn, TOKEN_TYPE_TXN)] {
        for (what, client) in [("its holder", &agent), ("a delegate", &worker)] {
            inactive(&ask(&house.other, what, client, token).await);
            exchange_all(&house.other, client, token, kind).await.because(400, "invalid_request", "token_invalid");
        }
        inactive(&ask_as(&house.other, "a resource server", &house.access_token_of_other(), token).await);
        let mut form = house.other.exchange_form(token, kind);
        form.retain(|(name, _)| !["audience", "requested_token_type"].contains(name));
        form.push(("requested_token_type", TOKEN_TYPE_ACCESS.into()));
        form.push(("resource", main.location().into()));
        house.post_other("as access token", &agent, "/token", form).await.refused(400, "invalid_target");
        let revoked = house.post_other("revoked there", &agent, "/revoke", vec![("token", token.clone())]).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text);
        assert_eq!(ask(house.one(), "after that", &agent, token).await.body["active"], true);
    }
    inactive(&ask(house.one(), "the other realm's", &agent, &foreign).await);
    exchange_all(house.one(), &agent, &foreign, TOKEN_TYPE_TXN).await.because(400, "invalid_request", "token_invalid");

    let read = call(&main, "list_service_accounts", "environment", "production", json!({}));
    let body = request(&main, &agent, &txn, &read, &fresh());
    permit(&house.one().post_json("in its own realm", EVALUATION, &body).await);
    let body = request(&main, &agent, &txn, &read, &fresh());
    let access = house.access_token_of_other();
    let sent = house.other.http.post(house.other.url(EVALUATION)).bearer_auth(&access).json(&body);
    let reply = Reply::to("in the other", sent).await;
    assert_eq!(
        (&reply.success(200)["decision"], &reply.body["context"]["reason"]),
        (&json!(false), &json!("token_invalid"))
    );
    let body = request(&main, &agent, &foreign, &read, &fresh());
    let reply = house.one().post_json("the other realm's token", EVALUATION, &body).await;
    assert_eq!(reply.success(200)["decision"], false);
}

#[tokio::test]
async fn no_credential_for_one_realm_is_one_for_the_other() {
    let main = Stack::open().await;
    let house = House::with(&main, "").await;
    let agent = main.agent();
    let poll = async |what: &str, at: &Stack, assertion: &Value, proof: &Value| {
        let form = [
            ("grant_type", GRANT_INTENT.to_owned()),
            ("intent_id", Uuid::nil().to_string()),
            ("client_assertion_type", marque_core::names::ASSERTION_TYPE_JWT.to_owned()),
            ("client_assertion", agent.assert(assertion)),
        ];
        let proof = agent.dpop.proof_of(proof);
        quietly(what, at.http.post(at.url("/token")).header("dpop", proof).form(&form)).await
    };
    let nonce =
        async |at: &Stack| quietly("an offer", at.http.post(at.url("/token"))).await.header("dpop-nonce").to_owned();
    for (own, foreign) in [(house.one(), &house.other), (&house.other, house.one())] {
        let (own_nonce, foreign_nonce) = (nonce(own).await, nonce(foreign).await);
        assert_ne!(own_nonce, foreign_nonce);
        let proof = |stack: &Stack, nonce: &str| {
            let mut claims = Key::proof_claims("POST", &format!("{}/token", stack.issuer()));
            claims["nonce"] = nonce.into();
            claims
        };
        let assertion = agent.assertion_claims(own.issuer());
        poll("right in all", own, &assertion, &proof(own, &own_nonce)).await.refused(400, "invalid_grant");
        let assertion = agent.assertion_claims(own.issuer());
        poll("the other's nonce", own, &assertion, &proof(own, &foreign_nonce)).await.refused(400, "use_dpop_nonce");
        let wrong = poll("a proof for the other", own, &assertion, &proof(foreign, &own_nonce)).await;
        wrong.refused(400, "invalid_dpop_proof");
        let foreign_assertion = agent.assertion_claims(foreign.issuer());
        let wrong = poll("an assertion for the other", own, &foreign_assertion, &proof(own, &own_nonce)).await;
        wrong.refused(401, "invalid_client");
        // Ids are used up in their realm alone: the same ones do in the other.
        let id = json!(Uuid::new_v4());
        let named = |mut claims: Value| {
            claims["jti"] = id.clone();
            claims
        };
        let (here, there) = (named(assertion), named(foreign_assertion));
        let proofs = (named(proof(own, &own_nonce)), named(proof(foreign, &foreign_nonce)));
        poll("an id", own, &here, &proofs.0).await.refused(400, "invalid_grant");
        poll("the id in the other", foreign, &there, &proofs.1).await.refused(400, "invalid_grant");
        let again = poll("the id again", own, &here, &proof(own, &own_nonce)).await;
        again.refused(401, "invalid_client").naming("used");
    }
    for (access, at) in [(house.one().access_token().await, &house.other), (house.access_token_of_other(), house.one())]
    {
        let sent = at.http.post(at.url(EVALUATION)).bearer_auth(&access).json(&json!({}));
        Reply::to("a resource server of the other realm", sent).await.refused(401, "invalid_token");
        let feed = at.http.get(at.url("/revocations")).bearer_auth(&access);
        Reply::to("its feed", feed).await.refused(401, "invalid_token");
    }
}

#[tokio::test]
async fn plans_ids_keys_of_idempotency_and_catalogs_stay_in_their_realm() {
    let main = Stack::open().await;
    let agent = main.agent();
    let house = House::open(&main).await;
    let granted = grant(&main, &agent, &reading(&main)).await;
    let intent_id = house.one().submitted(&agent, &reading(&main)).await;
    let asked = |at: &Stack, id: &str| {
        let assertion = agent.assert(&agent.assertion_claims(at.issuer()));
        let proof = agent.dpop.proof_of(&Key::proof_claims("GET", &format!("{}/plans/{id}", at.issuer())));
        at.http.get(at.url(&format!("/plans/{id}"))).header("dpop", proof).header("client-assertion", assertion)
    };
    drop(granted);
    assert_eq!(Reply::to("its own plan", asked(house.one(), &intent_id)).await.status, 200);
    Reply::to("in the other realm", asked(&house.other, &intent_id)).await.refused(404, "not_found");
    house.other.poll(&agent, &intent_id).await.refused(400, "invalid_grant");
    for page in ["approve", "receipt"] {
        let path = format!("/{page}/{intent_id}");
        let there = Reply::to("a page", house.other.http.get(house.other.url(&path))).await;
        let nowhere = Uuid::new_v4();
        let none = format!("/{page}/{nowhere}");
        let none = Reply::to("a page of none", house.other.http.get(house.other.url(&none))).await;
        assert_eq!(
            (there.status, there.text.replace(&intent_id, "")),
            (none.status, none.text.replace(&nowhere.to_string(), ""))
        );
        assert_ne!(there.status, 303);
    }

    let form = |stack: &Stack| {
        let details = json!([{"type": "agent_intent_plan", "plan": reading(stack)}]).to_string();
        vec![("authorization_details", details)]
    };
    let key = Uuid::new_v4().to_string();
    let submit = async |at: &Stack| {
        Reply::to("a plan", at.signed(&agent, "/plans", &form(&main)).header("idempotency-key", &key)).await
    };
    // The other realm's catalogs are its own: the location that one realm knows is unknown there.
    let unknown = submit(&house.other).await;
    unknown.refused(400, "invalid_authorization_details").naming("$.steps[0]");
    let first = submit(house.one()).await.success(201)["intent_id"].clone();
    assert_eq!(submit(house.one()).await.success(201)["intent_id"], first, "the same submission");
    let unknown = submit(&house.other).await;
    unknown.refused(400, "invalid_authorization_details").naming("$.steps[0]");
    assert!(!unknown.text.contains(first.as_str().unwrap()));
}

#[tokio::test]
async fn what_is_revoked_or_withdrawn_in_one_realm_is_no_news_in_the_other() {
    let main = Stack::open().await;
    let agent = main.agent();
    let granted = grant(&main, &agent, &reading(&main)).await;
    let house = House::open(&main).await;
    let access = house.access_token_of_other();
    let mut other = Feed::open_with(&house.other, &access, None).await;
    let before = other.next().await;
    assert_eq!((&before.payload["iss"], &before.payload["intents"]), (&json!(house.other.issuer()), &json!([])));
    let mut one = Feed::open(house.one(), None).await;
    let first = one.next().await;
    assert_ne!(first.payload["epoch"], before.payload["epoch"]);

    let lists = async |stack: &Stack| {
        let reply = Reply::to("a list", stack.http.get(stack.url("/status/0"))).await;
        (reply.status, jws::unverified_claims(&reply.text).map(|claims| claims["sub"].clone()))
    };
    assert_eq!(lists(house.one()).await.1, Ok(json!(format!("{}/status/0", main.issuer()))));
    let there = lists(&house.other).await;
    assert!(there.0 == 404 || there.1 == Ok(json!(format!("{}/status/0", house.other.issuer()))), "{there:?}");

    house.one().post("ended", &agent, "/revoke", &vec![("token", granted.token.clone())]).await;
    one.until_revoked(&granted.intent_id).await;
    let foreign = own_chain(&house.other, &agent).await;
    let kept = published(&house.other, TYP_TXN).await;
    withdraw_of(&house.server, &main.env.keycloak.realm, TYP_TXN).await;
    one.next_of("key_withdrawal").await;
    let beat = other.next_of("heartbeat").await;
    assert_eq!((&beat.payload["seq"], &beat.payload["epoch"]), (&before.payload["seq"], &before.payload["epoch"]));
    let snapshot = Feed::open_with(&house.other, &access, None).await.next().await;
    assert_eq!((&snapshot.payload["intents"], &snapshot.payload["keys"]), (&json!([]), &json!([])));
    assert_eq!(published(&house.other, TYP_TXN).await, kept, "its key goes on");
    assert_eq!(jws::unverified_kid(&foreign), Some(kept.clone()));
    let error = house.server.command(&["keys", "withdraw", &kept, "--realm", &main.env.keycloak.realm]).unwrap_err();
    assert!(error.contains("never had a key"), "{error}");
}
