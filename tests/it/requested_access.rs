//! What a plan does not permit is asked for, beyond it: one call, for whoever was denied it, and nothing begins anew.

use crate::evaluation::{EVALUATION, fresh, permit, refused};
use crate::exchange::{exchange_all, token_of};
use crate::ledger::{Work, ask, at, payment, payments, settle};
use crate::support::jose::attacks;
use crate::support::keys::{Client, Key};
use crate::support::person;
use crate::support::plans::{call, grant, plan, rotation, step, with};
use crate::support::realm::{Admin, register};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use futures_util::future::join_all;
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use marque_demo::clients::KeycloakTokens;
use serde_json::{Value, json};

const REQUESTS: &str = "/access/v1/requests";
const PROBLEM: &str = "urn:openid:authzen:access-request:error:";

/// The decision's context of a call that is denied and can be asked for.
async fn denied(stack: &Stack, client: &Client, token: &str, call: &Call, reason: &str) -> Value {
    let reply = at(stack, &ask(client, token, call, &fresh())).await;
    refused(&reply, reason);
    let context = reply.body["context"].clone();
    assert!(context["access_request"]["binding_token"].is_string(), "{context}");
    context
}

/// The right request after a denial.
fn request(client: &Client, call: &Call, context: &Value) -> Value {
    let asked = &context["access_request"];
    json!({
        "subject": {"type": "agent", "id": client.id},
        "action": {"name": call.action, "properties": call.args},
        "resource": {"type": call.resource.kind, "id": call.resource.id},
        "context": {"location": call.location, "business_justification": "The invoice is higher than it was."},
        "denial": {
            "evaluation_id": context["evaluation_id"], "expires_at": asked["expires_at"], "reason": context["reason"],
            "binding_token": asked["binding_token"], "template": asked["template"],
        },
    })
}

async fn submit(stack: &Stack, what: &str, token: &str, key: Option<&str>, body: &Value) -> Reply {
    let mut request = stack.http.post(stack.url(REQUESTS)).bearer_auth(token).json(body);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    Reply::to(what, request).await
}

async fn submitted(stack: &Stack, body: &Value) -> Value {
    let reply = submit(stack, "a right request", &stack.access_token().await, None, body).await;
    assert_eq!(reply.success(202)["task"]["status_endpoint"], reply.header("location"));
    reply.body["task"].clone()
}

async fn shown(stack: &Stack, token: &str, id: &str) -> Reply {
    Reply::to("a task", stack.http.get(stack.url(&format!("{REQUESTS}/{id}"))).bearer_auth(token)).await
}

async fn status(stack: &Stack, task: &Value) -> Value {
    let reply = shown(stack, &stack.access_token().await, task["id"].as_str().unwrap()).await;
    assert_eq!(reply.success(200)["task"]["intent_id"], task["intent_id"]);
    reply.body
}

fn problem(reply: &Reply, status: u16, name: &str) {
    assert_eq!((reply.status, reply.header("content-type")), (status, "application/problem+json"), "{}", reply.text);
    assert_eq!(reply.member("type"), format!("{PROBLEM}{name}"), "{}: {}", reply.what, reply.text);
    assert_eq!((&reply.body["status"], reply.member("detail").len() > 10), (&json!(status), true), "{}", reply.text);
}

/// Redeems an approved addition; answers a token for its call.
async fn redeemed(stack: &Stack, client: &Client, task: &Value) -> String {
    let reply = stack.poll(client, task["intent_id"].as_str().unwrap()).await;
    let intent_token = reply.success(200)["access_token"].as_str().unwrap().to_owned();
    token_of(&exchange_all(stack, client, &intent_token, TOKEN_TYPE_INTENT).await)
}

