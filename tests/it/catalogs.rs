//! Catalogs: one that lowers a severity waits for an administrator of the realm, and only she makes it count.

use crate::jose::can_travel;
use crate::support::jose::attacks;
use crate::support::keys::{Key, now};
use crate::support::plans::{PUBLISHED, rotating};
use crate::support::realm::{Admin, Mood, Realm};
use crate::support::reply::Reply;
use crate::support::server::{Copy, Server};
use crate::support::stack::Stack;
use marque_core::canonical::Digest;
use marque_core::names::{TYP_CATALOG, TYP_JWT};
use serde_json::{Value, json};
use uuid::Uuid;

/// A server on a copy of the stack's database, at a realm that the test controls.
struct House {
    realm: Realm,
    server: Server,
    copy: Copy,
}

/// A version as the server knows it; version 1 is the one that the stack's resource server has published.
const fn v(version: u64) -> u64 {
    PUBLISHED - 1 + version
}

/// Subject identifier of the administrator.
const DORA: &str = "7c1b";

/// What the realm says of the administrator.
fn dora() -> Value {
    json!({
        "sub": DORA, "username": "dora", "enabled": true, "passkeys": [], "service_account": false,
        "roles": ["marque-admin"],
    })
}

impl House {
    async fn open() -> Self {
        let main = Stack::open().await;
        let mut realm = Realm::of(&main);
        realm.set_user(DORA, dora());
        realm.go_up(Mood::Well).await;
        let mut copy = Copy::beside(&main).await;
        copy.settings = "admin_client_id = \"console\"";
        let server = copy.serve_with(realm.issuer()).await;
        Self { realm, server, copy }
    }

    fn stack(&self) -> &Stack {
        &self.server.stack
    }

    /// A token of the realm, with changes to a right one of an administrator.
    fn token(&self, change: Value) -> String {
        let mut claims = self.realm.access_claims(self.stack());
        claims["azp"] = json!("console");
        claims["sub"] = json!(DORA);
        claims["preferred_username"] = json!("somebody");
        claims["realm_access"] = json!({"roles": ["offline_access", "marque-admin"]});
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.realm.key().sign(TYP_JWT, &claims)
    }

    /// Uploads a catalog as the resource server.
    async fn publish(&self, what: &str, catalog: &Value) -> Reply {
        let token = self.realm.key().sign(TYP_JWT, &self.realm.access_claims(self.stack()));
        let body = Key::read(&self.stack().env.clients.rs.key).sign(TYP_CATALOG, catalog);
        let request = self.stack().http.post(self.stack().url("/catalogs")).bearer_auth(token);
        Reply::to(what, request.header("content-type", "application/jose").body(body)).await
    }

    /// What waits.
    async fn waiting(&self) -> Vec<Value> {
        let request = self.stack().http.get(self.stack().url("/catalogs?state=waiting"));
        let reply = Reply::to("the list", request.bearer_auth(self.token(json!({})))).await;
        reply.success(200)["catalogs"].as_array().unwrap().clone()
    }

    async fn decide_with(&self, what: &str, token: &str, body: &Value) -> Reply {
        let request = self.stack().http.post(self.stack().url("/catalogs/decision")).bearer_auth(token);
        Reply::to(what, request.json(body)).await
    }

    async fn decide(&self, what: &str, catalog: &Value, decision: &str) -> Reply {
        self.decide_with(what, &self.token(json!({})), &self.decision(catalog, decision)).await
    }

    fn decision(&self, catalog: &Value, decision: &str) -> Value {
        let sha256 = Digest::of(catalog.to_string().as_bytes());
        json!({
            "location": self.stack().location(), "version": catalog["version"], "sha256": sha256, "decision": decision,
        })
    }

