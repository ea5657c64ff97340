//! The high-water mark: notices that the database lost commits, and suspends what came before until an administrator confirms it.
//!
//! 1. Move this server's own number on, in a commit of its own, if the database is not behind the mark.
//! 2. Compare what the database says with the mark (`marque_core::mark`).
//! 3. Where commits were lost: hold the epoch against the other servers, look again, begin a new epoch, suspend what is live,
//!    in one transaction. Whoever comes later finds that the epoch of its mark has ended, and follows.
//! 4. The new mark, to the file after the commit: the file is never ahead of the database.

use super::{Context, FlowError};
use crate::app::App;
use crate::store::epochs::{self, Own};
use crate::store::revocations::{self, Position};
use crate::{random, store};
use marque_core::mark::{Loss, Mark, Standing};
use sqlx::PgConnection;

impl<'a> Context<'a> {
    fn own(&self) -> Own<'a> {
        Own { realm: &self.realm.config.name, server_id: self.app.marks.server_id() }
    }
}

/// Compares all realms with their marks by one session, keeps the new ones, and lets requests use what was compared; answers
/// where the feeds stand, in the order of the realms.
///
/// # Errors
/// When the database is away, or the file cannot be written.
pub async fn compare_all(app: &App, session: &mut PgConnection) -> Result<Vec<Position>, FlowError> {
    let history = store::history(session).await?;
    let mut positions = Vec::with_capacity(app.realms.len());
    for realm in app.realms.values() {
        positions.push(keep_mark(Context { app, realm }, session).await?);
    }
    save(app).await?;
    app.db.note_compared(history);
    Ok(positions)
}

/// Writes the marks to their file.
async fn save(app: &App) -> Result<(), FlowError> {
    let marks = app.marks.clone();
    let saved = tokio::task::spawn_blocking(move || marks.save()).await.map_err(FlowError::internal)?;
    saved.map_err(|error| FlowError::Unavailable(format!("the mark cannot be kept: {error}")))
}

/// Steps 1 to 3, and the mark as this server remembers it; answers where the feed stands.
async fn keep_mark(cx: Context<'_>, session: &mut PgConnection) -> Result<Position, FlowError> {
    let (realm, now) = (cx.realm_name(), cx.app.clock.now());
    revocations::position(session, realm, random::opaque_id()).await?;
    let known = cx.app.marks.of(realm);
    let mark = match &known {
        None => epochs::adopt(session, cx.own(), 0, now).await?,
        Some(mark) => {
            let found = epochs::beat(session, cx.own(), mark, now).await?;
            match (mark.compare(&found), found.beat) {
                (Standing::GoesOn, Some(beat)) => {
                    let at = now.unix_timestamp();
                    Mark { epoch: found.epoch, seq: found.seq, beat: beat + 1, at, place: found.place }
                }
                (Standing::Lost(loss), _) => suspend(cx, session, mark, loss).await?,
                (Standing::Follows | Standing::GoesOn, _) => epochs::adopt(session, cx.own(), mark.beat, now).await?,
            }
        }
    };
    cx.app.marks.note(realm, mark);
    Ok(revocations::position(session, realm, random::opaque_id()).await?)
}

async fn suspend(cx: Context<'_>, session: &mut PgConnection, mark: &Mark, loss: Loss) -> Result<Mark, FlowError> {
    let (realm, now) = (cx.realm_name(), cx.app.clock.now());
    let mut tx = store::begin_patient(session).await?;
    epochs::lock(&mut tx, realm).await?;
    // Another server may have noticed it a moment ago.
    let found = epochs::look(&mut tx, cx.own(), mark).await?;
    let suspended = match mark.compare(&found) {
        Standing::Lost(_) => {
            let suspended = epochs::suspend(&mut tx, realm, now).await?;
            epochs::begin(&mut tx, realm, (random::opaque_id(), Some(now)), loss.meaning(), now).await?;
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
