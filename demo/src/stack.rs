//! Brings the whole demonstration up, and down again.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Client as Http;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::browser::Registration;
use crate::env::{Admin, Client, Clients, Env, Keycloak, Marque, ResourceServer, User, Worker};
use crate::keycloak::{self, Administration, Boot, Parts, short_digest};
use crate::keys::{Keys, Passwords};
use crate::place::{Place, Ports, REALM, USER, url};
use crate::processes::Processes;
use crate::{Result, about};

const TRUST_DOMAIN: &str = "demo.marque.test";
/// A start of Postgres, the making of its data included.
const POSTGRES_LIMIT: Duration = Duration::from_secs(240);
/// A start of one of our own servers.
const SERVER_LIMIT: Duration = Duration::from_secs(60);

/// A running demonstration.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Its folders.
    pub place: Place,
    /// What `env.json` says about it.
    pub env: Env,
    /// Marque's database, as its commands are told.
    pub(crate) database: String,
    /// Keeps another command from bringing up a stack in the same place.
    _lock: Arc<File>,
}

/// Runs `body`, and takes the stack of `place` down if it fails, panics, or is interrupted.
///
/// # Errors
/// Returns what `body` returned, or the signal that interrupted it.
pub async fn guard<T: Send + 'static>(
    place: &Place,
    body: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let mut task = tokio::spawn(body);
    let ended = tokio::select! {
        ended = &mut task => ended.map_err(Into::into).flatten(),
        name = interruption() => {
            task.abort();
            let _ = task.await;
            name.and_then(|name| Err(format!("{name}: stopping").into()))
        }
    };
    if ended.is_err() {
        eprintln!("✘ stopping everything that was started");
        down(place).await?;
    }
    ended
}

async fn interruption() -> Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "interrupted",
        _ = terminate.recv() => "terminated",
        _ = hangup.recv() => "hung up",
    })
}

/// Ends every part that was started in `place`, Postgres last.
///
/// # Errors
/// Returns an error where a part does not end.
pub async fn down(place: &Place) -> Result<()> {
    let processes = Processes::open(&place.dir)?;
    for name in ["postgres", "postgres-stop"] {
        processes.finish(name, POSTGRES_LIMIT).await?;
    }
    let mut stops = JoinSet::new();
    for name in processes.recorded() {
        let processes = processes.clone();
        stops.spawn(async move { processes.stop(&name).await });
    }
    let stopped: Result<Vec<()>> = stops.join_all().await.into_iter().collect();
    if place.dir.join("postgres").exists() {
        let mut stop = Command::new(place.programs.join("marque"));
        stop.args(["postgres", "stop", "--dir"]).arg(place.dir.join("postgres"));
        processes.run("postgres-stop", stop, POSTGRES_LIMIT).await?;
    }
    stopped.map(drop)
}

/// Unpacks and builds Keycloak unless that was done; returns its folder.
///
/// # Errors
/// Returns an error where the jar is missing, or a step fails.
pub async fn build_keycloak(place: &Place) -> Result<PathBuf> {
    Parts::find(&place.root)?.prepare(place, &Processes::open(&place.dir)?).await
}

/// Starts everything afresh and waits until it is ready.
///
/// # Errors
/// Returns an error, with the end of its log, where a part does not start in time.
pub async fn up(place: Place, ports: Ports) -> Result<Stack> {
    let lock = place.dir.join("lock");
    let lock = File::create(&lock).map_err(about(lock.display()))?;
    lock.try_lock().map_err(about("another command is bringing this stack up"))?;
    down(&place).await?;
    Bringing::new(place, ports)?.run(lock).await
}

/// One run of `up`.
struct Bringing {
    place: Place,
    ports: Ports,
    processes: Processes,
    keys: Keys,
    passwords: Passwords,
    parts: Parts,
    http: Http,
}

/// What `marque postgres start` prints.
#[derive(Deserialize)]
struct Databases {
    databases: std::collections::BTreeMap<String, String>,
}

