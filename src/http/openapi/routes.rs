//! What each route is sent and answers.

use super::answers::{
    ApprovedCall, CatalogReference, DecidedCatalog, Envelope, Error, Introspection, OpenPermits, OwnPlan,
    RequestedApproval, Settled, StatusLists, SubmittedByBackchannel, SubmittedPlan, Token, WaitingCatalog,
    WaitingCatalogs,
};
use super::decisions::{AccessTask, Decision, DecisionOrDecisions, Found, Problem, Question, Questions};
use super::describe::{Description, HTML, JSON, Schemas, pattern, string, told};
use super::forms::{BackchannelForm, OneTokenForm, ReceiptForm, SubmissionForm, TokenForm, TransactionForm};
use super::metadata::{DecisionPointMetadata, Document, KeySet, ServerMetadata};
use crate::flows::list_open_permits::PAGE;
use crate::http::access_requests::PROBLEM;
use crate::http::questions::{AccessRequest, ForActions, ForResources, ForSubjects};
use crate::http::{catalogs, ledgers, results};
use marque_core::schema;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::{Content, Required};

/// The description of a row of the table; nothing if there is none.
pub(super) fn describe(schemas: &mut Schemas, method: &str, path: &str) -> Option<Description> {
    everybody(schemas, method, path)
        .or_else(|| client(schemas, method, path))
        .or_else(|| token(schemas, method, path))
        .or_else(|| resource_server(schemas, method, path))
        .or_else(|| decision_point(schemas, method, path))
        .or_else(|| access_request(schemas, method, path))
        .or_else(|| catalog(schemas, method, path))
        .or_else(|| extension(method, path))
        .or_else(|| browser(schemas, method, path))
}

fn everybody(to: &mut Schemas, method: &str, path: &str) -> Option<Description> {
    Some(match (method, path) {
        ("GET", "/.well-known/oauth-authorization-server") => Description::new(
            "readMetadata",
            "The authorization server metadata (RFC 8414).",
        )
        .answers::<ServerMetadata>(200, "The metadata.", to),
        ("GET", "/.well-known/authzen-configuration") => {
            Description::new("readDecisionPointMetadata", "The decision point's metadata (AuthZEN, section 9).")
                .answers::<DecisionPointMetadata>(200, "The metadata.", to)
        }
        ("GET", "/jwks") => Description::new("readKeys", "The keys that Marque signs with (RFC 7517).")
            .answers::<KeySet>(200, "The keys.", to),
        ("GET", "/plan-schema") => {
            let content = Content::new(Some(to.of::<Document>()));
            Description::new("readPlanSchema", "The JSON Schema of the plans that are submitted here.")
                .answer(200, ResponseBuilder::new().description("The schema.").content(schema::MEDIA_TYPE, content))
        }
        ("GET", "/openapi.json") => {
            Description::new("readOpenApi", "This document.").answers::<Document>(200, "The document.", to)
        }
        ("GET", "/status") => {
            Description::new("readStatusLists", "Every list of tokens' states (Token Status List, section 9.3).")
                .answers::<StatusLists>(200, "Their addresses.", to)
        }
        ("GET", "/status/{list}") => Description::new(
            "readStatusList",
            "A list of tokens' states (Token Status List).",
        )
        .answers_text(200, "The list, signed.", "application/statuslist+jwt"),
        _ => return None,
    })
}

fn idempotency(description: Description) -> Description {
    let text = "One plan under one key: sent again, the same is answered.";
    description.header("Idempotency-Key", text, string())
}

fn client(to: &mut Schemas, method: &str, path: &str) -> Option<Description> {
    Some(match (method, path) {
        ("POST", "/plans") => idempotency(Description::new("submitPlan", "Submits a plan for a person to approve."))
            .form::<SubmissionForm>(to)
            .answers::<SubmittedPlan>(201, "It waits for the person.", to),
        ("GET", "/plans/{intent_id}") => Description::new("readPlan", "The client's own plan, and how it stands.")
            .answers::<OwnPlan>(200, "The plan.", to),
        ("POST", "/bc-authorize") => idempotency(Description::new(
            "submitPlanByBackchannel",
            "Submits a plan as CIBA does, to poll for its token.",
        ))
        .form::<BackchannelForm>(to)
        .answers::<SubmittedByBackchannel>(200, "It waits for the person.", to)
        .refuses(&[403]),
        ("POST", "/transaction-authorization") => Description::new(
            "authorizeTransaction",
            "Hands in a resource server's challenge, or polls for the decision.",
        )
        .form::<TransactionForm>(to)
        .answers::<RequestedApproval>(201, "It waits for the person.", to)
        .answers::<ApprovedCall>(200, "The person approved the call.", to),
        ("POST", "/revoke") => Description::new("revokeToken", "Revokes a token of the client's own (RFC 7009).")
            .form::<OneTokenForm>(to)
            .answer(200, ResponseBuilder::new().description("Whether there was anything to revoke or not.")),
        _ => return None,
    })
}

