//! Fixed keys and sample documents; ways to spoil a document in every place.

use jsonwebtoken::EncodingKey;
use marque_core::canonical::{decode, encode};
use marque_core::catalog::{Catalog, UnknownActions};
use marque_core::claims::Confirmation;
use marque_core::envelope::{Bounds, Envelope, EnvelopeStep};
use marque_core::jws::sign_with_header;
use marque_core::plan::{ResolvedPlan, SubmittedPlan};
use marque_core::resolve::{Completion, resolve};
use serde_json::{Map, Value, json};

/// 2026-11-22T03:00:00Z.
pub const NOW: i64 = 1_795_316_400;
pub const MARQUE: &str = "http://localhost:7500/realms/demo";
pub const REALM: &str = "http://localhost:7510/realms/demo";
pub const FILES: &str = "http://localhost:7502";
pub const MAIL: &str = "http://localhost:7504/mail";

/// A P-256 key pair of a published example.
#[derive(Clone, Copy)]
pub struct Pair {
    pub x: &'static str,
    pub y: &'static str,
    d: &'static str,
}

/// RFC 7515 appendix A.3.
pub const ONE: Pair = Pair {
    x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    d: "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
};
/// RFC 7517 appendix A.2.
pub const OTHER: Pair = Pair {
    x: "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    y: "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    d: "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
};

impl Pair {
    pub fn public(self) -> Value {
        json!({"kty": "EC", "crv": "P-256", "x": self.x, "y": self.y})
    }

    pub fn with(self, members: Value) -> Value {
        merged(&self.public(), &members)
    }

    pub fn private(self) -> Value {
        self.with(json!({"d": self.d}))
    }

    /// The private key as PKCS #8, which is what the signing library reads.
    pub fn signing(self) -> EncodingKey {
        let mut der = decode("MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg").unwrap();
        der.extend(decode(self.d).unwrap());
        der.extend([0xa1, 0x44, 0x03, 0x42, 0x00, 0x04]);
        der.extend(decode(self.x).unwrap());
        der.extend(decode(self.y).unwrap());
        EncodingKey::from_ec_der(&der)
    }

    pub fn sign(self, header: &Value, payload: &Value) -> String {
        sign_with_header(header, payload.to_string().as_bytes(), &self.signing()).unwrap()
    }
}

/// `base` with the members of `more` set; a member that is null in `more` is taken away.
pub fn merged(base: &Value, more: &Value) -> Value {
    let mut merged = base.clone();
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            merged.as_object_mut().unwrap().remove(name);
        } else {
            merged[name] = value.clone();
        }
    }
    merged
}

/// A value with the place at a JSON pointer replaced; `None` takes the member away.
pub fn at(document: &Value, pointer: &str, value: Option<Value>) -> Value {
    let mut changed = document.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/").replace("~0", "~");
    match (changed.pointer_mut(parent).unwrap(), value) {
        (Value::Object(members), Some(value)) => drop(members.insert(name, value)),
        (Value::Object(members), None) => drop(members.remove(&name).expect("the member to take away")),
        (Value::Array(items), Some(value)) => items[name.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{pointer}: nothing to change in {other}"),
    }
    changed
}

/// The JSON pointers of all objects in a document, the document itself first.
pub fn objects(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(document, "", &mut found);
    found
}

fn collect(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.push(pointer.to_owned());
            for (name, member) in members {
                collect(member, &format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// A submission that uses every part of the language.
pub fn submission() -> Value {
    json!({
        "version": 1, "purpose": "Clean up the reports", "agent": "demo-agent", "user": {"username": "alice"},
        "mode": "strict", "limits": {"lifetime_secs": 3600, "max_hops": 2},
        "steps": [
            {"id": "look", "location": FILES, "action": "file.read", "resource": {"type": "file", "id": {"any": true}},
             "args": {"depth": {"one_of": [1, 2]}}, "uses": "any"},
            {"id": "drop", "location": FILES, "action": "file.delete", "resource": {"type": "file", "id": "a/b"},
             "args": {"force": {"const": true}}},
            {"id": "tell", "location": MAIL, "action": "mail.send",
             "resource": {"type": "mailbox", "id": {"const": "out"}},
             "args": {"to": {"const": "bob"}, "body": {"text": {"max": 200}}, "*": {"any": true}}, "uses": 3},
        ],
        "delegates": [{"client_id": "demo-worker", "steps": ["drop", "tell"]}],
    })
}

pub fn files_catalog() -> Value {
    json!({"iss": "files", "version": 4, "location": FILES, "actions": {
        "file.read": {"class": "read", "reversible": true, "resource": "file",
            "args": {"depth": {"type": "integer"}}, "display": {"en": "Reads {resource} to depth {args.depth}"}},
        "file.delete": {"class": "delete", "reversible": false, "resource": "file",
            "args": {"force": {"type": "boolean"}}, "display": {"en": "Deletes {resource}"}}}})
}

pub fn mail_catalog() -> Value {
    json!({"iss": "mail", "version": 2, "location": MAIL, "actions": {
        "mail.send": {"class": "send", "reversible": false, "resource": "mailbox",
            "args": {"to": {"type": "string"}, "body": {"type": "string"}, "copies": {"type": "array"},
                     "options": {"type": "object"}},
            "display": {"en": "Sends {args.body} to {args.to}, copies to {args.copies}", "de": "Sendet"}}}})
}

pub fn catalog(document: &Value) -> Catalog {
    Catalog::parse(document.to_string().as_bytes()).unwrap()
}

pub fn submitted(document: &Value) -> SubmittedPlan {
    SubmittedPlan::parse(document.to_string().as_bytes()).unwrap()
}

pub fn completion(catalogs: &[Catalog]) -> Completion<'_> {
    Completion {
        issuer: MARQUE,
        realm_issuer: REALM,
        intent_id: "018f0000-0000-7000-8000-000000000001",
        client_id: "demo-agent",
        cnf: Confirmation::Jkt("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".into()),
        started_by: None,
        catalogs,
        blocked: &[],
        unknown_actions: UnknownActions::Refuse,
        now: NOW,
    }
}

pub fn catalogs() -> Vec<Catalog> {
    vec![catalog(&mail_catalog()), catalog(&files_catalog())]
}

pub fn resolved() -> ResolvedPlan {
    resolve(submitted(&submission()), &completion(&catalogs())).unwrap()
}

/// An envelope from its JSON.
pub fn envelope(steps: Value) -> Envelope {
    Envelope { steps: serde_json::from_value::<Vec<EnvelopeStep>>(steps).unwrap(), bounds: Bounds::default() }
}

pub fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

/// A compact JWS of given parts; the signature is the caller's.
pub fn compact(header: &Value, payload: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| encode(value.to_string().as_bytes());
    format!("{}.{}.{}", part(header), part(payload), encode(signature))
}
