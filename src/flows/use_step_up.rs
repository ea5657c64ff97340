//! An approved call meets the ledger: it fills the facts of exactly this call, and is used up with its permit.
//!
//! A row alone permits nothing: the evidence of each approval is verified again, from its bytes, with Marque's own key.

use super::verify_step_up::{ProvenStepUp, verify_step_up};
use super::{Context, FlowError};
use crate::store;
use crate::store::step_ups::Pending;
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::claims::{Confirmation, IntentRef};
use marque_core::envelope::EnvelopeStep;
use marque_core::evidence::read_as;
use marque_core::facts::Facts;
use marque_core::names;
use marque_core::plan::Approve;
use marque_core::step_up::document::{Document, ShownRecord};
use marque_core::step_up::evidence::StepUpPayload;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Who presents a call, under which signed plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presenter<'a> {
    pub intent: &'a IntentRef,
    pub sub: &'a str,
    pub client_id: &'a str,
    pub cnf: &'a Confirmation,
}

/// What step-ups say of one call of one presenter.
#[derive(Clone, Debug, Default)]
pub(super) struct StepUps {
    /// How often the person was asked, without the one that waits.
    asked: u64,
    /// The one that waits for her decision on this very call by one of the steps, with the records that it now comes with.
    waiting: Option<Uuid>,
    /// Each with its step and the digest that the decision knows it by.
    unused: Vec<(Uuid, String, Digest)>,
}

/// Reads the step-ups of an intent whose ledger is locked, if any of these steps asks for one.
pub(super) async fn step_ups(
    cx: Context<'_>,
    tx: &mut PgConnection,
    (intent_id, steps): (Uuid, &[EnvelopeStep]),
    presenter: Presenter<'_>,
    call: &Call,
) -> Result<StepUps, FlowError> {
    if steps.iter().all(|step| step.approve == Approve::Plan) {
        return Ok(StepUps::default());
    }
    let (now, approval, jkt) = (cx.app.clock.now(), call.approval(), presenter.cnf.to_string());
    let pending = store::step_ups::pending(tx, intent_id, &jkt, approval.as_bytes(), now).await?;
    let waiting = waiting(&pending, steps, call);
    let asked = store::step_ups::count_others(tx, intent_id, waiting).await?;
    let mut unused = Vec::new();
    for row in store::step_ups::unused(tx, intent_id, &jkt, approval.as_bytes(), now).await? {
        let Some(step) = steps.iter().find(|step| step.id == row.step_id) else { continue };
        match proven(cx, &row.evidence) {
            Ok(document) if !is_of(&document, row.step_up_id, presenter, approval, now) || document.step != step.id => {
                tracing::error!(step_up = %row.step_up_id, "step_up.of_another_call");
            }
            // The records say something else now: the person approved what they said then.
            Ok(document) if !shows(&document, &call.seen_by(step)) => {
                tracing::info!(step_up = %row.step_up_id, "step_up.of_other_records");
            }
            Ok(_) => unused.push((row.step_up_id, step.id.clone(), call.approval_for(&step.id))),
            Err(error) => tracing::error!(step_up = %row.step_up_id, error, "step_up.invalid"),
        }
    }
    Ok(StepUps { asked, waiting, unused })
}

/// At most one, of the first step that has one: every other page that the person was led to counts.
fn waiting(pending: &[Pending], steps: &[EnvelopeStep], call: &Call) -> Option<Uuid> {
    let is_same = |row: &Pending, step: &EnvelopeStep| {
        let document = (row.step_id == step.id).then(|| Document::from_canonical(&row.document));
        document.is_some_and(|read| read.is_ok_and(|document| shows(&document, &call.seen_by(step))))
    };
    let of_step = |step| pending.iter().find(|row| is_same(row, step));
    steps.iter().find_map(of_step).map(|row| row.step_up_id)
}

/// Whether a document shows exactly what a person would be shown of the records that a call comes with.
fn shows(document: &Document, call: &Call) -> bool {
    document.records == ShownRecord::of(call)
}

fn proven(cx: Context<'_>, file: &[u8]) -> Result<Document, String> {
    let evidence = read_as::<StepUpPayload>(file).map_err(|refused| refused.to_string())?;
    let signer = evidence.signer.thumbprint();
    if cx.realm.keyring.public().by_thumbprint(signer, names::TYP_STEP_UP_EVIDENCE).is_none() {
        return Err("it is signed by another key".into());
    }
    if evidence.payload.issuer != cx.issuer() {
        return Err("it is of another issuer".into());
    }
    verify_step_up(&evidence.payload).map(|ProvenStepUp { document, .. }| document)
}

fn is_of(
    document: &Document,
    step_up_id: Uuid,
    presenter: Presenter<'_>,
    approval: Digest,
    now: OffsetDateTime,
) -> bool {
    document.step_up_id == step_up_id.to_string()
        && document.intent_id == presenter.intent.id
        && document.plan_digest == presenter.intent.digest
        && document.user.sub == presenter.sub
        && document.presenter.client_id == presenter.client_id
        && document.presenter.cnf == *presenter.cnf
        && document.approval == approval
        && document.expires_at.secs() > now.unix_timestamp()
}

impl StepUps {
    /// The facts with what is known of step-ups.
    pub fn known_to(&self, facts: Facts) -> Facts {
        Facts {
            approvals: self.unused.iter().map(|(_, _, approval)| *approval).collect(),
            step_ups: self.asked,
            ..facts
        }
    }

    /// The step-up that a new request for the same call is answered with.
    pub const fn waiting(&self) -> Option<Uuid> {
        self.waiting
    }

    /// Uses up the approval by which a step permits: false if there is none for this very step.
    pub async fn use_up(
        &self,
        tx: &mut PgConnection,
        step: &EnvelopeStep,
        permit_id: Uuid,
        now: OffsetDateTime,
    ) -> Result<bool, FlowError> {
        if step.approve == Approve::Plan {
            return Ok(true);
        }
        let Some((step_up_id, ..)) = self.unused.iter().find(|(_, of, _)| *of == step.id) else { return Ok(false) };
        Ok(store::step_ups::use_up(tx, *step_up_id, permit_id, now).await?)
    }
}
