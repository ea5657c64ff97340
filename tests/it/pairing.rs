//! Who may ask whom: pairing by the realm, and fresh proofs of the user instead.

use crate::own_plan;
use crate::support::keys::{Client, Key, now};
use crate::support::plans::{plan, reading, step, with};
use crate::support::realm::{Admin, Mood, Realm};
use crate::support::reply::Reply;
use crate::support::server::{Copy, Server};
use crate::support::sign_in;
use crate::support::stack::{Form, Stack};
use marque_core::names::TYP_JWT;
use serde_json::{Value, json};
use std::sync::LazyLock;
use uuid::Uuid;

/// A person whom no agent is paired with.
const BEA: &str = "7d1c6c0e-6f0b-4bb5-9c39-4f2f4f0f9c11";
const CARL: &str = "0a55ab4f-7c3f-4d0e-8e5a-1b5b3c2d4e5f";
/// The issuer of identity assertions.
const IDP: &str = "https://idp.example";
pub static IDP_KEY: LazyLock<Key> = LazyLock::new(Key::fresh);

/// A server whose realm knows two more people, and that believes one issuer of identity assertions.
pub async fn server(main: &Stack) -> (Realm, Copy, Server) {
    let mut realm = Realm::of(main);
    for (sub, name, enabled, is_service) in [(BEA, "bea", true, false), (CARL, "carl", true, false)] {
        let user =
            json!({"sub": sub, "username": name, "enabled": enabled, "passkeys": [], "service_account": is_service});
        realm.set_user(sub, user);
    }
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(main).await;
    let part = |name: &str| IDP_KEY.public[name].as_str().unwrap();
    let settings = format!(
        "[[realms.identity_issuers]]\nissuer = {IDP:?}\n\
         jwks = {{keys = [{{kty = \"EC\", crv = \"P-256\", kid = {:?}, x = {:?}, y = {:?}}}]}}",
        IDP_KEY.kid,
        part("x"),
        part("y")
    );
    let server = copy.serve_as(realm.issuer(), &settings).await;
    (realm, copy, server)
}

/// A plan for a user, as the agent names her.
pub fn plan_for(stack: &Stack, user: &Value) -> Value {
    with(reading(stack), json!({"user": user}))
}

pub fn bea() -> Value {
    json!({"username": "bea"})
}

