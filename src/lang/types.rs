//! C's scalar types on x86-64 Linux (LP64), and pointers to them.

use std::fmt;

use super::Fault;

/// A type without its pointer levels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scalar {
    /// No value.
    Void,
    /// `bool`, one byte.
    Bool,
    /// `char`, signed on x86-64.
    Char,
    /// `signed char`.
    I8,
    /// `unsigned char`.
    U8,
    /// `short`.
    I16,
    /// `unsigned short`.
    U16,
    /// `int`.
    I32,
    /// `unsigned int`.
    U32,
    /// `long` and `long long`.
    I64,
    /// `unsigned long` and `unsigned long long`.
    U64,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// A signed integer of one byte that is no character, as gdb has it in registers.
    Byte,
    /// The CPU's flags.
    Flags(FlagSet),
    /// The address of an instruction: what a symbol's bare name gives.
    Code,
    /// What is neither number nor address, of so many bytes: a record, an array, a number of 16 bytes.
    Opaque(u32),
}

/// A register of flags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FlagSet {
    /// eflags.
    Status,
    /// mxcsr.
    Vector,
}

impl FlagSet {
    /// Names by bit, as gdb has them (Intel SDM, volume 1, 3.4.3 and 10.2.3); fields of several bits have none.
    const STATUS: [(u8, &'static str); 17] = [
        (0, "CF"),
        (1, ""),
        (2, "PF"),
        (4, "AF"),
        (6, "ZF"),
        (7, "SF"),
        (8, "TF"),
        (9, "IF"),
        (10, "DF"),
        (11, "OF"),
        (14, "NT"),
        (16, "RF"),
        (17, "VM"),
        (18, "AC"),
        (19, "VIF"),
        (20, "VIP"),
        (21, "ID"),
    ];
    const VECTOR: [(u8, &'static str); 14] = [
        (0, "IE"),
        (1, "DE"),
        (2, "ZE"),
        (3, "OE"),
        (4, "UE"),
        (5, "PE"),
        (6, "DAZ"),
        (7, "IM"),
        (8, "DM"),
        (9, "ZM"),
        (10, "OM"),
        (11, "UM"),
        (12, "PM"),
        (15, "FZ"),
    ];

    /// The flags that are set: `[ ZF PF ]`.
    pub fn show(self, bits: u64) -> String {
        let names: &[(u8, &str)] = match self {
            FlagSet::Status => &FlagSet::STATUS,
            FlagSet::Vector => &FlagSet::VECTOR,
        };
        let set = names.iter().filter(|(bit, name)| bits >> bit & 1 == 1 && !name.is_empty());
        format!("[ {}]", set.map(|(_, name)| format!("{name} ")).collect::<String>())
    }
}

/// A scalar type, or a pointer to one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Type {
    scalar: Scalar,
    levels: u8,
}

impl Type {
    /// `void`.
    pub const VOID: Type = Type::scalar(Scalar::Void);
    /// `bool`.
    pub const BOOL: Type = Type::scalar(Scalar::Bool);
    /// `char`.
    pub const CHAR: Type = Type::scalar(Scalar::Char);
    /// `int`.
    pub const INT: Type = Type::scalar(Scalar::I32);
    /// `long`.
    pub const LONG: Type = Type::scalar(Scalar::I64);
    /// `unsigned long`.
    pub const ULONG: Type = Type::scalar(Scalar::U64);
    /// `float`.
    pub const FLOAT: Type = Type::scalar(Scalar::Float);
    /// `double`.
    pub const DOUBLE: Type = Type::scalar(Scalar::Double);
    /// The address of an instruction.
    pub const CODE: Type = Type::scalar(Scalar::Code);
    /// `void *`.
    pub const VOID_POINTER: Type = Type { scalar: Scalar::Void, levels: 1 };

    /// How many stars a type may have.
    const MAX_LEVELS: u8 = 16;

    /// The type without a star.
    pub const fn scalar(scalar: Scalar) -> Type {
        Type { scalar, levels: 0 }
    }

    /// The signed integer of 1, 2, 4 or 8 bytes; of 8 for any other width.
    pub const fn signed(bytes: usize) -> Type {
        Type::scalar(match bytes {
            1 => Scalar::I8,
            2 => Scalar::I16,
            4 => Scalar::I32,
            _ => Scalar::I64,
        })
    }

    /// The unsigned integer of 1, 2, 4 or 8 bytes; of 8 for any other width.
    pub const fn unsigned(bytes: usize) -> Type {
        Type::scalar(match bytes {
            1 => Scalar::U8,
            2 => Scalar::U16,
            4 => Scalar::U32,
            _ => Scalar::U64,
        })
    }

