//! Where a gate gets the envelopes of tokens that carry their steps by digest.

use crate::keys::Pending;
use crate::refusal::Refusal;
use marque_core::canonical::Digest;
use marque_core::claims::Carried;
use marque_core::envelope::Envelope;
use marque_core::prepared::Prepared;
use marque_core::reason::Reason;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Envelopes that are remembered: plans with long steps that are under way at one resource server. Each is some ten
/// kilobytes, [`marque_core::limits::ENVELOPE_BYTES`] at most.
const ENVELOPES: usize = 64;

/// Gives what Marque keeps under a digest. It is not believed: the gate compares it with the digest in the signed token.
pub trait EnvelopeSource: Send + Sync {
    /// The canonical form of the envelope of a digest. Must answer within a deadline of its own, and read no more than
    /// [`marque_core::limits::ENVELOPE_BYTES`].
    ///
    /// # Errors
    /// Says why there is none.
    fn envelope(&self, digest: Digest) -> Pending<'_, Result<Vec<u8>, String>>;
}

/// For a gate without network: it has no envelopes, and refuses every token that carries its steps by digest.
pub(crate) struct NoEnvelopes;

impl EnvelopeSource for NoEnvelopes {
    fn envelope(&self, _digest: Digest) -> Pending<'_, Result<Vec<u8>, String>> {
        let problem = "this gate was given no source for them; narrow the token at Marque to fewer steps";
        Box::pin(std::future::ready(Err(problem.into())))
    }
}

/// Envelopes by their digest: what is found under one is what was compared with it, forever.
pub(crate) struct Envelopes {
    source: Arc<dyn EnvelopeSource>,
    known: Cache<Digest, Arc<Prepared>>,
}

impl Envelopes {
    pub fn of(source: impl EnvelopeSource + 'static) -> Self {
        Self { source: Arc::new(source), known: Cache::new(ENVELOPES) }
    }

    /// The envelope that a token carries. One that is fetched is fetched by one caller at a time.
    ///
    /// # Errors
    /// [`Reason::StateUnavailable`] when it cannot be had, or is not the one that the token names.
    pub async fn carried(&self, carried: Carried) -> Result<Arc<Prepared>, Refusal> {
        match carried {
            Carried::Inline(envelope) => Ok(Arc::new(envelope.into())),
            Carried::ByDigest(digest) => self.known.get_or_insert_async(&digest, self.fetched(digest)).await,
        }
    }

    async fn fetched(&self, digest: Digest) -> Result<Arc<Prepared>, Refusal> {
        let unavailable = |problem: String| {
            let sentence = format!("the token carries its steps by digest, and they cannot be had: {problem}");
            Refusal::new(Reason::StateUnavailable).because(sentence)
        };
        let kept = self.source.envelope(digest).await.map_err(unavailable)?;
        let envelope = Envelope::of_digest(&digest, &kept).map_err(|refused| unavailable(refused.to_string()))?;
        Ok(Arc::new(envelope.into()))
    }
}
