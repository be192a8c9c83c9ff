//! What the code of a function without a name refers to: the strings that it logs, the objects that it makes.

use rayon::prelude::*;

use super::super::symbols::file_name;
use super::super::FunctionRange;
use super::names::unnamed;
use super::types::ClassId;
use super::Recovered;
use crate::base::FileAddr;

/// How far behind or before the path of a source file (bytes of code) the name of the function is loaded that logs.
const BESIDE: usize = 64;
/// Longer strings are neither paths nor names.
const MAX_STRING: u64 = 200;
/// Of a longer function, no more is read.
const MAX_CODE: usize = 1 << 20;
/// What the source files of C and C++ end in.
const ENDINGS: [&str; 8] = [".cc", ".cpp", ".cxx", ".c", ".h", ".hpp", ".ipp", ".inc"];

/// What a function's code refers to.
#[derive(Default)]
struct Loads<'a> {
    /// The source paths, and where in the code they are loaded.
    paths: Vec<(usize, &'a str)>,
    /// The strings that can be the name of a function.
    words: Vec<(usize, &'a str)>,
    /// Where the formats are loaded whose first word is the name of the function that prints: `%s: ..`.
    formats: Vec<usize>,
    /// The classes whose tables are loaded.
    classes: Vec<ClassId>,
}

impl Recovered {
    /// What a function's code hints at; `None` where it refers to nothing that tells, or to too much.
    pub(super) fn hint(&self, function: FunctionRange) -> Option<String> {
        let loads = self.loads(function);
        if let Some(text) = loads.logged_name() {
            return Some(text);
        }
        if let Some(name) = loads.printed_name() {
            return Some(format!("{name}? it prints so"));
        }
        let mut enclosing: Vec<&str> =
            loads.classes.iter().filter_map(|class| enclosing_of(self.class_text(*class))).collect();
        enclosing.sort_unstable();
        enclosing.dedup();
        if let [only] = enclosing[..] {
            return Some(format!("{only}? it makes its lambda"));
        }
        match (self.most_derived(&loads.classes), loads.only_file()) {
            (Some(class), _) => Some(format!("makes {}", self.class_text(class))),
            (None, Some(file)) => Some(format!("in {file}")),
            (None, None) => None,
        }
    }

    /// All functions that have a hint and no name, with what is shown of them. Reads the whole code; made once. None where
    /// that was broken off.
    pub(super) fn hinted(&self) -> &[(FunctionRange, String)] {
        if let Some(known) = self.hints.get() {
            return known;
        }
        let functions = self.unwind.function_starts();
        self.progress.stage(&format!("reading the code of {}", file_name(self.image.path())), functions.len() as u64);
        let unnamed_ones = functions.into_par_iter().filter(|function| {
            self.progress.advance(1);
            !self.progress.is_cancelled()
                && self.virtual_at(function.start).is_none()
                && self.startup_at(function.start).is_none()
        });
        let hinted =
            unnamed_ones.filter_map(|function| Some((function, unnamed(function.start, &self.hint(function)?))));
        let hinted = hinted.collect();
        if self.progress.is_cancelled() {
            return &[];
        }
        self.hints.get_or_init(|| hinted)
    }

    fn loads(&self, function: FunctionRange) -> Loads<'_> {
        let code = self.code(function);
        let code = &code[..code.len().min(MAX_CODE)];
        let mut loads = Loads::default();
        for at in memchr::memchr_iter(0x8d, code) {
            let Some(target) = loaded_address(code, at, function.start) else { continue };
            if let Some(text) = self.string_at(target) {
                if is_path(text) {
                    loads.paths.push((at, text));
                } else if text.starts_with("%s: ") {
                    loads.formats.push(at);
                } else if is_function_name(text) {
                    loads.words.push((at, text));
                }
            } else if let Some(class) = self.table_at(target) {
                loads.classes.push(class);
            }
        }
        loads
    }

    /// The text at an address of constant data.
    fn string_at(&self, at: FileAddr) -> Option<&str> {
        let segment = self.image.segment_at(at).filter(|segment| !segment.exec && !segment.write)?;
        let left = segment.end().since(at).min(MAX_STRING);
        let bytes = self.image.bytes_at(at, left)?;
        std::str::from_utf8(&bytes[..memchr::memchr(0, bytes)?]).ok()
    }

    /// The class whose primary table's address point this is.
    fn table_at(&self, at: FileAddr) -> Option<ClassId> {
        let info = self.pointers.target(FileAddr(at.0.wrapping_sub(8)))?;
        let class = self.types.find(info)?;
        self.vtables.at_offset(class, 0).iter().any(|table| table.at == at).then_some(class)
    }

    /// The one class of which all others are bases: a constructor passes through its bases' tables.
    fn most_derived(&self, classes: &[ClassId]) -> Option<ClassId> {
        let covers = |class: &ClassId| classes.iter().all(|other| self.derives(*class, *other, 0));
        classes.iter().find(|class| covers(class)).copied()
    }

    fn derives(&self, class: ClassId, base: ClassId, depth: usize) -> bool {
        let through = || self.types.bases(class).iter().take(16).any(|one| self.derives(one.class, base, depth + 1));
        class == base || depth < 8 && through()
    }
}

