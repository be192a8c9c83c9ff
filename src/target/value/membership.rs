//! Whether a C++ function has a `this`: its mangled name does not tell a static method from another.

use crate::base::{ReadMem, VirtAddr};
use crate::binary::{MethodKind, Module, Signature, SymbolKind};
use crate::target::AddressSpace;

/// What is known before a hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Membership {
    /// A method with a `this`: a constructor, a destructor, or with a qualifier.
    Method,
    /// In a class: a method, static or not.
    InClass,
    /// In no class, as far as one can tell.
    Free,
}

/// What a function's name, and the other names of its module, say.
pub fn of_function(mangled: &str, signature: &Signature, module: Option<&Module>) -> Membership {
    if signature.method != MethodKind::Unknown {
        return Membership::Method;
    }
    let Some(scope) = &signature.scope else { return Membership::Free };
    if looks_like_class(scope) {
        return Membership::InClass;
    }
    let typeinfo = mangled_scope(mangled).map(|scope| format!("_ZTI{scope}"));
    let is_class = typeinfo.zip(module).is_some_and(|(name, module)| module.symbols().find_data(&name).is_some());
    if is_class {
        Membership::InClass
    } else {
        Membership::Free
    }
}

/// Whether the last component of a scope is a class: it has template arguments, or a capital as classes have in most
/// styles. A lambda's or local class's scope is a function, which looks the same as a class would.
fn looks_like_class(scope: &str) -> bool {
    if scope.ends_with('>') || scope.ends_with('}') {
        return true;
    }
    let last = scope.rsplit("::").next().unwrap_or(scope);
    last.starts_with(|first: char| first.is_uppercase())
}

/// The mangled name of the scope of a nested name of plain components, as it stands in `_ZTI`.
fn mangled_scope(mangled: &str) -> Option<String> {
    let inner = mangled.strip_prefix("_ZN")?;
    let mut components = Vec::new();
    let mut rest = inner;
    while rest.starts_with(|first: char| first.is_ascii_digit()) {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let length: usize = rest[..digits].parse().ok()?;
        let end = digits.checked_add(length)?;
        components.push(rest.get(..end)?);
        rest = rest.get(end..)?;
    }
    components.pop()?;
    match components.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        several => Some(format!("N{}E", several.concat())),
    }
}

/// Whether an object with virtual methods is at `at`: its first word points into a vtable.
pub fn has_vtable(space: &AddressSpace, mem: &dyn ReadMem, at: u64) -> bool {
    let Ok(first) = mem.read_u64(VirtAddr(at)) else { return false };
    let named = space.find_symbol(VirtAddr(first));
    named.is_some_and(|named| named.kind == SymbolKind::Data && named.name.starts_with("_ZTV"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_plain_names_are_found() {
        assert_eq!(mangled_scope("_ZN5Envoy3Api1fEv").as_deref(), Some("N5Envoy3ApiE"));
        assert_eq!(mangled_scope("_ZN5Envoy1fEi").as_deref(), Some("5Envoy"));
        assert_eq!(mangled_scope("_Z1fv"), None);
        assert_eq!(mangled_scope("_ZN99999999999999999999999x"), None);
    }

    #[test]
    fn a_class_is_known_by_its_capital_or_its_template_arguments() {
        assert!(looks_like_class("Envoy::Api::OsSysCallsImpl"));
        assert!(looks_like_class("std::vector<int>"));
        assert!(!looks_like_class("std::chrono"));
    }
}
