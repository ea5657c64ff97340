//! Proof of possession: each claim wrong, missing, too old or too new.

use crate::support::{NOW, ONE, OTHER, at, merged};
use marque_core::canonical::Digest;
use marque_core::dpop::{Expected, Proof, ProofError, verify};
use marque_core::limits::{CLOCK_LEEWAY_SECS, IDENTIFIER_CHARS, PROOF_SECS};
use serde_json::{Value, json};

const URI: &str = "http://localhost:7500/realms/demo/token";
/// RFC 9449 §7.1.
const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const ATH: &str = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";

fn header() -> Value {
    json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": ONE.public()})
}

fn claims() -> Value {
    json!({"jti": "a1", "htm": "POST", "htu": URI, "iat": NOW})
}

fn expected() -> Expected<'static> {
    Expected { method: "POST", uri: URI, token: None }
}

fn check(claims: &Value) -> Result<Proof, ProofError> {
    verify(&ONE.sign(&header(), claims), &expected(), NOW)
}

fn with(change: Value) -> Result<Proof, ProofError> {
    check(&merged(&claims(), &change))
}

#[test]
fn a_good_proof_gives_key_id_and_time() {
    let proof = check(&claims()).unwrap();
    let jkt = verify(&ONE.sign(&header(), &claims()), &expected(), NOW).unwrap().jkt;
    assert_eq!(proof, Proof { jkt: jkt.clone(), jti: "a1".into(), iat: NOW, call_digest: None, nonce: None });
    let other = OTHER.sign(&merged(&header(), &json!({"jwk": OTHER.public()})), &claims());
    assert_ne!(verify(&other, &expected(), NOW).unwrap().jkt, jkt);
}

#[test]
fn missing_or_mistyped_claims_are_refused() {
    for name in ["jti", "htm", "htu", "iat"] {
        assert!(with(json!({name: null})).unwrap_err().to_string().contains(name), "{name}");
        for wrong in [json!({}), json!([claims()[name]]), json!(true), Value::Null] {
            assert!(check(&at(&claims(), &format!("/{name}"), Some(wrong))).is_err(), "{name}");
        }
    }
    for iat in [json!("1795316400"), json!(1_795_316_400.5)] {
        assert!(with(json!({"iat": iat})).is_err());
    }
}

#[test]
fn the_method_is_compared_exactly() {
    for method in ["GET", "post", "POST ", ""] {
        assert!(with(json!({"htm": method})).unwrap_err().to_string().contains("htm"), "{method}");
    }
}

#[test]
fn the_uri_is_compared_in_normal_form_without_query_and_fragment() {
    for same in [
        URI,
        "HTTP://LOCALHOST:7500/realms/demo/token",
        "http://localhost:7500/realms/demo/token?x=1",
        "http://localhost:7500/realms/demo/token#x",
        "http://localhost:7500/realms/./demo/token",
    ] {
        assert!(with(json!({"htu": same})).is_ok(), "{same}");
    }
    for other in [
        "https://localhost:7500/realms/demo/token",
        "http://localhost/realms/demo/token",
        "http://localhost:7501/realms/demo/token",
        "http://127.0.0.1:7500/realms/demo/token",
        "http://localhost:7500/realms/demo/token/",
        "http://localhost:7500/realms/demo/Token",
        "http://localhost:7500/realms/other/token",
        "http://localhost:7500/realms/demo%2Ftoken",
        "http://user@localhost:7500/realms/demo/token",
        "http://localhost:7500@evil.example/realms/demo/token",
        "/realms/demo/token",
        "localhost:7500/realms/demo/token",
        "http://localhost:7500/realms/demo/tok\nen",
        "http:\\\\localhost:7500\\realms\\demo\\token",
        " http://localhost:7500/realms/demo/token",
        "",
    ] {
        assert!(with(json!({"htu": other})).unwrap_err().to_string().contains("htu"), "{other:?}");
    }
    let port = Expected { uri: "https://rs.example:443/a?b=c", ..expected() };
    let proof = ONE.sign(&header(), &merged(&claims(), &json!({"htu": "https://rs.example/a"})));
    assert!(verify(&proof, &port, NOW).is_ok(), "a default port is no other address");
    let proof = ONE.sign(&header(), &merged(&claims(), &json!({"htu": ""})));
    assert!(verify(&proof, &Expected { uri: "", ..expected() }, NOW).is_err(), "two addresses that are none");
}

