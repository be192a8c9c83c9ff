//! Registers by name: views onto the kernel's register storage.

use crate::base::Regs;

/// A 64-bit field of [`Regs`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slot {
    Rax,
    Rbx,
    Rcx,
    Rdx,
    Rsi,
    Rdi,
    Rbp,
    Rsp,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    Rip,
    Eflags,
    Cs,
    Ss,
    Ds,
    Es,
    Fs,
    Gs,
    FsBase,
    GsBase,
    OrigRax,
}

/// The general registers by the number that instructions encode them with.
pub(super) const BY_ENCODING: [Slot; 16] = [
    Slot::Rax,
    Slot::Rcx,
    Slot::Rdx,
    Slot::Rbx,
    Slot::Rsp,
    Slot::Rbp,
    Slot::Rsi,
    Slot::Rdi,
    Slot::R8,
    Slot::R9,
    Slot::R10,
    Slot::R11,
    Slot::R12,
    Slot::R13,
    Slot::R14,
    Slot::R15,
];

macro_rules! slot_fields {
    ($($slot:ident => $field:ident),* $(,)?) => {
        impl Slot {
            #[inline]
            pub(super) fn get(self, regs: &Regs) -> u64 {
                match self { $(Slot::$slot => regs.$field,)* }
            }

            #[inline]
            pub(super) fn set(self, regs: &mut Regs, value: u64) {
                match self { $(Slot::$slot => regs.$field = value,)* }
            }
        }
    };
}

slot_fields! {
    Rax => rax, Rbx => rbx, Rcx => rcx, Rdx => rdx, Rsi => rsi, Rdi => rdi, Rbp => rbp, Rsp => rsp,
    R8 => r8, R9 => r9, R10 => r10, R11 => r11, R12 => r12, R13 => r13, R14 => r14, R15 => r15,
    Rip => rip, Eflags => eflags, Cs => cs, Ss => ss, Ds => ds, Es => es, Fs => fs, Gs => gs,
    FsBase => fs_base, GsBase => gs_base, OrigRax => orig_rax,
}

/// A field, or a part of one: `width` bytes from bit `shift` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct View {
    pub(super) slot: Slot,
    pub(super) width: u8,
    pub(super) shift: u8,
}

/// All ones in the low `width` bytes.
#[inline]
pub(super) fn mask(width: u8) -> u64 {
    u64::MAX >> (64 - 8 * u32::from(width.clamp(1, 8)))
}

impl View {
    #[inline]
    pub(super) fn read(self, regs: &Regs) -> u64 {
        (self.slot.get(regs) >> self.shift) & mask(self.width)
    }

    /// A 64-bit view replaces the field, a 32-bit one zero-extends into it, a narrower one leaves the rest alone.
    #[inline]
    pub(super) fn write(self, regs: &mut Regs, value: u64) {
        let value = value & mask(self.width);
        let whole = match self.width {
            4 | 8 => value,
            width => (self.slot.get(regs) & !(mask(width) << self.shift)) | (value << self.shift),
        };
        self.slot.set(regs, whole);
    }
}

/// A register as users name it, or a part of one (`eax`, `ah`): a view onto [`Regs`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Register {
    name: &'static str,
    view: View,
    dwarf: Option<u16>,
}

const fn whole(name: &'static str, slot: Slot) -> Register {
    Register { name, view: View { slot, width: 8, shift: 0 }, dwarf: None }
}

/// With the number that the psABI (figure 3.36) gives the register in DWARF.
const fn numbered(name: &'static str, slot: Slot, dwarf: u16) -> Register {
    Register { name, view: View { slot, width: 8, shift: 0 }, dwarf: Some(dwarf) }
}

const fn part(name: &'static str, slot: Slot, width: u8) -> Register {
    Register { name, view: View { slot, width, shift: 0 }, dwarf: None }
}

const fn high(name: &'static str, slot: Slot) -> Register {
    Register { name, view: View { slot, width: 1, shift: 8 }, dwarf: None }
}

/// How many rows of the table are whole registers; they come first.
const WHOLE: usize = 27;

