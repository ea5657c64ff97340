//! Messages of the revocation feed, one a line, and what a gate then knows: whatever was revoked, intent or token, stays
//! revoked, whatever key was withdrawn stays withdrawn, and a gate that learned of one is closed until a snapshot.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::reason::Reason;
use marque_gate::revocations::{FeedMessage, Revocations};
use std::time::Duration;

/// When all messages arrive, in seconds since the Unix epoch.
const NOW: i64 = 1_800_000_000;
const SILENCE: Duration = Duration::from_secs(5);

fuzz_target!(|bytes: &[u8]| {
    let revocations = Revocations::new();
    let (mut revoked, mut tokens, mut withdrawn) = (Vec::new(), Vec::new(), Vec::new());
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(message) = FeedMessage::parse(line) else { continue };
        assert_eq!(FeedMessage::parse(line).as_ref(), Ok(&message));
        revoked.extend(ended_by(&message));
        tokens.extend(tokens_ended_by(&message));
        let news: Vec<String> = withdrawn_by(&message).into_iter().filter(|key| !withdrawn.contains(key)).collect();
        assert!(news.iter().all(|key| message.withdraws(key) && !revocations.is_withdrawn(key)));
        let is_snapshot = matches!(message, FeedMessage::Snapshot { .. });
        revocations.apply(message, NOW);
        if !news.is_empty() && !is_snapshot {
            assert_eq!(revocations.age_secs(NOW), None, "what a withdrawn key may have signed is not believed");
        }
        withdrawn.extend(news);
        assert!(withdrawn.iter().all(|key| revocations.is_withdrawn(key)), "nothing brings a key back");
        assert!(tokens.iter().all(|token| revocations.is_token_revoked(token)), "nothing brings a token back");
        for intent in &revoked {
            let known = revocations.check(intent, NOW, SILENCE);
            assert_eq!(known, Err(Reason::IntentRevoked), "nothing brings {intent:?} back");
        }
    }
    if revoked.is_empty() {
        let _ = revocations.check("another", NOW, SILENCE);
    }
});

/// The keys that a message says are withdrawn.
fn withdrawn_by(message: &FeedMessage) -> Vec<String> {
    match message {
        FeedMessage::Snapshot { keys, .. } => keys.clone(),
        FeedMessage::KeyWithdrawal { key, .. } => vec![key.clone()],
        FeedMessage::Revocation { .. } | FeedMessage::TokenRevocation { .. } | FeedMessage::Heartbeat { .. } => {
            Vec::new()
        }
    }
}

/// The intents that a message says are revoked and that have not ended by themselves long ago.
fn ended_by(message: &FeedMessage) -> Vec<String> {
    let lives = |until: i64| until > NOW + 3600;
    match message {
        FeedMessage::Snapshot { intents, .. } => {
            intents.iter().filter(|entry| lives(entry.until)).map(|entry| entry.intent.clone()).collect()
        }
        FeedMessage::Revocation { intent, until, .. } if lives(*until) => vec![intent.clone()],
        _ => Vec::new(),
    }
}

/// The same of tokens.
fn tokens_ended_by(message: &FeedMessage) -> Vec<String> {
    let lives = |until: i64| until > NOW + 3600;
    match message {
        FeedMessage::Snapshot { tokens, .. } => {
            tokens.iter().filter(|entry| lives(entry.until)).map(|entry| entry.token.clone()).collect()
        }
        FeedMessage::TokenRevocation { token, until, .. } if lives(*until) => vec![token.clone()],
        _ => Vec::new(),
    }
}
