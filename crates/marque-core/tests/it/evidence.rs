//! The evidence file: it reads back, and nothing about it can be changed.

use crate::support::{MARQUE, NOW, ONE, OTHER, at, object, objects, resolved};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use marque_core::canonical::{Digest, canonical, decode, encode};
use marque_core::display::{DisplayRecord, RENDERER};
use marque_core::evidence::{Assertion, Credential, Payload, read, read_as, signing_input, write};
use marque_core::limits::EVIDENCE_BYTES;
use marque_core::step_up::evidence::StepUpPayload;
use serde_json::{Value, json};
use std::sync::LazyLock;

fn payload() -> Payload {
    let display = DisplayRecord {
        renderer: RENDERER.into(),
        template_sha256: Digest::of(b"template"),
        catalog_sha256: Digest::of(b"catalogs"),
        locale: "en".into(),
        lines_sha256: Digest::of(b"lines"),
    };
    Payload {
        version: 1,
        issuer: MARQUE.into(),
        intent_id: "018f0000-0000-7000-8000-000000000001".into(),
        plan: json!({"user": {"username": "alice"}, "limits": {"max_hops": 2}}),
        plan_digest: resolved().digest(),
        catalogs: vec!["a.b.c".into(), "d.e.f".into()],
        display_digest: display.digest(),
        display,
        nonce: Digest::from_bytes([7; 32]),
        assertion: Assertion {
            client_data_json: "e30".into(),
            authenticator_data: "AAAA".into(),
            signature: "AAAA".into(),
            user_handle: String::new(),
        },
        credential: Credential {
            id: "AQID".into(),
            public_key: "oAA".into(),
            sign_count: 5,
            backup_eligible: false,
            backed_up: false,
        },
        rp_id: "localhost".into(),
        origin: "http://localhost:7510".into(),
        id_token: "g.h.i".into(),
        realm_jwk: json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "realm"}),
        approved_at: NOW,
    }
}

fn sign(payload: &Payload) -> Vec<u8> {
    let signature = crypto::sign(&signing_input(payload), &ONE.signing(), Algorithm::ES256).unwrap();
    decode(&signature).unwrap()
}

/// One file for all tests: each signature of ECDSA is another one.
fn file() -> Vec<u8> {
    static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        write(&payload(), &object(ONE.with(json!({"kid": "k", "marque_typ": "evidence"}))), &sign(&payload()))
    });
    FILE.clone()
}

fn value() -> Value {
    serde_json::from_slice(&file()).unwrap()
}

/// The canonical file with one place changed.
fn with(pointer: &str, change: Option<Value>) -> Vec<u8> {
    canonical(&at(&value(), pointer, change))
}

/// A file with another payload, properly signed.
fn resigned(pointer: &str, change: Value) -> Result<Payload, String> {
    let changed = at(&value()["payload"], pointer, Some(change));
    let signature = crypto::sign(&canonical(&changed), &ONE.signing(), Algorithm::ES256).unwrap();
    let file = canonical(&json!({"payload": changed, "signer_jwk": ONE.public(), "signature": signature}));
    read(&file).map(|evidence| evidence.payload).map_err(|refused| refused.path)
}

