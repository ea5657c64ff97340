//! A plan that waits for the person: completed with the newest catalogs, shown as it will be kept, and kept as an intent.

use super::authenticate_resource_server::answers_for;
use super::catalog_admission::is_admitted;
use super::error::bad_input;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::store::catalogs::CatalogRow;
use crate::store::intents::NewIntent;
use crate::{random, store};
use marque_core::canonical::Digest;
use marque_core::catalog::Catalog;
use marque_core::claims::Confirmation;
use marque_core::plan::{ResolvedPlan, StartedBy, SubmittedPlan};
use marque_core::reason::Reason;
use marque_core::resolve::{Completion, resolve};
use marque_core::{jws, names};
use std::collections::BTreeSet;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a person has to decide; the agent is told when it is over.
pub(super) const PENDING: Duration = Duration::minutes(10);
/// Seconds between two polls, at first.
const POLL_INTERVAL_SECS: i32 = 3;
/// Bytes of a completed plan with its catalogs: in base64 they fit the extension's limit of 512 KiB for an answer.
pub(super) const PRESENTED_BYTES: usize = 380 * 1024;

/// The agent that asks for a plan.
pub(super) struct Agent<'a> {
    /// Its client.
    pub client_id: &'a str,
    /// What the plan's tokens will be bound to.
    pub cnf: &'a Confirmation,
    /// Who began.
    pub started_by: StartedBy,
}

/// The newest catalogs of some locations, sorted by location as a resolved plan sorts them, with the JWS of each. A location without
/// a catalog is left out: resolving refuses it, or has it shown as the realm says.
pub(super) struct NewestCatalogs {
    catalogs: Vec<Catalog>,
    signed: Vec<String>,
}

impl NewestCatalogs {
    pub(super) async fn of(cx: Context<'_>, locations: impl Iterator<Item = &str>) -> Result<Self, FlowError> {
        let (mut catalogs, mut signed) = (Vec::new(), Vec::new());
        for location in locations.collect::<BTreeSet<_>>() {
            let mut conn = cx.app.db.look().await?;
            let newest = store::catalogs::find_newest(&mut conn, cx.realm_name(), location).await?;
            drop(conn);
            let Some(row) = newest else { continue };
            if let Some(catalog) = verify_catalog(cx, &row, location).await? {
                catalogs.push(catalog);
                signed.push(row.jws);
            }
        }
        Ok(Self { catalogs, signed })
    }
}

/// A completed plan, as it will be kept.
pub(super) struct PendingPlan {
    intent_id: Uuid,
    plan: ResolvedPlan,
    canonical: Vec<u8>,
    jkt: String,
    catalogs: Vec<String>,
    pending: Duration,
}

impl PendingPlan {
    /// Completes a plan, under an id of its own, for which the person has so long to decide.
    ///
    /// # Errors
    /// `invalid_authorization_details` with the path of the offence.
    pub(super) fn complete(
        cx: Context<'_>,
        plan: SubmittedPlan,
        agent: &Agent<'_>,
        NewestCatalogs { catalogs, signed }: NewestCatalogs,
        pending: Duration,
    ) -> Result<Self, Refusal> {
        let intent_id = random::id();
        let completion = Completion {
            issuer: cx.issuer(),
            realm_issuer: &cx.realm.config.keycloak_issuer,
            intent_id: &intent_id.to_string(),
            client_id: agent.client_id,
            cnf: agent.cnf.clone(),
            started_by: Some(agent.started_by),
            catalogs: &catalogs,
            blocked: &cx.realm.config.blocked,
            unknown_actions: cx.realm.config.unknown_actions,
            now: cx.now_secs(),
        };
        let plan = resolve(plan, &completion).map_err(|rejection| {
            bad_input(OAuthError::InvalidAuthorizationDetails, &rejection.refused).because(rejection.reason)
        })?;
        let (canonical, jkt) = (plan.canonical(), agent.cnf.to_string());
        expect_presentable(&canonical, &signed)?;
        Ok(Self { intent_id, plan, canonical, jkt, catalogs: signed, pending })
    }

    /// Digest of the plan.
    pub(super) fn digest(&self) -> Digest {
        self.plan.digest()
    }

    /// The intent that is to be kept.
    pub(super) fn intent(&self, now: OffsetDateTime) -> Result<NewIntent<'_>, FlowError> {
        let expires_at = self.plan.expires_at().map_err(FlowError::internal)?;
        let expires_at = OffsetDateTime::from_unix_timestamp(expires_at).map_err(FlowError::internal)?;
        Ok(NewIntent {
            intent_id: self.intent_id,
            client_id: &self.plan.agent.client_id,
            jkt: &self.jkt,
            username: self.plan.user.username.as_deref(),
            sub: self.plan.user.sub.as_deref(),
            plan: &self.canonical,
            catalogs: &self.catalogs,
            pending_until: expires_at.min(now + self.pending),
            expires_at,
            poll_interval_secs: POLL_INTERVAL_SECS,
        })
    }
}

/// What is admitted can be shown, kept as evidence and read back: all limits hold for the completed plan too.
fn expect_presentable(canonical: &[u8], catalogs: &[String]) -> Result<(), Refusal> {
    let refuse =
        |text: String| Refusal::new(OAuthError::InvalidAuthorizationDetails, text).because(Reason::PlanInvalid);
    ResolvedPlan::from_canonical(canonical).map_err(|refused| refuse(refused.to_string()))?;
    let bytes = canonical.len() + catalogs.iter().map(String::len).sum::<usize>();
    if bytes > PRESENTED_BYTES {
        return Err(refuse(format!(
            "$.steps: plan and catalogs are {bytes} bytes; at most {PRESENTED_BYTES} can be shown"
        )));
    }
    Ok(())
}

/// A kept catalog counts only while the client that the realm lists for the location still vouches for it, and only
/// with Marque's own admission.
async fn verify_catalog(cx: Context<'_>, row: &CatalogRow, location: &str) -> Result<Option<Catalog>, FlowError> {
    let CatalogRow { client_id, jws: compact, admission } = row;
    let record = cx.realm.directory.find_client(&cx.realm.keycloak, client_id).await?;
    let Some(record) = record.filter(|record| answers_for(record, location)) else { return Ok(None) };
    let verified = jws::verify(compact, names::TYP_CATALOG, &record.keys).ok();
    let catalog = verified.and_then(|verified| Catalog::parse(&verified.payload).ok());
    let is_its_own =
        |catalog: &Catalog| catalog.document().location == location && catalog.document().iss == *client_id;
    Ok(catalog.filter(is_its_own).filter(|catalog| is_admitted(cx, catalog, admission)))
}

/// Where the person decides on an intent.
pub(super) fn approval_uri(cx: Context<'_>, intent_id: Uuid) -> String {
    format!("{}/approve/{intent_id}", cx.issuer())
}
