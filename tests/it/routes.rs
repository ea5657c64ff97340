//! Who may call what: the list of routes is complete, and each route refuses everybody else.

use crate::support::keys::{Client, Key, now};
use crate::support::plans;
use crate::support::realm::{Mood, Realm};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::{Form, Stack};
use marque::http::router::{Caller, ROUTES, Route};
use marque_core::canonical::Digest;
use marque_core::names::{ASSERTION_TYPE_JWT, GRANT_INTENT, TYP_JWT, TYP_PLAN_REQUEST, TYP_STEP_UP_REQUEST};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Every route, its method, and who may call it.
const GOLDEN: &[(&str, &str, Caller)] = &[
    ("/.well-known/oauth-authorization-server", "GET", Caller::Anyone),
    ("/.well-known/authzen-configuration", "GET", Caller::Anyone),
    ("/jwks", "GET", Caller::Anyone),
    ("/plan-schema", "GET", Caller::Anyone),
    ("/openapi.json", "GET", Caller::Anyone),
    ("/plans", "POST", Caller::Client),
    ("/plans/{intent_id}", "GET", Caller::Client),
    ("/bc-authorize", "POST", Caller::Client),
    ("/token", "POST", Caller::Client),
    ("/transaction-authorization", "POST", Caller::Client),
    ("/status", "GET", Caller::Anyone),
    ("/status/{list}", "GET", Caller::Anyone),
    ("/introspect", "POST", Caller::HolderOrResourceServer),
    ("/revoke", "POST", Caller::Holder),
    ("/catalogs", "POST", Caller::ResourceServer),
    ("/catalogs", "GET", Caller::Administrator),
    ("/catalogs/decision", "POST", Caller::Administrator),
    ("/access/v1/evaluation", "POST", Caller::ResourceServer),
    ("/access/v1/evaluations", "POST", Caller::ResourceServer),
    ("/access/v1/search/subject", "POST", Caller::ResourceServer),
    ("/access/v1/search/resource", "POST", Caller::ResourceServer),
    ("/access/v1/search/action", "POST", Caller::ResourceServer),
    ("/access/v1/requests", "POST", Caller::ResourceServer),
    ("/access/v1/requests/{request_id}", "GET", Caller::ResourceServer),
    ("/ledgers", "POST", Caller::ResourceServer),
    ("/results", "POST", Caller::ResourceServer),
    ("/results", "GET", Caller::ResourceServer),
    ("/envelopes/{digest}", "GET", Caller::ResourceServer),
    ("/revocations", "GET", Caller::ResourceServer),
    ("/internal/plans/{intent_id}", "GET", Caller::Extension),
    ("/internal/step-ups/{step_up_id}", "GET", Caller::Extension),
    ("/approve/{intent_id}", "GET", Caller::Browser),
    ("/callback", "GET", Caller::Browser),
    ("/receipt/callback", "GET", Caller::Browser),
    ("/receipt/{intent_id}", "GET", Caller::Browser),
    ("/receipt/{intent_id}/revoke", "POST", Caller::Browser),
];

fn listed(rows: impl Iterator<Item = (&'static str, &'static str, Caller)>) -> BTreeSet<String> {
    rows.map(|(path, method, caller)| format!("{method} {path} by {caller:?}")).collect()
}

#[test]
fn the_list_of_who_may_call_what_is_complete() {
    let golden = listed(GOLDEN.iter().copied());
    let table = listed(ROUTES.iter().map(|route| (route.path, route.method, route.caller)));
    assert_eq!(golden.len(), GOLDEN.len(), "the list names each route once");
    assert_eq!(table.len(), ROUTES.len(), "the table names each route once");
    assert_eq!(golden, table, "a route without its row here, or a row without its route");
}

/// The paths of one kind of caller, about one intent; those of token holders are of clients, too.
fn paths(caller: Caller, intent_id: &str) -> Vec<(&'static str, String)> {
    let is_of = |route: &&Route| match route.caller {
        Caller::Holder => matches!(caller, Caller::Holder | Caller::Client),
        Caller::HolderOrResourceServer => matches!(caller, Caller::Holder | Caller::Client | Caller::ResourceServer),
        own => own == caller,
    };
    let of_caller = ROUTES.iter().filter(is_of);
    let about = |path: &str| {
        let path = path.replace("{intent_id}", intent_id).replace("{step_up_id}", intent_id);
        let path = path.replace("{list}", "0").replace("{request_id}", &Uuid::nil().to_string());
        path.replace("{digest}", &Digest::of(b"no envelope").to_base64())
    };
    of_caller.map(|route| (route.method, about(route.path))).collect()
}

