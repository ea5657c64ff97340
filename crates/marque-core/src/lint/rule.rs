//! The closed list of rules.

/// A closed list of rules: an enum whose variants have a code and a sentence.
macro_rules! rules {
    ($(#[doc = $about:literal])+ $list:ident: $( $(#[doc = $doc:literal])+ $name:ident = $code:literal ),+ $(,)?) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $list {
            $( $(#[doc = $doc])+ $name ),+
        }

        impl $list {
            /// All rules.
            pub const ALL: &'static [Self] = &[ $( Self::$name ),+ ];

            /// The stable code, in `snake_case`.
            pub const fn code(self) -> &'static str {
                match self { $( Self::$name => $code ),+ }
            }

            /// What the rule finds, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $( Self::$name => concat!($($doc),+).trim_ascii_start() ),+ }
            }
        }

        impl std::fmt::Display for $list {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }

        impl serde::Serialize for $list {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.code())
            }
        }
    };
}
pub(crate) use rules;

rules! {
    /// What a plan can be wider in than it needs to be. The code is stable; the sentence beside it may change.
    Rule:
    /// An argument, a member or a resource may have any value.
    AnyValue = "any_value",
    /// Arguments or members that the plan does not name may be there, with any value.
    OpenArguments = "open_arguments",
    /// A step may be used any number of times.
    UnboundedUses = "unbounded_uses",
    /// An action that cannot be undone may be done more than once.
    RepeatedIrreversible = "repeated_irreversible",
    /// What is sent out may hold links.
    LinksInSend = "links_in_send",
    /// What is sent out may hold long texts of the agent's own choice.
    LongTextInSend = "long_text_in_send",
    /// A list may be of any length.
    UnboundedList = "unbounded_list",
    /// A pattern begins or ends with anything.
    LoosePattern = "loose_pattern",
    /// All hosts below a domain are allowed.
    Subdomains = "subdomains",
    /// A path may be anywhere.
    RootPrefix = "root_prefix",
    /// A number has no upper or no lower bound where money is spent.
    OpenNumber = "open_number",
    /// The plan lives for more than a day.
    LongLifetime = "long_lifetime",
    /// A step may be done over more than a day.
    LongWindow = "long_window",
    /// The plan may travel further, and names nobody to whom.
    IdleHops = "idle_hops",
    /// A delegate may carry out every step.
    DelegateOfEverything = "delegate_of_everything",
    /// Several payments, and nothing bounds their sum.
    NoBudget = "no_budget",
    /// The person will be asked again for each call: a value could be somebody else's.
    AsksAgain = "asks_again",
    /// What a step allows, another step allows too.
    RedundantStep = "redundant_step",
    /// The catalogs may add reads.
    PermissiveMode = "permissive_mode",
    /// The action has arguments, and the step names none: so all of them must be absent.
    NoArguments = "no_arguments",
    /// A choice among one.
    SingleAlternative = "single_alternative",
    /// An argument of what is sent out may be there or not.
    OptionalInSend = "optional_in_send",
}

#[cfg(test)]
mod tests {
    use super::Rule;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_snake_case_and_explained() {
        let codes: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
        assert_eq!(codes.len(), Rule::ALL.len());
        for rule in Rule::ALL {
            assert!(rule.code().chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            assert!(rule.meaning().len() > 15, "{rule} is not explained");
        }
    }
}
