//! The database as flows have it: ways to look, to write one thing, and to begin a transaction.

use super::{StoreError, revocations};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgListener, PgTransactionManager};
use sqlx::{PgConnection, PgPool, Postgres, SqlSafeStr};
use sqlx_core::transaction::TransactionManager;
use std::ops::{Deref, DerefMut};

/// What is begun where everything is to be seen as it stands at one instant.
const ONE_INSTANT: &str = "begin isolation level repeatable read read only";

/// The database. Clones share their connections.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
}

impl From<PgPool> for Database {
    /// A database whose connections are sessions of their own.
    fn from(pool: PgPool) -> Self {
        Self { pool }
    }
}

impl Database {
    /// Connects, as [`super::connect`].
    ///
    /// # Errors
    /// When it is not there, or a pooler is between that hands each transaction to another session.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        super::connect(url).await.map(Self::from)
    }

    /// Brings the tables up to date, as [`super::migrate`].
    ///
    /// # Errors
    /// When a migration fails or the tables are newer than this program.
    pub async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        super::migrate(&self.pool).await
    }

    /// For statements that only read. Nothing else may be said to it: it need not stay.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn look(&self) -> Result<Look, StoreError> {
        self.pool.acquire().await.map(Look)
    }

    /// For statements that each stand for themselves: what was written stays once this is answered, unless `work` fails.
    ///
    /// # Errors
    /// When the database is not there, or as `work` says.
    pub async fn write<T, E: From<StoreError>>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        work(&mut *self.pool.acquire().await?).await
    }

    /// Begins a transaction. Without its commit nothing of it stays.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        Transaction::begin(&self.pool, None).await
    }

    /// A transaction that may take long.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn begin_patient(&self) -> Result<Transaction, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!(
            "select set_config('lock_timeout', '0', true) as lock, set_config('statement_timeout', '0', true) as statement"
        )
        .fetch_one(&mut *tx)
        .await?;
        Ok(tx)
    }

    /// A transaction that only reads, and that sees everything as it stands at one instant.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn look_at_once(&self) -> Result<Transaction, StoreError> {
        Transaction::begin(&self.pool, Some(ONE_INSTANT)).await
    }

    /// A connection for work that nobody waits for and that may take long. It is closed in the end.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn patient(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        super::patient(&self.pool).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query!("select 1 as one").fetch_one(&mut *self.look().await?).await.map(drop)
    }

    /// A connection that hears of new revocations.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn listen_for_revocations(&self) -> Result<PgListener, StoreError> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(revocations::CHANNEL).await?;
        Ok(listener)
    }
}

/// A connection to read with.
pub struct Look(PoolConnection<Postgres>);

impl Deref for Look {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Look {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
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
    async fn begin(pool: &PgPool, statement: Option<&'static str>) -> Result<Self, StoreError> {
        let mut beginning = Beginning(Some(pool.acquire().await?));
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
