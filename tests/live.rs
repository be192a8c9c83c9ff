//! Real processes under the real rdbg. Each file tests one capability.

mod support;
#[path = "support/check.rs"]
mod check;

mod live {
    mod breakpoints;
}
