//! Rows. The only room that knows SQL; one file per noun, functions take a connection.
//!
//! Nothing here decides: a row can end, count or forbid, and what may be done is always computed
//! from something signed. A query that finds nothing is a refusal for its caller.

pub mod access_requests;
pub mod approvals;
pub mod auth_requests;
pub mod catalogs;
mod compared;
mod database;
pub mod envelopes;
pub mod epochs;
pub mod intents;
pub mod location_ledgers;
pub mod logins;
pub mod permits;
pub mod receipt_sessions;
pub mod replays;
pub mod reservations;
pub mod results;
pub mod revocations;
pub mod signing_keys;
pub mod status_places;
pub mod step_ups;
pub mod tokens;
pub mod waiting_catalogs;
pub mod workload_tokens;

pub use compared::{History, history};
pub use database::{Database, Look, Transaction};

use compared::Compared;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres};
use std::time::Duration;
use time::OffsetDateTime;
use tracing::log::LevelFilter;

/// A row of the database could not be read or written.
pub type StoreError = sqlx::Error;

/// Connections that one server holds at most for what it writes.
const CONNECTIONS: u32 = 10;
/// Connections that it holds beside them at most for what it only reads.
const LOOKS: u32 = 6;
/// Sessions that it holds beside them at most: for notifications, for housekeeping, and to compare the database with its mark. All
/// of them are fewer than the 20 that PgBouncer holds for one user unless it is told otherwise; a second server needs as many again.
const SESSIONS: u32 = 3;
/// How long a request waits for a connection before it is refused.
const ACQUIRE: Duration = Duration::from_secs(5);
/// A connection that was used so lately is taken to be there still: to ask it costs as much as a question.
const FRESH: Duration = Duration::from_secs(1);
/// What each connection is told, whatever the server's, the database's or the role's defaults are: what was answered is on
/// disk, and nothing waits longer than its caller.
const SETTINGS: [(&str, &str); 5] = [
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read committed"),
    ("lock_timeout", "2s"),
    ("statement_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "15s"),
];

/// Connects to the database, also through a pooler that gives each connection a session of its own.
///
/// # Errors
/// When it is not there, or a pooler is between that does not.
pub async fn connect(url: &str) -> Result<PgPool, StoreError> {
    connect_by_sessions(url, CONNECTIONS, NEEDS_DIRECT).await
}

/// What helps where a pooler shares sessions.
const NEEDS_DIRECT: &str = "the pooler at DATABASE_URL hands each transaction to another session: set DATABASE_DIRECT_URL to \
    the database itself, or have the pooler give each connection a session (PgBouncer: pool_mode = session)";
const IS_NOT_DIRECT: &str =
    "DATABASE_DIRECT_URL must lead to the database itself, not to a pooler that shares sessions";

async fn connect_by_sessions(url: &str, connections: u32, is_shared: &'static str) -> Result<PgPool, StoreError> {
    let options = options(url)?;
    let pool = pool_of(connections).after_connect(|conn, _| Box::pin(prepare_session(conn)));
    match expect_sessions(&options, is_shared).await {
        // A database that is starting, or has no place at the moment, is waited for.
        Err(error) if is_passing(&error) => {
            let pool = pool.connect_with(options.clone()).await?;
            expect_sessions(&options, is_shared).await?;
            Ok(pool)
        }
        Err(error) => Err(error),
        Ok(()) => pool.connect_with(options).await,
    }
}

/// What connections are for.
#[derive(Clone, Copy)]
enum Access {
    Write,
    Read,
}

impl Access {
    const fn connections(self) -> u32 {
        match self {
            Self::Write => CONNECTIONS,
            Self::Read => LOOKS,
        }
    }
}

/// Connections for requests, by sessions. Those that lead to something that was not compared are closed, and tried again.
fn connect_compared(url: &str, compared: &Compared, access: Access) -> Result<PgPool, StoreError> {
    let compared = compared.clone();
    let pool = pool_of(access.connections()).after_connect(move |conn, _| {
        let compared = compared.clone();
        Box::pin(async move {
            prepare_session(&mut *conn).await?;
            if matches!(access, Access::Read) {
                set(&mut *conn, ("default_transaction_read_only", "on")).await?;
            }
            match compared.is_of(conn).await? {
                true => Ok(()),
                false => Err(StoreError::Configuration(NOT_COMPARED.into())),
            }
        })
    });
    Ok(pool.connect_lazy_with(options(url)?))
}

const NOT_COMPARED: &str = "the database was started anew or exchanged, and has not been compared with the mark yet";

/// Connects to a pooler in transaction mode. No statement outlives its transaction, so none is remembered.
fn connect_shared(url: &str) -> Result<PgPool, StoreError> {
    Ok(pool_of(CONNECTIONS + LOOKS).connect_lazy_with(options(url)?.statement_cache_capacity(0)))
}

fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions = url.parse()?;
    Ok(options.application_name("marque").log_statements(LevelFilter::Trace))
}

fn pool_of(connections: u32) -> PgPoolOptions {
    let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE);
    pool.test_before_acquire(false).before_acquire(|conn, used| {
        Box::pin(async move {
            match used.idle_for < FRESH {
                true => Ok(true),
                false => conn.ping().await.map(|()| true),
            }
        })
    })
}

