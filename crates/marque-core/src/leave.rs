//! Steps by which something leaves the trust domain: the reserved action [`names::ACTION_LEAVE`] at a foreign issuer.
//!
//! Beyond the domain nobody keeps to arguments, uses or the feed. So such a step is shown as what it is: it grants access, its
//! arguments are open, and it is counted. One that promises more is refused at submission and once more at the exchange.

use crate::constraint::Constraint;
use crate::envelope::EnvelopeStep;
use crate::json::Refused;
use crate::names;
use crate::plan::{Approve, Class, ResourceId, Uses};

/// Whether an action leaves the trust domain.
pub fn leaves(action: &str) -> bool {
    action == names::ACTION_LEAVE
}

/// The scope that the person signed: the resource of a step that leaves, if the step says nothing that nobody keeps beyond.
///
/// # Errors
/// With the member of the step that is to be changed, from the step as `$`.
pub fn scope(step: &EnvelopeStep) -> Result<&str, Refused> {
    let is_open = step.args.len() == 1 && matches!(step.args.get("*"), Some(Constraint::Any(_)));
    if !is_open {
        let text = "must be {\"*\":{\"any\":true}} for a step that leaves the domain: nothing is checked beyond";
        return Err(Refused::at("$.args", text));
    }
    if step.uses == Uses::Any {
        return Err(Refused::at("$.uses", "must be a number for a step that leaves the domain: each grant is charged"));
    }
    if step.class != Class::Grant {
        return Err(Refused::at("$.action", "leaves the domain, which the catalog must describe as class \"grant\""));
    }
    if step.approve != Approve::Plan {
        return Err(Refused::at("$.approve", "must be with the plan: no call asks again for a step that leaves"));
    }
    match &step.resource.id {
        ResourceId::Exact(scope) if is_scope(scope) => Ok(scope),
        _ => Err(Refused::at(
            "$.resource.id",
            "must be the scope at the foreign issuer, exactly: words apart by one space (RFC 6749 §3.3)",
        )),
    }
}

/// `scope-token *( SP scope-token )` of RFC 6749 §3.3.
fn is_scope(text: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    text.split(' ').all(is_word)
}
