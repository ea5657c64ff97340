//! Approved plans, from their evidence. It never changes, so it is verified once in each server and then remembered, while the
//! key that signed it is believed.

use super::verify_evidence::{Proven, verify_payload};
use super::{Context, FlowError, OAuthError, Refusal};
use crate::store;
use crate::store::intents::UserKey;
use marque_core::canonical::Digest;
use marque_core::envelope::Envelope;
use marque_core::evidence::{self, Credential, Evidence};
use marque_core::names;
use marque_core::plan::ResolvedPlan;
use marque_core::reason::Reason;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// Octets of evidence whose plans are remembered at once; each takes about as much memory as its evidence is long.
const REMEMBERED: u64 = 16 << 20;

/// An approved plan, as its evidence proves it.
#[derive(Debug)]
pub struct Approved {
    /// The intent.
    pub intent_id: Uuid,
    /// Subject identifier of who approved it.
    pub sub: String,
    /// Her user name when she did.
    pub username: String,
    /// The realm's authentication context of her approval.
    pub acr: String,
    /// When she had last signed in; seconds since the Unix epoch.
    pub auth_time: i64,
    /// Her passkey.
    pub credential: Credential,
    /// The plan.
    pub plan: ResolvedPlan,
    /// Its digest.
    pub plan_digest: Digest,
    /// Everything that the plan permits.
    pub envelope: Envelope,
    /// SHA-256 of the evidence file.
    pub evidence: Digest,
    /// Octets of the evidence file.
    octets: u32,
    /// Thumbprint of the key of Marque's that signed the evidence.
    signer: String,
}

impl Approved {
    /// What an evidence file proves of an intent, from its bytes.
    ///
    /// # Errors
    /// `invalid_grant` if it proves nothing.
    pub(super) fn by(cx: Context<'_>, intent_id: Uuid, file: &[u8]) -> Result<Self, FlowError> {
        let (evidence, Proven { plan, sub, username, acr, auth_time, .. }) = read(cx, intent_id, file)?;
        let envelope = Envelope::of(&plan).map_err(FlowError::internal)?;
        Ok(Self {
            intent_id,
            sub,
            username,
            acr,
            auth_time,
            credential: evidence.payload.credential,
            plan,
            plan_digest: evidence.payload.plan_digest,
            envelope,
            evidence: evidence.digest,
            octets: u32::try_from(file.len()).unwrap_or(u32::MAX),
            signer: evidence.signer.thumbprint().to_owned(),
        })
    }

    /// Whether a user approved it.
    pub(super) fn is_of(&self, user: UserKey<'_>) -> bool {
        match user {
            UserKey::Sub(sub) => self.sub == sub,
            UserKey::Username(username) => self.username == username,
        }
    }
}

/// Approved plans whose evidence was verified, by intent.
pub struct Verified(Cache<Uuid, Arc<Approved>>);

impl Default for Verified {
    fn default() -> Self {
        let cache = Cache::builder().weigher(|_, approved: &Arc<Approved>| approved.octets).max_capacity(REMEMBERED);
        // What was approved last is what is redeemed and exchanged next.
        Self(cache.eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl Verified {
    /// Remembers a plan whose approval was verified here and kept.
    pub(super) async fn remember(&self, approved: Approved) -> Arc<Approved> {
        let approved = Arc::new(approved);
        self.0.insert(approved.intent_id, approved.clone()).await;
        approved
    }

    /// A plan that is remembered, unless the key that signed its evidence is believed no longer.
    async fn recall(&self, cx: Context<'_>, intent_id: Uuid) -> Option<Arc<Approved>> {
        self.0.get(&intent_id).await.filter(|approved| is_own(cx, &approved.signer))
    }
}

/// The plan of an intent as it was approved. Rows are asked only what is not remembered.
///
/// # Errors
/// `invalid_grant` if its evidence proves nothing.
pub(super) async fn approved(cx: Context<'_>, intent_id: Uuid) -> Result<Arc<Approved>, FlowError> {
    match cx.realm.verified.recall(cx, intent_id).await {
        Some(approved) => Ok(approved),
        None => verify(cx, intent_id).await,
    }
}

/// [`approved`], by the evidence as it is kept now, of which `kept` is the SHA-256: what is remembered counts only for the very same
/// octets.
///
/// # Errors
/// As [`approved`].
pub(super) async fn approved_as_kept(
    cx: Context<'_>,
    intent_id: Uuid,
    kept: Option<Digest>,
) -> Result<Arc<Approved>, FlowError> {
    let kept = kept.ok_or_else(|| missing(intent_id))?;
    match cx.realm.verified.recall(cx, intent_id).await.filter(|approved| approved.evidence == kept) {
        Some(approved) => Ok(approved),
        None => verify(cx, intent_id).await,
    }
}

async fn verify(cx: Context<'_>, intent_id: Uuid) -> Result<Arc<Approved>, FlowError> {
    let file = find(&mut *cx.app.db.look().await?, intent_id).await?;
    Ok(cx.realm.verified.remember(Approved::by(cx, intent_id, &file)?).await)
}

/// An intent's evidence, and what it proves, from its bytes.
///
/// # Errors
/// `invalid_grant` if it proves nothing.
pub(super) async fn load_evidence(
    conn: &mut PgConnection,
    cx: Context<'_>,
    intent_id: Uuid,
) -> Result<(Evidence, Proven), FlowError> {
    let file = find(conn, intent_id).await?;
    read(cx, intent_id, &file)
}

async fn find(conn: &mut PgConnection, intent_id: Uuid) -> Result<Vec<u8>, FlowError> {
    let file = store::approvals::find_evidence(conn, intent_id).await?;
    file.ok_or_else(|| missing(intent_id))
}

fn missing(intent_id: Uuid) -> FlowError {
    invalid(intent_id, "there is none")
}

/// Reads an intent's evidence and believes it only if Marque's own key signed it for this very intent.
fn read(cx: Context<'_>, intent_id: Uuid, file: &[u8]) -> Result<(Evidence, Proven), FlowError> {
    let evidence = evidence::read(file).map_err(|refused| invalid(intent_id, &refused.to_string()))?;
    if !is_own(cx, evidence.signer.thumbprint())
        || evidence.payload.intent_id != intent_id.to_string()
        || evidence.payload.issuer != cx.issuer()
    {
        return Err(invalid(intent_id, "it is signed by another key or for another intent"));
    }
    let proven = verify_payload(&evidence.payload).map_err(|error| invalid(intent_id, &error))?;
    Ok((evidence, proven))
}

fn invalid(intent_id: Uuid, error: &str) -> FlowError {
    tracing::error!(intent = %intent_id, error, "evidence.invalid");
    let refusal = Refusal::new(OAuthError::InvalidGrant, Reason::EvidenceInvalid.meaning());
    refusal.because(Reason::EvidenceInvalid).about(intent_id).into()
}

/// Whether a key is one of Marque's for evidence, and not withdrawn.
fn is_own(cx: Context<'_>, thumbprint: &str) -> bool {
    cx.realm.keyring.public().by_thumbprint(thumbprint, names::TYP_EVIDENCE).is_some()
}
