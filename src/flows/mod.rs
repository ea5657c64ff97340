//! Use cases: one per file, each owning its transaction and the order of its steps.

mod access_request;
mod access_token;
pub mod approve_plan;
pub mod approve_step_up;
pub mod approved_plans;
pub mod authenticate_administrator;
pub mod authenticate_client;
pub mod authenticate_resource_server;
mod catalog_admission;
mod check_passkey;
pub mod confirm_restore;
pub mod decide_catalog;
pub mod envelopes;
mod error;
pub mod evaluate_access;
pub mod evaluate_batch;
mod exchange_policy;
pub mod exchange_token;
pub mod export_evidence;
pub mod follow_revocations;
pub mod forget_expired;
pub mod grant_intent;
mod id_token;
mod identity_assertion;
pub mod introspect_token;
pub mod keep_mark;
pub mod keep_tokens;
mod leave_domain;
pub mod ledger;
pub mod list_catalogs;
pub mod list_keys;
pub mod list_open_permits;
pub mod live_intents;
pub mod location_ledger;
pub mod metadata;
pub mod open_keyring;
pub mod own_tokens;
mod pending_plan;
pub mod properties;
pub mod prove_call;
pub mod prove_user;
pub mod publish_catalog;
pub mod realm_login;
pub mod receipt;
pub mod redeem_together;
pub mod request_access;
pub mod request_step_up;
mod reserve_permit;
pub mod reserve_together;
pub mod resolve_by_subject;
pub mod revoke_intent;
pub mod revoke_token;
pub mod rotate_keys;
pub mod search_access;
pub mod settle_permit;
pub mod show_plan;
pub mod single_use_ids;
mod start_workload;
pub mod status_list;
mod steps_left;
pub mod submit_plan;
pub mod uncounted_permits;
mod use_step_up;
pub mod verified_tokens;
pub mod verify_evidence;
pub mod verify_file;
mod verify_step_up;
pub mod withdraw_key;

pub use error::{FlowError, OAuthError, Refusal};

use crate::app::{App, Realm};
use crate::store;
use crate::store::replays::SingleUse;
use marque_core::canonical::Digest;
use marque_core::lifecycle::IntentState;
use marque_core::reason::Reason;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What every flow is handed: the server and the realm that the request is for.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The server.
    pub app: &'a App,
    /// The realm.
    pub realm: &'a Realm,
}

impl Context<'_> {
    /// The realm's name in rows.
    pub fn realm_name(&self) -> &str {
        &self.realm.config.name
    }

    /// The Marque issuer.
    pub fn issuer(&self) -> &str {
        &self.realm.config.issuer
    }

    /// An instant as seconds since the Unix epoch.
    pub fn now_secs(&self) -> i64 {
        self.app.clock.now().unix_timestamp()
    }

    /// Why an intent is not active now; nothing if it is, as far as its own row says.
    async fn why_not_active(&self, conn: &mut PgConnection, intent_id: Uuid) -> Result<Option<Reason>, FlowError> {
        let intent = store::intents::find(conn, self.realm_name(), intent_id).await?;
        Ok(match intent {
            None => Some(Reason::IntentRevoked),
            Some(intent) => match intent.state() {
                IntentState::Active if self.app.clock.now() >= intent.expires_at => Some(Reason::IntentExpired),
                IntentState::Active => None,
                state => Some(state.refusal().unwrap_or(Reason::IntentRevoked)),
            },
        })
    }

    /// The nonce that proofs for this realm repeat now; none where they need not.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn dpop_nonce(&self) -> Result<Option<String>, FlowError> {
        let asked = self.realm.config.dpop_nonces;
        asked.then(|| self.app.nonces.fresh(self.realm_name(), self.now_secs())).transpose().map_err(Into::into)
    }

    /// An id that may be used once until `exp`; `kind` keeps ids of different kinds apart, `issuer` those of different hands.
    ///
    /// # Errors
    /// When `exp` is no instant.
    fn single_use(&self, kind: &str, issuer: &str, jti: &str, exp: i64) -> Result<SingleUse, FlowError> {
        let expires_at = OffsetDateTime::from_unix_timestamp(exp).map_err(FlowError::internal)?;
        let digest = Digest::of(format!("{}/{kind}/{issuer}\n{jti}", self.realm_name()).as_bytes());
        let (id, _) =
            digest.as_bytes().split_first_chunk().ok_or_else(|| FlowError::internal("a digest is too short"))?;
        Ok(SingleUse { id: Uuid::from_bytes(*id), expires_at })
    }

    /// Uses an id once. Whatever comes of the request, it stays used.
    async fn use_once(&self, kind: &str, issuer: &str, jti: &str, exp: i64) -> Result<bool, FlowError> {
        let one = self.single_use(kind, issuer, jti, exp)?;
        Ok(self.app.single_use_ids.ask(one.id, one).await?)
    }

    /// [`Self::use_once`] inside its caller's transaction: the id is used only if that stands.
    async fn use_once_in(
        &self,
        conn: &mut PgConnection,
        kind: &str,
        issuer: &str,
        jti: &str,
        exp: i64,
    ) -> Result<bool, FlowError> {
        Ok(store::replays::use_once(conn, &[self.single_use(kind, issuer, jti, exp)?]).await? == [true])
    }
}

/// Whether the database answers: what readiness means. Keycloak being away does not make Marque unready.
///
/// # Errors
/// When it does not.
pub async fn check_ready(app: &App) -> Result<(), FlowError> {
    Ok(app.db.ping().await?)
}

/// An intent id as it came from outside: what is no id names no intent.
fn parse_intent_id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|id| id.hyphenated().to_string() == text)
}
