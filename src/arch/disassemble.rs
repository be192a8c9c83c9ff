//! Machine code as text.

use std::fmt::Write;

use iced_x86::{Decoder, DecoderError, DecoderOptions, Formatter, Instruction, IntelFormatter, OpKind};

use crate::base::VirtAddr;

/// One instruction as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DisassembledLine {
    /// Where it is.
    pub at: VirtAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Intel syntax, lower case; `(bad)` for a byte that starts no instruction.
    pub text: String,
}

/// At most `count` instructions from the start of `bytes`, which lie at `at`; an instruction that is cut off at the end
/// is left out. `name_of` names an address, with an offset where needed: a branch's target is shown as
/// `0x1234 <name+8>`, and a rip-relative operand's address so in a comment.
pub fn disassemble(
    at: VirtAddr,
    bytes: &[u8],
    count: u32,
    name_of: &dyn Fn(VirtAddr) -> Option<String>,
) -> Vec<DisassembledLine> {
    let mut formatter = formatter();
    let mut decoder = Decoder::with_ip(64, bytes, at.0, DecoderOptions::NONE);
    let mut lines = Vec::new();
    let mut start = 0;
    for _ in 0..count {
        if start >= bytes.len() {
            break;
        }
        let instruction = decoder.decode();
        if decoder.last_error() == DecoderError::NoMoreBytes {
            break;
        }
        let (length, text) = if instruction.is_invalid() {
            (1, "(bad)".to_owned())
        } else {
            (instruction.len(), text_of(&mut formatter, &instruction, name_of))
        };
        let end = start + length;
        let here = at.offset(start as u64);
        lines.push(DisassembledLine { at: here, bytes: bytes.get(start..end).unwrap_or_default().to_vec(), text });
        start = end;
        if decoder.position() != end {
            if decoder.set_position(end).is_err() {
                break;
            }
            decoder.set_ip(at.0.wrapping_add(end as u64));
        }
    }
    lines
}

/// One instruction, its addresses not named.
pub(super) fn format_instruction(instruction: &Instruction) -> String {
    text_of(&mut formatter(), instruction, &|_| None)
}

fn formatter() -> IntelFormatter {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_small_hex_numbers_in_decimal(false);
    options.set_branch_leading_zeros(false);
    options.set_show_branch_size(false);
    options.set_space_after_operand_separator(true);
    options.set_rip_relative_addresses(true);
    formatter
}

fn text_of(
    formatter: &mut IntelFormatter,
    instruction: &Instruction,
    name_of: &dyn Fn(VirtAddr) -> Option<String>,
) -> String {
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    let name = |target: u64| name_of(VirtAddr(target)).map(|name| format!(" <{name}>")).unwrap_or_default();
    let written = if instruction.op0_kind() == OpKind::NearBranch64 {
        write!(text, "{}", name(instruction.near_branch64()))
    } else if instruction.is_ip_rel_memory_operand() {
        let target = instruction.ip_rel_memory_address();
        write!(text, " # {target:#x}{}", name(target))
    } else {
        Ok(())
    };
    debug_assert!(written.is_ok(), "a String takes all text");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(at: VirtAddr) -> Option<String> {
        match at.0 {
            0x1000 => Some("main".to_owned()),
            0x2000..=0x20ff => Some(format!("table+{}", at.0 - 0x2000)),
            _ => None,
        }
    }

    #[test]
    fn targets_are_named_and_text_is_intel_syntax() {
        let bytes = [
            0x55, 0x48, 0x83, 0xec, 0x08, // push rbp; sub rsp, 8
            0xe8, 0xf6, 0xff, 0xff, 0xff, // call 0x1000
            0x48, 0x8b, 0x05, 0xff, 0x0f, 0x00, 0x00, // mov rax, [0x2010]
            0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0, // mov rax, fs:[0x28]
            0x75, 0x02, // jne
        ];
        let lines = disassemble(VirtAddr(0x1000), &bytes, 9, &names);
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(text[..2], ["push rbp", "sub rsp, 0x8"]);
        assert_eq!(text[2], "call 0x1000 <main>");
        assert_eq!(text[3], "mov rax, [rip+0xfff] # 0x2010 <table+16>");
        assert_eq!(text[4], "mov rax, fs:[0x28]");
        assert_eq!(text[5], "jne 0x101e");
        assert_eq!((lines[2].at, lines[2].bytes.len()), (VirtAddr(0x1005), 5));
        assert_eq!(disassemble(VirtAddr(0x1000), &bytes, 2, &names).len(), 2);
    }

    #[test]
    fn bad_bytes_are_shown_one_by_one_and_cut_instructions_left_out() {
        let lines = disassemble(VirtAddr(0), &[0x06, 0x90, 0xe8, 0x00], 9, &|_| None);
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(text, ["(bad)", "nop"]);
        assert_eq!(lines[1].at, VirtAddr(1));
    }
}
