//! Compact JWS: forged, confused and bent tokens.

use crate::support::{ONE, OTHER, Pair, at, compact, merged};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use marque_core::canonical::{decode, encode};
use marque_core::jws::{
    JwsError, KeySet, VerificationKey, public_members, sign_es256, unverified_claims, unverified_kid, verify,
    verify_self_keyed,
};
use marque_core::limits::JWS_BYTES;
use serde_json::{Value, json};

const TYP: &str = "txntoken+jwt";

fn keys() -> KeySet {
    let jwk = |pair: Pair, kid: &str, typ: &str| pair.with(json!({"kid": kid, "marque_typ": typ, "use": "sig"}));
    KeySet::from_jwks(&json!({"keys": [jwk(ONE, "one", TYP), jwk(OTHER, "other", "intent+jwt")]})).unwrap()
}

fn header() -> Value {
    json!({"alg": "ES256", "typ": TYP, "kid": "one"})
}

fn good() -> String {
    ONE.sign(&header(), &json!({"sub": "alice"}))
}

fn with_header(change: Value) -> Result<(), JwsError> {
    verify(&ONE.sign(&merged(&header(), &change), &json!({"sub": "alice"})), TYP, &keys()).map(drop)
}

#[test]
fn accepts_what_was_signed_and_gives_the_octets_and_the_key() {
    let verified = verify(&good(), TYP, &keys()).unwrap();
    assert_eq!(verified.payload, br#"{"sub":"alice"}"#);
    assert_eq!(verified.thumbprint, keys().keys()[0].thumbprint());
    assert_eq!(verified.claims().unwrap()["sub"], "alice");
    let signed = sign_es256(TYP, Some("one"), b"{}", &ONE.signing()).unwrap();
    assert_eq!(verify(&signed, TYP, &keys()).unwrap().payload, b"{}");
    assert_eq!(unverified_kid(&signed).as_deref(), Some("one"));
    assert_eq!(unverified_claims(&good()).unwrap()["sub"], "alice");
}

#[test]
fn headers_that_bring_keys_or_change_the_meaning_are_refused() {
    let bad = [
        ("jwk", ONE.public()),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("a")),
        ("x5t#S256", json!("a")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("surprise", json!(1)),
    ];
    for (name, value) in bad {
        assert_eq!(with_header(json!({name: value})), Err(JwsError::ForbiddenHeader(name.into())));
    }
    assert_eq!(with_header(json!({"cty": "json"})), Ok(()));
}

#[test]
fn the_algorithm_is_the_keys_own() {
    for alg in ["none", "None", "NONE", "", "es256", "ES512", "ES256K"] {
        assert!(matches!(with_header(json!({"alg": alg})), Err(JwsError::Malformed(_))), "{alg}");
    }
    for alg in [json!(null), json!(["ES256"]), json!(1)] {
        assert!(with_header(at(&json!({}), "/alg", Some(alg))).is_err());
    }
    for alg in ["ES384", "RS256", "PS256", "EdDSA", "HS256", "HS384", "HS512"] {
        assert_eq!(with_header(json!({"alg": alg})), Err(JwsError::UnknownKey), "{alg}");
    }
    let unsigned = compact(&merged(&header(), &json!({"alg": "none"})), &json!({"sub": "alice"}), b"");
    assert!(verify(&unsigned, TYP, &keys()).is_err());
    assert_eq!(verify(&compact(&header(), &json!({}), b""), TYP, &keys()).unwrap_err(), JwsError::BadSignature);
}

/// The classic confusion: a public key taken as an HMAC secret.
#[test]
fn a_public_key_is_no_hmac_secret() {
    let point = [&[4][..], &decode(ONE.x).unwrap(), &decode(ONE.y).unwrap()].concat();
    for secret in [ONE.public().to_string().into_bytes(), point, decode(ONE.x).unwrap(), b"".to_vec()] {
        let message = compact(&merged(&header(), &json!({"alg": "HS256"})), &json!({"sub": "alice"}), b"");
        let message = message.strip_suffix('.').unwrap();
        let mac = crypto::sign(message.as_bytes(), &EncodingKey::from_secret(&secret), Algorithm::HS256).unwrap();
        assert_eq!(verify(&format!("{message}.{mac}"), TYP, &keys()).unwrap_err(), JwsError::UnknownKey);
    }
    let symmetric = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "one", "alg": "HS256"}]});
    assert!(KeySet::from_jwks(&symmetric).unwrap().keys().is_empty());
}

