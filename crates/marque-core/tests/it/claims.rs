//! The claims of tokens: they read back, and a member that nobody knows is refused.

use crate::support::{MARQUE, NOW, at, objects, resolved};
use marque_core::access_token::AccessClaims;
use marque_core::canonical::{Digest, canonical};
use marque_core::claims::{Actor, Carried, Confirmation, IntentClaims, TxnClaims, WorkloadClaims, token_hash};
use marque_core::envelope::Envelope;
use marque_core::json::Refused;
use marque_core::limits;
use serde_json::{Value, json};

fn digest(byte: u8) -> String {
    Digest::from_bytes([byte; 32]).to_base64()
}

fn envelope() -> Envelope {
    Envelope::of(&resolved()).unwrap()
}

fn intent() -> Value {
    json!({
        "iss": MARQUE, "aud": MARQUE, "sub": "alice-id", "iat": NOW, "exp": NOW + 60, "jti": "j", "client_id": "demo-agent",
        "cnf": {"jkt": "k"}, "act": {"sub": "demo-agent"}, "acr": "1", "auth_time": NOW, "scope": envelope().scope(),
        "intent": {"id": "i", "digest": digest(1), "version": 1, "evidence": digest(2), "credential": digest(3)},
        "authorization_details": IntentClaims::details(&envelope()), "bounds": envelope().bounds,
    })
}

fn txn() -> Value {
    json!({
        "iss": MARQUE, "aud": "demo.marque.test", "sub": "alice-id", "iat": NOW, "exp": NOW + 60, "jti": "j", "txn": "t",
        "scope": envelope().scope(), "req_wl": "demo-worker",
        "tctx": {"intent": {"id": "i", "digest": digest(1), "version": 1}, "steps": envelope().steps, "bounds": envelope().bounds},
        "rctx": {"req_ip": "127.0.0.1"},
        "act": {"sub": "demo-worker", "act": {"sub": "demo-agent"}}, "cnf": {"jkt": "k"}, "may_act": {"sub": "demo-third"},
    })
}

fn access() -> Value {
    json!({
        "iss": MARQUE, "aud": "https://keys.example", "sub": "alice-id", "client_id": "demo-worker", "iat": NOW,
        "exp": NOW + 60, "jti": "j", "scope": envelope().scope(), "cnf": {"jkt": "k"}, "txn": "t",
        "act": {"sub": "demo-worker", "act": {"sub": "demo-agent"}},
        "intent": {"id": "i", "digest": digest(1), "version": 1},
        "authorization_details": IntentClaims::details(&envelope()), "bounds": envelope().bounds,
        "status": {"status_list": {"idx": 7, "uri": "https://marque.example/status/0"}},
    })
}

fn parse_access(claims: &Value) -> Result<Value, Refused> {
    let parsed = AccessClaims::parse(claims.to_string().as_bytes())?;
    parsed.clone().into_transaction()?;
    Ok(serde_json::to_value(parsed).unwrap())
}

fn workload() -> Value {
    json!({
        "iss": MARQUE, "aud": "demo.marque.test", "sub": "demo-worker", "iat": NOW, "exp": NOW + 60, "jti": "j", "txn": "t",
        "scope": "", "req_wl": "demo-worker", "tctx": {"steps": []}, "rctx": {"req_ip": "127.0.0.1"},
        "act": {"sub": "demo-worker"}, "cnf": {"jkt": "k"},
    })
}

fn parse_workload(claims: &Value) -> Result<Value, Refused> {
    WorkloadClaims::parse(claims.to_string().as_bytes()).map(|parsed| serde_json::to_value(parsed).unwrap())
}

/// Whoever looks for steps finds none in it, and steps never get into it.
#[test]
fn a_token_without_an_intent_is_never_read_as_one_with_steps() {
    assert!(parse_txn(&workload()).is_err());
    assert!(parse_workload(&txn()).is_err());
    for tctx in [json!({"steps": [1]}), json!({"steps": envelope().steps}), json!({}), txn()["tctx"].clone()] {
        let mut claims = workload();
        claims["tctx"] = tctx.clone();
        assert!(parse_workload(&claims).is_err(), "{tctx}");
        claims["tctx"]["intent"] = Value::Null;
        assert!(parse_txn(&claims).is_err(), "{tctx}");
    }
}

fn parse_intent(claims: &Value) -> Result<Value, Refused> {
    let parsed = IntentClaims::parse(claims.to_string().as_bytes())?;
    parsed.envelope()?;
    Ok(serde_json::to_value(parsed).unwrap())
}

