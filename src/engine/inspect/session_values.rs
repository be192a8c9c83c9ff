//! What expressions ask of the session: `$_thread`, `$_inferior`, `$_siginfo.si_signo`. The numbers of threads and processes
//! are read as registers are, so that a condition is over the thread that hits.

use crate::base::{Inferior, Pid, SigInfo, Signal, Tid};
use crate::engine::state::Engine;
use crate::lang::{RegisterId, RegisterName, Type, Value};

/// Numbers from here on are no register's.
const FIRST: u16 = 0xff00;
/// By their numbers.
const NAMES: [&str; 5] = ["_thread", "_gthread", "_inferior", "_tid", "_pid"];

/// A thread, and the process that it is one of.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Who {
    /// rdbg's number of the thread; 0: there is none.
    pub(in crate::engine) thread: u32,
    /// The kernel's.
    pub(in crate::engine) tid: Tid,
    /// rdbg's number of the process.
    pub(in crate::engine) process: u32,
    /// The kernel's.
    pub(in crate::engine) pid: Pid,
}

impl Who {
    /// Nobody.
    const NOBODY: Who = Who { thread: 0, tid: Tid(0), process: 0, pid: Pid(0) };

    /// What a name of [`session_name`] comes to; `None`: the number is a register's.
    pub(super) fn value(&self, id: RegisterId) -> Option<u64> {
        Some(match *NAMES.get(usize::from(id.0.checked_sub(FIRST)?))? {
            "_inferior" => self.process.into(),
            "_tid" => self.tid.0 as u64,
            "_pid" => self.pid.0 as u64,
            _ => self.thread.into(),
        })
    }
}

/// `$_thread` and the like, without the `$`.
pub(super) fn session_name(name: &str) -> Option<RegisterName> {
    let index = NAMES.iter().position(|one| *one == name)?;
    Some(RegisterName { id: RegisterId(FIRST + index as u16), ty: Type::INT })
}

/// A member of `$_siginfo` by its own name, as sigaction(2) has it; `None`: there is none such.
pub(super) fn siginfo_member(info: &SigInfo, name: &str) -> Option<Value> {
    let is_child = info.signal == Signal::CHLD;
    Some(match name {
        "si_signo" => Value::int(info.signal.0),
        "si_code" => Value::int(info.code),
        "si_pid" => Value::int(info.sender.0),
        "si_uid" => Value::int(info.user as i32),
        "si_status" if is_child => Value::int(info.status),
        "si_status" => Value::int(0),
        "si_addr" => Value::from_raw(info.addr.0, Type::VOID_POINTER),
        _ => return None,
    })
}

impl<I: Inferior> Engine<I> {
    /// A thread by its numbers.
    pub(in crate::engine) fn who(&self, tid: Tid) -> Who {
        let thread = self.threads.get(&tid);
        let process = thread.and_then(|one| self.processes.get(&one.pid));
        Who {
            thread: thread.map_or(0, |one| one.number),
            tid,
            process: process.map_or(0, |one| one.number),
            pid: process.map_or(Pid(0), |one| one.pid),
        }
    }

    /// The selected thread and process.
    pub(super) fn who_here(&self) -> Who {
        let here = self.selected_task().map(|tid| self.who(tid));
        here.unwrap_or(Who::NOBODY)
    }

    /// What is known of the signal that the selected thread stands with.
    pub(super) fn siginfo_here(&self) -> Option<SigInfo> {
        self.inferior.siginfo(self.selected_tid().ok()?).ok()
    }
}
