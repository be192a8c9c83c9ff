//! `printf`.

use super::described_names::DescribedNames;
use crate::api::{ApiError, Reply};
use crate::base::{Inferior, VirtAddr};
use crate::binary::dwarf::Shape;
use crate::engine::state::Engine;
use crate::lang::printf::{Piece, Printf};
use crate::lang::script::format::{Spec, SpecKind};
use crate::lang::typed::{Held, Inspector, Style};
use crate::lang::{self, DebugNames, Environment, Expression, Outcome, Value};
use crate::trace::printf::{number, pad};

/// A `%s` without a precision reads no further than this.
const TEXT_LIMIT: usize = 64 << 10;

impl<I: Inferior> Engine<I> {
    /// `printf "FORMAT", EXPR, ..`.
    pub(in crate::engine) fn print_formatted(&self, text: &str) -> Result<Reply, ApiError> {
        let Printf { pieces, arguments } = Printf::parse(text).map_err(ApiError::user)?;
        let mut arguments = arguments.iter();
        let out = self.with_names(|names, environment| {
            let mut out = Vec::new();
            for piece in &pieces {
                // There are as many as conversions.
                let mut argument = || arguments.next().map_or("", String::as_str);
                match piece {
                    Piece::Text(text) => out.extend_from_slice(text),
                    Piece::Plain(spec) => out.extend(self.convert(spec, argument(), names, environment)?),
                    Piece::Float(spec) => {
                        let value = self.number_of(argument(), names, environment)?;
                        out.extend(spec.text(&value).into_bytes());
                    }
                }
            }
            Ok::<_, ApiError>(out)
        })?;
        Ok(Reply::Text { text: String::from_utf8_lossy(&out).into_owned() })
    }

    fn convert(
        &self,
        spec: &Spec,
        argument: &str,
        names: &DescribedNames<'_>,
        environment: &dyn Environment,
    ) -> Result<Vec<u8>, ApiError> {
        if spec.kind == SpecKind::Text {
            let mut shown = self.text_of(spec, argument, names, environment)?;
            shown.truncate(spec.precision.unwrap_or(usize::MAX));
            return Ok(pad(spec, shown));
        }
        let value = self.number_of(argument, names, environment)?;
        let shown = match spec.kind {
            SpecKind::Character => vec![value.to_raw() as u8],
            _ => number(spec, value.as_i64() as u64).into_bytes(),
        };
        Ok(pad(spec, shown))
    }

    fn number_of(
        &self,
        argument: &str,
        names: &DescribedNames<'_>,
        environment: &dyn Environment,
    ) -> Result<Value, ApiError> {
        let failed = |error| self.explain_here(&error, argument);
        let compiled = Expression::compile(argument, names).map_err(failed)?;
        if names.plain.asked_register.get() {
            self.selected_tid()?;
        }
        compiled.evaluate(environment).map_err(failed)
    }

    /// The text that a pointer to characters leads to; of all else, std::string too, what `print` shows.
    fn text_of(
        &self,
        spec: &Spec,
        argument: &str,
        names: &DescribedNames<'_>,
        environment: &dyn Environment,
    ) -> Result<Vec<u8>, ApiError> {
        let limit = spec.precision.unwrap_or(TEXT_LIMIT).min(TEXT_LIMIT);
        let read = |at: VirtAddr, limit: usize| {
            let found = lang::text::read_string(at, limit, environment);
            found.map(|string| string.bytes).ok_or_else(|| {
                ApiError::target(format!("cannot read the text of `{argument}`: no memory is mapped at {at}"))
            })
        };
        match self.outcome_of(argument, names, environment)? {
            Outcome::Plain(value) if value.ty().pointee().is_some_and(|to| to.is_character()) => {
                read(VirtAddr(value.to_raw()), limit)
            }
            Outcome::Plain(value) => {
                Ok(lang::format_labelled(&value, lang::Format::Natural, environment, self).into_bytes())
            }
            Outcome::Vector(value) => Ok(value.show(lang::Format::Natural).into_bytes()),
            Outcome::Described { value, module } => {
                let (mut at, mut within) = (None, limit);
                let mut shown = String::new();
                names.look(module, &mut |types| {
                    let inspector = Inspector::new(types, names.memory(), self, Style::default());
                    match (&types.view(value.ty).shape, &value.place) {
                        (Shape::Pointer(to), _) if types.view(*to).size == 1 => {
                            at = inspector.scalar(&value).map(|raw| VirtAddr(raw as u64));
                        }
                        (Shape::Array(of, Some(count)), Held::Memory(start)) if types.view(*of).size == 1 => {
                            (at, within) = (Some(*start), limit.min(*count as usize));
                        }
                        _ => shown = inspector.show_alone(&value),
                    }
                });
                match at {
                    Some(at) => read(at, within),
                    None => Ok(shown.into_bytes()),
                }
            }
        }
    }
}
