//! What is live at a resource server: approved plans, from their evidence. Rows only say where to look and what has
//! ended; evidence is verified once and then remembered, since it never changes, while the key that signed it is believed.

use super::grant_intent::{is_own, load_evidence};
use super::ledger::Sought;
use super::verify_evidence::Proven;
use super::{Context, FlowError};
use crate::store;
use crate::store::intents::UserKey;
use marque_core::canonical::{Digest, canonical_text};
use marque_core::envelope::Envelope;
use marque_core::facts::{Facts, Past};
use marque_core::plan::ResolvedPlan;
use marque_core::recall::Recall;
use moka::future::Cache;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// Live intents that one question looks at, the newest first: a person has a handful at one resource server.
pub const INTENTS: i64 = 64;
/// Approved plans that are remembered at once; one takes some kilobytes.
const REMEMBERED: u64 = 1_000;

/// An approved plan, as its evidence proves it.
#[derive(Debug)]
pub struct Approved {
    /// The intent.
    pub intent_id: Uuid,
    /// Subject identifier of who approved it.
    pub sub: String,
    /// Her user name when she did.
    pub username: String,
    /// The plan.
    pub plan: ResolvedPlan,
    /// Its digest.
    pub plan_digest: Digest,
    /// Everything that the plan permits.
    pub envelope: Envelope,
    /// Thumbprint of the key of Marque's that signed the evidence.
    signer: String,
}

/// By which of her names at the realm a resource server knows a user. Each has one kind, and never both: a user name
/// that is spelled as somebody's subject identifier finds nothing of hers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserProperty {
    /// The subject identifier.
    Sub,
    /// The user name.
    Username,
}

impl UserProperty {
    /// A user by her name of this kind.
    pub const fn of(self, name: &str) -> UserKey<'_> {
        match self {
            Self::Sub => UserKey::Sub(name),
            Self::Username => UserKey::Username(name),
        }
    }

    /// The name of this kind of who approved a plan.
    pub fn name_of(self, approved: &Approved) -> &str {
        match self {
            Self::Sub => &approved.sub,
            Self::Username => &approved.username,
        }
    }
}

impl Approved {
    fn is_of(&self, user: UserKey<'_>) -> bool {
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
        Self(Cache::new(REMEMBERED))
    }
}

/// The live intents that one user approved, or all, that have a step at a location.
///
/// # Errors
/// When the database cannot be asked.
pub(super) async fn find(
    cx: Context<'_>,
    location: &str,
    user: Option<UserKey<'_>>,
    limit: i64,
) -> Result<Vec<Arc<Approved>>, FlowError> {
    let text = format!("\"location\":{}", canonical_text(&json!(location)));
    let mut conn = cx.app.db.look().await?;
    let found =
        store::intents::find_live(&mut conn, cx.realm_name(), user, text.as_bytes(), cx.app.clock.now(), limit).await?;
    drop(conn);
    let mut live = Vec::new();
    for intent_id in found {
        let approved = match approved(cx, intent_id).await {
            Err(FlowError::Refused(_)) => None,
            approved => Some(approved?),
        };
        live.extend(approved.filter(|approved| user.is_none_or(|user| approved.is_of(user))));
    }
    Ok(live)
}

/// What the evidence of an intent proves.
///
/// # Errors
/// `invalid_grant` if it proves nothing.
pub(super) async fn approved(cx: Context<'_>, intent_id: Uuid) -> Result<Arc<Approved>, FlowError> {
    let Verified(remembered) = &cx.realm.verified;
    if let Some(approved) = remembered.get(&intent_id).await.filter(|approved| is_own(cx, &approved.signer)) {
        return Ok(approved);
    }
    let (evidence, proven) = load_evidence(&mut *cx.app.db.look().await?, cx, intent_id).await?;
    let Proven { plan, sub, username, .. } = proven;
    let envelope = Envelope::of(&plan).map_err(FlowError::internal)?;
    let (signer, plan_digest) = (evidence.signer.thumbprint().to_owned(), evidence.payload.plan_digest);
    let approved = Arc::new(Approved { intent_id, sub, username, plan, plan_digest, envelope, signer });
    remembered.insert(intent_id, approved.clone()).await;
    Ok(approved)
}

/// What the ledger knows of an intent now. Nothing is held or counted: the next moment it may be otherwise. Where its ledger
/// cannot tell, because it was changed by hand or would have to read too much, all that is counted is used up: other intents
/// are none the worse for it.
///
/// # Errors
/// When the database cannot be asked.
pub(super) async fn facts_now(cx: Context<'_>, intent_id: Uuid, envelope: &Envelope) -> Result<Facts, FlowError> {
    let told = async {
        let mut tx = cx.app.db.look_at_once().await?;
        let ledger = cx.ledger(&mut tx, intent_id).await?;
        cx.facts(&mut tx, &ledger, &Sought { envelope, recall: Recall::of_any(envelope), txn: None }).await
    };
    match told.await {
        Err(FlowError::Refused(_)) => {
            let steps = envelope.steps.iter().map(|step| (step.id.clone(), Past::counted(u64::MAX, 0))).collect();
            Ok(Facts { steps, blocked: cx.realm.config.blocked.clone(), ..Facts::default() })
        }
        told => told,
    }
}
