//! The messages of the feed, as Marque signs them.

use marque_core::json::{self, Refused};
use marque_core::limits;
use serde::Deserialize;

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
        /// Sequence number of the latest revocation or withdrawal in it.
        seq: u64,
        /// When it was signed; seconds since the Unix epoch.
        at: i64,
        /// Which page this is, from 1.
        page: u64,
        /// How many pages there are.
        pages: u64,
        /// The revoked intents.
        intents: Vec<Revoked>,
        /// The tokens that were revoked, each by itself.
        #[serde(default)]
        tokens: Vec<RevokedToken>,
        /// Every key of Marque's that was ever withdrawn, by its RFC 7638 thumbprint.
        keys: Vec<String>,
        /// Tokens that were issued up to then (seconds since the Unix epoch) do not hold at present: the database lost commits,
        /// and nobody has confirmed yet that what it has goes on. None while nothing is suspended.
        #[serde(default)]
        suspended_before: Option<i64>,
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
    /// One token was revoked; its intent goes on.
    TokenRevocation {
        /// The Marque issuer.
        iss: String,
        /// The feed's epoch.
        epoch: String,
        /// This message's number, in one row with those of intents.
        seq: u64,
        /// The number before it.
        prev: u64,
        /// When it was signed; seconds since the Unix epoch.
        at: i64,
        /// The token's id (claim `jti`).
        token: String,
        /// When the token would have ended by itself; seconds since the Unix epoch.
        until: i64,
        /// What the token is now.
        state: RevokedState,
    },
    /// One of Marque's keys was withdrawn: whatever it signed holds no longer, and it signs nothing more. Another key
    /// signed this message.
    KeyWithdrawal {
        /// The Marque issuer.
        iss: String,
        /// The feed's epoch.
        epoch: String,
        /// This message's number, in one row with those of revocations.
        seq: u64,
        /// The number before it.
        prev: u64,
        /// When it was signed; seconds since the Unix epoch.
        at: i64,
        /// The key's RFC 7638 thumbprint, SHA-256, base64url.
        key: String,
        /// What the key is now.
        state: WithdrawnState,
    },
    /// Nothing new: what is known is current.
    Heartbeat {
        /// The Marque issuer.
        iss: String,
        /// The feed's epoch.
        epoch: String,
        /// Sequence number of the latest revocation or withdrawal.
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

/// One token of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokedToken {
    /// The token's id (claim `jti`).
    pub token: String,
    /// When the token would have ended by itself; seconds since the Unix epoch.
    pub until: i64,
}

/// The states that the feed announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokedState {
    /// Nothing of the intent, or the token, may be used any more.
    Revoked,
}

/// The states of a key that the feed announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawnState {
    /// Nothing that the key signed is believed any more.
    Withdrawn,
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
            Self::Snapshot { iss, .. }
            | Self::Revocation { iss, .. }
            | Self::TokenRevocation { iss, .. }
            | Self::KeyWithdrawal { iss, .. }
            | Self::Heartbeat { iss, .. } => iss,
        }
    }

    /// When the message was signed, by Marque's clock; seconds since the Unix epoch.
    pub fn at(&self) -> i64 {
        match self {
            Self::Snapshot { at, .. }
            | Self::Revocation { at, .. }
            | Self::TokenRevocation { at, .. }
            | Self::KeyWithdrawal { at, .. }
            | Self::Heartbeat { at, .. } => *at,
        }
    }

    /// Whether the message says that the key of a thumbprint is withdrawn. No message that is believed says so of the
    /// key that signed it.
    pub fn withdraws(&self, thumbprint: &str) -> bool {
        match self {
            Self::Snapshot { keys, .. } => keys.iter().any(|key| key == thumbprint),
            Self::KeyWithdrawal { key, .. } => key == thumbprint,
            Self::Revocation { .. } | Self::TokenRevocation { .. } | Self::Heartbeat { .. } => false,
        }
    }
}
