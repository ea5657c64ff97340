//! Batches and searches about an agent that presents a token; what a resource server that is not switched to asking
//! by name is told. The certification scenario, which knows users only, is in `tests/authzen`.

use crate::evaluation::{EVALUATION, fresh, permit, refused, request};
use crate::rows::{change, evidence_of, put_evidence};
use crate::support::keys::Client;
use crate::support::plans::{call, grant, plan, rotation, shared, step};
use crate::support::realm::{Admin, Mood, Realm};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use crate::withdrawn_keys::withdraw;
use marque_core::names::{TYP_EVIDENCE, TYP_JWT};
use serde_json::{Value, json};

const BATCH: &str = "/access/v1/evaluations";
const ACTIONS: &str = "/access/v1/search/action";
const RESOURCES: &str = "/access/v1/search/resource";
const SUBJECTS: &str = "/access/v1/search/subject";

/// A stack, its agent, and a token for one step of the shared grant.
async fn with_token(steps: &[&str]) -> (Stack, Client, String) {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let token = stack.transaction_token(&agent, &granted.token, steps).await;
    (stack, agent, token)
}

/// The items of a batch's answer, each as if it were an answer of its own.
async fn batch(stack: &Stack, what: &str, body: &Value) -> Vec<Reply> {
    let reply = stack.post_json(what, BATCH, body).await;
    let items = reply.success(200)["evaluations"].as_array().unwrap_or_else(|| panic!("{what}: {}", reply.text));
    items.iter().map(|item| Reply { body: item.clone(), ..reply.clone() }).collect()
}

#[tokio::test]
async fn each_item_of_a_batch_is_charged_as_if_it_were_asked_alone() {
    let (stack, agent, token) = with_token(&["batch"]).await;
    let call = rotation(&stack, "batch");
    let items: Vec<Value> = (0..3).map(|_| request(&stack, &agent, &token, &call, &fresh())).collect();
    let stopping = json!({
        "evaluations": items, "options": {"evaluations_semantic": "permit_on_first_permit"},
    });
    let first = batch(&stack, "until the first permit", &stopping).await;
    assert_eq!(first.len(), 1);
    let first = permit(&first[0]);
    let all = batch(&stack, "the same calls, all of them", &json!({"evaluations": items})).await;
    assert_eq!(permit(&all[0]), first, "the same call id, the same permit");
    assert_ne!(permit(&all[1])["permit"]["id"], first["permit"]["id"]);
    refused(&all[2], "uses_exhausted");
    let again = batch(&stack, "once more", &json!({"evaluations": items})).await;
    assert_eq!((permit(&again[0]), permit(&again[1])), (permit(&all[0]), permit(&all[1])));
}

#[tokio::test]
async fn an_item_inherits_the_token_and_not_somebody_elses_right() {
    let (stack, agent, token) = with_token(&["list"]).await;
    let list = call(&stack, "list_service_accounts", "environment", "production", json!({}));
    let mut body = request(&stack, &agent, &token, &list, &fresh());
    let mut elsewhere = body["context"].clone();
    elsewhere["location"] = "http://localhost:1".into();
    body["evaluations"] = json!([
        {}, {"subject": {"id": stack.env.clients.worker.client_id}}, {"context": {}}, {"context": elsewhere},
        {"subject": {"type": "user", "id": "alice"}},
    ]);
    let answers = batch(&stack, "items about one token", &body).await;
    permit(&answers[0]);
    refused(&answers[1], "token_invalid");
    for (answer, error) in answers[2..].iter().zip(["invalid_request", "invalid_target", "invalid_request"]) {
        assert_eq!((&answer.body["decision"], &answer.body["context"]["error"]), (&json!(false), &json!(error)));
    }
}

