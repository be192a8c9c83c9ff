//! Patched instructions: where they are, what they displaced, and on whose behalf.

pub mod site;

pub use site::{CleanMemory, Owner, Site, SiteTable, INT3};
