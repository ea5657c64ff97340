//! The closed list of rules for catalogs.

use crate::lint::rules;

rules! {
    /// What a catalog can be mistaken in, to the cost of whoever signs plans. The code is stable; the sentence
    /// beside it may change.
    CatalogRule:
    /// An action's name says more than its class: a transfer that is called a read.
    MildClass = "mild_class",
    /// A read that cannot be undone: so it is none, or it can.
    IrreversibleRead = "irreversible_read",
    /// What cannot be undone counts as reversible: a payment, something sent out, something deleted.
    UndoableEffect = "undoable_effect",
    /// A read has an argument that moves money or gives access.
    SensitiveRead = "sensitive_read",
    /// An argument is named like something that is at stake, and is not marked.
    UnmarkedArgument = "unmarked_argument",
    /// To whom access is given, or to what, may be bound after the plan was signed.
    LateAccess = "late_access",
    /// A field that somebody else probably wrote counts as the resource server's own record.
    TrustedText = "trusted_text",
    /// A collection that somebody else probably fills counts as the resource server's own records.
    TrustedCollection = "trusted_collection",
    /// A field that is probably free text is typed as a short text with a meaning of its own.
    FreeTextAsString = "free_text_as_string",
    /// A sentence leaves out an argument that is at stake.
    SilentArgument = "silent_argument",
    /// A sentence does not say what the action is done to.
    SilentResource = "silent_resource",
    /// A sentence tells its reader not to worry.
    Reassuring = "reassuring",
}

#[cfg(test)]
mod tests {
    use super::CatalogRule;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_snake_case_and_explained() {
        let codes: BTreeSet<_> = CatalogRule::ALL.iter().map(|rule| rule.code()).collect();
        assert_eq!(codes.len(), CatalogRule::ALL.len());
        for rule in CatalogRule::ALL {
            assert!(rule.code().chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            assert!(rule.meaning().len() > 15, "{rule} is not explained");
        }
    }
}
