//! std::map and std::set: red-black trees.

use std::cmp::Ordering;

use super::members::{class_in, distance, place, place_in, Table};
use super::{alignment, Key, Source, Visit};
use crate::base::VirtAddr;
use crate::binary::dwarf::{TypeId, Types};
use crate::lang::Fault;

/// Links are not followed further than this in one step of a walk: no balanced tree is so deep.
const DEPTH: u64 = 128;
/// Bytes of a node before its value: in both libraries three links and the colour.
const NODE: u64 = 32;
const TEMPLATES: Table = &[("map", &[]), ("multimap", &[]), ("set", &[]), ("multiset", &[])];

/// Where a tree's node has its links, bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Links {
    parent: u64,
    left: u64,
    right: u64,
}

/// _Rb_tree_node_base: colour, parent, left, right.
const LIBSTDCXX: Links = Links { parent: 8, left: 16, right: 24 };
/// __tree_node_base: left, right, parent, colour. The value of the colour's padding is not used.
const LIBCXX: Links = Links { parent: 16, left: 0, right: 8 };

/// A tree's layout; distances in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::lang) struct Tree {
    /// Its elements.
    pub(super) of: TypeId,
    pub(super) is_map: bool,
    pub(super) is_unique: bool,
    /// Whether its order is that of the keys' values.
    is_natural: bool,
    /// In the object: the pointers to the first node and to the root, and the number of elements.
    first: u64,
    root: u64,
    count: u64,
    links: Links,
    /// In a node: the element.
    skip: u64,
}

impl Tree {
    pub(in crate::lang) fn of(types: &Types<'_>, id: TypeId) -> Option<Tree> {
        let (steps, class, _) = class_in(types, id, TEMPLATES)?;
        let start = distance(&steps)?;
        let view = types.view(class);
        let template = view.name.as_deref()?.split('<').next()?;
        let is_map = template.ends_with("map");
        let arguments = types.template_arguments(class);
        let order = *arguments.get(if is_map { 2 } else { 1 })?;
        let is_natural = order.is_some_and(|one| types.view(one).name.as_deref().is_some_and(is_less));
        let (of, first, root, count, links) = match place(types, class, "_M_t") {
            Some((tree_at, tree)) => {
                let of = (*types.template_arguments(tree).get(1)?)?;
                let (header, _) = place(types, tree, "_M_header")?;
                let (count, _) = place(types, tree, "_M_node_count")?;
                let at = |offset: u64| tree_at.checked_add(offset);
                (of, at(header + LIBSTDCXX.left)?, at(header + LIBSTDCXX.parent)?, at(count)?, LIBSTDCXX)
            }
            None => {
                let (tree_at, tree) = place(types, class, "__tree_")?;
                let of = (*types.template_arguments(tree).first()?)?;
                let (first, _) = place(types, tree, "__begin_node_")?;
                // The root is the left child of the end's node, which has nothing else.
                let (root, _) = place(types, tree, "__left_")
                    .or_else(|| place_in(types, tree, "__pair1_", "__value_"))
                    .or_else(|| place(types, tree, "__end_node_"))?;
                let (count, _) =
                    place_in(types, tree, "__pair3_", "__value_").or_else(|| place(types, tree, "__size_"))?;
                let at = |offset: u64| tree_at.checked_add(offset);
                (of, at(first)?, at(root)?, at(count)?, LIBCXX)
            }
        };
        // libc++'s colour is one byte, and the value comes at its own alignment behind it.
        let skip = if links == LIBCXX { 25u64.next_multiple_of(alignment(types, of).max(1)) } else { NODE };
        let at = |offset: u64| start.checked_add(offset);
        let (first, root, count) = (at(first)?, at(root)?, at(count)?);
        Some(Tree {
            of,
            is_map,
            is_unique: !template.starts_with("multi"),
            is_natural,
            first,
            root,
            count,
            links,
            skip,
        })
    }

    pub(super) fn count(&self, source: &dyn Source) -> Result<u64, Fault> {
        source.field(self.count)
    }

    pub(super) fn each(&self, source: &dyn Source, visit: Visit<'_>) -> Result<(), Fault> {
        let count = self.count(source)?;
        let mut node = source.field(self.first)?;
        for number in 0..count {
            if visit(VirtAddr(node.wrapping_add(self.skip)))?.is_break() {
                return Ok(());
            }
            if number + 1 < count {
                node = self.next(source, node)?;
            }
        }
        Ok(())
    }

    /// The node that follows in order.
    fn next(&self, source: &dyn Source, node: u64) -> Result<u64, Fault> {
        const ASTRAY: Fault = Fault::Corrupt("a tree's links lead nowhere");
        let link = |node: u64, which: u64| source.word(VirtAddr(node.wrapping_add(which)));
        let mut at = link(node, self.links.right)?;
        if at != 0 {
            for _ in 0..DEPTH {
                match link(at, self.links.left)? {
                    0 => return Ok(at),
                    left => at = left,
                }
            }
            return Err(ASTRAY);
        }
        at = node;
        for _ in 0..DEPTH {
            let parent = link(at, self.links.parent)?;
            if link(parent, self.links.right)? != at {
                return Ok(parent);
            }
            at = parent;
        }
        Err(ASTRAY)
    }

    /// The element with a key, found from the root down; `None`: the tree's order is not known.
    pub(super) fn descend(
        &self,
        source: &dyn Source,
        key: &Key<'_>,
        distance: u64,
    ) -> Result<Option<Option<VirtAddr>>, Fault> {
        if !self.is_natural {
            return Ok(None);
        }
        let mut node = source.field(self.root)?;
        for _ in 0..DEPTH {
            if node == 0 {
                return Ok(Some(None));
            }
            let element = VirtAddr(node.wrapping_add(self.skip));
            let towards = match key.compare(element.offset(distance), source)? {
                Ordering::Equal => return Ok(Some(Some(element))),
                Ordering::Less => self.links.left,
                Ordering::Greater => self.links.right,
            };
            node = source.word(VirtAddr(node.wrapping_add(towards)))?;
        }
        Err(Fault::Corrupt("a tree is deeper than any can be"))
    }
}

fn is_less(name: &str) -> bool {
    name == "less" || name.starts_with("less<")
}
