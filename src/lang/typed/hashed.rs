//! std::unordered_map and std::unordered_set: chained hash tables, whose nodes form one list.

use crate::base::VirtAddr;

use super::{Held, Inspector, TypedValue};

/// Bytes of a node before its value: libstdc++'s link; libc++'s link and hash.
const NODE: u64 = 8;
const LIBCXX_NODE: u64 = 16;

impl Inspector<'_, '_> {
    pub(super) fn show_hash(&self, value: &TypedValue, template: &str, depth: u32) -> Option<String> {
        let (of, mut node, count, links) = match self.dig(value, "_M_h") {
            Some(table) => {
                let of = (*self.types.template_arguments(table.ty).get(1)?)?;
                let first = self.dig(&table, "_M_before_begin")?;
                (of, self.dig_number(&first, "_M_nxt")?, self.dig_number(&table, "_M_element_count")?, NODE)
            }
            None => {
                let table = self.dig(value, "__table_")?;
                let of = (*self.types.template_arguments(table.ty).first()?)?;
                let first = self.dig(&table, "__p1_").or_else(|| self.dig(&table, "__first_node_"))?;
                let count = self.dig(&table, "__p2_").and_then(|pair| self.dig_number(&pair, "__value_"));
                let count = count.or_else(|| self.dig_number(&table, "__size_"))?;
                (of, self.dig_number(&first, "__next_")?, count, LIBCXX_NODE)
            }
        };
        let skip = links.next_multiple_of(self.alignment(of).max(1));
        let mut elements = Vec::new();
        while node != 0 && (elements.len() as u64) < count.min(self.style.elements) {
            elements.push(TypedValue { ty: of, place: Held::Memory(VirtAddr(node.wrapping_add(skip))) });
            node = self.word(node)?;
        }
        Some(self.show_elements(&elements, template, count, depth))
    }
}
