//! What is live at a resource server: approved plans, from their evidence. Rows only say where to look and what has ended.

use super::approved_plans::{Approved, approved};
use super::ledger::Sought;
use super::{Context, FlowError};
use crate::store;
use crate::store::intents::UserKey;
use marque_core::canonical::canonical_text;
use marque_core::envelope::Envelope;
use marque_core::facts::{Facts, Past};
use marque_core::recall::Recall;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// Live intents that one question looks at, the newest first: a person has a handful at one resource server.
pub const INTENTS: i64 = 64;
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
