//! What is wide is found, at its place, and what is narrow is left alone.

use crate::support::{FILES, at, catalog, catalogs, submission, submitted};
use marque_core::catalog::Catalog;
use marque_core::lint::{Finding, Rule, lint};
use marque_core::plan::SubmittedPlan;
use serde_json::{Value, json};

/// A catalog with one action of each class that matters here.
fn described() -> Vec<Catalog> {
    let action = |class: &str, reversible: bool, args: Value| json!({"class": class, "reversible": reversible, "resource": "t", "args": args, "display": {"en": "Does it"}});
    let text = json!({"type": "string"});
    let mut read = action("read", true, json!({"q": text, "n": {"type": "integer"}}));
    read["results"] = json!({
        "/iban": {"type": "string", "source": "third_party"}, "/id": {"type": "string", "source": "authoritative"},
        "/text": {"type": "text", "source": "third_party"}});
    vec![catalog(&json!({"iss": "x", "version": 1, "location": FILES,
        "collections": {"suppliers": {"source": "third_party"}}, "actions": {
        "read": read,
        "change": action("change", true, json!({"a": text, "n": {"type": "integer"}, "ok": {"type": "boolean"},
            "list": {"type": "array"}, "path": text, "host": text, "o": {"type": "object"},
            "secret": {"type": "string", "sensitive": "access"}})),
        "delete": action("delete", false, json!({"force": {"type": "boolean"}})),
        "send": action("send", false, json!({"to": text, "body": text, "cc": text})),
        "pay": action("pay", false, json!({"to": text, "amount": {"type": "object"}, "n": {"type": "number"}})),
    }}))]
}

fn step(id: &str, action: &str, args: Value) -> Value {
    json!({"id": id, "location": FILES, "action": action, "resource": {"type": "t", "id": "r"}, "args": args})
}

fn plan(steps: Value) -> Value {
    json!({"version": 1, "purpose": "p", "agent": "a", "user": {"username": "u"}, "mode": "strict",
        "limits": {"lifetime_secs": 3600, "max_hops": 0}, "steps": steps})
}

fn found(plan: &Value, catalogs: &[Catalog]) -> Vec<Finding> {
    lint(&submitted(plan), catalogs)
}

/// The only finding of a plan, and that what it proposes is a plan without it.
#[track_caller]
fn only(plan: &Value, rule: Rule, path: &str) -> Finding {
    let found = found(plan, &described());
    let [finding] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((finding.rule, finding.path.as_str()), (rule, path));
    if let Some(write) = &finding.write {
        let pointer = path.trim_start_matches('$').replace('[', ".").replace(']', "").replace('.', "/");
        let mended = at(plan, &pointer, Some(write.clone()));
        let left = lint(&SubmittedPlan::from_value(mended.clone()).unwrap(), &described());
        assert!(left.iter().all(|left| left.rule != rule), "{mended} {left:?}");
    }
    finding.clone()
}

#[track_caller]
fn of_step(step: Value, rule: Rule, member: &str) -> Finding {
    only(&plan(json!([step])), rule, &format!("$.steps[0].{member}"))
}

#[test]
fn a_narrow_plan_has_no_findings() {
    let narrow = json!([
        step("a", "change", json!({"a": {"text": {"max": 20}}, "n": {"num": {"max": "5"}}})),
        step("b", "delete", json!({"force": {"const": true}})),
        step("c", "send", json!({"to": {"const": "a@x.com"}, "body": {"text": {"max": 100}}})),
        step("d", "pay", json!({"to": {"one_of": ["x", "y"]}, "amount": {"amount": {"max": "5", "currency": "EUR"}}})),
    ]);
    assert_eq!(found(&plan(narrow), &described()), []);
}

