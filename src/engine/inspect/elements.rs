//! `print FIRST@COUNT`: things that lie one after the other in memory.

use super::expressions::explain;
use super::printing::Printed;
use crate::api::ApiError;
use crate::base::{Inferior, VirtAddr};
use crate::engine::state::Engine;
use crate::lang::typed::{Held, Inspector, Style};
use crate::lang::{self, DebugNames, Environment, Expression, Outcome, Place, Value};

/// As many as this are counted; how many are shown is `print elements`'.
const COUNT_LIMIT: u64 = 100_000;

/// `FIRST@COUNT` at its last `@` outside of quotes and brackets. A name never begins with one where a value is expected,
/// nor does a symbol's version (`malloc@GLIBC_2.2.5`) begin with a digit, a `$` or a bracket.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let (mut depth, mut quote, mut found) = (0i32, None, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, '@') if depth == 0 => found = Some(at),
            _ => {}
        }
    }
    let (first, count) = text.split_at_checked(found?)?;
    let (first, count) = (first.trim(), count.get(1..)?.trim());
    (!first.is_empty() && !count.is_empty()).then_some((first, count))
}

impl<I: Inferior> Engine<I> {
    /// What lies at `first` and behind it, in braces.
    pub(super) fn printed_elements(
        &self,
        (first, count): (&str, &str),
        style: Style,
        names: &super::described_names::DescribedNames<'_>,
        environment: &dyn Environment,
    ) -> Result<Printed, ApiError> {
        let counted = Expression::compile(count, names)
            .and_then(|compiled| compiled.evaluate(environment))
            .map_err(|error| explain(&error, count))?
            .as_i64();
        let count = u64::try_from(counted)
            .ok()
            .filter(|count| (1..=COUNT_LIMIT).contains(count))
            .ok_or_else(|| ApiError::user(format!("{counted} is no count: 1 to {COUNT_LIMIT} can be shown")))?;
        let before = self.calling.book.place();
        let outcome = self.outcome_of(first, names, environment)?;
        let nowhere = || ApiError::user(format!("`{first}` is not in memory: nothing lies behind it"));
        match outcome {
            Outcome::Described { value, module } if matches!(value.place, Held::Memory(_)) => {
                let mut text = String::new();
                names.look(module, &mut |types| {
                    text = Inspector::new(types, names.memory(), self, style).show_row(&value, count);
                });
                Ok(Printed { text, kept: self.kept_value(value, module, names)? })
            }
            Outcome::Described { .. } | Outcome::Vector(_) => Err(nowhere()),
            Outcome::Plain(value) => {
                self.calling.book.go_back(before);
                let compiled = Expression::compile(first, names).map_err(|error| explain(&error, first))?;
                let place = compiled.place(environment).map_err(|error| explain(&error, first))?;
                let Some(Place::Memory { at, size }) = place else { return Err(nowhere()) };
                let shown = count.min(style.elements);
                let texts: Result<Vec<String>, ApiError> =
                    (0..shown).map(|index| self.plain_element(at, size, index, &value, style, environment)).collect();
                let more = if count > shown { "..." } else { "" };
                let text = format!("{{{}{more}}}", texts?.join(", "));
                Ok(Printed { text, kept: super::described_names::Kept::Plain(value) })
            }
        }
    }

    fn plain_element(
        &self,
        first: VirtAddr,
        size: usize,
        index: u64,
        like: &Value,
        style: Style,
        environment: &dyn Environment,
    ) -> Result<String, ApiError> {
        let at = first.offset(index * size as u64);
        let mut word = [0; 8];
        let size = size.min(word.len());
        environment.read(at, &mut word[..size]).map_err(|error| ApiError::target(error.to_string()))?;
        let value = Value::from_raw(u64::from_le_bytes(word), like.ty());
        Ok(lang::format_labelled(&value, style.format, environment, self))
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_last_at_outside_of_quotes_and_brackets_parts_first_and_count() {
        assert_eq!(split("*argv@argc"), Some(("*argv", "argc")));
        assert_eq!(split("a[f('@')] @ 3"), Some(("a[f('@')]", "3")));
        assert_eq!(split("a['@']"), None);
        assert_eq!(split("a[b@c]"), None);
        assert_eq!(split("a@"), None);
        assert_eq!(split("@3"), None);
    }
}
