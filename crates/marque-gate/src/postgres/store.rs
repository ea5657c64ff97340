//! All SQL of the crate. Names are looked up in the ledger's own schema: every connection of its pool has it as its search
//! path, and [`enter`] sets it within a transaction of somebody else's.

use super::home::{Home, Homes};
use marque_core::facts::Past;
use marque_core::recall::{self, Recall};
use sqlx::{PgConnection, Postgres, Row, Transaction, postgres::PgRow};
use std::collections::BTreeMap;
use std::time::Duration;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// The version of `schema.sql`.
const VERSION: i32 = 2;

/// Creates the schema and its tables, unless they are there. Several gates may do it at once.
pub(super) async fn migrate(conn: &mut PgConnection, schema: &str) -> Result<()> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 7))").bind(schema).execute(&mut *tx).await?;
    sqlx::query("select set_config('marque_gate.schema', $1, true)").bind(schema).execute(&mut *tx).await?;
    fixed(
        &mut tx,
        "do $$ begin
             if not exists (select from pg_namespace where nspname = current_setting('marque_gate.schema')) then
                 execute format('create schema %I', current_setting('marque_gate.schema'));
             end if;
         end $$",
    )
    .await?;
    enter(&mut tx, schema).await?;
    fixed(&mut tx, "create table if not exists version (version integer not null)").await?;
    let version: Option<i32> = sqlx::query_scalar("select max(version) from version").fetch_one(&mut *tx).await?;
    match version {
        None => {
            fixed(&mut tx, include_str!("schema.sql")).await?;
            sqlx::query("insert into version (version) values ($1)").bind(VERSION).execute(&mut *tx).await?;
        }
        Some(1) => {
            fixed(&mut tx, "alter table owner add column ledger uuid not null default gen_random_uuid()").await?;
            sqlx::query("insert into version (version) values ($1)").bind(VERSION).execute(&mut *tx).await?;
        }
        Some(VERSION) => {}
        Some(_) => return Err(sqlx::Error::Protocol("the schema belongs to another version of this crate".into())),
    }
    tx.commit().await
}

#[expect(clippy::disallowed_methods, reason = "fixed texts of several statements without values")]
async fn fixed(tx: &mut Transaction<'_, Postgres>, sql: &'static str) -> Result<()> {
    sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop)
}

/// Whose plans are counted, which are the given issuer's if nobody's were counted before; and the ledger's id.
pub(super) async fn owner(conn: &mut PgConnection, issuer: &str) -> Result<(String, String)> {
    sqlx::query("insert into owner (issuer) values ($1) on conflict do nothing")
        .bind(issuer)
        .execute(&mut *conn)
        .await?;
    sqlx::query_as("select issuer, ledger::text from owner").fetch_one(conn).await
}

/// Makes the ledger's schema the search path until the transaction ends, or until [`leave`]. Returns the one before. The
/// transaction is on disk when it is committed: what its connection says otherwise does not hold for a use.
pub(super) async fn enter(conn: &mut PgConnection, schema: &str) -> Result<String> {
    let paths: (String, String, String) = sqlx::query_as(
        "with earlier as materialized (
             select current_setting('search_path') as path, current_setting('synchronous_commit') as commits)
         select path, set_config('search_path', quote_ident($1) || ', pg_temp', true),
             set_config('synchronous_commit', case when commits in ('off', 'local') then 'on' else commits end, true)
         from earlier",
    )
    .bind(schema)
    .fetch_one(conn)
    .await?;
    Ok(paths.0)
}

/// Gives back the search path that [`enter`] returned.
pub(super) async fn leave(conn: &mut PgConnection, path: &str) -> Result<()> {
    sqlx::query("select set_config('search_path', $1, true)").bind(path).execute(conn).await.map(drop)
}

/// Makes a transaction of somebody else's one that cannot be committed.
pub(super) async fn refuse_effect(conn: &mut PgConnection) -> Result<()> {
    sqlx::query("select refuse_effect()").execute(conn).await.map(drop)
}

