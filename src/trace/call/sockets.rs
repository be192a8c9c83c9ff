//! What became of the sockets: from the system calls that make, bind, copy and close them, a table at the end.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Call, Outcome};
use crate::base::Pid;

/// The system calls that are read.
pub const CALLS: [&str; 12] =
    ["socket", "bind", "listen", "accept", "accept4", "connect", "setsockopt", "dup", "dup2", "dup3", "fcntl", "close"];
/// So many are told; more are counted.
const TOLD: usize = 4096;

/// The sockets so far.
#[derive(Default)]
pub struct Sockets {
    open: BTreeMap<(Pid, i32), Socket>,
    /// Those that were closed and had been bound, listened on or connected.
    closed: Vec<((Pid, i32), Socket)>,
    untold: u64,
}

#[derive(Clone, Default)]
struct Socket {
    kind: String,
    made_by: String,
    bound: Option<String>,
    connected: Option<String>,
    backlog: Option<String>,
    options: Vec<String>,
    copy_of: Option<i32>,
    /// Connections by the thread that accepted them.
    accepted: BTreeMap<String, u64>,
}

impl Sockets {
    /// Takes note of a system call that has returned.
    pub fn add(&mut self, call: &Call) {
        let Outcome::Returned { value, .. } = call.outcome else { return };
        let result = value as i64;
        let key = |fd: i32| (call.pid, fd);
        let thread = String::from_utf8_lossy(call.thread.bytes()).into_owned();
        let argument = |at: usize| call.arguments.get(at).map(|one| one.text.clone()).unwrap_or_default();
        let fd: i32 = argument(0).parse().unwrap_or(-1);
        let name = call.callee.name();
        if name == "connect" && result == EINPROGRESS {
            self.open.entry(key(fd)).or_default().connected = Some(argument(1));
        }
        if result < 0 {
            return;
        }
        match name {
            "socket" => {
                let kind = format!("{} {}", argument(0), argument(1));
                self.put(key(result as i32), Socket { kind, made_by: thread, ..Socket::default() });
            }
            "bind" => self.open.entry(key(fd)).or_default().bound = Some(argument(1)),
            "listen" => self.open.entry(key(fd)).or_default().backlog = Some(argument(1)),
            "connect" => self.open.entry(key(fd)).or_default().connected = Some(argument(1)),
            "setsockopt" => {
                let option = format!("{}={}", argument(2), argument(3));
                let options = &mut self.open.entry(key(fd)).or_default().options;
                if !options.contains(&option) {
                    options.push(option);
                }
            }
            "accept" | "accept4" => {
                let listener = self.open.entry(key(fd)).or_default();
                *listener.accepted.entry(thread.clone()).or_default() += 1;
                let kind = format!("accepted on {fd}");
                let connected = Some(argument(1)).filter(|text| text.starts_with('{'));
                self.put(key(result as i32), Socket { kind, made_by: thread, connected, ..Socket::default() });
            }
            "dup" | "dup2" | "dup3" => self.copy(call.pid, fd, result as i32),
            "fcntl" if argument(1).starts_with("F_DUPFD") => self.copy(call.pid, fd, result as i32),
            "close" => self.close(key(fd)),
            _ => {}
        }
    }

    fn copy(&mut self, pid: Pid, from: i32, to: i32) {
        // A file that is no socket is not told of.
        if let Some(socket) = self.open.get(&(pid, from)).filter(|_| from != to).cloned() {
            let copy = Socket { copy_of: Some(from), accepted: BTreeMap::new(), options: Vec::new(), ..socket };
            self.put((pid, to), copy);
        }
    }

    fn put(&mut self, key: (Pid, i32), socket: Socket) {
        self.close(key);
        self.open.insert(key, socket);
    }

