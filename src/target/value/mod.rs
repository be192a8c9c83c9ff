//! Arguments at a function's entry, without debug info: from the mangled name their types, from the psABI their places.

mod class;
mod membership;
mod plan;
mod plausible;
mod reader;
mod shape;
mod text_object;

pub use plan::{CallPlan, Certainty, DecodedArgument, DecodedCall};
pub use reader::ArgumentReader;
pub use text_object::TextLayout;
