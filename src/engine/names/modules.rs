//! Which files a process has mapped, and telling when that changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::api::Event;
use crate::base::{AddrRange, Inferior, Mapping, MappingSource, Pid, ReadMem, Tid, VirtAddr};
use crate::binary::Module;
use crate::engine::inspect::memory::RawMemory;
use crate::engine::state::Engine;
use crate::target::address_space::LoadedModule;
use crate::target::breakpoint::Owner;
use crate::target::task::SpaceId;

/// Where the dynamic loader tells debuggers that the list of modules has changed (glibc and musl both name it so).
const RENDEZVOUS: &str = "_dl_debug_state";
/// Where the kernel has mapped the ELF interpreter (getauxval(3)).
const AT_BASE: u64 = 7;
/// How much further apart than in the file the segments of a module can lie in memory, bytes: what code can address (psABI, code
/// models).
const REACH: u64 = 4 << 30;
/// The kernel's code in every process: a module without a file (vdso(7)).
pub(super) const VDSO: &str = "[vdso]";
/// The vdso is a few pages.
const VDSO_LIMIT: u64 = 1 << 20;

impl<I: Inferior> Engine<I> {
    /// A new address space: finds what is mapped, arms the loader's rendezvous, and places the breakpoints.
    pub(in crate::engine) fn begin_space(&mut self, tid: Tid) {
        let Some((pid, space)) = self.process_of(tid).map(|one| (one.pid, one.space)) else { return };
        self.scan_modules(pid, space);
    }

    /// The loader reports a change.
    pub(in crate::engine) fn modules_changed(&mut self, tid: Tid, space: SpaceId) {
        let Some(pid) = self.threads.get(&tid).map(|one| one.pid) else { return };
        self.scan_modules(pid, space);
    }

    /// Compares the mappings with the modules that are known.
    fn scan_modules(&mut self, pid: Pid, space: SpaceId) {
        let Ok(maps) = self.inferior.maps(pid) else { return };
        let files = executable_files(&maps);
        let starts = files.iter().map(|(mapping, _)| mapping.range.start);
        let starts: Vec<VirtAddr> = starts.chain(super::jit::jit_starts(&maps)).collect();
        self.forget_unmapped(space, &starts);
        for (mapping, range) in files {
            let known = self.spaces.get(&space).is_some_and(|one| one.modules.module_at(mapping.range.start).is_some());
            if known {
                continue;
            }
            match self.load_module(pid, mapping, range) {
                Ok(Some(loaded)) => self.add_module(pid, space, loaded),
                Ok(None) => {}
                Err(text) => self.emit(Event::Notice { text }),
            }
        }
        self.resolve_pending(pid, space);
        self.ask_for_names();
    }

    fn forget_unmapped(&mut self, space: SpaceId, starts: &[VirtAddr]) {
        let (guarded, pid) = (self.guarded(space), self.pid_of_space(space));
        let Some(one) = self.spaces.get_mut(&space) else { return };
        let gone: Vec<AddrRange> = one
            .modules
            .modules()
            .iter()
            .map(|module| module.range)
            .filter(|range| !starts.contains(&range.start))
            .collect();
        for range in &gone {
            let range = *range;
            one.modules.remove(range.start);
            for (at, _) in one.sites.forget_range(range.start, range.end) {
                self.guardian.uncover(guarded, at);
                if let Some(pid) = pid {
                    one.net.forget(&mut self.inferior, pid, at);
                }
            }
            for breakpoint in self.breakpoints.values_mut() {
                breakpoint.forget_range(space, range);
            }
        }
        if !gone.is_empty() {
            self.free_registers_where(|of, region| of == space && gone.iter().any(|range| range.contains(region.at)));
            self.forget_probes_in(space);
        }
    }

