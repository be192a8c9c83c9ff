//! The CPU is the oracle of emulation and of copies out of line: from one state of registers and memory, the instruction
//! in its place and what rdbg does in its stead must come to the same.
//!
//! fixtures/instruction_forms.txt has one instruction of each form that stands at the entry of a function of Envoy,
//! workerd, node and Debian's libc, and others by hand. Where the real files are there, what they have besides is
//! tried too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ::rdbg::arch::{plan_out_of_line, plan_step_over, ArchError, Emulation, OutOfLine, StepOver};
use ::rdbg::base::{Inferior, MemError, Memory, ReadMem, Regs, Signal, VirtAddr};
use iced_x86::{Mnemonic, RflagsBits};

use crate::support::forms::{forms_at_entries, parse_corpus, Sample};
use crate::support::sandbox::{Ending, Outcome, Sandbox, Setup, SITE, SLOT};
use crate::support::states::{prepare_state, Operands, Random};
use crate::support::target_dir;

const CORPUS: &str = include_str!("../../fixtures/instruction_forms.txt");
/// States tried for each form: most with operands that can be used, some with each kind that cannot.
const STATES: u64 = 24;

/// What no site can be at: a trap of the program's own, and branches that Intel's and AMD's CPUs take differently.
const REFUSED: [&str; 3] = ["66c3", "66e90000", "cc"];

/// What rdbg does with a form.
#[derive(Default)]
struct Tally {
    emulated: u64,
    copied: u64,
    refused: Vec<String>,
    faults: u64,
    undefined: BTreeMap<String, BTreeSet<&'static str>>,
    wrong: Vec<String>,
}

/// The process's memory as emulation uses it.
struct SandboxMemory<'a>(&'a mut Sandbox);

impl ReadMem for SandboxMemory<'_> {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        self.0.live.load(self.0.tid, at, buf).map(|()| buf.len())
    }
}

impl Memory for SandboxMemory<'_> {
    fn write_mem(&mut self, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        self.0.live.store(self.0.tid, at, bytes)
    }
}

fn by_copy(sandbox: &mut Sandbox, copy: &OutOfLine, setup: &Setup) -> Outcome {
    let code = copy.code_at(SLOT).expect("the slot is near");
    sandbox.write(SLOT, &code);
    // The site is armed while its copy runs.
    sandbox.write(SITE, &[0xcc]);
    sandbox.prepare(setup, SLOT);
    let end = SLOT.offset(u64::from(copy.copied_length()));
    let mut ending = sandbox.step_through(SLOT, end);
    if sandbox.regs().pc() == end && ending == Ending::Done {
        // The jump back.
        ending = sandbox.step_through(end, end.offset(1));
    }
    let mut outcome = sandbox.outcome(setup, ending);
    if let Some(original) = copy.original_pc(SLOT, outcome.regs.pc()) {
        outcome.regs.rip = original.0;
    }
    outcome
}

/// An emulation that fails is left to a copy or to the CPU: then nothing may have changed.
fn by_emulation(sandbox: &mut Sandbox, emulation: &Emulation, setup: &Setup) -> Outcome {
    sandbox.prepare(setup, SITE);
    let mut regs = sandbox.regs();
    let ending = match emulation.run(&mut regs, &mut SandboxMemory(sandbox)) {
        Ok(()) => Ending::Done,
        Err(ArchError::Memory(_) | ArchError::NotCanonical(_)) => Ending::Fault(Signal::SEGV),
        Err(other) => panic!("an emulation ended in {other}"),
    };
    sandbox.live.set_regs(sandbox.tid, &regs).expect("registers are set");
    sandbox.outcome(setup, ending)
}

const FLAGS: [(u32, u64, &str); 7] = [
    (RflagsBits::CF, 1, "CF"),
    (RflagsBits::PF, 1 << 2, "PF"),
    (RflagsBits::AF, 1 << 4, "AF"),
    (RflagsBits::ZF, 1 << 6, "ZF"),
    (RflagsBits::SF, 1 << 7, "SF"),
    (RflagsBits::DF, 1 << 10, "DF"),
    (RflagsBits::OF, 1 << 11, "OF"),
];

/// Registers that no two executions need agree on: the clock, random numbers, the CPU's number, and what `syscall`
/// leaves of the address behind it, which the system call ABI says is destroyed.
fn arbitrary(sample: &Sample) -> &'static [&'static str] {
    match sample.instruction.mnemonic() {
        Mnemonic::Rdtsc => &["rax", "rdx"],
        Mnemonic::Rdtscp | Mnemonic::Rdpid => &["rax", "rdx", "rcx"],
        Mnemonic::Cpuid => &["rax", "rbx", "rcx", "rdx"],
        Mnemonic::Syscall => &["rcx", "r11"],
        _ => &[],
    }
}

