//! Requests use the database only as it was compared with what this server remembers: a database that was restored or exchanged
//! while the server runs comes with other processes, and whoever connects to them waits until they have been compared, too.

use super::StoreError;
use sqlx::{Executor, PgConnection, Row};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A comparison that is older is none: the next one is waited for.
const GOOD: Duration = Duration::from_secs(10);

/// When Postgres started, which database this is, and its tables: a restore cannot leave all of it as it was.
const HISTORY: &str = "select concat_ws('/', extract(epoch from pg_postmaster_start_time()),
    (select oid from pg_database where datname = current_database()), to_regclass('feeds')::oid)";

/// What a connection leads to, as far as a restore changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History(String);

/// Asks a connection what it leads to, by the simple protocol, which needs no prepared statement.
pub async fn history(conn: &mut PgConnection) -> Result<History, StoreError> {
    conn.fetch_one(HISTORY).await?.try_get(0).map(History)
}

/// What was compared last.
#[derive(Clone, Default)]
struct Last {
    /// Nothing yet: then everything is as good.
    history: Option<History>,
    /// When. Nothing where nobody compares again and again, as in a command.
    at: Option<Instant>,
}

impl Last {
    fn is_good(&self) -> bool {
        self.at.is_none_or(|at| at.elapsed() < GOOD)
    }

    fn is_of(&self, history: &History) -> bool {
        self.history.as_ref().is_none_or(|known| known == history)
    }
}

/// What this server compared last. Clones share it.
#[derive(Clone)]
pub struct Compared(Arc<watch::Sender<Last>>);

impl Default for Compared {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Last::default())))
    }
}

impl Compared {
    /// This is what a command begins with. It ends with it, too.
    pub fn begin_with(&self, history: History) {
        self.0.send_modify(|last| last.history = Some(history));
    }

    /// This was compared now, and is to be compared again before long.
    pub fn note(&self, history: History) {
        self.0.send_replace(Last { history: Some(history), at: Some(Instant::now()) });
    }

    /// Returns once the last comparison is no older than it may be.
    ///
    /// # Errors
    /// When none comes about while somebody would wait.
    pub async fn expect_good(&self, patience: Duration) -> Result<(), StoreError> {
        if self.0.borrow().is_good() {
            return Ok(());
        }
        let mut hearing = self.0.subscribe();
        match tokio::time::timeout(patience, hearing.wait_for(Last::is_good)).await {
            Ok(Ok(_)) => Ok(()),
            _ => {
                tracing::error!("database.not_compared: the database has not been compared with the mark for seconds");
                Err(StoreError::PoolTimedOut)
            }
        }
    }

    /// Whether a connection leads to what was compared.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_of(&self, conn: &mut PgConnection) -> Result<bool, StoreError> {
        let found = history(conn).await?;
        Ok(self.0.borrow().is_of(&found))
    }

    /// Returns once something else was compared.
    ///
    /// # Errors
    /// When nothing is while somebody would wait.
    pub async fn changed(&self, patience: Duration) -> Result<(), StoreError> {
        let mut hearing = self.0.subscribe();
        match tokio::time::timeout(patience, hearing.changed()).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(StoreError::PoolTimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_old_comparison_is_none_until_the_next_one() {
        let compared = Compared::default();
        let one = History("one".into());
        compared.begin_with(one.clone());
        compared.expect_good(Duration::ZERO).await.unwrap();
        let long_ago = Instant::now().checked_sub(GOOD).unwrap();
        compared.0.send_replace(Last { history: Some(one.clone()), at: Some(long_ago) });
        let error = compared.expect_good(Duration::from_millis(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::PoolTimedOut));
        let waiting = compared.expect_good(Duration::from_secs(60));
        let ((), waited) = tokio::join!(async { compared.note(one) }, waiting);
        waited.unwrap();
    }

    #[test]
    fn what_was_compared_is_told_from_everything_else() {
        let last = Last { history: Some(History("one".into())), at: None };
        assert!(last.is_of(&History("one".into())) && !last.is_of(&History("two".into())));
        assert!(Last::default().is_of(&History("two".into())), "before the first");
    }
}
