//! Real processes under the real rdbg. Each file tests one capability.

#[path = "support/check.rs"]
mod check;
mod support;

mod live {
    mod abseil;
    mod arguments;
    mod bad_input;
    mod breakpoints;
    mod catching;
    mod containers;
    mod debuginfod;
    mod differential;
    mod displays;
    mod eintr;
    mod envoy;
    mod families;
    mod forks;
    mod formats;
    mod guarded;
    mod guards;
    mod hits;
    mod hot_sites;
    mod hundred_threads;
    mod indexes;
    mod inlined;
    mod interpretation;
    mod jit;
    mod kill_series;
    mod leaving;
    mod leaving_under_load;
    mod leftovers;
    mod line_stepping;
    mod modules;
    mod names;
    mod pause;
    mod pinning;
    mod prompt;
    mod prompt_keys;
    mod recovered;
    mod refusals;
    mod returned;
    mod rusty;
    mod session;
    mod session_clients;
    mod signals;
    mod soak;
    mod source;
    mod stacks;
    mod startup;
    mod stepping;
    mod survival;
    mod syscalls;
    mod trace;
    mod trace_envoy;
    mod trace_everywhere;
    mod trace_filter;
    mod trace_flood;
    mod trace_quick;
    mod trace_script;
    mod trace_usdt;
    mod unwritable;
    mod values;
    mod waitfor;
    mod watchpoints;
}
