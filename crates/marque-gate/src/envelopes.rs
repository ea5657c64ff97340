//! Where a gate gets the envelopes of tokens that carry their steps by digest.

use crate::keys::Pending;
use crate::refusal::Refusal;
use crate::weight;
use marque_core::canonical::Digest;
use marque_core::claims::Carried;
use marque_core::envelope::Envelope;
use marque_core::prepared::Prepared;
use marque_core::reason::Reason;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Bytes of the heap for envelopes that are remembered: of plans with long steps that are under way at one resource
/// server. Each is some ten kilobytes as it travels, and some hundred here.
const REMEMBERED_BYTES: u64 = 32 * 1024 * 1024;
/// Envelopes that there is room for at first.
const USUAL: usize = 64;

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
    known: Cache<Digest, CarriedEnvelope, Bytes>,
}

/// The envelope of a token.
#[derive(Clone)]
pub(crate) struct CarriedEnvelope {
    pub prepared: Arc<Prepared>,
    /// Its bytes in canonical form, if it did not travel in the token itself.
    pub fetched_bytes: usize,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Digest, CarriedEnvelope> for Bytes {
    fn weight(&self, _digest: &Digest, envelope: &CarriedEnvelope) -> u64 {
        let bytes = weight::heap_bytes(envelope.fetched_bytes, envelope.prepared.envelope());
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl Envelopes {
    pub fn of(source: impl EnvelopeSource + 'static) -> Self {
        Self { source: Arc::new(source), known: Cache::with_weighter(USUAL, REMEMBERED_BYTES, Bytes) }
    }

    /// The envelope that a token carries. One that is fetched is fetched by one caller at a time.
    ///
    /// # Errors
    /// [`Reason::StateUnavailable`] when it cannot be had, or is not the one that the token names.
    pub async fn carried(&self, carried: Carried) -> Result<CarriedEnvelope, Refusal> {
        match carried {
            Carried::Inline(envelope) => Ok(CarriedEnvelope { prepared: Arc::new(envelope.into()), fetched_bytes: 0 }),
            Carried::ByDigest(digest) => self.known.get_or_insert_async(&digest, self.fetched(digest)).await,
        }
    }

    async fn fetched(&self, digest: Digest) -> Result<CarriedEnvelope, Refusal> {
        let unavailable = |problem: String| {
            let sentence = format!("the token carries its steps by digest, and they cannot be had: {problem}");
            Refusal::new(Reason::StateUnavailable).because(sentence)
        };
        let kept = self.source.envelope(digest).await.map_err(unavailable)?;
        let envelope = Envelope::of_digest(&digest, &kept).map_err(|refused| unavailable(refused.to_string()))?;
        Ok(CarriedEnvelope { prepared: Arc::new(envelope.into()), fetched_bytes: kept.len() })
    }
}
