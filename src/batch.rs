//! Requests that share a transaction: a commit takes as long for one as for a hundred.
//!
//! A worker takes all that wait for it, works on them together, and answers each after the commit. Meanwhile others gather for
//! the next one: batches grow with the load, and a request that comes alone waits for nobody. Requests about the same thing, an
//! intent or an id, go to the same worker: the transactions of a server do not keep each other from what they lock.

use std::future::Future;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Requests that may wait for a worker. More than a few batches of them would only wait in vain: they are told to come back.
const WAITING: usize = 512;
/// Requests that one transaction takes: beyond it, each costs as much as before.
const TOGETHER: usize = 128;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Too many wait.
    #[error("too many requests wait")]
    Full,
    /// What all of them need is away: none would fare better alone.
    #[error("{0}")]
    Away(String),
    /// The transaction failed, for all of them, perhaps by one's fault.
    #[error("{0}")]
    Failed(String),
}

/// Takes requests in, and answers them in batches.
pub struct Batch<Q, A> {
    workers: Vec<mpsc::Sender<Waiting<Q, A>>>,
}

struct Waiting<Q, A> {
    question: Q,
    answer: oneshot::Sender<Result<A, BatchError>>,
}

impl<Q: Send + 'static, A: Send + 'static> Batch<Q, A> {
    /// Starts so many workers: with one, batches are as large as they can be; with more, one batch is prepared while another
    /// waits for the disk, or for somebody's lock. `work` answers each question of a batch, in order. They end with the last
    /// handle.
    pub fn start<W, F, E>(workers: usize, work: W) -> Self
    where
        W: Fn(Vec<Q>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Vec<A>, E>> + Send + 'static,
        E: Into<BatchError> + Send + 'static,
    {
        let start = |_| {
            let (waiting, queue) = mpsc::channel(WAITING);
            tokio::spawn(answer_all(queue, work.clone()));
            waiting
        };
        Self { workers: (0..workers).map(start).collect() }
    }

    /// Asks one question about a thing. Whether one that goes away before the answer was still worked on is not known.
    ///
    /// # Errors
    /// When too many wait, or the transaction failed.
    pub async fn ask(&self, about: Uuid, question: Q) -> Result<A, BatchError> {
        let (answer, answered) = oneshot::channel();
        // The last byte of an id is random, whichever version it has.
        let [.., last] = about.into_bytes();
        let place = usize::from(last).checked_rem(self.workers.len()).unwrap_or_default();
        let worker = self.workers.get(place).ok_or(BatchError::Full)?;
        worker.try_send(Waiting { question, answer }).map_err(|_| BatchError::Full)?;
        answered.await.unwrap_or_else(|_| Err(BatchError::Failed("the worker is gone".into())))
    }

    /// [`Self::ask`], for who can go on alone: nothing where the batch failed, since whatever else was in it may be at fault.
    ///
    /// # Errors
    /// When too many wait, or what all need is away.
    pub async fn ask_with_others(&self, about: Uuid, question: Q) -> Result<Option<A>, BatchError> {
        match self.ask(about, question).await {
            Err(BatchError::Failed(error)) => {
                tracing::warn!(error, "requests could not be worked on together");
                Ok(None)
            }
            answered => answered.map(Some),
        }
    }
}

async fn answer_all<Q, A, W, F, E>(mut queue: mpsc::Receiver<Waiting<Q, A>>, work: W)
where
    A: Send + 'static,
    W: Fn(Vec<Q>) -> F,
    F: Future<Output = Result<Vec<A>, E>> + Send + 'static,
    E: Into<BatchError> + Send + 'static,
{
    let mut taken = Vec::with_capacity(TOGETHER);
    while queue.recv_many(&mut taken, TOGETHER).await > 0 {
        // Whoever has gone away already is not worked for.
        let (questions, answers): (Vec<_>, Vec<_>) = taken
            .drain(..)
            .filter(|waiting| !waiting.answer.is_closed())
            .map(|Waiting { question, answer }| (question, answer))
            .unzip();
        // In a task of its own: one batch that breaks down ends no worker.
        let worked = tokio::spawn(work(questions)).await;
        match worked
            .map_err(|broken| BatchError::Failed(broken.to_string()))
            .and_then(|worked| worked.map_err(Into::into))
        {
            Ok(all) => answers.into_iter().zip(all).for_each(|(answer, one)| drop(answer.send(Ok(one)))),
            Err(error) => answers.into_iter().for_each(|answer| drop(answer.send(Err(error.clone())))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn each_gets_its_own_answer_and_those_that_wait_share_a_batch() {
        let (gate, batches) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let batch = {
            let (gate, batches) = (gate.clone(), batches.clone());
            Batch::start(2, move |questions: Vec<u32>| {
                let (gate, batches) = (gate.clone(), batches.clone());
                async move {
                    gate.acquire().await.unwrap().forget();
                    batches.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, BatchError>(questions.into_iter().map(|question| question * 2).collect())
                }
            })
        };
        let batch = Arc::new(batch);
        let ask = |question| {
            tokio::spawn({
                let batch = batch.clone();
                async move { batch.ask(about(question), question).await }
            })
        };
        let asked: Vec<_> = (0..100).map(ask).collect();
        tokio::task::yield_now().await;
        gate.add_permits(100);
        for (question, answer) in (0..100).zip(asked) {
            assert_eq!(answer.await.unwrap(), Ok(question * 2));
        }
        assert!(batches.load(Ordering::SeqCst) < 100, "a batch for each request");
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_told_at_once_and_a_failure_reaches_all() {
        let batch = Arc::new(Batch::<(), ()>::start(1, |_| std::future::pending::<Result<_, BatchError>>()));
        let more_than_room = WAITING + TOGETHER + 1;
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..more_than_room {
            asked.spawn({
                let batch = batch.clone();
                async move { batch.ask(about(0), ()).await }
            });
        }
        assert_eq!(asked.join_next().await.unwrap().unwrap(), Err(BatchError::Full));
        let failing = Batch::<u8, u8>::start(2, |_| async { Err(BatchError::Failed("one of them".into())) });
        let failed = Err(BatchError::Failed("one of them".into()));
        assert_eq!((failing.ask(about(1), 1).await, failing.ask(about(2), 2).await), (failed.clone(), failed));
    }

    #[tokio::test]
    async fn who_can_goes_on_alone_unless_what_all_need_is_away() {
        let error =
            |away| if away { BatchError::Away("the database".into()) } else { BatchError::Failed("one".into()) };
        let failing = Batch::<bool, u8>::start(1, move |asked| async move { Err(error(asked.contains(&true))) });
        assert_eq!(failing.ask_with_others(about(1), false).await, Ok(None));
        assert_eq!(failing.ask_with_others(about(1), true).await, Err(error(true)));
    }

    #[tokio::test]
    async fn a_batch_that_breaks_down_ends_no_worker() {
        let batch = Batch::<u8, u8>::start(2, |questions| async move {
            assert!(!questions.contains(&0), "broken");
            Ok::<_, BatchError>(questions)
        });
        for intent in 0..4 {
            assert!(matches!(batch.ask(about(intent), 0).await, Err(BatchError::Failed(_))));
            assert_eq!(batch.ask(about(intent), 7).await, Ok(7));
        }
    }

    #[tokio::test]
    async fn what_is_about_one_intent_is_never_worked_on_twice_at_once() {
        let at_work = Arc::new(AtomicUsize::new(0));
        let batch = Arc::new(Batch::start(2, move |questions: Vec<u32>| {
            let at_work = at_work.clone();
            async move {
                let others = at_work.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                at_work.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, BatchError>(questions.iter().map(|_| others).collect())
            }
        }));
        for asked in 0..20 {
            let first = batch.ask(about(1), asked);
            let (one, other) = tokio::join!(first, async {
                tokio::task::yield_now().await;
                batch.ask(about(1), asked).await
            });
            assert_eq!((one, other), (Ok(0), Ok(0)));
        }
    }

    fn about(intent: u32) -> Uuid {
        Uuid::from_u128(intent.into())
    }
}
