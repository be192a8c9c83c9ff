//! Containers whose elements have numbers: vectors, strings, arrays, deques, lists.

use super::members::{class_in, distance, place, place_in, place_of, pointer_of, Table};
use super::{alignment, Source};
use crate::base::VirtAddr;
use crate::binary::dwarf::{Shape, TypeId, Types};
use crate::lang::code::TextForm;
use crate::lang::library::text_form_of;
use crate::lang::Fault;

/// Bytes of a deque's block: libstdc++ fills 512 bytes, libc++ 4096.
const DEQUE_BLOCK: u64 = 512;
const LIBCXX_DEQUE_BLOCK: u64 = 4096;
/// Bytes of a list's node before its element.
const LINKS: u64 = 16;
/// Members that point to the first element, for each template.
const TEMPLATES: Table = &[
    ("vector", &["_M_start", "__begin_"]),
    ("basic_string", &["_M_p"]),
    ("basic_string_view", &["_M_str", "__data_", "__data"]),
    ("string_view", &["ptr_"]),
    ("array", &["_M_elems", "__elems_"]),
    ("span", &["_M_ptr", "__data_", "__data"]),
    ("Span", &["ptr_"]),
    ("initializer_list", &["_M_array", "__begin_"]),
    ("InlinedVector", &["allocated_data"]),
    ("deque", &["_M_cur"]),
    ("list", &[]),
];
/// Members that count elements.
const LENGTHS: &[&str] =
    &["_M_string_length", "_M_len", "_M_extent_value", "__size_", "__size", "len_", "length_", "_M_size"];

/// A sequence's layout; distances in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::lang) struct Sequence {
    /// Its elements.
    pub(in crate::lang) of: TypeId,
    size: u64,
    layout: Layout,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layout {
    /// One behind the other, from where a pointer points.
    Run { first: u64, length: Length },
    /// In the object itself.
    InPlace { first: u64, count: u64 },
    /// A string.
    Text { form: TextForm, at: u64 },
    /// An InlinedVector: the lowest bit of its number tells whether they are where a pointer points.
    Inlined { number: u64, first: u64, in_place: u64 },
    /// libstdc++'s deque: blocks, whose pointers lie one behind the other.
    Blocks { start: Cursor, finish: Cursor, block: u64 },
    /// libc++'s.
    Counted { blocks: u64, start: u64, count: u64, block: u64 },
    /// A list, whose end is in the object.
    List { next: u64, previous: u64, count: u64, skip: u64 },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Length {
    /// A pointer one past the last element.
    End(u64),
    /// A number.
    Number(u64),
    /// Known from the type.
    Fixed(u64),
}

/// Where libstdc++'s deque begins or ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cursor {
    element: u64,
    first: u64,
    node: u64,
}

/// An element with its number, or by its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::lang) enum Which {
    Number(i64),
    First,
    Last,
}

impl Sequence {
    /// The layout of a class or its base; `None`: it is none that is known, or is not as expected.
    pub(in crate::lang) fn of(types: &Types<'_>, id: TypeId) -> Option<Sequence> {
        let (steps, class, names) = class_in(types, id, TEMPLATES)?;
        let start = distance(&steps)?;
        let view = types.view(class);
        let template = view.name.as_deref()?.split('<').next()?;
        let argument = || types.template_arguments(class).first().copied().flatten();
        let (of, layout) = match template {
            "array" => {
                let (first, array) = place_of(types, class, names)?;
                let Shape::Array(of, count) = types.view(array).shape else { return None };
                (of, Layout::InPlace { first: start + first, count: count? })
            }
            "deque" => deque(types, class, start)?,
            "list" => (argument()?, list(types, class, argument()?, start)?),
            "InlinedVector" => (argument()?, inlined(types, class, start)?),
            "basic_string" | "basic_string_view" | "string_view" => match text_form_of(types, class) {
                Some(form) => (character(types, class)?, Layout::Text { form, at: start }),
                None => run(types, class, names, start)?,
            },
            _ => run(types, class, names, start)?,
        };
        Some(Sequence { of, size: types.size(of).max(1), layout })
    }