#[test]
fn what_arguments_leave_open_is_found() {
    use Rule as R;
    let change = |args: Value| step("s", "change", args);
    for (args, rule, member) in [
        (json!({"a": {"any": true}}), R::AnyValue, "args.a"),
        (json!({"n": {"any": true}}), R::AnyValue, "args.n"),
        (json!({"ok": {"any": true}}), R::AnyValue, "args.ok"),
        (json!({"list": {"any": true}}), R::AnyValue, "args.list"),
        (json!({"o": {"any": true}}), R::AnyValue, "args.o"),
        (json!({"*": {"any": true}}), R::OpenArguments, "args.*"),
        (json!({"o": {"obj": {"*": {"any": true}}}}), R::OpenArguments, "args.o.obj.*"),
        (json!({"o": {"obj": {"x": {"any": true}}}}), R::AnyValue, "args.o.obj.x"),
        (json!({"list": {"each": {"const": 1}}}), R::UnboundedList, "args.list"),
        (json!({"a": {"pattern": ".*"}}), R::LoosePattern, "args.a"),
        (json!({"a": {"pattern": ".*@x\\.com"}}), R::LoosePattern, "args.a"),
        (json!({"a": {"pattern": "a-.+"}}), R::LoosePattern, "args.a"),
        (json!({"host": {"domain": {"any_of": ["x.com"], "subdomains": true}}}), R::Subdomains, "args.host"),
        (json!({"path": {"prefix": "/"}}), R::RootPrefix, "args.path"),
        (json!({"a": {"one_of": ["x"]}}), R::SingleAlternative, "args.a"),
    ] {
        of_step(change(args), rule, member);
    }
    assert_eq!(found(&plan(json!([change(json!({"a": {"pattern": "a\\.*"}}))])), &described()), [], "dots are no gap");
    let (wide, narrow) = (json!({"pattern": ".*"}), json!({"text": {"max": 9}}));
    let of = |kind: &str, parts: [&Value; 2]| found(&plan(json!([change(json!({"a": {kind: parts}}))])), &described());
    assert_eq!(of("all", [&wide, &narrow]), [], "one of them is narrow");
    assert_eq!(of("all", [&wide, &wide]).len(), 2);
    assert_eq!(of("either", [&narrow, &wide])[0].path, "$.steps[0].args.a.either[1]");
    let mut any = change(json!({"a": {"const": "x"}}));
    any["resource"]["id"] = json!({"any": true});
    of_step(any, R::AnyValue, "resource.id");
}

#[test]
fn what_is_sent_and_paid_is_looked_at_more_closely() {
    use Rule as R;
    of_step(step("s", "send", json!({"body": {"text": {"max": 50, "urls": true}}})), R::LinksInSend, "args.body");
    of_step(step("s", "send", json!({"body": {"text": {"max": 9000}}})), R::LongTextInSend, "args.body");
    of_step(step("s", "send", json!({"cc": {"optional": {"const": "b"}}})), R::OptionalInSend, "args.cc");
    of_step(step("s", "pay", json!({"n": {"num": {"max": "5"}}})), R::OpenNumber, "args.n");
    of_step(step("s", "pay", json!({"n": {"num": {"min": "5"}}})), R::OpenNumber, "args.n");
    let quiet = json!([step("s", "change", json!({"a": {"optional": {"text": {"max": 9000, "urls": true}}}}))]);
    assert_eq!(found(&plan(quiet.clone()), &described()), []);
    let unknown: Vec<Rule> = found(&plan(quiet), &[]).iter().map(|finding| finding.rule).collect();
    assert_eq!(
        unknown,
        [R::OptionalInSend, R::LinksInSend, R::LongTextInSend],
        "the gravest class where none is known"
    );
}

#[test]
fn what_is_done_too_often_or_too_long_is_found() {
    use Rule as R;
    let with = |mut step: Value, name: &str, value: Value| {
        step[name] = value;
        step
    };
    let read = || step("s", "read", json!({"q": {"const": "x"}}));
    of_step(with(read(), "uses", json!("any")), R::UnboundedUses, "uses");
    let delete = step("s", "delete", json!({"force": {"const": true}}));
    of_step(with(delete, "uses", json!(2)), R::RepeatedIrreversible, "uses");
    let window = json!({"from": "2026-11-22T03:00:00Z", "to": "2026-11-24T03:00:00Z"});
    of_step(with(read(), "window", window), R::LongWindow, "window");
    of_step(step("s", "delete", json!({})), R::NoArguments, "args");
    let whole = plan(json!([read()]));
    only(&at(&whole, "/mode", Some(json!("permissive"))), R::PermissiveMode, "$.mode");
    only(&at(&whole, "/limits/lifetime_secs", Some(json!(86_401))), R::LongLifetime, "$.limits.lifetime_secs");
    only(&at(&whole, "/limits/max_hops", Some(json!(1))), R::IdleHops, "$.limits.max_hops");
    let mut two = plan(json!([read(), step("t", "delete", json!({"force": {"const": true}}))]));
    two["delegates"] = json!([{"client_id": "w", "steps": ["s", "t"]}]);
    only(&two, R::DelegateOfEverything, "$.delegates[0].steps");
}

