//! Marque's own ledger: what was used stays used, whoever asks at once, in whatever order servers end, whatever rows say.

use crate::evaluation::{EVALUATION, fresh, permit, refused};
use crate::exchange::{exchange_all, token_of};
use crate::rows::change;
use crate::support::keys::{Client, Key};
use crate::support::plans::{Granted, call, grant, plan, rotation, step, with};
use crate::support::realm::register;
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use futures_util::future::join_all;
use marque_core::call::{Call, CallResource};
use marque_core::canonical::Digest;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// An approved plan and a token of its agent for all of it.
pub struct Work {
    pub stack: Stack,
    pub agent: Client,
    pub granted: Granted,
    pub token: String,
}

impl Work {
    async fn of(steps: impl FnOnce(&Stack) -> Vec<Value>) -> Self {
        let stack = Stack::open().await;
        let plan = plan(&stack, steps(&stack));
        Self::granted(stack, plan).await
    }

    pub async fn granted(stack: Stack, plan: Value) -> Self {
        let agent = stack.agent();
        Self::by(stack, agent, plan).await
    }

    /// A plan of any agent's.
    pub async fn by(stack: Stack, agent: Client, plan: Value) -> Self {
        let granted = grant(&stack, &agent, &plan).await;
        let token = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
        Self { stack, agent, granted, token }
    }

    /// One rotation that may be done once.
    pub async fn once() -> (Self, Call) {
        let work = Self::of(|stack| vec![with(step(stack, "once", "rotate_key", "once"), json!({"uses": 1}))]).await;
        let call = rotation(&work.stack, "once");
        (work, call)
    }

    fn ask(&self, call: &Call) -> Value {
        ask(&self.agent, &self.token, call, &fresh())
    }

    pub async fn evaluate(&self, call: &Call) -> Reply {
        at(&self.stack, &self.ask(call)).await
    }

    async fn change(&self, sql: &'static str) {
        change(&self.stack.db, sql, &self.granted.intent_id).await;
    }

    fn intent(&self) -> Uuid {
        self.granted.intent_id.parse().unwrap()
    }
}

/// A right request about a call, with a proof of its own.
pub fn ask(client: &Client, token: &str, call: &Call, call_id: &str) -> Value {
    let url = format!("{}/act", call.location);
    let proof = client.dpop.prove_call(token, call, "POST", &url);
    json!({
        "subject": {"type": "agent", "id": client.id},
        "action": {"name": call.action, "properties": call.args},
        "resource": {"type": call.resource.kind, "id": call.resource.id},
        "context": {
            "location": call.location, "txn_token": token, "dpop": proof, "method": "POST", "url": url,
            "call_id": call_id,
        },
    })
}

pub async fn at(stack: &Stack, body: &Value) -> Reply {
    stack.post_json("an evaluation", EVALUATION, body).await
}

