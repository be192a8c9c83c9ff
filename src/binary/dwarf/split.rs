//! Units whose entries are in other files (DWARF 5, 7.3.2; in DWARF 4 GNU's extension): a .dwo for each, or one .dwp with all.
//!
//! The file itself has skeletons: what they cover, their line programs, and what identifies the unit that has the rest. A
//! skeleton's [`UnitId`] means that unit as soon as entries are read.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use gimli::{DebugTypeSignature, DwoId, Section, SectionId, UnitHeader, UnitSectionOffset, UnitType};
use rayon::prelude::*;

use super::entry::{EntryId, Session};
use super::mentions::{Mentions, Places};
use super::sections::{DebugFile, Slice};
use super::unit::{header_at, open_unit, OpenUnit, Sections};
use super::units::{UnitId, UnitKind};
use super::Dwarf;
use crate::binary::image::Image;
use crate::binary::FileBytes;

/// What a skeleton says of the file that has its unit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SplitName {
    /// DW_AT_dwo_name.
    pub name: String,
    /// DW_AT_comp_dir: where a name that is relative begins.
    pub directory: String,
}

/// Finds and opens the files that hold the entries of units.
pub trait SplitFiles: Send + Sync {
    /// Files that can hold all units of this one, their paths and bytes.
    fn packages(&self) -> Vec<(PathBuf, FileBytes)>;
    /// The file with one unit. Where there is none the user hears of it.
    fn find(&self, wanted: &SplitName) -> Option<(PathBuf, FileBytes)>;
    /// The file of this path and build-id that several have in common. Where there is none the user hears of it.
    fn common(&self, name: &str, build_id: &[u8]) -> Option<(PathBuf, FileBytes)>;
    /// A file that was found is not used.
    fn refuse(&self, reason: String);
}

/// The files of a file's skeletons, opened when they are first asked for.
#[derive(Default)]
pub(super) struct SplitUnits {
    files: Option<Arc<dyn SplitFiles>>,
    package: OnceLock<Option<DebugFile>>,
    /// One for each unit of the file.
    objects: OnceLock<Vec<OnceLock<Option<Box<DebugFile>>>>>,
    types: Mutex<SplitTypes>,
}

/// Types that have a unit of their own in these files.
#[derive(Default)]
struct SplitTypes {
    units: Vec<TypeUnit>,
    by_signature: HashMap<u64, EntryId>,
    /// Skeletons whose files were looked through for them.
    read: HashSet<UnitId>,
    /// Whether all of the package's are known.
    has_package: bool,
}

#[derive(Clone, Copy)]
struct TypeUnit {
    signature: DebugTypeSignature,
    at: UnitSectionOffset,
    /// The skeleton whose .dwo has it; `None`: the .dwp.
    of: Option<UnitId>,
}

impl SplitUnits {
    pub fn files(&self) -> Option<&Arc<dyn SplitFiles>> {
        self.files.as_ref()
    }
}

impl Dwarf {
    /// The same, with the files that units are split into.
    pub fn with_split(mut self, files: Arc<dyn SplitFiles>) -> Self {
        self.split.files = Some(files);
        self
    }

    /// Whether files of units were looked for.
    pub fn has_looked_for_split(&self) -> bool {
        self.split.package.get().is_some() || self.split.objects.get().is_some() || self.supplement.get().is_some()
    }

    /// Whether a unit's entries are in another file.
    pub(super) fn is_split(&self, unit: UnitId) -> bool {
        self.units().entry(unit).is_none_or(|entry| entry.split.is_some())
    }

    fn split_types(&self) -> MutexGuard<'_, SplitTypes> {
        self.split.types.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn package(&self) -> Option<&DebugFile> {
        self.split.package.get_or_init(|| self.open_package()).as_ref()
    }

