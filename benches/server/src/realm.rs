//! A stand-in for the Keycloak realm and its extension, in memory: what Marque asks a realm while it is measured costs
//! next to nothing and is signed by a key that is known here. It proves nothing about Keycloak; the tests do that.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use bench_keys::{Failure, Key};
use marque_core::names::TYP_JWT;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use uuid::Uuid;

/// The realm's name, at the stand-in and at Marque.
pub const NAME: &str = "bench";
/// The person's user name.
pub const USERNAME: &str = "alice";
/// The person's `sub`.
pub const SUB: &str = "5f0c0f4e-7d5b-4b0e-9d0a-0d6a4c5c7a11";
/// Seconds that the realm's tokens live: longer than a whole run.
const TOKEN_SECS: i64 = 3600;

/// A sign-in on its way.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Comes back in the redirect.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Marque's client that began it.
    pub client_id: String,
}

/// The realm.
pub struct Realm {
    /// Its issuer.
    pub issuer: String,
    /// Its signing key.
    pub key: Key,
    clients: Mutex<BTreeMap<String, Value>>,
    passkey: Mutex<Value>,
    sign_ins: Mutex<BTreeMap<String, SignIn>>,
    id_tokens: Mutex<BTreeMap<String, String>>,
}

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn locked<T>(what: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Realm {
    /// Starts a realm on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Arc<Self>, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let issuer = format!("http://{}/realms/{NAME}", listener.local_addr()?);
        let realm = Arc::new(Self {
            issuer,
            key: Key::new()?,
            clients: Mutex::default(),
            passkey: Mutex::default(),
            sign_ins: Mutex::default(),
            id_tokens: Mutex::default(),
        });
        let below_issuer = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/protocol/openid-connect/certs", get(certificates))
            .route("/protocol/openid-connect/token", post(token))
            .route("/protocol/openid-connect/ext/par/request", post(push))
            .route("/marque/clients/{id}", get(client))
            .route("/marque/users/{sub}", get(user))
            .with_state(realm.clone());
        let router = Router::new().nest(&format!("/realms/{NAME}"), below_issuer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(realm)
    }

    /// Registers a client with its key and attributes.
    pub fn add_client(&self, client_id: &str, key: &Key, attributes: Value) {
        self.add_client_with(client_id, key.jwks(json!({"use": "sig", "alg": "ES256"})), attributes);
    }

    /// Registers a client with its public keys and attributes.
    pub fn add_client_with(&self, client_id: &str, jwks: Value, attributes: Value) {
        let record = json!({"client_id": client_id, "enabled": true, "jwks": jwks, "attributes": attributes});
        locked(&self.clients).insert(client_id.to_owned(), record);
    }

    /// Gives the person her passkey.
    pub fn set_passkey(&self, credential_id: &str, public_key: &str) {
        *locked(&self.passkey) = json!({"credential_id": credential_id, "public_key": public_key});
    }

    /// An access token of a client for one audience.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn access_token(&self, client_id: &str, audience: &str) -> Result<String, Failure> {
        let claims = json!({
            "iss": self.issuer, "aud": audience, "azp": client_id, "typ": "Bearer", "iat": now(),
            "exp": now() + TOKEN_SECS, "jti": Uuid::new_v4(),
        });
        self.key.sign(TYP_JWT, &claims)
    }

    /// The sign-in that was pushed under this reference.
    ///
    /// # Errors
    /// When there is none.
    pub fn sign_in(&self, request_uri: &str) -> Result<SignIn, Failure> {
        locked(&self.sign_ins).remove(request_uri).ok_or_else(|| "no sign-in was pushed".into())
    }

    /// Ends a sign-in: a code, for which the realm gives an ID token with these further claims.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn end_sign_in(&self, sign_in: &SignIn, more: Map<String, Value>) -> Result<String, Failure> {
        let mut claims = json!({
            "iss": self.issuer, "aud": sign_in.client_id, "azp": sign_in.client_id, "typ": "ID", "sub": SUB,
            "preferred_username": USERNAME, "nonce": sign_in.nonce, "acr": "1", "iat": now(), "auth_time": now(),
            "exp": now() + TOKEN_SECS,
        });
        if let Some(claims) = claims.as_object_mut() {
            claims.extend(more);
        }
        let code = Uuid::new_v4().to_string();
        locked(&self.id_tokens).insert(code.clone(), self.key.sign(TYP_JWT, &claims)?);
        Ok(code)
    }
}

type Shared = State<Arc<Realm>>;
type Fields = Form<BTreeMap<String, String>>;

async fn discovery(State(realm): Shared) -> Json<Value> {
    let protocol = format!("{}/protocol/openid-connect", realm.issuer);
    Json(json!({
        "issuer": realm.issuer, "authorization_endpoint": format!("{protocol}/auth"),
        "token_endpoint": format!("{protocol}/token"), "jwks_uri": format!("{protocol}/certs"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn certificates(State(realm): Shared) -> Json<Value> {
    Json(realm.key.jwks(json!({"use": "sig", "alg": "ES256"})))
}

async fn token(State(realm): Shared, Form(form): Fields) -> Result<Json<Value>, StatusCode> {
    match form.get("code") {
        None => Ok(Json(json!({"access_token": "of-the-stand-in", "expires_in": TOKEN_SECS}))),
        Some(code) => {
            let id_token = locked(&realm.id_tokens).remove(code).ok_or(StatusCode::BAD_REQUEST)?;
            Ok(Json(json!({"id_token": id_token})))
        }
    }
}

async fn push(State(realm): Shared, Form(form): Fields) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let field = |name: &str| form.get(name).cloned().ok_or(StatusCode::BAD_REQUEST);
    let sign_in = SignIn { state: field("state")?, nonce: field("nonce")?, client_id: field("client_id")? };
    let request_uri = format!("urn:ietf:params:oauth:request_uri:{}", Uuid::new_v4());
    locked(&realm.sign_ins).insert(request_uri.clone(), sign_in);
    Ok((StatusCode::CREATED, Json(json!({"request_uri": request_uri, "expires_in": 60}))))
}

async fn client(State(realm): Shared, Path(id): Path<String>) -> Result<Json<Value>, StatusCode> {
    locked(&realm.clients).get(&id).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn user(State(realm): Shared, Path(sub): Path<String>) -> Result<Json<Value>, StatusCode> {
    if sub != SUB {
        return Err(StatusCode::NOT_FOUND);
    }
    let passkey = locked(&realm.passkey).clone();
    Ok(Json(json!({"sub": SUB, "username": USERNAME, "enabled": true, "passkeys": [passkey]})))
}
