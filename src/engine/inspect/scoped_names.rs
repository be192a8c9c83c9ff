//! Variables by the scope that has them: `'file.cc'::count`, `work::calls`, `A::f(int)::calls`.

use super::described_names::DescribedNames;
use crate::binary::dwarf::SourceName;
use crate::lang::typed::{Held, TypedValue};
use crate::lang::{Found, Names};

impl DescribedNames<'_> {
    /// A variable outside of functions that the code of a source file can name.
    pub(super) fn variable_of_file(&self, file: &str, name: &str) -> Option<Found> {
        let name_of_file = SourceName::new(file);
        let modules = self.plain.space?.modules.modules();
        let mut described = (0u16..).zip(modules).filter(|(_, one)| !one.module.dwarf().is_empty());
        described.find_map(|(index, loaded)| {
            // Any of its code leads to its unit.
            let found = loaded.module.dwarf().addresses_of_line(&name_of_file, 1);
            found.addresses.iter().find_map(|at| self.global_near(index, name, *at))
        })
    }

    /// A variable of a function by the function's name and its own: a static one, or any where the function is that of
    /// the frame at hand.
    pub(super) fn variable_of_function(&self, name: &str) -> Option<Found> {
        let (function, own) = split_scope(name)?;
        let at = self.plain.symbol(function)?;
        let modules = self.plain.space?.modules.modules();
        let index = modules.iter().position(|one| one.range.contains(at))?;
        let loaded = &modules[index];
        let module = u16::try_from(index).ok()?;
        let at = loaded.to_file(at);
        let dwarf = loaded.module.dwarf();
        let copy = dwarf.instances_at(at).into_iter().find(|one| one.start() == at)?;
        if self.is_of_frame(module, copy.entry) {
            if let Some(found) = self.in_frame(own) {
                return Some(found);
            }
        }
        let types = self.types(module)?;
        let variables = types.variables(&copy, at);
        let variable = variables.iter().find(|one| one.name == own)?;
        match self.static_value(loaded, module, variable)? {
            Found::Value { value: value @ TypedValue { place: Held::Memory(_) | Held::Bytes(_), .. }, module } => {
                Some(Found::Value { value, module })
            }
            _ => None,
        }
    }
}

/// `a::f(b::c)::x` to `a::f(b::c)` and `x`.
fn split_scope(name: &str) -> Option<(&str, &str)> {
    let (scope, own) = name.rsplit_once("::")?;
    let is_plain = !own.is_empty() && own.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_plain && !scope.is_empty()).then_some((scope, own))
}

#[cfg(test)]
mod tests {
    use super::split_scope;

    #[test]
    fn the_last_name_is_the_variables() {
        assert_eq!(split_scope("a::f(b::c)::x"), Some(("a::f(b::c)", "x")));
        assert_eq!(split_scope("f::x"), Some(("f", "x")));
        assert_eq!(split_scope("a::f(b::c)"), None);
        assert_eq!(split_scope("x"), None);
        assert_eq!(split_scope("::x"), None);
    }
}
