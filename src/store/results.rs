//! Result receipts, sealed.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// The receipt of a permit.
pub async fn find(conn: &mut PgConnection, intent_id: Uuid, permit_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar!("select receipt from results where intent_id = $1 and permit_id = $2", intent_id, permit_id)
        .fetch_optional(conn)
        .await
}

/// Keeps a receipt, or the same one with more of it disclosed. The caller has locked the permit.
pub async fn keep(
    conn: &mut PgConnection,
    intent_id: Uuid,
    permit_id: Uuid,
    receipt: &[u8],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into results (intent_id, permit_id, receipt, received_at) values ($1, $2, $3, $4)
         on conflict on constraint results_pkey do update set receipt = excluded.receipt",
        intent_id,
        permit_id,
        receipt,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}