#[tokio::test]
async fn a_search_tells_what_a_token_still_permits() {
    let (stack, agent, token) = with_token(&["seek", "list", "one-of"]).await;
    let subject = json!({"type": "agent", "id": agent.id});
    let body = |resource: Value, action: Value| json!({"subject": subject, "resource": resource, "action": action, "context": {"txn_token": token}});
    let account = json!({"type": "service_account", "id": "seek"});
    let names = async |what: &str| {
        let reply = stack.post_json(what, ACTIONS, &body(account.clone(), json!({"name": "x"}))).await;
        reply.success(200).clone()
    };
    let found = names("actions").await;
    assert_eq!(found["results"], json!([{"name": "rotate_key"}]));
    let step = &found["context"]["steps"][0];
    assert_eq!((&step["step"], &step["uses_left"], &step["step_up"]), (&json!("seek"), &json!(1), &json!(false)));

    let secrets = body(json!({"type": "secret"}), json!({"name": "update_secret"}));
    let reply = stack.post_json("resources, arguments open", RESOURCES, &secrets).await;
    assert_eq!(reply.success(200)["results"], json!([{"type": "secret", "id": "ONE"}]));
    assert_eq!(reply.body["context"]["steps"][0]["args"], json!({"value_from": {"one_of": ["a", "b"]}}));
    let wrong = json!({"name": "update_secret", "properties": {"value_from": "c"}});
    let reply = stack.post_json("resources, wrong arguments", RESOURCES, &body(json!({"type": "secret"}), wrong)).await;
    assert_eq!(reply.success(200)["results"], json!([]));
    let reply = stack.post_json("who", SUBJECTS, &body(account.clone(), json!({"name": "rotate_key"}))).await;
    assert_eq!(reply.success(200)["results"], json!([{"type": "agent", "id": agent.id}]));

    permit(
        &stack
            .post_json("use it up", EVALUATION, &request(&stack, &agent, &token, &rotation(&stack, "seek"), &fresh()))
            .await,
    );
    assert_eq!(names("an exhausted step is left out").await["results"], json!([]));
    let reply = stack.post_json("nobody", SUBJECTS, &body(account, json!({"name": "rotate_key"}))).await;
    assert_eq!(reply.success(200)["results"], json!([]));
}

#[tokio::test]
async fn a_search_believes_a_right_token_only() {
    let (stack, agent, token) = with_token(&["list"]).await;
    let resource = json!({"type": "environment", "id": "production"});
    for (what, client, token, reason) in [
        ("another actor", &stack.env.clients.worker.client_id, Some(token.as_str()), "token_invalid"),
        ("no token", &agent.id, None, "token_missing"),
        ("a token that is none", &agent.id, Some("x"), "token_invalid"),
    ] {
        let mut body = json!({"subject": {"type": "agent", "id": client}, "resource": resource});
        body["context"] = token.map_or(json!({}), |token| json!({"txn_token": token}));
        let reply = stack.post_json(what, ACTIONS, &body).await;
        assert_eq!((&reply.success(200)["results"], &reply.body["context"]["reason"]), (&json!([]), &json!(reason)));
    }
    let mut body = json!({"subject": {"type": "agent", "id": agent.id}, "resource": resource});
    body["context"] = json!({"txn_token": token, "location": "http://localhost:1"});
    stack
        .post_json("another's location", ACTIONS, &body)
        .await
        .refused(400, "invalid_target")
        .naming("context.location");
}

#[tokio::test]
async fn who_is_not_switched_to_it_does_not_ask_by_name() {
    let stack = Stack::open().await;
    shared(&stack).await;
    let subject = json!({"type": "user", "id": stack.env.user.username});
    let (action, resource) =
        (json!({"name": "list_service_accounts"}), json!({"type": "environment", "id": "production"}));
    let body = json!({"subject": subject, "action": action, "resource": resource});
    refused(&stack.post_json("a decision", EVALUATION, &body).await, "token_missing");
    for path in [SUBJECTS, RESOURCES, ACTIONS] {
        let reply = stack.post_json(path, path, &body).await;
        assert_eq!(
            (&reply.success(200)["results"], &reply.body["context"]["reason"]),
            (&json!([]), &json!("token_missing"))
        );
    }
}

