//! The high-water mark: what a server remembers of its database, outside of it, so that it notices when commits were lost.
//!
//! Each server has a row of its own whose number, the beat, goes up in a commit of its own each second; what it saw after
//! that commit is its mark. A database that was restored from a backup has lost the row, or has a lower beat, or says of
//! itself that it is another one. A promoted standby has all that was answered if the former primary waited for it, and
//! is believed to; if it did not wait, nobody can say what is missing.
//!
//! ```text
//!                    same epoch, nothing lower            ┌─ Goes on
//! mark ── compare ── the mark's epoch has ended, known ── ┼─ Follows
//!                    anything else                        └─ Lost
//! ```

use serde::{Deserialize, Serialize};

/// What a server saw of a realm's rows after its last beat was committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The epoch of the feed.
    pub epoch: String,
    /// The feed's last number.
    pub seq: i64,
    /// The number of the server's own row.
    pub beat: i64,
    /// When this was seen; seconds since the Unix epoch.
    pub at: i64,
    /// Where.
    pub place: Place,
}

/// Which database this is, and how its commits are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// What does not change while the rows stay where they are: the database system, the database, the table.
    pub identity: String,
    /// The timeline: it goes up with each promotion, and with each recovery from a backup.
    pub timeline: i64,
    /// Whether a commit waited for a standby before it was answered.
    pub is_synchronous: bool,
}

/// What the database says now, to be compared with a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The epoch of the feed.
    pub epoch: String,
    /// Whether the database knows the mark's epoch as one that has ended.
    pub has_ended_mark: bool,
    /// The feed's last number.
    pub seq: i64,
    /// The number of the server's own row; none if there is no such row.
    pub beat: Option<i64>,
    /// Where.
    pub place: Place,
}

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything that the mark saw is there.
    GoesOn,
    /// The mark is of an epoch that has ended since: what was to be noticed, another server noticed, and nothing of a later
    /// epoch was seen.
    Follows,
    /// Commits were lost, or nobody can say that none were.
    Lost(Loss),
}

/// By what a loss was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The database never had the mark's epoch.
    UnknownEpoch,
    /// It is another database, or its tables were made anew.
    OtherDatabase,
    /// The server's own row is missing or lower.
    Beat,
    /// The feed's number is lower.
    Sequence,
    /// The timeline is lower: this is a former primary.
    FormerTimeline,
    /// A standby was promoted, or a backup recovered, and the commits of before had waited for no standby.
    UnsafePromotion,
}

impl Loss {
    /// What happened, in one sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::UnknownEpoch => "the database has never had the epoch that this server saw",
            Self::OtherDatabase => "this is another database than before, or its tables were made anew",
            Self::Beat => "the database is behind what this server saw of it",
            Self::Sequence => "the feed's number is behind what this server saw of it",
            Self::FormerTimeline => "this database is a former primary",
            Self::UnsafePromotion => {
                "a standby was promoted, or a backup recovered, and commits had not waited for a standby before"
            }
        }
    }
}

impl Mark {
    /// Whether everything that was seen is still there.
    pub fn compare(&self, found: &Found) -> Standing {
        if self.epoch != found.epoch {
            return if found.has_ended_mark { Standing::Follows } else { Standing::Lost(Loss::UnknownEpoch) };
        }
        match self.loss(found) {
            None => Standing::GoesOn,
            Some(loss) => Standing::Lost(loss),
        }
    }

    fn loss(&self, found: &Found) -> Option<Loss> {
        if self.place.identity != found.place.identity {
            Some(Loss::OtherDatabase)
        } else if found.beat.is_none_or(|beat| beat < self.beat) {
            Some(Loss::Beat)
        } else if found.seq < self.seq {
            Some(Loss::Sequence)
        } else if found.place.timeline < self.place.timeline {
            Some(Loss::FormerTimeline)
        } else if found.place.timeline > self.place.timeline && !self.place.is_synchronous {
            Some(Loss::UnsafePromotion)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(timeline: i64, is_synchronous: bool) -> Place {
        Place { identity: "a".into(), timeline, is_synchronous }
    }

    fn mark(is_synchronous: bool) -> Mark {
        Mark { epoch: "e2".into(), seq: 5, beat: 100, at: 0, place: place(3, is_synchronous) }
    }

    fn found() -> Found {
        Found { epoch: "e2".into(), has_ended_mark: false, seq: 5, beat: Some(100), place: place(3, true) }
    }

    #[test]
    fn what_has_everything_that_was_seen_goes_on() {
        for (seq, beat) in [(5, 100), (6, 100), (5, 101)] {
            let later = Found { seq, beat: Some(beat), ..found() };
            assert_eq!(mark(false).compare(&later), Standing::GoesOn);
        }
    }

    #[test]
    fn whatever_is_missing_or_lower_is_a_loss() {
        let lost = [
            (Found { beat: Some(99), ..found() }, Loss::Beat),
            (Found { beat: None, ..found() }, Loss::Beat),
            (Found { seq: 4, ..found() }, Loss::Sequence),
            (Found { epoch: "e1".into(), ..found() }, Loss::UnknownEpoch),
            (Found { place: place(2, true), ..found() }, Loss::FormerTimeline),
            (Found { place: Place { identity: "b".into(), ..place(3, true) }, ..found() }, Loss::OtherDatabase),
        ];
        for (found, loss) in lost {
            assert_eq!(mark(true).compare(&found), Standing::Lost(loss));
        }
    }

    #[test]
    fn a_promotion_is_lossless_if_commits_had_waited_for_the_standby() {
        for is_synchronous_now in [true, false] {
            let promoted = Found { place: place(4, is_synchronous_now), ..found() };
            assert_eq!(mark(true).compare(&promoted), Standing::GoesOn);
            assert_eq!(mark(false).compare(&promoted), Standing::Lost(Loss::UnsafePromotion));
        }
        let behind = Found { place: place(4, true), beat: Some(99), ..found() };
        assert_eq!(mark(true).compare(&behind), Standing::Lost(Loss::Beat), "whatever was configured");
    }

    #[test]
    fn a_mark_of_an_epoch_that_ended_takes_the_new_one_in_and_one_of_no_known_epoch_does_not() {
        let next = Found { epoch: "e3".into(), has_ended_mark: true, seq: 0, beat: None, place: place(1, false) };
        assert_eq!(mark(false).compare(&next), Standing::Follows);
        let unknown = Found { has_ended_mark: false, ..next };
        assert_eq!(mark(false).compare(&unknown), Standing::Lost(Loss::UnknownEpoch));
    }
}
