//! The high-water mark: notices that the database lost commits, and suspends what came before until an administrator confirms it.
//!
//! 1. Move this server's own number on, in a commit of its own, if the database is not behind the mark.
//! 2. Compare what the database says with the mark (`marque_core::mark`).
//! 3. Where commits were lost: hold the epoch against the other servers, look again, begin a new epoch, suspend what is live,
//!    in one transaction. Whoever comes later finds that the epoch of its mark has ended, and follows.
//! 4. The new mark, to the file after the commit: the file is never ahead of the database.

use super::{Context, FlowError};
use crate::app::App;
use crate::random;
use crate::store::epochs::{self, Own};
use crate::store::revocations::{self, Position};
use marque_core::mark::{Loss, Mark, Standing};
use sqlx::PgConnection;

impl<'a> Context<'a> {
    fn own(&self) -> Own<'a> {
        Own { realm: &self.realm.config.name, server_id: self.app.marks.server_id() }
    }
}

/// Compares all realms with their marks and keeps the new ones, before anything is served.
///
/// # Errors
/// When the database is away, or the file cannot be written.
pub async fn compare_all(app: &App) -> Result<(), FlowError> {
    for realm in app.realms.values() {
        keep_mark(Context { app, realm }).await?;
    }
    save(app).await
}

/// Writes the marks to their file.
pub(super) async fn save(app: &App) -> Result<(), FlowError> {
    let marks = app.marks.clone();
    let saved = tokio::task::spawn_blocking(move || marks.save()).await.map_err(FlowError::internal)?;
    saved.map_err(|error| FlowError::Unavailable(format!("the mark cannot be kept: {error}")))
}

/// Steps 1 to 3, and the mark as this server remembers it; answers where the feed stands.
pub(super) async fn keep_mark(cx: Context<'_>) -> Result<Position, FlowError> {
    let (db, now) = (&cx.app.db, cx.app.clock.now());
    position(cx).await?;
    let known = cx.app.marks.of(cx.realm_name());
    let mark = match &known {
        None => db.write(async |conn| epochs::adopt(conn, cx.own(), 0, now).await).await?,
        Some(mark) => {
            let found = db.write(async |conn| epochs::beat(conn, cx.own(), mark, now).await).await?;
            match (mark.compare(&found), found.beat) {
                (Standing::GoesOn, Some(beat)) => {
                    let at = now.unix_timestamp();
                    Mark { epoch: found.epoch, seq: found.seq, beat: beat + 1, at, place: found.place }
                }
                (Standing::Lost(loss), _) => suspend(cx, mark, loss).await?,
                (Standing::Follows | Standing::GoesOn, _) => {
                    db.write(async |conn| epochs::adopt(conn, cx.own(), mark.beat, now).await).await?
                }
            }
        }
    };
    cx.app.marks.note(cx.realm_name(), mark);
    position(cx).await
}

async fn position(cx: Context<'_>) -> Result<Position, FlowError> {
    let begin = async |conn: &mut PgConnection| revocations::position(conn, cx.realm_name(), random::opaque_id()).await;
    Ok(cx.app.db.write(begin).await?)
}

async fn suspend(cx: Context<'_>, mark: &Mark, loss: Loss) -> Result<Mark, FlowError> {
    let (realm, now) = (cx.realm_name(), cx.app.clock.now());
    let mut tx = cx.app.db.begin_patient().await?;
    epochs::lock(&mut tx, realm).await?;
    // Another server may have noticed it a moment ago.
    let found = epochs::look(&mut tx, cx.own(), mark).await?;
    let suspended = match mark.compare(&found) {
        Standing::Lost(_) => {
            let suspended = epochs::suspend(&mut tx, realm, now).await?;
            epochs::begin_suspended(&mut tx, realm, random::opaque_id(), loss.meaning(), now).await?;
            revocations::notify(&mut tx, realm).await?;
            Some(suspended)
        }
        Standing::Follows | Standing::GoesOn => None,
    };
    let adopted = epochs::adopt(&mut tx, cx.own(), mark.beat, now).await?;
    tx.commit().await?;
    if let Some(intents) = suspended {
        let why = loss.meaning();
        tracing::error!(
            realm,
            intents,
            why,
            "database.behind: what was live is suspended until `marque restore confirm`"
        );
    }
    Ok(adopted)
}
