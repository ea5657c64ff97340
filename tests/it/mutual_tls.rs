//! Clients that prove who they are by a certificate (RFC 8705): at the server's own listener, and told by a proxy (RFC 9440).

use crate::support::keys::Key;
use crate::support::realm::Admin;
use crate::support::reply::Reply;
use crate::support::server::{Copy, Server, free_port};
use crate::support::stack::{Form, Stack};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use marque_core::canonical::encode;
use marque_core::names::GRANT_INTENT;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    SanType,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use uuid::Uuid;

const DNS: &str = "agent.mtls.example";
const URI: &str = "spiffe://mtls.example/agent";

/// An authority with its file.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, Uuid::new_v4().to_string());
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// An authority that this one vouches for.
    fn vouching(&self) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, Uuid::new_v4().to_string());
        Self(CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.0).unwrap())
    }
}

/// A certificate with its key.
pub struct Identity {
    pub certificate: Certificate,
    key: KeyPair,
    /// What links it to an authority.
    chain: Vec<Vec<u8>>,
}

pub fn params(name: &str, dns: &str, uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Corp, Inc.");
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::DnsName(dns.try_into().unwrap()), SanType::URI(uri.try_into().unwrap())];
    params
}

impl Identity {
    fn by(authority: &Authority, params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.signed_by(&key, &authority.0).unwrap(), key, chain: vec![] }
    }

    pub fn own(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap(), key, chain: vec![] }
    }

    /// The public key as a client registers it.
    pub fn jwks(&self) -> Value {
        let point = self.key.public_key_raw();
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]), "kid": "tls",
            "use": "sig", "alg": "ES256",
        }]})
    }

    pub fn http(&self) -> reqwest::Client {
        let pem = format!("{}{}", self.certificate.pem(), self.key.serialize_pem());
        client(Some(reqwest::Identity::from_pem(pem.as_bytes()).unwrap()))
    }

    /// RFC 9440.
    fn fields(&self) -> Vec<(&'static str, String)> {
        let sequence = |der: &[u8]| format!(":{}:", BASE64_STANDARD.encode(der));
        let mut fields = vec![("client-cert", sequence(self.certificate.der()))];
        if !self.chain.is_empty() {
            let list: Vec<String> = self.chain.iter().map(|der| sequence(der)).collect();
            fields.push(("client-cert-chain", list.join(", ")));
        }
        fields
    }
}

fn client(identity: Option<reqwest::Identity>) -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
    match identity {
        Some(identity) => builder.identity(identity).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

/// A server on the stack's database that takes certificates.
pub struct Mutual {
    pub stack: Stack,
    _server: Server,
    _copy: Copy,
    /// The origin of its listener for certificates.
    pub origin: String,
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("marque-it-{}", Uuid::new_v4().simple()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

impl Mutual {
    /// With a listener that trusts an authority, and what else the configuration says.
    pub async fn listening(authority: &Authority, more: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let own = Identity::own(&params("localhost", "localhost", "https://localhost"));
        let write = |name: &str, text: String| {
            std::fs::write(folder.join(name), text).unwrap();
            folder.join(name).display().to_string()
        };
        let (certificate, key) =
            (write("server.pem", own.certificate.pem()), write("key.pem", own.key.serialize_pem()));
        let authorities = write("ca.pem", authority.0.pem());
        let origin = format!("https://localhost:{port}");
        let settings = format!(
            "[tls]\nlisten = \"127.0.0.1:{port}\"\ncertificate = {certificate:?}\nkey = {key:?}\n\
             client_ca = {authorities:?}\nurl = {origin:?}\n{more}\n"
        );
        let mutual = Self::serving(&settings, origin).await;
        std::fs::remove_dir_all(&folder).unwrap();
        mutual
    }

    async fn serving(settings: &str, origin: String) -> Self {
        let stack = Stack::open().await;
        let copy = Copy::original(&stack);
        let server = copy.serve_as(&stack.env.keycloak.issuer, settings).await;
        Self { stack: server.stack.clone(), _server: server, _copy: copy, origin }
    }

    pub fn endpoint(&self) -> String {
        format!("{}/realms/{}/token", self.origin, self.stack.env.keycloak.realm)
    }

    /// A request with a certificate and a right proof.
    async fn ask(&self, what: &str, http: &reqwest::Client, client_id: &str) -> Reply {
        let proof = Key::fresh().proof_of(&Key::proof_claims("POST", &self.endpoint()));
        Reply::to(what, http.post(self.endpoint()).header("dpop", proof).form(&poll(client_id))).await
    }

    /// A request to the plain listener with fields of a proxy.
    async fn told(&self, what: &str, fields: &[(&str, String)], client_id: &str) -> Reply {
        let proof = Key::fresh().proof_of(&Key::proof_claims("POST", &format!("{}/token", self.stack.issuer())));
        let mut request = self.stack.http.post(self.stack.url("/token")).header("dpop", proof);
        for (name, value) in fields {
            request = request.header(*name, value);
        }
        Reply::to(what, request.form(&poll(client_id))).await
    }
}

fn poll(client_id: &str) -> Form<'static> {
    let form = [("grant_type", GRANT_INTENT), ("intent_id", "x"), ("client_id", client_id)];
    form.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.to_owned())).collect()
}

