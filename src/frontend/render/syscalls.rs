//! Breakpoints on system calls as text.

use crate::api::{CaughtCall, SyscallSide, SyscallSpec};

use super::places::call_text;
use super::style::Style;

/// `catch syscall bind listen`, as it would be typed.
pub fn syscalls_text(spec: &SyscallSpec) -> String {
    let side = match spec.side {
        SyscallSide::Both => "",
        SyscallSide::Entry => " --entry",
        SyscallSide::Return => " --return",
    };
    let calls = if spec.calls.is_empty() { String::new() } else { format!(" {}", spec.calls.join(" ")) };
    format!("catch syscall{side}{calls}")
}

/// ` = 3`; nothing where nothing is known.
pub fn returned_text(returned: Option<&str>) -> String {
    returned.map(|returned| format!(" = {returned}")).unwrap_or_default()
}

/// `Catchpoint 1, entering bind(fd=3, ..)` or `Catchpoint 1, bind(fd=3, ..) = 0`, one a line.
pub fn caught_calls_text(hits: &[CaughtCall], style: Style) -> String {
    let one = |hit: &CaughtCall| {
        let entering = if hit.returned.is_none() { "entering " } else { "" };
        let returned = returned_text(hit.returned.as_deref());
        format!("Catchpoint {}, {entering}{}{returned}", hit.id, call_text(&hit.call, style))
    };
    hits.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::FunctionCall;

    #[test]
    fn both_sides_of_a_call_are_told_apart() {
        let call = || FunctionCall { function: "getpid".into(), module: None, arguments: Vec::new() };
        let hits = [
            CaughtCall { id: 2, call: call(), returned: None },
            CaughtCall { id: 2, call: call(), returned: Some("7".into()) },
        ];
        assert_eq!(
            caught_calls_text(&hits, Style::Plain),
            "Catchpoint 2, entering getpid()\nCatchpoint 2, getpid() = 7"
        );
        let spec = SyscallSpec { calls: vec!["bind".into(), "49".into()], side: SyscallSide::Return };
        assert_eq!(syscalls_text(&spec), "catch syscall --return bind 49");
    }
}
