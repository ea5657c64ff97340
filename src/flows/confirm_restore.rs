//! After the database lost commits: what is suspended, and the administrator's word that it goes on or ends.

use super::revoke_intent::revoke_intent;
use super::{Context, FlowError, parse_intent_id};
use crate::random;
use crate::store::epochs::{self, Suspended, Suspension};
use crate::store::revocations;
use time::{Duration, OffsetDateTime};

/// What the feed's rows say of why.
const CAUSE: &str = "by an operator, after commits were lost";

/// What is suspended, with the intents; nothing if nothing is.
///
/// # Errors
/// When the database is away.
pub async fn suspended(cx: Context<'_>) -> Result<Option<(Suspension, Vec<Suspended>)>, FlowError> {
    let mut conn = cx.app.db.look().await?;
    match epochs::suspension(&mut conn, cx.realm_name()).await? {
        None => Ok(None),
        Some(suspension) => {
            Ok(Some((suspension, epochs::suspended(&mut conn, cx.realm_name(), cx.app.clock.now()).await?)))
        }
    }
}

/// How long after the suspension tokens that the database forgot, and ids that it forgot the use of, are over: transaction tokens,
/// assertions and proofs live for five minutes at most, by clocks that may differ by ten seconds.
const OVER: Duration = Duration::seconds(310);

/// What came of a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// Nothing was suspended.
    Nothing,
    /// Something lost may still be used, until then: all is suspended as before.
    TooEarly(OffsetDateTime),
    /// So many intents go on.
    Resumed(u64),
}

/// Lets everything that is suspended go on, in a new epoch, so that every gate hears of it. Not before what was lost is over, unless
/// `at_once` says so.
///
/// # Errors
/// When the database is away: then nothing was confirmed.
pub async fn confirm_restore(cx: Context<'_>, at_once: bool) -> Result<Confirmed, FlowError> {
    let (realm, now) = (cx.realm_name(), cx.app.clock.now());
    let mut tx = cx.app.db.begin_patient().await?;
    epochs::lock(&mut tx, realm).await?;
    let Some(suspension) = epochs::suspension(&mut tx, realm).await? else { return Ok(Confirmed::Nothing) };
    let over_at = suspension.suspended_at + OVER;
    if now < over_at && !at_once {
        return Ok(Confirmed::TooEarly(over_at));
    }
    let resumed = epochs::resume(&mut tx, realm).await?;
    epochs::begin(&mut tx, realm, (random::opaque_id(), None), "an administrator confirmed it", now).await?;
    revocations::notify(&mut tx, realm).await?;
    tx.commit().await?;
    tracing::info!(realm, resumed, "restore.confirmed");
    Ok(Confirmed::Resumed(resumed))
}

/// Revokes suspended intents: the named ones, or all.
///
/// # Errors
/// When one of them is not suspended, or the database is away: those before it were revoked then.
pub async fn revoke_suspended(cx: Context<'_>, intents: &[String]) -> Result<usize, FlowError> {
    let known = suspended(cx).await?.map(|(_, intents)| intents).unwrap_or_default();
    let ids: Vec<_> = match intents {
        [] => known.iter().map(|one| one.intent_id).collect(),
        named => {
            let is_known = |id: &uuid::Uuid| known.iter().any(|one| one.intent_id == *id);
            let read = |text: &str| {
                let id = parse_intent_id(text).filter(is_known);
                id.ok_or_else(|| FlowError::internal(format!("{text} is no suspended intent")))
            };
            named.iter().map(|text| read(text)).collect::<Result<_, _>>()?
        }
    };
    for id in &ids {
        revoke_intent(cx, *id, CAUSE).await?;
    }
    Ok(ids.len())
}
