//! Permits of many calls in one transaction.
//!
//! What is looked up for each call stands in a lateral subquery with a limit: it is found by its index, call by call. Joins would
//! be planned for as many rows as the tables had when they were last analyzed, and may read all of them.

use super::intents::{Hold, try_hold};
use super::replays::{self, SingleUse};
use super::{StoreError, in_order};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use uuid::Uuid;

/// A call of a resource server, by its own id.
#[derive(Clone, Debug)]
pub struct CallKey {
    /// The realm.
    pub realm: String,
    /// The intent.
    pub intent_id: Uuid,
    /// The resource server.
    pub client_id: String,
    /// Its id of the call.
    pub call_id: String,
    /// The id of the token that the call came with.
    pub token_id: Uuid,
}

/// A call that nothing counts.
#[derive(Clone, Debug)]
pub struct UncountedCall {
    /// The call.
    pub key: CallKey,
    /// Its proof.
    pub proof: SingleUse,
    /// The permit that it gets if the proof is new.
    pub permit_id: Uuid,
    /// Digest of what the call came with.
    pub presented: Vec<u8>,
}

/// What came of an [`UncountedCall`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uncounted {
    /// The intent is active and the token not revoked. If not, nothing was used.
    pub is_active: bool,
    /// The call id has a counted permit. If it has, nothing was used.
    pub has_permit: bool,
    /// The proof was not used before; it is now.
    pub is_new: bool,
    /// The permit that a proof was used for before, and the digest of what that call came with.
    pub earlier: Option<(Uuid, Vec<u8>)>,
}

/// Uses the proofs of calls that nothing counts, each while its intent is active: all is decided in one statement. No proof
/// may come twice.
pub async fn use_proofs(
    conn: &mut PgConnection,
    calls: &[UncountedCall],
    now: OffsetDateTime,
) -> Result<Vec<Uncounted>, StoreError> {
    let (realms, intents, clients, ids) = columns(calls.iter().map(|call| &call.key));
    let tokens: Vec<Uuid> = calls.iter().map(|call| call.key.token_id).collect();
    let (proofs, ends) = proof_columns(calls);
    let permits: Vec<Uuid> = calls.iter().map(|call| call.permit_id).collect();
    let presented: Vec<Vec<u8>> = calls.iter().map(|call| call.presented.clone()).collect();
    let rows = sqlx::query!(
        r#"with asked as (
             select * from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[],
                 $7::uuid[], $8::bytea[], $10::uuid[])
                 with ordinality as a(realm, intent_id, client_id, call_id, proof, expires_at, permit_id, presented,
                     token_id, place)
         ), standing as (
             select a.*, i.is_active is not null and r.is_revoked is null and t.is_revoked is null as is_active, p.has_permit is not null as has_permit
             from asked a
             left join lateral (
                 select true as is_active from intents i where i.intent_id = a.intent_id and i.realm = a.realm
                     and i.state = 'active' and i.expires_at > $9 limit 1
             ) i on true
             left join lateral (
                 select true as is_revoked from revocations r where r.intent_id = a.intent_id limit 1
             ) r on true
             left join lateral (
                 select true as is_revoked from token_revocations t
                 where t.intent_id = a.intent_id and t.jti = a.token_id limit 1
             ) t on true
             left join lateral (
                 select true as has_permit from permits p
                 where p.intent_id = a.intent_id and p.client_id = a.client_id and p.call_id = a.call_id limit 1
             ) p on true
         ), used as (
             insert into replays (id, expires_at, permit_id, presented)
             select proof, expires_at, permit_id, presented from standing where is_active and not has_permit
                 and expires_at > now() - interval '2 minutes'
             order by proof
             on conflict on constraint replays_pkey do nothing returning id
         )
         select s.place as "place!", s.is_active as "is_active!", s.has_permit as "has_permit!",
             used.id is not null as "is_new!", r.permit_id as "permit_id?", r.presented as "presented?"
         from standing s left join used on used.id = s.proof
             left join lateral (
                 select r.permit_id, r.presented from replays r where r.id = s.proof limit 1
             ) r on true"#,
        &realms,
        &intents,
        &clients,
        &ids,
        &proofs,
        &ends,
        &permits,
        &presented,
        now,
        &tokens
    )
    .fetch_all(conn)
    .await?;
    let answers = rows.into_iter().map(|row| {
        let (is_active, has_permit, is_new) = (row.is_active, row.has_permit, row.is_new);
        (row.place, Uncounted { is_active, has_permit, is_new, earlier: row.permit_id.zip(row.presented) })
    });
    Ok(in_order(calls.len(), answers))
}

/// The permits that these proofs were used for, and the digests of what those calls came with.
pub async fn earlier_uses(
    conn: &mut PgConnection,
    calls: &[UncountedCall],
) -> Result<Vec<Option<(Uuid, Vec<u8>)>>, StoreError> {
    let (proofs, _) = proof_columns(calls);
    let rows = sqlx::query!(
        r#"select a.place as "place!", r.permit_id, r.presented
         from unnest($1::uuid[]) with ordinality as a(id, place)
         cross join lateral (select r.permit_id, r.presented from replays r where r.id = a.id limit 1) r"#,
        &proofs
    )
    .fetch_all(conn)
    .await?;
    Ok(in_order(calls.len(), rows.into_iter().map(|row| (row.place, row.permit_id.zip(row.presented)))))
}

fn columns<'c>(keys: impl Iterator<Item = &'c CallKey>) -> (Vec<String>, Vec<Uuid>, Vec<String>, Vec<String>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for CallKey { realm, intent_id, client_id, call_id, .. } in keys {
        columns.0.push(realm.clone());
        columns.1.push(*intent_id);
        columns.2.push(client_id.clone());
        columns.3.push(call_id.clone());
    }
    columns
}

