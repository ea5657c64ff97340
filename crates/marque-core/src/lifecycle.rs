//! The life of an intent. A transition consumes a state and returns the next one, or says why not.

use crate::reason::Reason;
use serde::{Deserialize, Serialize};

/// Where an intent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Submitted, waiting for the person.
    Pending,
    /// Signed by the person, not yet redeemed by the agent.
    Approved,
    /// Refused by the person: final.
    Denied,
    /// Redeemed: tokens exist.
    Active,
    /// Ended before its time: final.
    Revoked,
    /// Approved or active before the database lost commits: an administrator confirms that it goes on, or it ends.
    Suspended,
}

/// What can happen to an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The person signed the plan.
    Approve,
    /// The person refused it.
    Deny,
    /// The agent redeemed the approval.
    Redeem,
    /// Somebody who may ended it.
    Revoke,
}

/// The intent cannot take this step from where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an intent that is {state:?} cannot {event:?}")]
pub struct NotPossible {
    /// Where it stands.
    pub state: IntentState,
    /// What was tried.
    pub event: Event,
}

impl IntentState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Approved, Self::Denied, Self::Active, Self::Revoked, Self::Suspended];

    /// The word that is stored and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Suspended => "suspended",
        }
    }

    /// Reads the stored word; an unknown one is no state and hence permits nothing.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// The state after an event.
    ///
    /// # Errors
    /// When the event is not possible here: a second decision, a redemption of what was revoked.
    pub fn after(self, event: Event) -> Result<Self, NotPossible> {
        match (self, event) {
            (Self::Pending, Event::Approve) => Ok(Self::Approved),
            (Self::Pending, Event::Deny) => Ok(Self::Denied),
            (Self::Approved, Event::Redeem) => Ok(Self::Active),
            (Self::Pending | Self::Approved | Self::Active | Self::Suspended, Event::Revoke) => Ok(Self::Revoked),
            (state, event) => Err(NotPossible { state, event }),
        }
    }

    /// Why nothing can be done with an intent in this state, if so; the clock is the caller's.
    pub const fn refusal(self) -> Option<Reason> {
        match self {
            Self::Revoked => Some(Reason::IntentRevoked),
            Self::Denied => Some(Reason::DeniedByUser),
            Self::Suspended => Some(Reason::IntentSuspended),
            Self::Pending | Self::Approved | Self::Active => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_final_and_a_redemption_needs_an_approval() {
        use IntentState::{Active, Approved, Denied, Pending, Revoked, Suspended};
        let events = [Event::Approve, Event::Deny, Event::Redeem, Event::Revoke];
        let allowed = [
            (Pending, Event::Approve),
            (Pending, Event::Deny),
            (Approved, Event::Redeem),
            (Pending, Event::Revoke),
            (Approved, Event::Revoke),
            (Active, Event::Revoke),
            (Suspended, Event::Revoke),
        ];
        for state in IntentState::ALL {
            for event in events {
                assert_eq!(state.after(event).is_ok(), allowed.contains(&(state, event)), "{state:?} {event:?}");
            }
        }
        assert_eq!(Denied.refusal(), Some(Reason::DeniedByUser));
        assert_eq!(Revoked.refusal(), Some(Reason::IntentRevoked));
        assert_eq!(Suspended.refusal(), Some(Reason::IntentSuspended));
    }

    #[test]
    fn words_read_back_and_unknown_words_are_no_state() {
        for state in IntentState::ALL {
            assert_eq!(IntentState::from_word(state.word()), Some(state));
        }
        assert_eq!(IntentState::from_word("APPROVED"), None);
    }
}
