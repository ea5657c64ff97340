//! Clients with certificates (RFC 8705): exchanges of tokens that are bound to them, without proofs, and introspection. The
//! certificate is its client's by its registered key.

use crate::agent::{exchange, plan};
use crate::bench::Bench;
use crate::client::{success, text};
use crate::load::{Target, request};
use crate::marque::{Marque, free_port};
use crate::realm::{self, USERNAME};
use crate::rounds::rounds;
use bench_keys::Failure;
use form_urlencoded::Serializer;
use marque_core::canonical::encode;
use marque_core::names::{GRANT_INTENT, TOKEN_TYPE_INTENT};
use rcgen::{CertifiedKey, KeyPair, PublicKeyData, generate_simple_self_signed};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The client.
const CLIENT: &str = "bench-mutual";
/// Intents whose tokens take turns.
const INTENTS: usize = 32;
/// Exchanges of a round.
const EXCHANGES: usize = 10_000;
/// Introspections of a round.
const INTROSPECTIONS: usize = 20_000;
/// The media type of forms.
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A client with a certificate, at a server that takes them.
struct Mutual {
    marque: Marque,
    /// The issuer as clients with certificates reach it.
    base: String,
    http: reqwest::Client,
    target: Target,
}

/// Measures both.
///
/// # Errors
/// When Marque refuses.
pub async fn measure(bench: &Bench) -> Result<Vec<Value>, Failure> {
    let mutual = Mutual::start(bench).await?;
    let intents = mutual.intents(bench).await?;
    let exchanges = || async {
        let all = intents.iter().cycle().take(bench.requests.unwrap_or(EXCHANGES));
        Ok(all.map(|intent| mutual.request("/token", &exchange(intent, TOKEN_TYPE_INTENT))).collect())
    };
    let exchanged = rounds("exchange_mtls_64", &mutual.marque, &mutual.target, bench.rounds, exchanges).await?;
    let mut tokens = Vec::new();
    for intent in &intents {
        let answer = mutual.post("/token", &exchange(intent, TOKEN_TYPE_INTENT)).await?;
        tokens.push(text(&answer, "access_token")?.to_owned());
    }
    let introspections = || async {
        let all = tokens.iter().cycle().take(bench.requests.unwrap_or(INTROSPECTIONS));
        Ok(all.map(|token| mutual.request("/introspect", &[("token", token)])).collect())
    };
    let target = Target { expected: r#""active":true"#, ..mutual.target.clone() };
    let introspected = rounds("introspection, mTLS", &mutual.marque, &target, bench.rounds, introspections).await?;
    Ok(vec![exchanged.entry("exchange_mtls_64_per_s")?, introspected.entry("introspection_mtls_per_s")?])
}

impl Mutual {
    async fn start(bench: &Bench) -> Result<Self, Failure> {
        let (own, server) = (certified("bench-mutual.example")?, certified("127.0.0.1")?);
        let attributes = json!({"marque.kind": "agent", "marque.users": USERNAME});
        bench.realm.add_client_with(CLIENT, jwks(&own.signing_key)?, attributes);
        let write = |name: &str, text: String| {
            let file = bench.site.dir().join(name);
            fs::write(&file, text).map(|()| file.display().to_string())
        };
        let certificate = write("server.pem", server.cert.pem())?;
        let key = write("server.key", server.signing_key.serialize_pem())?;
        let port = free_port()?;
        let settings = format!("[tls]\nlisten = \"127.0.0.1:{port}\"\ncertificate = {certificate:?}\nkey = {key:?}\n");
        let marque = bench.another("mutual", &settings).await?;
        let mut roots = RootCertStore::empty();
        roots.add(server.cert.der().clone())?;
        let private = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let tls = ClientConfig::builder().with_root_certificates(roots);
        let tls = tls.with_client_auth_cert(vec![own.cert.der().clone()], private.into())?;
        let pem = format!("{}{}", own.cert.pem(), own.signing_key.serialize_pem());
        let root = reqwest::Certificate::from_pem(server.cert.pem().as_bytes())?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
        let http = http.identity(reqwest::Identity::from_pem(pem.as_bytes())?).build()?;
        let (authority, expected) = (format!("127.0.0.1:{port}"), crate::figures::exchange::EXPECTED);
        let base = format!("https://{authority}/realms/{}", realm::NAME);
        Ok(Self { marque, base, http, target: Target { authority, tls: Some(Arc::new(tls)), expected } })
    }

    /// Intent tokens that are bound to the certificate.
    async fn intents(&self, bench: &Bench) -> Result<Vec<String>, Failure> {
        let mut plan = plan();
        if let Some(members) = plan.as_object_mut() {
            members.insert("agent".into(), CLIENT.into());
        }
        let details = json!([{"type": "agent_intent_plan", "plan": plan}]).to_string();
        let mut intents = Vec::new();
        for _ in 0..INTENTS {
            let answer = self.post("/plans", &[("authorization_details", &details)]).await?;
            let intent_id = text(&answer, "intent_id")?;
            bench.person.approve(&self.marque, intent_id).await?;
            let answer = self.post("/token", &[("grant_type", GRANT_INTENT), ("intent_id", intent_id)]).await?;
            intents.push(text(&answer, "access_token")?.to_owned());
        }
        Ok(intents)
    }

    fn form(form: &[(&str, &str)]) -> String {
        Serializer::new(String::new()).extend_pairs(form).append_pair("client_id", CLIENT).finish()
    }

    fn request(&self, path: &str, form: &[(&str, &str)]) -> bytes::Bytes {
        request("POST", &format!("{}{path}", self.base), &[FORM], Self::form(form).as_bytes())
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, Failure> {
        let (name, value) = FORM;
        success(self.http.post(format!("{}{path}", self.base)).header(name, value).body(Self::form(form))).await
    }
}

fn certified(name: &str) -> Result<CertifiedKey<KeyPair>, Failure> {
    Ok(generate_simple_self_signed([name.to_owned()])?)
}

/// The public key as its client registers it.
fn jwks(key: &KeyPair) -> Result<Value, Failure> {
    let (_, point) = key.der_bytes().split_first().ok_or("a key without coordinates")?;
    let (x, y) = point.split_at_checked(32).ok_or("a key without coordinates")?;
    Ok(json!({"keys": [{
        "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y), "kid": "tls", "use": "sig", "alg": "ES256",
    }]}))
}
