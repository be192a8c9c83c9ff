//! Taking the text of a demangled name apart. Names nest: only what is outside all brackets separates.

/// A demangled function name in parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Parts<'a> {
    /// Scope and name.
    pub name: &'a str,
    /// What stands between the parentheses; `None` when there are none.
    pub parameters: Option<&'a str>,
    /// ` const`, ` &&`: what stands behind them.
    pub qualifiers: &'a str,
}

/// Operators whose symbols would be taken for brackets, longest first.
const BRACKET_OPERATORS: [&str; 15] =
    ["<=>", "<<=", ">>=", "->*", "()", "[]", "->", "<<", ">>", "<=", ">=", "<", ">", "\"\"", "-="];

/// Calls `visit` with the offset of every byte outside all brackets (an opening bracket at the outermost level counts as
/// outside). The symbols of operators and the type of a conversion operator are passed over.
pub(in crate::binary) fn for_each_top_level(text: &str, mut visit: impl FnMut(usize)) {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0usize, 0usize);
    // Inside the type of a conversion operator: until the parenthesis at this depth.
    let mut conversion: Option<usize> = None;
    while at < bytes.len() {
        if bytes[at] == b'o' && is_operator_word(bytes, at) {
            at += "operator".len();
            let rest = &text[at..];
            if let Some(symbol) = BRACKET_OPERATORS.iter().find(|symbol| rest.starts_with(**symbol)) {
                at += symbol.len();
            } else if rest.starts_with(' ') && rest.len() > 1 && !rest.starts_with(" <") {
                conversion.get_or_insert(depth);
            }
            continue;
        }
        let byte = bytes[at];
        if byte == b'(' && conversion == Some(depth) {
            conversion = None;
        }
        if depth == 0 && conversion.is_none() {
            visit(at);
        }
        match byte {
            b'(' | b'<' | b'[' | b'{' => depth += 1,
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b')' | b'>' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
}

fn is_operator_word(bytes: &[u8], at: usize) -> bool {
    let end = at + "operator".len();
    bytes[at..].starts_with(b"operator")
        && (at == 0 || !is_identifier(bytes[at - 1]))
        && bytes.get(end).is_some_and(|next| !is_identifier(*next))
}

pub(in crate::binary) fn is_identifier(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// `foo` of `foo.isra.0`, `foo.constprop.0`, `foo.llvm.123`.
pub(super) fn without_c_clones(name: &str) -> &str {
    let marks = [".isra.", ".constprop.", ".llvm.", ".part."];
    let end = marks.iter().filter_map(|mark| name.find(mark)).filter(|at| *at > 0).min();
    &name[..end.unwrap_or(name.len())]
}

/// Cuts ` [clone .cold]` off the end.
pub(super) fn without_clones(mut text: &str) -> &str {
    while text.ends_with(']') {
        match text.rfind(" [clone ") {
            Some(start) => text = &text[..start],
            None => break,
        }
    }
    text
}

/// Splits a demangled name (without return type and clone suffix) at its own parameter list, the last one.
pub(super) fn split_parts(text: &str) -> Parts<'_> {
    let mut stem = text;
    loop {
        let shorter = [" const", " volatile", " restrict", " &&", " &"].iter().find_map(|word| stem.strip_suffix(word));
        match shorter {
            Some(shorter) => stem = shorter,
            None => break,
        }
    }
    let whole = Parts { name: text, parameters: None, qualifiers: "" };
    if !stem.ends_with(')') {
        return whole;
    }
    let mut depth = 0usize;
    for (at, byte) in stem.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            let name = &stem[..at];
            let is_name_itself = name.ends_with("operator") && !name.ends_with("::operator()") || name.is_empty();
            if is_name_itself && is_operator_word(text.as_bytes(), at.saturating_sub("operator".len())) {
                return whole;
            }
            return Parts { name, parameters: Some(&stem[at + 1..stem.len() - 1]), qualifiers: &text[stem.len()..] };
        }
    }
    whole
}

/// Splits `A::B::f` into `Some("A::B")` and `f`.
pub(in crate::binary) fn split_scope(name: &str) -> (Option<&str>, &str) {
    let mut last = None;
    let bytes = name.as_bytes();
    for_each_top_level(name, |at| {
        if bytes[at] == b':' && bytes.get(at + 1) == Some(&b':') {
            last = Some(at);
        }
    });
    match last {
        Some(at) => (Some(&name[..at]), &name[at + 2..]),
        None => (None, name),
    }
}

/// A component without template arguments and ABI tags: `f` of `f[abi:cxx11]<int>`.
pub(in crate::binary) fn without_template_arguments(component: &str) -> &str {
    let mut end = component.len();
    for_each_top_level(component, |at| {
        let rest = &component.as_bytes()[at..];
        if at > 0 && at < end && (rest[0] == b'<' || rest.starts_with(b"[abi:")) {
            end = at;
        }
    });
    component[..end].trim_end()
}

/// The parameters of a list, one string each; none for `` and `void`.
pub(super) fn split_parameters(list: &str) -> Vec<String> {
    if list.is_empty() || list == "void" {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut start = 0;
    for_each_top_level(list, |at| {
        if list.as_bytes()[at] == b',' {
            found.push(list[start..at].trim().to_string());
            start = at + 1;
        }
    });
    found.push(list[start..].trim().to_string());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_no_brackets() {
        assert_eq!(split_scope("A::operator<"), (Some("A"), "operator<"));
        assert_eq!(split_scope("A::operator<< <B::C>"), (Some("A"), "operator<< <B::C>"));
        assert_eq!(split_scope("A::operator->"), (Some("A"), "operator->"));
        assert_eq!(split_scope("A::operator std::string"), (Some("A"), "operator std::string"));
        assert_eq!(split_scope("my_operator<a::b>::c"), (Some("my_operator<a::b>"), "c"));
        assert_eq!(without_template_arguments("operator< <int>"), "operator<");
        assert_eq!(without_template_arguments("f[abi:cxx11]<int>"), "f");
    }

    #[test]
    fn the_last_list_is_the_functions_own() {
        let parts = split_parts("f()::{lambda(int)#1}::operator()(int, A<b, c>) const");
        assert_eq!(parts.name, "f()::{lambda(int)#1}::operator()");
        assert_eq!(parts.parameters, Some("int, A<b, c>"));
        assert_eq!(parts.qualifiers, " const");
        assert_eq!(split_parts("A::operator()").parameters, None);
        assert_eq!(split_parts("A::operator()()").name, "A::operator()");
        assert_eq!(split_parts("vtable for A").name, "vtable for A");
    }
}
