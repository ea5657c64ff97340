//! What a call gave binds later calls: by the resource server's own signature, for its own permit, once.

use crate::evaluation::{EVALUATION, fresh, permit, refused, request};
use crate::exchange::{exchange_all, token_of};
use crate::support::jose::attacks;
use crate::support::keys::{Client, Key};
use crate::support::plans::{call, grant, plan, rotation, step, with};
use crate::support::reply::Reply;
use crate::support::stack::Stack;
use marque_core::call::Call;
use marque_core::canonical::{Digest, encode};
use marque_core::names::{TOKEN_TYPE_INTENT, TYP_RECEIPT};
use marque_core::receipt::{Leaf, ReceiptResult, disclose};
use marque_demo::clients::SigningKey;
use serde_json::{Value, json};
use std::path::Path;
use uuid::Uuid;

/// An approved plan: reads of the production environment, and changes that depend on what they gave.
struct Work {
    stack: Stack,
    agent: Client,
    token: String,
}

/// A permitted call, as its permit says.
struct Permitted {
    context: Value,
    call: Call,
}

impl Work {
    async fn new(reads: u64, value_from: Value) -> Self {
        let stack = Stack::open().await;
        let agent = stack.agent();
        let steps = vec![
            with(step(&stack, "list", "list_service_accounts", "production"), json!({"uses": reads})),
            with(step(&stack, "update", "update_secret", "S"), json!({"uses": 2, "args": {"value_from": value_from}})),
        ];
        let granted = grant(&stack, &agent, &plan(&stack, steps)).await;
        let token = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
        Self { stack, agent, token }
    }

    async fn evaluate(&self, call: &Call) -> Reply {
        let body = request(&self.stack, &self.agent, &self.token, call, &fresh());
        self.stack.post_json("an evaluation", EVALUATION, &body).await
    }

    async fn list(&self) -> Permitted {
        let call = call(&self.stack, "list_service_accounts", "environment", "production", json!({}));
        Permitted { context: permit(&self.evaluate(&call).await), call }
    }

    async fn update(&self, value: &str) -> Reply {
        self.evaluate(&call(&self.stack, "update_secret", "secret", "S", json!({"value_from": value}))).await
    }

    /// A right receipt for a permit.
    fn receipt(&self, permitted: &Permitted, result: Option<ReceiptResult>) -> Value {
        let mut claims = json!({
            "iss": self.stack.env.clients.rs.client_id, "aud": self.stack.issuer(), "iat": crate::support::keys::now(),
            "jti": permitted.context["permit"]["id"], "intent": permitted.context["intent_id"],
            "step": permitted.context["step"], "call_digest": permitted.call.digest(),
            "seq": permitted.context["permit"]["seq"], "outcome": "committed",
        });
        if let Some(result) = result {
            claims["result"] = json!(result);
        }
        claims
    }

    fn sign(&self, key: &Path, typ: &str, claims: &Value) -> String {
        SigningKey::read(key).unwrap().sign(typ, claims.to_string().as_bytes()).unwrap()
    }

    fn signed(&self, claims: &Value) -> String {
        self.sign(&self.stack.env.clients.rs.key, TYP_RECEIPT, claims)
    }

    async fn settle(&self, what: &str, permitted: &Permitted, members: Value) -> Reply {
        let context = &permitted.context;
        let body =
            json!({"permit_id": context["permit"]["id"], "intent_id": context["intent_id"], "outcome": "committed"});
        self.stack.post_json(what, "/results", &with(body, members)).await
    }

    async fn gives(&self, permitted: &Permitted, result: Value) {
        let receipt = self.signed(&self.receipt(permitted, Some(ReceiptResult::Values(result))));
        self.settle("a receipt", permitted, json!({"receipt": receipt})).await.success(200);
    }

    async fn change(&self, sql: &str, permitted: &Permitted) {
        let id: Uuid = permitted.context["permit"]["id"].as_str().unwrap().parse().unwrap();
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        let changed = sqlx::query(sql).bind(id).execute(&self.stack.db).await.unwrap();
        assert_eq!(changed.rows_affected(), 1);
    }
}

fn environment() -> Value {
    json!({"ref": {"step": "list", "field": "/environment"}})
}

