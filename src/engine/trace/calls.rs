//! System calls of traced threads: each reports its entry and its return.

use super::{At, Tracing};
use crate::base::{Inferior, SyscallStop, Tid};
use crate::engine::breakpoints::Verdict;
use crate::engine::state::Engine;
use crate::trace::SyscallHit;

/// accept(2) and accept4(2).
pub(super) const ACCEPTS: [u64; 2] = [43, 288];
/// execve(2) and execveat(2).
const EXECVE: u64 = 59;

impl<I: Inferior> Engine<I> {
    /// Whether the trace wants to see system calls.
    pub(in crate::engine) fn trace_sees_calls(&self) -> bool {
        self.trace.as_ref().is_some_and(|one| one.wants_calls())
    }

    /// Whether a thread is in a traced call whose return is to be seen.
    pub(in crate::engine) fn awaits_call_return(&self, tid: Tid) -> bool {
        let Some(tracing) = &self.trace else { return false };
        let in_call = |thread: &super::TracedThread| {
            thread.quick.is_some() || thread.syscall.is_some_and(|(call, _)| tracing.calls.wants_return(call.number))
        };
        tracing.threads.get(&tid).is_some_and(in_call)
    }

    /// Whether a thread is being stopped for a sample.
    pub(in crate::engine) fn is_sampled(&self, tid: Tid) -> bool {
        self.trace.as_ref().is_some_and(|one| one.sampled.contains(&tid))
    }

    /// A thread stands at the entry or return of a system call. [`Verdict::Stop`]: the trace wants it to stay there.
    pub(in crate::engine) fn on_traced_call(&mut self, tid: Tid, stop: SyscallStop) -> Verdict {
        let Some(mut tracing) = self.trace.take() else { return Verdict::GoOn };
        let verdict = match stop {
            SyscallStop::Entry { number, arguments, .. } => {
                let call = SyscallHit { number, arguments };
                self.call_entered(&mut tracing, tid, call)
            }
            SyscallStop::Return { value, .. } => self.call_returned(&mut tracing, tid, value),
            SyscallStop::Other => Verdict::GoOn,
        };
        let verdict = if tracing.stop.is_some() { Verdict::Stop } else { verdict };
        self.after_hit(tracing, tid);
        verdict
    }

    fn call_entered(&mut self, tracing: &mut Tracing, tid: Tid, call: SyscallHit) -> Verdict {
        let thread = tracing.threads.entry(tid).or_default();
        if thread.goes_on_with(call.number) {
            return Verdict::GoOn;
        }
        thread.syscall = Some((call, crate::os::clock_nanoseconds(crate::os::Clock::Boot)));
        let at = At::Syscall { call, returned: 0, duration: 0 };
        for probe in tracing.calls.any_entry.clone() {
            self.run_probe(tracing, tid, probe, at.clone());
        }
        let count = tracing.calls.entry.get(&call.number).map_or(0, Vec::len);
        for index in 0..count {
            let probe = tracing.calls.entry[&call.number][index];
            self.run_probe(tracing, tid, probe, at.clone());
        }
        self.quick_call_entered(tracing, tid, call)
    }

    pub(super) fn call_returned(&mut self, tracing: &mut Tracing, tid: Tid, returned: u64) -> Verdict {
        let entered = tracing.threads.get_mut(&tid).and_then(|one| {
            one.broken = None;
            one.syscall.take()
        });
        // One whose entry was not seen: it was in the call when the trace began, or has just executed a program.
        let Some((call, began)) = entered.or_else(|| self.call_under_way(tid)) else { return Verdict::GoOn };
        let now = crate::os::clock_nanoseconds(crate::os::Clock::Boot);
        let duration = if began == 0 { 0 } else { now.saturating_sub(began) };
        if ACCEPTS.contains(&call.number) && (returned as i64) >= 0 && !tracing.calls.accepted.is_empty() {
            self.connection_accepted(tracing, tid, call, returned);
        }
        let at = At::Syscall { call, returned, duration };
        for probe in tracing.calls.any_exit.clone() {
            self.run_probe(tracing, tid, probe, at.clone());
        }
        let count = tracing.calls.exit.get(&call.number).map_or(0, Vec::len);
        for index in 0..count {
            let probe = tracing.calls.exit[&call.number][index];
            self.run_probe(tracing, tid, probe, at.clone());
        }
        self.quick_call_returned(tracing, tid, call, returned, duration)
    }