fn proof_columns(calls: &[UncountedCall]) -> (Vec<Uuid>, Vec<OffsetDateTime>) {
    replays::columns(&calls.iter().map(|call| call.proof).collect::<Vec<_>>())
}

/// Holds intents that are active against their revocation until the transaction ends: those of these that are, and that
/// nobody is about to revoke. See [`super::intents::share`].
pub async fn hold_active(
    conn: &mut PgConnection,
    intents: &[(String, Uuid)],
    now: OffsetDateTime,
) -> Result<BTreeSet<(String, Uuid)>, StoreError> {
    let shared = try_hold(conn, intents.iter().map(|(_, intent_id)| *intent_id).collect(), Hold::Shared).await?;
    let held = intents.iter().filter(|(_, intent_id)| shared.contains(intent_id)).cloned();
    let (realms, ids): (Vec<String>, Vec<Uuid>) = held.unzip();
    let rows = sqlx::query!(
        r#"select i.realm, i.intent_id from intents i
             join unnest($1::text[], $2::uuid[]) as a(realm, intent_id) on i.realm = a.realm and i.intent_id = a.intent_id
         where i.state = 'active' and i.expires_at > $3
             and not exists (select from revocations r where r.intent_id = i.intent_id)
         order by i.intent_id for share of i skip locked"#,
        &realms,
        &ids,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.realm, row.intent_id)).collect())
}

/// Holds the counts of intents that were counted before and are held by nobody, until the transaction ends.
pub async fn hold_counts(conn: &mut PgConnection, intents: &[Uuid]) -> Result<BTreeMap<Uuid, Vec<u8>>, StoreError> {
    let rows = sqlx::query!(
        "select intent_id, counts from ledgers where intent_id = any($1) order by intent_id for update skip locked",
        intents
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.intent_id, row.counts)).collect())
}

/// Which of these calls have a permit already, or came with a token that was revoked, by their place.
pub async fn permitted_before(conn: &mut PgConnection, calls: &[&CallKey]) -> Result<Vec<bool>, StoreError> {
    let (_, intents, clients, ids) = columns(calls.iter().copied());
    let tokens: Vec<Uuid> = calls.iter().map(|call| call.token_id).collect();
    let rows = sqlx::query_scalar!(
        r#"select a.place as "place!" from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[])
             with ordinality as a(intent_id, client_id, call_id, token_id, place)
         cross join lateral (
             (select true from permits p
              where p.intent_id = a.intent_id and p.client_id = a.client_id and p.call_id = a.call_id limit 1)
             union all
             (select true from token_revocations t where t.intent_id = a.intent_id and t.jti = a.token_id limit 1)
             limit 1
         ) p"#,
        &intents,
        &clients,
        &ids,
        &tokens
    )
    .fetch_all(conn)
    .await?;
    Ok(in_order(calls.len(), rows.into_iter().map(|place| (place, true))))
}

/// A permit of a counted step, about to be given.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// The call.
    pub key: CallKey,
    /// The permit's id.
    pub permit_id: Uuid,
    /// Which step it uses.
    pub step_id: String,
    /// Digest of the call.
    pub call_digest: Vec<u8>,
    /// Digest of what the call came with.
    pub presented: String,
    /// The call, sealed.
    pub call: Vec<u8>,
    /// Its number among the intent's permits.
    pub seq: i64,
    /// Until when a result is expected.
    pub expires_at: OffsetDateTime,
}

/// Keeps permits, reserved, and the counts that go with them. The caller holds the counts.
pub async fn keep(
    conn: &mut PgConnection,
    reservations: &[Reservation],
    counts: &BTreeMap<Uuid, Vec<u8>>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let (_, intents, clients, ids) = columns(reservations.iter().map(|one| &one.key));
    let permits: Vec<Uuid> = reservations.iter().map(|one| one.permit_id).collect();
    let text =
        |column: fn(&Reservation) -> &String| reservations.iter().map(|one| column(one).clone()).collect::<Vec<_>>();
    let bytes =
        |column: fn(&Reservation) -> &Vec<u8>| reservations.iter().map(|one| column(one).clone()).collect::<Vec<_>>();
    let (steps, presented) = (text(|one| &one.step_id), text(|one| &one.presented));
    let (digests, calls) = (bytes(|one| &one.call_digest), bytes(|one| &one.call));
    let numbers: Vec<i64> = reservations.iter().map(|one| one.seq).collect();
    let ends: Vec<OffsetDateTime> = reservations.iter().map(|one| one.expires_at).collect();
    let (counted, sealed): (Vec<Uuid>, Vec<Vec<u8>>) = counts.iter().map(|(id, sealed)| (*id, sealed.clone())).unzip();
    sqlx::query!(
        "with counted as (
             update ledgers l set counts = a.counts from unnest($12::uuid[], $13::bytea[]) as a(intent_id, counts)
             where l.intent_id = a.intent_id
         )
         insert into permits (intent_id, permit_id, step_id, client_id, call_id, call_digest, proof_jti, state, reserved_at,
             expires_at, call, seq)
         select a.intent_id, a.permit_id, a.step_id, a.client_id, a.call_id, a.call_digest, a.presented, 'reserved', $11,
             a.expires_at, a.call, a.seq
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::timestamptz[],
             $9::bytea[], $10::bigint[])
             as a(intent_id, permit_id, step_id, client_id, call_id, call_digest, presented, expires_at, call, seq)",
        &intents,
        &permits,
        &steps,
        &clients,
        &ids,
        &digests,
        &presented,
        &ends,
        &calls,
        &numbers,
        now,
        &counted,
        &sealed
    )
    .execute(conn)
    .await
    .map(drop)
}