#[tokio::test]
async fn a_late_bound_argument_is_what_the_receipt_says() {
    let work = Work::new(2, environment()).await;
    refused(&work.update("production").await, "result_unknown");
    let first = work.list().await;
    assert_eq!(first.context["permit"]["seq"], 1);
    work.settle("without a receipt", &first, json!({})).await.success(200);
    refused(&work.update("production").await, "result_unknown");
    work.gives(&first, json!({"environment": "production", "service_accounts": []})).await;
    let other = work.update("attacker").await;
    refused(&other, "argument_mismatch");
    let nearest = &other.body["context"]["nearest"];
    assert_eq!((&nearest["argument"], &nearest["got"]), (&json!("value_from"), &json!("attacker")));
    assert_eq!(nearest["expected"], environment(), "it says which earlier result the value should have come from");
    let context = permit(&work.update("production").await);
    assert_eq!(context["permit"]["seq"], 2);
}

#[tokio::test]
async fn a_receipt_is_for_its_permit_and_by_its_resource_server() {
    let work = Work::new(3, environment()).await;
    let (first, second) = (work.list().await, work.list().await);
    let right = work.receipt(&first, Some(ReceiptResult::Values(json!({"environment": "production"}))));
    let invalid = async |what: &str, receipt: String| {
        let reply = work.settle(what, &first, json!({"receipt": receipt})).await;
        reply.because(400, "invalid_request", "receipt_invalid");
    };
    invalid("signed by the agent", work.sign(&work.stack.env.clients.agent.key, TYP_RECEIPT, &right)).await;
    let rs = Key::read(&work.stack.env.clients.rs.key);
    for (what, receipt) in attacks(&rs.sign(TYP_RECEIPT, &right), Some(&rs), false) {
        invalid(what, receipt).await;
    }
    for (member, value) in [
        ("iss", json!("demo-worker")),
        ("aud", json!("https://other.example")),
        ("jti", second.context["permit"]["id"].clone()),
        ("intent", json!(Uuid::new_v4())),
        ("step", json!("update")),
        ("call_digest", json!(Digest::of(b"another call"))),
        ("seq", json!(2)),
        ("outcome", json!("released")),
        ("iat", json!(4_000_000_000_i64)),
        ("surprise", json!(1)),
    ] {
        let mut wrong = right.clone();
        wrong[member] = value;
        invalid(member, work.signed(&wrong)).await;
    }
    let replayed = work.signed(&work.receipt(&second, None));
    invalid("the receipt of another permit", replayed).await;
    let lost = work.settle("a released call with a result", &first, json!({"outcome": "released"})).await;
    lost.success(200);
    let again = work.settle("a result of what was released", &first, json!({"receipt": work.signed(&right)})).await;
    again.because(409, "conflict", "permit_not_open");
    refused(&work.update("production").await, "result_unknown");
}

#[tokio::test]
async fn a_permit_has_one_receipt() {
    let work = Work::new(2, environment()).await;
    let first = work.list().await;
    let right = work.signed(&work.receipt(&first, Some(ReceiptResult::Values(json!({"environment": "production"})))));
    for what in ["a receipt", "the same again"] {
        work.settle(what, &first, json!({"receipt": right})).await.success(200);
    }
    let other = work.signed(&work.receipt(&first, Some(ReceiptResult::Values(json!({"environment": "attacker"})))));
    let reply = work.settle("a second receipt", &first, json!({"receipt": other})).await;
    reply.because(409, "conflict", "permit_not_open");
    refused(&work.update("attacker").await, "argument_mismatch");
}

fn salted(result: &Value) -> (ReceiptResult, Vec<Leaf>) {
    let salt = || Some(encode(Uuid::new_v4().as_bytes()));
    disclose(result, salt).unwrap()
}

