//! A realm that a test controls, and clients added to the stack's own realm.

use super::keys::{Client, Key, now};
use super::plans::THIRD;
use super::stack::Stack;
use reqwest::Url;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How the realm behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// As it should.
    Well,
    /// It takes requests and never answers.
    Slow,
    /// It answers 200 with a page.
    Nonsense,
    /// It answers 500.
    Broken,
}

struct State {
    issuer: String,
    key: Key,
    mood: Mutex<Mood>,
    clients: Mutex<BTreeMap<String, Value>>,
    users: Mutex<BTreeMap<String, Value>>,
    pushed: Mutex<BTreeMap<String, String>>,
    id_token: Mutex<Option<String>>,
}

/// A stand-in for Keycloak and its extension, as far as clients, keys and sign-ins without a page go.
pub struct Realm {
    state: Arc<State>,
    port: u16,
    serving: Option<JoinHandle<()>>,
}

impl Realm {
    /// A realm that knows the stack's clients; it is down until [`Self::go_up`].
    pub fn of(stack: &Stack) -> Self {
        let port = super::server::free_port();
        let record = |client: &Client, attributes: Value| {
            let jwks = client.signing.jwks();
            json!({"client_id": client.id, "enabled": true, "jwks": jwks, "attributes": attributes})
        };
        let (agent, worker, rs) = (stack.agent(), stack.worker(), Client::of(&stack.env.clients.rs));
        let is_agent = json!({"marque.kind": "agent", "marque.users": stack.env.user.username});
        let is_server = json!({"marque.kind": "resource-server", "marque.locations": stack.location()});
        let records = [(&agent, is_agent.clone()), (&worker, is_agent), (&rs, is_server)];
        let clients = records.into_iter().map(|(client, is)| (client.id.clone(), record(client, is))).collect();
        let state = State {
            issuer: format!("http://localhost:{port}/realms/{}", stack.env.keycloak.realm),
            key: Key::fresh(),
            mood: Mutex::new(Mood::Well),
            clients: Mutex::new(clients),
            users: Mutex::default(),
            pushed: Mutex::default(),
            id_token: Mutex::default(),
        };
        Self { state: Arc::new(state), port, serving: None }
    }

    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    pub fn key(&self) -> &Key {
        &self.state.key
    }

    /// Begins to listen.
    pub async fn go_up(&mut self, mood: Mood) {
        self.go_down();
        *self.state.mood.lock().unwrap() = mood;
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", self.port)).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        };
        let state = self.state.clone();
        self.serving = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(state.clone(), stream));
            }
        }));
    }

    /// Closes the listener and every connection.
    pub fn go_down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }

    /// Whether a client is enabled from now on.
    pub fn set_enabled(&self, client_id: &str, enabled: bool) {
        self.state.clients.lock().unwrap().get_mut(client_id).unwrap()["enabled"] = enabled.into();
    }

    /// Gives a client an attribute.
    pub fn set_attribute(&self, client_id: &str, name: &str, value: &str) {
        self.state.clients.lock().unwrap().get_mut(client_id).unwrap()["attributes"][name] = value.into();
    }

    /// A client with attributes and without keys.
    pub fn set_client(&self, client_id: &str, attributes: Value) {
        let record = json!({"client_id": client_id, "enabled": true, "jwks": {"keys": []}, "attributes": attributes});
        self.state.clients.lock().unwrap().insert(client_id.to_owned(), record);
    }

    /// What the realm says of a user from now on.
    pub fn set_user(&self, sub: &str, user: Value) {
        self.state.users.lock().unwrap().insert(sub.to_owned(), user);
    }

    /// A parameter of the authorization request that was pushed last.
    pub fn pushed(&self, name: &str) -> String {
        self.state.pushed.lock().unwrap()[name].clone()
    }

    /// Answers this ID token for whatever code from now on.
    pub fn set_id_token(&self, id_token: &str) {
        *self.state.id_token.lock().unwrap() = Some(id_token.to_owned());
    }

    /// The claims of a right access token of a resource server.
    pub fn access_claims(&self, stack: &Stack) -> Value {
        json!({
            "iss": self.issuer(), "aud": stack.issuer(), "azp": stack.env.resource_server.client_id, "typ": "Bearer",
            "iat": now(), "exp": now() + 300, "jti": Uuid::new_v4().to_string(),
        })
    }

    /// The claims of a right plan request of the extension.
    pub fn plan_request(&self, stack: &Stack, intent_id: &str) -> Value {
        json!({
            "iss": self.issuer(), "aud": stack.issuer(), "intent_id": intent_id, "iat": now(), "exp": now() + 60,
            "jti": Uuid::new_v4().to_string(),
        })
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        self.go_down();
    }
}

