//! A gate, a token and a proof: what is measured of `marque-gate`.

use crate::marque::{Marque, NOW, signed_steps};
use bench_harness::contender::Contender;
use bench_harness::plan::{self, Call, Failure, LOCATION};
use bench_keys::Key;
use marque_core::canonical::Digest;
use marque_core::claims::{Actor, Carried, Confirmation, IntentRef, TxnClaims, TxnContext};
use marque_core::decide::Offline;
use marque_core::dpop::{self, Expected};
use marque_core::jws::{KeySet, VerificationKey};
use marque_core::names::{JWK_PURPOSE, TYP_TXN};
use marque_gate::{FixedKeys, Gate, GateConfig, Revocations};
use serde_json::{Map, json};
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

const ISSUER: &str = "https://marque.example/realms/demo";
const DOMAIN: &str = "demo.example";

/// A gate and a token that holds there.
pub struct Door {
    gate: Gate,
    token: String,
    steps: usize,
    marque: Key,
    agent: Key,
}

impl Door {
    /// A gate that verified this token before.
    ///
    /// # Errors
    /// When it does not take it.
    pub fn remembering(steps: usize) -> Result<Self, Failure> {
        let door = Self::with(GateConfig::TOKEN_CAPACITY, steps, 0)?;
        // No name: the first look is cold.
        now(door.gate.verify_token(&door.token, NOW)).ok_or("waits")??;
        Ok(door)
    }

    /// A gate that remembers no token.
    ///
    /// # Errors
    /// When it does not take it.
    pub fn forgetting(steps: usize, hops: usize) -> Result<Self, Failure> {
        Self::with(0, steps, hops)
    }

    fn with(capacity: usize, steps: usize, hops: usize) -> Result<Self, Failure> {
        let (marque, agent) = (Key::new()?, Key::new()?);
        let keys = KeySet::from_jwks(&marque.jwks(json!({JWK_PURPOSE: TYP_TXN})))?;
        let config = GateConfig::new(LOCATION, ISSUER, DOMAIN)?.with_token_capacity(capacity);
        let gate = Gate::new(config, FixedKeys::new(keys), Revocations::new());
        let payload = serde_json::to_vec(&claims(steps, hops, agent.thumbprint())?)?;
        let token = marque.sign_bytes(TYP_TXN, &payload)?;
        eprintln!("a token of {steps} steps after {hops} hops has {} bytes", token.len());
        now(gate.verify_token(&token, NOW)).ok_or("waits")??;
        Ok(Self { gate, token, steps, marque, agent })
    }

    /// Verifying the token.
    pub fn verified(self) -> impl FnMut() -> bool {
        move || matches!(now(self.gate.verify_token(black_box(&self.token), NOW)), Some(Ok(_)))
    }

    /// Verifying the token and deciding the last step's call.
    ///
    /// # Errors
    /// When the call is not permitted.
    pub fn decided(self) -> Result<impl FnMut() -> bool, Failure> {
        let steps = plan::steps(self.steps);
        let call = Marque::new(&steps)?.call(&Call::of_last(&steps)?)?;
        let decide = move || match now(self.gate.verify_token(black_box(&self.token), NOW)) {
            Some(Ok(token)) => !matches!(token.prepared().decide_offline(black_box(&call), NOW), Offline::Refused(_)),
            _ => false,
        };
        if decide() { Ok(decide) } else { Err("the call is refused".into()) }
    }

    /// Verifying a DPoP proof for the token.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn proven(self) -> Result<impl FnMut() -> bool, Failure> {
        let uri = format!("{LOCATION}/invoices");
        let ath = Digest::of(self.token.as_bytes()).to_base64();
        let claims = json!({"jti": "proof-1", "iat": NOW, "htm": "POST", "htu": uri, "ath": ath,
            "call_digest": Digest::of(b"call").to_base64()});
        let proof = self.agent.prove(&claims)?;
        let prove = move || {
            let expected = Expected { method: "POST", uri: &uri, token: Some(&self.token) };
            dpop::verify(black_box(&proof), &expected, NOW).is_ok()
        };
        if prove() { Ok(prove) } else { Err("the proof does not hold".into()) }
    }

    /// Verifying the token's signature alone, with the library that everything else uses.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn signature(self) -> Result<impl FnMut() -> bool, Failure> {
        let key = VerificationKey::from_jwk(self.marque.public())?;
        let (message, signature) = self.token.rsplit_once('.').ok_or("no token")?;
        let (message, signature) = (message.to_owned(), marque_core::canonical::decode(signature).ok_or("no token")?);
        let verify = move || key.verifies(black_box(message.as_bytes()), &signature);
        if verify() { Ok(verify) } else { Err("the signature does not hold".into()) }
    }
}

/// Claims of a token after some hops.
fn claims(steps: usize, hops: usize, jkt: &str) -> Result<TxnClaims, Failure> {
    let envelope = signed_steps(&plan::steps(steps))?;
    let id = |last: u32| format!("0199f3a2-0000-7000-8000-{last:012}");
    let act =
        (0..hops).fold(Actor::first("invoice-agent"), |act, hop| act.followed_by(&format!("invoice-worker-{hop}")));
    Ok(TxnClaims {
        iss: ISSUER.into(),
        aud: DOMAIN.into(),
        sub: id(1),
        iat: NOW,
        exp: NOW + 300,
        jti: id(2),
        txn: id(3),
        scope: envelope.scope(),
        req_wl: "invoice-agent".into(),
        tctx: TxnContext {
            intent: IntentRef { id: id(4), digest: Digest::of(b"plan"), version: 1 },
            carried: Carried::Inline(envelope),
        },
        rctx: Map::new(),
        act,
        may_act: None,
        cnf: Confirmation::Jkt(jkt.to_owned()),
    })
}

/// What a future that waits for nothing comes to.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
