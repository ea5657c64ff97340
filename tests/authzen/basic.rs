//! Basic Core and Basic Properties: one decision (C-2).

use crate::asker::{Asker, EVALUATION, EVALUATIONS, action, changed, question, record, user, with, without};
use serde_json::{Value, json};

fn archived(id: &str) -> Value {
    with(record(id), json!({"status": "archived"}))
}

fn soft(soft: bool) -> Value {
    with(action("delete"), json!({"soft": soft}))
}

/// The table of the scenario: row, question, decision.
fn table() -> Vec<(&'static str, Value, bool)> {
    let admin = |id: &str| with(user(id), json!({"role": "admin"}));
    vec![
        ("1", question(user("alice"), action("read"), record("record-1")), true),
        ("2", question(user("alice"), action("write"), record("record-1")), true),
        ("3", question(user("bob"), action("read"), record("record-1")), true),
        ("4", question(user("bob"), action("write"), record("record-1")), false),
        ("5", question(user("alice"), action("write"), archived("record-2")), false),
        ("5, whichever record it is", question(user("alice"), action("write"), archived("record-1")), false),
        ("6", question(admin("bob"), action("write"), archived("record-2")), true),
        ("6, whichever record it is", question(admin("bob"), action("write"), archived("record-1")), true),
        ("6, whoever it is", question(admin("alice"), action("write"), archived("record-2")), true),
        ("7", question(user("alice"), soft(true), record("record-1")), true),
        ("8", question(user("alice"), soft(false), record("record-1")), false),
    ]
}

#[tokio::test]
async fn the_eight_decisions_come_out_with_and_without_context() {
    let asker = Asker::open().await;
    let context = json!({"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"});
    for (row, mut question, decision) in table() {
        assert_eq!(asker.ask(row, EVALUATION, &question).await.decision(), decision, "row {row}");
        question["context"] = context.clone();
        assert_eq!(asker.ask(row, EVALUATION, &question).await.decision(), decision, "row {row} with a context");
    }
}

#[tokio::test]
async fn another_role_or_status_is_another_decision() {
    let asker = Asker::open().await;
    let role = |id: &str, role: &str| with(user(id), json!({"role": role}));
    let active = with(record("record-2"), json!({"status": "active"}));
    for (what, question) in [
        ("bob as a guest", question(role("bob", "guest"), action("write"), archived("record-2"))),
        ("an admin at an active record", question(role("bob", "admin"), action("write"), active)),
        ("alice as a manager", question(role("alice", "manager"), action("write"), archived("record-2"))),
        ("alice without a say on softness", question(user("alice"), action("delete"), record("record-1"))),
        ("somebody else", question(role("carol", "admin"), action("write"), archived("record-2"))),
        ("no user", question(json!({"type": "spaceship", "id": "alice"}), action("read"), record("record-1"))),
    ] {
        assert!(!asker.ask(what, EVALUATION, &question).await.decision(), "{what}");
    }
}

#[tokio::test]
async fn further_properties_and_unknown_members_change_nothing() {
    let asker = Asker::open().await;
    let mut rich = question(
        with(user("alice"), json!({"department": "Sales", "role": "manager"})),
        with(action("read"), json!({"method": "GET"})),
        with(record("record-1"), json!({"status": "active", "owner": "bob"})),
    );
    assert!(asker.ask("further properties", EVALUATION, &rich).await.decision());
    rich["foo"] = "bar".into();
    rich["futureField"] = json!({"nested": true});
    rich["subject"]["future"] = json!([1]);
    rich["resource"]["future"] = json!(null);
    assert!(asker.ask("unknown members", EVALUATION, &rich).await.decision());
}

#[tokio::test]
async fn what_is_missing_or_of_another_type_is_a_bad_request() {
    let asker = Asker::open().await;
    let right = question(user("alice"), action("read"), record("record-1"));
    for endpoint in [EVALUATION, EVALUATIONS] {
        for pointer in [
            "/subject",
            "/action",
            "/resource",
            "/subject/type",
            "/subject/id",
            "/action/name",
            "/resource/type",
            "/resource/id",
        ] {
            asker.ask(&format!("without {pointer}"), endpoint, &without(&right, pointer)).await.refused();
            for value in [json!(123), json!(null), json!(["alice"]), json!(true)] {
                let what = format!("{pointer} = {value}");
                asker.ask(&what, endpoint, &changed(&right, pointer, value)).await.refused();
            }
        }
        asker.ask("a text for a subject", endpoint, &changed(&right, "/subject", json!("alice"))).await.refused();
        asker.ask("a text for an action", endpoint, &changed(&right, "/action", json!("read"))).await.refused();
        for (pointer, entity) in
            [("/subject", user("alice")), ("/action", action("read")), ("/resource", record("record-1"))]
        {
            let what = format!("properties of {pointer} that are a list");
            asker.ask(&what, endpoint, &changed(&right, pointer, with(entity, json!([])))).await.refused();
        }
        let mut context = right.clone();
        context["context"] = "here".into();
        asker.ask("a text for a context", endpoint, &context).await.refused();
    }
}

#[tokio::test]
async fn only_json_that_says_it_is_json_is_read() {
    let asker = Asker::open().await;
    let right = question(user("alice"), action("read"), record("record-1")).to_string();
    for endpoint in [EVALUATION, EVALUATIONS] {
        for (what, media_type, text) in [
            ("plain text", "text/plain", right.as_str()),
            ("a form", "application/x-www-form-urlencoded", &right),
            ("malformed JSON", "application/json", "{\"subject\": "),
            ("no object", "application/json", "[]"),
            ("an empty body", "application/json", ""),
        ] {
            asker.send(what, endpoint, media_type, text).await.refused();
        }
        assert!(asker.send("a charset", endpoint, "application/json; charset=utf-8", &right).await.decision());
    }
}

#[tokio::test]
async fn the_request_id_comes_back_and_is_not_needed() {
    let asker = Asker::open().await;
    let right = question(user("alice"), action("read"), record("record-1"));
    for endpoint in [EVALUATION, EVALUATIONS] {
        for (what, body) in [("a permit", &right), ("a bad request", &json!({}))] {
            let request = asker.request(endpoint).header("X-Request-ID", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716");
            let reply = crate::asker::Reply::to(what, request.json(body)).await;
            assert_eq!(reply.header("x-request-id"), "bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "{what}");
        }
        assert!(asker.ask("no id", endpoint, &right).await.decision());
    }
}

#[tokio::test]
async fn the_same_question_gets_the_same_answer() {
    let asker = Asker::open().await;
    for (row, question, decision) in table() {
        for _ in 0..4 {
            assert_eq!(asker.ask(row, EVALUATION, &question).await.decision(), decision, "row {row} again");
        }
    }
}
