//! The classes of a file: its type information objects (Itanium C++ ABI, 2.9.5).

use std::collections::HashMap;
use std::ops::Range;

use super::super::dynamic::word;
use super::super::image::Image;
use super::super::Dynamic;
use super::pointers::{Pointer, Pointers};
use crate::base::FileAddr;

/// Longer type names are no names.
const MAX_NAME: usize = 32 << 10;
/// A class with more direct bases is none.
const MAX_BASES: u32 = 1024;
/// Where a vtable's address point lies behind its symbol: the offset to the top and the typeinfo come first.
const ADDRESS_POINT: u64 = 16;

/// The number of a class in [`Types`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct ClassId(pub u32);

/// One class.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// Its type information object; `None` for one of another file.
    pub info: Option<FileAddr>,
    /// Its mangled type name, as a range of the file.
    pub name: Range<usize>,
    /// Its direct bases, as a range of [`Types::bases`].
    bases: Range<usize>,
    /// How its type information describes them.
    pub shape: Shape,
}

/// The kinds of type information objects that classes have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// `__class_type_info`: no bases.
    Alone,
    /// `__si_class_type_info`: one public base at offset 0, which has a vtable exactly if the class has one.
    Single,
    /// `__vmi_class_type_info`: any bases.
    Multiple,
    /// Defined in another file: its bases are not known.
    Foreign,
}

/// A direct base of a class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Base {
    pub class: ClassId,
    pub place: Place,
}

/// Where a base lies in the class that derives from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Bytes from the start of the class.
    At(i64),
    /// Shared: each most derived class places it.
    Virtual,
}

/// All classes that a file has type information of.
pub(super) struct Types {
    /// Those of the file in the order of their objects' addresses, then those of other files.
    classes: Vec<Class>,
    own: usize,
    sieve: Sieve,
    bases: Vec<Base>,
}

impl Types {
    /// Finds the type information objects: what begins with a pointer to the address point of a vtable of one of the
    /// three kinds, and goes on with a pointer to a type name.
    pub fn read(image: &Image, dynamic: &Dynamic, pointers: &Pointers) -> Types {
        let kinds = Kinds::find(image, dynamic, pointers);
        let mut types = Types { classes: Vec::new(), own: 0, sieve: Sieve::default(), bases: Vec::new() };
        let mut budget = image.bytes().len();
        let own = pointers.inner().iter().filter_map(|pointer| Some((pointer.at, kinds.of_pointer(pointer)?)));
        let imported = pointers.imports().iter();
        let imported =
            imported.filter_map(|one| Some((one.at, Kinds::shape_of(dynamic.symbol_name(image, one.symbol)?)?)));
        let mut found: Vec<(FileAddr, Shape)> = own.chain(imported).collect();
        found.sort_unstable_by_key(|(at, _)| *at);
        found.dedup_by_key(|(at, _)| *at);
        for (info, shape) in found {
            let name = pointers.target(info.offset(8)).and_then(|at| type_name(image, at));
            let Some(name) = name.filter(|name| name.len() <= budget) else { continue };
            budget -= name.len();
            types.classes.push(Class { info: Some(info), name, bases: 0..0, shape });
        }
        types.own = types.classes.len();
        types.sieve = Sieve::of(types.classes.iter().filter_map(|class| class.info));
        types.read_bases(image, dynamic, pointers);
        types
    }

    /// How many classes there are, those of other files included.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// A class.
    pub fn get(&self, id: ClassId) -> &Class {
        &self.classes[id.0 as usize]
    }

    /// The class whose type information object is at `info`.
    pub fn find(&self, info: FileAddr) -> Option<ClassId> {
        if !self.sieve.lets_through(info) {
            return None;
        }
        let own = &self.classes[..self.own];
        own.binary_search_by_key(&Some(info), |class| class.info).ok().map(|at| ClassId(at as u32))
    }

    /// The direct bases of a class.
    pub fn bases(&self, id: ClassId) -> &[Base] {
        &self.bases[self.get(id).bases.clone()]
    }

