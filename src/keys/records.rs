//! What the ledger keeps is sealed: a stolen table shows no argument and no result, and a row that somebody wrote, changed
//! or moved does not open, so that nothing follows from it.
//!
//! Each intent has a key of its own, derived from the sealing key (HKDF, RFC 5869), so that random nonces stay far below
//! the number after which they could meet (NIST SP 800-38D §8.3).

use super::{KeyError, open_with, seal_with};
use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use uuid::Uuid;
use zeroize::Zeroizing;

/// A record of an intent. It opens as what it was sealed as, for its own permit and step.
#[derive(Clone, Copy, Debug)]
pub enum Record<'r> {
    /// The arguments that a permit is for.
    Call(Uuid, &'r str),
    /// The receipt of what a permit's call gave.
    Result(Uuid, &'r str),
    /// How a permit ended.
    Outcome(Uuid, &'r str),
    /// How often each step was used.
    Counts,
}

/// Makes the seals of intents.
#[derive(Clone)]
pub struct RecordSeal(Prk);

impl RecordSeal {
    pub(super) fn from_secret(secret: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, b"marque/record/v1").extract(secret))
    }

    /// The seal of one intent. Its key is derived here, once for all records that a request looks at.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn of_intent(&self, realm: &str, intent_id: Uuid) -> Result<IntentSeal, KeyError> {
        let info: [&[u8]; 3] = [realm.as_bytes(), b"\0", intent_id.as_bytes()];
        let derived = self.0.expand(&info, &AES_256_GCM).map_err(|_| KeyError::Crypto)?;
        Ok(IntentSeal { key: LessSafeKey::new(UnboundKey::from(derived)), intent: format!("{realm}\0{intent_id}") })
    }
}

/// Seals the records of one intent.
pub struct IntentSeal {
    key: LessSafeKey,
    intent: String,
}

impl IntentSeal {
    /// Seals a record.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn seal(&self, record: Record<'_>, content: &[u8]) -> Result<Vec<u8>, KeyError> {
        seal_with(&self.key, &self.additional_data(record), content)
    }

    /// Opens a record; nothing if it was not sealed as this one.
    pub fn open(&self, record: Record<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        open_with(&self.key, &self.additional_data(record), sealed)
    }

    fn additional_data(&self, record: Record<'_>) -> String {
        let of_permit = |kind, permit_id, step_id| format!("marque/{kind}/v1\0{}\0{permit_id}\0{step_id}", self.intent);
        match record {
            Record::Call(permit_id, step_id) => of_permit("call", permit_id, step_id),
            Record::Result(permit_id, step_id) => of_permit("result", permit_id, step_id),
            Record::Outcome(permit_id, step_id) => of_permit("outcome", permit_id, step_id),
            Record::Counts => format!("marque/counts/v1\0{}", self.intent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_in_its_own_place_only() {
        let seals = RecordSeal::from_secret(&[1; 32]);
        let (intent, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let seal = seals.of_intent("demo", intent).unwrap();
        let places = [
            Record::Call(other, "pay"),
            Record::Result(other, "pay"),
            Record::Outcome(other, "pay"),
            Record::Counts,
            Record::Call(intent, "pay"),
            Record::Call(other, "read"),
        ];
        for (index, place) in places.into_iter().enumerate() {
            let sealed = seal.seal(place, b"secret").unwrap();
            assert_eq!(seal.open(place, &sealed).unwrap().as_slice(), b"secret");
            for (at, elsewhere) in places.into_iter().enumerate() {
                assert_eq!(seal.open(elsewhere, &sealed).is_some(), at == index, "{place:?} opens as {elsewhere:?}");
            }
            for (what, seal) in [
                ("realm", seals.of_intent("other", intent)),
                ("intent", seals.of_intent("demo", other)),
                ("sealing key", RecordSeal::from_secret(&[2; 32]).of_intent("demo", intent)),
            ] {
                assert!(seal.unwrap().open(place, &sealed).is_none(), "another {what}");
            }
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(seal.open(place, &changed).is_none(), "byte {at}");
            }
        }
    }
}
