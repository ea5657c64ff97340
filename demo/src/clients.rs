//! OAuth clients as the demonstration's programs are: `private_key_jwt`, DPoP, token exchange, Keycloak tokens.

use std::fs;
use std::path::Path;
use std::sync::{Mutex as Lock, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::EncodingKey;
use marque_core::call::Call;
use marque_core::canonical::{Digest, decode};
use marque_core::jws::{self, VerificationKey};
use marque_core::names::{
    ASSERTION_TYPE_JWT, GRANT_TOKEN_EXCHANGE, HEADER_ACCEPT_CHALLENGE, HEADER_DPOP, HEADER_TXN_TOKEN, TOKEN_TYPE_TXN,
    TYP_CLIENT_ASSERTION, TYP_DPOP,
};
use marque_gate::keys::Pending;
use marque_gate::remote::AccessTokens;
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::env::{Client, Env};
use crate::{Failure, Result, about};

/// How long any one request may take: more than any healthy answer on one machine takes.
const ANSWER: Duration = Duration::from_secs(10);
/// Seconds that a client assertion lives; it is used at once.
const ASSERTION_SECS: i64 = 60;
/// How long before its end a Keycloak token is replaced.
const EARLY: Duration = Duration::from_secs(30);

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A P-256 key with which a client signs.
pub struct SigningKey {
    private: EncodingKey,
    public: Map<String, Value>,
    kid: String,
}

impl SigningKey {
    /// Reads a private JWK.
    ///
    /// # Errors
    /// When the file is not one of a P-256 key.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(about(path.display()))?;
        Self::from_jwk(&serde_json::from_slice(&text).map_err(about(path.display()))?).map_err(about(path.display()))
    }

    fn from_jwk(jwk: &Value) -> Result<Self> {
        let part = |name: &str| -> Result<Vec<u8>> {
            let bytes = jwk.get(name).and_then(Value::as_str).and_then(decode);
            bytes.ok_or_else(|| format!("has no usable member {name:?}").into())
        };
        let point = [vec![4], part("x")?, part("y")?].concat();
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &part("d")?, &point)?;
        let public = jws::public_members(jwk.as_object().ok_or("is no object")?);
        let kid = VerificationKey::from_jwk(&Value::Object(public.clone()))?.thumbprint().to_owned();
        Ok(Self { private: EncodingKey::from_ec_der(pair.to_pkcs8v1()?.as_ref()), public, kid })
    }

    /// RFC 7638 thumbprint, SHA-256, base64url.
    pub fn thumbprint(&self) -> &str {
        &self.kid
    }

    /// Signs a payload as a JWS of a type; the key id is the key's thumbprint.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, typ: &str, payload: &[u8]) -> Result<String> {
        Ok(jws::sign_es256(typ, Some(&self.kid), payload, &self.private)?)
    }

    /// A DPoP proof (RFC 9449 §4.2) for one request with a token.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn prove(&self, method: &Method, url: &str, token: Option<&str>, call: Option<Digest>) -> Result<String> {
        let mut claims = proof_claims(method, url);
        if let Some(token) = token {
            claims["ath"] = Digest::of(token.as_bytes()).to_base64().into();
        }
        if let Some(digest) = call {
            claims["call_digest"] = digest.to_base64().into();
        }
        self.sign_proof(&claims)
    }

    /// A DPoP proof for one request to an authorization server that asks for a nonce (RFC 9449 §8).
    fn prove_fresh(&self, method: &Method, url: &str, nonce: Option<String>) -> Result<String> {
        let mut claims = proof_claims(method, url);
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        self.sign_proof(&claims)
    }

    fn sign_proof(&self, claims: &Value) -> Result<String> {
        let header = json!({"typ": TYP_DPOP, "alg": "ES256", "jwk": self.public});
        Ok(jws::sign_with_header(&header, claims.to_string().as_bytes(), &self.private)?)
    }
}

/// What every proof says; the query is no part of `htu`.
fn proof_claims(method: &Method, url: &str) -> Value {
    json!({
        "jti": Uuid::new_v4().to_string(), "iat": now(), "htm": method.as_str(),
        "htu": url.split('?').next().unwrap_or(url),
    })
}

impl marque_gate::SigningKey for SigningKey {
    fn sign(&self, typ: &str, payload: &[u8]) -> std::result::Result<String, String> {
        Self::sign(self, typ, payload).map_err(|error| error.to_string())
    }
}

/// An HTTP answer with whatever JSON it held.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; `null` if it is no JSON.
    pub body: Value,
    /// The nonce for the next proof, if the answer offers one (RFC 9449 §8).
    pub nonce: Option<String>,
}

