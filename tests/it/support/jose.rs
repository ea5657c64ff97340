//! Attacks on JOSE: what may be wrong with a JWS, whoever signed it and whatever for. One table for every place that takes one.

use super::keys::Key;
use aws_lc_rs::hmac;
use marque_core::canonical::{decode, encode};
use serde_json::{Value, json};

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// One attack: what it is, and the JWS.
pub type Attack = (&'static str, String);

/// A JWS that is right, and its parts.
struct Right<'r> {
    compact: &'r str,
    header: Value,
    claims: Value,
    parts: [&'r str; 3],
}

/// What is made of a right JWS. `signer` signs what is attacked by its header alone; where it is not in a test's hands, the
/// thief's own key does, and the signature is wrong as well. A proof of possession shows its own key: `shows_key`.
pub fn attacks(right: &str, signer: Option<&Key>, shows_key: bool) -> Vec<Attack> {
    let parts: Vec<&str> = right.split('.').collect();
    let [head, body, signature] = parts[..] else { panic!("{right:?} is no JWS") };
    let part = |text: &str| serde_json::from_slice(&decode(text).unwrap()).unwrap();
    let right = Right { compact: right, header: part(head), claims: part(body), parts: [head, body, signature] };
    let thief = Key::fresh();
    let mut all = right.with_headers(signer.unwrap_or(&thief));
    if !shows_key {
        all.extend(right.by_a_key_it_brings(&thief));
    }
    all.extend(right.with_algorithms(signer.unwrap_or(&thief)));
    all.extend(right.with_signatures(&thief));
    all.extend(right.in_other_forms());
    all
}

impl Right<'_> {
    fn header_with(&self, change: Value) -> Value {
        let mut header = self.header.clone();
        header.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        header
    }

    /// Headers that say how to take a JWS otherwise, or for what it is not.
    fn with_headers(&self, signer: &Key) -> Vec<Attack> {
        let place = "https://thief.example/keys";
        let typ = self.header["typ"].as_str().unwrap_or_default();
        let other = if typ == "txntoken+jwt" { "intent+jwt" } else { "txntoken+jwt" };
        let mut untyped = self.header.clone();
        untyped.as_object_mut().unwrap().remove("typ");
        [
            ("crit that names a claim", self.header_with(json!({"crit": ["exp"]}))),
            ("crit that names nothing known", self.header_with(json!({"crit": ["x"], "x": 1}))),
            ("an empty crit", self.header_with(json!({"crit": []}))),
            ("an unencoded payload (RFC 7797)", self.header_with(json!({"crit": ["b64"], "b64": false}))),
            ("jku", self.header_with(json!({"jku": place}))),
            ("x5u", self.header_with(json!({"x5u": place}))),
            ("x5c", self.header_with(json!({"x5c": ["AAAA"]}))),
            ("the typ of another token", self.header_with(json!({"typ": other}))),
            ("a typ that is no text", self.header_with(json!({"typ": 1}))),
            ("no typ", untyped),
        ]
        .into_iter()
        .map(|(what, header)| (what, signer.sign_with(&header, &self.claims)))
        .collect()
    }

    /// A key of the thief's own, in the header, by the address of a key set, or under the known id.
    fn by_a_key_it_brings(&self, thief: &Key) -> Vec<Attack> {
        [
            ("an embedded key", self.header_with(json!({"jwk": thief.public}))),
            ("an embedded key under its own id", self.header_with(json!({"jwk": thief.public, "kid": thief.kid}))),
            ("a key set's address", self.header_with(json!({"jku": "https://thief.example/keys", "kid": thief.kid}))),
            ("another key under the known id", self.header.clone()),
            ("another key under an id of its own", self.header_with(json!({"kid": thief.kid}))),
            ("an id that is a path", self.header_with(json!({"kid": "../../dev/null"}))),
            ("an id that is SQL", self.header_with(json!({"kid": "' or 1=1 --"}))),
            ("an id that is no text", self.header_with(json!({"kid": [thief.kid]}))),
        ]
        .into_iter()
        .map(|(what, header)| (what, thief.sign_with(&header, &self.claims)))
        .collect()
    }

    fn with_algorithms(&self, signer: &Key) -> Vec<Attack> {
        let [_, body, signature] = self.parts;
        let none = |alg: &str| encode(self.header_with(json!({"alg": alg})).to_string().as_bytes());
        let public = json!(signer.public).to_string();
        let point = [decode(signer.public["x"].as_str().unwrap()), decode(signer.public["y"].as_str().unwrap())];
        let point = point.map(Option::unwrap).concat();
        let confused = |secret: &[u8]| {
            let input = format!("{}.{body}", none("HS256"));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
            format!("{input}.{}", encode(tag.as_ref()))
        };
        let mut all = vec![
            ("alg none without a signature", format!("{}.{body}.", none("none"))),
            ("alg none with a signature", format!("{}.{body}.{signature}", none("none"))),
            ("alg None", format!("{}.{body}.", none("None"))),
            ("alg nOnE", format!("{}.{body}.", none("nOnE"))),
            ("an empty alg", format!("{}.{body}.", none(""))),
            ("HS256 with the public key for a secret", confused(public.as_bytes())),
            ("HS256 with the public point for a secret", confused(&point)),
            ("HS256 with an empty secret", confused(b"")),
        ];
        for alg in ["es256", "ES384", "ES512", "RS384", "PS512", "HS512", "EdDSA"] {
            all.push((
                "an alg that is not the key's",
                signer.sign_with(&self.header_with(json!({"alg": alg})), &self.claims),
            ));
        }
        all
    }

    /// Signatures that a careless implementation takes for right.
    fn with_signatures(&self, thief: &Key) -> Vec<Attack> {
        let [head, body, signature] = self.parts;
        let right = decode(signature).unwrap();
        let (r, s) = right.split_at(right.len() / 2);
        let (zero, order) = ([0; 32], ORDER);
        let by_thief = thief.sign_with(&self.header, &self.claims);
        let foreign = decode(by_thief.rsplit('.').next().unwrap()).unwrap();
        let turned: Vec<u8> = right.iter().rev().copied().collect();
        [
            ("no signature", vec![]),
            ("a signature of zeros", [zero, zero].concat()),
            ("a signature whose r is zero", [&zero, s].concat()),
            ("a signature whose s is zero", [r, &zero].concat()),
            ("a signature of the curve's order", [order, order].concat()),
            ("a signature whose s is the order", [r, &order].concat()),
            ("a signature of one byte", vec![0]),
            ("half a signature", r.to_vec()),
            ("a signature with a byte more", [&right[..], &[0]].concat()),
            ("a signature in DER", der(r, s)),
            ("a signature of somebody else", foreign),
            ("a signature backwards", turned),
        ]
        .into_iter()
        .map(|(what, signature)| (what, format!("{head}.{body}.{}", encode(&signature))))
        .collect()
    }

    /// Forms of the same, or nearly, that only one parser of two takes.
    fn in_other_forms(&self) -> Vec<Attack> {
        let [head, body, signature] = self.parts;
        let text = |part: &str| String::from_utf8(decode(part).unwrap()).unwrap();
        let twice = text(head).replacen('{', r#"{"alg":"none","#, 1);
        let claims_twice = text(body).replacen('{', r#"{"iss":"thief","#, 1);
        let longer = json!({"x": "a".repeat(40_000)}).to_string();
        vec![
            ("a member of the header twice", format!("{}.{body}.{signature}", encode(twice.as_bytes()))),
            ("a claim twice", format!("{head}.{}.{signature}", encode(claims_twice.as_bytes()))),
            ("other claims", format!("{head}.{}.{signature}", encode(b"{}"))),
            ("a payload that is no JSON", format!("{head}.{}.{signature}", encode(b"\xff\x00"))),
            ("a header that is no object", format!("{}.{body}.{signature}", encode(b"[]"))),
            ("a header that is no base64url", format!("{{}}.{body}.{signature}")),
            ("base64url that is not canonical", format!("{head}.{body}.{}", bent(signature))),
            ("padding", format!("{head}.{body}.{signature}==")),
            ("the other base64 alphabet", format!("{head}.{body}.{}+/", &signature[..signature.len() - 2])),
            ("a space within", format!("{head}. {body}.{signature}")),
            ("a line feed at the end", format!("{}\n", self.compact)),
            ("two parts", format!("{head}.{body}")),
            ("four parts", format!("{}.{signature}", self.compact)),
            ("a JWE of five parts", format!("{head}.{body}.{signature}.{body}.{signature}")),
            ("one JWS within another", format!("{head}.{}.{signature}", encode(self.compact.as_bytes()))),
            ("the JSON serialization", json!({"protected": head, "payload": body, "signature": signature}).to_string()),
            ("a payload that is far too long", format!("{head}.{}.{signature}", encode(longer.as_bytes()))),
            ("nothing but dots", "..".to_owned()),
            ("no JWS", "x".to_owned()),
        ]
    }
}

/// The same octets in base64url that ends in bits which nobody reads.
fn bent(canonical: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = canonical.split_at(canonical.len() - 1);
    let place = ALPHABET.iter().position(|c| *c == last.as_bytes()[0]).unwrap();
    assert_eq!(place % 4, 0, "a length that leaves unused bits");
    format!("{start}{}", char::from(ALPHABET[place + 1]))
}

/// A signature as X.509 writes it.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |n: &[u8]| [&[2, u8::try_from(n.len() + 1).unwrap_or(0), 0], n].concat();
    let both = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(both.len()).unwrap_or(0)], both].concat()
}
