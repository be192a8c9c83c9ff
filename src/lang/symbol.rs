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
    let ends = candidates(rest);
    ends.iter().rev().find_map(|end| {
        let name = rest.get(..*end)?;
        names.symbol(name).or_else(|| names.symbol(name.strip_prefix("::")?)).map(|at| (at, *end))
    })
}

/// Where a name at the start of `rest` may end, shortest first.
fn candidates(rest: &str) -> Vec<usize> {
    let mut end = lexer::name_length(rest);
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
