//! Finds the longest symbol that an expression's text goes on with.

use crate::base::VirtAddr;

use super::{lexer, Names};

/// How far a qualified name is followed, bytes.
const LIMIT: usize = 512;

/// How many endings of a name are tried.
const CANDIDATES: usize = 16;

/// The symbol with the longest name at the start of `rest`, and that name's length. Names may have template arguments
/// and parameters: `A<int>::f(char)`.
pub(super) fn longest(rest: &str, names: &dyn Names) -> Option<(VirtAddr, usize)> {
    // `f()` is a call, `f(int)` a name.
    let is_call = |name: &str| name.ends_with("()") && !name.ends_with("operator()");
    longest_by(rest, lexer::name_length(rest), &|name| if is_call(name) { None } else { names.symbol(name) })
}

/// What the longest name at the start of `rest` means, of those that mean something, and that name's length. The shortest
/// one that is tried has `first` bytes.
pub(super) fn longest_by<T>(rest: &str, first: usize, meaning: &dyn Fn(&str) -> Option<T>) -> Option<(T, usize)> {
    let ends = candidates(rest, first);
    ends.iter().rev().find_map(|end| {
        let name = rest.get(..*end)?;
        meaning(name).or_else(|| meaning(name.strip_prefix("::")?)).map(|found| (found, *end))
    })
}

/// Where a name at the start of `rest` may end, shortest first.
fn candidates(rest: &str, first: usize) -> Vec<usize> {
    let mut end = first;
    let mut ends = vec![end];
    while ends.len() < CANDIDATES {
        let tail = rest.get(end..).unwrap_or("");
        let more = match tail.as_bytes() {
            [b'<' | b'(', ..] => balanced(tail),
            [b':', b':', ..] => Some(2 + lexer::name_length(&tail[2..])).filter(|len| *len > 2),
            _ => None,
        };
        match more {
            Some(len) => end += len,
            None => break,
        }
        ends.push(end);
    }
    ends
}

/// The length of the bracketed text that `tail` starts with.
fn balanced(tail: &str) -> Option<usize> {
    let mut open = 0usize;
    for (at, byte) in tail.bytes().enumerate().take(LIMIT) {
        match byte {
            b'<' | b'(' => open += 1,
            b'>' | b')' => open = open.checked_sub(1)?,
            b'"' | b'\'' | b'$' => return None,
            _ => {}
        }
        if open == 0 {
            return Some(at + 1);
        }
    }
    None
}
