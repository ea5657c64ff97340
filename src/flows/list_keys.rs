//! The realm's own signing keys, those that were withdrawn included.

use super::{Context, FlowError};
use crate::store::signing_keys;
pub use crate::store::signing_keys::KnownKey;

/// Lists the keys: those of one purpose together, the oldest first.
///
/// # Errors
/// When the database is away.
pub async fn list_keys(cx: Context<'_>) -> Result<Vec<KnownKey>, FlowError> {
    Ok(signing_keys::known(&mut *cx.app.pool.acquire().await?, cx.realm_name()).await?)
}
