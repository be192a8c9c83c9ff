//! rdbg: a native debugger and breakpoint tracer for Linux x86-64. The rooms, and which may use which, are described
//! in docs/architecture.md; a test holds the `use` lines against it.

pub mod api;
pub mod arch;
pub mod base;
pub mod binary;
pub mod engine;
pub mod frontend;
pub mod lang;
pub mod os;
pub mod target;
pub mod trace;
