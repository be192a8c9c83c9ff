//! Types of a script's values, and the structures they refer to.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

/// Whether an integer has a sign.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sign {
    /// It has.
    Signed,
    /// It has not.
    Unsigned,
}

/// How the frames of a stack are written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StackMode {
    /// `function+offset`.
    Bpftrace,
    /// `address function+offset`.
    Perf,
    /// `address`.
    Raw,
}

/// A type.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ty {
    /// Not known yet: a map or variable that nothing has been assigned to.
    Unknown,
    /// No value.
    Void,
    /// An integer of 1, 2, 4 or 8 bytes.
    Integer(u8, Sign),
    /// `true` or `false`.
    Bool,
    /// An enumeration, an unsigned integer of 4 bytes in memory.
    Enum(EnumId),
    /// An address.
    Pointer(Arc<Ty>),
    /// A structure or union.
    Record(RecordId),
    /// An array.
    Array(Arc<Ty>, u64),
    /// A text.
    Text,
    /// Bytes, by `buf`.
    Buffer,
    /// An address of the internet, by `ntop`.
    Inet,
    /// A hardware address, by `macaddr`.
    Mac,
    /// A user, by `username`.
    User,
    /// A formatted time, by `strftime`.
    Time,
    /// A stack of the program.
    Stack(StackMode),
    /// A stack of the kernel, which is always empty here.
    KernelStack,
    /// The function at an address.
    Symbol,
    /// Several values.
    Tuple(Arc<[Ty]>),
    /// What a map holds when it is assigned `count()`, `hist(x)`..
    Aggregate(Aggregate),
}

/// The functions that a map's values can be made by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Aggregate {
    /// How many.
    Count,
    /// The sum.
    Sum(Sign),
    /// The mean.
    Average(Sign),
    /// The least.
    Min(Sign),
    /// The greatest.
    Max(Sign),
    /// Count, mean and sum.
    Stats(Sign),
    /// A histogram over powers of two, each in `1 << bits` parts.
    Histogram(u8),
    /// A histogram over equal intervals.
    Linear {
        /// The least value of the first interval.
        min: i64,
        /// One past the last interval.
        max: i64,
        /// The width of each.
        step: i64,
    },
    /// Values over time.
    Series(Series),
}

/// How a series over time is made: `tseries(value, interval, count, "max")`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Series {
    /// The length of an interval, nanoseconds; not 0.
    pub interval: u64,
    /// How many intervals are kept, the latest ones.
    pub count: u16,
    /// What an interval holds of its values.
    pub value: SeriesValue,
    /// Whether the values have a sign.
    pub sign: Sign,
}

/// What an interval of a series holds of its values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SeriesValue {
    /// The last one.
    Last,
    /// Their mean.
    Mean,
    /// The least.
    Least,
    /// The greatest.
    Greatest,
    /// Their sum.
    Sum,
}

/// A structure in [`Types`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RecordId(u32);

/// An enumeration in [`Types`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EnumId(u32);

/// A structure or union.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// `struct sockaddr`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Bytes.
    pub align: u64,
    /// Members; those of anonymous members are found through them.
    pub fields: Vec<Field>,
    /// Whether its body has been seen.
    pub state: Definition,
}

/// Whether a structure's members are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Definition {
    /// Only its name is.
    #[default]
    Named,
    /// They are.
    Complete,
}

/// A member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Empty for an anonymous structure or union.
    pub name: String,
    /// From the structure's start, bytes.
    pub offset: u64,
    /// Its type.
    pub ty: Ty,
    /// The first bit and the width of a bit-field, within its type.
    pub bits: Option<(u8, u8)>,
}

/// An enumeration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Enumeration {
    /// Its tag.
    pub name: String,
    /// Names and values.
    pub values: Vec<(String, u64)>,
}

/// All structures, enumerations, typedefs and constants that a script can name.
#[derive(Clone, Debug, Default)]
pub struct Types {
    records: Vec<Record>,
    enums: Vec<Enumeration>,
    tags: HashMap<String, RecordId>,
    enum_tags: HashMap<String, EnumId>,
    typedefs: HashMap<String, Ty>,
    constants: HashMap<String, (u64, Option<EnumId>)>,
}

impl Ty {
    /// `int64`, the type of most values.
    pub const LONG: Ty = Ty::Integer(8, Sign::Signed);
    /// `uint64`.
    pub const ULONG: Ty = Ty::Integer(8, Sign::Unsigned);
    /// `int32`.
    pub const INT: Ty = Ty::Integer(4, Sign::Signed);
    /// `uint32`.
    pub const UINT: Ty = Ty::Integer(4, Sign::Unsigned);
    /// `char`.
    pub const CHAR: Ty = Ty::Integer(1, Sign::Signed);

    /// A pointer to it.
    pub fn pointer(self) -> Ty {
        Ty::Pointer(Arc::new(self))
    }

    /// Whether it can be reckoned with: integers, truths, enumerations, pointers.
    pub fn is_number(&self) -> bool {
        matches!(self, Ty::Integer(..) | Ty::Bool | Ty::Enum(_) | Ty::Pointer(_))
    }

