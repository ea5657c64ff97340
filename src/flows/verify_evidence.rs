//! Verification of an approval, from the bytes of its evidence: at approval, before the first mint, and offline.
//!
//! 1. The plan is canonical, and its digest is the stated one.
//! 2. The catalogs are the ones whose digests the plan signs.
//! 3. The lines, rendered here again, are the ones that were displayed.
//! 4. The challenge, computed here, is the one that the passkey signed, with user verification.
//! 5. The realm's ID token says that this user gave this very assertion. Everything odd is a refusal.

use super::id_token::IdToken;
use crate::passkey;
use marque_core::canonical::{Digest, canonical, decode};
use marque_core::catalog::Catalog;
use marque_core::challenge::Approval;
use marque_core::display::{DisplayRecord, RENDERER, catalogs_digest, lines, lines_digest};
use marque_core::evidence::{Assertion, Credential, Payload};
use marque_core::jws::{self, KeySet, VerificationKey};
use marque_core::plan::ResolvedPlan;
use marque_core::{json, limits};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the extension put into the ID token: the person's decision.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// She signed.
    Approved(Box<ApprovedClaim>),
    /// She refused.
    Denied(DeniedClaim),
}

/// The claim of an approval.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovedClaim {
    v: u32,
    pub(super) intent_id: String,
    plan_digest: Digest,
    pub(super) display: DisplayRecord,
    pub(super) nonce: Digest,
    credential_id: String,
    public_key: String,
    sign_count: u32,
    #[serde(default)]
    user_handle: Option<String>,
    client_data_json: String,
    authenticator_data: String,
    signature: String,
}

/// The claim of a denial.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeniedClaim {
    v: u32,
    pub(super) intent_id: String,
    /// What the person wrote, if anything.
    #[serde(default)]
    pub(super) reason: Option<String>,
}

impl Decision {
    /// Reads the claim.
    ///
    /// # Errors
    /// When it is not of the one form that there is.
    pub fn parse(claim: &Value) -> Result<Self, String> {
        let decision: Self = json::typed(claim.clone()).map_err(|refused| refused.to_string())?;
        match &decision {
            Self::Approved(claim) if claim.v == 1 => Ok(decision),
            Self::Denied(claim) if claim.v == 1 => Ok(decision),
            _ => Err("is of another version".into()),
        }
    }
}

impl ApprovedClaim {
    pub(super) fn assertion(&self) -> Assertion {
        Assertion {
            client_data_json: self.client_data_json.clone(),
            authenticator_data: self.authenticator_data.clone(),
            signature: self.signature.clone(),
            user_handle: self.user_handle.clone().unwrap_or_default(),
        }
    }

    pub(super) fn credential(&self) -> Result<Credential, String> {
        let (backup_eligible, backed_up) =
            passkey::backup_flags(&self.authenticator_data).map_err(|error| error.to_string())?;
        Ok(Credential {
            id: self.credential_id.clone(),
            public_key: self.public_key.clone(),
            sign_count: self.sign_count,
            backup_eligible,
            backed_up,
        })
    }

    /// The origin that the browser wrote into the client data.
    pub(super) fn origin(&self) -> Option<String> {
        let data: Value = json::parse_call(&decode(&self.client_data_json)?, limits::CALL_BYTES).ok()?;
        data.get("origin").and_then(Value::as_str).map(str::to_owned)
    }
}

/// An approval that holds.
#[derive(Clone, Debug)]
pub struct Proven {
    /// What was approved.
    pub plan: ResolvedPlan,
    /// The person.
    pub sub: String,
    /// Her user name at the time.
    pub username: String,
    /// The realm's authentication context.
    pub acr: String,
    /// When she had last signed in; seconds since the Unix epoch.
    pub auth_time: i64,
    /// The passkey's counter after the assertion.
    pub sign_count: u32,
    /// Thumbprint of the realm's key.
    pub realm_thumbprint: String,
}

/// Verifies the content of an evidence file. Who signed the file and whose keys the realm's are, its caller knows.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify_payload(payload: &Payload) -> Result<Proven, String> {
    let plan = verify_plan(payload)?;
    verify_display(payload, &plan)?;
    let key = VerificationKey::from_jwk(&payload.realm_jwk).map_err(|error| format!("realm_jwk {error}"))?;
    let realm_thumbprint = key.thumbprint().to_owned();
    let token = IdToken::verify(&payload.id_token, &KeySet::new(vec![key]), payload.approved_at)?;
    if !plan.user.is(&token.issuer, &token.sub, &token.username) {
        return Err("the ID token is of another user than the plan's".into());
    }
    verify_claim(payload, &token)?;
    let passkey = verify_gesture(payload, &token)?;
    Ok(Proven {
        plan,
        sub: token.sub,
        username: token.username,
        acr: token.acr,
        auth_time: token.auth_time.unwrap_or(token.issued_at),
        sign_count: passkey.sign_count,
        realm_thumbprint,
    })
}

