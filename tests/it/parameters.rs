//! Every parameter of every form endpoint: left out, empty, repeated, far too long, of another type; unknown parameters, and
//! credentials in the query. The answer is an OAuth error of the right status that nobody keeps, and nothing is left behind.

use crate::support::keys::{Client, Key};
use crate::support::plans::{reading, shared};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use marque::http::router::{Caller, ROUTES};
use marque_core::names::{
    ASSERTION_TYPE_JWT, GRANT_CIBA, GRANT_INTENT, GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN,
};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What is answered: status and error; `None` is what the right form is answered.
type Expected = Option<(u16, &'static str)>;

const BAD: Expected = Some((400, "invalid_request"));
/// Stands for an assertion that is made when the form is sent: each is single use.
const FRESH: &str = "a fresh assertion";
const STRANGER: Expected = Some((401, "invalid_client"));

/// A parameter of an endpoint.
struct Parameter {
    name: &'static str,
    /// Its value in the right form, if it stands there.
    right: Option<String>,
    /// Left out, or without a value, which is the same (RFC 6749 §3.2).
    without: Expected,
    /// A hundred thousand characters.
    long: Expected,
    /// A value of another type or form than it has.
    wrong: (&'static str, Expected),
    /// Twice (RFC 6749 §3.2).
    twice: Expected,
}

impl Parameter {
    fn needed(name: &'static str, right: impl Into<String>, long: Expected, wrong: (&'static str, Expected)) -> Self {
        Self { name, right: Some(right.into()), without: BAD, long, wrong, twice: BAD }
    }

    fn optional(name: &'static str, long: Expected, wrong: (&'static str, Expected)) -> Self {
        Self { name, right: None, without: None, long, wrong, twice: BAD }
    }

    /// One that is refused whatever it says.
    fn refused(name: &'static str) -> Self {
        Self::optional(name, BAD, ("x", BAD))
    }

    fn with(self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self;
        change(&mut changed);
        changed
    }
}