#[test]
fn reads_back_what_was_written() {
    let evidence = read(&file()).unwrap();
    assert_eq!(evidence.payload, payload());
    assert_eq!(evidence.digest, Digest::of(&file()));
    assert_eq!(evidence.signer.thumbprint(), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
    assert_eq!(value()["signer_jwk"], ONE.public(), "kty, crv, x and y alone");
}

/// The evidence of one call, which has a form of its own.
fn file_of_call() -> Vec<u8> {
    let Payload { version, issuer, display, display_digest, nonce, assertion, credential, .. } = payload();
    let Payload { rp_id, origin, id_token, realm_jwk, approved_at, .. } = payload();
    let payload = StepUpPayload {
        version,
        issuer,
        step_up_id: "018f0000-0000-7000-8000-0000000000a1".into(),
        document: json!({"step": "pay", "args": []}),
        document_digest: Digest::of(b"document"),
        catalog: Some("a.b.c".into()),
        display,
        display_digest,
        nonce,
        assertion,
        credential,
        rp_id,
        origin,
        id_token,
        realm_jwk,
        approved_at,
    };
    let signature = crypto::sign(&signing_input(&payload), &ONE.signing(), Algorithm::ES256).unwrap();
    write(&payload, &object(ONE.public()), &decode(&signature).unwrap())
}

#[test]
fn evidence_of_a_plan_is_none_of_a_call_and_the_other_way_round() {
    assert!(read_as::<StepUpPayload>(&file_of_call()).is_ok() && read(&file()).is_ok());
    assert!(read(&file_of_call()).is_err() && read_as::<StepUpPayload>(&file()).is_err());
}

#[test]
fn any_changed_byte_is_refused() {
    no_byte_can_change(&file(), |file| read(file).is_ok());
    no_byte_can_change(&file_of_call(), |file| read_as::<StepUpPayload>(file).is_ok());
}

/// Each byte of the file changed in two ways, left out, and one more in each place.
fn no_byte_can_change(file: &[u8], holds: impl Fn(&[u8]) -> bool) {
    for index in 0..file.len() {
        let mut changed = file.to_vec();
        for flip in [1, 2 << (index % 7)] {
            changed[index] ^= flip;
            assert!(!holds(&changed), "byte {index} with {flip:#x}");
            changed[index] ^= flip;
        }
        changed.remove(index);
        assert!(!holds(&changed), "without byte {index}");
        changed.insert(index, file[index]);
        changed.insert(index, b' ');
        assert!(!holds(&changed), "a space before byte {index}");
    }
    assert!(holds(file));
}

/// Key and signature are not under the signature. Only their last characters have bits to spare: there every
/// other character is tried.
#[test]
fn key_and_signature_have_one_spelling() {
    let file = file();
    let text = String::from_utf8(file.clone()).unwrap();
    let from = text.rfind("\"signature\":").unwrap();
    let ends: Vec<usize> = (from..file.len()).filter(|index| file[*index] == b'"').map(|index| index - 1).collect();
    assert!(ends.len() > 12, "the members of the key and the signature");
    for index in ends {
        let mut changed = file.clone();
        for byte in (0..=0xff).filter(|byte| *byte != file[index]) {
            changed[index] = byte;
            assert!(read(&changed).is_err(), "byte {index} as {:?}", char::from(byte));
        }
    }
}

#[test]
fn only_the_exact_canonical_bytes_are_a_file() {
    let text = String::from_utf8(file()).unwrap();
    let reordered = format!(
        "{{\"signature\":{},\"payload\":{},\"signer_jwk\":{}}}",
        value()["signature"],
        value()["payload"],
        value()["signer_jwk"]
    );
    for bent in [
        format!("{text}\n"),
        format!("{text} "),
        format!(" {text}"),
        format!("\u{feff}{text}"),
        reordered,
        text.replacen("\"version\":1", "\"version\":1.0", 1),
        text.replacen("\"approved_at\":", "\"approved_at\": ", 1),
        text.replacen("localhost", "\\u006cocalhost", 1),
        text.replacen("http://", "http:\\/\\/", 1),
        text.replacen("{\"payload\":", "{\"payload\":{},\"payload\":", 1),
        serde_json::to_string_pretty(&value()).unwrap(),
    ] {
        assert_ne!(bent, text);
        assert!(read(bent.as_bytes()).is_err(), "{}", &bent[..60]);
    }
    assert!(read(b"").is_err() && read(b"{}").is_err() && read(b"[]").is_err());
    assert!(read(&vec![b' '; EVIDENCE_BYTES + 1]).unwrap_err().message.contains("at most"));
}

#[test]
fn further_members_are_refused_in_every_object() {
    for pointer in objects(&value()) {
        assert!(read(&with(&format!("{pointer}/surprise"), Some(json!(1)))).is_err(), "{pointer}");
    }
    for name in ["kid", "alg", "use", "d", "x5c"] {
        let refused = read(&with(&format!("/signer_jwk/{name}"), Some(json!("ES256")))).unwrap_err();
        assert!(refused.path.starts_with("$.signer_jwk"), "{name}: {refused}");
    }
}

#[test]
fn missing_members_are_refused_in_every_object() {
    for pointer in objects(&value()) {
        for name in value().pointer(&pointer).unwrap().as_object().unwrap().keys() {
            let place = format!("{pointer}/{}", name.replace('/', "~1"));
            assert!(read(&with(&place, None)).is_err(), "{place}");
        }
    }
}

/// A member that the signed form does not know is refused though the signature covers it.
#[test]
fn a_signed_payload_of_another_form_is_refused() {
    assert_eq!(resigned("/rp_id", json!("localhost")).as_ref(), Ok(&payload()));
    for pointer in ["/surprise", "/assertion/surprise", "/credential/surprise", "/display/surprise"] {
        assert!(resigned(pointer, json!(1)).is_err(), "{pointer}");
    }
    for (pointer, bad) in [
        ("/version", json!(0)),
        ("/version", json!(2)),
        ("/version", json!("1")),
        ("/approved_at", json!("now")),
        ("/plan_digest", json!("abc")),
        ("/catalogs", json!("a.b.c")),
        ("/credential/sign_count", json!(-1)),
        ("/credential/backed_up", json!(0)),
    ] {
        assert_eq!(resigned(pointer, bad).unwrap_err(), format!("$.payload{}", pointer.replace('/', ".")));
    }
}

#[test]
fn another_key_or_signature_is_refused() {
    for (pointer, change) in [
        ("/signer_jwk", OTHER.public()),
        ("/signer_jwk/x", json!(OTHER.x)),
        ("/signer_jwk/kty", json!("RSA")),
        ("/signer_jwk/crv", json!("P-384")),
        ("/signature", json!(encode(&sign(&Payload { approved_at: NOW + 1, ..payload() })))),
        ("/signature", json!(format!("{}=", encode(&sign(&payload()))))),
        ("/signature", json!("")),
        ("/signature", json!(encode(&[0; 64]))),
        ("/payload/plan/user/username", json!("bob")),
        ("/payload/approved_at", json!(NOW + 1)),
    ] {
        assert!(read(&with(pointer, Some(change))).is_err(), "{pointer}");
    }
}

/// Marque signs evidence with ES256; another curve would be another algorithm.
#[test]
fn the_signer_is_a_p256_key() {
    const P384: &str = concat!(
        "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBGQmXqSQtdneWTB7AcXOvZxleMHecCYV2FXiASd78rAWojbopEiUAqgQ4G3d5MizO",
        "hZANiAATdBAIALE-9La_Ue2-a-rCeAOeyeVkamNqbnYLXl7TsVLlpm8cIC-TvtJf7-dMt1xKJULudAb7SaYaT3C89NZXy_WeTxR-sFD3Tr0eeQ2I",
        "aSHXBSPncCvPvnMD0KVi03bY"
    );
    let der = decode(P384).unwrap();
    let point = &der[der.len() - 96..];
    let jwk = json!({"kty": "EC", "crv": "P-384", "x": encode(&point[..48]), "y": encode(&point[48..])});
    let signature =
        crypto::sign(&signing_input(&payload()), &EncodingKey::from_ec_der(&der), Algorithm::ES384).unwrap();
    let file = write(&payload(), &object(jwk), &decode(&signature).unwrap());
    assert!(read(&file).unwrap_err().path.starts_with("$.signer_jwk"));
}
