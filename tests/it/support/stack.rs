//! The running stack, and requests to it as its clients send them.

use super::keys::{Client, Key};
use super::reply::Reply;
use marque_core::names::{ASSERTION_TYPE_JWT, GRANT_INTENT, GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use marque_demo::clients::KeycloakTokens;
use marque_demo::env::Env;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tokio::sync::OnceCell;

/// The stack, or another server with the same issuer on a copy of its database.
#[derive(Clone)]
pub struct Stack {
    pub env: Env,
    /// The folder of env.json.
    pub dir: PathBuf,
    pub http: reqwest::Client,
    pub db: PgPool,
    /// Where requests are sent: the issuer, or another server's address for it.
    pub base: String,
}

/// Form parameters.
pub type Form<'a> = Vec<(&'a str, String)>;

/// What sends requests as outside parties do: no redirect is followed.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

impl Stack {
    /// The stack that `MARQUE_STACK` names.
    pub async fn open() -> Self {
        let file = std::env::var("MARQUE_STACK").unwrap_or_default();
        assert!(!file.is_empty(), "MARQUE_STACK must name the env.json of a running stack; `make test` starts one");
        let env = Env::read(Path::new(&file)).unwrap_or_else(|error| panic!("MARQUE_STACK: {error}"));
        let dir = Path::new(&file).parent().unwrap().canonicalize().unwrap();
        let http = http();
        let db = connect(database_url(&dir).await).await;
        let base = env.marque.issuer.clone();
        let stack = Self { env, dir, http, db, base };
        Reply::to("an offer of a nonce", stack.http.post(stack.url("/token"))).await;
        stack.end_leftovers().await;
        stack
    }

    /// Ends what earlier runs left pending: only so many plans may wait for one user.
    async fn end_leftovers(&self) {
        static ONCE: OnceCell<()> = OnceCell::const_new();
        let end = "update intents set pending_until = submitted_at where state = 'pending'";
        ONCE.get_or_init(|| async {
            sqlx::query(end).execute(&self.db).await.unwrap();
        })
        .await;
    }

    pub fn issuer(&self) -> &str {
        &self.env.marque.issuer
    }

    pub fn location(&self) -> &str {
        &self.env.resource_server.url
    }

    pub fn agent(&self) -> Client {
        Client::of(&self.env.clients.agent)
    }

    pub fn worker(&self) -> Client {
        Client::of(&self.env.clients.worker)
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A form with right credentials, not yet sent.
    pub fn signed(&self, client: &Client, path: &str, form: &Form<'_>) -> reqwest::RequestBuilder {
        let assertion = client.assert(&client.assertion_claims(self.issuer()));
        let proof = client.dpop.proof_of(&Key::proof_claims("POST", &format!("{}{path}", self.issuer())));
        let mut form = form.clone();
        form.push(("client_assertion_type", ASSERTION_TYPE_JWT.into()));
        form.push(("client_assertion", assertion));
        self.http.post(self.url(path)).header("dpop", proof).form(&form)
    }

    /// Posts a form with right credentials.
    pub async fn post(&self, what: &str, client: &Client, path: &str, form: &Form<'_>) -> Reply {
        let reply = Reply::to(what, self.signed(client, path, form)).await;
        // A test may have taken longer than a nonce lives.
        if reply.member("error") == "use_dpop_nonce" {
            return Reply::to(what, self.signed(client, path, form)).await;
        }
        reply
    }

    /// Submits a plan.
    pub async fn submit(&self, what: &str, client: &Client, plan: &Value) -> Reply {
        let details = json!([{"type": "agent_intent_plan", "plan": plan}]).to_string();
        self.post(what, client, "/plans", &vec![("authorization_details", details)]).await
    }

    /// Submits a plan that must be taken in; answers its intent.
    pub async fn submitted(&self, client: &Client, plan: &Value) -> String {
        let reply = self.submit("a right plan", client, plan).await;
        reply.success(201)["intent_id"].as_str().unwrap().to_owned()
    }

    /// One poll of the intent grant.
    pub async fn poll(&self, client: &Client, intent_id: &str) -> Reply {
        let form = vec![("grant_type", GRANT_INTENT.into()), ("intent_id", intent_id.into())];
        self.post("a poll", client, "/token", &form).await
    }

    /// The form of a right exchange.
    pub fn exchange_form(&self, token: &str, kind: &str) -> Form<'static> {
        vec![
            ("grant_type", GRANT_TOKEN_EXCHANGE.into()),
            ("audience", self.env.marque.trust_domain.clone()),
            ("requested_token_type", TOKEN_TYPE_TXN.into()),
            ("subject_token", token.into()),
            ("subject_token_type", kind.into()),
        ]
    }