    fn call_under_way(&self, tid: Tid) -> Option<(SyscallHit, u64)> {
        let number = self.inferior.regs(tid).ok()?.orig_rax;
        Some((SyscallHit { number, arguments: [0; 6] }, 0))
    }

    /// `kretprobe:inet_csk_accept`: what the kernel would return is put together from the socket.
    fn connection_accepted(&mut self, tracing: &mut Tracing, tid: Tid, call: SyscallHit, fd: u64) {
        let Some(pid) = self.threads.get(&tid).map(|one| one.pid) else { return };
        let socket = match crate::os::inspect_socket(pid, fd as i32) {
            Ok(socket) => socket,
            Err(error) => {
                tracing.tell_once(format!("accepted connections cannot be looked at: {error}"));
                return;
            }
        };
        // inet_csk_accept is TCP's; other families accept without it.
        if !matches!(socket.peer.first(), Some(2 | 10)) {
            return;
        }
        let backlog = crate::os::listen_backlog(pid, call.arguments[0] as i32).unwrap_or(0);
        let image = socket_image(&socket.local, &socket.peer, backlog);
        for probe in tracing.calls.accepted.clone() {
            self.run_probe(tracing, tid, probe, At::Accepted { image: &image });
        }
    }

    /// A process stands at the first instruction of a program that it has just executed, without its call having been
    /// seen: the watch for an exec caught it, or rdbg launched it. Its arguments lie on its stack (System V psABI, 3.4.1).
    pub(in crate::engine) fn on_watched_exec(&mut self, tid: Tid) {
        self.place_watches();
        let Some(mut tracing) = self.trace.take() else { return };
        let regs = self.inferior.regs(tid).unwrap_or_default();
        let argument_count = self.word_at(tid, regs.rsp).unwrap_or(0);
        let argv = regs.rsp.wrapping_add(8);
        let envp = argv.wrapping_add(8 * (argument_count + 1));
        let file_name = self.auxiliary(tid, AT_EXECFN).unwrap_or(0);
        let call = SyscallHit { number: EXECVE, arguments: [file_name, argv, envp, 0, 0, 0] };
        for probe in tracing.calls.execve.clone() {
            self.run_probe(&mut tracing, tid, probe, At::Syscall { call, returned: 0, duration: 0 });
        }
        tracing.threads.entry(tid).or_default().syscall = Some((call, 0));
        // The exec has succeeded: there is nothing to stop for that a first instruction is not.
        let _ = self.quick_call_entered(&mut tracing, tid, call);
        self.after_hit(tracing, tid);
    }

    fn word_at(&self, tid: Tid, at: u64) -> Option<u64> {
        let pid = self.threads.get(&tid)?.pid;
        let mut word = [0; 8];
        let got = self.inferior.read_mem(pid, crate::base::VirtAddr(at), &mut word).ok()?;
        (got == 8).then(|| u64::from_le_bytes(word))
    }

