//! Arguments at a function's entry: their types from the debug information or the mangled name, from the psABI their places.

mod class;
mod described;
mod membership;
mod plan;
mod plausible;
mod reader;
mod shape;
mod text_object;

pub use plan::{CallPlan, Certainty, DecodedArgument, DecodedCall};
pub use reader::ArgumentReader;
pub use text_object::TextLayout;
