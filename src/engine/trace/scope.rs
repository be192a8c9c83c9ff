//! Which processes a script can concern, read from the script: bpftrace sees every process, ptrace must be told.

use crate::base::Pid;
use crate::lang::operator::{BinaryOp, Logical};
use crate::lang::script::point::Point;
use crate::lang::script::program::{Action, Builtin, Code, Function, Program};

/// The process that every probe's predicate asks for: `/pid == $1/`.
pub(super) fn filtered_pid(program: &Program) -> Option<Pid> {
    let mut found = None;
    for probe in &program.probes {
        if probe.point.is_of_no_task() {
            continue;
        }
        let pid = required_pid(probe.predicate.as_ref()?)?;
        if *found.get_or_insert(pid) != pid {
            return None;
        }
    }
    found.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0).map(Pid)
}

/// The pid without which a condition cannot hold.
fn required_pid(condition: &Code) -> Option<u64> {
    let is_pid = |code: &Code| match code {
        Code::Builtin(Builtin::Pid) => true,
        Code::Narrow(of, ..) => **of == Code::Builtin(Builtin::Pid),
        _ => false,
    };
    match condition {
        Code::Logical(Logical::And, a, b) => required_pid(a).or_else(|| required_pid(b)),
        Code::Binary(BinaryOp::Eq, _, a, b) => match (&**a, &**b) {
            (pid, Code::Integer(value)) | (Code::Integer(value), pid) if is_pid(pid) => Some(*value),
            _ => None,
        },
        _ => None,
    }
}

/// The program whose execve the script looks for: a probe on its entry that holds the path or the first argument
/// against a text.
pub(super) fn awaited_program(program: &Program) -> Option<String> {
    let probe = program.probes.iter().find(|one| {
        matches!(&one.point, Point::Syscall { name, side } if name == "execve" && *side == crate::lang::script::point::Side::Entry)
    })?;
    let named = probe.predicate.iter().find_map(compared_text);
    named.or_else(|| probe.body.iter().find_map(text_in_action)).filter(|name| !name.is_empty())
}

fn text_in_action(action: &Action) -> Option<String> {
    match action {
        Action::If(condition, then, otherwise) => {
            compared_text(condition).or_else(|| then.iter().chain(otherwise).find_map(text_in_action))
        }
        Action::Evaluate(code) | Action::SetVariable(_, code) | Action::SetMap(_, _, code) => compared_text(code),
        _ => None,
    }
}

/// The text that `str(args->..) == "text"` has.
fn compared_text(code: &Code) -> Option<String> {
    match code {
        Code::Same(a, b) => match (&**a, &**b) {
            (Code::Call(Function::Str, _), Code::Text(text)) | (Code::Text(text), Code::Call(Function::Str, _)) => {
                Some(String::from_utf8_lossy(text).into_owned())
            }
            _ => None,
        },
        Code::Binary(_, _, a, b) => compared_text(a).or_else(|| compared_text(b)),
        Code::Conditional(condition, ..) => compared_text(condition),
        _ => None,
    }
}

/// The program that all function probes are on.
pub(super) fn probed_file(program: &Program) -> Option<String> {
    let mut found: Option<&str> = None;
    for probe in &program.probes {
        match &probe.point {
            Point::Function { path, .. } | Point::Usdt { path, .. } => {
                if *found.get_or_insert(path) != path {
                    return None;
                }
            }
            Point::Begin | Point::End | Point::Interval { .. } => {}
            _ => return None,
        }
    }
    let path = found?;
    let is_library = path.rsplit('/').next().is_some_and(|name| name.contains(".so"));
    (!is_library && !path.contains('*')).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::script::{compile, CompileOptions, Safety, Source};

    fn program(text: &str) -> Program {
        let parameters = ["4283".to_owned()];
        let options = CompileOptions { parameters: &parameters, environment: &|_| None, safety: Safety::Safe };
        let source = Source { name: "stdin".into(), text: text.into() };
        compile(&source, &options).unwrap_or_else(|errors| panic!("{}", source.explain(&errors[0]))).program
    }

    #[test]
    fn a_pid_that_every_predicate_asks_for_is_the_target() {
        let all =
            "BEGIN {} tracepoint:syscalls:sys_enter_bind /pid == $1/ {} uprobe:/bin/a:f /@x && pid==$1 / { @x = 1; }";
        assert_eq!(filtered_pid(&program(all)), Some(Pid(4283)));
        let some = "tracepoint:syscalls:sys_enter_bind /pid == $1/ {} tracepoint:syscalls:sys_enter_dup {}";
        assert_eq!(filtered_pid(&program(some)), None);
        let either = "tracepoint:syscalls:sys_enter_bind /pid == $1 || pid == 5/ {}";
        assert_eq!(filtered_pid(&program(either)), None);
    }

    #[test]
    fn a_program_that_is_awaited_by_its_execve_is_found() {
        let text = "tracepoint:syscalls:sys_enter_execve { if (str(args->argv[0]) == \"/usr/local/bin/envoy\") { @w[pid] = pid; } }
            tracepoint:syscalls:sys_enter_bind /@w[pid]/ {}";
        assert_eq!(awaited_program(&program(text)).as_deref(), Some("/usr/local/bin/envoy"));
        assert_eq!(awaited_program(&program("tracepoint:syscalls:sys_enter_bind {}")), None);
    }

    #[test]
    fn function_probes_name_their_program() {
        assert_eq!(probed_file(&program("uprobe:./envoy:main {} interval:s:1 {}")).as_deref(), Some("./envoy"));
        assert_eq!(probed_file(&program("uprobe:/lib/libc.so.6:malloc {}")), None);
        assert_eq!(probed_file(&program("uprobe:./a:f, uprobe:./b:f {}")), None);
    }
}
