//! Questions about the names of files, which need no process: `rdbg symbols`, `rdbg index`, `rdbg cache`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Toggle;
use crate::base::Pid;

/// A question, and what separate files may answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesRequest {
    /// What is asked.
    pub question: NamesQuestion,
    /// `--symbols-from`.
    pub symbols_from: Vec<PathBuf>,
    /// `--force`.
    pub force: Toggle,
    /// `--vtable-names`.
    pub vtable_names: Option<PathBuf>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamesQuestion {
    /// The functions of a file.
    Functions {
        /// Which file.
        file: PathBuf,
        /// Which names.
        regex: Option<String>,
        /// How many; `None`: all.
        limit: Option<u32>,
    },
    /// Where the names of a file come from.
    Sources {
        /// Which file.
        file: PathBuf,
    },
    /// The same of every module of a process, which is not attached to.
    SourcesOf {
        /// Which process.
        pid: Pid,
    },
    /// Make a pack of a file's names.
    Index {
        /// Which file.
        file: PathBuf,
        /// Where to; into the cache if not given.
        output: Option<PathBuf>,
    },
    /// The cache of packs.
    Cache(CacheRequest),
}

/// What is to be done with the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheRequest {
    /// List it.
    Show,
    /// Remove every pack.
    Clear,
    /// Remove the packs that were used longest ago, until the others hold no more than so many bytes; so from now on.
    Limit(u64),
}

/// Where the names of a module come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NameSourcesRow {
    /// The file.
    pub path: PathBuf,
    /// Hex.
    pub build_id: Option<String>,
    /// The sources, the most believed first.
    pub sources: Vec<NameSourceRow>,
    /// How many functions its frame information knows.
    pub functions: u64,
    /// How many of them have no name.
    pub unnamed: u64,
    /// What is not there, and where it was looked for.
    pub missing: Vec<String>,
}

/// One source of names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NameSourceRow {
    /// `symtab`, `debug file`, `dynsym`, `plt`, `rtti`, `startup`, `hint`.
    pub source: String,
    /// How many names.
    pub count: u64,
    /// The separate file that they come from.
    pub from: Option<PathBuf>,
}
