//! Keycloak's administration interface.

use marque_demo::clients::http;
use marque_demo::env::{Env, Keycloak};
use marque_demo::{Failure, Result};
use reqwest::Method;
use serde_json::{Value, json};

/// The client whose plans the tests approve.
const AGENT: &str = "demo-agent";
/// Seconds before the end of an administrator's token at which another is fetched: it lives one minute.
const TOKEN_SECS: i64 = 45;

/// The administrator.
pub struct Admin {
    http: reqwest::Client,
    keycloak: Keycloak,
    token: Option<(String, i64)>,
}

impl Admin {
    /// The administrator of the stack.
    ///
    /// # Errors
    /// When there is no HTTP client.
    pub fn new(env: &Env) -> Result<Self> {
        Ok(Self { http: http()?, keycloak: env.keycloak.clone(), token: None })
    }

    async fn token(&mut self) -> Result<String> {
        let now = marque_demo::clients::now();
        if let Some((token, _)) = self.token.as_ref().filter(|(_, at)| now - at < TOKEN_SECS) {
            return Ok(token.clone());
        }
        let admin = &self.keycloak.admin;
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", &admin.username),
            ("password", &admin.password),
        ];
        let address = format!("{}/realms/master/protocol/openid-connect/token", self.keycloak.base);
        let answer: Value = self.http.post(address).form(&form).send().await?.error_for_status()?.json().await?;
        let token = answer["access_token"].as_str().ok_or("there is no administrator's token")?.to_owned();
        self.token = Some((token.clone(), now));
        Ok(token)
    }

    /// A body that is a text is sent as one, any other as JSON.
    async fn ask(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let address = format!("{}/admin/realms/{}/{path}", self.keycloak.base, self.keycloak.realm);
        let request = self.http.request(method.clone(), address).bearer_auth(self.token().await?);
        let request = match body {
            Some(Value::String(text)) => request.header("content-type", "text/plain").body(text.clone()),
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            return Err(format!("{method} {path}: {status} {text}").into());
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Makes a user who can sign in with `password`; answers the user's id.
    ///
    /// # Errors
    /// When Keycloak refuses.
    pub async fn create_user(&mut self, name: &str, password: &str) -> Result<String> {
        let user = json!({
            "username": name, "enabled": true, "email": format!("{name}@demo.marque.test"), "emailVerified": true,
            "firstName": "Someone", "lastName": "Else",
            "credentials": [{"type": "password", "value": password, "temporary": false}],
        });
        self.ask(Method::POST, "users", Some(&user)).await?;
        let found = self.ask(Method::GET, &format!("users?exact=true&username={name}"), None).await?;
        Ok(found[0]["id"].as_str().ok_or("the user was not made")?.to_owned())
    }

    /// Removes a user.
    ///
    /// # Errors
    /// When Keycloak refuses.
    pub async fn delete_user(&mut self, id: &str) -> Result<()> {
        self.ask(Method::DELETE, &format!("users/{id}"), None).await.map(drop)
    }

    /// Disables a user.
    ///
    /// # Errors
    /// When Keycloak refuses.
    pub async fn disable_user(&mut self, id: &str) -> Result<()> {
        let mut user = self.ask(Method::GET, &format!("users/{id}"), None).await?;
        user["enabled"] = false.into();
        self.ask(Method::PUT, &format!("users/{id}"), Some(&user)).await.map(drop)
    }

    /// The paths of a user's passkeys.
    async fn passkeys(&mut self, id: &str) -> Result<Vec<String>> {
        let all = self.ask(Method::GET, &format!("users/{id}/credentials"), None).await?;
        let all = all.as_array().into_iter().flatten();
        let passkeys = all.filter(|credential| credential["type"] == "webauthn-passwordless");
        let path = |id_of: &str| format!("users/{id}/credentials/{id_of}");
        let paths: Vec<_> = passkeys.filter_map(|passkey| passkey["id"].as_str()).map(path).collect();
        if paths.is_empty() { Err("the user has no passkey".into()) } else { Ok(paths) }
    }

    /// Removes every passkey of a user.
    ///
    /// # Errors
    /// When there is none.
    pub async fn remove_passkeys(&mut self, id: &str) -> Result<()> {
        for path in self.passkeys(id).await? {
            self.ask(Method::DELETE, &path, None).await?;
        }
        Ok(())
    }

    /// Gives a user's passkey another label: labels are unique.
    ///
    /// # Errors
    /// When there is none.
    pub async fn rename_passkeys(&mut self, id: &str, label: &str) -> Result<()> {
        for path in self.passkeys(id).await? {
            self.ask(Method::PUT, &format!("{path}/userLabel"), Some(&label.into())).await?;
        }
        Ok(())
    }

    /// Says for which users, by name and separated by spaces, the agent may submit plans.
    ///
    /// # Errors
    /// When Keycloak refuses.
    pub async fn pair_agent(&mut self, users: &str) -> Result<()> {
        let found = self.ask(Method::GET, &format!("clients?clientId={AGENT}"), None).await?;
        let mut client = found[0].clone();
        client["attributes"]["marque.users"] = users.into();
        let id = client["id"].as_str().ok_or("the agent is unknown")?.to_owned();
        self.ask(Method::PUT, &format!("clients/{id}"), Some(&client)).await.map(drop)
    }

    /// Says where the extension fetches plans; answers where it did before.
    ///
    /// # Errors
    /// When Keycloak refuses or the flow is another.
    pub async fn set_marque_url(&mut self, url: &str) -> Result<String> {
        let steps = self.ask(Method::GET, "authentication/flows/marque%20approval/executions", None).await?;
        let mut steps = steps.as_array().into_iter().flatten();
        let step = steps.find(|step| step["providerId"] == "marque-plan-approval");
        let id = step.and_then(|step| step["authenticationConfig"].as_str());
        let path = format!("authentication/config/{}", id.ok_or("the approval has no configuration")?);
        let mut config = self.ask(Method::GET, &path, None).await?;
        let before = config["config"]["marqueUrl"].as_str().map(str::to_owned);
        config["config"]["marqueUrl"] = url.into();
        self.ask(Method::PUT, &path, Some(&config)).await?;
        before.ok_or_else(|| Failure::from("the approval has no marqueUrl"))
    }
}
