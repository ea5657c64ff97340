//! Biscuit: a token with one fact per step, and one Datalog policy at the verifier. Not the same: a text's length is in
//! bytes, and there is no memory of uses. A verified token is held; the facts of the call and of the token go into an
//! authorizer for every decision, since an authorizer cannot be asked about a second call. Its rules are parsed
//! beforehand.

use bench_harness::contender::Contender;
use bench_harness::plan::{Call, Failure, KIND, LOCATION, NOTE_CHARS, Step};
use biscuit_auth::builder::{AuthorizerBuilder, BiscuitBuilder, Fact, Term, fact, int, set, string};
use biscuit_auth::{AuthorizerLimits, Biscuit as Token, KeyPair, PublicKey};
use std::time::Duration;

/// Refuses arguments that no step names, then looks for the step.
const POLICIES: &str = r#"
    deny if argument($name, $value), !["note", "tag", "to"].contains($name);
    allow if
        call($location, $action, $kind, $resource),
        step($location, $action, $kind, $resource, $to, $tags, $most),
        argument("to", $to), argument("tag", $tag), argument("note", $note),
        $tags.contains($tag), $note.length() <= $most;
"#;

/// A verified token and the verifier's rules.
pub struct Biscuit {
    token: Token,
    rules: AuthorizerBuilder,
}

impl Contender for Biscuit {
    const NAME: &'static str = "biscuit-auth 6.0.0";
    type Call = Vec<Fact>;

    fn new(steps: &[Step]) -> Result<Self, Failure> {
        // The default of a millisecond and a thousand facts would refuse the largest plan.
        let limits = AuthorizerLimits { max_facts: 100_000, max_time: Duration::from_secs(10), ..Default::default() };
        let rules = AuthorizerBuilder::new().code(POLICIES)?.set_limits(limits);
        Ok(Self { token: token(steps, &KeyPair::new())?, rules })
    }

    fn call(&self, call: &Call) -> Result<Vec<Fact>, Failure> {
        let place = [&call.location, &call.action, KIND, &call.resource].map(string);
        let argument = |(name, value): &(&str, String)| fact("argument", &[string(name), string(value)]);
        Ok(std::iter::once(fact("call", &place)).chain(call.args.iter().map(argument)).collect())
    }

    fn permits(&self, call: &Vec<Fact>) -> bool {
        let with_call = call.iter().try_fold(self.rules.clone(), |rules, fact| rules.fact(fact.clone()));
        with_call
            .and_then(|authorizer| authorizer.build(&self.token))
            .and_then(|mut authorizer| authorizer.authorize())
            .is_ok()
    }
}

fn token(steps: &[Step], key: &KeyPair) -> Result<Token, Failure> {
    let fact = |step: &Step| {
        let tags = set(step.tags.iter().map(|tag| string(tag)).collect());
        let [location, action, kind, resource, to] =
            [LOCATION, step.action, KIND, &step.resource, &step.to].map(string);
        Ok::<[Term; 7], Failure>([location, action, kind, resource, to, tags, int(i64::try_from(NOTE_CHARS)?)])
    };
    let mut builder = BiscuitBuilder::new();
    for step in steps {
        builder = builder.fact(self::fact("step", &fact(step)?))?;
    }
    Ok(builder.build(key)?)
}

/// A token as bytes.
pub struct Document {
    bytes: Vec<u8>,
    issuer: PublicKey,
}

impl Document {
    /// A token with a fact per step.
    ///
    /// # Errors
    /// When it does not verify.
    pub fn new(steps: &[Step]) -> Result<Self, Failure> {
        let key = KeyPair::new();
        let document = Self { bytes: token(steps, &key)?.to_vec()?, issuer: key.public() };
        document.parse_and_verify().ok_or("the token does not verify")?;
        Ok(document)
    }

    /// Parses the token and verifies its signature, which digests it.
    pub fn parse_and_verify(&self) -> Option<Token> {
        Token::from(&self.bytes, self.issuer).ok()
    }
}
