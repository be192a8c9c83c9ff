//! `print(args)`: all arguments of a call as one text, in the form in which bpftrace prints structures.

use crate::lang::script::point::Side;
use crate::target::syscalls::{decode_call, kernel_call, CallMemory};
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
    let decoded = decode_call(call.number, &call.arguments, memory).arguments;
    let parameters = kernel_call(call.number).map_or("", |one| one.parameters);
    let mut names = parameters.split(", ").map(|one| one.rsplit([' ', '*']).next().unwrap_or_default());
    structure(decoded.into_iter().enumerate().map(|(at, one)| {
        let name = names.next().filter(|name| !name.is_empty()).map_or_else(|| at.to_string(), str::to_owned);
        (name, one.text)
    }))
}
