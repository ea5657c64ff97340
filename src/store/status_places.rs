//! Places in the status lists.

use super::{StoreError, in_order};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// The token that a place is for.
#[derive(Clone, Debug)]
pub struct PlacedToken {
    /// The realm.
    pub realm: String,
    /// The intent it comes from.
    pub intent_id: Uuid,
    /// Its id.
    pub jti: Uuid,
    /// When it ends, and the place is free again.
    pub expires_at: OffsetDateTime,
}

/// A place that a token was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the list.
    pub list: i32,
    /// Index in it.
    pub idx: i32,
}

/// The newest list of a realm; none if no place is taken.
pub async fn newest_list(conn: &mut PgConnection, realm: &str) -> Result<Option<i32>, StoreError> {
    sqlx::query_scalar!("select max(list) from status_places where realm = $1", realm).fetch_one(conn).await
}

/// Takes for each token the first free one of its places, which are as many for each, in the list that comes so many after its
/// realm's newest; by the tokens' order, nothing for those whose places are all taken. Each place is looked up by itself: a join
/// would read the whole list.
pub async fn take(
    conn: &mut PgConnection,
    tokens: &[(&PlacedToken, Vec<i32>)],
    after_newest: i32,
) -> Result<Vec<Option<Place>>, StoreError> {
    let realms: Vec<String> = tokens.iter().map(|(token, _)| token.realm.clone()).collect();
    let intents: Vec<Uuid> = tokens.iter().map(|(token, _)| token.intent_id).collect();
    let jtis: Vec<Uuid> = tokens.iter().map(|(token, _)| token.jti).collect();
    let ends: Vec<OffsetDateTime> = tokens.iter().map(|(token, _)| token.expires_at).collect();
    let per_token = tokens.iter().map(|(_, places)| places.len()).min().unwrap_or_default();
    let drawn: Vec<i32> = tokens.iter().flat_map(|(_, places)| places.iter().take(per_token).copied()).collect();
    let taken = sqlx::query!(
        r#"with newest as materialized (
             select r.realm, coalesce((select max(p.list) from status_places p where p.realm = r.realm), 0) + $7 as list
             from (select distinct realm from unnest($1::text[]) as a(realm)) r
         ), asked as (
             select a.*, newest.list from unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[])
                 with ordinality as a(realm, intent_id, jti, expires_at, place)
             join newest using (realm)
         ), taken as (
             insert into status_places (realm, list, idx, intent_id, jti, expires_at)
             select a.realm, a.list, free.idx, a.intent_id, a.jti, a.expires_at from asked a
             cross join lateral (
                 select c.idx from unnest(($5::integer[])[((a.place - 1) * $6 + 1)::integer : (a.place * $6)::integer])
                     with ordinality as c(idx, place)
                 left join lateral (
                     select true as is_taken from status_places p
                     where p.realm = a.realm and p.list = a.list and p.idx = c.idx limit 1
                 ) p on true
                 where p.is_taken is null
                 order by c.place limit 1
             ) free
             -- In one order: two servers that place at once do not wait for each other in a circle.
             order by a.realm, a.list, free.idx
             on conflict on constraint status_places_pkey do nothing returning jti, list, idx
         )
         select a.place as "place!", t.list as "list!", t.idx as "idx!" from asked a join taken t using (jti)"#,
        &realms,
        &intents,
        &jtis,
        &ends,
        &drawn,
        i64::try_from(per_token).unwrap_or_default(),
        after_newest
    )
    .fetch_all(conn)
    .await?;
    let given = taken.into_iter().map(|row| (row.place, Some(Place { list: row.list, idx: row.idx })));
    Ok(in_order(tokens.len(), given))
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
