//! A type's definition as C and C++ write it, for `ptype`.

use crate::binary::dwarf::{Access, Member, MemberKind, Shape, TypeId, Types};

/// How deep anonymous records are written out.
const DEPTH: usize = 8;

/// The definition: members of a record, names of an enumeration; of a pointer or array to one, with its signs.
pub fn describe(types: &Types<'_>, id: TypeId) -> String {
    describe_with(types, id, Functions::Listed)
}

/// Whether the functions of a class are listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Functions {
    /// Behind its data.
    Listed,
    /// Not at all: `ptype/m`.
    LeftOut,
}

/// See [`describe`].
pub fn describe_with(types: &Types<'_>, id: TypeId, functions: Functions) -> String {
    let qualifiers = types.qualifiers(id);
    let id = types.definition(id).unwrap_or(id);
    let view = types.view(id);
    match view.shape {
        Shape::Record | Shape::Union => qualifiers + &record(types, id, 0, functions),
        Shape::Enumeration(_) => qualifiers + &enumeration(types, id),
        Shape::Pointer(to) => {
            let sign = if qualifiers.is_empty() { " *".to_owned() } else { format!(" * {}", qualifiers.trim_end()) };
            signed(types, to, &sign, functions).unwrap_or_else(|| qualified_name(types, id))
        }
        Shape::Reference(to) => signed(types, to, " &", functions).unwrap_or_else(|| qualified_name(types, id)),
        Shape::Array(of, count) => {
            let count = count.map_or(String::new(), |count| count.to_string());
            signed(types, of, &format!(" [{count}]"), functions).unwrap_or_else(|| types.name(view.id))
        }
        _ => qualified_name(types, id),
    }
}

/// The name behind typedefs, with what qualifies it.
fn qualified_name(types: &Types<'_>, id: TypeId) -> String {
    types.qualifiers(id) + &types.name(types.view(id).id)
}

/// A record's definition with a sign behind it.
fn signed(types: &Types<'_>, to: TypeId, sign: &str, functions: Functions) -> Option<String> {
    let qualifiers = types.qualifiers(to);
    let to = types.definition(to).unwrap_or(to);
    let is_record = matches!(types.view(to).shape, Shape::Record | Shape::Union);
    is_record.then(|| qualifiers + &record(types, to, 0, functions) + sign)
}

fn record(types: &Types<'_>, id: TypeId, depth: usize, functions: Functions) -> String {
    let indent = "    ".repeat(depth + 1);
    let (members, methods) = (types.members(id), types.methods(id));
    let mut text = format!("{} {}{}{{\n", types.keyword(id), own_name(types, id), bases(types, &members));
    let mut parts: Vec<(Access, String)> =
        members.iter().filter_map(|one| Some((one.access, declared_member(types, one, depth, functions)?))).collect();
    if parts.is_empty() {
        parts.push((Access::Public, "<no data fields>".to_owned()));
    }
    let data = parts.len();
    let listed = methods.iter().filter(|_| functions == Functions::Listed);
    parts.extend(listed.map(|one| (one.access, format!("{};", types.method_declaration(id, one)))));
    // Labels, and a blank line between data and functions, where something is not as the keyword says by itself: as gdb
    // has them.
    let usual = if types.keyword(id) == "class" { Access::Private } else { Access::Public };
    let labelled = parts.iter().any(|(access, _)| *access != usual);
    let mut section = None;
    for (number, (access, part)) in parts.into_iter().enumerate() {
        if labelled && number == data {
            text.push('\n');
        }
        if labelled && section != Some(access) {
            text.push_str(&format!("{}  {}:\n", "    ".repeat(depth), label(access)));
            section = Some(access);
        }
        text.push_str(&format!("{indent}{part}\n"));
    }
    text + &"    ".repeat(depth) + "}"
}

pub(super) fn label(access: Access) -> &'static str {
    match access {
        Access::Public => "public",
        Access::Protected => "protected",
        Access::Private => "private",
    }
}

/// `: public A, protected virtual B `.
pub(super) fn bases(types: &Types<'_>, members: &[Member]) -> String {
    let named = members.iter().filter_map(|one| match one.kind {
        MemberKind::Base => Some(format!("{} {}", label(one.access), types.name(one.ty))),
        MemberKind::VirtualBase { .. } => Some(format!("{} virtual {}", label(one.access), types.name(one.ty))),
        _ => None,
    });
    let named = named.collect::<Vec<_>>().join(", ");
    if named.is_empty() {
        named
    } else {
        format!(": {named} ")
    }
}

/// A data member's declaration; `None` for a base and for the pointer to the virtual table.
fn declared_member(types: &Types<'_>, member: &Member, depth: usize, functions: Functions) -> Option<String> {
    let declared = match (member.kind, member.name.as_deref()) {
        (MemberKind::Field, Some(name)) if name.starts_with("_vptr") => return None,
        (MemberKind::Field, name) => {
            let inner = types.view(member.ty);
            let anonymous = inner.name.is_none() && matches!(inner.shape, Shape::Record | Shape::Union);
            let name = name.unwrap_or_default();
            match anonymous && depth < DEPTH {
                true => format!("{} {name}", record(types, member.ty, depth + 1, functions)).trim_end().to_owned(),
                false => types.declaration(member.ty, name),
            }
        }
        (MemberKind::Static, Some(name)) => format!("static {}", types.declaration(member.ty, name)),
        _ => return None,
    };
    let bits = member.bits.map_or(String::new(), |bits| format!(" : {}", bits.count));
    Some(format!("{declared}{bits};"))
}

/// A type's name and a blank, without the word that C puts in front; empty where it has none.
pub(super) fn own_name(types: &Types<'_>, id: TypeId) -> String {
    let view = types.view(id);
    let name = types.name(view.id);
    let name = name.strip_prefix(types.keyword(id)).map_or(name.as_str(), str::trim_start);
    view.name.as_ref().map_or(String::new(), |_| format!("{name} "))
}

fn enumeration(types: &Types<'_>, id: TypeId) -> String {
    let mut next = 0;
    let scope = types.enumerator_scope(id);
    let named = types.enumerators(id).into_iter().map(|(name, number)| {
        let text = if number == next { format!("{scope}{name}") } else { format!("{scope}{name} = {number}") };
        next = number.wrapping_add(1);
        text
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let (stored, is_scoped) = types.enumeration_base(id);
    let stored = stored.map_or(String::new(), |name| format!(": {name} "));
    let class = if is_scoped { "class " } else { "" };
    format!("enum {class}{}{stored}{{{named}}}", own_name(types, id))
}
