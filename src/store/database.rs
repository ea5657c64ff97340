//! The database as flows have it: ways to look, to write one thing, and to begin a transaction.

use super::{ACQUIRE, Access, Compared, History, StoreError, revocations};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgListener, PgTransactionManager};
use sqlx::{PgConnection, PgPool, Postgres, SqlSafeStr};
use sqlx_core::transaction::TransactionManager;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

/// The database. Clones share their connections.
///
/// Behind a pooler in transaction mode a session lasts for one transaction, and the next one has another. Everything is then
/// said within transactions, and each is told what connections are told otherwise ([`super::SETTINGS`]). The driver names the
/// statements that it prepares: what is left of them in the session, of whomever, is thrown away first.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    /// For what only reads: sessions in which nothing is written, where sessions are one's own.
    looks: PgPool,
    /// For what needs a session: notifications, migrations, work that takes long; and for what must not wait for requests.
    sessions: PgPool,
    /// Whether `pool` leads to a pooler in transaction mode.
    is_shared: bool,
    /// What requests may use.
    compared: Compared,
}

impl From<PgPool> for Database {
    /// A database whose connections are sessions of their own, and which nobody compares. Whoever looks could write here.
    fn from(pool: PgPool) -> Self {
        Self { sessions: pool.clone(), looks: pool.clone(), pool, is_shared: false, compared: Compared::default() }
    }
}

/// What a transaction is begun with where sessions are shared. `read write` first: a standby refuses it.
macro_rules! begin_shared {
    ($isolation:literal, $more:literal) => {
        concat!(
            "begin isolation level ",
            $isolation,
            " read write; ",
            $more,
            "set local synchronous_commit = 'on'; set local lock_timeout = '2s'; set local statement_timeout = '10s'; ",
            "set local idle_in_transaction_session_timeout = '15s'; deallocate all"
        )
    };
}

/// What a transaction is for.
#[derive(Clone, Copy)]
enum Purpose {
    Write,
    Look,
    /// To see everything as it stands at one instant.
    LookAtOnce,
}

impl Purpose {
    /// With what it is begun; nothing for the driver's own `begin`.
    const fn begun_with(self, is_shared: bool) -> Option<&'static str> {
        match (self, is_shared) {
            (Self::Write | Self::Look, false) => None,
            (Self::LookAtOnce, false) => Some("begin isolation level repeatable read read only"),
            (Self::Write, true) => Some(begin_shared!("read committed", "")),
            (Self::Look, true) => Some(begin_shared!("read committed", "set transaction read only; ")),
            (Self::LookAtOnce, true) => Some(begin_shared!("repeatable read", "set transaction read only; ")),
        }
    }
}

impl Database {
    /// Connects: by sessions to `url`; or, where `direct` says how to get sessions, by transactions to `url`, whichever kind of
    /// pooler is there.
    ///
    /// # Errors
    /// When it is not there; when a pooler is between that hands each transaction to another session, and `direct` is not
    /// given, or leads to such a pooler, or to another database.
    pub async fn connect(url: &str, direct: Option<&str>) -> Result<Self, StoreError> {
        let compared = Compared::default();
        let Some(direct) = direct else {
            let sessions = super::connect_by_sessions(url, super::SESSIONS, super::NEEDS_DIRECT).await?;
            let pool = super::connect_compared(url, &compared, Access::Write)?;
            let looks = super::connect_compared(url, &compared, Access::Read)?;
            return Ok(Self { pool, looks, sessions, is_shared: false, compared });
        };
        let sessions = super::connect_by_sessions(direct, super::SESSIONS, super::IS_NOT_DIRECT).await?;
        let pool = super::connect_shared(url)?;
        let db = Self { looks: pool.clone(), pool, sessions, is_shared: true, compared };
        let by_pooler = super::identity(&mut *db.look().await?).await?;
        if by_pooler != super::identity(&mut *db.sessions.acquire().await?).await? {
            let what = "DATABASE_URL and DATABASE_DIRECT_URL lead to different databases";
            return Err(StoreError::Configuration(what.into()));
        }
        Ok(db)
    }

