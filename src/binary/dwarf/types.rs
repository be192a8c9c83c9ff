//! Types (DWARF 5, chapter 5), as far as a value of them is shown or looked into.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use gimli::AttributeValue;

use super::entry::{Descend, Entry, EntryId, Session};
use super::members::Member;
use super::Dwarf;

/// How deep typedefs and qualifiers are followed; a cycle of them ends there.
pub(super) const ALIAS_DEPTH: u32 = 64;
/// A type that says it is larger is malformed, bytes.
pub(super) const SIZE_LIMIT: u64 = 1 << 40;

/// A type: an entry of the file, or made from one by the pointers and array dimensions that an expression goes through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TypeId {
    /// `None`: void.
    pub(super) entry: Option<EntryId>,
    /// How many dimensions of an array entry are gone.
    pub(super) row: u8,
    /// Pointers in front of that.
    pub(super) stars: u8,
}

/// A look at the types of one file; what was read is kept until it is dropped.
pub struct Types<'a> {
    pub(super) session: Session<'a>,
    pub(super) views: RefCell<HashMap<TypeId, Rc<TypeView>>>,
    /// The lengths of arrays that were worked out in a frame, see [`Types::settle_bounds`].
    pub(super) settled: RefCell<HashMap<EntryId, Vec<Option<u64>>>>,
    pub(super) members: RefCell<HashMap<EntryId, Rc<Vec<Member>>>>,
}

/// A type without its typedefs and qualifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeView {
    /// What describes it, behind the typedefs.
    pub id: TypeId,
    /// DW_AT_name, without namespaces.
    pub name: Option<String>,
    /// What it is.
    pub shape: Shape,
    /// Bytes; 0 where it is not known.
    pub size: u64,
}

/// What a type is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No value.
    Void,
    /// A number, character or truth value.
    Base(Encoding),
    /// Named numbers, and how they are stored.
    Enumeration(Encoding),
    /// An address of a value.
    Pointer(TypeId),
    /// A C++ reference.
    Reference(TypeId),
    /// Elements, and how many; `None`: not known.
    Array(TypeId, Option<u64>),
    /// Members one behind the other.
    Record,
    /// Members one over the other.
    Union,
    /// Code.
    Function,
    /// A pointer to a member of this class.
    MemberPointer(TypeId),
    /// A class or enumeration that is declared only.
    Incomplete,
    /// Something that is not understood.
    Other,
}

/// DW_AT_encoding (DWARF 5, 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Two's complement.
    Signed,
    /// Without sign.
    Unsigned,
    /// A character, signed.
    Char,
    /// A character, unsigned.
    UnsignedChar,
    /// A code unit of Unicode.
    Utf,
    /// A truth value.
    Boolean,
    /// IEEE 754, or x87's extended.
    Float,
    /// Two floats.
    Complex,
}

impl Encoding {
    /// Whether the top bit is a sign.
    pub fn is_signed(self) -> bool {
        matches!(self, Encoding::Signed | Encoding::Char)
    }
}

impl TypeId {
    /// void.
    pub const VOID: TypeId = TypeId { entry: None, row: 0, stars: 0 };

    /// The type that an entry describes.
    pub(super) fn of(entry: Option<EntryId>) -> Self {
        Self { entry, row: 0, stars: 0 }
    }

    /// A pointer to it; more than 255 levels are not counted.
    pub fn pointer(self) -> Self {
        Self { stars: self.stars.saturating_add(1), ..self }
    }
}

impl Dwarf {
    /// A look at the types.
    pub fn types(&self) -> Types<'_> {
        Types {
            session: Session::new(self),
            views: RefCell::default(),
            settled: RefCell::default(),
            members: RefCell::default(),
        }
    }
}

impl<'a> Types<'a> {
    /// A type without typedefs and qualifiers.
    pub fn view(&self, id: TypeId) -> Rc<TypeView> {
        if let Some(known) = self.views.borrow().get(&id) {
            return known.clone();
        }
        let view = Rc::new(self.read_view(id));
        self.views.borrow_mut().insert(id, view.clone());
        view
    }

    /// The definition of a type that is only declared in its own unit, from another unit of the file.
    pub fn definition(&self, id: TypeId) -> Option<TypeId> {
        let view = self.view(id);
        if view.shape != Shape::Incomplete {
            return None;
        }
        let defined = self.session.owner.definition_of(&self.qualified_name(view.id.entry?));
        let defined = TypeId::of(Some(defined?));
        (self.view(defined).shape != Shape::Incomplete).then_some(defined)
    }

    /// A typedef's own type, typedefs in it kept.
    pub fn unaliased(&self, id: TypeId) -> TypeId {
        let entry = id.entry.filter(|_| id.stars == 0).and_then(|id| self.session.entry(id).ok());
        match entry {
            Some(entry) if entry.tag == gimli::DW_TAG_typedef => TypeId::of(self.target(&entry)),
            _ => id,
        }
    }

