//! Go's slices, maps and interfaces, by the members that Go's compiler describes. What a later release lays out in
//! another way is shown by its members.

use crate::base::VirtAddr;
use crate::binary::dwarf::{Encoding, Shape, TypeId};

use super::show::VISITED;
use super::{Extent, Held, Inspector, Printers, TypedValue};
use crate::lang::{text, Format};

/// A bucket's cell holds an entry if its byte in `tophash` is not below this (`minTopHash`, runtime/map.go of Go 1.12 to 1.23).
const FIRST_HASH: u8 = 5;
/// How many entries a bucket has (`bucketCnt`, there).
const CELLS: u64 = 8;
/// More buckets than two to this power are not believed.
const BUCKETS_LIMIT: u64 = 40;

impl Inspector<'_, '_> {
    /// A slice or an interface.
    pub(super) fn show_go(&self, value: &TypedValue, name: &str, depth: u32) -> Option<String> {
        match name {
            "runtime.iface" | "runtime.eface" => self.show_go_interface(value, depth),
            _ if name.starts_with("[]") => self.show_go_slice(value, name, depth),
            _ => None,
        }
    }

    fn show_go_slice(&self, value: &TypedValue, name: &str, depth: u32) -> Option<String> {
        let array = self.member(value, "array")?;
        let Shape::Pointer(of) = self.view(&array).shape else { return None };
        let number = |name| Some(self.scalar(&self.member(value, name)?)? as u64);
        let (count, capacity) = (number("len")?, number("cap")?);
        let start = self.scalar(&array)? as u64;
        let title = format!("{name}(len={count}, cap={capacity})");
        let element = self.types.view(of);
        let is_byte = matches!(element.shape, Shape::Base(Encoding::Unsigned | Encoding::UnsignedChar));
        if is_byte && element.size == 1 && matches!(self.style.format, Format::Natural | Format::Text) {
            let shown = match self.read(VirtAddr(start), count.min(self.style.elements)) {
                Ok(bytes) => bytes,
                Err(_) if count == 0 => Vec::new(),
                Err(reason) => return Some(format!("{title} = {reason}")),
            };
            let more = if count > shown.len() as u64 { "..." } else { "" };
            return Some(format!("{title} = {}{more}", text::quote(&shown)));
        }
        let elements = (0..count.min(VISITED)).map(|index| element_at(start, index, of, element.size));
        Some(format!("{title} = {}", self.listed(elements, count, depth)))
    }

    /// An interface with methods, by the type that its table is of: `go.itab.*main.square,main.shape` is the table's
    /// symbol (`go:itab.` since Go 1.20).
    fn show_go_interface(&self, value: &TypedValue, depth: u32) -> Option<String> {
        let data = self.member(value, "data")?;
        let kind = self.member(value, "tab").or_else(|| self.member(value, "_type"))?;
        let kind = self.scalar(&kind)? as u64;
        if kind == 0 {
            return Some("nil".to_owned());
        }
        let label = self.labels.label(VirtAddr(kind)).filter(|label| label.offset == 0)?;
        let pair = label.name.strip_prefix("go.itab.").or_else(|| label.name.strip_prefix("go:itab."))?;
        // Type arguments can hold commas: what is last is the interface.
        let held = pair.rsplit_once(',')?.0;
        // What fits into a pointer and is one stands in the interface itself, all else is pointed at.
        let at = VirtAddr(self.scalar(&data)? as u64);
        let pointed = if held.starts_with('*') { None } else { self.types.find_type(held) };
        Some(match pointed {
            Some(ty) => {
                let pointed = TypedValue { ty, place: Held::Memory(at) };
                format!("({held}) {}", self.show_within(&pointed, depth + 1))
            }
            None => format!("({held}) {at}"),
        })
    }

