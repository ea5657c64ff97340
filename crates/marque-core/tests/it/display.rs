//! What a person is shown, and what binds a gesture to it.

use crate::support::{at, catalog, catalogs, completion, files_catalog, mail_catalog, resolved, submission, submitted};
use marque_core::canonical::Digest;
use marque_core::challenge::Approval;
use marque_core::display::{DisplayRecord, RENDERER, catalogs_digest, lines, lines_digest};
use marque_core::plan::ResolvedPlan;
use marque_core::resolve::resolve;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn render(plan: &ResolvedPlan) -> Result<Vec<String>, String> {
    lines(plan, &catalogs(), "en")
}

#[test]
fn shows_every_part_of_a_plan() {
    let expected = [
        "demo-agent asks to act for alice.",
        "The agent says (not checked): \"Clean up the reports\"",
        "Ends 2026-11-22T04:00:00Z. At most 2 hops.",
        "3 actions: 1 read, 1 delete, 1 send out. 2 cannot be undone.",
        "1. READ: Reads ANYTHING (UNBOUNDED) to depth (one of 1, 2)",
        "   file.read on file ANYTHING (UNBOUNDED) at http://localhost:7502",
        "   depth: one of 1, 2",
        "   any number of times (UNBOUNDED)",
        "2. DELETE (IRREVERSIBLE): Deletes \"a/b\"",
        "   file.delete on file \"a/b\" at http://localhost:7502",
        "   force: true",
        "   once; also by demo-worker",
        "3. SEND OUT (IRREVERSIBLE): Sends (any text up to 200 characters, without links) to \"bob\", copies to nothing",
        "   mail.send on mailbox \"out\" at http://localhost:7504/mail",
        "   ANY FURTHER ARGUMENTS (UNBOUNDED)",
        "   body: any text up to 200 characters, without links",
        "   to: \"bob\"",
        "   up to 3 times; also by demo-worker",
    ];
    assert_eq!(render(&resolved()).unwrap(), expected);
}

/// RFC 8785 orders member names by UTF-16 code units, where U+1F511 comes before U+FF21.
#[test]
fn arguments_are_in_canonical_order() {
    let action = "/actions/mail.send/args";
    let document = at(&mail_catalog(), &format!("{action}/\u{ff21}"), Some(json!({"type": "string"})));
    let document = at(&document, &format!("{action}/\u{1f511}"), Some(json!({"type": "string"})));
    let known = [catalog(&document), catalog(&files_catalog())];
    let plan = at(&submission(), "/steps/2/args/\u{ff21}", Some(json!({"const": "second"})));
    let plan = at(&plan, "/steps/2/args/\u{1f511}", Some(json!({"const": "first"})));
    let plan = resolve(submitted(&plan), &completion(&known)).unwrap();
    let shown = lines(&plan, &known, "en").unwrap();
    let place = |line: &str| shown.iter().position(|shown| shown == line).unwrap();
    assert!(place("   \u{1f511}: \"first\"") < place("   \u{ff21}: \"second\""));
}

#[test]
fn a_locale_without_wording_is_refused() {
    for locale in ["de", "EN", "en-GB", ""] {
        assert!(lines(&resolved(), &catalogs(), locale).unwrap_err().contains("locale"), "{locale}");
    }
}

#[test]
fn a_step_without_a_catalog_is_refused() {
    let [mail, files] = &catalogs()[..] else { panic!("two catalogs") };
    for known in [vec![], vec![mail.clone()], vec![files.clone()]] {
        assert!(lines(&resolved(), &known, "en").unwrap_err().contains("no catalog describes"));
    }
    let mut plan = resolved();
    plan.steps[0].action = "file.format".into();
    assert!(render(&plan).is_err());
}

/// Nobody reads a control character: it is refused wherever it would get onto the page unescaped.
#[test]
fn control_characters_are_refused_in_every_line() {
    let places: [fn(&mut ResolvedPlan, &str); 6] = [
        |plan, text| plan.agent.client_id = text.into(),
        |plan, text| plan.user.username = Some(text.into()),
        |plan, text| plan.limits.expires_at = text.into(),
        |plan, text| plan.steps[0].resource.kind = text.into(),
        |plan, text| plan.delegates[0].client_id = text.into(),
        |plan, text| {
            let constraint = plan.steps[0].args["depth"].clone();
            plan.steps[0].args.insert(text.into(), constraint);
        },
    ];
    for set in places {
        for bad in ["a\nb", "a\u{0}b", "a\u{1b}[2K", "a\u{7f}", "a\u{85}b", "a\rb"] {
            let mut plan = resolved();
            set(&mut plan, bad);
            assert_eq!(render(&plan).unwrap_err(), "a line holds a control character", "{bad:?}");
        }
        let mut plan = resolved();
        set(&mut plan, "plain");
        assert!(render(&plan).is_ok());
    }
}