fn token(to: &mut Schemas, method: &str, path: &str) -> Option<Description> {
    Some(match (method, path) {
        ("POST", "/token") => {
            Description::new("token", "A token for an approved plan, or for another token (RFC 6749, RFC 8693, CIBA).")
                .form::<TokenForm>(to)
                .answers::<Token>(200, "The token.", to)
        }
        ("POST", "/introspect") => {
            let signed = "application/token-introspection+jwt";
            let accept = format!("The answer is signed where {signed} is asked for by name.");
            let answer = ResponseBuilder::new().description("What the token means for the caller.");
            let answer = answer.content(JSON, Content::new(Some(to.of::<Introspection>())));
            Description::new("introspectToken", "What a token means for the caller (RFC 7662, RFC 9701).")
                .form::<OneTokenForm>(to)
                .header("Accept", &accept, string())
                .answer(200, answer.content(signed, Content::new(Some(string()))))
        }
        _ => return None,
    })
}

fn number(most: u32) -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(most)).build()
}

fn resource_server(to: &mut Schemas, method: &str, path: &str) -> Option<Description> {
    Some(match (method, path) {
        ("POST", "/ledgers") => {
            let id = "countHere";
            Description::new(id, "Asks whether a ledger of the resource server's own counts at a location.")
                .json::<ledgers::Body>(to)
                .answers::<ledgers::Body>(200, "It does, and no other.", to)
                .refuses(&[409])
        }
        ("POST", "/results") => Description::new("settlePermit", "Says what became of a permitted call.")
            .json::<results::Body>(to)
            .answers::<Settled>(200, "It is settled.", to)
            .refuses(&[409]),
        ("GET", "/results") => Description::new("listOpenPermits", "The resource server's own permits that are open.")
            .query("limit", Required::False, "How many at most.", number(PAGE))
            .query("after", Required::False, "The `next` of an earlier page.", string())
            .answers::<OpenPermits>(200, "A page of them.", to),
        ("GET", "/envelopes/{digest}") => {
            let content = Content::new(Some(to.of::<Envelope>()));
            let tag = "The digest in quotation marks.";
            let known = ResponseBuilder::new().description("It is known already.").header("ETag", told(tag));
            let answer = ResponseBuilder::new().description("The steps, whose SHA-256 is the digest.");
            Description::new("readEnvelope", "The steps of a token that carries them by digest.")
                .header("If-None-Match", tag, string())
                .answer(200, answer.content(JSON, content).header("ETag", told(tag)))
                .answer(304, known)
        }
        ("GET", "/revocations") => Description::new(
            "followRevocations",
            "The feed of revocations, which does not end: signed messages as events.",
        )
        .answers_text(200, "A snapshot, then what comes after it.", "text/event-stream"),
        _ => return None,
    })
}

fn asked(description: Description) -> Description {
    description.header("X-Request-ID", "Given back with the answer.", string())
}

fn decision_point(to: &mut Schemas, method: &str, path: &str) -> Option<Description> {
    let description = match (method, path) {
        ("POST", "/access/v1/evaluation") => Description::new("evaluate", "Decides on one call.")
            .json::<Question>(to)
            .answers::<Decision>(200, "The decision.", to),
        ("POST", "/access/v1/evaluations") => Description::new("evaluateAll", "Decides on several calls in order.")
            .json::<Questions>(to)
            .answers::<DecisionOrDecisions>(200, "The decisions.", to),
        ("POST", "/access/v1/search/subject") => Description::new("searchSubjects", "Who may do it.")
            .json::<ForSubjects>(to)
            .answers::<Found>(200, "What was found.", to),
        ("POST", "/access/v1/search/resource") => Description::new("searchResources", "What it may be done to.")
            .json::<ForResources>(to)
            .answers::<Found>(200, "What was found.", to),
        ("POST", "/access/v1/search/action") => Description::new("searchActions", "What may be done.")
            .json::<ForActions>(to)
            .answers::<Found>(200, "What was found.", to),
        _ => return None,
    };
    Some(asked(description).refuses(&[409]))
}

