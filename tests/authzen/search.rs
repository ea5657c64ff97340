//! Search Core and Search Properties: who, what with, which actions (C-4).

use crate::asker::{
    ACTIONS, Asker, EVALUATION, RESOURCES, Reply, SUBJECTS, action, question, record, user, with, without,
};
use serde_json::{Value, json};

fn archived(id: &str) -> Value {
    with(record(id), json!({"status": "archived"}))
}

fn admin(id: &str) -> Value {
    with(user(id), json!({"role": "admin"}))
}

fn who(name: &str, resource: Value) -> Value {
    question(json!({"type": "user"}), action(name), resource)
}

fn whatever(subject: Value, name: &str) -> Value {
    question(subject, action(name), json!({"type": "record"}))
}

fn which(subject: Value, resource: Value) -> Value {
    json!({"subject": subject, "resource": resource})
}

#[tokio::test]
async fn who_may_do_it() {
    let asker = Asker::open().await;
    for (what, body, must, must_not) in [
        ("read record-1", who("read", record("record-1")), &["alice", "bob"][..], &["carol"][..]),
        ("write record-1", who("write", record("record-1")), &["alice"], &["bob"]),
        ("write archived record-2", who("write", archived("record-2")), &["bob"], &["alice"]),
    ] {
        let reply = asker.ask(what, SUBJECTS, &body).await;
        let found = reply.results("id");
        assert!(reply.results("type").iter().all(|kind| kind == "user"), "{what}");
        assert!(must.iter().all(|id| found.iter().any(|found| found == id)), "{what}: {found:?}");
        assert!(must_not.iter().all(|id| found.iter().all(|found| found != id)), "{what}: {found:?}");
    }
}

#[tokio::test]
async fn what_it_may_be_done_to() {
    let asker = Asker::open().await;
    for (what, body, must, must_not) in [
        ("alice reads", whatever(user("alice"), "read"), "record-1", ""),
        ("alice writes", whatever(user("alice"), "write"), "record-1", "record-2"),
        ("admin bob writes", whatever(admin("bob"), "write"), "record-2", "record-1"),
    ] {
        let reply = asker.ask(what, RESOURCES, &body).await;
        let found = reply.results("id");
        assert!(reply.results("type").iter().all(|kind| kind == "record"), "{what}");
        assert!(found.iter().any(|id| id == must) && found.iter().all(|id| id != must_not), "{what}: {found:?}");
    }
    let guest = whatever(with(user("bob"), json!({"role": "guest"})), "write");
    assert_eq!(asker.ask("a guest writes", RESOURCES, &guest).await.results("id"), [""; 0]);
}

#[tokio::test]
async fn what_may_be_done() {
    let asker = Asker::open().await;
    for (what, body, expected) in [
        ("alice, record-1", which(user("alice"), record("record-1")), &["delete", "read", "write"][..]),
        ("bob, record-1", which(user("bob"), record("record-1")), &["read"]),
        ("admin bob, archived record-2", which(admin("bob"), archived("record-2")), &["read", "write"]),
        ("alice, archived record-2", which(user("alice"), archived("record-2")), &["read"]),
    ] {
        assert_eq!(asker.ask(what, ACTIONS, &body).await.results("name"), expected, "{what}");
    }
}

#[tokio::test]
async fn what_is_found_is_permitted_when_it_is_asked_for() {
    let asker = Asker::open().await;
    for name in ["read", "write"] {
        for resource in [record("record-1"), archived("record-2")] {
            for id in asker.ask(name, SUBJECTS, &who(name, resource.clone())).await.results("id") {
                let question = question(user(&id), action(name), resource.clone());
                assert!(asker.ask(&id, EVALUATION, &question).await.decision(), "{id} {name} {resource}");
            }
        }
        for subject in [user("alice"), admin("bob")] {
            for id in asker.ask(name, RESOURCES, &whatever(subject.clone(), name)).await.results("id") {
                let question = question(subject.clone(), action(name), record(&id));
                assert!(asker.ask(&id, EVALUATION, &question).await.decision(), "{subject} {name} {id}");
            }
        }
    }
}

