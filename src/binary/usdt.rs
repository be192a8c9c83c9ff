//! Static probe points of user programs: what .note.stapsdt says of each `DTRACE_PROBE` or `STAP_PROBE` in the source
//! (SystemTap's "User Space Probe Implementation", sys/sdt.h).

use super::Module;
use crate::arch::Register;
use crate::base::{FileAddr, ReadMem, Regs, VirtAddr};

/// NT_STAPSDT.
const NT_STAPSDT: u32 = 3;
const OWNER: &[u8] = b"stapsdt\0";
/// No file has more that anybody probes.
const MOST_PROBES: usize = 1 << 16;
/// _SDT_ARG allows twelve.
const MOST_ARGUMENTS: usize = 16;

/// A place in the code, a `nop`, at which the program offers arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsdtProbe {
    /// Whose it is, by the source.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// The `nop`.
    pub at: FileAddr,
    /// A 16-bit counter of who listens: while it is 0 the program may spare itself the arguments.
    pub semaphore: Option<FileAddr>,
    /// Its arguments; `None` for one whose operand is not understood (one in a vector register).
    pub arguments: Vec<Option<UsdtOperand>>,
}

/// An argument: `-4@-20(%rbp)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsdtOperand {
    /// 1, 2, 4 or 8.
    bytes: u8,
    sign: Sign,
    place: Place,
}

/// Whether an argument has a sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sign {
    Signed,
    Unsigned,
}

/// Where an argument is, as the assembler was told.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    /// `$5`.
    Constant(i64),
    /// `%eax`.
    Register(Register),
    /// `8(%rax,%rbx,4)`; with a symbol, `total+8(%rip)`.
    Memory { symbol: Option<String>, offset: i64, base: Option<Register>, index: Option<(Register, u8)> },
}

impl Module {
    /// The file's static probe points, in the order of its notes.
    pub fn usdt_probes(&self) -> Vec<UsdtProbe> {
        let sections = self.sections();
        // The note holds where .stapsdt.base was when the file was linked; a prelinked file has it elsewhere.
        let base = sections.iter().find(|one| one.name == ".stapsdt.base").map(|one| one.addr.0);
        let mut found = Vec::new();
        let mut rest = self.section_bytes(".note.stapsdt").unwrap_or_default();
        while let Some((descriptor, after)) = next_note(rest) {
            rest = after;
            found.extend(descriptor.and_then(|one| parse_descriptor(one, base)));
            if found.len() >= MOST_PROBES {
                break;
            }
        }
        found
    }
}

/// The descriptor of the next note, if it is a probe's, and what follows the note.
fn next_note(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (name, descriptor, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
    let begin = 12usize.checked_add(name.checked_next_multiple_of(4)?)?;
    let end = begin.checked_add(descriptor)?;
    let owner = bytes.get(12..12usize.checked_add(name)?)?;
    let descriptor = bytes.get(begin..end)?;
    let after = bytes.get(end.checked_next_multiple_of(4)?..).unwrap_or_default();
    Some(((kind == NT_STAPSDT && owner == OWNER).then_some(descriptor), after))
}

fn parse_descriptor(bytes: &[u8], base: Option<u64>) -> Option<UsdtProbe> {
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let (pc, linked, semaphore) = (word(0)?, word(8)?, word(16)?);
    let moved = base.map_or(0, |base| base.wrapping_sub(linked));
    let mut texts = bytes.get(24..)?.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
    let (provider, name, arguments) = (texts.next()?, texts.next()?, texts.next()?);
    Some(UsdtProbe {
        provider,
        name,
        at: FileAddr(pc.wrapping_add(moved)),
        semaphore: (semaphore != 0).then(|| FileAddr(semaphore.wrapping_add(moved))),
        arguments: split_operands(&arguments).into_iter().take(MOST_ARGUMENTS).map(parse_operand).collect(),
    })
}

/// Operands are parted by blanks; within parentheses there can be some too.
fn split_operands(text: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found.retain(|one| !one.is_empty());
    found
}

fn parse_operand(text: &str) -> Option<UsdtOperand> {
    let (size, place) = text.split_once('@')?;
    let (sign, size) = match size.strip_prefix('-') {
        Some(size) => (Sign::Signed, size),
        None => (Sign::Unsigned, size),
    };
    let bytes: u8 = size.parse().ok().filter(|bytes| matches!(bytes, 1 | 2 | 4 | 8))?;
    Some(UsdtOperand { bytes, sign, place: parse_place(place)? })
}

fn parse_place(text: &str) -> Option<Place> {
    let register = |text: &str| Register::find(text.trim().strip_prefix('%')?);
    if let Some(constant) = text.strip_prefix('$') {
        return parse_number(constant).map(Place::Constant);
    }
    if text.starts_with('%') {
        return register(text).map(Place::Register);
    }
    let (front, inner) = match text.split_once('(') {
        Some((front, inner)) => (front, Some(inner.strip_suffix(')')?)),
        None => (text, None),
    };
    let (symbol, offset) = parse_displacement(front)?;
    let mut parts = inner.unwrap_or_default().split(',');
    let base = match parts.next().map(str::trim) {
        Some("") | None => None,
        Some(name) => Some(register(name)?),
    };
    let index = match parts.next() {
        Some(name) => Some((register(name)?, parts.next().map_or(Some(1), |scale| scale.trim().parse().ok())?)),
        None => None,
    };
    Some(Place::Memory { symbol, offset, base, index })
}

/// `-20`, `total`, `total+8`, `8+total`.
fn parse_displacement(text: &str) -> Option<(Option<String>, i64)> {
    if text.is_empty() {
        return Some((None, 0));
    }
    if let Some(number) = parse_number(text) {
        return Some((None, number));
    }
    let at = text[1..].find(['+', '-']).map(|at| at + 1);
    let Some(at) = at else { return Some((Some(text.to_owned()), 0)) };
    let (first, second) = text.split_at(at);
    let second = second.strip_prefix('+').unwrap_or(second);
    match (parse_number(first), parse_number(second)) {
        (None, Some(offset)) => Some((Some(first.to_owned()), offset)),
        (Some(offset), None) => Some((Some(second.to_owned()), offset)),
        _ => None,
    }
}

fn parse_number(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { (value as i64).wrapping_neg() } else { value as i64 })
}

