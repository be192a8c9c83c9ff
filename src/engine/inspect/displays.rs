//! Expressions that are shown at every stop: `display`.

use crate::api::{ApiError, DisplayChange, DisplayRow, Reply, Toggle};
use crate::base::Inferior;
use crate::engine::state::Engine;
use crate::lang::Expression;

/// An automatic print must not hold the target for long.
const DISPLAYS: usize = 100;

impl<I: Inferior> Engine<I> {
    /// `display`, `undisplay`, `info display`, `enable display`, `disable display`.
    pub(in crate::engine) fn change_displays(&mut self, change: DisplayChange) -> Result<Reply, ApiError> {
        match change {
            DisplayChange::Add { spec, expression } => self.add_display(spec, expression),
            DisplayChange::Show => Ok(Reply::Displays { rows: self.displays_now() }),
            DisplayChange::List => Ok(Reply::Displays { rows: self.displays.clone() }),
            DisplayChange::Remove { ids } => {
                let ids = self.display_ids(ids)?;
                self.displays.retain(|one| !ids.contains(&one.id));
                Ok(Reply::Done)
            }
            DisplayChange::Enable { ids, to } => {
                let ids = self.display_ids(ids)?;
                self.displays.iter_mut().filter(|one| ids.contains(&one.id)).for_each(|one| one.enabled = to);
                Ok(Reply::Done)
            }
        }
    }

    /// As gdb: what means nothing here and now is refused; with no thread that stands it waits for the first stop.
    fn add_display(&mut self, spec: String, expression: String) -> Result<Reply, ApiError> {
        if self.displays.len() >= DISPLAYS {
            return Err(ApiError::user(format!("{DISPLAYS} expressions are displayed already"))
                .with_hint("`undisplay N` takes one away"));
        }
        let shown = match self.selected_frame() {
            Ok(_) => Some(self.display(&spec, &expression)?),
            Err(_) => None,
        };
        self.next.display += 1;
        let row = DisplayRow { id: self.next.display, spec, expression, enabled: Toggle::On, shown };
        self.displays.push(DisplayRow { shown: None, ..row.clone() });
        Ok(Reply::Displays { rows: vec![row] })
    }

    /// The ids that were asked for, which must exist; all for none.
    fn display_ids(&self, ids: Vec<u32>) -> Result<Vec<u32>, ApiError> {
        let known: Vec<u32> = self.displays.iter().map(|one| one.id).collect();
        if ids.is_empty() {
            return Ok(known);
        }
        match ids.iter().find(|id| !known.contains(id)) {
            Some(id) => Err(ApiError::user(format!("there is no display {id}")).with_hint("`info display` lists them")),
            None => Ok(ids),
        }
    }

    /// Those that are enabled and mean something in the selected frame.
    pub(in crate::engine) fn displays_now(&mut self) -> Vec<DisplayRow> {
        let mut rows: Vec<DisplayRow> = self.displays.iter().filter(|one| one.enabled == Toggle::On).cloned().collect();
        rows.retain_mut(|row| {
            let means_something = self.with_names(|names, _| Expression::compile(&row.expression, names).is_ok());
            if means_something {
                let shown = self.display(&row.spec, &row.expression);
                row.shown = Some(shown.unwrap_or_else(|error| Reply::Text { text: format!("<error: {error}>") }));
            }
            means_something
        });
        rows
    }

    fn display(&mut self, spec: &str, expression: &str) -> Result<Reply, ApiError> {
        if examines(spec) {
            return self.examine(spec, Some(expression));
        }
        let style = self.print_style(spec.chars().next())?;
        let printed = self.with_names(|names, environment| self.printed(expression, style, names, environment))?;
        Ok(Reply::Text { text: printed.text })
    }
}

/// Whether a format is `x`'s: it has a count, a size, or is for what lies in memory.
fn examines(spec: &str) -> bool {
    spec.len() > 1 || spec == "i" || spec == "s"
}
