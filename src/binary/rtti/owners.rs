//! Whose a virtual function is: of all classes in whose tables it stands, the one that defines it.

use rayon::prelude::*;

use super::types::{Base, ClassId, Place, Types};
use super::vtables::{Vtable, Vtables};
use crate::base::FileAddr;

/// A chain of bases is no longer; a cyclic one ends.
const MAX_DEPTH: usize = 128;
/// Of a function in more tables than this, no more are looked at: it is folded from many, and has no name.
const MAX_USES: usize = 1 << 12;

/// A place for a virtual function: `class`'s table for the subobject at `offset`, slot `slot`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Owner {
    pub class: ClassId,
    /// Bytes; 0 for the primary table.
    pub offset: u32,
    pub slot: u16,
}

/// How well it is known that an owner's class defines the function, rather than one of its bases.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Proof {
    /// No base has that slot, or the base's table has another function there.
    Certain,
    /// The base has no table in the file, but other classes that derive from it have other functions there: were it the
    /// base's, they would share it. A function that does nothing may still be the base's.
    Overridden,
    /// A base that has no table in the file may define it.
    MaybeBase,
}

/// What is known of one virtual function.
#[derive(Clone, Debug)]
pub(super) struct Virtual {
    pub function: FileAddr,
    /// The classes that may define it, in order; more than one where the linker folded equal functions.
    pub owners: Vec<(Owner, Proof)>,
}

/// One slot that holds a function.
struct Use {
    function: FileAddr,
    table: u32,
    slot: u16,
}

/// The owners of every virtual function of the file itself, in address order.
pub(super) fn find_owners(types: &Types, vtables: &Vtables) -> Vec<Virtual> {
    let uses = |(number, table): (usize, &Vtable)| {
        let functions = vtables.functions(table).iter().enumerate();
        let uses = functions.filter_map(move |(slot, function)| {
            Some(Use { function: (*function)?, table: number as u32, slot: slot as u16 })
        });
        uses.collect::<Vec<_>>()
    };
    let mut uses: Vec<Use> = vtables.all().par_iter().enumerate().flat_map_iter(uses).collect();
    uses.par_sort_unstable_by_key(|one| (one.function, one.table, one.slot));
    let hierarchy = Hierarchy::new(types, vtables);
    uses.par_chunk_by(|a, b| a.function == b.function).map(|uses| hierarchy.owners_of(uses)).collect()
}

/// The classes with their tables, and how many classes derive from each.
struct Hierarchy<'a> {
    types: &'a Types,
    vtables: &'a Vtables,
    /// By class: how many classes that have a table name it as a direct base.
    heirs: Vec<u32>,
}

impl<'a> Hierarchy<'a> {
    fn new(types: &'a Types, vtables: &'a Vtables) -> Hierarchy<'a> {
        let mut heirs = vec![0; types.len()];
        for tables in vtables.all().chunk_by(|a, b| a.class == b.class) {
            for base in types.bases(tables[0].class) {
                heirs[base.class.0 as usize] += 1;
            }
        }
        Hierarchy { types, vtables, heirs }
    }

    /// The owners by the primary tables; by the secondary ones only where the function is in no primary one.
    fn owners_of(&self, uses: &[Use]) -> Virtual {
        let function = uses[0].function;
        let table = |one: &Use| &self.vtables.all()[one.table as usize];
        let in_primary = uses.iter().any(|one| table(one).offset == 0);
        let climb = |one: &Use| {
            let Vtable { class, offset, .. } = *table(one);
            self.climb(function, Owner { class, offset: offset as u32, slot: one.slot })
        };
        let counting = uses.iter().filter(|one| !in_primary || table(one).offset == 0);
        let mut owners: Vec<(Owner, Proof)> = counting.take(MAX_USES).map(climb).collect();
        owners.sort_unstable();
        owners.dedup_by_key(|(owner, _)| *owner);
        if let Some(base) = self.common_base(&owners) {
            owners = vec![(base, Proof::MaybeBase)];
        }
        Virtual { function, owners }
    }

    /// Walks from a class to the base-most one whose slot holds the function.
    fn climb(&self, function: FileAddr, start: Owner) -> (Owner, Proof) {
        let mut owner = start;
        for _ in 0..MAX_DEPTH {
            match self.all_bases(owner).find(|base| self.holds(*base, function)) {
                Some(base) => owner = base,
                None => break,
            }
        }
        (owner, self.proof(owner))
    }

    /// The direct bases in which the place can lie: a virtual one lies anywhere, but its own primary table has the same
    /// slots.
    fn all_bases(&self, owner: Owner) -> impl Iterator<Item = Owner> + '_ {
        let shared = self.types.bases(owner.class).iter().filter(|base| base.place == Place::Virtual);
        self.bases(owner).chain(shared.map(move |base| Owner { class: base.class, offset: 0, slot: owner.slot }))
    }

    /// The direct bases, no virtual ones, in which the place can lie.
    fn bases(&self, owner: Owner) -> impl Iterator<Item = Owner> + '_ {
        self.types.bases(owner.class).iter().filter_map(move |base| within(base, owner))
    }

    fn holds(&self, owner: Owner, wanted: FileAddr) -> bool {
        let tables = self.vtables.at_offset(owner.class, i64::from(owner.offset));
        tables.iter().any(|table| self.vtables.functions(table).get(owner.slot as usize) == Some(&Some(wanted)))
    }

    /// By the base that the place lies in: the one that begins last before it.
    fn proof(&self, owner: Owner) -> Proof {
        let Some(nearest) = self.bases(owner).map(|base| base.offset).min() else {
            // Behind the start of an object without such bases lies a virtual one.
            return if owner.offset == 0 { Proof::Certain } else { Proof::MaybeBase };
        };
        let bases = || self.bases(owner).filter(|base| base.offset == nearest);
        if bases().any(|base| self.has_table(base)) {
            Proof::Certain
        } else if bases().all(|base| self.heirs[base.class.0 as usize] > 1) {
            Proof::Overridden
        } else {
            Proof::MaybeBase
        }
    }

    fn has_table(&self, owner: Owner) -> bool {
        !self.vtables.at_offset(owner.class, i64::from(owner.offset)).is_empty()
    }

    /// The base without a table that several classes share a function through: it is likely the base's.
    fn common_base(&self, owners: &[(Owner, Proof)]) -> Option<Owner> {
        let [(first, _), rest @ ..] = owners else { return None };
        let shared = |base: &Owner| rest.iter().all(|(owner, _)| self.bases(*owner).any(|one| one == *base));
        self.bases(*first).find(|base| !rest.is_empty() && !self.has_table(*base) && shared(base))
    }
}

/// The place as the base sees it, where it can lie in the base.
fn within(base: &Base, owner: Owner) -> Option<Owner> {
    let Place::At(start) = base.place else { return None };
    let offset = u32::try_from(i64::from(owner.offset).checked_sub(start)?).ok()?;
    Some(Owner { class: base.class, offset, slot: owner.slot })
}
