//! Every system call and every `unsafe` of rdbg: ptrace and wait, memory, /proc, fork and exec, fanotify and inotify.
//!
//! The rooms above see values and errors; what the kernel does differently from its man pages is written at the line
//! that copes with it.

mod affinity;
mod call_filter;
pub mod clock;
pub mod doorbell;
mod download;
pub mod error;
mod extended;
mod family;
pub mod file;
pub mod guardian;
pub mod launch;
pub mod mem;
pub mod peer;
mod perf_map;
mod priority;
pub mod proc;
pub mod refusal;
mod reports;
mod request;
mod safety_net;
pub mod signals;
pub mod socket;
mod spare_memory;
pub mod terminal;
pub mod tracer;
pub mod waitfor;

#[cfg(test)]
mod tests;

pub use affinity::{affinity, current_cpu, set_affinity};
pub use call_filter::{has_call_filter, CALL_FILTER_DATA};
pub use clock::{clock_nanoseconds, format_time, Clock};
pub use doorbell::Doorbell;
pub use download::{download, Download};
pub use error::OsError;
pub use family::{Family, Standing};
pub use file::{map_file, FileBytes};
pub use guardian::{Covered, GuardedId, Guardian, GuardianState};
pub use launch::{launch, Aslr, LaunchSpec, Launched, Stdio};
pub use mem::CodeWriters;
pub use peer::{inspect_socket, listen_backlog, SocketFacts};
pub use perf_map::{PerfMap, PerfMapMark};
pub use priority::yield_to_others;
pub use proc::{find_by_name, is_32_bit, list_processes, openable_path, read_maps, read_pids, root_of, ProcessRow};
pub use safety_net::{net_action, net_code, net_entry, net_restorer, NET_SITES, NET_TABLE};
pub use signals::{block_signals, spawn_signal_thread};
pub use socket::{own_uid, peer_uid, runtime_dir, set_private_mode};
pub use spare_memory::spare_memory;
pub use terminal::Terminal;
pub use tracer::LiveInferior;
pub use waitfor::{ExecAnswer, ExecWatch, WatchEvent, WatchMethod, WatchSink, WatchSpec};
