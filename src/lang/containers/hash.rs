//! std::unordered_map and std::unordered_set: chained hash tables, whose nodes form one list.

use super::members::{class_in, distance, place, place_in, Table};
use super::{alignment, Source, Visit};
use crate::base::VirtAddr;
use crate::binary::dwarf::{TypeId, Types};
use crate::lang::Fault;

/// Bytes of a node before its value: libstdc++'s link; libc++'s link and hash.
const NODE: u64 = 8;
const LIBCXX_NODE: u64 = 16;
const TEMPLATES: Table =
    &[("unordered_map", &[]), ("unordered_multimap", &[]), ("unordered_set", &[]), ("unordered_multiset", &[])];

/// A hash table's layout; distances in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::lang) struct Hash {
    /// Its elements.
    pub(super) of: TypeId,
    pub(super) is_map: bool,
    pub(super) is_unique: bool,
    /// In the object: the pointer to the first node, and the number of elements.
    first: u64,
    count: u64,
    /// In a node: the element. The link to the next one comes first.
    skip: u64,
}

impl Hash {
    pub(in crate::lang) fn of(types: &Types<'_>, id: TypeId) -> Option<Hash> {
        let (steps, class, _) = class_in(types, id, TEMPLATES)?;
        let start = distance(&steps)?;
        let view = types.view(class);
        let template = view.name.as_deref()?.split('<').next()?;
        let (table_at, of, first, count, links) = match place(types, class, "_M_h") {
            Some((table_at, table)) => {
                let of = (*types.template_arguments(table).get(1)?)?;
                let (first, _) = place_in(types, table, "_M_before_begin", "_M_nxt")?;
                (table_at, of, first, place(types, table, "_M_element_count")?.0, NODE)
            }
            None => {
                let (table_at, table) = place(types, class, "__table_")?;
                let of = (*types.template_arguments(table).first()?)?;
                let first = place_in(types, table, "__p1_", "__next_");
                let (first, _) = first.or_else(|| place_in(types, table, "__first_node_", "__next_"))?;
                let count = place_in(types, table, "__p2_", "__value_").or_else(|| place(types, table, "__size_"))?;
                (table_at, of, first, count.0, LIBCXX_NODE)
            }
        };
        let at = |offset: u64| start.checked_add(table_at)?.checked_add(offset);
        Some(Hash {
            of,
            is_map: template.ends_with("map"),
            is_unique: !template.starts_with("unordered_multi"),
            first: at(first)?,
            count: at(count)?,
            skip: links.next_multiple_of(alignment(types, of).max(1)),
        })
    }

    pub(super) fn count(&self, source: &dyn Source) -> Result<u64, Fault> {
        source.field(self.count)
    }

    pub(super) fn each(&self, source: &dyn Source, visit: Visit<'_>) -> Result<(), Fault> {
        let mut node = source.field(self.first)?;
        for _ in 0..self.count(source)? {
            if node == 0 {
                return Err(Fault::Corrupt("a hash table's list ends before its last element"));
            }
            if visit(VirtAddr(node.wrapping_add(self.skip)))?.is_break() {
                return Ok(());
            }
            node = source.word(VirtAddr(node))?;
        }
        Ok(())
    }
}
