//! A submitted plan: every limit and every refusal, with its path.

use crate::support::{at, merged, objects, resolved, submission};
use marque_core::canonical::{Digest, canonical};
use marque_core::claims::Confirmation;
use marque_core::json::Refused;
use marque_core::limits;
use marque_core::plan::{ResolvedPlan, SubmittedPlan, User};
use serde_json::{Value, json};

fn parse(document: &Value) -> Result<SubmittedPlan, Refused> {
    SubmittedPlan::parse(document.to_string().as_bytes())
}

#[track_caller]
fn refused_at(document: &Value, path: &str) {
    let refused = parse(document).expect_err(path);
    assert_eq!(refused.path, path, "{refused}");
}

/// The sample with one place changed is refused there.
#[track_caller]
fn refuses(pointer: &str, value: Value, path: &str) {
    refused_at(&at(&submission(), pointer, Some(value)), path);
}

#[track_caller]
fn accepts(pointer: &str, value: Value) {
    let document = at(&submission(), pointer, Some(value));
    parse(&document).unwrap_or_else(|refused| panic!("{pointer}: {refused}"));
}

fn text(chars: usize) -> Value {
    Value::from("ä".repeat(chars))
}

#[test]
fn the_sample_is_accepted_and_defaults_are_the_narrow_ones() {
    let plan = parse(&submission()).unwrap();
    assert_eq!(plan.steps[1].uses, marque_core::plan::Uses::Count(1), "absent means once");
    let mut bare = submission();
    bare.as_object_mut().unwrap().remove("delegates");
    bare["steps"][1].as_object_mut().unwrap().remove("args");
    let plan = parse(&bare).unwrap();
    assert!(plan.delegates.is_empty() && plan.steps[1].args.is_empty());
}

/// An unknown member is refused in every object of a plan, named with its path.
#[test]
fn unknown_members_are_refused_everywhere() {
    for pointer in objects(&submission()) {
        let refused = parse(&at(&submission(), &format!("{pointer}/surprise"), Some(json!(1))));
        if pointer.ends_with("/args") {
            assert!(refused.unwrap_err().path.ends_with(".args.surprise"), "1 is no constraint");
        } else {
            let refused = refused.expect_err(&pointer);
            let place = pointer.replace("/steps/", ".steps[").replace("/delegates/", ".delegates[");
            let first = place.split(['/', '[']).next().unwrap();
            assert!(refused.path.starts_with(&format!("${first}")), "{pointer}: {refused}");
        }
    }
    refuses("/surprise", json!(1), "$.surprise");
    refuses("/steps/1/surprise", json!(1), "$.steps[1].surprise");
}

#[test]
fn members_without_a_default_are_required() {
    for pointer in ["/version", "/purpose", "/agent", "/user", "/mode", "/limits", "/steps"] {
        refused_at(&at(&submission(), pointer, None), "$");
    }
    for pointer in ["/id", "/location", "/action", "/resource"] {
        refused_at(&at(&submission(), &format!("/steps/1{pointer}"), None), "$.steps[1]");
    }
    for (pointer, path) in [
        ("/limits/max_hops", "$.limits"),
        ("/steps/1/resource/type", "$.steps[1].resource"),
        ("/steps/1/resource/id", "$.steps[1].resource"),
        ("/delegates/0/client_id", "$.delegates[0]"),
        ("/delegates/0/steps", "$.delegates[0]"),
    ] {
        refused_at(&at(&submission(), pointer, None), path);
    }
}

#[test]
fn version_and_mode_are_closed() {
    for version in [json!(0), json!(2), json!("1"), json!(true), json!(null)] {
        refuses("/version", version, "$.version");
    }
    for mode in ["lenient", "Strict", ""] {
        refuses("/mode", json!(mode), "$.mode");
    }
}