    /// The first package that has any of the units.
    fn open_package(&self) -> Option<DebugFile> {
        let files = self.split.files.as_ref()?;
        let wanted: Vec<u64> = self.units().entries().filter_map(|(_, entry)| entry.split).collect();
        if wanted.is_empty() {
            return None;
        }
        files.packages().into_iter().find_map(|(path, bytes)| {
            let image =
                Image::parse_split(path.clone(), bytes).map_err(|error| files.refuse(error.to_string())).ok()?;
            let file = DebugFile::split(Arc::new(image));
            let has_any = file.package().map(|package| wanted.iter().any(|one| package.cu_index.find(*one).is_some()));
            match has_any {
                Ok(true) => return Some(file),
                Ok(false) => files.refuse(format!(
                    "{} is of another build than {}: it has none of its units",
                    path.display(),
                    self.file.path().display()
                )),
                Err(error) => files.refuse(format!("{}: bad index of units: {error}", path.display())),
            }
            None
        })
    }

    /// The .dwo of a skeleton.
    fn object(&self, unit: UnitId, skeleton: &OpenUnit<'_>) -> Option<&DebugFile> {
        let count = self.units().len();
        let objects = self.split.objects.get_or_init(|| (0..count).map(|_| OnceLock::new()).collect());
        let open = || {
            let text = |one: Option<Slice<'_>>| one.map_or_else(String::new, |one| one.to_string_lossy().into_owned());
            let (name, directory) = (text(skeleton.root.split_name), text(skeleton.unit.comp_dir));
            let files = self.split.files.as_ref()?;
            let (path, bytes) = files.find(&SplitName { name, directory })?;
            let image = Image::parse_split(path, bytes).map_err(|error| files.refuse(error.to_string())).ok()?;
            Some(Box::new(DebugFile::split(Arc::new(image))))
        };
        objects.get(unit.index(UnitKind::Own)?)?.get_or_init(open).as_deref()
    }

    /// Adds the units of other files that have the name.
    pub(super) fn add_split_mentions(&self, name: &str, mentions: &mut Mentions) {
        let units = self.units().entries();
        let split: Vec<(UnitId, u64)> = units.filter_map(|(unit, entry)| Some((unit, entry.split?))).collect();
        if split.is_empty() {
            return;
        }
        let text = [name.as_bytes(), &[0]].concat();
        let stage = format!("looking for {name} in split units");
        self.progress.stage(&stage, split.len() as u64);
        let packed = self.package().map(|file| PackedName::new(file, &text));
        let found = split.into_par_iter().filter(|(unit, identity)| {
            self.progress.advance(1);
            !self.progress.is_cancelled() && self.may_mention(*unit, *identity, &text, packed.as_ref())
        });
        let found: Vec<(UnitId, u64)> = found.collect();
        let session = Session::new(self);
        let mut types = self.split_types();
        types.add_package(&session);
        for (unit, _) in found {
            mentions.add(unit, Places::Anywhere);
            if packed.is_none() {
                types.add_object(&session, unit);
            }
        }
        for (index, one) in types.units.iter().enumerate() {
            if one.of.is_none_or(|unit| mentions.has(unit)) {
                mentions.add(UnitId::new(UnitKind::SplitType, index), Places::Anywhere);
            }
        }
    }

    /// How many types have a unit of their own in other files.
    pub(super) fn split_type_units(&self) -> usize {
        let split: Vec<UnitId> = self.units().entries().filter_map(|(unit, entry)| entry.split.map(|_| unit)).collect();
        if split.is_empty() {
            return 0;
        }
        let session = Session::new(self);
        let mut types = self.split_types();
        types.add_package(&session);
        if session.package().is_none() {
            for unit in split {
                types.add_object(&session, unit);
            }
        }
        types.units.len()
    }

    /// Whether a split unit's strings, or its entries, hold a text.
    fn may_mention(&self, unit: UnitId, identity: u64, text: &[u8], packed: Option<&PackedName<'_>>) -> bool {
        let session = Session::new(self);
        if let Some(holds) = packed.and_then(|packed| packed.is_in(&session, identity)) {
            return holds;
        }
        let Some(file) = session.skeleton(unit).ok().and_then(|own| self.object(unit, &own)) else { return false };
        [SectionId::DebugStr, SectionId::DebugInfo, SectionId::DebugTypes].into_iter().any(|section| {
            let holds = memchr::memmem::find(file.section(section), text).is_some();
            file.release(section, 0..usize::MAX);
            holds
        })
    }
}

