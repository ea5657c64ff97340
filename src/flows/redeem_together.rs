//! Redemptions of approvals that come at once share a transaction, and are answered after its commit.
//!
//! 1. Each intent is had alone. What somebody else has, or shares, is left for who waits by himself.
//! 2. One statement moves those that are still approved to active, and keeps their tokens.
//!
//! A token that is not kept is refused, or kept by itself, by `grant_intent`, which then asks why.

use super::keep_tokens::Custody;
use crate::batch::Batch;
use crate::store::intents::{Hold, try_hold};
use crate::store::tokens::NewToken;
use crate::store::{self, Database};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Starts to redeem.
pub fn start(db: Database) -> Custody {
    Batch::start(1, move |tokens: Vec<NewToken>| {
        let db = db.clone();
        async move { db.write_together(async |tx| redeem(tx, &tokens).await).await }
    })
}

/// Of several tokens for one intent the first is kept: an approval is redeemed once.
async fn redeem(tx: &mut PgConnection, tokens: &[NewToken]) -> Result<Vec<bool>, store::StoreError> {
    let mut seen = BTreeSet::new();
    let firsts: Vec<&NewToken> = tokens.iter().filter(|token| seen.insert(token.intent_id)).collect();
    let taken = try_hold(tx, seen.into_iter().collect(), Hold::Alone).await?;
    let asked: Vec<NewToken> = firsts.into_iter().filter(|token| taken.contains(&token.intent_id)).cloned().collect();
    let redeemed = store::tokens::redeem(tx, &asked).await?;
    let kept: BTreeSet<_> =
        asked.iter().zip(redeemed).filter(|(_, is_redeemed)| *is_redeemed).map(|(token, _)| token.jti).collect();
    Ok(tokens.iter().map(|token| kept.contains(&token.jti)).collect())
}
