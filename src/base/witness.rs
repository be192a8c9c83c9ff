//! What stood in registers and memory while tasks stood still, kept for after they have gone on.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{AddrRange, ExtendedRegs, MemError, Pid, Regs, TaskUid, Tid, VectorRegs, VirtAddr};

/// The size of what is kept at once, bytes.
const PAGE: u64 = 4096;
/// No more pages than this are noted: 16 MiB.
const NOTED: usize = 4096;

/// A stop, as it is kept: registers of tasks, and the pages that were read while they stood.
#[derive(Clone, Debug, Default)]
pub struct Recollection {
    tasks: BTreeMap<Tid, (TaskUid, Regs, Option<ExtendedRegs>)>,
    pages: BTreeMap<(Pid, VirtAddr), Vec<u8>>,
    /// What the program itself could not write to: it reads the same afterwards.
    fixed: BTreeMap<Pid, Vec<AddrRange>>,
}

impl Recollection {
    /// Keeps a task's registers.
    pub fn keep_task(&mut self, uid: TaskUid, regs: Regs, extended: Option<ExtendedRegs>) {
        self.tasks.insert(uid.tid, (uid, regs, extended));
    }

    /// Keeps the readable start of a page.
    pub fn keep_page(&mut self, pid: Pid, page: VirtAddr, bytes: Vec<u8>) {
        self.pages.insert((pid, page), bytes);
    }

    /// Says which of a process's addresses the program cannot write to.
    pub fn keep_fixed(&mut self, pid: Pid, ranges: Vec<AddrRange>) {
        self.fixed.insert(pid, ranges);
    }

    /// Whether it is this very task whose registers are kept.
    pub fn has(&self, uid: TaskUid) -> bool {
        self.tasks.get(&uid.tid).is_some_and(|(kept, ..)| *kept == uid)
    }

    /// Whether no task is kept any more.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Nothing of a task is kept any more.
    pub fn forget(&mut self, tid: Tid) {
        self.tasks.remove(&tid);
    }

    /// As [`super::ReadMem::read_mem`]; `None` where the memory itself reads the same.
    fn read(&self, pid: Pid, at: VirtAddr, buf: &mut [u8]) -> Option<Result<usize, MemError>> {
        let mut done = 0;
        while done < buf.len() {
            let from = at.offset(done as u64);
            let (page, skip) = (page_of(from), (from.0 % PAGE) as usize);
            let Some(rest) = self.pages.get(&(pid, page)).and_then(|bytes| bytes.get(skip..)) else { break };
            let length = rest.len().min(buf.len() - done);
            if length == 0 {
                break;
            }
            buf[done..done + length].copy_from_slice(&rest[..length]);
            done += length;
        }
        if done > 0 || buf.is_empty() {
            return Some(Ok(done));
        }
        let fixed = self.fixed.get(&pid).map(Vec::as_slice).unwrap_or_default();
        if fixed.iter().any(|range| range.contains(at)) {
            return None;
        }
        Some(Err(MemError::NotKept(at)))
    }
}

/// Who looks on when registers and memory are read: notes what was read, or answers from what was kept.
#[derive(Debug, Default)]
pub struct Witness {
    noted: RefCell<BTreeSet<(Pid, VirtAddr)>>,
    missed: Cell<bool>,
    part: Part,
}

#[derive(Debug, Default)]
enum Part {
    #[default]
    Away,
    Notes,
    Recalls(Arc<Recollection>),
}

impl Witness {
    /// From now on each page that is read is noted.
    pub fn note(&mut self) {
        self.part = Part::Notes;
    }

    /// From now on it answers instead of the tasks.
    pub fn recall(&mut self, kept: Arc<Recollection>) {
        self.part = Part::Recalls(kept);
    }

    /// Whether memory was asked for that it could not answer for, since this was last asked.
    pub fn take_missed(&mut self) -> bool {
        self.missed.take()
    }

    /// From now on it does neither.
    pub fn rest(&mut self) {
        self.part = Part::Away;
    }

    /// Takes the pages that were noted.
    pub fn take_noted(&mut self) -> BTreeSet<(Pid, VirtAddr)> {
        self.noted.take()
    }

    /// A task's general registers, if they are to come from here.
    pub fn regs(&self, tid: Tid) -> Option<Regs> {
        let Part::Recalls(kept) = &self.part else { return None };
        kept.tasks.get(&tid).map(|(_, regs, _)| *regs)
    }