/// Every register: the whole ones in display order, then the parts.
static TABLE: [Register; WHOLE + 51] = [
    numbered("rax", Slot::Rax, 0),
    numbered("rbx", Slot::Rbx, 3),
    numbered("rcx", Slot::Rcx, 2),
    numbered("rdx", Slot::Rdx, 1),
    numbered("rsi", Slot::Rsi, 4),
    numbered("rdi", Slot::Rdi, 5),
    numbered("rbp", Slot::Rbp, 6),
    numbered("rsp", Slot::Rsp, 7),
    numbered("r8", Slot::R8, 8),
    numbered("r9", Slot::R9, 9),
    numbered("r10", Slot::R10, 10),
    numbered("r11", Slot::R11, 11),
    numbered("r12", Slot::R12, 12),
    numbered("r13", Slot::R13, 13),
    numbered("r14", Slot::R14, 14),
    numbered("r15", Slot::R15, 15),
    numbered("rip", Slot::Rip, 16),
    whole("eflags", Slot::Eflags),
    whole("cs", Slot::Cs),
    whole("ss", Slot::Ss),
    whole("ds", Slot::Ds),
    whole("es", Slot::Es),
    whole("fs", Slot::Fs),
    whole("gs", Slot::Gs),
    whole("fs_base", Slot::FsBase),
    whole("gs_base", Slot::GsBase),
    whole("orig_rax", Slot::OrigRax),
    part("eax", Slot::Rax, 4),
    part("ebx", Slot::Rbx, 4),
    part("ecx", Slot::Rcx, 4),
    part("edx", Slot::Rdx, 4),
    part("esi", Slot::Rsi, 4),
    part("edi", Slot::Rdi, 4),
    part("ebp", Slot::Rbp, 4),
    part("esp", Slot::Rsp, 4),
    part("r8d", Slot::R8, 4),
    part("r9d", Slot::R9, 4),
    part("r10d", Slot::R10, 4),
    part("r11d", Slot::R11, 4),
    part("r12d", Slot::R12, 4),
    part("r13d", Slot::R13, 4),
    part("r14d", Slot::R14, 4),
    part("r15d", Slot::R15, 4),
    part("ax", Slot::Rax, 2),
    part("bx", Slot::Rbx, 2),
    part("cx", Slot::Rcx, 2),
    part("dx", Slot::Rdx, 2),
    part("si", Slot::Rsi, 2),
    part("di", Slot::Rdi, 2),
    part("bp", Slot::Rbp, 2),
    part("r8w", Slot::R8, 2),
    part("r9w", Slot::R9, 2),
    part("r10w", Slot::R10, 2),
    part("r11w", Slot::R11, 2),
    part("r12w", Slot::R12, 2),
    part("r13w", Slot::R13, 2),
    part("r14w", Slot::R14, 2),
    part("r15w", Slot::R15, 2),
    part("al", Slot::Rax, 1),
    part("bl", Slot::Rbx, 1),
    part("cl", Slot::Rcx, 1),
    part("dl", Slot::Rdx, 1),
    part("sil", Slot::Rsi, 1),
    part("dil", Slot::Rdi, 1),
    part("bpl", Slot::Rbp, 1),
    part("spl", Slot::Rsp, 1),
    part("r8b", Slot::R8, 1),
    part("r9b", Slot::R9, 1),
    part("r10b", Slot::R10, 1),
    part("r11b", Slot::R11, 1),
    part("r12b", Slot::R12, 1),
    part("r13b", Slot::R13, 1),
    part("r14b", Slot::R14, 1),
    part("r15b", Slot::R15, 1),
    high("ah", Slot::Rax),
    high("bh", Slot::Rbx),
    high("ch", Slot::Rcx),
    high("dh", Slot::Rdx),
];

/// Other names of whole registers. `sp` is the stack pointer, as debuggers have it, not its low 16 bits.
const ALIASES: [(&str, &str); 5] =
    [("pc", "rip"), ("sp", "rsp"), ("fp", "rbp"), ("rflags", "eflags"), ("flags", "eflags")];

