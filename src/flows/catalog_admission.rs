//! Admissions: Marque signs that a catalog counts, so that a row alone never makes one count.

use super::authenticate_administrator::Administrator;
use super::{Context, FlowError};
use crate::keys::Purpose;
use marque_core::canonical::Digest;
use marque_core::catalog::Catalog;
use marque_core::{jws, names};
use serde_json::{Value, json};

/// Signs that a catalog counts: it lowers nothing, or the administrator accepted that it does.
pub(super) fn admit(cx: Context<'_>, catalog: &Catalog, by: Option<&Administrator>) -> Result<String, FlowError> {
    let CatalogClaims { location, version, sha256 } = CatalogClaims::of(catalog);
    let mut claims = json!({
        "iss": cx.issuer(), "iat": cx.now_secs(), "location": location, "version": version, "sha256": sha256,
    });
    if let (Some(by), Some(members)) = (by, claims.as_object_mut()) {
        let by = json!({"sub": by.sub, "username": by.username, "client_id": by.client_id});
        members.insert("accepted_by".into(), by);
    }
    Ok(cx.realm.keyring.sign(Purpose::CatalogAdmission, &claims)?)
}

/// Whether an admission is Marque's own, for exactly this catalog.
pub(super) fn is_admitted(cx: Context<'_>, catalog: &Catalog, admission: &str) -> bool {
    let verified = jws::verify(admission, names::TYP_CATALOG_ADMISSION, &cx.realm.keyring.public());
    let Ok(claims) = verified.and_then(|verified| verified.claims()) else { return false };
    let CatalogClaims { location, version, sha256 } = CatalogClaims::of(catalog);
    let says = |name: &str, value: Value| claims.get(name) == Some(&value);
    says("iss", json!(cx.issuer()))
        && says("location", json!(location))
        && says("version", json!(version))
        && says("sha256", json!(sha256))
}

/// What an admission names of a catalog.
struct CatalogClaims<'c> {
    location: &'c str,
    version: u64,
    sha256: Digest,
}

impl<'c> CatalogClaims<'c> {
    fn of(catalog: &'c Catalog) -> Self {
        let document = catalog.document();
        Self { location: &document.location, version: document.version, sha256: catalog.reference().sha256 }
    }
}
