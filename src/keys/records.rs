//! What the ledger keeps of calls and results is sealed: a stolen table shows no argument and no result, and a row that
//! somebody wrote, changed or moved does not open, so that nothing late-bound follows from it.
//!
//! Each intent has a key of its own, derived from the sealing key (HKDF, RFC 5869), so that random nonces stay far below
//! the number after which they could meet (NIST SP 800-38D §8.3).

use super::{KeyError, open_with, seal_with};
use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use uuid::Uuid;
use zeroize::Zeroizing;

/// What a sealed record is, and where it belongs. It opens in the same place only.
#[derive(Clone, Copy, Debug)]
pub struct RecordPlace<'p> {
    /// What kind of record: `call` or `result`.
    pub kind: &'static str,
    /// The realm.
    pub realm: &'p str,
    /// The intent.
    pub intent_id: Uuid,
    /// The permit.
    pub permit_id: Uuid,
    /// The step that it uses.
    pub step_id: &'p str,
}

/// Seals records of the ledger.
#[derive(Clone)]
pub struct RecordSeal(Prk);

impl RecordSeal {
    pub(super) fn from_secret(secret: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, b"marque/record/v1").extract(secret))
    }

    /// Seals a record.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn seal(&self, place: &RecordPlace<'_>, record: &[u8]) -> Result<Vec<u8>, KeyError> {
        seal_with(&self.key(place)?, &place.additional_data(), record)
    }

    /// Opens a record; nothing if it was not sealed for this place.
    pub fn open(&self, place: &RecordPlace<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        open_with(&self.key(place).ok()?, &place.additional_data(), sealed)
    }

    fn key(&self, place: &RecordPlace<'_>) -> Result<LessSafeKey, KeyError> {
        let info: [&[u8]; 3] = [place.realm.as_bytes(), b"\0", place.intent_id.as_bytes()];
        let derived = self.0.expand(&info, &AES_256_GCM).map_err(|_| KeyError::Crypto)?;
        Ok(LessSafeKey::new(UnboundKey::from(derived)))
    }
}

impl RecordPlace<'_> {
    fn additional_data(&self) -> String {
        format!("marque/{}/v1\0{}\0{}\0{}\0{}", self.kind, self.realm, self.intent_id, self.permit_id, self.step_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_in_its_own_place_only() {
        let seal = RecordSeal::from_secret(&[1; 32]);
        let (intent_id, permit_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let place = RecordPlace { kind: "call", realm: "demo", intent_id, permit_id, step_id: "pay" };
        let sealed = seal.seal(&place, b"secret").unwrap();
        assert_eq!(seal.open(&place, &sealed).unwrap().as_slice(), b"secret");
        for (what, other) in [
            ("kind", RecordPlace { kind: "result", ..place }),
            ("realm", RecordPlace { realm: "other", ..place }),
            ("intent", RecordPlace { intent_id: permit_id, ..place }),
            ("permit", RecordPlace { permit_id: intent_id, ..place }),
            ("step", RecordPlace { step_id: "read", ..place }),
        ] {
            assert!(seal.open(&other, &sealed).is_none(), "{what}");
        }
        assert!(RecordSeal::from_secret(&[2; 32]).open(&place, &sealed).is_none(), "another sealing key");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(seal.open(&place, &changed).is_none(), "byte {index}");
        }
    }
}
