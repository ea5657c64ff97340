//! A browser goes to the realm, and comes back once with an ID token for this very sign-in.

use super::id_token::IdToken;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::keycloak::{KeycloakError, LoginRequest};
use crate::store::logins::{LoginRow, NewLogin};
use crate::{random, store};
use marque_core::canonical::Digest;
use marque_core::jws;
use marque_core::reason::Reason;
use time::Duration;
use uuid::Uuid;

/// How long a browser may take from here to the realm and back.
const LOGIN: Duration = Duration::minutes(15);

/// Where to send a browser, and the cookie by which it is known again.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The realm's authorization endpoint.
    pub redirect_to: String,
    /// A secret for the browser alone.
    pub browser: String,
    /// Under which name the browser keeps it: see [`login_name`].
    pub login_name: String,
}

/// The name under which a browser keeps the secret of one sign-in. Each has its own, so that two tabs
/// of one browser do not overwrite each other's.
pub fn login_name(state: &str) -> String {
    Digest::of(state.as_bytes()).to_base64().chars().take(16).collect()
}

/// What came back with the browser.
#[derive(Clone, Copy, Debug, Default)]
pub struct Callback<'a> {
    /// `state`.
    pub state: Option<&'a str>,
    /// `code`.
    pub code: Option<&'a str>,
    /// `iss` (RFC 9207).
    pub iss: Option<&'a str>,
    /// `error_description`, if the realm answers an error.
    pub refusal: Option<&'a str>,
    /// The browser's cookie.
    pub browser: Option<&'a str>,
}

/// Why a browser is sent to the realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// To decide on a plan.
    Approve,
    /// To decide on one call.
    StepUp(Uuid),
    /// Only to sign in, at the receipt page.
    Receipt,
}

impl Errand {
    const fn purpose(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::StepUp(_) => "step_up",
            Self::Receipt => "receipt",
        }
    }

    /// Which of Marque's clients, and where the browser returns to.
    fn client(self, cx: Context<'_>) -> (&str, String) {
        let config = &cx.realm.config;
        match self {
            Self::Approve | Self::StepUp(_) => (&config.keycloak_client_id, format!("{}/callback", cx.issuer())),
            Self::Receipt => (&config.web_client_id, format!("{}/receipt/callback", cx.issuer())),
        }
    }
}

/// Sends a browser to the realm.
pub(super) async fn begin_login(cx: Context<'_>, errand: Errand, intent_id: Uuid) -> Result<Begun, FlowError> {
    let (client_id, redirect_uri) = errand.client(cx);
    let (plan, step_up) = match errand {
        Errand::Approve => (Some(intent_id.to_string()), None),
        Errand::StepUp(step_up_id) => (None, Some(step_up_id)),
        Errand::Receipt => (None, None),
    };
    let step_up_text = step_up.map(|id| id.to_string());
    let request = LoginRequest {
        client_id,
        redirect_uri: &redirect_uri,
        intent_id: plan.as_deref(),
        step_up_id: step_up_text.as_deref(),
    };
    let login = cx.realm.keycloak.begin_login(&request).await?;
    let browser = random::secret()?;
    let (state_sha256, browser_sha256) = (Digest::of(login.state.as_bytes()), Digest::of(browser.as_bytes()));
    let row = LoginRow { intent_id, step_up_id: step_up, nonce: login.nonce, pkce_verifier: login.pkce_verifier };
    let row = NewLogin {
        state_sha256: state_sha256.as_bytes(),
        browser_sha256: browser_sha256.as_bytes(),
        purpose: errand.purpose(),
        row,
        expires_at: cx.app.clock.now() + LOGIN,
    };
    cx.app.db.write(async |conn| store::logins::insert(conn, &row).await).await?;
    Ok(Begun { redirect_to: login.redirect_to, browser, login_name: login_name(&login.state) })
}

/// The browser that began is back: once, with an answer of this realm, for this sign-in. It went either for a decision
/// or only to sign in.
pub(super) async fn finish_login(
    cx: Context<'_>,
    is_decision: bool,
    callback: &Callback<'_>,
) -> Result<(LoginRow, IdToken, String), FlowError> {
    let refuse = |text: &str| Refusal::new(OAuthError::InvalidRequest, text);
    let (Some(state), Some(browser)) = (callback.state, callback.browser) else {
        return Err(refuse("this page is only for returning from the sign-in that this browser began").into());
    };
    let (state, browser) = (Digest::of(state.as_bytes()), Digest::of(browser.as_bytes()));
    let now = cx.app.clock.now();
    let purposes: &[&str] = if is_decision { &["approve", "step_up"] } else { &["receipt"] };
    let purposes: Vec<String> = purposes.iter().map(|purpose| (*purpose).to_owned()).collect();
    let (state, browser) = (state.as_bytes(), browser.as_bytes());
    let login = cx.app.db.write(async |conn| store::logins::take(conn, state, browser, &purposes, now).await).await?;
    let login = login.ok_or_else(|| refuse("this sign-in is over or was answered already: open the plan again"))?;
    // RFC 9207 §2.4: Keycloak says in each answer whose it is, so that one which does not is refused as well.
    if callback.iss != Some(cx.realm.config.keycloak_issuer.as_str()) {
        return Err(refuse("the answer is of another issuer, or does not say of which").into());
    }
    let Some(code) = callback.code else { return Err(refused_by_realm(callback.refusal, login.intent_id).into()) };
    let (client_id, redirect_uri) = (if is_decision { Errand::Approve } else { Errand::Receipt }).client(cx);
    let request = LoginRequest { client_id, redirect_uri: &redirect_uri, intent_id: None, step_up_id: None };
    let sign_in = cx.realm.keycloak.finish_login(&request, code, &login.pkce_verifier).await;
    let sign_in = sign_in.map_err(|error| match error {
        KeycloakError::Refused(_) => refuse("the realm does not take this answer: open the plan again").into(),
        error @ KeycloakError::Unavailable(_) => FlowError::from(error),
    })?;
    let token = verify_id_token(cx, &sign_in.id_token, request.client_id, &login.nonce).await?;
    Ok((login, token, sign_in.id_token))
}

/// The extension's own reasons, as sentences; the intent stays as it is.
fn refused_by_realm(code: Option<&str>, intent_id: Uuid) -> Refusal {
    let text = match code {
        Some("wrong_user") => "This plan is for another user. Sign in as the user whom it names.",
        Some("no_passkey") => "You have no passkey at this realm. Register one, then open the plan again.",
        Some("session_ended") => "Your session ended while the page was open. Open the plan again.",
        Some("plan_gone") => "There is no decision to take on this plan any more.",
        _ => "The sign-in was not completed. Open the plan again.",
    };
    Refusal::new(OAuthError::AccessDenied, text).about(intent_id)
}

async fn verify_id_token(cx: Context<'_>, raw: &str, client_id: &str, nonce: &str) -> Result<IdToken, FlowError> {
    let refuse = |text: String| Refusal::new(OAuthError::InvalidGrant, text).because(Reason::EvidenceInvalid);
    let keys = cx.realm.realm_keys.with(&cx.realm.keycloak, jws::unverified_kid(raw).as_deref()).await?;
    let token = IdToken::verify(raw, &keys, cx.now_secs()).map_err(refuse)?;
    if !token.is_for(&cx.realm.config.keycloak_issuer, client_id, nonce) {
        return Err(refuse("the ID token is not for this sign-in".into()).into());
    }
    Ok(token)
}
