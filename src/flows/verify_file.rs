//! Verification of an evidence file offline: of a plan's approval, or of one call's in a step-up.
//!
//! 1. The form, and the signature of the key in the file.
//! 2. Everything that the approval rests on, from its bytes, as the server itself verifies it.
//! 3. With a trust file: both keys are ones that it names, each for its own kind of signature.
//! 4. With a plan's file beside a call's: the call is a use of a step of that very plan, by the same person.

use super::verify_evidence::{Proven, verify_payload};
use super::verify_step_up::{ProvenStepUp, verify_step_up};
use marque_core::canonical::Digest;
use marque_core::evidence::{self, Payload};
use marque_core::jws::KeySet;
use marque_core::plan::ResolvedPlan;
use marque_core::step_up::Document;
use marque_core::step_up::evidence::StepUpPayload;
use marque_core::{json, limits, names};
use serde::Deserialize;
use serde_json::Value;

/// Whose keys an auditor believes: `{marque:{issuer,jwks}, realm:{issuer,jwks}}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    marque: Anchor,
    realm: Anchor,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Anchor {
    issuer: String,
    jwks: Value,
}

impl Trust {
    /// Reads a trust file.
    ///
    /// # Errors
    /// When it is not of its one form.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let value = json::parse_call(bytes, limits::EVIDENCE_BYTES).map_err(|refused| refused.to_string())?;
        json::typed(value).map_err(|refused| refused.to_string())
    }
}

/// What a verified evidence file proves.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was approved.
    pub approved: Approved,
    /// The person's id at the realm.
    pub sub: String,
    /// Her user name at the time.
    pub username: String,
    /// The realm's issuer.
    pub realm: String,
    /// Thumbprint of the realm's key.
    pub realm_thumbprint: String,
    /// The Marque issuer.
    pub issuer: String,
    /// Thumbprint of the key that signed the file.
    pub signer_thumbprint: String,
    /// Whether the passkey can be synced to other devices.
    pub backup_eligible: bool,
    /// The origin of the page at which the passkey was used.
    pub origin: String,
    /// When Marque verified the approval; seconds since the Unix epoch.
    pub approved_at: i64,
    /// Whether both keys are ones that the auditor believes.
    pub is_anchored: bool,
}

/// What was approved.
#[derive(Clone, Debug)]
pub enum Approved {
    /// A plan.
    Plan(Box<ResolvedPlan>, Digest),
    /// One call.
    Call(Box<Document>, Digest),
}

/// Verifies an evidence file offline. Without a trust file it says nothing about who the keys belong to.
///
/// # Errors
/// The first thing that does not hold, an unbelieved key included.
pub fn verify_file(file: &[u8], trust: Option<&Trust>) -> Result<Report, String> {
    let (report, typ) = if is_of_call(file) { of_call(file)? } else { of_plan(file)? };
    let Some(trust) = trust else { return Ok(report) };
    expect_anchor(&trust.marque, (&report.issuer, &report.signer_thumbprint, typ), "Marque's key")?;
    expect_anchor(&trust.realm, (&report.realm, &report.realm_thumbprint, names::TYP_JWT), "the realm's key")?;
    Ok(Report { is_anchored: true, ..report })
}

/// Whether a file claims to be about one call. Whatever it claims, its form is then read strictly.
fn is_of_call(file: &[u8]) -> bool {
    let value = json::parse_plan(file, limits::EVIDENCE_BYTES).unwrap_or_default();
    value.pointer("/payload/step_up_id").is_some()
}

fn of_plan(file: &[u8]) -> Result<(Report, &'static str), String> {
    let evidence = evidence::read(file).map_err(|refused| refused.to_string())?;
    let signer_thumbprint = evidence.signer.thumbprint().to_owned();
    let Proven { plan, sub, username, realm_thumbprint, .. } = verify_payload(&evidence.payload)?;
    let Payload { plan_digest, issuer, credential, origin, approved_at, .. } = evidence.payload;
    let report = Report {
        sub,
        username,
        realm: plan.user.iss.clone(),
        realm_thumbprint,
        issuer,
        signer_thumbprint,
        backup_eligible: credential.backup_eligible,
        origin,
        approved_at,
        is_anchored: false,
        approved: Approved::Plan(Box::new(plan), plan_digest),
    };
    Ok((report, names::TYP_EVIDENCE))
}

fn of_call(file: &[u8]) -> Result<(Report, &'static str), String> {
    let evidence = evidence::read_as::<StepUpPayload>(file).map_err(|refused| refused.to_string())?;
    let signer_thumbprint = evidence.signer.thumbprint().to_owned();
    let ProvenStepUp { document, realm_thumbprint, .. } = verify_step_up(&evidence.payload)?;
    let StepUpPayload { document_digest, issuer, credential, origin, approved_at, .. } = evidence.payload;
    let report = Report {
        sub: document.user.sub.clone(),
        username: document.user.username.clone(),
        realm: document.user.iss.clone(),
        realm_thumbprint,
        issuer,
        signer_thumbprint,
        backup_eligible: credential.backup_eligible,
        origin,
        approved_at,
        is_anchored: false,
        approved: Approved::Call(Box::new(document), document_digest),
    };
    Ok((report, names::TYP_STEP_UP_EVIDENCE))
}

fn expect_anchor(anchor: &Anchor, (issuer, thumbprint, typ): (&str, &str, &str), what: &str) -> Result<(), String> {
    let keys = KeySet::from_jwks(&anchor.jwks).map_err(|error| format!("the trust file: {error}"))?;
    if anchor.issuer == issuer && keys.by_thumbprint(thumbprint, typ).is_some() {
        return Ok(());
    }
    Err(format!("{what} {thumbprint} of {issuer} is not one that the trust file names"))
}

/// Whether a call was approved as a use of a step of a plan, by the plan's own person and under the same issuers.
///
/// # Errors
/// What is of another plan.
pub fn expect_of_plan(call: &Report, plan: &Report) -> Result<(), String> {
    let (Approved::Call(document, _), Approved::Plan(signed, digest)) = (&call.approved, &plan.approved) else {
        return Err("the one is no approval of a call, or the other none of a plan".into());
    };
    let step = signed.steps.iter().find(|step| step.id == document.step);
    let checks = [
        ("plan", document.plan_digest == *digest && document.intent_id == signed.intent_id),
        ("person", (&call.sub, &call.realm) == (&plan.sub, &plan.realm)),
        ("issuer", call.issuer == plan.issuer),
        (
            "step",
            step.is_some_and(|step| {
                (&step.location, &step.action, step.class) == (&document.location, &document.action, document.class)
            }),
        ),
    ];
    match checks.into_iter().find(|(_, holds)| !holds) {
        Some((what, _)) => Err(format!("the call is of another {what} than the given plan's")),
        None => Ok(()),
    }
}
