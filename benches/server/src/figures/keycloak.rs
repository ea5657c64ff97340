//! Keycloak's standard token exchange (RFC 8693) with the same client authentication, on the real server: an access token of a
//! user for one that the requester gets, each with an assertion of its own. It binds no token to a key, and keeps no row.

use crate::bench::Bench;
use crate::client::{Client, make, success, text};
use crate::load::{Target, authority, request};
use crate::marque::free_port;
use crate::rounds::{Rounds, round_of};
use bench_keys::{Failure, Key};
use bytes::Bytes;
use marque_core::names::GRANT_TOKEN_EXCHANGE;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Its realm.
const REALM: &str = "bench";
/// The client that exchanges.
const REQUESTER: &str = "bench-agent";
/// The client for which the user signs in.
const FRONT: &str = "bench-front";
/// Its user, with her password.
const USER: [&str; 2] = ["alice", "alice"];
/// Users whose tokens take turns.
const TOKENS: usize = 32;
/// Exchanges of a round.
const EXCHANGES: usize = 5_000;
/// An empty database takes about a minute on two cores.
const BOOT: Duration = Duration::from_secs(300);
/// How long it may take to end.
const GRACE: Duration = Duration::from_secs(20);
/// The type of the tokens.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Seconds that its tokens live: longer than a whole run.
const TOKEN_SECS: u32 = 7200;

/// A running Keycloak. It ends with it.
struct Keycloak {
    base: String,
    child: Child,
    http: reqwest::Client,
}