    /// A catalog in which the rotation of keys is of a class.
    /// A catalog; version 1 is the one that the stack's resource server has published.
    fn catalog(&self, version: u64, class: &str) -> Value {
        json!({
            "iss": self.stack().env.resource_server.client_id, "version": v(version), "location": self.stack().location(),
            "actions": {"rotate_key": {
                "class": class, "reversible": false, "resource": "service_account", "args": {},
                "display": {"en": "Rotate {resource}"},
            }},
        })
    }

    /// The class that a plan submitted now gets for a rotation, and the version of the catalog that says so.
    async fn class_of_a_rotation(&self) -> (Value, Value) {
        let mut plan = rotating(self.stack());
        plan["steps"].as_array_mut().unwrap().retain(|step| step["action"] == "rotate_key");
        let ids: Vec<Value> = plan["steps"].as_array().unwrap().iter().map(|step| step["id"].clone()).collect();
        for delegate in plan["delegates"].as_array_mut().into_iter().flatten() {
            delegate["steps"] = json!(ids);
        }
        let intent = self.stack().submitted(&self.stack().agent(), &plan).await;
        let intent: Uuid = intent.parse().unwrap();
        let sql = "select plan from intents where intent_id = $1";
        let plan: Vec<u8> = sqlx::query_scalar(sql).bind(intent).fetch_one(&self.stack().db).await.unwrap();
        let plan: Value = serde_json::from_slice(&plan).unwrap();
        (plan["steps"][0]["class"].clone(), plan["catalogs"][0]["version"].clone())
    }
}

#[tokio::test]
async fn a_lowered_severity_waits_and_counts_once_it_is_accepted() {
    let house = House::open().await;
    let read = house.catalog(2, "read");
    let reply = house.publish("a rotation that is called a read", &read).await;
    let answer = reply.success(202);
    assert_eq!((&answer["state"], &answer["version"]), (&json!("waiting"), &json!(v(2))));
    let class = json!({
        "path": "$.actions.rotate_key.class", "action": "rotate_key", "what": "class", "before": "change", "after": "read",
    });
    assert!(answer["milder"].as_array().unwrap().contains(&class), "{}", reply.text);
    assert_eq!(house.class_of_a_rotation().await, (json!("change"), json!(v(1))), "what waits is not used");
    let again = house.publish("the same again", &read).await;
    assert_eq!(again.success(202)["milder"], answer["milder"], "answered again");
    let [waiting] = house.waiting().await.try_into().unwrap();
    assert_eq!((&waiting["sha256"], &waiting["milder"]), (&answer["sha256"], &answer["milder"]));
    assert_eq!(waiting["client_id"], house.stack().env.resource_server.client_id.as_str());

    let accepted = house.decide("a right decision", &read, "accept").await;
    assert_eq!(
        (&accepted.success(200)["state"], &accepted.body["decided_by"]["sub"]),
        (&json!("accepted"), &json!("7c1b"))
    );
    assert_eq!(house.class_of_a_rotation().await, (json!("read"), json!(v(2))));
    assert_eq!(house.waiting().await, [Value::Null; 0]);
    assert_eq!(house.publish("the same once more", &read).await.success(201)["version"], v(2));
    house.decide("a second decision", &read, "refuse").await.refused(410, "gone").naming("accepted already");
    let sql = format!(
        "select sub, username, client_id from catalog_decisions where version = {} and decision = 'accepted'",
        v(2)
    );
    let kept: (String, String, String) =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&house.stack().db).await.unwrap();
    assert_eq!(kept, ("7c1b".into(), "dora".into(), "console".into()));
    let log = house.server.log();
    assert!(log.contains("catalog.waiting") && log.contains("catalog.decided") && log.contains("7c1b"), "{log}");
}