#[test]
fn texts_and_identifiers_have_a_length_and_are_not_empty() {
    let places = [
        ("/agent", "$.agent"),
        ("/steps/1/id", "$.steps[1].id"),
        ("/steps/1/action", "$.steps[1].action"),
        ("/steps/1/resource/type", "$.steps[1].resource.type"),
        ("/steps/1/resource/id", "$.steps[1].resource.id"),
        ("/delegates/0/client_id", "$.delegates[0].client_id"),
    ];
    let without_delegates = |pointer: &str, value: Value| {
        let document = at(&submission(), pointer, Some(value));
        if pointer.starts_with("/steps") { at(&document, "/delegates", Some(json!([]))) } else { document }
    };
    for (pointer, path) in places {
        refused_at(&without_delegates(pointer, text(0)), path);
        refused_at(&without_delegates(pointer, text(limits::IDENTIFIER_CHARS + 1)), path);
        parse(&without_delegates(pointer, text(limits::IDENTIFIER_CHARS))).unwrap();
    }
    refuses("/purpose", text(0), "$.purpose");
    refuses("/purpose", text(limits::PURPOSE_CHARS + 1), "$.purpose");
    accepts("/purpose", text(limits::PURPOSE_CHARS));
    refuses("/purpose", json!("two\nlines"), "$.purpose");
    refuses("/steps/1/resource/id", json!("a\u{202e}b"), "$.steps[1].resource.id");
}

#[test]
fn a_user_is_named_in_exactly_one_way() {
    for user in [json!({}), json!({"sub": "1", "username": "alice"})] {
        refuses("/user", user, "$.user");
    }
    for (user, path) in [
        (json!({"username": ""}), "$.user.username"),
        (json!({"sub": ""}), "$.user.sub"),
        (json!({"sub": "a".repeat(limits::IDENTIFIER_CHARS + 1)}), "$.user.sub"),
        (json!({"sub": null, "username": "alice"}), "$.user.sub"),
        (json!({"sub": "1", "username": null}), "$.user.username"),
        (json!({"username": 1}), "$.user.username"),
        (json!("alice"), "$.user"),
    ] {
        refuses("/user", user, path);
    }
    accepts("/user", json!({"sub": "3b0d5f0e"}));
}

#[test]
fn limits_are_stated_once_and_in_range() {
    for (limits, path) in [
        (json!({"max_hops": 1}), "$.limits"),
        (json!({"max_hops": 1, "lifetime_secs": 5, "expires_at": "2026-11-22T03:00:00Z"}), "$.limits"),
        (json!({"max_hops": 1, "lifetime_secs": null, "expires_at": "2026-11-22T03:00:00Z"}), "$.limits.lifetime_secs"),
        (json!({"max_hops": 1, "lifetime_secs": 5, "expires_at": null}), "$.limits.expires_at"),
        (json!({"max_hops": limits::HOPS + 1, "lifetime_secs": 5}), "$.limits.max_hops"),
        (json!({"max_hops": -1, "lifetime_secs": 5}), "$.limits.max_hops"),
        (json!({"max_hops": "1", "lifetime_secs": 5}), "$.limits.max_hops"),
        (json!({"max_hops": 1, "lifetime_secs": 0}), "$.limits.lifetime_secs"),
        (json!({"max_hops": 1, "lifetime_secs": -5}), "$.limits.lifetime_secs"),
        (json!({"max_hops": 1, "lifetime_secs": limits::LIFETIME_SECS + 1}), "$.limits.lifetime_secs"),
    ] {
        refuses("/limits", limits, path);
    }
    for bad in [
        "2026-11-22T03:00:00.0Z",
        "2026-11-22T03:00:00+00:00",
        "2026-11-22 03:00:00Z",
        "2026-11-22T03:00:00z",
        "2026-02-30T03:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-12-31T23:59:60Z",
        "tomorrow",
    ] {
        refuses("/limits", json!({"max_hops": 1, "expires_at": bad}), "$.limits.expires_at");
    }
    accepts("/limits", json!({"max_hops": limits::HOPS, "lifetime_secs": limits::LIFETIME_SECS}));
    accepts("/limits", json!({"max_hops": 0, "expires_at": "2026-11-22T03:00:00Z"}));
}