/// Submits at both places; both must answer alike. The proof is made anew for each.
async fn submit(
    stack: &Stack,
    what: &str,
    client: &Client,
    plan: &Value,
    hint: (&'static str, &dyn Fn() -> String),
) -> [Reply; 2] {
    let details = json!([{"type": "agent_intent_plan", "plan": plan}]).to_string();
    let form = || -> Form<'static> { vec![("authorization_details", details.clone()), (hint.0, hint.1())] };
    let plans = stack.post(what, client, "/plans", &form()).await;
    [plans, stack.post(what, client, "/bc-authorize", &form()).await]
}

fn changed(mut claims: Value, change: &Value) -> Value {
    claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    claims
}

/// The claims of a right ID token of the realm for the agent.
pub fn id_claims(realm: &Realm, client: &Client) -> Value {
    json!({
        "iss": realm.issuer(), "aud": client.id, "azp": client.id, "typ": "ID", "sub": BEA, "preferred_username": "bea",
        "iat": now(), "exp": now() + 300, "auth_time": now(), "jti": Uuid::new_v4(),
    })
}

/// The claims of a right identity assertion for the agent.
pub fn assertion_claims(stack: &Stack, client: &Client) -> Value {
    json!({
        "iss": IDP, "sub": "u-17@idp.example", "aud_sub": BEA, "aud": stack.issuer(), "client_id": client.id,
        "iat": now(), "exp": now() + 300, "jti": Uuid::new_v4(),
    })
}

pub const TYP_ID_JAG: &str = "oauth-id-jag+jwt";

#[tokio::test]
async fn a_fresh_proof_of_the_user_lets_an_agent_ask_her_once_each() {
    let main = Stack::open().await;
    let (realm, _copy, server) = server(&main).await;
    let (stack, agent) = (&server.stack, main.agent());
    stack.submit("without a proof", &agent, &plan_for(stack, &bea())).await.because(400, "access_denied", "not_paired");
    let by_id_token = || realm.key().sign(TYP_JWT, &id_claims(&realm, &agent));
    let by_assertion = || IDP_KEY.sign(TYP_ID_JAG, &assertion_claims(stack, &agent));
    let bound = changed(assertion_claims(stack, &agent), &json!({"cnf": {"jkt": agent.dpop.kid}}));
    for user in [bea(), json!({"sub": BEA})] {
        let plan = plan_for(stack, &user);
        for (name, proof) in
            [("id_token_hint", &by_id_token as &dyn Fn() -> String), ("login_hint_token", &by_assertion)]
        {
            let [plans, ciba] = submit(stack, name, &agent, &plan, (name, proof)).await;
            plans.success(201);
            ciba.success(200);
            let once = proof();
            let [first, second] = submit(stack, "a proof used twice", &agent, &plan, (name, &|| once.clone())).await;
            first.success(201);
            second.because(400, "invalid_request", "not_paired").naming("used before");
        }
    }
    let bound = IDP_KEY.sign(TYP_ID_JAG, &bound);
    let [first, _] =
        submit(stack, "bound to its key", &agent, &plan_for(stack, &bea()), ("login_hint_token", &|| bound.clone()))
            .await;
    first.success(201);
}

#[tokio::test]
async fn a_refused_submission_leaves_its_proof_unused_and_a_repeated_one_needs_none() {
    let main = Stack::open().await;
    let (realm, _copy, server) = server(&main).await;
    let (stack, agent) = (&server.stack, main.agent());
    let proof = realm.key().sign(TYP_JWT, &id_claims(&realm, &agent));
    let mut wrong = plan_for(stack, &bea());
    wrong["steps"][0]["action"] = "no_such_action".into();
    let [first, _] = submit(stack, "an unknown action", &agent, &wrong, ("id_token_hint", &|| proof.clone())).await;
    first.refused(400, "invalid_authorization_details");
    let details = json!([{"type": "agent_intent_plan", "plan": plan_for(stack, &bea())}]).to_string();
    let form = vec![("authorization_details", details), ("id_token_hint", proof)];
    let key = Uuid::new_v4().to_string();
    let send =
        || Reply::to("a keyed submission", stack.signed(&agent, "/plans", &form).header("idempotency-key", &key));
    let (first, again) = (send().await, send().await);
    assert_eq!(first.success(201)["intent_id"], again.success(201)["intent_id"]);
}

#[tokio::test]
async fn every_wrong_id_token_is_refused() {
    let main = Stack::open().await;
    let (realm, _copy, server) = server(&main).await;
    let (stack, agent) = (&server.stack, main.agent());
    let worker = main.worker().id;
    let sign = |change: Value| realm.key().sign(TYP_JWT, &changed(id_claims(&realm, &agent), &change));
    let right = id_claims(&realm, &agent);
    let wrong: Vec<(&str, String)> = vec![
        ("no JWS", "abc".into()),
        ("an unknown key", Key::fresh().sign(TYP_JWT, &right)),
        ("another type", realm.key().sign("logout+jwt", &right)),
        ("alg none", realm.key().sign_with(&json!({"alg": "none", "typ": "JWT"}), &right)),
        ("the agent's own word", agent.signing.sign(TYP_JWT, &right)),
        ("an access token", sign(json!({"typ": "Bearer"}))),
        ("another realm", sign(json!({"iss": "http://localhost:1/realms/demo"}))),
        ("another client's", sign(json!({"aud": worker}))),
        ("several audiences", sign(json!({"aud": [agent.id, worker]}))),
        ("a list of audiences", sign(json!({"aud": [agent.id]}))),
        ("issued by way of another client", sign(json!({"azp": worker}))),
        ("an azp that is no text", sign(json!({"azp": 1}))),
        ("over", sign(json!({"exp": now() - 60}))),
        ("older than five minutes", sign(json!({"iat": now() - 400, "exp": now() + 3600}))),
        ("of no sign-in", sign(json!({"auth_time": null}))),
        ("of a sign-in that is no time", sign(json!({"auth_time": "now"}))),
        ("refreshed, of a sign-in long ago", sign(json!({"auth_time": now() - 400}))),
        ("from the future", sign(json!({"iat": now() + 600, "exp": now() + 900}))),
        ("without iat", sign(json!({"iat": null}))),
        ("without jti", sign(json!({"jti": null}))),
        ("another person's", sign(json!({"sub": CARL, "preferred_username": "carl"}))),
        ("another person's under her name", sign(json!({"sub": CARL}))),
        ("of nobody at the realm", sign(json!({"sub": Uuid::new_v4()}))),
    ];
    for (what, token) in wrong {
        for reply in submit(stack, what, &agent, &plan_for(stack, &bea()), ("id_token_hint", &|| token.clone())).await {
            reply.because(400, "invalid_request", "not_paired").naming("id_token_hint");
        }
    }
    // Pairing does not make a wrong proof right.
    let bad = sign(json!({"aud": worker}));
    let [plans, ciba] = submit(stack, "paired", &agent, &reading(stack), ("id_token_hint", &|| bad.clone())).await;
    plans.because(400, "invalid_request", "not_paired");
    ciba.because(400, "invalid_request", "not_paired");
    let service = json!({"sub": BEA, "username": "bea", "enabled": true, "passkeys": [], "service_account": true});
    let disabled = json!({"sub": BEA, "username": "bea", "enabled": false, "passkeys": [], "service_account": false});
    for user in [service, disabled] {
        realm.set_user(BEA, user);
        let [reply, _] = submit(
            stack,
            "no person who may act",
            &agent,
            &plan_for(stack, &bea()),
            ("id_token_hint", &|| sign(json!({}))),
        )
        .await;
        reply.because(400, "invalid_request", "not_paired");
    }
}

#[tokio::test]
async fn every_wrong_identity_assertion_is_refused() {
    let main = Stack::open().await;
    let (realm, _copy, server) = server(&main).await;
    let (stack, agent) = (&server.stack, main.agent());
    let right = || assertion_claims(stack, &agent);
    let sign = |change: Value| IDP_KEY.sign(TYP_ID_JAG, &changed(right(), &change));
    let wrong: Vec<(&str, String)> = vec![
        ("no JWS", "abc".into()),
        ("an unknown key", Key::fresh().sign(TYP_ID_JAG, &right())),
        ("the realm's key", realm.key().sign(TYP_ID_JAG, &right())),
        ("another type", IDP_KEY.sign(TYP_JWT, &right())),
        ("alg none", IDP_KEY.sign_with(&json!({"alg": "none", "typ": TYP_ID_JAG}), &right())),
        ("an issuer that nobody configured", sign(json!({"iss": "https://other.example"}))),
        ("Marque itself as issuer", sign(json!({"iss": stack.issuer()}))),
        ("another audience", sign(json!({"aud": "https://other.example"}))),
        ("a second audience", sign(json!({"aud": [stack.issuer(), "https://other.example"]}))),
        ("the endpoint as audience", sign(json!({"aud": stack.url("/token")}))),
        ("another client's", sign(json!({"client_id": main.worker().id}))),
        ("no client", sign(json!({"client_id": null}))),
        ("bound to another key", sign(json!({"cnf": {"jkt": Key::fresh().kid}}))),
        ("bound to a certificate", sign(json!({"cnf": {"x5t#S256": "AAAA"}}))),
        ("a long life", sign(json!({"exp": now() + 3600}))),
        ("without iat", sign(json!({"iat": null}))),
        ("without exp", sign(json!({"exp": null}))),
        ("from the future", sign(json!({"iat": now() + 600, "exp": now() + 700}))),
        ("not yet", sign(json!({"nbf": now() + 200}))),
        ("without jti", sign(json!({"jti": null}))),
        ("without the user's identifier here", sign(json!({"aud_sub": null}))),
        ("another person's", sign(json!({"aud_sub": CARL}))),
        ("of nobody at the realm", sign(json!({"aud_sub": "u-17@idp.example"}))),
    ];
    for (what, token) in wrong {
        for reply in
            submit(stack, what, &agent, &plan_for(stack, &bea()), ("login_hint_token", &|| token.clone())).await
        {
            reply.because(400, "invalid_request", "not_paired").naming("login_hint_token");
        }
    }
    let over = sign(json!({"iat": now() - 200, "exp": now() - 60}));
    let [plans, ciba] =
        submit(stack, "over", &agent, &plan_for(stack, &bea()), ("login_hint_token", &|| over.clone())).await;
    plans.because(400, "expired_login_hint_token", "not_paired");
    ciba.because(400, "expired_login_hint_token", "not_paired");
}

/// What is signed says who began, so that the page can: the user where an ID token of hers came with it, the agent where it is
/// merely paired or another issuer speaks for it, whatever it says of itself.
#[tokio::test]
async fn the_plan_says_who_began_as_marque_saw_it() {
    let main = Stack::open().await;
    let (realm, _copy, server) = server(&main).await;
    let (stack, agent) = (&server.stack, main.agent());
    realm.set_attribute(&agent.id, "marque.users", "alice bea");
    let began = async |what: &str, form: Form<'static>| {
        let details = json!([{"type": "agent_intent_plan", "plan": plan_for(stack, &bea())}]).to_string();
        let form = [form, vec![("authorization_details", details)]].concat();
        let reply = stack.post(what, &agent, "/plans", &form).await;
        let intent = reply.success(201)["intent_id"].as_str().unwrap().to_owned();
        own_plan::read(stack, what, &agent, &intent).await.success(200)["plan"]["started_by"].clone()
    };
    let id_token = realm.key().sign(TYP_JWT, &id_claims(&realm, &agent));
    let assertion = IDP_KEY.sign(TYP_ID_JAG, &assertion_claims(stack, &agent));
    for (what, form, by) in [
        ("pairing", vec![], "agent"),
        ("pairing and her name", vec![("login_hint", "bea".to_owned())], "agent"),
        ("her ID token", vec![("id_token_hint", id_token)], "user"),
        ("an identity assertion", vec![("login_hint_token", assertion)], "agent"),
    ] {
        assert_eq!(began(what, form).await, by, "{what}");
    }
    for by in ["user", "agent"] {
        let own = with(plan_for(stack, &bea()), json!({"started_by": by}));
        stack
            .submit("its own word", &agent, &own)
            .await
            .refused(400, "invalid_authorization_details")
            .naming("started_by");
    }
}

