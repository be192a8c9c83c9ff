//! A type's definition as C and C++ write it, for `ptype`.

use crate::binary::dwarf::{Encoding, MemberKind, Shape, TypeId, Types};

/// How deep anonymous records are written out.
const DEPTH: usize = 8;

/// The definition: members of a record, names of an enumeration; of a pointer or array to one, with its signs.
pub fn describe(types: &Types<'_>, id: TypeId) -> String {
    let id = types.definition(id).unwrap_or(id);
    let view = types.view(id);
    match view.shape {
        Shape::Record | Shape::Union => record(types, id, 0),
        Shape::Enumeration(encoding) => enumeration(types, id, encoding),
        Shape::Pointer(to) => signed(types, to, " *").unwrap_or_else(|| types.name(view.id)),
        Shape::Reference(to) => signed(types, to, " &").unwrap_or_else(|| types.name(view.id)),
        Shape::Array(of, count) => {
            let count = count.map_or(String::new(), |count| count.to_string());
            signed(types, of, &format!(" [{count}]")).unwrap_or_else(|| types.name(view.id))
        }
        _ => types.name(view.id),
    }
}

/// A record's definition with a sign behind it.
fn signed(types: &Types<'_>, to: TypeId, sign: &str) -> Option<String> {
    let to = types.definition(to).unwrap_or(to);
    matches!(types.view(to).shape, Shape::Record | Shape::Union).then(|| record(types, to, 0) + sign)
}

fn record(types: &Types<'_>, id: TypeId, depth: usize) -> String {
    let indent = "    ".repeat(depth + 1);
    let name = own_name(types, id);
    let members = types.members(id);
    let bases = members.iter().filter_map(|one| match one.kind {
        MemberKind::Base => Some(format!("public {}", types.name(one.ty))),
        MemberKind::VirtualBase { .. } => Some(format!("public virtual {}", types.name(one.ty))),
        _ => None,
    });
    let bases = bases.collect::<Vec<_>>().join(", ");
    let bases = if bases.is_empty() { bases } else { format!(": {bases} ") };
    let mut text = format!("{} {name}{bases}{{\n", types.keyword(id));
    for member in members.iter() {
        let declared = match (member.kind, member.name.as_deref()) {
            (MemberKind::Field, Some(name)) if name.starts_with("_vptr") => continue,
            (MemberKind::Field, name) => {
                let inner = types.view(member.ty);
                let anonymous = inner.name.is_none() && matches!(inner.shape, Shape::Record | Shape::Union);
                let name = name.unwrap_or_default();
                match anonymous && depth < DEPTH {
                    true => format!("{} {name}", record(types, member.ty, depth + 1)).trim_end().to_owned(),
                    false => types.declaration(member.ty, name),
                }
            }
            (MemberKind::Static, Some(name)) => format!("static {}", types.declaration(member.ty, name)),
            _ => continue,
        };
        let bits = member.bits.map_or(String::new(), |bits| format!(" : {}", bits.count));
        text.push_str(&format!("{indent}{declared}{bits};\n"));
    }
    if members.is_empty() {
        text.push_str(&format!("{indent}<no data fields>\n"));
    }
    text + &"    ".repeat(depth) + "}"
}

/// A type's name and a blank, without the word that C puts in front; empty where it has none.
fn own_name(types: &Types<'_>, id: TypeId) -> String {
    let view = types.view(id);
    let name = types.name(view.id);
    let name = name.strip_prefix(types.keyword(id)).map_or(name.as_str(), str::trim_start);
    view.name.as_ref().map_or(String::new(), |_| format!("{name} "))
}

fn enumeration(types: &Types<'_>, id: TypeId, encoding: Encoding) -> String {
    let mut next = 0;
    let scope = types.enumerator_scope(id);
    let named = types.enumerators(id).into_iter().map(|(name, number)| {
        let text = if number == next { format!("{scope}{name}") } else { format!("{scope}{name} = {number}") };
        next = number.wrapping_add(1);
        text
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let name = own_name(types, id);
    // The type that the numbers are kept in is told where it is not an int.
    let stored = match (encoding.is_signed(), types.size(id)) {
        (_, 4) => String::new(),
        (true, size) => format!(": int{}_t ", size * 8),
        (false, size) => format!(": uint{}_t ", size * 8),
    };
    format!("enum {name}{stored}{{{named}}}")
}
