//! What the ledger remembers: the calls that were permitted and what they gave, each sealed for its permit.
//!
//! A record that does not open is none: what depends on it is then unknown, and refused.

use super::{Context, FlowError};
use crate::keys::RecordPlace;
use crate::store;
use crate::store::permits::PastPermit;
use marque_core::call::Call;
use marque_core::canonical::canonical_text;
use marque_core::envelope::Envelope;
use marque_core::facts::{Facts, Past, PastCall};
use marque_core::receipt::{KnownResult, Receipt};
use marque_core::{json, jws, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use uuid::Uuid;

/// A permit, and the step that it uses: where its records are sealed.
#[derive(Clone, Copy)]
pub(super) struct Permitted<'p> {
    pub(super) intent_id: Uuid,
    pub(super) permit_id: Uuid,
    pub(super) step_id: &'p str,
}

/// A receipt as the ledger keeps it. It was verified when it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptReceipt {
    /// The compact JWS.
    pub(super) receipt: String,
    /// What was disclosed of it.
    pub(super) disclosures: Vec<String>,
}

impl KeptReceipt {
    fn known(&self) -> Option<KnownResult> {
        let payload = jws::unverified_payload(&self.receipt).ok()?;
        Receipt::parse(&payload).ok()?.known(&self.disclosures).ok()
    }
}

impl Context<'_> {
    fn place<'p>(&'p self, kind: &'static str, of: Permitted<'p>) -> RecordPlace<'p> {
        let Permitted { intent_id, permit_id, step_id } = of;
        RecordPlace { kind, realm: self.realm_name(), intent_id, permit_id, step_id }
    }

    /// The arguments of a call, sealed for its permit.
    pub(super) fn seal_call(&self, of: Permitted<'_>, call: &Call) -> Result<Vec<u8>, FlowError> {
        let args = canonical_text(&Value::Object(call.args.clone()));
        Ok(self.app.records.seal(&self.place("call", of), args.as_bytes())?)
    }

    /// A receipt, sealed for its permit.
    pub(super) fn seal_receipt(&self, of: Permitted<'_>, kept: &KeptReceipt) -> Result<Vec<u8>, FlowError> {
        let bytes = serde_json::to_vec(kept).map_err(FlowError::internal)?;
        Ok(self.app.records.seal(&self.place("result", of), &bytes)?)
    }

    /// A receipt that was kept; nothing if it does not open.
    pub(super) fn open_receipt(&self, of: Permitted<'_>, sealed: &[u8]) -> Option<KeptReceipt> {
        serde_json::from_slice(&self.app.records.open(&self.place("result", of), sealed)?).ok()
    }

    fn open_args(&self, of: Permitted<'_>, sealed: &[u8]) -> Option<Map<String, Value>> {
        let args = self.app.records.open(&self.place("call", of), sealed)?;
        match json::parse_call(&args, limits::CALL_BYTES) {
            Ok(Value::Object(args)) => Some(args),
            _ => None,
        }
    }

    fn past_call(&self, intent_id: Uuid, row: &PastPermit) -> Option<PastCall> {
        let of = Permitted { intent_id, permit_id: row.permit_id, step_id: &row.step_id };
        let args = self.open_args(of, row.call.as_deref()?)?;
        let kept = row.receipt.as_deref().and_then(|sealed| self.open_receipt(of, sealed));
        let known = kept.and_then(|kept| kept.known()).unwrap_or_default();
        Some(PastCall { args, committed: row.state == "committed", result: known.whole, disclosed: known.leaves })
    }

    /// What the ledger knows of an intent, as far as a decision about this envelope can depend on it. The ledger is
    /// locked until the transaction ends: what one call finds out of order, used up or within a budget, no other call
    /// changes meanwhile.
    pub(super) async fn facts(
        &self,
        tx: &mut PgConnection,
        intent_id: Uuid,
        envelope: &Envelope,
    ) -> Result<Facts, FlowError> {
        store::permits::lock_ledger(tx, intent_id).await?;
        let used = store::permits::uses(tx, intent_id).await?;
        let mut facts = Facts { blocked: self.realm.config.blocked.clone(), ..Facts::default() };
        facts.steps = used.into_iter().map(|(step, used)| (step, Past::counted(used.uses, used.committed))).collect();
        if envelope.bounds.turns.is_some() {
            facts.turns = store::tokens::turns(tx, intent_id).await?;
        }
        let remembered: Vec<String> = envelope.remembered().into_iter().map(str::to_owned).collect();
        if !remembered.is_empty() {
            for row in store::permits::past(tx, intent_id, &remembered).await? {
                let past = facts.steps.entry(row.step_id.clone()).or_default();
                match self.past_call(intent_id, &row) {
                    Some(call) => past.calls.push(call),
                    None => tracing::error!(permit = %row.permit_id, "a call of the ledger does not open"),
                }
            }
        }
        Ok(facts)
    }
}