impl UsdtOperand {
    /// The argument's value. `symbol_address` is where a name of the module is in the process.
    pub fn read(
        &self,
        regs: &Regs,
        memory: &dyn ReadMem,
        symbol_address: &dyn Fn(&str) -> Option<VirtAddr>,
    ) -> Option<u64> {
        let raw = match &self.place {
            Place::Constant(value) => *value as u64,
            Place::Register(register) => register.read(regs),
            Place::Memory { symbol, offset, base, index } => {
                let of_symbol = symbol.as_ref().map_or(Some(0), |name| Some(symbol_address(name)?.0))?;
                // A symbol's address is already where rip would lead to.
                let base = base.filter(|register| symbol.is_none() || register.name() != "rip");
                let of_base = base.map_or(0, |register| register.read(regs));
                let indexed = index.map_or(0, |(register, scale)| register.read(regs).wrapping_mul(scale.into()));
                let at = VirtAddr(of_symbol.wrapping_add(of_base).wrapping_add(indexed).wrapping_add(*offset as u64));
                let mut bytes = [0; 8];
                memory.read_exact(at, &mut bytes[..usize::from(self.bytes)]).ok()?;
                u64::from_le_bytes(bytes)
            }
        };
        let unused = 64 - 8 * u32::from(self.bytes);
        Some(match self.sign {
            Sign::Signed => ((raw << unused) as i64 >> unused) as u64,
            Sign::Unsigned => raw << unused >> unused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(u64, Vec<u8>);
    impl ReadMem for Bytes {
        fn read_mem(&self, at: VirtAddr, buf: &mut [u8]) -> Result<usize, crate::base::MemError> {
            let from = at.0.checked_sub(self.0).ok_or(crate::base::MemError::Unmapped(at))? as usize;
            let tail = self.1.get(from..).ok_or(crate::base::MemError::Unmapped(at))?;
            let length = tail.len().min(buf.len());
            buf[..length].copy_from_slice(&tail[..length]);
            Ok(length)
        }
    }

    #[test]
    fn every_form_of_an_operand_is_read() {
        let regs = Regs { rax: 0xffff_ffff_8000_00f0, rbx: 2, rbp: 0x1010, rsp: 0x1000, ..Regs::default() };
        let memory = Bytes(0x1000, (0..64).collect());
        let symbol = |name: &str| (name == "total").then_some(VirtAddr(0x1020));
        let read = |text: &str| parse_operand(text).and_then(|one| one.read(&regs, &memory, &symbol));
        assert_eq!(read("-4@$-5"), Some((-5i64) as u64));
        assert_eq!(read("4@$0x10"), Some(16));
        assert_eq!(read("8@%rax"), Some(regs.rax));
        assert_eq!(read("4@%eax"), Some(0x8000_00f0));
        assert_eq!(read("-4@%eax"), Some(0xffff_ffff_8000_00f0));
        assert_eq!(read("-1@%al"), Some((-16i64) as u64));
        assert_eq!(read("1@-8(%rbp)"), Some(8));
        assert_eq!(read("2@(%rsp,%rbx,4)"), Some(0x0908));
        assert_eq!(read("2@1(%rsp, %rbx, 4)"), Some(0x0a09));
        assert_eq!(read("1@total(%rip)"), Some(0x20));
        assert_eq!(read("1@total+3(%rip)"), Some(0x23));
        assert_eq!(read("1@0x1005"), Some(5));
        assert_eq!(read("8@unknown(%rip)"), None, "no such symbol");
        assert_eq!(read("8@(%rax)"), None, "not mapped");
        for bad in ["", "8", "3@%rax", "8f@%xmm0", "8@%xmm0", "8@%nothing", "8@(%rax", "8@4(%rax,%rbx,x)"] {
            assert_eq!(parse_operand(bad), None, "{bad}");
        }
    }

    #[test]
    fn operands_are_parted_by_blanks_outside_of_parentheses() {
        assert_eq!(split_operands("8@%rdi -4@4(%rax, %rbx, 2)  2@$1"), ["8@%rdi", "-4@4(%rax, %rbx, 2)", "2@$1"]);
        assert!(split_operands("").is_empty());
    }

    #[test]
    fn a_note_that_is_cut_off_ends_the_list() {
        let mut note = Vec::new();
        let descriptor = [&[0u8; 24][..], b"p\0n\08@%rdi\0"].concat();
        for word in [8, descriptor.len() as u32, NT_STAPSDT] {
            note.extend(word.to_le_bytes());
        }
        note.extend(OWNER);
        note.extend(&descriptor);
        note.resize(note.len().next_multiple_of(4), 0);
        let (found, rest) = next_note(&note).unwrap();
        assert_eq!(parse_descriptor(found.unwrap(), None).unwrap().name, "n");
        assert!(rest.is_empty());
        for length in 0..descriptor.len() {
            assert!(next_note(&note[..length]).is_none());
        }
    }
}
