//! Catalogs, every version that was ever admitted.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// A catalog as it was uploaded.
pub struct CatalogRow {
    /// The resource server's client id.
    pub client_id: String,
    /// The compact JWS.
    pub jws: String,
    /// Marque's own signed statement that it counts.
    pub admission: String,
}

/// The newest catalog of a location.
pub async fn find_newest(
    conn: &mut PgConnection,
    realm: &str,
    location: &str,
) -> Result<Option<CatalogRow>, StoreError> {
    sqlx::query_as!(
        CatalogRow,
        "select client_id, jws, admission from catalogs where realm = $1 and location = $2 order by version desc limit 1",
        realm,
        location
    )
    .fetch_optional(conn)
    .await
}

/// The newest version of a location that was admitted.
pub async fn find_newest_version(
    conn: &mut PgConnection,
    realm: &str,
    location: &str,
) -> Result<Option<i64>, StoreError> {
    sqlx::query_scalar!("select max(version) from catalogs where realm = $1 and location = $2", realm, location)
        .fetch_one(conn)
        .await
}

/// Every catalog of a location that was ever admitted, the newest first.
pub async fn all_versions(conn: &mut PgConnection, realm: &str, location: &str) -> Result<Vec<CatalogRow>, StoreError> {
    sqlx::query_as!(
        CatalogRow,
        "select client_id, jws, admission from catalogs where realm = $1 and location = $2 order by version desc",
        realm,
        location
    )
    .fetch_all(conn)
    .await
}

/// How much is kept of a location: what counts, what waited, and what waits.
pub struct Kept {
    /// Uploads since an instant.
    pub lately: i64,
    /// Octets of all of them, ever.
    pub bytes: i64,
}

/// How much is kept of a location; `since` says what is lately.
pub async fn kept(
    conn: &mut PgConnection,
    realm: &str,
    location: &str,
    since: OffsetDateTime,
) -> Result<Kept, StoreError> {
    sqlx::query_as!(
        Kept,
        r#"select count(*) filter (where uploaded_at > $3) as "lately!",
             coalesce(sum(octet_length(jws)), 0)::bigint as "bytes!"
         from (select uploaded_at, jws from catalogs where realm = $1 and location = $2
               union all select uploaded_at, jws from waiting_catalogs where realm = $1 and location = $2) uploads"#,
        realm,
        location,
        since
    )
    .fetch_one(conn)
    .await
}

/// Holds other uploads for the same location until the transaction ends.
pub async fn lock_location(conn: &mut PgConnection, realm: &str, location: &str) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1 || chr(10) || $2, 1)) as locked", realm, location)
        .fetch_one(conn)
        .await
        .map(drop)
}

/// A new version.
pub struct NewCatalog<'a> {
    /// URI of the resource server.
    pub location: &'a str,
    /// Its version.
    pub version: i64,
    /// The resource server's client id.
    pub client_id: &'a str,
    /// The compact JWS.
    pub jws: &'a str,
    /// Digest of the payload octets.
    pub sha256: &'a [u8],
    /// Marque's own signed statement that it counts.
    pub admission: &'a str,
}

/// Keeps a new version.
pub async fn insert(
    conn: &mut PgConnection,
    realm: &str,
    catalog: &NewCatalog<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into catalogs (realm, location, version, client_id, jws, sha256, admission, uploaded_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        realm,
        catalog.location,
        catalog.version,
        catalog.client_id,
        catalog.jws,
        catalog.sha256,
        catalog.admission,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}