/// Holds other decisions about an intent until the transaction ends.
pub(super) async fn lock_intent(conn: &mut PgConnection, intent_id: &str) -> Result<()> {
    let lock = "select from intents where intent_id = $1 for update";
    if sqlx::query(lock).bind(intent_id).fetch_optional(&mut *conn).await?.is_some() {
        return Ok(());
    }
    sqlx::query("insert into intents (intent_id, used_at) values ($1, clock_timestamp()) on conflict do nothing")
        .bind(intent_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query(lock).bind(intent_id).fetch_one(conn).await.map(drop)
}

/// Where the steps of an intent are counted, as far as that was written down.
pub(super) async fn homes(conn: &mut PgConnection, intent_id: &str) -> Result<Homes> {
    let rows: Vec<(String, bool)> = sqlx::query_as("select step_id, is_here from homes where intent_id = $1")
        .bind(intent_id)
        .fetch_all(conn)
        .await?;
    let home = |is_here| if is_here { Home::Here } else { Home::Marque };
    Ok(rows.into_iter().map(|(step, is_here)| (step, home(is_here))).collect())
}

/// Writes down where some steps are counted. The caller has locked the intent and seen that they have no home.
pub(super) async fn write_homes(conn: &mut PgConnection, intent_id: &str, steps: &[String], home: Home) -> Result<()> {
    sqlx::query("insert into homes (intent_id, step_id, is_here) select $1, step_id, $3 from unnest($2) as step_id")
        .bind(intent_id)
        .bind(steps)
        .bind(home == Home::Here)
        .execute(conn)
        .await
        .map(drop)
}

/// Uses of each step of an intent so far.
pub(super) async fn uses(conn: &mut PgConnection, intent_id: &str) -> Result<BTreeMap<String, Past>> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "select step_id, count(*), count(*) filter (where state = 'committed')
         from permits where intent_id = $1 and state <> 'released' group by step_id",
    )
    .bind(intent_id)
    .fetch_all(conn)
    .await?;
    let past = |uses: i64, committed: i64| Past::counted(uses.unsigned_abs(), committed.unsigned_abs());
    Ok(rows.into_iter().map(|(step, uses, committed)| (step, past(uses, committed))).collect())
}

/// A call that may have had an effect.
pub(super) struct PastRow {
    pub(super) step_id: String,
    pub(super) is_committed: bool,
    /// Its arguments, if they are read.
    pub(super) args: Option<String>,
    /// What it gave, if that is read.
    pub(super) result: Option<String>,
}

/// The calls of an intent that a decision may read and that may have had an effect, oldest first; and whether those are
/// all, and not only as many as one decision reads.
pub(super) async fn past(
    conn: &mut PgConnection,
    intent_id: &str,
    recall: &Recall<'_>,
) -> Result<(Vec<PastRow>, bool)> {
    let (rows_most, bytes_most) = (recall::PAST_ROWS, i64::try_from(recall::PAST_BYTES).unwrap_or(i64::MAX));
    let rows = sqlx::query(
        "select step_id, is_committed, args, result, bytes from (
             select *, (sum(own) over (order by seq))::bigint as bytes from (
                 select *, coalesce(octet_length(args), 0) + coalesce(octet_length(result), 0) as own from (
                     select seq, step_id, state = 'committed' as is_committed,
                         case when step_id = any($2) then args end as args,
                         case when step_id = any($3) then result end as result
                     from permits
                     where intent_id = $1 and (step_id = any($2) or step_id = any($3)) and state <> 'released'
                 ) as wanted
             ) as sized
         ) as past where bytes - own <= $5 order by seq limit $4",
    )
    .bind(intent_id)
    .bind(recall.arguments.iter().copied().collect::<Vec<_>>())
    .bind(recall.results.iter().copied().collect::<Vec<_>>())
    .bind(i64::try_from(rows_most).unwrap_or(i64::MAX).saturating_add(1))
    .bind(bytes_most)
    .fetch_all(conn)
    .await?;
    let read = |row: &PgRow| -> Result<PastRow> {
        Ok(PastRow {
            step_id: row.try_get(0)?,
            is_committed: row.try_get(1)?,
            args: row.try_get(2)?,
            result: row.try_get(3)?,
        })
    };
    let bytes: i64 = rows.last().map_or(Ok(0), |last| last.try_get(4))?;
    let is_all = rows.len() <= rows_most && bytes <= bytes_most;
    Ok((rows.iter().map(read).collect::<Result<_>>()?, is_all))
}