    /// Brings the tables up to date, as [`super::migrate`].
    ///
    /// # Errors
    /// When a migration fails or the tables are newer than this program.
    pub async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        super::migrate(&self.sessions).await?;
        let history = super::history(&mut *self.sessions.acquire().await?).await?;
        self.compared.begin_with(history);
        Ok(())
    }

    /// A session to compare the database with the mark.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn session(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.sessions.acquire().await
    }

    /// Requests may use this now, and for some seconds: it was compared.
    pub fn note_compared(&self, history: History) {
        self.compared.note(history);
    }

    /// For statements that only read. Postgres refuses every other one.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn look(&self) -> Result<Look, StoreError> {
        match self.is_shared {
            false => self.acquire(&self.looks).await.map(Look::Session),
            true => self.begin_for(Purpose::Look).await.map(Look::Transaction),
        }
    }

    /// For statements that each stand for themselves: what was written stays once this is answered. If `work` fails, it may
    /// stay or not.
    ///
    /// # Errors
    /// When the database is not there, or as `work` says.
    pub async fn write<T, E: From<StoreError>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        match self.is_shared {
            false => work(&mut *self.acquire(&self.pool).await?).await,
            true => self.write_together(work).await,
        }
    }

    /// For statements that stand together: what was written stays once this is answered, and nothing of it if `work` fails.
    ///
    /// # Errors
    /// When the database is not there, or as `work` says.
    pub async fn write_together<T, E: From<StoreError>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut tx = self.begin().await?;
        let done = work(&mut tx).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// Begins a transaction. Without its commit nothing of it stays.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        self.begin_for(Purpose::Write).await
    }

    async fn acquire(&self, pool: &PgPool) -> Result<PoolConnection<Postgres>, StoreError> {
        self.compared.expect_good(ACQUIRE).await?;
        pool.acquire().await
    }

    async fn begin_for(&self, purpose: Purpose) -> Result<Transaction, StoreError> {
        let begun = Instant::now();
        let pool = if matches!(purpose, Purpose::Write) { &self.pool } else { &self.looks };
        loop {
            let mut tx = Transaction::begin(self.acquire(pool).await?, purpose.begun_with(self.is_shared)).await?;
            // A session of one's own was asked when it began.
            if !self.is_shared || self.compared.is_of(&mut tx).await? {
                return Ok(tx);
            }
            drop(tx);
            tracing::warn!("{}", super::NOT_COMPARED);
            self.compared.changed(ACQUIRE.saturating_sub(begun.elapsed())).await?;
        }
    }

    /// A transaction that may take long.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn begin_patient(&self) -> Result<Transaction, StoreError> {
        let mut tx = self.begin().await?;
        super::be_patient(&mut tx).await?;
        Ok(tx)
    }

    /// A transaction that only reads, and that sees everything as it stands at one instant.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn look_at_once(&self) -> Result<Transaction, StoreError> {
        self.begin_for(Purpose::LookAtOnce).await
    }

    /// A session for work that nobody waits for and that may take long. It is closed in the end.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn patient(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        super::patient(&self.sessions).await
    }

    /// Whether the database answers who reads and who writes.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        ask(&mut *self.look().await?).await?;
        self.write(ask).await
    }

    /// A session that hears of new revocations.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn listen_for_revocations(&self) -> Result<PgListener, StoreError> {
        let mut listener = PgListener::connect_with(&self.sessions).await?;
        listener.listen(revocations::CHANNEL).await?;
        Ok(listener)
    }
}

async fn ask(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("select 1 as one").fetch_one(conn).await.map(drop)
}

/// A connection to read with.
pub enum Look {
    /// A session.
    Session(PoolConnection<Postgres>),
    /// A transaction that reads only.
    Transaction(Transaction),
}

impl Deref for Look {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Session(conn) => conn,
            Self::Transaction(tx) => tx,
        }
    }
}

impl DerefMut for Look {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Session(conn) => conn,
            Self::Transaction(tx) => tx,
        }
    }
}

/// A transaction. It is rolled back unless it is committed.
pub struct Transaction {
    conn: PoolConnection<Postgres>,
}

/// A connection that has not said yet whether the transaction began. Nobody else gets it.
struct Beginning(Option<PoolConnection<Postgres>>);

impl Drop for Beginning {
    fn drop(&mut self) {
        if let Some(conn) = &mut self.0 {
            conn.close_on_drop();
        }
    }
}

impl Transaction {
    /// A request that ends while its transaction begins would leave a connection in a transaction that nobody knows of.
    async fn begin(conn: PoolConnection<Postgres>, statement: Option<&'static str>) -> Result<Self, StoreError> {
        let mut beginning = Beginning(Some(conn));
        if let Some(conn) = &mut beginning.0 {
            PgTransactionManager::begin(conn, statement.map(SqlSafeStr::into_sql_str)).await?;
        }
        beginning.0.take().map(|conn| Self { conn }).ok_or(StoreError::PoolClosed)
    }

    /// Has it stay.
    ///
    /// # Errors
    /// When the database does not say so: whether it stays is not known then.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        PgTransactionManager::commit(&mut self.conn).await
    }

    /// Has nothing of it stay.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rollback(mut self) -> Result<(), StoreError> {
        PgTransactionManager::rollback(&mut self.conn).await
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // Of one that has ended nothing is left to roll back.
        PgTransactionManager::start_rollback(&mut self.conn);
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.conn
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.conn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_sessions_are_told_with_each_transaction_what_others_are_told_once() {
        for purpose in [Purpose::Write, Purpose::Look, Purpose::LookAtOnce] {
            let begun = purpose.begun_with(true).unwrap();
            for (name, value) in super::super::SETTINGS {
                let told = match name {
                    "default_transaction_isolation" => "begin isolation level ".to_owned(),
                    name => format!("set local {name} = '{value}';"),
                };
                assert!(begun.contains(&told), "{told}: {begun}");
            }
            assert!(begun.ends_with("deallocate all"));
            assert_eq!(begun.contains("set transaction read only"), !matches!(purpose, Purpose::Write));
        }
    }
}
