//! Registers beyond the general ones by name: where the saved image has them.

use std::ops::RangeInclusive;

use crate::base::{Component, ExtendedRegs};

/// Numbers of bytes of these registers begin here, above those of the general registers: each register has 64.
const FIRST_NUMBER: u16 = 0x1000;
/// Numbers that a register has.
const NUMBERS: u16 = 64;
/// Behind the ten bytes of an x87 register: the number that stands for its value as a `double`.
const AS_DOUBLE: u16 = 16;

/// A register of x87, SSE, AVX or AVX-512.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExtendedRegister {
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Vector registers by their index and their width in bytes: 16 xmm, 32 ymm, 64 zmm.
    Vector(u8, u8),
    /// k0 to k7.
    Mask(u8),
    /// st(0) is the top of the stack.
    Stack(u8),
    Control(Control),
}

/// Control and status registers, as gdb names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Control {
    Fctrl,
    Fstat,
    Ftag,
    Fiseg,
    Fioff,
    Foseg,
    Fooff,
    Fop,
    Mxcsr,
}

/// Names, and where fxsave has them: offset and width in bytes (Intel SDM, volume 1, table 10-2). The tag word is
/// abridged there.
const CONTROLS: [(&str, Control, usize, usize); 9] = [
    ("fctrl", Control::Fctrl, 0, 2),
    ("fstat", Control::Fstat, 2, 2),
    ("ftag", Control::Ftag, 4, 1),
    ("fiseg", Control::Fiseg, 12, 2),
    ("fioff", Control::Fioff, 8, 4),
    ("foseg", Control::Foseg, 20, 2),
    ("fooff", Control::Fooff, 16, 4),
    ("fop", Control::Fop, 6, 2),
    ("mxcsr", Control::Mxcsr, 24, 4),
];

/// What kind of value a register holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExtendedKind {
    /// Elements, in so many bytes.
    Vector(u8),
    /// An 80-bit number.
    Float,
    /// An integer of so many bytes.
    Integer(u8),
    /// mxcsr.
    ControlFlags,
}

impl ExtendedRegister {
    /// The register of that name, without a prefix, in lower case: `xmm0`, `st7`, `mxcsr`. That the CPU has it is not said.
    pub fn find(name: &str) -> Option<ExtendedRegister> {
        let numbered = |prefix: &str, range: RangeInclusive<u8>| {
            let number = name.strip_prefix(prefix)?;
            // `xmm00` is none.
            number.parse().ok().filter(|one: &u8| range.contains(one) && one.to_string() == number)
        };
        let kind = if let Some((_, control, ..)) = CONTROLS.iter().find(|(own, ..)| *own == name) {
            Kind::Control(*control)
        } else if let Some(index) = numbered("xmm", 0..=31) {
            Kind::Vector(index, 16)
        } else if let Some(index) = numbered("ymm", 0..=31) {
            Kind::Vector(index, 32)
        } else if let Some(index) = numbered("zmm", 0..=31) {
            Kind::Vector(index, 64)
        } else if let Some(index) = numbered("k", 0..=7) {
            Kind::Mask(index)
        } else {
            Kind::Stack(numbered("st", 0..=7)?)
        };
        Some(ExtendedRegister { kind })
    }

    /// Its name, without a prefix.
    pub fn name(self) -> String {
        match self.kind {
            Kind::Vector(index, 16) => format!("xmm{index}"),
            Kind::Vector(index, 32) => format!("ymm{index}"),
            Kind::Vector(index, _) => format!("zmm{index}"),
            Kind::Mask(index) => format!("k{index}"),
            Kind::Stack(index) => format!("st{index}"),
            Kind::Control(control) => {
                CONTROLS.iter().find(|(_, own, ..)| *own == control).map_or(String::new(), |one| one.0.to_owned())
            }
        }
    }

    /// What it holds.
    pub fn kind(self) -> ExtendedKind {
        match self.kind {
            Kind::Vector(_, bytes) => ExtendedKind::Vector(bytes),
            Kind::Mask(_) => ExtendedKind::Integer(8),
            Kind::Stack(_) => ExtendedKind::Float,
            Kind::Control(Control::Mxcsr) => ExtendedKind::ControlFlags,
            Kind::Control(_) => ExtendedKind::Integer(4),
        }
    }

    /// Its size in bytes.
    pub fn size(self) -> usize {
        match self.kind() {
            ExtendedKind::Vector(bytes) | ExtendedKind::Integer(bytes) => usize::from(bytes),
            ExtendedKind::Float => 10,
            ExtendedKind::ControlFlags => 4,
        }
    }