#[test]
fn steps_are_one_to_two_hundred_with_distinct_ids() {
    refuses("/steps", json!([]), "$.steps");
    let many = |count: usize| {
        let steps = (0..count).map(|n| at(&submission()["steps"][1], "/id", Some(json!(format!("s{n}"))))).collect();
        merged(&submission(), &json!({"steps": Value::Array(steps), "delegates": []}))
    };
    assert!(parse(&many(limits::STEPS)).is_ok());
    refused_at(&many(limits::STEPS + 1), "$.steps");
    refuses("/steps/2/id", json!("drop"), "$.steps[2].id");
}

#[test]
fn a_plan_has_a_size() {
    let mut bytes = submission().to_string().into_bytes();
    bytes.resize(limits::PLAN_BYTES, b' ');
    assert!(SubmittedPlan::parse(&bytes).is_ok());
    bytes.push(b' ');
    assert_eq!(SubmittedPlan::parse(&bytes).unwrap_err().path, "$");
}

#[test]
fn a_location_is_a_uri_in_normal_form() {
    for bad in [
        "http://localhost:7502/",
        "http://localhost:7502/a/",
        "HTTP://localhost:7502",
        "http://LOCALHOST:7502",
        "http://localhost:80",
        "https://rs.example:443/a",
        "http://localhost:7502/a/../b",
        "http://localhost:7502/./a",
        "http://localhost:7502/a/%2e%2e/b",
        "http://localhost:7502/a%2Fb",
        "http://localhost:7502/a%2fb",
        "http://localhost:7502/a%5Cb",
        "http://localhost:7502/%7Eme",
        "http://localhost:7502/a%",
        "http://localhost:7502/a\\b",
        "http://localhost:7502/a b",
        "http://user@localhost:7502",
        "http://user:pw@localhost:7502",
        "http://@localhost:7502",
        "http://localhost:7502?",
        "http://localhost:7502?x=1",
        "http://localhost:7502#",
        "http://localhost:7502#x",
        "http://localhost:07502",
        "http://localhost:",
        "http:localhost",
        "http:/localhost",
        "http://127.1",
        "http://0x7f.0.0.1",
        "http://bücher.example",
        "//localhost:7502",
        "localhost:7502",
        "ftp://localhost",
        "file:///etc",
        "urn:rs",
        " http://localhost:7502",
        "",
    ] {
        refuses("/steps/1/location", json!(bad), "$.steps[1].location");
    }
    for good in ["http://localhost:7502", "https://rs.example", "https://rs.example/a/b-c~d", "http://[::1]:7502"] {
        accepts("/steps/1/location", json!(good));
    }
}

#[test]
fn uses_are_a_number_in_range_or_any() {
    for bad in [json!(0), json!(-1), json!(limits::USES + 1), json!("1"), json!("Any"), json!(null), json!(true)] {
        refuses("/steps/1/uses", bad, "$.steps[1].uses");
    }
    for good in [json!(1), json!(limits::USES), json!("any")] {
        accepts("/steps/1/uses", good);
    }
}

#[test]
fn constraints_are_of_the_closed_registry() {
    let argument = "/steps/1/args/force";
    for bad in [
        json!({"regex": "a.*"}),
        json!({"const": 1, "any": true}),
        json!({}),
        json!("a"),
        json!(1),
        json!(null),
        json!(["const", 1]),
        json!({"any": false}),
        json!({"any": 1}),
        json!({"text": {}}),
        json!({"text": {"max": -1}}),
        json!({"text": {"max": 5, "links": true}}),
        json!({"text": {"max": 5, "urls": "yes"}}),
        json!({"one_of": "ab"}),
        json!({"Const": 1}),
    ] {
        let refused = parse(&at(&submission(), argument, Some(bad.clone()))).expect_err(&bad.to_string());
        assert!(refused.path.starts_with("$.steps[1].args.force"), "{bad}: {refused}");
        let refused = parse(&at(&submission(), "/steps/1/resource/id", Some(bad.clone())));
        if bad != json!("a") {
            assert!(refused.unwrap_err().path.starts_with("$.steps[1].resource.id"), "{bad}");
        }
    }
    let values = |count: usize| json!({"one_of": (0..count).collect::<Vec<_>>()});
    refuses(argument, values(0), "$.steps[1].args.force.one_of");
    refuses(argument, values(limits::ALTERNATIVES + 1), "$.steps[1].args.force.one_of");
    refuses("/steps/1/resource/id", values(0), "$.steps[1].resource.id.one_of");
    accepts(argument, values(limits::ALTERNATIVES));
    let length = |max: u64| json!({"text": {"max": max}});
    refuses(argument, length(limits::TEXT_CHARS + 1), "$.steps[1].args.force.text.max");
    accepts(argument, length(limits::TEXT_CHARS));
    accepts(argument, json!({"const": null}));
}

