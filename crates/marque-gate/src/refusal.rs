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
    authentication: Option<Box<Authentication>>,
    metadata_url: Option<Box<str>>,
}

/// How the person would have to have signed in (RFC 9470 §3).
#[derive(Clone, Debug, PartialEq)]
struct Authentication {
    acr_values: Vec<String>,
    max_age: Option<u32>,
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
        let (intent_id, nearest, step_up, authentication, metadata_url) = Default::default();
        let description = reason.meaning().into();
        Self { reason, description, intent_id, nearest, step_up, authentication, metadata_url }
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

    /// A refusal by a resource server that wants the person to have signed in otherwise: more strongly, by one of these
    /// authentication contexts in order of preference, or no longer ago than so many seconds (RFC 9470 §3). It is no matter of the
    /// plan: an approval of one call is a step-up, and more than was signed is an escalation.
    ///
    /// Values with other signs than printable ASCII, or with spaces, quotation marks or backslashes, are left out: no such value is one.
    pub fn needs_authentication(acr_values: &[&str], max_age: Option<u32>) -> Self {
        let is_value = |value: &&&str| {
            !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
        };
        let acr_values = acr_values.iter().filter(is_value).map(|value| (*value).to_owned()).collect();
        let authentication = Some(Box::new(Authentication { acr_values, max_age }));
        Self { authentication, ..Self::new(Reason::AuthenticationInsufficient) }
    }

    /// The same refusal with the address of the resource server's metadata, which challenges then name (RFC 9728 §5.1). Behind the
    /// tower layer `with_metadata` does so for every refusal.
    #[must_use]
    pub fn with_metadata(mut self, url: &str) -> Self {
        self.metadata_url = Some(quotable(url).into());
        self
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
            Kind::Token | Kind::Proof | Kind::StepUp | Kind::Authentication => 401,
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
            Kind::Authentication => "insufficient_user_authentication",
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
            if let Some(Authentication { acr_values, max_age }) = self.authentication.as_deref() {
                if !acr_values.is_empty() {
                    set("acr_values", acr_values.join(" ").into());
                }
                max_age.map(|secs| set("max_age", secs.into()));
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
        let challenge = self.plain_challenge()?;
        Some(match &self.metadata_url {
            Some(url) => format!("{challenge}, resource_metadata=\"{url}\""),
            None => challenge,
        })
    }

    fn plain_challenge(&self) -> Option<String> {
        const ALGORITHMS: &str = "algs=\"ES256 ES384 EdDSA\"";
        match (self.kind(), self.reason) {
            (Kind::StepUp, _) => {
                let challenge = self.transaction_challenge().filter(|challenge| challenge.len() <= HEADER_BYTES);
                let challenge = challenge.map(|jws| format!(", transaction_challenge=\"{jws}\"")).unwrap_or_default();
                Some(format!("DPoP error=\"{}\"{challenge}, {ALGORITHMS}", self.error()))
            }
            // RFC 8705 §3: as RFC 6750 says.
            (Kind::Token, Reason::CertificateMismatch) => {
                let (error, description) = (self.error(), quotable(&self.description));
                Some(format!("Bearer error=\"{error}\", error_description=\"{description}\""))
            }
            (Kind::Token, Reason::TokenMissing) => Some(format!("DPoP {ALGORITHMS}")),
            (Kind::Authentication, _) => {
                let wanted = self.authentication.as_deref().map(Authentication::parameters).unwrap_or_default();
                let (error, description) = (self.error(), quotable(&self.description));
                Some(format!("DPoP error=\"{error}\", error_description=\"{description}\"{wanted}, {ALGORITHMS}"))
            }
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
            | R::CertificateMismatch
            | R::IntentRevoked
            | R::IntentSuspended
            | R::IntentExpired => Kind::Token,
            R::ProofMissing | R::ProofInvalid | R::ProofReplayed | R::ProofKeyMismatch | R::CallDigestMismatch => {
                Kind::Proof
            }
            R::CallMalformed => Kind::Call,
            R::AuthenticationInsufficient => Kind::Authentication,
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
    Authentication,
}

impl Authentication {
    /// As parameters of a challenge.
    fn parameters(&self) -> String {
        let acr_values = match self.acr_values.as_slice() {
            [] => String::new(),
            values => format!(", acr_values=\"{}\"", values.join(" ")),
        };
        let max_age = self.max_age.map(|secs| format!(", max_age=\"{secs}\"")).unwrap_or_default();
        acr_values + &max_age
    }
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