    /// The sign with which it is compared and printed.
    pub fn sign(&self) -> Sign {
        match self {
            Ty::Integer(_, sign) => *sign,
            Ty::Aggregate(
                Aggregate::Sum(sign)
                | Aggregate::Average(sign)
                | Aggregate::Min(sign)
                | Aggregate::Max(sign)
                | Aggregate::Stats(sign),
            ) => *sign,
            _ => Sign::Unsigned,
        }
    }

    /// Whether a value of it lies in the program's memory as it is: structures and arrays.
    pub fn is_object(&self) -> bool {
        matches!(self, Ty::Record(_) | Ty::Array(..))
    }
}

impl Types {
    /// Bytes that a value takes in memory; 0 for what has no place there.
    pub fn size(&self, ty: &Ty) -> u64 {
        match ty {
            Ty::Integer(bytes, _) => u64::from(*bytes),
            Ty::Bool => 1,
            Ty::Enum(_) => 4,
            Ty::Pointer(_) => 8,
            Ty::Record(id) => self.record(*id).size,
            Ty::Array(of, count) => self.size(of).saturating_mul(*count),
            Ty::Tuple(parts) => parts.iter().map(|part| self.size(part)).sum(),
            _ => 8,
        }
    }

    pub(super) fn align(&self, ty: &Ty) -> u64 {
        match ty {
            Ty::Record(id) => self.record(*id).align.max(1),
            Ty::Array(of, _) => self.align(of),
            other => self.size(other).max(1),
        }
    }

    /// A structure.
    pub fn record(&self, id: RecordId) -> &Record {
        &self.records[id.0 as usize]
    }

    pub(super) fn record_mut(&mut self, id: RecordId) -> &mut Record {
        &mut self.records[id.0 as usize]
    }

    /// An enumeration.
    pub fn enumeration(&self, id: EnumId) -> &Enumeration {
        &self.enums[id.0 as usize]
    }

    /// The structure with that tag; one that is only named if there is none.
    pub(super) fn tagged(&mut self, tag: &str) -> RecordId {
        if let Some(id) = self.tags.get(tag) {
            return *id;
        }
        let id = self.anonymous(format!("struct {tag}"));
        self.tags.insert(tag.to_owned(), id);
        id
    }

    pub(super) fn anonymous(&mut self, name: String) -> RecordId {
        let id = RecordId(self.records.len() as u32);
        self.records.push(Record { name, ..Record::default() });
        id
    }

    /// The structure with that tag, if its members are known.
    pub fn find_record(&self, tag: &str) -> Option<RecordId> {
        self.tags.get(tag).copied().filter(|id| self.record(*id).state == Definition::Complete)
    }

    pub(super) fn add_enum(&mut self, one: Enumeration) -> EnumId {
        let id = EnumId(self.enums.len() as u32);
        for (name, value) in &one.values {
            self.constants.insert(name.clone(), (*value, Some(id)));
        }
        if !one.name.is_empty() {
            self.enum_tags.insert(one.name.clone(), id);
        }
        self.enums.push(one);
        id
    }

    /// The enumeration with that tag.
    pub fn find_enum(&self, tag: &str) -> Option<EnumId> {
        self.enum_tags.get(tag).copied()
    }

    pub(super) fn add_typedef(&mut self, name: &str, ty: Ty) {
        self.typedefs.insert(name.to_owned(), ty);
    }

    /// What a typedef or a type's own name means.
    pub fn find_named(&self, name: &str) -> Option<Ty> {
        plain_type(name).or_else(|| self.typedefs.get(name).cloned())
    }

    /// The value of a constant, and the enumeration it is of.
    pub fn find_constant(&self, name: &str) -> Option<(u64, Option<EnumId>)> {
        self.constants.get(name).copied()
    }

    pub(super) fn add_constant(&mut self, name: &str, value: u64) {
        self.constants.insert(name.to_owned(), (value, None));
    }

    /// A member by name, also one of an anonymous member: its offset in the structure.
    pub fn find_field(&self, id: RecordId, name: &str) -> Option<Field> {
        for field in &self.record(id).fields {
            if field.name == name && !name.is_empty() {
                return Some(field.clone());
            }
            if let (true, Ty::Record(inner)) = (field.name.is_empty(), &field.ty) {
                if let Some(found) = self.find_field(*inner, name) {
                    return Some(Field { offset: field.offset + found.offset, ..found });
                }
            }
        }
        None
    }