impl Answer {
    /// The answer of one request.
    ///
    /// # Errors
    /// When there is none within ten seconds.
    pub async fn to(request: reqwest::RequestBuilder) -> Result<Self> {
        let answer = request.timeout(ANSWER).send().await?;
        let status = answer.status().as_u16();
        let nonce = answer.headers().get("dpop-nonce").and_then(|nonce| nonce.to_str().ok()).map(str::to_owned);
        Ok(Self { status, body: serde_json::from_slice(&answer.bytes().await?).unwrap_or_default(), nonce })
    }

    /// A text member of the body.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    /// The reason of a refusal, or the OAuth error code where there is no reason.
    pub fn reason(&self) -> &str {
        self.text("reason").or_else(|| self.text("error")).unwrap_or("no reason given")
    }

    /// The body of a success.
    ///
    /// # Errors
    /// Any other answer, in words.
    pub fn success(self) -> Result<Value> {
        match self.status {
            200..=299 => Ok(self.body),
            status => {
                let description = self.text("error_description").unwrap_or_default();
                Err(format!("answered {status} {}: {description}", self.reason()).into())
            }
        }
    }
}

/// A client that acts: an agent or a worker.
pub struct Party {
    /// Its client id.
    pub client_id: String,
    /// The key that its tokens are bound to.
    pub dpop: SigningKey,
    signing: SigningKey,
    issuer: String,
    trust_domain: String,
    http: reqwest::Client,
    nonce: Lock<Option<String>>,
}

/// What to exchange a token for.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// Only these steps, perhaps with narrower arguments: `agent_intent_step` objects. None means all.
    pub steps: Option<Value>,
    /// Only the steps at this location.
    pub resource: Option<String>,
}

impl Party {
    /// A client of the running demonstration.
    ///
    /// # Errors
    /// When its keys cannot be read.
    pub fn new(env: &Env, client: &Client) -> Result<Self> {
        Ok(Self {
            client_id: client.client_id.clone(),
            dpop: SigningKey::read(&client.dpop_key)?,
            signing: SigningKey::read(&client.key)?,
            issuer: env.marque.issuer.clone(),
            trust_domain: env.marque.trust_domain.clone(),
            http: http()?,
            nonce: Lock::default(),
        })
    }

    /// Posts a form to a path below Marque's issuer, with client authentication and a proof; once more where Marque asks
    /// for another nonce in the proof.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer> {
        match self.post_once(path, form).await? {
            answer if answer.text("error") == Some("use_dpop_nonce") => self.post_once(path, form).await,
            answer => Ok(answer),
        }
    }

    async fn post_once(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer> {
        let url = format!("{}{path}", self.issuer);
        let assertion = assertion(&self.signing, &self.client_id, &self.issuer)?;
        let authentication = [("client_assertion_type", ASSERTION_TYPE_JWT), ("client_assertion", &assertion)];
        let proof = self.dpop.prove_fresh(&Method::POST, &url, self.nonce().clone())?;
        let form: Vec<_> = form.iter().copied().chain(authentication).collect();
        let answer = Answer::to(self.http.post(&url).header(HEADER_DPOP, proof).form(&form)).await?;
        if answer.nonce.is_some() {
            self.nonce().clone_from(&answer.nonce);
        }
        Ok(answer)
    }

    /// The nonce that Marque offered last.
    fn nonce(&self) -> MutexGuard<'_, Option<String>> {
        self.nonce.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Exchanges a token for a transaction token of its own (RFC 8693).
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn exchange(&self, subject_token: &str, token_type: &str, ask: &Exchange) -> Result<Answer> {
        let steps = ask.steps.as_ref().map(Value::to_string);
        let mut form = vec![
            ("grant_type", GRANT_TOKEN_EXCHANGE),
            ("audience", self.trust_domain.as_str()),
            ("requested_token_type", TOKEN_TYPE_TXN),
            ("subject_token", subject_token),
            ("subject_token_type", token_type),
        ];
        form.extend(steps.as_deref().map(|steps| ("authorization_details", steps)));
        form.extend(ask.resource.as_deref().map(|resource| ("resource", resource)));
        self.post("/token", &form).await
    }

    /// Calls the resource server: the token, a proof that covers this very call, and the call.
    ///
    /// # Errors
    /// When the call has no route or there is no answer.
    pub async fn call(&self, token: &str, call: &Call) -> Result<Answer> {
        self.send(token, &self.prove_call(token, call)?, call).await
    }

    /// The proof for a call.
    ///
    /// # Errors
    /// When the call has no route.
    pub fn prove_call(&self, token: &str, call: &Call) -> Result<String> {
        let (method, url) = route(call)?;
        self.dpop.prove(&method, &url, Some(token), Some(call.digest()))
    }

    /// Sends a call with whatever token and proof.
    ///
    /// # Errors
    /// As [`Party::call`].
    pub async fn send(&self, token: &str, proof: &str, call: &Call) -> Result<Answer> {
        let (method, url) = route(call)?;
        let request = self.http.request(method.clone(), url).header(HEADER_TXN_TOKEN, token).header(HEADER_DPOP, proof);
        let request = request.header(HEADER_ACCEPT_CHALLENGE, "?1");
        let has_body = method != Method::GET;
        Answer::to(if has_body { request.json(&call.args) } else { request }).await
    }

    /// Posts JSON to another service with a token and a proof.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_to(&self, url: &str, token: &str, body: &Value) -> Result<Answer> {
        let proof = self.dpop.prove(&Method::POST, url, Some(token), None)?;
        let request = self.http.post(url).header(HEADER_TXN_TOKEN, token).header(HEADER_DPOP, proof);
        Answer::to(request.json(body)).await
    }
}

