//! Help texts and docs/commands.md, from the table.

use super::parse::find_spec;
use super::table::{all_commands, CommandSpec, Group};

/// The answer to `help [TOPIC]`; `None` when no command is called so.
pub fn help_text(topic: Option<&str>) -> Option<String> {
    match topic {
        None => Some(overview()),
        Some(topic) => {
            let family: Vec<&CommandSpec> = all_commands()
                .filter(|spec| spec.name.split(' ').next() == Some(topic) && spec.name != topic)
                .collect();
            let mut text = find_spec(topic).map(describe).unwrap_or_default();
            for spec in family {
                text.push_str(&format!("  {:<24} {}\n", spec.name, spec.summary));
            }
            Some(text.trim_end().to_owned()).filter(|text| !text.is_empty())
        }
    }
}

fn describe(spec: &CommandSpec) -> String {
    let mut text = format!("{}\n  usage: {}\n", spec.summary, spec.usage);
    if !spec.aliases.is_empty() {
        text.push_str(&format!("  also: {}\n", spec.aliases.join(", ")));
    }
    text
}

fn overview() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        text.push_str(&format!("{}\n", group.title()));
        for spec in all_commands().filter(|spec| spec.group == group) {
            let short =
                spec.aliases.iter().find(|alias| !alias.contains(' ')).map_or(String::new(), |a| format!(" ({a})"));
            text.push_str(&format!("  {:<24} {}\n", format!("{}{short}", spec.name), spec.summary));
        }
    }
    text.push_str("`help COMMAND` tells how it is used. Any unambiguous beginning of a name will do.");
    text
}

/// The text of docs/commands.md.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Commands\n\nMade from the table in src/frontend/repl; `RDBG_BLESS=1 cargo test --lib frontend` writes it anew.\n\
         Any unambiguous beginning of a name will do. A line may start with `(gdb)`, `(lldb)` or `#` (a comment).\n\
         An empty line repeats the last `stepi`, `nexti` or `x`.\n",
    );
    for group in Group::ALL {
        text.push_str(&format!(
            "\n## {}\n\n| Command | Also | Usage | What it does |\n|---|---|---|---|\n",
            group.title()
        ));
        for spec in all_commands().filter(|spec| spec.group == group) {
            let escape = |text: &str| text.replace('|', "\\|");
            let also: Vec<String> = spec.aliases.iter().map(|alias| format!("`{alias}`")).collect();
            text.push_str(&format!(
                "| `{}` | {} | `` {} `` | {} |\n",
                spec.name,
                also.join(", "),
                escape(spec.usage),
                escape(spec.summary)
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_commands_md_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
        if std::env::var_os("RDBG_BLESS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == markdown(), "docs/commands.md is stale: RDBG_BLESS=1 cargo test --lib frontend");
    }

    #[test]
    fn help_knows_every_command_and_families() {
        assert!(help_text(Some("bt")).unwrap().contains("backtrace [N]"));
        assert!(help_text(Some("info")).unwrap().contains("info threads"));
        assert!(help_text(None).unwrap().contains("breakpoint set"));
        assert_eq!(help_text(Some("nonsense")), None);
    }
}