    /// Whether its elements are called by their numbers.
    pub(in crate::lang) fn is_indexed(&self) -> bool {
        !matches!(self.layout, Layout::List { .. })
    }

    /// Whether its elements lie one behind the other.
    pub(in crate::lang) fn is_contiguous(&self) -> bool {
        !matches!(self.layout, Layout::List { .. } | Layout::Blocks { .. } | Layout::Counted { .. })
    }

    /// How many elements it has.
    pub(in crate::lang) fn count(&self, source: &dyn Source) -> Result<u64, Fault> {
        match self.layout {
            Layout::Run { length: Length::Fixed(count), .. } | Layout::InPlace { count, .. } => Ok(count),
            Layout::Run { length: Length::Number(at), .. } => source.field(at),
            Layout::Run { first, length: Length::End(end) } => {
                let bytes = source.field(end)?.checked_sub(source.field(first)?);
                bytes.map(|bytes| bytes / self.size).ok_or(Fault::Corrupt("its end is before its first element"))
            }
            Layout::Text { form, at } => Ok(form.place(source.object()?.offset(at), source)?.1),
            Layout::Inlined { number, .. } => Ok(source.field(number)? >> 1),
            Layout::Counted { count, .. } | Layout::List { count, .. } => source.field(count),
            Layout::Blocks { start, finish, block } => {
                let within = |cursor: Cursor| {
                    let bytes = source.field(cursor.element)?.checked_sub(source.field(cursor.first)?);
                    Ok::<_, Fault>(bytes.map(|bytes| bytes / self.size))
                };
                let blocks = source.field(finish.node)?.checked_sub(source.field(start.node)?);
                let full = blocks.and_then(|bytes| (bytes / 8).checked_mul(block));
                let count = full.zip(within(finish)?).zip(within(start)?);
                let count = count.and_then(|((full, after), before)| full.checked_add(after)?.checked_sub(before));
                count.ok_or(Fault::Corrupt("its end is before its first element"))
            }
        }
    }

    /// Where an element is that the sequence has.
    ///
    /// # Errors
    /// That it has none such.
    pub(in crate::lang) fn element(&self, which: Which, source: &dyn Source) -> Result<VirtAddr, Fault> {
        let count = self.count(source)?;
        if let (Layout::List { next, previous, skip, .. }, true) = (self.layout, count > 0) {
            let link = if which == Which::Last { previous } else { next };
            return Ok(VirtAddr(source.field(link)?.wrapping_add(skip)));
        }
        // A string's NUL is there, too.
        let past = matches!(self.layout, Layout::Text { .. }) && matches!(which, Which::Number(_));
        let index = match which {
            Which::Number(index) => u64::try_from(index).ok().filter(|one| *one < count || past && *one == count),
            Which::First => (count > 0).then_some(0),
            Which::Last => count.checked_sub(1),
        };
        match (index, which) {
            (Some(index), _) => self.place(index, source),
            (None, Which::Number(index)) => Err(Fault::OutOfRange { index, count }),
            (None, _) => Err(Fault::EmptyContainer),
        }
    }

    /// Where the first element is, or would be.
    pub(in crate::lang) fn start(&self, source: &dyn Source) -> Result<VirtAddr, Fault> {
        self.place(0, source)
    }

