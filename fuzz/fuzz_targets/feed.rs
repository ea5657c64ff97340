//! Messages of the revocation feed, one a line, and what a gate then knows: whatever was revoked stays revoked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::reason::Reason;
use marque_gate::revocations::{FeedMessage, Revocations};
use std::time::Duration;

/// When all messages arrive, in seconds since the Unix epoch.
const NOW: i64 = 1_800_000_000;
const SILENCE: Duration = Duration::from_secs(5);

fuzz_target!(|bytes: &[u8]| {
    let (revocations, mut revoked) = (Revocations::new(), Vec::new());
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(message) = FeedMessage::parse(line) else { continue };
        assert_eq!(FeedMessage::parse(line).as_ref(), Ok(&message));
        revoked.extend(ended_by(&message));
        revocations.apply(message, NOW);
        for intent in &revoked {
            let known = revocations.check(intent, NOW, SILENCE);
            assert_eq!(known, Err(Reason::IntentRevoked), "nothing brings {intent:?} back");
        }
    }
    if revoked.is_empty() {
        let _ = revocations.check("another", NOW, SILENCE);
    }
});

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