#[tokio::test]
async fn rows_that_are_kept_back_leave_a_lookup_unknown() {
    let unused = json!({"/rotations": {"const": 0}});
    let rule = json!({"step": "list", "field": "/service_accounts/*/id", "where": unused, "reduce": "lookup"});
    let work = Work::new(1, json!({"ref": rule})).await;
    let listed = work.list().await;
    let accounts = json!([{"id": "svc-api", "rotations": 0}, {"id": "svc-other", "rotations": 0}]);
    let (hashes, leaves) = salted(&json!({"environment": "production", "service_accounts": accounts}));
    let receipt = work.signed(&work.receipt(&listed, Some(hashes)));
    let tell = async |what: &str, leaves: &[&Leaf]| {
        let disclosures: Vec<_> = leaves.iter().map(|leaf| &leaf.disclosure).collect();
        work.settle(what, &listed, json!({"receipt": receipt, "disclosures": disclosures})).await
    };
    let without_second: Vec<_> =
        leaves.iter().filter(|leaf| !leaf.pointer.starts_with("/service_accounts/1")).collect();
    tell("the first row only", &without_second).await.success(200);
    refused(&work.update("svc-api").await, "result_unknown");
    let (_, forged) = salted(&json!({"a": 1}));
    tell("a leaf that the receipt does not name", &[&forged[0]]).await.because(
        400,
        "invalid_request",
        "receipt_invalid",
    );
    let second: Vec<_> = leaves.iter().filter(|leaf| leaf.pointer.starts_with("/service_accounts/1")).collect();
    tell("the other row", &second).await.success(200);
    // Two accounts were never rotated: which of them is meant nobody can tell.
    refused(&work.update("svc-api").await, "argument_mismatch");
}

#[tokio::test]
async fn a_single_leaf_is_enough_for_its_own_value() {
    let work = Work::new(1, environment()).await;
    let listed = work.list().await;
    let (hashes, leaves) = salted(&json!({"environment": "production", "service_accounts": [{"id": "svc-api"}]}));
    let leaf = leaves.iter().find(|leaf| leaf.pointer == "/environment").unwrap();
    let receipt = work.signed(&work.receipt(&listed, Some(hashes)));
    let told = json!({"receipt": receipt, "disclosures": [leaf.disclosure]});
    work.settle("one leaf", &listed, told).await.success(200);
    permit(&work.update("production").await);
    let bare = work.settle("a leaf without its receipt", &listed, json!({"disclosures": [leaf.disclosure]})).await;
    bare.because(400, "invalid_request", "receipt_invalid");
}

#[tokio::test]
async fn a_row_that_was_changed_or_moved_gives_no_value() {
    let work = Work::new(2, environment()).await;
    let (first, second) = (work.list().await, work.list().await);
    work.gives(&first, json!({"environment": "production"})).await;
    work.gives(&second, json!({"environment": "attacker"})).await;
    work.change("delete from results where permit_id = $1", &second).await;
    let other: Uuid = first.context["permit"]["id"].as_str().unwrap().parse().unwrap();
    let sql = format!(
        "insert into results select intent_id, $1, receipt, received_at from results where permit_id = '{other}'"
    );
    work.change(&sql, &second).await;
    work.change(
        "update results set receipt = set_byte(receipt, 20, get_byte(receipt, 20) # 1) where permit_id = $1",
        &first,
    )
    .await;
    refused(&work.update("production").await, "result_unknown");
    refused(&work.update("attacker").await, "result_unknown");
}

#[tokio::test]
async fn a_restarted_resource_server_finds_what_is_open_and_says_what_became_of_it() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let steps = vec![with(step(&stack, "crash", "rotate_key", "crash"), json!({"uses": 1}))];
    let granted = grant(&stack, &agent, &plan(&stack, steps)).await;
    let token = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let call = rotation(&stack, "crash");
    let ask = async || {
        let body = request(&stack, &agent, &token, &call, &fresh());
        stack.post_json("an evaluation", EVALUATION, &body).await
    };
    let permitted = permit(&ask().await);
    let open = async || {
        let request = stack.http.get(stack.url("/results")).bearer_auth(stack.access_token().await);
        let reply = Reply::to("what is open", request).await;
        let permits = reply.success(200)["permits"].as_array().unwrap().clone();
        permits.into_iter().find(|open| open["permit_id"] == permitted["permit"]["id"])
    };
    let listed = open().await.unwrap();
    assert_eq!((&listed["state"], &listed["step"], &listed["seq"]), (&json!("reserved"), &json!("crash"), &json!(1)));
    assert_eq!(listed["call_digest"], json!(call.digest()));
    let id: Uuid = permitted["permit"]["id"].as_str().unwrap().parse().unwrap();
    let over = sqlx::query("update permits set expires_at = now() - interval '1 second' where permit_id = $1").bind(id);
    over.execute(&stack.db).await.unwrap();
    assert_eq!(open().await.unwrap()["state"], "unknown");
    refused(&ask().await, "uses_exhausted");
    let body = json!({"permit_id": id, "intent_id": permitted["intent_id"], "outcome": "released"});
    stack.post_json("it was not done", "/results", &body).await.success(200);
    assert_eq!(open().await, None);
    permit(&ask().await);
}
