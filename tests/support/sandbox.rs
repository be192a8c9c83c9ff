//! A process in which the CPU executes one instruction at a time, from registers and memory of the test's choice.

use ::rdbg::base::{
    Inferior, Pid, PtraceEvent, Regs, Resume, ResumeHow, Signal, Tid, TraceOptions, VirtAddr, WaitStatus,
};
use ::rdbg::os::{launch, Doorbell, LaunchSpec, LiveInferior, Stdio};

use super::Fixture;

/// The middle of 256 KiB of code, `int3` throughout, so that short branches stay inside.
pub const SITE: VirtAddr = VirtAddr(0x1002_0000);
/// Where a copy goes.
pub const SLOT: VirtAddr = VirtAddr(0x1100_0040);
/// The part of the operands' area that is filled and compared.
pub const OPERANDS: VirtAddr = VirtAddr(0x1202_0000);
/// The part of the stack that is filled and compared.
pub const STACK: VirtAddr = VirtAddr(0x1302_0000);
/// How long each of those two parts is, bytes.
pub const WINDOW: usize = 4096;
/// A page that may be written, before one that may not be touched and one that may be read only.
pub const EDGE: VirtAddr = VirtAddr(0x1500_0000);
pub const PAGE: u64 = 4096;
/// The image of XSAVE: x87 and SSE in the first 512 bytes, a header of 64, then AVX and what the CPU has besides.
const VECTORS: VirtAddr = VirtAddr(0x1400_0000);
const VECTORS_LOADED: VirtAddr = VirtAddr(0x1400_2000);
const VECTOR_BYTES: usize = 4096;
const STUBS: VirtAddr = VirtAddr(0x1100_0800);
/// xsave64 [rdi]; int3; and xrstor64 [rdi]; int3
const SAVE: [u8; 5] = [0x48, 0x0f, 0xae, 0x27, 0xcc];
const LOAD: [u8; 5] = [0x48, 0x0f, 0xae, 0x2f, 0xcc];
/// A repeated string instruction is one step per element.
const MOST_STEPS: u32 = 600;

/// What is set before a run.
#[derive(Clone)]
pub struct Setup {
    pub regs: Regs,
    pub operands: Vec<u8>,
    pub stack: Vec<u8>,
    /// xmm0 to xmm15, and the upper halves of ymm0 to ymm15.
    pub vectors: Option<[[u8; 256]; 2]>,
}

/// How an instruction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Control went on.
    Done,
    /// The CPU raised an exception, and the kernel made a signal of it.
    Fault(Signal),
}

/// What is there after a run.
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    pub ending: Ending,
    pub regs: Regs,
    pub operands: Vec<u8>,
    pub stack: Vec<u8>,
    pub vectors: Option<Vec<u8>>,
}

pub struct Sandbox {
    pub live: LiveInferior,
    pub pid: Pid,
    pub tid: Tid,
    /// The registers that it came with: segments and flags of a program.
    pub blank: Regs,
}

impl Sandbox {
    pub fn start() -> Sandbox {
        let mut live = LiveInferior::new(&Doorbell::for_this_thread());
        let mut spec = LaunchSpec::new(Fixture::get("sandbox").path());
        spec.stdio = Stdio::Null;
        let mut child = launch(&spec).expect("the sandbox starts");
        let (pid, tid) = (child.pid, child.pid.leader());
        live.seize(tid, TraceOptions { kill_on_exit: true, ..Default::default() }).expect("a child can be seized");
        child.release().expect("the sandbox executes");
        let mut sandbox = Sandbox { live, pid, tid, blank: Regs::default() };
        assert_eq!(sandbox.wait(), WaitStatus::Event(PtraceEvent::Exec));
        assert_eq!(sandbox.go(ResumeHow::Continue), WaitStatus::SignalDelivery(Signal::TRAP));
        sandbox.blank = sandbox.regs();
        let int3 = vec![0xcc; 64 * PAGE as usize];
        sandbox.write(VirtAddr(0x1000_0000), &int3);
        sandbox.write(STUBS, &SAVE);
        sandbox.write(STUBS.offset(16), &LOAD);
        sandbox
    }

    fn wait(&mut self) -> WaitStatus {
        let (tid, status) = self.live.wait(true).expect("a wait").expect("no bell rings here");
        assert_eq!(tid, self.tid);
        assert!(
            !matches!(status, WaitStatus::Exited { .. } | WaitStatus::Signaled { .. }),
            "the sandbox ended: {status:?}"
        );
        status
    }