    /// The component that a CPU must have for this register to be there.
    pub fn component(self) -> Component {
        match self.kind {
            Kind::Vector(16.., _) => Component::HigherZmm,
            Kind::Vector(_, 64) => Component::UpperZmm,
            Kind::Vector(_, 32) => Component::Avx,
            Kind::Vector(..) | Kind::Control(Control::Mxcsr) => Component::Sse,
            Kind::Mask(_) => Component::Masks,
            Kind::Stack(_) | Kind::Control(_) => Component::X87,
        }
    }

    /// The registers that such an image has, in display order: x87, masks, then vectors in each width.
    pub fn all(regs: &ExtendedRegs) -> Vec<ExtendedRegister> {
        let stack = (0..8).map(Kind::Stack);
        let controls = CONTROLS.iter().map(|one| Kind::Control(one.1));
        let masks = (0..8).map(Kind::Mask);
        let vectors = [16, 32, 64].into_iter().flat_map(|width| (0..32).map(move |index| Kind::Vector(index, width)));
        let every = stack.chain(controls).chain(masks).chain(vectors).map(|kind| ExtendedRegister { kind });
        every.filter(|one| regs.has(one.component())).collect()
    }

    /// Whether this CPU has it.
    pub fn exists(self) -> bool {
        match self.component() {
            Component::X87 | Component::Sse => true,
            Component::Avx => std::arch::is_x86_feature_detected!("avx"),
            Component::Masks | Component::UpperZmm | Component::HigherZmm => {
                std::arch::is_x86_feature_detected!("avx512f")
            }
        }
    }

    /// Whether functions leave it as it was: control words.
    pub fn is_control(self) -> bool {
        matches!(self.kind, Kind::Control(_))
    }

    /// Its bytes, the lowest first.
    pub fn read(self, regs: &ExtendedRegs) -> Vec<u8> {
        let mut bytes = vec![0; self.size()];
        if self.kind == Kind::Control(Control::Ftag) {
            bytes[..2].copy_from_slice(&tag_word(regs).to_le_bytes());
            return bytes;
        }
        for part in self.parts() {
            let into = &mut bytes[part.first..part.first + part.length];
            regs.read(part.component, part.offset, into);
        }
        bytes
    }

    /// Changes bytes of it, from the one numbered `first`; `None` where the image lacks it, or that many.
    pub fn write(self, regs: &mut ExtendedRegs, first: usize, bytes: &[u8]) -> Option<()> {
        if first.checked_add(bytes.len())? > self.size() {
            return None;
        }
        if self.kind == Kind::Control(Control::Ftag) {
            let mut tags = self.read(regs);
            tags[first..first + bytes.len()].copy_from_slice(bytes);
            return regs.write(Component::X87, 4, &[abridged(u16::from_le_bytes([tags[0], tags[1]]))]);
        }
        for part in self.parts() {
            let start = first.max(part.first);
            let end = (first + bytes.len()).min(part.first + part.length);
            if start < end {
                let from = &bytes[start - first..end - first];
                regs.write(part.component, part.offset + start - part.first, from)?;
            }
        }
        Some(())
    }

    fn parts(self) -> Vec<Part> {
        let part = |component, offset, first, length| Part { component, offset, first, length };
        match self.kind {
            Kind::Vector(index @ 16.., width) => {
                vec![part(Component::HigherZmm, usize::from(index - 16) * 64, 0, usize::from(width))]
            }
            Kind::Vector(index, width) => {
                let index = usize::from(index);
                let mut parts = vec![part(Component::Sse, 160 + index * 16, 0, 16)];
                if width >= 32 {
                    parts.push(part(Component::Avx, index * 16, 16, 16));
                }
                if width >= 64 {
                    parts.push(part(Component::UpperZmm, index * 32, 32, 32));
                }
                parts
            }
            Kind::Mask(index) => vec![part(Component::Masks, usize::from(index) * 8, 0, 8)],
            Kind::Stack(index) => vec![part(Component::X87, 32 + usize::from(index) * 16, 0, 10)],
            Kind::Control(control) => {
                let component = self.component();
                let found = CONTROLS.iter().find(|(_, own, ..)| *own == control);
                found.map(|(_, _, offset, width)| part(component, *offset, 0, *width)).into_iter().collect()
            }
        }
    }

    fn index(self) -> u16 {
        match self.kind {
            Kind::Vector(index, _) => u16::from(index),
            Kind::Mask(index) => 32 + u16::from(index),
            Kind::Stack(index) => 40 + u16::from(index),
            Kind::Control(control) => 48 + control as u16,
        }
    }

    /// A number that stands for its lowest byte; those above follow. See [`ExtendedRegister::at_number`].
    pub fn number(self) -> u16 {
        FIRST_NUMBER + self.index() * NUMBERS
    }

