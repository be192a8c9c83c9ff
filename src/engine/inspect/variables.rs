//! Arguments and variables of frames, as they are shown.

use super::frame_scope::FrameScope;
use super::inlined::ShownFrame;
use crate::api::{self, ApiError, Reply, Toggle, VariableRow, VariableSet};
use crate::base::{Inferior, Tid};
use crate::binary::dwarf::VariableKind;
use crate::engine::state::Engine;
use crate::lang::typed::{Extent, Held, Inspector, Style};

impl<I: Inferior> Engine<I> {
    /// `info locals`, `info args`.
    pub(in crate::engine) fn list_variables(&self, set: VariableSet) -> Result<Reply, ApiError> {
        let (tid, shown) = self.selected_frame()?;
        let listed = self.with_scope(tid, &shown, |scope| {
            if scope.chain.is_empty() {
                return None;
            }
            let types = scope.module.loaded.module.dwarf().types();
            let inspector = Inspector::new(&types, scope.module.memory, self, self.settings.style());
            let wanted = match set {
                VariableSet::Arguments => VariableKind::Argument,
                VariableSet::Locals => VariableKind::Local,
            };
            let variables = scope.variables(&types);
            let rows = variables.iter().filter(|one| one.kind == wanted).map(|one| VariableRow {
                name: one.name.clone(),
                ty: types.name(one.ty),
                value: inspector.show(&scope.value(&types, one)),
            });
            Some(rows.collect::<Vec<_>>())
        });
        match listed.flatten() {
            Some(rows) => Ok(Reply::Variables { set, rows }),
            None => {
                Err(ApiError::user(format!("there is no debug information for the function at {}", shown.frame.pc))
                    .with_hint(
                        "arguments are in registers: `info registers`, or break at the function's first instruction",
                    ))
            }
        }
    }

    /// A frame's arguments on one line; `None` where the debug information tells of none: there is none, or the function is
    /// written in assembly.
    pub(super) fn frame_arguments(&self, tid: Tid, shown: &ShownFrame) -> Option<Vec<api::Argument>> {
        self.with_scope(tid, shown, |scope| self.brief_arguments(scope)).flatten()
    }

    fn brief_arguments(&self, scope: &FrameScope<'_>) -> Option<Vec<api::Argument>> {
        let function = scope.chain.last()?;
        let types = scope.module.loaded.module.dwarf().types();
        if types.is_assembly(function.entry) {
            return None;
        }
        let style = Style { extent: Extent::Brief, ..self.settings.style() };
        let inspector = Inspector::new(&types, scope.module.memory, self, style);
        let variables = types.arguments(function);
        let shown = variables.iter().map(|one| {
            let value = scope.value(&types, one);
            let certain = if matches!(value.place, Held::Unknown(_)) { Toggle::Off } else { Toggle::On };
            api::Argument { name: Some(one.name.clone()), text: inspector.show(&value), certain }
        });
        Some(shown.collect())
    }
}
