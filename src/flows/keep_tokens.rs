//! Custody of tokens that are signed and not yet answered: those that come at once share a transaction, and are answered after
//! its commit.
//!
//! 1. Their intents are held against revocation. What somebody is about to revoke is left for who waits by himself.
//! 2. One statement keeps those whose intent is still active, and whose parent was answered here and not revoked.
//!
//! A token that is not kept is refused, by `exchange_token`, which then asks why.

use crate::batch::Batch;
use crate::store::intents::try_share;
use crate::store::tokens::NewToken;
use crate::store::{self, Database};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Takes tokens, and answers whether each was kept.
pub type Custody = Batch<NewToken, bool>;

/// Starts to take tokens.
pub fn start(db: Database) -> Custody {
    Batch::start(1, move |tokens: Vec<NewToken>| {
        let db = db.clone();
        async move {
            let mut tx = db.begin().await?;
            let kept = keep(&mut tx, tokens).await?;
            tx.commit().await?;
            Ok::<_, store::StoreError>(kept)
        }
    })
}

async fn keep(tx: &mut PgConnection, tokens: Vec<NewToken>) -> Result<Vec<bool>, store::StoreError> {
    let intents: BTreeSet<Uuid> = tokens.iter().map(|token| token.intent_id).collect();
    let held = try_share(tx, intents.into_iter().collect()).await?;
    let is_held: Vec<bool> = tokens.iter().map(|token| held.contains(&token.intent_id)).collect();
    let tokens: Vec<NewToken> = tokens.into_iter().filter(|token| held.contains(&token.intent_id)).collect();
    let mut kept = store::tokens::insert_active(tx, &tokens).await?.into_iter();
    Ok(is_held.into_iter().map(|is_held| is_held && kept.next() == Some(true)).collect())
}
