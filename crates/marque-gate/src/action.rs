//! The concrete action that a request asks for, strictly parsed.

use crate::config::GateConfig;
use crate::refusal::Refusal;
use marque_core::call::{Call, CallResource};
use marque_core::facts::Records;
use marque_core::json;
use marque_core::limits;
use marque_core::reason::Reason;
use serde_json::{Map, Value};

/// Arguments that came through the strict parser: no duplicate names, no number that another
/// parser would read differently, bounded in size and depth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args(Map<String, Value>);

impl Args {
    /// No arguments.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads one JSON object of at most [`limits::CALL_BYTES`] bytes.
    ///
    /// # Errors
    /// [`Reason::CallMalformed`] with the JSON path of the offence.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed =
            |problem: String| Refusal::new(Reason::CallMalformed).because(format!("the arguments: {problem}"));
        match json::parse_call(bytes, limits::CALL_BYTES) {
            Ok(Value::Object(args)) => Ok(Self(args)),
            Ok(_) => Err(malformed("$: is no JSON object".into())),
            Err(refused) => Err(malformed(refused.to_string())),
        }
    }

    /// Takes arguments that did not arrive as one JSON object, for example from a query, and puts
    /// them through the same parser.
    ///
    /// # Errors
    /// As [`Args::parse`].
    pub fn from_map(args: Map<String, Value>) -> Result<Self, Refusal> {
        Self::parse(Value::Object(args).to_string().as_bytes())
    }

    /// The argument of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a request asks for at this resource server.
#[derive(Clone, Debug, PartialEq)]
pub struct ConcreteAction {
    name: String,
    resource: CallResource,
    args: Args,
    records: Records,
}

impl ConcreteAction {
    /// An action by its name in the resource server's catalog, on one resource, with arguments.
    /// An argument is everything that has an influence on the effect: path and query included.
    pub fn new(name: &str, resource_type: &str, resource_id: &str, args: Args) -> Self {
        let resource = CallResource { kind: resource_type.into(), id: resource_id.into() };
        Self { name: name.into(), resource, args, records: Records::new() }
    }

    /// The records of the resource server's own that the arguments name: by collection, then by id; `null` for one that does
    /// not exist. Constraints of kind `attr` are about them.
    #[must_use]
    pub fn with_records(mut self, records: Records) -> Self {
        self.records = records;
        self
    }

    /// The action's name in the catalog.
    #[cfg(feature = "tower")]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn at(self, config: &GateConfig) -> Call {
        Call {
            environment: config.environment.clone(),
            records: self.records,
            ..Call::new(&config.location, self.name, self.resource, self.args.0)
        }
    }
}