    fn close(&mut self, key: (Pid, i32)) {
        let Some(socket) = self.open.remove(&key) else { return };
        if socket.bound.is_none() && socket.backlog.is_none() && socket.connected.is_none() {
            return;
        }
        match self.closed.len() < TOLD {
            true => self.closed.push((key, socket)),
            false => self.untold += 1,
        }
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut last = None;
        for ((pid, fd), socket) in &self.open {
            if last.replace(*pid) != Some(*pid) {
                let _ = writeln!(text, "Sockets of process {pid}:");
            }
            write_socket(&mut text, *fd, socket);
        }
        if !self.closed.is_empty() {
            text.push_str("Closed meanwhile:\n");
            self.closed.iter().for_each(|((_, fd), socket)| write_socket(&mut text, *fd, socket));
        }
        if self.untold > 0 {
            let _ = writeln!(text, "and {} more that were closed", self.untold);
        }
        if text.is_empty() {
            text.push_str("No sockets.\n");
        }
        text
    }
}

/// The kernel's answer to a connect that goes on by itself (connect(2)).
const EINPROGRESS: i64 = -115;

fn write_socket(text: &mut String, fd: i32, socket: &Socket) {
    let _ =
        write!(text, "  fd {fd:<4} {}", if socket.kind.is_empty() { "made before the trace" } else { &socket.kind });
    if let Some(original) = socket.copy_of {
        let _ = write!(text, ", a copy of fd {original}");
    }
    if !socket.made_by.is_empty() {
        let _ = write!(text, ", by {}", socket.made_by);
    }
    text.push('\n');
    let mut line = |what: &str, value: &str| {
        let _ = writeln!(text, "          {what} {value}");
    };
    if let Some(address) = &socket.bound {
        line("bound to", address);
    }
    if let Some(backlog) = &socket.backlog {
        line("listens, backlog", backlog);
    }
    if let Some(address) = &socket.connected {
        line("connected to", address);
    }
    for (thread, count) in &socket.accepted {
        line("accepted", &format!("{count} by {thread}"));
    }
    if !socket.options.is_empty() {
        line("options", &socket.options.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Tid;
    use crate::trace::call::{CallArgument, Callee, Certainty};
    use crate::trace::value::Text;

    fn call(name: &str, arguments: &[&str], value: i64) -> Call {
        let one = |text: &&str| CallArgument { name: None, text: (*text).into(), certainty: Certainty::Known };
        Call {
            number: 1,
            time_ns: 0,
            pid: Pid(7),
            tid: Tid(8),
            thread: Text::new(b"wrk:worker_0"),
            callee: Callee::Kernel { name: name.into() },
            arguments: arguments.iter().map(one).collect(),
            outcome: Outcome::Returned { value: value as u64, duration: 1 },
            stack: None,
        }
    }

    #[test]
    fn a_listener_its_copy_and_who_accepts_are_told() {
        let mut sockets = Sockets::default();
        for one in [
            call("socket", &["AF_INET", "SOCK_STREAM", "IPPROTO_IP"], 5),
            call("setsockopt", &["5", "SOL_SOCKET", "SO_REUSEPORT", "[1]", "4"], 0),
            call("bind", &["5", "{sin_port=80}", "16"], 0),
            call("dup", &["5"], 6),
            call("listen", &["5", "128"], 0),
            call("accept4", &["5", "{sin_port=4000}", "[16]", "0"], 9),
            call("accept4", &["5", "NULL", "NULL", "0"], -11),
            call("socket", &["AF_UNIX", "SOCK_STREAM", "0"], 10),
            call("close", &["10"], 0),
            call("close", &["9"], 0),
            call("dup", &["2"], 11),
        ] {
            sockets.add(&one);
        }
        assert_eq!(
            sockets.table(),
            "Sockets of process 7:\n  fd 5    AF_INET SOCK_STREAM, by wrk:worker_0\n          bound to {sin_port=80}\n          \
             listens, backlog 128\n          accepted 1 by wrk:worker_0\n          options SO_REUSEPORT=[1]\n  fd 6    AF_INET \
             SOCK_STREAM, a copy of fd 5, by wrk:worker_0\n          bound to {sin_port=80}\nClosed meanwhile:\n  fd 9    accepted on \
             5, by wrk:worker_0\n          connected to {sin_port=4000}\n"
        );
    }
}
