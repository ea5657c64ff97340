//! The revocation feed's state machine. Pure: messages and `now` in.
//!
//! ```text
//!            snapshot                         gap, other epoch
//! Unknown ─────────────▶ Following{epoch,seq} ─────────────────▶ Unknown
//!                          ▲   │ revocation with prev = seq: seq + 1
//!                          └───┘ heartbeat with the same seq: as fresh as it says
//! ```
//! Whatever a signed message revokes stays revoked here until the intent has ended by itself: no
//! snapshot, epoch or reordering brings an intent back.

use marque_core::json::{self, Refused};
use marque_core::limits;
use marque_core::reason::Reason;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// One signed message of the feed. Unknown kinds and members do not parse: a gate that does not
/// understand a message does not know what is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FeedMessage {
    /// Everything that is revoked and has not ended by itself, or one page of it: pages come in order,
    /// and only the last one makes the state current.
    Snapshot {
        /// The Marque issuer.
        iss: String,
        /// The feed's epoch; a restore of the database begins a new one.
        epoch: String,
        /// Sequence number of the latest revocation in it.
        seq: u64,
        /// When it was signed; seconds since the Unix epoch.
        at: i64,
        /// Which page this is, from 1.
        page: u64,
        /// How many pages there are.
        pages: u64,
        /// The revoked intents.
        intents: Vec<Revoked>,
    },
    /// One intent was revoked.
    Revocation {
        /// The Marque issuer.
        iss: String,
        /// The feed's epoch.
        epoch: String,
        /// This revocation's number: one more than the one before.
        seq: u64,
        /// The number before it.
        prev: u64,
        /// When it was signed; seconds since the Unix epoch.
        at: i64,
        /// The intent's id.
        intent: String,
        /// When the intent would have ended by itself; seconds since the Unix epoch.
        until: i64,
        /// What the intent is now.
        state: RevokedState,
    },
    /// Nothing new: what is known is current.
    Heartbeat {
        /// The Marque issuer.
        iss: String,
        /// The feed's epoch.
        epoch: String,
        /// Sequence number of the latest revocation.
        seq: u64,
        /// When it was signed; seconds since the Unix epoch.
        at: i64,
    },
}

/// One entry of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// The intent's id.
    pub intent: String,
    /// When the intent would have ended by itself; seconds since the Unix epoch.
    pub until: i64,
}

/// The states that the feed announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokedState {
    /// Nothing of the intent may be used any more.
    Revoked,
}

impl FeedMessage {
    /// Reads the payload of a verified `marque-revocation+jwt`.
    ///
    /// # Errors
    /// With the JSON path of what is not as it must be.
    pub fn parse(payload: &[u8]) -> Result<Self, Refused> {
        json::typed(json::parse_plan(payload, limits::JWS_BYTES)?)
    }

    /// The Marque issuer that the message names.
    pub fn issuer(&self) -> &str {
        match self {
            Self::Snapshot { iss, .. } | Self::Revocation { iss, .. } | Self::Heartbeat { iss, .. } => iss,
        }
    }
}

/// What a message did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The state follows the feed and is as fresh as the message.
    Current,
    /// One page of a snapshot was taken in; more must follow before the state is current.
    Page,
    /// The message is older than what is known: nothing became fresher.
    Old,
    /// Something is missing in between: nothing is permitted until the next snapshot.
    Gap,
}

/// What a gate knows about revocations. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Revocations(Arc<RwLock<State>>);

#[derive(Debug, Default)]
struct State {
    /// Revoked intents with the instant after which they need not be remembered.
    revoked: HashMap<String, i64>,
    position: Option<Position>,
    /// The snapshot that is being taken in, and the page that must come next.
    expected: Option<(String, u64, u64)>,
    /// The highest position ever reached in the current epoch, kept through gaps.
    high_water: Option<(String, u64)>,
}

#[derive(Clone, Debug)]
struct Position {
    epoch: String,
    seq: u64,
    as_of: i64,
}

impl Position {
    /// What was known as of an instant stays known, unless that instant has become the future: then
    /// the clock was set back, and only the message counts.
    fn refresh(&mut self, at: i64, now: i64) {
        let heard = at.min(now);
        self.as_of = if self.as_of > now { heard } else { self.as_of.max(heard) };
    }
}

