//! How the entries of one abbreviation are read where only names and scopes matter. It is made once for an abbreviation: a
//! unit has some hundreds of them for some hundred thousand entries, most of which are passed over by one addition.

use std::sync::Arc;

use gimli::{Abbreviation, Abbreviations, AttributeSpecification, DwForm, Encoding, Format, Unit};
use rustc_hash::FxHashMap;

use super::Kind;
use crate::binary::dwarf::scopes::is_scope;
use crate::binary::dwarf::sections::Slice;

/// Codes below this have a place in a table. Compilers number abbreviations from 1 up.
const DENSE: usize = 1 << 16;

/// What is to be known of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Interest {
    Namespace,
    Record(Kind),
    Enumeration,
    /// A typedef or base type.
    Type(Kind),
    Value,
    Nothing,
}

impl Interest {
    fn of(abbreviation: &Abbreviation) -> Interest {
        let has = |names: &[gimli::DwAt]| abbreviation.attributes().iter().any(|spec| names.contains(&spec.name()));
        match abbreviation.tag() {
            gimli::DW_TAG_namespace => Interest::Namespace,
            gimli::DW_TAG_class_type => Interest::Record(Kind::Class),
            gimli::DW_TAG_structure_type | gimli::DW_TAG_interface_type => Interest::Record(Kind::Struct),
            gimli::DW_TAG_union_type => Interest::Record(Kind::Union),
            gimli::DW_TAG_enumeration_type => Interest::Enumeration,
            gimli::DW_TAG_typedef => Interest::Type(Kind::Typedef),
            gimli::DW_TAG_base_type => Interest::Type(Kind::Base),
            gimli::DW_TAG_enumerator => Interest::Value,
            gimli::DW_TAG_variable if has(&[gimli::DW_AT_location, gimli::DW_AT_const_value]) => Interest::Value,
            gimli::DW_TAG_member if has(&[gimli::DW_AT_const_value]) => Interest::Value,
            _ => Interest::Nothing,
        }
    }
}

/// An attribute, or some that follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// So many bytes that say nothing here.
    Bytes(usize),
    /// A number in LEB128 that says nothing here.
    Number,
    /// Bytes behind their count in LEB128, which say nothing here.
    Block,
    /// Text up to its NUL, which says nothing here.
    Text,
    /// Of another form, and says nothing here.
    Other(AttributeSpecification),
    /// DW_AT_name: where it is in .debug_str, 32 bits.
    NameAt,
    /// DW_AT_name: the text itself.
    NameHere,
    /// DW_AT_sibling: an offset in the unit, 32 bits.
    Sibling,
    /// Says something, and is read as its form has it.
    Said(AttributeSpecification),
}

/// What flags of an entry say of what it names.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Flags {
    /// DW_AT_declaration.
    pub is_declared: bool,
    /// DW_AT_export_symbols: an inline namespace.
    pub is_inline: bool,
    /// DW_AT_enum_class.
    pub is_enum_class: bool,
}

impl Flags {
    /// Takes note of one that is set.
    pub fn set(&mut self, name: gimli::DwAt) {
        match name {
            gimli::DW_AT_declaration => self.is_declared = true,
            gimli::DW_AT_export_symbols => self.is_inline = true,
            gimli::DW_AT_enum_class => self.is_enum_class = true,
            _ => {}
        }
    }
}

/// The plan of one abbreviation.
#[derive(Debug)]
pub(super) struct Plan {
    pub interest: Interest,
    pub has_children: bool,
    /// Whether what it holds is called by its name and `::`.
    pub is_scope: bool,
    /// Whether there is a DW_AT_const_value or DW_AT_location: a value has a place.
    pub has_place: bool,
    /// Those that take no byte of the entry.
    pub flags: Flags,
    /// Through the entry, where its name can be wanted.
    pub steps: Vec<Step>,
    /// Through an entry of a function, of which nothing is wanted but its sibling.
    pub over: Vec<Step>,
}

impl Plan {
    fn new(abbreviation: &Abbreviation, unit: &Unit<Slice<'_>>) -> Plan {
        let interest = Interest::of(abbreviation);
        let specs = abbreviation.attributes();
        let has_place =
            specs.iter().any(|spec| matches!(spec.name(), gimli::DW_AT_const_value | gimli::DW_AT_location));
        let mut flags = Flags::default();
        specs.iter().filter(|spec| spec.form() == gimli::DW_FORM_flag_present).for_each(|spec| flags.set(spec.name()));
        let over = steps(abbreviation, Interest::Nothing, unit);
        let steps = steps(abbreviation, interest, unit);
        let (has_children, is_scope) = (abbreviation.has_children(), is_scope(abbreviation.tag()));
        Plan { interest, has_children, is_scope, has_place, flags, steps, over }
    }
}

