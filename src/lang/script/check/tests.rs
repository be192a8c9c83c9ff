use super::super::program::{Action, Code};
use super::super::types::{Aggregate, Sign, Ty};
use super::super::Source;
use super::*;

fn compile_with(text: &str, parameters: &[&str]) -> Result<Compiled, String> {
    let parameters: Vec<String> = parameters.iter().map(|one| (*one).to_owned()).collect();
    let environment = |name: &str| (name == "ENVOY_PID").then(|| "4283".to_owned());
    let options = CompileOptions { parameters: &parameters, environment: &environment, safety: Safety::Safe };
    let source = Source { name: "stdin".into(), text: text.into() };
    compile(&source, &options)
        .map_err(|errors| errors.iter().map(|error| source.explain(error)).collect::<Vec<_>>().join("\n"))
}

fn program(text: &str) -> Program {
    compile_with(text, &[]).unwrap_or_else(|error| panic!("{error}")).program
}

fn error(text: &str) -> String {
    compile_with(text, &[]).expect_err("an error").lines().next().unwrap_or_default().to_owned()
}

/// The type of a map's values.
fn value_of(program: &Program, name: &str) -> Ty {
    program.maps.iter().find(|map| map.name == name).map(|map| map.value.clone()).expect("the map")
}

#[test]
fn a_block_is_there_once_for_each_attach_point() {
    let program = program("BEGIN, END { @a = 1; }\nuprobe:/bin/a:f, uretprobe:/bin/a:f /pid == 1/ { @b = count(); }");
    let texts: Vec<&str> = program.probes.iter().map(|probe| probe.text.as_str()).collect();
    assert_eq!(texts, ["BEGIN", "END", "uprobe:/bin/a:f", "uretprobe:/bin/a:f"]);
    assert!(program.probes[2].predicate.is_some());
    assert_eq!(value_of(&program, "@b"), Ty::Aggregate(Aggregate::Count));
}

#[test]
fn wildcards_over_system_calls_are_spelled_out() {
    let program = program("tracepoint:syscalls:sys_enter_epoll_* { @[probe] = count(); }");
    let names: Vec<&str> = program.probes.iter().map(|probe| probe.text.rsplit('_').next().unwrap()).collect();
    assert_eq!(names, ["create", "wait", "ctl", "pwait", "create1", "pwait2"]);
    assert!(Arc::ptr_eq(&program.probes[0].body, &program.probes[0].body));
}

#[test]
fn types_flow_from_a_later_probe_to_an_earlier_one() {
    let text = "tracepoint:syscalls:sys_enter_close { printf(\"%d\", @fd[args->fd].1); }
        tracepoint:syscalls:sys_enter_dup { @fd[args->fildes] = (comm, args->fildes); }";
    let program = program(text);
    assert_eq!(value_of(&program, "@fd"), Ty::Tuple([Ty::Text, Ty::UINT].into()));
    assert_eq!(program.maps[0].key, [Ty::UINT]);
}

#[test]
fn structures_are_read_field_by_field() {
    let text = "tracepoint:syscalls:sys_enter_bind {
        $s = (struct sockaddr_in *)args->umyaddr; @port = $s->sin_port; @addr = ntop($s->sin_addr.s_addr); }";
    let program = program(text);
    assert_eq!(value_of(&program, "@port"), Ty::Integer(2, Sign::Unsigned));
    let Action::SetMap(_, None, Code::Load { bytes: 2, .. }) = &program.probes[0].body[1] else {
        panic!("{:?}", program.probes[0].body)
    };
}

#[test]
fn definitions_of_the_script_are_known() {
    let text = "#define TWICE(x) ((x) * 2)\n#define FOUR TWICE(2)\nstruct pair { int a; char name[8]; };
        enum way { IN = 1, OUT };
        uprobe:/bin/a:f { $p = (struct pair *)arg0; @a = $p->a + FOUR; @n[$p->name] = OUT; @s = sizeof(struct pair); }";
    let program = program(text);
    assert_eq!(program.maps.iter().find(|map| map.name == "@n").unwrap().key, [Ty::Text]);
    assert!(program.probes[0].body.iter().any(|one| matches!(one, Action::SetMap(_, None, Code::Integer(12)))));
}

#[test]
fn integers_of_different_signs_meet_in_a_type_that_holds_both() {
    let program = program(
        "uprobe:/bin/a:f { @x = (uint32)1; @x = (int16)2; @y = (uint64)1; @y = (int8)1; @p = (int32 *)arg0 + 2; }",
    );
    assert_eq!((value_of(&program, "@x"), value_of(&program, "@y")), (Ty::LONG, Ty::LONG));
    assert_eq!(value_of(&program, "@p"), Ty::INT.pointer());
}

#[test]
fn parameters_are_numbers_or_texts() {
    let program = compile_with("BEGIN { @a = $1; @b = str($2); @c = $#; @d = $9; }", &["42", "hello"]).unwrap().program;
    let constants: Vec<&Action> = program.probes[0].body.iter().collect();
    assert!(matches!(constants[0], Action::SetMap(_, _, Code::Integer(42))));
    assert!(matches!(constants[1], Action::SetMap(_, _, Code::Text(text)) if **text == *b"hello"));
    assert!(matches!(constants[2], Action::SetMap(_, _, Code::Integer(2))));
    assert!(matches!(constants[3], Action::SetMap(_, _, Code::Integer(0))));
}