    fn go(&mut self, how: ResumeHow) -> WaitStatus {
        self.live.resume(self.tid, Resume { how, signal: None }).expect("a stopped task resumes");
        self.wait()
    }

    pub fn regs(&self) -> Regs {
        self.live.regs(self.tid).expect("registers of a stopped task")
    }

    pub fn write(&mut self, at: VirtAddr, bytes: &[u8]) {
        self.live.write_mem(self.pid, at, bytes).expect("memory of the sandbox");
    }

    pub fn read(&self, at: VirtAddr, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        assert_eq!(self.live.read_mem(self.pid, at, &mut bytes), Ok(length));
        bytes
    }

    /// Registers and memory as the run is to find them.
    pub fn prepare(&mut self, setup: &Setup, pc: VirtAddr) {
        self.write(OPERANDS, &setup.operands);
        self.write(STACK, &setup.stack);
        self.write(EDGE, &setup.operands);
        if let Some(vectors) = &setup.vectors {
            let mut image = vec![0; VECTOR_BYTES];
            image[0..2].copy_from_slice(&0x037fu16.to_le_bytes());
            image[24..28].copy_from_slice(&0x1f80u32.to_le_bytes());
            image[160..416].copy_from_slice(&vectors[0]);
            // XSTATE_BV: x87, SSE and AVX are in the image; whatever else there is starts anew.
            image[512] = 7;
            image[576..832].copy_from_slice(&vectors[1]);
            self.write(VECTORS_LOADED, &image);
            self.stub(STUBS.offset(16), VECTORS_LOADED);
        }
        self.live.set_regs(self.tid, &Regs { rip: pc.0, ..setup.regs }).expect("registers are set");
    }

    fn stub(&mut self, stub: VirtAddr, area: VirtAddr) {
        let regs = Regs { rip: stub.0, rdi: area.0, rax: u64::MAX, rdx: u64::MAX, orig_rax: u64::MAX, ..self.blank };
        self.live.set_regs(self.tid, &regs).expect("registers are set");
        assert_eq!(self.go(ResumeHow::Continue), WaitStatus::SignalDelivery(Signal::TRAP));
        assert_eq!(self.regs().rip, stub.0 + 5, "an exception in a stub");
    }

    /// Steps while the pc is in `start..end`.
    pub fn step_through(&mut self, start: VirtAddr, end: VirtAddr) -> Ending {
        for _ in 0..MOST_STEPS {
            match self.go(ResumeHow::Step) {
                WaitStatus::SignalDelivery(Signal::TRAP) => {}
                WaitStatus::SignalDelivery(signal) => return Ending::Fault(signal),
                other => panic!("a step ended in {other:?}"),
            }
            if !(start.0..end.0).contains(&self.regs().rip) {
                break;
            }
        }
        Ending::Done
    }

    /// The instruction in its place, by the CPU.
    pub fn execute(&mut self, instruction: &[u8], setup: &Setup) -> Outcome {
        let mut code = [0xcc; 16];
        code[..instruction.len()].copy_from_slice(instruction);
        self.write(SITE, &code);
        self.prepare(setup, SITE);
        let ending = self.step_through(SITE, SITE.offset(1));
        self.outcome(setup, ending)
    }

    /// What there is now.
    pub fn outcome(&mut self, setup: &Setup, ending: Ending) -> Outcome {
        let regs = self.regs();
        let (operands, stack) = (self.read(OPERANDS, WINDOW), self.read(STACK, WINDOW));
        let vectors = setup.vectors.is_some().then(|| {
            self.stub(STUBS, VECTORS);
            let mut image = self.read(VECTORS, VECTOR_BYTES);
            // Where the last x87 instruction stood is what differs, and XSTATE_BV tells what the CPU has kept track of.
            image[6..24].fill(0);
            image[512..576].fill(0);
            image
        });
        Outcome { ending, regs, operands, stack, vectors }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.live.kill(self.pid, Signal::KILL);
        while let Ok(Some((_, status))) = self.live.wait(true) {
            if matches!(status, WaitStatus::Exited { .. } | WaitStatus::Signaled { .. }) {
                break;
            }
        }
    }
}
