//! A task that stands at a probe, as its program sees it.

use std::cell::OnceCell;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::rc::Rc;
use std::sync::Arc;

use super::arguments::{SiteArguments, Standing};
use super::whole_arguments::of_call;
use super::{At, Caches, TracedSite};
use crate::arch::Register;
use crate::base::{Inferior, Pid, ReadMem, Regs, Tid, VirtAddr};
use crate::binary::symbols::demangle;
use crate::binary::UsdtProbe;
use crate::engine::inspect::memory::{CachedMemory, RawMemory};
use crate::engine::state::{Engine, Space};
use crate::lang::script::point::Side;
use crate::target::breakpoint::CleanMemory;
use crate::target::syscalls::CallMemory;
use crate::target::task::SpaceId;
use crate::target::unwind::walk;
use crate::trace::{control_group_of, describe_address, FunctionArgument, Hit, StackValue, SyscallHit, Text};

/// Where the image of an accepted socket seems to lie: in the kernel, where no program has memory.
pub(super) const SOCKET_IMAGE: u64 = 0xffff_8880_0000_0000;
/// How many files of threads' names are kept open.
const COMMS: usize = 256;

/// A task at a probe.
pub(super) struct TracedTask<'a, I: Inferior> {
    pub(super) inferior: &'a I,
    pub(super) caches: &'a Caches,
    pub(super) space_id: SpaceId,
    pub(super) space: &'a Space,
    pub(super) pid: Pid,
    pub(super) tid: Tid,
    pub(super) at: At<'a>,
    pub(super) probe: &'a str,
    /// Who has just been forked, at a fork.
    pub(super) child: Option<Pid>,
    pub(super) regs: OnceCell<Regs>,
}

impl<I: Inferior> Engine<I> {
    /// A task as a program sees it, of no probe yet.
    pub(super) fn traced_task<'a>(&'a self, tid: Tid, caches: &'a Caches, at: At<'a>) -> Option<TracedTask<'a, I>> {
        let process = self.process_of(tid)?;
        let space = self.spaces.get(&process.space)?;
        Some(TracedTask {
            inferior: &self.inferior,
            caches,
            space_id: process.space,
            space,
            pid: process.pid,
            tid,
            at,
            probe: "",
            child: None,
            regs: OnceCell::new(),
        })
    }
}

impl<I: Inferior> TracedTask<'_, I> {
    fn regs(&self) -> &Regs {
        match self.at {
            At::Function { regs, .. } => regs,
            _ => self.regs.get_or_init(|| self.inferior.regs(self.tid).unwrap_or_default()),
        }
    }

    /// What a probe point of the program's own offers.
    fn offered(&self, probe: &UsdtProbe, number: u8) -> Option<u64> {
        let operand = probe.arguments.get(usize::from(number))?.as_ref()?;
        let raw = RawMemory { inferior: self.inferior, pid: self.pid };
        let memory = CleanMemory { raw: &raw, sites: &self.space.sites };
        let loaded = self.space.modules.module_at(self.regs().pc())?;
        let address = |name: &str| Some(loaded.to_virt(loaded.module.symbols().find_exact(name)?.address));
        operand.read(self.regs(), &memory, &address)
    }

    /// Does something with the function's arguments, at its entry.
    fn with_arguments<T>(&self, use_them: impl FnOnce(&SiteArguments, &Standing<'_>) -> T) -> Option<T> {
        let At::Function { regs, site, side: Side::Entry, .. } = self.at else { return None };
        let known = {
            let mut known = self.caches.arguments.borrow_mut();
            let made = || SiteArguments::of(&self.space.modules, regs.pc(), &site.name).map(Rc::new);
            known.entry((self.space_id, regs.pc())).or_insert_with(made).clone()?
        };
        let raw = RawMemory { inferior: self.inferior, pid: self.pid };
        let memory = CleanMemory { raw: &raw, sites: &self.space.sites };
        let vectors = || self.inferior.vector_regs(self.tid).ok();
        Some(use_them(&known, &Standing { space: &self.space.modules, memory: &memory, regs, vectors: &vectors }))
    }

    fn clean_read(&self, at: VirtAddr, buf: &mut [u8]) -> usize {
        let raw = RawMemory { inferior: self.inferior, pid: self.pid };
        let memory = CleanMemory { raw: &raw, sites: &self.space.sites };
        memory.read_mem(at, buf).unwrap_or(0)
    }

    /// The modules as they are now, shared by all stacks until they change.
    fn modules(&self) -> Arc<crate::target::AddressSpace> {
        let mut spaces = self.caches.spaces.borrow_mut();
        Arc::clone(spaces.entry(self.space_id).or_insert_with(|| Arc::new(self.space.modules.clone())))
    }
}

/// A thread's name, read from a file that is kept open: it can change at any time.
fn read_comm(caches: &Caches, pid: Pid, tid: Tid) -> Text {
    let mut name = [0; 16];
    let mut comms = caches.comms.borrow_mut();
    if !comms.contains_key(&tid) {
        let Ok(file) = File::open(format!("/proc/{pid}/task/{tid}/comm")) else { return Text::new(b"") };
        if comms.len() >= COMMS {
            comms.clear();
        }
        comms.insert(tid, file);
    }
    let got = comms.get(&tid).and_then(|file| file.read_at(&mut name, 0).ok()).unwrap_or(0);
    Text::new(name[..got].strip_suffix(b"\n").unwrap_or(&name[..got]))
}

