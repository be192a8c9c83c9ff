//! Where the libraries' containers have their elements: offsets that are found once, by the members' names of libstdc++,
//! libc++ and Abseil, and walks along them that need no types any more. Expressions and the printers use both.

mod hash;
mod key;
mod members;
mod sequence;
mod swiss;
mod tree;

use std::ops::ControlFlow;

use crate::base::VirtAddr;
use crate::binary::dwarf::{Shape, TypeId, Types};

pub(super) use hash::Hash;
pub(super) use key::{Key, KeyKind};
pub(super) use members::{class_in, distance, member_in, Table as Templates, GO_SLICE};
pub(super) use sequence::{Bits, Sequence, Which};
pub(super) use swiss::Swiss;
pub(super) use tree::Tree;

use super::Fault;

/// No more elements than this are looked at for one key where nothing leads to it.
const SEARCHED: u64 = 1_000_000;

/// Where a container's bytes are read: an object in memory, or a value that a printer has.
pub(super) trait Source {
    /// Where the object is.
    fn object(&self) -> Result<VirtAddr, Fault>;

    /// A word of the object, so many bytes from its start.
    fn field(&self, offset: u64) -> Result<u64, Fault>;

    /// Bytes of the process.
    fn read(&self, at: VirtAddr, into: &mut [u8]) -> Result<(), Fault>;

    /// A word of the process.
    fn word(&self, at: VirtAddr) -> Result<u64, Fault> {
        let mut word = [0; 8];
        self.read(at, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }
}

/// What is done with an element; `Break` ends the walk.
pub(super) type Visit<'v> = &'v mut dyn FnMut(VirtAddr) -> Result<ControlFlow<()>, Fault>;

/// A container whose elements are found by their keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keyed {
    /// std::map and its kin.
    Tree(Tree),
    /// std::unordered_map and its kin.
    Hash(Hash),
    /// absl::flat_hash_map and its kin.
    Swiss(Swiss),
}

/// What a keyed container's elements are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// The key's type, and its distance from the element's start, bytes.
    pub(super) key: (u64, TypeId),
    /// The mapped value's; `None`: it is a set.
    pub(super) mapped: Option<(u64, TypeId)>,
}

impl Keyed {
    /// The layout of a class or its base; `None`: it is none that is known, or is not as expected.
    pub(super) fn of(types: &Types<'_>, id: TypeId) -> Option<Keyed> {
        let tree = || Tree::of(types, id).map(Keyed::Tree);
        let hash = || Hash::of(types, id).map(Keyed::Hash);
        tree().or_else(hash).or_else(|| Swiss::of(types, id).map(Keyed::Swiss))
    }

    /// Its elements' type.
    pub(super) fn element(&self) -> TypeId {
        match self {
            Keyed::Tree(one) => one.of,
            Keyed::Hash(one) => one.of,
            Keyed::Swiss(one) => one.of,
        }
    }

    /// Whether it maps its keys to values, each key once.
    pub(super) fn is_unique(&self) -> bool {
        match self {
            Keyed::Tree(one) => one.is_unique,
            Keyed::Hash(one) => one.is_unique,
            Keyed::Swiss(_) => true,
        }
    }

    /// What its elements are made of.
    pub(super) fn entry(&self, types: &Types<'_>) -> Option<Entry> {
        let of = self.element();
        let is_map = match self {
            Keyed::Tree(one) => one.is_map,
            Keyed::Hash(one) => one.is_map,
            Keyed::Swiss(one) => one.is_map,
        };
        if !is_map {
            return Some(Entry { key: (0, of), mapped: None });
        }
        Some(Entry { key: members::place(types, of, "first")?, mapped: Some(members::place(types, of, "second")?) })
    }

    /// How many elements it says that it has.
    pub(super) fn count(&self, source: &dyn Source) -> Result<u64, Fault> {
        match self {
            Keyed::Tree(one) => one.count(source),
            Keyed::Hash(one) => one.count(source),
            Keyed::Swiss(one) => one.count(source),
        }
    }

    /// Goes to each element in the container's order, at most as many as it says that it has.
    pub(super) fn each(&self, source: &dyn Source, visit: Visit<'_>) -> Result<(), Fault> {
        match self {
            Keyed::Tree(one) => one.each(source, visit),
            Keyed::Hash(one) => one.each(source, visit),
            Keyed::Swiss(one) => one.each(source, visit),
        }
    }

    /// The element that has a key, which is `distance` bytes from its start.
    pub(super) fn find(&self, source: &dyn Source, key: &Key<'_>, distance: u64) -> Result<Option<VirtAddr>, Fault> {
        if let Keyed::Tree(tree) = self {
            if let Some(found) = tree.descend(source, key, distance)? {
                return Ok(found);
            }
        }
        let (mut found, mut looked) = (None, 0);
        self.each(source, &mut |element| {
            if looked == SEARCHED {
                return Err(Fault::Unsearched(SEARCHED));
            }
            looked += 1;
            if key.compare(element.offset(distance), source)?.is_ne() {
                return Ok(ControlFlow::Continue(()));
            }
            found = Some(element);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }
}

/// How a type is aligned, bytes: that of its largest scalar.
pub(super) fn alignment(types: &Types<'_>, id: TypeId) -> u64 {
    alignment_within(types, id, 0)
}

fn alignment_within(types: &Types<'_>, id: TypeId, depth: u32) -> u64 {
    let view = types.view(id);
    match view.shape {
        _ if depth > 16 => 1,
        Shape::Record | Shape::Union => {
            let members = types.members(id);
            members.iter().map(|one| alignment_within(types, one.ty, depth + 1)).max().unwrap_or(1)
        }
        Shape::Array(of, _) => alignment_within(types, of, depth + 1),
        _ => view.size.clamp(1, 16),
    }
}
