//! Permits of steps whose uses are not counted: nothing is kept of them but that their proof was used, while the intent was
//! active. Calls that come at once share a transaction.
//!
//! A proof is good for one call; the very same call with it again gets the same permit, from whichever server.

use crate::batch::Batch;
use crate::clock::Clock;
use crate::store::reservations::{Uncounted, UncountedCall};
use crate::store::{self, Database};
use sqlx::PgConnection;
use std::collections::HashMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// Takes calls that nothing counts.
pub type UncountedPermits = Batch<UncountedCall, Standing>;

/// How it stands with a call that nothing counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has this permit.
    Permit(Uuid),
    /// Its proof was used for another call.
    ProofReplayed,
    /// Its id is that of a call that was counted.
    Counted,
    /// The intent is not active.
    NotActive,
}

/// Starts to take calls.
pub fn start(db: Database, clock: Clock) -> UncountedPermits {
    Batch::start(1, move |calls: Vec<UncountedCall>| {
        let (db, now) = (db.clone(), clock.now());
        async move { db.write(async |conn| take(conn, &calls, now).await).await }
    })
}

/// Takes calls, the first of several with one proof before the others.
///
/// # Errors
/// When the database cannot be asked; no proof is used then.
pub(super) async fn take(
    conn: &mut PgConnection,
    calls: &[UncountedCall],
    now: OffsetDateTime,
) -> Result<Vec<Standing>, store::StoreError> {
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    let mut firsts: Vec<UncountedCall> = Vec::new();
    let place = calls.iter().map(|call| {
        *places.entry(call.proof.id).or_insert_with(|| {
            firsts.push(call.clone());
            firsts.len() - 1
        })
    });
    let place: Vec<usize> = place.collect();
    let mut answers = store::reservations::use_proofs(conn, &firsts, now).await?;
    // A proof that somebody else used at this instant: what for is seen by the next statement only.
    let unseen =
        |answer: &Uncounted| answer.is_active && !answer.has_permit && !answer.is_new && answer.earlier.is_none();
    if answers.iter().any(unseen) {
        let again = store::reservations::earlier_uses(conn, &firsts).await?;
        answers
            .iter_mut()
            .zip(again)
            .filter(|(answer, _)| unseen(answer))
            .for_each(|(answer, seen)| answer.earlier = seen);
    }
    let found = |(call, place): (&UncountedCall, usize)| match (firsts.get(place), answers.get(place)) {
        (Some(first), Some(answer)) => standing(call, first, answer),
        _ => Standing::NotActive,
    };
    Ok(calls.iter().zip(place).map(found).collect())
}

fn standing(call: &UncountedCall, first: &UncountedCall, answer: &Uncounted) -> Standing {
    let used_for = if answer.is_new { Some((first.permit_id, &first.presented)) } else { None };
    let used_for = used_for.or(answer.earlier.as_ref().map(|(permit_id, presented)| (*permit_id, presented)));
    match used_for {
        _ if !answer.is_active => Standing::NotActive,
        _ if answer.has_permit => Standing::Counted,
        Some((permit_id, presented)) if *presented == call.presented => Standing::Permit(permit_id),
        _ => Standing::ProofReplayed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::replays::SingleUse;
    use crate::store::reservations::CallKey;

    fn call(permit: u128, presented: &[u8]) -> UncountedCall {
        let key = CallKey {
            realm: "r".into(),
            intent_id: Uuid::nil(),
            client_id: "rs".into(),
            call_id: "c".into(),
            token_id: Uuid::nil(),
        };
        let proof = SingleUse { id: Uuid::nil(), expires_at: OffsetDateTime::UNIX_EPOCH };
        UncountedCall { key, proof, permit_id: Uuid::from_u128(permit), presented: presented.into() }
    }

    #[test]
    fn only_the_very_same_call_gets_the_permit_of_its_proof() {
        let (first, same, other) = (call(1, b"a"), call(2, b"a"), call(3, b"b"));
        let new = Uncounted { is_active: true, is_new: true, ..Uncounted::default() };
        assert_eq!(standing(&first, &first, &new), Standing::Permit(Uuid::from_u128(1)));
        assert_eq!(standing(&same, &first, &new), Standing::Permit(Uuid::from_u128(1)), "in the same batch");
        assert_eq!(standing(&other, &first, &new), Standing::ProofReplayed);
        let before = Uncounted { is_new: false, earlier: Some((Uuid::from_u128(9), b"a".to_vec())), ..new.clone() };
        assert_eq!(standing(&same, &same, &before), Standing::Permit(Uuid::from_u128(9)), "at an earlier time");
        assert_eq!(standing(&other, &other, &before), Standing::ProofReplayed);
        let counted = Uncounted { is_new: false, earlier: None, ..new.clone() };
        assert_eq!(standing(&first, &first, &counted), Standing::ProofReplayed, "the proof of a counted call");
        let of_counted = Uncounted { has_permit: true, ..counted };
        assert_eq!(standing(&first, &first, &of_counted), Standing::Counted);
        assert_eq!(standing(&first, &first, &Uncounted::default()), Standing::NotActive);
    }
}