#[tokio::test]
async fn anyone_reads_metadata_keys_and_the_schema_of_plans() {
    let stack = Stack::open().await;
    for (_, path) in paths(Caller::Anyone, "") {
        let reply = Reply::to(&path, stack.http.get(stack.url(&path))).await;
        let max_age = if path.starts_with("/status") { 30 } else { 300 };
        let cached = format!("public, max-age={max_age}");
        assert_eq!((reply.status, reply.header("cache-control")), (200, cached.as_str()), "{path}");
        assert!(!reply.text.contains("\"d\""), "{path}: a private key");
    }
    let issuer = stack.issuer();
    let (root, realm) = issuer.split_once("/realms/").unwrap();
    let inserted = format!("{root}/.well-known/oauth-authorization-server/realms/{realm}");
    let reply = Reply::to("RFC 8414 §3.1", stack.http.get(inserted)).await;
    assert_eq!((reply.status, reply.member("issuer")), (200, issuer));
    let empty = reply.body.as_object().unwrap().iter().find(|(_, value)| value.as_array().is_some_and(Vec::is_empty));
    assert_eq!(empty, None, "RFC 8414 §3.2: an empty list is left out");
    assert!(reply.body["grant_types_supported"].as_array().unwrap().len() > 1);
    let place = reply.member("marque_plan_schema_uri");
    let reply = Reply::to("the place that the metadata names", stack.http.get(place)).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/schema+json"));
    assert_eq!(reply.body, marque_core::schema::plan_schema());
}

/// One request of a client, as wrong as a test makes it.
struct Request {
    method: &'static str,
    assertion: Option<String>,
    proofs: Vec<String>,
    more: Form<'static>,
    authorization: Option<&'static str>,
}

impl Request {
    fn right(stack: &Stack, client: &Client, (method, path): (&'static str, &str)) -> Self {
        let proof = Key::proof_claims(method, &format!("{}{path}", stack.issuer()));
        Self {
            method,
            assertion: Some(client.assert(&client.assertion_claims(stack.issuer()))),
            proofs: vec![client.dpop.proof_of(&proof)],
            more: body_of(path),
            authorization: None,
        }
    }

    async fn send(&self, stack: &Stack, what: &str, path: &str) -> Reply {
        let mut request = stack.http.request(self.method.parse().unwrap(), stack.url(path));
        if self.method == "GET" {
            if let Some(assertion) = &self.assertion {
                request = request.header("client-assertion", assertion);
            }
            return self.send_with(request, what, path).await;
        }
        let mut form = self.more.clone();
        form.extend(self.assertion.iter().flat_map(|assertion| {
            [("client_assertion_type", ASSERTION_TYPE_JWT.to_owned()), ("client_assertion", assertion.clone())]
        }));
        request = request.form(&form);
        self.send_with(request, what, path).await
    }

    async fn send_with(&self, mut request: reqwest::RequestBuilder, what: &str, path: &str) -> Reply {
        for proof in &self.proofs {
            request = request.header("dpop", proof);
        }
        if let Some(value) = self.authorization {
            request = request.header("authorization", value);
        }
        Reply::to(&format!("{what} at {path}"), request).await
    }
}

/// What a request says beside its credentials.
fn body_of(path: &str) -> Form<'static> {
    match path {
        "/plans" => vec![("authorization_details", "[]".to_owned())],
        "/token" => vec![("grant_type", GRANT_INTENT.to_owned()), ("intent_id", Uuid::nil().to_string())],
        "/revoke" | "/introspect" => Vec::new(),
        "/bc-authorize" => vec![("authorization_details", "[]".to_owned()), ("login_hint", "alice".to_owned())],
        path if path.starts_with("/plans/") => vec![],
        "/transaction-authorization" => vec![("transaction_authorization_id", Uuid::nil().to_string())],
        path => panic!("write what a client sends to {path}"),
    }
}