#[tokio::test]
async fn a_refused_catalog_never_counts_and_a_later_one_goes_its_way() {
    let house = House::open().await;
    let read = house.catalog(2, "read");
    house.publish("a lowered one", &read).await.success(202);
    assert_eq!(house.decide("a refusal", &read, "refuse").await.success(200)["state"], "refused");
    house.publish("the refused one again", &read).await.refused(409, "conflict").naming("refused");
    house.publish("other octets under its version", &house.catalog(2, "change")).await.refused(409, "conflict");
    house.decide("a change of mind", &read, "accept").await.refused(410, "gone").naming("refused already");
    assert_eq!(house.class_of_a_rotation().await, (json!("change"), json!(v(1))));
    house.publish("one that lowers nothing", &house.catalog(3, "send")).await.success(201);
    assert_eq!(house.class_of_a_rotation().await, (json!("send"), json!(v(3))));
    house.publish("back to what it was before", &house.catalog(4, "change")).await.success(202);
    assert_eq!(
        house.class_of_a_rotation().await,
        (json!("send"), json!(v(3))),
        "each admitted version is compared with"
    );
}

#[tokio::test]
async fn a_newer_upload_makes_a_waiting_one_lapse() {
    let house = House::open().await;
    let (second, fourth, fifth) = (house.catalog(2, "read"), house.catalog(4, "read"), house.catalog(5, "create"));
    house.publish("a lowered one", &second).await.success(202);
    house.publish("one that lowers nothing", &house.catalog(3, "change")).await.success(201);
    assert_eq!(house.waiting().await, [Value::Null; 0]);
    house.decide("on what lapsed", &second, "accept").await.refused(410, "gone").naming(&format!("version {}", v(3)));
    house.publish("a lowered one", &fourth).await.success(202);
    house.publish("another lowered one", &fifth).await.success(202);
    house.decide("on what lapsed", &fourth, "accept").await.refused(410, "gone").naming(&format!("version {}", v(5)));
    let waiting: Vec<_> = house.waiting().await.iter().map(|one| one["version"].clone()).collect();
    assert_eq!(waiting, [v(5)]);
    house
        .publish("an older version", &house.catalog(4, "change"))
        .await
        .refused(409, "conflict")
        .naming(&format!("above {}", v(5)));
    house.decide("on what waits", &fifth, "accept").await.success(200);
    assert_eq!(house.class_of_a_rotation().await, (json!("create"), json!(v(5))));
}

#[tokio::test]
async fn only_an_administrator_decides_and_only_on_what_she_read() {
    let house = House::open().await;
    let read = house.catalog(2, "read");
    house.publish("a lowered one", &read).await.success(202);
    let before = house.stack().row_counts().await;
    let right = house.decision(&read, "accept");
    let rs = &house.stack().env.resource_server.client_id;
    for (status, what, change) in [
        (401, "another issuer", json!({"iss": "http://localhost:1/realms/demo"})),
        (401, "a further audience", json!({"aud": [house.stack().issuer(), "account"]})),
        (401, "a token that is over", json!({"exp": now() - 60})),
        (401, "an ID token", json!({"typ": "ID"})),
        (401, "nobody", json!({"sub": null})),
        (403, "no role", json!({"realm_access": {"roles": ["marque-read"]}})),
        (
            403,
            "a role of a client",
            json!({"realm_access": null, "resource_access": {"marque": {"roles": ["marque-admin"]}}}),
        ),
        (403, "roles that are no list", json!({"realm_access": {"roles": "marque-admin"}})),
        (403, "the resource server itself", json!({"azp": rs})),
        (403, "an application that she signed in to", json!({"azp": "timesheets"})),
        (401, "no client", json!({"azp": null})),
        (401, "an old token that is not over", json!({"iat": now() - 302})),
        (401, "one from the future", json!({"iat": now() + 60})),
        (401, "one of no time", json!({"iat": null})),
        (403, "somebody the realm does not know", json!({"sub": "8d2c"})),
    ] {
        let error = if status == 401 { "invalid_token" } else { "insufficient_scope" };
        house.decide_with(what, &house.token(change), &right).await.refused(status, error);
    }
    let foreign = Key::fresh().sign(TYP_JWT, &json!({"iss": house.realm.issuer(), "aud": house.stack().issuer()}));
    house.decide_with("a foreign administrator", &foreign, &right).await.refused(401, "invalid_token");
    let changed = |name: &str, value: Value| {
        let mut body = right.clone();
        body[name] = value;
        body
    };
    let other = json!(Digest::of(b"another"));
    for (status, error, what, body) in [
        (409, "conflict", "another digest", changed("sha256", other)),
        (404, "not_found", "another version", changed("version", json!(v(3)))),
        (404, "not_found", "a version that no database holds", changed("version", json!(u64::MAX >> 11))),
        (404, "not_found", "another location", changed("location", json!("http://localhost:1"))),
        (404, "not_found", "a location with NUL", changed("location", json!("a\u{0}b"))),
        (400, "invalid_request", "no digest", changed("sha256", json!("x"))),
        (400, "invalid_request", "another word", changed("decision", json!("accepted"))),
        (400, "invalid_request", "a further member", changed("reason", json!("fine"))),
    ] {
        house.decide_with(what, &house.token(json!({})), &body).await.refused(status, error);
    }
    let list = |query: &str| house.stack().http.get(house.stack().url(&format!("/catalogs{query}")));
    let token = house.token(json!({}));
    for query in ["", "?state=accepted", "?state=waiting&state=waiting"] {
        Reply::to(query, list(query).bearer_auth(&token)).await.refused(400, "invalid_request").naming("state");
    }
    let without = house.token(json!({"realm_access": {"roles": []}}));
    Reply::to("no role", list("?state=waiting").bearer_auth(without)).await.refused(403, "insufficient_scope");
    assert_eq!(house.stack().row_counts().await, before);
    assert_eq!(house.class_of_a_rotation().await, (json!("change"), json!(v(1))));
}