/// A right search for each endpoint.
fn right() -> [(&'static str, Value); 3] {
    [
        (SUBJECTS, who("read", record("record-1"))),
        (RESOURCES, whatever(user("alice"), "read")),
        (ACTIONS, which(user("alice"), record("record-1"))),
    ]
}

async fn found(asker: &Asker, what: &str, endpoint: &str, body: &Value) -> Reply {
    let reply = asker.ask(what, endpoint, body).await;
    assert!(reply.success()["results"].is_array(), "{what}: {}", reply.body);
    reply
}

#[tokio::test]
async fn context_page_and_the_sought_id_change_nothing() {
    let asker = Asker::open().await;
    for (endpoint, body) in right() {
        let expected = found(&asker, "as it is", endpoint, &body).await.body["results"].clone();
        for (what, member, value) in [
            ("a context", "context", json!({"time": "2025-06-27T18:03-07:00"})),
            ("a page", "page", json!({"limit": 1})),
            ("a page's token", "page", json!({"token": "abc"})),
            ("an unknown member", "future", json!({"nested": true})),
        ] {
            let mut body = body.clone();
            body[member] = value;
            assert_eq!(found(&asker, what, endpoint, &body).await.body["results"], expected, "{what} at {endpoint}");
        }
        let mut body = body.clone();
        match endpoint {
            SUBJECTS => body["subject"]["id"] = "nobody".into(),
            RESOURCES => body["resource"]["id"] = "nothing".into(),
            _ => body["action"] = action("delete"),
        }
        assert_eq!(found(&asker, "the sought", endpoint, &body).await.body["results"], expected, "{endpoint}");
    }
}

#[tokio::test]
async fn what_is_not_known_is_not_found() {
    let asker = Asker::open().await;
    let ship = json!({"type": "spaceship", "id": "alice"});
    for (what, endpoint, body) in [
        ("an unknown user's actions", ACTIONS, which(user("nonexistent-user"), record("record-1"))),
        ("an unknown user's resources", RESOURCES, whatever(user("nonexistent-user"), "read")),
        ("an unknown record's users", SUBJECTS, who("read", record("record-9"))),
        ("an unknown action's users", SUBJECTS, who("fly", record("record-1"))),
        ("an unknown record's actions", ACTIONS, which(user("alice"), record("record-9"))),
        ("subjects of an unknown type", SUBJECTS, question(ship.clone(), action("read"), record("record-1"))),
        ("an unknown type's actions", ACTIONS, which(ship.clone(), record("record-1"))),
        ("an unknown type's resources", RESOURCES, whatever(ship.clone(), "read")),
        ("resources of an unknown type", RESOURCES, question(user("alice"), action("read"), ship.clone())),
        ("actions on an unknown type", ACTIONS, which(user("alice"), ship)),
    ] {
        let reply = found(&asker, what, endpoint, &body).await;
        assert_eq!(reply.body["results"], json!([]), "{what}");
    }
}

#[tokio::test]
async fn what_is_missing_or_of_another_type_is_a_bad_request() {
    let asker = Asker::open().await;
    let members: [&[&str]; 3] = [
        &["/subject", "/subject/type", "/action", "/action/name", "/resource", "/resource/type", "/resource/id"],
        &["/subject", "/subject/type", "/subject/id", "/action", "/action/name", "/resource", "/resource/type"],
        &["/subject", "/subject/type", "/subject/id", "/resource", "/resource/type", "/resource/id"],
    ];
    for ((endpoint, body), members) in right().into_iter().zip(members) {
        for pointer in members {
            asker.ask(&format!("without {pointer}"), endpoint, &without(&body, pointer)).await.refused();
            let wrong = crate::asker::changed(&body, pointer, json!(123));
            asker.ask(&format!("{pointer} = 123"), endpoint, &wrong).await.refused();
        }
        asker.send("plain text", endpoint, "text/plain", &body.to_string()).await.refused();
        asker.send("malformed JSON", endpoint, "application/json", "{").await.refused();
        asker.send("an empty body", endpoint, "application/json", "").await.refused();
        let request = asker.request(endpoint).header("X-Request-ID", "search-1").json(&body);
        assert_eq!(Reply::to("an id", request).await.header("x-request-id"), "search-1", "{endpoint}");
    }
}