    /// A pointer to it.
    pub fn pointer(self) -> Result<Type, Fault> {
        if self.levels >= Type::MAX_LEVELS {
            return Err(Fault::BadType);
        }
        Ok(Type { scalar: self.scalar, levels: self.levels + 1 })
    }

    /// What it points to.
    pub fn pointee(self) -> Option<Type> {
        self.levels.checked_sub(1).map(|levels| Type { scalar: self.scalar, levels })
    }

    /// The scalar, if it has no star.
    pub fn as_scalar(self) -> Option<Scalar> {
        (self.levels == 0).then_some(self.scalar)
    }

    /// `sizeof`, in bytes; 1 for `void`, as gcc has it.
    pub fn size(self) -> usize {
        match self.as_scalar() {
            Some(Scalar::Void | Scalar::Bool | Scalar::Char | Scalar::I8 | Scalar::U8 | Scalar::Byte) => 1,
            Some(Scalar::I16 | Scalar::U16) => 2,
            Some(Scalar::I32 | Scalar::U32 | Scalar::Float | Scalar::Flags(_)) => 4,
            Some(Scalar::Opaque(size)) => size as usize,
            _ => 8,
        }
    }

    /// Whether it has a star.
    pub fn is_pointer(self) -> bool {
        self.levels > 0
    }

    /// Whether it is an address: a pointer or code.
    pub fn is_address(self) -> bool {
        self.is_pointer() || self == Type::CODE
    }

    /// By how many bytes an address of this type moves when 1 is added; `None` if it is not an address.
    pub(super) fn stride(self) -> Option<u64> {
        match self.pointee() {
            Some(Type::CODE) => Some(1),
            Some(target) => Some(target.size() as u64),
            None => (self == Type::CODE).then_some(1),
        }
    }

    /// Whether it is an integer, `bool` and `char` among them.
    pub fn is_integer(self) -> bool {
        !self.is_address() && !self.is_float() && !self.is_opaque() && self != Type::VOID
    }

    /// Whether it is neither a number nor an address.
    pub fn is_opaque(self) -> bool {
        matches!(self.as_scalar(), Some(Scalar::Opaque(_)))
    }

    /// `float` or `double`.
    pub fn is_float(self) -> bool {
        self == Type::FLOAT || self == Type::DOUBLE
    }

    /// Whether it is an integer with a sign.
    pub fn is_signed(self) -> bool {
        matches!(
            self.as_scalar(),
            Some(Scalar::Char | Scalar::I8 | Scalar::Byte | Scalar::I16 | Scalar::I32 | Scalar::I64)
        )
    }

    /// Whether it is a character of one byte: `char`, signed or unsigned or plain.
    pub fn is_character(self) -> bool {
        matches!(self.as_scalar(), Some(Scalar::Char | Scalar::I8 | Scalar::U8))
    }

    /// Integer promotion: what is narrower than `int` becomes `int`, and so do flags.
    pub(super) fn promoted(self) -> Type {
        if self.is_integer() && (self.size() < 4 || matches!(self.as_scalar(), Some(Scalar::Flags(_)))) {
            Type::INT
        } else {
            self
        }
    }

    /// The usual arithmetic conversions; `None` when one of them is not a number.
    pub(super) fn common(self, other: Type) -> Option<Type> {
        let (left, right) = (self.promoted(), other.promoted());
        Some(if left.rank()? >= right.rank()? { left } else { right })
    }

    /// The order in which the usual arithmetic conversions prefer promoted types.
    fn rank(self) -> Option<u8> {
        Some(match self.as_scalar()? {
            Scalar::I32 => 0,
            Scalar::U32 => 1,
            Scalar::I64 => 2,
            Scalar::U64 => 3,
            Scalar::Float => 4,
            Scalar::Double => 5,
            _ => return None,
        })
    }
}

impl fmt::Display for Type {
    /// As C writes it: `unsigned char **`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.scalar {
            Scalar::Void => "void",
            Scalar::Bool => "bool",
            Scalar::Char => "char",
            Scalar::I8 => "signed char",
            Scalar::Byte => "int8_t",
            Scalar::Flags(FlagSet::Status) => "i386_eflags",
            Scalar::Flags(FlagSet::Vector) => "i386_mxcsr",
            Scalar::U8 => "unsigned char",
            Scalar::I16 => "short",
            Scalar::U16 => "unsigned short",
            Scalar::I32 => "int",
            Scalar::U32 => "unsigned int",
            Scalar::I64 => "long",
            Scalar::U64 => "unsigned long",
            Scalar::Float => "float",
            Scalar::Double => "double",
            Scalar::Code => "void (*)()",
            Scalar::Opaque(_) => "an aggregate",
        })?;
        if self.levels > 0 {
            f.write_str(" ")?;
        }
        (0..self.levels).try_for_each(|_| f.write_str("*"))
    }
}