#[test]
fn arguments_have_names_and_a_number() {
    let many = |count: usize| (0..count).map(|n| (format!("a{n}"), json!({"any": true}))).collect::<Value>();
    accepts("/steps/1/args", many(limits::ARGUMENTS));
    refuses("/steps/1/args", many(limits::ARGUMENTS + 1), "$.steps[1].args");
    refuses("/steps/1/args", json!({"": {"any": true}}), "$.steps[1].args.");
    let long = "n".repeat(limits::IDENTIFIER_CHARS + 1);
    refuses("/steps/1/args", json!({&long: {"any": true}}), &format!("$.steps[1].args.{long}"));
}

#[test]
fn a_prefix_has_a_length_and_a_slot_a_name_without_braces() {
    let argument = "/steps/1/args/force";
    let prefix = |chars: usize| json!({"prefix": format!("{}/", "a".repeat(chars - 1))});
    accepts(argument, prefix(limits::VALUE_CHARS));
    refuses(argument, prefix(limits::VALUE_CHARS + 1), "$.steps[1].args.force.prefix");
    let fmt = |template: &str, slot: &str| json!({"fmt": {"template": template, "slots": {slot: {"const": "b"}}}});
    accepts(argument, fmt("a {b} c", "b"));
    for (template, slot) in [("a {} c", ""), ("a {b{c} d", "b{c"), ("a {{b} c", "{b")] {
        refuses(argument, fmt(template, slot), "$.steps[1].args.force.fmt.template");
    }
}

/// A list of an object's members in some order would be a second way to write the same plan.
#[test]
fn an_object_is_no_list_and_a_name_no_object() {
    for (pointer, list, path) in [
        ("/user", json!([null, "alice"]), "$.user"),
        ("/limits", json!([null, 3600, 2]), "$.limits"),
        ("/steps/1/resource", json!(["file", "a/b"]), "$.steps[1].resource"),
        ("/delegates/0", json!(["demo-worker", ["drop"]]), "$.delegates[0]"),
        ("/steps/1/args/force", json!({"text": [5]}), "$.steps[1].args.force.text"),
        ("/steps/1/args/force", json!({"num": ["1", "2"]}), "$.steps[1].args.force.num"),
        (
            "/steps/1/args/force",
            json!({"all": [{"any": true}, {"items": [{"any": true}, 1]}]}),
            "$.steps[1].args.force.all[1].items",
        ),
        ("/steps/1/resource/id", json!({"text": [5]}), "$.steps[1].resource.id"),
        ("/mode", json!({"strict": null}), "$.mode.strict"),
        ("/steps/1/approve", json!({"plan": null}), "$.steps[1].approve.plan"),
    ] {
        refuses(pointer, list, path);
    }
    let whole = submission();
    let members = ["version", "purpose", "agent", "user", "mode", "limits", "steps", "delegates"];
    refused_at(&members.iter().map(|name| whole[*name].clone()).collect(), "$");
}

#[test]
fn the_star_argument_opens_the_rest_and_takes_any_only() {
    for bad in [json!({"const": 1}), json!({"text": {"max": 1}}), json!({"one_of": [1]})] {
        refuses("/steps/1/args/*", bad, "$.steps[1].args.*");
    }
    accepts("/steps/1/args/*", json!({"any": true}));
}

