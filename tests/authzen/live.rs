//! What stands behind a decision by name: live intents alone, their uses so far, and no charge for asking. This goes
//! beyond the scenario, and needs an approval of its own.

use crate::asker::{ACTIONS, Asker, EVALUATION, RESOURCES, SUBJECTS, action, question, record, user};
use marque_core::call::{Call, CallResource};
use marque_core::names::TOKEN_TYPE_INTENT;
use marque_demo::authzen::{Fixture, grant};
use marque_demo::clients::{Exchange, Party};
use marque_demo::env::Env;
use marque_demo::place::Place;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use tokio::process::Command;

/// The fixture's `bob`, on records that the scenario does not know.
const USER: &str = "bob";

struct Scene {
    asker: Asker,
    place: Place,
    env: Env,
    fixture: Fixture,
}

impl Scene {
    async fn open() -> Self {
        let asker = Asker::open().await;
        let file = std::env::var("MARQUE_STACK").unwrap();
        let place = Place::new(Path::new(&file).parent()).unwrap();
        let (env, fixture) = (Env::read(Path::new(&file)).unwrap(), Fixture::read(&place.dir).unwrap());
        Self { asker, place, env, fixture }
    }

    fn step(&self, id: &str, name: &str, resource: Value) -> Value {
        json!({"id": id, "location": self.fixture.location, "action": name, "resource": {"type": "record", "id": resource}})
    }

    /// The answer to a question about the user.
    async fn ask(&self, what: &str, name: &str, id: &str) -> Value {
        let reply = self.asker.ask(what, EVALUATION, &question(user(USER), action(name), record(id))).await;
        reply.decision();
        reply.body
    }

    /// Uses the step with its token, as an agent does.
    async fn evaluate(&self, party: &Party, token: &str, name: &str, id: &str) -> Value {
        let resource = CallResource { kind: "record".into(), id: id.into() };
        let call = Call::new(&self.fixture.location, name, resource, serde_json::Map::new());
        let url = format!("{}/{name}/{id}", self.fixture.location);
        let dpop = party.dpop.prove(&Method::POST, &url, Some(token), Some(call.digest())).unwrap();
        let mut body = question(json!({"type": "agent", "id": party.client_id}), action(name), record(id));
        body["context"] = json!({
            "location": self.fixture.location, "txn_token": token, "dpop": dpop, "method": "POST", "url": url,
            "call_id": format!("{name}-{id}-{}", dpop.len()),
        });
        self.asker.ask("with a token", EVALUATION, &body).await.success().clone()
    }

    async fn revoke(&self, intent_id: &str) {
        let mut person = Command::new(self.place.root.join("demo/approve"));
        person.args([intent_id, "--user", USER, "--revoke"]).env("MARQUE_DEMO_ENV", self.place.env_file());
        assert!(person.status().await.unwrap().success(), "the scripted person revokes");
    }
}

#[tokio::test]
async fn a_decision_by_name_follows_live_intents_and_their_uses_and_costs_none() {
    let scene = Scene::open().await;
    let mut notes = scene.step("notes", "read", json!({"pattern": "note-[0-9]+"}));
    notes["uses"] = "any".into();
    let steps = vec![notes, scene.step("once", "write", json!("live-1"))];
    assert_eq!(scene.ask("before", "write", "live-1").await["decision"], false);
    let (intent_id, token) = grant(&scene.place, &scene.env, &scene.fixture, USER, steps).await.unwrap();
    for _ in 0..3 {
        let answer = scene.ask("asking spends nothing", "write", "live-1").await;
        assert_eq!(
            answer,
            json!({"decision": true, "context": {
                "intent_id": intent_id, "step": "once", "resolved_by": "subject", "charged": false,
            }})
        );
    }
    unlisted(&scene).await;
    spent(&scene, &token).await;
    assert_eq!(scene.ask("the other step", "read", "note-7").await["decision"], true);
    scene.revoke(&intent_id).await;
    assert_eq!(scene.ask("after the revocation", "read", "note-7").await["decision"], false);
    let body = question(json!({"type": "user"}), action("read"), record("note-7"));
    assert_eq!(scene.asker.ask("after the revocation", SUBJECTS, &body).await.results("id"), [""; 0]);
}

/// A resource that is bound by a pattern is no result; its step is shown with the constraint.
async fn unlisted(scene: &Scene) {
    let body = question(user(USER), action("read"), json!({"type": "record"}));
    let reply = scene.asker.ask("resources", RESOURCES, &body).await;
    assert!(reply.results("id").iter().all(|id| !id.starts_with("note")), "{}", reply.body);
    let steps = reply.body["context"]["steps"].as_array().unwrap();
    let shown = steps.iter().find(|step| step["step"] == "notes").unwrap_or_else(|| panic!("{}", reply.body));
    assert_eq!(shown["resource"], json!({"type": "record", "id": {"pattern": "note-[0-9]+"}}));
    assert_eq!(shown.get("uses_left"), None);
    let who = question(json!({"type": "user"}), action("read"), record("note-7"));
    assert_eq!(scene.asker.ask("who", SUBJECTS, &who).await.results("id"), [USER]);
}

/// The agent uses the step with its token: from then on it is used up by name too.
async fn spent(scene: &Scene, intent_token: &str) {
    let clerk = Party::new(&scene.env, &scene.fixture.clerk).unwrap();
    let answer = clerk.exchange(intent_token, TOKEN_TYPE_INTENT, &Exchange::default()).await.unwrap();
    let token = answer.success().unwrap()["access_token"].as_str().unwrap().to_owned();
    let which = json!({"subject": user(USER), "resource": record("live-1")});
    assert_eq!(scene.asker.ask("still there", ACTIONS, &which).await.results("name"), ["write"]);
    let answer = scene.evaluate(&clerk, &token, "write", "live-1").await;
    assert_eq!(answer["decision"], true, "{answer}");
    let answer = scene.ask("a used step", "write", "live-1").await;
    assert_eq!((&answer["decision"], &answer["context"]["reason"]), (&json!(false), &json!("uses_exhausted")));
    assert_eq!(scene.asker.ask("no longer there", ACTIONS, &which).await.results("name"), [""; 0]);
}