#[test]
fn one_kind_of_token_is_not_another() {
    for typ in ["intent+jwt", "JWT", "at+jwt", "dpop+jwt", "", "txntoken", "application/", "text/txntoken+jwt"] {
        assert_eq!(with_header(json!({"typ": typ})), Err(JwsError::WrongType(TYP.into())), "{typ}");
    }
    assert!(with_header(json!({"typ": null})).is_err(), "typ is required");
    for typ in [json!(1), json!(["txntoken+jwt"])] {
        assert!(with_header(json!({"typ": typ})).is_err());
    }
    for typ in ["TXNTOKEN+JWT", "application/txntoken+jwt"] {
        assert_eq!(with_header(json!({"typ": typ})), Ok(()), "RFC 7515 §4.1.9: {typ}");
    }
}

/// A key that Marque publishes signs one kind of token: neither kind passes with the other's key.
#[test]
fn a_key_signs_only_the_type_it_is_for() {
    let confused = OTHER.sign(&json!({"alg": "ES256", "typ": TYP, "kid": "other"}), &json!({}));
    assert_eq!(verify(&confused, TYP, &keys()).unwrap_err(), JwsError::UnknownKey);
    let confused = ONE.sign(&json!({"alg": "ES256", "typ": "intent+jwt", "kid": "one"}), &json!({}));
    assert_eq!(verify(&confused, "intent+jwt", &keys()).unwrap_err(), JwsError::UnknownKey);
    let alone = KeySet::new(vec![VerificationKey::from_jwk(&ONE.with(json!({"marque_typ": "intent+jwt"}))).unwrap()]);
    let nameless = ONE.sign(&json!({"alg": "ES256", "typ": TYP}), &json!({}));
    assert_eq!(verify(&nameless, TYP, &alone).unwrap_err(), JwsError::UnknownKey);
}

#[test]
fn the_key_is_named_unless_there_is_only_one() {
    for kid in [json!("nobody"), json!("ONE"), json!(""), json!("one "), json!("../one")] {
        assert_eq!(with_header(json!({"kid": kid})), Err(JwsError::UnknownKey), "{kid}");
    }
    assert_eq!(with_header(json!({"kid": null})), Err(JwsError::UnknownKey), "two keys, none named");
    assert_eq!(with_header(json!({"kid": "other"})), Err(JwsError::UnknownKey), "another key's name");
    let single = KeySet::new(vec![VerificationKey::from_jwk(&ONE.public()).unwrap()]);
    let nameless = ONE.sign(&json!({"alg": "ES256", "typ": TYP}), &json!({}));
    assert!(verify(&nameless, TYP, &single).is_ok());
    assert!(verify(&OTHER.sign(&json!({"alg": "ES256", "typ": TYP}), &json!({})), TYP, &single).is_err());
    assert_eq!(verify(&nameless, TYP, &KeySet::default()).unwrap_err(), JwsError::UnknownKey);
    assert!(keys().has("one") && !keys().has("two"));
}

/// A member of the wrong type is no absent member.
#[test]
fn header_members_that_are_no_text_are_refused() {
    let single = KeySet::new(vec![VerificationKey::from_jwk(&ONE.public()).unwrap()]);
    for kid in [json!(5), json!(["one"]), json!({}), Value::Null] {
        let header = at(&header(), "/kid", Some(kid.clone()));
        let token = ONE.sign(&header, &json!({}));
        assert!(matches!(verify(&token, TYP, &single), Err(JwsError::Malformed(_))), "kid {kid}");
    }
}

