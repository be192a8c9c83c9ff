//! What a function that has just returned gives back, by its type.

use super::memory::{CachedMemory, RawMemory};
use crate::api::ReturnedValue;
use crate::arch::ParameterClass;
use crate::base::{Inferior, Regs, Tid, VectorRegs, VirtAddr};
use crate::binary::dwarf::{Encoding, ReturnPlace, Shape};
use crate::engine::state::Engine;
use crate::lang::typed::{Held, Inspector, TypedValue};
use crate::target::breakpoint::CleanMemory;

impl<I: Inferior> Engine<I> {
    /// The value of the function that `of` lies in, for a thread whose registers are those of its return.
    pub(in crate::engine) fn returned_value(&self, tid: Tid, of: VirtAddr, regs: &Regs) -> ReturnedValue {
        self.typed_result(tid, of, regs).unwrap_or(ReturnedValue::Untyped)
    }

    fn typed_result(&self, tid: Tid, of: VirtAddr, regs: &Regs) -> Option<ReturnedValue> {
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
            ReturnPlace::Nothing if view.shape == Shape::Void => return Some(ReturnedValue::Void),
            ReturnPlace::Nothing => Held::Bytes(vec![0; view.size.min(16) as usize]),
            ReturnPlace::AtRax => Held::Memory(VirtAddr(regs.rax)),
            ReturnPlace::In(class) => in_registers(class, regs, &vectors),
        };
        if let (Held::Bytes(bytes), Shape::Base(Encoding::Signed | Encoding::Unsigned), 1..=8) =
            (&place, &view.shape, view.size)
        {
            let shift = 64 - 8 * view.size as u32;
            let raw = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?) << shift;
            let text = match view.shape {
                Shape::Base(Encoding::Signed) => (raw as i64 >> shift).to_string(),
                _ => (raw >> shift).to_string(),
            };
            return Some(ReturnedValue::Typed { text: format!("{:#x} ({text})", raw >> shift) });
        }
        let raw = RawMemory { inferior: &self.inferior, pid: process.pid };
        let clean = CleanMemory { raw: &raw, sites: &space.sites };
        let memory = CachedMemory::new(&clean);
        let inspector = Inspector::new(&types, &memory, self, self.settings.style());
        Some(ReturnedValue::Typed { text: inspector.show_alone(&TypedValue { ty, place }) })
    }
}

/// A value that came back in registers (psABI, 3.2.3, "Returning of Values"): the first free of rax and rdx, xmm0 and xmm1.
pub(in crate::engine) fn in_registers(class: ParameterClass, regs: &Regs, vectors: &VectorRegs) -> Held {
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
