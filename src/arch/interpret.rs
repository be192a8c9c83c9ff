//! A small function of the process carried out without the process: what an IFUNC's resolver would choose.

use std::collections::HashMap;

use iced_x86::Instruction;

use crate::base::{MemError, Memory, ReadMem, Regs, VirtAddr};

use super::disassemble::format_instruction;
use super::scalar::run_scalar;
use super::step_over::{decode_one, emulation_of};
use super::vector::VectorFile;
use super::ArchError;

/// Where the interpreted function returns to: the page past the last of user space, so that nothing real can be there.
const RETURN: VirtAddr = VirtAddr(0x7fff_ffff_f000);

/// What the psABI leaves to a function below its stack pointer (3.2.2).
const RED_ZONE: u64 = 128;

/// Runs the function at `entry`, as if called with `regs` (rsp is a thread's own stack pointer, or any address), until
/// it returns, and gives its result, rax. The memory is only read: what the function writes goes to a private overlay.
/// An instruction whose answer only the CPU knows (cpuid, xgetbv), or that is not emulated, is an error.
pub fn interpret_function(
    entry: VirtAddr,
    regs: Regs,
    mem: &dyn ReadMem,
    max_instructions: u32,
) -> Result<u64, ArchError> {
    let mut regs = regs;
    let mut overlay = Overlay { below: mem, written: HashMap::new() };
    // At a function's entry rsp + 8 is a multiple of 16.
    regs.rsp = (regs.rsp.wrapping_sub(RED_ZONE) & !0xf).wrapping_sub(8);
    overlay.write_mem(regs.sp(), &RETURN.0.to_le_bytes())?;
    regs.rip = entry.0;
    let mut vectors = VectorFile::default();
    for _ in 0..max_instructions {
        let at = regs.pc();
        let instruction = fetch(&overlay, at)?;
        step(&instruction, &mut regs, &mut vectors, &mut overlay)?
            .ok_or_else(|| ArchError::NotInterpretable { at, text: format_instruction(&instruction) })?;
        if regs.pc() == RETURN {
            return Ok(regs.rax);
        }
    }
    Err(ArchError::TooLong { entry, limit: max_instructions })
}

/// `None` for an instruction that is not known.
fn step(
    instruction: &Instruction,
    regs: &mut Regs,
    vectors: &mut VectorFile,
    mem: &mut dyn Memory,
) -> Result<Option<()>, ArchError> {
    if let Some(emulation) = emulation_of(instruction) {
        return emulation.run(regs, mem).map(Some);
    }
    let done = match run_scalar(instruction, regs, mem)? {
        Some(()) => Some(()),
        None => vectors.run(instruction, regs, mem)?,
    };
    regs.rip = instruction.next_ip();
    Ok(done)
}

fn fetch(mem: &dyn ReadMem, at: VirtAddr) -> Result<Instruction, ArchError> {
    let mut bytes = [0; 15];
    let got = mem.read_mem(at, &mut bytes)?;
    decode_one(at, bytes.get(..got).unwrap_or_default())
}

/// Memory whose writes stay here.
struct Overlay<'a> {
    below: &'a dyn ReadMem,
    written: HashMap<VirtAddr, u8>,
}

impl ReadMem for Overlay<'_> {
    fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
        let below = self.below.read_mem(at, buf);
        let mut known = below.unwrap_or(0);
        for (index, byte) in buf.iter_mut().enumerate() {
            match self.written.get(&at.offset(index as u64)) {
                Some(written) => {
                    *byte = *written;
                    known = known.max(index + 1);
                }
                None if index >= known => break,
                None => {}
            }
        }
        if known == 0 {
            below
        } else {
            Ok(known)
        }
    }
}

