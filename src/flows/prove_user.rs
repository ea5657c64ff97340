//! Who may ask whom: an agent asks a user whom it is paired with, or one of whom it holds a fresh proof.
//!
//! 1. Without a proof: the realm lists the plan's user for this agent; a hint in plain words names the same user.
//! 2. With a proof: it was made for this very agent and this issuer, lately; it speaks of an enabled person of the
//!    realm; she is the plan's user. A wrong proof is refused also where the agent is paired.
//! 3. A proof is used once, in the transaction that keeps the submission.

use super::authenticate_client::AuthenticatedClient;
use super::id_token::IdToken;
use super::identity_assertion;
use super::{Context, FlowError, OAuthError, Refusal};
use crate::keycloak::UserRecord;
use marque_core::plan::UserRef;
use marque_core::reason::Reason;
use marque_core::{jws, limits};
use sqlx::PgConnection;

/// Seconds since an ID token was issued, within which it proves that the user is there.
const FRESH_SECS: i64 = 300;

/// What a client sends about the user (CIBA §7.1), beside the plan.
#[derive(Clone, Copy, Debug)]
pub enum Hint<'a> {
    /// `login_hint`: her user name or subject identifier, as the plan names her. It proves nothing.
    Login(&'a str),
    /// `id_token_hint`: an ID token of the realm for this client.
    IdToken(&'a str),
    /// `login_hint_token`: an identity assertion (draft-ietf-oauth-identity-assertion-authz-grant) for this client.
    LoginToken(&'a str),
}

/// The parameter of an ID token (OIDC Core §3.1.2.1).
const ID_TOKEN_HINT: &str = "id_token_hint";

/// A proof of a user that holds and that nobody used, as far as was looked.
#[derive(Clone, Debug)]
pub(super) struct UserProof {
    /// The parameter that carried it; ids of different kinds are used apart.
    pub parameter: &'static str,
    /// Who made it.
    pub issuer: String,
    /// Its id.
    pub jti: String,
    /// From when on it proves nothing any more; seconds since the Unix epoch.
    pub over_at: i64,
    /// The realm's subject identifier of the user.
    pub sub: String,
}

impl UserProof {
    /// Whether it shows that she was there a moment ago. An ID token of a sign-in does; an identity assertion may have been made for
    /// the agent while she was away.
    pub fn shows_presence(&self) -> bool {
        self.parameter == ID_TOKEN_HINT
    }

    /// Uses the proof, if the caller's transaction stands.
    ///
    /// # Errors
    /// `invalid_request` if it was used before.
    pub async fn use_once(&self, cx: Context<'_>, conn: &mut PgConnection) -> Result<(), FlowError> {
        if cx.use_once_in(conn, self.parameter, &self.issuer, &self.jti, self.over_at).await? {
            return Ok(());
        }
        Err(refuse(self.parameter, "was used before: each proof of the user serves one plan").into())
    }
}

/// A refusal of a proof.
pub(super) fn refuse(parameter: &str, what: &str) -> Refusal {
    Refusal::new(OAuthError::InvalidRequest, format!("{parameter} {what}")).because(Reason::NotPaired)
}

/// Whether a client may ask the plan's user; if by a proof, that.
///
/// # Errors
/// `access_denied` without pairing and proof, `unknown_user_id` for a hint of somebody else, `invalid_request` or
/// `expired_login_hint_token` for a proof that is none.
pub(super) async fn may_ask(
    cx: Context<'_>,
    client: &AuthenticatedClient,
    user: &UserRef,
    hint: Option<Hint<'_>>,
) -> Result<Option<UserProof>, FlowError> {
    let proof = match hint {
        Some(Hint::IdToken(token)) => by_id_token(cx, client, token).await?,
        Some(Hint::LoginToken(token)) => identity_assertion::verify(cx, client, token)?,
        Some(Hint::Login(name)) if !is_named(user, name) => {
            let text = "login_hint is not the plan's user, as the plan names her";
            return Err(Refusal::new(OAuthError::UnknownUserId, text).because(Reason::NotPaired).into());
        }
        Some(Hint::Login(_)) | None => return expect_paired(client, user).map(|()| None).map_err(FlowError::from),
    };
    let person = cx.realm.directory.find_user(&cx.realm.keycloak, &proof.sub).await?;
    // One answer whoever is missing or meant: a proof tells its holder about its own subject alone.
    match person.filter(|person| person.enabled && !person.is_service_account && is(user, person)) {
        Some(_) => Ok(Some(proof)),
        None => {
            Err(refuse(proof.parameter, "does not prove the plan's user: it is for another person of the realm").into())
        }
    }
}

fn is_named(user: &UserRef, name: &str) -> bool {
    [&user.username, &user.sub].into_iter().flatten().any(|own| own == name)
}

fn is(user: &UserRef, person: &UserRecord) -> bool {
    match (&user.username, &user.sub) {
        (Some(username), None) => *username == person.username,
        (None, Some(sub)) => *sub == person.sub,
        _ => false,
    }
}

/// User names and subject identifiers are listed apart: a user name can be spelled like somebody's identifier.
fn expect_paired(client: &AuthenticatedClient, user: &UserRef) -> Result<(), Refusal> {
    let (attribute, wanted) = match (&user.username, &user.sub) {
        (Some(username), None) => ("marque.users", username),
        (None, Some(sub)) => ("marque.user_subs", sub),
        _ => return Err(Refusal::new(OAuthError::AccessDenied, "the plan names no user").because(Reason::NotPaired)),
    };
    if client.record.words(attribute).any(|paired| paired == wanted) {
        return Ok(());
    }
    let text = format!(
        "the agent is not paired with this user: an administrator adds her to the client's {attribute}, or send a fresh \
         id_token_hint of hers for this client"
    );
    Err(Refusal::new(OAuthError::AccessDenied, text).because(Reason::NotPaired))
}

/// An ID token that the realm issued to this very client, of a sign-in within the last minutes.
async fn by_id_token(cx: Context<'_>, client: &AuthenticatedClient, raw: &str) -> Result<UserProof, FlowError> {
    let refuse = |what: &str| refuse(ID_TOKEN_HINT, what);
    let keys = cx.realm.realm_keys.with(&cx.realm.keycloak, jws::unverified_kid(raw).as_deref()).await?;
    let now = cx.now_secs();
    let token = IdToken::verify(raw, &keys, now).map_err(|problem| refuse(&format!("is not acceptable: {problem}")))?;
    if !token.is_issued_to(&cx.realm.config.keycloak_issuer, client.client_id()) {
        return Err(refuse("is not an ID token of the realm for this client alone (iss, aud, azp)").into());
    }
    // A grant of Marque's that the realm took, or her password, gives a token of no sign-in: the agent alone was there.
    let signed_in = token.auth_time.ok_or_else(|| refuse("tells of no sign-in (auth_time): have the user sign in"))?;
    // A refreshed token is new and tells of an old sign-in.
    let over_at = token.issued_at.min(signed_in) + FRESH_SECS + limits::CLOCK_LEEWAY_SECS;
    if over_at <= now {
        return Err(refuse("is of a sign-in more than five minutes ago: have the user sign in again").into());
    }
    let jti = token.id().filter(|jti| limits::is_single_use_id(jti)).ok_or_else(|| refuse("has no usable jti"))?;
    let (parameter, jti) = (ID_TOKEN_HINT, jti.to_owned());
    Ok(UserProof { parameter, jti, over_at, sub: token.sub, issuer: token.issuer })
}