/// Authenticated: there is no such intent.
fn went_on(reply: &Reply) {
    reply.refused(400, "invalid_grant");
}

/// A client of the realm that has a certificate.
pub async fn register(id: &str, jwks: &Value, attributes: Value) {
    let admin = Admin::sign_in(&Stack::open().await).await;
    admin.remove_client(id).await;
    let mut client = json!({
        "clientId": id, "enabled": true, "publicClient": false, "clientAuthenticatorType": "client-jwt",
        "standardFlowEnabled": false, "serviceAccountsEnabled": true,
        "attributes": {"use.jwks.string": "true", "jwks.string": jwks.to_string(), "marque.kind": "agent"},
    });
    client["attributes"].as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    admin.add_client(&client).await;
}

#[tokio::test]
async fn a_certificate_that_an_authority_vouches_for_must_name_what_the_realm_says() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let mutual = Mutual::listening(&authority, "").await;
    let none = json!({"keys": []});
    register("it-mtls-subject", &none, json!({"marque.tls_subject_dn": "CN=agent,O=Corp\\, Inc."})).await;
    register("it-mtls-dns", &none, json!({"marque.tls_san_dns": DNS})).await;
    register("it-mtls-uri", &none, json!({"marque.tls_san_uri": URI})).await;
    register("it-mtls-two", &none, json!({"marque.tls_san_uri": URI, "marque.tls_san_dns": DNS})).await;
    let right = Identity::by(&authority, &params("agent", DNS, URI)).http();
    let foreign = Identity::by(&stranger, &params("agent", DNS, URI)).http();
    let other = Identity::by(&authority, &params("other", "other.example", "spiffe://mtls.example/agent/2")).http();
    for client_id in ["it-mtls-subject", "it-mtls-dns", "it-mtls-uri"] {
        went_on(&mutual.ask("the right one", &right, client_id).await);
        for (what, http) in [("another authority's", &foreign), ("another name", &other), ("none", &client(None))] {
            mutual.ask(&format!("{what} for {client_id}"), http, client_id).await.refused(401, "invalid_client");
        }
    }
    mutual.ask("no client_id", &right, "").await.refused(401, "invalid_client").naming("client_id");
    let unknown = mutual.ask("nobody", &right, "nobody").await;
    unknown.refused(401, "invalid_client");
    let not_its_own = mutual.ask("somebody else", &right, "demo-agent").await;
    assert_eq!(unknown.body, not_its_own.body, "strangers learn no ids");
    for (what, http, client_id) in
        [("two names are registered", &right, "it-mtls-two"), ("another authority's", &foreign, "it-mtls-dns")]
    {
        assert_eq!(mutual.ask(what, http, client_id).await.body, unknown.body, "{what}: strangers learn no ids");
    }
}