fn registers(regs: &Regs) -> [(&'static str, u64); 24] {
    [
        ("rax", regs.rax),
        ("rbx", regs.rbx),
        ("rcx", regs.rcx),
        ("rdx", regs.rdx),
        ("rsi", regs.rsi),
        ("rdi", regs.rdi),
        ("rbp", regs.rbp),
        ("rsp", regs.rsp),
        ("r8", regs.r8),
        ("r9", regs.r9),
        ("r10", regs.r10),
        ("r11", regs.r11),
        ("r12", regs.r12),
        ("r13", regs.r13),
        ("r14", regs.r14),
        ("r15", regs.r15),
        ("rip", regs.rip),
        ("cs", regs.cs),
        ("ss", regs.ss),
        ("ds", regs.ds),
        ("es", regs.es),
        ("fs", regs.fs),
        ("fs_base", regs.fs_base),
        ("gs_base", regs.gs_base),
    ]
}

/// What differs, but for what the manual leaves open; undefined flags that differ are noted.
fn compare(sample: &Sample, cpu: &Outcome, ours: &Outcome, tally: &mut Tally) -> Vec<String> {
    let mut wrong = Vec::new();
    if cpu.ending != ours.ending {
        wrong.push(format!("ended in {:?}, not in {:?}", ours.ending, cpu.ending));
    }
    let free = arbitrary(sample);
    for ((name, want), (_, got)) in registers(&cpu.regs).into_iter().zip(registers(&ours.regs)) {
        if want != got && !free.contains(&name) {
            wrong.push(format!("{name} is {got:#x}, not {want:#x}"));
        }
    }
    let undefined = sample.instruction.rflags_undefined();
    for (bit, mask, name) in FLAGS {
        if (cpu.regs.eflags ^ ours.regs.eflags) & mask != 0 {
            if undefined & bit != 0 {
                tally.undefined.entry(format!("{:?}", sample.instruction.mnemonic())).or_default().insert(name);
            } else {
                wrong.push(format!("{name} is {}, not", u8::from(ours.regs.eflags & mask != 0)));
            }
        }
    }
    for (name, want, got) in [("operands", &cpu.operands, &ours.operands), ("stack", &cpu.stack, &ours.stack)] {
        if let Some(at) = (0..want.len()).find(|at| want[*at] != got[*at]) {
            wrong.push(format!("byte {at:#x} of the {name} is {:#x}, not {:#x}", got[at], want[at]));
        }
    }
    if let (Some(want), Some(got)) = (&cpu.vectors, &ours.vectors) {
        if let Some(at) = (0..want.len()).find(|at| want[*at] != got[*at]) {
            wrong.push(format!("byte {at:#x} of the vector registers is {:#x}, not {:#x}", got[at], want[at]));
        }
    }
    wrong
}

fn try_form(sandbox: &mut Sandbox, sample: &Sample, tally: &mut Tally) {
    if plan_step_over(SITE, &sample.bytes).is_err() {
        tally.refused.push(sample.hex());
        return;
    }
    let mut random = Random::seeded_by(&sample.bytes);
    for number in 0..STATES {
        let Some((sample, setup)) = prepare_state(sample, sandbox, Operands::of_state(number), &mut random) else {
            continue;
        };
        let (emulation, copy) = match plan_step_over(SITE, &sample.bytes) {
            Ok(StepOver::Emulate(emulation)) => (Some(emulation), plan_out_of_line(SITE, &sample.bytes).ok()),
            Ok(StepOver::OutOfLine(copy)) => (None, Some(copy)),
            Err(error) => panic!("{}: {error}", sample.text()),
        };
        let cpu = sandbox.execute(&sample.bytes, &setup);
        tally.faults += u64::from(cpu.ending != Ending::Done);
        let mut ways = Vec::new();
        if let Some(copy) = copy {
            ways.push(("copied", by_copy(sandbox, &copy, &setup)));
            tally.copied += 1;
        }
        if let Some(emulation) = emulation {
            ways.push(("emulated", by_emulation(sandbox, &emulation, &setup)));
            tally.emulated += 1;
        }
        for (way, ours) in ways {
            let differences = compare(&sample, &cpu, &ours, tally);
            if !differences.is_empty() {
                let text = sample.text();
                tally.wrong.push(format!(
                    "{way} {text} ({}), state {number}: {}",
                    sample.hex(),
                    differences.join("; ")
                ));
            }
        }
    }
}

/// Every file with entries to look at that is here: name and path.
fn real_files() -> Vec<(&'static str, PathBuf)> {
    let real = target_dir().join("real");
    let libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib64/libc.so.6", "/usr/lib/libc.so.6"];
    let mut files = vec![("envoy", real.join("envoy")), ("workerd", real.join("workerd")), ("node", real.join("node"))];
    files.extend(libc.iter().map(Path::new).find(|path| path.exists()).map(|path| ("libc", path.to_path_buf())));
    files.retain(|(_, path)| path.exists());
    files
}

#[test]
fn every_form_at_a_functions_entry_does_what_the_cpu_does() {
    let corpus = parse_corpus(CORPUS);
    let mut samples: BTreeMap<String, Sample> = BTreeMap::new();
    for sample in corpus {
        samples.entry(sample.form()).or_insert(sample);
    }
    let known = samples.len();
    for (name, path) in real_files() {
        let forms = forms_at_entries(&path);
        let entries: u64 = forms.values().map(|(_, count)| count).sum();
        eprintln!("{name}: {entries} entries, {} forms", forms.len());
        for (form, (sample, count)) in forms {
            samples.entry(form).or_insert_with(|| {
                // For the corpus, as a line of it.
                eprintln!("new {} {} # {count} in {name}", sample.hex(), sample.text());
                sample
            });
        }
    }
    let mut sandbox = Sandbox::start();
    let mut tally = Tally::default();
    for sample in samples.values() {
        try_form(&mut sandbox, sample, &mut tally);
    }
    tally.refused.sort();
    eprintln!(
        "{} forms ({known} of the corpus): {} emulations and {} copies agree with the CPU, {} faults among them",
        samples.len(),
        tally.emulated,
        tally.copied,
        tally.faults
    );
    eprintln!("undefined flags that differ: {:?}", tally.undefined);
    let refused: Vec<&str> = tally.refused.iter().map(String::as_str).collect();
    assert_eq!(refused, REFUSED);
    assert!(tally.wrong.is_empty(), "{} differ:\n{}", tally.wrong.len(), tally.wrong.join("\n"));
}
