//! Refusals that a caller can act on.

use marque_core::decide::Nearest;
use marque_core::names::ERROR_TRANSACTION_AUTHORIZATION;
use marque_core::reason::Reason;
use serde_json::{Value, json};

/// Why a call was not permitted. Nothing was executed and no use was charged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{reason}: {description}")]
pub struct Refusal {
    reason: Reason,
    description: String,
    intent_id: Option<String>,
    nearest: Option<Box<Nearest>>,
    step_up: Option<Box<StepUp>>,
}

/// What a person has to approve, and the challenge by which she can be asked.
#[derive(Clone, Debug, PartialEq)]
struct StepUp {
    step: String,
    challenge: Option<(String, String)>,
}

/// Bytes of a challenge that travel in a header field too: many servers and proxies cut off longer ones.
const HEADER_BYTES: usize = 6 * 1024;

impl Refusal {
    /// A refusal for a reason of the closed list, described by the reason's own sentence.
    pub fn new(reason: Reason) -> Self {
        Self { reason, description: reason.meaning().into(), intent_id: None, nearest: None, step_up: None }
    }

    /// The same refusal with a more particular sentence. It must not hold secrets.
    #[must_use]
    pub fn because(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    pub(crate) fn of_intent(mut self, intent_id: &str) -> Self {
        self.intent_id = Some(intent_id.into());
        self
    }

    /// The same refusal with the step that came closest: for ledgers.
    #[must_use]
    pub fn near(mut self, nearest: Option<Box<Nearest>>) -> Self {
        self.nearest = nearest;
        self
    }

    /// A refusal by a ledger: the person has to approve this very call, a use of the step, before it is permitted.
    pub fn needs_step_up(step: &str) -> Self {
        let step_up = StepUp { step: step.into(), challenge: None };
        Self { step_up: Some(Box::new(step_up)), ..Self::new(Reason::StepUpRequired) }
    }

    pub(crate) fn with_challenge(mut self, authorization_server: &str, challenge: String) -> Self {
        if let Some(step_up) = &mut self.step_up {
            step_up.challenge = Some((authorization_server.into(), challenge));
        }
        self
    }

    /// The step whose use a person has to approve, if that is what the call lacks.
    pub fn step_up(&self) -> Option<&str> {
        self.step_up.as_ref().map(|step_up| step_up.step.as_str())
    }

    /// The signed challenge for this very call, if the client takes one.
    pub fn transaction_challenge(&self) -> Option<&str> {
        self.step_up.as_ref()?.challenge.as_ref().map(|(_, challenge)| challenge.as_str())
    }

    /// One of the closed list; stable.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// One sentence that says what to change.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The intent, once the caller has proved a token of it.
    pub fn intent_id(&self) -> Option<&str> {
        self.intent_id.as_deref()
    }

    /// The step that came closest, and what differs.
    pub fn nearest(&self) -> Option<&Nearest> {
        self.nearest.as_deref()
    }

    /// The HTTP status: 401 for what is wrong with token or proof (RFC 6750 §3.1, RFC 9449 §7.1) and for a call that
    /// comes back with a challenge (draft-rosomakho-oauth-txn-challenge), 400 for a malformed call, 503 where the gate itself does not know enough to permit anything,
    /// 403 for what is outside the plan.
    pub fn status(&self) -> u16 {
        match self.kind() {
            Kind::Token | Kind::Proof | Kind::StepUp => 401,
            Kind::Call => 400,
            Kind::Gate => 503,
            Kind::Plan => 403,
        }
    }

    /// The OAuth error code that goes with the status.
    pub fn error(&self) -> &'static str {
        match self.kind() {
            Kind::Token => "invalid_token",
            Kind::Proof => "invalid_dpop_proof",
            Kind::Call => "invalid_request",
            Kind::Gate => "temporarily_unavailable",
            Kind::Plan => "insufficient_scope",
            Kind::StepUp => ERROR_TRANSACTION_AUTHORIZATION,
        }
    }

    /// The JSON body: `error`, `error_description`, `reason` and, where they are known,
    /// `intent_id`, `step`, `nearest`, `step_up{step, transaction_challenge?, authorization_server?}` and `retry_after`
    /// (seconds).
    pub fn body(&self) -> Value {
        let mut body = json!({
            "error": self.error(), "error_description": self.description, "reason": self.reason.code(),
        });
        if let Some(members) = body.as_object_mut() {
            let mut set = |name: &str, value: Value| members.insert(name.into(), value);
            if let Some(intent_id) = &self.intent_id {
                set("intent_id", intent_id.as_str().into());
            }
            if let Some(nearest) = &self.nearest {
                set("step", nearest.step.as_str().into());
                set("nearest", json!(nearest));
            }
            if let Some(step_up) = &self.step_up {
                set("step", step_up.step.as_str().into());
                set("step_up", step_up.body());
            }
            if self.kind() == Kind::Gate {
                set("retry_after", 1.into());
            }
        }
        body
    }

    /// The value of `WWW-Authenticate`, for statuses that need one (RFC 9110 §11.6.1, RFC 9449 §7.1).
    /// A request without any token gets the bare challenge (RFC 6750 §3.1).
    pub fn challenge(&self) -> Option<String> {
        const ALGORITHMS: &str = "algs=\"ES256 ES384 EdDSA\"";
        match (self.kind(), self.reason) {
            (Kind::StepUp, _) => {
                let challenge = self.transaction_challenge().filter(|challenge| challenge.len() <= HEADER_BYTES);
                let challenge = challenge.map(|jws| format!(", transaction_challenge=\"{jws}\"")).unwrap_or_default();
                Some(format!("DPoP error=\"{}\"{challenge}, {ALGORITHMS}", self.error()))
            }
            (Kind::Token, Reason::TokenMissing) => Some(format!("DPoP {ALGORITHMS}")),
            (Kind::Token | Kind::Proof | Kind::Plan, _) => {
                let (error, description) = (self.error(), quotable(&self.description));
                Some(format!("DPoP error=\"{error}\", error_description=\"{description}\", {ALGORITHMS}"))
            }
            (Kind::Call | Kind::Gate, _) => None,
        }
    }

    fn kind(&self) -> Kind {
        use Reason as R;
        match self.reason {
            R::TokenMissing
            | R::TokenInvalid
            | R::TokenExpired
            | R::TokenRevoked
            | R::IntentRevoked
            | R::IntentSuspended
            | R::IntentExpired => Kind::Token,
            R::ProofMissing | R::ProofInvalid | R::ProofReplayed | R::ProofKeyMismatch | R::CallDigestMismatch => {
                Kind::Proof
            }
            R::CallMalformed => Kind::Call,
            R::RevocationStateStale | R::LedgerUnavailable | R::StateUnavailable => Kind::Gate,
            R::StepUpRequired if self.transaction_challenge().is_some() => Kind::StepUp,
            _ => Kind::Plan,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Token,
    Proof,
    Call,
    Gate,
    Plan,
    StepUp,
}

impl StepUp {
    fn body(&self) -> Value {
        let mut body = json!({"step": self.step});
        if let (Some(members), Some((issuer, challenge))) = (body.as_object_mut(), &self.challenge) {
            members.insert("authorization_server".into(), issuer.as_str().into());
            members.insert("transaction_challenge".into(), challenge.as_str().into());
        }
        body
    }
}

/// `error_description` may hold printable ASCII without quotation mark and backslash (RFC 6750 §3).
fn quotable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '\'' }).collect()
}