#[test]
fn a_wider_plan_reads_differently() {
    let base = render(&resolved()).unwrap();
    let value = serde_json::to_value(resolved()).unwrap();
    let changes = [
        ("/agent/client_id", json!("other")),
        ("/user/username", json!("bob")),
        ("/purpose", json!("x")),
        ("/limits/expires_at", json!("2026-11-22T05:00:00Z")),
        ("/limits/max_hops", json!(1)),
        ("/steps/1/resource/id", json!("a/c")),
        ("/steps/1/resource/id", json!({"any": true})),
        ("/steps/1/args/force", json!({"any": true})),
        ("/steps/1/uses", json!(2)),
        ("/steps/1/class", json!("read")),
        ("/steps/2/args/body/text/urls", json!(true)),
        ("/steps/2/args/body/text/max", json!(201)),
        ("/mode", json!("permissive")),
        ("/limits/turns", json!(3)),
        ("/limits/max_step_ups", json!(1)),
        ("/limits/budgets", json!([{"steps": ["tell"], "max": "2"}])),
        ("/blocked", json!([{"action": "file.write"}])),
        ("/steps/2/after", json!(["look"])),
        ("/steps/2/group", json!("one")),
        ("/steps/2/window", json!({"to": "2026-11-22T03:30:00Z"})),
        ("/steps/2/environment", json!("test")),
        ("/steps/2/approve", json!("step_up")),
        ("/steps/0/added", json!(true)),
        ("/delegates/0/client_id", json!("other-worker")),
        ("/delegates/0/steps", json!(["drop", "look", "tell"])),
    ];
    for (pointer, change) in changes {
        let plan: ResolvedPlan = serde_json::from_value(at(&value, pointer, Some(change))).unwrap();
        assert_ne!(render(&plan).unwrap(), base, "{pointer}");
    }
}

#[test]
fn the_digests_of_a_display_are_of_lines_and_catalogs_in_order() {
    let shown = ["a".to_owned(), "b".to_owned()];
    assert_eq!(lines_digest(&shown), Digest::of(b"a\nb\n"));
    assert_ne!(lines_digest(&shown), lines_digest(&["a\nb".to_owned()[..1].to_owned()]));
    let plan = resolved();
    let mut bytes = plan.catalogs[0].sha256.as_bytes().to_vec();
    bytes.extend(plan.catalogs[1].sha256.as_bytes());
    assert_eq!(catalogs_digest(&plan), Digest::of(&bytes));
}

#[test]
fn each_member_of_the_display_record_counts() {
    let record = |renderer: &str, template: u8, catalog: u8, locale: &str, lines: u8| DisplayRecord {
        renderer: renderer.into(),
        template_sha256: Digest::from_bytes([template; 32]),
        catalog_sha256: Digest::from_bytes([catalog; 32]),
        locale: locale.into(),
        lines_sha256: Digest::from_bytes([lines; 32]),
    };
    let digests = BTreeSet::from([
        record(RENDERER, 1, 2, "en", 3).digest(),
        record("marque-lines/2", 1, 2, "en", 3).digest(),
        record(RENDERER, 9, 2, "en", 3).digest(),
        record(RENDERER, 1, 9, "en", 3).digest(),
        record(RENDERER, 1, 2, "de", 3).digest(),
        record(RENDERER, 1, 2, "en", 9).digest(),
        record(RENDERER, 2, 1, "en", 3).digest(),
    ]);
    assert_eq!(digests.len(), 7);
    let canonical =
        r#"{"catalog_sha256":"C","lines_sha256":"L","locale":"en","renderer":"marque-lines/1","template_sha256":"T"}"#;
    let text = |byte: u8| Digest::from_bytes([byte; 32]).to_base64();
    let canonical = canonical.replace("\"C\"", &Value::from(text(2)).to_string());
    let canonical = canonical.replace("\"L\"", &Value::from(text(3)).to_string());
    let canonical = canonical.replace("\"T\"", &Value::from(text(1)).to_string());
    assert_eq!(record(RENDERER, 1, 2, "en", 3).digest(), Digest::of(canonical.as_bytes()));
    let unknown = at(&serde_json::to_value(record(RENDERER, 1, 2, "en", 3)).unwrap(), "/x", Some(json!(1)));
    assert!(serde_json::from_value::<DisplayRecord>(unknown).is_err());
}

fn approval() -> Approval<'static> {
    Approval {
        realm_issuer: "realm",
        intent_id: "intent",
        plan_digest: Digest::from_bytes([1; 32]),
        display_digest: Digest::from_bytes([2; 32]),
        nonce: [3; 32],
    }
}

#[test]
fn the_challenge_covers_each_part_in_its_place() {
    let bytes = [&b"marque/approval/v1\0realm\0intent\0"[..], &[1; 32], &[2; 32], &[3; 32]].concat();
    assert_eq!(approval().challenge(), Some(Digest::of(&bytes)));
    let digests: BTreeSet<_> = [
        approval(),
        Approval { realm_issuer: "intent", intent_id: "realm", ..approval() },
        Approval { realm_issuer: "real", intent_id: "mintent", ..approval() },
        Approval { intent_id: "other", ..approval() },
        Approval {
            plan_digest: Digest::from_bytes([2; 32]),
            display_digest: Digest::from_bytes([1; 32]),
            ..approval()
        },
        Approval { plan_digest: Digest::from_bytes([9; 32]), ..approval() },
        Approval { display_digest: Digest::from_bytes([9; 32]), ..approval() },
        Approval { nonce: [9; 32], ..approval() },
    ]
    .iter()
    .map(|approval| approval.challenge().unwrap())
    .collect();
    assert_eq!(digests.len(), 8);
}

#[test]
fn a_separator_inside_a_part_has_no_challenge() {
    assert_eq!(Approval { realm_issuer: "realm\0intent", intent_id: "", ..approval() }.challenge(), None);
    assert_eq!(Approval { intent_id: "in\0tent", ..approval() }.challenge(), None);
}