/// A user name that is spelled like somebody's subject identifier pairs with nobody else, and the other way round.
#[tokio::test]
async fn user_names_and_subject_identifiers_are_paired_apart() {
    let main = Stack::open().await;
    let (realm, _copy, server) = server(&main).await;
    let (stack, agent) = (&server.stack, main.agent());
    realm.set_attribute(&agent.id, "marque.users", &format!("alice {BEA}"));
    realm.set_attribute(&agent.id, "marque.user_subs", &format!("{CARL} dora"));
    for (user, is_paired) in [
        (json!({"username": "alice"}), true),
        (json!({"username": BEA}), true),
        (json!({"sub": CARL}), true),
        (json!({"sub": BEA}), false),
        (json!({"sub": "alice"}), false),
        (json!({"username": CARL}), false),
        (json!({"username": "dora"}), false),
    ] {
        let reply = stack.submit(&format!("for {user}"), &agent, &plan_for(stack, &user)).await;
        if is_paired {
            reply.success(201);
        } else {
            reply.because(400, "access_denied", "not_paired");
        }
    }
}

/// Two agents that happen to draw the same key do not meet.
#[tokio::test]
async fn an_idempotency_key_is_one_clients_own() {
    let main = Stack::open().await;
    let (_realm, _copy, server) = server(&main).await;
    let stack = &server.stack;
    let key = Uuid::new_v4().to_string();
    let send = async |client: Client| {
        let mut own = reading(stack);
        own["agent"] = client.id.clone().into();
        let details = json!([{"type": "agent_intent_plan", "plan": own}]).to_string();
        let request = stack.signed(&client, "/plans", &vec![("authorization_details", details)]);
        let reply = Reply::to("a keyed submission", request.header("idempotency-key", &key)).await;
        reply.success(201)["intent_id"].as_str().unwrap().to_owned()
    };
    let (agents, workers) = (send(main.agent()).await, send(main.worker()).await);
    assert_ne!(agents, workers);
    assert_eq!(send(main.agent()).await, agents);
}

