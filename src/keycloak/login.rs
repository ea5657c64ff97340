//! Sign-in at the realm: pushed authorization request, code, PKCE, ID token (RFC 9126, RFC 7636, OpenID Connect).

use super::{Keycloak, KeycloakError};
use openidconnect::{CsrfToken, Nonce, PkceCodeChallenge};
use serde_json::Value;
use url::Url;

/// What one sign-in asks for.
#[derive(Clone, Copy, Debug)]
pub struct LoginRequest<'a> {
    /// Which of Marque's clients.
    pub client_id: &'a str,
    /// Where the browser returns to.
    pub redirect_uri: &'a str,
    /// The intent to approve, for the client with the plan-approval flow.
    pub intent_id: Option<&'a str>,
    /// The step-up to approve instead, for the same client.
    pub step_up_id: Option<&'a str>,
}

/// One sign-in on its way: what to remember and where to send the browser.
#[derive(Clone, Debug)]
pub struct Login {
    /// Comes back in the redirect.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Proves that whoever redeems the code began the sign-in.
    pub pkce_verifier: String,
    /// Where to send the browser.
    pub redirect_to: String,
}

/// The answer to a redeemed code.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The realm's ID token, raw and not yet verified.
    pub id_token: String,
}

impl Keycloak {
    /// Pushes an authorization request; the browser carries only its reference.
    ///
    /// # Errors
    /// When the realm cannot be asked or refuses.
    pub async fn begin_login(&self, request: &LoginRequest<'_>) -> Result<Login, KeycloakError> {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (state, nonce) = (CsrfToken::new_random().into_secret(), Nonce::new_random().secret().clone());
        let mut form = self.client_authentication(request.client_id)?;
        form.extend([
            ("response_type", "code".to_owned()),
            ("scope", "openid profile".to_owned()),
            ("redirect_uri", request.redirect_uri.to_owned()),
            ("state", state.clone()),
            ("nonce", nonce.clone()),
            ("code_challenge", challenge.as_str().to_owned()),
            ("code_challenge_method", "S256".to_owned()),
        ]);
        // The id alone: Keycloak drops further extra parameters without a word.
        form.extend(request.intent_id.map(|intent_id| ("marque_intent", intent_id.to_owned())));
        form.extend(request.step_up_id.map(|step_up_id| ("marque_step_up", step_up_id.to_owned())));
        let endpoint = format!("{}/protocol/openid-connect/ext/par/request", self.realm.keycloak_issuer);
        let answer = self.post(&endpoint, &form).await?;
        let request_uri = text(&answer, "request_uri")?;
        let mut url: Url = self.metadata().await?.authorization_endpoint().url().clone();
        url.query_pairs_mut().append_pair("client_id", request.client_id).append_pair("request_uri", request_uri);
        Ok(Login { state, nonce, pkce_verifier: verifier.into_secret(), redirect_to: url.into() })
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// When the realm cannot be asked or refuses.
    pub async fn finish_login(
        &self,
        request: &LoginRequest<'_>,
        code: &str,
        pkce_verifier: &str,
    ) -> Result<SignIn, KeycloakError> {
        let mut form = self.client_authentication(request.client_id)?;
        form.extend([
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", request.redirect_uri.to_owned()),
            ("code_verifier", pkce_verifier.to_owned()),
        ]);
        let answer = self.post(&self.token_endpoint().await?, &form).await?;
        Ok(SignIn { id_token: text(&answer, "id_token")?.to_owned() })
    }
}

fn text<'v>(answer: &'v Value, name: &str) -> Result<&'v str, KeycloakError> {
    answer
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| KeycloakError::Unavailable(format!("its answer has no {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use openidconnect::PkceCodeVerifier;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        what: String,
        verifier: String,
        method: String,
        challenge: String,
    }

    /// What goes with every sign-in is what RFC 7636 makes of a verifier.
    #[test]
    fn the_code_challenge_is_that_of_the_published_example() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/pkce");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        for file in files {
            let vector: Vector = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(vector.verifier));
            assert_eq!(challenge.as_str(), vector.challenge, "{}", vector.what);
            assert_eq!(challenge.method().as_str(), vector.method, "{}", vector.what);
            let (fresh, verifier) = PkceCodeChallenge::new_random_sha256();
            let again = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
            assert_eq!((fresh.as_str(), fresh.method().as_str()), (again.as_str(), vector.method.as_str()));
            assert!((43..=128).contains(&verifier.secret().len()), "RFC 7636 §4.1");
        }
    }
}
