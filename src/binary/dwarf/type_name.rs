//! Types as C and C++ write them, the way gdb does.

use super::entry::{Entry, EntryId};
use super::methods::Method;
use super::types::{Shape, TypeId, Types, ALIAS_DEPTH};

impl<'a> Types<'a> {
    /// A type's name, with its namespaces: `const char *`, `int (*)[3]`, `std::vector<int, std::allocator<int> >`.
    pub fn name(&self, id: TypeId) -> String {
        self.declared(id, String::new(), 0)
    }

    /// A declaration of something of that type: `int (*table)[3]`.
    pub fn declaration(&self, id: TypeId, name: &str) -> String {
        self.declared(id, name.to_owned(), 0)
    }

    fn declared(&self, id: TypeId, inner: String, depth: u32) -> String {
        if depth > ALIAS_DEPTH {
            return "...".to_owned();
        }
        if id.stars > 0 {
            let target = TypeId { stars: id.stars - 1, ..id };
            return self.behind_sign(target, "*", inner, depth);
        }
        let Some(entry) = id.entry.and_then(|id| self.session.entry(id).ok()) else { return named("void", &inner) };
        let target = TypeId::of(self.target(&entry));
        match entry.tag {
            gimli::DW_TAG_const_type => self.qualified("const", target, inner, depth),
            gimli::DW_TAG_volatile_type => self.qualified("volatile", target, inner, depth),
            gimli::DW_TAG_restrict_type => self.qualified("restrict", target, inner, depth),
            gimli::DW_TAG_atomic_type => self.qualified("_Atomic", target, inner, depth),
            gimli::DW_TAG_pointer_type => match entry.get(gimli::DW_AT_name) {
                // Rust names its pointers.
                Some(_) => named(&self.qualified_name(entry.id), &inner),
                None => self.behind_sign(target, "*", inner, depth),
            },
            gimli::DW_TAG_reference_type => self.behind_sign(target, "&", inner, depth),
            gimli::DW_TAG_rvalue_reference_type => self.behind_sign(target, "&&", inner, depth),
            gimli::DW_TAG_ptr_to_member_type => {
                let class = self.session.follow(&entry, gimli::DW_AT_containing_type);
                let class = class.map_or_else(String::new, |class| self.qualified_name(class.id));
                self.behind_sign(target, &format!("{class}::*"), inner, depth)
            }
            gimli::DW_TAG_array_type => {
                let counts = self.counts(&entry);
                let shown = counts.iter().skip(usize::from(id.row));
                let sizes: String = shown.map(|count| count.map_or("[]".to_owned(), |n| format!("[{n}]"))).collect();
                self.declared(target, inner + &sizes, depth + 1)
            }
            gimli::DW_TAG_subroutine_type | gimli::DW_TAG_subprogram => {
                let parameters = self.parameters(entry.id, &|_| true, depth);
                self.declared(self.type_of(&entry), format!("{inner}({parameters})"), depth + 1)
            }
            _ => named(&self.entry_name(&entry), &inner),
        }
    }

    /// A name, or what stands for one.
    fn entry_name(&self, entry: &Entry<'a>) -> String {
        let own = self.qualified_name(entry.id);
        if !own.is_empty() {
            let tag = match entry.tag {
                gimli::DW_TAG_structure_type => "struct ",
                gimli::DW_TAG_union_type => "union ",
                gimli::DW_TAG_enumeration_type => "enum ",
                gimli::DW_TAG_base_type if !self.is_c(entry.id) => return plain_integer(&own).to_owned(),
                _ => return shortened(own),
            };
            return if self.is_c(entry.id) { format!("{tag}{own}") } else { shortened(own) };
        }
        match entry.tag {
            gimli::DW_TAG_structure_type => "struct {...}",
            gimli::DW_TAG_class_type => "class {...}",
            gimli::DW_TAG_union_type => "union {...}",
            gimli::DW_TAG_enumeration_type => "enum {...}",
            gimli::DW_TAG_unspecified_type => "void",
            _ => "<unnamed type>",
        }
        .to_owned()
    }

    /// Whether an entry's unit is in C, where a tag is no type's name by itself.
    fn is_c(&self, id: EntryId) -> bool {
        let language = self.session.unit(id.unit).ok().and_then(|open| open.root.language);
        matches!(
            language,
            Some(gimli::DW_LANG_C | gimli::DW_LANG_C89 | gimli::DW_LANG_C99 | gimli::DW_LANG_C11 | gimli::DW_LANG_C17)
        )
    }

