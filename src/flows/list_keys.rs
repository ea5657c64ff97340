//! The realm's own signing keys, those that were withdrawn included.

use super::{Context, FlowError};
use crate::keys::Purpose;
pub use crate::keys::rotation::Role;
use crate::keys::rotation::{Term, roles};
use crate::store::signing_keys;
pub use crate::store::signing_keys::KnownKey;

/// Lists the keys with what each is for now: those of one purpose together, in the order in which they begin to sign.
///
/// # Errors
/// When the database is away.
pub async fn list_keys(cx: Context<'_>) -> Result<Vec<(KnownKey, Role)>, FlowError> {
    let known = signing_keys::known(&mut *cx.app.db.look().await?, cx.realm_name()).await?;
    let now = cx.app.clock.now();
    let mut listed = Vec::new();
    for of_typ in known.chunk_by(|a, b| a.typ == b.typ) {
        let term = |key: &KnownKey| Term { signs_from: key.signs_from, is_withdrawn: key.withdrawn_at.is_some() };
        let purpose =
            Purpose::ALL.into_iter().find(|purpose| of_typ.first().is_some_and(|key| key.typ == purpose.typ()));
        let terms: Vec<_> = of_typ.iter().map(term).collect();
        // A purpose of another version signs nothing here.
        let roles = purpose.map_or_else(|| vec![Role::Retired; terms.len()], |purpose| roles(purpose, &terms, now));
        listed.extend(of_typ.iter().cloned().zip(roles));
    }
    Ok(listed)
}