#[tokio::test]
async fn what_goes_beyond_a_plan_is_one_call_and_resets_neither_uses_nor_budget() {
    let stack = Stack::open().await;
    let mut plan = payments(&stack, &[]).await;
    plan["steps"][0]["uses"] = 11.into();
    let work = Work::granted(stack.clone(), plan).await;
    let (agent, token) = (&work.agent, &work.token);
    for _ in 0..11 {
        settle(&stack, &permit(&at(&stack, &ask(agent, token, &payment(0, 900), &fresh())).await), "committed")
            .await
            .success(200);
    }
    let spent = at(&stack, &ask(agent, token, &payment(0, 1), &fresh())).await;
    refused(&spent, "uses_exhausted");
    assert_eq!(spent.body["context"].get("access_request"), None, "what is used up is not asked for like this");

    let larger = payment(1, 950);
    let context = denied(&stack, agent, token, &larger, "argument_mismatch").await;
    let task = submitted(&stack, &request(agent, &larger, &context)).await;
    assert_eq!(
        (&task["status"], &status(&stack, &task).await["task"]["status"]),
        (&json!("pending"), &json!("pending"))
    );
    refused(&at(&stack, &ask(agent, token, &larger, &fresh())).await, "argument_mismatch");
    person::approve(&stack, task["intent_id"].as_str().unwrap()).await;
    let approved = status(&stack, &task).await;
    assert_eq!((&approved["task"]["status"], &approved["result"]["mode"]), (&json!("approved"), &json!("reevaluate")));

    let more = redeemed(&stack, agent, &task).await;
    refused(&at(&stack, &ask(agent, token, &larger, &fresh())).await, "argument_mismatch");
    let mut again = ask(agent, &more, &larger, &fresh());
    again["context"]["approval"] = approved["result"]["approval"].clone();
    permit(&at(&stack, &again).await);
    refused(&at(&stack, &ask(agent, &more, &larger, &fresh())).await, "uses_exhausted");
    refused(&at(&stack, &ask(agent, &more, &payment(0, 1), &fresh())).await, "argument_mismatch");

    // What was approved before goes on where it stood, also with a token that is made now.
    let fresh_token = token_of(&exchange_all(&stack, agent, &work.granted.token, TOKEN_TYPE_INTENT).await);
    for token in [token, &fresh_token] {
        refused(&at(&stack, &ask(agent, token, &payment(0, 1), &fresh())).await, "uses_exhausted");
        refused(&at(&stack, &ask(agent, token, &payment(1, 101), &fresh())).await, "budget_exhausted");
    }
    permit(&at(&stack, &ask(agent, token, &payment(1, 100), &fresh())).await);
    refused(&at(&stack, &ask(agent, &fresh_token, &payment(1, 1), &fresh())).await, "budget_exhausted");
}

