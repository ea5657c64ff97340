//! One ledger for each location: the first one that counts there, Marque's own or one of the resource server's, is the only one.
//!
//! Two that count the same steps would each give what was approved once. So Marque's ledger counts at a location, or keeps to
//! what the resource server's hands over to it; and a ledger of the resource server's asks here before it counts at a location.

use super::authenticate_resource_server::ResourceServer;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::store;
use marque_core::limits;
use marque_core::reason::Reason;
use moka::future::Cache;
use std::sync::Arc;

/// Marque's own.
const MARQUE: &str = "marque";
/// Locations that are remembered at once: a realm has some hundred.
const REMEMBERED: u64 = 10_000;

/// Which ledger counts where. It is written once, and hence remembered, within an epoch of the feed for good: at the next one the
/// database may have lost commits, and is asked again.
pub struct Known(Cache<String, Arc<Counting>>);

struct Counting {
    ledger: String,
    epoch: Option<String>,
}

impl Default for Known {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

/// Has a ledger of the resource server's count at a location.
///
/// # Errors
/// `conflict` with `ledger_unavailable` if another one does.
pub async fn count_here(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    location: &str,
    ledger: &str,
) -> Result<(), FlowError> {
    if !resource_server.answers_for(location) {
        let text = "location: the client does not answer for it (attribute marque.locations)";
        return Err(Refusal::new(OAuthError::InvalidTarget, text).into());
    }
    if !is_name(ledger) {
        let text =
            "ledger: must be 1 to 512 printable ASCII characters that name a ledger of the resource server's own";
        return Err(Refusal::new(OAuthError::InvalidRequest, text).into());
    }
    if counts(cx, (location, ledger), resource_server.client_id()).await? {
        return Ok(());
    }
    let text = "another ledger counts at this location: all gates of a location use one";
    Err(Refusal::new(OAuthError::Conflict, text).because(Reason::LedgerUnavailable).into())
}

/// Whether a text can name a ledger of a resource server's own: 1 to 512 printable ASCII characters, and not Marque's name.
pub fn is_name(ledger: &str) -> bool {
    limits::is_single_use_id(ledger) && ledger != MARQUE
}

/// Whether Marque's ledger may count a call at a location: it counts there, or the ledger that does hands the call over.
pub(super) async fn may_count(
    cx: Context<'_>,
    client_id: &str,
    location: &str,
    handed_over_by: Option<&str>,
) -> Result<bool, FlowError> {
    counts(cx, (location, handed_over_by.unwrap_or(MARQUE)), client_id).await
}

async fn counts(cx: Context<'_>, (location, ledger): (&str, &str), client_id: &str) -> Result<bool, FlowError> {
    let Known(known) = &cx.realm.location_ledgers;
    let epoch = cx.app.marks.epoch(cx.realm_name());
    let remembered = known.get(location).await;
    if let Some(counting) = remembered.as_ref().filter(|counting| counting.epoch == epoch) {
        return Ok(counting.ledger == ledger);
    }
    // What counted in an earlier epoch still does, also where its row was lost.
    let begun = remembered.as_ref().map_or(ledger, |counting| &counting.ledger);
    let found = first(cx, (location, begun), client_id).await?;
    let is_it = found == ledger;
    known.insert(location.to_owned(), Arc::new(Counting { ledger: found, epoch })).await;
    Ok(is_it)
}

/// The ledger that counts at a location: from now on this one, if none did.
async fn first(cx: Context<'_>, begun: (&str, &str), client_id: &str) -> Result<String, FlowError> {
    let mut tx = cx.app.db.begin().await?;
    store::location_ledgers::begin(&mut tx, cx.realm_name(), begun, client_id, cx.app.clock.now()).await?;
    let found = store::location_ledgers::find(&mut tx, cx.realm_name(), begun.0).await?;
    tx.commit().await?;
    found.ok_or_else(|| FlowError::internal("a location that was begun has no ledger"))
}
