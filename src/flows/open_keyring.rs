//! Opens a realm's signing keys, and makes the missing ones: on first start, and where one was withdrawn.
//!
//! 1. Lock, so that several servers opening at once make one set.
//! 2. Make what is missing.
//! 3. Open.

use super::{Context, FlowError};
use crate::clock::Clock;
use crate::keys::{Keyring, Purpose, SealedKey, SealingKey, SigningKey};
use crate::store::signing_keys::{self, SigningKeyRow};
use sqlx::PgPool;

/// Opens the keyring of a realm.
///
/// # Errors
/// When the database is away, or a kept key does not open: then somebody changed it or the sealing
/// key is another one, and starting with fresh keys would hide that.
pub async fn open_keyring(
    pool: &PgPool,
    clock: &Clock,
    realm: &str,
    sealing: &SealingKey,
) -> Result<Keyring, FlowError> {
    let mut tx = pool.begin().await?;
    signing_keys::lock(&mut tx).await?;
    let mut rows = signing_keys::all(&mut tx, realm).await?;
    for purpose in Purpose::ALL {
        if rows.iter().all(|row| row.typ != purpose.typ()) {
            let SealedKey { typ, kid, public_jwk, sealed } = SigningKey::generate(realm, purpose, sealing)?;
            let row = SigningKeyRow { typ, kid, public_jwk, sealed };
            signing_keys::insert(&mut tx, realm, &row, clock.now()).await?;
            rows.push(row);
        }
    }
    tx.commit().await?;
    let sealed =
        |row: SigningKeyRow| SealedKey { typ: row.typ, kid: row.kid, public_jwk: row.public_jwk, sealed: row.sealed };
    let rows: Vec<_> = rows.into_iter().map(sealed).collect();
    Ok(Keyring::open(realm, &rows, sealing)?)
}

/// Opens the realm's keys once more while the server runs: none that was withdrawn is among them, and what such a key
/// signed is believed no longer.
///
/// # Errors
/// As [`open_keyring`]; the former keys then stay.
pub(super) async fn reopen_keyring(cx: Context<'_>) -> Result<(), FlowError> {
    let opened = open_keyring(&cx.app.pool, &cx.app.clock, cx.realm_name(), &cx.app.sealing).await?;
    cx.realm.keyring.replace_with(&opened);
    Ok(())
}
