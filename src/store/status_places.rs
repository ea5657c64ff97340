//! Places in the status lists.

use super::StoreError;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// The token that a place is for.
#[derive(Clone, Copy, Debug)]
pub struct PlacedToken<'t> {
    /// The realm.
    pub realm: &'t str,
    /// The intent it comes from.
    pub intent_id: Uuid,
    /// Its id.
    pub jti: Uuid,
    /// When it ends, and the place is free again.
    pub expires_at: OffsetDateTime,
}

/// The newest list of a realm; none if no place is taken.
pub async fn newest_list(conn: &mut PgConnection, realm: &str) -> Result<Option<i32>, StoreError> {
    sqlx::query_scalar!("select max(list) from status_places where realm = $1", realm).fetch_one(conn).await
}

/// Takes the first free one of some places of a list; none if all are taken. Each is looked up by itself: a join would read the
/// whole list.
pub async fn take(
    conn: &mut PgConnection,
    token: &PlacedToken<'_>,
    list: i32,
    candidates: &[i32],
) -> Result<Option<i32>, StoreError> {
    sqlx::query_scalar!(
        r#"insert into status_places (realm, list, idx, intent_id, jti, expires_at)
         select $1, $2, c.idx, $4, $5, $6 from unnest($3::integer[]) with ordinality as c(idx, place)
         left join lateral (
             select true as is_taken from status_places p where p.realm = $1 and p.list = $2 and p.idx = c.idx limit 1
         ) p on true
         where p.is_taken is null
         order by c.place limit 1
         on conflict on constraint status_places_pkey do nothing returning idx"#,
        token.realm,
        list,
        candidates,
        token.intent_id,
        token.jti,
        token.expires_at
    )
    .fetch_optional(conn)
    .await
}

/// The place of a token that does not hold.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its place.
    pub idx: i32,
    /// Whether it was revoked, by itself or with its intent; else the intent is suspended.
    pub is_revoked: bool,
}

/// The places of a list whose token was revoked, or whose intent is suspended.
pub async fn ended(conn: &mut PgConnection, realm: &str, list: i32) -> Result<Vec<Ended>, StoreError> {
    sqlx::query_as!(
        Ended,
        r#"select idx as "idx!", is_revoked as "is_revoked!" from (
             select idx, intent_id, exists (select 1 from revocations r where r.intent_id = p.intent_id)
                 or exists (select 1 from token_revocations r where r.intent_id = p.intent_id and r.jti = p.jti) as is_revoked
             from status_places p where realm = $1 and list = $2
         ) as placed
         where is_revoked
             or exists (select 1 from intents i where i.intent_id = placed.intent_id and i.state = 'suspended')"#,
        realm,
        list
    )
    .fetch_all(conn)
    .await
}

/// Frees the places of tokens whose time is over.
pub async fn forget_expired(conn: &mut PgConnection, now: OffsetDateTime) -> Result<(), StoreError> {
    sqlx::query!("delete from status_places where expires_at <= $1", now).execute(conn).await.map(drop)
}