impl Register {
    /// The register of that name, in any case, with or without a leading `$` or `%`.
    pub fn find(name: &str) -> Option<Register> {
        let bare = name.strip_prefix(['$', '%']).unwrap_or(name);
        let real = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(bare)).map_or(bare, |(_, real)| real);
        TABLE.iter().find(|register| register.name.eq_ignore_ascii_case(real)).copied()
    }

    /// Its name, without a prefix.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its width in bytes.
    pub fn width(&self) -> u8 {
        self.view.width
    }

    /// Its value, zero-extended.
    pub fn read(&self, regs: &Regs) -> u64 {
        self.view.read(regs)
    }

    /// Gives it a value, of which the low [`Register::width`] bytes count. As in the CPU, writing a 32-bit register
    /// clears the upper half of the whole one, and writing a narrower one leaves the rest as it is.
    pub fn write(&self, regs: &mut Regs, value: u64) {
        self.view.write(regs, value);
    }

    /// The register that it is a part of, or is.
    pub fn whole(&self) -> Register {
        let whole = Register::all().iter().find(|one| one.view.slot == self.view.slot);
        *whole.unwrap_or(self)
    }

    /// Whether it tells of the instruction that was executed last: no frame further out has it.
    pub fn is_volatile(&self) -> bool {
        matches!(self.view.slot, Slot::Eflags | Slot::OrigRax)
    }

    /// A number that stands for the register or part of one, for [`Register::from_number`].
    pub fn number(&self) -> u16 {
        TABLE.iter().position(|one| one == self).map_or(u16::MAX, |at| at as u16)
    }

    /// The register of a [`Register::number`].
    pub fn from_number(number: u16) -> Option<Register> {
        TABLE.get(usize::from(number)).copied()
    }

    /// The whole registers, in display order.
    pub fn all() -> &'static [Register] {
        &TABLE[..WHOLE]
    }

    /// The register of a DWARF number (psABI, figure 3.36): 0 to 15 the general ones, 16 the return address's, rip.
    pub fn from_dwarf(number: u16) -> Option<Register> {
        Register::all().iter().find(|register| register.dwarf == Some(number)).copied()
    }

    /// Its DWARF number, if it is one of 0 to 16.
    pub fn dwarf(&self) -> Option<u16> {
        self.dwarf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_views_and_views_cut_the_field() {
        let regs = Regs { rax: 0x1122_3344_5566_7788, r8: 0xfedc_ba98_7654_3210, rip: 7, ..Regs::default() };
        let read = |name: &str| Register::find(name).map(|register| register.read(&regs));
        assert_eq!(read("$rax"), Some(0x1122_3344_5566_7788));
        assert_eq!(read("%EAX"), Some(0x5566_7788));
        assert_eq!(read("ax"), Some(0x7788));
        assert_eq!(read("al"), Some(0x88));
        assert_eq!(read("ah"), Some(0x77));
        assert_eq!(read("r8d"), Some(0x7654_3210));
        assert_eq!(read("r8w"), Some(0x3210));
        assert_eq!(read("r8b"), Some(0x10));
        assert_eq!(read("pc"), Some(7));
        assert_eq!(Register::find("sp").map(|register| register.name()), Some("rsp"));
        assert_eq!(read("xyz"), None);
        assert_eq!(read("$$rax"), None);
    }

    #[test]
    fn writing_extends_as_the_cpu_does() {
        let mut regs = Regs { rax: u64::MAX, rbx: u64::MAX, rcx: u64::MAX, ..Regs::default() };
        Register::find("eax").unwrap().write(&mut regs, 0x1_0000_0001);
        Register::find("bh").unwrap().write(&mut regs, 0x1200);
        Register::find("cx").unwrap().write(&mut regs, 0x1234);
        assert_eq!((regs.rax, regs.rbx, regs.rcx), (1, 0xffff_ffff_ffff_00ff, 0xffff_ffff_ffff_1234));
    }

    #[test]
    fn names_are_unique_and_dwarf_numbers_complete() {
        for (at, register) in TABLE.iter().enumerate() {
            assert_eq!(Register::find(register.name), Some(*register));
            assert_eq!(register.view.width == 8, at < WHOLE, "{}", register.name);
        }
        let names: Vec<_> = (0..=16).map(|number| Register::from_dwarf(number).unwrap().name()).collect();
        assert_eq!(names[..8], ["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp"]);
        assert_eq!(names[16], "rip");
        assert_eq!(Register::from_dwarf(17), None);
    }
}
