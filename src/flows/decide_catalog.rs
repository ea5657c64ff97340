//! An administrator accepts or refuses a catalog that lowers a severity.
//!
//! 1. It waits: nobody decided on it, and no newer upload followed it.
//! 2. The decision names the digest of what waits, so that what was read is what is accepted.
//! 3. Who decided, and when, is kept; an accepted one gets Marque's signed admission.

use super::authenticate_administrator::Administrator;
use super::catalog_admission::admit;
use super::publish_catalog::kept;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::store;
use crate::store::catalogs::NewCatalog;
use crate::store::waiting_catalogs::{NewDecision, WaitingRow};
use marque_core::canonical::Digest;
use marque_core::catalog::Catalog;
use marque_core::text;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// What an administrator decides, and on what.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// URI of the resource server.
    pub location: &'a str,
    /// The version.
    pub version: u64,
    /// Digest of the payload octets that she read.
    pub sha256: Digest,
    /// Whether she accepts it.
    pub accept: bool,
}

impl Decision<'_> {
    /// The decision in a word.
    pub const fn word(&self) -> &'static str {
        if self.accept { "accepted" } else { "refused" }
    }
}

/// Decides on a waiting catalog; answers when.
///
/// # Errors
/// Not found; gone if it was decided or has lapsed; conflict if its digest is another one.
pub async fn decide_catalog(
    cx: Context<'_>,
    administrator: &Administrator,
    decision: &Decision<'_>,
) -> Result<OffsetDateTime, FlowError> {
    let (realm, now) = (cx.realm_name(), cx.app.clock.now());
    text::check_plain(decision.location).map_err(|_| unknown())?;
    let mut tx = cx.app.db.begin().await?;
    store::catalogs::lock_location(&mut tx, realm, decision.location).await?;
    let row = find_waiting(&mut tx, realm, decision).await?;
    let catalog = kept(&row.jws)?;
    expect_same(&catalog, decision)?;
    let kept = NewDecision {
        location: decision.location,
        version: row.version,
        sha256: decision.sha256.as_bytes(),
        decision: decision.word(),
        sub: &administrator.sub,
        username: administrator.username.as_deref(),
        client_id: &administrator.client_id,
    };
    store::waiting_catalogs::insert_decision(&mut tx, realm, &kept, now).await?;
    if decision.accept {
        let admission = admit(cx, &catalog, Some(administrator))?;
        let row = NewCatalog {
            location: decision.location,
            version: row.version,
            client_id: &row.client_id,
            jws: &row.jws,
            sha256: decision.sha256.as_bytes(),
            admission: &admission,
        };
        store::catalogs::insert(&mut tx, realm, &row, now).await?;
    }
    tx.commit().await?;
    let (version, sub) = (decision.version, &administrator.sub);
    tracing::info!(location = decision.location, version, sub, decision = decision.word(), "catalog.decided");
    Ok(now)
}

/// The upload, if it waits for a decision.
async fn find_waiting(conn: &mut PgConnection, realm: &str, decision: &Decision<'_>) -> Result<WaitingRow, FlowError> {
    let location = decision.location;
    let version = i64::try_from(decision.version).map_err(|_| unknown())?;
    let row = store::waiting_catalogs::find(conn, realm, location, version).await?.ok_or_else(unknown)?;
    if let Some(word) = &row.decision {
        return Err(Refusal::new(OAuthError::Gone, format!("it was {word} already")).into());
    }
    let waiting = store::waiting_catalogs::find_newest(conn, realm, location).await?.map(|row| row.version);
    let admitted = store::catalogs::find_newest_version(conn, realm, location).await?;
    match waiting.max(admitted).filter(|newest| *newest > version) {
        Some(newest) => Err(Refusal::new(OAuthError::Gone, format!("it lapsed: version {newest} followed it")).into()),
        None => Ok(row),
    }
}

fn unknown() -> Refusal {
    Refusal::new(OAuthError::NotFound, "no such version of a catalog waits at this location")
}

fn expect_same(catalog: &Catalog, decision: &Decision<'_>) -> Result<(), Refusal> {
    let reference = catalog.reference();
    let is_same = reference.sha256 == decision.sha256
        && reference.version == decision.version
        && reference.location == decision.location;
    if is_same {
        return Ok(());
    }
    let text = "$.sha256: is not the digest of what waits: read it again, then decide";
    Err(Refusal::new(OAuthError::Conflict, text))
}