/// Wrong assertions: each is a change of right claims.
fn wrong_claims(stack: &Stack, path: &str) -> Vec<(&'static str, Value)> {
    let (issuer, worker) = (stack.issuer(), &stack.env.clients.worker.client_id);
    vec![
        ("the audience as a list", json!({"aud": [issuer]})),
        ("a second audience", json!({"aud": [issuer, "https://other.example"]})),
        ("the endpoint as audience", json!({"aud": format!("{issuer}{path}")})),
        ("the realm as audience", json!({"aud": stack.env.keycloak.issuer})),
        ("an assertion that is over", json!({"iat": now() - 120, "exp": now() - 60})),
        ("an assertion that lives an hour", json!({"exp": now() + 3600})),
        ("an assertion from the future", json!({"iat": now() + 120})),
        ("an assertion without end", json!({"exp": null})),
        ("an end that is no number", json!({"exp": "soon"})),
        ("another subject", json!({"sub": worker})),
        ("another client's name", json!({"iss": worker, "sub": worker})),
        ("a client that is none", json!({"iss": "nobody", "sub": "nobody"})),
        ("a client that the realm does not show", json!({"iss": "account", "sub": "account"})),
        ("a name with a path", json!({"iss": "../users/alice", "sub": "../users/alice"})),
        ("a name with NUL", json!({"iss": "demo-agent\u{0}", "sub": "demo-agent\u{0}"})),
        ("a name that is far too long", json!({"iss": "a".repeat(20_000), "sub": "a".repeat(20_000)})),
        ("no name", json!({"iss": "", "sub": ""})),
        ("no jti", json!({"jti": null})),
        ("an empty jti", json!({"jti": ""})),
        ("a jti with NUL", json!({"jti": "a\u{0}b"})),
        ("a jti that is far too long", json!({"jti": "a".repeat(5000)})),
    ]
}

fn changed(mut claims: Value, change: &Value) -> Value {
    claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    claims
}

#[tokio::test]
async fn client_routes_refuse_every_wrong_assertion() {
    let stack = Stack::open().await;
    let (agent, worker) = (stack.agent(), stack.worker());
    for (method, path) in paths(Caller::Client, &Uuid::nil().to_string()) {
        let at = (method, path.as_str());
        let right = agent.assertion_claims(stack.issuer());
        let header = |alg: &str, typ: &str| json!({"alg": alg, "typ": typ, "kid": agent.signing.kid});
        let mut wrong = vec![
            ("no assertion", None),
            ("no JWS", Some("x.y.z".to_owned())),
            ("an assertion by an unknown key", Some(Key::fresh().sign("JWT", &right))),
            ("an unknown key under the known id", Some(Key::fresh().sign_with(&header("ES256", "JWT"), &right))),
            ("another client's key", Some(worker.signing.sign("JWT", &right))),
            ("the proof key", Some(agent.dpop.sign("JWT", &right))),
            ("alg none", Some(agent.signing.sign_with(&header("none", "JWT"), &right))),
            ("alg HS256", Some(agent.signing.sign_with(&header("HS256", "JWT"), &right))),
            ("the type of another token", Some(agent.signing.sign("txntoken+jwt", &right))),
        ];
        for (what, change) in wrong_claims(&stack, &path) {
            wrong.push((what, Some(agent.assert(&changed(agent.assertion_claims(stack.issuer()), &change)))));
        }
        for (what, assertion) in wrong {
            let request = Request { assertion, ..Request::right(&stack, &agent, at) };
            request.send(&stack, what, &path).await.refused(401, "invalid_client");
        }
    }
}