impl<'a> Session<'a> {
    /// The unit that a skeleton stands for; `None`: its file is not found, or has no such unit.
    pub(super) fn open_split(&self, id: UnitId, identity: u64, own: &OpenUnit<'a>) -> Option<OpenUnit<'a>> {
        let packed = self.package().and_then(|package| package.find_cu(DwoId(identity), &self.dwarf).ok()?);
        let dwarf = match packed {
            Some(dwarf) => Arc::new(dwarf),
            None => self.object_sections(id, own)?,
        };
        let Some(header) = compilation_unit(&dwarf, identity) else {
            let (found, file) = (self.owner.object(id, own)?.path(), self.owner.file.path());
            let (found, file) = (found.display(), file.display());
            let reason = format!("{found} is of another build than {file}: it has no unit {identity:016x}");
            self.owner.split.files.as_ref()?.refuse(reason);
            return None;
        };
        let abbreviations = self.owner.abbreviations(Some(id), &header, &dwarf).ok()?;
        let mut whole = open_unit(&dwarf, header, abbreviations)
            .inspect_err(|error| tracing::debug!(%error, "a split unit cannot be read"))
            .ok()?;
        whole.unit.low_pc = own.unit.low_pc;
        whole.unit.addr_base = own.unit.addr_base;
        whole.unit.comp_dir = own.unit.comp_dir;
        if header.version() < 5 {
            // DW_AT_GNU_ranges_base.
            whole.unit.rnglists_base = own.unit.rnglists_base;
        }
        whole.root.lines = own.root.lines;
        whole.root.has_low_pc = own.root.has_low_pc;
        Some(whole)
    }

    fn package(&self) -> Option<gimli::DwarfPackage<Slice<'a>>> {
        let package = self.owner.package()?.package();
        package.inspect_err(|error| tracing::debug!(%error, "a .dwp cannot be read")).ok()
    }

    /// The sections of a skeleton's .dwo.
    fn object_sections(&self, id: UnitId, own: &OpenUnit<'a>) -> Option<Sections<'a>> {
        let mut dwarf = self.owner.object(id, own)?.read();
        dwarf.make_dwo(&self.dwarf);
        Some(Arc::new(dwarf))
    }

    /// A type's unit.
    pub(super) fn open_split_type(&self, id: UnitId, index: usize) -> gimli::Result<OpenUnit<'a>> {
        let one = self.owner.split_types().units.get(index).copied().ok_or(gimli::Error::MissingUnitDie)?;
        let dwarf = match one.of {
            Some(skeleton) => self.unit(skeleton)?.dwarf.clone(),
            None => {
                let package = self.package().ok_or(gimli::Error::MissingUnitDie)?;
                let found = package.find_tu(one.signature, &self.dwarf)?;
                Arc::new(found.ok_or(gimli::Error::MissingUnitDie)?)
            }
        };
        let header = header_at(&dwarf, one.at)?;
        let abbreviations = self.owner.abbreviations(Some(one.of.unwrap_or(id)), &header, &dwarf)?;
        open_unit(&dwarf, header, abbreviations)
    }

    /// The type of a signature that a unit of another file refers to.
    pub(super) fn split_type(&self, from: UnitId, signature: DebugTypeSignature) -> Option<EntryId> {
        let from = match from.index(UnitKind::SplitType) {
            Some(index) => self.owner.split_types().units.get(index)?.of,
            None => Some(from).filter(|unit| self.owner.is_split(*unit)),
        };
        let known = |types: &SplitTypes| types.by_signature.get(&signature.0).copied();
        if let Some(known) = known(&self.owner.split_types()) {
            return Some(known);
        }
        let packed = self.package().and_then(|package| package.find_tu(signature, &self.dwarf).ok()?);
        if let Some(dwarf) = packed {
            self.owner.split_types().add(&dwarf, None);
        } else {
            let from = from?;
            let dwarf = self.unit(from).ok()?.dwarf.clone();
            let mut types = self.owner.split_types();
            if types.read.insert(from) {
                types.add(&dwarf, Some(from));
            }
        }
        known(&self.owner.split_types())
    }
}