    /// Its SSE registers.
    pub fn vector_regs(&self, tid: Tid) -> Option<VectorRegs> {
        let Part::Recalls(kept) = &self.part else { return None };
        kept.tasks.get(&tid).and_then(|(.., extended)| extended.as_ref()).map(ExtendedRegs::vectors)
    }

    /// All beyond the general ones.
    pub fn extended_regs(&self, tid: Tid) -> Option<ExtendedRegs> {
        let Part::Recalls(kept) = &self.part else { return None };
        kept.tasks.get(&tid).and_then(|(.., extended)| extended.clone())
    }

    /// What a read of memory gives, if it is to come from here.
    pub fn read(&self, pid: Pid, at: VirtAddr, buf: &mut [u8]) -> Option<Result<usize, MemError>> {
        match &self.part {
            Part::Away => None,
            Part::Notes => {
                let mut noted = self.noted.borrow_mut();
                let last = page_of(at.offset((buf.len() as u64).saturating_sub(1)));
                let mut page = page_of(at);
                while page <= last && noted.len() < NOTED {
                    noted.insert((pid, page));
                    page = page.offset(PAGE);
                }
                None
            }
            Part::Recalls(kept) => {
                let answer = kept.read(pid, at, buf);
                if matches!(answer, Some(Err(_))) {
                    self.missed.set(true);
                }
                answer
            }
        }
    }
}

/// Where the page of an address begins.
fn page_of(at: VirtAddr) -> VirtAddr {
    VirtAddr(at.0 & !(PAGE - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: Pid = Pid(7);
    const UID: TaskUid = TaskUid { tid: Tid(7), serial: 3 };

    fn kept() -> Arc<Recollection> {
        let mut kept = Recollection::default();
        kept.keep_task(UID, Regs { rip: 0x55, ..Regs::default() }, None);
        kept.keep_page(PID, VirtAddr(0x1000), vec![1; 4096]);
        kept.keep_page(PID, VirtAddr(0x2000), vec![2; 16]);
        kept.keep_fixed(PID, vec![AddrRange { start: VirtAddr(0x8000), end: VirtAddr(0x9000) }]);
        Arc::new(kept)
    }

    #[test]
    fn what_was_kept_is_told_and_what_was_not_is_refused() {
        let mut witness = Witness::default();
        let mut buf = [0; 8];
        assert!(witness.regs(UID.tid).is_none() && witness.read(PID, VirtAddr(0x1000), &mut buf).is_none());
        witness.recall(kept());
        assert_eq!(witness.regs(UID.tid).map(|regs| regs.rip), Some(0x55));
        assert_eq!(witness.read(PID, VirtAddr(0x1ffc), &mut buf), Some(Ok(8)));
        assert_eq!(buf, [1, 1, 1, 1, 2, 2, 2, 2]);
        assert_eq!(witness.read(PID, VirtAddr(0x200c), &mut buf), Some(Ok(4)), "the rest was not readable then");
        let elsewhere = VirtAddr(0x5000);
        assert!(!witness.take_missed());
        assert_eq!(witness.read(PID, elsewhere, &mut buf), Some(Err(MemError::NotKept(elsewhere))));
        assert!(witness.take_missed() && !witness.take_missed());
        assert_eq!(witness.read(Pid(8), VirtAddr(0x1000), &mut buf), Some(Err(MemError::NotKept(VirtAddr(0x1000)))));
        assert_eq!(witness.read(PID, VirtAddr(0x8010), &mut buf), None, "nobody can have written there");
        witness.rest();
        assert!(witness.regs(UID.tid).is_none());
    }

    #[test]
    fn another_task_of_the_same_number_is_not_the_one_that_was_kept() {
        let kept = kept();
        assert!(kept.has(UID) && !kept.has(TaskUid { serial: 4, ..UID }));
    }

    #[test]
    fn reads_are_noted_page_by_page_and_not_without_end() {
        let mut witness = Witness::default();
        witness.note();
        assert!(witness.read(PID, VirtAddr(0x1fff), &mut [0; 2]).is_none());
        let noted: Vec<_> = witness.take_noted().into_iter().collect();
        assert_eq!(noted, [(PID, VirtAddr(0x1000)), (PID, VirtAddr(0x2000))]);
        assert!(witness.read(PID, VirtAddr(0), &mut vec![0; 2 * NOTED * PAGE as usize]).is_none());
        assert_eq!(witness.take_noted().len(), NOTED);
    }
}
