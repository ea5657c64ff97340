//! Housekeeping, by every server: forgets single-use ids, long envelopes, places in status lists, sign-ins and browser sessions
//! whose time is over, says of reservations that nobody settled in time that what became of them is unknown, opens months of
//! custody before they begin, and drops those that are over.

use crate::app::App;
use crate::store;
use std::sync::Arc;
use std::time::Duration;
use time::{Duration as Days, OffsetDateTime};
use tokio::sync::watch;

/// Often enough to keep the tables small, seldom enough not to matter.
const EVERY: Duration = Duration::from_secs(60);

/// How long before it begins a month of custody is there at the latest.
const AHEAD: Days = Days::days(35);

/// Forgets again and again until told to stop.
pub async fn keep_forgetting(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(error) = forget(&app).await {
            tracing::warn!(%error, "expired rows were not removed");
        }
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn forget(app: &App) -> Result<(), store::StoreError> {
    let mut conn = app.db.patient().await?;
    store::tokens::open_months(&mut conn, app.clock.now(), app.clock.now() + AHEAD).await?;
    // Nothing comes back that was forgotten too early: one clock that is ahead forgets nothing.
    let now = store::earlier_now(&mut conn, app.clock.now()).await?;
    let unknown = store::permits::mark_unknown(&mut conn, now).await?;
    if unknown > 0 {
        tracing::warn!(unknown, "permits were not settled in time");
    }
    store::replays::forget_expired(&mut conn, now).await?;
    store::envelopes::forget_expired(&mut conn, now).await?;
    store::status_places::forget_expired(&mut conn, now).await?;
    store::logins::forget_expired(&mut conn, now).await?;
    store::workload_tokens::forget_expired(&mut conn, now).await?;
    store::receipt_sessions::forget_expired(&mut conn, now).await?;
    let before = now - Days::days(app.custody_days.into());
    if let Some(month) = store::tokens::drop_month(&mut conn, before).await? {
        tracing::info!(month, "custody.dropped");
    }
    Ok(())
}

/// Opens the months of custody that are about to be written.
///
/// # Errors
/// When the database cannot be asked.
pub async fn open_custody(app: &App, now: OffsetDateTime) -> Result<(), store::StoreError> {
    app.db.write(async |conn| store::tokens::open_months(conn, now, now + AHEAD).await).await
}
