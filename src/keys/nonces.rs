//! The nonces that DPoP proofs repeat (RFC 9449 §8): one for each realm and each minute, drawn from the sealing key.
//!
//! Nothing is kept. Replicas that seal with the same key give and take the same nonces, and nobody who does not have the
//! key can tell the next one, so that no proof can be made long before it is used.

use super::KeyError;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use marque_core::canonical::encode;
use marque_core::limits;

/// Seconds in which the same nonce is given out. It is taken for as long again.
const WINDOW_SECS: i64 = 60;
/// Octets of a nonce.
const OCTETS: usize = 32;

/// Makes and recognises the nonces of all realms.
pub struct Nonces(Prk);

impl Nonces {
    pub(super) fn from_secret(secret: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, b"marque/dpop-nonce/v1").extract(secret))
    }

    /// The nonce to give out; `now` in seconds since the Unix epoch.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn fresh(&self, realm: &str, now: i64) -> Result<String, KeyError> {
        self.of_window(realm, now.div_euclid(WINDOW_SECS))
    }

    /// Whether a nonce is this minute's or the last one's. A replica's clock may be ahead by the leeway.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn takes(&self, realm: &str, nonce: &str, now: i64) -> Result<bool, KeyError> {
        let first = now.div_euclid(WINDOW_SECS) - 1;
        let last = now.saturating_add(limits::CLOCK_LEEWAY_SECS).div_euclid(WINDOW_SECS);
        for window in first..=last {
            let given = self.of_window(realm, window)?;
            if verify_slices_are_equal(given.as_bytes(), nonce.as_bytes()).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn of_window(&self, realm: &str, window: i64) -> Result<String, KeyError> {
        let window = window.to_be_bytes();
        let info: [&[u8]; 3] = [realm.as_bytes(), b"\0", &window];
        let mut octets = [0; OCTETS];
        let expanded = self.0.expand(&info, HKDF_SHA256).and_then(|expanded| expanded.fill(&mut octets));
        expanded.map_err(|_| KeyError::Crypto)?;
        Ok(encode(&octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a window.
    const START: i64 = 1_795_316_400;

    fn nonces(fill: u8) -> Nonces {
        Nonces::from_secret(&[fill; 32])
    }

    #[test]
    fn a_nonce_is_taken_in_its_own_minute_and_the_next_one() {
        assert_eq!(START % WINDOW_SECS, 0);
        let nonce = nonces(1).fresh("demo", START + 30).unwrap();
        assert_eq!(nonces(1).fresh("demo", START).unwrap(), nonce, "another replica gives the same one");
        let leeway = limits::CLOCK_LEEWAY_SECS;
        for (at, taken) in [
            (START - leeway - 1, false),
            (START - leeway, true),
            (START, true),
            (START + WINDOW_SECS, true),
            (START + 2 * WINDOW_SECS - 1, true),
            (START + 2 * WINDOW_SECS, false),
        ] {
            assert_eq!(nonces(1).takes("demo", &nonce, at).unwrap(), taken, "{}", at - START);
        }
    }

    #[test]
    fn no_other_text_is_a_nonce_and_nothing_crosses() {
        let nonce = nonces(1).fresh("demo", START).unwrap();
        assert!(!nonces(1).takes("other", &nonce, START).unwrap(), "another realm");
        assert!(!nonces(2).takes("demo", &nonce, START).unwrap(), "another sealing key");
        for bent in ["", "a", &nonce[1..], &format!("{nonce}="), &nonce.to_lowercase()] {
            assert!(!nonces(1).takes("demo", bent, START).unwrap(), "{bent:?}");
        }
    }
}
