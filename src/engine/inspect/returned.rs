//! What a function that has just returned gives back, by its type.

use std::sync::Arc;

use super::described_names::Kept;
use super::memory::{CachedMemory, RawMemory};
use crate::api::ReturnedValue;
use crate::arch::{ExtendedRegister, FloatWidth, ParameterClass};
use crate::base::{Inferior, Regs, Tid, VectorRegs, VirtAddr};
use crate::binary::dwarf::{Encoding, ReturnPlace, Shape};
use crate::engine::state::Engine;
use crate::lang::typed::{Held, Inspector, TypedValue};
use crate::target::breakpoint::CleanMemory;

impl<I: Inferior> Engine<I> {
    /// The value of the function that `of` lies in, for a thread whose registers are those of its return.
    /// It becomes one of the history.
    pub(in crate::engine) fn returned_value(&mut self, tid: Tid, of: VirtAddr, regs: &Regs) -> ReturnedValue {
        match self.typed_result(tid, of, regs) {
            None => ReturnedValue::Untyped,
            Some(Given::Nothing) => ReturnedValue::Void,
            Some(Given::Value { text, kept }) => {
                self.history.push(kept);
                ReturnedValue::Typed { text, number: self.history.len() as u32 }
            }
        }
    }

    fn typed_result(&self, tid: Tid, of: VirtAddr, regs: &Regs) -> Option<Given> {
        let process = self.process_of(tid)?;
        let space = self.spaces.get(&process.space)?;
        let loaded = space.modules.module_at(of)?;
        let dwarf = loaded.module.dwarf();
        let instances = dwarf.instances_at(loaded.to_file(of));
        let types = dwarf.types();
        let (ty, place) = types.result_of(instances.first()?.entry)?;
        let view = types.view(ty);
        let vectors = self.inferior.vector_regs(tid).unwrap_or_default();
        let place = match place {
            ReturnPlace::Nothing if view.shape == Shape::Void => return Some(Given::Nothing),
            ReturnPlace::Nothing => Held::Bytes(vec![0; view.size.min(16) as usize]),
            ReturnPlace::AtRax => Held::Memory(VirtAddr(regs.rax)),
            ReturnPlace::In(ParameterClass::Sse { width: FloatWidth::Vector(bytes) }) => self.in_vector(tid, bytes),
            ReturnPlace::In(class) => in_registers(class, regs, &vectors),
            ReturnPlace::X87Pair => self.in_x87_pair(tid),
        };
        let value = TypedValue { ty, place };
        let kept = Kept::Described { value: value.clone(), module: Arc::clone(&loaded.module) };
        let is_character = matches!(view.name.as_deref(), Some("wchar_t" | "char16_t" | "char32_t"));
        if let (Held::Bytes(bytes), Shape::Base(Encoding::Signed | Encoding::Unsigned), 1..=8, false) =
            (&value.place, &view.shape, view.size, is_character)
        {
            let shift = 64 - 8 * view.size as u32;
            let raw = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?) << shift;
            let text = match view.shape {
                Shape::Base(Encoding::Signed) => (raw as i64 >> shift).to_string(),
                _ => (raw >> shift).to_string(),
            };
            return Some(Given::Value { text: format!("{:#x} ({text})", raw >> shift), kept });
        }
        let raw = RawMemory { inferior: &self.inferior, pid: process.pid };
        let clean = CleanMemory { raw: &raw, sites: &space.sites };
        let memory = CachedMemory::new(&clean);
        let inspector = Inspector::new(&types, &memory, self, self.settings.style());
        Some(Given::Value { text: inspector.show_alone(&value), kept })
    }

    /// A vector that is wider than xmm0, as a whole in ymm0 or zmm0.
    fn in_vector(&self, tid: Tid, bytes: u8) -> Held {
        let name = if bytes > 32 { "zmm0" } else { "ymm0" };
        match (self.inferior.extended_regs(tid), ExtendedRegister::find(name)) {
            (Ok(regs), Some(register)) => Held::Bytes(register.read(&regs)),
            _ => Held::Unknown(format!("{name} cannot be read")),
        }
    }

    fn in_x87_pair(&self, tid: Tid) -> Held {
        let Ok(regs) = self.inferior.extended_regs(tid) else { return Held::Unknown("st0 cannot be read".to_owned()) };
        let part = |name| {
            let mut bytes = ExtendedRegister::find(name).map(|register| register.read(&regs)).unwrap_or_default();
            bytes.resize(16, 0);
            bytes
        };
        Held::Bytes([part("st0"), part("st1")].concat())
    }
}

/// What a function gave back.
enum Given {
    Nothing,
    Value { text: String, kept: Kept },
}

/// A value that came back in registers (psABI, 3.2.3, "Returning of Values"): the first free of rax and rdx, xmm0 and xmm1.
fn in_registers(class: ParameterClass, regs: &Regs, vectors: &VectorRegs) -> Held {
    let (rax, rdx) = (regs.rax.to_le_bytes(), regs.rdx.to_le_bytes());
    let (xmm0, xmm1) = (&vectors.xmm[0], &vectors.xmm[1]);
    Held::Bytes(match class {
        ParameterClass::Integer => rax.to_vec(),
        ParameterClass::Sse { .. } => xmm0.to_vec(),
        ParameterClass::IntegerPair => [rax, rdx].concat(),
        ParameterClass::SsePair => [&xmm0[..8], &xmm1[..8]].concat(),
        ParameterClass::IntegerThenSse => [&rax[..], &xmm0[..8]].concat(),
        ParameterClass::SseThenInteger => [&xmm0[..8], &rax[..]].concat(),
        ParameterClass::X87 => vectors.st0.to_vec(),
        ParameterClass::Memory { .. } => return Held::Memory(VirtAddr(regs.rax)),
    })
}