/// Keycloak itself issues the ID token: the user signed in through the very agent. Her password in the agent's hands is no
/// sign-in of hers.
#[tokio::test]
async fn an_id_token_of_the_real_realm_for_this_agent_is_a_proof() {
    let stack = Stack::open().await;
    let admin = Admin::sign_in(&stack).await;
    let (name, password) = ("it-proven", Uuid::new_v4().to_string());
    admin.make_user(name, &password, None).await;
    let agent = Client { id: "it-prover".into(), signing: Key::fresh(), dpop: Key::fresh() };
    admin.remove_client(&agent.id).await;
    let client = json!({
        "clientId": agent.id, "enabled": true, "publicClient": false, "clientAuthenticatorType": "client-jwt",
        "standardFlowEnabled": true, "redirectUris": [sign_in::REDIRECT], "directAccessGrantsEnabled": true,
        "attributes": {
            "use.jwks.string": "true", "jwks.string": agent.signing.jwks().to_string(), "marque.kind": "agent",
            "token.endpoint.auth.signing.alg": "ES256",
        },
    });
    admin.add_client(&client).await;
    let mut own =
        plan(&stack, vec![with(step(&stack, "list", "list_service_accounts", "production"), json!({"uses": "any"}))]);
    own["agent"] = agent.id.clone().into();
    own["user"] = json!({"username": name});
    stack.submit("without a proof", &agent, &own).await.because(400, "access_denied", "not_paired");
    let form = vec![("grant_type", "password".to_owned()), ("username", name.into()), ("password", password.clone())];
    let answer = sign_in::token(&stack, &agent, [form, vec![("scope", "openid".into())]].concat()).await;
    let id_token = answer["id_token"].as_str().unwrap_or_else(|| panic!("Keycloak gives no ID token: {answer}"));
    let [reply, _] = submit(&stack, "her password", &agent, &own, ("id_token_hint", &|| id_token.to_owned())).await;
    reply.because(400, "invalid_request", "not_paired").naming("sign-in");

    let answer = sign_in::by_browser(&stack, &agent, name, &password).await;
    let id_token = answer["id_token"].as_str().unwrap_or_else(|| panic!("Keycloak gives no ID token: {answer}"));
    let [first, again] =
        submit(&stack, "with her ID token", &agent, &own, ("id_token_hint", &|| id_token.to_owned())).await;
    first.success(201);
    again.because(400, "invalid_request", "not_paired").naming("used before");
    let access = answer["access_token"].as_str().unwrap().to_owned();
    let [reply, _] = submit(&stack, "her access token", &agent, &own, ("id_token_hint", &|| access.clone())).await;
    reply.because(400, "invalid_request", "not_paired");
}
