//! The revocation feed: signed messages, in order, with a heartbeat that bounds how long silence is good news.
//!
//! One task per server follows the database: woken by its notifications, and every second anyway. It signs
//! each message once for all readers. A reader first gets a snapshot, then everything after it. When the
//! database is away there is no heartbeat, and gates close by themselves.
//!
//! It is also how a running server hears that one of its own keys was withdrawn: it opens its keys anew before it says so,
//! and signs with those. With each heartbeat it looks whether another key is there, or begins to sign, and whether the database
//! still has everything that it had (`keep_mark`).

use super::keep_mark::compare_all;
use super::open_keyring::{keep_up, reopen_keyring};
use super::{Context, FlowError};
use crate::app::{App, Realm};
use crate::keys::Purpose;
use crate::random;
use crate::store::StoreError;
use crate::store::revocations::{self, Entry, Position};
use marque_core::limits;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

/// Silence longer than this says that something is wrong.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a comparison with the mark may take: half of what requests wait for one.
const COMPARISON: Duration = Duration::from_secs(5);

/// Revoked intents, and revoked tokens, on one page of a snapshot: a page is then at most some 400 KiB, below what a gate
/// reads as one message.
const PAGE: usize = 1500;

/// One signed message of the feed.
#[derive(Clone, Debug)]
pub struct Message {
    /// `snapshot`, `revocation`, `token_revocation`, `key_withdrawal` or `heartbeat`.
    pub kind: &'static str,
    /// `EPOCH.SEQ`.
    pub id: String,
    /// The sequence number.
    pub seq: i64,
    /// The compact JWS.
    pub jws: String,
}

/// The beginning of a reader's feed: what is revoked now, and everything that comes after.
pub struct Subscription {
    /// The snapshot, in pages of which the last one completes it.
    pub snapshot: Vec<Message>,
    /// The number that the snapshot reaches to.
    pub seq: i64,
    /// Later messages; some may repeat what the snapshot has, by their number.
    pub later: broadcast::Receiver<Message>,
}

/// Subscribes a reader. First to later messages, then to the snapshot, so that nothing falls between.
///
/// # Errors
/// When the database is away.
pub async fn subscribe(cx: Context<'_>) -> Result<Subscription, FlowError> {
    let later = cx.realm.feed.subscribe();
    let (realm, now) = (cx.realm_name(), cx.app.clock.now());
    let read = async |conn: &mut PgConnection| {
        let position = revocations::position(conn, realm, random::opaque_id()).await?;
        Ok::<_, StoreError>((position, revocations::live(conn, realm, now).await?))
    };
    let (position, live) = cx.app.db.write(read).await?;
    // The list is read after the number, so it may be newer; its last entry then says how new.
    let seq = live.last().map_or(position.seq, |last| last.seq.max(position.seq));
    let position = Position { seq, ..position };
    expect_signer(cx.realm, &live)?;
    Ok(Subscription { snapshot: snapshot(cx, position, &live)?, seq, later })
}

/// A key that was withdrawn says nothing more, its own withdrawal least of all. The task that follows the database is
/// about to use another one.
fn expect_signer(realm: &Realm, entries: &[Entry]) -> Result<(), FlowError> {
    let signer = realm.keyring.key(Purpose::Revocation)?;
    if entries.iter().any(|entry| entry.kid.as_deref() == Some(signer.kid())) {
        let what = "the key that signs the revocation feed was withdrawn a moment ago";
        return Err(FlowError::Unavailable(what.into()));
    }
    Ok(())
}

fn snapshot(cx: Context<'_>, position: Position, live: &[Entry]) -> Result<Vec<Message>, FlowError> {
    let listed = |name: &str, id: fn(&Entry) -> Option<Uuid>| -> Vec<Value> {
        let entry = |entry: &Entry| Some(json!({name: id(entry)?, "until": entry.until?.unix_timestamp()}));
        live.iter().filter_map(entry).collect()
    };
    let intents = listed("intent", |entry| entry.intent_id);
    let tokens = listed("token", |entry| entry.token_id);
    let withdrawn: Vec<&str> = live.iter().filter_map(|entry| entry.kid.as_deref()).collect();
    let suspended = position.suspended_at.map(|at| at.unix_timestamp().saturating_add(limits::CLOCK_LEEWAY_SECS));
    let pages = intents.len().max(tokens.len()).div_ceil(PAGE).max(1);
    let page = |index: usize| {
        let part = |all: &[Value]| all.iter().skip(index * PAGE).take(PAGE).cloned().collect::<Vec<_>>();
        let (intents, tokens) = (part(&intents), part(&tokens));
        let keys = if index == 0 { withdrawn.as_slice() } else { &[] };
        let mut more = json!({"page": index + 1, "pages": pages, "intents": intents, "tokens": tokens, "keys": keys});
        if let (Some(before), Some(more)) = (suspended, more.as_object_mut()) {
            more.insert("suspended_before".into(), before.into());
        }
        sign(cx.realm, "snapshot", position, cx.now_secs(), more)
    };
    (0..pages).map(page).collect()
}