    fn load_module(&mut self, pid: Pid, mapping: &Mapping, range: AddrRange) -> Result<Option<LoadedModule>, String> {
        let (module, path) = match &mapping.source {
            MappingSource::Special(name) => (self.read_vdso(pid, range, name)?, PathBuf::from(name)),
            MappingSource::File { path, .. } => {
                let Some(openable) = self.inferior.openable_path(pid, mapping) else {
                    return Err(format!(
                        "{} is mapped but cannot be opened: its functions have no names",
                        path.display()
                    ));
                };
                let root = crate::os::root_of(pid);
                (self.open_file(mapping.file_id, &openable, path, &root)?, path.clone())
            }
            MappingSource::Anonymous => return Ok(None),
        };
        // A file that is mapped but is no ELF object (a font, a locale archive) is no module.
        let Some(module) = module else { return Ok(None) };
        let Some(bias) = module.bias_for(mapping.range.start, mapping.file_offset) else { return Ok(None) };
        Ok(Some(LoadedModule { module, bias, range, path }))
    }

    fn read_vdso(&self, pid: Pid, range: AddrRange, name: &str) -> Result<Option<Arc<Module>>, String> {
        let mut bytes = vec![0; range.len().min(VDSO_LIMIT) as usize];
        let memory = RawMemory { inferior: &self.inferior, pid };
        if memory.read_exact(range.start, &mut bytes).is_err() {
            return Ok(None);
        }
        Ok(Module::parse(PathBuf::from(name), Arc::new(bytes)).ok().map(Arc::new))
    }

    /// The parsed file, from the cache or from disk.
    fn open_file(
        &mut self,
        id: (u64, u64),
        openable: &Path,
        path: &Path,
        root: &Path,
    ) -> Result<Option<Arc<Module>>, String> {
        if let Some(module) = self.files.get(&id) {
            return Ok(Some(module.clone()));
        }
        let bytes = crate::os::map_file(openable).map_err(|error| error.to_string())?;
        let is_elf = (*bytes).as_ref().starts_with(b"\x7fELF");
        match Module::parse(path.to_path_buf(), bytes) {
            Ok(module) => {
                let module = self.named_module(module.reporting_to(self.progress.clone()), path, root);
                if let Some((_, names)) = &self.settings.vtable_names {
                    module.set_vtable_names(names.clone());
                }
                let module = Arc::new(module);
                self.take_index(&module, path, root);
                self.files.insert(id, module.clone());
                Ok(Some(module))
            }
            Err(error) if is_elf => Err(error.to_string()),
            Err(_) => Ok(None),
        }
    }

    /// A module with the separate file that there is for it.
    fn named_module(&mut self, module: Module, path: &Path, root: &Path) -> Module {
        let found = self.settings.names.find(&module, path, Some(root));
        for text in found.notes {
            self.emit(Event::Notice { text });
        }
        let module = match found.file {
            Some(file) => module.with_names(file),
            None => module,
        };
        self.settings.names.with_split(module, path, root)
    }

    fn add_module(&mut self, pid: Pid, space: SpaceId, loaded: LoadedModule) {
        let start = loaded.range.start;
        let rendezvous = self
            .is_dynamic_loader(pid, &loaded)
            .then(|| loaded.module.symbols().find_exact(RENDEZVOUS).map(|symbol| loaded.bias.to_virt(symbol.address)))
            .flatten();
        let Some(one) = self.spaces.get_mut(&space) else { return };
        one.modules.insert(loaded);
        if let Some(at) = rendezvous {
            one.rendezvous = Some(at);
            if let Err(error) = self.arm(pid, space, at, Owner::Rendezvous) {
                let text = format!("modules that are loaded later will not be seen: {error}");
                self.emit(Event::Notice { text });
            }
        }
        self.resolve_in_module(pid, space, start);
        self.place_probes(space, start);
    }