#[test]
fn delegates_are_other_clients_with_steps_of_the_plan() {
    let worker = |steps: Value| json!({"client_id": "demo-worker", "steps": steps});
    let cases = [
        (json!([worker(json!([]))]), "$.delegates[0].steps"),
        (json!([worker(json!(["drop", "nowhere"]))]), "$.delegates[0].steps"),
        (json!([worker(json!(["drop", "drop"]))]), "$.delegates[0].steps"),
        (json!([worker(json!(["drop"])), worker(json!(["tell"]))]), "$.delegates[1].client_id"),
        (json!([{"client_id": "demo-agent", "steps": ["drop"]}]), "$.delegates[0].client_id"),
        (json!([{"client_id": "", "steps": ["drop"]}]), "$.delegates[0].client_id"),
        (json!([worker(json!([1]))]), "$.delegates[0].steps[0]"),
        (json!([worker(json!("drop"))]), "$.delegates[0].steps"),
        (json!(null), "$.delegates"),
    ];
    for (delegates, path) in cases {
        refuses("/delegates", delegates, path);
    }
    let many = |count: usize| (0..count).map(|n| json!({"client_id": format!("w{n}"), "steps": ["drop"]})).collect();
    accepts("/delegates", many(limits::DELEGATES));
    refuses("/delegates", many(limits::DELEGATES + 1), "$.delegates");
}

#[test]
fn a_resolved_plan_reads_back_from_its_canonical_bytes_only() {
    let plan = resolved();
    let bytes = plan.canonical();
    assert_eq!(ResolvedPlan::from_canonical(&bytes), Ok(plan.clone()));
    assert_eq!(plan.expires_at(), Ok(crate::support::NOW + 3600));
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let refused = |bytes: &[u8]| ResolvedPlan::from_canonical(bytes).unwrap_err().path;
    assert_eq!(refused(&[bytes.as_slice(), b"\n"].concat()), "$");
    assert_eq!(refused(serde_json::to_string_pretty(&value).unwrap().as_bytes()), "$");
    for (pointer, spoilt) in [
        ("/delegates", json!([])),
        ("/user/sub", json!(null)),
        ("/steps/2/args/body/text/urls", json!(false)),
        ("/delegates/0/steps", json!(["tell", "drop"])),
        ("/delegates/0/steps", json!(["drop", "drop", "tell"])),
    ] {
        let document = at(&value, pointer, Some(spoilt));
        assert!(ResolvedPlan::from_canonical(&canonical(&document)).is_err(), "{pointer}");
    }
    for pointer in objects(&value).into_iter().filter(|pointer| !pointer.ends_with("/args")) {
        let document = at(&value, &format!("{pointer}/surprise"), Some(json!({"any": true})));
        assert!(ResolvedPlan::from_canonical(&canonical(&document)).is_err(), "{pointer}");
    }
}

/// Members beside each other would leave open which one counts.
#[test]
fn the_agent_of_a_plan_proves_a_key_or_a_certificate() {
    let value: Value = serde_json::from_slice(&resolved().canonical()).unwrap();
    let thumbprint = Digest::of(b"certificate");
    let read = |agent: Value| ResolvedPlan::from_canonical(&canonical(&at(&value, "/agent", Some(agent))));
    let certified = read(json!({"client_id": "demo-agent", "x5t#S256": thumbprint.to_base64()})).unwrap();
    assert_eq!(certified.agent.cnf, Confirmation::X5t(thumbprint));
    assert_eq!(ResolvedPlan::from_canonical(&certified.canonical()), Ok(certified));
    for bad in [
        json!({"client_id": "demo-agent"}),
        json!({"client_id": "demo-agent", "jkt": "k", "x5t#S256": thumbprint.to_base64()}),
        json!({"client_id": "demo-agent", "jkt": "k", "x5t#S256": null}),
        json!({"client_id": "demo-agent", "x5t#S256": "k"}),
        json!({"client_id": "demo-agent", "cnf": {"jkt": "k"}}),
        json!({"jkt": "k"}),
    ] {
        assert!(read(bad.clone()).unwrap_err().path.starts_with("$.agent"), "{bad}");
    }
}