#[test]
fn what_is_wrong_is_told_as_bpftrace_tells_it() {
    let told = [
        ("BEGIN { nonsense }", "stdin:1:9-17: ERROR: Unknown identifier: 'nonsense'"),
        ("BEGIN { print(@x) }", "stdin:1:15-17: ERROR: Undefined map: @x"),
        ("BEGIN { print($x) }", "stdin:1:15-17: ERROR: Undefined or undeclared variable: $x"),
        ("BEGIN { f(1) }", "stdin:1:9-13: ERROR: Unknown function: 'f'"),
        ("BEGIN { @x = 1; @x[1] = 2 }", "stdin:1:17-26: ERROR: @x used as a map with an explicit key (non-scalar map), previously used without an explicit key (scalar map)"),
        ("BEGIN { @x[1] = 1; @x[1,2] = 2 }", "stdin:1:20-31: ERROR: Argument mismatch for @x: trying to access with arguments: '(int64,int64)' when map expects arguments: 'int64'"),
        ("BEGIN { @x = 1; @x = \"a\" }", "stdin:1:17-25: ERROR: Type mismatch for @x: trying to assign value of type 'string' when map already has a type 'int64'"),
        ("BEGIN { $x = hist(1) }", "stdin:1:14-21: ERROR: hist() must be assigned directly to a map"),
        ("BEGIN { printf(\"%d\") }", "stdin:1:9-21: ERROR: not enough arguments for format string (0 supplied, 1 expected)"),
        ("BEGIN { system(\"ls\") }", "stdin:1:9-21: ERROR: system() is an unsafe function being used in safe mode"),
        ("BEGIN { @ = retval }", "stdin:1:13-19: ERROR: The retval builtin can not be used with 'special' probes"),
        ("t:syscalls:sys_enter_dup { @ = args->x }", "stdin:1:32-39: ERROR: 'struct _tracepoint_syscalls_sys_enter_dup' has no field named 'x'"),
        ("t:syscalls:sys_enter_nope { }", "stdin:1:1-26: ERROR: No matches for tracepoint syscalls:sys_enter_nope."),
        ("BEGIN { $s = (struct nope *)0; }", "stdin:1:15-28: ERROR: Cannot resolve unknown type \"struct nope\""),
        ("BEGIN { if (comm) { } }", "stdin:1:13-17: ERROR: Invalid condition: string"),
        ("BEGIN { @a = 1 ", "stdin:1:16-16: ERROR: syntax: expected ';'"),
        ("BEGIN /1 { }", "stdin:1:10-11: ERROR: syntax: expected '/' to close predicate"),
        ("BEGIN { \"abc }", "stdin:1:15-15: ERROR: syntax: unterminated string"),
        ("BEGIN { 1++ }", "stdin:1:10-12: ERROR: syntax: increment/decrement requires a variable or map"),
        ("uprobe:/a/${NOPE}:f { }", "stdin:1:11-18: ERROR: the environment has no variable 'NOPE'"),
        ("", "stdin:1:1-1: ERROR: No probes to attach"),
    ];
    for (text, message) in told {
        assert_eq!(error(text), message, "{text}");
    }
}

#[test]
fn every_wrong_statement_is_told_of() {
    let told = compile_with("BEGIN { $a = b; $c = d; }", &[]).unwrap_err();
    assert!(told.contains("'b'") && told.contains("'d'"), "{told}");
}

#[test]
fn hostile_scripts_end_in_an_error() {
    for text in [
        format!("BEGIN {{ $a = {}1; }}", "(".repeat(100_000)),
        format!("BEGIN {{ $a = {}1; }}", "-".repeat(100_000)),
        format!("BEGIN {{ $a = {}1; }}", "1 + ".repeat(100_000)),
        format!("BEGIN {{ $a = arg0{}; }}", "[0]".repeat(100_000)),
        format!("BEGIN {{ $a = {}1; }}", "(int8)".repeat(100_000)),
        format!("BEGIN {{ {} }}", "if (1) {".repeat(10_000)),
        format!("BEGIN {{ if (1) {{}} {} }}", "else if (1) {}".repeat(10_000)),
        "#define A A\nBEGIN { $a = A; }".into(),
        "#define A(x) A(x) + A(x)\nBEGIN { $a = A(1); }".into(),
        "struct a { struct a b; };\nBEGIN { }".into(),
        "BEGIN { unroll(1000) { } }".into(),
        "x".repeat(2 << 20),
        "uprobe:a:\u{1F600}f { `".into(),
    ] {
        assert!(compile_with(&text, &[]).is_err(), "{}", &text[..text.len().min(60)]);
    }
}

#[test]
fn the_sample_scripts_of_users_compile_as_they_are() {
    let listen = "tracepoint:syscalls:sys_enter_execve { if( str(args->argv[0]) == \"/usr/local/bin/envoy\" ) { @watchedpid[pid] = pid; } }
        tracepoint:syscalls:sys_enter_setsockopt /@watchedpid[pid]/ { $optval = args->optval; $optval_int = *$optval; @fd2sockopt[args->fd] = (args->level, $optval_int); }
        kretprobe:inet_csk_accept /pid==$1 / { $sk = (struct sock *)retval; $f = $sk->__sk_common.skc_family;
          if ($f == AF_INET) { $d = ntop(0); $d = ntop($sk->__sk_common.skc_daddr); @q = $sk->sk_max_ack_backlog; return; } }
        uprobe:/proc/${ENVOY_PID}/root/usr/local/bin/envoy:*FileEventImpl*assignEvents*
        /pid == $1 && @q/ { printf(\"%s\\n\", kstack); printf(\"%s %s\", ustack, ustack(3)) }
        END { clear(@q); }";
    let compiled = compile_with(listen, &["4283"]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(compiled.warnings.len(), 1);
    assert_eq!(
        compiled.program.probes[3].text,
        "uprobe:/proc/4283/root/usr/local/bin/envoy:*FileEventImpl*assignEvents*"
    );
}