pub async fn settle(stack: &Stack, context: &Value, outcome: &str) -> Reply {
    let body = json!({"permit_id": context["permit"]["id"], "intent_id": context["intent_id"], "outcome": outcome});
    stack.post_json("a result", "/results", &body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_concurrent_calls_against_one_use_give_exactly_one_permit() {
    let (work, call) = Work::once().await;
    let bodies: Vec<Value> = (0..1000).map(|_| work.ask(&call)).collect();
    let start = Instant::now();
    let replies = join_all(bodies.iter().map(|body| at(&work.stack, body))).await;
    let mut outcomes = BTreeMap::<String, u32>::new();
    for reply in &replies {
        let decision = reply.body["decision"].as_bool();
        let outcome = match decision {
            Some(true) => "permit".to_owned(),
            Some(false) => reply.body["context"]["reason"].as_str().unwrap().to_owned(),
            None => {
                reply.because(503, "temporarily_unavailable", "state_unavailable");
                assert_eq!(reply.header("retry-after"), "1");
                "503".to_owned()
            }
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{outcomes:?} in {:?}", start.elapsed());
    assert_eq!(outcomes.remove("permit"), Some(1), "{outcomes:?}");
    assert!(outcomes.remove("uses_exhausted").is_some_and(|count| count > 100), "{outcomes:?}");
    assert!(outcomes.keys().all(|outcome| outcome == "503"), "{outcomes:?}");
    refused(&work.evaluate(&call).await, "uses_exhausted");
}

const BANK: &str = "https://bank.example";
const PAYEES: [&str; 2] = ["AT611904300234573201", "DE89370400440532013000"];

pub fn payment(payee: usize, sum: i64) -> Call {
    let args = json!({"to": PAYEES[payee], "amount": {"currency": "EUR", "value": sum.to_string()}});
    let resource = CallResource { kind: "account".into(), id: "main".into() };
    Call::new(BANK, "payment.create", resource, args.as_object().unwrap().clone())
}

/// A plan of two payments that share a budget, for the agent and those it hands its token on to.
pub async fn payments(stack: &Stack, delegates: &[&Client]) -> Value {
    crate::scenarios::publish(stack, &Key::read(&stack.env.clients.rs.key)).await;
    let pay = |id: &str, payee: &str| {
        let amount = json!({"amount": {"max": "900", "currency": "EUR"}});
        json!({"id": id, "location": BANK, "action": "payment.create", "resource": {"type": "account", "id": "main"},
               "args": {"to": {"const": payee}, "amount": amount}, "uses": 1000})
    };
    let budget = json!({"steps": ["rent", "other"], "arg": "amount", "max": "10000", "currency": "EUR"});
    let named = |client: &&Client| json!({"client_id": client.id, "steps": ["rent", "other"]});
    let delegates: Vec<Value> = delegates.iter().map(named).collect();
    let limits = json!({"lifetime_secs": 3600, "max_hops": 3, "budgets": [budget]});
    with(
        plan(stack, vec![pay("rent", PAYEES[0]), pay("other", PAYEES[1])]),
        json!({"limits": limits, "delegates": delegates}),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_over_four_servers_and_three_hops_is_never_exceeded() {
    let main = Stack::open().await;
    let hop = |id: &str| Client { id: id.to_owned(), signing: Key::fresh(), dpop: Key::fresh() };
    let (worker, second, third) = (main.worker(), hop("it-hop-2"), hop("it-hop-3"));
    register(&main, &second).await;
    register(&main, &third).await;
    let plan = payments(&main, &[&worker, &second, &third]).await;
    let work = Work::granted(main.clone(), plan).await;
    let mut holders = vec![(main.agent(), work.token.clone())];
    for client in [worker, second, third] {
        let parent = &holders.last().unwrap().1;
        let token = token_of(&exchange_all(&main, &client, parent, TOKEN_TYPE_TXN).await);
        holders.push((client, token));
    }
    let copy = Copy::beside(&main).await;
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(copy.serve().await);
    }
    let stacks: Arc<Vec<Stack>> = Arc::new(servers.iter().map(|server| server.stack.clone()).collect());
    let holders = Arc::new(holders);
    let lanes = (0..8_usize).map(|lane| {
        let (stacks, holders) = (stacks.clone(), holders.clone());
        tokio::spawn(async move {
            let ((client, token), (mut spent, mut denied)) = (&holders[lane % 4], (0, 0));
            for round in 0..12_usize {
                let sum = 90 + i64::try_from(lane * 17 + round * 13).unwrap();
                let body = ask(client, token, &payment(round % 2, sum), &fresh());
                let reply = at(&stacks[(lane + round) % 4], &body).await;
                if reply.body["decision"] == true {
                    spent += sum;
                    settle(&stacks[(lane + round + 1) % 4], &permit(&reply), "committed").await.success(200);
                } else {
                    refused(&reply, "budget_exhausted");
                    denied += 1;
                }
            }
            (spent, denied)
        })
    });
    let (mut spent, mut denied) = (0, 0);
    for lane in join_all(lanes).await {
        let (more, less) = lane.unwrap();
        (spent, denied) = (spent + more, denied + less);
    }
    println!("{spent} of 10000 spent over four servers and four holders, {denied} calls refused");
    assert!(spent <= 10_000 && spent > 9_500 && denied > 0, "{spent} spent, {denied} refused");
    // No hop and no other token of the plan begins anew.
    let rest = 10_000 - spent + 1;
    for (client, token) in holders.iter() {
        refused(&at(&stacks[0], &ask(client, token, &payment(0, rest), &fresh())).await, "budget_exhausted");
    }
    let again = token_of(&exchange_all(&stacks[1], &main.agent(), &work.granted.token, TOKEN_TYPE_INTENT).await);
    let body = ask(&main.agent(), &again, &payment(1, rest), &fresh());
    refused(&at(&stacks[2], &body).await, "budget_exhausted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_ledger_is_503_and_keeps_no_other_plan_waiting() {
    let (work, held) = Work::once().await;
    let (other, free) = Work::once().await;
    refused(
        &work.evaluate(&call(&work.stack, "rotate_key", "service_account", "x", json!({}))).await,
        "resource_not_in_plan",
    );
    permit(&work.evaluate(&held).await);
    let mut lock = work.stack.db.begin().await.unwrap();
    let hold = sqlx::query("select counts from ledgers where intent_id = $1 for update").bind(work.intent());
    hold.execute(&mut *lock).await.unwrap();
    let bodies: Vec<Value> = (0..40).map(|_| work.ask(&held)).collect();
    let waiting = join_all(bodies.iter().map(|body| at(&work.stack, body)));
    let start = Instant::now();
    let others = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let asked = Instant::now();
        permit(&other.evaluate(&free).await);
        asked.elapsed()
    };
    let (replies, others) = tokio::join!(waiting, others);
    println!("the held plan is answered after {:?}, another one after {others:?}", start.elapsed());
    for reply in &replies {
        reply.because(503, "temporarily_unavailable", "state_unavailable");
        assert_eq!(reply.header("retry-after"), "1");
    }
    assert!(start.elapsed() < Duration::from_secs(6) && others < Duration::from_millis(1500));
    lock.rollback().await.unwrap();
    refused(&work.evaluate(&held).await, "uses_exhausted");
}

fn reading() -> impl FnOnce(&Stack) -> Vec<Value> {
    |stack| {
        vec![
            with(step(stack, "list", "list_service_accounts", "production"), json!({"uses": "any"})),
            with(step(stack, "once", "rotate_key", "once"), json!({"uses": 1})),
        ]
    }
}

#[tokio::test]
async fn an_uncounted_call_waits_for_no_ledger() {
    let work = Work::of(reading()).await;
    let list = call(&work.stack, "list_service_accounts", "environment", "production", json!({}));
    let copy = Copy::beside(&work.stack).await;
    let server = copy.serve().await;
    let stack = &server.stack;
    // Nothing can write or lock a row of these meanwhile: whoever tries is refused in the end.
    let mut lock = stack.db.begin().await.unwrap();
    for table in ["intents", "tokens", "ledgers", "permits", "results"] {
        let sql = sqlx::AssertSqlSafe(format!("lock table {table} in exclusive mode"));
        sqlx::query(sql).execute(&mut *lock).await.unwrap();
    }
    let context = permit(&at(stack, &work.ask(&list)).await);
    assert_eq!((&context["permit"]["state"], &context["permit"]["seq"]), (&json!("uncounted"), &Value::Null));
    let once = rotation(&work.stack, "once");
    at(stack, &work.ask(&once)).await.because(503, "temporarily_unavailable", "state_unavailable");
    lock.rollback().await.unwrap();
    permit(&at(stack, &work.ask(&once)).await);
}

#[tokio::test]
async fn an_uncounted_call_is_answered_again_and_its_proof_is_good_for_no_other() {
    let work = Work::of(reading()).await;
    let list = call(&work.stack, "list_service_accounts", "environment", "production", json!({}));
    let id = fresh();
    let body = ask(&work.agent, &work.token, &list, &id);
    let first = permit(&at(&work.stack, &body).await);
    let again = join_all((0..8).map(|_| at(&work.stack, &body))).await;
    again.iter().for_each(|reply| assert_eq!(permit(reply), first));
    let changed = |pointer: &str, value: &str| {
        let mut changed = body.clone();
        *changed.pointer_mut(pointer).unwrap() = value.into();
        changed
    };
    let other_proof = ask(&work.agent, &work.token, &list, &id);
    assert_ne!(permit(&at(&work.stack, &other_proof).await), first, "another proof is another call");
    refused(&at(&work.stack, &changed("/context/call_id", &fresh())).await, "proof_replayed");
    // The proof of a counted call is good for no uncounted one, and the other way round.
    let counted_id = fresh();
    let counted = ask(&work.agent, &work.token, &rotation(&work.stack, "once"), &counted_id);
    permit(&at(&work.stack, &counted).await);
    let under_its_id = ask(&work.agent, &work.token, &list, &counted_id);
    refused(&at(&work.stack, &under_its_id).await, "call_malformed");
    let mut list_with_it = ask(&work.agent, &work.token, &list, &fresh());
    list_with_it["context"]["dpop"] = counted["context"]["dpop"].clone();
    refused(&at(&work.stack, &list_with_it).await, "proof_replayed");
    let batch = with(body.clone(), json!({"evaluations": [{}, {}]}));
    let reply = work.stack.post_json("a batch", "/access/v1/evaluations", &batch).await;
    let answers = &reply.success(200)["evaluations"];
    assert_eq!(answers[0]["context"], first, "a batch that is sent again goes on");
    assert_eq!(answers[1]["decision"], false, "and gives each permit once");
}

#[tokio::test]
async fn two_servers_on_one_database_take_a_proof_once_and_give_one_permit() {
    let work = Work::of(reading()).await;
    let list = call(&work.stack, "list_service_accounts", "environment", "production", json!({}));
    let copy = Copy::beside(&work.stack).await;
    let (one, other) = (copy.serve().await, copy.serve().await);
    for call in [&list, &rotation(&work.stack, "once")] {
        let body = work.ask(call);
        let first = permit(&at(&one.stack, &body).await);
        assert_eq!(permit(&at(&other.stack, &body).await), first, "the same again");
        let mut under_another_id = body.clone();
        under_another_id["context"]["call_id"] = fresh().into();
        let refused_for = at(&other.stack, &under_another_id).await.success(200)["context"]["reason"].clone();
        assert!(["proof_replayed", "uses_exhausted"].iter().any(|reason| refused_for == *reason), "{refused_for}");
    }
    let bodies: Vec<Value> = (0..20).map(|_| work.ask(&list)).collect();
    for body in &bodies {
        let (here, there) = tokio::join!(at(&one.stack, body), at(&other.stack, body));
        assert_eq!(permit(&here), permit(&there), "at once");
    }
}

#[tokio::test]
async fn changed_rows_free_no_use_and_commit_nothing() {
    let steps = |stack: &Stack| {
        let first = with(step(stack, "first", "rotate_key", "first"), json!({"uses": 2}));
        let second = with(step(stack, "second", "rotate_key", "second"), json!({"uses": 1, "after": ["first"]}));
        vec![first, second]
    };
    let work = Work::of(steps).await;
    let (first, second) = (rotation(&work.stack, "first"), rotation(&work.stack, "second"));
    permit(&work.evaluate(&first).await);
    // Whoever writes rows says that the first was committed, or released: the second stays out of order, the use used.
    let say = |state: &'static str| sqlx::query(state).bind(work.intent()).execute(&work.stack.db);
    say("update permits set state = 'committed', settled_at = now() where intent_id = $1").await.unwrap();
    refused(&work.evaluate(&second).await, "out_of_order");
    say("update permits set state = 'released' where intent_id = $1").await.unwrap();
    permit(&work.evaluate(&first).await);
    refused(&work.evaluate(&first).await, "uses_exhausted");
    say("update permits set state = 'released' where intent_id = $1").await.unwrap();
    refused(&work.evaluate(&first).await, "uses_exhausted");
    // What is written once is not changed, removed or emptied.
    for sql in [
        "delete from permits where intent_id = $1",
        "delete from ledgers where intent_id = $1",
        "update permits set step_id = 'second' where intent_id = $1",
        "update permits set call = null where intent_id = $1",
        "update permits set seq = seq + 7 where intent_id = $1",
    ] {
        let refusal = say(sql).await.unwrap_err().to_string();
        assert!(refusal.contains("written once"), "{sql}: {refusal}");
    }
    // A count that somebody else wrote refuses.
    work.change("update ledgers set counts = set_byte(counts, 20, get_byte(counts, 20) # 1) where intent_id = $1")
        .await;
    refused(&work.evaluate(&first).await, "ledger_unavailable");
    // A search is about others, too: it goes on, and finds nothing here.
    let search = json!({
        "subject": {"type": "agent", "id": work.agent.id}, "action": {"name": first.action},
        "resource": {"type": first.resource.kind},
        "context": {"txn_token": work.token, "location": first.location},
    });
    let found = work.stack.post_json("a search", "/access/v1/search/resource", &search).await;
    assert_eq!(found.success(200)["results"], json!([]));
}

#[tokio::test]
async fn counts_that_are_put_back_or_removed_free_no_use() {
    let work = Work::of(|stack| vec![with(step(stack, "s", "rotate_key", "s"), json!({"uses": 2}))]).await;
    let call = rotation(&work.stack, "s");
    let first = permit(&work.evaluate(&call).await);
    let mut conn = work.stack.db.acquire().await.unwrap();
    let keep = "create temp table kept as select * from ledgers";
    sqlx::query(keep).execute(&mut *conn).await.unwrap();
    permit(&work.evaluate(&call).await);
    refused(&work.evaluate(&call).await, "uses_exhausted");
    let back =
        "update ledgers l set counts = k.counts from kept k where k.intent_id = l.intent_id and l.intent_id = $1";
    sqlx::query(back).bind(work.intent()).execute(&mut *conn).await.unwrap();
    refused(&work.evaluate(&call).await, "ledger_unavailable");
    work.change("delete from ledgers where intent_id = $1").await;
    refused(&work.evaluate(&call).await, "ledger_unavailable");
    settle(&work.stack, &first, "released").await.because(409, "conflict", "ledger_unavailable");
}

#[tokio::test]
async fn an_end_that_was_moved_from_another_permit_counts_for_nothing() {
    let steps = |stack: &Stack| {
        let first = with(step(stack, "first", "rotate_key", "first"), json!({"uses": 2}));
        let second = with(step(stack, "second", "rotate_key", "second"), json!({"uses": 1}));
        vec![first, second]
    };
    let work = Work::of(steps).await;
    let one = permit(&work.evaluate(&rotation(&work.stack, "first")).await);
    let other = permit(&work.evaluate(&rotation(&work.stack, "second")).await);
    settle(&work.stack, &other, "released").await.success(200);
    let sql = "update permits p set outcome = o.outcome, state = 'released' from permits o
               where p.intent_id = $1 and o.intent_id = $1 and p.step_id = 'first' and o.step_id = 'second'";
    sqlx::query(sql).bind(work.intent()).execute(&work.stack.db).await.unwrap();
    settle(&work.stack, &one, "released").await.because(409, "conflict", "permit_not_open");
    permit(&work.evaluate(&rotation(&work.stack, "first")).await);
    refused(&work.evaluate(&rotation(&work.stack, "first")).await, "uses_exhausted");
    let again = "update permits set outcome = null where intent_id = $1 and step_id = 'second'";
    let refusal = sqlx::query(again).bind(work.intent()).execute(&work.stack.db).await.unwrap_err().to_string();
    assert!(refusal.contains("written once"), "{refusal}");
}

#[tokio::test]
async fn tables_that_are_written_once_are_not_emptied() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    for table in [
        "tokens",
        "approvals",
        "revocations",
        "step_up_uses",
        "catalogs",
        "waiting_catalogs",
        "catalog_decisions",
        "permits",
        "ledgers",
        "key_withdrawals",
    ] {
        let sql = sqlx::AssertSqlSafe(format!("truncate {table} cascade"));
        let refusal = sqlx::query(sql).execute(&copy.stack.db).await.unwrap_err().to_string();
        assert!(refusal.contains("written once"), "{table}: {refusal}");
    }
}

#[tokio::test]
async fn more_of_the_past_than_one_decision_reads_is_refused_for_its_reason() {
    let stack = Stack::open().await;
    crate::scenarios::publish(&stack, &Key::read(&stack.env.clients.rs.key)).await;
    let write = |id: &str, file: &str, uses: u64, content: Value| {
        json!({"id": id, "location": "https://files.example", "action": "file.write",
               "resource": {"type": "file", "id": file}, "args": {"content": content}, "uses": uses})
    };
    let steps = vec![
        write("write", "a.txt", 200, json!({"any": true})),
        write("copy", "b.txt", 3, json!({"same_as": {"step": "write", "arg": "content"}})),
    ];
    let plan = plan(&stack, steps);
    let work = Work::granted(stack, plan).await;
    let at_file = |file: &str, content: &str| {
        let resource = CallResource { kind: "file".into(), id: file.into() };
        let args = json!({"content": content}).as_object().unwrap().clone();
        Call::new("https://files.example", "file.write", resource, args)
    };
    let written = permit(&work.evaluate(&at_file("a.txt", "short")).await);
    settle(&work.stack, &written, "committed").await.success(200);
    permit(&work.evaluate(&at_file("b.txt", "short")).await);
    let long = "x".repeat(63 * 1024);
    for _ in 0..135 {
        let written = permit(&work.evaluate(&at_file("a.txt", &long)).await);
        settle(&work.stack, &written, "committed").await.success(200);
    }
    let start = Instant::now();
    refused(&work.evaluate(&at_file("b.txt", "short")).await, "too_much_work");
    println!("refused after {:?}", start.elapsed());
    permit(&work.evaluate(&at_file("a.txt", "what refers to no earlier call goes on")).await);
}

#[tokio::test]
async fn connections_are_durable_and_impatient_whatever_the_database_says() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&copy.stack.db).await.unwrap();
    for setting in ["synchronous_commit = off", "lock_timeout = 0", "default_transaction_isolation = serializable"] {
        let sql = sqlx::AssertSqlSafe(format!("alter database {name} set {setting}"));
        sqlx::query(sql).execute(&copy.stack.db).await.unwrap();
    }
    let plain = crate::support::stack::connect(copy.url().to_owned()).await;
    let shown = async |pool: &sqlx::PgPool, name: &str| {
        let sql = sqlx::AssertSqlSafe(format!("show {name}"));
        sqlx::query_scalar::<_, String>(sql).fetch_one(pool).await.unwrap()
    };
    assert_eq!(shown(&plain, "synchronous_commit").await, "off", "the default is what the test says");
    let pool = marque::store::connect(copy.url()).await.unwrap();
    assert_eq!(shown(&pool, "synchronous_commit").await, "on");
    assert_eq!(shown(&pool, "lock_timeout").await, "2s");
    assert_eq!(shown(&pool, "transaction_isolation").await, "read committed");
    marque::store::migrate(&pool).await.unwrap();
    for _ in 0..5 {
        assert_eq!(shown(&pool, "lock_timeout").await, "2s", "a migration's patience is its own");
    }
}

async fn open(stack: &Stack, query: &str) -> Reply {
    let request = stack.http.get(stack.url(&format!("/results{query}"))).bearer_auth(stack.access_token().await);
    Reply::to("what is open", request).await
}

/// Every open permit of the resource server, page by page.
async fn all_open(stack: &Stack, limit: u32) -> Vec<Value> {
    let (mut all, mut query) = (Vec::new(), format!("?limit={limit}"));
    loop {
        let reply = open(stack, &query).await;
        let page = reply.success(200);
        let permits = page["permits"].as_array().unwrap();
        assert!(permits.len() <= limit as usize);
        all.extend(permits.iter().cloned());
        let Some(next) = page.get("next") else { return all };
        query = format!("?limit={limit}&after={}", next.as_str().unwrap());
    }
}

#[tokio::test]
async fn open_permits_are_listed_page_by_page() {
    let work = Work::of(|stack| vec![with(step(stack, "s", "rotate_key", "s"), json!({"uses": 200}))]).await;
    let call = rotation(&work.stack, "s");
    let mut given = Vec::new();
    for _ in 0..7 {
        given.push(permit(&work.evaluate(&call).await));
    }
    let own = |listed: &[Value]| {
        let listed = listed.iter().filter(|open| open["intent_id"] == work.granted.intent_id.as_str());
        listed.map(|open| open["permit_id"].clone()).collect::<Vec<_>>()
    };
    let ids: Vec<Value> = given.iter().map(|context| context["permit"]["id"].clone()).collect();
    assert_eq!(own(&all_open(&work.stack, 3).await), ids);
    // One that is settled meanwhile moves no other over the edge of a page: the first page has none of these or the one that is settled.
    let reply = open(&work.stack, "?limit=1").await;
    let next = reply.success(200)["next"].as_str().unwrap().to_owned();
    settle(&work.stack, &given[0], "committed").await.success(200);
    let rest = open(&work.stack, &format!("?limit=100&after={next}")).await;
    assert_eq!(own(rest.success(200)["permits"].as_array().unwrap()), ids[1..]);
    assert_eq!(own(&all_open(&work.stack, 2).await), ids[1..]);
    for wrong in ["?limit=0", "?limit=101", "?limit=x", "?after=x", "?after=AAAA", &format!("?after={next}AA")] {
        open(&work.stack, wrong).await.refused(400, "invalid_request");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_between_permit_and_result_leaves_no_silent_double() {
    let (work, call) = Work::once().await;
    let copy = Copy::beside(&work.stack).await;
    let server = copy.serve().await;
    let body = work.ask(&call);
    let given = permit(&at(&server.stack, &body).await);
    drop(server); // SIGKILL

    let server = copy.serve().await;
    let stack = &server.stack;
    let state = async || {
        let listed = all_open(stack, 100).await;
        let own = listed.into_iter().find(|open| open["permit_id"] == given["permit"]["id"]);
        own.map(|open| open["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(state().await.as_deref(), Some("reserved"));
    assert_eq!(permit(&at(stack, &body).await), given, "the same again gets the same permit");
    refused(&at(stack, &work.ask(&call)).await, "uses_exhausted");
    let over = "update permits set expires_at = now() - interval '1 second' where permit_id = $1";
    let id: Uuid = given["permit"]["id"].as_str().unwrap().parse().unwrap();
    sqlx::query(over).bind(id).execute(&stack.db).await.unwrap();
    assert_eq!(state().await.as_deref(), Some("unknown"));
    refused(&at(stack, &body).await, "call_malformed");
    refused(&at(stack, &work.ask(&call)).await, "uses_exhausted");
    settle(stack, &given, "committed").await.success(200);
    assert_eq!(state().await, None);
    refused(&at(stack, &work.ask(&call)).await, "uses_exhausted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_load_has_kept_every_permit_that_it_answered() {
    let work = Work::of(|stack| vec![with(step(stack, "s", "rotate_key", "s"), json!({"uses": 500}))]).await;
    let (call, copy) = (rotation(&work.stack, "s"), Copy::beside(&work.stack).await);
    let server = copy.serve().await;
    let token = work.stack.access_token().await;
    let load: Vec<_> = (0..300)
        .map(|_| {
            let (stack, body) = (&server.stack, work.ask(&call));
            let request = stack.http.post(stack.url(EVALUATION)).bearer_auth(&token).json(&body);
            tokio::spawn(async move { request.send().await.ok()?.json::<Value>().await.ok() })
        })
        .collect();
    let stack = server.stack.clone();
    let kept = async || -> i64 {
        let kept = sqlx::query_scalar("select count(*) from permits where intent_id = $1").bind(work.intent());
        kept.fetch_one(&stack.db).await.unwrap()
    };
    crate::support::until("some permits are given", || async { kept().await > 20 }).await;
    drop(server);
    let mut answered = 0;
    for reply in join_all(load).await.into_iter().filter_map(Result::unwrap) {
        if reply["decision"] == true {
            answered += 1;
            let id: Uuid = reply["context"]["permit"]["id"].as_str().unwrap().parse().unwrap();
            let kept = sqlx::query("select from permits where permit_id = $1").bind(id).fetch_optional(&stack.db).await;
            assert!(kept.unwrap().is_some(), "an answered permit has no row");
        }
    }
    let server = copy.serve().await;
    let kept = kept().await;
    println!("{answered} answered, {kept} kept");
    assert!(answered > 0 && kept >= answered, "{answered} answered, {kept} kept");
    let next = permit(&at(&server.stack, &work.ask(&call)).await);
    assert_eq!(next["permit"]["seq"], kept + 1, "counts and permits agree");
    assert_eq!(Digest::from_base64(next["permit"]["call_digest"].as_str().unwrap()), Some(call.digest()));
}

/// Calls hold the intent against its revocation, each for its own transaction: they must not keep it from ever being held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_gets_through_a_flood_of_calls() {
    let work = Work::of(|stack| vec![with(step(stack, "s", "rotate_key", "s"), json!({"uses": 5000}))]).await;
    let (call, given, is_revoked) = (rotation(&work.stack, "s"), AtomicU32::new(0), AtomicBool::new(false));
    let copy = Copy::beside(&work.stack).await;
    let server = copy.serve().await;
    let stack = &server.stack;
    let token = work.stack.access_token().await;
    let flood = async || loop {
        let was_revoked = is_revoked.load(SeqCst);
        let request = stack.http.post(stack.url(EVALUATION)).bearer_auth(&token).json(&work.ask(&call));
        let reply = Reply::to("a call of a flood", request).await;
        if reply.body["decision"] == true {
            assert!(!was_revoked, "a call that came after the revocation was permitted");
            given.fetch_add(1, SeqCst);
        } else {
            refused(&reply, "intent_revoked");
            return;
        }
    };
    let revoke = async {
        crate::support::until("the flood runs", || async { given.load(SeqCst) > 50 }).await;
        let stranger = Client::with_fresh_dpop(&work.stack.env.clients.agent);
        let reply = stack.poll(&stranger, &work.granted.intent_id).await;
        reply.because(400, "invalid_grant", "intent_revoked");
        is_revoked.store(true, SeqCst);
    };
    tokio::join!(join_all((0..32).map(|_| flood())), revoke);
    println!("{} calls were permitted before", given.load(SeqCst));
}