/// A permit that was given.
pub(super) struct PermitRow {
    pub(super) permit_id: String,
    pub(super) step_id: String,
    pub(super) seq: i64,
    pub(super) call_digest: Vec<u8>,
    pub(super) proof_id: Vec<u8>,
    pub(super) is_open: bool,
}

/// The permit that was given for a call id.
pub(super) async fn find_by_call(conn: &mut PgConnection, intent_id: &str, call_id: &str) -> Result<Option<PermitRow>> {
    let row = sqlx::query(
        "select permit_id, step_id, seq, call_digest, proof_id, state = 'reserved' and clock_timestamp() < ends_at
         from permits where intent_id = $1 and call_id = $2",
    )
    .bind(intent_id)
    .bind(call_id)
    .fetch_optional(conn)
    .await?;
    let read = |row: PgRow| -> Result<PermitRow> {
        Ok(PermitRow {
            permit_id: row.try_get(0)?,
            step_id: row.try_get(1)?,
            seq: row.try_get(2)?,
            call_digest: row.try_get(3)?,
            proof_id: row.try_get(4)?,
            is_open: row.try_get(5)?,
        })
    };
    row.map(read).transpose()
}

/// A permit about to be given.
pub(super) struct NewPermit<'a> {
    pub(super) permit_id: &'a str,
    pub(super) intent_id: &'a str,
    pub(super) step_id: &'a str,
    pub(super) call_id: &'a str,
    pub(super) call_digest: &'a [u8],
    pub(super) proof_id: &'a [u8],
    pub(super) args: &'a str,
    pub(super) lasts: Duration,
}

/// Keeps a permit, reserved. Returns its number among those of the intent, or nothing if its proof was used before. The
/// caller has locked the intent.
pub(super) async fn insert(conn: &mut PgConnection, permit: &NewPermit<'_>) -> Result<Option<i64>> {
    sqlx::query_scalar(
        "with numbered as (
             update intents set permits = permits + 1, used_at = clock_timestamp() where intent_id = $2
             returning permits)
         insert into permits
             (permit_id, intent_id, step_id, call_id, call_digest, proof_id, args, state, seq, reserved_at, ends_at)
         select $1, $2, $3, $4, $5, $6, $7, 'reserved', permits, clock_timestamp(),
             clock_timestamp() + make_interval(secs => $8)
         from numbered
         on conflict (proof_id) do nothing returning seq",
    )
    .bind(permit.permit_id)
    .bind(permit.intent_id)
    .bind(permit.step_id)
    .bind(permit.call_id)
    .bind(permit.call_digest)
    .bind(permit.proof_id)
    .bind(permit.args)
    .bind(permit.lasts.as_secs_f64())
    .fetch_optional(conn)
    .await
}

/// The state of a permit and what it gave, locked: reserved, committed or released.
pub(super) async fn lock_permit(
    conn: &mut PgConnection,
    intent_id: &str,
    permit_id: &str,
) -> Result<Option<(String, Option<String>)>> {
    sqlx::query_as("select state, result from permits where permit_id = $2 and intent_id = $1 for update")
        .bind(intent_id)
        .bind(permit_id)
        .fetch_optional(conn)
        .await
}