fn parse_txn(claims: &Value) -> Result<Value, Refused> {
    TxnClaims::parse(claims.to_string().as_bytes()).map(|parsed| serde_json::to_value(parsed).unwrap())
}

type Parse = fn(&Value) -> Result<Value, Refused>;

fn kinds() -> [(Value, Parse); 4] {
    [(intent(), parse_intent), (txn(), parse_txn), (access(), parse_access), (workload(), parse_workload)]
}

#[test]
fn claims_read_back_as_they_were_written() {
    for (claims, parse) in kinds() {
        assert_eq!(parse(&claims), Ok(claims));
    }
    let parsed = IntentClaims::parse(intent().to_string().as_bytes()).unwrap();
    assert_eq!(parsed.envelope(), Ok(envelope()));
    let parsed = TxnClaims::parse(txn().to_string().as_bytes()).unwrap();
    assert_eq!(parsed.tctx.carried, Carried::Inline(envelope()));
    assert_eq!(parsed.act.chain(), ["demo-worker", "demo-agent"]);
}

#[test]
fn an_access_token_says_the_same_as_a_transaction_token_but_for_its_audience() {
    let parsed = AccessClaims::parse(access().to_string().as_bytes()).unwrap().into_transaction().unwrap();
    let of_workloads_alone = at(&at(&txn(), "/rctx", None), "/may_act", None);
    let expected = at(&of_workloads_alone, "/aud", Some(json!("https://keys.example")));
    assert_eq!(serde_json::to_value(parsed).unwrap(), expected);
}

#[test]
fn unknown_members_are_refused_in_every_object() {
    for (claims, parse) in kinds() {
        for pointer in objects(&claims) {
            let spoilt = at(&claims, &format!("{pointer}/surprise"), Some(json!(1)));
            assert_eq!(parse(&spoilt).is_ok(), pointer == "/rctx", "{pointer}");
        }
    }
}

/// `rctx`, `may_act` and `status` alone may be missing, and limits that a plan does not set; the chain of a token may be shorter, which its signature rules out.
#[test]
fn missing_members_are_refused_in_every_object() {
    for (claims, parse) in kinds() {
        for pointer in objects(&claims) {
            let constraint_or_names = pointer.contains("/args") || pointer == "/rctx";
            for name in claims.pointer(&pointer).unwrap().as_object().unwrap().keys() {
                let place = format!("{pointer}/{}", name.replace('/', "~1"));
                let optional = constraint_or_names
                    || ["/rctx", "/act/act", "/may_act", "/status"].contains(&place.as_str())
                    || pointer.ends_with("/bounds");
                assert!(optional || parse(&at(&claims, &place, None)).is_err(), "{place}");
            }
        }
        assert!(parse(&at(&claims, "/act/act", Some(Value::Null))).is_err(), "null is no absence");
    }
}

#[test]
fn mistyped_and_duplicate_members_are_refused() {
    for (claims, parse) in kinds() {
        for (pointer, bad) in [
            ("/iat", json!("1795316400")),
            ("/exp", json!(1.5)),
            ("/exp", json!(9_007_199_254_740_992_i64)),
            ("/aud", json!([MARQUE])),
            ("/sub", json!(1)),
            ("/sub", json!("a\u{202e}b")),
            ("/cnf", json!("k")),
            ("/act", json!([])),
        ] {
            assert!(parse(&at(&claims, pointer, Some(bad))).is_err(), "{pointer}");
        }
        let twice = claims.to_string().replacen("\"jti\":", "\"jti\":\"x\",\"jti\":", 1);
        assert!(IntentClaims::parse(twice.as_bytes()).is_err() && TxnClaims::parse(twice.as_bytes()).is_err());
        assert!(parse(&json!([])).is_err() && parse(&json!({})).is_err());
    }
    for (index, (claims, _)) in kinds().iter().enumerate() {
        for (other, (_, parse)) in kinds().iter().enumerate() {
            assert_eq!(parse(claims).is_ok(), index == other, "one kind is not the other");
        }
    }
}

