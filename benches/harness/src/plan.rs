//! The plan that everybody is measured with, in nobody's language, and the calls that are asked about it.

use std::error::Error;

/// What can go wrong while a contender is set up.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The one resource server of the plan.
pub const LOCATION: &str = "https://invoices.example";
/// The kind of everything the plan touches.
pub const KIND: &str = "invoice";
/// The actions, in turn.
pub const ACTIONS: [&str; 5] =
    ["invoice.comment", "invoice.forward", "invoice.remind", "invoice.settle", "invoice.archive"];
/// What `tag` may be.
pub const TAGS: [&str; 3] = ["quarterly", "reminder", "urgent"];
/// Characters that `note` may have.
pub const NOTE_CHARS: usize = 200;
/// 60 characters; the full stop makes whoever looks for links look twice.
const NOTE: &str = "Paid in full on Friday. Please archive it and tell the teams";

/// One thing that may be done once: an action on one resource with three constrained arguments.
#[derive(Clone, Debug)]
pub struct Step {
    /// Unique within the plan.
    pub id: String,
    /// One of [`ACTIONS`].
    pub action: &'static str,
    /// Id of the one resource, different in every step.
    pub resource: String,
    /// The one value that the argument `to` may have.
    pub to: String,
    /// The values that the argument `tag` may have.
    pub tags: Vec<&'static str>,
}

/// A plan of `count` steps.
pub fn steps(count: usize) -> Vec<Step> {
    let step = |(index, action): (usize, &'static str)| Step {
        id: format!("step-{index}"),
        action,
        resource: format!("INV-2026-{index:06}"),
        to: format!("accounts-{index}@supplier.example"),
        tags: TAGS.to_vec(),
    };
    ACTIONS.into_iter().cycle().enumerate().take(count).map(step).collect()
}

/// The same steps with one tag fewer: a genuine narrowing that every contender's language can state.
pub fn narrowed(steps: &[Step]) -> Vec<Step> {
    steps.iter().cloned().map(|step| Step { tags: step.tags.into_iter().skip(1).collect(), ..step }).collect()
}

/// One concrete call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The resource server that is called.
    pub location: String,
    /// Name of the action.
    pub action: String,
    /// Id of the resource.
    pub resource: String,
    /// The arguments by name; all are text.
    pub args: Vec<(&'static str, String)>,
}

impl Call {
    /// The call that the plan's last step permits.
    ///
    /// # Errors
    /// When there is no step.
    pub fn of_last(steps: &[Step]) -> Result<Self, Failure> {
        let step = steps.last().ok_or("a plan has steps")?;
        Ok(Self {
            location: LOCATION.into(),
            action: step.action.into(),
            resource: step.resource.clone(),
            args: vec![("to", step.to.clone()), ("tag", "urgent".into()), ("note", NOTE.into())],
        })
    }

    /// The same call with one argument set anew, or added.
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut call = self.without(name);
        call.args.push((name, value.into()));
        call
    }

    /// The same call without one argument.
    pub fn without(&self, name: &str) -> Self {
        let mut call = self.clone();
        call.args.retain(|(own, _)| *own != name);
        call
    }

    /// The same call with a tag that no step allows.
    pub fn refused(&self) -> Self {
        self.with("tag", "unlisted")
    }
}

/// A question that every contender is asked before anything is measured.
pub struct Question {
    /// What is asked.
    pub what: &'static str,
    /// The call.
    pub call: Call,
    /// What everybody must answer; `None` where the languages differ.
    pub permitted: Option<bool>,
    /// Whether the call was made before.
    pub is_repeated: bool,
}

/// The questions about a plan, made from its last step's call.
pub fn questions(call: &Call) -> Vec<Question> {
    let ask = |what, permitted, call| Question { what, call, permitted, is_repeated: false };
    let again = Question { is_repeated: true, ..ask("the planned call a second time", None, call.clone()) };
    vec![
        ask("the planned call", Some(true), call.clone()),
        ask("another resource", Some(false), Call { resource: "INV-2025-000001".into(), ..call.clone() }),
        ask("another action", Some(false), Call { action: "invoice.delete".into(), ..call.clone() }),
        ask("another location", Some(false), Call { location: "https://other.example".into(), ..call.clone() }),
        ask("another recipient", Some(false), call.with("to", "mallory@other.example")),
        ask("a tag that is not listed", Some(false), call.refused()),
        ask("no tag", Some(false), call.without("tag")),
        ask("a note of 201 characters", Some(false), call.with("note", &"x".repeat(NOTE_CHARS + 1))),
        ask("200 characters of two bytes", None, call.with("note", &"é".repeat(NOTE_CHARS))),
        ask("an argument that is not in the plan", None, call.with("bcc", "mallory@other.example")),
        ask("a link in the note", None, call.with("note", "Pay at https://other.example/now")),
        again,
    ]
}
