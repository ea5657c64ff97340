//! Opens a realm's signing keys, and makes the missing ones: on first start, and where one was withdrawn.
//!
//! 1. Lock, so that several servers opening at once make one set.
//! 2. Of each purpose: which key signs, and which are published beside it. Make one where none signs.
//! 3. Open all of these: a public half is believed only as it was sealed.

use super::{Context, FlowError};
use crate::clock::Clock;
use crate::keys::rotation::{Role, Term, next_change, roles};
use crate::keys::{Changes, KeyError, Keyring, Purpose, SealedKey, SealingKey, SigningKey};
use crate::store::Database;
use crate::store::signing_keys::{self, SigningKeyRow};
use time::OffsetDateTime;

/// Opens the keyring of a realm.
///
/// # Errors
/// When the database is away, or a kept key does not open: then somebody changed it or the sealing
/// key is another one, and starting with fresh keys would hide that.
pub async fn open_keyring(
    db: &Database,
    clock: &Clock,
    realm: &str,
    sealing: &SealingKey,
) -> Result<Keyring, FlowError> {
    let now = clock.now();
    let mut tx = db.begin().await?;
    signing_keys::lock(&mut tx).await?;
    let mut rows = signing_keys::all(&mut tx, realm).await?;
    let (mut published, mut next) = (Vec::new(), None);
    for purpose in Purpose::ALL {
        if !in_use(purpose, &rows, now).published.iter().any(|(role, _)| *role == Role::Signing) {
            let row = new_key(realm, purpose, sealing, now)?;
            signing_keys::insert(&mut tx, realm, &row, now).await?;
            rows.push(row);
        }
        let InUse { published: mut keys, changes_at } = in_use(purpose, &rows, now);
        keys.sort_by_key(|(role, _)| *role != Role::Signing);
        published.extend(keys.into_iter().map(|(_, row)| sealed(row)));
        next = [next, changes_at].into_iter().flatten().min();
    }
    tx.commit().await?;
    let known = i64::try_from(rows.len()).map_err(FlowError::internal)?;
    Ok(Keyring::open(realm, &published, sealing, Changes { known, next })?)
}

/// The published keys of a purpose, and when that changes by itself.
struct InUse<'r> {
    published: Vec<(Role, &'r SigningKeyRow)>,
    changes_at: Option<OffsetDateTime>,
}

fn in_use(purpose: Purpose, rows: &[SigningKeyRow], now: OffsetDateTime) -> InUse<'_> {
    let rows: Vec<_> = rows.iter().filter(|row| row.typ == purpose.typ()).collect();
    let term = |row: &&SigningKeyRow| Term { signs_from: row.signs_from, is_withdrawn: row.is_withdrawn };
    let terms: Vec<_> = rows.iter().map(term).collect();
    let roles = roles(purpose, &terms, now);
    let changes_at = next_change(&terms, &roles, now);
    InUse { published: roles.into_iter().zip(rows).filter(|(role, _)| role.is_published()).collect(), changes_at }
}

/// A new key that signs from an instant on, not yet kept.
pub(super) fn new_key(
    realm: &str,
    purpose: Purpose,
    sealing: &SealingKey,
    signs_from: OffsetDateTime,
) -> Result<SigningKeyRow, KeyError> {
    let SealedKey { typ, kid, public_jwk, sealed } = SigningKey::generate(realm, purpose, sealing)?;
    Ok(SigningKeyRow { typ, kid, public_jwk, sealed, signs_from, is_withdrawn: false })
}

fn sealed(row: &SigningKeyRow) -> SealedKey {
    let SigningKeyRow { typ, kid, public_jwk, sealed, .. } = row;
    SealedKey { typ: typ.clone(), kid: kid.clone(), public_jwk: public_jwk.clone(), sealed: sealed.clone() }
}

/// Opens the keys again where others are there, or one begins to sign or is published no longer.
///
/// # Errors
/// As [`open_keyring`]; the former keys then stay.
pub(super) async fn keep_up(cx: Context<'_>) -> Result<(), FlowError> {
    let Changes { known, next } = cx.realm.keyring.changes();
    let is_due = next.is_some_and(|at| at <= cx.app.clock.now());
    let count = signing_keys::count(&mut *cx.app.db.look().await?, cx.realm_name()).await?;
    if is_due || count != known { reopen_keyring(cx).await } else { Ok(()) }
}

/// Opens the realm's keys once more while the server runs: none that was withdrawn is among them, and what such a key
/// signed is believed no longer.
///
/// # Errors
/// As [`open_keyring`]; the former keys then stay.
pub(super) async fn reopen_keyring(cx: Context<'_>) -> Result<(), FlowError> {
    let opened = open_keyring(&cx.app.db, &cx.app.clock, cx.realm_name(), &cx.app.sealing).await?;
    cx.realm.keyring.replace_with(&opened);
    Ok(())
}
