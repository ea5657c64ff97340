//! A Postgres server of the tests' own, gates that share it, and calls to them.

use crate::common::{ISSUER, LOCATION, NOW, World, action, envelope};
use marque_core::call::Call;
use marque_core::claims::{Actor, Carried, TxnClaims};
use marque_core::envelope::Envelope;
use marque_core::jws::KeySet;
use marque_core::names::TYP_TXN;
use marque_gate::ledger::Ledger;
use marque_gate::postgres::{GateDatabase, PgLedger};
use marque_gate::{FixedKeys, Gate, GateConfig, Permit, Presented, Refusal};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

pub const SCHEMA: &str = "marque_gate";

/// A server in a folder below `target`, which ends with the test.
pub struct Postgres {
    dir: PathBuf,
    home: Mutex<PathBuf>,
    port: u16,
}

/// The program that the workspace was built with: it starts private Postgres servers.
fn marque() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let marque = test.ancestors().nth(2).unwrap().join("marque");
    assert!(marque.exists(), "these tests need {}: cargo build --workspace --all-features", marque.display());
    marque
}

/// The server that tests share while any of them runs.
static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

impl Postgres {
    /// A server that other tests use, too.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            let postgres = Arc::new(Self::start());
            *shared = Arc::downgrade(&postgres);
            postgres
        })
    }

    /// A server of one test's own.
    pub fn start() -> Self {
        let name = format!("gate-postgres/{}-{}", std::process::id(), next());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let postgres = Self { dir, home: Mutex::new(PathBuf::new()), port };
        postgres.url("shop");
        postgres
    }

    fn run(&self, action: &str, more: &[&str]) -> Output {
        let mut command = Command::new(marque());
        command.args(["postgres", action, "--dir"]).arg(self.dir.join("postgres")).args(more).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Starts it unless it runs, and makes a database unless it is there.
    pub fn url(&self, database: &str) -> String {
        let output = self.run("start", &["-o", "json", "--database", database, "--port", &self.port.to_string()]);
        let running: Value = serde_json::from_slice(&output.stdout).unwrap();
        *self.home.lock().unwrap() = PathBuf::from(running["home"].as_str().unwrap());
        running["databases"][database].as_str().unwrap().to_owned()
    }

    pub fn stop(&self) {
        self.run("stop", &[]);
    }

    /// A database that no other test uses.
    pub fn database(&self) -> PgConnectOptions {
        self.url(&format!("shop_{}", next())).parse().unwrap()
    }
}

fn next() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

pub async fn connect(options: &PgConnectOptions) -> GateDatabase {
    GateDatabase::connect(options.clone(), SCHEMA, &config()).await.unwrap()
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("stop", &[]);
        let _ = std::fs::remove_dir_all(&*self.home.lock().unwrap());
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn config() -> GateConfig {
    GateConfig::new(LOCATION, ISSUER, crate::common::DOMAIN).unwrap()
}

/// One of several gates of a resource server, with a ledger that counts in the shared database.
pub fn gate(world: &World, ledger: impl Ledger + 'static) -> Gate {
    let keys = KeySet::from_jwks(&json!({"keys": [world.marque.published(TYP_TXN)]})).unwrap();
    Gate::new(world.gate.config().clone(), FixedKeys::new(keys), world.revocations.clone()).with_ledger(ledger)
}

/// An intent of its own for each test, since they share a database.
pub fn intent() -> String {
    format!("0199f3a2-0000-7000-8000-{:012x}", next())
}

/// A token's steps and bounds, for an intent, after some hops.
#[derive(Clone)]
pub struct Token {
    pub intent: String,
    pub steps: Value,
    pub bounds: Value,
    pub hops: u32,
}

impl Token {
    pub fn of(steps: Value) -> Self {
        Self { intent: intent(), steps, bounds: json!({}), hops: 0 }
    }

    pub fn within(self, bounds: Value) -> Self {
        Self { bounds, ..self }
    }

    pub fn after(self, hops: u32) -> Self {
        Self { hops, ..self }
    }

    /// The same intent, with other steps shown.
    pub fn showing(&self, steps: Value) -> Self {
        Self { steps, ..self.clone() }
    }

    pub fn request(&self, world: &World, call: &Call) -> Presented {
        let mut claims: TxnClaims = serde_json::from_value(world.claims(&self.steps)).unwrap();
        claims.tctx.intent.id.clone_from(&self.intent);
        let bounds = serde_json::from_value(self.bounds.clone()).unwrap();
        claims.tctx.carried = Carried::Inline(Envelope { bounds, ..envelope(&self.steps) });
        claims.act = (0..self.hops).fold(Actor::first("agent"), |act, hop| act.followed_by(&format!("hop-{hop}")));
        let token = world.token(&json!(claims));
        let proof = world.agent.proof(&world.proof_claims(&token, "POST", "/act", Some(call)));
        crate::common::presented(&token, &proof)
    }

    pub async fn check(&self, world: &World, gate: &Gate, call: &Call) -> Result<Permit, Refusal> {
        gate.check(&self.request(world, call), action(call), NOW).await
    }
}

/// A world, one gate and its ledger.
pub struct Shop {
    pub postgres: Arc<Postgres>,
    pub options: PgConnectOptions,
    pub world: World,
    pub ledger: PgLedger,
    pub gate: Gate,
    /// The shop's own connections, which know nothing of the ledger's schema.
    pub pool: PgPool,
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_at(Postgres::shared(), |ledger| ledger).await
    }

    pub async fn open_with(configure: impl FnOnce(PgLedger) -> PgLedger) -> Self {
        Self::open_at(Postgres::shared(), configure).await
    }

    pub async fn open_at(postgres: Arc<Postgres>, configure: impl FnOnce(PgLedger) -> PgLedger) -> Self {
        let (options, world) = (postgres.database(), World::new());
        let ledger = configure(connect(&options).await.ledger());
        let gate = gate(&world, ledger.clone());
        let pool = PgPoolOptions::new().max_connections(3).connect_with(options.clone()).await.unwrap();
        sqlx::query("create table orders (item text not null)").execute(&pool).await.unwrap();
        Self { postgres, options, world, ledger, gate, pool }
    }

    /// Another gate's connections to the same schema.
    pub async fn database(&self) -> GateDatabase {
        connect(&self.options).await
    }

    pub async fn check(&self, token: &Token, call: &Call) -> Result<Permit, Refusal> {
        token.check(&self.world, &self.gate, call).await
    }

    pub async fn orders(&self) -> i64 {
        sqlx::query_scalar("select count(*) from orders").fetch_one(&self.pool).await.unwrap()
    }
}
