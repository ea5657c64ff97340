//! Batch Core and Batch Properties: several decisions (C-3).

use crate::asker::{Asker, EVALUATIONS, Reply, action, question, record, user, with};
use serde_json::{Value, json};

fn status(id: &str, status: &str) -> Value {
    with(record(id), json!({"status": status}))
}

async fn ask(what: &str, body: Value) -> Reply {
    Asker::open().await.ask(what, EVALUATIONS, &body).await
}

#[tokio::test]
async fn order_and_length_are_kept() {
    let both = json!([{"resource": record("record-1")}, {"resource": record("record-2")}]);
    let body = json!({"subject": user("alice"), "action": action("read"), "evaluations": both});
    assert_eq!(ask("two records", body).await.decisions().len(), 2);
    let both = json!([{"action": action("read")}, {"action": action("write")}]);
    let body = json!({"subject": user("bob"), "resource": record("record-1"), "evaluations": both});
    assert_eq!(ask("two actions", body).await.decisions(), [true, false]);
    let many: Vec<Value> = (0..100).map(|index| json!({"action": action(["read", "write"][index % 2])})).collect();
    let body = json!({"subject": user("bob"), "resource": record("record-1"), "evaluations": many});
    let expected: Vec<bool> = (0..100).map(|index| index % 2 == 0).collect();
    assert_eq!(ask("as many as there may be", body).await.decisions(), expected);
}

#[tokio::test]
async fn items_may_say_everything_themselves() {
    let body = json!({"evaluations": [
        question(user("alice"), action("read"), record("record-1")),
        question(user("bob"), action("write"), record("record-1")),
    ]});
    assert_eq!(ask("no defaults", body).await.decisions(), [true, false]);
}

#[tokio::test]
async fn properties_count_item_by_item() {
    let records = json!([{"resource": status("record-1", "active")}, {"resource": status("record-2", "archived")}]);
    let body = json!({"subject": user("alice"), "action": action("write"), "evaluations": records});
    assert_eq!(ask("two records with a status", body).await.decisions(), [true, false]);
    let subjects = json!([{"subject": user("alice")}, {"subject": with(user("bob"), json!({"role": "admin"}))}]);
    let body = json!({"action": action("write"), "resource": status("record-2", "archived"), "evaluations": subjects});
    assert_eq!(ask("two subjects, one with a role", body).await.decisions(), [false, true]);
}

#[tokio::test]
async fn a_context_is_inherited_or_replaced() {
    let body = json!({
        "subject": user("alice"), "action": action("read"), "context": {"time": "2025-06-27T18:03-07:00"},
        "evaluations": [
            {"resource": record("record-1")},
            {"resource": record("record-2"), "context": {"time": "2025-06-27T19:00-07:00", "source": "batch-override"}},
        ],
    });
    assert_eq!(ask("contexts", body).await.decisions().len(), 2);
}

#[tokio::test]
async fn an_item_replaces_an_entity_and_inherits_what_it_must_have() {
    let body = json!({
        "subject": user("alice"), "action": action("write"), "resource": {"type": "record"},
        "evaluations": [
            {"resource": {"id": "record-1", "properties": {"status": "active"}}},
            {"resource": status("record-2", "archived")},
        ],
    });
    assert_eq!(ask("a resource without its type", body).await.decisions(), [true, false]);
    let body = json!({
        "subject": user("alice"), "action": action("write"), "resource": status("record-1", "archived"),
        "evaluations": [{}, {"resource": record("record-1")}],
    });
    assert_eq!(ask("properties are not inherited", body).await.decisions(), [false, true]);
}

#[tokio::test]
async fn an_item_that_lacks_a_member_is_denied_alone() {
    let body = json!({
        "subject": user("alice"), "action": action("read"),
        "evaluations": [{"resource": record("record-1")}, {}, {"resource": record("record-1")}, 5],
    });
    assert_eq!(ask("a hole", body).await.decisions(), [true, false, true, false]);
}

#[tokio::test]
async fn no_items_are_one_question() {
    let mut body = question(user("alice"), action("read"), record("record-1"));
    let reply = ask("no list", body.clone()).await;
    assert!(reply.decision() && reply.body.get("evaluations").is_none());
    body["evaluations"] = json!([]);
    let reply = ask("an empty list", body).await;
    assert!(reply.decision() && reply.body.get("evaluations").is_none());
}

#[tokio::test]
async fn the_semantic_says_when_to_stop() {
    let items = json!([
        {"action": action("read")}, {"action": action("write")}, {}, {"action": action("read")},
    ]);
    let body = |semantic: &str, items: &Value| {
        json!({
            "subject": user("bob"), "resource": record("record-1"), "evaluations": items,
            "options": {"evaluations_semantic": semantic},
        })
    };
    let reversed = json!([{}, {"action": action("write")}, {"action": action("read")}, {"action": action("read")}]);
    for (semantic, items, expected) in [
        ("execute_all", &items, &[true, false, false, true][..]),
        ("deny_on_first_deny", &items, &[true, false]),
        ("permit_on_first_permit", &items, &[true]),
        ("execute_all", &reversed, &[false, false, true, true]),
        ("deny_on_first_deny", &reversed, &[false]),
        ("permit_on_first_permit", &reversed, &[false, false, true]),
    ] {
        assert_eq!(ask(semantic, body(semantic, items)).await.decisions(), expected, "{semantic}");
    }
    ask("a semantic that is none", body("first", &items)).await.refused();
}

#[tokio::test]
async fn a_batch_that_is_none_is_a_bad_request() {
    for (what, evaluations) in
        [("an object", json!({})), ("a text", json!("all")), ("too many", json!(vec![json!({}); 101]))]
    {
        let mut body = question(user("alice"), action("read"), record("record-1"));
        body["evaluations"] = evaluations;
        ask(what, body).await.refused();
    }
}
