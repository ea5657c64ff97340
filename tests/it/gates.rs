//! Gates as resource servers run them, connected to a real server: started again, cut off, behind somebody who withholds
//! the feed.

use crate::exchange::{exchange_all, token_of};
use crate::feed::revoke;
use crate::support::keys::{Client, now};
use crate::support::middlebox::Middlebox;
use crate::support::plans::{call, grant, plan, reading, rotation, shared, step, with};
use crate::support::server::{Copy, Postgres};
use crate::support::stack::Stack;
use crate::support::until;
use marque_core::call::Call;
use marque_core::names::TOKEN_TYPE_INTENT;
use marque_demo::clients::KeycloakTokens;
use marque_gate::remote::{Following, Marque, OpenPermit, RemoteLedger};
use marque_gate::{Args, ConcreteAction, Gate, GateConfig, Outcome, Permit, Presented, Reason, Refusal};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// How old a gate's knowledge may be.
const STALENESS: Duration = Duration::from_secs(3);

/// A gate of the stack's resource server, as one of its processes has it.
pub struct Process {
    pub gate: Gate,
    ledger: RemoteLedger,
    _following: Following,
}

impl Process {
    /// One that reaches Marque at an address. It is open.
    pub async fn start(stack: &Stack, address: &str) -> Self {
        let config = GateConfig::new(stack.location(), stack.issuer(), &stack.env.marque.trust_domain).unwrap();
        let config = config.with_max_staleness(STALENESS).with_workloads();
        let tokens = KeycloakTokens::new(&stack.env, &stack.env.clients.rs).unwrap();
        let marque = Marque::new(&config, tokens).unwrap().reached_at(address);
        let (gate, following) = marque.gate(config);
        let process = Self { gate, ledger: marque.ledger(), _following: following };
        process.becomes("other", Ok(())).await;
        process
    }

    fn says(&self, intent: &str) -> Result<(), Reason> {
        self.gate.revocations().check(intent, now(), STALENESS)
    }

    /// Waits until the gate says this of an intent.
    pub async fn becomes(&self, intent: &str, expected: Result<(), Reason>) {
        until(&format!("{intent}: {expected:?}"), || std::future::ready(self.says(intent) == expected)).await;
    }

    async fn stays_closed(&self, secs: u64) {
        for _ in 0..secs * 20 {
            assert!(self.says("other").is_err(), "it opened");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A right call of the agent.
    pub async fn check(&self, agent: &Client, token: &str, call: &Call) -> Result<Permit, Refusal> {
        let url = format!("{}/call", call.location);
        let request = Presented::new("POST", &url)
            .with_header("Txn-Token", token)
            .with_header("DPoP", &agent.dpop.prove_call(token, call, "POST", &url));
        let args = Args::from_map(call.args.clone()).unwrap();
        let action = ConcreteAction::new(&call.action, &call.resource.kind, &call.resource.id, args);
        self.gate.check(&request, action, now()).await
    }

    async fn open_permit(&self, id: &str) -> Option<OpenPermit> {
        let open = self.ledger.open_permits().await.unwrap();
        open.into_iter().find(|permit| permit.reserved.permit_id == id)
    }
}

#[tokio::test]
async fn a_gate_that_is_started_again_finds_what_was_open_and_settles_it() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let steps = vec![with(step(&stack, "again", "rotate_key", "again"), json!({"uses": 1}))];
    let granted = grant(&stack, &agent, &plan(&stack, steps)).await;
    let token = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let call = rotation(&stack, "again");
    let first = Process::start(&stack, stack.issuer()).await;
    let lost = first.check(&agent, &token, &call).await.unwrap();
    let id = lost.id().unwrap().to_owned();
    drop((lost, first));

    let second = Process::start(&stack, stack.issuer()).await;
    let open = second.open_permit(&id).await.expect("the ledger knows the permit");
    assert_eq!((open.reserved.call_digest, open.is_unknown), (call.digest(), false));
    assert_eq!((open.reserved.step.as_str(), &open.reserved.intent_id), ("again", &granted.intent_id));
    assert!((now() - open.reserved_at).abs() < 60, "{open:?}");
    let again = second.check(&agent, &token, &call).await.unwrap_err();
    assert_eq!(again.reason(), Reason::UsesExhausted, "a lost permit is not given a second time");
    second.gate.settle_open(&open.reserved, Outcome::Released, now()).await.unwrap();
    assert_eq!(second.open_permit(&id).await, None);
    let twice = second.gate.settle_open(&open.reserved, Outcome::Committed, now()).await.unwrap_err();
    assert_eq!(twice.reason(), Reason::PermitNotOpen);

    let lost = second.check(&agent, &token, &call).await.unwrap();
    let id = lost.id().unwrap().to_owned();
    let over = sqlx::query("update permits set expires_at = now() - interval '1 second' where permit_id = $1");
    over.bind(id.parse::<Uuid>().unwrap()).execute(&stack.db).await.unwrap();
    drop((lost, second));
    let third = Process::start(&stack, stack.issuer()).await;
    let open = third.open_permit(&id).await.expect("the ledger still knows it");
    assert!(open.is_unknown, "and says that nobody knows what became of it");
    assert_eq!(third.check(&agent, &token, &call).await.unwrap_err().reason(), Reason::UsesExhausted);
    third.gate.settle_open(&open.reserved, Outcome::Committed, now()).await.unwrap();
    assert_eq!(third.open_permit(&id).await, None);
    assert_eq!(third.check(&agent, &token, &call).await.unwrap_err().reason(), Reason::UsesExhausted);
}

#[tokio::test]
async fn a_middlebox_that_passes_heartbeats_only_closes_the_gate_and_hides_no_revocation() {
    let stack = Stack::open().await;
    let middlebox = Middlebox::before(stack.issuer()).await;
    let process = Process::start(&stack, &middlebox.url).await;
    let intent = stack.submitted(&stack.agent(), &reading(&stack)).await;
    middlebox.pass_heartbeats_only(true);
    revoke(&stack, &intent).await;
    process.becomes(&intent, Err(Reason::RevocationStateStale)).await;
    process.stays_closed(STALENESS.as_secs() + 2).await;
    middlebox.pass_heartbeats_only(false);
    process.becomes(&intent, Err(Reason::IntentRevoked)).await;
    process.becomes("other", Ok(())).await;
}

#[tokio::test]
async fn gates_close_while_the_database_or_the_server_is_away_and_open_again() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let mut postgres = Postgres::start(&stack);
    let copy = Copy::within(&stack, &postgres).await;
    let server = copy.serve().await;
    let token = token_of(&exchange_all(&server.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let process = Process::start(&stack, &server.stack.base).await;
    let read = call(&stack, "list_service_accounts", "environment", "production", json!({}));
    assert!(process.check(&agent, &token, &read).await.is_ok());
    postgres.stop();
    process.becomes("other", Err(Reason::RevocationStateStale)).await;
    let refusal = process.check(&agent, &token, &read).await.unwrap_err();
    assert_eq!((refusal.reason(), refusal.status()), (Reason::RevocationStateStale, 503));
    postgres.restart();
    process.becomes("other", Ok(())).await;
    assert!(process.check(&agent, &token, &read).await.is_ok());
    drop(server);
    process.becomes("other", Err(Reason::RevocationStateStale)).await;
    assert_eq!(process.check(&agent, &token, &read).await.unwrap_err().reason(), Reason::RevocationStateStale);
    process.stays_closed(2).await;
}
