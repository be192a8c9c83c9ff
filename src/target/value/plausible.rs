//! How well the values of a call fit the types that a plan says they have: what tells a static method, or a function of
//! a namespace, from a method with a `this` when the names do not.

use super::plan::Planned;
use super::reader::ArgumentReader;
use super::shape::Shape;
use crate::base::VirtAddr;

/// A fit that is hardly by chance: a text that can be read.
const STRONG: i32 = 2;
/// A fit that may be by chance: an address where something is mapped.
const WEAK: i32 = 1;
/// A text that is none, an address where nothing is mapped.
const MISFIT: i32 = -2;
/// A `this` that is nowhere.
const IMPOSSIBLE: i32 = -100;
/// Objects begin at a multiple of this, almost always.
const ALIGNMENT: u64 = 4;

/// How well the registers fit these arguments; more is better.
pub(super) fn fit(arguments: &[Planned], reader: &ArgumentReader<'_>) -> i32 {
    arguments.iter().map(|argument| fit_of(argument, reader)).sum()
}

fn fit_of(argument: &Planned, reader: &ArgumentReader<'_>) -> i32 {
    let Some(place) = argument.place else { return 0 };
    let Some(word) = reader.word(place) else { return MISFIT };
    let mapped = || reader.mem.read_mem(VirtAddr(word), &mut [0]).is_ok_and(|count| count > 0);
    match &argument.shape {
        Shape::Text(_) | Shape::CText | Shape::Literal(_) | Shape::View(_) => {
            match reader.read(&argument.shape, place) {
                text if text.starts_with('"') => STRONG,
                text if text == "NULL" => 0,
                _ => MISFIT,
            }
        }
        Shape::Pointer if argument.name.is_some() && !mapped() => IMPOSSIBLE,
        Shape::Pointer if argument.name.is_some() && word % ALIGNMENT != 0 => MISFIT,
        Shape::Pointer if word == 0 && argument.name.is_none() => 0,
        Shape::Reference(inner) if matches!(**inner, Shape::Text(_) | Shape::View(_)) => {
            if reader.read(&argument.shape, place).contains('"') {
                STRONG
            } else {
                MISFIT
            }
        }
        Shape::Pointer | Shape::Reference(_) | Shape::Object(_) | Shape::Span | Shape::Function => {
            if mapped() {
                WEAK
            } else {
                MISFIT
            }
        }
        Shape::Bool if word as u8 > 1 => MISFIT,
        Shape::Bool => WEAK,
        // The upper half of a narrow integer's register is of no account, but hardly ever makes up an address.
        Shape::Integer(1 | 2 | 4, _) | Shape::Character(_) if word >> 32 != 0 && mapped() => -WEAK,
        _ => 0,
    }
}