#[tokio::test]
async fn a_request_is_for_what_was_denied_and_by_whoever_was_told() {
    let (work, _) = Work::once().await;
    let Work { stack, agent, token, .. } = &work;
    let rs = stack.access_token().await;
    let beyond = rotation(stack, "another");
    let context = denied(stack, agent, token, &beyond, "resource_not_in_plan").await;
    let right = request(agent, &beyond, &context);
    let later = json!("2099-01-01T00:00:00Z");
    for (what, place, value) in [
        ("another resource", "/resource/id", json!("svc-api")),
        ("another kind", "/resource/type", json!("secret")),
        ("another action", "/action/name", json!("update_secret")),
        ("an argument more", "/action/properties", json!({"force": true})),
        ("another agent", "/subject/id", json!(stack.worker().id)),
        ("a property of hers", "/subject/properties", json!({"role": "admin"})),
        ("another environment", "/context/environment", json!("test")),
        ("other records", "/context/records", json!({"account": {"a": {}}})),
        ("no binding", "/denial", json!({})),
        ("no binding token", "/denial/binding_token", Value::Null),
        ("a transaction token", "/denial/binding_token", json!(token)),
        ("a later end", "/denial/expires_at", later),
        ("another evaluation", "/denial/evaluation_id", json!(fresh())),
    ] {
        let mut changed = right.clone();
        let (parent, name) = place.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[name] = value;
        problem(&submit(stack, what, &rs, None, &changed).await, 400, "invalid_denial_binding");
    }
    for (what, token) in attacks(right["denial"]["binding_token"].as_str().unwrap(), None, false) {
        let mut changed = right.clone();
        changed["denial"]["binding_token"] = token.into();
        problem(&submit(stack, what, &rs, None, &changed).await, 400, "invalid_denial_binding");
    }
    let mut bulk = right.clone();
    bulk["items"] = json!([]);
    submit(stack, "several", &rs, None, &bulk).await.refused(400, "invalid_request").naming("items");

    let admin = Admin::sign_in(stack).await;
    let other = admin.token_of_service("it-asker", stack.issuer(), None).await;
    admin.add_words("it-asker", "marque.kind", &["resource-server"].into()).await;
    admin.add_words("it-asker", "marque.locations", &[stack.location()].into()).await;
    problem(&submit(stack, "another server", &other, None, &right).await, 400, "invalid_denial_binding");

    let key = fresh();
    let first = submit(stack, "the right one", &rs, Some(&key), &right).await;
    assert_eq!(submit(stack, "a repeat", &rs, Some(&key), &right).await.success(202), first.success(202));
    let mut changed = right.clone();
    changed["context"]["business_justification"] = "Another text.".into();
    problem(&submit(stack, "the key again", &rs, Some(&key), &changed).await, 409, "duplicate_request");
    for key in [None, Some(fresh())] {
        let reply = submit(stack, "the binding again", &rs, key.as_deref(), &right).await;
        problem(&reply, 400, "invalid_denial_binding");
    }
    let id = first.body["task"]["id"].as_str().unwrap();
    problem(&shown(stack, &other, id).await, 404, "unknown_task");
    problem(&shown(stack, &rs, &fresh()).await, 404, "unknown_task");
    for _ in 0..2 {
        let context = denied(stack, agent, token, &beyond, "resource_not_in_plan").await;
        submitted(stack, &request(agent, &beyond, &context)).await;
    }
    let context = denied(stack, agent, token, &beyond, "resource_not_in_plan").await;
    let fourth = submit(stack, "a fourth that waits", &rs, None, &request(agent, &beyond, &context)).await;
    fourth.because(429, "too_many_requests", "too_many_pending");
}

#[tokio::test]
async fn only_a_call_that_the_agent_proved_and_the_plan_refuses_can_be_asked_for() {
    let stack = Stack::open().await;
    let (agent, worker) = (stack.agent(), stack.worker());
    let steps = vec![step(&stack, "one", "rotate_key", "one"), step(&stack, "two", "rotate_key", "two")];
    let delegates = json!([{"client_id": worker.id, "steps": ["one"]}]);
    let plan = with(plan(&stack, steps), json!({"delegates": delegates}));
    let granted = grant(&stack, &agent, &plan).await;
    let narrow = stack.transaction_token(&agent, &granted.token, &["one"]).await;
    let handed_on = token_of(&exchange_all(&stack, &worker, &narrow, TOKEN_TYPE_TXN).await);
    let beyond = rotation(&stack, "three");
    denied(&stack, &agent, &narrow, &beyond, "resource_not_in_plan").await;
    let unproven = {
        let mut body = ask(&agent, &narrow, &beyond, &fresh());
        let url = body["context"]["url"].as_str().unwrap().to_owned();
        let mut claims = Key::proof_claims("POST", &url);
        claims["ath"] = Digest::of(narrow.as_bytes()).to_base64().into();
        body["context"]["dpop"] = agent.dpop.proof_of(&claims).into();
        body
    };
    let unnamed = json!({
        "subject": {"type": "user", "id": stack.env.user.username}, "action": {"name": "rotate_key"},
        "resource": {"type": "service_account", "id": "three"}, "context": {"location": stack.location()},
    });
    for (what, body) in [
        ("what the plan has and the token has not", ask(&agent, &narrow, &rotation(&stack, "two"), &fresh())),
        ("a delegate's call", ask(&worker, &handed_on, &beyond, &fresh())),
        ("a call that no proof covers", unproven),
        ("a question by name", unnamed),
    ] {
        let reply = stack.post_json(what, EVALUATION, &body).await;
        assert_eq!(reply.success(200)["decision"], false, "{what}: {}", reply.text);
        assert_eq!(reply.body["context"].get("access_request"), None, "{what}");
        assert_eq!(reply.body["context"].get("evaluation_id"), None, "{what}");
    }
    let metadata = stack.http.get(stack.url("/.well-known/authzen-configuration"));
    let metadata = Reply::to("the metadata", metadata).await;
    assert_eq!(metadata.member("access_request_endpoint"), stack.url(REQUESTS));
    let speaks = json!("urn:openid:authzen:capability:access-request");
    assert!(metadata.body["capabilities"].as_array().unwrap().contains(&speaks));
}

