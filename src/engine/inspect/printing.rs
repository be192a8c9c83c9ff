//! print, whatis, ptype, set variable.

use std::sync::Arc;

use super::described_names::{DescribedNames, Kept};
use super::elements;
use super::expressions::explain;
use super::memory::RawMemory;
use super::parse_format;
use crate::api::{ApiError, Reply, TypeDetail};
use crate::base::{Inferior, ReadMem};
use crate::engine::state::Engine;
use crate::lang::typed::{describe_with, layout, Functions, Held, Inspector, Printers, Style, TypedValue};
use crate::lang::{
    self, change_in, Assignment, Change, DebugNames, DebugType, Environment, Expression, Outcome, Place,
};
use crate::target::breakpoint::CleanMemory;

/// Of what a call has returned so many bytes are kept.
const RESULT_LIMIT: u64 = 1 << 20;

/// A value as text, and as `$1` keeps it: of several elements the first.
pub(super) struct Printed {
    pub(super) text: String,
    pub(super) kept: Kept,
}

impl<I: Inferior> Engine<I> {
    /// `print`.
    pub(in crate::engine) fn print(&mut self, expression: &str, format: Option<char>) -> Result<Reply, ApiError> {
        let style = self.print_style(format)?;
        let change = change_in(expression);
        let shown = match change {
            Some(Change::Assigned(place)) => {
                self.assign(expression)?;
                self.calling.book.seal();
                place
            }
            Some(Change::Before { place, by }) => {
                self.assign(&format!("{place} {by}"))?;
                self.calling.book.seal();
                place
            }
            Some(Change::Behind { place, .. }) => place,
            None => expression,
        };
        // What the place calls has been called for its change, or is for that.
        self.calling.book.read_again();
        let Printed { text, kept } =
            self.with_names(|names, environment| self.printed(shown, style, names, environment))?;
        if let Some(Change::Behind { place, by }) = change {
            self.calling.book.read_again();
            self.assign(&format!("{place} {by}"))?;
        }
        self.history.push(kept);
        Ok(Reply::Text { text: format!("${} = {text}", self.history.len()) })
    }

    /// A format's letter; `r` is by members.
    pub(super) fn print_style(&self, format: Option<char>) -> Result<Style, ApiError> {
        let style = self.settings.style();
        Ok(match format {
            Some('r') => Style { printers: Printers::Raw, ..style },
            letter => Style { format: parse_format(letter)?, ..style },
        })
    }

    pub(super) fn printed(
        &self,
        text: &str,
        style: Style,
        names: &DescribedNames<'_>,
        environment: &dyn Environment,
    ) -> Result<Printed, ApiError> {
        if let Some(parts) = elements::split(text) {
            return self.printed_elements(parts, style, names, environment);
        }
        let outcome = self.outcome_of(text, names, environment)?;
        Ok(match outcome {
            Outcome::Plain(value) => {
                let text = lang::format_labelled(&value, style.format, environment, self);
                Printed { text, kept: Kept::Plain(value) }
            }
            Outcome::Vector(value) => Printed { text: value.show(style.format), kept: Kept::Vector(value) },
            Outcome::Described { value, module } => {
                let text = self.shown(&value, module, style, names);
                Printed { text, kept: self.kept_value(value, module, names)? }
            }
        })
    }

    pub(super) fn outcome_of(
        &self,
        text: &str,
        names: &DescribedNames<'_>,
        environment: &dyn Environment,
    ) -> Result<Outcome, ApiError> {
        let expression = Expression::compile(text, names).map_err(|error| self.explain_here(&error, text))?;
        if names.plain.asked_register.get() {
            self.selected_tid()?;
        }
        expression.outcome(environment).map_err(|error| explain(&error, text))
    }

    fn shown(&self, value: &TypedValue, module: u16, style: Style, names: &DescribedNames<'_>) -> String {
        let mut shown = String::new();
        names.look(module, &mut |types| {
            shown = Inspector::new(types, names.memory(), self, style).show_alone(value);
        });
        shown
    }