    fn read_bases(&mut self, image: &Image, dynamic: &Dynamic, pointers: &Pointers) {
        let mut foreign = Foreign::new(image, dynamic);
        let most = pointers.inner().len() + pointers.imports().len();
        for at in 0..self.own {
            let (Some(info), shape) = (self.classes[at].info, self.classes[at].shape) else { continue };
            let start = self.bases.len();
            let places: Vec<(FileAddr, Place)> = match shape {
                Shape::Alone | Shape::Foreign => Vec::new(),
                Shape::Single => vec![(info.offset(16), Place::At(0))],
                Shape::Multiple => read_places(image, info),
            };
            for (slot, place) in places.into_iter().take(most.saturating_sub(start)) {
                let own = pointers.target(slot).and_then(|to| self.find(to));
                let class = own.or_else(|| foreign.class_at(pointers, slot, &mut self.classes));
                self.bases.extend(class.map(|class| Base { class, place }));
            }
            self.classes[at].bases = start..self.bases.len();
        }
    }
}

/// Tells of most addresses that they are none of some words': each pointer of the file is asked about.
#[derive(Default)]
struct Sieve(Vec<u64>);

impl Sieve {
    /// Bits for each address that is let through.
    const ROOM: usize = 16;

    fn of(addresses: impl Iterator<Item = FileAddr> + Clone) -> Sieve {
        let count = addresses.clone().count();
        let mut sieve = Sieve(vec![0; (count * Self::ROOM / 64).next_power_of_two()]);
        for at in addresses {
            let (word, bit) = sieve.place(at);
            sieve.0[word] |= 1 << bit;
        }
        sieve
    }

    fn lets_through(&self, at: FileAddr) -> bool {
        let (word, bit) = self.place(at);
        self.0.get(word).is_some_and(|bits| bits >> bit & 1 == 1)
    }

    /// By the address's number of a word: objects of type information lie close to each other.
    fn place(&self, at: FileAddr) -> (usize, u64) {
        let number = at.0 / 8;
        (((number / 64) as usize) & self.0.len().wrapping_sub(1), number % 64)
    }
}

/// Where the pointers to the bases of a `__vmi_class_type_info` are, and where these bases lie.
fn read_places(image: &Image, info: FileAddr) -> Vec<(FileAddr, Place)> {
    let Some(flags) = image.bytes_at(info.offset(16), 8) else { return Vec::new() };
    let count = (word(flags, 0) >> 32) as u32;
    let bases = (0..u64::from(count.min(MAX_BASES))).map(|number| info.offset(24 + number * 16));
    bases
        .filter_map(|slot| {
            let flags = word(image.bytes_at(slot.offset(8), 8)?, 0) as i64;
            Some((slot, if flags & 1 == 1 { Place::Virtual } else { Place::At(flags >> 8) }))
        })
        .collect()
}

/// The type name at an address: printable bytes and a NUL. The `*` with which GCC marks a name that is compared by its
/// address is left out.
fn type_name(image: &Image, at: FileAddr) -> Option<Range<usize>> {
    let mut range = image.file_range_from(at)?;
    range.end = range.end.min(range.start + MAX_NAME);
    let bytes = image.slice(&range);
    let star = usize::from(bytes.first() == Some(&b'*'));
    let end = memchr::memchr(0, bytes)?;
    let name = bytes.get(star..end)?;
    let begins = matches!(name.first()?, b'0'..=b'9' | b'N' | b'S' | b'Z');
    (begins && name.iter().all(u8::is_ascii_graphic)).then(|| range.start + star..range.start + end)
}

/// The address points of the vtables of the three kinds of class type information.
struct Kinds(Vec<(FileAddr, Shape)>);

/// How many type informations and vtables one of the kinds may have: a file has one of each.
const MAX_COPIES: usize = 4;

const KINDS: [(&str, Shape); 3] = [
    ("N10__cxxabiv117__class_type_infoE", Shape::Alone),
    ("N10__cxxabiv120__si_class_type_infoE", Shape::Single),
    ("N10__cxxabiv121__vmi_class_type_infoE", Shape::Multiple),
];

