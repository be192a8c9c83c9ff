//! Calls by their stacks: how many each has, as folded stacks (a line each, frames with `;` between them) or as a flame
//! graph.

use std::collections::BTreeMap;

use super::Call;
use crate::trace::names::Names;

/// So many different stacks are kept; calls with others are counted under [`OTHERS`].
const KEPT: usize = 1 << 16;
const OTHERS: &str = "(other stacks)";

/// Stacks and how many calls had them.
#[derive(Default)]
pub struct Folded {
    counts: BTreeMap<Vec<String>, u64>,
}

impl Folded {
    /// Counts a call: its thread first, then the frames from the outermost, then its function.
    pub fn add(&mut self, call: &Call, names: &mut Names) {
        let mut path = vec![frame(&String::from_utf8_lossy(call.thread.bytes()))];
        if let Some(stack) = &call.stack {
            let place = |(pc, lookup)| frame(without_offset(&names.place(stack, pc, lookup)));
            path.extend(stack.frames.iter().rev().copied().map(place));
        }
        path.push(frame(call.callee.name()));
        if self.counts.len() >= KEPT && !self.counts.contains_key(&path) {
            path = vec![OTHERS.to_owned()];
        }
        *self.counts.entry(path).or_default() += 1;
    }

    /// A line for each stack: `thread;outer;inner 12`.
    pub fn lines(&self) -> String {
        self.counts.iter().map(|(path, count)| format!("{} {count}\n", path.join(";"))).collect()
    }

    /// Every stack with its count, in the order of their frames.
    pub fn stacks(&self) -> impl Iterator<Item = (&[String], u64)> {
        self.counts.iter().map(|(path, count)| (path.as_slice(), *count))
    }
}

/// A name that cannot be taken for two frames, nor for a line's end.
fn frame(name: &str) -> String {
    name.chars().map(|letter| if letter == ';' || letter.is_control() { ':' } else { letter }).collect()
}

/// `f+12`, without the `+12`: calls from two places of one function are one frame.
fn without_offset(place: &str) -> &str {
    match place.rsplit_once('+') {
        Some((name, offset))
            if !name.is_empty() && !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        _ => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_no_offset_and_no_separator() {
        assert_eq!(without_offset("Envoy::f(int)+123"), "Envoy::f(int)");
        assert_eq!(without_offset("operator+"), "operator+");
        assert_eq!(without_offset("libc.so.6+0x1234"), "libc.so.6+0x1234");
        assert_eq!(frame("a;b\nc"), "a:b:c");
    }
}