#[test]
fn every_part_of_a_resolved_plan_is_under_its_digest() {
    let value: Value = serde_json::from_slice(&resolved().canonical()).unwrap();
    let changes = [
        ("/issuer", json!("http://localhost:7500/realms/other")),
        ("/intent_id", json!("018f0000-0000-7000-8000-000000000002")),
        ("/purpose", json!("Something else")),
        ("/agent/client_id", json!("other-agent")),
        ("/agent/jkt", json!("other")),
        ("/user/iss", json!("http://localhost:7510/realms/other")),
        ("/user/username", json!("bob")),
        ("/limits/expires_at", json!("2027-11-22T03:00:00Z")),
        ("/limits/max_hops", json!(3)),
        ("/steps/1/args/force/const", json!(false)),
        ("/steps/2/uses", json!(4)),
        ("/steps/0/class", json!("grant")),
        ("/delegates/0/client_id", json!("other-worker")),
        ("/catalogs/0/version", json!(9)),
    ];
    for (pointer, change) in changes {
        let changed = at(&value, pointer, Some(change));
        let changed = ResolvedPlan::from_canonical(&canonical(&changed)).unwrap();
        assert_ne!(changed.digest(), resolved().digest(), "{pointer}");
    }
    let mut certified = resolved();
    let Confirmation::Jkt(jkt) = &certified.agent.cnf else { panic!("submitted with a key") };
    certified.agent.cnf = Confirmation::X5t(Digest::from_base64(jkt).unwrap());
    assert_ne!(certified.digest(), resolved().digest(), "a certificate is no key");
    let mut reordered = resolved();
    reordered.steps.swap(0, 1);
    assert_ne!(reordered.digest(), resolved().digest(), "the order of steps is signed");
}

#[test]
fn only_the_agent_and_its_delegates_may_carry_out_steps() {
    let plan = resolved();
    for step in ["look", "drop", "tell"] {
        assert!(plan.may_carry_out("demo-agent", step));
        assert_eq!(plan.may_carry_out("demo-worker", step), step != "look");
        assert!(!plan.may_carry_out("stranger", step));
    }
    assert!(plan.is_delegate("demo-worker") && !plan.is_delegate("demo-agent") && !plan.is_delegate("stranger"));
}

#[test]
fn a_user_is_recognised_within_one_realm_by_the_way_the_plan_names_her() {
    let user = |sub: Option<&str>, name: Option<&str>| User {
        iss: "r".into(),
        sub: sub.map(str::to_owned),
        username: name.map(str::to_owned),
    };
    let by_name = user(None, Some("alice"));
    assert!(by_name.is("r", "1", "alice"));
    assert!(!by_name.is("other", "1", "alice") && !by_name.is("r", "alice", "1"));
    let by_sub = user(Some("1"), None);
    assert!(by_sub.is("r", "1", "alice"));
    assert!(!by_sub.is("other", "1", "alice") && !by_sub.is("r", "2", "1"));
    assert!(!user(None, None).is("r", "", "") && !user(Some("1"), Some("alice")).is("r", "1", "alice"));
}

#[test]
fn what_is_blocked_depends_on_no_step() {
    let blocked = |id: Value| json!([{"resource": {"type": "file", "id": id}}]);
    accepts("/blocked", blocked(json!({"prefix": "secret/"})));
    for late in [json!({"quote": {"step": "look"}}), json!({"optional": {"any": true}})] {
        refuses("/blocked", blocked(late), "$.blocked[0].resource.id");
    }
    let nested = json!({"all": [{"any": true}, {"ref": {"step": "look", "field": "/id"}}]});
    refuses("/blocked", blocked(nested), "$.blocked[0].resource.id");
}