#[test]
fn a_chain_of_sixty_four_hops_is_read_and_one_without_end_is_not() {
    let chain =
        |hops: usize| (0..hops).fold(Actor::first("agent"), |act, hop| act.followed_by(&format!("worker-{hop}")));
    let with = |hops| at(&txn(), "/act", Some(serde_json::to_value(chain(hops)).unwrap()));
    let parsed = TxnClaims::parse(with(64).to_string().as_bytes()).unwrap();
    assert_eq!((parsed.act.hops(), parsed.act), (64, chain(64)));
    assert_eq!(parse_txn(&with(64)), Ok(with(64)));
    let deepest = limits::CLAIMS_DEPTH - 2;
    assert!(parse_txn(&with(deepest)).is_ok());
    let refused = parse_txn(&with(deepest + 1)).unwrap_err();
    assert!(refused.message.contains("nested deeper than 96"), "{refused}");
}

#[test]
fn long_steps_are_carried_by_the_digest_of_the_envelope() {
    let by_digest = at(&txn(), "/tctx", Some(json!({"intent": txn()["tctx"]["intent"], "env": digest(7)})));
    let parsed = TxnClaims::parse(by_digest.to_string().as_bytes()).unwrap();
    assert_eq!(parsed.tctx.carried, Carried::ByDigest(Digest::from_bytes([7; 32])));
    assert_eq!(parse_txn(&by_digest), Ok(by_digest.clone()));
    for (member, value) in [("steps", json!([])), ("bounds", json!({})), ("env", Value::Null), ("env", json!("x"))] {
        assert!(parse_txn(&at(&by_digest, &format!("/tctx/{member}"), Some(value))).is_err(), "{member}");
    }
    assert!(parse_txn(&at(&txn(), "/tctx/env", Some(json!(digest(7))))).is_err(), "both");

    let with_text = |chars: usize| {
        let mut envelope = Envelope { steps: vec![envelope().steps[0].clone()], ..envelope() };
        envelope.steps[0].id = "i".repeat(chars);
        envelope
    };
    let bare = canonical(&serde_json::to_value(&with_text(0).steps).unwrap()).len();
    let longest = with_text(limits::INLINE_STEPS_BYTES - bare);
    assert_eq!(Carried::of(longest.clone()), Carried::Inline(longest));
    let longer = with_text(limits::INLINE_STEPS_BYTES - bare + 1);
    assert_eq!(Carried::of(longer.clone()), Carried::ByDigest(longer.digest()));
}

#[test]
fn what_is_kept_under_a_digest_is_that_envelope_or_refused() {
    let (digest, kept) = (envelope().digest(), envelope().canonical());
    assert_eq!(Envelope::of_digest(&digest, &kept), Ok(envelope()));
    let mut wider = envelope();
    wider.steps[0].location = "https://other.example".into();
    assert!(Envelope::of_digest(&digest, &wider.canonical()).is_err(), "another envelope");
    assert!(Envelope::of_digest(&digest, &[kept.as_slice(), b" "].concat()).is_err());
    assert!(Envelope::of_digest(&Digest::of(b"{}"), b"{}").is_err(), "the digest of no envelope");
    let long = vec![b' '; limits::ENVELOPE_BYTES + 1];
    assert!(Envelope::of_digest(&Digest::of(&long), &long).unwrap_err().message.contains("at most"));
}

#[test]
fn a_digest_is_one_spelling_of_thirty_two_bytes() {
    for bad in ["", "abc", &digest(1)[1..], &format!("{}=", digest(1)), &format!("{}A", digest(1))] {
        assert!(parse_txn(&at(&txn(), "/tctx/intent/digest", Some(json!(bad)))).is_err(), "{bad}");
    }
}

#[test]
fn details_are_steps_and_nothing_else() {
    let refused =
        |value: Value| parse_intent(&at(&intent(), "/authorization_details/1/type", Some(value))).unwrap_err();
    for bad in [json!("agent_intent_plan"), json!("Agent_intent_step"), json!(1), json!(null)] {
        assert_eq!(refused(bad).path, "$.authorization_details[1].type");
    }
    for entry in [json!("x"), json!([]), json!({})] {
        let spoilt = at(&intent(), "/authorization_details/0", Some(entry));
        assert_eq!(parse_intent(&spoilt).unwrap_err().path, "$.authorization_details[0].type");
    }
    let unknown = at(&intent(), "/authorization_details/1/args/force", Some(json!({"regex": "x"})));
    assert!(parse_intent(&unknown).unwrap_err().path.starts_with("$.authorization_details[1].args.force"));
}