/// A form endpoint, in one of its uses.
struct Endpoint {
    path: &'static str,
    /// What the right form is answered: status, and error if it is one.
    answer: (u16, &'static str),
    parameters: Vec<Parameter>,
}

fn plans(stack: &Stack) -> Vec<Endpoint> {
    let details = json!([{"type": "agent_intent_plan", "plan": reading(stack)}]).to_string();
    let no_plan = Some((400, "invalid_authorization_details"));
    let plan = || Parameter::needed("authorization_details", &details, no_plan, ("5", no_plan));
    let nobody = Some((400, "unknown_user_id"));
    let user = || Parameter::needed("login_hint", &stack.env.user.username, nobody, ("a\u{0}b", nobody));
    // RFC 9449 §10: the key that is proven later; one that is not the proof's is refused.
    let key = || Parameter::optional("dpop_jkt", BAD, ("5", BAD));
    let proofs = || {
        ["id_token_hint", "login_hint_token"].map(|name| {
            // The right form has a hint already; a second one is too much, whatever it is.
            Parameter::optional(name, BAD, ("5", BAD))
        })
    };
    let ciba = [
        Parameter::optional("scope", Some((400, "invalid_scope")), ("5", Some((400, "invalid_scope")))),
        Parameter::optional(
            "binding_message",
            Some((400, "invalid_binding_message")),
            ("\u{202e}", Some((400, "invalid_binding_message"))),
        ),
        Parameter::optional("requested_expiry", BAD, ("soon", BAD)),
        Parameter::refused("client_notification_token"),
        Parameter::refused("user_code"),
        Parameter::refused("request"),
        Parameter::refused("request_uri"),
    ];
    let mut backchannel = vec![plan(), user(), key()];
    backchannel.extend(proofs().into_iter().chain(ciba));
    let mut plans = vec![plan(), user().with(|hint| hint.without = None), key()];
    plans.extend(proofs());
    vec![
        Endpoint { path: "/plans", answer: (201, ""), parameters: plans },
        Endpoint { path: "/bc-authorize", answer: (200, ""), parameters: backchannel },
    ]
}

fn grant_type(grant: &str) -> Parameter {
    let unknown = Some((400, "unsupported_grant_type"));
    Parameter::needed("grant_type", grant, unknown, ("5", unknown))
}

fn grants() -> Vec<Endpoint> {
    let (nobody, unknown) = (Uuid::nil().to_string(), Some((400, "invalid_grant")));
    [(GRANT_INTENT, "intent_id"), (GRANT_CIBA, "auth_req_id")]
        .map(|(grant, handle)| Endpoint {
            path: "/token",
            answer: (400, "invalid_grant"),
            parameters: vec![
                grant_type(grant),
                Parameter::needed(handle, &nobody, unknown, ("{\"a\":[5]}\u{0}", unknown)),
            ],
        })
        .into()
}

fn exchange(stack: &Stack, token: &str) -> Endpoint {
    let target = Some((400, "invalid_target"));
    let (scope, details) = (Some((400, "invalid_scope")), Some((400, "invalid_authorization_details")));
    let parameters = vec![
        grant_type(GRANT_TOKEN_EXCHANGE),
        Parameter::needed("subject_token", token, BAD, ("5", BAD)),
        Parameter::needed("subject_token_type", TOKEN_TYPE_INTENT, BAD, ("intent", BAD)),
        Parameter::needed("requested_token_type", TOKEN_TYPE_TXN, BAD, ("5", BAD)),
        Parameter::needed("audience", &stack.env.marque.trust_domain, target, ("5", target)).with(|audience| {
            audience.without = target;
            audience.twice = target;
        }),
        // It may stand there twice, and each must be a place of the token's steps.
        Parameter::optional("resource", target, ("5", target)).with(|resource| resource.twice = target),
        Parameter::optional("scope", scope, ("5", scope)),
        Parameter::optional("authorization_details", details, ("{\"type\":5}", details)),
        Parameter::optional("may_act", BAD, ("5", BAD)),
        Parameter::optional("request_context", BAD, ("5", BAD)),
        Parameter::refused("request_details"),
        Parameter::refused("actor_token"),
        Parameter::refused("actor_token_type"),
    ];
    Endpoint { path: "/token", answer: (200, ""), parameters }
}

fn tokens() -> Vec<Endpoint> {
    ["/introspect", "/revoke"]
        .map(|path| Endpoint {
            path,
            answer: (200, ""),
            parameters: vec![
                // Whatever is no token of the caller's has the one answer of RFC 7662 §2.2 and RFC 7009 §2.2.
                Parameter::needed("token", "x", None, ("{\"a\":[5]}\u{0}", None)),
                Parameter::optional("token_type_hint", None, ("5", None)),
            ],
        })
        .into()
}

fn step_ups() -> Endpoint {
    let unknown = Some((400, "invalid_grant"));
    let id =
        Parameter::needed("transaction_authorization_id", Uuid::nil().to_string(), unknown, ("a\u{0}b[5]", unknown));
    // Beside an id it is too much.
    let parameters = vec![id, Parameter::refused("transaction_challenge")];
    Endpoint { path: "/transaction-authorization", answer: (400, "invalid_grant"), parameters }
}

/// What every form endpoint takes beside its own: the client's authentication.
fn credentials(client: &Client) -> [Parameter; 4] {
    [
        Parameter::needed("client_assertion_type", ASSERTION_TYPE_JWT, STRANGER, ("5", STRANGER))
            .with(|kind| kind.without = STRANGER),
        Parameter::needed("client_assertion", FRESH, STRANGER, ("5", STRANGER)).with(|jwt| jwt.without = STRANGER),
        Parameter::needed("client_id", &client.id, STRANGER, ("5", STRANGER)).with(|id| id.without = None),
        Parameter::refused("client_secret"),
    ]
}

/// One request: what it is, the form, what is answered.
type Case = (String, Vec<(&'static str, String)>, Expected);

/// Every case of an endpoint.
fn cases(endpoint: &Endpoint, client: &Client) -> Vec<Case> {
    let credentials = credentials(client);
    let all: Vec<&Parameter> = endpoint.parameters.iter().chain(&credentials).collect();
    let right: Vec<(&'static str, String)> =
        all.iter().filter_map(|one| Some((one.name, one.right.clone()?))).collect();
    let mut cases = vec![("the right form".to_owned(), right.clone(), None)];
    for parameter in &all {
        let name = parameter.name;
        let others = || right.iter().filter(|(given, _)| *given != name).cloned().collect::<Vec<_>>();
        let holding = |values: &[&str]| {
            let mut form = others();
            form.extend(values.iter().map(|value| (name, (*value).to_owned())));
            form
        };
        let value = parameter.right.clone().unwrap_or_else(|| "x".to_owned());
        cases.extend([
            (format!("{name} left out"), others(), parameter.without),
            (format!("{name} without a value"), holding(&[""]), parameter.without),
            (format!("{name} twice"), holding(&[&value, &value]), parameter.twice),
            (format!("{name} once empty and once not"), holding(&["", &value]), other_than_right(parameter)),
            (format!("a very long {name}"), holding(&[&"a".repeat(100_000)]), parameter.long),
            (format!("{name} of another type"), holding(&[parameter.wrong.0]), parameter.wrong.1),
        ]);
    }
    let mut unknown = right.clone();
    unknown.extend([("surprise", "5".to_owned()), ("display", "x".to_owned()), ("username", String::new())]);
    cases.push(("unknown parameters".to_owned(), unknown, None));
    let mut unknown_twice = right;
    unknown_twice.extend([("surprise", "5".to_owned()), ("surprise", "5".to_owned())]);
    cases.push(("an unknown parameter twice".to_owned(), unknown_twice, BAD));
    cases
}

/// A value beside an empty one is that value: the right one where the form has one, and `x` elsewhere.
fn other_than_right(parameter: &Parameter) -> Expected {
    match (&parameter.right, parameter.wrong) {
        (Some(_), _) => None,
        (None, (_, expected)) => expected,
    }
}

async fn send(stack: &Stack, client: &Client, path: &str, (what, form, _): &Case) -> Reply {
    let request = || {
        let proof = client.dpop.proof_of(&Key::proof_claims("POST", &format!("{}{path}", stack.issuer())));
        let mut form = form.clone();
        for (_, value) in form.iter_mut().filter(|(_, value)| value == FRESH) {
            *value = client.assert(&client.assertion_claims(stack.issuer()));
        }
        stack.http.post(stack.url(path)).header("dpop", proof).form(&form)
    };
    let reply = Reply::to(&format!("{what} at {path}"), request()).await;
    match reply.member("error") {
        "use_dpop_nonce" => Reply::to(&format!("{what} at {path}"), request()).await,
        _ => reply,
    }
}

fn expect(reply: &Reply, (status, error): (u16, &str)) {
    if error.is_empty() {
        reply.success(status);
    } else {
        reply.refused(status, error);
    }
}

#[tokio::test]
async fn every_parameter_of_every_form_endpoint_in_every_wrong_way() {
    let main = Stack::open().await;
    let granted = shared(&main).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let (stack, agent) = (&server.stack, main.agent());
    let endpoints: Vec<Endpoint> = plans(stack)
        .into_iter()
        .chain(grants())
        .chain([exchange(stack, &granted.token), step_ups()])
        .chain(tokens())
        .collect();
    let tested: BTreeSet<&str> = endpoints.iter().map(|endpoint| endpoint.path).collect();
    let routes = ROUTES.iter().filter(|route| route.method == "POST");
    let of_clients =
        routes.filter(|route| matches!(route.caller, Caller::Client | Caller::Holder | Caller::HolderOrResourceServer));
    assert_eq!(tested, of_clients.map(|route| route.path).collect(), "a form endpoint without its parameters here");
    for endpoint in &endpoints {
        let (right, refused): (Vec<Case>, Vec<Case>) =
            cases(endpoint, &agent).into_iter().partition(|(_, _, expected)| expected.is_none());
        let before = stack.row_counts().await;
        for case in &refused {
            expect(&send(stack, &agent, endpoint.path, case).await, case.2.unwrap_or_default());
        }
        assert_eq!(stack.row_counts().await, before, "{}: a refused request left something", endpoint.path);
        // Only so many plans may wait for one user.
        let end = "update intents set pending_until = submitted_at where state = 'pending'";
        for case in &right {
            sqlx::query(end).execute(&stack.db).await.unwrap();
            expect(&send(stack, &agent, endpoint.path, case).await, endpoint.answer);
        }
    }
}

/// Whatever the route, a credential in the query is none: what is in a URL is in logs.
#[tokio::test]
async fn credentials_in_the_query_authenticate_nobody() {
    let stack = Stack::open().await;
    let token = stack.access_token().await;
    for route in ROUTES {
        let (needs, error) = match route.caller {
            Caller::ResourceServer | Caller::Administrator | Caller::Extension => (401, "invalid_token"),
            Caller::Client if route.method == "GET" => (401, "invalid_client"),
            Caller::Client | Caller::Holder | Caller::HolderOrResourceServer => (400, "invalid_request"),
            Caller::Anyone | Caller::Browser => continue,
        };
        let path = ["{intent_id}", "{step_up_id}", "{request_id}"]
            .iter()
            .fold(route.path.replace("{digest}", &"A".repeat(43)), |path, name| {
                path.replace(name, &Uuid::nil().to_string())
            });
        let agent = stack.agent();
        let assertion = agent.assert(&agent.assertion_claims(stack.issuer()));
        for query in [
            format!("access_token={token}"),
            format!("client_assertion={assertion}&client_assertion_type={ASSERTION_TYPE_JWT}"),
        ] {
            let request = stack.http.request(route.method.parse().unwrap(), stack.url(&format!("{path}?{query}")));
            let form = request.header("content-type", "application/x-www-form-urlencoded");
            Reply::to(&format!("{} {path}", route.method), form).await.refused(needs, error);
        }
    }
}
