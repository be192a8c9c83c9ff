//! Real processes under the real rdbg. Each file tests one capability.

#[path = "support/check.rs"]
mod check;
mod support;

mod live {
    mod arguments;
    mod breakpoints;
    mod forks;
    mod hits;
    mod signals;
    mod stacks;
}
