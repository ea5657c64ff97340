//! Which ledger counts at which location.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// The ledger that counts at a location.
pub async fn find(conn: &mut PgConnection, realm: &str, location: &str) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar!("select ledger from location_ledgers where realm = $1 and location = $2", realm, location)
        .fetch_optional(conn)
        .await
}

/// Has a ledger count at a location, unless one does already.
pub async fn begin(
    conn: &mut PgConnection,
    realm: &str,
    (location, ledger): (&str, &str),
    client_id: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into location_ledgers (realm, location, ledger, client_id, since) values ($1, $2, $3, $4, $5)
         on conflict on constraint location_ledgers_pkey do nothing",
        realm,
        location,
        ledger,
        client_id,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}