impl Kinds {
    /// By name: each kind is a class itself, with a type name, type information and a vtable; or a symbol of .dynsym.
    fn find(image: &Image, dynamic: &Dynamic, pointers: &Pointers) -> Kinds {
        let mut kinds = Vec::new();
        for (name, shape) in addresses_of_kinds(image) {
            let pointing_to = |to: FileAddr| pointers.inner().iter().filter(move |one| one.to == to);
            let infos = pointing_to(name).map(|one| FileAddr(one.at.0.wrapping_sub(8)));
            for info in infos.take(MAX_COPIES) {
                let tables = pointing_to(info).filter(|one| is_vtable_start(image, pointers, one.at));
                kinds.extend(tables.take(MAX_COPIES).map(|one| (one.at.offset(8), shape)));
            }
        }
        let exported = dynamic.symbols_named(image, |name| Self::shape_of(name).is_some());
        for (name, value) in exported {
            kinds.extend(Self::shape_of(name).map(|shape| (value.offset(ADDRESS_POINT), shape)));
        }
        Kinds(kinds)
    }

    fn of_pointer(&self, pointer: &Pointer) -> Option<Shape> {
        self.0.iter().find(|(at, _)| *at == pointer.to).map(|(_, shape)| *shape)
    }

    /// The kind whose vtable a mangled name means.
    fn shape_of(name: &[u8]) -> Option<Shape> {
        let class = name.strip_prefix(b"_ZTV")?;
        KINDS.iter().find(|(kind, _)| kind.as_bytes() == class).map(|(_, shape)| *shape)
    }
}

/// What all names of [`KINDS`] end in.
const KIND_ENDING: &[u8] = b"class_type_infoE\0";

/// Where the names of [`KINDS`] are in the file's data.
fn addresses_of_kinds(image: &Image) -> Vec<(FileAddr, Shape)> {
    let finder = memchr::memmem::Finder::new(KIND_ENDING);
    let mut found = Vec::new();
    for segment in image.segments.iter().filter(|segment| !segment.exec) {
        let bytes = image.bytes_at(segment.addr, segment.file_size).unwrap_or_default();
        for start in finder.find_iter(bytes) {
            let end = start + KIND_ENDING.len() - 1;
            let kind = KINDS.iter().find(|(name, _)| bytes[..end].ends_with(name.as_bytes()));
            found.extend(kind.map(|(name, shape)| (segment.addr.offset((end - name.len()) as u64), *shape)));
        }
    }
    found.truncate(KINDS.len() * MAX_COPIES);
    found
}

/// Whether a pointer to type information is the one in a vtable: before it an offset, behind it a function.
pub(super) fn is_vtable_start(image: &Image, pointers: &Pointers, at: FileAddr) -> bool {
    let before = FileAddr(at.0.wrapping_sub(8));
    let code = |to: FileAddr| image.segment_at(to).is_some_and(|segment| segment.exec);
    let behind = at.offset(8);
    !pointers.is_pointer(before) && (pointers.target(behind).is_some_and(code) || pointers.import(behind).is_some())
}

/// The classes of other files that are bases here, by the symbols of their type information.
struct Foreign<'a> {
    image: &'a Image,
    dynamic: &'a Dynamic,
    /// Type information that is copied from another file into this one's data (R_X86_64_COPY).
    copied: HashMap<FileAddr, &'a [u8]>,
    known: HashMap<&'a [u8], ClassId>,
}

impl<'a> Foreign<'a> {
    fn new(image: &'a Image, dynamic: &'a Dynamic) -> Foreign<'a> {
        let copied = dynamic.symbols_named(image, |name| name.starts_with(b"_ZTI"));
        let copied = copied.map(|(name, value)| (value, name)).collect();
        Foreign { image, dynamic, copied, known: HashMap::new() }
    }

    /// The class whose type information the word at `slot` points to.
    fn class_at(&mut self, pointers: &Pointers, slot: FileAddr, classes: &mut Vec<Class>) -> Option<ClassId> {
        let symbol = match pointers.import(slot) {
            Some(import) => self.dynamic.symbol_name(self.image, import.symbol)?,
            None => self.copied.get(&pointers.target(slot)?)?,
        };
        let name = symbol.strip_prefix(b"_ZTI")?;
        if let Some(id) = self.known.get(name) {
            return Some(*id);
        }
        let start = name.as_ptr() as usize - self.image.bytes().as_ptr() as usize;
        let id = ClassId(classes.len() as u32);
        classes.push(Class { info: None, name: start..start + name.len(), bases: 0..0, shape: Shape::Foreign });
        self.known.insert(name, id);
        Some(id)
    }
}
