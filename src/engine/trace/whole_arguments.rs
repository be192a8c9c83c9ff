//! `print(args)`: all arguments of a call as one text, in the form in which bpftrace prints structures.

use crate::lang::script::point::Side;
use crate::target::syscalls::{decode, find_signature, kernel_call, CallMemory};
use crate::trace::{SyscallHit, Text};

/// A text longer than this is cut, bytes.
const LIMIT: usize = 4096;

/// `{ .a = 1, .b = "x" }`.
pub(super) fn structure(members: impl IntoIterator<Item = (String, String)>) -> Text {
    let members: Vec<String> = members.into_iter().map(|(name, text)| format!(".{name} = {text}")).collect();
    let text = match members.is_empty() {
        true => "{ }".to_owned(),
        false => format!("{{ {} }}", members.join(", ")),
    };
    Text::new(&text.as_bytes()[..text.len().min(LIMIT)])
}

/// What `args` has in a system call, by the kernel's names, each decoded where its meaning is known.
pub(super) fn of_call(call: SyscallHit, side: Side, returned: u64, memory: &CallMemory<'_>) -> Text {
    if side == Side::Return {
        return structure([("ret".to_owned(), (returned as i64).to_string())]);
    }
    let Some(known) = kernel_call(call.number) else {
        return structure(call.arguments.iter().enumerate().map(|(at, value)| (at.to_string(), format!("{value:#x}"))));
    };
    let signature = find_signature(known.name).map_or(&[][..], |one| one.parameters);
    let declared = known.parameters.split(", ").filter(|one| !one.is_empty());
    structure(declared.enumerate().map(|(at, declared)| {
        let name = declared.rsplit([' ', '*']).next().unwrap_or_default();
        let text = match signature.get(at) {
            Some(parameter) => decode(parameter.kind, at, &call.arguments, memory),
            None => format!("{:#x}", call.arguments.get(at).copied().unwrap_or_default()),
        };
        (name.to_owned(), text)
    }))
}
