//! The permit: the only key to a handler.

use crate::ledger::Reserved;
use crate::token::Claims;
use marque_core::call::{Call, CallResource};
use marque_core::canonical::Digest;
use marque_core::plan::Class;
use serde_json::{Map, Value};

/// Leave for one concrete call, and the arguments it was given for.
///
/// Checked = executed: read action, resource and arguments from the permit alone, never from the
/// request. A permit is a ceiling: whether [`subject`](Self::subject) may do this at all is still
/// the resource server's own decision.
///
/// Only a [`Gate`](crate::Gate) makes one, after every check has passed:
/// ```compile_fail
/// let forged = marque_gate::Permit { step: "s1".into(), ..unimplemented!() };
/// ```
/// ```compile_fail
/// let copy = |permit: &marque_gate::Permit| -> marque_gate::Permit { permit.clone() };
/// ```
/// What anybody may do with one:
/// ```
/// fn rotate(permit: marque_gate::Permit) -> String {
///     format!("rotating {} for {}", permit.resource().id, permit.subject())
/// }
/// ```
#[must_use = "a permit of a counted step stays reserved until it is settled"]
pub struct Permit {
    call: Call,
    call_digest: Digest,
    step: String,
    class: Class,
    subject: String,
    actors: Vec<String>,
    intent_id: String,
    transaction: String,
    reservation: Option<Reserved>,
}

/// Names the call by its digest: arguments may be confidential.
impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Permit");
        shown.field("action", &self.call.action).field("call_digest", &self.call_digest).field("step", &self.step);
        shown.field("intent_id", &self.intent_id).finish_non_exhaustive()
    }
}

impl Permit {
    pub(crate) fn new(
        (call, call_digest): (Call, Digest),
        claims: &Claims,
        (step, class): (&str, Class),
        reservation: Option<Reserved>,
    ) -> Self {
        Self {
            call_digest,
            call,
            step: step.into(),
            class,
            subject: claims.subject.clone(),
            actors: claims.act.chain().into_iter().map(str::to_owned).collect(),
            intent_id: claims.intent.id.clone(),
            transaction: claims.txn.clone(),
            reservation,
        }
    }

    /// Name of the action.
    pub fn action(&self) -> &str {
        &self.call.action
    }

    /// What it is done to.
    pub fn resource(&self) -> &CallResource {
        &self.call.resource
    }

    /// All arguments, exactly as they were checked.
    pub fn args(&self) -> &Map<String, Value> {
        &self.call.args
    }

    /// One argument.
    pub fn arg(&self, name: &str) -> Option<&Value> {
        self.call.args.get(name)
    }

    /// `SHA-256(JCS({action, resource, args}))`: names this call in logs and receipts.
    pub fn call_digest(&self) -> Digest {
        self.call_digest
    }

    /// Id of the signed plan's step that permits the call.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// What kind of effect the action has.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The person for whom it is done (claim `sub`).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Client ids of all actors, the caller first, the agent last.
    pub fn actors(&self) -> &[String] {
        &self.actors
    }

    /// Id of the intent that the person approved.
    pub fn intent_id(&self) -> &str {
        &self.intent_id
    }

    /// The call chain (claim `txn`).
    pub fn transaction(&self) -> &str {
        &self.transaction
    }

    /// Id of the reservation at the ledger; `None` for a step that is not counted.
    pub fn id(&self) -> Option<&str> {
        self.reservation.as_ref().map(|reservation| reservation.permit_id.as_str())
    }

    pub(crate) fn reservation(&self) -> Option<&Reserved> {
        self.reservation.as_ref()
    }
}