    fn auxiliary(&self, tid: Tid, wanted: u64) -> Option<u64> {
        let pid = self.threads.get(&tid)?.pid;
        let values = self.inferior.auxv(pid).ok()?;
        values.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| *value)
    }

    /// A process has executed another program: what was under way in the old one never returns.
    pub(in crate::engine) fn traced_exec(&mut self, tid: Tid) {
        if let Some(tracing) = &mut self.trace {
            let functions = tracing.threads.get_mut(&tid).map(|one| std::mem::take(&mut one.calls)).unwrap_or_default();
            for pending in functions {
                if let super::Called::Function { call, .. } = pending.called {
                    tracing.report_unfinished(*call);
                }
            }
            tracing.caches.comms.borrow_mut().remove(&tid);
        }
    }

    /// A thread has gone.
    pub(in crate::engine) fn traced_thread_gone(&mut self, tid: Tid) {
        if let Some(tracing) = &mut self.trace {
            for call in tracing.threads.remove(&tid).iter_mut().flat_map(super::TracedThread::take_open) {
                tracing.report_unfinished(call);
            }
            tracing.sampled.remove(&tid);
            tracing.caches.comms.borrow_mut().remove(&tid);
        }
    }

    /// A process has gone; with the last one the trace ends.
    pub(in crate::engine) fn traced_process_gone(&mut self) {
        let Some(tracing) = &self.trace else { return };
        if tracing.target == super::Target::Seen
            && self.debugged().is_empty()
            && self.awaited.is_none()
            && self.everywhere.is_none()
        {
            self.end_trace_soon();
        }
    }
}

/// The executed file's name in the auxiliary vector (getauxval(3)).
const AT_EXECFN: u64 = 31;

/// The bytes of a `struct sock` as the built-in <net/sock.h> lays it out (lang/script/headers.rs), from the addresses of
/// both ends.
fn socket_image(local: &[u8], peer: &[u8], backlog: u32) -> Vec<u8> {
    let mut image = vec![0; 80];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    let part = |of: &[u8], from: usize, length: usize| of.get(from..from + length).unwrap_or(&[]).to_vec();
    put(12, &part(peer, 2, 2));
    let local_port = part(local, 2, 2).try_into().map_or(0, u16::from_be_bytes);
    put(14, &local_port.to_le_bytes());
    put(16, &part(peer, 0, 2));
    // TCP_ESTABLISHED.
    put(18, &[1]);
    match peer.first() {
        Some(2) => {
            put(0, &part(peer, 4, 4));
            put(4, &part(local, 4, 4));
        }
        _ => {
            put(24, &part(peer, 8, 16));
            put(40, &part(local, 8, 16));
        }
    }
    // The child of a listening socket has its greatest backlog, and none waiting.
    put(60, &backlog.to_le_bytes());
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::script::{compile, CompileOptions, Safety, Source};

    /// The offset at which the built-in headers have a field of a socket.
    fn offset(path: &str) -> usize {
        let text = format!("BEGIN {{ @x = offsetof(struct sock, {path}); }}");
        let options = CompileOptions { parameters: &[], environment: &|_| None, safety: Safety::Safe };
        let program = compile(&Source { name: "t".into(), text }, &options).unwrap().program;
        match &program.probes[0].body[0] {
            crate::lang::script::program::Action::SetMap(_, _, crate::lang::script::program::Code::Integer(at)) => {
                *at as usize
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_image_of_a_socket_has_its_fields_where_the_headers_have_them() {
        let local = [2, 0, 0x3a, 0x9e, 127, 0, 0, 1];
        let peer = [2, 0, 0x97, 0x36, 10, 0, 0, 9];
        let image = socket_image(&local, &peer, 4096);
        let at = |path: &str, length: usize| &image[offset(path)..offset(path) + length];
        assert_eq!(at("__sk_common.skc_daddr", 4), [10, 0, 0, 9]);
        assert_eq!(at("__sk_common.skc_rcv_saddr", 4), [127, 0, 0, 1]);
        assert_eq!(at("__sk_common.skc_num", 2), 15006u16.to_le_bytes());
        assert_eq!(at("__sk_common.skc_dport", 2), [0x97, 0x36]);
        assert_eq!(at("__sk_common.skc_family", 2), [2, 0]);
        assert_eq!(at("sk_max_ack_backlog", 4), 4096u32.to_le_bytes());
        assert_eq!(at("__sk_common.skc_v6_daddr", 1).len() + offset("__sk_common.skc_v6_rcv_saddr") - 40, 1);
    }
}
