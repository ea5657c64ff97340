//! Tenuo: a warrant with one tool per step, since a tool has one set of constraints; the tool's name holds location,
//! action and resource. Not the same: links in a text are not looked for, and there is no memory of uses. A text's length
//! takes a CEL expression or a regular expression. A warrant holds at most [`MAX_TOOLS_PER_WARRANT`] tools.

use bench_harness::contender::Contender;
use bench_harness::plan::{Call, Failure, KIND, LOCATION, NOTE_CHARS, Step};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::time::Duration;
use tenuo::constraints::{
    CelConstraint, Constraint, ConstraintSet, ConstraintValue, Exact, OneOf, RegexConstraint, Wildcard,
};
use tenuo::crypto::{Signature, SigningKey};
use tenuo::warrant::{POP_MAX_WINDOWS, POP_TIMESTAMP_WINDOW_SECS, Warrant};
pub use tenuo::wire::MAX_TOOLS_PER_WARRANT;
use tenuo::wire::{decode, encode};

/// How the length of a note is bounded.
pub trait Note {
    /// The contender's name.
    const NAME: &'static str;
    /// Whether it is bounded at all.
    const IS_WHOLE: bool = true;

    /// The constraint.
    ///
    /// # Errors
    /// When there is no such constraint.
    fn constraint() -> Result<Constraint, Failure>;

    /// What a resource server holds of a warrant: what it decodes.
    ///
    /// # Errors
    /// When the warrant does not decode.
    fn held(warrant: Warrant) -> Result<Warrant, Failure> {
        Ok(decode(&encode(&warrant)?)?)
    }
}

/// By an expression of the Common Expression Language, compiled once per process.
pub struct Expression;

impl Note for Expression {
    const NAME: &'static str = "tenuo 0.3.5";

    fn constraint() -> Result<Constraint, Failure> {
        Ok(CelConstraint::new(format!("size(value) <= {NOTE_CHARS}")).into())
    }
}

/// By a regular expression, in the process that made the warrant: a decoded one compiles it anew for every check.
pub struct Regex;

impl Note for Regex {
    const NAME: &'static str = "tenuo 0.3.5, regex";

    fn constraint() -> Result<Constraint, Failure> {
        Ok(RegexConstraint::new(&format!("(?s)^.{{0,{NOTE_CHARS}}}$"))?.into())
    }

    fn held(warrant: Warrant) -> Result<Warrant, Failure> {
        Ok(warrant)
    }
}

/// Not at all: every note passes.
pub struct Unbounded;

impl Note for Unbounded {
    const NAME: &'static str = "tenuo 0.3.5, any note";
    const IS_WHOLE: bool = false;

    fn constraint() -> Result<Constraint, Failure> {
        Ok(Wildcard::new().into())
    }
}

/// Tool and arguments.
pub type ToolCall = (String, HashMap<String, ConstraintValue>);

/// A warrant that bounds notes in one of these ways.
pub struct Tenuo<N = Expression>(Warrant, PhantomData<N>);

impl<N: Note> Contender for Tenuo<N> {
    const NAME: &'static str = N::NAME;
    const IS_WHOLE: bool = N::IS_WHOLE;
    type Call = ToolCall;

    fn new(steps: &[Step]) -> Result<Self, Failure> {
        Ok(Self(N::held(warrant::<N>(steps, &SigningKey::generate())?)?, PhantomData))
    }

    fn call(&self, call: &Call) -> Result<ToolCall, Failure> {
        Ok(tool_call(call))
    }

    fn permits(&self, (tool, args): &ToolCall) -> bool {
        self.0.check_constraints(tool, args).is_ok()
    }
}

impl<N> Tenuo<N> {
    /// Whether this warrant's constraints could be narrowed to the other's, as attenuation checks them.
    pub fn covers(&self, child: &Self) -> bool {
        let (Some(parent), Some(child)) = (self.0.capabilities(), child.0.capabilities()) else {
            return false;
        };
        child.iter().all(|(tool, constraints)| {
            parent.get(tool).is_some_and(|allowed| allowed.validate_attenuation(constraints).is_ok())
        })
    }
}

/// Any note, by the call that a server has to make: it verifies the caller's proof of possession as well.
pub struct WithProof {
    warrant: Warrant,
    holder: SigningKey,
}

impl Contender for WithProof {
    const NAME: &'static str = "tenuo 0.3.5, any note, with proof";
    const IS_WHOLE: bool = false;
    type Call = (ToolCall, Signature);

    fn new(steps: &[Step]) -> Result<Self, Failure> {
        let holder = SigningKey::generate();
        Ok(Self { warrant: Unbounded::held(warrant::<Unbounded>(steps, &holder)?)?, holder })
    }

    fn call(&self, call: &Call) -> Result<Self::Call, Failure> {
        let (tool, args) = tool_call(call);
        let proof = self.warrant.sign_with_timestamp(&self.holder, &tool, &args, Some(self.issued_at()))?;
        Ok(((tool, args), proof))
    }

    fn permits(&self, ((tool, args), proof): &Self::Call) -> bool {
        let (window, windows) = (POP_TIMESTAMP_WINDOW_SECS, POP_MAX_WINDOWS);
        let now = self.issued_at();
        let warrant = &self.warrant;
        warrant.authorize_with_pop_args_and_config_as_of(tool, args, args, Some(proof), window, windows, now).is_ok()
    }
}

impl WithProof {
    /// The instant of signing and of checking: a proof that grows old while it is measured is verified twice.
    fn issued_at(&self) -> i64 {
        self.warrant.issued_at().timestamp()
    }
}

fn tool(location: &str, action: &str, resource: &str) -> String {
    format!("{location} {action} {KIND}/{resource}")
}

fn tool_call(call: &Call) -> ToolCall {
    let args = call.args.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
    (tool(&call.location, &call.action, &call.resource), args)
}

fn warrant<N: Note>(steps: &[Step], key: &SigningKey) -> Result<Warrant, Failure> {
    let note = N::constraint()?;
    let mut builder = Warrant::builder().ttl(Duration::from_secs(3600)).holder(key.public_key());
    for step in steps {
        let mut constraints = ConstraintSet::new();
        constraints.insert("to", Exact::new(step.to.as_str()));
        constraints.insert("tag", OneOf::new(step.tags.iter().copied()));
        constraints.insert("note", note.clone());
        builder = builder.capability(tool(LOCATION, step.action, &step.resource), constraints);
    }
    Ok(builder.build(key)?)
}

/// A warrant as bytes.
pub struct Document(Vec<u8>);

impl Document {
    /// A warrant with a tool per step.
    ///
    /// # Errors
    /// When it does not decode.
    pub fn new(steps: &[Step]) -> Result<Self, Failure> {
        let document = Self(encode(&warrant::<Expression>(steps, &SigningKey::generate())?)?);
        document.parse_and_digest().ok_or("the warrant does not decode")?;
        Ok(document)
    }

    /// Decodes the warrant, checks that its encoding is the canonical one, and digests its payload.
    pub fn parse_and_digest(&self) -> Option<[u8; 32]> {
        let warrant = decode(&self.0).ok()?;
        Some(Sha256::digest(warrant.payload_bytes()).into())
    }
}