    /// The number that stands for an x87 register's value as a `double`.
    pub fn double_number(self) -> u16 {
        self.number() + AS_DOUBLE
    }

    /// The register of a number, as wide as any is, and which part of it the number stands for; `None` for numbers of
    /// general registers.
    pub fn at_number(number: u16) -> Option<(ExtendedRegister, ExtendedPart)> {
        let number = number.checked_sub(FIRST_NUMBER)?;
        let (index, byte) = ((number / NUMBERS) as u8, number % NUMBERS);
        let kind = match index {
            0..=31 => Kind::Vector(index, 64),
            32..=39 => Kind::Mask(index - 32),
            40..=47 => Kind::Stack(index - 40),
            _ => Kind::Control(CONTROLS.get(usize::from(index - 48))?.1),
        };
        let part = match kind {
            Kind::Stack(_) if byte >= AS_DOUBLE => ExtendedPart::Double,
            _ => ExtendedPart::From(usize::from(byte)),
        };
        Some((ExtendedRegister { kind }, part))
    }
}

/// What a number of [`ExtendedRegister::number`] stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExtendedPart {
    /// What begins with this byte.
    From(usize),
    /// An x87 register's value, rounded to a `double`.
    Double,
}

/// Bytes of a register that lie together.
struct Part {
    component: Component,
    /// Where, in the component.
    offset: usize,
    /// Which of the register's bytes is the first.
    first: usize,
    length: usize,
}

/// The tag word with two bits a register (Intel SDM, volume 1, 8.1.7): 0 a number, 1 zero, 2 special, 3 empty.
fn tag_word(regs: &ExtendedRegs) -> u16 {
    let mut head = [0; 8];
    regs.read(Component::X87, 0, &mut head);
    let top = usize::from(head[3] >> 3 & 7);
    (0..8).fold(0, |word, physical: usize| {
        let mut register = [0; 10];
        regs.read(Component::X87, 32 + (physical.wrapping_sub(top) & 7) * 16, &mut register);
        let exponent = u16::from_le_bytes([register[8], register[9]]) & 0x7fff;
        let tag = match (head[4] >> physical & 1, exponent) {
            (0, _) => 3,
            (_, 0x7fff) => 2,
            (_, 0) if register[..8].iter().all(|byte| *byte == 0) => 1,
            (_, 0) => 2,
            _ if register[7] & 0x80 == 0 => 2,
            _ => 0,
        };
        word | tag << (physical * 2)
    })
}

/// fxsave's tags: one bit a register that is not empty.
fn abridged(tags: u16) -> u8 {
    (0..8).fold(0, |byte, physical| byte | u8::from(tags >> (physical * 2) & 3 != 3) << physical)
}

/// An x87 register's value, rounded to the nearest `double`.
pub fn to_double(bytes: &[u8; 10]) -> f64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    let (mantissa, high) = (u64::from_le_bytes(word), u16::from_le_bytes([bytes[8], bytes[9]]));
    let sign = if high & 0x8000 != 0 { -1.0 } else { 1.0 };
    let exponent = i32::from(high & 0x7fff);
    match (exponent, mantissa << 1) {
        (0x7fff, 0) => sign * f64::INFINITY,
        (0x7fff, _) => f64::NAN.copysign(sign),
        _ => {
            // Below a double's range the mantissa is rounded once, to what is left of it.
            let power = exponent.max(1) - 16383 - 63;
            let lost = (-1074 - power).clamp(0, 127) as u32;
            let kept = rounded(mantissa, lost.max(11u32.saturating_sub(mantissa.leading_zeros())));
            sign * scaled(kept, power)
        }
    }
}

/// The mantissa with its lowest bits rounded away, half to even.
fn rounded(mantissa: u64, bits: u32) -> u128 {
    let whole = u128::from(mantissa);
    if bits == 0 {
        return whole;
    }
    let (kept, rest, half) = (whole >> bits, whole & ((1 << bits) - 1), 1u128 << (bits - 1));
    let up = rest > half || (rest == half && kept & 1 == 1);
    (kept + u128::from(up)) << bits
}

/// `mantissa * 2^power`, exactly where that is a `double`.
fn scaled(mantissa: u128, power: i32) -> f64 {
    let (mut value, mut left) = (mantissa as f64, power);
    while left != 0 && value != 0.0 && value.is_finite() {
        let step = left.clamp(-1000, 1000);
        value *= f64::powi(2.0, step);
        left -= step;
    }
    value
}

