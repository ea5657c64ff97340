//! What every contender can do: hold a plan as it is held after verification, and decide a call.

use crate::plan::{Call, Failure, Step};

/// One language and its engine.
pub trait Contender: Sized {
    /// Name and version.
    const NAME: &'static str;
    /// Whether it checks all that the plan says. What checks less is measured, but named so.
    const IS_WHOLE: bool = true;
    /// A call as this engine takes it. Making one is not measured.
    type Call;

    /// Takes up a plan; what is done once per token is done here.
    ///
    /// # Errors
    /// When the engine cannot hold the plan.
    fn new(steps: &[Step]) -> Result<Self, Failure>;

    /// Translates a call.
    ///
    /// # Errors
    /// When the engine cannot state it.
    fn call(&self, call: &Call) -> Result<Self::Call, Failure>;

    /// Decides. This is measured.
    fn permits(&self, call: &Self::Call) -> bool;

    /// Decides after the plan's last step was used once; engines without memory answer as before.
    fn permits_again(&self, call: &Self::Call) -> bool {
        self.permits(call)
    }
}
