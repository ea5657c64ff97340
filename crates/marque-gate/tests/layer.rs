//! The tower layer before real axum handlers, in process.

mod common;

use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, Router};
use common::*;
use marque_core::call::Call;
use marque_gate::layer::{GateLayer, NoPermit, segments, take_permit, unknown_route};
use marque_gate::{
    Args, ConcreteAction, Gate, GateConfig, Outcome, PeerCertificate, Permit, Reason, Refusal, Signer, SigningKey,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

fn clock() -> i64 {
    NOW
}

fn mapper(request: &Parts, args: Args) -> Result<ConcreteAction, Refusal> {
    match (request.method.as_str(), segments(request.uri.path())?.as_slice()) {
        ("GET", ["things", id]) => Ok(ConcreteAction::new("look", "thing", id, args)),
        ("POST", ["things", id, _]) => Ok(ConcreteAction::new("set", "thing", id, args)),
        _ => Err(unknown_route()),
    }
}

async fn look(_: &'static str, permit: Permit) -> Json<Value> {
    Json(json!({"looked": permit.resource().id}))
}

/// Does what the permit says, and ends as the site's state says.
async fn set(ending: &'static str, permit: Permit) -> Response {
    match ending {
        "set" => Json(json!({"to": permit.arg("to")})).into_response(),
        "redirects" => StatusCode::SEE_OTHER.into_response(),
        "fails" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "refuses" => StatusCode::CONFLICT.into_response(),
        "knows better" => (StatusCode::BAD_GATEWAY, Extension(Outcome::Released)).into_response(),
        _ => panic!("the handler broke off"),
    }
}

struct Site {
    world: Arc<World>,
    app: Router,
}

impl Site {
    fn new() -> Self {
        Self::ending("set", |gate| gate)
    }

    fn with(change: impl FnOnce(Gate) -> Gate) -> Self {
        Self::ending("set", change)
    }

    fn ending(ending: &'static str, change: impl FnOnce(Gate) -> Gate) -> Self {
        Self::serving(change, |layer| {
            Router::new().fallback_service(layer.actions(ending).on("look", look).on("set", set))
        })
    }

    fn published() -> Self {
        Self::serving(
            |gate| gate,
            |layer| {
                Router::new().fallback_service(layer.with_metadata().actions("set").on("look", look).on("set", set))
            },
        )
    }

    fn serving(change: impl FnOnce(Gate) -> Gate, app: impl FnOnce(GateLayer) -> Router) -> Self {
        let world = Arc::new(World::new());
        let gate = Arc::new(change(World::gate_of(&world)));
        let layer = GateLayer::new(gate, mapper).with_clock(clock).with_body_limit(256);
        Self { world, app: app(layer) }
    }

    /// A good request for a call; `change` may spoil it.
    fn request(&self, method: &str, path: &str, call: &Call, body: Option<&str>) -> Request<Body> {
        let token = self.world.token(&self.world.claims(&steps()));
        let claims = self.world.proof_claims(&token, method, path, Some(call));
        let request = Request::builder().method(method).uri(path).header("Txn-Token", &token);
        let request = request.header("DPoP", self.world.agent.proof(&claims)).header("Host", "evil.example");
        match body {
            Some(body) => request.header("Content-Type", "application/json").body(Body::from(body.to_owned())),
            None => request.body(Body::empty()),
        }
        .unwrap()
    }

    fn set(&self) -> Request<Body> {
        let call = call("set", "a", json!({"to": "x"}));
        self.request("POST", "/things/a/set", &call, Some(r#"{"to":"x"}"#))
    }

    async fn send(&self, request: Request<Body>) -> (u16, header::HeaderMap, Value) {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        (parts.status.as_u16(), parts.headers, serde_json::from_slice(&body).unwrap_or_default())
    }
}

async fn settled_after(ending: &'static str) -> Vec<(String, &'static str)> {
    let site = Site::ending(ending, |gate| gate);
    site.send(site.set()).await;
    site.world.ledger.settled()
}

fn settled(outcome: &'static str) -> Vec<(String, &'static str)> {
    vec![("change".to_owned(), outcome)]
}

#[tokio::test]
async fn a_handler_gets_its_permit_and_the_use_is_committed() {
    let site = Site::new();
    let (status, _, body) = site.send(site.set()).await;
    assert_eq!((status, body), (200, json!({"to": "x"})));
    assert_eq!(site.world.ledger.settled(), settled("committed"));
    let (status, headers, body) = site.send(site.set()).await;
    assert_eq!((status, body["reason"].as_str()), (403, Some("uses_exhausted")));
    assert_eq!((body["intent_id"].as_str(), body["error"].as_str()), (Some(INTENT), Some("insufficient_scope")));
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn each_outcome_is_settled_as_documented() {
    assert_eq!(settled_after("fails").await, settled("committed"), "a 5xx may have had its effect");
    assert_eq!(settled_after("redirects").await, settled("committed"), "done, and seen elsewhere");
    assert_eq!(settled_after("refuses").await, settled("released"));
    assert_eq!(settled_after("knows better").await, settled("released"));
}

#[tokio::test]
async fn a_call_that_is_broken_off_is_not_released() {
    let site = Site::ending("panics", |gate| gate);
    let (app, request) = (site.app.clone(), site.set());
    assert!(tokio::spawn(async move { app.oneshot(request).await }).await.is_err());
    assert_eq!(site.world.ledger.settled(), settled("broken_off"));
    assert_eq!(site.world.ledger.used("change"), 1);
}

/// A service that takes the permit out of the request, so often.
fn service(times: usize) -> axum::routing::MethodRouter {
    let serve = move |mut request: Request<Body>| async move {
        let permits: Result<Vec<Permit>, NoPermit> =
            (0..times).map(|_| take_permit(request.extensions_mut())).collect();
        let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
        permits.map(|permits| format!("{} {}", permits.len(), body.len()))
    };
    axum::routing::any(serve)
}

#[tokio::test]
async fn a_service_behind_the_layer_gets_the_permit_once_and_no_body() {
    for (times, expected) in [(0, (200, 1)), (1, (200, 1)), (2, (500, 1))] {
        let site = Site::serving(
            |gate| gate,
            |layer| Router::new().fallback_service(service(times)).layer(layer).route("/open", service(1)),
        );
        let response = site.app.clone().oneshot(site.set()).await.unwrap();
        assert_eq!((response.status().as_u16(), site.world.ledger.asked()), expected, "{times}");
        if times == 1 {
            assert_eq!(to_bytes(response.into_body(), 100).await.unwrap(), "1 0");
        }
        let (status, _, body) = site.send(Request::builder().uri("/open").body(Body::empty()).unwrap()).await;
        assert_eq!((status, body["error"].as_str()), (500, Some("server_error")));
    }
}

#[tokio::test]
async fn an_action_without_a_handler_is_refused_before_it_is_charged() {
    let site =
        Site::serving(|gate| gate, |layer| Router::new().fallback_service(layer.actions("set").on("look", look)));
    let (status, _, body) = site.send(site.set()).await;
    assert_eq!((status, &body["reason"]), (403, &json!("action_not_in_plan")));
    assert_eq!(site.world.ledger.asked(), 0);
}

#[tokio::test]
async fn refusals_say_why_in_body_and_challenge() {
    let site = Site::new();
    let bare = Request::builder().uri("/things/a").body(Body::empty()).unwrap();
    let (status, headers, body) = site.send(bare).await;
    assert_eq!((status, body["reason"].as_str()), (401, Some("token_missing")));
    assert_eq!(headers[header::WWW_AUTHENTICATE], "DPoP algs=\"ES256 ES384 EdDSA\"");
    let mut bearer = site.set();
    bearer.headers_mut().remove("DPoP");
    let (status, headers, body) = site.send(bearer).await;
    assert_eq!((status, body["error"].as_str()), (401, Some("invalid_dpop_proof")));
    assert!(headers[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("DPoP error=\"invalid_dpop_proof\""));
    let mut doubled = site.set();
    let token = doubled.headers()["txn-token"].clone();
    doubled.headers_mut().append("txn-token", token);
    assert_eq!(site.send(doubled).await.2["reason"], "token_invalid");
    site.world.revocations.apply(snapshot("e1", 1, NOW - 60, &[]), NOW);
    let (status, headers, body) = site.send(site.set()).await;
    assert_eq!((status, body["reason"].as_str()), (503, Some("revocation_state_stale")));
    assert_eq!(headers[header::RETRY_AFTER], "1");
}

#[tokio::test]
async fn refuses_bodies_that_are_not_one_strict_object() {
    let site = Site::new();
    let call = call("set", "a", json!({"to": "x"}));
    for body in ["{\"to\":\"x\",\"to\":\"y\"}", "[]", "{", "{\"to\":\"x\"} x"] {
        let (status, _, answer) = site.send(site.request("POST", "/things/a/set", &call, Some(body))).await;
        assert_eq!((status, answer["reason"].as_str()), (400, Some("call_malformed")), "{body}");
    }
    let long = format!("{{\"to\":\"{}\"}}", "x".repeat(300));
    let (status, _, answer) = site.send(site.request("POST", "/things/a/set", &call, Some(&long))).await;
    assert_eq!((status, answer["reason"].as_str()), (400, Some("call_malformed")));
    let mut other = site.set();
    other.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(site.send(other).await.0, 400);
    let looked = site.request("GET", "/things/a", &common::call("look", "a", json!({})), Some("{}"));
    assert_eq!(site.send(looked).await.2["reason"], "call_malformed", "a GET with a body");
    assert_eq!(site.world.ledger.asked(), 0);
}

#[tokio::test]
async fn the_call_is_what_the_body_says_whatever_the_proof_says() {
    let site = Site::new();
    let signed = call("set", "a", json!({"to": "x"}));
    let swapped = site.request("POST", "/things/a/set", &signed, Some(r#"{"to":"y"}"#));
    assert_eq!(site.send(swapped).await.2["reason"], "call_digest_mismatch");
    let elsewhere = site.request("POST", "/things/b/set", &signed, Some(r#"{"to":"x"}"#));
    assert_eq!(site.send(elsewhere).await.2["reason"], "call_digest_mismatch");
}

#[tokio::test]
async fn paths_that_are_not_normal_are_refused_and_none_is_repaired() {
    let site = Site::new();
    for path in ["/things/%61", "/things/a%2Fb", "/things//a", "/things/.", "/things/..", "/things/a/"] {
        let request = site.request("GET", path, &call("look", "a", json!({})), None);
        let (status, _, answer) = site.send(request).await;
        assert!([400, 404].contains(&status), "{path}: {status} {answer}");
    }
    assert!(segments("/a/b").is_ok());
    assert_eq!(segments("/a\\b").unwrap_err().reason(), Reason::CallMalformed);
}

#[tokio::test]
async fn reads_pass_without_the_ledger() {
    let site = Site::new();
    let request = site.request("GET", "/things/a?x=1", &call("look", "a", json!({})), None);
    let (status, _, body) = site.send(request).await;
    assert_eq!((status, body), (200, json!({"looked": "a"})));
    assert_eq!(site.world.ledger.asked(), 0);
}

struct Signs(Key);

impl SigningKey for Signs {
    fn sign(&self, typ: &str, payload: &[u8]) -> Result<String, String> {
        Ok(self.0.sign(typ, &serde_json::from_slice(payload).unwrap()))
    }
}

#[tokio::test]
async fn a_call_that_needs_a_step_up_is_answered_with_a_challenge_to_who_takes_one() {
    let site = Site::with(|gate| gate.with_signer(Signer::new("rs", Signs(Key::new()))));
    site.world.ledger.behave(Behaviour::StepUp("change"));
    let (status, headers, body) = site.send(site.set()).await;
    assert_eq!((status, &body["reason"]), (403, &json!("step_up_required")));
    assert!(!headers[header::WWW_AUTHENTICATE].to_str().unwrap().contains("transaction"));
    let mut request = site.set();
    request.headers_mut().insert("accept-txn-challenge", "?1".parse().unwrap());
    let (status, headers, body) = site.send(request).await;
    assert_eq!((status, &body["error"]), (401, &json!("transaction_authorization_required")));
    let challenge = body["step_up"]["transaction_challenge"].as_str().unwrap();
    let field = headers[header::WWW_AUTHENTICATE].to_str().unwrap();
    assert!(field.contains(&format!("transaction_challenge=\"{challenge}\"")), "{field}");
    assert_eq!(site.world.ledger.settled(), []);
}

/// Whatever ends the TLS says which certificate the client proved; a field of the request never does.
#[tokio::test]
async fn the_certificate_of_the_connection_comes_with_the_request() {
    let site = Site::new();
    let certificate = PeerCertificate::of_der(b"certificate");
    let mut claims = site.world.claims(&steps());
    claims["cnf"] = json!({"x5t#S256": certificate.thumbprint().to_base64()});
    let token = site.world.token(&claims);
    let request =
        || Request::builder().uri("/things/a").header("Txn-Token", &token).header("Client-Cert", ":Y2VydGlmaWNhdGU=:");
    let (status, ..) = site.send(request().extension(certificate).body(Body::empty()).unwrap()).await;
    assert_eq!(status, 200);
    let other = PeerCertificate::of_der(b"another");
    for request in [request(), request().extension(other)] {
        let (status, _, body) = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((status, body["reason"].as_str()), (401, Some("certificate_mismatch")));
    }
}

#[tokio::test]
async fn metadata_is_at_the_address_that_challenges_name_where_it_is_published() {
    let site = Site::published();
    let path = "/.well-known/oauth-protected-resource";
    let get = |path: &str| Request::builder().uri(path).body(Body::empty()).unwrap();
    let (status, headers, body) = site.send(get(path)).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/json"));
    assert_eq!((body["resource"].as_str(), &body["authorization_servers"]), (Some(LOCATION), &json!([ISSUER])));
    assert_eq!(body["dpop_bound_access_tokens_required"], true);
    let (status, headers, _) = site.send(get("/things/a")).await;
    let challenge = headers["www-authenticate"].to_str().unwrap();
    let named = format!("resource_metadata=\"{LOCATION}{path}\"");
    assert!(status == 401 && challenge.ends_with(&named), "{status} {challenge}");
    for other in [format!("{path}/things"), format!("{path}?a"), format!("{path}/")] {
        assert_eq!(site.send(get(&other)).await.0, 401, "{other}");
    }
    let post = Request::builder().method("POST").uri(path).body(Body::empty()).unwrap();
    assert_eq!(site.send(post).await.0, 401, "it is read alone");

    let silent = Site::new();
    let (status, headers, _) = silent.send(get(path)).await;
    assert_eq!(status, 401, "unless it is published");
    assert!(!headers["www-authenticate"].to_str().unwrap().contains("resource_metadata"));
}

#[test]
fn metadata_stands_before_the_path_of_its_resource() {
    let of = |location: &str| GateConfig::new(location, ISSUER, DOMAIN).unwrap();
    for (location, url) in [
        ("https://rs.example", "https://rs.example/.well-known/oauth-protected-resource"),
        ("https://rs.example:8443/a/b", "https://rs.example:8443/.well-known/oauth-protected-resource/a/b"),
        ("http://[::1]:80/a", "http://[::1]:80/.well-known/oauth-protected-resource/a"),
    ] {
        assert_eq!(of(location).metadata_url(), url);
        assert!(url.ends_with(&of(location).metadata_path()));
        assert_eq!(of(location).metadata()["resource"], location, "RFC 9728 §3.3");
    }
    let metadata = of("https://rs.example").with_client_certificates().metadata();
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    assert_eq!(metadata["dpop_bound_access_tokens_required"], false);
}
