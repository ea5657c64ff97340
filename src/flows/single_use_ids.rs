//! Ids of assertions and proofs that may be used once: those that come at once share a statement, and are on disk before any of
//! their requests goes on.

use crate::batch::Batch;
use crate::store::replays::SingleUse;
use crate::store::{self, Database};
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;

/// Takes ids, and answers whether each was not used before.
pub type SingleUseIds = Batch<SingleUse, bool>;

/// Starts to take ids.
pub fn start(db: Database) -> SingleUseIds {
    Batch::start(1, move |ids: Vec<SingleUse>| {
        let db = db.clone();
        async move { db.write(async |conn| use_all(conn, &ids).await).await }
    })
}

/// Uses ids, of several that are the same the first.
async fn use_all(conn: &mut PgConnection, ids: &[SingleUse]) -> Result<Vec<bool>, store::StoreError> {
    let mut seen = HashSet::new();
    let firsts: Vec<SingleUse> = ids.iter().filter(|one| seen.insert(one.id)).copied().collect();
    let is_new = store::replays::use_once(conn, &firsts).await?;
    let mut new: HashSet<Uuid> =
        firsts.iter().zip(is_new).filter(|(_, is_new)| *is_new).map(|(one, _)| one.id).collect();
    Ok(ids.iter().map(|one| new.remove(&one.id)).collect())
}
