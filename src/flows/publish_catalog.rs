//! A resource server publishes its catalog.
//!
//! 1. The JWS is by a key that the realm registered for this very client, and says so itself.
//! 2. It describes a location that the client answers for.
//! 3. Versions only go up; the same octets again are answered again.
//! 4. A severity that gets milder is refused: that is an administrator's decision.

use super::authenticate_resource_server::ResourceServer;
use super::error::bad_input;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::store;
use marque_core::catalog::Catalog;
use marque_core::jws::{self, KeySet};
use marque_core::names;
use marque_core::plan::CatalogRef;

/// Publishes a catalog.
///
/// # Errors
/// `invalid_request` with what is wrong and where, conflict if the version does not go up.
pub async fn publish_catalog(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    compact: &str,
) -> Result<CatalogRef, FlowError> {
    let catalog = verify(resource_server, compact)?;
    let (document, reference) = (catalog.document(), catalog.reference());
    if document.iss != resource_server.client_id() || !resource_server.answers_for(&document.location) {
        let text =
            "$.location: the client does not answer for it (attribute marque.locations), or $.iss is another client";
        return Err(Refusal::new(OAuthError::InvalidTarget, text).into());
    }
    let (realm, now) = (cx.realm_name(), cx.app.clock.now());
    let mut tx = cx.app.pool.begin().await?;
    store::catalogs::lock_location(&mut tx, realm, &document.location).await?;
    let earlier = store::catalogs::all_versions(&mut tx, realm, &document.location).await?;
    let earlier = earlier.iter().map(|row| kept(&row.jws)).collect::<Result<Vec<_>, _>>()?;
    if earlier.first().is_some_and(|newest| newest.reference() == reference) {
        return Ok(reference);
    }
    expect_successor(&catalog, &earlier)?;
    let version = i64::try_from(document.version).map_err(FlowError::internal)?;
    let row = store::catalogs::NewCatalog {
        location: &document.location,
        version,
        client_id: resource_server.client_id(),
        jws: compact,
        sha256: reference.sha256.as_bytes(),
    };
    store::catalogs::insert(&mut tx, realm, &row, now).await?;
    tx.commit().await?;
    tracing::info!(location = document.location, version, "catalog.published");
    Ok(reference)
}

fn verify(resource_server: &ResourceServer, compact: &str) -> Result<Catalog, Refusal> {
    let keys = KeySet::from_jwks(resource_server.jwks()).unwrap_or_default();
    let verified = jws::verify(compact, names::TYP_CATALOG, &keys);
    let verified =
        verified.map_err(|error| Refusal::new(OAuthError::InvalidRequest, format!("the catalog {error}")))?;
    Catalog::parse(&verified.payload).map_err(|refused| bad_input(OAuthError::InvalidRequest, &refused))
}

/// An accepted catalog, whose signature was verified when it came.
fn kept(compact: &str) -> Result<Catalog, FlowError> {
    let payload = jws::unverified_payload(compact).map_err(FlowError::internal)?;
    Catalog::parse(&payload).map_err(FlowError::internal)
}

/// Compared with every earlier version: an action that was left out for a while does not come back milder.
fn expect_successor(catalog: &Catalog, earlier: &[Catalog]) -> Result<(), Refusal> {
    let newest = earlier.first().map_or(0, |newest| newest.document().version);
    if catalog.document().version <= newest {
        return Err(Refusal::new(OAuthError::Conflict, format!("$.version: must be above {newest}")));
    }
    match earlier.iter().find_map(|before| catalog.lowered_since(before)) {
        Some(action) => {
            let text = format!("$.actions.{action}: is milder than an earlier version had it");
            Err(Refusal::new(OAuthError::Conflict, text))
        }
        None => Ok(()),
    }
}
