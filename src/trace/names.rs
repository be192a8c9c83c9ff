//! Names for the frames of stacks, looked up when they are printed. Each place is named once.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use super::value::StackValue;
use crate::base::{FileAddr, VirtAddr};
use crate::binary::symbols::demangle;
use crate::lang::script::types::StackMode;

/// Names that were looked up, by module and place.
#[derive(Default)]
pub struct Names {
    known: HashMap<(usize, FileAddr), Arc<str>>,
}

/// No more names are kept: a program has fewer places from which it is traced.
const KEPT: usize = 1 << 16;

impl Names {
    /// `function+offset`; the address where nothing is known of it.
    pub fn place(&mut self, stack: &StackValue, pc: VirtAddr, lookup: VirtAddr) -> Arc<str> {
        let Some(loaded) = stack.space.module_at(lookup) else { return format!("{:#x}", pc.0).into() };
        // The module is held by the stack, and by the engine's cache of files: its address stays its own.
        let key = (Arc::as_ptr(&loaded.module) as usize, loaded.to_file(pc));
        if let Some(name) = self.known.get(&key) {
            return name.clone();
        }
        let name: Arc<str> = match loaded.find_name(lookup) {
            Some(named) => format!("{}+{}", demangle(&named.name), pc.since(named.start)).into(),
            None => format!("{}+{:#x}", loaded.name(), loaded.to_file(pc).0).into(),
        };
        if self.known.len() < KEPT {
            self.known.insert(key, name.clone());
        }
        name
    }

    /// The function at an address, without an offset.
    pub fn symbol(&mut self, stack: &StackValue) -> String {
        let Some((pc, lookup)) = stack.frames.first().copied() else { return String::new() };
        match stack.space.find_name(lookup) {
            Some(named) if pc == named.start => demangle(&named.name).into_owned(),
            _ => self.place(stack, pc, lookup).to_string(),
        }
    }

    /// A stack as bpftrace writes it: a line for each frame, and an empty one before them.
    pub fn stack(&mut self, stack: &StackValue, mode: StackMode) -> String {
        let mut text = String::from("\n");
        for (pc, lookup) in &stack.frames {
            let _ = match mode {
                StackMode::Bpftrace => writeln!(text, "        {}", self.place(stack, *pc, *lookup)),
                StackMode::Perf => {
                    let name = self.place(stack, *pc, *lookup);
                    let module = stack.space.module_at(*lookup).map(|one| one.path.display().to_string());
                    writeln!(text, "\t{:x} {name} ({})", pc.0, module.unwrap_or_default())
                }
                StackMode::Raw => writeln!(text, "{:x}", pc.0),
            };
        }
        text
    }
}
