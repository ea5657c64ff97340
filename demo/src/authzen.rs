//! The fixture of the AuthZEN certification scenario: two users, two records, three actions.
//!
//! An administrator adds a resource server that may ask by a user's name and an agent that is paired with both users;
//! the resource server publishes its catalog; the agent submits one plan for each user; each of them approves it in a
//! browser, with a passkey. Nothing is written behind Marque's back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use marque_core::canonical::canonical;
use marque_core::names::{DETAIL_PLAN, TYP_CATALOG};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::agent::{Submission, redeem};
use crate::browser::{Registration, approve};
use crate::clients::{Answer, KeycloakTokens, Party, SigningKey, http};
use crate::env::{Client, Env, write_private};
use crate::keycloak::Administration;
use crate::keys::Keys;
use crate::place::Place;
use crate::processes::Processes;
use crate::{Result, about};

/// What the resource server calls itself. Nothing is served there: the scenario asks about records, and reads none.
const LOCATION: &str = "https://records.demo.marque.test";
/// Who approves.
const USERS: [&str; 2] = ["alice", "bob"];
/// How long the plans hold: the longest that a plan may.
const LIFETIME_SECS: i64 = 7 * 24 * 3600;
/// How long until Marque notices a new client.
const NOTICE_LIMIT: Duration = Duration::from_secs(30);

/// `authzen.json`: what a program needs to ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fixture {
    /// The resource server.
    pub records: Client,
    /// The agent.
    pub clerk: Client,
    /// What the resource server answers for.
    pub location: String,
}

impl Fixture {
    /// Reads the file of the stack in a folder.
    ///
    /// # Errors
    /// When the fixture was not loaded.
    pub fn read(dir: &Path) -> Result<Self> {
        let file = fixture_file(dir);
        let text = fs::read(&file).map_err(about(format!("{} (demo authzen-fixture loads it)", file.display())))?;
        serde_json::from_slice(&text).map_err(about(file.display()))
    }
}

/// The file of the stack in a folder.
pub fn fixture_file(dir: &Path) -> PathBuf {
    dir.join("authzen.json")
}

/// Loads the fixture into the running stack of `place`. Loading it again approves new plans.
///
/// # Errors
/// When the stack does not run, or a part of it refuses.
pub async fn load(place: &Place) -> Result<Fixture> {
    let env = Env::read(&place.env_file()).map_err(about("a running stack is needed (make up)"))?;
    let (keys, processes) = (Keys::open(&place.dir)?, Processes::open(&place.dir)?);
    let client = |name: &str| -> Result<Client> {
        keys.make(name)?;
        Ok(Client { client_id: format!("demo-{name}"), key: keys.signing(name), dpop_key: keys.dpop(name) })
    };
    let fixture = Fixture { records: client("records")?, clerk: client("clerk")?, location: LOCATION.to_owned() };
    let admin = Administration::sign_in(&http()?, &env.keycloak.base, &env.keycloak.admin.password).await?;
    admin.put_client(&records_client(&env, &fixture, &keys.jwks("records")?)).await?;
    admin.put_client(&clerk_client(&fixture, &keys.jwks("clerk")?)).await?;
    for user in USERS {
        ensure_passkey(place, &processes, &env, &admin, user).await?;
    }
    publish_catalog(&env, &fixture).await?;
    for user in USERS {
        grant(place, &env, &fixture, user, steps(&fixture, user)).await?;
    }
    write_private(&fixture_file(&place.dir), serde_json::to_string_pretty(&fixture)?.as_bytes())?;
    Ok(fixture)
}

/// Lets the agent submit a plan of some steps, its user approve it in a browser, and the agent redeem the approval;
/// answers the intent and its token.
///
/// # Errors
/// When one of them is refused.
pub async fn grant(
    place: &Place,
    env: &Env,
    fixture: &Fixture,
    user: &str,
    steps: Vec<Value>,
) -> Result<(String, String)> {
    let (clerk, processes) = (Party::new(env, &fixture.clerk)?, Processes::open(&place.dir)?);
    let submission = submit(&clerk, &plan(fixture, user, steps)).await?;
    approve(place, &processes, &submission.intent_id, user).await.map_err(about(user))?;
    let answer = redeem(&clerk, &submission.intent_id).await?.success().map_err(about("POST /token"))?;
    let token = answer.get("access_token").and_then(Value::as_str).ok_or("there is no intent token")?;
    Ok((submission.intent_id, token.to_owned()))
}

fn confidential(client: &Client, jwks: &Value, attributes: &Value) -> Value {
    let mut whole = json!({
        "clientId": client.client_id, "enabled": true, "publicClient": false, "clientAuthenticatorType": "client-jwt",
        "standardFlowEnabled": false, "directAccessGrantsEnabled": false, "serviceAccountsEnabled": true,
        "fullScopeAllowed": false,
        "attributes": {
            "use.jwks.string": "true", "jwks.string": jwks.to_string(), "use.refresh.tokens": "false",
            "token.endpoint.auth.signing.alg": "ES256", "marque.owner": "platform-team",
        },
    });
    if let (Some(all), Some(more)) = (whole["attributes"].as_object_mut(), attributes.as_object()) {
        all.extend(more.clone());
    }
    whole
}