#[test]
fn the_chain_of_actors_puts_the_current_one_first() {
    let chain = Actor::first("agent").followed_by("worker").followed_by("tool");
    assert_eq!(chain.chain(), ["tool", "worker", "agent"]);
    assert_eq!((chain.hops(), Actor::first("agent").hops()), (2, 0));
    let expected = json!({"sub": "tool", "act": {"sub": "worker", "act": {"sub": "agent"}}});
    assert_eq!(serde_json::to_value(&chain).unwrap(), expected);
    assert_eq!(serde_json::from_value::<Actor>(expected).unwrap(), chain);
    assert!(serde_json::from_value::<Actor>(json!({"sub": "a", "iss": "b"})).is_err());
}

#[test]
fn a_confirmation_is_a_key_or_a_certificate_and_never_both() {
    let thumbprint = Digest::of(b"certificate");
    let (key, certificate) = (Confirmation::Jkt("k".into()), Confirmation::X5t(thumbprint));
    for (cnf, written) in [(&key, json!({"jkt": "k"})), (&certificate, json!({"x5t#S256": thumbprint.to_base64()}))] {
        assert_eq!(serde_json::to_value(cnf).unwrap(), written);
        assert_eq!(serde_json::from_value::<Confirmation>(written.clone()).as_ref().unwrap(), cnf);
        let token = at(&txn(), "/cnf", Some(written));
        assert_eq!(&TxnClaims::parse(token.to_string().as_bytes()).unwrap().cnf, cnf);
    }
    let other = Digest::of(b"other").to_base64();
    for bad in [
        json!({}),
        json!(null),
        json!("jkt"),
        json!(["jkt", "k"]),
        json!({"x5t#S256": "a"}),
        json!({"x5t#S256": format!("{other}=")}),
        json!({"x5t": other}),
        json!({"jkt": "k", "x5t#S256": other}),
        json!({"x5t#S256": other, "jkt": "k"}),
        json!({"jkt": "k", "kid": "k"}),
        json!({"jkt": 1}),
        json!({"jkt": null, "x5t#S256": other}),
    ] {
        assert!(serde_json::from_value::<Confirmation>(bad.clone()).is_err(), "{bad}");
        let token = at(&txn(), "/cnf", Some(bad.clone()));
        assert!(TxnClaims::parse(token.to_string().as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_confirmation_has_one_text_and_proves_itself_alone() {
    let thumbprint = Digest::of(b"certificate");
    let (key, certificate) = (Confirmation::Jkt(thumbprint.to_base64()), Confirmation::X5t(thumbprint));
    assert_ne!(key, certificate, "a key is no certificate, whatever their thumbprints");
    assert_ne!(key.to_string(), certificate.to_string());
    assert_eq!(certificate.to_string(), format!("x5t#S256:{}", thumbprint.to_base64()));
    assert!(key.is_key(&thumbprint.to_base64()) && !certificate.is_key(&thumbprint.to_base64()));
    assert_eq!((key.certificate(), certificate.certificate()), (None, Some(thumbprint)));
    assert_eq!((key.token_type(), certificate.token_type()), ("DPoP", "Bearer"));
}

#[test]
fn scope_is_the_sorted_distinct_actions() {
    let mut envelope = envelope();
    assert_eq!(envelope.scope(), "file.delete file.read mail.send");
    let again = envelope.steps[0].clone();
    envelope.steps.push(again);
    assert_eq!(envelope.scope(), "file.delete file.read mail.send");
    assert_eq!(Envelope::default().scope(), "");
}

#[test]
fn every_part_of_an_envelope_is_under_its_digest() {
    let value = serde_json::to_value(envelope()).unwrap();
    for (pointer, change) in [
        ("/steps/0/id", json!("other")),
        ("/steps/1/location", json!("http://localhost:1")),
        ("/steps/1/action", json!("other")),
        ("/steps/1/resource/id", json!("other")),
        ("/steps/1/args/force/const", json!(false)),
        ("/steps/1/uses", json!(2)),
        ("/steps/1/class", json!("read")),
    ] {
        let changed: Envelope = serde_json::from_value(at(&value, pointer, Some(change))).unwrap();
        assert_ne!(changed.digest(), envelope().digest(), "{pointer}");
    }
    assert_eq!(envelope().step("drop").map(|step| step.action.as_str()), Some("file.delete"));
    assert_eq!(envelope().step("nowhere"), None);
}

#[test]
fn a_token_is_named_by_the_hash_of_its_octets() {
    assert_eq!(token_hash("a"), Digest::of(b"a"));
    assert_ne!(token_hash("a"), token_hash("a "));
}
