//! A record's definition with offsets, sizes and holes, for `ptype/o`: written as gdb writes it (its typeprint.c).

use super::describe::{bases, describe, label, own_name};
use crate::binary::dwarf::{Access, Member, MemberKind, Shape, TypeId, Types};

/// Columns of offset and size.
const COLUMNS: usize = 27;
/// How deep records in records are written out.
const DEPTH: usize = 16;
/// What nests without end is written no further than this, bytes.
const LIMIT: usize = 4 << 20;

/// The definition with what lies where; of a type that is no record its definition alone. Without `type = `, which stands
/// behind the columns' titles.
pub fn layout(types: &Types<'_>, id: TypeId) -> String {
    let (of, signs) = pointed(types, id);
    let of = types.definition(of).unwrap_or(of);
    if !matches!(types.view(of).shape, Shape::Record | Shape::Union) {
        return format!("type = {}", describe(types, id));
    }
    let mut writer = Writer { types, text: String::new() };
    let title = if signs.is_empty() { "/* offset      |    size */  " } else { "" };
    writer.text.push_str(&format!("{title}type = {}", types.qualifiers(of)));
    writer.record(of, 0, 0);
    writer.text + &signs
}

/// The record that pointers, references and arrays lead to, and their signs.
fn pointed(types: &Types<'_>, id: TypeId) -> (TypeId, String) {
    match types.view(id).shape {
        Shape::Pointer(to) => (to, " *".to_owned()),
        Shape::Reference(to) => (to, " &".to_owned()),
        Shape::Array(of, count) => (of, format!(" [{}]", count.map_or(String::new(), |count| count.to_string()))),
        _ => (id, String::new()),
    }
}

struct Writer<'t, 'a> {
    types: &'t Types<'a>,
    text: String,
}

impl Writer<'_, '_> {
    fn line(&mut self, indent: usize, text: &str) {
        self.text.push_str(&format!("{:indent$}{text}\n", ""));
    }

    /// A record from its keyword to its brace; `start` is where it begins in the outermost one, bits.
    fn record(&mut self, id: TypeId, level: usize, start: u64) {
        let types = self.types;
        let (view, members) = (types.view(id), types.members(id));
        let is_union = view.shape == Shape::Union;
        self.text.push_str(&format!("{} {}{}{{\n", types.keyword(id), own_name(types, id), bases(types, &members)));
        let is_table = |one: &Member| one.name.as_deref().is_some_and(|name| name.starts_with("_vptr"));
        let is_data = |one: &&Member| matches!(one.kind, MemberKind::Field | MemberKind::Static) && !is_table(one);
        let usual = if types.keyword(id) == "class" { Access::Private } else { Access::Public };
        // The pointer to the virtual table counts as private.
        let is_labelled = members.iter().any(|one| one.access != usual || usual == Access::Public && is_table(one))
            || types.methods(id).iter().any(|one| one.access != usual);
        let (mut section, mut end, mut fields) = (None, 0, 0);
        for member in members.iter().filter(is_data) {
            if self.text.len() > LIMIT {
                self.line(COLUMNS + level + 4, "...");
                break;
            }
            if is_labelled && section != Some(member.access) {
                self.line(COLUMNS + level + 2, &format!("{}:", label(member.access)));
                section = Some(member.access);
            }
            fields += 1;
            self.columns(member, is_union, start, &mut end);
            self.member(member, level + 4, start);
        }
        if fields == 0 {
            self.line(COLUMNS + level + 4, "<no data fields>");
        }
        self.hole(end, view.size * 8, "padding");
        self.text.push('\n');
        self.line(COLUMNS + level + 4, &format!("/* total size (bytes): {:>4} */", view.size));
        let indent = if level == 0 { COLUMNS + 2 } else { COLUMNS + level };
        self.text.push_str(&format!("{:indent$}}}", ""));
    }

    /// What stands in front of a member; `end` is where the one before ends in its record, bits.
    fn columns(&mut self, member: &Member, is_union: bool, start: u64, end: &mut u64) {
        let size = self.types.size(member.ty);
        if member.kind == MemberKind::Static {
            return self.text.push_str(&" ".repeat(COLUMNS));
        }
        if is_union {
            // All begin where the union does, and of what is behind a smaller one nothing is told.
            return self.text.push_str(&format!("/*                {size:>6} */"));
        }
        let first = member.bits.map_or(member.offset.wrapping_mul(8), |bits| bits.first);
        let at = start.wrapping_add(first);
        self.hole(*end, first, "hole");
        match member.bits {
            Some(_) => self.text.push_str(&format!("/* {:>6}:{:>2}", at / 8, at % 8)),
            None => self.text.push_str(&format!("/* {:>6}   ", at / 8)),
        }
        self.text.push_str(&format!("   |  {size:>6} */"));
        *end = first.wrapping_add(member.bits.map_or(size.wrapping_mul(8), |bits| u64::from(bits.count)));
    }

    /// Bits that nothing holds. Before the first member there are none: a base or the pointer to the virtual table is there.
    fn hole(&mut self, end: u64, next: u64, what: &str) {
        if end == 0 || end >= next {
            return;
        }
        let (bytes, bits) = ((next - end) / 8, (next - end) % 8);
        if bits > 0 {
            self.text.push_str(&format!("/* XXX {bits:>2}-bit {what:<7}    */\n"));
        }
        if bytes > 0 {
            self.text.push_str(&format!("/* XXX {bytes:>2}-byte {what:<7}   */\n"));
        }
    }

    /// A member's declaration behind its columns: a record in place is written out, one behind a typedef is not.
    fn member(&mut self, member: &Member, level: usize, start: u64) {
        let types = self.types;
        let name = member.name.as_deref().unwrap_or_default();
        let view = types.view(member.ty);
        let is_record = matches!(view.shape, Shape::Record | Shape::Union) && member.kind == MemberKind::Field;
        let is_direct = types.name(member.ty) == types.qualifiers(member.ty) + &types.name(view.id);
        self.text.push_str(&" ".repeat(level));
        if is_record && is_direct && level / 4 <= DEPTH {
            self.text.push_str(&types.qualifiers(member.ty));
            let of = types.definition(member.ty).unwrap_or(member.ty);
            self.record(of, level, start.wrapping_add(member.offset.wrapping_mul(8)));
            let name = if name.is_empty() { String::new() } else { format!(" {name}") };
            return self.text.push_str(&format!("{name};\n"));
        }
        let fixed = if member.kind == MemberKind::Static { "static " } else { "" };
        let bits = member.bits.map_or(String::new(), |bits| format!(" : {}", bits.count));
        self.text.push_str(&format!("{fixed}{}{bits};\n", types.declaration(member.ty, name)));
    }
}