/// A `double` as an x87 register has it.
pub fn from_double(value: f64) -> [u8; 10] {
    let bits = value.to_bits();
    let (field, fraction) = ((bits >> 52 & 0x7ff) as u16, bits & 0xf_ffff_ffff_ffff);
    let (exponent, mantissa) = match (field, fraction) {
        (0, 0) => (0, 0),
        // Subnormal doubles are normal here.
        (0, _) => {
            let shift = fraction.leading_zeros();
            (16383 - 1022 + 11 - shift as u16, fraction << shift)
        }
        (0x7ff, _) => (0x7fff, 1 << 63 | fraction << 11),
        _ => (field + 16383 - 1023, 1 << 63 | fraction << 11),
    };
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&mantissa.to_le_bytes());
    bytes[8..].copy_from_slice(&(exponent | (bits >> 48 & 0x8000) as u16).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ComponentPlaces;

    fn image() -> ExtendedRegs {
        let places = ComponentPlaces::new(|one| match one {
            Component::Avx => Some(576),
            Component::Masks => Some(832),
            Component::UpperZmm => Some(896),
            Component::HigherZmm => Some(1408),
            _ => None,
        });
        let mut image = vec![0; 1408 + 1024];
        image[464] = 0xe7;
        ExtendedRegs::new(image, places)
    }

    #[test]
    fn a_wide_register_is_put_together_from_its_parts() {
        let mut regs = image();
        let wide = ExtendedRegister::find("zmm15").unwrap();
        let bytes: Vec<u8> = (1..=64).collect();
        wide.write(&mut regs, 0, &bytes).unwrap();
        assert_eq!(wide.read(&regs), bytes);
        assert_eq!(ExtendedRegister::find("ymm15").unwrap().read(&regs), bytes[..32]);
        assert_eq!(ExtendedRegister::find("xmm15").unwrap().read(&regs), bytes[..16]);
        assert_eq!(ExtendedRegister::find("xmm14").unwrap().read(&regs), [0; 16]);
        wide.write(&mut regs, 30, &[0xaa; 4]).unwrap();
        assert_eq!(wide.read(&regs)[28..36], [29, 30, 0xaa, 0xaa, 0xaa, 0xaa, 35, 36]);
        assert!(wide.write(&mut regs, 62, &[1; 4]).is_none());
        let high = ExtendedRegister::find("xmm31").unwrap();
        high.write(&mut regs, 0, &[7; 16]).unwrap();
        assert_eq!(high.read(&regs), [7; 16]);
    }

    #[test]
    fn names_and_numbers_find_registers() {
        for one in ExtendedRegister::all(&image()) {
            assert_eq!(ExtendedRegister::find(&one.name()), Some(one));
            let (found, part) = ExtendedRegister::at_number(one.number() + 3).unwrap();
            assert_eq!((found.index(), part), (one.index(), ExtendedPart::From(3)));
        }
        for name in ["xmm32", "xmm", "xmm00", "st8", "k8", "ymm-1", "rax", ""] {
            assert_eq!(ExtendedRegister::find(name), None, "{name}");
        }
        assert_eq!(ExtendedRegister::at_number(77), None);
        let top = ExtendedRegister::find("st0").unwrap();
        assert_eq!(ExtendedRegister::at_number(top.double_number()).unwrap().1, ExtendedPart::Double);
    }

    #[test]
    fn tags_are_told_from_the_abridged_ones() {
        let mut regs = image();
        // The top is 7; st(0) holds one, st(1) zero.
        regs.write(Component::X87, 2, &[0, 7 << 3, 0x81]).unwrap();
        ExtendedRegister::find("st0").unwrap().write(&mut regs, 0, &from_double(1.0)).unwrap();
        let tags = ExtendedRegister::find("ftag").unwrap();
        assert_eq!(tags.read(&regs), [0xfd, 0x3f, 0, 0]);
        tags.write(&mut regs, 0, &[0xff, 0xff, 0, 0]).unwrap();
        assert_eq!(tags.read(&regs), [0xff, 0xff, 0, 0]);
    }

    #[test]
    fn doubles_go_to_x87_and_back() {
        for value in [0.0, -0.0, 1.0, -1.5, 1e300, 5e-324, 2.2e-308, f64::MAX, f64::INFINITY, 0.1, 3e-310] {
            assert_eq!(to_double(&from_double(value)).to_bits(), value.to_bits(), "{value}");
        }
        assert!(to_double(&from_double(f64::NAN)).is_nan());
        // 1 + 2^-53 lies half way, and its neighbour above does not.
        let mut half = from_double(1.0);
        (half[0], half[1]) = (0, 4);
        assert_eq!(to_double(&half), 1.0);
        half[0] = 1;
        assert_eq!(to_double(&half), 1.0 + f64::EPSILON);
        // Larger and smaller than any double.
        assert_eq!(to_double(&[0, 0, 0, 0, 0, 0, 0, 0x80, 0xfe, 0x7f]), f64::INFINITY);
        assert_eq!(to_double(&[0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0]), 0.0);
    }
}
