//! The tracer thread: it alone talks to ptrace. It takes requests from its queue, waits for its tracees, and sends events.
//!
//! One loop ([`Engine::run`]) handles one thing at a time to its end. Nothing here calls a front end.

mod advance;
mod arming;
mod attach;
mod bared;
mod breakpoints;
mod cache;
mod call_filter;
mod catching;
mod commands;
mod conditions;
mod debuginfod;
mod described_names;
mod displays;
mod elements;
mod everywhere;
mod exec;
mod expressions;
mod family;
mod files;
mod finishing;
mod formatted;
mod frame_scope;
mod hits;
mod hot_sites;
mod indexing;
mod inlined;
mod inspect;
mod interrupted;
mod jit;
mod leave;
mod leftover;
mod line_step;
mod memory;
mod modules;
mod names;
mod net;
#[cfg(test)]
mod order_tests;
mod pause;
mod pinning;
mod placing;
mod printing;
mod provenance;
mod reached;
mod remote;
mod resume;
mod returned;
mod safety;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod scripted;
mod settings;
mod signals;
mod site_scope;
mod skips;
mod source;
mod source_places;
mod spawn;
mod split_files;
mod stack;
mod state;
mod stepping;
mod stops;
mod strays;
mod swallowed;
mod syscalls;
mod trace;
mod trace_scope;
mod variables;
mod waiting;
mod watching;
mod world;

pub use files::answer_names;
pub use spawn::{spawn, Handle, Port};
pub use state::Engine;
