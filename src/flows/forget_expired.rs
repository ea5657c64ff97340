//! Housekeeping: forgets single-use ids, long envelopes, places in status lists, sign-ins and browser sessions whose time is over, and says of reservations that
//! nobody settled in time that what became of them is unknown.

use crate::app::App;
use crate::store;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Often enough to keep the tables small, seldom enough not to matter.
const EVERY: Duration = Duration::from_secs(60);

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
    let now = app.clock.now();
    let mut conn = store::patient(&app.pool).await?;
    let unknown = store::permits::mark_unknown(&mut conn, now).await?;
    if unknown > 0 {
        tracing::warn!(unknown, "permits were not settled in time");
    }
    store::replays::forget_expired(&mut conn, now).await?;
    store::envelopes::forget_expired(&mut conn, now).await?;
    store::status_places::forget_expired(&mut conn, now).await?;
    store::logins::forget_expired(&mut conn, now).await?;
    store::workload_tokens::forget_expired(&mut conn, now).await?;
    store::receipt_sessions::forget_expired(&mut conn, now).await
}