fn access_request(to: &mut Schemas, method: &str, path: &str) -> Option<Description> {
    let description = match (method, path) {
        ("POST", "/access/v1/requests") => {
            let text = "One request under one key: sent again, the same is answered.";
            let place = "Where the request's standing is shown.";
            let handle = Content::new(Some(to.of::<AccessTask>()));
            let accepted = ResponseBuilder::new().description("The person is asked.").content(JSON, handle);
            Description::new("requestAccess", "Asks the person for a call that was denied, beyond the plan.")
                .json::<AccessRequest>(to)
                .header("Idempotency-Key", text, string())
                .answer(202, accepted.header("Location", told(place)))
                .refuses(&[429])
        }
        ("GET", "/access/v1/requests/{request_id}") => {
            Description::new("readAccessRequest", "Where a request of the resource server's own stands.")
                .answers::<AccessTask>(200, "The task.", to)
        }
        _ => return None,
    };
    let with_problems =
        [(400, "No such request, or not one that can be made."), (404, "No such request for this caller.")]
            .into_iter()
            .chain([(409, "The key was used for another request."), (410, "The denial or the request is over.")])
            .filter(|(status, _)| method == "POST" || [404, 410].contains(status))
            .fold(description, |description, (status, text)| {
                let problem = Content::new(Some(to.of::<Problem>()));
                let error = Content::new(Some(to.of::<Error>()));
                description.answer(
                    status,
                    ResponseBuilder::new().description(text).content(PROBLEM, problem).content(JSON, error),
                )
            });
    Some(asked(with_problems))
}

fn catalog(to: &mut Schemas, method: &str, path: &str) -> Option<Description> {
    Some(match (method, path) {
        ("POST", "/catalogs") => Description::new("publishCatalog", "Publishes a resource server's catalog.")
            .jose()
            .answers::<CatalogReference>(201, "It counts from now on.", to)
            .answers::<WaitingCatalog>(202, "It waits for an administrator, since it makes something milder.", to)
            .refuses(&[409, 429]),
        ("GET", "/catalogs") => Description::new("listCatalogs", "The catalogs that wait.")
            .query("state", Required::True, "The only list is the one of `waiting`.", pattern("^waiting$"))
            .answers::<WaitingCatalogs>(200, "The catalogs.", to),
        ("POST", "/catalogs/decision") => Description::new("decideCatalog", "Accepts or refuses a catalog that waits.")
            .json::<catalogs::Body>(to)
            .answers::<DecidedCatalog>(200, "It is decided.", to)
            .refuses(&[409, 410]),
        _ => return None,
    })
}

fn extension(method: &str, path: &str) -> Option<Description> {
    Some(match (method, path) {
        ("GET", "/internal/plans/{intent_id}") => {
            Description::new("showPlanToRealm", "The plan that a person is shown.")
        }
        ("GET", "/internal/step-ups/{step_up_id}") => {
            Description::new("showCallToRealm", "The call that a person is shown.")
        }
        _ => return None,
    })
    .map(|description| description.answers_text(200, "What is shown, signed.", "application/jose").refuses(&[409, 410]))
}

/// Sends the browser on.
fn onward(text: &str) -> ResponseBuilder {
    let response = ResponseBuilder::new().description(text).header("Location", told("Where to."));
    response.header("Set-Cookie", told("Knows the browser again."))
}

fn callback(description: Description) -> Description {
    let from_realm = ["state", "code", "iss", "error", "error_description"];
    let with_query = from_realm.iter().fold(description, |description, name| {
        description.query(name, Required::False, "As the realm sends it (RFC 6749, RFC 9207).", string())
    });
    with_query.answer(303, onward("To the receipt.")).refuses(&[401, 403, 409, 410])
}

fn browser(to: &mut Schemas, method: &str, path: &str) -> Option<Description> {
    Some(match (method, path) {
        ("GET", "/approve/{intent_id}") => {
            Description::new("approve", "Sends the browser to the realm to decide on a plan.")
                .answer(303, onward("To the realm."))
                .refuses(&[409, 410])
        }
        ("GET", "/callback") => callback(Description::new("decided", "Takes the decision from the realm.")),
        ("GET", "/receipt/callback") => callback(Description::new("signedIn", "Takes the sign-in from the realm.")),
        ("GET", "/receipt/{intent_id}") => Description::new("showReceipt", "The receipt of a decision.")
            .answers_text(200, "The page.", HTML)
            .answer(303, onward("To the realm, to sign in.")),
        ("POST", "/receipt/{intent_id}/revoke") => Description::new("revokePlan", "\"Revoke now\" on the receipt.")
            .form::<ReceiptForm>(to)
            .answer(303, onward("To the receipt."))
            .refuses(&[403]),
        _ => return None,
    })
}
