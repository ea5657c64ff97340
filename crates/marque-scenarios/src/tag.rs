//! The closed list of words for what a scenario shows.

use serde::Deserialize;

/// What a scenario is an example of: threats, attacks, and parts of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Tag {
    #[serde(rename = "T1")]
    T1,
    #[serde(rename = "T2")]
    T2,
    #[serde(rename = "T3")]
    T3,
    #[serde(rename = "T4")]
    T4,
    #[serde(rename = "T6")]
    T6,
    ArgumentSubstitution,
    ExtraArgument,
    LaunderingSameAs,
    LaunderingCompute,
    LaunderingFmt,
    LaunderingThirdParty,
    WordsFromText,
    SalamiBudget,
    SalamiUses,
    SalamiHops,
    UsesExhaustion,
    OrderViolation,
    Group,
    Window,
    Environment,
    Turns,
    Budget,
    Blocked,
    StepUp,
    StepUpForAnotherCall,
    StepUpsExhausted,
    Permissive,
    OptionalArgument,
    LookAlikeRecipient,
    SmuggledLink,
    PathTraversal,
    Numbers,
    Timestamps,
    UnknownResult,
    LateReceipt,
    Delegation,
    OriginSpoofing,
    HiddenText,
    TooMuchWork,
}

impl Tag {
    /// Every word; each must be shown at least once.
    pub const ALL: [Self; 39] = [
        Self::T1,
        Self::T2,
        Self::T3,
        Self::T4,
        Self::T6,
        Self::ArgumentSubstitution,
        Self::ExtraArgument,
        Self::LaunderingSameAs,
        Self::LaunderingCompute,
        Self::LaunderingFmt,
        Self::LaunderingThirdParty,
        Self::WordsFromText,
        Self::SalamiBudget,
        Self::SalamiUses,
        Self::SalamiHops,
        Self::UsesExhaustion,
        Self::OrderViolation,
        Self::Group,
        Self::Window,
        Self::Environment,
        Self::Turns,
        Self::Budget,
        Self::Blocked,
        Self::StepUp,
        Self::StepUpForAnotherCall,
        Self::StepUpsExhausted,
        Self::Permissive,
        Self::OptionalArgument,
        Self::LookAlikeRecipient,
        Self::SmuggledLink,
        Self::PathTraversal,
        Self::Numbers,
        Self::Timestamps,
        Self::UnknownResult,
        Self::LateReceipt,
        Self::Delegation,
        Self::OriginSpoofing,
        Self::HiddenText,
        Self::TooMuchWork,
    ];
}