#[test]
fn a_proof_lives_a_minute() {
    for (iat, good) in [
        (NOW, true),
        (NOW - PROOF_SECS, true),
        (NOW - PROOF_SECS - 1, false),
        (NOW + CLOCK_LEEWAY_SECS, true),
        (NOW + CLOCK_LEEWAY_SECS + 1, false),
        (0, false),
        (-NOW, false),
        (9_007_199_254_740_991, false),
    ] {
        let proof = with(json!({"iat": iat}));
        assert_eq!(proof.is_ok(), good, "{iat}");
        assert!(good || proof.unwrap_err().to_string().contains("iat"));
    }
}

#[test]
fn the_id_has_a_length() {
    assert!(with(json!({"jti": ""})).is_err());
    assert!(with(json!({"jti": "a".repeat(IDENTIFIER_CHARS)})).is_ok());
    assert!(with(json!({"jti": "a".repeat(IDENTIFIER_CHARS + 1)})).is_err());
}

#[test]
fn the_hash_of_the_token_is_there_exactly_when_a_token_is() {
    let check = |ath: Value, token: Option<&str>| {
        let claims = if ath.is_null() { claims() } else { at(&claims(), "/ath", Some(ath)) };
        verify(&ONE.sign(&header(), &claims), &Expected { token, ..expected() }, NOW)
    };
    assert_eq!(Digest::of(TOKEN.as_bytes()).to_base64(), ATH, "RFC 9449 §7.1");
    assert!(check(json!(ATH), Some(TOKEN)).is_ok());
    assert!(check(json!(null), None).is_ok());
    assert!(check(json!(null), Some(TOKEN)).unwrap_err().to_string().contains("ath"), "missing");
    assert!(check(json!(ATH), Some("another token")).is_err());
    assert!(check(json!(ATH), None).is_err(), "made for a token that does not come");
    assert!(check(json!(format!("{ATH}=")), Some(TOKEN)).is_err());
    assert!(check(json!(""), Some("")).is_err());
    assert!(check(json!([ATH]), Some(TOKEN)).is_err());
    assert!(check(json!(5), None).is_err());
    let explicit_null = at(&claims(), "/ath", Some(Value::Null));
    assert!(verify(&ONE.sign(&header(), &explicit_null), &expected(), NOW).is_err());
}

#[test]
fn a_call_digest_is_a_digest_or_absent() {
    let digest = Digest::of(b"call");
    assert_eq!(with(json!({"call_digest": digest.to_base64()})).unwrap().call_digest, Some(digest));
    for bad in [json!(""), json!("abc"), json!(5), json!([]), json!(format!("{digest}="))] {
        assert!(with(json!({"call_digest": bad})).unwrap_err().to_string().contains("call_digest"));
    }
    assert!(check(&at(&claims(), "/call_digest", Some(Value::Null))).is_err());
}

#[test]
fn the_proof_is_signed_by_the_public_key_it_brings() {
    let sign = |header: Value| verify(&ONE.sign(&header, &claims()), &expected(), NOW);
    assert!(sign(merged(&header(), &json!({"jwk": OTHER.public()}))).is_err(), "somebody else's key");
    assert!(sign(merged(&header(), &json!({"jwk": ONE.private()}))).is_err(), "a private key");
    assert!(sign(merged(&header(), &json!({"jwk": null}))).is_err());
    for typ in ["JWT", "jwt", "at+jwt", ""] {
        assert!(sign(merged(&header(), &json!({"typ": typ}))).is_err(), "{typ}");
    }
    for alg in ["none", "HS256", "RS256", "ES384"] {
        assert!(sign(merged(&header(), &json!({"alg": alg}))).is_err(), "{alg}");
    }
    assert!(sign(merged(&header(), &json!({"jku": "https://evil.example"}))).is_err());
    let proof = ONE.sign(&header(), &claims());
    let proofs = [format!("{proof},{proof}"), format!("{proof}."), format!("{proof} "), String::new()];
    assert!(proofs.iter().all(|bent| verify(bent, &expected(), NOW).is_err()));
}

#[test]
fn the_nonce_is_told_as_it_is() {
    assert_eq!(with(json!({"nonce": "n"})).unwrap().nonce.as_deref(), Some("n"));
    assert_eq!(check(&claims()).unwrap().nonce, None);
    for bad in [json!(""), json!(5), json!([]), json!("a\u{0}b"), json!("a".repeat(IDENTIFIER_CHARS + 1))] {
        assert!(with(json!({"nonce": bad})).unwrap_err().to_string().contains("nonce"), "{bad}");
    }
    assert!(check(&at(&claims(), "/nonce", Some(Value::Null))).is_err());
}

#[test]
fn further_claims_are_allowed() {
    assert!(with(json!({"exp": NOW, "custom": {"a": 1.5}})).is_ok(), "RFC 9449 §4.2");
}