#[tokio::test]
async fn a_denial_that_a_plan_would_mend_says_how_to_ask() {
    let (stack, agent, token) = with_token(&["list"]).await;
    let other = call(&stack, "list_service_accounts", "environment", "test", json!({}));
    let reply = stack.post_json("outside", EVALUATION, &request(&stack, &agent, &token, &other, &fresh())).await;
    refused(&reply, "resource_not_in_plan");
    let asked = &reply.body["context"]["access_request"];
    assert_eq!(asked["endpoint"], format!("{}/access/v1/requests", stack.issuer()));
    assert_eq!(asked["template"], "agent_intent_plan");
    let ends = marque_core::timestamp::parse(asked["expires_at"].as_str().unwrap()).unwrap();
    assert!((150..=240).contains(&(ends - crate::support::keys::now())), "{asked}");
    let mut wrong = request(&stack, &agent, &token, &other, &fresh());
    wrong["context"]["txn_token"] = "x".into();
    let reply = stack.post_json("no plan mends it", EVALUATION, &wrong).await;
    refused(&reply, "token_invalid");
    assert_eq!(reply.body["context"].get("access_request"), None);
}

/// Asks a server beside the stack, as a resource server that its realm has switched to asking by name.
async fn ask_by_name(realm: &Realm, stack: &Stack, what: &str, user: &str, account: &str) -> Reply {
    let token = realm.key().sign(TYP_JWT, &realm.access_claims(stack));
    let body = json!({
        "subject": {"type": "user", "id": user}, "action": {"name": "rotate_key"},
        "resource": {"type": "service_account", "id": account},
    });
    Reply::to(what, stack.http.post(stack.url(EVALUATION)).bearer_auth(token).json(&body)).await
}

#[tokio::test]
async fn rows_about_live_intents_only_leave_some_out() {
    let main = Stack::open().await;
    let granted = shared(&main).await;
    let unsigned = plan(&main, vec![step(&main, "unsigned", "rotate_key", "unsigned")]);
    let unsigned = main.submitted(&main.agent(), &unsigned).await;
    let mut realm = Realm::of(&main);
    realm.set_attribute(&main.env.resource_server.client_id, "marque.resolve_by_subject", "username");
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_with(realm.issuer()).await;
    let (stack, alice) = (&server.stack, main.env.user.username.as_str());
    let ask = async |what: &str, user: &str, account: &str| ask_by_name(&realm, stack, what, user, account).await;

    let right = ask("what she signed", alice, "by-name").await;
    assert_eq!(right.success(200)["decision"], true, "{}", right.text);
    assert_eq!(right.body["context"]["charged"], false);
    let foreign = evidence_of(&stack.db, &granted.intent_id).await;
    change(&stack.db, "update intents set state = 'active', redeemed_at = now() where intent_id = $1", &unsigned).await;
    refused(&ask("active without evidence", alice, "unsigned").await, "resource_not_in_plan");
    put_evidence(&stack.db, &unsigned, &foreign).await;
    refused(&ask("active with another's evidence", alice, "unsigned").await, "resource_not_in_plan");

    change(&stack.db, "update intents set approver_username = 'bob' where intent_id = $1", &granted.intent_id).await;
    refused(&ask("a row that names another user", "bob", "by-name").await, "no_live_intent");
    assert_eq!(ask("it is left out", alice, "by-name").await.success(200)["decision"], false);
    change(&stack.db, "update intents set approver_username = 'alice' where intent_id = $1", &granted.intent_id).await;
    assert_eq!(ask("as it was", alice, "by-name").await.success(200)["decision"], true);
    change(&stack.db, "update intents set state = 'revoked' where intent_id = $1", &granted.intent_id).await;
    assert_eq!(ask("over", alice, "by-name").await.success(200)["decision"], false);
}

#[tokio::test]
async fn a_plan_whose_evidence_a_withdrawn_key_signed_is_live_no_longer() {
    let main = Stack::open().await;
    shared(&main).await;
    let mut realm = Realm::of(&main);
    realm.set_attribute(&main.env.resource_server.client_id, "marque.resolve_by_subject", "username");
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_with(realm.issuer()).await;
    let ask = async |what: &str| ask_by_name(&realm, &server.stack, what, &main.env.user.username, "by-name").await;
    assert_eq!(ask("what she signed").await.success(200)["decision"], true);
    withdraw(&server, TYP_EVIDENCE).await;
    refused(&ask("what nobody signed").await, "no_live_intent");
}