fn records_client(env: &Env, fixture: &Fixture, jwks: &Value) -> Value {
    let attributes = json!({
        "marque.kind": "resource-server", "marque.locations": fixture.location, "marque.resolve_by_subject": "username",
    });
    let mut client = confidential(&fixture.records, jwks, &attributes);
    client["protocolMappers"] = json!([{
        "name": "audience marque", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
        "config": {
            "included.custom.audience": env.marque.issuer, "access.token.claim": "true", "id.token.claim": "false",
            "introspection.token.claim": "true",
        },
    }]);
    client
}

fn clerk_client(fixture: &Fixture, jwks: &Value) -> Value {
    let attributes = json!({
        "marque.kind": "agent", "marque.users": USERS.join(" "), "marque.purpose": "Keep the records in order",
    });
    confidential(&fixture.clerk, jwks, &attributes)
}

async fn ensure_passkey(
    place: &Place,
    processes: &Processes,
    env: &Env,
    admin: &Administration,
    user: &str,
) -> Result<()> {
    let file = env.user.passkey.with_file_name(format!("{user}.json"));
    let user_id = admin.user_id(user).await?;
    let (keycloak, password) = (env.keycloak.base.as_str(), env.user.password.as_str());
    let registration = Registration { keycloak, user, password, user_id: &user_id, file };
    registration.ensure(place, processes, admin).await.map(drop)
}

/// What the resource server offers, in its own words.
fn catalog(fixture: &Fixture) -> Value {
    let action = |class: &str, reversible: bool, args: Value, sentence: &str| {
        json!({
            "class": class, "reversible": reversible, "resource": "record", "args": args,
            "display": {"en": sentence},
        })
    };
    json!({
        "iss": fixture.records.client_id, "version": 1, "location": fixture.location,
        "actions": {
            "read": action("read", true, json!({}), "Read record {resource}"),
            "write": action("change", true, json!({}), "Write to record {resource}"),
            "delete": action(
                "delete", false, json!({"soft": {"type": "boolean"}}),
                "Delete record {resource}; kept for a while if soft is true: {args.soft}",
            ),
        },
    })
}

/// Signs the catalog with the registered key and hands it to Marque, once Marque has noticed the client.
async fn publish_catalog(env: &Env, fixture: &Fixture) -> Result<()> {
    let signed = SigningKey::read(&fixture.records.key)?.sign(TYP_CATALOG, &canonical(&catalog(fixture)))?;
    let tokens = KeycloakTokens::new(env, &fixture.records)?;
    let url = format!("{}/catalogs", env.marque.issuer);
    noticed(async || {
        let request = http()?.post(&url).bearer_auth(tokens.token(None).await?);
        Answer::to(request.header("content-type", "application/jose").body(signed.clone())).await?.success()
    })
    .await
    .map_err(about("POST /catalogs"))
    .map(drop)
}

async fn submit(clerk: &Party, plan: &Value) -> Result<Submission> {
    let details = json!([{"type": DETAIL_PLAN, "plan": plan}]).to_string();
    let form = [("authorization_details", details.as_str())];
    let answer = noticed(async || clerk.post("/plans", &form).await?.success()).await.map_err(about("POST /plans"))?;
    Ok(serde_json::from_value(answer)?)
}

/// Tries until it succeeds: Marque asks for a client's attributes again only after some seconds.
async fn noticed(attempt: impl AsyncFn() -> Result<Value>) -> Result<Value> {
    let deadline = Instant::now() + NOTICE_LIMIT;
    loop {
        match attempt().await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(500)).await,
            ended => return ended,
        }
    }
}

/// What each user signs. Conditions on `properties` are conditions on the record `authzen` of the resource: a status
/// or a role that a request does not state is no obstacle where the condition says "optional", and is one elsewhere.
fn steps(fixture: &Fixture, user: &str) -> Vec<Value> {
    let step = |id: &str, action: &str, resource: Value| {
        json!({
            "id": id, "location": fixture.location, "action": action, "resource": {"type": "record", "id": resource},
        })
    };
    let records = |conditions: Value| json!({"attr": {"collection": "authzen", "where": conditions}});
    let unless_other =
        |name: &str, value: &str| json!({"obj": {name: {"optional": {"const": value}}, "*": {"any": true}}});
    let only = |id: &str, conditions: Value| json!({"all": [{"const": id}, records(conditions)]});

    let mut read = step("read", "read", json!({"one_of": ["record-1", "record-2"]}));
    read["uses"] = "any".into();
    read["args"] = json!({"*": {"any": true}});
    let mut delete = step("delete", "delete", json!("record-1"));
    delete["args"] = json!({"soft": {"const": true}});
    let role = unless_other("role", "admin");
    match user {
        "alice" => vec![
            read,
            step("write", "write", only("record-1", json!({"/resource": unless_other("status", "active")}))),
            step(
                "write-archived",
                "write",
                records(json!({"/resource/status": {"const": "archived"}, "/subject/role": {"const": "admin"}})),
            ),
            delete,
        ],
        _ => vec![
            read,
            step(
                "write-record-2",
                "write",
                only("record-2", json!({"/resource": unless_other("status", "archived"), "/subject": role})),
            ),
            step(
                "write-archived",
                "write",
                records(json!({"/resource/status": {"const": "archived"}, "/subject": role})),
            ),
        ],
    }
}

fn plan(fixture: &Fixture, user: &str, steps: Vec<Value>) -> Value {
    json!({
        "version": 1, "purpose": "Keep the records in order.", "agent": fixture.clerk.client_id,
        "user": {"username": user}, "mode": "strict", "limits": {"lifetime_secs": LIFETIME_SECS, "max_hops": 0},
        "steps": steps,
    })
}