#[tokio::test]
async fn a_certificate_of_its_own_must_have_a_registered_key() {
    let mutual = Mutual::listening(&Authority::new(), "").await;
    let (own, other) = (Identity::own(&params("x", DNS, URI)), Identity::own(&params("x", DNS, URI)));
    register("it-mtls-own", &own.jwks(), json!({})).await;
    register("it-mtls-vouched", &own.jwks(), json!({"marque.tls_san_dns": DNS})).await;
    went_on(&mutual.ask("its key", &own.http(), "it-mtls-own").await);
    mutual.ask("another key", &other.http(), "it-mtls-own").await.refused(401, "invalid_client");
    let reply = mutual.ask("its key, where an authority is asked for", &own.http(), "it-mtls-vouched").await;
    reply.refused(401, "invalid_client");
}

#[tokio::test]
async fn a_certificate_is_one_method_and_the_proof_is_for_the_address_that_was_used() {
    let mutual = Mutual::listening(&Authority::new(), "").await;
    let own = Identity::own(&params("x", DNS, URI));
    register("it-mtls-one", &own.jwks(), json!({})).await;
    let http = own.http();
    let ask = async |what: &str, url: &str, more: Form<'static>| {
        let proof = Key::fresh().proof_of(&Key::proof_claims("POST", url));
        let form = [poll("it-mtls-one"), more].concat();
        Reply::to(what, http.post(mutual.endpoint()).header("dpop", proof).form(&form)).await
    };
    went_on(&ask("the alias", &mutual.endpoint(), vec![]).await);
    let reply = ask("the issuer's address", &format!("{}/token", mutual.stack.issuer()), vec![]).await;
    reply.refused(400, "invalid_dpop_proof").naming("htu");
    let secret = ask("a secret beside it", &mutual.endpoint(), vec![("client_secret", "x".into())]).await;
    secret.refused(401, "invalid_client").naming("shared secrets");
    let agent = mutual.stack.agent();
    let assertion = agent.assert(&agent.assertion_claims(mutual.stack.issuer()));
    let proof = agent.dpop.proof_of(&Key::proof_claims("POST", &mutual.endpoint()));
    let mut form = poll("");
    form.push(("client_assertion_type", marque_core::names::ASSERTION_TYPE_JWT.into()));
    form.push(("client_assertion", assertion));
    let reply = Reply::to("an assertion", client(None).post(mutual.endpoint()).header("dpop", proof).form(&form)).await;
    went_on(&reply);
}

#[tokio::test]
async fn the_metadata_says_where_certificates_are_taken() {
    let mutual = Mutual::listening(&Authority::new(), "").await;
    let path = "/.well-known/oauth-authorization-server";
    let with = Reply::to("with", mutual.stack.http.get(mutual.stack.url(path))).await;
    assert_eq!(with.body["mtls_endpoint_aliases"]["token_endpoint"], mutual.endpoint().as_str());
    let methods = json!(["private_key_jwt", "self_signed_tls_client_auth", "tls_client_auth"]);
    assert_eq!(with.body["token_endpoint_auth_methods_supported"], methods);
    assert_eq!(with.body["tls_client_certificate_bound_access_tokens"], true);
    let stack = Stack::open().await;
    let without = Reply::to("without", stack.http.get(stack.url(path))).await;
    assert_eq!(without.body["token_endpoint_auth_methods_supported"], json!(["private_key_jwt"]));
    assert!(without.body.get("mtls_endpoint_aliases").is_none());
    assert!(without.body.get("tls_client_certificate_bound_access_tokens").is_none());
}

