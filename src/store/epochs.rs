//! Epochs of the feed, and the rows by which each server notices that commits were lost.

use super::StoreError;
use marque_core::mark::{Found, Mark, Place};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A server's own row of a realm.
#[derive(Clone, Copy, Debug)]
pub struct Own<'r> {
    /// The realm.
    pub realm: &'r str,
    /// The server.
    pub server_id: Uuid,
}

/// What is suspended in a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Since when.
    pub suspended_at: OffsetDateTime,
    /// From when on commits may be missing, as far as the rows tell.
    pub lost_from: Option<OffsetDateTime>,
}

/// One suspended intent.
#[derive(Clone, Debug)]
pub struct Suspended {
    /// Its id.
    pub intent_id: Uuid,
    /// The client that submitted it.
    pub client_id: String,
    /// The user who approved it, if the rows know her name.
    pub username: Option<String>,
    /// What it was before.
    pub was: String,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
}

/// Moves a server's number on if it is not below the mark's, in a commit of its own; answers what the database then says, with
/// the number before. Where nothing moved, there is no number.
pub async fn beat(
    conn: &mut PgConnection,
    own: Own<'_>,
    mark: &Mark,
    now: OffsetDateTime,
) -> Result<Found, StoreError> {
    let row = sqlx::query!(
        r#"with moved as (
             update server_beats set beat = beat + 1, beat_at = $4
             where realm = $1 and server_id = $2 and beat >= $3 returning beat
         )
         select f.epoch as "epoch!", f.seq as "seq!", (select beat - 1 from moved) as beat,
             exists (select 1 from ended_epochs e where e.realm = $1 and e.epoch::text = $5) as "has_ended!"
         from feeds f where f.realm = $1"#,
        own.realm,
        own.server_id,
        mark.beat,
        now,
        mark.epoch
    )
    .fetch_one(&mut *conn)
    .await?;
    let place = place(conn).await?;
    Ok(Found { epoch: row.epoch.to_string(), has_ended_mark: row.has_ended, seq: row.seq, beat: row.beat, place })
}

/// What the database says, and nothing is changed.
pub async fn look(conn: &mut PgConnection, own: Own<'_>, mark: &Mark) -> Result<Found, StoreError> {
    let row = sqlx::query!(
        r#"select f.epoch as "epoch!", f.seq as "seq!",
             (select beat from server_beats b where b.realm = $1 and b.server_id = $2) as beat,
             exists (select 1 from ended_epochs e where e.realm = $1 and e.epoch::text = $3) as "has_ended!"
         from feeds f where f.realm = $1"#,
        own.realm,
        own.server_id,
        mark.epoch
    )
    .fetch_one(&mut *conn)
    .await?;
    let place = place(conn).await?;
    Ok(Found { epoch: row.epoch.to_string(), has_ended_mark: row.has_ended, seq: row.seq, beat: row.beat, place })
}

/// Which database this is. The name of the log's current file begins with the timeline, at once after a promotion.
async fn place(conn: &mut PgConnection) -> Result<Place, StoreError> {
    sqlx::query_as!(
        Place,
        r#"select concat_ws('/', (select system_identifier from pg_control_system()),
                 (select oid from pg_database where datname = current_database()), 'feeds'::regclass::oid) as "identity!",
             ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int::bigint as "timeline!",
             current_setting('synchronous_standby_names') <> ''
                 and current_setting('synchronous_commit') in ('on', 'remote_apply') as "is_synchronous!""#
    )
    .fetch_one(conn)
    .await
}

/// Gives a server its row, with a number above the one that it knows of; answers its mark once this is committed.
pub async fn adopt(conn: &mut PgConnection, own: Own<'_>, known: i64, now: OffsetDateTime) -> Result<Mark, StoreError> {
    let row = sqlx::query!(
        r#"with moved as (
             insert into server_beats (realm, server_id, beat, beat_at) values ($1, $2, $3::bigint + 1, $4)
             on conflict on constraint server_beats_pkey
             do update set beat = greatest(server_beats.beat, $3::bigint) + 1, beat_at = excluded.beat_at
             returning beat
         )
         select f.epoch as "epoch!", f.seq as "seq!", (select beat from moved) as "beat!" from feeds f where f.realm = $1"#,
        own.realm,
        own.server_id,
        known,
        now
    )
    .fetch_one(&mut *conn)
    .await?;
    let place = place(conn).await?;
    Ok(Mark { epoch: row.epoch.to_string(), seq: row.seq, beat: row.beat, at: now.unix_timestamp(), place })
}

/// Holds other changes of a realm's epoch until the transaction ends.
pub async fn lock(conn: &mut PgConnection, realm: &str) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 9)) as locked", realm)
        .fetch_one(conn)
        .await
        .map(drop)
}

/// Suspends what is approved or active and not over; answers how many intents that were. Rows are taken in the order in which
/// mints take theirs.
pub async fn suspend(conn: &mut PgConnection, realm: &str, now: OffsetDateTime) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "with live as (
             select intent_id from intents
             where realm = $1 and state in ('approved', 'active') and expires_at > $2 order by intent_id for update
         )
         update intents i set state = 'suspended', suspended_from = state from live where i.intent_id = live.intent_id",
        realm,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Lets go on what is suspended; answers how many intents that were.
pub async fn resume(conn: &mut PgConnection, realm: &str) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "with held as (
             select intent_id from intents where realm = $1 and state = 'suspended' order by intent_id for update
         )
         update intents i set state = suspended_from, suspended_from = null from held where i.intent_id = held.intent_id",
        realm
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Begins an epoch in which what came before is suspended since an instant, or nothing is. What is suspended may miss commits
/// from the last number on that any server has here.
pub async fn begin(
    conn: &mut PgConnection,
    realm: &str,
    (epoch, suspended_at): (Uuid, Option<OffsetDateTime>),
    cause: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    end_epoch(&mut *conn, realm, cause, now).await?;
    sqlx::query!(
        "update feeds set epoch = $2, suspended_at = $3, lost_from = case when $3::timestamptz is not null then
             least(lost_from, (select max(beat_at) from server_beats b where b.realm = $1)) end
         where realm = $1",
        realm,
        epoch,
        suspended_at
    )
    .execute(conn)
    .await
    .map(drop)
}

async fn end_epoch(conn: &mut PgConnection, realm: &str, cause: &str, now: OffsetDateTime) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into ended_epochs (realm, epoch, ended_at, cause) select realm, epoch, $2, $3 from feeds where realm = $1",
        realm,
        now,
        cause
    )
    .execute(conn)
    .await
    .map(drop)
}

/// What is suspended in a realm; nothing if nothing is.
pub async fn suspension(conn: &mut PgConnection, realm: &str) -> Result<Option<Suspension>, StoreError> {
    let found = sqlx::query_as!(
        Suspension,
        r#"select suspended_at as "suspended_at!", lost_from from feeds where realm = $1 and suspended_at is not null"#,
        realm
    );
    found.fetch_optional(conn).await
}

/// The suspended intents that are not over, those that were submitted last first.
pub async fn suspended(
    conn: &mut PgConnection,
    realm: &str,
    now: OffsetDateTime,
) -> Result<Vec<Suspended>, StoreError> {
    sqlx::query_as!(
        Suspended,
        r#"select intent_id, client_id, approver_username as username, suspended_from as "was!", expires_at
           from intents where realm = $1 and state = 'suspended' and expires_at > $2 order by submitted_at desc"#,
        realm,
        now
    )
    .fetch_all(conn)
    .await
}
