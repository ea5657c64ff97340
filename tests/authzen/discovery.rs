//! Discovery: the decision point's metadata (C-6).

use crate::asker::{ACTIONS, Asker, EVALUATION, EVALUATIONS, RESOURCES, Reply, SUBJECTS, well_known};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

/// The published key of an id; members that this reader does not know are let be.
async fn key(asker: &Asker, kid: &str) -> Jwk {
    let uri = asker.metadata["jwks_uri"].as_str().unwrap();
    let keys = Reply::to("the keys", asker.http.get(uri)).await.success().clone();
    let keys: JwkSet = serde_json::from_value(keys).unwrap();
    keys.find(kid).cloned().unwrap_or_else(|| panic!("no key {kid}"))
}

#[tokio::test]
async fn the_metadata_is_where_it_must_be_and_names_every_endpoint() {
    let asker = Asker::open().await;
    let nested = format!("{}/.well-known/authzen-configuration", asker.base);
    for url in [well_known(&asker.base), nested] {
        let reply = Reply::to(&url, asker.http.get(&url)).await;
        let metadata = reply.success();
        assert_eq!(metadata["policy_decision_point"], asker.base.as_str(), "{url}");
        for endpoint in [EVALUATION, EVALUATIONS, SUBJECTS, RESOURCES, ACTIONS] {
            let address = metadata[endpoint].as_str().unwrap_or_else(|| panic!("{url} names no {endpoint}"));
            assert!(address.starts_with(&format!("{}/access/v1/", asker.base)), "{url}: {address}");
        }
        assert!(metadata["capabilities"].as_array().unwrap().iter().all(Value::is_string), "{url}");
    }
}

#[tokio::test]
async fn the_signed_metadata_verifies_and_says_the_same() {
    let asker = Asker::open().await;
    let token = asker.metadata["signed_metadata"].as_str().expect("a JWT");
    let key = key(&asker, &decode_header(token).unwrap().kid.unwrap()).await;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_required_spec_claims(&["iss"]);
    validation.set_issuer(&[&asker.base]);
    validation.validate_exp = false;
    let claims = decode::<Value>(token, &DecodingKey::from_jwk(&key).unwrap(), &validation).unwrap().claims;
    for (name, value) in asker.metadata.as_object().unwrap().iter().filter(|(name, _)| *name != "signed_metadata") {
        assert_eq!(&claims[name], value, "{name}");
    }
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{signed}.{other}{}", &signature[1..]);
    assert!(
        decode::<Value>(&forged, &DecodingKey::from_jwk(&key).unwrap(), &validation).is_err(),
        "a changed signature"
    );
}
