//! Trace scripts: what is run, and what comes of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Toggle;
use crate::base::Pid;

/// A script to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSpec {
    /// The name by which messages call it: a file's, or `stdin`.
    pub name: String,
    /// Its text.
    pub text: String,
    /// `$1`, `$2`..
    pub parameters: Vec<String>,
    /// What `${NAME}` in its attach points stands for.
    pub environment: BTreeMap<String, String>,
    /// How what it prints is written.
    pub format: TraceFormat,
    /// `--unsafe`: whether functions that change something may be called.
    pub unsafe_functions: Toggle,
    /// The process that the user named.
    pub pid: Option<Pid>,
    /// What is traced without a script; there is no text then.
    #[serde(default)]
    pub quick: Option<QuickSpec>,
}

/// Of which probes a list is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum ProbeList {
    /// Those whose names match a pattern with `*` and `?`.
    Matching { glob: String },
    /// Those of a script, wildcards spelled out.
    Script { spec: Box<TraceSpec> },
}

/// Functions and system calls to report, without a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuickSpec {
    /// Regexes over demangled names with their parameters.
    pub functions: Vec<String>,
    /// Functions of modules of this name only.
    pub module: Option<String>,
    /// How many functions a regex may match.
    pub limit: u32,
    /// System calls by name; `all` for every one.
    pub calls: Vec<String>,
    /// Whether those that make and change sockets come besides.
    pub sockets: Toggle,
    /// Whether a call is reported when it has returned, with its value, or at its entry.
    pub returns: Toggle,
    /// How many frames of the stack are reported; 0: none.
    pub stack: u32,
    /// An expression; only calls for which it is true are reported.
    pub condition: Option<String>,
    /// An expression; a call for which it is true stops the target.
    pub stop_if: Option<String>,
    /// The most calls that are reported in a second.
    pub max_rate: Option<u64>,
    /// The trace ends after so many.
    pub count: Option<u64>,
    /// Whether lines are coloured, for a terminal.
    pub colours: Toggle,
}

/// How what a script prints is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// A timeline for ui.perfetto.dev; without a script only, as those that follow.
    Perfetto,
    /// Stacks, a line each, with their number of calls.
    Folded,
    /// The stacks as a picture, SVG.
    Flame,
    /// A table of the sockets at the end.
    Sockets,
}

/// The processes that a script can concern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TraceScope {
    /// None: it has no probe in a process.
    Nothing,
    /// One.
    Process {
        /// Which.
        pid: Pid,
    },
    /// Those that execute a program.
    Program {
        /// Its path or name.
        name: String,
    },
    /// Any.
    Everything,
}

/// Where a text belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceStream {
    /// What the script printed.
    Out,
    /// What is told of the run.
    Err,
}
