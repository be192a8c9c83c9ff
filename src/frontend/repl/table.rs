//! The one table of commands: names, help, completion and docs/commands.md come from it.

use super::parse::{ParseError, Parsed};
use super::words::Rest;
use super::{breakpoints, catching, data, displays, general, lines, lldb, running, source, stack, syscalls, watch};

/// One command.
pub struct CommandSpec {
    /// Its full name; several words for a command of a family.
    pub name: &'static str,
    /// Other names, written out in full; prefixes need no mention.
    pub aliases: &'static [&'static str],
    /// How it is written.
    pub usage: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Where help lists it.
    pub group: Group,
    /// What an empty line after it does.
    pub repeat: Repeat,
    /// What its arguments complete to.
    pub completes: Completes,
    /// Reads its arguments.
    pub parse: fn(&Rest<'_>) -> Result<Parsed, ParseError>,
}

/// A heading of the help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Breakpoints.
    Breakpoints,
    /// Running and stepping.
    Running,
    /// Threads and stacks.
    Stack,
    /// Source lines.
    Source,
    /// Registers, memory and code.
    Data,
    /// The session itself.
    General,
    /// lldb's long forms.
    Lldb,
}

impl Group {
    /// In the order of the help.
    pub const ALL: [Group; 7] =
        [Group::Breakpoints, Group::Running, Group::Stack, Group::Source, Group::Data, Group::General, Group::Lldb];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Breakpoints => "Breakpoints",
            Group::Running => "Running and stepping",
            Group::Stack => "Processes, threads and stacks",
            Group::Source => "Source",
            Group::Data => "Registers, memory and code",
            Group::General => "The session",
            Group::Lldb => "lldb's long forms",
        }
    }
}

/// What an empty line does after a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// Nothing.
    No,
    /// The same again; `x` goes on where it ended.
    Yes,
}

/// What a command's arguments complete to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Completes {
    /// Nothing.
    Nothing,
    /// Names of functions.
    Symbols,
    /// Paths.
    Files,
    /// Names of commands.
    Commands,
}

/// Every command, in the order of the help.
pub fn all_commands() -> impl Iterator<Item = &'static CommandSpec> {
    [
        breakpoints::COMMANDS,
        catching::COMMANDS,
        watch::COMMANDS,
        syscalls::COMMANDS,
        running::COMMANDS,
        lines::COMMANDS,
        stack::COMMANDS,
        source::COMMANDS,
        data::COMMANDS,
        displays::COMMANDS,
        general::COMMANDS,
        lldb::COMMANDS,
        lldb::MORE_COMMANDS,
        watch::LLDB_COMMANDS,
    ]
    .into_iter()
    .flatten()
}

/// A row of the table: name, aliases, usage, summary; then what differs from the usual.
pub const fn row(
    group: Group,
    name: &'static str,
    aliases: &'static [&'static str],
    usage: &'static str,
    summary: &'static str,
    parse: fn(&Rest<'_>) -> Result<Parsed, ParseError>,
) -> CommandSpec {
    CommandSpec { name, aliases, usage, summary, group, repeat: Repeat::No, completes: Completes::Nothing, parse }
}

impl CommandSpec {
    /// An empty line repeats it.
    pub const fn repeats(mut self) -> Self {
        self.repeat = Repeat::Yes;
        self
    }

    /// Its arguments complete.
    pub const fn completing(mut self, completes: Completes) -> Self {
        self.completes = completes;
        self
    }
}