#[test]
fn a_header_is_strict_json() {
    let sign = |header: &str| {
        let message = format!("{}.{}", encode(header.as_bytes()), encode(b"{}"));
        let signature = crypto::sign(message.as_bytes(), &ONE.signing(), Algorithm::ES256).unwrap();
        verify(&format!("{message}.{signature}"), TYP, &keys())
    };
    assert!(sign(r#"{"alg":"ES256","typ":"txntoken+jwt","kid":"one"}"#).is_ok());
    for bad in [
        r#"{"alg":"none","alg":"ES256","typ":"txntoken+jwt","kid":"one"}"#,
        r#"{"alg":"ES256","typ":"txntoken+jwt","kid":"one","\u006bid":"one"}"#,
        r#"{"alg":"ES256","typ":"txntoken+jwt","kid":"one"} "x""#,
        r#"[]"#,
        r#""ES256""#,
        "",
    ] {
        assert!(matches!(sign(bad), Err(JwsError::Malformed(_))), "{bad}");
    }
}

#[test]
fn a_payload_is_a_strict_json_object_when_read_as_claims() {
    for bad in ["[]", "1", "\"x\"", "", "{\"a\":1,\"a\":2}", "{}{}"] {
        let signed = sign_es256(TYP, Some("one"), bad.as_bytes(), &ONE.signing()).unwrap();
        assert!(matches!(verify(&signed, TYP, &keys()).unwrap().claims(), Err(JwsError::Malformed(_))), "{bad}");
        assert!(unverified_claims(&signed).is_err());
    }
}

#[test]
fn a_token_is_three_parts_of_canonical_base64() {
    let token = good();
    let parts: Vec<&str> = token.split('.').collect();
    let bent = [
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.x"),
        format!("{token}="),
        format!("{token} "),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("..{}", parts[2]),
        "..".into(),
        ".".into(),
        String::new(),
        token.replace('.', ".."),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}\n.{}", parts[0], parts[1], parts[2]),
    ];
    for bent in bent {
        assert!(verify(&bent, TYP, &keys()).is_err(), "{bent:?}");
    }
    let long = format!("{}.{}", "a".repeat(JWS_BYTES), parts[2]);
    assert!(matches!(verify(&long, TYP, &keys()), Err(JwsError::Malformed(_))));
}

/// The last character of 64 octets in base64url has four spare bits: all but one spelling are refused.
#[test]
fn spare_bits_give_no_second_spelling() {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let token = good();
    let stem = &token[..token.len() - 1];
    let accepted = ALPHABET.chars().filter(|last| verify(&format!("{stem}{last}"), TYP, &keys()).is_ok()).count();
    assert_eq!(accepted, 1);
}

#[test]
fn any_changed_character_is_refused() {
    let token = good();
    for index in 0..token.len() {
        for replacement in ["A", "B", "_", "."] {
            if token[index..=index] != *replacement {
                let changed = format!("{}{replacement}{}", &token[..index], &token[index + 1..]);
                assert!(verify(&changed, TYP, &keys()).is_err(), "{index} {replacement}");
            }
        }
    }
    let moved = format!(
        "{}.{}",
        good().rsplit_once('.').unwrap().0,
        OTHER.sign(&header(), &json!({})).rsplit_once('.').unwrap().1
    );
    assert_eq!(verify(&moved, TYP, &keys()).unwrap_err(), JwsError::BadSignature);
}

#[test]
fn signatures_of_degenerate_numbers_are_refused() {
    for bytes in [vec![0; 64], vec![0xff; 64], vec![0; 63], vec![0; 65], vec![], decode(ONE.x).unwrap()] {
        assert_eq!(verify(&compact(&header(), &json!({}), &bytes), TYP, &keys()).unwrap_err(), JwsError::BadSignature);
    }
}

#[test]
fn a_key_with_private_members_is_refused() {
    for (name, value) in [("d", "a"), ("p", "a"), ("q", "a"), ("dp", "a"), ("dq", "a"), ("qi", "a"), ("k", "a")] {
        assert!(VerificationKey::from_jwk(&ONE.with(json!({name: value}))).unwrap_err().contains("private"), "{name}");
    }
    assert!(VerificationKey::from_jwk(&ONE.with(json!({"oth": []}))).is_err());
    assert!(VerificationKey::from_jwk(&ONE.private()).is_err());
    let set = KeySet::from_jwks(&json!({"keys": [ONE.private(), OTHER.public()]})).unwrap();
    assert_eq!(set.keys().len(), 1);
}

#[test]
fn keys_of_other_types_or_algorithms_are_refused() {
    let bad = [
        json!({"kty": "oct", "alg": "HS256"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": ONE.x, "y": ONE.y}),
        json!({"kty": "EC", "crv": "P-521", "x": ONE.x, "y": ONE.y}),
        json!({"kty": "EC", "x": ONE.x, "y": ONE.y}),
        json!({"kty": "EC", "crv": "P-256", "x": ONE.x}),
        json!({"kty": "EC", "crv": "P-256", "x": "!", "y": ONE.y}),
        json!({"kty": "RSA", "alg": "RS1", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "RSA", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "OKP", "crv": "X25519", "x": ONE.x}),
        json!({"crv": "P-256", "x": ONE.x, "y": ONE.y}),
        json!("key"),
        json!([]),
        ONE.with(json!({"alg": "ES384"})),
        ONE.with(json!({"alg": "HS256"})),
        ONE.with(json!({"alg": "none"})),
    ];
    for jwk in bad {
        assert!(VerificationKey::from_jwk(&jwk).is_err(), "{jwk}");
    }
    assert!(KeySet::from_jwks(&json!([])).is_err() && KeySet::from_jwks(&json!({"keys": {}})).is_err());
    let encryption = json!({"keys": [ONE.with(json!({"use": "enc"}))]});
    assert!(KeySet::from_jwks(&encryption).unwrap().keys().is_empty());
}

/// What a key is for must not be lost because it is written as something else than text.
#[test]
fn key_members_that_are_no_text_are_refused() {
    for name in ["marque_typ", "kid", "alg", "use"] {
        for value in [json!(5), json!([TYP]), json!({})] {
            let jwk = ONE.with(json!({name: value}));
            assert!(VerificationKey::from_jwk(&jwk).is_err(), "{jwk}");
            assert!(KeySet::from_jwks(&json!({"keys": [jwk]})).unwrap().keys().is_empty());
        }
    }
}

#[test]
fn a_point_off_the_curve_verifies_nothing() {
    let off = json!({"kty": "EC", "crv": "P-256", "x": ONE.x, "y": ONE.x});
    let accepts = VerificationKey::from_jwk(&off).is_ok_and(|key| {
        let token = good();
        let (message, signature) = token.rsplit_once('.').unwrap();
        key.verifies(message.as_bytes(), &decode(signature).unwrap())
    });
    assert!(!accepts);
}

#[test]
fn a_self_keyed_token_brings_a_public_key_of_its_own_algorithm() {
    let header = |jwk: Value| json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk});
    let check = |header: &Value| verify_self_keyed(&ONE.sign(header, &json!({})), "dpop+jwt");
    assert_eq!(check(&header(ONE.public())).unwrap().thumbprint, keys().keys()[0].thumbprint());
    assert!(check(&header(ONE.private())).is_err(), "a private key");
    assert_eq!(check(&header(OTHER.public())).unwrap_err(), JwsError::BadSignature);
    assert!(check(&header(json!({"kty": "oct", "k": "c2VjcmV0"}))).is_err());
    assert!(check(&header(json!("key"))).is_err());
    assert_eq!(check(&json!({"alg": "ES256", "typ": "dpop+jwt"})).unwrap_err(), JwsError::UnknownKey);
    assert!(check(&merged(&header(ONE.public()), &json!({"typ": "JWT"}))).is_err());
    assert_eq!(check(&merged(&header(ONE.public()), &json!({"alg": "ES384"}))).unwrap_err(), JwsError::UnknownKey);
    assert_eq!(check(&merged(&header(ONE.public()), &json!({"alg": "HS256"}))).unwrap_err(), JwsError::UnknownKey);
    for name in ["jku", "x5u", "x5c", "crit", "b64"] {
        let forbidden = check(&merged(&header(ONE.public()), &json!({name: ["exp"]})));
        assert_eq!(forbidden.unwrap_err(), JwsError::ForbiddenHeader(name.into()));
    }
    let token = ONE.sign(&header(ONE.public()), &json!({}));
    assert!(verify(&token, "dpop+jwt", &keys()).is_err(), "a key set never takes a key from a header");
}

/// RFC 7638 §3.1, RFC 8037 appendix A.3, RFC 9449 §6.1.
#[test]
fn thumbprints_are_those_of_the_published_examples() {
    let rsa = json!({"kty": "RSA", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB", "n": concat!(
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o",
        "knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHz",
        "u6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU",
        "8awapJzKnqDKgw")});
    let ed25519 = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let dpop = json!({"kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"});
    for (jwk, thumbprint) in [
        (rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (ed25519, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        (dpop, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
    ] {
        assert_eq!(VerificationKey::from_jwk(&jwk).unwrap().thumbprint(), thumbprint);
        let more = merged(&jwk, &json!({"kid": "other", "use": "sig", "surprise": 1}));
        assert_eq!(VerificationKey::from_jwk(&more).unwrap().thumbprint(), thumbprint, "only public members count");
    }
}

/// RFC 7515 appendix A.3 (ES256) and RFC 8037 appendix A.4 (Ed25519).
#[test]
fn signatures_of_the_published_examples_hold() {
    let es256 = concat!(
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0",
        "cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let ed25519 = concat!(
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR",
        "4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
    let okp = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    for (jwk, token) in [(ONE.public(), es256), (okp, ed25519)] {
        let key = VerificationKey::from_jwk(&jwk).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = decode(signature).unwrap();
        assert!(key.verifies(message.as_bytes(), &signature));
        assert!(!key.verifies(&message.as_bytes()[1..], &signature));
        assert!(!key.verifies(message.as_bytes(), &signature[1..]));
    }
}

#[test]
fn public_members_hold_nothing_else() {
    let kept =
        public_members(ONE.with(json!({"d": "secret", "kid": "a", "x5c": [], "alg": "ES256"})).as_object().unwrap());
    assert_eq!(Value::Object(kept), ONE.public());
}
