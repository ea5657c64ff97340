//! The revocation feed's state machine. Pure: messages and `now` in.
//!
//! ```text
//!            snapshot                         gap, other epoch, key withdrawn
//! Unknown ─────────────▶ Following{epoch,seq} ──────────────────────────────▶ Unknown
//!                          ▲   │ revocation with prev = seq: seq + 1
//!                          └───┘ heartbeat with the same seq: as fresh as it says
//! ```
//! Whatever a signed message revokes stays revoked here until the intent has ended by itself: no
//! snapshot, epoch or reordering brings an intent back. A key that was withdrawn stays so.
//!
//! Freshness is judged by both clocks: a message is as old as the time since Marque signed it. One from the future of
//! this gate's clock, by more than [`limits::CLOCK_LEEWAY_SECS`], makes nothing fresh, since an older one that was held
//! back would look new by such a clock. So a clock that is behind may be so by the leeway, one that is ahead by the
//! gate's own limit of staleness; beyond that everything is refused, and the refusal says that the clocks differ.

mod message;

pub use message::{FeedMessage, Revoked, RevokedState, RevokedToken, WithdrawnState};

use marque_core::limits;
use marque_core::reason::Reason;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};
use std::time::Duration;

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
    /// A key was withdrawn, which may have signed some of what is known: nothing is permitted until the next snapshot.
    Anew,
}

/// What a gate knows about revocations. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Revocations(Arc<RwLock<State>>);

#[derive(Debug, Default)]
struct State {
    /// Revoked intents with the instant after which they need not be remembered.
    revoked: HashMap<String, i64>,
    /// Tokens that were revoked by themselves, likewise.
    tokens: HashMap<String, i64>,
    /// Thumbprints of Marque's withdrawn keys. There are few, and they are never forgotten.
    withdrawn: HashSet<String>,
    /// Seconds that the last message was ahead of this gate's clock when it was heard.
    ahead_secs: i64,
    position: Option<Position>,
    /// The snapshot that is being taken in, and the page that must come next.
    expected: Option<(String, u64, u64)>,
    /// Tokens issued up to then do not hold at present: the last snapshot's word.
    suspended_before: Option<i64>,
    /// The highest position ever reached in the current epoch, kept through gaps.
    high_water: Option<(String, u64)>,
}

#[derive(Clone, Debug)]
struct Position {
    epoch: String,
    seq: u64,
    /// The instant as of which this is known; none after a message from the future.
    as_of: Option<i64>,
}

impl Position {
    /// What was known as of an instant stays known, unless that instant has become the future: then
    /// the clock was set back, and only the message counts.
    fn refresh(&mut self, at: i64, now: i64) {
        let Some(heard) = heard(at, now) else { return };
        let known = self.as_of.filter(|as_of| *as_of <= now);
        self.as_of = Some(known.map_or(heard, |as_of| as_of.max(heard)));
    }

    fn age_secs(&self, now: i64) -> Option<i64> {
        self.as_of.map(|as_of| now.saturating_sub(as_of))
    }
}

/// The instant that a message speaks of: the earlier of both clocks', if they differ by no more than they may.
fn heard(at: i64, now: i64) -> Option<i64> {
    (at <= now.saturating_add(limits::CLOCK_LEEWAY_SECS)).then_some(at.min(now))
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
        let age = state.position.as_ref().and_then(|position| position.age_secs(now));
        let is_fresh = age.is_some_and(|age| (-limits::CLOCK_LEEWAY_SECS..=limit).contains(&age));
        if is_fresh { Ok(()) } else { Err(Reason::RevocationStateStale) }
    }

    /// Whether the feed said that a token (claim `jti`) was revoked by itself. How fresh that is says [`Self::check`]. A
    /// state that cannot be read says so of every token.
    pub fn is_token_revoked(&self, token_id: &str) -> bool {
        self.0.read().map_or(true, |state| state.tokens.contains_key(token_id))
    }

    /// Whether a token that was issued at an instant does not hold at present, since Marque's database lost commits. How fresh
    /// that is says [`Self::check`]. A state that cannot be read says so of every token.
    pub fn is_suspended(&self, issued_at: i64) -> bool {
        self.0.read().map_or(true, |state| state.suspended_before.is_some_and(|before| issued_at <= before))
    }

    /// Whether the feed said that the key of a thumbprint is withdrawn. A state that cannot be read says so of every key.
    pub fn is_withdrawn(&self, thumbprint: &str) -> bool {
        self.0.read().map_or(true, |state| state.withdrawn.contains(thumbprint))
    }

    /// The feed's epoch, while the state follows it. Another one begins where Marque's database lost commits, and where an
    /// administrator has confirmed what is left.
    pub fn epoch(&self) -> Option<String> {
        Some(self.0.read().ok()?.position.as_ref()?.epoch.clone())
    }

    /// Seconds that the last message of the feed was ahead of this gate's clock when it was heard; negative for one that
    /// was behind: then the clocks differ, or somebody held it back.
    pub fn ahead_secs(&self) -> i64 {
        self.0.read().map_or(0, |state| state.ahead_secs)
    }

    /// Why the knowledge is stale, in one sentence that names the clock where that is what to look at.
    pub(crate) fn why_stale(&self, now: i64, limit: Duration) -> String {
        let (age, ahead) = (self.age_secs(now), self.ahead_secs());
        let limit = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
        match age {
            _ if ahead > limits::CLOCK_LEEWAY_SECS => {
                format!("the revocation feed is {ahead} s ahead of this gate's clock: the clocks differ by too much")
            }
            None => "the revocation feed is not followed: nothing was heard yet, or a message of it is missing".into(),
            Some(age) if age < 0 => format!("this gate's clock was set back by {} s", age.saturating_neg()),
            Some(_) if ahead < -limit => format!(
                "the revocation feed is {} s behind this gate's clock: the clocks differ by too much, or it is held back",
                ahead.saturating_neg()
            ),
            Some(age) => format!("nothing was heard of the revocation feed for {age} s"),
        }
    }

    /// Seconds since the state was last known to be current; `None` if it is not following the feed.
    pub fn age_secs(&self, now: i64) -> Option<i64> {
        let state = self.0.read().ok()?;
        state.position.as_ref().and_then(|position| position.age_secs(now))
    }
}

