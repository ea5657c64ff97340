//! What a gate verified before, so that the next call with it costs a look and no signature.

use crate::token::VerifiedToken;
use marque_core::canonical::Digest;
use marque_core::jws::KeySet;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Verified tokens by the SHA-256 of the whole token: two tokens never share an entry. What is kept were valid once;
/// whoever takes one looks at its time again.
pub(crate) struct TokenCache(Cache<Digest, Arc<VerifiedToken>>);

impl TokenCache {
    /// Remembers so many tokens at most.
    pub fn of(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// The token of a hash, if it was verified and the key that signed it is still among the current ones. A key that
    /// was withdrawn takes with it what it signed.
    pub fn find(&self, hash: &Digest, keys: &KeySet) -> Option<Arc<VerifiedToken>> {
        let found = self.0.get(hash)?;
        if found.claims.is_signed_by_one_of(keys) {
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
