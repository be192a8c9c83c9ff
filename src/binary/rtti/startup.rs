//! The functions that run before and around `main`.

use super::super::dynamic::word;
use super::super::image::Image;
use super::super::Dynamic;
use super::pointers::Pointers;
use crate::base::FileAddr;

/// `_start` is a few instructions long (bytes).
const START: u64 = 64;

/// What runs a function at the start or the end of a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Startup {
    /// e_entry of a program.
    Start,
    /// What `_start` hands to `__libc_start_main`.
    Main,
    /// An entry of DT_INIT_ARRAY: runs before `main`, in order.
    Initializer(u32),
    /// An entry of DT_FINI_ARRAY: runs at exit, in reverse order.
    Finalizer(u32),
}

impl Startup {
    /// As the function is called.
    pub fn text(self) -> String {
        match self {
            Startup::Start => "_start".to_owned(),
            Startup::Main => "main".to_owned(),
            Startup::Initializer(number) => format!("[initializer {number}]"),
            Startup::Finalizer(number) => format!("[finalizer {number}]"),
        }
    }
}

/// Those functions in address order, each once.
pub(super) fn find_startup(image: &Image, dynamic: &Dynamic, pointers: &Pointers) -> Vec<(FileAddr, Startup)> {
    let is_code = |at: FileAddr| image.segment_at(at).is_some_and(|segment| segment.exec);
    let mut found = Vec::new();
    if image.interpreter.is_some() || image.elf_type == object::elf::ET_EXEC {
        found.push((image.entry, Startup::Start));
        found.extend(find_main(image, pointers).map(|main| (main, Startup::Main)));
    }
    let arrays =
        [(dynamic.initializers, Startup::Initializer as fn(u32) -> Startup), (dynamic.finalizers, Startup::Finalizer)];
    for (array, kind) in arrays {
        let Some((start, size)) = array else { continue };
        let end = FileAddr(start.0.saturating_add(size));
        for pointer in pointers.from(start).take_while(|pointer| pointer.at < end) {
            found.push((pointer.to, kind((pointer.at.since(start) / 8) as u32)));
        }
    }
    found.retain(|(at, _)| is_code(*at));
    found.sort_unstable();
    found.dedup_by_key(|(at, _)| *at);
    found
}

/// The first argument of `__libc_start_main` (LSB, "Base Libraries"), as `_start` loads it into rdi.
fn find_main(image: &Image, pointers: &Pointers) -> Option<FileAddr> {
    let code = image.bytes_at(image.entry, START).or_else(|| image.bytes_at(image.entry, START / 2))?;
    code.windows(7).enumerate().find_map(|(at, bytes)| {
        let (opcode, operand) = bytes.split_at(3);
        let operand = word(&[operand, &[0; 4]].concat(), 0) as u32;
        let relative = image.entry.offset(at as u64 + 7).offset(i64::from(operand as i32) as u64);
        match opcode {
            [0x48, 0x8d, 0x3d] => Some(relative),
            [0x48, 0x8b, 0x3d] => pointers.target(relative),
            [0x48, 0xc7, 0xc7] => Some(FileAddr(u64::from(operand))),
            _ => None,
        }
    })
}