    /// Exchanges an intent token for a transaction token with some steps.
    pub async fn transaction_token(&self, client: &Client, intent_token: &str, steps: &[&str]) -> String {
        let details: Vec<_> = steps.iter().map(|id| json!({"type": "agent_intent_step", "id": id})).collect();
        let mut form = self.exchange_form(intent_token, TOKEN_TYPE_INTENT);
        form.push(("authorization_details", json!(details).to_string()));
        let reply = self.post("a right exchange", client, "/token", &form).await;
        reply.success(200)["access_token"].as_str().unwrap().to_owned()
    }

    /// An access token of the realm for the resource server.
    pub async fn access_token(&self) -> String {
        static TOKENS: OnceLock<KeycloakTokens> = OnceLock::new();
        let make = || KeycloakTokens::new(&self.env, &self.env.clients.rs).unwrap();
        TOKENS.get_or_init(make).token(None).await.unwrap_or_else(|error| panic!("the realm gives no token: {error}"))
    }

    /// Posts JSON as the resource server.
    pub async fn post_json(&self, what: &str, path: &str, body: &Value) -> Reply {
        let request = self.http.post(self.url(path)).bearer_auth(self.access_token().await).json(body);
        Reply::to(what, request).await
    }

    /// Rows of every table that holds something lasting.
    pub async fn row_counts(&self) -> Vec<(String, i64)> {
        let mut counts = Vec::new();
        for table in LASTING {
            let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
            let count: i64 = sqlx::query_scalar(sql).fetch_one(&self.db).await.unwrap();
            counts.push(((*table).to_owned(), count));
        }
        counts
    }
}

/// All tables but `replays`, whose ids are used up by refused requests too, Marque's own keys and feed, and which ledger counts
/// where, which is settled by the first question about it.
const LASTING: &[&str] = &[
    "intents",
    "access_requests",
    "submissions",
    "auth_requests",
    "catalogs",
    "waiting_catalogs",
    "catalog_decisions",
    "logins",
    "displays",
    "passkeys",
    "approvals",
    "receipt_sessions",
    "tokens",
    "envelopes",
    "ledgers",
    "permits",
    "revocations",
    "token_revocations",
    "status_places",
    "step_ups",
    "step_up_uses",
];

/// A few connections as superuser.
pub async fn connect(url: String) -> PgPool {
    PgPoolOptions::new().max_connections(4).connect(&url).await.unwrap_or_else(|error| panic!("the database: {error}"))
}

/// The database that the stack's server uses.
async fn database_url(dir: &Path) -> String {
    let mut status = Command::new(env!("CARGO_BIN_EXE_marque"));
    let output = status.args(["postgres", "status", "-o", "json", "--dir"]).arg(dir.join("postgres")).output().unwrap();
    assert!(output.status.success(), "the stack's Postgres does not run: {}", String::from_utf8_lossy(&output.stderr));
    let running: Value = serde_json::from_slice(&output.stdout).unwrap();
    let url = running["url"].as_str().unwrap();
    let used = "select distinct datname::text from pg_stat_activity
                where application_name = 'marque' and datname like 'marque\\_%'";
    let pool = connect(url.to_owned()).await;
    let names: Vec<String> = sqlx::query_scalar(used).fetch_all(&pool).await.unwrap();
    pool.close().await;
    let [name] = names.as_slice() else { panic!("one server of the stack uses one database, not {names:?}") };
    format!("{}/{name}", url.rsplit_once('/').unwrap().0)
}
