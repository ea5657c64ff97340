//! A resource server publishes its catalog.
//!
//! 1. The JWS is by a key that the realm registered for this very client, and says so itself.
//! 2. It describes a location that the client answers for.
//! 3. Versions only go up; the same octets again are answered again.
//! 4. There is room: so many versions a day, so many octets in all.
//! 5. One that makes something milder than any admitted version had it waits for an administrator; others are admitted.

use super::authenticate_resource_server::ResourceServer;
use super::catalog_admission::{admit, is_admitted};
use super::error::bad_input;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::store;
use crate::store::waiting_catalogs::WaitingRow;
use marque_core::catalog::{Catalog, Lowered};
use marque_core::jws;
use marque_core::names;
use marque_core::plan::CatalogRef;
use sqlx::PgConnection;
use time::Duration;

/// Versions that are taken for one location within a day, whatever becomes of them: a release every half an hour.
const VERSIONS_A_DAY: i64 = 48;

/// What became of an upload.
#[derive(Clone, Debug)]
pub enum Published {
    /// It counts from now on.
    Admitted(CatalogRef),
    /// It counts once an administrator has accepted what it makes milder.
    Waiting(CatalogRef, Vec<Lowered>),
}

/// Publishes a catalog.
///
/// # Errors
/// `invalid_request` with what is wrong and where, conflict if the version does not go up or was refused, a refusal that
/// names the bound if there is no room.
pub async fn publish_catalog(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    compact: &str,
) -> Result<Published, FlowError> {
    let catalog = verify(resource_server, compact)?;
    let document = catalog.document();
    if document.iss != resource_server.client_id() || !resource_server.answers_for(&document.location) {
        let text =
            "$.location: the client does not answer for it (attribute marque.locations), or $.iss is another client";
        return Err(Refusal::new(OAuthError::InvalidTarget, text).into());
    }
    let realm = cx.realm_name();
    let mut tx = cx.app.db.begin().await?;
    store::catalogs::lock_location(&mut tx, realm, &document.location).await?;
    let earlier = store::catalogs::all_versions(&mut tx, realm, &document.location).await?;
    let admitted = earlier.iter().map(|row| kept(&row.jws)).collect::<Result<Vec<_>, _>>()?;
    let newest = earlier.first().zip(admitted.first());
    if newest.is_some_and(|(row, newest)| {
        newest.reference() == catalog.reference() && is_admitted(cx, newest, &row.admission)
    }) {
        return Ok(Published::Admitted(catalog.reference()));
    }
    let lowered = catalog.lowered_since_any(&admitted);
    let waiting = store::waiting_catalogs::find_newest(&mut tx, realm, &document.location).await?;
    if is_waiting_already(&catalog, waiting.as_ref())? {
        return Ok(Published::Waiting(catalog.reference(), lowered));
    }
    let newest = admitted.first().map_or(0, |newest| newest.document().version);
    expect_successor(&catalog, newest, waiting.map_or(0, |row| row.version))?;
    expect_room(cx, &mut tx, &document.location, compact).await?;
    keep(cx, &mut tx, resource_server, &catalog, compact, lowered.is_empty()).await?;
    tx.commit().await?;
    let (location, version) = (&document.location, document.version);
    if lowered.is_empty() {
        tracing::info!(location, version, "catalog.published");
        return Ok(Published::Admitted(catalog.reference()));
    }
    tracing::warn!(location, version, milder = lowered.len(), "catalog.waiting");
    Ok(Published::Waiting(catalog.reference(), lowered))
}

fn verify(resource_server: &ResourceServer, compact: &str) -> Result<Catalog, Refusal> {
    let verified = jws::verify(compact, names::TYP_CATALOG, resource_server.keys());
    let verified =
        verified.map_err(|error| Refusal::new(OAuthError::InvalidRequest, format!("the catalog {error}")))?;
    Catalog::parse(&verified.payload).map_err(|refused| bad_input(OAuthError::InvalidRequest, &refused))
}

/// A kept catalog, whose signature was verified when it came.
pub(super) fn kept(compact: &str) -> Result<Catalog, FlowError> {
    let payload = jws::unverified_payload(compact).map_err(FlowError::internal)?;
    Catalog::parse(&payload).map_err(FlowError::internal)
}

/// Whether these very octets were the last ones to wait, and nobody decided on them.
fn is_waiting_already(catalog: &Catalog, waiting: Option<&WaitingRow>) -> Result<bool, FlowError> {
    let Some(row) = waiting else { return Ok(false) };
    if kept(&row.jws)?.reference() != catalog.reference() {
        return Ok(false);
    }
    match row.decision.as_deref() {
        None => Ok(true),
        Some(word) => {
            let text = format!("$.version: this version was {word} by an administrator: publish a higher one");
            Err(Refusal::new(OAuthError::Conflict, text).into())
        }
    }
}

/// Versions go up, whatever became of the earlier ones.
fn expect_successor(catalog: &Catalog, admitted: u64, waiting: i64) -> Result<(), Refusal> {
    let newest = admitted.max(waiting.try_into().unwrap_or(0));
    if catalog.document().version <= newest {
        return Err(Refusal::new(OAuthError::Conflict, format!("$.version: must be above {newest}")));
    }
    Ok(())
}

/// A location has room for so many versions a day, and for so many octets in all: every version stays for ever, and
/// each is compared with what follows.
async fn expect_room(cx: Context<'_>, conn: &mut PgConnection, location: &str, compact: &str) -> Result<(), FlowError> {
    let since = cx.app.clock.now() - Duration::days(1);
    let kept = store::catalogs::kept(conn, cx.realm_name(), location, since).await?;
    if kept.lately >= VERSIONS_A_DAY {
        let text = format!("{VERSIONS_A_DAY} versions for this location came within a day: publish this one later");
        return Err(Refusal::new(OAuthError::TooManyRequests, text).into());
    }
    let (most, length) = (cx.realm.config.catalog_bytes_per_location, compact.len() as u64);
    if kept.bytes.unsigned_abs().saturating_add(length) > most {
        let text = format!(
            "the catalogs kept for this location would have more than {most} octets: the operator of Marque decides on \
             more (catalog_bytes_per_location)"
        );
        return Err(Refusal::new(OAuthError::AccessDenied, text).into());
    }
    Ok(())
}

async fn keep(
    cx: Context<'_>,
    conn: &mut PgConnection,
    resource_server: &ResourceServer,
    catalog: &Catalog,
    compact: &str,
    lowers_nothing: bool,
) -> Result<(), FlowError> {
    let (realm, now, location) = (cx.realm_name(), cx.app.clock.now(), catalog.document().location.as_str());
    let version = i64::try_from(catalog.document().version).map_err(FlowError::internal)?;
    let client_id = resource_server.client_id();
    if !lowers_nothing {
        let place = (location, version);
        return Ok(store::waiting_catalogs::insert(conn, realm, place, client_id, compact, now).await?);
    }
    let admission = admit(cx, catalog, None)?;
    let sha256 = catalog.reference().sha256;
    let row = store::catalogs::NewCatalog {
        location,
        version,
        client_id,
        jws: compact,
        sha256: sha256.as_bytes(),
        admission: &admission,
    };
    Ok(store::catalogs::insert(conn, realm, &row, now).await?)
}
