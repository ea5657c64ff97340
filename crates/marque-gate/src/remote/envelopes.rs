//! Envelopes that a Marque server keeps for tokens with long steps.

use super::{ANSWER, Marque};
use crate::envelopes::EnvelopeSource;
use crate::keys::Pending;
use marque_core::canonical::Digest;
use marque_core::limits;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// After a request that was not answered the next ones are refused at once for so long: those who wait for the same
/// envelope do not each wait for the deadline, one after the other.
const PAUSE: Duration = Duration::from_secs(1);

/// `GET /envelopes/{digest}`, within three seconds.
#[derive(Clone)]
pub struct RemoteEnvelopes {
    marque: Marque,
    failed_at: Arc<Mutex<Option<Instant>>>,
}

impl RemoteEnvelopes {
    pub(super) fn new(marque: Marque) -> Self {
        Self { marque, failed_at: Arc::default() }
    }

    async fn fetch(&self, digest: Digest) -> Result<Vec<u8>, String> {
        if self.failed_at().is_some_and(|at| at.elapsed() < PAUSE) {
            return Err("Marque did not answer just now".into());
        }
        let url = format!("{}/envelopes/{digest}", self.marque.address);
        let ask = async {
            let answer = self.marque.send(|client| client.get(&url)).await?;
            match answer.status().as_u16() {
                404 => Ok(Err("Marque keeps no such envelope".to_owned())),
                status if status < 500 => super::ledger::body_of(answer, 200, limits::ENVELOPE_BYTES).await.map(Ok),
                status => Err(format!("Marque answered {status}")),
            }
        };
        let asked = timeout(ANSWER, ask).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        asked.unwrap_or_else(|problem| {
            tracing::warn!(problem, "an envelope cannot be fetched");
            if let Ok(mut failed_at) = self.failed_at.lock() {
                *failed_at = Some(Instant::now());
            }
            Err(problem)
        })
    }

    fn failed_at(&self) -> Option<Instant> {
        self.failed_at.lock().ok().and_then(|at| *at)
    }
}

impl EnvelopeSource for RemoteEnvelopes {
    fn envelope(&self, digest: Digest) -> Pending<'_, Result<Vec<u8>, String>> {
        Box::pin(self.fetch(digest))
    }
}