impl SplitTypes {
    /// The type units of the package.
    fn add_package(&mut self, session: &Session<'_>) {
        let Some(package) = session.package().filter(|_| !std::mem::replace(&mut self.has_package, true)) else {
            return;
        };
        for row in 1..=package.tu_index.unit_count() {
            if let Ok(dwarf) = package.tu_sections(row, &session.dwarf) {
                self.add(&dwarf, None);
            }
        }
    }

    /// The type units of a skeleton's .dwo.
    fn add_object(&mut self, session: &Session<'_>, skeleton: UnitId) {
        if self.read.insert(skeleton) {
            let own = session.skeleton(skeleton).ok().and_then(|own| session.object_sections(skeleton, &own));
            own.into_iter().for_each(|dwarf| self.add(&dwarf, Some(skeleton)));
        }
    }

    /// The type units of these sections.
    fn add(&mut self, dwarf: &gimli::Dwarf<Slice<'_>>, of: Option<UnitId>) {
        let (mut units, mut types) = (dwarf.units(), dwarf.type_units());
        while let Some(header) = units.next().ok().flatten().or_else(|| types.next().ok().flatten()) {
            let (UnitType::Type { type_signature: signature, type_offset }
            | UnitType::SplitType { type_signature: signature, type_offset }) = header.type_()
            else {
                continue;
            };
            let unit = UnitId::new(UnitKind::SplitType, self.units.len());
            let entry = EntryId { unit, offset: type_offset.0 as u64 };
            if let std::collections::hash_map::Entry::Vacant(place) = self.by_signature.entry(signature.0) {
                place.insert(entry);
                self.units.push(TypeUnit { signature, at: header.offset(), of });
            }
        }
    }
}

/// The unit of an identity: DWARF 5 has it in the header, GNU's extension in the root entry.
fn compilation_unit<'a>(dwarf: &Sections<'a>, identity: u64) -> Option<UnitHeader<Slice<'a>>> {
    let mut units = dwarf.units();
    while let Some(header) = units.next().ok()? {
        let is_it = match header.type_() {
            UnitType::SplitCompilation(id) => id.0 == identity,
            UnitType::Compilation => {
                let abbreviations = header.abbreviations(&dwarf.debug_abbrev).ok()?;
                let open = open_unit(dwarf, header, Arc::new(abbreviations)).ok()?;
                open.root.split == Some(identity)
            }
            _ => false,
        };
        if is_it {
            return Some(header);
        }
    }
    None
}

/// A name in the strings of a package.
struct PackedName<'a> {
    file: &'a DebugFile,
    text: &'a [u8],
    package: Option<gimli::DwarfPackage<Slice<'a>>>,
    /// Its offsets in .debug_str.dwo.
    offsets: HashSet<u32>,
}

impl<'a> PackedName<'a> {
    fn new(file: &'a DebugFile, text: &'a [u8]) -> Self {
        let strings = file.section(SectionId::DebugStr);
        let offsets = memchr::memmem::find_iter(strings, text).filter_map(|at| u32::try_from(at).ok()).collect();
        file.release(SectionId::DebugStr, 0..usize::MAX);
        Self { file, text, package: file.package().ok(), offsets }
    }

    /// Whether a unit names it by its index or holds it; `None`: the package has no such unit.
    fn is_in(&self, session: &Session<'a>, identity: u64) -> Option<bool> {
        let package = self.package.as_ref()?;
        let dwarf = package.find_cu(DwoId(identity), &session.dwarf).ok()??;
        let indexed = dwarf.debug_str_offsets.reader().slice().chunks_exact(4);
        let mut indexed = indexed.map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        let holds = |bytes: &[u8]| memchr::memmem::find(bytes, self.text).is_some();
        let entries = dwarf.debug_info.reader().slice();
        let found = indexed.any(|offset| self.offsets.contains(&offset)) || holds(entries);
        let whole = self.file.section(SectionId::DebugInfo).as_ptr_range();
        if let Some(start) = entries.as_ptr().addr().checked_sub(whole.start.addr()) {
            self.file.release(SectionId::DebugInfo, start..start.saturating_add(entries.len()));
        }
        Some(found)
    }
}