#[tokio::test]
async fn a_call_that_no_plan_can_hold_is_not_asked_for() {
    let (work, _) = Work::once().await;
    let Work { stack, agent, token, .. } = &work;
    let odd = call(stack, "rotate_key", "service_account", "odd", json!({"share": 0.5}));
    let context = denied(stack, agent, token, &odd, "resource_not_in_plan").await;
    let reply = submit(stack, "a fraction", &stack.access_token().await, None, &request(agent, &odd, &context)).await;
    problem(&reply, 400, "not_requestable");
}

#[tokio::test]
async fn a_denial_that_is_too_long_ago_is_not_asked_for() {
    let (work, _) = Work::once().await;
    let copy = Copy::beside(&work.stack).await;
    let here = copy.serve_here().await;
    let beyond = rotation(&work.stack, "late");
    let (early, late) = (
        denied(&here.stack, &work.agent, &work.token, &beyond, "resource_not_in_plan").await,
        denied(&here.stack, &work.agent, &work.token, &beyond, "resource_not_in_plan").await,
    );
    let rs = KeycloakTokens::new(&work.stack.env, &work.stack.env.clients.rs).unwrap().token(None).await.unwrap();
    here.app.clock.advance(200);
    submit(&here.stack, "in time", &rs, None, &request(&work.agent, &beyond, &early)).await.success(202);
    here.app.clock.advance(45);
    let reply = submit(&here.stack, "too late", &rs, None, &request(&work.agent, &beyond, &late)).await;
    problem(&reply, 410, "expired_denial");
}

#[tokio::test]
async fn what_goes_beyond_a_plan_ends_with_it() {
    let (work, once) = Work::once().await;
    let Work { stack, agent, token, granted } = &work;
    let beyond = rotation(stack, "child");
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let context = denied(stack, agent, token, &beyond, "resource_not_in_plan").await;
        tasks.push(submitted(stack, &request(agent, &beyond, &context)).await);
    }
    let kept = denied(stack, agent, token, &beyond, "resource_not_in_plan").await;
    person::approve(stack, tasks[0]["intent_id"].as_str().unwrap()).await;
    let more = redeemed(stack, agent, &tasks[0]).await;
    let revoked = stack.post("the plan ends", agent, "/revoke", &vec![("token", granted.token.clone())]).await;
    assert_eq!(revoked.status, 200);
    refused(&at(stack, &ask(agent, token, &once, &fresh())).await, "intent_revoked");
    refused(&at(stack, &ask(agent, &more, &beyond, &fresh())).await, "intent_revoked");
    for task in &tasks {
        assert_eq!(status(stack, task).await["task"]["status"], "cancelled");
    }
    let waiting = stack.poll(agent, tasks[1]["intent_id"].as_str().unwrap()).await;
    assert_eq!(waiting.status, 400, "{}", waiting.text);
    let reply =
        submit(stack, "after its end", &stack.access_token().await, None, &request(agent, &beyond, &kept)).await;
    problem(&reply, 400, "not_requestable");
}

/// What is kept of requests beyond plans: the rows of the requests, and the intents whose purpose names one of the plans.
async fn kept_beyond(stack: &Stack, plans: &[&str]) -> (i64, i64) {
    let sql = "select (select count(*) from access_requests where parent_id = any($1::uuid[])),
                   (select count(*) from intents where exists (select from unnest($1) a(id)
                       where position(convert_to('to the plan ' || a.id, 'UTF8') in plan) > 0))";
    sqlx::query_as(sql).bind(plans).fetch_one(&stack.db).await.unwrap()
}