impl Bringing {
    fn new(place: Place, ports: Ports) -> Result<Self> {
        for port in ports.all() {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(about(format!("port {port}")))?;
        }
        let keys = Keys::open(&place.dir)?;
        Ok(Self {
            ports,
            processes: Processes::open(&place.dir)?,
            passwords: keys.passwords()?,
            keys,
            parts: Parts::find(&place.root)?,
            http: Http::builder().no_proxy().build()?,
            place,
        })
    }

    async fn run(self, lock: File) -> Result<Stack> {
        let identity = self.identity()?;
        let (keycloak_database, marque_database) = (format!("keycloak_{identity}"), self.marque_database(&identity)?);
        let names = [keycloak_database.as_str(), marque_database.as_str()];
        let (home, databases) = tokio::try_join!(
            timed("Keycloak built", self.parts.prepare(&self.place, &self.processes)),
            timed("Postgres", self.postgres(names)),
        )?;
        let address = |name: &str| databases.get(name).ok_or_else(|| format!("Postgres has no database {name}"));
        let (user, ()) = tokio::try_join!(
            self.keycloak(home, address(&keycloak_database)?, &identity),
            timed("Marque", self.marque(address(&marque_database)?)),
        )?;
        let env = self.env(user);
        env.write(&self.place.env_file())?;
        tokio::try_join!(
            timed("resource server", self.server("resource-server", self.ports.resource_server())),
            timed("worker", self.server("worker", self.ports.worker())),
        )?;
        Ok(Stack { database: address(&marque_database)?.clone(), place: self.place, env, _lock: Arc::new(lock) })
    }

    /// Names everything that Keycloak's database was made from: a change gives a fresh one.
    fn identity(&self) -> Result<String> {
        let realm: String = self.realm_values()?.into_iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let parts = self.parts.identity()?;
        Ok(short_digest([parts.as_slice(), realm.as_bytes(), self.passwords.admin.as_bytes()]))
    }

