//! The closed list of reasons. One code means one thing in HTTP bodies, audit, gate and documents.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! reasons {
    ($( $(#[doc = $doc:literal])+ $name:ident = $code:literal ),+ $(,)?) => {
        /// Why something was refused. The code is stable; the sentence beside it may change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason {
            $( $(#[doc = $doc])+ #[serde(rename = $code)] $name ),+
        }

        impl Reason {
            /// All reasons, in order of precedence where several hold at once.
            pub const ALL: &'static [Reason] = &[ $( Reason::$name ),+ ];

            /// The stable code, in `snake_case`.
            pub const fn code(self) -> &'static str {
                match self { $( Reason::$name => $code ),+ }
            }

            /// What the reason means and what mends it, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $( Reason::$name => concat!($($doc),+).trim_ascii_start() ),+ }
            }
        }
    };
}

reasons! {
    /// No transaction token came with the call: send exactly one `Txn-Token` field.
    TokenMissing = "token_missing",
    /// The token's form, signature, type, issuer or audience is not what this place accepts.
    TokenInvalid = "token_invalid",
    /// The token's time is over: exchange its parent again.
    TokenExpired = "token_expired",
    /// No DPoP proof came with the call: send exactly one `DPoP` field.
    ProofMissing = "proof_missing",
    /// The DPoP proof's form, signature, method, address, time or token hash does not fit.
    ProofInvalid = "proof_invalid",
    /// The DPoP proof was used before: make a new one for each call.
    ProofReplayed = "proof_replayed",
    /// The proof is by another key than the one the token is bound to.
    ProofKeyMismatch = "proof_key_mismatch",
    /// The token is bound to a client certificate: call over TLS with that certificate, and without a DPoP proof.
    CertificateMismatch = "certificate_mismatch",
    /// The proof does not cover this call: sign `call_digest` over the action, resource and arguments that are sent.
    CallDigestMismatch = "call_digest_mismatch",
    /// The call's arguments are not one strict JSON object.
    CallMalformed = "call_malformed",
    /// How things stand with revocations is not known freshly enough to permit anything.
    RevocationStateStale = "revocation_state_stale",
    /// The token was revoked, or one that it was exchanged for: exchange the intent token for another.
    TokenRevoked = "token_revoked",
    /// The intent was revoked: submit a new plan.
    IntentRevoked = "intent_revoked",
    /// The intent, or the token, is from before the database lost commits: an administrator confirms that it goes on, or submit
    /// a new plan.
    IntentSuspended = "intent_suspended",
    /// The intent's time is over: submit a new plan.
    IntentExpired = "intent_expired",
    /// The plan, or whoever is above it, blocks this action, resource or location.
    Blocked = "blocked",
    /// The subject has no live intent at this resource server: an agent submits a plan, and she approves it.
    NoLiveIntent = "no_live_intent",
    /// No step of the token is at this resource server.
    LocationNotInPlan = "location_not_in_plan",
    /// No step of the token names this action here.
    ActionNotInPlan = "action_not_in_plan",
    /// A step names the action, on another resource.
    ResourceNotInPlan = "resource_not_in_plan",
    /// The call has an argument that the step does not name.
    ArgumentNotInPlan = "argument_not_in_plan",
    /// The call lacks an argument that the step names.
    ArgumentMissing = "argument_missing",
    /// An argument has a value that the step does not allow.
    ArgumentMismatch = "argument_mismatch",
    /// The step is for another environment than the one this resource server runs in.
    EnvironmentMismatch = "environment_mismatch",
    /// The step is for another time.
    OutsideWindow = "outside_window",
    /// The step depends on an earlier step's result, or on a record, that is not known: do that step first.
    ResultUnknown = "result_unknown",
    /// The step comes after others that are not committed yet.
    OutOfOrder = "out_of_order",
    /// Another step of the same group was used.
    GroupUsed = "group_used",
    /// The step was used as often as was approved.
    UsesExhausted = "uses_exhausted",
    /// With this call the steps of a budget would come to more than was approved.
    BudgetExhausted = "budget_exhausted",
    /// The agent started as many turns as were approved.
    TurnsExhausted = "turns_exhausted",
    /// The person was asked as often as the plan allows.
    StepUpsExhausted = "step_ups_exhausted",
    /// Deciding would cost more work than a decision may: send less, or plan simpler.
    TooMuchWork = "too_much_work",
    /// A person has to approve this very call before it is permitted.
    StepUpRequired = "step_up_required",
    /// The person's sign-in is too weak or too old for this call: have a plan approved with a sign-in as the challenge says.
    AuthenticationInsufficient = "authentication_insufficient",
    /// The ledger of uses cannot be reached, and an uncounted use is not permitted.
    LedgerUnavailable = "ledger_unavailable",
    /// The permit is unknown, over, or already committed or released.
    PermitNotOpen = "permit_not_open",
    /// The result receipt is not signed by this resource server, or says something else than its permit.
    ReceiptInvalid = "receipt_invalid",
    /// The challenge's form, signature, signer, audience, time or call is not what a step-up needs.
    ChallengeInvalid = "challenge_invalid",
    /// The challenge was handed in before: repeat the call to get a new one.
    ChallengeUsed = "challenge_used",
    /// The step permits this very call without asking the person: repeat the call.
    StepUpNotNeeded = "step_up_not_needed",
    /// The exchange asks for more than its parent token holds.
    WiderThanParent = "wider_than_parent",
    /// Whether the exchange asks for more than its parent token holds cannot be told, so it is refused.
    ComparisonUndecidable = "comparison_undecidable",
    /// The client is not the token's holder, no delegate of the signed plan, and not named in the token's `may_act`.
    NotADelegate = "not_a_delegate",
    /// The client already acts in this chain.
    ActorLoop = "actor_loop",
    /// The chain is as long as the plan allows.
    TooManyHops = "too_many_hops",
    /// The plan breaks a rule of the plan language.
    PlanInvalid = "plan_invalid",
    /// No catalog describes the step's location.
    UnknownLocation = "unknown_location",
    /// The catalog of the step's location does not describe its action.
    UnknownAction = "unknown_action",
    /// The agent is not paired with this user: an administrator pairs them.
    NotPaired = "not_paired",
    /// The agent is disabled or not registered as an agent.
    AgentInactive = "agent_inactive",
    /// Too many plans of this agent wait for this user.
    TooManyPending = "too_many_pending",
    /// The person denied the plan, or the call that she was asked about.
    DeniedByUser = "denied_by_user",
    /// The approval does not prove what it must prove.
    EvidenceInvalid = "evidence_invalid",
    /// The person's account is disabled or gone.
    UserInactive = "user_inactive",
    /// The passkey that approved is no longer the person's.
    PasskeyRemoved = "passkey_removed",
    /// A state that must be read again could not be read; nothing was granted.
    StateUnavailable = "state_unavailable",
}

impl Reason {
    /// Whether an amendment of the plan would mend it: the call is none that any step describes.
    pub fn is_outside_plan(self) -> bool {
        (Self::LocationNotInPlan..=Self::EnvironmentMismatch).contains(&self)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_snake_case_and_explained() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(reason.code().chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            assert!(reason.meaning().len() > 20, "{reason} is not explained");
        }
    }
}