#[tokio::test]
async fn who_begins_a_handshake_and_dawdles_keeps_nobody_waiting() {
    let mutual = Mutual::listening(&Authority::new(), "").await;
    let address = mutual.origin.replace("https://localhost", "127.0.0.1");
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    let http = client(None);
    let asked = mutual.ask("behind them", &http, "nobody");
    let reply = tokio::time::timeout(std::time::Duration::from_secs(5), asked).await.expect("an answer");
    reply.refused(401, "invalid_client");
}

/// One address has a share of the handshakes, however many it begins.
#[tokio::test]
async fn an_address_with_hundreds_of_slow_handshakes_keeps_no_other_waiting() {
    let mutual = Mutual::listening(&Authority::new(), "").await;
    let address = mutual.origin.replace("https://localhost", "127.0.0.1");
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    let from_elsewhere = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
    let http = from_elsewhere.local_address(std::net::IpAddr::from([127, 0, 0, 2])).build().unwrap();
    let asked = mutual.ask("from another address", &http, "nobody");
    let reply = tokio::time::timeout(std::time::Duration::from_secs(5), asked).await.expect("an answer");
    reply.refused(401, "invalid_client");
    drop(idle);
}

#[tokio::test]
async fn a_proxy_is_believed_from_its_address_alone() {
    let (authority, folder) = (Authority::new(), folder());
    let middle = authority.vouching();
    let file = folder.join("ca.pem");
    std::fs::write(&file, authority.0.pem()).unwrap();
    register("it-mtls-told", &json!({"keys": []}), json!({"marque.tls_san_uri": URI})).await;
    let mut identity = Identity::by(&middle, &params("agent", DNS, URI));
    let settings = |addresses: &str| format!("[tls]\nclient_ca = {file:?}\nproxies = [{addresses}]\n");

    let believed = Mutual::serving(&settings("\"10.9.8.7\", \"127.0.0.1\""), String::new()).await;
    let told = believed.told("without its chain", &identity.fields(), "it-mtls-told").await;
    told.refused(401, "invalid_client");
    identity.chain = vec![middle.0.der().to_vec()];
    let fields = identity.fields();
    went_on(&believed.told("with its chain", &fields, "it-mtls-told").await);
    let own = fields[0].1.clone();
    for (what, fields) in [
        ("two of them", vec![("client-cert", own.clone()), ("client-cert", own.clone())]),
        ("a chain alone", vec![fields[1].clone()]),
        ("without colons", vec![("client-cert", own.trim_matches(':').to_owned())]),
        ("no base64", vec![("client-cert", ":%%%:".to_owned())]),
        ("no certificate", vec![("client-cert", ":AAAA:".to_owned())]),
    ] {
        believed.told(what, &fields, "it-mtls-told").await.refused(400, "invalid_request");
    }
    believed.told("none", &[], "it-mtls-told").await.refused(401, "invalid_client");

    let elsewhere = Mutual::serving(&settings("\"10.9.8.7\""), String::new()).await;
    let reply = elsewhere.told("from no proxy", &fields, "it-mtls-told").await;
    reply.refused(400, "invalid_request").naming("Client-Cert");
    let off = Stack::open().await;
    let off = Mutual { stack: off, origin: String::new(), ..elsewhere };
    off.told("where none is configured", &fields, "it-mtls-told").await.refused(401, "invalid_client");

    let listening = Mutual::listening(&authority, "proxies = [\"127.0.0.1\"]").await;
    let proof = Key::fresh().proof_of(&Key::proof_claims("POST", &listening.endpoint()));
    let request = client(None).post(listening.endpoint()).header("dpop", proof).header("client-cert", &own);
    let reply = Reply::to("at the listener for certificates", request.form(&poll("it-mtls-told"))).await;
    reply.refused(400, "invalid_request").naming("Client-Cert");
    std::fs::remove_dir_all(Path::new(&folder)).unwrap();
}