    fn parameters(&self, function: EntryId, is_shown: &dyn Fn(&Entry<'a>) -> bool, depth: u32) -> String {
        let children = self.session.children(function).unwrap_or_default();
        let text = |one: &Entry<'a>| match one.tag {
            gimli::DW_TAG_formal_parameter if !is_shown(one) => None,
            gimli::DW_TAG_formal_parameter => Some(self.declared(self.type_of(one), String::new(), depth + 1)),
            gimli::DW_TAG_unspecified_parameters => Some("...".to_owned()),
            _ => None,
        };
        let texts: Vec<String> = children.iter().filter_map(text).collect();
        if texts.is_empty() {
            return "void".to_owned();
        }
        texts.join(", ")
    }

    /// `*` and `&` bind less tightly than the brackets of arrays and functions.
    fn behind_sign(&self, target: TypeId, sign: &str, inner: String, depth: u32) -> String {
        let blank = if inner.starts_with(|c: char| c.is_alphanumeric() || c == '_') && sign.ends_with("const") {
            " "
        } else {
            ""
        };
        let signed = format!("{sign}{blank}{inner}");
        let grouped = match self.bracketed(target) {
            true => format!("({signed})"),
            false => signed,
        };
        self.declared(target, grouped, depth + 1)
    }

    /// Whether a type is written with brackets behind the name. A typedef of one is not.
    fn bracketed(&self, id: TypeId) -> bool {
        if id.stars > 0 {
            return false;
        }
        let mut entry = id.entry.and_then(|id| self.session.entry(id).ok());
        for _ in 0..ALIAS_DEPTH {
            match entry.as_ref().map(|one| one.tag) {
                Some(gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type) => {
                    entry = entry.and_then(|one| self.session.follow(&one, gimli::DW_AT_type));
                }
                Some(gimli::DW_TAG_array_type | gimli::DW_TAG_subroutine_type | gimli::DW_TAG_subprogram) => {
                    return true
                }
                _ => return false,
            }
        }
        false
    }

    /// A qualifier stands in front of a name and behind a star.
    fn qualified(&self, word: &str, target: TypeId, inner: String, depth: u32) -> String {
        let pointer = target.entry.and_then(|id| self.session.entry(id).ok()).is_some_and(|one| {
            matches!(one.tag, gimli::DW_TAG_pointer_type | gimli::DW_TAG_ptr_to_member_type)
                && one.get(gimli::DW_AT_name).is_none()
        });
        if pointer {
            return self.declared(target, join(&format!(" {word}"), &inner), depth + 1);
        }
        format!("{word} {}", self.declared(target, inner, depth + 1))
    }