    /// A map is a pointer to its table; `None`: it is another pointer.
    pub(super) fn show_go_map(&self, value: &TypedValue, to: TypeId, depth: u32) -> Option<String> {
        if self.style.printers != Printers::Used || self.style.extent == Extent::Brief {
            return None;
        }
        let name = self.types.name(value.ty);
        let is_table = self.types.view(to).name.as_deref().is_some_and(|name| name.starts_with("hash<"));
        if !name.starts_with("map[") || !is_table {
            return None;
        }
        let table = self.target(value)?;
        if self.scalar(value)? == 0 {
            return Some(format!("{name}(len=0) = {{}}"));
        }
        let number = |name| Some(self.scalar(&self.member(&table, name)?)? as u64);
        let (count, power) = (number("count")?, number("B")?.min(BUCKETS_LIMIT));
        // While a map grows, what has not been moved yet is in its old buckets: half as many or as many, and at most
        // those that it has now. A cell that was moved says so.
        let wanted = usize::try_from(self.style.elements.min(count)).unwrap_or(usize::MAX);
        let mut entries = Vec::new();
        for (buckets, of_them) in [("buckets", 1 << power), ("oldbuckets", self.go_old_buckets(&table, power)?)] {
            self.go_entries(&self.member(&table, buckets)?, of_them, wanted, depth, &mut entries);
        }
        let more = if count > entries.len() as u64 { "..." } else { "" };
        Some(format!("{name}(len={count}) = {{{}{more}}}", entries.join(", ")))
    }

    /// How many old buckets a table has: as many as new ones where it grew only to be laid out anew (`sameSizeGrow`).
    fn go_old_buckets(&self, table: &TypedValue, power: u64) -> Option<u64> {
        const SAME_SIZE: i128 = 8;
        let flags = self.scalar(&self.member(table, "flags")?)?;
        Some(if flags & SAME_SIZE != 0 { 1 << power } else { (1 << power) / 2 })
    }

    /// The entries of an array of buckets and of those that follow them, until there are enough.
    fn go_entries(&self, array: &TypedValue, buckets: u64, wanted: usize, depth: u32, into: &mut Vec<String>) {
        let (Some(first), Shape::Pointer(of)) = (self.scalar(array), &self.view(array).shape) else { return };
        if first == 0 {
            return;
        }
        let size = self.types.size(*of);
        for index in 0..buckets.min(VISITED) {
            let mut bucket = element_at(first as u64, index, *of, size);
            loop {
                if into.len() >= wanted || !self.may_go_on() || self.go_cells(&bucket, wanted, depth, into).is_none() {
                    return;
                }
                let next = self.member(&bucket, "overflow").and_then(|next| self.scalar(&next));
                match next {
                    Some(next) if next != 0 => bucket = element_at(next as u64, 0, *of, size),
                    _ => break,
                }
            }
        }
    }

    /// The entries of one bucket; `None`: it cannot be read.
    fn go_cells(&self, bucket: &TypedValue, wanted: usize, depth: u32, into: &mut Vec<String>) -> Option<()> {
        let hashes = self.bytes(&self.member(bucket, "tophash")?).ok()?;
        let (keys, values) = (self.member(bucket, "keys")?, self.member(bucket, "values"));
        let cell = |array: &TypedValue, index: u64| {
            let Shape::Array(of, _) = self.view(array).shape else { return None };
            let size = self.types.size(of);
            Some(TypedValue { ty: of, place: self.part(array, index * size, size)? })
        };
        for index in (0..CELLS).filter(|index| hashes.get(*index as usize).is_some_and(|hash| *hash >= FIRST_HASH)) {
            if into.len() >= wanted {
                break;
            }
            let key = self.show_within(&cell(&keys, index)?, depth + 1);
            let held = values.as_ref().and_then(|values| cell(values, index));
            let held = held.map_or_else(|| "?".to_owned(), |held| self.show_within(&held, depth + 1));
            into.push(format!("[{key}] = {held}"));
        }
        Some(())
    }
}

fn element_at(start: u64, index: u64, ty: TypeId, size: u64) -> TypedValue {
    TypedValue { ty, place: Held::Memory(VirtAddr(start.wrapping_add(index.wrapping_mul(size)))) }
}