    /// Whether an array is a vector that the CPU has registers for (DW_AT_GNU_vector).
    pub fn is_vector(&self, id: TypeId) -> bool {
        let entry = self.view(id).id.entry.and_then(|id| self.session.entry(id).ok());
        entry.is_some_and(|entry| entry.flag(gimli::DW_AT_GNU_vector))
    }

    /// Its size, bytes.
    pub fn size(&self, id: TypeId) -> u64 {
        self.view(id).size
    }

    fn read_view(&self, id: TypeId) -> TypeView {
        let unknown = |shape| TypeView { id, name: None, shape, size: 0 };
        if id.stars > 0 {
            let target = TypeId { stars: id.stars - 1, ..id };
            return TypeView { size: 8, ..unknown(Shape::Pointer(target)) };
        }
        let Some(entry) = id.entry else {
            return TypeView { name: Some("void".to_owned()), ..unknown(Shape::Void) };
        };
        match self.plain_entry(entry) {
            Ok(Some(entry)) => self.view_of(&entry, id.row),
            Ok(None) => TypeView { name: Some("void".to_owned()), ..unknown(Shape::Void) },
            Err(error) => {
                tracing::debug!(%error, "a type cannot be read");
                unknown(Shape::Other)
            }
        }
    }

    /// The entry behind typedefs, qualifiers and signatures; `None`: void.
    fn plain_entry(&self, id: EntryId) -> gimli::Result<Option<Entry<'a>>> {
        let mut entry = self.session.entry(id)?;
        for _ in 0..ALIAS_DEPTH {
            match entry.tag {
                gimli::DW_TAG_typedef
                | gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_restrict_type
                | gimli::DW_TAG_atomic_type => match self.target(&entry) {
                    Some(next) => entry = self.session.entry(next)?,
                    None => return Ok(None),
                },
                // A declaration that says which unit has the type.
                _ => match self.session.follow(&entry, gimli::DW_AT_signature) {
                    Some(defined) => entry = defined,
                    None => return Ok(Some(entry)),
                },
            }
        }
        Err(gimli::Error::TooManyIterations)
    }

    /// What DW_AT_type refers to.
    pub(super) fn target(&self, entry: &Entry<'a>) -> Option<EntryId> {
        self.session.target(entry.id, entry.get(gimli::DW_AT_type)?)
    }

    fn view_of(&self, entry: &Entry<'a>, row: u8) -> TypeView {
        let mut size = entry.unsigned(gimli::DW_AT_byte_size).unwrap_or(0);
        let target = || TypeId::of(self.target(entry));
        let shape = match entry.tag {
            gimli::DW_TAG_array_type => {
                let (shape, bytes) = self.array(entry, row);
                size = bytes;
                shape
            }
            gimli::DW_TAG_base_type => Shape::Base(encoding(entry)),
            _ if entry.flag(gimli::DW_AT_declaration) => Shape::Incomplete,
            gimli::DW_TAG_enumeration_type => Shape::Enumeration(self.enum_encoding(entry)),
            gimli::DW_TAG_pointer_type => Shape::Pointer(target()),
            gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type => Shape::Reference(target()),
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_interface_type => Shape::Record,
            gimli::DW_TAG_union_type => Shape::Union,
            gimli::DW_TAG_subroutine_type | gimli::DW_TAG_subprogram => Shape::Function,
            gimli::DW_TAG_ptr_to_member_type => {
                let to = self.target(entry).and_then(|id| self.plain_entry(id).ok().flatten());
                size = if to.is_some_and(|to| to.tag == gimli::DW_TAG_subroutine_type) { 16 } else { 8 };
                let class = self.session.follow(entry, gimli::DW_AT_containing_type).map(|class| class.id);
                Shape::MemberPointer(TypeId::of(class))
            }
            // decltype(nullptr).
            gimli::DW_TAG_unspecified_type => {
                size = 8;
                Shape::Pointer(TypeId::VOID)
            }
            _ => Shape::Other,
        };
        if matches!(shape, Shape::Pointer(_) | Shape::Reference(_)) {
            size = 8;
        }
        let id = TypeId { entry: Some(entry.id), row, stars: 0 };
        TypeView { id, name: self.session.name(entry), shape, size: size.min(SIZE_LIMIT) }
    }

    fn array(&self, entry: &Entry<'a>, row: u8) -> (Shape, u64) {
        let counts = self.counts(entry);
        let (dimensions, row) = (counts.len().max(1), usize::from(row));
        let innermost = TypeId::of(self.target(entry));
        let element = match row + 1 < dimensions && row < 255 {
            true => TypeId { entry: Some(entry.id), row: row as u8 + 1, stars: 0 },
            false => innermost,
        };
        // An element of the array's own type would have no end.
        let one =
            if element.entry == Some(entry.id) && element.row as usize <= row { 0 } else { self.nested_size(element) };
        let count = counts.get(row).copied().flatten();
        (Shape::Array(element, count), one.saturating_mul(count.unwrap_or(0)))
    }

    /// The size of an element; arrays of arrays that lead back to themselves end.
    fn nested_size(&self, id: TypeId) -> u64 {
        let depth = self.session.nesting.get();
        if depth > ALIAS_DEPTH {
            return 0;
        }
        self.session.nesting.set(depth + 1);
        let size = self.size(id);
        self.session.nesting.set(depth);
        size
    }

    pub(super) fn counts(&self, array: &Entry<'a>) -> Vec<Option<u64>> {
        if let Some(settled) = self.settled.borrow().get(&array.id) {
            return settled.clone();
        }
        let ranges = self.session.children(array.id).unwrap_or_default();
        let ranges = ranges.iter().filter(|one| one.tag == gimli::DW_TAG_subrange_type);
        let count = |range: &Entry<'a>| {
            let upper = || range.signed(gimli::DW_AT_upper_bound).map(|upper| upper.wrapping_add(1) as u64);
            range.unsigned(gimli::DW_AT_count).or_else(upper).filter(|count| *count < SIZE_LIMIT)
        };
        ranges.map(count).collect()
    }

    fn enum_encoding(&self, entry: &Entry<'a>) -> Encoding {
        let under = self.target(entry).and_then(|id| self.plain_entry(id).ok().flatten());
        match under {
            Some(under) if under.tag == gimli::DW_TAG_base_type => encoding(&under),
            _ => match self.enumerators_of(entry.id).iter().any(|(_, number)| *number < 0) {
                true => Encoding::Signed,
                false => Encoding::Unsigned,
            },
        }
    }

    /// The named values of an enumeration.
    pub fn enumerators(&self, id: TypeId) -> Vec<(String, i128)> {
        self.view(id).id.entry.map(|entry| self.enumerators_of(entry)).unwrap_or_default()
    }

    fn enumerators_of(&self, id: EntryId) -> Vec<(String, i128)> {
        let mut found = Vec::new();
        let walked = self.session.walk(id, &mut |entry, _| {
            if entry.tag == gimli::DW_TAG_enumerator {
                let value = entry.get(gimli::DW_AT_const_value).and_then(integer);
                found.extend(self.session.name(entry).zip(value));
            }
            Descend::No
        });
        if let Err(error) = walked {
            tracing::debug!(%error, "bad entries of an enumeration");
        }
        found
    }

    /// The types that a template was made with; `None` for an argument that is a value.
    pub fn template_arguments(&self, id: TypeId) -> Vec<Option<TypeId>> {
        let Some(entry) = self.view(id).id.entry else { return Vec::new() };
        let mut found = Vec::new();
        let walked = self.session.walk(entry, &mut |entry, _| match entry.tag {
            gimli::DW_TAG_template_type_parameter => {
                found.push(Some(TypeId::of(self.target(entry))));
                Descend::No
            }
            gimli::DW_TAG_template_value_parameter => {
                found.push(None);
                Descend::No
            }
            gimli::DW_TAG_GNU_template_parameter_pack => Descend::Yes,
            _ => Descend::No,
        });
        if let Err(error) = walked {
            tracing::debug!(%error, "bad template arguments");
        }
        found
    }

    /// The parameters of a function type, and its result.
    pub fn signature(&self, function: EntryId) -> (Vec<TypeId>, TypeId) {
        let children = self.session.children(function).unwrap_or_default();
        let parameters = children.iter().filter(|one| one.tag == gimli::DW_TAG_formal_parameter);
        let result = self.session.entry(function).ok();
        let result = result.and_then(|entry| {
            let (id, value) = self.session.inherited(&entry, gimli::DW_AT_type)?;
            self.session.target(id, value)
        });
        (parameters.map(|one| self.type_of(one)).collect(), TypeId::of(result))
    }

    /// The type of a variable or parameter.
    pub(super) fn type_of(&self, entry: &Entry<'a>) -> TypeId {
        let found = self.session.inherited(entry, gimli::DW_AT_type);
        TypeId::of(found.and_then(|(id, value)| self.session.target(id, value)))
    }
}

fn encoding(entry: &Entry<'_>) -> Encoding {
    let Some(AttributeValue::Encoding(encoding)) = entry.get(gimli::DW_AT_encoding) else { return Encoding::Unsigned };
    match encoding {
        gimli::DW_ATE_signed => Encoding::Signed,
        gimli::DW_ATE_signed_char => Encoding::Char,
        gimli::DW_ATE_unsigned_char => Encoding::UnsignedChar,
        gimli::DW_ATE_UTF | gimli::DW_ATE_UCS => Encoding::Utf,
        gimli::DW_ATE_boolean => Encoding::Boolean,
        gimli::DW_ATE_float => Encoding::Float,
        gimli::DW_ATE_complex_float => Encoding::Complex,
        _ => Encoding::Unsigned,
    }
}

/// A constant of any form.
pub(super) fn integer<R: gimli::Reader>(value: AttributeValue<R>) -> Option<i128> {
    match value {
        AttributeValue::Udata(value) => Some(i128::from(value)),
        value => value.sdata_value().map(i128::from).or_else(|| value.udata_value().map(i128::from)),
    }
}