impl Memory for Overlay<'_> {
    fn write_mem(&mut self, at: VirtAddr, bytes: &[u8]) -> Result<(), MemError> {
        self.written.extend((0u64..).zip(bytes).map(|(index, byte)| (at.offset(index), *byte)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_memory::TestMemory;
    use super::*;

    fn interpret(code: &[u8], regs: Regs, limit: u32) -> Result<u64, ArchError> {
        let mem = TestMemory { base: VirtAddr(0x1000), bytes: code.to_vec() };
        interpret_function(VirtAddr(0x1000), regs, &mem, limit)
    }

    #[test]
    fn calls_and_stack_writes_stay_in_the_overlay() {
        // push rbx; mov rbx, rdi; call f; add rax, rbx; pop rbx; ret; f: mov eax, 5; ret
        let code = [0x53, 0x48, 0x89, 0xfb, 0xe8, 0x05, 0, 0, 0, 0x48, 0x01, 0xd8, 0x5b, 0xc3, 0xb8, 5, 0, 0, 0, 0xc3];
        assert_eq!(interpret(&code, Regs { rdi: 37, rsp: 0x9000, ..Regs::default() }, 100), Ok(42));
    }

    #[test]
    fn endless_loops_and_questions_to_the_cpu_are_errors() {
        assert!(matches!(interpret(&[0xeb, 0xfe], Regs::default(), 50), Err(ArchError::TooLong { limit: 50, .. })));
        let cpuid = interpret(&[0x0f, 0xa2, 0xc3], Regs::default(), 50);
        assert_eq!(cpuid, Err(ArchError::NotInterpretable { at: VirtAddr(0x1000), text: "cpuid".to_owned() }));
        assert!(matches!(interpret(&[0x0f, 0x01, 0xd0], Regs::default(), 9), Err(ArchError::NotInterpretable { .. })));
        assert!(matches!(interpret(&[0x90], Regs::default(), 9), Err(ArchError::Memory(_))));
    }

    /// A process's memory.
    struct Live(std::fs::File);

    impl ReadMem for Live {
        fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, MemError> {
            std::os::unix::fs::FileExt::read_at(&self.0, buf, at.0).map_err(|_| MemError::Unmapped(at))
        }
    }

    /// A `cat` that has answered once, so that its loader is done.
    fn running_cat() -> std::process::Child {
        use std::io::{Read, Write};
        use std::process::{Command, Stdio};
        let mut cat =
            Command::new("cat").env("LD_BIND_NOW", "1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        cat.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        cat.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        cat
    }

    /// One mapping's range and path, from /proc/PID/maps.
    fn range(line: &str) -> std::ops::Range<u64> {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        u64::from_str_radix(start, 16).unwrap()..u64::from_str_radix(end, 16).unwrap()
    }

    /// The functions that the loader has bound a program's imports to, by name.
    fn bound_imports(exe: &[u8], base: u64, mem: &dyn ReadMem) -> HashMap<String, u64> {
        use object::{Object, ObjectSymbol, ObjectSymbolTable, RelocationTarget};
        let file = object::File::parse(exe).unwrap();
        let symbols = file.dynamic_symbol_table().unwrap();
        let import = |(at, relocation): (u64, object::Relocation)| {
            let RelocationTarget::Symbol(index) = relocation.target() else { return None };
            let name = symbols.symbol_by_index(index).ok()?.name().ok()?.to_owned();
            Some((name, mem.read_u64(VirtAddr(base + at)).ok()?))
        };
        file.dynamic_relocations().unwrap().filter_map(import).collect()
    }

    #[test]
    fn every_resolver_of_a_running_libc_chooses_what_the_loader_chose() {
        use object::{Object, ObjectSymbol, SymbolFlags};
        const STT_GNU_IFUNC: u8 = 10;
        let mut cat = running_cat();
        let proc = std::path::PathBuf::from(format!("/proc/{}", cat.id()));
        let maps = std::fs::read_to_string(proc.join("maps")).unwrap();
        let code: Vec<_> = maps.lines().filter(|line| line.contains(" r-xp ")).map(range).collect();
        // A system whose C library is another one, or static, has nothing to check.
        let Some(libc) = maps.lines().find(|line| line.ends_with("/libc.so.6")) else {
            cat.kill().unwrap();
            cat.wait().unwrap();
            return;
        };
        let mem = Live(std::fs::File::open(proc.join("mem")).unwrap());
        let exe = std::fs::read(proc.join("exe")).unwrap();
        let bound = bound_imports(&exe, range(maps.lines().next().unwrap()).start, &mem);
        let bytes = std::fs::read(&libc[libc.find('/').unwrap()..]).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let regs = Regs { rsp: 0x7000_0000_0000, ..Regs::default() };
        // By name, as two versions of one function have two resolvers.
        let (mut chosen, mut failures) = (HashMap::<String, Vec<u64>>::new(), Vec::new());
        for symbol in file.dynamic_symbols() {
            if !matches!(symbol.flags(), SymbolFlags::Elf { st_info, .. } if st_info & 15 == STT_GNU_IFUNC) {
                continue;
            }
            let name = symbol.name().unwrap();
            let entry = VirtAddr(range(libc).start + symbol.address());
            match interpret_function(entry, regs, &mem, 100_000) {
                Ok(at) if code.iter().any(|range| range.contains(&at)) => {
                    chosen.entry(name.to_owned()).or_default().push(at);
                }
                other => failures.push(format!("{name}: {other:x?}")),
            }
        }
        cat.kill().unwrap();
        cat.wait().unwrap();
        assert!(failures.is_empty(), "{failures:#?}");
        let both: Vec<_> = bound.iter().filter_map(|(name, at)| Some((name, at, chosen.get(name)?))).collect();
        assert!(both.len() > 5, "{both:x?}");
        for (name, loader, ours) in both {
            assert!(ours.contains(loader), "{name}: the loader chose {loader:#x}, not {ours:x?}");
        }
    }
}
