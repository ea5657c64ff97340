//! How one operation is described: what its route says of it, and what its row in `routes` adds.

use super::answers::Error;
use super::choices;
use crate::http::router::{Caller, Route};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, Ref, Required};

pub(super) const JSON: &str = "application/json";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// The schemas that the document refers to.
pub(super) struct Schemas(SchemaGenerator);

impl Default for Schemas {
    fn default() -> Self {
        let settings = SchemaSettings::draft2020_12();
        Self(settings.with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator())
    }
}

impl Schemas {
    /// A reference to the schema of a type.
    pub fn of<T: JsonSchema>(&mut self) -> Ref {
        let schema = self.0.subschema_for::<T>();
        let place = schema.get("$ref").and_then(Value::as_str).unwrap_or_default();
        Ref::new(place)
    }

    /// All that were referred to.
    pub fn definitions(&mut self) -> Map<String, Value> {
        let mut definitions = self.0.take_definitions(true);
        definitions.values_mut().for_each(tidy);
        definitions
    }
}

/// Takes away the widths of Rust's integers, and `null` from members that are rather left out.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.retain(|name, value| !(name == "format" && value.as_str().is_some_and(is_width)));
            members.retain(|name, value| !(name == "default" && (value.is_null() || value.is_object())));
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    members.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
                if let [Value::Object(one)] = choices.as_slice() {
                    let one = one.clone();
                    members.remove("anyOf");
                    members.extend(one);
                }
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn is_width(format: &str) -> bool {
    ["int", "uint", "double", "float"].iter().any(|width| format.starts_with(width))
}

/// What a route is sent and answers, beside what follows from its row in the table.
pub(super) struct Description {
    id: &'static str,
    summary: &'static str,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    answers: Vec<(u16, Response)>,
    refusals: &'static [u16],
}

impl Description {
    /// An operation by its id, and what it does.
    pub fn new(id: &'static str, summary: &'static str) -> Self {
        Self { id, summary, parameters: Vec::new(), body: None, answers: Vec::new(), refusals: &[] }
    }

    /// Takes a form.
    pub fn form<T: JsonSchema>(self, schemas: &mut Schemas) -> Self {
        self.body(FORM, Some(schemas.of::<T>()))
    }

    /// Takes a JSON body.
    pub fn json<T: JsonSchema>(self, schemas: &mut Schemas) -> Self {
        self.body(JSON, Some(schemas.of::<T>()))
    }

    /// Takes a compact JWS as its body.
    pub fn jose(mut self) -> Self {
        let content = Content::new(Some(compact_jws()));
        self.body =
            Some(RequestBodyBuilder::new().content("application/jose", content).required(Some(Required::True)).build());
        self
    }

    fn body(mut self, media_type: &str, schema: Option<Ref>) -> Self {
        let body = RequestBodyBuilder::new().content(media_type, Content::new(schema)).required(Some(Required::True));
        self.body = Some(body.build());
        self
    }

    /// May be sent with a header.
    pub fn header(mut self, name: &str, text: &str, schema: Object) -> Self {
        self.parameters.push(parameter(name, ParameterIn::Header, Required::False, text, schema));
        self
    }

    /// May be sent with a parameter in the query.
    pub fn query(mut self, name: &str, required: Required, text: &str, schema: Object) -> Self {
        self.parameters.push(parameter(name, ParameterIn::Query, required, text, schema));
        self
    }

    /// Answers JSON.
    pub fn answers<T: JsonSchema>(self, status: u16, text: &str, schemas: &mut Schemas) -> Self {
        let response = ResponseBuilder::new().description(text).content(JSON, Content::new(Some(schemas.of::<T>())));
        self.answer(status, response)
    }

    /// Answers text of a media type.
    pub fn answers_text(self, status: u16, text: &str, media_type: &str) -> Self {
        self.answer(status, ResponseBuilder::new().description(text).content(media_type, Content::new(Some(string()))))
    }

    /// Answers in any form.
    pub fn answer(mut self, status: u16, response: ResponseBuilder) -> Self {
        self.answers.push((status, response.build()));
        self
    }

    /// May refuse with these statuses, beside those that every route of its caller has.
    pub fn refuses(mut self, statuses: &'static [u16]) -> Self {
        self.refusals = statuses;
        self
    }
}

/// Any text.
pub(super) fn string() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

/// Text that matches.
pub(super) fn pattern(pattern: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build()
}

fn compact_jws() -> Object {
    pattern("^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$")
}

fn parameter(name: &str, place: ParameterIn, required: Required, text: &str, schema: Object) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
    parameter.description(Some(text)).schema(Some(schema)).build()
}

/// A header of an answer.
pub(super) fn told(text: &str) -> Header {
    HeaderBuilder::new().schema(Some(string())).description(Some(text)).build()
}