#[tokio::test]
async fn a_row_makes_no_waiting_catalog_count() {
    let house = House::open().await;
    let db = &house.stack().db;
    house.publish("a lowered one", &house.catalog(2, "read")).await.success(202);
    let digest = Digest::of(house.catalog(2, "read").to_string().as_bytes());
    let location = house.stack().location();
    let published = format!("select admission from catalogs where version = {} and location = '{location}'", v(1));
    for (what, admission) in [("no admission", "select ''"), ("another version's admission", published.as_str())] {
        let sql = format!(
            "insert into catalogs (realm, location, version, client_id, jws, sha256, admission, uploaded_at)
             select realm, location, version, client_id, jws, $1, ({admission}), now() from waiting_catalogs"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(digest.as_bytes().as_slice()).execute(db).await.unwrap();
        let mut plan = rotating(house.stack());
        plan["steps"].as_array_mut().unwrap().truncate(1);
        plan.as_object_mut().unwrap().remove("delegates");
        let reply = house.stack().submit(what, &house.stack().agent(), &plan).await;
        reply.because(400, "invalid_authorization_details", "unknown_location");
        let refused = sqlx::query("delete from catalogs where sha256 = $1")
            .bind(digest.as_bytes().as_slice())
            .execute(db)
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("written once"), "{refused}");
        let mut tx = db.begin().await.unwrap();
        sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
        sqlx::query("delete from catalogs where sha256 = $1")
            .bind(digest.as_bytes().as_slice())
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(house.class_of_a_rotation().await, (json!("change"), json!(v(1))));
}

#[tokio::test]
async fn what_no_catalog_describes_is_refused_unless_the_realm_has_it_shown() {
    let main = Stack::open().await;
    let agent = main.agent();
    let mut plan = rotating(&main);
    plan["steps"].as_array_mut().unwrap().truncate(1);
    plan.as_object_mut().unwrap().remove("delegates");
    plan["steps"][0]["action"] = json!("frobnicate");
    let reply = main.submit("an unknown action", &agent, &plan).await;
    reply.because(400, "invalid_authorization_details", "unknown_action").naming("$.steps[0].action");
    let mut copy = Copy::beside(&main).await;
    copy.settings = "unknown_actions = \"show\"";
    let server = copy.serve().await;
    for location in [main.location(), "http://nowhere.example"] {
        plan["steps"][0]["location"] = json!(location);
        let intent: Uuid = server.stack.submitted(&agent, &plan).await.parse().unwrap();
        let sql = "select plan from intents where intent_id = $1";
        let kept: Vec<u8> = sqlx::query_scalar(sql).bind(intent).fetch_one(&server.stack.db).await.unwrap();
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        let step = &kept["steps"][0];
        assert_eq!((&step["class"], &step["approve"]), (&json!("grant"), &json!("step_up")), "{location}");
    }
    plan["steps"][0]["uses"] = json!("any");
    let reply = server.stack.submit("an uncounted one", &agent, &plan).await;
    reply.because(400, "invalid_authorization_details", "unknown_action").naming("$.steps[0].uses");
}

#[tokio::test]
async fn a_location_takes_so_many_versions_a_day() {
    let house = House::open().await;
    let earlier: i64 = sqlx::query_scalar(
        "select count(*) from catalogs where location = $1 and uploaded_at > now() - interval '1 day'",
    )
    .bind(house.stack().location())
    .fetch_one(&house.stack().db)
    .await
    .unwrap();
    let most = 48 - u64::try_from(earlier).unwrap();
    for version in 2..2 + most {
        // Every other one waits: both kinds count.
        let class = if version % 2 == 0 { "change" } else { "read" };
        assert!(house.publish("within the bound", &house.catalog(version, class)).await.status < 300, "{version}");
    }
    let before = house.stack().row_counts().await;
    let (next, lowered) = (house.catalog(2 + most, "change"), house.catalog(2 + most, "read"));
    house.publish("one more", &next).await.refused(429, "too_many_requests").naming("48 versions");
    house.publish("one more that would wait", &lowered).await.refused(429, "too_many_requests").naming("48 versions");
    assert_eq!(house.stack().row_counts().await, before);
    let last = house.catalog(1 + most, if most % 2 == 1 { "change" } else { "read" });
    assert!(house.publish("the last one again", &last).await.status < 300, "what is kept already is answered again");
    let mut tx = house.stack().db.begin().await.unwrap();
    for sql in [
        "set local session_replication_role = replica",
        "update catalogs set uploaded_at = uploaded_at - interval '25 hours'",
        "update waiting_catalogs set uploaded_at = uploaded_at - interval '25 hours'",
    ] {
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    house.publish("the day after", &next).await.success(201);
}

#[tokio::test]
async fn a_location_has_room_for_so_many_octets() {
    let house = House::open().await;
    let sql = "select coalesce(sum(octet_length(jws)), 0)::bigint from catalogs where location = $1";
    let kept: i64 = sqlx::query_scalar(sql).bind(house.stack().location()).fetch_one(&house.stack().db).await.unwrap();
    let length = Key::read(&house.stack().env.clients.rs.key).sign(TYP_CATALOG, &house.catalog(2, "change")).len();
    // Room for two and a half.
    let room = usize::try_from(kept).unwrap() + length * 5 / 2;
    let settings = format!("admin_client_id = \"console\"\ncatalog_bytes_per_location = {room}");
    let server = house.copy.serve_as(house.realm.issuer(), &settings).await;
    let publish = async |what: &str, catalog: &Value| {
        let token = house.realm.key().sign(TYP_JWT, &house.realm.access_claims(&server.stack));
        let body = Key::read(&house.stack().env.clients.rs.key).sign(TYP_CATALOG, catalog);
        let request = server.stack.http.post(server.stack.url("/catalogs")).bearer_auth(token);
        Reply::to(what, request.header("content-type", "application/jose").body(body)).await
    };
    publish("one that counts", &house.catalog(2, "change")).await.success(201);
    publish("one that waits", &house.catalog(3, "read")).await.success(202);
    let before = house.stack().row_counts().await;
    for class in ["change", "read"] {
        let reply = publish("one too many", &house.catalog(4, class)).await;
        reply.refused(400, "access_denied").naming("catalog_bytes_per_location");
    }
    assert_eq!(house.stack().row_counts().await, before);
}

/// `marque catalog` at a running server; answers its exit code and what it said.
async fn command(args: &[&str], token: Option<&str>) -> (Option<i32>, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_marque"));
    command.arg("catalog").args(args).env_remove("MARQUE_ADMIN_TOKEN").stdin(std::process::Stdio::null());
    if let Some(token) = token {
        command.env("MARQUE_ADMIN_TOKEN", token);
    }
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn an_administrator_decides_at_the_command_line() {
    let house = House::open().await;
    let (issuer, token) = (house.stack().base.clone(), house.token(json!({})));
    let at = ["--issuer", issuer.as_str()];
    let list = async |more: &[&str]| command(&[&["waiting"], &at[..], more].concat(), Some(&token)).await;
    let none = list(&[]).await;
    assert_eq!((none.0, none.1.as_str()), (Some(0), "nothing waits\n"), "{}", none.2);
    let read = house.catalog(2, "read");
    house.publish("a lowered one", &read).await.success(202);
    let digest = Digest::of(read.to_string().as_bytes()).to_base64();
    let folder = house.stack().dir.join(format!("it/{}", Uuid::new_v4()));
    let (code, out, err) = list(&["--save", folder.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{err}");
    let milder = "$.actions.rotate_key.class: \"change\" becomes \"read\"";
    for text in [house.stack().location(), &digest, milder, "1 catalog waits"] {
        assert!(out.contains(text), "{text}: {out}");
    }
    let saved = std::fs::read(folder.join(format!("{digest}.json"))).unwrap();
    assert_eq!(Digest::of(&saved).to_base64(), digest);
    std::fs::remove_dir_all(folder).unwrap();
    let json: Value = serde_json::from_str(&list(&["-o", "json"]).await.1).unwrap();
    assert_eq!(json["catalogs"][0]["sha256"], digest.as_str());

    let (version, location) = (v(2).to_string(), house.stack().location());
    let decide = async |word: &str, sha256: &str, token: Option<&str>| {
        let args = [&[word, location, "--version", &version, "--sha256", sha256], &at[..]].concat();
        command(&args, token).await
    };
    let other = Digest::of(b"another").to_base64();
    let (code, _, err) = decide("accept", &other, Some(&token)).await;
    assert!(code == Some(1) && err.contains("(conflict)"), "{err}");
    let (code, _, err) = decide("accept", &digest, Some(&house.token(json!({"azp": "timesheets"})))).await;
    assert!(code == Some(1) && err.contains("administration client"), "{err}");
    let (code, _, err) = decide("accept", &digest, None).await;
    assert!(code == Some(2) && err.contains("MARQUE_ADMIN_TOKEN"), "{err}");
    let (code, _, err) = command(&["waiting", "--issuer", "http://marque.example/realms/demo"], Some(&token)).await;
    assert!(code == Some(2) && err.contains("https"), "{err}");
    assert_eq!(house.class_of_a_rotation().await, (json!("change"), json!(v(1))));
    let (code, out, err) = decide("accept", &digest, Some(&token)).await;
    assert!(code == Some(0) && out.contains("is accepted, by dora"), "{out}{err}");
    assert_eq!(house.class_of_a_rotation().await, (json!("read"), json!(v(2))));
    let (code, _, err) = decide("refuse", &digest, Some(&token)).await;
    assert!(code == Some(1) && err.contains("accepted already"), "{err}");
}

/// The token stays what it was; what the realm says of its user and client changes.
#[tokio::test]
async fn the_realm_is_asked_again_about_who_decides() {
    let house = House::open().await;
    let list = async |server: &Server, what: &str| {
        let request = server.stack.http.get(server.stack.url("/catalogs?state=waiting"));
        Reply::to(what, request.bearer_auth(house.token(json!({})))).await
    };
    list(&house.server, "an administrator").await.success(200);
    for (name, value, text) in [
        ("roles", json!([]), "no longer"),
        ("roles", json!(["marque-read"]), "no longer"),
        ("enabled", json!(false), "enabled user"),
        ("service_account", json!(true), "service account"),
        ("service_account", Value::Null, "Marque cannot"),
    ] {
        let mut user = dora();
        user[name] = value;
        house.realm.set_user(DORA, user);
        let reply = list(&house.server, text).await;
        match text {
            "Marque cannot" => assert_ne!(reply.status, 200, "{}", reply.text),
            _ => drop(reply.refused(403, "insufficient_scope").naming(text)),
        }
    }
    let mut silent = dora();
    silent.as_object_mut().unwrap().remove("service_account");
    house.realm.set_user(DORA, silent);
    list(&house.server, "an extension that does not say").await.refused(403, "insufficient_scope").naming("service");
    house.realm.set_user(DORA, dora());
    list(&house.server, "an administrator again").await.success(200);

    let nobody = house.copy.serve_as(house.realm.issuer(), "").await;
    list(&nobody, "a server that names no client").await.refused(403, "insufficient_scope").naming("admin_client_id");
    house.realm.set_client("console", json!({"marque.kind": "agent"}));
    let other = house.copy.serve_with(house.realm.issuer()).await;
    list(&other, "a client that is an agent").await.refused(403, "insufficient_scope").naming("marque.kind");
}

/// Keycloak's own tokens: of a person with the role, without, of other clients and of clients themselves.
#[tokio::test]
async fn the_realm_says_who_is_an_administrator() {
    const CONSOLE: &str = "it-catalog-console";
    let main = Stack::open().await;
    let admin = Admin::sign_in(&main).await;
    let secret = Uuid::new_v4().to_string();
    admin.make_console(CONSOLE, main.issuer(), &secret).await;
    admin.make_user("it-dora", &secret, Some("marque-admin")).await;
    admin.make_user("it-erin", &secret, None).await;
    let mut copy = Copy::beside(&main).await;
    copy.settings = "admin_client_id = \"it-catalog-console\"";
    let server = copy.serve().await;
    let ask = async |what: &str, token: &str| {
        let request = server.stack.http.get(server.stack.url("/catalogs?state=waiting"));
        Reply::to(what, request.bearer_auth(token)).await
    };
    let of = async |name: &str| admin.console_token(CONSOLE, &secret, Some((name, &secret))).await;
    let dora = of("it-dora").await;
    ask("an administrator", &dora).await.success(200);
    for (what, token) in attacks(&dora, None, false) {
        if can_travel(&token) {
            ask(what, &token).await.refused(401, "invalid_token");
        }
    }
    ask("no administrator", &of("it-erin").await)
        .await
        .refused(403, "insufficient_scope")
        .naming("carries no realm role");
    let service = admin.console_token(CONSOLE, &secret, None).await;
    ask("the client itself", &service).await.refused(403, "insufficient_scope").naming("service account");
    let other = admin.token_of_service("it-catalog-admin", main.issuer(), Some("marque-admin")).await;
    ask("another client with the role", &other).await.refused(403, "insufficient_scope").naming("it-catalog-admin");
    ask("a resource server", &main.access_token().await).await.refused(403, "insufficient_scope");
    admin.take_role("it-dora", "marque-admin").await;
    ask("her token after she lost the role", &dora).await.refused(403, "insufficient_scope").naming("no longer");
    for client in [CONSOLE, "it-catalog-admin"] {
        admin.remove_client(client).await;
    }
    for user in ["it-dora", "it-erin"] {
        admin.remove_user(user).await;
    }
}