    /// Where the element of a number is; whether there is one is not asked.
    pub(in crate::lang) fn place(&self, index: u64, source: &dyn Source) -> Result<VirtAddr, Fault> {
        let on = |first: u64| VirtAddr(first.wrapping_add(index.wrapping_mul(self.size)));
        match self.layout {
            Layout::Run { first, .. } => Ok(on(source.field(first)?)),
            Layout::InPlace { first, .. } => Ok(on(source.object()?.offset(first).0)),
            Layout::Text { form, at } => Ok(on(form.place(source.object()?.offset(at), source)?.0 .0)),
            Layout::Inlined { number, first, in_place } => match source.field(number)? & 1 {
                1 => Ok(on(source.field(first)?)),
                _ => Ok(on(source.object()?.offset(in_place).0)),
            },
            Layout::Blocks { start, block, .. } => {
                let before = source.field(start.element)?.wrapping_sub(source.field(start.first)?) / self.size;
                self.in_block(source.field(start.node)?, before.wrapping_add(index), block, source)
            }
            Layout::Counted { blocks, start, block, .. } => {
                self.in_block(source.field(blocks)?, source.field(start)?.wrapping_add(index), block, source)
            }
            Layout::List { .. } => Err(Fault::BadCode),
        }
    }

    fn in_block(&self, blocks: u64, number: u64, block: u64, source: &dyn Source) -> Result<VirtAddr, Fault> {
        let start = source.word(VirtAddr(blocks.wrapping_add((number / block).wrapping_mul(8))))?;
        Ok(VirtAddr(start.wrapping_add((number % block).wrapping_mul(self.size))))
    }
}

/// From where a member points, as many as another one tells.
fn run(types: &Types<'_>, class: TypeId, names: &[&str], start: u64) -> Option<(TypeId, Layout)> {
    let (first, of) = pointer_of(types, class, names)?;
    let end = pointer_of(types, class, &["_M_finish", "__end_"]).map(|(at, _)| Length::End(start + at));
    let number = || place_of(types, class, LENGTHS).map(|(at, _)| Length::Number(start + at));
    let length = end.or_else(number).or_else(|| extent(types, class))?;
    Some((of, Layout::Run { first: start + first, length }))
}

/// A span of a fixed size has it in its name only.
fn extent(types: &Types<'_>, class: TypeId) -> Option<Length> {
    let view = types.view(class);
    let last = view.name.as_deref()?.rsplit_once(", ")?.1;
    last.trim_end_matches(['>', ' ', 'u', 'l']).parse().ok().map(Length::Fixed)
}

fn character(types: &Types<'_>, class: TypeId) -> Option<TypeId> {
    match types.template_arguments(class).first() {
        Some(Some(of)) => Some(*of),
        // absl::string_view of its own is no template.
        _ => Some(pointer_of(types, class, &["ptr_"])?.1),
    }
}

fn deque(types: &Types<'_>, class: TypeId, start: u64) -> Option<(TypeId, Layout)> {
    if let (Some((from, first)), Some((to, _))) = (place(types, class, "_M_start"), place(types, class, "_M_finish")) {
        let (element, of) = pointer_of(types, first, &["_M_cur"])?;
        let (begin, node) = (place(types, first, "_M_first")?.0, place(types, first, "_M_node")?.0);
        let cursor = |at: u64| Cursor { element: at + element, first: at + begin, node: at + node };
        let size = types.size(of).max(1);
        let block = if size < DEQUE_BLOCK { DEQUE_BLOCK / size } else { 1 };
        return Some((of, Layout::Blocks { start: cursor(start + from), finish: cursor(start + to), block }));
    }
    let (map, blocks) = place(types, class, "__map_")?;
    let (begin, block_pointer) = pointer_of(types, blocks, &["__begin_"])?;
    let Shape::Pointer(of) = types.view(block_pointer).shape else { return None };
    let block = (LIBCXX_DEQUE_BLOCK / types.size(of).max(1)).max(16);
    let (first, (count, count_type)) = (place(types, class, "__start_")?.0, place(types, class, "__size_")?);
    // A number, or a pair that holds one.
    let inner = place(types, count_type, "__value_").map_or(0, |(at, _)| at);
    let at = |offset: u64| start + offset;
    Some((of, Layout::Counted { blocks: at(map + begin), start: at(first), count: at(count + inner), block }))
}