/// What leads through an entry of an abbreviation.
fn steps(abbreviation: &Abbreviation, interest: Interest, unit: &Unit<Slice<'_>>) -> Vec<Step> {
    let mut steps = Vec::new();
    let is_wanted = interest != Interest::Nothing;
    let is_short = unit.header.format() == Format::Dwarf32;
    for spec in abbreviation.attributes() {
        let step = match (spec.name(), spec.form()) {
            (_, gimli::DW_FORM_flag_present) => continue,
            (gimli::DW_AT_sibling, gimli::DW_FORM_ref4) => Step::Sibling,
            (gimli::DW_AT_sibling, _) if abbreviation.has_children() => Step::Said(*spec),
            (gimli::DW_AT_name, gimli::DW_FORM_strp) if is_wanted && is_short => Step::NameAt,
            (gimli::DW_AT_name, gimli::DW_FORM_string) if is_wanted => Step::NameHere,
            (name, _) if is_wanted && is_said(name) => Step::Said(*spec),
            _ => Step::over(*spec, unit),
        };
        match (steps.last_mut(), step) {
            (Some(Step::Bytes(before)), Step::Bytes(more)) => *before += more,
            _ => steps.push(step),
        }
    }
    steps
}

impl Step {
    /// Over an attribute that says nothing here.
    fn over(spec: AttributeSpecification, unit: &Unit<Slice<'_>>) -> Step {
        let numbers: [DwForm; 7] = [
            gimli::DW_FORM_udata,
            gimli::DW_FORM_sdata,
            gimli::DW_FORM_ref_udata,
            gimli::DW_FORM_strx,
            gimli::DW_FORM_addrx,
            gimli::DW_FORM_GNU_str_index,
            gimli::DW_FORM_GNU_addr_index,
        ];
        match (spec.size(&unit.header), spec.form()) {
            (Some(size), _) => Step::Bytes(size),
            (None, gimli::DW_FORM_exprloc | gimli::DW_FORM_block) => Step::Block,
            (None, gimli::DW_FORM_string) => Step::Text,
            (None, form) if numbers.contains(&form) => Step::Number,
            (None, _) => Step::Other(spec),
        }
    }
}

/// Whether an attribute says what a name stands for, or whose it is.
fn is_said(name: gimli::DwAt) -> bool {
    matches!(
        name,
        gimli::DW_AT_name
            | gimli::DW_AT_specification
            | gimli::DW_AT_abstract_origin
            | gimli::DW_AT_signature
            | gimli::DW_AT_declaration
            | gimli::DW_AT_export_symbols
            | gimli::DW_AT_enum_class
    )
}

/// The plans of one table of abbreviations, those that were needed so far.
#[derive(Default)]
pub(super) struct Plans {
    /// Whose they are: an attribute's size depends on the unit's version too.
    of: Option<(Arc<Abbreviations>, Encoding)>,
    dense: Vec<Option<Plan>>,
    others: FxHashMap<u64, Plan>,
}

impl Plans {
    /// Forgets those of another table.
    pub fn begin(&mut self, unit: &Unit<Slice<'_>>) {
        let encoding = unit.encoding();
        let is_same =
            |(table, of): &(Arc<Abbreviations>, Encoding)| Arc::ptr_eq(table, &unit.abbreviations) && *of == encoding;
        if !self.of.as_ref().is_some_and(is_same) {
            self.dense.clear();
            self.others.clear();
            self.of = Some((unit.abbreviations.clone(), encoding));
        }
    }

    /// The plan of a code, which is not 0, of the unit that was begun with.
    pub fn of(&mut self, code: u64, unit: &Unit<Slice<'_>>) -> gimli::Result<&Plan> {
        let unknown = gimli::Error::UnknownAbbreviation(code);
        let make = || unit.abbreviations.get(code).map(|one| Plan::new(one, unit)).ok_or(unknown);
        let Some(index) = usize::try_from(code).ok().filter(|code| *code < DENSE) else {
            return match self.others.entry(code) {
                std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
                std::collections::hash_map::Entry::Vacant(place) => Ok(place.insert(make()?)),
            };
        };
        if self.dense.get(index).is_none_or(Option::is_none) {
            let plan = make()?;
            if self.dense.len() <= index {
                self.dense.resize_with(index + 1, || None);
            }
            self.dense[index] = Some(plan);
        }
        self.dense[index].as_ref().ok_or(unknown)
    }
}