/// The whole operation of a route.
pub(super) fn operation(schemas: &mut Schemas, route: &Route, description: Description) -> Operation {
    let mut parameters = in_path(route.path);
    parameters.extend(description.parameters);
    let mut operation = OperationBuilder::new()
        .operation_id(Some(description.id))
        .summary(Some(description.summary))
        .tag(tag(route.caller))
        .request_body(description.body)
        .securities(Some(requirements(route)));
    for parameter in parameters {
        operation = operation.parameter(parameter);
    }
    let own: Vec<u16> = description.answers.iter().map(|(status, _)| *status).collect();
    for (status, response) in description.answers {
        operation = operation.response(status.to_string(), with_headers(response, route, status));
    }
    let mut statuses: Vec<u16> = [always(route), description.refusals].concat();
    statuses.sort_unstable();
    statuses.dedup();
    for status in statuses.into_iter().filter(|status| !own.contains(status)) {
        let refusal = with_headers(refusal(schemas, route, status), route, status);
        operation = operation.response(status.to_string(), refusal);
    }
    operation.build()
}

fn requirements(route: &Route) -> Vec<SecurityRequirement> {
    let together = |names: &&[&'static str]| {
        names.iter().fold(SecurityRequirement::default(), |all, name| all.add(*name, Vec::<String>::new()))
    };
    choices(route.method, route.path, route.caller).iter().map(together).collect()
}

fn in_path(path: &str) -> Vec<Parameter> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let described = |name: &str| {
        let text = match name {
            "intent_id" => "The intent.",
            "request_id" => "The request.",
            "step_up_id" => "The call that a person has to approve first.",
            "list" => "The list's number.",
            "digest" => "SHA-256 of the content, in base64url without padding.",
            _ => "A part of the path.",
        };
        parameter(name, ParameterIn::Path, Required::True, text, string())
    };
    names.map(described).collect()
}

const fn tag(caller: Caller) -> &'static str {
    match caller {
        Caller::Anyone => "everybody",
        Caller::Client | Caller::Holder => "clients",
        Caller::ResourceServer => "resource servers",
        Caller::HolderOrResourceServer => "clients and resource servers",
        Caller::Administrator => "administrators",
        Caller::Extension => "the realm's extension",
        Caller::Browser => "browsers",
    }
}

/// The statuses that every route of a kind can refuse with: a realm that is not known, a certificate that is none, a
/// caller that is none, a server that cannot.
fn always(route: &Route) -> &'static [u16] {
    match (route.caller, route.method) {
        (Caller::Anyone, _) => &[400, 404, 500, 503],
        (Caller::Browser, "POST") => &[400, 404, 413, 500, 503],
        (Caller::Browser, _) => &[400, 404, 500, 503],
        (Caller::Client, "GET") | (Caller::Extension, _) => &[400, 401, 404, 500, 503],
        (Caller::Client | Caller::Holder, _) => &[400, 401, 404, 413, 500, 503],
        (Caller::ResourceServer | Caller::Administrator, "GET") => &[400, 401, 403, 404, 500, 503],
        (Caller::ResourceServer | Caller::Administrator | Caller::HolderOrResourceServer, _) => {
            &[400, 401, 403, 404, 413, 500, 503]
        }
    }
}

/// The one error body; for a person it is a page.
fn refusal(schemas: &mut Schemas, route: &Route, status: u16) -> Response {
    let error = Content::new(Some(schemas.of::<Error>()));
    let response = ResponseBuilder::new().description(meaning(status)).content(JSON, error);
    let response = match route.caller {
        Caller::Browser => response.content(HTML, Content::new(Some(string()))),
        _ => response,
    };
    response.build()
}

const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "Refused: `error` says why, `error_description` what to change.",
        401 => "The caller did not prove who it is.",
        403 => "The caller is known, and may not.",
        404 => "There is no such realm, or no such thing for this caller.",
        409 => "It stands differently already.",
        410 => "It was, and is over or decided.",
        413 => "The body is too long.",
        429 => "Too many; it may be asked again later.",
        503 => "Not possible now; nothing was done. Try again.",
        _ => "The server failed; nothing was done.",
    }
}

fn with_headers(mut response: Response, route: &Route, status: u16) -> Response {
    let mut add = |name: &str, text: &str| {
        response.headers.entry(name.to_owned()).or_insert_with(|| told(text).into());
    };
    if route.caller == Caller::Client {
        add("DPoP-Nonce", "The nonce for the next proof (RFC 9449, section 8.2), where the realm asks for nonces.");
    }
    if status == 503 {
        add("Retry-After", "Seconds to wait.");
    }
    if matches!(status, 400 | 401 | 403) && !matches!(route.caller, Caller::Anyone | Caller::Browser) {
        add("WWW-Authenticate", "How to authenticate (RFC 6750, section 3; RFC 9449, section 7.1).");
    }
    if route.path.starts_with("/access/") {
        add("X-Request-ID", "The one that the request had.");
    }
    response
}