#[tokio::test]
async fn client_routes_take_an_assertion_once_and_one_method_alone() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    for (method, path) in paths(Caller::Client, &Uuid::nil().to_string()) {
        let at = (method, path.as_str());
        let request = Request::right(&stack, &agent, at);
        let first = request.send(&stack, "right credentials", &path).await;
        let answered = if method == "GET" { 404 } else { 400 };
        assert_eq!(first.status, answered, "{}", first.text);
        assert!(!["invalid_client", "invalid_dpop_proof"].contains(&first.member("error")), "{}", first.text);
        let again = Request { proofs: Request::right(&stack, &agent, at).proofs, ..request };
        again.send(&stack, "a replayed assertion", &path).await.refused(401, "invalid_client").naming("jti");

        let basic = Some("Basic ZGVtby1hZ2VudDpzZWNyZXQ=");
        let two = Request { authorization: basic, ..Request::right(&stack, &agent, at) };
        two.send(&stack, "an assertion and Basic", &path).await.refused(400, "invalid_request").naming("Authorization");
        if method == "GET" {
            continue;
        }
        let mut two = Request::right(&stack, &agent, at);
        two.more.push(("client_secret", "secret".into()));
        two.send(&stack, "an assertion and a secret", &path)
            .await
            .refused(400, "invalid_request")
            .naming("client_secret");
        let mut other = Request::right(&stack, &agent, at);
        other.more.push(("client_id", stack.env.clients.worker.client_id.clone()));
        other.send(&stack, "another client_id", &path).await.refused(401, "invalid_client").naming("client_id");
        let mut named = Request::right(&stack, &agent, at);
        named.more.push(("client_id", agent.id.clone()));
        assert_eq!(named.send(&stack, "its own client_id", &path).await.status, 400);
    }
}

/// Wrong proofs: each is a change of right claims.
fn wrong_proofs(url: &str, method: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("a proof for another URI", json!({"htu": "http://localhost:1/token"})),
        ("a proof for a longer path", json!({"htu": format!("{url}/more")})),
        ("a proof for another method", json!({"htm": if method == "GET" { "POST" } else { "GET" }})),
        ("a proof with a token's hash", json!({"ath": "x"})),
        ("an old proof", json!({"iat": now() - 300})),
        ("a proof from the future", json!({"iat": now() + 300})),
        ("a proof without iat", json!({"iat": null})),
        ("a proof without jti", json!({"jti": null})),
        ("a proof with a jti that is far too long", json!({"jti": "a".repeat(5000)})),
        ("a proof with a jti with NUL", json!({"jti": "a\u{0}b"})),
    ]
}

