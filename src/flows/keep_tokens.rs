//! Custody of tokens that are signed and not yet answered: those that come at once share a transaction, and are answered after
//! its commit.
//!
//! 1. Their intents are held against revocation. What somebody is about to revoke is left for who waits by himself.
//! 2. One statement keeps those whose intent is still active, and whose parent was answered here and not revoked.
//!
//! What cannot be shared, or was not kept, is kept by itself, or refused with the reason: tokens with turns to count, steps that are
//! too long for the token, and whatever waits for a revocation.

use super::authenticate_client::AuthenticatedClient;
use super::error::refuse;
use super::own_tokens::OwnToken;
use super::{Context, FlowError, envelopes};
use crate::batch::Batch;
use crate::store::intents::{Hold, try_hold};
use crate::store::tokens::NewToken;
use crate::store::{self, Database};
use marque_core::claims::{Carried, TxnClaims, token_hash};
use marque_core::envelope::Envelope;
use marque_core::reason::Reason;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// Takes tokens, and answers whether each was kept.
pub type Custody = Batch<NewToken, bool>;

/// Starts to take tokens.
pub fn start(db: Database) -> Custody {
    Batch::start(1, move |tokens: Vec<NewToken>| {
        let db = db.clone();
        async move { db.write_together(async |tx| keep_together(tx, tokens).await).await }
    })
}

async fn keep_together(tx: &mut PgConnection, tokens: Vec<NewToken>) -> Result<Vec<bool>, store::StoreError> {
    let intents: BTreeSet<Uuid> = tokens.iter().map(|token| token.intent_id).collect();
    let held = try_hold(tx, intents.into_iter().collect(), Hold::Shared).await?;
    let is_held: Vec<bool> = tokens.iter().map(|token| held.contains(&token.intent_id)).collect();
    let tokens: Vec<NewToken> = tokens.into_iter().filter(|token| held.contains(&token.intent_id)).collect();
    let mut kept = store::tokens::insert_active(tx, &tokens).await?.into_iter();
    Ok(is_held.into_iter().map(|is_held| is_held && kept.next() == Some(true)).collect())
}

/// A token of an intent that is signed and not yet answered.
pub(super) struct Minted<'a> {
    /// As custody names it.
    pub(super) kind: &'static str,
    pub(super) token: &'a str,
    pub(super) claims: &'a TxnClaims,
    pub(super) envelope: &'a Envelope,
    /// Its own id, and its call chain's.
    pub(super) ids: (Uuid, Uuid),
    /// The token that it was exchanged for, as it was read and as it came.
    pub(super) parent: &'a OwnToken,
    pub(super) subject: &'a str,
}

/// Keeps a token, so that it may be answered.
///
/// # Errors
/// With the reason, if its intent is not active, its parent was revoked or its turns are used up.
pub(super) async fn keep(cx: Context<'_>, client: &AuthenticatedClient, minted: &Minted<'_>) -> Result<(), FlowError> {
    let row = custody(cx, client, minted)?;
    let is_kept = match may_share(minted) {
        true => cx.app.custody.ask_with_others(row.intent_id, row.clone()).await?.unwrap_or(false),
        false => false,
    };
    if !is_kept {
        keep_alone(cx, &row, minted).await?;
    }
    let NewToken { intent_id, token_sha256: hash, .. } = row;
    tracing::info!(intent = %intent_id, token = %hash, client = client.client_id(), "token.exchanged");
    Ok(())
}

/// Whether nothing but the token's own row has to be kept or counted.
fn may_share(minted: &Minted<'_>) -> bool {
    minted.envelope.bounds.turns.is_none() && matches!(minted.claims.tctx.carried, Carried::Inline(_))
}

/// The row of a token.
fn custody(cx: Context<'_>, client: &AuthenticatedClient, minted: &Minted<'_>) -> Result<NewToken, FlowError> {
    let Minted { kind, token, claims, ids: (jti, txn), parent, subject, .. } = *minted;
    let instant = |secs| OffsetDateTime::from_unix_timestamp(secs).map_err(FlowError::internal);
    Ok(NewToken {
        realm: cx.realm_name().to_owned(),
        intent_id: parent.intent_id,
        jti,
        kind,
        token_sha256: token_hash(token),
        parent_sha256: Some(token_hash(subject)),
        client_id: client.client_id().to_owned(),
        jkt: client.jkt.clone(),
        txn: Some(txn),
        hops: i32::try_from(claims.act.hops()).unwrap_or(i32::MAX),
        issued_at: instant(claims.iat)?,
        expires_at: instant(claims.exp)?,
    })
}

/// Keeps one token, with what goes with it, or says why not.
async fn keep_alone(cx: Context<'_>, row: &NewToken, minted: &Minted<'_>) -> Result<(), FlowError> {
    let Minted { claims, envelope, ids: (_, txn), parent, .. } = *minted;
    let intent_id = row.intent_id;
    let mut tx = cx.app.db.begin().await?;
    if let Some(allowed) = envelope.bounds.turns {
        store::tokens::lock_turns(&mut tx, intent_id).await?;
        let turns = store::tokens::turns(&mut tx, intent_id, Some(txn)).await?;
        if turns > allowed {
            return Err(refuse(Reason::TurnsExhausted, &intent_id.to_string()).into());
        }
    }
    // A revocation of the parent is before this, or waits for it and ends this token, too.
    store::intents::share(&mut tx, intent_id).await?;
    envelopes::keep(cx, &mut tx, (&claims.tctx.carried, envelope), row.expires_at).await?;
    if store::tokens::insert_active(&mut tx, std::slice::from_ref(row)).await? == [true] {
        return Ok(tx.commit().await?);
    }
    let reason = match cx.why_not_active(&mut tx, intent_id).await? {
        None if store::tokens::is_revoked(&mut tx, intent_id, parent.jti).await? => Reason::TokenRevoked,
        reason => reason.unwrap_or(Reason::TokenInvalid),
    };
    Err(refuse(reason, &intent_id.to_string()).into())
}