impl<I: Inferior> Hit for TracedTask<'_, I> {
    fn pid(&self) -> u64 {
        self.pid.0 as u64
    }

    fn tid(&self) -> u64 {
        self.tid.0 as u64
    }

    fn comm(&self) -> Text {
        read_comm(self.caches, self.pid, self.tid)
    }

    fn comm_of(&self, pid: u64) -> Text {
        let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        Text::new(comm.strip_suffix(b"\n").unwrap_or(&comm))
    }

    fn owner(&self) -> (u32, u32) {
        let found = std::fs::metadata(format!("/proc/{}/task/{}", self.pid, self.tid));
        found.map_or((0, 0), |one| (one.uid(), one.gid()))
    }

    fn cpu(&self) -> u64 {
        stat_field(self.pid, self.tid, 39)
    }

    fn parent(&self) -> u64 {
        stat_field(self.pid, self.tid, 4)
    }

    fn control_group(&self) -> u64 {
        control_group_of(&self.pid.to_string())
    }

    fn read(&self, at: u64, buf: &mut [u8]) -> usize {
        if let At::Accepted { image } = self.at {
            if let Some(tail) = at.checked_sub(SOCKET_IMAGE).and_then(|from| image.get(from as usize..)) {
                let length = tail.len().min(buf.len());
                buf[..length].copy_from_slice(&tail[..length]);
                return length;
            }
        }
        self.clean_read(VirtAddr(at), buf)
    }

    fn register(&self, number: u16) -> u64 {
        Register::from_number(number).map_or(0, |register| register.read(self.regs()))
    }

    fn argument(&self, number: u8) -> u64 {
        let regs = self.regs();
        if let At::Function { site: TracedSite { usdt: Some(probe), .. }, .. } = self.at {
            return self.offered(probe, number).unwrap_or(0);
        }
        match number {
            0 => regs.rdi,
            1 => regs.rsi,
            2 => regs.rdx,
            3 => regs.rcx,
            4 => regs.r8,
            5 => regs.r9,
            more => {
                // The seventh lies behind the return address (System V psABI, 3.2.3).
                let mut word = [0; 8];
                self.clean_read(VirtAddr(regs.rsp.wrapping_add(8 * (u64::from(more) - 5))), &mut word);
                u64::from_le_bytes(word)
            }
        }
    }

    fn named_argument(&self, name: &str) -> Option<FunctionArgument> {
        self.with_arguments(|known, task| known.read(name, task)).flatten()
    }

    fn whole_arguments(&self, side: Side) -> Text {
        let At::Syscall { call, returned, .. } = self.at else {
            return self.with_arguments(SiteArguments::whole).unwrap_or_default();
        };
        let raw = RawMemory { inferior: self.inferior, pid: self.pid };
        let memory = CleanMemory { raw: &raw, sites: &self.space.sites };
        let function_name =
            |at| self.space.modules.find_name(at).filter(|one| one.offset == 0).map(|one| one.name.into_owned());
        of_call(call, side, returned, &CallMemory { mem: &memory, function_name: &function_name })
    }

    fn return_value(&self) -> u64 {
        match self.at {
            At::Syscall { returned, .. } => returned,
            At::Accepted { .. } => SOCKET_IMAGE,
            _ => self.regs().rax,
        }
    }

    fn syscall(&self) -> SyscallHit {
        match self.at {
            At::Syscall { call, .. } => call,
            _ => SyscallHit::default(),
        }
    }

    fn signal(&self) -> u64 {
        match self.at {
            At::Signal(number) => number,
            _ => 0,
        }
    }

    fn probe(&self) -> Text {
        Text::new(self.probe.as_bytes())
    }

    fn function(&self) -> Text {
        match &self.at {
            At::Function { site, .. } => Text::new(demangle(&site.name).as_bytes()),
            _ => Text::new(b""),
        }
    }

    fn duration(&self) -> u64 {
        match self.at {
            At::Function { duration, side: Side::Return, .. } | At::Syscall { duration, .. } => duration,
            _ => 0,
        }
    }

    fn stack(&self, limit: u32) -> Option<Arc<StackValue>> {
        let raw = RawMemory { inferior: self.inferior, pid: self.pid };
        let clean = CleanMemory { raw: &raw, sites: &self.space.sites };
        let walked = walk(&self.space.modules, &CachedMemory::new(&clean), self.regs(), limit);
        let frames = walked.frames.iter().map(|one| (one.pc, one.address.address_for_lookup())).collect();
        Some(Arc::new(StackValue { pid: self.pid, frames, space: self.modules() }))
    }

    fn symbol(&self, at: u64) -> Option<Arc<StackValue>> {
        let frames = vec![(VirtAddr(at), VirtAddr(at))];
        Some(Arc::new(StackValue { pid: self.pid, frames, space: self.modules() }))
    }

    fn symbol_address(&self, name: &str) -> u64 {
        let modules = self.space.modules.modules();
        modules.iter().find_map(|one| Some(one.to_virt(one.module.symbols().find_exact(name)?.address).0)).unwrap_or(0)
    }

    fn command_line(&self, number: u64) -> Text {
        let words = self.inferior.cmdline(self.pid).unwrap_or_default();
        let word = usize::try_from(number).ok().and_then(|at| words.get(at));
        Text::new(word.map_or(&[][..], |word| std::os::unix::ffi::OsStrExt::as_bytes(word.as_os_str())))
    }

    fn peer(&self, fd: u64) -> Text {
        let facts = crate::os::inspect_socket(self.pid, fd as i32);
        Text::new(facts.map(|one| describe_address(&one.peer)).unwrap_or_default().as_bytes())
    }

    fn child(&self) -> u64 {
        self.child.map_or(0, |pid| pid.0 as u64)
    }
}

/// A field of /proc/PID/task/TID/stat, by proc(5)'s number.
fn stat_field(pid: Pid, tid: Tid, field: usize) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).unwrap_or_default();
    // The name, field 2, may hold blanks and parentheses.
    let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    rest.split(' ').nth(field - 3).and_then(|one| one.parse().ok()).unwrap_or(0)
}