#[tokio::test]
async fn client_routes_refuse_every_wrong_proof() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    for (method, path) in paths(Caller::Client, &Uuid::nil().to_string()) {
        let at = (method, path.as_str());
        let url = format!("{}{path}", stack.issuer());
        let right = || Key::proof_claims(method, &url);
        let other = Key::fresh();
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": other.public});
        let mut private = agent.dpop.public.clone();
        private.insert("d".into(), "AAAA".into());
        let none = Request { proofs: vec![], ..Request::right(&stack, &agent, at) };
        let unproven = none.send(&stack, "no proof", &path).await;
        match paths(Caller::Holder, "").contains(&(method, path.clone())) {
            true => {
                assert_ne!(unproven.member("error"), "invalid_dpop_proof", "{path}: a holder is identified without")
            }
            false => drop(unproven.refused(400, "invalid_dpop_proof")),
        }
        let mut wrong = vec![
            ("no JWS", vec!["x".to_owned()]),
            ("a proof signed by another key than it shows", vec![agent.dpop.sign_with(&header, &right())]),
            (
                "a proof of another type",
                vec![agent.dpop.sign_with(&json!({"typ": "JWT", "alg": "ES256", "jwk": agent.dpop.public}), &right())],
            ),
            ("a proof without a key", vec![agent.dpop.sign("dpop+jwt", &right())]),
            (
                "a proof with a private key",
                vec![agent.dpop.sign_with(&json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": private}), &right())],
            ),
        ];
        for (what, change) in wrong_proofs(&url, method) {
            wrong.push((what, vec![agent.dpop.proof_of(&changed(right(), &change))]));
        }
        for (what, proofs) in wrong {
            let request = Request { proofs, ..Request::right(&stack, &agent, at) };
            let reply = request.send(&stack, what, &path).await;
            reply.refused(400, "invalid_dpop_proof");
            assert!(reply.header("www-authenticate").starts_with("DPoP "), "{what}");
        }
        let proofs = vec![agent.dpop.proof_of(&right()), agent.dpop.proof_of(&right())];
        let two = Request { proofs, ..Request::right(&stack, &agent, at) };
        two.send(&stack, "two proofs", &path).await.refused(400, "invalid_request").naming("dpop");
        let used = Request::right(&stack, &agent, at);
        used.send(&stack, "a proof", &path).await;
        let again = Request { assertion: Request::right(&stack, &agent, at).assertion, ..used };
        again.send(&stack, "a replayed proof", &path).await.because(400, "invalid_dpop_proof", "proof_replayed");
    }
}

/// A request to a route of resource servers.
async fn ask(stack: &Stack, what: &str, (method, path): (&str, &str), authorization: Option<&str>) -> Reply {
    let mut request = stack.http.request(method.parse().unwrap(), stack.url(path));
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    Reply::to(&format!("{what} at {path}"), request).await
}

#[tokio::test]
async fn resource_server_routes_refuse_whatever_is_no_access_token_of_theirs() {
    let stack = Stack::open().await;
    let granted = plans::shared(&stack).await;
    let txn = stack.transaction_token(&stack.agent(), &granted.token, &["list"]).await;
    let unknown =
        Key::fresh().sign("JWT", &json!({"iss": stack.env.keycloak.issuer, "aud": stack.issuer(), "typ": "Bearer"}));
    let right = stack.access_token().await;
    let agents = marque_demo::clients::KeycloakTokens::new(&stack.env, &stack.env.clients.agent).unwrap();
    let agents = agents.token(None).await.unwrap();
    let mut cut = right.clone();
    cut.truncate(right.len() - 4);
    for (method, path) in paths(Caller::ResourceServer, "") {
        let at = (method, path.as_str());
        if path != "/introspect" {
            ask(&stack, "no token", at, None).await.refused(401, "invalid_token");
        }
        for (what, token) in [
            ("no JWS", "abc"),
            ("a token by an unknown key", &unknown),
            ("an intent token", &granted.token),
            ("a transaction token", &txn),
            ("an agent's own access token", &agents),
            ("a token with a cut signature", &cut),
        ] {
            let reply = ask(&stack, what, at, Some(&format!("Bearer {token}"))).await;
            reply.refused(401, "invalid_token");
            assert!(reply.header("www-authenticate").starts_with("Bearer "), "{what}");
        }
        ask(&stack, "another scheme", at, Some(&format!("DPoP {right}"))).await.refused(401, "invalid_token");
        ask(&stack, "no scheme", at, Some(&right)).await.refused(401, "invalid_token");
        if method == "POST" {
            let reply = ask(&stack, "a right token", at, Some(&format!("Bearer {right}"))).await;
            reply.refused(400, "invalid_request").naming("Content-Type");
        }
    }
}

#[tokio::test]
async fn administrator_routes_refuse_everybody_else() {
    let stack = Stack::open().await;
    let granted = plans::shared(&stack).await;
    let of_server = format!("Bearer {}", stack.access_token().await);
    for (method, path) in paths(Caller::Administrator, "") {
        let at = (method, path.as_str());
        ask(&stack, "no token", at, None).await.refused(401, "invalid_token");
        let intent = format!("Bearer {}", granted.token);
        ask(&stack, "an intent token", at, Some(&intent)).await.refused(401, "invalid_token");
        ask(&stack, "a resource server", at, Some(&of_server)).await.refused(403, "insufficient_scope");
    }
}

#[tokio::test]
async fn resource_server_routes_refuse_what_the_realm_signed_for_something_else() {
    let stack = Stack::open().await;
    let mut realm = Realm::of(&stack);
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(&stack).await;
    let server = copy.serve_with(realm.issuer()).await;
    let (stack, agent) = (&server.stack, &stack.env.clients.agent.client_id);
    let wrong = [
        (401, "an ID token", json!({"typ": "ID"})),
        (401, "a refresh token", json!({"typ": "Refresh"})),
        (401, "another issuer", json!({"iss": "http://localhost:1/realms/demo"})),
        (401, "another audience", json!({"aud": "https://other.example"})),
        (401, "a second audience", json!({"aud": [stack.issuer(), "account"]})),
        (401, "no audience", json!({"aud": null})),
        (401, "a token that is over", json!({"exp": now() - 60})),
        (401, "no end", json!({"exp": null})),
        (401, "no client", json!({"azp": null})),
        (403, "a client that is no resource server", json!({"azp": agent})),
        (403, "a client that is none", json!({"azp": "nobody"})),
    ];
    for (method, path) in paths(Caller::ResourceServer, "") {
        for (status, what, change) in &wrong {
            let token = realm.key().sign(TYP_JWT, &changed(realm.access_claims(stack), change));
            let error = if *status == 401 { "invalid_token" } else { "insufficient_scope" };
            ask(stack, what, (method, &path), Some(&format!("Bearer {token}"))).await.refused(*status, error);
        }
        let token = realm.key().sign("txntoken+jwt", &realm.access_claims(stack));
        let bearer = format!("Bearer {token}");
        ask(stack, "another type", (method, &path), Some(&bearer)).await.refused(401, "invalid_token");
    }
    let right = realm.key().sign(TYP_JWT, &changed(realm.access_claims(stack), &json!({"aud": [stack.issuer()]})));
    let reply = ask(stack, "a right token", ("POST", "/results"), Some(&format!("Bearer {right}"))).await;
    reply.refused(400, "invalid_request");
}

/// Requests of the extension that no route answers: each is a change of right claims, or signed otherwise.
fn wrong_extension_requests(
    stack: &Stack,
    realm: &Realm,
    (typ, member): (&str, &str),
    id: &str,
) -> Vec<(&'static str, String)> {
    let right = || extension_request(realm, stack, member, id);
    let other = if typ == TYP_PLAN_REQUEST { TYP_STEP_UP_REQUEST } else { TYP_PLAN_REQUEST };
    let mut wrong = vec![
        ("no JWS", "abc".to_owned()),
        ("a request by an unknown key", Key::fresh().sign(typ, &right())),
        ("a request of another type", realm.key().sign(TYP_JWT, &right())),
        ("a request of the other route", realm.key().sign(other, &right())),
        ("an access token", realm.key().sign(TYP_JWT, &realm.access_claims(stack))),
    ];
    let another = changed(right(), &json!({member: Uuid::new_v4()}));
    wrong.push(("a request for another one", realm.key().sign(typ, &another)));
    for (what, change) in [
        ("a request of another realm", json!({"iss": "http://localhost:1/realms/demo"})),
        ("a request to somebody else", json!({"aud": "https://other.example"})),
        ("a request that is over", json!({"iat": now() - 120, "exp": now() - 60})),
        ("a request that lives an hour", json!({"exp": now() + 3600})),
        ("a request from the future", json!({"iat": now() + 100, "exp": now() + 160})),
        ("a request without jti", json!({"jti": null})),
        ("a request with a jti with NUL", json!({"jti": "a\u{0}b"})),
    ] {
        wrong.push((what, realm.key().sign(typ, &changed(right(), &change))));
    }
    wrong
}

/// The claims of a right request of the extension, about a plan or a step-up.
pub fn extension_request(realm: &Realm, stack: &Stack, member: &str, id: &str) -> Value {
    let mut claims = realm.plan_request(stack, id);
    claims.as_object_mut().unwrap().remove("intent_id");
    claims[member] = id.into();
    claims
}

#[tokio::test]
async fn the_extension_routes_answer_only_what_the_realm_signed_for_this_very_thing_once() {
    let stack = Stack::open().await;
    let mut realm = Realm::of(&stack);
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(&stack).await;
    let server = copy.serve_with(realm.issuer()).await;
    let stack = &server.stack;
    let intent = stack.submitted(&stack.agent(), &plans::reading(stack)).await;
    let step_up = crate::step_up::put_in(stack, &intent).await;
    let golden = [
        (format!("/internal/plans/{intent}"), (TYP_PLAN_REQUEST, "intent_id"), &intent),
        (format!("/internal/step-ups/{step_up}"), (TYP_STEP_UP_REQUEST, "step_up_id"), &step_up),
    ];
    assert_eq!(paths(Caller::Extension, "").len(), golden.len(), "write what the extension must not be answered");
    for (path, (typ, member), id) in golden {
        ask(stack, "no request", ("GET", &path), None).await.refused(401, "invalid_token");
        for (what, request) in wrong_extension_requests(stack, &realm, (typ, member), id) {
            ask(stack, what, ("GET", &path), Some(&format!("Bearer {request}"))).await.refused(401, "invalid_token");
        }
        let right = || extension_request(&realm, stack, member, id);
        let bearer = format!("Bearer {}", realm.key().sign(typ, &right()));
        let answered = ask(stack, "a right request", ("GET", &path), Some(&bearer)).await;
        assert_eq!((answered.status, answered.header("content-type")), (200, "application/jose"), "{}", answered.text);
        ask(stack, "a replayed request", ("GET", &path), Some(&bearer)).await.refused(401, "invalid_token");
        let other = Uuid::new_v4().to_string();
        let unknown = realm.key().sign(typ, &extension_request(&realm, stack, member, &other));
        let path = path.replace(id.as_str(), &other);
        let reply = ask(stack, "one that is none", ("GET", &path), Some(&format!("Bearer {unknown}"))).await;
        reply.refused(404, "not_found");
    }
}

#[tokio::test]
async fn browser_routes_answer_only_the_browser_that_began() {
    let stack = Stack::open().await;
    let intent = stack.submitted(&stack.agent(), &plans::reading(&stack)).await;
    for (method, path) in paths(Caller::Browser, &intent) {
        let request = stack.http.request(method.parse().unwrap(), stack.url(&path));
        match path.as_str() {
            "/callback" | "/receipt/callback" => foreign_callbacks(&stack, &path, &intent).await,
            path if path.ends_with("/revoke") => {
                let reply = Reply::to("a form without a cookie", request.form(&[("csrf", "x")])).await;
                reply.page(404, "there is no such plan");
                let cookie = stack.http.post(stack.url(path)).header("cookie", "marque_receipt=guessed");
                Reply::to("a guessed cookie", cookie.form(&[("csrf", "x")])).await.page(404, "there is no such plan");
            }
            path if path.starts_with("/approve/") || path.starts_with("/receipt/") => sent_to_realm(&stack, path).await,
            path => panic!("write who must not call {path}"),
        }
    }
}

/// Who is not known is sent to the realm, and told nothing about the plan.
async fn sent_to_realm(stack: &Stack, path: &str) {
    let request = stack.http.get(stack.url(path)).header("cookie", "marque_receipt=guessed");
    let reply = Reply::to(path, request).await;
    assert_eq!(reply.status, 303, "{path}: {}", reply.text);
    assert!(reply.header("location").starts_with(&stack.env.keycloak.issuer), "{:?}", reply.headers);
    assert_eq!(reply.text, "", "{path}");
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("marque_login_") && cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
}

/// Comes back without the cookie, with another one, with a state of nobody's, and for the other purpose.
async fn foreign_callbacks(stack: &Stack, path: &str, intent: &str) {
    let (begin, other) = match path {
        "/callback" => (format!("/approve/{intent}"), "/receipt/callback"),
        _ => (format!("/receipt/{intent}"), "/callback"),
    };
    let begun = Reply::to(&begin, stack.http.get(stack.url(&begin))).await;
    let cookie = begun.header("set-cookie").split(';').next().unwrap().to_owned();
    let (name, _) = cookie.split_once('=').unwrap();
    // The state went to the realm in the pushed request: what the browser sees names only that.
    assert!(!begun.header("location").contains("state="), "{:?}", begun.headers);
    for (what, query, cookie) in [
        ("nothing", String::new(), None),
        ("no cookie", "?code=x&state=y".to_owned(), None),
        ("a state of nobody's", "?code=x&state=y".to_owned(), Some(cookie.clone())),
        ("a guessed cookie", "?code=x&state=y".to_owned(), Some(format!("{name}=guessed"))),
        ("a repeated state", "?code=x&state=y&state=z".to_owned(), Some(cookie.clone())),
        ("a state that is no UTF-8", "?code=x&state=%ff".to_owned(), Some(cookie.clone())),
        ("an error of the realm's", "?error=access_denied&state=y".to_owned(), Some(cookie.clone())),
    ] {
        for path in [path, other] {
            let mut request = stack.http.get(stack.url(&format!("{path}{query}")));
            if let Some(cookie) = &cookie {
                request = request.header("cookie", cookie);
            }
            let reply = Reply::to(&format!("{what} at {path}"), request).await;
            reply.page(400, "<");
            assert!(reply.headers.get("set-cookie").is_none(), "{what}");
        }
    }
}
