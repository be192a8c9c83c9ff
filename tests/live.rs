//! Real processes under the real rdbg. Each file tests one capability.

#[path = "support/check.rs"]
mod check;
mod support;

mod live {
    mod breakpoints;
    mod forks;
    mod hits;
}
