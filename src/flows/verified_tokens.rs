//! Tokens whose signature and form were verified once: a signature check takes longer than everything else that a
//! decision does, and the same token comes with every call.
//!
//! A token is known again by the SHA-256 of all of it. What time or withdrawal may change is checked each time: that the
//! key that signed it is still published for tokens of its type, and, by the caller, that it is not over.

use marque_core::canonical::Digest;
use marque_core::claims::token_hash;
use marque_core::jws::{self, JwsError, KeySet, Verified};
use moka::sync::Cache;
use std::sync::Arc;

/// Bytes of tokens that are remembered at once; what is read from them takes a few times as much.
const REMEMBERED_BYTES: u64 = 4 * 1024 * 1024;

/// Verified tokens of one type.
pub struct VerifiedTokens<T> {
    typ: &'static str,
    remembered: Cache<Digest, Arc<Token<T>>>,
}

struct Token<T> {
    said: Arc<T>,
    signer: String,
    bytes: u32,
}

impl<T: Send + Sync + 'static> VerifiedTokens<T> {
    /// No tokens of this type yet.
    pub fn of(typ: &'static str) -> Self {
        let remembered =
            Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(|_, token: &Arc<Token<T>>| token.bytes);
        Self { typ, remembered: remembered.build() }
    }

    /// What a token says, read once by `read`.
    ///
    /// # Errors
    /// When no key of these signed it as a token of this type, or what `read` finds wrong.
    pub(super) fn read<E: From<JwsError>>(
        &self,
        compact: &str,
        keys: &KeySet,
        read: impl FnOnce(&Verified) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let hash = token_hash(compact);
        let known = self.remembered.get(&hash).filter(|token| keys.by_thumbprint(&token.signer, self.typ).is_some());
        if let Some(token) = known {
            return Ok(token.said.clone());
        }
        let verified = jws::verify(compact, self.typ, keys)?;
        let said = Arc::new(read(&verified)?);
        let bytes = u32::try_from(compact.len()).unwrap_or(u32::MAX);
        self.remembered.insert(hash, Arc::new(Token { said: said.clone(), signer: verified.thumbprint, bytes }));
        Ok(said)
    }
}
