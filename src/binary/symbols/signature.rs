//! The parts of a demangled C++ function name.

use cpp_demangle::DemangleOptions;

use super::demangle::{demangle_cpp, split_thunk};
use super::text::{split_parameters, split_parts, split_scope, without_clones, without_template_arguments};

/// What a mangled name says of a function (Itanium C++ ABI, 5.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// `A::B::f<int>`: scope and name, without parameters and clone suffix. For a thunk, the method it leads to.
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

/// Parses the mangled name of a C++ function (Itanium C++ ABI, 5.1); `None` for C, Rust and data. A `@plt` suffix is
/// ignored.
pub fn parse_signature(mangled: &str) -> Option<Signature> {
    let mangled = mangled.strip_suffix("@plt").unwrap_or(mangled);
    if !mangled.starts_with("_Z") {
        return None;
    }
    let text = demangle_cpp(mangled, DemangleOptions::new().no_return_type())?;
    let mut text = without_clones(&text);
    if mangled.starts_with("_ZT") || mangled.starts_with("_ZG") {
        text = &text[text.find(" thunk to ").filter(|_| split_thunk(mangled).is_some())? + " thunk to ".len()..];
    }
    let parts = split_parts(text);
    let parameters = split_parameters(parts.parameters?);
    let (scope, component) = split_scope(parts.name);
    let class = scope.map(|scope| without_template_arguments(split_scope(scope).1));
    let method = if component.starts_with('~') {
        MethodKind::Destructor
    } else if class.is_some_and(|class| class == without_template_arguments(component)) {
        MethodKind::Constructor
    } else if !parts.qualifiers.is_empty() {
        MethodKind::ConstMethod
    } else {
        MethodKind::Unknown
    };
    let scope = scope.map(str::to_string);
    Some(Signature { qualified_name: parts.name.to_string(), scope, parameters, method })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(mangled: &str) -> (String, Option<String>, Vec<String>, MethodKind) {
        let it = parse_signature(mangled).unwrap();
        (it.qualified_name, it.scope, it.parameters, it.method)
    }

    fn check(mangled: &str, name: &str, scope: &str, parameters: &[&str], method: MethodKind) {
        let (qualified, found_scope, found, kind) = parsed(mangled);
        assert_eq!(qualified, name);
        assert_eq!(found_scope.as_deref().unwrap_or(""), scope);
        assert_eq!(found, parameters);
        assert_eq!(kind, method);
    }

    #[test]
    fn methods_templates_and_operators_come_apart() {
        use MethodKind::*;
        check("_ZNK1A1B1fEi", "A::B::f", "A::B", &["int"], ConstMethod);
        check("_ZN1A1B1gEPFviES0_", "A::B::g", "A::B", &["void (*)(int)", "A::B"], Unknown);
        check("_ZN1A1BC2EOi", "A::B::B", "A::B", &["int&&"], Constructor);
        check("_ZN1A1BD1Ev", "A::B::~B", "A::B", &[], Destructor);
        check("_ZNK1A1BclEii", "A::B::operator()", "A::B", &["int", "int"], ConstMethod);
        check("_ZNK1A1BltERKS0_", "A::B::operator<", "A::B", &["A::B const&"], ConstMethod);
        check("_ZN1A1B6taggedB5cxx11Ev", "A::B::tagged[abi:cxx11]", "A::B", &[], Unknown);
        check("_Z3foov", "foo", "", &[], Unknown);
        check(
            "_ZZN1A1B3lamEvENKUliE_clEi",
            "A::B::lam()::{lambda(int)#1}::operator()",
            "A::B::lam()::{lambda(int)#1}",
            &["int"],
            ConstMethod,
        );
        check("_ZThn8_N1A1B1gEv", "A::B::g", "A::B", &[], Unknown);
        check("_Z3foov.isra.0", "foo", "", &[], Unknown);
    }

    #[test]
    fn the_return_type_of_a_template_is_not_its_name() {
        check("_ZN1A3fptIiEEPFvcET_", "A::fpt<int>", "A", &["int"], MethodKind::Unknown);
    }

    #[test]
    fn c_rust_and_data_have_no_signature() {
        assert_eq!(parse_signature("epoll_wait"), None);
        assert_eq!(parse_signature("_ZTV1A"), None);
        assert_eq!(parse_signature("_ZN1A"), None);
        assert_eq!(parse_signature(""), None);
    }
}
