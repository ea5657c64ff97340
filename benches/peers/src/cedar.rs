//! Cedar: a policy set with one policy per step. Not the same: it has neither the length of a text nor a memory of uses,
//! and an argument that no policy names passes unseen. Its request is prepared beforehand, the characters of the note
//! counted by the caller.

use bench_harness::contender::Contender;
use bench_harness::plan::{Call, Failure, KIND, LOCATION, NOTE_CHARS, Step};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A policy set and what evaluates it.
pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
}

impl Contender for Cedar {
    const NAME: &'static str = "cedar-policy 4.14.1";
    type Call = Request;

    fn new(steps: &[Step]) -> Result<Self, Failure> {
        let policies = policies(steps)?.parse()?;
        Ok(Self { authorizer: Authorizer::new(), policies, entities: Entities::empty() })
    }

    fn call(&self, call: &Call) -> Result<Request, Failure> {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let mut context = vec![("location".to_owned(), text(&call.location))];
        for (name, value) in &call.args {
            context.push(match *name {
                "note" => ("note_chars".into(), RestrictedExpression::new_long(i64::try_from(value.chars().count())?)),
                name => (name.into(), text(value)),
            });
        }
        let resource = entity(KIND, &call.resource)?;
        let action = entity("Action", &call.action)?;
        Ok(Request::new(entity("Agent", "invoice-agent")?, action, resource, Context::from_pairs(context)?, None)?)
    }

    fn permits(&self, call: &Request) -> bool {
        self.authorizer.is_authorized(call, &self.policies, &self.entities).decision() == Decision::Allow
    }
}

fn entity(kind: &str, id: &str) -> Result<EntityUid, Failure> {
    Ok(EntityUid::from_type_name_and_id(kind.parse::<EntityTypeName>()?, EntityId::new(id)))
}

/// The steps as policies. All texts of the plan are free of quotation marks and backslashes.
fn policies(steps: &[Step]) -> Result<String, Failure> {
    let mut text = String::new();
    for Step { action, resource, to, tags, .. } in steps {
        writeln!(
            text,
            r#"permit(principal == Agent::"invoice-agent", action == Action::"{action}", resource == {KIND}::"{resource}")
when {{ context.location == "{LOCATION}" && context.to == "{to}" && {tags:?}.contains(context.tag)
    && context.note_chars <= {NOTE_CHARS} }};"#
        )?;
    }
    Ok(text)
}

/// A policy set as text.
pub struct Document(String);

impl Document {
    /// The steps as policies.
    ///
    /// # Errors
    /// When they do not parse.
    pub fn new(steps: &[Step]) -> Result<Self, Failure> {
        let document = Self(policies(steps)?);
        document.parse_and_digest().ok_or("the policies do not parse")?;
        Ok(document)
    }

    /// Parses the policies and digests the text as it came: Cedar has no canonical form.
    pub fn parse_and_digest(&self) -> Option<[u8; 32]> {
        self.0.parse::<PolicySet>().ok()?;
        Some(Sha256::digest(&self.0).into())
    }
}