fn verify_plan(payload: &Payload) -> Result<ResolvedPlan, String> {
    let bytes = canonical(&payload.plan);
    let plan = ResolvedPlan::from_canonical(&bytes).map_err(|refused| format!("plan {refused}"))?;
    if payload.version != 1 || Digest::of(&bytes) != payload.plan_digest {
        return Err("plan_digest is not the plan's".into());
    }
    if plan.issuer != payload.issuer || plan.intent_id != payload.intent_id {
        return Err("the plan is of another issuer or intent".into());
    }
    Ok(plan)
}

/// The catalogs are the ones whose digests are part of the signed plan, so their own signatures add nothing here.
fn catalogs(payload: &Payload, plan: &ResolvedPlan) -> Result<Vec<Catalog>, String> {
    let payloads = payload.catalogs.iter().map(|compact| jws::unverified_payload(compact));
    let payloads = payloads.collect::<Result<Vec<_>, _>>().map_err(|error| format!("a catalog {error}"))?;
    let catalogs = payloads.iter().map(|octets| Catalog::parse(octets)).collect::<Result<Vec<_>, _>>();
    let catalogs = catalogs.map_err(|refused| format!("a catalog: {refused}"))?;
    let references: Vec<_> = catalogs.iter().map(Catalog::reference).collect();
    if references == plan.catalogs { Ok(catalogs) } else { Err("the catalogs are not the plan's".into()) }
}

fn verify_display(payload: &Payload, plan: &ResolvedPlan) -> Result<(), String> {
    let display = &payload.display;
    if display.renderer != RENDERER {
        return Err(format!("the lines were rendered by {:?}, which is not known here", display.renderer));
    }
    let rendered = lines(plan, &catalogs(payload, plan)?, &display.locale)?;
    if display.lines_sha256 != lines_digest(&rendered) || display.catalog_sha256 != catalogs_digest(plan) {
        return Err("what was displayed is not what the plan says".into());
    }
    if display.digest() == payload.display_digest { Ok(()) } else { Err("display_digest is not the display's".into()) }
}

/// The ID token, which the realm signed, says the same as the payload, member by member. A passkey that
/// gave no user handle has no such member there.
fn verify_claim(payload: &Payload, token: &IdToken) -> Result<(), String> {
    let about = [("intent_id", json!(payload.intent_id)), ("plan_digest", json!(payload.plan_digest))];
    let stated = stated(about, &payload.display, &payload.nonce, &payload.credential, &payload.assertion);
    if token.approval() == Some(&stated) { Ok(()) } else { Err("the realm's ID token states another approval".into()) }
}

/// The claim of an approval: what it is about, and the gesture.
pub(super) fn stated(
    about: [(&str, Value); 2],
    display: &DisplayRecord,
    nonce: &Digest,
    credential: &Credential,
    assertion: &Assertion,
) -> Value {
    let mut stated = json!({
        "v": 1, "decision": "approved", "display": display, "nonce": nonce, "credential_id": credential.id,
        "public_key": credential.public_key, "sign_count": credential.sign_count,
        "client_data_json": assertion.client_data_json, "authenticator_data": assertion.authenticator_data,
        "signature": assertion.signature,
    });
    if let Some(members) = stated.as_object_mut() {
        members.extend(about.map(|(name, value)| (name.to_owned(), value)));
        if !assertion.user_handle.is_empty() {
            members.insert("user_handle".into(), assertion.user_handle.as_str().into());
        }
    }
    stated
}

fn verify_gesture(payload: &Payload, token: &IdToken) -> Result<passkey::Verified, String> {
    let approval = Approval {
        realm_issuer: &token.issuer,
        intent_id: &payload.intent_id,
        plan_digest: payload.plan_digest,
        display_digest: payload.display_digest,
        nonce: *payload.nonce.as_bytes(),
    };
    let expected = passkey::Expected {
        challenge: approval.challenge().ok_or("issuer or intent hold a NUL")?,
        rp_id: &payload.rp_id,
        origin: &payload.origin,
        sub: &token.sub,
    };
    passkey::verify(&payload.assertion, &payload.credential, &expected).map_err(|error| error.to_string())
}