async fn answer(state: Arc<State>, mut stream: TcpStream) {
    let Some((path, form)) = read_request(&mut stream).await else { return };
    let mood = *state.mood.lock().unwrap();
    let (status, body) = match mood {
        Mood::Well => state.answer(&path, &form),
        Mood::Slow => std::future::pending().await,
        Mood::Nonsense => (200, "<html>It works!</html>".to_owned()),
        Mood::Broken => (500, r#"{"error":"unknown_error"}"#.to_owned()),
    };
    let length = body.len();
    let head = "Content-Type: application/json\r\nConnection: close\r\nContent-Length:";
    let _ = stream.write_all(format!("HTTP/1.1 {status} Status\r\n{head} {length}\r\n\r\n{body}").as_bytes()).await;
}

/// Reads one request to its end; answers its path and what came with it.
async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some((head.split(' ').nth(1)?.to_owned(), body.to_owned()));
        }
    }
}

impl State {
    fn answer(&self, path: &str, form: &str) -> (u16, String) {
        let issuer = &self.issuer;
        let below = path.splitn(4, '/').nth(3).unwrap_or_default();
        let protocol = format!("{issuer}/protocol/openid-connect");
        let found = match below {
            ".well-known/openid-configuration" => Some(json!({
                "issuer": issuer, "authorization_endpoint": format!("{protocol}/auth"),
                "token_endpoint": format!("{protocol}/token"), "jwks_uri": format!("{protocol}/certs"),
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            })),
            "protocol/openid-connect/certs" => Some(self.key.jwks()),
            "protocol/openid-connect/token" => {
                let id_token = self.id_token.lock().unwrap().clone();
                Some(json!({"access_token": "a-token", "expires_in": 300, "id_token": id_token}))
            }
            "protocol/openid-connect/ext/par/request" => {
                let pushed = Url::parse(&format!("http://localhost/?{form}")).unwrap();
                *self.pushed.lock().unwrap() = pushed.query_pairs().into_owned().collect();
                Some(json!({"request_uri": "urn:x", "expires_in": 60}))
            }
            _ => match below.strip_prefix("marque/users/") {
                Some(sub) => self.users.lock().unwrap().get(sub).cloned(),
                None => {
                    below.strip_prefix("marque/clients/").and_then(|id| self.clients.lock().unwrap().get(id).cloned())
                }
            },
        };
        found.map_or((404, r#"{"error":"not_found"}"#.to_owned()), |found| (200, found.to_string()))
    }
}

static THIRD_KEYS: LazyLock<Key> = LazyLock::new(Key::fresh);

/// A third agent of the stack's realm; its keys live as long as the tests.
pub fn third() -> Client {
    Client { id: THIRD.to_owned(), signing: THIRD_KEYS.clone(), dpop: Key::fresh() }
}

/// Registers a third agent at the stack's realm, with a fresh key.
pub async fn register_third(stack: &Stack) {
    register(stack, &third()).await;
}

/// Registers an agent at the stack's realm.
pub async fn register(stack: &Stack, agent: &Client) {
    let admin = Admin::sign_in(stack).await;
    admin.remove_client(&agent.id).await;
    let client = json!({
        "clientId": agent.id, "enabled": true, "publicClient": false, "clientAuthenticatorType": "client-jwt",
        "standardFlowEnabled": false, "serviceAccountsEnabled": true,
        "attributes": {
            "use.jwks.string": "true", "jwks.string": agent.signing.jwks().to_string(), "marque.kind": "agent",
            "token.endpoint.auth.signing.alg": "ES256",
        },
    });
    admin.add_client(&client).await;
}

/// The stack's Keycloak as its administrator sees it.
pub struct Admin {
    http: reqwest::Client,
    clients: String,
    token: String,
}

impl Admin {
    pub async fn sign_in(stack: &Stack) -> Self {
        let keycloak = &stack.env.keycloak;
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", &keycloak.admin.username),
            ("password", &keycloak.admin.password),
        ];
        let url = format!("{}/realms/master/protocol/openid-connect/token", keycloak.base);
        let answer: Value = stack.http.post(url).form(&form).send().await.unwrap().json().await.unwrap();
        let token = answer["access_token"].as_str().expect("Keycloak's administrator signs in").to_owned();
        Self {
            http: stack.http.clone(),
            clients: format!("{}/admin/realms/{}/clients", keycloak.base, keycloak.realm),
            token,
        }
    }

    pub async fn remove_client(&self, client_id: &str) {
        let list = self.http.get(format!("{}?clientId={client_id}", self.clients)).bearer_auth(&self.token);
        let found: Vec<Value> = list.send().await.unwrap().json().await.unwrap();
        for client in found {
            let url = format!("{}/{}", self.clients, client["id"].as_str().unwrap());
            let answer = self.http.delete(url).bearer_auth(&self.token).send().await.unwrap();
            assert_eq!(answer.status(), 204, "Keycloak removes a client");
        }
    }

    /// Adds words to a client's attribute.
    pub async fn add_words(&self, client_id: &str, attribute: &str, words: &BTreeSet<&str>) {
        self.change_words(client_id, attribute, |given| given.extend(words.iter().map(|word| (*word).to_owned())))
            .await;
    }

    /// Takes words from a client's attribute.
    pub async fn remove_words(&self, client_id: &str, attribute: &str, words: &BTreeSet<&str>) {
        self.change_words(client_id, attribute, |given| given.retain(|word| !words.contains(word.as_str()))).await;
    }

    /// One after the other: what is read is written back.
    async fn change_words(&self, client_id: &str, attribute: &str, change: impl FnOnce(&mut BTreeSet<String>)) {
        static CHANGING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _changing = CHANGING.lock().await;
        let mut client = self.get(format!("{}?clientId={client_id}", self.clients)).await[0].take();
        let given = client["attributes"][attribute].as_str().unwrap_or_default();
        let mut words = given.split_whitespace().map(str::to_owned).collect();
        change(&mut words);
        client["attributes"][attribute] = words.into_iter().collect::<Vec<_>>().join(" ").into();
        let url = format!("{}/{}", self.clients, client["id"].as_str().unwrap());
        let answer = self.http.put(url).bearer_auth(&self.token).json(&client).send().await.unwrap();
        assert_eq!(answer.status(), 204, "Keycloak changes a client: {}", answer.text().await.unwrap());
    }

    /// An access token of a service account of its own, for one audience, perhaps with a realm role.
    pub async fn token_of_service(&self, client_id: &str, audience: &str, role: Option<&str>) -> String {
        self.remove_client(client_id).await;
        let secret = Uuid::new_v4().to_string();
        let mapper = json!({
            "name": "audience", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
            "config": {"included.custom.audience": audience, "access.token.claim": "true"},
        });
        let client = json!({
            "clientId": client_id, "enabled": true, "publicClient": false, "secret": secret, "fullScopeAllowed": false,
            "standardFlowEnabled": false, "serviceAccountsEnabled": true, "protocolMappers": [mapper],
        });
        self.add_client(&client).await;
        if let Some(role) = role {
            self.give_role(client_id, role).await;
        }
        let form = [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", &secret)];
        self.token(&form).await
    }

    async fn token(&self, form: &[(&str, &str)]) -> String {
        let realm = self.clients.strip_suffix("/clients").unwrap().replace("/admin/realms/", "/realms/");
        let request = self.http.post(format!("{realm}/protocol/openid-connect/token")).form(form);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("Keycloak gives no token: {answer}")).to_owned()
    }

    /// Makes the client that administrators sign in with, here with user name and password, and lets it speak of the
    /// role. It has a service account, too.
    pub async fn make_console(&self, client_id: &str, audience: &str, secret: &str) {
        self.remove_client(client_id).await;
        let mapper = json!({
            "name": "audience", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
            "config": {"included.custom.audience": audience, "access.token.claim": "true"},
        });
        let client = json!({
            "clientId": client_id, "enabled": true, "publicClient": false, "secret": secret, "fullScopeAllowed": false,
            "standardFlowEnabled": false, "directAccessGrantsEnabled": true, "serviceAccountsEnabled": true,
            "protocolMappers": [mapper],
        });
        self.add_client(&client).await;
        self.give_role(client_id, "marque-admin").await;
    }

    /// An access token of a client of [`Self::make_console`], for one of its users or for the client itself.
    pub async fn console_token(&self, client_id: &str, secret: &str, user: Option<(&str, &str)>) -> String {
        let mut form = vec![("client_id", client_id), ("client_secret", secret)];
        match user {
            None => form.push(("grant_type", "client_credentials")),
            Some((name, password)) => {
                form.extend([("grant_type", "password"), ("username", name), ("password", password)]);
            }
        }
        self.token(&form).await
    }

    /// Makes a user with a password, and perhaps with a realm role.
    pub async fn make_user(&self, name: &str, password: &str, role: Option<&str>) {
        self.remove_user(name).await;
        let user = json!({
            "username": name, "enabled": true, "email": format!("{name}@demo.marque.test"), "emailVerified": true,
            "firstName": name, "lastName": name,
            "credentials": [{"type": "password", "value": password, "temporary": false}],
        });
        let answer = self.http.post(self.users()).bearer_auth(&self.token).json(&user).send().await.unwrap();
        assert_eq!(answer.status(), 201, "Keycloak adds a user");
        if let Some(role) = role {
            let request = async |role: &Value| {
                let url = format!("{}/{}/role-mappings/realm", self.users(), self.user_id(name).await.unwrap());
                self.http.post(url).bearer_auth(&self.token).json(&[role]).send().await.unwrap()
            };
            assert_eq!(request(&self.role(role).await).await.status(), 204, "Keycloak gives a role");
        }
    }

    /// Takes a realm role from a user.
    pub async fn take_role(&self, name: &str, role: &str) {
        let url = format!("{}/{}/role-mappings/realm", self.users(), self.user_id(name).await.unwrap());
        let request = self.http.delete(url).bearer_auth(&self.token).json(&[self.role(role).await]);
        assert_eq!(request.send().await.unwrap().status(), 204, "Keycloak takes a role");
    }

    pub async fn remove_user(&self, name: &str) {
        if let Some(id) = self.user_id(name).await {
            let request = self.http.delete(format!("{}/{id}", self.users())).bearer_auth(&self.token);
            assert_eq!(request.send().await.unwrap().status(), 204, "Keycloak removes a user");
        }
    }

    fn users(&self) -> String {
        format!("{}/users", self.clients.strip_suffix("/clients").unwrap())
    }

    async fn user_id(&self, name: &str) -> Option<String> {
        let found = self.get(format!("{}?exact=true&username={name}", self.users())).await;
        found[0]["id"].as_str().map(str::to_owned)
    }

    async fn role(&self, name: &str) -> Value {
        self.get(format!("{}/roles/{name}", self.clients.strip_suffix("/clients").unwrap())).await
    }

    async fn get(&self, url: String) -> Value {
        self.http.get(url).bearer_auth(&self.token).send().await.unwrap().json().await.unwrap()
    }

    /// Gives a realm role to a client's service account, and has the client's tokens say so.
    async fn give_role(&self, client_id: &str, role: &str) {
        let realm = self.clients.strip_suffix("/clients").unwrap();
        let client = self.get(format!("{}?clientId={client_id}", self.clients)).await;
        let client = format!("{}/{}", self.clients, client[0]["id"].as_str().unwrap());
        let user = self.get(format!("{client}/service-account-user")).await;
        let role = self.role(role).await;
        let user = format!("{realm}/users/{}/role-mappings/realm", user["id"].as_str().unwrap());
        for url in [user, format!("{client}/scope-mappings/realm")] {
            let request = self.http.post(url).bearer_auth(&self.token).json(&[&role]);
            assert_eq!(request.send().await.unwrap().status(), 204, "Keycloak gives a role");
        }
    }

    pub async fn add_client(&self, client: &Value) {
        let answer = self.http.post(&self.clients).bearer_auth(&self.token).json(client).send().await.unwrap();
        assert_eq!(answer.status(), 201, "Keycloak adds a client: {}", answer.text().await.unwrap());
    }
}