/// How a call to the demo resource server travels: its method and its URL.
///
/// # Errors
/// When the action is none of the resource server's.
pub fn route(call: &Call) -> Result<(Method, String)> {
    let (base, id) = (&call.location, &call.resource.id);
    match call.action.as_str() {
        "list_service_accounts" => Ok((Method::GET, format!("{base}/service-accounts?environment={id}"))),
        "rotate_key" => Ok((Method::POST, format!("{base}/service-accounts/{id}/rotate"))),
        "update_secret" => Ok((Method::PUT, format!("{base}/secrets/{id}"))),
        "read_runbook" => Ok((Method::GET, format!("{base}/runbooks/{id}"))),
        "send_notice" => Ok((Method::POST, format!("{base}/service-accounts/{id}/notices"))),
        action => Err(format!("the resource server has no action {action:?}").into()),
    }
}

/// A client for requests to other programs of the demonstration.
///
/// # Errors
/// When it cannot be made.
pub fn http() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?)
}

/// A client assertion (RFC 7523 §2.2) for one audience.
fn assertion(key: &SigningKey, client_id: &str, audience: &str) -> Result<String> {
    let claims = json!({
        "iss": client_id, "sub": client_id, "aud": audience, "jti": Uuid::new_v4().to_string(),
        "iat": now(), "exp": now() + ASSERTION_SECS,
    });
    key.sign(TYP_CLIENT_ASSERTION, claims.to_string().as_bytes())
}

/// Access tokens of the realm's Keycloak for a client itself (client credentials), kept until
/// shortly before their end.
pub struct KeycloakTokens {
    client_id: String,
    key: SigningKey,
    realm: String,
    http: reqwest::Client,
    kept: Mutex<Option<(String, Instant)>>,
}

impl KeycloakTokens {
    /// Tokens for a client of the running demonstration.
    ///
    /// # Errors
    /// When its key cannot be read.
    pub fn new(env: &Env, client: &Client) -> Result<Self> {
        Ok(Self {
            client_id: client.client_id.clone(),
            key: SigningKey::read(&client.key)?,
            realm: env.keycloak.issuer.clone(),
            http: http()?,
            kept: Mutex::default(),
        })
    }

    /// A token that is good for some time.
    ///
    /// # Errors
    /// When Keycloak gives none.
    pub async fn token(&self, refused: Option<&str>) -> Result<String> {
        let mut kept = self.kept.lock().await;
        let good = kept.as_ref().filter(|(token, end)| *end > Instant::now() && refused != Some(token.as_str()));
        if let Some((token, _)) = good {
            return Ok(token.clone());
        }
        let (token, lives) = self.fetch().await?;
        *kept = Some((token.clone(), Instant::now() + lives.saturating_sub(EARLY)));
        Ok(token)
    }

    async fn fetch(&self) -> Result<(String, Duration)> {
        let url = format!("{}/protocol/openid-connect/token", self.realm);
        let assertion = assertion(&self.key, &self.client_id, &self.realm)?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION_TYPE_JWT),
            ("client_assertion", &assertion),
        ];
        let answer = Answer::to(self.http.post(url).form(&form)).await?.success().map_err(about("Keycloak"))?;
        let token = answer.get("access_token").and_then(Value::as_str).ok_or("Keycloak gave no access token")?;
        let secs = answer.get("expires_in").and_then(Value::as_u64).unwrap_or(0);
        Ok((token.to_owned(), Duration::from_secs(secs)))
    }
}

impl AccessTokens for KeycloakTokens {
    fn access_token<'a>(&'a self, refused: Option<&'a str>) -> Pending<'a, std::result::Result<String, String>> {
        Box::pin(async move { self.token(refused).await.map_err(|error: Failure| error.to_string()) })
    }
}

/// Serves at the port of a base URL until the program is told to end.
///
/// # Errors
/// When the URL has no port or the port is taken.
pub async fn serve(base: &str, app: axum::Router) -> Result<()> {
    let port: u16 = base.rsplit(':').next().and_then(|port| port.parse().ok()).ok_or("the URL has no port")?;
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).await?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let ended = async move {
        terminate.recv().await;
    };
    Ok(axum::serve(listener, app).with_graceful_shutdown(ended).await?)
}
