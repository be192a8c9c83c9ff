//! Where a thread has a module's block of thread-local variables ("ELF Handling For Thread-Local Storage", variant II).
//!
//! A program's own block lies right below the thread pointer. Where a library's is, only the C library knows. glibc keeps
//! it in the library's `link_map` (a place that is the same below each thread's pointer, or a number in each thread's
//! vector, the DTV), and tells the layout of these by its symbols `_thread_db_*`, which are there for libthread_db.

use super::address_space::{AddressSpace, LoadedModule};
use crate::base::{FileAddr, ReadMem, VirtAddr};
use crate::binary::ModuleKind;

/// A list of the loader's is not longer than this.
const LIST_LIMIT: usize = 100_000;
/// `l_tls_offset` of a module whose block has no such place, in glibc: NO_TLS_OFFSET and FORCED_DYNAMIC_TLS_OFFSET.
const NOT_STATIC: [u64; 2] = [0, u64::MAX];
/// Fields of `r_debug` and `link_map` (link.h), bytes from their starts.
const R_MAP: u64 = 8;
const R_NEXT: u64 = 40;
const L_NEXT: u64 = 24;
/// From this version on `r_debug` has a next one: a namespace of dlmopen(3).
const R_VERSION_WITH_NEXT: u32 = 2;

/// Why there is no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoBlock {
    /// No thread is meant.
    #[error("each thread has its own, and none stands still")]
    NoThread,
    /// The module has no PT_TLS.
    #[error("{0} has no block of thread-local variables")]
    NoSegment(String),
    /// glibc makes a block at a thread's first use of it.
    #[error("this thread has not used the thread-local variables of {0} yet: it has no copy of them")]
    NotMade(String),
    /// A C library without glibc's symbols, or one whose memory cannot be read.
    #[error("where {0} has its thread-local variables only the C library knows, which does not tell it as glibc does")]
    Untold(String),
}

/// Where the block of `loaded`, a module of `space`, begins in the thread whose thread pointer is `fs_base`.
///
/// # Errors
/// [`NoBlock`].
pub fn block(
    space: &AddressSpace,
    loaded: &LoadedModule,
    fs_base: u64,
    memory: &dyn ReadMem,
) -> Result<VirtAddr, NoBlock> {
    if fs_base == 0 {
        return Err(NoBlock::NoThread);
    }
    let below = below_thread_pointer(space, loaded, memory)?;
    if let Some(distance) = below {
        return Ok(VirtAddr(fs_base.wrapping_sub(distance)));
    }
    let untold = || NoBlock::Untold(loaded.name());
    let glibc = Glibc::find(space, memory).ok_or_else(untold)?;
    match glibc.dynamic_block(loaded, fs_base).ok_or_else(untold)? {
        Some(at) => Ok(at),
        None => Err(NoBlock::NotMade(loaded.name())),
    }
}

/// How far below the thread pointer the module's block begins, bytes, where that is the same for every thread; `None`: it
/// is not.
///
/// # Errors
/// [`NoBlock`].
pub fn below_thread_pointer(
    space: &AddressSpace,
    loaded: &LoadedModule,
    memory: &dyn ReadMem,
) -> Result<Option<u64>, NoBlock> {
    let size = loaded.module.thread_local_size().ok_or_else(|| NoBlock::NoSegment(loaded.name()))?;
    if is_program(loaded) {
        return Ok(Some(size));
    }
    let told = Glibc::find(space, memory).and_then(|glibc| glibc.static_offset(loaded));
    let offset = told.ok_or_else(|| NoBlock::Untold(loaded.name()))?;
    Ok(Some(offset).filter(|offset| !NOT_STATIC.contains(offset)))
}

/// Whether a module is a program and no library: the first to get a block. glibc's libc has an interpreter, too.
fn is_program(loaded: &LoadedModule) -> bool {
    let module = &loaded.module;
    let is_library = module.dynamic().soname.is_some();
    let is_static = module.needed().is_empty() && module.dynamic().debug_slot.is_some();
    module.kind() == ModuleKind::Executable || (!is_library && (module.interpreter().is_some() || is_static))
}

/// glibc's bookkeeping in a process.
struct Glibc<'a> {
    space: &'a AddressSpace,
    memory: &'a dyn ReadMem,
    libc: &'a LoadedModule,
}

impl<'a> Glibc<'a> {
    fn find(space: &'a AddressSpace, memory: &'a dyn ReadMem) -> Option<Self> {
        // Before release 2.34 the symbols are in libpthread.
        let is_candidate = |one: &&LoadedModule| {
            let name = one.name();
            ["libc.so", "libc-2", "libpthread"].iter().any(|start| name.starts_with(start))
        };
        let all = || space.modules().iter().filter(is_candidate);
        let libc = all().find(|one| one.module.symbols().find_exact("_thread_db_link_map_l_tls_modid").is_some())?;
        Some(Self { space, memory, libc })
    }