fn sign(realm: &Realm, kind: &'static str, at: Position, now: i64, more: Value) -> Result<Message, FlowError> {
    let mut payload = json!({"kind": kind, "iss": realm.config.issuer, "epoch": at.epoch, "seq": at.seq, "at": now});
    if let (Some(payload), Value::Object(more)) = (payload.as_object_mut(), more) {
        payload.extend(more);
    }
    let jws = realm.keyring.sign(Purpose::Revocation, &payload)?;
    Ok(Message { kind, id: format!("{}.{}", at.epoch, at.seq), seq: at.seq, jws })
}

/// Follows the database until told to stop. Trouble is logged and tried again; meanwhile the feed is silent.
pub async fn follow(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::select! {
            _ = stop.changed() => return,
            ended = follow_once(&app) => {
                if let Err(error) = ended {
                    tracing::warn!(%error, "the revocation feed is silent");
                }
            }
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

/// A session that answers nothing any more is given up before requests have to wait for a comparison.
async fn in_time<T>(work: impl Future<Output = Result<T, FlowError>>) -> Result<T, FlowError> {
    let silent = |_| FlowError::Unavailable("the database does not answer the comparison".into());
    tokio::time::timeout(COMPARISON, work).await.map_err(silent)?
}

async fn follow_once(app: &App) -> Result<(), FlowError> {
    let mut listener = app.db.listen_for_revocations().await?;
    let mut tick = tokio::time::interval(HEARTBEAT);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut session = app.db.session().await?;
    // Whatever it was left in the middle of: the next round has another one.
    session.close_on_drop();
    let mut positions: Vec<_> = app.realms.values().zip(in_time(compare_all(app, &mut session)).await?).collect();
    for (realm, _) in &positions {
        // What was withdrawn up to here is told to no one any more, this server included.
        reopen_keyring(Context { app, realm }).await?;
    }
    loop {
        let is_heartbeat = tokio::select! {
            notified = listener.recv() => notified.map(|_| false)?,
            _ = tick.tick() => true,
        };
        if is_heartbeat {
            let found = in_time(compare_all(app, &mut session)).await?;
            for ((realm, position), now) in positions.iter_mut().zip(found) {
                *position = kept_up(Context { app, realm }, *position, now).await?;
            }
        }
        for (realm, position) in &mut positions {
            let cx = Context { app, realm };
            *position = publish(cx, *position).await?;
            if is_heartbeat {
                let beat = sign(realm, "heartbeat", *position, app.clock.now().unix_timestamp(), json!({}))?;
                // No reader is no error.
                let _ = realm.feed.send(beat);
            }
        }
    }
}

/// With each heartbeat: the place, and the keys. In another epoch the feed goes on from where the database is, and readers see
/// by its name that they have to begin anew.
async fn kept_up(cx: Context<'_>, position: Position, now: Position) -> Result<Position, FlowError> {
    if now.epoch == position.epoch {
        keep_up(cx).await?;
        return Ok(position);
    }
    reopen_keyring(cx).await?;
    Ok(now)
}

/// Publishes what is new after a place in the feed; answers the new place.
async fn publish(cx: Context<'_>, mut position: Position) -> Result<Position, FlowError> {
    let mut conn = cx.app.db.look().await?;
    let entries = revocations::after(&mut conn, cx.realm_name(), position.seq).await?;
    drop(conn);
    if entries.iter().any(|entry| entry.kid.is_some()) {
        reopen_keyring(cx).await?;
    }
    for entry in &entries {
        position.seq = entry.seq;
        if let Some(message) = told(cx.realm, position, entry)? {
            let _ = cx.realm.feed.send(message);
        }
    }
    Ok(position)
}

/// The message of an entry; none of one that is of no kind.
fn told(realm: &Realm, position: Position, entry: &Entry) -> Result<Option<Message>, FlowError> {
    let prev = entry.seq - 1;
    let until = entry.until.map(OffsetDateTime::unix_timestamp);
    let (kind, more) = match (entry.intent_id, entry.token_id, &entry.kid) {
        (Some(intent_id), None, None) => {
            ("revocation", json!({"prev": prev, "intent": intent_id, "state": "revoked", "until": until}))
        }
        (None, Some(token_id), None) => {
            ("token_revocation", json!({"prev": prev, "token": token_id, "state": "revoked", "until": until}))
        }
        (None, None, Some(kid)) => ("key_withdrawal", json!({"prev": prev, "key": kid, "state": "withdrawn"})),
        _ => return Ok(None),
    };
    sign(realm, kind, position, entry.at.unix_timestamp(), more).map(Some)
}
