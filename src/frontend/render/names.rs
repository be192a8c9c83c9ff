//! Where the names of modules come from, as text.

use crate::api::{NameSourceRow, NameSourcesRow};

/// `info symbols-source`, `rdbg symbols --sources`: for each module a paragraph.
pub fn name_sources(rows: &[NameSourcesRow]) -> String {
    if rows.is_empty() {
        return "No modules.".to_owned();
    }
    rows.iter().map(one_module).collect::<Vec<_>>().join("\n")
}

fn one_module(row: &NameSourcesRow) -> String {
    let id = row.build_id.as_ref().map_or_else(|| "no build-id".to_owned(), |id| format!("build-id {id}"));
    let mut lines = vec![format!("{}  {id}", row.path.display())];
    lines.extend(row.sources.iter().map(one_source));
    if row.functions > 0 {
        lines.push(format!("  eh_frame   {} functions, {} of them without a name", row.functions, row.unnamed));
    }
    lines.extend(row.missing.iter().map(|line| format!("  missing    {}", line)));
    lines.join("\n")
}

fn one_source(source: &NameSourceRow) -> String {
    let from = source.from.as_ref().map_or_else(String::new, |path| format!("  from {}", path.display()));
    format!("  {:<10} {} names{from}", source.source, source.count)
}
