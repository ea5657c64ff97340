//! How a permitted action ended, and what it gave.

use crate::ledger::{Reserved, Settlement, SignedReceipt};
use crate::signer::Signer;
use marque_core::canonical::encode;
use marque_core::names::TYP_RECEIPT;
use marque_core::receipt::{Outcome, Receipt, ReceiptResult, disclose};
use serde_json::Value;
use std::collections::BTreeSet;

/// What a permitted action gave, for later steps that depend on it.
///
/// ```
/// # use marque_gate::CallResult;
/// # use serde_json::json;
/// let account = json!({"iban": "AT611904300234573201", "holder": "Alice", "balance": "12.50"});
/// // All of it:
/// let whole = CallResult::whole(account.clone());
/// // What later steps take, while Marque learns only the hashes of the rest:
/// let part = CallResult::leaves(account, ["/iban"]);
/// // Free text, for passages and words that are taken from it:
/// let text = CallResult::whole("Dear Alice, …");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CallResult {
    value: Value,
    disclosed: Option<BTreeSet<String>>,
}

impl CallResult {
    /// The whole result: any JSON value. Plain text is a JSON string.
    pub fn whole(value: impl Into<Value>) -> Self {
        Self { value: value.into(), disclosed: None }
    }

    /// A result of which only some leaves are disclosed, by JSON pointer (RFC 6901); of the others the receipt holds
    /// salted hashes. What counts or compares rows needs all of them.
    pub fn leaves<P: Into<String>>(value: impl Into<Value>, disclosed: impl IntoIterator<Item = P>) -> Self {
        Self { value: value.into(), disclosed: Some(disclosed.into_iter().map(Into::into).collect()) }
    }
}

/// How a permitted action ended: an [`Outcome`], or what it gave, which says that it was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) result: Option<CallResult>,
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, result: None }
    }
}

impl From<CallResult> for Ending {
    fn from(result: CallResult) -> Self {
        Self { outcome: Outcome::Committed, result: Some(result) }
    }
}

impl Ending {
    /// What the ledger is told: with a signer, under its signature.
    pub(crate) fn settlement(
        self,
        reserved: &Reserved,
        (signer, issuer): (Option<&Signer>, &str),
        now: i64,
    ) -> Settlement {
        let outcome = self.outcome;
        let Some(signer) = signer else {
            if self.result.is_some() {
                tracing::error!("a result is lost: the gate has no key to sign receipts with");
            }
            return Settlement { outcome, receipt: None };
        };
        match self.receipt(reserved, signer, issuer, now) {
            Ok(receipt) => Settlement { outcome, receipt: Some(receipt) },
            Err(problem) => {
                tracing::error!(problem, "a result is lost: its receipt cannot be made");
                Settlement { outcome, receipt: None }
            }
        }
    }

    /// What it gave, as a receipt would tell it.
    #[cfg(feature = "postgres")]
    pub(crate) fn known(&self) -> Result<Option<marque_core::receipt::KnownResult>, String> {
        let Some(result) = &self.result else { return Ok(None) };
        let (claim, disclosures) = result.clone().into_claim()?;
        claim.known(&disclosures).map(Some).map_err(|error| error.to_string())
    }

    fn receipt(self, reserved: &Reserved, signer: &Signer, issuer: &str, now: i64) -> Result<SignedReceipt, String> {
        let (result, disclosures) = self.result.map(CallResult::into_claim).transpose()?.unzip();
        let receipt = Receipt {
            iss: signer.client_id().into(),
            aud: issuer.into(),
            iat: now,
            jti: reserved.permit_id.clone(),
            intent: reserved.intent_id.clone(),
            step: reserved.step.clone(),
            call_digest: reserved.call_digest,
            seq: reserved.seq.ok_or("nothing was counted")?,
            outcome: self.outcome,
            result,
        };
        let payload = serde_json::to_vec(&receipt).map_err(|error| error.to_string())?;
        Receipt::parse(&payload).map_err(|error| error.to_string())?;
        let receipt = signer.sign(TYP_RECEIPT, &payload)?;
        Ok(SignedReceipt { receipt, disclosures: disclosures.unwrap_or_default() })
    }
}

impl CallResult {
    fn into_claim(self) -> Result<(ReceiptResult, Vec<String>), String> {
        let Some(wanted) = self.disclosed else { return Ok((ReceiptResult::Values(self.value), Vec::new())) };
        let (claim, leaves) = disclose(&self.value, salt).map_err(|error| error.to_string())?;
        let disclosed = leaves.into_iter().filter(|leaf| wanted.contains(&leaf.pointer)).map(|leaf| leaf.disclosure);
        Ok((claim, disclosed.collect()))
    }
}

/// 128 random bits. Without them nothing can be disclosed.
fn salt() -> Option<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(encode(&bytes))
}