/// No later message makes an intent or a token be forgotten sooner.
fn remember(revoked: &mut HashMap<String, i64>, id: String, until: i64) {
    let known = revoked.entry(id).or_insert(until);
    *known = until.max(*known);
}

impl State {
    fn apply(&mut self, message: FeedMessage, now: i64) -> Applied {
        let is_needed = |until: &i64| until.saturating_add(limits::CLOCK_LEEWAY_SECS) >= now;
        self.revoked.retain(|_, until| is_needed(until));
        self.tokens.retain(|_, until| is_needed(until));
        self.ahead_secs = message.at().saturating_sub(now);
        match message {
            FeedMessage::Snapshot { epoch, seq, at, page, pages, intents, tokens, keys, suspended_before, .. } => {
                intents.into_iter().for_each(|entry| remember(&mut self.revoked, entry.intent, entry.until));
                tokens.into_iter().for_each(|entry| remember(&mut self.tokens, entry.token, entry.until));
                let known = self.withdrawn.len();
                self.withdrawn.extend(keys);
                if self.withdrawn.len() > known {
                    self.forget_place();
                }
                self.turn_page((epoch, seq, page), pages, heard(at, now), suspended_before)
            }
            FeedMessage::KeyWithdrawal { epoch, seq, prev, at, key, .. } => {
                if self.withdrawn.insert(key) {
                    self.expected = None;
                    self.forget_place();
                    return Applied::Anew;
                }
                let is_next = prev.checked_add(1) == Some(seq);
                self.advance(&epoch, seq, (at, now), |known| is_next && known == prev)
            }
            FeedMessage::Revocation { epoch, seq, prev, at, intent, until, .. } => {
                remember(&mut self.revoked, intent, until);
                let is_next = prev.checked_add(1) == Some(seq);
                self.advance(&epoch, seq, (at, now), |known| is_next && known == prev)
            }
            FeedMessage::TokenRevocation { epoch, seq, prev, at, token, until, .. } => {
                remember(&mut self.tokens, token, until);
                let is_next = prev.checked_add(1) == Some(seq);
                self.advance(&epoch, seq, (at, now), |known| is_next && known == prev)
            }
            FeedMessage::Heartbeat { epoch, seq, at, .. } => self.advance(&epoch, seq, (at, now), |known| known == seq),
        }
    }

    /// What a withdrawn key signed is not believed, the place in the feed and how far it went included. What was revoked
    /// stays so.
    fn forget_place(&mut self) {
        (self.position, self.high_water) = (None, None);
    }

    /// Pages come in order, without another message between two; only the last one begins anew.
    fn turn_page(
        &mut self,
        this: (String, u64, u64),
        pages: u64,
        as_of: Option<i64>,
        suspended_before: Option<i64>,
    ) -> Applied {
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
        let applied = self.restart(epoch, seq, as_of);
        if applied == Applied::Current {
            self.suspended_before = suspended_before;
        }
        applied
    }

    /// A snapshot begins anew, but within an epoch never further back than what was known.
    fn restart(&mut self, epoch: String, seq: u64, as_of: Option<i64>) -> Applied {
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
