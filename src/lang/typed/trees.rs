//! std::map and std::set: red-black trees.

use crate::base::VirtAddr;

use super::{Held, Inspector, TypedValue};

/// Links are not followed further than this in one step of a walk: no balanced tree is so deep.
const DEPTH: u64 = 128;
/// Bytes of a node before its value: in both libraries three links and the colour.
const NODE: u64 = 32;

/// Where a tree's node has its links, bytes.
struct Links {
    parent: u64,
    left: u64,
    right: u64,
}

/// _Rb_tree_node_base: colour, parent, left, right.
const LIBSTDCXX: Links = Links { parent: 8, left: 16, right: 24 };
/// __tree_node_base: left, right, parent, colour. The value of the colour's padding is not used.
const LIBCXX: Links = Links { parent: 16, left: 0, right: 8 };

impl Inspector<'_, '_> {
    pub(super) fn show_tree(&self, value: &TypedValue, template: &str, depth: u32) -> Option<String> {
        let (of, mut node, count, links) = match self.dig(value, "_M_t") {
            Some(tree) => {
                let of = (*self.types.template_arguments(tree.ty).get(1)?)?;
                let Held::Memory(header) = self.dig(&tree, "_M_header")?.place else { return None };
                let first = self.word(header.0.wrapping_add(LIBSTDCXX.left))?;
                (of, first, self.dig_number(&tree, "_M_node_count")?, &LIBSTDCXX)
            }
            None => {
                let tree = self.dig(value, "__tree_")?;
                let of = (*self.types.template_arguments(tree.ty).first()?)?;
                let count = self.dig(&tree, "__pair3_").and_then(|pair| self.dig_number(&pair, "__value_"));
                let count = count.or_else(|| self.dig_number(&tree, "__size_"))?;
                (of, self.dig_number(&tree, "__begin_node_")?, count, &LIBCXX)
            }
        };
        // libc++'s colour is one byte, and the value comes at its own alignment behind it.
        let skip = if std::ptr::eq(links, &LIBCXX) { 25u64.next_multiple_of(self.alignment(of).max(1)) } else { NODE };
        let mut elements = Vec::new();
        while (elements.len() as u64) < count.min(self.style.elements) {
            elements.push(TypedValue { ty: of, place: Held::Memory(VirtAddr(node.wrapping_add(skip))) });
            match self.next_node(node, links) {
                Some(next) => node = next,
                None => break,
            }
        }
        Some(self.show_elements(&elements, template, count, depth))
    }

    pub(super) fn word(&self, at: u64) -> Option<u64> {
        self.memory.read_u64(VirtAddr(at)).ok()
    }

    /// The node that follows in order; `None` where the links lead nowhere.
    fn next_node(&self, node: u64, links: &Links) -> Option<u64> {
        let link = |node: u64, which: u64| self.word(node.wrapping_add(which));
        let mut at = link(node, links.right)?;
        if at != 0 {
            for _ in 0..DEPTH {
                match link(at, links.left)? {
                    0 => return Some(at),
                    left => at = left,
                }
            }
            return None;
        }
        at = node;
        for _ in 0..DEPTH {
            let parent = link(at, links.parent)?;
            if link(parent, links.right)? != at {
                return Some(parent);
            }
            at = parent;
        }
        None
    }
}
