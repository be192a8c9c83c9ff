//! The file that holds what several files have in common (DWARF 5, 7.3.6; before, dwz's .gnu_debugaltlink): strings, and units
//! that theirs refer to.

use std::sync::{Arc, OnceLock};

use gimli::SectionId;

use super::entry::{EntryId, Session};
use super::sections::DebugFile;
use super::unit::{header_at, open_unit, OpenUnit, Sections};
use super::units::{UnitId, UnitKind, UnitTable};
use super::Dwarf;
use crate::binary::image::Image;

/// Names the file: a path, NUL, its build-id.
const LINK: &str = ".gnu_debugaltlink";

/// The common file.
pub(super) struct Supplement {
    pub file: Arc<DebugFile>,
    units: OnceLock<UnitTable>,
}

impl Supplement {
    pub fn units(&self) -> &UnitTable {
        self.units.get_or_init(|| UnitTable::read(self.file.clone()))
    }
}

impl Dwarf {
    /// The common file, if there is one; opened at the first question.
    pub(super) fn supplement(&self) -> Option<&Supplement> {
        self.supplement.get_or_init(|| self.open_supplement()).as_ref()
    }

    fn open_supplement(&self) -> Option<Supplement> {
        let image = self.file.image();
        let link = image.slice(&image.section(LINK)?.bytes);
        let (name, build_id) = link.split_at_checked(memchr::memchr(0, link)?)?;
        let (name, build_id) = (std::str::from_utf8(name).ok()?, build_id.get(1..)?);
        let files = self.split.files()?;
        let (path, bytes) = files.common(name, build_id)?;
        let image = Image::parse_split(path.clone(), bytes).map_err(|error| files.refuse(error.to_string())).ok()?;
        if image.build_id.as_ref().map(|range| image.slice(range)) != Some(build_id) {
            let (path, own) = (path.display(), self.file.path().display());
            files.refuse(format!("{path} is of another build than {own} refers to: its build-id differs"));
            return None;
        }
        Some(Supplement { file: Arc::new(DebugFile::new(Arc::new(image))), units: OnceLock::new() })
    }

    /// The common file's entry at an offset in its .debug_info.
    pub(super) fn common_entry(&self, at: usize) -> Option<EntryId> {
        let entry = self.supplement()?.units().entry_at(SectionId::DebugInfo, at)?;
        let unit = UnitId::new(UnitKind::Common, entry.unit.index(UnitKind::Own)?);
        Some(EntryId { unit, ..entry })
    }

    /// The offset in its file's .debug_info of an entry of the file or of the common one.
    pub(super) fn offset_of(&self, id: EntryId) -> Option<u64> {
        match id.unit.index(UnitKind::Common) {
            Some(index) => self.supplement()?.units().offset_of(EntryId { unit: UnitId::own(index), ..id }),
            None => self.units().offset_of(id),
        }
    }

    /// The file's own sections, with the common file's behind them.
    pub(super) fn sections(&self) -> Sections<'_> {
        let mut dwarf = self.file.read();
        if let Some(common) = self.supplement() {
            dwarf.set_sup(common.file.read());
        }
        Arc::new(dwarf)
    }
}

impl<'a> Session<'a> {
    /// A unit of the common file.
    pub(super) fn open_common(&self, id: UnitId, index: usize) -> gimli::Result<OpenUnit<'a>> {
        let common = self.owner.supplement().zip(self.dwarf.sup.clone());
        let (supplement, dwarf) = common.ok_or(gimli::Error::MissingUnitDie)?;
        let at = supplement.units().place(UnitId::own(index)).ok_or(gimli::Error::MissingUnitDie)?;
        let header = header_at(&dwarf, at)?;
        let abbreviations = self.owner.abbreviations(Some(id), &header, &dwarf)?;
        open_unit(&dwarf, header, abbreviations)
    }
}
