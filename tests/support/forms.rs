//! Forms of instructions: which there are at the entries of functions in real files, and one of each to try.

use std::collections::BTreeMap;
use std::path::Path;

use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, UnwindSection};
use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, Instruction, OpKind, Register as Iced};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SymbolKind};

use super::sandbox::SITE;

/// The longest instruction, bytes.
const LONGEST: usize = 15;

/// One instruction of a form.
#[derive(Clone)]
pub struct Sample {
    pub bytes: Vec<u8>,
    pub instruction: Instruction,
}

impl Sample {
    /// `None` where the bytes are no instruction.
    pub fn decode(bytes: &[u8]) -> Option<Sample> {
        let mut decoder = Decoder::with_ip(64, bytes, SITE.0, DecoderOptions::AMD);
        let instruction = decoder.decode();
        let bytes = bytes.get(..instruction.len()).filter(|_| !instruction.is_invalid())?.to_vec();
        Some(Sample { bytes, instruction })
    }

    /// As gas would be given it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        GasFormatter::new().format(&self.instruction, &mut text);
        text
    }

    pub fn hex(&self) -> String {
        self.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What makes it another form: the opcode with its operand sizes, what kind each operand is, how an address is
    /// made, and prefixes. Two registers of one class, two displacements or two immediates make no difference, but the
    /// stack pointer and the high bytes do.
    pub fn form(&self) -> String {
        let one = &self.instruction;
        let mut form = format!("{:?}", one.code());
        for operand in 0..one.op_count() {
            form += match one.op_kind(operand) {
                OpKind::Register => register_class(one.op_register(operand)),
                OpKind::Memory => " mem",
                _ => " other",
            };
        }
        if (0..one.op_count()).any(|operand| one.op_kind(operand) == OpKind::Memory) {
            let base = match one.memory_base() {
                Iced::None => "none",
                Iced::RIP | Iced::EIP => "rip",
                Iced::RSP | Iced::ESP => "rsp",
                base if base.is_gpr32() => "base32",
                _ => "base",
            };
            let index = if one.memory_index() == Iced::None { "" } else { "+index" };
            form += &format!(" [{base}{index}] {:?}", one.segment_prefix());
        }
        for (has, name) in [
            (one.has_lock_prefix(), " lock"),
            (one.has_rep_prefix(), " rep"),
            (one.has_repne_prefix(), " repne"),
            (self.bytes[0] == 0x66 && self.bytes.len() > 1 && self.bytes[1] == 0x66, " 66"),
        ] {
            form += if has { name } else { "" };
        }
        form
    }
}

fn register_class(register: Iced) -> &'static str {
    match register {
        Iced::AH | Iced::BH | Iced::CH | Iced::DH => " high",
        Iced::RSP | Iced::ESP | Iced::SP | Iced::SPL => " sp",
        _ => " reg",
    }
}

/// The corpus: a line is the bytes in hexadecimal, then what they are.
pub fn parse_corpus(text: &str) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let parse = |line: &str| {
        let hex = line.split_whitespace().next().unwrap_or_default();
        let bytes: Option<Vec<u8>> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect();
        let sample = bytes.as_deref().and_then(Sample::decode);
        sample.unwrap_or_else(|| panic!("the corpus has a bad line: {line}"))
    };
    lines.map(parse).collect()
}

/// One sample of each form that stands at the entry of a function of the file, by form, with how often.
pub fn forms_at_entries(path: &Path) -> BTreeMap<String, (Sample, u64)> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parsed = object::File::parse(&*bytes).expect("an ELF file");
    let mut forms = BTreeMap::new();
    for at in function_starts(&parsed) {
        let Some(code) = code_at(&parsed, at) else { continue };
        let Some(sample) = Sample::decode(code) else { continue };
        forms.entry(sample.form()).or_insert((sample, 0)).1 += 1;
    }
    forms
}

/// From the symbols and from the frame information: stripped files have but the second, assembly often the first only.
fn function_starts(file: &object::File) -> Vec<u64> {
    let symbols = file.symbols().chain(file.dynamic_symbols());
    let mut starts: Vec<u64> =
        symbols.filter(|one| one.kind() == SymbolKind::Text && one.is_definition()).map(|one| one.address()).collect();
    if let Some(section) = file.section_by_name(".eh_frame") {
        let data = section.uncompressed_data().expect("section data");
        let frames = EhFrame::new(&data, LittleEndian);
        let bases = BaseAddresses::default().set_eh_frame(section.address());
        let mut entries = frames.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            if let CieOrFde::Fde(partial) = entry {
                if let Ok(fde) = partial.parse(EhFrame::cie_from_offset) {
                    starts.push(fde.initial_address());
                }
            }
        }
    }
    starts.sort_unstable();
    starts.dedup();
    starts
}

fn code_at<'data>(file: &object::File<'data>, at: u64) -> Option<&'data [u8]> {
    let segment = file.segments().find(|one| (one.address()..one.address() + one.size()).contains(&at))?;
    let data = segment.data().ok()?;
    let code = data.get((at - segment.address()) as usize..)?;
    Some(&code[..code.len().min(LONGEST)])
}
