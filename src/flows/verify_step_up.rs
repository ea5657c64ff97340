//! Verification of an approved call, from the bytes of its evidence: at approval, and whenever it is used.
//!
//! 1. The document is canonical, of the very call whose digest it has, and its digest is the stated one.
//! 2. The lines, rendered here again with the catalog that the document names, are the ones that were displayed.
//! 3. The challenge, computed here, is the one that the passkey signed, with user verification.
//! 4. The realm's ID token says that the document's person gave this very assertion. Everything odd is a refusal.

use super::id_token::IdToken;
use super::verify_evidence::{Decision, stated};
use crate::passkey;
use marque_core::canonical::{Digest, canonical};
use marque_core::catalog::Catalog;
use marque_core::challenge::StepUpApproval;
use marque_core::display::lines_digest;
use marque_core::jws::{self, KeySet, VerificationKey};
use marque_core::step_up::Document;
use marque_core::step_up::evidence::StepUpPayload;
use marque_core::step_up::lines::{RENDERER, catalog_digest, lines};
use serde_json::{Value, json};

/// An approved call that holds.
#[derive(Clone, Debug)]
pub(super) struct ProvenStepUp {
    /// What was approved.
    pub document: Document,
    /// The passkey's counter after the assertion.
    pub sign_count: u32,
    /// Thumbprint of the realm's key.
    pub realm_thumbprint: String,
}

/// Reads the extension's claim. It has the form of a plan's, about a step-up and its document; one about a plan is none.
pub(super) fn parse_claim(claim: &Value) -> Result<Decision, String> {
    let mut members = claim.as_object().cloned().ok_or("is no object")?;
    for (theirs, ours) in [("step_up_id", "intent_id"), ("document_digest", "plan_digest")] {
        if members.contains_key(ours) {
            return Err("is on a plan".into());
        }
        if let Some(value) = members.remove(theirs) {
            members.insert(ours.into(), value);
        }
    }
    Decision::parse(&Value::Object(members))
}

/// Verifies the content of an evidence file. Who signed the file, its caller knows.
pub(super) fn verify_step_up(payload: &StepUpPayload) -> Result<ProvenStepUp, String> {
    let document = verify_document(payload)?;
    verify_display(payload, &document)?;
    let key = VerificationKey::from_jwk(&payload.realm_jwk).map_err(|error| format!("realm_jwk {error}"))?;
    let realm_thumbprint = key.thumbprint().to_owned();
    let token = IdToken::verify(&payload.id_token, &KeySet::new(vec![key]), payload.approved_at)?;
    if token.issuer != document.user.iss || token.sub != document.user.sub {
        return Err("the ID token is of another user than the document's".into());
    }
    let about = [("step_up_id", json!(payload.step_up_id)), ("document_digest", json!(payload.document_digest))];
    let claim = stated(about, &payload.display, &payload.nonce, &payload.credential, &payload.assertion);
    if token.approval() != Some(&claim) {
        return Err("the realm's ID token states another approval".into());
    }
    let sign_count = verify_gesture(payload, &token)?.sign_count;
    Ok(ProvenStepUp { document, sign_count, realm_thumbprint })
}

fn verify_document(payload: &StepUpPayload) -> Result<Document, String> {
    let bytes = canonical(&payload.document);
    let document = Document::from_canonical(&bytes).map_err(|refused| format!("document {refused}"))?;
    if payload.version != 1 || Digest::of(&bytes) != payload.document_digest {
        return Err("document_digest is not the document's".into());
    }
    if document.issuer != payload.issuer || document.step_up_id != payload.step_up_id {
        return Err("the document is of another issuer or step-up".into());
    }
    Ok(document)
}

/// The catalog is the one whose digest is part of the signed document, so its own signature adds nothing here.
fn verify_display(payload: &StepUpPayload, document: &Document) -> Result<(), String> {
    let display = &payload.display;
    if display.renderer != RENDERER {
        return Err(format!("the lines were rendered by {:?}, which is not known here", display.renderer));
    }
    let catalog = payload.catalog.as_deref().map(read_catalog).transpose()?;
    let rendered = lines(document, catalog.as_ref(), &display.locale)?;
    if display.lines_sha256 != lines_digest(&rendered) || display.catalog_sha256 != catalog_digest(document) {
        return Err("what was displayed is not what the document says".into());
    }
    if display.digest() == payload.display_digest { Ok(()) } else { Err("display_digest is not the display's".into()) }
}

/// A catalog as it was signed.
pub(super) fn read_catalog(compact: &str) -> Result<Catalog, String> {
    let octets = jws::unverified_payload(compact).map_err(|error| format!("the catalog {error}"))?;
    Catalog::parse(&octets).map_err(|refused| format!("the catalog: {refused}"))
}

fn verify_gesture(payload: &StepUpPayload, token: &IdToken) -> Result<passkey::Verified, String> {
    let approval = StepUpApproval {
        realm_issuer: &token.issuer,
        step_up_id: &payload.step_up_id,
        document_digest: payload.document_digest,
        display_digest: payload.display_digest,
        nonce: *payload.nonce.as_bytes(),
    };
    let expected = passkey::Expected {
        challenge: approval.challenge().ok_or("issuer or step-up hold a NUL")?,
        rp_id: &payload.rp_id,
        origin: &payload.origin,
        sub: &token.sub,
    };
    passkey::verify(&payload.assertion, &payload.credential, &expected).map_err(|error| error.to_string())
}
