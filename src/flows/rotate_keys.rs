//! Makes the next keys of a realm: each is published at once and signs later, when others have had time to learn of it.
//!
//! 1. Lock the signing keys: no server opens a keyring between.
//! 2. Of each purpose one more, unless one waits already.
//!
//! Servers that run see it within a second, publish the keys, and change over by the clock (`open_keyring`).

use super::open_keyring::new_key;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::keys::Purpose;
use crate::store::signing_keys;
use time::{Duration, OffsetDateTime};

/// A key that is published and does not sign yet.
#[derive(Clone, Debug)]
pub struct NextKey {
    /// The JWS `typ` it will sign.
    pub typ: String,
    /// Its id.
    pub kid: String,
    /// From when on it signs.
    pub signs_from: OffsetDateTime,
}

/// Makes the next key of those that sign each `typ`, of all if none is named. One that waits already is answered as it is, so
/// that nothing piles up.
///
/// # Errors
/// When no key signs a `typ`, or the database is away: then none was made.
pub async fn rotate_keys(cx: Context<'_>, typs: &[String], after: Duration) -> Result<Vec<NextKey>, FlowError> {
    let purposes = purposes(typs)?;
    let (realm, now) = (cx.realm_name(), cx.app.clock.now());
    let mut tx = cx.app.db.begin().await?;
    signing_keys::lock(&mut tx).await?;
    let rows = signing_keys::all(&mut tx, realm).await?;
    let mut all = Vec::new();
    for purpose in purposes {
        let waits =
            |row: &&signing_keys::SigningKeyRow| row.typ == purpose.typ() && row.signs_from > now && !row.is_withdrawn;
        let next = match rows.iter().find(waits) {
            Some(row) => NextKey { typ: row.typ.clone(), kid: row.kid.clone(), signs_from: row.signs_from },
            None => {
                let row = new_key(realm, purpose, &cx.app.sealing, now + after)?;
                signing_keys::insert(&mut tx, realm, &row, now).await?;
                tracing::info!(kid = row.kid, typ = row.typ, "key.made");
                NextKey { typ: row.typ, kid: row.kid, signs_from: row.signs_from }
            }
        };
        all.push(next);
    }
    tx.commit().await?;
    Ok(all)
}

fn purposes(typs: &[String]) -> Result<Vec<Purpose>, Refusal> {
    let of_typ = |typ: &String| {
        let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.typ() == typ);
        purpose.ok_or_else(|| {
            let text = format!("no key signs {typ:?}: `marque keys list` names what keys sign");
            Refusal::new(OAuthError::InvalidRequest, text)
        })
    };
    if typs.is_empty() { Ok(Purpose::ALL.to_vec()) } else { typs.iter().map(of_typ).collect() }
}
