//! The ledger in the resource server's own Postgres: a use is committed in the transaction of its effect, or neither is.
//!
//! ```no_run
//! # use marque_gate::{ConcreteAction, CallResult, Gate, GateConfig, KeySource, Presented, Revocations};
//! # use marque_gate::postgres::{Commit, GateDatabase};
//! # async fn serve(config: GateConfig, keys: impl KeySource + 'static, pool: sqlx::PgPool, request: Presented,
//! #     action: ConcreteAction, now: i64) -> Result<(), Box<dyn std::error::Error>> {
//! let database = GateDatabase::connect("postgres://localhost/shop".parse()?, "marque_gate", &config).await?;
//! let ledger = database.ledger();
//! let gate = Gate::new(config, keys, Revocations::new())
//!     .with_ledger(ledger.clone())
//!     .with_proof_store(database.proofs());
//! // For each request:
//! let permit = gate.check(&request, action, now).await?;
//! let mut tx = pool.begin().await?; // after the check, in the same database
//! sqlx::query("insert into orders (item) values ($1)").bind(&permit.resource().id).execute(&mut *tx).await?;
//! let commit = ledger.commit_in(&mut tx, &permit, CallResult::whole("ordered")).await?;
//! tx.commit().await?;
//! if commit == Commit::Afterwards { gate.settle(permit, CallResult::whole("ordered"), now).await }
//! # Ok(()) }
//! ```
//!
//! Between the permit and the end of its call the use is reserved. If the transaction is rolled back, or its connection
//! dies, it stays so, becomes unknown after a minute, and goes on counting as used: [`PgLedger::open_permits`] lists such
//! permits for whoever can find out what happened. The layer of module `layer` knows nothing of transactions: an answer
//! of 5xx commits the use, as at Marque.
//!
//! # What it decides
//! Whatever needs no other ledger: steps whose order, group, budgets and late-bound values involve steps of this location
//! alone, as far as the token shows. For the rest it asks the ledger that [`PgLedger::with_fallback`] names, and without
//! one it refuses with [`Reason::LedgerUnavailable`](crate::Reason::LedgerUnavailable): steps that are tied to steps
//! elsewhere or to steps that the token does not show, steps that need a step-up, steps that one call may fit beside such
//! ones, and all steps of a plan that counts turns.
//! Where a step is counted is written down before its first use and never changes.
//!
//! # What the operator answers for
//! - **All gates of a location use one ledger in one schema, or none does.** With [`PgLedger::with_fallback`] and Marque's ledger this is
//!   seen to: the first ledger that counts at a location is the only one, and gates with another one are refused with
//!   [`Reason::LedgerUnavailable`](crate::Reason::LedgerUnavailable). A ledger without a fallback asks nobody: with others beside it,
//!   what was approved once can be done once with each.
//! - A location is changed over, in either direction, when no plan is live that was used there.
//! - A database that is restored from a backup has forgotten uses: revoke the live plans first. Where Marque's was restored, the ledger asks
//!   again whether it counts at a location, in the new epoch of the feed.
//! - A gate learns of revocations from its feed: a step counted here may be used for `max_staleness` after its plan was
//!   revoked, while Marque's own ledger knows at once. What a realm blocks later is known here only if
//!   [`PgLedger::with_blocked`] says so.
//! - Arguments and results are kept in the schema as they are, until [`PgLedger::forget_old`].
//!
//! The connection is encrypted if the application enables a TLS feature of `sqlx`.

mod choice;
mod home;
mod ledger;
mod open;
mod proofs;
mod settlement;
mod store;

use crate::config::GateConfig;
pub use ledger::PgLedger;
pub use open::{OPEN_PAGE, OpenPermit, PermitState};
pub use proofs::PgProofs;
pub use settlement::Commit;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::sync::Arc;
use std::time::Duration;

/// Until a question must be answered, repetitions included: longer than any healthy answer, shorter than a caller's
/// patience.
const ANSWER: Duration = Duration::from_secs(3);
/// Connections that a gate opens unless told otherwise.
const CONNECTIONS: u32 = 10;
/// What each connection is told, whatever the server's or the role's defaults are: a use that was answered is on disk, and
/// nothing waits longer than a caller.
const SETTINGS: [(&str, &str); 5] = [
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read committed"),
    ("lock_timeout", "2500ms"),
    ("statement_timeout", "2500ms"),
    ("idle_in_transaction_session_timeout", "10s"),
];

/// Why a gate's database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The schema's name is no plain identifier.
    #[error("{0:?} is no name of a schema: use a to z, 0 to 9 and _, a letter first, at most 63 characters")]
    Schema(String),
    /// The schema counts the plans of another Marque issuer.
    #[error("the schema counts the plans of {0}: another issuer needs a schema of its own")]
    Owner(String),
    /// Postgres refused, or could not be reached.
    #[error("the gate's database: {0}")]
    Database(#[from] sqlx::Error),
}

/// A schema in the resource server's own database, which all its gates share.
#[derive(Clone)]
pub struct GateDatabase(Arc<Inner>);

struct Inner {
    pool: PgPool,
    schema: String,
    issuer: String,
    /// Names the ledger: drawn when the schema was made.
    ledger: String,
}

/// Says which schema, never how to reach it.
impl std::fmt::Debug for GateDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GateDatabase({})", self.0.schema)
    }
}

impl GateDatabase {
    /// Connects, with a pool of its own of at most ten connections, and creates the schema with its tables if they are not
    /// there yet. The role must be allowed to, or own the schema already.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses, the schema has no plain name, or another issuer owns it.
    pub async fn connect(options: PgConnectOptions, schema: &str, config: &GateConfig) -> Result<Self, DatabaseError> {
        Self::connect_with(PgPoolOptions::new().max_connections(CONNECTIONS), options, schema, config).await
    }

    /// [`GateDatabase::connect`] with options for the pool.
    ///
    /// # Errors
    /// As [`GateDatabase::connect`].
    pub async fn connect_with(
        pool: PgPoolOptions,
        options: PgConnectOptions,
        schema: &str,
        config: &GateConfig,
    ) -> Result<Self, DatabaseError> {
        if !is_identifier(schema) {
            return Err(DatabaseError::Schema(schema.into()));
        }
        let options = options.options(SETTINGS).options([("search_path", format!("{schema},pg_temp"))]);
        let pool = pool.acquire_timeout(ANSWER).connect_with(options).await?;
        let mut conn = pool.acquire().await?;
        store::migrate(&mut conn, schema).await?;
        let (issuer, ledger) = store::owner(&mut conn, config.issuer()).await?;
        drop(conn);
        if issuer != config.issuer() {
            return Err(DatabaseError::Owner(issuer));
        }
        Ok(Self(Arc::new(Inner { pool, schema: schema.into(), issuer, ledger })))
    }

    /// The ledger of uses.
    pub fn ledger(&self) -> PgLedger {
        PgLedger::new(self.clone())
    }

    /// The memory of proofs.
    pub fn proofs(&self) -> PgProofs {
        PgProofs::new(self.clone())
    }

    /// Closes all connections; whatever asks afterwards is refused.
    pub async fn close(&self) {
        self.0.pool.close().await;
    }
}

/// Whether a failed question may be asked once more: the connection broke, the question may have been answered.
fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // Class 08 is about connections, 57P about a server that goes down.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
        }
        _ => false,
    }
}

fn is_identifier(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
