//! Lines that begin with `#`: `#!`, `#include`, `#define`, `#if`. They are blanked, so that what is left has the places
//! that it has in the script.

use std::collections::HashMap;

use super::super::Span;
use super::error::Diagnostic;
use super::lexer;

/// A `#define`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Macro {
    /// Its parameters; `None` for one that is written without parentheses.
    pub(super) parameters: Option<Vec<String>>,
    /// What stands for it.
    pub(super) body: String,
}

/// A script without its directives.
#[derive(Debug, Default)]
pub(super) struct Preprocessed {
    pub(super) text: String,
    pub(super) macros: HashMap<String, Macro>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// Headers whose contents are built in, wholly or as far as scripts use them.
const KNOWN_HEADERS: [&str; 6] = ["linux/", "net/", "uapi/", "asm/", "sys/", "netinet/"];

/// Whether a place of the text is code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Code,
    Comment,
}

/// Takes the directives out of a script.
pub(super) fn run(script: &str) -> Result<Preprocessed, Diagnostic> {
    let mut found = Preprocessed::default();
    let mut within = Within::Code;
    // For each open #if: whether its lines count.
    let mut conditions: Vec<bool> = Vec::new();
    let mut at = 0;
    let mut lines = script.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let start = at;
        at += line.len();
        if within == Within::Code && line.trim_start().starts_with('#') {
            let mut directive = line.trim_end_matches('\n').to_owned();
            blank(&mut found.text, line);
            while directive.ends_with('\\') {
                directive.pop();
                let Some(more) = lines.next() else { break };
                at += more.len();
                directive.push_str(more.trim_end_matches('\n'));
                blank(&mut found.text, more);
            }
            let span = Span::new(start, start + line.trim_end().len());
            obey(directive.trim(), span, &mut conditions, &mut found)?;
        } else if conditions.iter().all(|counts| *counts) {
            within = scan(line, within);
            found.text.push_str(line);
        } else {
            blank(&mut found.text, line);
        }
    }
    Ok(found)
}

/// As many bytes of spaces; ends of lines stay.
fn blank(text: &mut String, line: &str) {
    text.extend(line.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
}

/// Whether a comment is open at the line's end.
fn scan(line: &str, mut within: Within) -> Within {
    let bytes = line.as_bytes();
    let (mut at, mut quoted) = (0, false);
    while at < bytes.len() {
        let pair = &bytes[at..(at + 2).min(bytes.len())];
        match (within, pair) {
            (Within::Comment, b"*/") => (within, at) = (Within::Code, at + 1),
            (Within::Comment, _) => {}
            (Within::Code, [b'\\', _]) if quoted => at += 1,
            (Within::Code, [b'"', ..]) => quoted = !quoted,
            (Within::Code, b"//") if !quoted => return within,
            // A path may have `/*` in it: `/usr/lib*/x`, `/usr/*/y`.
            (Within::Code, b"/*") if !quoted && (at == 0 || !is_path_byte(bytes[at - 1])) => {
                (within, at) = (Within::Comment, at + 1);
            }
            _ => {}
        }
        at += 1;
    }
    within
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'*' | b':')
}

fn obey(directive: &str, span: Span, conditions: &mut Vec<bool>, found: &mut Preprocessed) -> Result<(), Diagnostic> {
    if directive.starts_with("#!") {
        return Ok(());
    }
    let directive = directive[1..].trim_start();
    let (word, rest) = directive.split_at(lexer::name_length(directive));
    let rest = rest.trim();
    let counts = conditions.iter().all(|one| *one);
    match word {
        "ifdef" => conditions.push(found.macros.contains_key(rest)),
        "ifndef" => conditions.push(!found.macros.contains_key(rest)),
        "if" => conditions.push(lexer::parse_integer(rest).is_some_and(|value| value != 0)),
        "else" => match conditions.last_mut() {
            Some(last) => *last = !*last,
            None => return Err(Diagnostic::error(span, "#else without #if")),
        },
        "endif" => {
            conditions.pop();
        }
        _ if !counts => {}
        "include" => {
            let name = rest.trim_matches(['<', '>', '"']);
            if !KNOWN_HEADERS.iter().any(|prefix| name.starts_with(prefix)) && !name.ends_with(".h") {
                return Err(Diagnostic::error(span, format!("'{name}' is no header")));
            }
            if !KNOWN_HEADERS.iter().any(|prefix| name.starts_with(prefix)) {
                found.warnings.push(Diagnostic::warning(
                    span,
                    format!("'{name}' is not read: rdbg has the kernel's and the system's common types built in"),
                ));
            }
        }
        "define" => define(rest, span, found)?,
        "undef" => {
            found.macros.remove(rest);
        }
        "pragma" | "error" | "warning" | "line" => {}
        _ => return Err(Diagnostic::error(span, format!("unknown directive '#{word}'"))),
    }
    Ok(())
}

fn define(rest: &str, span: Span, found: &mut Preprocessed) -> Result<(), Diagnostic> {
    let length = lexer::name_length(rest);
    if length == 0 {
        return Err(Diagnostic::error(span, "#define without a name"));
    }
    let (name, rest) = rest.split_at(length);
    let (parameters, body) = match rest.strip_prefix('(') {
        None => (None, rest),
        Some(inner) => {
            let Some((list, body)) = inner.split_once(')') else {
                return Err(Diagnostic::error(span, "syntax: expected ')'"));
            };
            (Some(list.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()), body)
        }
    };
    let body = body.split("//").next().unwrap_or_default().trim().to_owned();
    found.macros.insert(name.to_owned(), Macro { parameters, body });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_go_and_the_rest_stays_where_it_is() {
        let script = "#!usr/bin/bpftrace\n/*\n# no directive\n*/\n#include <linux/in.h>\n#define A 1 // one\n#define F(x, y) \\\n  x + y\nBEGIN {}\n";
        let found = run(script).unwrap();
        assert_eq!(found.text.len(), script.len());
        assert_eq!(found.text.find("BEGIN"), script.find("BEGIN"));
        assert!(found.text.contains("# no directive") && !found.text.contains("include"));
        assert_eq!(found.macros["A"], Macro { parameters: None, body: "1".into() });
        assert_eq!(found.macros["F"].parameters.as_deref(), Some(&["x".to_owned(), "y".to_owned()][..]));
        assert_eq!(found.macros["F"].body, "x + y");
    }

    #[test]
    fn lines_that_a_condition_excludes_do_not_count() {
        let found = run("#define A\n#ifdef A\nyes\n#else\nno\n#endif\n#ifdef B\nno\n#endif\n").unwrap();
        assert!(found.text.contains("yes") && !found.text.contains("no"));
    }

    #[test]
    fn a_path_with_a_star_opens_no_comment() {
        let found = run("uprobe:/usr/lib/*/libc.so.6:malloc { }\n#define A 1\n").unwrap();
        assert!(found.macros.contains_key("A"));
        assert!(run("#wat\n").is_err());
    }
}
