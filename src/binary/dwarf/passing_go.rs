//! Where a Go function's arguments are when it is entered: Go's own convention on amd64 since 1.17, "ABIInternal"
//! (src/cmd/compile/abi-internal.md of Go's sources), whose units say `regabi` in DW_AT_producer.

use super::entry::EntryId;
use super::location::{Piece, Source};
use super::types::{Encoding, Shape, TypeId, Types};

/// rax, rbx, rcx, rdi, rsi, r8 to r11 by their DWARF numbers.
const INTEGERS: [u16; 9] = [0, 3, 2, 5, 4, 8, 9, 10, 11];
/// DWARF's number of xmm0, and how many of them hold arguments.
const FIRST_XMM: u16 = 17;
const XMM_COUNT: u16 = 15;
/// Aggregates in aggregates deeper than this are taken for memory.
const DEPTH: u32 = 16;

/// What has been given out so far, and the parts of the argument at hand.
#[derive(Clone, Default)]
struct Given {
    integers: usize,
    floats: u16,
    /// Offset in the value, bytes, and the register's number.
    parts: Vec<(u64, u64, u16)>,
}

impl Given {
    fn integer(&mut self, at: u64, size: u64) -> Option<()> {
        self.parts.push((at, size, *INTEGERS.get(self.integers)?));
        self.integers += 1;
        Some(())
    }

    fn float(&mut self, at: u64, size: u64) -> Option<()> {
        (self.floats < XMM_COUNT).then(|| self.parts.push((at, size, FIRST_XMM + self.floats)))?;
        self.floats += 1;
        Some(())
    }
}

impl Types<'_> {
    /// Whether an entry's unit is Go's with arguments in registers.
    pub fn is_go(&self, entry: EntryId) -> bool {
        let producer = self.session.producer_text(entry.unit).unwrap_or_default();
        producer.starts_with("Go cmd/compile") && producer.contains("regabi")
    }

    /// Where a parameter of a Go function is at its first instruction; `None`: it is a result, or none of its parameters.
    /// `cfa` is the address behind the return address.
    pub fn go_argument(&self, function: EntryId, parameter: EntryId, cfa: u64) -> Option<Vec<Piece>> {
        let mut given = Given::default();
        let mut stack = 0;
        for one in self.session.children(function).ok()? {
            let is_parameter = one.tag == gimli::DW_TAG_formal_parameter && !one.flag(gimli::DW_AT_variable_parameter);
            if !is_parameter {
                continue;
            }
            let ty = self.type_of(&one);
            let size = self.size(ty);
            // Whole in registers, or whole on the stack.
            let mut tried = Given { parts: Vec::new(), ..given.clone() };
            let fits = self.go_registers(ty, 0, &mut tried, DEPTH).is_some();
            if fits {
                given = tried;
            } else {
                stack = u64::checked_next_multiple_of(stack, self.go_alignment(ty, DEPTH))?;
            }
            if one.id == parameter {
                return Some(match fits {
                    true => pieces(&given.parts, size),
                    false => vec![Piece { source: Source::Memory(cfa.wrapping_add(stack)), bits: None, first: 0 }],
                });
            }
            if !fits {
                stack = stack.checked_add(size)?;
            }
        }
        None
    }

    /// Gives a value's parts their registers; `None`: there are not enough, or it does not go into registers.
    fn go_registers(&self, id: TypeId, at: u64, given: &mut Given, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let view = self.view(id);
        match view.shape {
            Shape::Base(Encoding::Float) => given.float(at, view.size),
            Shape::Base(Encoding::Complex) => {
                given.float(at, view.size / 2)?;
                given.float(at + view.size / 2, view.size / 2)
            }
            Shape::Record => {
                self.members(id).iter().try_for_each(|one| self.go_registers(one.ty, at + one.offset, given, depth))
            }
            Shape::Array(_, Some(0)) => Some(()),
            Shape::Array(of, Some(1)) => self.go_registers(of, at, given, depth),
            Shape::Array(..) => None,
            _ => given.integer(at, view.size.clamp(1, 8)),
        }
    }

    fn go_alignment(&self, id: TypeId, depth: u32) -> u64 {
        let Some(depth) = depth.checked_sub(1) else { return 8 };
        let view = self.view(id);
        match view.shape {
            Shape::Array(of, _) => self.go_alignment(of, depth),
            Shape::Record => self.members(id).iter().map(|one| self.go_alignment(one.ty, depth)).max().unwrap_or(1),
            Shape::Base(Encoding::Complex) => (view.size / 2).clamp(1, 8),
            _ => view.size.clamp(1, 8).next_power_of_two(),
        }
    }
}

/// The parts in order, with what lies between them as zeros.
fn pieces(parts: &[(u64, u64, u16)], size: u64) -> Vec<Piece> {
    if let [(0, bytes, register)] = parts {
        if *bytes == size {
            return vec![Piece { source: Source::Register(*register), bits: None, first: 0 }];
        }
    }
    let piece = |source, bytes: u64| Piece { source, bits: Some(8 * bytes), first: 0 };
    let mut all = Vec::new();
    let mut at = 0;
    for (start, bytes, register) in parts {
        if *start > at {
            all.push(piece(Source::Bytes(vec![0; 16]), (*start - at).min(16)));
        }
        all.push(piece(Source::Register(*register), *bytes));
        at = start + bytes;
    }
    if size > at {
        all.push(piece(Source::Bytes(vec![0; 16]), (size - at).min(16)));
    }
    all
}
