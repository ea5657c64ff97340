//! Tokens that were answered, as a tree: each row has the hash of its parent.

use super::{StoreError, in_order};
use marque_core::canonical::Digest;
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// A token about to be answered.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The realm.
    pub realm: String,
    /// The intent it comes from.
    pub intent_id: Uuid,
    /// Its id.
    pub jti: Uuid,
    /// `intent`, `txn`, `access` or `grant`.
    pub kind: &'static str,
    /// SHA-256 of the token.
    pub token_sha256: Digest,
    /// SHA-256 of the token it was exchanged for, if any.
    pub parent_sha256: Option<Digest>,
    /// Whose it is.
    pub client_id: String,
    /// The key it is bound to.
    pub jkt: String,
    /// The call chain.
    pub txn: Option<Uuid>,
    /// Hops beyond the agent itself.
    pub hops: i32,
    /// When it was signed.
    pub issued_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// The columns of tokens, one value for each token.
struct Columns<'t> {
    realms: Vec<String>,
    intents: Vec<Uuid>,
    jtis: Vec<Uuid>,
    kinds: Vec<String>,
    hashes: Vec<&'t [u8]>,
    clients: Vec<String>,
    keys: Vec<String>,
    issued: Vec<OffsetDateTime>,
    ends: Vec<OffsetDateTime>,
}

impl<'t> Columns<'t> {
    fn of(tokens: &'t [NewToken]) -> Self {
        let texts = |of: fn(&NewToken) -> &str| tokens.iter().map(|one| of(one).to_owned()).collect::<Vec<_>>();
        Self {
            realms: texts(|one| &one.realm),
            intents: tokens.iter().map(|one| one.intent_id).collect(),
            jtis: tokens.iter().map(|one| one.jti).collect(),
            kinds: texts(|one| one.kind),
            hashes: tokens.iter().map(|one| &one.token_sha256.as_bytes()[..]).collect(),
            clients: texts(|one| &one.client_id),
            keys: texts(|one| &one.jkt),
            issued: tokens.iter().map(|one| one.issued_at).collect(),
            ends: tokens.iter().map(|one| one.expires_at).collect(),
        }
    }
}

/// Keeps tokens, each if its intent is still active and its parent was answered by this server and not revoked: one
/// statement, which holds the intents against their revocation. Which were kept, by their place: one that was not is
/// refused, and thrown away.
pub async fn insert_active(conn: &mut PgConnection, tokens: &[NewToken]) -> Result<Vec<bool>, StoreError> {
    let columns = Columns::of(tokens);
    let parents: Vec<Option<&[u8]>> =
        tokens.iter().map(|one| one.parent_sha256.as_ref().map(|hash| &hash.as_bytes()[..])).collect();
    let chains: Vec<Option<Uuid>> = tokens.iter().map(|one| one.txn).collect();
    let hops: Vec<i32> = tokens.iter().map(|one| one.hops).collect();
    let places = sqlx::query_scalar!(
        r#"with asked as (
             select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::bytea[], $7::text[],
                 $8::text[], $9::uuid[], $10::integer[], $11::timestamptz[], $12::timestamptz[])
                 with ordinality as a(realm, intent_id, jti, kind, token_sha256, parent_sha256, client_id, jkt, txn, hops,
                     issued_at, expires_at, place)
         ), live as materialized (
             select i.realm, i.intent_id, i.expires_at from intents i
             where i.intent_id = any($2) and i.state = 'active'
                 and not exists (select from revocations r where r.intent_id = i.intent_id)
             order by i.intent_id for share of i
         ), kept as (
             insert into tokens (intent_id, jti, kind, token_sha256, parent_sha256, client_id, jkt, txn, hops, issued_at,
                 expires_at)
             select a.intent_id, a.jti, a.kind, a.token_sha256, a.parent_sha256, a.client_id, a.jkt, a.txn, a.hops,
                 a.issued_at, a.expires_at
             from asked a
             join live on live.realm = a.realm and live.intent_id = a.intent_id and live.expires_at > a.issued_at
             left join lateral (
                 select true as is_kept from tokens p
                 where p.intent_id = a.intent_id and p.token_sha256 = a.parent_sha256
                     and not exists (
                         select from token_revocations r where r.intent_id = p.intent_id and r.jti = p.jti
                     )
                 limit 1
             ) parent on true
             where a.parent_sha256 is null or parent.is_kept
             returning intent_id, token_sha256
         )
         select a.place as "place!" from asked a join kept using (intent_id, token_sha256)"#,
        &columns.realms,
        &columns.intents,
        &columns.jtis,
        &columns.kinds,
        &columns.hashes as &[&[u8]],
        &parents as &[Option<&[u8]>],
        &columns.clients,
        &columns.keys,
        &chains as &[Option<Uuid>],
        &hops,
        &columns.issued,
        &columns.ends
    )
    .fetch_all(conn)
    .await?;
    Ok(in_order(tokens.len(), places.into_iter().map(|place| (place, true))))
}