#[test]
fn payments_without_a_sum_are_found_with_a_budget_to_write() {
    let pay = |id: &str, max: &str| {
        step(id, "pay", json!({"to": {"const": id}, "amount": {"amount": {"max": max, "currency": "EUR"}}}))
    };
    let mut two = plan(json!([pay("a", "5"), pay("b", "7.50")]));
    two["limits"]["budgets"] = json!([]);
    let finding = only(&two, Rule::NoBudget, "$.limits.budgets");
    let budget = json!([{"steps": ["a", "b"], "arg": "amount", "max": "7.50", "currency": "EUR"}]);
    assert_eq!(finding.write, Some(budget));
    assert_eq!(found(&plan(json!([pay("a", "5")])), &described()), [], "one payment needs none");
}

#[test]
fn who_will_be_asked_again_is_told_beforehand() {
    let read = step("look", "read", json!({"q": {"const": "x"}}));
    let reference = |field: &str| json!({"ref": {"step": "look", "field": field}});
    let with = |later: Value| plan(json!([read, later]));
    let path = |argument: &str| format!("$.steps[1].args.{argument}");
    let asks = |plan: &Value, argument: &str| only(plan, Rule::AsksAgain, &path(argument));
    asks(&with(step("s", "pay", json!({"to": reference("/iban")}))), "to");
    asks(&with(step("s", "change", json!({"secret": reference("/iban")}))), "secret");
    asks(&with(step("s", "send", json!({"body": {"quote": {"step": "look"}}}))), "body");
    asks(&with(step("s", "pay", json!({"to": {"extract": {"step": "look", "type": "iban"}}}))), "to");
    let record = |collection: &str| json!({"attr": {"collection": collection, "where": {"/name": {"const": "x"}}}});
    asks(&with(step("s", "pay", json!({"to": record("suppliers")}))), "to");
    assert_eq!(found(&with(step("s", "pay", json!({"to": record("payees")}))), &described()), []);
    for narrow in
        [step("s", "pay", json!({"to": reference("/id")})), step("s", "change", json!({"a": reference("/iban")}))]
    {
        assert_eq!(found(&with(narrow), &described()), []);
    }
}

#[test]
fn a_step_that_another_covers_is_found_once() {
    let one = |id: &str, constraint: Value| step(id, "change", json!({"a": constraint}));
    let (narrow, wide) = (json!({"const": "x"}), json!({"one_of": ["x", "y"]}));
    for (first, second, path) in
        [(&narrow, &wide, "$.steps[0]"), (&wide, &narrow, "$.steps[1]"), (&wide, &wide, "$.steps[1]")]
    {
        only(&plan(json!([one("s", first.clone()), one("t", second.clone())])), Rule::RedundantStep, path);
    }
    let apart = plan(json!([one("s", json!({"one_of": ["x", "z"]})), one("t", wide)]));
    assert_eq!(found(&apart, &described()), []);
}

/// A plan that uses every part of the language, with its catalogs.
#[test]
fn findings_of_a_whole_plan_are_in_its_order() {
    let listed: Vec<(String, &str)> =
        found(&submission(), &catalogs()).into_iter().map(|finding| (finding.path, finding.rule.code())).collect();
    let listed: Vec<(&str, &str)> = listed.iter().map(|(path, rule)| (path.as_str(), *rule)).collect();
    assert_eq!(
        listed,
        [
            ("$.steps[0].resource.id", "any_value"),
            ("$.steps[0].uses", "unbounded_uses"),
            ("$.steps[2].args.*", "open_arguments"),
            ("$.steps[2].uses", "repeated_irreversible"),
        ]
    );
}