    /// The word that declares a record, union or enumeration: `struct`, `class`, `union`, `enum`.
    pub fn keyword(&self, id: TypeId) -> &'static str {
        let entry = self.view(id).id.entry.and_then(|id| self.session.entry(id).ok());
        match entry.map(|entry| entry.tag) {
            Some(gimli::DW_TAG_class_type) => "class",
            Some(gimli::DW_TAG_union_type) => "union",
            Some(gimli::DW_TAG_enumeration_type) => "enum",
            _ => "struct",
        }
    }

    /// A member function's declaration, as its class has it: `virtual int legs(void) const`.
    pub fn method_declaration(&self, class: TypeId, method: &Method) -> String {
        let Some(function) = method.ty.entry else { return method.name.clone() };
        let parameters = self.parameters(function, &|one| !one.flag(gimli::DW_AT_artificial), 0);
        let call = format!("{}({parameters})", method.name);
        let class = self.view(class).name.clone().unwrap_or_default();
        let makes = method.name == class.split('<').next().unwrap_or_default() || method.name.starts_with('~');
        let result = self.session.entry(function).map_or(TypeId::VOID, |entry| self.type_of(&entry));
        let declared = if makes { call } else { self.declared(result, call, 0) };
        let before = match (method.is_static, method.is_virtual) {
            (true, _) => "static ",
            (_, true) => "virtual ",
            _ => "",
        };
        format!("{before}{declared}{}", if method.is_const { " const" } else { "" })
    }

    /// A member function's qualified name with its parameters, as a demangler writes it: `A::f(int) const`.
    pub fn method_name(&self, class: TypeId, method: &Method) -> String {
        let parameters = method.ty.entry.map_or_else(String::new, |function| {
            self.parameters(function, &|one| !one.flag(gimli::DW_AT_artificial), 0)
        });
        let parameters = if parameters == "void" { "" } else { &parameters };
        let class = self.name(self.view(class).id);
        format!("{class}::{}({parameters}){}", method.name, if method.is_const { " const" } else { "" })
    }

    /// The qualifiers in front of a type: `const `, or nothing.
    pub fn qualifiers(&self, id: TypeId) -> String {
        let mut text = String::new();
        let mut entry = id.entry.filter(|_| id.stars == 0).and_then(|id| self.session.entry(id).ok());
        for _ in 0..ALIAS_DEPTH {
            match entry.as_ref().map(|one| one.tag) {
                Some(gimli::DW_TAG_const_type) => text.push_str("const "),
                Some(gimli::DW_TAG_volatile_type) => text.push_str("volatile "),
                Some(gimli::DW_TAG_typedef) => {}
                _ => break,
            }
            entry = entry.and_then(|one| self.session.follow(&one, gimli::DW_AT_type));
        }
        text
    }

    /// The type that an enumeration says its numbers are kept in, and whether its names are its own (`enum class`).
    pub fn enumeration_base(&self, id: TypeId) -> (Option<String>, bool) {
        let entry = self.view(id).id.entry.and_then(|id| self.session.entry(id).ok());
        let Some(entry) = entry else { return (None, false) };
        let under = self.target(&entry).map(|under| self.view(TypeId::of(Some(under))));
        let name = under.and_then(|under| under.name.as_deref().map(|name| plain_integer(name).to_owned()));
        (name, entry.flag(gimli::DW_AT_enum_class))
    }

    /// A static member's qualified name.
    pub fn member_name(&self, id: TypeId, member: &super::Member) -> String {
        let class = self.view(id).id.entry.map(|entry| self.qualified_name(entry)).unwrap_or_default();
        format!("{class}::{}", member.name.as_deref().unwrap_or_default())
    }

    /// A class's name with its namespaces, as the compiler wrote it: not shortened, its typedefs gone.
    pub fn whole_name(&self, id: TypeId) -> String {
        self.view(id).id.entry.map(|entry| self.qualified_name(entry)).unwrap_or_default()
    }

    /// What is written in front of an enumerator: the namespaces and classes of its enumeration, and of a scoped one its name.
    pub fn enumerator_scope(&self, id: TypeId) -> String {
        let entry = self.view(id).id.entry.and_then(|id| self.session.entry(id).ok());
        match entry {
            Some(entry) if entry.flag(gimli::DW_AT_enum_class) => format!("{}::", self.qualified_name(entry.id)),
            Some(entry) => self.scope_of(entry.id),
            None => String::new(),
        }
    }

    /// Whether a type is, behind its typedefs, a function.
    pub fn is_function(&self, id: TypeId) -> bool {
        self.view(id).shape == Shape::Function
    }
}

/// An integer's name as C++ programs write it; compilers write all its words.
fn plain_integer(name: &str) -> &str {
    match name {
        "short int" => "short",
        "short unsigned int" => "unsigned short",
        "long int" => "long",
        "long unsigned int" => "unsigned long",
        "long long int" => "long long",
        "long long unsigned int" => "unsigned long long",
        name => name,
    }
}

/// What everybody calls by another name, and the blanks that C++ has not needed since 2011.
fn shortened(name: String) -> String {
    const TRAITS: &str = "std::char_traits<char>";
    if !name.contains('<') {
        return name;
    }
    let name =
        name.replace(&format!("std::__cxx11::basic_string<char, {TRAITS}, std::allocator<char> >"), "std::string");
    let name = name.replace(
        "std::__1::basic_string<char, std::__1::char_traits<char>, std::__1::allocator<char> >",
        "std::string",
    );
    let mut name = name.replace(&format!("std::basic_string_view<char, {TRAITS} >"), "std::string_view");
    name = name.replace("std::string >", "std::string>").replace("std::string_view >", "std::string_view>");
    while name.contains("> >") {
        name = name.replace("> >", ">>");
    }
    name
}

/// `name inner`.
fn named(name: &str, inner: &str) -> String {
    if inner.is_empty() {
        return name.to_owned();
    }
    format!("{name} {}", inner.trim_start())
}

fn join(word: &str, inner: &str) -> String {
    if inner.is_empty() || inner.starts_with([')', '[', '(', ' ']) {
        return format!("{word}{inner}");
    }
    format!("{word} {inner}")
}
