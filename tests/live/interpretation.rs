//! The interpreter, which follows IFUNC resolvers, against the CPU: integer and SSE2 instructions that it alone knows,
//! each as the middle of a function that returns one of the registers, flags or words that it may have changed.

use std::collections::BTreeSet;

use ::rdbg::arch::{interpret_function, plan_step_over, ArchError, StepOver};
use ::rdbg::base::{MemError, ReadMem, VirtAddr};
use iced_x86::{Mnemonic, RflagsBits};

use crate::support::forms::{parse_corpus, Sample};
use crate::support::sandbox::{Ending, Outcome, Sandbox, Setup, OPERANDS, SITE, STACK, WINDOW};
use crate::support::states::{prepare_state, Operands, Random};

const CORPUS: &str = include_str!("../../fixtures/instruction_forms.txt");
const STATES: u64 = 6;
/// Where the interpreted function finds what xmm0 to xmm15 are to hold.
const XMM: VirtAddr = VirtAddr(0x3000_0000);
/// More than the loads before it and what comes after.
const LIMIT: u32 = 64;

/// Code, operands, stack and the xmm registers' image, each at its place.
struct Image<'a> {
    parts: [(VirtAddr, &'a [u8]); 4],
}

impl ReadMem for Image<'_> {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        for (start, bytes) in &self.parts {
            if let Some(rest) = usize::try_from(at.since(*start)).ok().and_then(|offset| bytes.get(offset..)) {
                let length = rest.len().min(buf.len());
                buf[..length].copy_from_slice(&rest[..length]);
                if length > 0 {
                    return Ok(length);
                }
            }
        }
        Err(MemError::Unmapped(at))
    }
}

/// movdqu xmmN, [XMM + 16 N], for each.
fn load_vectors() -> Vec<u8> {
    let mut code = Vec::new();
    for number in 0..16u8 {
        code.push(0xf3);
        code.extend((number >= 8).then_some(0x44));
        code.extend([0x0f, 0x6f, 0x04 | (number & 7) << 3, 0x25]);
        code.extend((XMM.0 as u32 + 16 * u32::from(number)).to_le_bytes());
    }
    code
}

/// Code that moves one result to rax and returns, what it is called, and what the CPU has there.
fn questions(sample: &Sample, setup: &Setup, cpu: &Outcome) -> Vec<(String, Vec<u8>, u64)> {
    let regs = &cpu.regs;
    let general = [
        regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi, regs.rdi, regs.r8, regs.r9, regs.r10,
        regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
    ];
    let mut asked = Vec::new();
    // The interpreter gives the function a stack of its own: rsp is another.
    for (number, value) in general.into_iter().enumerate().filter(|(number, _)| *number != 4) {
        let number = number as u8;
        let code = vec![0x48 | number >> 3 << 2, 0x89, 0xc0 | (number & 7) << 3, 0xc3];
        asked.push((format!("register {number}"), code, value));
    }
    let flags = [
        (RflagsBits::OF, 11, 0x90),
        (RflagsBits::CF, 0, 0x92),
        (RflagsBits::ZF, 6, 0x94),
        (RflagsBits::SF, 7, 0x98),
        (RflagsBits::PF, 2, 0x9a),
    ];
    for (bit, shift, set) in flags {
        if sample.instruction.rflags_undefined() & bit == 0 {
            let code = vec![0x0f, set, 0xc0, 0x0f, 0xb6, 0xc0, 0xc3];
            asked.push((format!("flag {shift}"), code, regs.eflags >> shift & 1));
        }
    }
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    if let Some(vectors) = &cpu.vectors {
        for number in 0..16u8 {
            let at = 160 + 16 * usize::from(number);
            let low = [0x66, 0x48 | number >> 3 << 2, 0x0f, 0x7e, 0xc0 | (number & 7) << 3, 0xc3];
            let down = [0x66, 0x40 | number >> 3, 0x0f, 0x73, 0xd8 | number & 7, 8];
            asked.push((format!("xmm{number}"), low.to_vec(), word(&vectors[at..at + 8])));
            asked.push((format!("high xmm{number}"), [down, low].concat(), word(&vectors[at + 8..at + 16])));
        }
    }
    // Words of memory that have changed, and the first, which has not.
    for at in (0..WINDOW).step_by(8).filter(|at| *at == 0 || setup.operands[*at..at + 8] != cpu.operands[*at..at + 8]) {
        let address = OPERANDS.0 as u32 + at as u32;
        let code = [&[0x48, 0x8b, 0x04, 0x25][..], &address.to_le_bytes(), &[0xc3]].concat();
        asked.push((format!("the operands at {at:#x}"), code, word(&cpu.operands[at..at + 8])));
    }
    asked
}

/// Whether only the interpreter knows it, and it does not use the stack pointer, which is another there.
fn is_for_the_interpreter(sample: &Sample) -> bool {
    let emulated = matches!(plan_step_over(SITE, &sample.bytes), Ok(StepOver::Emulate(_)));
    !emulated && !sample.form().contains("rsp") && sample.instruction.mnemonic() != Mnemonic::Int3
}

#[test]
fn what_the_interpreter_knows_it_does_as_the_cpu_does() {
    let mut sandbox = Sandbox::start();
    let (mut known, mut answers, mut wrong) = (BTreeSet::new(), 0, Vec::new());
    for sample in parse_corpus(CORPUS).iter().filter(|sample| is_for_the_interpreter(sample)) {
        let mut random = Random::seeded_by(&sample.bytes);
        for _ in 0..STATES {
            let Some((sample, setup)) = prepare_state(sample, &sandbox, Operands::Usable, &mut random) else {
                continue;
            };
            let next = SITE.offset(sample.bytes.len() as u64);
            let cpu = sandbox.execute(&sample.bytes, &setup);
            if cpu.ending != Ending::Done || cpu.regs.pc() != next {
                continue;
            }
            let (before, no_vectors) = (load_vectors(), [0; 256]);
            let vectors = setup.vectors.as_ref().map_or(&no_vectors, |halves| &halves[0]);
            let entry = VirtAddr(SITE.0 - before.len() as u64);
            for (what, after, value) in questions(&sample, &setup, &cpu) {
                let code = [&before[..], &sample.bytes, &after].concat();
                let parts = [(entry, &code[..]), (OPERANDS, &setup.operands), (STACK, &setup.stack), (XMM, vectors)];
                match interpret_function(entry, setup.regs, &Image { parts }, LIMIT) {
                    Ok(answer) => {
                        known.insert(format!("{:?}", sample.instruction.mnemonic()));
                        answers += 1;
                        if answer != value {
                            let text = sample.text();
                            wrong.push(format!("{text} ({}): {what} is {answer:#x}, not {value:#x}", sample.hex()));
                        }
                    }
                    Err(ArchError::NotInterpretable { .. }) => break,
                    Err(error) => wrong.push(format!("{} ({}): {error}", sample.text(), sample.hex())),
                }
            }
        }
    }
    eprintln!("{answers} answers about {} instructions agree with the CPU: {known:?}", known.len());
    assert!(known.len() >= 20, "{known:?}");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