    pub(super) fn kept_value(
        &self,
        value: TypedValue,
        module: u16,
        names: &DescribedNames<'_>,
    ) -> Result<Kept, ApiError> {
        let modules = names.plain.space.map(|space| space.modules.modules()).unwrap_or_default();
        let loaded = modules.get(usize::from(module)).ok_or_else(|| ApiError::internal("a value of no module"))?;
        let value = match value.place {
            Held::Memory(at) if self.calling.book.holds(at) => {
                let size = loaded.module.dwarf().types().size(value.ty).min(RESULT_LIMIT);
                let mut bytes = vec![0; size as usize];
                names.memory().read_exact(at, &mut bytes).map_err(|error| ApiError::target(error.to_string()))?;
                TypedValue { place: Held::Bytes(bytes), ..value }
            }
            _ => value,
        };
        Ok(Kept::Described { value, module: Arc::clone(&loaded.module) })
    }

    /// `set EXPR = EXPR`.
    pub(in crate::engine) fn assign(&mut self, text: &str) -> Result<Reply, ApiError> {
        if let Some(Change::Before { place, by } | Change::Behind { place, by }) = change_in(text) {
            return self.assign(&format!("{place} {by}"));
        }
        let failed = |error| self.explain_here(&error, text);
        let tid = self.selected_tid();
        let resolved = self.with_names(|names, environment| {
            let assignment = Assignment::compile(text, names).map_err(failed)?;
            if let Some(variable) = assignment.variable() {
                let (_, value) = text.split_once('=').unwrap_or(("", ""));
                // The calls are those that have been made.
                self.calling.book.read_again();
                let Printed { kept, .. } = self.printed(value.trim(), Style::default(), names, environment)?;
                return Ok(Err((variable.to_owned(), kept)));
            }
            assignment.resolve(environment).map(Ok).map_err(failed)
        })?;
        let (to, value) = match resolved {
            Ok(resolved) => resolved,
            Err((name, kept)) => {
                self.kept.insert(name, kept);
                return Ok(Reply::Done);
            }
        };
        match to {
            Place::Register(register) => self.set_register(tid?, register, value)?,
            Place::Memory { at, size } => {
                tid?;
                let pid = self.selected_pid()?;
                let bytes = value.to_raw().to_le_bytes();
                self.write_through_sites(pid, at, &bytes[..size.min(8)])?;
            }
            Place::Bits { at, field } => {
                tid?;
                let pid = self.selected_pid()?;
                let (mut word, length) = ([0; 8], field.bytes.into());
                let space = self.space_of_pid(pid)?;
                let memory = CleanMemory { raw: &RawMemory { inferior: &self.inferior, pid }, sites: &space.sites };
                let read = memory.read_exact(at, &mut word[..length]);
                read.map_err(|error| ApiError::target(error.to_string()))?;
                let with = field.replace(u64::from_le_bytes(word), value.to_raw());
                self.write_through_sites(pid, at, &with.to_le_bytes()[..length])?;
            }
            Place::Variable(name) => return Err(ApiError::internal(format!("${name} was not kept"))),
        }
        Ok(Reply::Done)
    }

    /// `whatis`, `ptype`.
    pub(in crate::engine) fn type_of(&self, text: &str, detail: TypeDetail) -> Result<Reply, ApiError> {
        let shown = self.with_names(|names, _| {
            let (ty, is_name) = match lang::described_type(text, names) {
                Some(named) => (named, true),
                None => {
                    let compiled = Expression::compile(text, names).map_err(|error| explain(&error, text))?;
                    match (compiled.described_type(), compiled.vector_shape()) {
                        (Some(ty), _) => (ty, false),
                        (None, Some(shape)) if detail == TypeDetail::Name => {
                            return Ok(format!("type = {}", shape.type_name()))
                        }
                        (None, Some(shape)) => return Ok(format!("type = {}", shape.definition())),
                        (None, None) => return Ok(format!("type = {}", compiled.ty())),
                    }
                }
            };
            let DebugType { module, id } = ty;
            let mut shown = String::new();
            names.look(module, &mut |types| {
                let text = match detail {
                    TypeDetail::Name if is_name => types.name(types.unaliased(id)),
                    TypeDetail::Name => types.name(id),
                    TypeDetail::Definition => describe_with(types, id, Functions::Listed),
                    TypeDetail::Data => describe_with(types, id, Functions::LeftOut),
                    TypeDetail::Layout => return shown = layout(types, id),
                };
                shown = format!("type = {text}");
            });
            Ok::<_, ApiError>(shown)
        })?;
        Ok(Reply::Text { text: shown })
    }
}
