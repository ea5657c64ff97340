//! What the tests need of a Marque: keys, tokens, proofs, a ledger in memory.
#![allow(dead_code, reason = "each test program uses its part")]

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use jsonwebtoken::EncodingKey;
use marque_core::call::{Call, CallResource};
use marque_core::canonical::{Digest, encode};
use marque_core::claims::{Actor, Carried, Confirmation, IntentRef, TxnClaims, TxnContext};
use marque_core::decide::{Decision, decide};
use marque_core::envelope::Envelope;
use marque_core::facts::{Facts, Past};
use marque_core::json;
use marque_core::jws::{self, KeySet};
use marque_core::names::{TYP_DPOP, TYP_TXN};
use marque_gate::keys::Pending;
use marque_gate::ledger::{Ledger, Reservation, Reserved, Settlement, SignedReceipt};
use marque_gate::revocations::FeedMessage;
use marque_gate::{Args, ConcreteAction, FixedKeys, Gate, GateConfig, Presented, Reason, Refusal, Revocations};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const NOW: i64 = 1_800_000_000;
pub const LOCATION: &str = "https://rs.example";
pub const ISSUER: &str = "https://marque.example/realms/demo";
pub const DOMAIN: &str = "demo.example";
pub const INTENT: &str = "0199f3a2-0000-7000-8000-000000000001";

/// A P-256 key pair.
pub struct Key {
    private: EncodingKey,
    pub public: Value,
    pub jkt: String,
}

impl Key {
    pub fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let public = json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])});
        let jkt = jws::VerificationKey::from_jwk(&public).unwrap().thumbprint().to_owned();
        let der = AsBigEndian::<aws_lc_rs::encoding::EcPrivateKeyBin<'_>>::as_be_bytes(&pair.private_key());
        assert!(der.is_ok());
        let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self { private, public, jkt }
    }

    pub fn sign(&self, typ: &str, claims: &Value) -> String {
        jws::sign_es256(typ, Some(&self.jkt), claims.to_string().as_bytes(), &self.private).unwrap()
    }

    /// The public key as Marque publishes it, for one `typ`.
    pub fn published(&self, typ: &str) -> Value {
        let mut jwk = self.public.clone();
        jwk["kid"] = self.jkt.as_str().into();
        jwk["alg"] = "ES256".into();
        jwk["marque_typ"] = typ.into();
        jwk
    }

    /// A DPoP proof with the given claims.
    pub fn proof(&self, claims: &Value) -> String {
        let header = json!({"typ": TYP_DPOP, "alg": "ES256", "jwk": self.public});
        jws::sign_with_header(&header, claims.to_string().as_bytes(), &self.private).unwrap()
    }
}

/// A step as tokens carry it.
pub fn step(id: &str, action: &str, class: &str, resource: &str, uses: Value, args: Value) -> Value {
    json!({"id": id, "location": LOCATION, "action": action, "resource": {"type": "thing", "id": resource},
           "args": args, "uses": uses, "class": class})
}

/// The steps that most tests use.
pub fn steps() -> Value {
    json!([
        step("read", "look", "read", "a", json!("any"), json!({})),
        step("counted-read", "peek", "read", "a", json!(1), json!({})),
        step("change", "set", "change", "a", json!(1), json!({"to": {"one_of": ["x", "y"]}})),
    ])
}

