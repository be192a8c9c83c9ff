//! What is shown at every stop.

use super::super::repl::Detail;
use super::reply::reply_text;
use super::style::Style;
use crate::api::{DisplayRow, Reply, Toggle};

/// `1: /x errno = 0x4`, or the line and what `x` shows under it; without what it came to, as it is listed.
pub fn display_text(row: &DisplayRow, style: Style) -> String {
    let DisplayRow { id, spec, expression, .. } = row;
    let slash = if spec.is_empty() { String::new() } else { format!("/{spec} ") };
    match &row.shown {
        Some(Reply::Text { text }) if !text.contains('\t') => format!("{id}: {slash}{expression} = {text}"),
        Some(reply) => format!("{id}: x{slash}{expression}\n{}", reply_text(reply, Detail::Plain, style)),
        None => {
            let state = if row.enabled == Toggle::On { "" } else { "  (disabled)" };
            format!("{id}: {slash}{expression}{state}")
        }
    }
}

/// Several, one under the other.
pub fn displays_text(rows: &[DisplayRow], style: Style) -> String {
    match rows {
        [] => "Nothing is displayed at stops.".to_owned(),
        rows => rows.iter().map(|row| display_text(row, style)).collect::<Vec<_>>().join("\n"),
    }
}