    /// Marque's database also changes with its migrations.
    fn marque_database(&self, identity: &str) -> Result<String> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.place.root.join("migrations"))
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .map_err(about("migrations"))?;
        files.sort();
        let texts = files.iter().map(fs::read).collect::<std::io::Result<Vec<_>>>()?;
        let digest = short_digest(texts.iter().map(Vec::as_slice));
        Ok(format!("marque_{identity}_{digest}"))
    }

    /// What replaces `${NAME}` in the realm file, inside JSON strings.
    fn realm_values(&self) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![
            ("MARQUE_ISSUER", self.issuer()),
            ("MARQUE_LOCATION", url(self.ports.resource_server())),
            ("AGENT_JWKS", escaped(&self.keys.jwks("agent")?)),
            ("WORKER_JWKS", escaped(&self.keys.jwks("worker")?)),
            ("RS_JWKS", escaped(&self.keys.jwks("rs")?)),
            ("DEMO_PASSWORD", self.passwords.demo.clone()),
        ])
    }

    async fn postgres(&self, names: [&str; 2]) -> Result<std::collections::BTreeMap<String, String>> {
        let mut start = Command::new(self.place.programs.join("marque"));
        start.args(["postgres", "start", "-o", "json", "--port", &self.ports.postgres().to_string(), "--dir"]);
        start.arg(self.place.dir.join("postgres"));
        for name in names {
            start.args(["--database", name]);
        }
        let answer = self.processes.run("postgres", start, POSTGRES_LIMIT).await?;
        self.processes.remove_log("postgres")?;
        Ok(serde_json::from_str::<Databases>(&answer).map_err(about("marque postgres start"))?.databases)
    }

    /// Boots Keycloak and sees to Alice's passkey.
    async fn keycloak(&self, home: PathBuf, database: &str, identity: &str) -> Result<User> {
        let boot = Boot {
            port: self.ports.keycloak(),
            management_port: self.ports.keycloak_management(),
            database,
            admin_password: &self.passwords.admin,
            realm: self.realm_values()?,
        };
        timed("Keycloak", keycloak::boot(&home, boot, &self.processes, &self.http)).await?;
        let base = url(self.ports.keycloak());
        let admin = Administration::sign_in(&self.http, &base, &self.passwords.admin).await?;
        let sub = admin.user_id(USER).await?;
        let passkey = self.place.dir.join("passkeys").join(identity).join(format!("{USER}.json"));
        let registration = Registration {
            keycloak: &base,
            user: USER,
            password: &self.passwords.demo,
            user_id: &sub,
            file: passkey.clone(),
        };
        timed("passkey", registration.ensure(&self.place, &self.processes, &admin)).await?;
        Ok(User { username: USER.to_owned(), password: self.passwords.demo.clone(), sub, passkey })
    }

    async fn marque(&self, database: &str) -> Result<()> {
        let config = self.place.dir.join("marque.toml");
        fs::write(&config, self.marque_config()).map_err(about(config.display()))?;
        let mut serve = Command::new(self.place.programs.join("marque"));
        serve.args(["serve", "--config"]).arg(&config).env("DATABASE_URL", database);
        let ready = format!("{}/health/ready", url(self.ports.management()));
        self.processes.start("marque", serve)?.ready(&self.http, &ready, SERVER_LIMIT).await
    }

    fn marque_config(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let keycloak = url(self.ports.keycloak());
        [
            format!("listen = \"127.0.0.1:{}\"", self.ports.marque()),
            format!("management = \"127.0.0.1:{}\"", self.ports.management()),
            format!("key_file = {}", quoted(&self.place.dir.join("marque-development.key").to_string_lossy())),
            String::new(),
            "[[realms]]".to_owned(),
            format!("name = {}", quoted(REALM)),
            format!("issuer = {}", quoted(&self.issuer())),
            format!("trust_domain = {}", quoted(TRUST_DOMAIN)),
            format!("keycloak_issuer = {}", quoted(&format!("{keycloak}/realms/{REALM}"))),
            "keycloak_client_id = \"marque\"".to_owned(),
            "web_client_id = \"marque-web\"".to_owned(),
            "admin_client_id = \"marque-console\"".to_owned(),
            "rp_id = \"localhost\"".to_owned(),
            format!("rp_origins = [{}]", quoted(&keycloak)),
            "shared_rp_host_accepted = true".to_owned(),
            String::new(),
            // The realm itself takes grants of call chains that leave: its identity provider `marque`.
            "[[realms.foreign_issuers]]".to_owned(),
            format!("issuer = {}", quoted(&format!("{keycloak}/realms/{REALM}"))),
            "subject = \"username\"".to_owned(),
            String::new(),
        ]
        .join("\n")
    }

    async fn server(&self, name: &'static str, port: u16) -> Result<()> {
        let mut server = Command::new(self.place.programs.join(name));
        server.arg(self.place.env_file());
        let ready = format!("{}/health", url(port));
        self.processes.start(name, server)?.ready(&self.http, &ready, SERVER_LIMIT).await
    }

    fn issuer(&self) -> String {
        format!("{}/realms/{REALM}", url(self.ports.marque()))
    }

    fn env(&self, user: User) -> Env {
        let keycloak = url(self.ports.keycloak());
        let client = |name: &str| Client {
            client_id: format!("demo-{name}"),
            key: self.keys.signing(name),
            dpop_key: self.keys.dpop(name),
        };
        Env {
            version: 1,
            marque: Marque {
                issuer: self.issuer(),
                management: url(self.ports.management()),
                trust_domain: TRUST_DOMAIN.to_owned(),
            },
            keycloak: Keycloak {
                issuer: format!("{keycloak}/realms/{REALM}"),
                base: keycloak,
                realm: REALM.to_owned(),
                admin: Admin { username: "admin".to_owned(), password: self.passwords.admin.clone() },
            },
            resource_server: ResourceServer { url: url(self.ports.resource_server()), client_id: "demo-rs".to_owned() },
            worker: Worker { url: url(self.ports.worker()) },
            clients: Clients { agent: client("agent"), worker: client("worker"), rs: client("rs") },
            user,
        }
    }
}

/// `value` as text that stands inside a JSON string.
fn escaped(value: &Value) -> String {
    let quoted = json!(value.to_string()).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// Runs one phase and prints how long it took.
async fn timed<T>(phase: &str, body: impl Future<Output = Result<T>>) -> Result<T> {
    let start = Instant::now();
    let done = body.await.map_err(about(phase))?;
    println!("  ✔ {phase:<16} {:>6.1} s", start.elapsed().as_secs_f64());
    Ok(done)
}
