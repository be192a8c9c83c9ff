//! Maps and sets, ordered or hashed: shown by the walk that expressions find their elements by.

use std::ops::ControlFlow;

use crate::base::VirtAddr;

use super::containers::counted;
use super::{Held, Inspector, TypedValue};
use crate::lang::containers::{Keyed, Source};
use crate::lang::Fault;

/// A value of a printer's as the walks read it.
pub(super) struct OfValue<'v, 'a, 't> {
    pub(super) inspector: &'v Inspector<'a, 't>,
    pub(super) value: &'v TypedValue,
}

impl Source for OfValue<'_, '_, '_> {
    fn object(&self) -> Result<VirtAddr, Fault> {
        match self.value.place {
            Held::Memory(at) => Ok(at),
            _ => Err(Fault::NoAddress),
        }
    }

    fn field(&self, offset: u64) -> Result<u64, Fault> {
        match self.inspector.part(self.value, offset, 8) {
            Some(Held::Memory(at)) => self.word(at),
            Some(Held::Bytes(bytes)) => {
                let word = bytes.first_chunk::<8>().ok_or(Fault::OptimisedOut)?;
                Ok(u64::from_le_bytes(*word))
            }
            _ => Err(Fault::OptimisedOut),
        }
    }

    fn read(&self, at: VirtAddr, into: &mut [u8]) -> Result<(), Fault> {
        Ok(self.inspector.memory.read_exact(at, into)?)
    }
}

impl Inspector<'_, '_> {
    /// `std::map with 2 elements = {..}`; `library` is what stands before the template's name.
    pub(super) fn show_keyed(&self, value: &TypedValue, library: &str, template: &str, depth: u32) -> Option<String> {
        let keyed = Keyed::of(self.types, value.ty)?;
        let source = OfValue { inspector: self, value };
        let count = keyed.count(&source).ok()?;
        let limit = usize::try_from(self.style.elements).unwrap_or(usize::MAX);
        let mut elements = Vec::new();
        let walked = keyed.each(&source, &mut |at| {
            if elements.len() >= limit {
                return Ok(ControlFlow::Break(()));
            }
            elements.push(TypedValue { ty: keyed.element(), place: Held::Memory(at) });
            Ok(ControlFlow::Continue(()))
        });
        // What is out of order is shown as far as it goes.
        if walked.is_err() && elements.is_empty() {
            return None;
        }
        let title = format!("{library}::{template} with {}", counted(count));
        Some(self.show_titled_elements(&title, &elements, template, count, depth))
    }

    pub(super) fn word(&self, at: u64) -> Option<u64> {
        self.memory.read_u64(VirtAddr(at)).ok()
    }
}
