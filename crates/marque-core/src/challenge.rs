//! The WebAuthn challenge: a random nonce bound to the plan or the call, to what was displayed and to the realm.

use crate::canonical::Digest;
use sha2::{Digest as _, Sha256};

const DOMAIN: &str = "marque/approval/v1";
const STEP_UP_DOMAIN: &str = "marque/step-up/v1";

/// Everything that one gesture covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval<'a> {
    /// The realm's issuer.
    pub realm_issuer: &'a str,
    /// The intent.
    pub intent_id: &'a str,
    /// Digest of the resolved plan.
    pub plan_digest: Digest,
    /// Digest of the display record.
    pub display_digest: Digest,
    /// Drawn at random for one display of the page: a bare digest would be a predictable challenge
    /// (WebAuthn Level 3 §13.4.3).
    pub nonce: [u8; 32],
}

impl Approval<'_> {
    /// `SHA-256(domain ‖ 00 ‖ realm issuer ‖ 00 ‖ intent ‖ 00 ‖ plan ‖ display ‖ nonce)`. Issuer and intent
    /// hold no NUL, so that no two approvals give the same bytes; one that does has no challenge.
    pub fn challenge(&self) -> Option<Digest> {
        let digests = [self.plan_digest.as_bytes(), self.display_digest.as_bytes(), &self.nonce];
        challenge([DOMAIN, self.realm_issuer, self.intent_id], digests)
    }
}

/// Everything that the gesture of one step-up covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepUpApproval<'a> {
    /// The realm's issuer.
    pub realm_issuer: &'a str,
    /// The step-up.
    pub step_up_id: &'a str,
    /// Digest of its document.
    pub document_digest: Digest,
    /// Digest of the display record.
    pub display_digest: Digest,
    /// Drawn at random for one display of the page.
    pub nonce: [u8; 32],
}

impl StepUpApproval<'_> {
    /// As [`Approval::challenge`], under a domain of its own: a gesture for a plan is never one for a call.
    pub fn challenge(&self) -> Option<Digest> {
        let digests = [self.document_digest.as_bytes(), self.display_digest.as_bytes(), &self.nonce];
        challenge([STEP_UP_DOMAIN, self.realm_issuer, self.step_up_id], digests)
    }
}

fn challenge(names: [&str; 3], digests: [&[u8; 32]; 3]) -> Option<Digest> {
    let mut hash = Sha256::new();
    for part in names {
        if part.contains('\0') {
            return None;
        }
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    for part in digests {
        hash.update(part);
    }
    Some(Digest::from_bytes(hash.finalize().into()))
}
