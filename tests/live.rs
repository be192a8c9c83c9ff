//! Real processes under the real rdbg. Each file tests one capability.

mod support;

mod live {
    mod breakpoints;
    mod check;
    mod forks;
    mod hits;
    mod signals;
    mod stacks;
}