#[tokio::test]
async fn of_two_agents_requests_at_once_under_one_key_one_is_kept_and_the_other_leaves_nothing() {
    let (work, _) = Work::once().await;
    let stack = &work.stack;
    let rival = Client { id: "it-rival".into(), signing: Key::fresh(), dpop: Key::fresh() };
    register(stack, &rival).await;
    let user = stack.env.user.username.as_str();
    Admin::sign_in(stack).await.add_words(&rival.id, "marque.users", &[user].into()).await;
    let own = plan(stack, vec![step(stack, "one", "rotate_key", "one")]);
    let own = with(own, json!({"agent": rival.id}));
    let theirs = Work::by(stack.clone(), rival, own).await;
    let (rs, beyond) = (stack.access_token().await, rotation(stack, "contested"));
    let plans = [work.granted.intent_id.as_str(), theirs.granted.intent_id.as_str()];
    let mut lost = None;
    for round in 1..=3 {
        let mut bodies = Vec::new();
        for Work { agent, token, .. } in [&work, &theirs] {
            let context = denied(stack, agent, token, &beyond, "resource_not_in_plan").await;
            bodies.push(request(agent, &beyond, &context));
        }
        let key = fresh();
        let asked = async |body| submit(stack, "one of two", &rs, Some(&key), body).await;
        let (one, other) = tokio::join!(asked(&bodies[0]), asked(&bodies[1]));
        let (kept, refused, body) =
            if one.status == 202 { (one, other, bodies.remove(1)) } else { (other, one, bodies.remove(0)) };
        kept.success(202);
        problem(&refused, 409, "duplicate_request");
        assert_eq!(kept_beyond(stack, &plans).await, (round, round));
        lost = Some(body);
    }
    // Its denial was not used up: under a key of its own it is taken.
    submit(stack, "the one that lost", &rs, Some(&fresh()), &lost.unwrap()).await.success(202);
    assert_eq!(kept_beyond(stack, &plans).await, (4, 4));
}

#[tokio::test]
async fn additions_that_are_asked_for_at_once_have_numbers_of_their_own() {
    let (work, _) = Work::once().await;
    let Work { stack, agent, token, granted } = &work;
    let (rs, beyond) = (stack.access_token().await, rotation(stack, "numbered"));
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let context = denied(stack, agent, token, &beyond, "resource_not_in_plan").await;
        bodies.push(request(agent, &beyond, &context));
    }
    let replies = join_all(bodies.iter().map(|body| submit(stack, "one of three", &rs, None, body))).await;
    assert!(replies.iter().all(|reply| reply.status == 202), "{replies:?}");
    let sql = "select convert_from(plan, 'UTF8')::json ->> 'purpose' from intents
               join access_requests using (intent_id) where parent_id = $1::uuid order by 1";
    let purposes: Vec<String> = sqlx::query_scalar(sql).bind(&granted.intent_id).fetch_all(&stack.db).await.unwrap();
    let of_this = format!(" to the plan {} ", granted.intent_id);
    let numbers: Vec<&str> = purposes.iter().map(|purpose| purpose.split_once(&of_this).unwrap().0).collect();
    assert_eq!(numbers, ["Addition 1", "Addition 2", "Addition 3"]);
}

#[tokio::test]
async fn nothing_goes_beyond_an_addition() {
    let (work, _) = Work::once().await;
    let Work { stack, agent, token, .. } = &work;
    let (added, further) = (rotation(stack, "added"), rotation(stack, "further"));
    let context = denied(stack, agent, token, &added, "resource_not_in_plan").await;
    let task = submitted(stack, &request(agent, &added, &context)).await;
    person::approve(stack, task["intent_id"].as_str().unwrap()).await;
    let more = redeemed(stack, agent, &task).await;
    let reply = at(stack, &ask(agent, &more, &further, &fresh())).await;
    refused(&reply, "resource_not_in_plan");
    assert_eq!(reply.body["context"].get("access_request"), None, "{}", reply.text);
    // Beyond the plan itself the same call can still be asked for.
    let context = denied(stack, agent, token, &further, "resource_not_in_plan").await;
    submitted(stack, &request(agent, &further, &context)).await;
}
