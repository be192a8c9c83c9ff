//! The prompt: lines to commands, and the loop that reads them.

pub mod completer;
pub mod console;
pub mod converse;
pub mod course;
pub mod manual;
pub mod parse;
pub mod reader;
pub mod shell;
pub mod shown;
pub mod table;
pub mod words;

mod breakpoints;
mod catching;
mod data;
mod displays;
mod general;
mod lines;
mod lldb;
mod running;
mod source;
mod stack;
mod syscalls;
mod watch;

#[cfg(test)]
mod parse_tests;
#[cfg(test)]
mod session_tests;

pub use breakpoints::{plain_spec, DEFAULT_LIMIT};
pub use parse::{parse_line, Detail, Local, ParseError, Parsed};
pub use source::line_place;
pub use syscalls::calls_place;
pub use words::split_words;