    /// Whether a module is the program's ELF interpreter, by where the kernel has mapped that (AT_BASE), or else by its
    /// name: musl's is libc.so, and one that was started by its own name has no AT_BASE.
    pub(super) fn is_dynamic_loader(&self, pid: Pid, loaded: &LoadedModule) -> bool {
        let name = loaded.module.name();
        let is_interpreter = |(kind, at): &(u64, u64)| *kind == AT_BASE && *at == loaded.range.start.0;
        ["ld-", "ld.", "libc.musl-"].iter().any(|start| name.starts_with(start))
            || self.inferior.auxv(pid).is_ok_and(|auxv| auxv.iter().any(is_interpreter))
    }

    /// A process that has a space.
    pub(in crate::engine) fn pid_of_space(&self, space: SpaceId) -> Option<Pid> {
        self.processes.values().find(|one| one.space == space).map(|one| one.pid)
    }
}

/// The files with executable mappings, and the vdso: the first mapping of each, and the range from its start to the
/// end of its last. A file that is mapped at two places is two modules: each begins at the file's offset 0.
pub(super) fn executable_files(maps: &[Mapping]) -> Vec<(&Mapping, AddrRange)> {
    let mut found: Vec<(&Mapping, AddrRange, bool)> = Vec::new();
    for mapping in maps {
        match found.last_mut() {
            Some((first, range, has_code)) if continues(first, mapping) => {
                range.end = mapping.range.end;
                *has_code |= mapping.exec;
            }
            _ if is_module_source(&mapping.source) => found.push((mapping, mapping.range, mapping.exec)),
            _ => {}
        }
    }
    found.into_iter().filter(|(_, _, has_code)| *has_code).map(|(first, range, _)| (first, range)).collect()
}

/// Whether a mapping is a later part of the module that `first` begins. Anonymous ones between them (.bss, padding) do
/// not end it. A part that a program has mapped again far away (node does it with its built-in functions) is none.
fn continues(first: &Mapping, mapping: &Mapping) -> bool {
    let in_file = mapping.file_offset.saturating_sub(first.file_offset);
    let is_near = mapping.range.start.since(first.range.start) <= in_file.saturating_add(REACH);
    first.source == mapping.source && first.file_id == mapping.file_id && in_file > 0 && is_near
}

fn is_module_source(source: &MappingSource) -> bool {
    match source {
        MappingSource::File { .. } => true,
        MappingSource::Special(name) => name == VDSO,
        MappingSource::Anonymous => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(start: u64, end: u64, exec: bool, offset: u64, file: Option<&str>) -> Mapping {
        let source = match file {
            Some(path) if path.starts_with('[') => MappingSource::Special(path.to_string()),
            Some(path) => MappingSource::File { path: PathBuf::from(path), deleted: false },
            None => MappingSource::Anonymous,
        };
        let range = AddrRange { start: VirtAddr(start), end: VirtAddr(end) };
        let file_id = file.map_or((0, 0), |path| (1, path.len() as u64));
        Mapping { range, read: true, write: false, exec, file_offset: offset, file_id, source }
    }

    #[test]
    fn files_without_code_are_no_modules_and_segments_belong_together() {
        let maps = [
            map(0x1000, 0x2000, false, 0, Some("/bin/a")),
            map(0x2000, 0x3000, true, 0x1000, Some("/bin/a")),
            map(0x3000, 0x4000, false, 0x2000, Some("/bin/a")),
            map(0x4000, 0x5000, false, 0, None),
            map(0x6000, 0x7000, false, 0, Some("/usr/lib/locale")),
            map(0x8000, 0x9000, true, 0, Some("[vdso]")),
        ];
        let ranges = |maps: &[Mapping]| -> Vec<(u64, u64)> {
            executable_files(maps).iter().map(|(_, range)| (range.start.0, range.end.0)).collect()
        };
        assert_eq!(ranges(&maps), [(0x1000, 0x4000), (0x8000, 0x9000)]);
        let again = [map(0x1000, 0x2000, true, 0, Some("/bin/a")), map(7 << 40, 8 << 40, true, 0x1000, Some("/bin/a"))];
        assert_eq!(ranges(&again), [(0x1000, 0x2000), (7 << 40, 8 << 40)]);
    }
}
