//! Why a file could not be used.

use std::path::PathBuf;

/// What is wrong with a file or a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// The ELF magic is missing.
    #[error("{path}: not an ELF file")]
    NotElf {
        /// Which file.
        path: PathBuf,
    },
    /// ELFCLASS32 or big-endian.
    #[error("{path}: a {found} file; rdbg debugs 64-bit little-endian programs only")]
    WrongClass {
        /// Which file.
        path: PathBuf,
        /// What it is: "32-bit", "big-endian".
        found: &'static str,
    },
    /// Another processor's program.
    #[error("{path}: for machine {machine} (e_machine), not x86-64 (62)")]
    WrongMachine {
        /// Which file.
        path: PathBuf,
        /// Its e_machine.
        machine: u16,
    },
    /// A relocatable object or a core file, which cannot be loaded as a module.
    #[error("{path}: ELF type {elf_type} (e_type) is neither an executable (2) nor a shared object (3)")]
    WrongType {
        /// Which file.
        path: PathBuf,
        /// Its e_type.
        elf_type: u16,
    },
    /// The file ends before something that its headers promise.
    #[error("{path}: the file ends before its {what} at offset {offset:#x}")]
    Truncated {
        /// Which file.
        path: PathBuf,
        /// What was to be there.
        what: &'static str,
        /// Where, in bytes from the start of the file.
        offset: u64,
    },
    /// Call frame information that cannot be read.
    #[error("{path}: bad call frame information for address {address:#x}: {reason}")]
    BadUnwind {
        /// Which file.
        path: PathBuf,
        /// The file address that was asked for.
        address: u64,
        /// gimli's reason.
        reason: String,
    },
    /// Debug information that cannot be read.
    #[error("{path}: bad debug information in the unit at {unit:#x} of .debug_info: {reason}")]
    BadDwarf {
        /// Which file.
        path: PathBuf,
        /// The unit's offset in .debug_info.
        unit: u64,
        /// gimli's reason.
        reason: String,
    },
    /// A pack that cannot be used.
    #[error("{path}: {reason}")]
    BadPack {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },
    /// A regular expression that does not compile.
    #[error("bad regular expression '{pattern}': {reason}")]
    BadPattern {
        /// As given.
        pattern: String,
        /// The regex crate's reason.
        reason: String,
    },
}