/// Settles a permit that the caller has locked.
pub(super) async fn settle(conn: &mut PgConnection, permit_id: &str, state: &str, result: Option<&str>) -> Result<()> {
    sqlx::query("update permits set state = $2, result = $3, settled_at = clock_timestamp() where permit_id = $1")
        .bind(permit_id)
        .bind(state)
        .bind(result)
        .execute(conn)
        .await
        .map(drop)
}

/// A permit whose end nobody has told.
pub(super) struct OpenRow {
    pub(super) permit_id: String,
    pub(super) intent_id: String,
    pub(super) step_id: String,
    pub(super) seq: i64,
    pub(super) call_digest: Vec<u8>,
    pub(super) args: String,
    pub(super) is_over: bool,
    pub(super) reserved_at: i64,
}

/// The permits whose end nobody has told, oldest first, up to a number; after the place of a permit, told or not.
pub(super) async fn open(conn: &mut PgConnection, after: Option<&str>, limit: i64) -> Result<Vec<OpenRow>> {
    let rows = sqlx::query(
        "select permit_id, intent_id, step_id, seq, call_digest, args, ends_at <= clock_timestamp(),
             extract(epoch from reserved_at)::bigint
         from permits where state = 'reserved' and ($2::text is null or (reserved_at, permit_id) >
             (select last.reserved_at, last.permit_id from permits last where last.permit_id = $2))
         order by reserved_at, permit_id limit $1",
    )
    .bind(limit)
    .bind(after)
    .fetch_all(conn)
    .await?;
    let read = |row: PgRow| -> Result<OpenRow> {
        Ok(OpenRow {
            permit_id: row.try_get(0)?,
            intent_id: row.try_get(1)?,
            step_id: row.try_get(2)?,
            seq: row.try_get(3)?,
            call_digest: row.try_get(4)?,
            args: row.try_get(5)?,
            is_over: row.try_get(6)?,
            reserved_at: row.try_get(7)?,
        })
    };
    rows.into_iter().map(read).collect()
}

/// The state of a permit: reserved, committed, released or unknown.
pub(super) async fn state(conn: &mut PgConnection, permit_id: &str) -> Result<Option<String>> {
    sqlx::query_scalar(
        "select case when state = 'reserved' and ends_at <= clock_timestamp() then 'unknown' else state end
         from permits where permit_id = $1",
    )
    .bind(permit_id)
    .fetch_optional(conn)
    .await
}

/// Forgets the intents that nobody used for some seconds, but for those with an open permit. Returns how many.
pub(super) async fn forget(conn: &mut PgConnection, unused_secs: i64) -> Result<u64> {
    let mut tx = sqlx::Connection::begin(conn).await?;
    let over: Vec<String> = sqlx::query_scalar(
        "select intent_id from intents i where used_at < clock_timestamp() - make_interval(secs => $1::bigint)
             and not exists (select from permits p where p.intent_id = i.intent_id and p.state = 'reserved')
         for update",
    )
    .bind(unused_secs)
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query("delete from permits where intent_id = any($1)").bind(&over).execute(&mut *tx).await?;
    sqlx::query("delete from intents where intent_id = any($1)").bind(&over).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(over.len() as u64)
}

/// Takes a proof once: false if it was taken before.
pub(super) async fn take_proof(conn: &mut PgConnection, proof_id: &[u8], over_at: i64) -> Result<bool> {
    let taken = sqlx::query("insert into proofs (proof_id, over_at) values ($1, $2) on conflict do nothing")
        .bind(proof_id)
        .bind(over_at)
        .execute(conn)
        .await?;
    Ok(taken.rows_affected() == 1)
}

/// Forgets some proofs that were over before an instant.
pub(super) async fn forget_proofs(conn: &mut PgConnection, before: i64) -> Result<()> {
    sqlx::query(
        "delete from proofs where proof_id in
             (select proof_id from proofs where over_at < $1 order by over_at limit 1000 for update skip locked)",
    )
    .bind(before)
    .execute(conn)
    .await
    .map(drop)
}
