//! The catalogs that wait for an administrator, each with what it would make milder.

use super::authenticate_administrator::Administrator;
use super::publish_catalog::kept;
use super::{Context, FlowError};
use crate::store;
use marque_core::canonical::Digest;
use marque_core::catalog::{Catalog, Lowered};
use time::OffsetDateTime;

/// A catalog that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// URI of the resource server.
    pub location: String,
    /// Its version.
    pub version: u64,
    /// Digest of the payload octets: what a decision names.
    pub sha256: Digest,
    /// The resource server that uploaded it.
    pub client_id: String,
    /// When.
    pub uploaded_at: OffsetDateTime,
    /// What it makes milder than any admitted version has it.
    pub milder: Vec<Lowered>,
    /// The compact JWS: the whole catalog, as it was signed.
    pub jws: String,
}

/// Lists the catalogs of the realm that wait. A newer upload for the same location makes one lapse.
///
/// # Errors
/// When the database is away.
pub async fn list_waiting_catalogs(cx: Context<'_>, _administrator: &Administrator) -> Result<Vec<Waiting>, FlowError> {
    let mut conn = cx.app.db.look().await?;
    let rows = store::waiting_catalogs::all_waiting(&mut conn, cx.realm_name()).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let catalog = kept(&row.jws)?;
        let admitted = store::catalogs::all_versions(&mut conn, cx.realm_name(), &row.location).await?;
        let admitted = admitted.iter().map(|row| kept(&row.jws)).collect::<Result<Vec<Catalog>, _>>()?;
        found.push(Waiting {
            version: catalog.document().version,
            sha256: catalog.reference().sha256,
            milder: catalog.lowered_since_any(&admitted),
            location: row.location,
            client_id: row.client_id,
            uploaded_at: row.uploaded_at,
            jws: row.jws,
        });
    }
    Ok(found)
}