impl Revocations {
    /// Nothing is known yet: everything is refused as stale until a snapshot is applied.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one message that is authentic and of the right issuer, at the instant it was heard.
    ///
    /// The state is as fresh as the earlier of the two instants: a message that somebody held back
    /// makes nothing fresher than it was when Marque signed it.
    pub fn apply(&self, message: FeedMessage, now: i64) -> Applied {
        match self.0.write() {
            Ok(mut state) => state.apply(message, now),
            Err(_) => Applied::Gap,
        }
    }

    /// Whether the intent may still be used, as far as is known at `now`.
    ///
    /// # Errors
    /// [`Reason::RevocationStateStale`] if the knowledge is older than `limit`, begins only in the
    /// future, or there is none; [`Reason::IntentRevoked`].
    pub fn check(&self, intent_id: &str, now: i64, limit: Duration) -> Result<(), Reason> {
        let Ok(state) = self.0.read() else {
            return Err(Reason::RevocationStateStale);
        };
        if state.revoked.contains_key(intent_id) {
            return Err(Reason::IntentRevoked);
        }
        let limit = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
        let is_fresh = |position: &Position| {
            let age = now.saturating_sub(position.as_of);
            (-limits::CLOCK_LEEWAY_SECS..=limit).contains(&age)
        };
        if state.position.as_ref().is_some_and(is_fresh) { Ok(()) } else { Err(Reason::RevocationStateStale) }
    }

    /// Seconds since the state was last known to be current; `None` if it is not following the feed.
    pub fn age_secs(&self, now: i64) -> Option<i64> {
        let state = self.0.read().ok()?;
        state.position.as_ref().map(|position| now.saturating_sub(position.as_of))
    }
}

impl State {
    fn apply(&mut self, message: FeedMessage, now: i64) -> Applied {
        self.revoked.retain(|_, until| until.saturating_add(limits::CLOCK_LEEWAY_SECS) >= now);
        match message {
            FeedMessage::Snapshot { epoch, seq, at, page, pages, intents, .. } => {
                intents.into_iter().for_each(|entry| self.revoke(entry.intent, entry.until));
                self.turn_page((epoch, seq, page), pages, at.min(now))
            }
            FeedMessage::Revocation { epoch, seq, prev, at, intent, until, .. } => {
                self.revoke(intent, until);
                let is_next = prev.checked_add(1) == Some(seq);
                self.advance(&epoch, seq, (at, now), |known| is_next && known == prev)
            }
            FeedMessage::Heartbeat { epoch, seq, at, .. } => self.advance(&epoch, seq, (at, now), |known| known == seq),
        }
    }

    /// No later message makes an intent be forgotten sooner.
    fn revoke(&mut self, intent: String, until: i64) {
        let known = self.revoked.entry(intent).or_insert(until);
        *known = until.max(*known);
    }

    /// Pages come in order, without another message between two; only the last one begins anew.
    fn turn_page(&mut self, this: (String, u64, u64), pages: u64, as_of: i64) -> Applied {
        let is_next = self.expected.take().is_some_and(|expected| expected == this);
        let (epoch, seq, page) = this;
        if (page != 1 && !is_next) || page > pages {
            self.position = None;
            return Applied::Gap;
        }
        if page < pages {
            self.expected = Some((epoch, seq, page + 1));
            return Applied::Page;
        }
        self.restart(epoch, seq, as_of)
    }

    /// A snapshot begins anew, but within an epoch never further back than what was known.
    fn restart(&mut self, epoch: String, seq: u64, as_of: i64) -> Applied {
        if self.high_water.as_ref().is_some_and(|(known, highest)| *known == epoch && seq < *highest) {
            return Applied::Old;
        }
        self.high_water = Some((epoch.clone(), seq));
        self.position = Some(Position { epoch, seq, as_of });
        Applied::Current
    }

    fn advance(&mut self, epoch: &str, seq: u64, (at, now): (i64, i64), follows: impl Fn(u64) -> bool) -> Applied {
        if self.expected.take().is_some() {
            self.position = None;
            return Applied::Gap;
        }
        match &mut self.position {
            Some(position) if position.epoch == epoch && follows(position.seq) => {
                position.seq = seq;
                position.refresh(at, now);
                self.high_water = Some((epoch.into(), seq));
                Applied::Current
            }
            Some(position) if position.epoch == epoch && seq <= position.seq => Applied::Old,
            _ => {
                self.position = None;
                Applied::Gap
            }
        }
    }
}