/// A Marque, an agent, and everything that goes between them and a gate.
pub struct World {
    pub marque: Key,
    pub agent: Key,
    pub ledger: MemoryLedger,
    pub revocations: Revocations,
    pub gate: Gate,
    proofs: Mutex<u32>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|config| config)
    }

    pub fn with(configure: impl Fn(GateConfig) -> GateConfig) -> Self {
        let (marque, agent) = (Key::new(), Key::new());
        let config = configure(GateConfig::new(LOCATION, ISSUER, DOMAIN).unwrap());
        let keys = KeySet::from_jwks(&json!({"keys": [marque.published(TYP_TXN)]})).unwrap();
        let (ledger, revocations) = (MemoryLedger::default(), Revocations::new());
        revocations.apply(snapshot("e1", 0, NOW, &[]), NOW);
        let gate = Gate::new(config, FixedKeys::new(keys), revocations.clone()).with_ledger(ledger.clone());
        Self { marque, agent, ledger, revocations, gate, proofs: Mutex::new(0) }
    }

    /// Another gate for the same world, with replay memory of its own.
    pub fn gate_of(world: &World) -> Gate {
        let keys = KeySet::from_jwks(&json!({"keys": [world.marque.published(TYP_TXN)]})).unwrap();
        let config = world.gate.config().clone();
        Gate::new(config, FixedKeys::new(keys), world.revocations.clone()).with_ledger(world.ledger.clone())
    }

    /// Claims of a good token for some steps.
    pub fn claims(&self, steps: &Value) -> Value {
        let envelope = envelope(steps);
        let intent = IntentRef { id: INTENT.into(), digest: Digest::of(b"plan"), version: 1 };
        serde_json::to_value(TxnClaims {
            iss: ISSUER.into(),
            aud: DOMAIN.into(),
            sub: "alice".into(),
            iat: NOW - 1,
            exp: NOW + 300,
            jti: "token-1".into(),
            txn: "txn-1".into(),
            scope: envelope.scope(),
            req_wl: "agent".into(),
            tctx: TxnContext { intent, carried: Carried::Inline(envelope) },
            rctx: serde_json::Map::new(),
            act: Actor::first("agent"),
            may_act: None,

            cnf: Confirmation::Jkt(self.agent.jkt.clone()),
        })
        .unwrap()
    }

    pub fn token(&self, claims: &Value) -> String {
        self.marque.sign(TYP_TXN, claims)
    }

    /// Claims of a good proof for a call to `path`.
    pub fn proof_claims(&self, token: &str, method: &str, path: &str, call: Option<&Call>) -> Value {
        let mut proofs = self.proofs.lock().unwrap();
        *proofs += 1;
        let mut claims = json!({
            "jti": format!("proof-{proofs}"), "iat": NOW, "htm": method, "htu": format!("{LOCATION}{path}"),
            "ath": Digest::of(token.as_bytes()).to_base64(),
        });
        if let Some(call) = call {
            claims["call_digest"] = call.digest().to_base64().into();
        }
        claims
    }

    /// A good request for a call.
    pub fn request(&self, steps: &Value, call: &Call) -> Presented {
        let token = self.token(&self.claims(steps));
        let proof = self.agent.proof(&self.proof_claims(&token, "POST", "/act", Some(call)));
        presented(&token, &proof)
    }

    pub async fn check(&self, steps: &Value, call: &Call) -> Result<marque_gate::Permit, Refusal> {
        self.gate.check(&self.request(steps, call), action(call), NOW).await
    }
}

pub fn presented(token: &str, proof: &str) -> Presented {
    request().with_header("Txn-Token", token).with_header("DPoP", proof)
}

pub fn envelope(steps: &Value) -> Envelope {
    Envelope { steps: json::typed(steps.clone()).unwrap(), ..Envelope::default() }
}

pub fn request() -> Presented {
    Presented::new("POST", &format!("{LOCATION}/act"))
}

pub fn call(action: &str, id: &str, args: Value) -> Call {
    let resource = CallResource { kind: "thing".into(), id: id.into() };
    let Value::Object(args) = args else { panic!("arguments are an object") };
    Call::new(LOCATION, action, resource, args)
}

pub fn action(call: &Call) -> ConcreteAction {
    let args = Args::from_map(call.args.clone()).unwrap();
    ConcreteAction::new(&call.action, &call.resource.kind, &call.resource.id, args)
}

pub fn snapshot(epoch: &str, seq: u64, at: i64, revoked: &[(&str, i64)]) -> FeedMessage {
    let intents: Vec<Value> = revoked.iter().map(|(intent, until)| json!({"intent": intent, "until": until})).collect();
    feed(json!({"kind": "snapshot", "iss": ISSUER, "epoch": epoch, "seq": seq, "at": at,
                "page": 1, "pages": 1, "intents": intents, "keys": []}))
}

pub fn heartbeat(epoch: &str, seq: u64, at: i64) -> FeedMessage {
    feed(json!({"kind": "heartbeat", "iss": ISSUER, "epoch": epoch, "seq": seq, "at": at}))
}

pub fn revocation(epoch: &str, seq: u64, at: i64, intent: &str) -> FeedMessage {
    feed(json!({"kind": "revocation", "iss": ISSUER, "epoch": epoch, "seq": seq, "prev": seq - 1, "at": at,
                "intent": intent, "until": at + 3600, "state": "revoked"}))
}

pub fn withdrawal(epoch: &str, seq: u64, at: i64, key: &str) -> FeedMessage {
    feed(json!({"kind": "key_withdrawal", "iss": ISSUER, "epoch": epoch, "seq": seq, "prev": seq - 1, "at": at,
                "key": key, "state": "withdrawn"}))
}

pub fn feed(payload: Value) -> FeedMessage {
    FeedMessage::parse(payload.to_string().as_bytes()).unwrap()
}

