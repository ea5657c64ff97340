//! Catalogs that lower a severity, and what administrators decided on them.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// An upload that waited, or still waits.
pub struct WaitingRow {
    /// URI of the resource server.
    pub location: String,
    /// Its version.
    pub version: i64,
    /// The resource server's client id.
    pub client_id: String,
    /// The compact JWS.
    pub jws: String,
    /// When it came.
    pub uploaded_at: OffsetDateTime,
    /// What was decided, if anything.
    pub decision: Option<String>,
}

/// The newest upload of a location that waited.
pub async fn find_newest(
    conn: &mut PgConnection,
    realm: &str,
    location: &str,
) -> Result<Option<WaitingRow>, StoreError> {
    sqlx::query_as!(
        WaitingRow,
        r#"select w.location, w.version, w.client_id, w.jws, w.uploaded_at, d.decision as "decision?"
           from waiting_catalogs w left join catalog_decisions d using (realm, location, version)
           where w.realm = $1 and w.location = $2 order by w.version desc limit 1"#,
        realm,
        location
    )
    .fetch_optional(conn)
    .await
}

/// A certain version of a location that waited.
pub async fn find(
    conn: &mut PgConnection,
    realm: &str,
    location: &str,
    version: i64,
) -> Result<Option<WaitingRow>, StoreError> {
    sqlx::query_as!(
        WaitingRow,
        r#"select w.location, w.version, w.client_id, w.jws, w.uploaded_at, d.decision as "decision?"
           from waiting_catalogs w left join catalog_decisions d using (realm, location, version)
           where w.realm = $1 and w.location = $2 and w.version = $3"#,
        realm,
        location,
        version
    )
    .fetch_optional(conn)
    .await
}

/// Every upload of a realm that nobody decided on and that no newer one followed, by location.
pub async fn all_waiting(conn: &mut PgConnection, realm: &str) -> Result<Vec<WaitingRow>, StoreError> {
    sqlx::query_as!(
        WaitingRow,
        r#"select w.location, w.version, w.client_id, w.jws, w.uploaded_at, d.decision as "decision?"
           from waiting_catalogs w left join catalog_decisions d using (realm, location, version)
           where w.realm = $1 and d.decision is null
             and not exists (select from waiting_catalogs n
                             where n.realm = w.realm and n.location = w.location and n.version > w.version)
             and not exists (select from catalogs n
                             where n.realm = w.realm and n.location = w.location and n.version > w.version)
           order by w.location"#,
        realm
    )
    .fetch_all(conn)
    .await
}

/// Keeps an upload that waits.
pub async fn insert(
    conn: &mut PgConnection,
    realm: &str,
    (location, version): (&str, i64),
    client_id: &str,
    jws: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into waiting_catalogs (realm, location, version, client_id, jws, uploaded_at)
         values ($1, $2, $3, $4, $5, $6)",
        realm,
        location,
        version,
        client_id,
        jws,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// A decision on an upload that waits.
pub struct NewDecision<'a> {
    /// URI of the resource server.
    pub location: &'a str,
    /// The version.
    pub version: i64,
    /// Digest of the payload octets that were read.
    pub sha256: &'a [u8],
    /// `accepted` or `refused`.
    pub decision: &'a str,
    /// The administrator at the realm.
    pub sub: &'a str,
    /// Her user name at the time.
    pub username: Option<&'a str>,
    /// The client through which she decided.
    pub client_id: &'a str,
}

/// Keeps a decision.
pub async fn insert_decision(
    conn: &mut PgConnection,
    realm: &str,
    decision: &NewDecision<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into catalog_decisions (realm, location, version, sha256, decision, sub, username, client_id, decided_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        realm,
        decision.location,
        decision.version,
        decision.sha256,
        decision.decision,
        decision.sub,
        decision.username,
        decision.client_id,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}