    /// A type as bpftrace's messages write it.
    pub fn name(&self, ty: &Ty) -> String {
        match ty {
            Ty::Unknown => "none".into(),
            Ty::Void => "void".into(),
            Ty::Integer(bytes, Sign::Signed) => format!("int{}", bytes * 8),
            Ty::Integer(bytes, Sign::Unsigned) => format!("uint{}", bytes * 8),
            Ty::Bool => "bool".into(),
            Ty::Enum(id) => format!("enum {}", self.enumeration(*id).name),
            Ty::Pointer(to) => format!("{} *", self.name(to)),
            Ty::Record(id) => self.record(*id).name.clone(),
            Ty::Array(of, count) => format!("{}[{count}]", self.name(of)),
            Ty::Text => "string".into(),
            Ty::Buffer => "buf".into(),
            Ty::Inet => "inet".into(),
            Ty::Mac => "mac_address".into(),
            Ty::User => "username".into(),
            Ty::Time => "timestamp".into(),
            Ty::Stack(_) => "ustack".into(),
            Ty::KernelStack => "kstack".into(),
            Ty::Symbol => "usym_t".into(),
            Ty::Tuple(parts) => {
                let mut text = String::from("(");
                for (at, part) in parts.iter().enumerate() {
                    let _ = write!(text, "{}{}", if at == 0 { "" } else { "," }, self.name(part));
                }
                text + ")"
            }
            Ty::Aggregate(aggregate) => aggregate.name().into(),
        }
    }
}

impl Aggregate {
    /// As bpftrace's messages write it.
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::Count => "count_t",
            Aggregate::Sum(Sign::Signed) => "sum_t",
            Aggregate::Sum(Sign::Unsigned) => "usum_t",
            Aggregate::Average(Sign::Signed) => "avg_t",
            Aggregate::Average(Sign::Unsigned) => "uavg_t",
            Aggregate::Min(Sign::Signed) => "min_t",
            Aggregate::Min(Sign::Unsigned) => "umin_t",
            Aggregate::Max(Sign::Signed) => "max_t",
            Aggregate::Max(Sign::Unsigned) => "umax_t",
            Aggregate::Stats(Sign::Signed) => "stats_t",
            Aggregate::Stats(Sign::Unsigned) => "ustats_t",
            Aggregate::Histogram(_) => "hist_t",
            Aggregate::Linear { .. } => "lhist_t",
            Aggregate::Series(_) => "tseries_t",
        }
    }

    /// The function that makes it.
    pub fn function(self) -> &'static str {
        match self {
            Aggregate::Count => "count",
            Aggregate::Sum(_) => "sum",
            Aggregate::Average(_) => "avg",
            Aggregate::Min(_) => "min",
            Aggregate::Max(_) => "max",
            Aggregate::Stats(_) => "stats",
            Aggregate::Histogram(_) => "hist",
            Aggregate::Linear { .. } => "lhist",
            Aggregate::Series(_) => "tseries",
        }
    }
}

/// The types that need no definition: C's, those of <stdint.h>, the kernel's short names, and bpftrace's.
fn plain_type(name: &str) -> Option<Ty> {
    use Sign::{Signed, Unsigned};
    let (bytes, sign) = match name {
        "void" => return Some(Ty::Void),
        "bool" | "_Bool" => return Some(Ty::Bool),
        "string" => return Some(Ty::Text),
        "char" | "signed char" | "int8" | "int8_t" | "s8" | "__s8" => (1, Signed),
        "unsigned char" | "uint8" | "uint8_t" | "u8" | "__u8" | "u_char" => (1, Unsigned),
        "short" | "short int" | "int16" | "int16_t" | "s16" | "__s16" => (2, Signed),
        "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" | "u16" | "__u16" | "__be16" | "__le16"
        | "sa_family_t" | "in_port_t" | "umode_t" => (2, Unsigned),
        "int" | "signed" | "signed int" | "int32" | "int32_t" | "s32" | "__s32" | "pid_t" | "key_t" | "clockid_t"
        | "timer_t" | "rwf_t" | "mqd_t" | "key_serial_t" => (4, Signed),
        "unsigned" | "unsigned int" | "uint32" | "uint32_t" | "u32" | "__u32" | "__be32" | "__le32" | "uid_t"
        | "gid_t" | "in_addr_t" | "socklen_t" | "qid_t" | "__wsum" => (4, Unsigned),
        "long" | "long int" | "long long" | "long long int" | "int64" | "int64_t" | "s64" | "__s64" | "ssize_t"
        | "off_t" | "loff_t" | "time_t" | "intptr_t" | "__kernel_ssize_t" => (8, Signed),
        "unsigned long"
        | "unsigned long int"
        | "unsigned long long"
        | "unsigned long long int"
        | "uint64"
        | "uint64_t"
        | "u64"
        | "__u64"
        | "__be64"
        | "__le64"
        | "size_t"
        | "uintptr_t"
        | "aio_context_t"
        | "old_sigset_t"
        | "__kernel_size_t" => (8, Unsigned),
        _ => return None,
    };
    Some(Ty::Integer(bytes, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_are_bpftraces() {
        let types = Types::default();
        let tuple = Ty::Tuple(Arc::from([Ty::CHAR, Ty::Text, Ty::UINT.pointer()]));
        assert_eq!(types.name(&tuple), "(int8,string,uint32 *)");
        assert_eq!(types.find_named("unsigned long"), Some(Ty::ULONG));
        assert_eq!(types.find_named("struct foo"), None);
        assert_eq!(types.size(&Ty::Array(Arc::new(Ty::UINT), 4)), 16);
    }
}