/// Whether a connection may come about a little later (Postgres, appendix A: `cannot_connect_now`, `too_many_connections`).
fn is_passing(error: &StoreError) -> bool {
    matches!(error, StoreError::Io(_)) || has_class(error, &["57P03", "53300"])
}

/// Tells a new connection what each is told: poolers drop what is said while connecting. A standby is no place to write to,
/// and what it knows may be old.
async fn prepare_session(conn: &mut PgConnection) -> Result<(), StoreError> {
    for setting in SETTINGS {
        set(&mut *conn, setting).await?;
    }
    match sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(conn).await? {
        true => Err(StoreError::Configuration("this database is a standby".into())),
        false => Ok(()),
    }
}

async fn set(conn: &mut PgConnection, (name, value): (&str, &str)) -> Result<(), StoreError> {
    let set: String =
        sqlx::query_scalar("select set_config($1, $2, false)").bind(name).bind(value).fetch_one(conn).await?;
    if set == value { Ok(()) } else { Err(StoreError::Configuration(format!("{name} stays {set}").into())) }
}

/// Two connections that speak to the same process of Postgres share a session: a pooler hands each transaction to whichever is
/// free. Settings, prepared statements and notifications would get lost. Asked apart from the pool, which would only try again.
async fn expect_sessions(options: &PgConnectOptions, is_shared: &'static str) -> Result<(), StoreError> {
    let (mut one, mut other) = (options.connect().await?, options.connect().await?);
    let (own, others) = (backend(&mut one).await?, backend(&mut other).await?);
    // Whether a pooler takes the process that was free last, or each in turn.
    if own == others || backend(&mut one).await? != own || backend(&mut one).await? != own {
        return Err(StoreError::Configuration(is_shared.into()));
    }
    prepare_session(&mut one).await
}

/// The process that answers a connection, asked by the simple protocol, which needs no prepared statement.
async fn backend(conn: &mut PgConnection) -> Result<i32, StoreError> {
    use sqlx::{Executor, Row};
    conn.fetch_one("select pg_backend_pid()").await?.try_get(0)
}

/// Which database a connection leads to.
async fn identity(conn: &mut PgConnection) -> Result<String, StoreError> {
    let asked = "select concat_ws('/', (select system_identifier from pg_control_system()),
                     (select oid from pg_database where datname = current_database()))";
    sqlx::query_scalar(asked).fetch_one(conn).await
}

/// Brings the tables up to date, under the migrator's advisory lock: several servers may start at once. It takes the time
/// that it needs.
///
/// # Errors
/// When a migration fails or the tables are newer than this program.
pub async fn migrate(pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    sqlx::migrate!().run(&mut *patient(pool).await?).await
}

/// A connection for work that nobody waits for and that may take long. It is closed in the end.
///
/// # Errors
/// When the database is not there.
async fn patient(pool: &PgPool) -> Result<PoolConnection<Postgres>, StoreError> {
    let mut conn = pool.acquire().await?;
    conn.close_on_drop();
    sqlx::query!(
        "select set_config('lock_timeout', '0', false) as lock, set_config('statement_timeout', '0', false) as statement"
    )
    .fetch_one(&mut *conn)
    .await?;
    Ok(conn)
}

/// A transaction of a session that may take long.
///
/// # Errors
/// When the database is not there.
pub async fn begin_patient(session: &mut PgConnection) -> Result<sqlx::PgTransaction<'_>, StoreError> {
    let mut tx = session.begin().await?;
    be_patient(&mut tx).await?;
    Ok(tx)
}

/// Has the transaction take the time that it needs.
async fn be_patient(tx: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(
        "select set_config('lock_timeout', '0', true) as lock, set_config('statement_timeout', '0', true) as statement"
    )
    .fetch_one(tx)
    .await
    .map(drop)
}

/// The earlier one of two clocks: the caller's, and the database's.
///
/// # Errors
/// When the database is not there.
pub async fn earlier_now(conn: &mut PgConnection, now: OffsetDateTime) -> Result<OffsetDateTime, StoreError> {
    sqlx::query_scalar!(r#"select least($1::timestamptz, now()) as "now!""#, now).fetch_one(conn).await
}

/// Whether an insert failed because the named constraint or index already has such a row.
pub fn violates(error: &StoreError, constraint: &str) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) == Some(constraint)
}

/// Whether no statement has a chance: no connection, or none to spare (SQLSTATE 08, 53, and 57P: shut down, or not up yet).
pub fn is_away(error: &StoreError) -> bool {
    matches!(error, StoreError::PoolTimedOut | StoreError::Io(_) | StoreError::PoolClosed)
        || has_class(error, &["08", "53", "57P"])
}

/// Whether a statement that failed may succeed later: rolled back for another's sake (SQLSTATE 40), cut off while idle (25P03), a lock
/// that somebody else holds for too long (55P03), stopped for having taken too long (57).
pub fn may_succeed_later(error: &StoreError) -> bool {
    has_class(error, &["25P03", "40", "55P03", "57"])
}

fn has_class(error: &StoreError, classes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
}

/// Answers by their place in the question, which begins with 1.
fn in_order<T: Default>(count: usize, answers: impl Iterator<Item = (i64, T)>) -> Vec<T> {
    let mut all: Vec<T> = std::iter::repeat_with(T::default).take(count).collect();
    for (place, answer) in answers {
        if let Some(slot) = usize::try_from(place - 1).ok().and_then(|place| all.get_mut(place)) {
            *slot = answer;
        }
    }
    all
}
