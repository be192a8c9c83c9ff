//! DWARF 4 and 5 of one file, read as far as it is asked for: lines, functions and what was inlined into them.
//!
//! Nothing is parsed when a file is opened. The first question that needs it makes one pass over the units'
//! headers; a unit's root entry, line program and functions are decoded when an address or a line of it is asked for. All from
//! untrusted bytes: what is malformed costs an answer, never the process.

mod catalogue;
mod coverage;
mod definitions;
mod dynamic;
mod entry;
mod functions;
mod gdb_index;
mod imports;
mod lines;
mod location;
mod members;
mod mentions;
mod methods;
mod passing;
mod passing_go;
mod places;
mod recent;
mod scopes;
mod sections;
mod signature;
mod source_name;
mod split;
mod supplement;
mod type_list;
mod type_name;
mod types;
mod unit;
mod units;
mod variables;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use gimli::{Abbreviations, UnitHeader};

pub use catalogue::CatalogueStore;
pub use dynamic::BoundsScope;
pub use entry::EntryId;
pub use functions::{CallSite, Instance, SourceFrame};
pub use lines::{LineRow, LineSpan, LineTable, SourceFile};
pub use location::{FrameState, Piece, Producer, Source};
pub use members::{Access, Bits, Member, MemberKind, Variant};
pub use methods::Method;
pub use passing::{Passed, PassedArgument, ReturnPlace};
pub use places::{CodePlace, LineMatches};
pub use sections::DebugFile;
pub use signature::{CallSignature, Convention, Parameter};
pub use source_name::SourceName;
pub use split::{SplitFiles, SplitName};
pub use type_list::NamedType;
pub use types::{Encoding, Shape, TypeId, TypeView, Types};
pub use units::UnitId;
pub use variables::{Global, Variable, VariableKind};

use crate::base::{FileAddr, Progress};
use crate::binary::BinaryError;
use definitions::Definitions;
use entry::Session;
use functions::FunctionSpan;
use recent::Recent;
use scopes::ScopeTable;
use sections::Slice;
use split::SplitUnits;
use supplement::Supplement;
use unit::OpenUnit;
use units::{UnitKind, UnitTable};

/// How much memory decoded line tables may take before the oldest is dropped, bytes.
const TABLES_LIMIT: usize = 64 << 20;
/// The same of functions by address, bytes.
const FUNCTIONS_LIMIT: usize = 32 << 20;
/// The same of namespaces and classes by place, bytes.
const SCOPES_LIMIT: usize = 16 << 20;

/// How many tables of abbreviations are kept. One of a large C++ unit takes some tens of kilobytes, and as many microseconds.
const ABBREVIATIONS_LIMIT: usize = 256;

/// Where a table of abbreviations is: its offset in .debug_abbrev, which units of one object file share; of a unit in another
/// file, in that.
type AbbreviationsPlace = (Option<UnitId>, usize);

/// The debug information of a file.
pub struct Dwarf {
    file: Arc<DebugFile>,
    units: OnceLock<UnitTable>,
    split: SplitUnits,
    /// `None`: there is none.
    supplement: OnceLock<Option<Supplement>>,
    abbreviations: Mutex<HashMap<AbbreviationsPlace, Arc<Abbreviations>>>,
    /// `None`: the unit has none that can be read.
    tables: Recent<UnitId, Option<Arc<LineTable>>>,
    functions: Recent<UnitId, Arc<Vec<FunctionSpan>>>,
    scopes: Recent<UnitId, Arc<ScopeTable>>,
    definitions: Mutex<Definitions>,
    catalogue: catalogue::Kept,
    progress: Progress,
}

impl Dwarf {
    /// Reads nothing yet.
    pub fn new(file: DebugFile) -> Self {
        Self {
            file: Arc::new(file),
            units: OnceLock::new(),
            split: SplitUnits::default(),
            supplement: OnceLock::new(),
            abbreviations: Mutex::default(),
            tables: Recent::new(TABLES_LIMIT),
            functions: Recent::new(FUNCTIONS_LIMIT),
            scopes: Recent::new(SCOPES_LIMIT),
            definitions: Mutex::default(),
            catalogue: catalogue::Kept::default(),
            progress: Progress::default(),
        }
    }

    /// The same; what looks into many units tells there how far it is.
    pub fn reporting_to(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    /// Whether there is anything to read.
    pub fn is_empty(&self) -> bool {
        !self.file.has_units()
    }

    /// What is wrong with the list of units, if something is: what comes after is not seen.
    pub fn fault(&self) -> Option<BinaryError> {
        let (unit, reason) = self.units().broken.clone()?;
        Some(BinaryError::BadDwarf { path: self.file.path().to_path_buf(), unit, reason })
    }

    fn units(&self) -> &UnitTable {
        self.units.get_or_init(|| UnitTable::read(self.file.clone()))
    }

    /// Opens a unit: of a skeleton the unit that it stands for, where its file is found.
    fn open<'a>(&'a self, session: &Session<'a>, id: UnitId) -> gimli::Result<OpenUnit<'a>> {
        if let Some(index) = id.index(UnitKind::SplitType) {
            return session.open_split_type(id, index);
        }
        if let Some(index) = id.index(UnitKind::Common) {
            return session.open_common(id, index);
        }
        let own = session.skeleton(id)?;
        match own.root.split.and_then(|identity| session.open_split(id, identity, &own)) {
            Some(whole) => Ok(whole),
            None => Ok(own),
        }
    }

    /// A unit's abbreviations, parsed once. `elsewhere`: the unit, if it is in another file.
    fn abbreviations<'a>(
        &self,
        elsewhere: Option<UnitId>,
        header: &UnitHeader<Slice<'a>>,
        dwarf: &gimli::Dwarf<Slice<'a>>,
    ) -> gimli::Result<Arc<Abbreviations>> {
        let place = (elsewhere, header.debug_abbrev_offset().0);
        let lock = || self.abbreviations.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = lock().get(&place) {
            return Ok(known.clone());
        }
        // No lock is held meanwhile: others read other units.
        let parsed = Arc::new(header.abbreviations(&dwarf.debug_abbrev)?);
        let mut cache = lock();
        if cache.len() >= ABBREVIATIONS_LIMIT {
            cache.clear();
        }
        cache.insert(place, parsed.clone());
        Ok(parsed)
    }

    /// A unit's line table, decoded or from the cache.
    fn table(&self, session: &Session<'_>, unit: UnitId) -> Option<Arc<LineTable>> {
        let decode = || {
            let open = session.skeleton(unit).ok()?;
            let is_code = |at: FileAddr| self.is_code(at);
            let table = LineTable::decode(&session.dwarf, &open.unit, open.root.lines?, &is_code);
            table.inspect_err(|error| tracing::debug!(%error, "bad line program")).ok().map(Arc::new)
        };
        self.tables.get_or_make(unit, |table| table.as_ref().map_or(0, |table| table.size()), decode)
    }

    fn is_code(&self, at: FileAddr) -> bool {
        self.file.image().segment_at(at).is_some_and(|segment| segment.exec)
    }

    fn functions(&self, session: &Session<'_>, unit: UnitId) -> Arc<Vec<FunctionSpan>> {
        let read = || {
            let found = functions::functions_of_unit(session, unit);
            Arc::new(found.inspect_err(|error| tracing::debug!(%error, "bad entries in a unit")).unwrap_or_default())
        };
        self.functions.get_or_make(unit, |found| found.len() * size_of::<FunctionSpan>(), read)
    }
}
