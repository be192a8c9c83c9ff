//! Source lines as text.

use crate::api::SourceText;

use super::style::Style;

/// The lines with their numbers; the current one is marked.
pub fn source_text(source: &SourceText, style: Style) -> String {
    let last = source.first.saturating_add(source.lines.len() as u32);
    let width = last.to_string().len().max(4);
    let mut rows: Vec<String> = Vec::new();
    for (number, line) in (source.first..).zip(&source.lines) {
        let text = line.replace('\t', "        ");
        let row = match source.current == Some(number) {
            true => format!(
                "{} {}  {}",
                style.marker("->"),
                style.address(&format!("{number:>width$}")),
                style.headline(&text)
            ),
            false => format!("   {}  {text}", style.address(&format!("{number:>width$}"))),
        };
        rows.push(row.trim_end().to_owned());
    }
    if let Some(note) = &source.note {
        rows.push(format!("  ({note})"));
    }
    rows.join("\n")
}

/// A text with source lines below it.
pub fn with_source(text: String, source: Option<&SourceText>, style: Style) -> String {
    match source {
        Some(source) => format!("{text}\n{}", source_text(source, style)),
        None => text,
    }
}
