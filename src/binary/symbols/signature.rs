//! The parts of a demangled C++ function name.

/// What a mangled name says of a function (Itanium C++ ABI, 5.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// `A::B::f<int>`: scope and name, without parameters and clone suffix.
    pub qualified_name: String,
    /// `A::B`: the class or namespace, or the enclosing function of a lambda; the name does not say which.
    pub scope: Option<String>,
    /// The types of the parameters as text; empty for none. `this` is not among them.
    pub parameters: Vec<String>,
    /// What kind of member function the name proves it to be.
    pub method: MethodKind,
}

/// What a name proves of a function. A plain method and a function in a namespace look alike: [`MethodKind::Unknown`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MethodKind {
    /// A free function, a static or a non-const method.
    Unknown,
    /// A constructor.
    Constructor,
    /// A destructor.
    Destructor,
    /// A method with a cv- or ref-qualifier: it has a `this`.
    ConstMethod,
}

/// Parses the mangled name of a C++ function; `None` for C, Rust and data.
pub fn parse_signature(mangled: &str) -> Option<Signature> {
    let _ = mangled;
    None
}
