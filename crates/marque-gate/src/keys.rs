//! Where a gate gets Marque's public keys from.

use marque_core::jws::KeySet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A future behind a trait object.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Marque's public keys, as far as they are known.
pub trait KeySource: Send + Sync {
    /// The keys that are known now.
    fn current(&self) -> Arc<KeySet>;

    /// The keys after an attempt to learn the one named `kid`. Must bound how often it really asks:
    /// anybody can send a token with an invented key id.
    fn refreshed<'a>(&'a self, kid: &'a str) -> Pending<'a, Arc<KeySet>>;
}

/// Keys that never change: pinned in configuration, or injected by a test.
#[derive(Clone, Debug)]
pub struct FixedKeys(Arc<KeySet>);

impl FixedKeys {
    /// Pins a set of keys.
    pub fn new(keys: KeySet) -> Self {
        Self(Arc::new(keys))
    }
}

impl KeySource for FixedKeys {
    fn current(&self) -> Arc<KeySet> {
        self.0.clone()
    }

    fn refreshed<'a>(&'a self, _kid: &'a str) -> Pending<'a, Arc<KeySet>> {
        Box::pin(std::future::ready(self.current()))
    }
}
