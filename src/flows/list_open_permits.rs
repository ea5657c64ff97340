//! A resource server asks which of its permits are open: after a crash it says of each what became of it.

use super::authenticate_resource_server::ResourceServer;
use super::{Context, FlowError};
use crate::store;
pub use crate::store::permits::OpenPermit;

/// Permits that one answer lists; settling them makes room for the next.
const PAGE: i64 = 100;

/// The resource server's own permits that are reserved or unknown, oldest first, a hundred at most.
///
/// # Errors
/// When the database does not answer.
pub async fn list_open_permits(
    cx: Context<'_>,
    resource_server: &ResourceServer,
) -> Result<Vec<OpenPermit>, FlowError> {
    let mut conn = cx.app.pool.acquire().await?;
    store::permits::mark_unknown(&mut conn, cx.app.clock.now()).await?;
    Ok(store::permits::open(&mut conn, cx.realm_name(), resource_server.client_id(), PAGE).await?)
}
