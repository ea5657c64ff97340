//! How an intent and a call of it stand, for calls that take no lock and no row. Questions that come while one query is under
//! way are answered together by the next: each sees what was committed before it was asked, and many cost little more
//! than one.

use super::{Context, FlowError};
use crate::store;
use crate::store::permits::{CallOf, Standing};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

/// Queries of one server under way at once, each on a connection.
const QUERIES: usize = 2;
/// Questions that one query answers.
const TOGETHER: usize = 256;

/// Questions that wait for their query.
pub struct Standings {
    waiting: Mutex<Vec<Waiting>>,
    turns: Semaphore,
}

struct Waiting {
    of: CallOf,
    answer: oneshot::Sender<Standing>,
}

impl Default for Standings {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turns: Semaphore::new(QUERIES) }
    }
}

impl Standings {
    fn ask(&self, of: CallOf) -> oneshot::Receiver<Standing> {
        let (answer, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Waiting { of, answer });
        told
    }

    fn next(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let some = waiting.len().min(TOGETHER);
        waiting.drain(..some).collect()
    }
}

impl Context<'_> {
    /// How an intent and a call of it stand, by the resource server and its id of the call.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub(super) async fn standing(
        &self,
        intent_id: Uuid,
        client_id: &str,
        call_id: &str,
    ) -> Result<Standing, FlowError> {
        let standings = &self.realm.standings;
        loop {
            let of = CallOf { intent_id, client_id: client_id.to_owned(), call_id: call_id.to_owned() };
            let mut told = standings.ask(of);
            let turn = tokio::select! {
                biased;
                answered = &mut told => match answered {
                    Ok(standing) => return Ok(standing),
                    // Whoever asked for it went away, or was told an error.
                    Err(_) => continue,
                },
                turn = standings.turns.acquire() => turn.map_err(FlowError::internal)?,
            };
            self.answer(standings.next()).await?;
            drop(turn);
            if let Ok(standing) = told.await {
                return Ok(standing);
            }
        }
    }

    async fn answer(&self, waiting: Vec<Waiting>) -> Result<(), FlowError> {
        let (calls, answers): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|waiting| (waiting.of, waiting.answer)).unzip();
        if calls.is_empty() {
            return Ok(());
        }
        let (mut conn, now) = (self.app.pool.acquire().await?, self.app.clock.now());
        let found = store::permits::standing(&mut conn, self.realm_name(), &calls, now).await?;
        for (answer, standing) in answers.into_iter().zip(found) {
            // Nobody listens who went away meanwhile.
            let _ = answer.send(standing);
        }
        Ok(())
    }
}
