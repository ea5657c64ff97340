//! A resource server reports what became of a permitted call: the effect happened, or it did not, and what it gave.
//!
//! 1. The permit is the resource server's own.
//! 2. The receipt, if one came: signed by its registered key, about this very call, and the first for this permit.
//! 3. What is open is settled, whether in time or not; what is settled stays so.
//! 4. A released use is given back. What was committed keeps its receipt.
//!
//! One that is never settled goes on counting as used, because nobody knows whether its effect happened.

use super::authenticate_resource_server::ResourceServer;
use super::ledger::{IntentLedger, KeptReceipt};
use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id};
use crate::store;
use crate::store::permits::{Ended, Permit};
use marque_core::canonical::Digest;
use marque_core::jws;
use marque_core::names;
use marque_core::reason::Reason;
pub use marque_core::receipt::Outcome;
use marque_core::receipt::{Expected, Receipt};
use sqlx::PgConnection;
use uuid::Uuid;

/// What became of a permit.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The intent's id, as it came.
    pub intent_id: String,
    /// The permit's id, as it came.
    pub permit_id: String,
    /// How the call ended.
    pub outcome: Outcome,
    /// The result receipt, a compact JWS.
    pub receipt: Option<String>,
    /// What is disclosed of it.
    pub disclosures: Vec<String>,
}

/// Settles a permit. The same outcome again is answered again, and may bring a receipt that was missing, or disclose more.
///
/// # Errors
/// Conflict with reason `permit_not_open` for a permit that is unknown here or settled differently, or that has another
/// receipt; `invalid_request` with reason `receipt_invalid` and what is wrong with the receipt.
pub async fn settle_permit(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    settlement: &Settlement,
) -> Result<(), FlowError> {
    let (Some(intent_id), Some(permit_id)) =
        (parse_intent_id(&settlement.intent_id), parse_intent_id(&settlement.permit_id))
    else {
        return Err(not_open().into());
    };
    let mut tx = cx.app.db.begin().await?;
    let permit =
        store::permits::lock(&mut tx, cx.realm_name(), intent_id, permit_id, resource_server.client_id()).await?;
    let permit = permit.ok_or_else(not_open)?;
    verify_receipt(cx, resource_server, settlement, &permit)?;
    let ledger = settle(cx, &mut tx, intent_id, &permit, settlement.outcome).await?;
    if let Some(receipt) = &settlement.receipt {
        let kept = KeptReceipt { receipt: receipt.clone(), disclosures: settlement.disclosures.clone() };
        keep(cx, &mut tx, (intent_id, &permit), &ledger, kept).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn not_open() -> Refusal {
    Refusal::new(OAuthError::Conflict, Reason::PermitNotOpen.meaning()).because(Reason::PermitNotOpen)
}

fn verify_receipt(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    settlement: &Settlement,
    permit: &Permit,
) -> Result<(), Refusal> {
    let invalid = |what: String| Refusal::new(OAuthError::InvalidRequest, what).because(Reason::ReceiptInvalid);
    let Some(compact) = &settlement.receipt else {
        let is_bare = settlement.disclosures.is_empty();
        return if is_bare {
            Ok(())
        } else {
            Err(invalid("disclosures: nothing is disclosed without a receipt".into()))
        };
    };
    let verified = jws::verify(compact, names::TYP_RECEIPT, resource_server.keys());
    let verified = verified.map_err(|error| invalid(format!("the receipt {error}")))?;
    let receipt = Receipt::parse(&verified.payload).map_err(|error| invalid(format!("the receipt: {error}")))?;
    let (Some(call_digest), Some(seq)) = (Digest::from_slice(&permit.call_digest), permit.seq) else {
        return Err(not_open());
    };
    let expected = Expected {
        client_id: resource_server.client_id(),
        issuer: cx.issuer(),
        permit_id: &settlement.permit_id,
        intent_id: &settlement.intent_id,
        step: &permit.step_id,
        call_digest,
        seq: seq.unsigned_abs(),
        now: cx.now_secs(),
    };
    receipt.check(&expected).map_err(|error| invalid(format!("the receipt: {error}")))?;
    if receipt.outcome != settlement.outcome {
        return Err(invalid("the receipt: $.outcome: is not the outcome beside it".into()));
    }
    receipt.known(&settlement.disclosures).map(drop).map_err(|error| invalid(error.to_string()))
}

/// Settles a permit that is locked and open; what is settled stays so. Returns the intent's ledger.
async fn settle(
    cx: Context<'_>,
    tx: &mut PgConnection,
    intent_id: Uuid,
    permit: &Permit,
    outcome: Outcome,
) -> Result<IntentLedger, FlowError> {
    let (permit_id, step_id) = (permit.permit_id, permit.step_id.as_str());
    if let Some(sealed) = &permit.outcome {
        let ledger = cx.ledger(tx, intent_id).await?;
        let is_again = ledger.open_outcome(permit_id, step_id, sealed) == Some(outcome);
        return if is_again { Ok(ledger) } else { Err(not_open().into()) };
    }
    let mut ledger = cx.lock_ledger(tx, intent_id).await?;
    ledger.settle(step_id, outcome)?;
    let (sealed, counts) = (ledger.seal_outcome(permit_id, step_id, outcome)?, ledger.sealed_counts()?);
    let ended = Ended { state: outcome.code(), outcome: &sealed, counts: &counts };
    store::permits::settle(tx, intent_id, permit_id, &ended, cx.app.clock.now()).await?;
    Ok(ledger)
}

/// A permit has one receipt; the same one again adds what is newly disclosed of it.
async fn keep(
    cx: Context<'_>,
    tx: &mut PgConnection,
    (intent_id, permit): (Uuid, &Permit),
    ledger: &IntentLedger,
    mut kept: KeptReceipt,
) -> Result<(), FlowError> {
    let (permit_id, step_id) = (permit.permit_id, permit.step_id.as_str());
    if let Some(sealed) = store::results::find(tx, intent_id, permit_id).await? {
        let earlier = ledger.open_receipt(permit_id, step_id, &sealed);
        let earlier = earlier.filter(|earlier| earlier.receipt == kept.receipt).ok_or_else(not_open)?;
        let news: Vec<_> =
            kept.disclosures.into_iter().filter(|disclosure| !earlier.disclosures.contains(disclosure)).collect();
        kept.disclosures = [earlier.disclosures, news].concat();
    }
    let sealed = ledger.seal_receipt(permit_id, step_id, &kept)?;
    Ok(store::results::keep(tx, intent_id, permit_id, &sealed, cx.app.clock.now()).await?)
}
