//! The virtual tables of a file (Itanium C++ ABI, 2.5).

use rayon::prelude::*;

use super::super::dynamic::word;
use super::super::image::Image;
use super::pointers::{Pointer, Pointers};
use super::types::{is_vtable_start, ClassId, Types};
use crate::base::FileAddr;

/// A virtual table has no more functions than this.
const MAX_SLOTS: usize = 4096;
/// An object is no larger than this (bytes); it bounds where its bases can lie.
const MAX_OBJECT: i64 = 1 << 24;

/// The virtual functions of one class at one place in its objects.
#[derive(Clone, Debug)]
pub(super) struct Vtable {
    /// The class whose type information the table names.
    pub class: ClassId,
    /// Where in an object its pointer to this table is (bytes): 0 for the primary one.
    pub offset: i64,
    /// The address point: where the first function's pointer is.
    pub at: FileAddr,
    /// Where in [`Vtables::functions`] its functions start, and how many there are.
    first: u32,
    len: u32,
}

/// All virtual tables, by class, then offset, then address.
pub(super) struct Vtables {
    tables: Vec<Vtable>,
    /// The functions of all tables; `None` for one of another file.
    functions: Vec<Option<FileAddr>>,
}

impl Vtables {
    /// Finds the tables through their pointers to type information. A pointer belongs to one table at most, so there are
    /// never more functions than pointers.
    pub fn read(image: &Image, pointers: &Pointers, types: &Types) -> Vtables {
        let start = |pointer: &Pointer| {
            let class = types.find(pointer.to)?;
            is_vtable_start(image, pointers, pointer.at).then_some(())?;
            let to_top = word(image.bytes_at(FileAddr(pointer.at.0.wrapping_sub(8)), 8)?, 0) as i64;
            let offset = to_top.checked_neg().filter(|offset| (0..MAX_OBJECT).contains(offset) && offset % 8 == 0)?;
            Some(Vtable { class, offset, at: pointer.at.offset(8), first: 0, len: 0 })
        };
        let mut tables: Vec<Vtable> = pointers.inner().par_iter().filter_map(start).collect();
        let mut functions = Vec::with_capacity(pointers.inner().len() / 2);
        for table in &mut tables {
            if functions.len() > pointers.inner().len() + pointers.imports().len() {
                break;
            }
            table.first = functions.len() as u32;
            functions.extend(slots(image, pointers, types, table.at));
            table.len = functions.len() as u32 - table.first;
        }
        functions.shrink_to_fit();
        tables.par_sort_unstable_by_key(|table| (table.class, table.offset, table.at));
        Vtables { tables, functions }
    }

    /// All tables.
    pub fn all(&self) -> &[Vtable] {
        &self.tables
    }

    /// The functions of a table, in the order of its slots.
    pub fn functions(&self, table: &Vtable) -> &[Option<FileAddr>] {
        &self.functions[table.first as usize..(table.first + table.len) as usize]
    }

    /// The tables of a class: primary ones first.
    pub fn of_class(&self, class: ClassId) -> &[Vtable] {
        let start = self.tables.partition_point(|table| table.class < class);
        let rest = &self.tables[start..];
        &rest[..rest.partition_point(|table| table.class == class)]
    }

    /// The tables of a class for one place in its objects. More than one where some are construction vtables, or copies.
    pub fn at_offset(&self, class: ClassId, offset: i64) -> &[Vtable] {
        let tables = self.of_class(class);
        let start = tables.partition_point(|table| table.offset < offset);
        let rest = &tables[start..];
        &rest[..rest.partition_point(|table| table.offset == offset)]
    }
}

/// The functions from an address point on: pointers to code or to other files, one behind the other, up to a type
/// information object.
fn slots<'a>(
    image: &'a Image,
    pointers: &'a Pointers,
    types: &'a Types,
    at: FileAddr,
) -> impl Iterator<Item = Option<FileAddr>> + 'a {
    let mut rest = pointers.from(at);
    let code = |to: FileAddr| image.segment_at(to).is_some_and(|segment| segment.exec);
    (0..MAX_SLOTS as u64).map_while(move |number| {
        let slot = at.offset(number * 8);
        match rest.next_if(|pointer| pointer.at == slot) {
            Some(pointer) => code(pointer.to).then_some(Some(pointer.to)),
            None => pointers.import(slot).filter(|_| types.find(slot).is_none()).map(|_| None),
        }
    })
}