/// Its end's node has the links to the first and to the last one.
fn list(types: &Types<'_>, class: TypeId, of: TypeId, start: u64) -> Option<Layout> {
    let skip = LINKS.next_multiple_of(alignment(types, of).max(1));
    if let Some((node, header)) = place(types, class, "_M_node") {
        let (next, previous) = (place(types, header, "_M_next")?.0, place(types, header, "_M_prev")?.0);
        let (count, _) = place(types, header, "_M_size").or_else(|| place(types, header, "_M_data"))?;
        let at = |offset: u64| start + node + offset;
        return Some(Layout::List { next: at(next), previous: at(previous), count: at(count), skip });
    }
    let (end, header) = place(types, class, "__end_")?;
    let (next, previous) = (place(types, header, "__next_")?.0, place(types, header, "__prev_")?.0);
    let count = place_in(types, class, "__size_alloc_", "__value_").or_else(|| place(types, class, "__size_"))?;
    let at = |offset: u64| start + end + offset;
    Some(Layout::List { next: at(next), previous: at(previous), count: start + count.0, skip })
}

fn inlined(types: &Types<'_>, class: TypeId, start: u64) -> Option<Layout> {
    let (number, _) = place_in(types, class, "metadata_", "value")?;
    let (first, _) = place(types, class, "allocated_data")?;
    let (in_place, _) = place(types, class, "inlined_data")?;
    Some(Layout::Inlined { number: start + number, first: start + first, in_place: start + in_place })
}

/// A vector of bool: bits of words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::lang) struct Bits {
    first: u64,
    /// The pointer to the last word and the number of bits in it, or the number of all.
    length: (Option<u64>, u64),
}

impl Bits {
    pub(in crate::lang) fn of(types: &Types<'_>, id: TypeId) -> Option<Bits> {
        if !types.view(id).name.as_deref()?.starts_with("vector<bool") {
            return None;
        }
        if let Some((first, _)) = place_in(types, id, "_M_start", "_M_p") {
            let (last, bits) =
                (place_in(types, id, "_M_finish", "_M_p")?, place_in(types, id, "_M_finish", "_M_offset")?);
            return Some(Bits { first, length: (Some(last.0), bits.0) });
        }
        let (first, count) = (place(types, id, "__begin_")?.0, place(types, id, "__size_")?.0);
        Some(Bits { first, length: (None, count) })
    }

    /// How many bits it has.
    pub(in crate::lang) fn count(&self, source: &dyn Source) -> Result<u64, Fault> {
        match self.length {
            (None, count) => source.field(count),
            (Some(last), bits) => {
                // The number of bits is 4 bytes long.
                let (words, bits) = (source.field(last)?.checked_sub(source.field(self.first)?), source.field(bits)?);
                let all = words.and_then(|bytes| bytes.checked_mul(8)?.checked_add(bits & 0xffff_ffff));
                all.ok_or(Fault::Corrupt("its end is before its first element"))
            }
        }
    }

    /// One bit.
    ///
    /// # Errors
    /// That there is none such.
    pub(in crate::lang) fn bit(&self, which: Which, source: &dyn Source) -> Result<bool, Fault> {
        let count = self.count(source)?;
        let index = match which {
            Which::Number(index) => u64::try_from(index).ok().filter(|one| *one < count),
            Which::First => (count > 0).then_some(0),
            Which::Last => count.checked_sub(1),
        };
        let Some(index) = index else {
            return Err(match which {
                Which::Number(index) => Fault::OutOfRange { index, count },
                _ => Fault::EmptyContainer,
            });
        };
        let mut byte = [0];
        source.read(VirtAddr(source.field(self.first)?.wrapping_add(index / 8)), &mut byte)?;
        Ok(byte[0] >> (index % 8) & 1 == 1)
    }
}