    fn word(&self, at: VirtAddr) -> Option<u64> {
        self.memory.read_u64(at).ok()
    }

    fn half(&self, at: VirtAddr) -> Option<u32> {
        let mut half = [0; 4];
        self.memory.read_exact(at, &mut half).ok()?;
        Some(u32::from_le_bytes(half))
    }

    fn described(&self, name: &str) -> Option<VirtAddr> {
        let symbol = self.libc.module.symbols().find_exact(&format!("_thread_db_{name}"))?;
        Some(self.libc.to_virt(symbol.address))
    }

    /// Where a field is in its structure, bytes: its symbol's words are its size in bits, its count and that
    /// (nptl_db/db_info.c).
    fn offset_of(&self, field: &str) -> Option<u64> {
        self.half(self.described(field)?.offset(8)).map(u64::from)
    }

    fn size_of(&self, structure: &str) -> Option<u64> {
        self.half(self.described(&format!("sizeof_{structure}"))?).map(u64::from)
    }

    /// The `link_map` of a module.
    fn link_map(&self, loaded: &LoadedModule) -> Option<VirtAddr> {
        let slots = self.space.modules().iter().filter_map(|one| Some(one.to_virt(one.module.dynamic().debug_slot?)));
        let mut debug = slots.filter_map(|slot| self.word(slot)).find(|debug| *debug != 0)?;
        let bias = loaded.to_virt(FileAddr(0)).0;
        let mut seen = 0;
        while debug != 0 && seen < LIST_LIMIT {
            let mut map = self.word(VirtAddr(debug).offset(R_MAP))?;
            while map != 0 && seen < LIST_LIMIT {
                if self.word(VirtAddr(map))? == bias {
                    return Some(VirtAddr(map));
                }
                map = self.word(VirtAddr(map).offset(L_NEXT))?;
                seen += 1;
            }
            let has_next = self.half(VirtAddr(debug))? >= R_VERSION_WITH_NEXT;
            debug = if has_next { self.word(VirtAddr(debug).offset(R_NEXT))? } else { 0 };
            seen += 1;
        }
        None
    }

    fn static_offset(&self, loaded: &LoadedModule) -> Option<u64> {
        self.word(self.link_map(loaded)?.offset(self.offset_of("link_map_l_tls_offset")?))
    }

    /// The block that the thread's DTV has for a module; `Some(None)`: none yet.
    fn dynamic_block(&self, loaded: &LoadedModule, fs_base: u64) -> Option<Option<VirtAddr>> {
        let map = self.link_map(loaded)?;
        let number = self.word(map.offset(self.offset_of("link_map_l_tls_modid")?))?;
        let entry_size = u64::from(self.half(self.described("dtv_dtv")?)? / 8);
        let dtv = VirtAddr(self.word(VirtAddr(fs_base).offset(self.offset_of("pthread_dtvp")?))?);
        // The entry before the first counts the others; the first has the generation of the last look at the list.
        let count = self.word(dtv.offset(entry_size.wrapping_neg()))?;
        let generation = self.word(dtv.offset(self.offset_of("dtv_t_counter")?))?;
        if number == 0 || number > count || self.generation_of(number).is_some_and(|of_module| of_module > generation) {
            return Some(None);
        }
        let entry = dtv.offset(number.checked_mul(entry_size)?);
        let block = self.word(entry.offset(self.offset_of("dtv_t_pointer_val")?))?;
        // TLS_DTV_UNALLOCATED is -1.
        Some((block != 0 && block & 1 == 0).then_some(VirtAddr(block)))
    }

    /// In which generation of the loader's list a number was given to the module that has it now: an older vector can
    /// still have the block of one that was unloaded.
    fn generation_of(&self, number: u64) -> Option<u64> {
        let global = self.space.modules().iter().find_map(|one| {
            let is_loader = one.name().starts_with("ld");
            let symbol = is_loader.then(|| one.module.symbols().find_exact("_rtld_global")).flatten()?;
            Some(one.to_virt(symbol.address))
        })?;
        let mut list = self.word(global.offset(self.offset_of("rtld_global__dl_tls_dtv_slotinfo_list")?))?;
        let mut index = number;
        for _ in 0..LIST_LIMIT {
            let length = self.word(VirtAddr(list).offset(self.offset_of("dtv_slotinfo_list_len")?))?;
            if index < length {
                let first = VirtAddr(list).offset(self.offset_of("dtv_slotinfo_list_slotinfo")?);
                let slot = first.offset(index.checked_mul(self.size_of("dtv_slotinfo")?)?);
                return self.word(slot.offset(self.offset_of("dtv_slotinfo_gen")?));
            }
            index -= length;
            list = self.word(VirtAddr(list).offset(self.offset_of("dtv_slotinfo_list_next")?))?;
        }
        None
    }
}
