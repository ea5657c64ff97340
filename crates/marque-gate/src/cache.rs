//! What a gate verified before, so that the next call with it costs a look and no signature.

use crate::revocations::Revocations;
use crate::token::VerifiedToken;
use marque_core::canonical::Digest;
use marque_core::jws::KeySet;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Bytes of the heap that a usual token takes: only what the cache makes room for at first depends on it.
const USUAL_BYTES: usize = 24 * 1024;

/// Verified tokens by the SHA-256 of the whole token: two tokens never share an entry. What is kept were valid once;
/// whoever takes one looks at its time again.
pub(crate) struct TokenCache(Cache<Digest, Arc<VerifiedToken>, Bytes>);

#[derive(Clone)]
struct Bytes;

impl Weighter<Digest, Arc<VerifiedToken>> for Bytes {
    fn weight(&self, _hash: &Digest, token: &Arc<VerifiedToken>) -> u64 {
        u64::try_from(token.heap_bytes()).unwrap_or(u64::MAX)
    }
}

impl TokenCache {
    /// Remembers tokens that take so many bytes of the heap at most, all together.
    pub fn of(capacity: usize) -> Self {
        let bytes = u64::try_from(capacity).unwrap_or(u64::MAX);
        Self(Cache::with_weighter(capacity / USUAL_BYTES, bytes, Bytes))
    }

    /// The token of a hash, if it was verified and the key that signed it is still among the current ones, and not
    /// withdrawn. A key that was withdrawn takes with it what it signed.
    pub fn find(&self, hash: &Digest, keys: &KeySet, revocations: &Revocations) -> Option<Arc<VerifiedToken>> {
        let found = self.0.get(hash)?;
        if found.claims.is_signed_by_one_of(keys) && !revocations.is_withdrawn(found.claims.signed_by()) {
            return Some(found);
        }
        self.forget(hash);
        None
    }

    /// Keeps a token that holds now.
    pub fn keep(&self, hash: Digest, token: &Arc<VerifiedToken>) {
        self.0.insert(hash, token.clone());
    }

    /// Forgets a token, for example one that is over.
    pub fn forget(&self, hash: &Digest) {
        self.0.remove(hash);
    }
}