/// A user name that is spelled as somebody's subject identifier finds nothing of hers, and the other way round, however
/// the plan names her.
#[tokio::test]
async fn a_user_name_and_a_subject_identifier_never_meet() {
    let main = Stack::open().await;
    let (name, sub) = (main.env.user.username.as_str(), main.env.user.sub.as_str());
    let by_name = shared(&main).await;
    Admin::sign_in(&main).await.add_words(&main.agent().id, "marque.user_subs", &[sub].into()).await;
    let mut plan = plan(&main, vec![step(&main, "by-sub", "rotate_key", "by-sub")]);
    plan["user"] = json!({"sub": sub});
    let (stack, named) = (&main, &plan);
    crate::support::until("the agent is paired by the identifier", || async move {
        stack.submit("a plan that names the identifier", &stack.agent(), named).await.status == 201
    })
    .await;
    let by_sub = grant(&main, &main.agent(), &plan).await;
    assert_ne!(by_sub.intent_id, by_name.intent_id);
    let mut realm = Realm::of(&main);
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(&main).await;
    for (property, known, unknown) in [("username", name, sub), ("sub", sub, name), ("true", sub, name)] {
        realm.set_attribute(&main.env.resource_server.client_id, "marque.resolve_by_subject", property);
        let server = copy.serve_with(realm.issuer()).await;
        for account in ["by-name", "by-sub"] {
            let what = format!("{account} by {property}");
            let found = ask_by_name(&realm, &server.stack, &what, known, account).await;
            assert_eq!(found.success(200)["decision"], true, "{what}: {}", found.text);
            refused(&ask_by_name(&realm, &server.stack, &what, unknown, account).await, "no_live_intent");
        }
        let token = realm.key().sign(TYP_JWT, &realm.access_claims(&server.stack));
        let body = json!({
            "subject": {"type": "user"}, "action": {"name": "rotate_key"},
            "resource": {"type": "service_account", "id": "by-sub"},
        });
        let request = server.stack.http.post(server.stack.url(SUBJECTS)).bearer_auth(token).json(&body);
        let found = Reply::to("who", request).await;
        assert_eq!(found.success(200)["results"], json!([{"type": "user", "id": known}]), "{property}");
    }
    realm.set_attribute(&main.env.resource_server.client_id, "marque.resolve_by_subject", "both");
    let server = copy.serve_with(realm.issuer()).await;
    for user in [name, sub] {
        refused(&ask_by_name(&realm, &server.stack, "another word", user, "by-name").await, "token_missing");
    }
}

/// The request's id comes back whoever answers: the decision point, or what stands before it.
#[tokio::test]
async fn the_request_id_comes_back_with_every_answer() {
    let stack = Stack::open().await;
    let token = stack.access_token().await;
    let post = |url: String| stack.http.post(url).header("content-type", "application/json").body("{}");
    let twice = post(stack.url(EVALUATION)).bearer_auth(&token).header("X-Request-ID", "a").header("X-Request-ID", "b");
    let reply = Reply::to("two ids", twice).await;
    reply.refused(400, "invalid_request").naming("x-request-id");
    let long = "[".to_owned() + &" ".repeat(1024 * 1024) + "]";
    let elsewhere = stack.url(EVALUATION).replace("/realms/", "/realms/no-");
    for (status, what, request) in [
        (401, "no token", post(stack.url(EVALUATION))),
        (400, "a bad request", post(stack.url(BATCH)).bearer_auth(&token)),
        (400, "a bad search", post(stack.url(ACTIONS)).bearer_auth(&token)),
        (405, "another method", stack.http.get(stack.url(EVALUATION))),
        (404, "another path", post(stack.url("/access/v1/none"))),
        (404, "another realm", post(elsewhere)),
        // Last: a server that stops reading closes the connection, which the next request could still find in the pool.
        (413, "a long body", post(stack.url(EVALUATION)).bearer_auth(&token).body(long)),
    ] {
        let reply = Reply::to(what, request.header("X-Request-ID", "id-7")).await;
        assert_eq!((reply.status, reply.header("x-request-id")), (status, "id-7"), "{what}");
    }
}