/// Measures its exchange after so long a load that it is warm, and prints how Marque's compares.
///
/// # Errors
/// When it was not built, does not start, or refuses.
pub async fn measure(bench: &Bench, marque_per_second: Option<f64>) -> Result<Vec<Value>, Failure> {
    let keycloak = Keycloak::start(bench).await?;
    let requester = keycloak.set_up().await?;
    let issuer = format!("{}/realms/{REALM}", keycloak.base);
    let mut subjects = Vec::new();
    for _ in 0..TOKENS {
        subjects.push(keycloak.sign_in(&issuer).await?);
    }
    let target = Target { authority: authority(&issuer)?, tls: None, expected: r#""issued_token_type":"# };
    let count = bench.requests.unwrap_or(EXCHANGES);
    let pids = (keycloak.process()?, bench.site.postgres_pid);
    let begun = Instant::now();
    while begun.elapsed() < bench.warm_up {
        round_of(pids, &target, requests(&requester, &issuer, &subjects, count)?)?;
    }
    let mut all = Vec::new();
    for _ in 0..bench.rounds {
        all.push(round_of(pids, &target, requests(&requester, &issuer, &subjects, count)?)?);
    }
    let rounds = Rounds::new(all);
    rounds.print("keycloak_exchange_pkjwt_64");
    if let Some(marque) = marque_per_second {
        println!("{:<30} x{:.1} as many", "Marque against Keycloak", marque / rounds.median()?.seen.per_second);
    }
    Ok(vec![rounds.entry("keycloak_exchange_pkjwt_64_per_s")?])
}

fn requests(requester: &Client, issuer: &str, subjects: &[String], count: usize) -> Result<Vec<Bytes>, Failure> {
    let url = format!("{issuer}/protocol/openid-connect/token");
    make(count, |index| {
        let form = [
            ("grant_type", GRANT_TOKEN_EXCHANGE),
            ("subject_token", subjects.get(index % subjects.len()).ok_or("no token")?),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
        ];
        let fields = [("content-type", "application/x-www-form-urlencoded")];
        Ok(request("POST", &url, &fields, requester.form(issuer, &form)?.as_bytes()))
    })
}

/// The server that the demonstration has unpacked and built.
fn home(root: &Path) -> Result<PathBuf, Failure> {
    let built = fs::read_dir(root.join("target/cache")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut built: Vec<PathBuf> = built.filter(|home| home.join(".built").exists()).collect();
    built.sort_by_key(|home| fs::metadata(home.join(".built")).and_then(|stamp| stamp.modified()).ok());
    built.pop().ok_or_else(|| "Keycloak is not built: `target/debug/demo keycloak` does it".into())
}

impl Keycloak {
    async fn start(bench: &Bench) -> Result<Self, Failure> {
        let home = home(&bench.root)?;
        let database = reqwest::Url::parse(bench.site.database("keycloak")?)?;
        let (host, port) = database.host_str().zip(database.port()).ok_or("the database has no address")?;
        let (own, management) = (free_port()?, free_port()?);
        let base = format!("http://localhost:{own}");
        let log = bench.site.dir().join("keycloak.log");
        let output = File::create(&log)?;
        let mut server = Command::new(home.join("bin/kc.sh"));
        server.args(["start", "--optimized", "--http-enabled=true", "--http-host=localhost"]);
        server.args([format!("--http-port={own}"), format!("--hostname={base}")]);
        server.arg(format!("--http-management-port={management}"));
        server.env("KC_DB_URL", format!("jdbc:postgresql://{host}:{port}{}", database.path()));
        server.env("KC_DB_USERNAME", database.username());
        server.env("KC_DB_PASSWORD", database.password().unwrap_or_default());
        server.env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin").env("KC_BOOTSTRAP_ADMIN_PASSWORD", "admin");
        server.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output).process_group(0);
        let http = reqwest::Client::builder().no_proxy().build()?;
        let keycloak = Self { base, child: server.spawn()?, http };
        let (ready, begun) = (format!("http://localhost:{management}/health/ready"), Instant::now());
        while !keycloak.http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200) {
            if begun.elapsed() > BOOT {
                return Err(format!("Keycloak is not ready: {}", fs::read_to_string(log)?).into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(keycloak)
    }

    /// The Java process, which its script has started.
    fn process(&self) -> Result<u32, Failure> {
        let script = self.child.id();
        let children = fs::read_to_string(format!("/proc/{script}/task/{script}/children"))?;
        Ok(children.split_ascii_whitespace().next().ok_or("Keycloak's script has no process")?.parse()?)
    }

    /// Makes the realm, its user, and the clients.
    async fn set_up(&self) -> Result<Client, Failure> {
        let form =
            [("grant_type", "password"), ("client_id", "admin-cli"), ("username", "admin"), ("password", "admin")];
        let answer = self.http.post(format!("{}/realms/master/protocol/openid-connect/token", self.base)).form(&form);
        let answer = success(answer).await?;
        let requester = Client { id: REQUESTER.to_owned(), assertion: Key::new()?, proof: Key::new()? };
        let jwks = requester.assertion.jwks(json!({"use": "sig", "alg": "ES256"})).to_string();
        let audience = json!({
            "name": "requester", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
            "config": {"included.client.audience": REQUESTER, "access.token.claim": "true"},
        });
        let [username, password] = USER;
        let realm = json!({
            "realm": REALM, "enabled": true, "sslRequired": "none", "accessTokenLifespan": TOKEN_SECS,
            "ssoSessionIdleTimeout": TOKEN_SECS, "ssoSessionMaxLifespan": TOKEN_SECS,
            "users": [{
                "username": username, "enabled": true, "email": "alice@bench.example", "emailVerified": true,
                "firstName": "Alice", "lastName": "Bench", "credentials": [{"type": "password", "value": password}],
            }],
            "clients": [
                {
                    "clientId": REQUESTER, "publicClient": false, "serviceAccountsEnabled": true,
                    "standardFlowEnabled": false, "clientAuthenticatorType": "client-jwt",
                    "attributes": {
                        "use.jwks.string": "true", "jwks.string": jwks, "token.endpoint.auth.signing.alg": "ES256",
                        "standard.token.exchange.enabled": "true",
                    },
                },
                {
                    "clientId": FRONT, "publicClient": true, "directAccessGrantsEnabled": true,
                    "standardFlowEnabled": false, "protocolMappers": [audience],
                },
            ],
        });
        let request = self.http.post(format!("{}/admin/realms", self.base)).bearer_auth(text(&answer, "access_token")?);
        let answer = request.json(&realm).send().await?;
        let (status, said) = (answer.status(), answer.text().await?);
        if status.is_success() { Ok(requester) } else { Err(format!("{status}: {said}").into()) }
    }

    /// An access token of the user, from a sign-in of its own.
    async fn sign_in(&self, issuer: &str) -> Result<String, Failure> {
        let [username, password] = USER;
        let form = [
            ("grant_type", "password"),
            ("client_id", FRONT),
            ("username", username),
            ("password", password),
            ("nonce", &Uuid::new_v4().to_string()),
        ];
        let answer = success(self.http.post(format!("{issuer}/protocol/openid-connect/token")).form(&form)).await?;
        Ok(text(&answer, "access_token")?.to_owned())
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        let _ = kill_process_group(group, Signal::TERM);
        let begun = Instant::now();
        while test_kill_process_group(group).is_ok() && begun.elapsed() < GRACE {
            let _ = self.child.try_wait();
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}
