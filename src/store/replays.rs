//! Ids that may be used once.

use super::{StoreError, in_order};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// An id that may be used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SingleUse {
    /// 128 bits of the digest of whose id it is, and of the id.
    pub id: Uuid,
    /// Until when it is remembered.
    pub expires_at: OffsetDateTime,
}

/// Uses ids: which of them were not used before, by their place. None may come twice. An id whose time has been over for so
/// long that it may be forgotten is refused, however long its request was on its way: see [`forget_expired`].
pub async fn use_once(conn: &mut PgConnection, ids: &[SingleUse]) -> Result<Vec<bool>, StoreError> {
    let (keys, ends) = columns(ids);
    let places = sqlx::query_scalar!(
        r#"with asked as (
             select * from unnest($1::uuid[], $2::timestamptz[]) with ordinality as a(id, expires_at, place)
         ), used as (
             insert into replays (id, expires_at)
             select id, expires_at from asked where expires_at > now() - interval '2 minutes' order by id
             on conflict on constraint replays_pkey do nothing returning id
         )
         select a.place as "place!" from asked a join used using (id)"#,
        &keys,
        &ends
    )
    .fetch_all(conn)
    .await?;
    Ok(in_order(ids.len(), places.into_iter().map(|place| (place, true))))
}

/// The columns of ids.
pub(super) fn columns(ids: &[SingleUse]) -> (Vec<Uuid>, Vec<OffsetDateTime>) {
    ids.iter().map(|one| (one.id, one.expires_at)).unzip()
}

/// Forgets ids that could not be used again anyway, by the earlier of the server's clock and the database's: one that was ahead
/// for a while would forget ids that it takes again when it is right.
pub async fn forget_expired(conn: &mut PgConnection, now: OffsetDateTime) -> Result<(), StoreError> {
    sqlx::query!("delete from replays where expires_at <= least($1, now()) - interval '2 minutes'", now)
        .execute(conn)
        .await
        .map(drop)
}