impl Loads<'_> {
    /// `name? file`, where one source path and one name are loaded side by side.
    fn logged_name(&self) -> Option<String> {
        let beside = |word: &usize| self.paths.iter().find(|(path, _)| path.abs_diff(*word) <= BESIDE);
        let mut found: Vec<(&str, &str)> =
            self.words.iter().filter_map(|(at, word)| Some((*word, file_of(beside(at)?.1)))).collect();
        found.sort_unstable();
        found.dedup();
        match found[..] {
            [(word, file)] => Some(format!("{word}? {file}")),
            [(one, file), (two, other)] if file == other => Some(format!("{one} or {two}? {file}")),
            _ => None,
        }
    }

    /// The one name that is loaded beside a `%s: ..`. Only one with an underscore, as functions of C have: other words are
    /// printed so too.
    fn printed_name(&self) -> Option<&str> {
        let beside = |at: usize| self.formats.iter().any(|format| format.abs_diff(at) <= BESIDE);
        let printed = self.words.iter().filter(|(at, word)| word.contains('_') && beside(*at)).map(|(_, word)| *word);
        let mut names: Vec<&str> = printed.collect();
        names.sort_unstable();
        names.dedup();
        match names[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    fn only_file(&self) -> Option<&str> {
        let first = file_of(self.paths.first()?.1);
        self.paths.iter().all(|(_, path)| file_of(path) == first).then_some(first)
    }
}

/// The address that `lea disp(%rip),%reg` loads whose opcode is at `at`.
fn loaded_address(code: &[u8], at: usize, start: FileAddr) -> Option<FileAddr> {
    let is_wide = at > 0 && matches!(code[at - 1], 0x48 | 0x4c);
    let operand = code.get(at + 1..at + 6)?;
    if !is_wide || operand[0] & 0xc7 != 0x05 {
        return None;
    }
    let distance = i32::from_le_bytes(operand[1..].try_into().ok()?);
    Some(start.offset(at as u64 + 6).offset(i64::from(distance) as u64))
}

/// `a/b/c.cc`, `c.cc`.
fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'+');
    ENDINGS.iter().any(|ending| text.len() > ending.len() && text.ends_with(ending)) && text.bytes().all(plain)
}

fn file_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What `__func__` can be.
fn is_function_name(text: &str) -> bool {
    let name = text.strip_prefix('~').unwrap_or(text);
    let identifier = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    let starts = name.bytes().next().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic());
    name.len() > 2 && starts && name.bytes().all(identifier)
}

/// The function in which the lambda is written that a class wraps: `a::f(int)` of
/// `std::__1::__function::__func<a::f(int)::$_0>`.
fn enclosing_of(class: &str) -> Option<&str> {
    let wrapped = class.strip_prefix("std::__1::__function::__func<")?.strip_suffix('>')?;
    let lambda = wrapped.find("::$_").or_else(|| wrapped.find("::{lambda("))?;
    let enclosing = &wrapped[..lambda];
    enclosing.contains('(').then_some(enclosing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names_are_told_apart() {
        assert!(is_path("source/common/a.cc") && is_path("a.h") && !is_path("x y.cc") && !is_path(".cc"));
        assert!(
            is_function_name("~Foo") && is_function_name("bind") && !is_function_name("a b") && !is_function_name("ab")
        );
        let wrapped = "std::__1::__function::__func<a::f(int)::$_0>";
        assert_eq!(enclosing_of(wrapped), Some("a::f(int)"));
        assert_eq!(enclosing_of("A"), None);
    }

    #[test]
    fn a_loaded_address_is_relative_to_the_next_instruction() {
        let code = [0x48, 0x8d, 0x05, 0x10, 0, 0, 0];
        assert_eq!(loaded_address(&code, 1, FileAddr(0x1000)), Some(FileAddr(0x1017)));
        assert_eq!(loaded_address(&code[..6], 1, FileAddr(0x1000)), None);
        assert_eq!(loaded_address(&code[1..], 0, FileAddr(0x1000)), None);
    }
}