/// Redeems approvals for tokens, one for each intent that the caller has alone: moves the intent to active and keeps its token,
/// if it is approved, not over, was never revoked, and no intent token of it was ever answered, whatever its own row says.
/// Which were redeemed, by their place.
pub async fn redeem(conn: &mut PgConnection, tokens: &[NewToken]) -> Result<Vec<bool>, StoreError> {
    let columns = Columns::of(tokens);
    let places = sqlx::query_scalar!(
        r#"with asked as (
             select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::text[], $7::text[],
                 $8::timestamptz[], $9::timestamptz[])
                 with ordinality as a(realm, intent_id, jti, kind, token_sha256, client_id, jkt, issued_at, expires_at, place)
         ), due as (
             select a.intent_id, a.realm, a.issued_at from asked a
             left join lateral (
                 select true as is_redeemed from tokens t where t.intent_id = a.intent_id and t.kind = 'intent' limit 1
             ) token on true
             left join lateral (
                 select true as is_revoked from revocations r where r.intent_id = a.intent_id limit 1
             ) revocation on true
             where token.is_redeemed is null and revocation.is_revoked is null
         ), redeemed as (
             update intents i set state = 'active', denial_reason = null, redeemed_at = due.issued_at from due
             where i.intent_id = due.intent_id and i.realm = due.realm and i.state = 'approved'
                 and i.expires_at > due.issued_at
             returning i.intent_id
         ), kept as (
             insert into tokens (intent_id, jti, kind, token_sha256, client_id, jkt, hops, issued_at, expires_at)
             select a.intent_id, a.jti, a.kind, a.token_sha256, a.client_id, a.jkt, 0, a.issued_at, a.expires_at
             from asked a join redeemed using (intent_id)
             returning intent_id
         )
         select a.place as "place!" from asked a join kept using (intent_id)"#,
        &columns.realms,
        &columns.intents,
        &columns.jtis,
        &columns.kinds,
        &columns.hashes as &[&[u8]],
        &columns.clients,
        &columns.keys,
        &columns.issued,
        &columns.ends
    )
    .fetch_all(conn)
    .await?;
    Ok(in_order(tokens.len(), places.into_iter().map(|place| (place, true))))
}

/// Opens the months of custody from one instant to another, if they are not open.
pub async fn open_months(conn: &mut PgConnection, from: OffsetDateTime, to: OffsetDateTime) -> Result<(), StoreError> {
    sqlx::query!(
        "select open_custody(month)
         from (select generate_series($1::timestamptz, $2, interval '28 days') as month union all select $2) as months",
        from,
        to
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Drops the oldest month of custody all of whose intents were submitted before an instant. Whoever would wait for others
/// gives way: it holds up all that come after.
pub async fn drop_month(conn: &mut PgConnection, before: OffsetDateTime) -> Result<Option<String>, StoreError> {
    let mut tx = conn.begin().await?;
    sqlx::query!("select set_config('lock_timeout', '200ms', true) as timeout").fetch_one(&mut *tx).await?;
    let dropped = sqlx::query_scalar!("select drop_custody($1)", before).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(dropped)
}

/// Whether a client was answered a token of a call chain that is bound to this key and was not revoked.
pub async fn holds(
    conn: &mut PgConnection,
    intent_id: Uuid,
    txn: Uuid,
    client_id: &str,
    jkt: &str,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (
             select 1 from tokens t where intent_id = $1 and txn = $2 and client_id = $3 and jkt = $4
                 and not exists (select 1 from token_revocations r where r.intent_id = $1 and r.jti = t.jti)
         ) as "holds!""#,
        intent_id,
        txn,
        client_id,
        jkt
    )
    .fetch_one(conn)
    .await
}

/// Holds other tokens of an intent whose turns are counted until the transaction ends.
pub async fn lock_turns(conn: &mut PgConnection, intent_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 5)) as locked", intent_id.to_string())
        .fetch_one(conn)
        .await
        .map(drop)
}