/// The reason of a refusal.
pub fn reason<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> Reason {
    outcome.unwrap_err().reason()
}

/// How the ledger of a test behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Behaviour {
    #[default]
    Counts,
    Unavailable,
    /// Answers as if another call had been asked about.
    AnotherCall,
    /// Answers with a step that does not permit the call.
    AnotherStep,
    /// Answers for another intent.
    AnotherIntent,
    /// Asks for a step-up of a step.
    StepUp(&'static str),
}

/// Counts uses in memory, as the server's ledger does.
#[derive(Clone, Default)]
pub struct MemoryLedger(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    behaviour: Behaviour,
    used: BTreeMap<String, u64>,
    permits: BTreeMap<String, String>,
    settled: Vec<(String, &'static str)>,
    receipts: Vec<SignedReceipt>,
    asked: u32,
    call_ids: Vec<String>,
}

impl MemoryLedger {
    pub fn behave(&self, behaviour: Behaviour) {
        self.0.lock().unwrap().behaviour = behaviour;
    }

    pub fn used(&self, step: &str) -> u64 {
        self.0.lock().unwrap().used.get(step).copied().unwrap_or(0)
    }

    pub fn asked(&self) -> u32 {
        self.0.lock().unwrap().asked
    }

    /// The id of each call that was asked about, in order.
    pub fn call_ids(&self) -> Vec<String> {
        self.0.lock().unwrap().call_ids.clone()
    }

    /// Outcomes by step, in order; `broken_off` for a call that never ended.
    pub fn settled(&self) -> Vec<(String, &'static str)> {
        self.0.lock().unwrap().settled.clone()
    }

    /// The receipts that came, in order.
    pub fn receipts(&self) -> Vec<SignedReceipt> {
        self.0.lock().unwrap().receipts.clone()
    }

    fn charge(&self, reservation: &Reservation<'_>) -> Result<Reserved, Refusal> {
        let mut book = self.0.lock().unwrap();
        book.asked += 1;
        book.call_ids.push(reservation.call_id.clone());
        if let Behaviour::StepUp(step) = book.behaviour {
            return Err(Refusal::needs_step_up(step));
        }
        let envelope = Envelope { steps: reservation.caller.steps().to_vec(), ..Envelope::default() };
        let steps = book.used.iter().map(|(id, uses)| (id.clone(), Past::counted(*uses, 0))).collect();
        let facts = Facts { steps, ..Facts::default() };
        let Decision::Permit(step) = decide(&envelope, reservation.call, &facts, NOW) else {
            return Err(Refusal::new(Reason::UsesExhausted));
        };
        *book.used.entry(step.id.clone()).or_default() += 1;
        let permit_id = format!("permit-{}", book.asked);
        book.permits.insert(permit_id.clone(), step.id.clone());
        let mut reserved = Reserved {
            permit_id,
            intent_id: reservation.caller.intent().id.clone(),
            step: step.id.clone(),
            call_digest: reservation.call.digest(),
            seq: Some(book.asked.into()),
        };
        match book.behaviour {
            Behaviour::Counts => {}
            Behaviour::Unavailable => return Err(Refusal::new(Reason::LedgerUnavailable)),
            Behaviour::StepUp(_) => {}
            Behaviour::AnotherCall => reserved.call_digest = Digest::of(b"another"),
            Behaviour::AnotherStep => reserved.step = "read".into(),
            Behaviour::AnotherIntent => reserved.intent_id = "another".into(),
        }
        Ok(reserved)
    }

    fn close(&self, reserved: &Reserved, outcome: &'static str) {
        let mut book = self.0.lock().unwrap();
        let step = book.permits.remove(&reserved.permit_id).unwrap();
        if outcome == "released" {
            *book.used.get_mut(&step).unwrap() -= 1;
        }
        book.settled.push((step, outcome));
    }
}

impl Ledger for MemoryLedger {
    fn reserve<'a>(&'a self, reservation: Reservation<'a>) -> Pending<'a, Result<Reserved, Refusal>> {
        Box::pin(async move { self.charge(&reservation) })
    }

    fn settle<'a>(&'a self, reserved: &'a Reserved, settlement: Settlement) -> Pending<'a, Result<(), Refusal>> {
        self.close(reserved, settlement.outcome.code());
        self.0.lock().unwrap().receipts.extend(settlement.receipt);
        Box::pin(std::future::ready(Ok(())))
    }

    fn broken_off(&self, reserved: Reserved) {
        self.close(&reserved, "broken_off");
    }
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
