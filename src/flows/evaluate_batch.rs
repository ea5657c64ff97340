//! Several questions in one request (AuthZEN Authorization API 1.0 §7): one after the other, in order, each decided
//! and charged as if it were asked alone.

use super::authenticate_resource_server::ResourceServer;
use super::evaluate_access::{Evaluated, Evaluation, evaluate_access};
use super::resolve_by_subject::{Advised, Named, resolve_by_subject};
use super::{Context, FlowError, OAuthError, Refusal};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Questions in one request: more would hold the connection longer than other requests may take.
pub const ITEMS: usize = 100;

/// One question.
#[derive(Clone, Debug)]
pub enum Question {
    /// About an agent that presents a token.
    Presented(Box<Evaluation>),
    /// About a user by her name.
    Named(Box<Named>),
}

/// One answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To a question with a token: charged.
    Charged(Evaluated),
    /// To a question by name: not charged.
    Advised(Advised),
    /// The question is none: it counts as denied.
    Malformed(Refusal),
}

impl Answer {
    /// Whether the call is permitted.
    pub const fn is_permit(&self) -> bool {
        matches!(self, Self::Charged(Evaluated::Permit(_)) | Self::Advised(Advised::Permit { .. }))
    }
}

/// When to stop: `options.evaluations_semantic`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Semantic {
    /// Never.
    #[default]
    ExecuteAll,
    /// After the first denial.
    DenyOnFirstDeny,
    /// After the first permit.
    PermitOnFirstPermit,
}

impl Semantic {
    /// From its word; nothing for one that is none.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "execute_all" => Some(Self::ExecuteAll),
            "deny_on_first_deny" => Some(Self::DenyOnFirstDeny),
            "permit_on_first_permit" => Some(Self::PermitOnFirstPermit),
            _ => None,
        }
    }

    const fn stops_after(self, is_permit: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !is_permit,
            Self::PermitOnFirstPermit => is_permit,
        }
    }
}

/// Answers one question.
///
/// # Errors
/// As the flow that the question is for.
pub async fn answer(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    question: &Question,
) -> Result<Answer, FlowError> {
    Ok(match question {
        Question::Presented(evaluation) => Answer::Charged(evaluate_access(cx, resource_server, evaluation).await?),
        Question::Named(named) => Answer::Advised(resolve_by_subject(cx, resource_server, named).await?),
    })
}

/// One permit is for one call: a second question under the same call id would be answered with the first one's.
fn given_once(answer: Answer, permits: &mut BTreeSet<Uuid>) -> Answer {
    match &answer {
        Answer::Charged(Evaluated::Permit(permit)) if !permits.insert(permit.permit_id) => {
            let text = "context.call_id: an earlier item has the same; each call has an id of its own";
            Answer::Malformed(Refusal::new(OAuthError::InvalidRequest, text))
        }
        _ => answer,
    }
}

/// Answers questions in order, until the semantic says to stop. A question that is malformed or refused is denied.
///
/// # Errors
/// When something that is needed is away: the same request again, with the same call ids and proofs, goes on.
pub async fn evaluate_batch(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    questions: Vec<Result<Question, Refusal>>,
    semantic: Semantic,
) -> Result<Vec<Answer>, FlowError> {
    let mut answers = Vec::with_capacity(questions.len());
    let mut permits = BTreeSet::new();
    for question in questions {
        let answer = match question {
            Err(refusal) => Answer::Malformed(refusal),
            Ok(question) => match answer(cx, resource_server, &question).await {
                Err(FlowError::Refused(refusal)) => Answer::Malformed(*refusal),
                answered => given_once(answered?, &mut permits),
            },
        };
        let is_last = semantic.stops_after(answer.is_permit());
        answers.push(answer);
        if is_last {
            break;
        }
    }
    Ok(answers)
}