/// Turns of an intent: chains of transaction tokens that were started, and the given one, started or not.
pub async fn turns(conn: &mut PgConnection, intent_id: Uuid, with: Option<Uuid>) -> Result<u64, StoreError> {
    let turns = sqlx::query_scalar!(
        r#"select count(distinct txn) as "turns!"
         from (select txn from tokens where intent_id = $1 union all select $2::uuid) as started"#,
        intent_id,
        with
    )
    .fetch_one(conn)
    .await?;
    Ok(turns.unsigned_abs())
}

/// Whether an intent was redeemed: whatever its own row says, its token's row stays.
pub async fn is_redeemed(conn: &mut PgConnection, intent_id: Uuid) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (select 1 from tokens where intent_id = $1 and kind = 'intent') as "redeemed!""#,
        intent_id
    )
    .fetch_one(conn)
    .await
}

/// A token that is asked about.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The realm.
    pub realm: String,
    /// The intent it comes from.
    pub intent_id: Uuid,
    /// SHA-256 of the token.
    pub token_sha256: Digest,
}

/// Which of these tokens were answered here and not revoked, and their intents are active, by their place.
pub async fn are_live(conn: &mut PgConnection, asked: &[Asked], now: OffsetDateTime) -> Result<Vec<bool>, StoreError> {
    let realms: Vec<String> = asked.iter().map(|one| one.realm.clone()).collect();
    let intents: Vec<Uuid> = asked.iter().map(|one| one.intent_id).collect();
    let hashes: Vec<&[u8]> = asked.iter().map(|one| &one.token_sha256.as_bytes()[..]).collect();
    let places = sqlx::query_scalar!(
        r#"select a.place as "place!"
         from unnest($1::text[], $2::uuid[], $3::bytea[]) with ordinality as a(realm, intent_id, token_sha256, place)
         cross join lateral (
             select from intents i
             where i.intent_id = a.intent_id and i.realm = a.realm and i.state = 'active' and i.expires_at > $4
                 and not exists (select from revocations r where r.intent_id = i.intent_id)
             limit 1
         ) i
         cross join lateral (
             select from tokens t
             where t.intent_id = a.intent_id and t.token_sha256 = a.token_sha256
                 and not exists (select from token_revocations r where r.intent_id = t.intent_id and r.jti = t.jti)
             limit 1
         ) t"#,
        &realms,
        &intents,
        &hashes as &[&[u8]],
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(in_order(asked.len(), places.into_iter().map(|place| (place, true))))
}

/// Whether a token of an intent was revoked by itself.
pub async fn is_revoked(conn: &mut PgConnection, intent_id: Uuid, jti: Uuid) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (select 1 from token_revocations where intent_id = $1 and jti = $2) as "revoked!""#,
        intent_id,
        jti
    )
    .fetch_one(conn)
    .await
}

/// A token that may still be used.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Its id.
    pub jti: Uuid,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
}

/// A token and all that was exchanged for it, hop after hop, as far as none of them is over or revoked already. One that is
/// over may have had children that are not.
pub async fn subtree(
    conn: &mut PgConnection,
    intent_id: Uuid,
    jti: Uuid,
    now: OffsetDateTime,
) -> Result<Vec<Open>, StoreError> {
    sqlx::query_as!(
        Open,
        r#"with recursive below as (
             select jti, token_sha256, expires_at from tokens where intent_id = $1 and jti = $2
             union all
             select t.jti, t.token_sha256, t.expires_at
             from below b join tokens t on t.intent_id = $1 and t.parent_sha256 = b.token_sha256
         )
         select jti as "jti!", expires_at as "expires_at!" from below b
         where expires_at > $3
             and not exists (select 1 from token_revocations r where r.intent_id = $1 and r.jti = b.jti)"#,
        intent_id,
        jti,
        now
    )
    .fetch_all(conn)
    .await
}
