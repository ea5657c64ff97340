//! A running server, as its administrator asks it: over HTTP, with her access token of the realm.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;

use super::super::plan::{Failure, files};
use crate::environment::variable;

/// Variable of the environment that holds the access token where no file is named.
const TOKEN_VARIABLE: &str = "MARQUE_ADMIN_TOKEN";
/// How long any one answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which server, and as whom.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The Marque issuer, such as https://marque.example/realms/demo.
    #[arg(long)]
    issuer: String,
    /// The file that holds the administrator's access token; - is standard input. Without it the variable
    /// `MARQUE_ADMIN_TOKEN` is read.
    #[arg(long)]
    token_file: Option<PathBuf>,
}

/// The server, with the token that goes with each request.
pub(super) struct Console {
    http: Client,
    issuer: String,
    token: String,
}

/// Why the server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// No usable answer.
    #[error("{0} gives no usable answer: {1}")]
    Silent(String, String),
    /// It refuses.
    #[error("the server refuses: {0} ({1})")]
    No(String, String),
}

impl Console {
    /// Reads issuer and token.
    pub fn of(args: &Args) -> Result<Self, Failure> {
        let issuer = args.issuer.trim_end_matches('/').to_owned();
        let input = |message: String| Failure::Input(message);
        let url = Url::parse(&issuer).map_err(|error| input(format!("--issuer: {error}")))?;
        if !is_private(&url) {
            return Err(input(
                "--issuer: must be https, or http on this machine: the token is good for whoever sees it".into(),
            ));
        }
        let http = Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).no_proxy();
        let http = http.build().map_err(|error| input(error.to_string()))?;
        Ok(Self { http, issuer, token: token(args.token_file.as_deref())? })
    }

    /// Asks for a path below the issuer.
    pub async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.answer(self.http.get(format!("{}{path}", self.issuer))).await
    }

    /// Posts JSON to a path below the issuer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        self.answer(self.http.post(format!("{}{path}", self.issuer)).json(body)).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value, Refused> {
        let silent = |error: reqwest::Error| Refused::Silent(self.issuer.clone(), error.without_url().to_string());
        let answer = request.bearer_auth(&self.token).send().await.map_err(silent)?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(silent)?;
        if status.is_success() {
            return Ok(body);
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Err(Refused::No(text("error_description"), text("error")))
    }
}

/// Whether nobody on the way can read what is sent.
fn is_private(url: &Url) -> bool {
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

fn token(file: Option<&Path>) -> Result<String, Failure> {
    let text = match file {
        Some(path) => String::from_utf8_lossy(&files::bytes(path)?).into_owned(),
        None => variable(TOKEN_VARIABLE)
            .ok_or_else(|| Failure::Input(format!("no access token: name a --token-file or set {TOKEN_VARIABLE}")))?,
    };
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::Input("the access token is empty, or holds what no token does".into()));
    }
    Ok(token.to_owned())
}
