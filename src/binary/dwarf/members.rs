//! What records and unions hold (DWARF 5, 5.7).

use std::rc::Rc;

use gimli::AttributeValue;

use super::entry::{Entry, EntryId};
use super::types::{integer, TypeId, Types};

/// A member of a record or union, or a base class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `None`: an anonymous record or union, whose members are the outer one's too.
    pub name: Option<String>,
    /// Its type.
    pub ty: TypeId,
    /// Bytes from the record's start.
    pub offset: u64,
    /// Of a bit-field.
    pub bits: Option<Bits>,
    /// What it is.
    pub kind: MemberKind,
    /// Who may name it.
    pub access: Access,
    /// Its entry.
    pub(super) entry: EntryId,
}

/// Where a bit-field is: bits count from the least significant one of the record's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bits {
    /// The first.
    pub first: u64,
    /// How many, 1 to 128.
    pub count: u32,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A data member.
    Field,
    /// A static data member: `offset` means nothing.
    Static,
    /// A base class.
    Base,
    /// A virtual base class: its offset is in the vtable, so many bytes before the address point.
    VirtualBase {
        /// See above; 0 where it is not known.
        before: u64,
    },
}

/// Who may name what a class declares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everybody.
    Public,
    /// The class and those derived from it.
    Protected,
    /// The class and its friends.
    Private,
}

/// A part of a Rust enumeration: the variant that the tag's value stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// `None`: whatever no other one stands for.
    pub tag: Option<i128>,
    /// What is there then.
    pub member: Member,
}

impl<'a> Types<'a> {
    /// The members and bases of a record or union, in the order of the source.
    pub fn members(&self, id: TypeId) -> Rc<Vec<Member>> {
        let Some(id) = self.view(id).id.entry else { return Rc::default() };
        if let Some(known) = self.members.borrow().get(&id) {
            return known.clone();
        }
        let of = self.session.entry(id).map_or(gimli::DW_TAG_structure_type, |entry| entry.tag);
        let children = self.session.children(id);
        let children = children.inspect_err(|error| tracing::debug!(%error, "bad members")).unwrap_or_default();
        let members = Rc::new(children.iter().filter_map(|entry| self.member(of, entry)).collect::<Vec<_>>());
        self.members.borrow_mut().insert(id, members.clone());
        members
    }

    /// What an entry in a class, which has the tag `of`, says of a member.
    fn member(&self, of: gimli::DwTag, entry: &Entry<'a>) -> Option<Member> {
        let is_static = entry.flag(gimli::DW_AT_external) || entry.flag(gimli::DW_AT_declaration);
        let kind = match entry.tag {
            gimli::DW_TAG_member if is_static => MemberKind::Static,
            // A static data member of DWARF 5.
            gimli::DW_TAG_variable => MemberKind::Static,
            gimli::DW_TAG_member => MemberKind::Field,
            gimli::DW_TAG_inheritance if entry.get(gimli::DW_AT_virtuality).is_some() => {
                MemberKind::VirtualBase { before: vtable_offset(entry).unwrap_or(0) }
            }
            gimli::DW_TAG_inheritance => MemberKind::Base,
            _ => return None,
        };
        let offset = match entry.get(gimli::DW_AT_data_member_location) {
            Some(AttributeValue::Exprloc(expression)) => constant_offset(expression.0.slice()).unwrap_or(0),
            Some(value) => value.udata_value().unwrap_or(0),
            None => 0,
        };
        let ty = TypeId::of(self.target(entry));
        let bits = entry.unsigned(gimli::DW_AT_bit_size).filter(|count| (1..=128).contains(count)).map(|count| {
            let from_start = entry.unsigned(gimli::DW_AT_data_bit_offset).map(|first| offset.saturating_mul(8) + first);
            // DWARF 2 and 3 count from the most significant bit of a unit of storage.
            let from_top = || {
                let storage = entry.unsigned(gimli::DW_AT_byte_size).unwrap_or_else(|| self.size(ty)).min(16);
                let top = entry.unsigned(gimli::DW_AT_bit_offset).unwrap_or(0);
                (offset.saturating_mul(8) + storage * 8).saturating_sub(top).saturating_sub(count)
            };
            Bits { first: from_start.unwrap_or_else(from_top), count: count as u32 }
        });
        let access = access_of(of, entry);
        Some(Member { name: self.session.name(entry), ty, offset, bits, kind, access, entry: entry.id })
    }

    /// The tag and the variants of a Rust enumeration (DW_TAG_variant_part); `None`: it is none.
    pub fn variants(&self, id: TypeId) -> Option<(Option<Member>, Vec<Variant>)> {
        let children = self.session.children(self.view(id).id.entry?).ok()?;
        let part = children.iter().find(|one| one.tag == gimli::DW_TAG_variant_part)?;
        let tag = self.session.follow(part, gimli::DW_AT_discr).and_then(|entry| self.member(part.tag, &entry));
        let mut variants = Vec::new();
        for one in self.session.children(part.id).ok()?.iter().filter(|one| one.tag == gimli::DW_TAG_variant) {
            let held = self.session.children(one.id).unwrap_or_default();
            let Some(member) = held.iter().find_map(|entry| self.member(part.tag, entry)) else { continue };
            variants.push(Variant { tag: one.get(gimli::DW_AT_discr_value).and_then(integer), member });
        }
        Some((tag, variants))
    }
}

/// DW_AT_accessibility; without it what a class of that tag declares is private, and what another one does is public.
pub(super) fn access_of(class: gimli::DwTag, entry: &Entry<'_>) -> Access {
    match entry.get(gimli::DW_AT_accessibility) {
        Some(AttributeValue::Accessibility(gimli::DW_ACCESS_public)) => Access::Public,
        Some(AttributeValue::Accessibility(gimli::DW_ACCESS_protected)) => Access::Protected,
        Some(AttributeValue::Accessibility(gimli::DW_ACCESS_private)) => Access::Private,
        _ if class == gimli::DW_TAG_class_type => Access::Private,
        _ => Access::Public,
    }
}

/// The N of `DW_OP_plus_uconst N`, which old compilers write for a member's offset.
fn constant_offset(expression: &[u8]) -> Option<u64> {
    let (operation, operand) = expression.split_first()?;
    let mut reader = gimli::EndianSlice::new(operand, gimli::LittleEndian);
    (*operation == gimli::DW_OP_plus_uconst.0).then(|| gimli::Reader::read_uleb128(&mut reader).ok())?
}

/// The N of `dup; deref; constu N; minus; deref; plus`, which finds a virtual base through the vtable.
fn vtable_offset(entry: &Entry<'_>) -> Option<u64> {
    let AttributeValue::Exprloc(expression) = entry.get(gimli::DW_AT_data_member_location)? else { return None };
    let tail = expression.0.slice().strip_prefix(&[gimli::DW_OP_dup.0, gimli::DW_OP_deref.0])?;
    let (operation, operand) = tail.split_first()?;
    let small = operation.wrapping_sub(gimli::DW_OP_lit0.0);
    if small < 32 {
        return Some(u64::from(small));
    }
    let mut reader = gimli::EndianSlice::new(operand, gimli::LittleEndian);
    match gimli::DwOp(*operation) {
        gimli::DW_OP_constu => gimli::Reader::read_uleb128(&mut reader).ok(),
        gimli::DW_OP_const1u => gimli::Reader::read_u8(&mut reader).ok().map(u64::from),
        gimli::DW_OP_const2u => gimli::Reader::read_u16(&mut reader).ok().map(u64::from),
        _ => None,
    }
}
