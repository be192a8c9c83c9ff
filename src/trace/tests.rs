use super::call::Layout;
use std::collections::HashMap;
use std::sync::Arc;

use super::printer::OutputFormat;
use super::*;
use crate::lang::script::point::Side;
use crate::lang::script::program::Clock;
use crate::lang::script::{compile, CompileOptions, Program, Safety, Source};

/// A task whose memory and registers are given.
#[derive(Default)]
struct FakeTask {
    memory: HashMap<u64, u8>,
    arguments: [u64; 6],
    returned: u64,
    comm: &'static str,
}

impl FakeTask {
    fn with(mut self, at: u64, bytes: &[u8]) -> FakeTask {
        self.memory.extend(bytes.iter().enumerate().map(|(offset, byte)| (at + offset as u64, *byte)));
        self
    }
}

impl Hit for FakeTask {
    fn pid(&self) -> u64 {
        4283
    }
    fn tid(&self) -> u64 {
        4568
    }
    fn comm(&self) -> Text {
        Text::new(self.comm.as_bytes())
    }
    fn comm_of(&self, _: u64) -> Text {
        Text::new(b"other")
    }
    fn owner(&self) -> (u32, u32) {
        (0, 7)
    }
    fn cpu(&self) -> u64 {
        1
    }
    fn parent(&self) -> u64 {
        1
    }
    fn control_group(&self) -> u64 {
        77
    }
    fn read(&self, at: u64, buf: &mut [u8]) -> usize {
        let mut got = 0;
        while let Some(byte) = (got < buf.len()).then(|| self.memory.get(&(at + got as u64))).flatten() {
            buf[got] = *byte;
            got += 1;
        }
        got
    }
    fn register(&self, number: u16) -> u64 {
        u64::from(number)
    }
    fn argument(&self, number: u8) -> u64 {
        self.arguments[usize::from(number)]
    }
    fn whole_arguments(&self, _: Side) -> Text {
        Text::new(format!("{{ .fildes = {} }}", self.arguments[0]).as_bytes())
    }
    fn return_value(&self) -> u64 {
        self.returned
    }
    fn syscall(&self) -> SyscallHit {
        SyscallHit { number: 49, arguments: self.arguments }
    }
    fn signal(&self) -> u64 {
        11
    }
    fn probe(&self) -> Text {
        Text::new(b"uprobe:/bin/a:f")
    }
    fn function(&self) -> Text {
        Text::new(b"f")
    }
    fn duration(&self) -> u64 {
        5
    }
    fn stack(&self, _: u32) -> Option<Arc<StackValue>> {
        let at = crate::base::VirtAddr(0x1234);
        Some(Arc::new(StackValue { pid: crate::base::Pid(1), frames: vec![(at, at)], space: Arc::default() }))
    }
    fn symbol(&self, _: u64) -> Option<Arc<StackValue>> {
        None
    }
    fn symbol_address(&self, _: &str) -> u64 {
        0
    }
    fn command_line(&self, _: u64) -> Text {
        Text::new(b"")
    }
    fn peer(&self, _: u64) -> Text {
        Text::new(b"")
    }
    fn child(&self) -> u64 {
        0
    }
}

struct Still;

impl Machinery for Still {
    fn clock(&self, _: Clock) -> u64 {
        1_000
    }
    fn processors(&self) -> u32 {
        2
    }
}

/// Runs every probe once, prints the maps, and gives what was printed.
fn run_as(format: OutputFormat, script: &str, task: &dyn Hit) -> String {
    let options = CompileOptions { parameters: &[], environment: &|_| None, safety: Safety::Unsafe };
    let source = Source { name: "stdin".into(), text: script.into() };
    let compiled = compile(&source, &options).unwrap_or_else(|errors| panic!("{}", source.explain(&errors[0])));
    output(compiled.program, format, task)
}

/// Runs every probe of a program once.
fn output(program: Program, format: OutputFormat, task: &dyn Hit) -> String {
    let program = Arc::new(program);
    let (output, records) = record::queue();
    let mut machine = Machine::new(Arc::clone(&program), output, Box::new(Still));
    for at in 0..program.probes.len() {
        machine.run(at, task);
    }
    machine.print_maps();
    machine.output().send_surely(Record::End(0));
    let mut text = Vec::new();
    let format_time = Box::new(|format: &str, at: u64| format!("<{format} {at}>"));
    run_printer(&records, PrinterOptions { program, format, layout: Layout::None, format_time }, |printed| {
        if let Printed::Text(_, part) = printed {
            text.extend(part);
        }
    });
    String::from_utf8(text).unwrap()
}

fn run(script: &str) -> String {
    run_as(OutputFormat::Text, script, &FakeTask { comm: "wrk:worker_0", ..FakeTask::default() })
}

#[test]
fn printf_converts_as_c_does() {
    let script = r#"BEGIN { printf("%d %5d|%-5d|%05d %x %#x %o %u %c %p\n", -1, 42, 42, -42, 255, 255, 8, -1, 65, 4096);
        printf("%d %ld %lu %hhd %hx\n", 0x1ffffffff, 0x1ffffffff, -1, 300, 0x12345);
        printf("%s|%-16s|%16s|%.3s\n", "a", comm, comm, "abcdef"); printf("100%%\n"); printf("%s %s\n", 5, (1, "x")); }"#;
    assert_eq!(
        run(script),
        "-1    42|42   |-0042 ff 0xff 10 4294967295 A 0x1000\n-1 8589934591 18446744073709551615 44 2345\n\
         a|wrk:worker_0    |    wrk:worker_0|abc\n100%\n5 (1, x)\n"
    );
}

#[test]
fn maps_are_printed_by_value_and_scalars_alone() {
    let script = r#"BEGIN { @a = 1; @b["y"] = 3; @b["x"] = 5; @c[1, "k"] = (1, comm); @c[0, "z"] = (2, "w"); @n[tid] = count(); @t = -5; }"#;
    assert_eq!(
        run(script),
        "@a: 1\n@b[y]: 3\n@b[x]: 5\n@c[0, z]: (2, w)\n@c[1, k]: (1, wrk:worker_0)\n@n[4568]: 1\n@t: -5\n"
    );
}

#[test]
fn gathered_values_are_printed_as_bpftrace_prints_them() {
    let script = "BEGIN { $i = 0; while ($i < 4) { @avg = avg($i); @max = max($i); @min = min($i); @stats = stats($i); @sum[1] = sum($i); $i++; } }";
    assert_eq!(
        run(script),
        "@avg: 1\n@max: 3\n@min: 0\n@stats: { .count = 4, .average = 1, .total = 6 }\n@sum[1]: 6\n"
    );
}

#[test]
fn histograms_have_bpftraces_bars() {
    let script = "BEGIN { for ($i : 0..6) { @h = hist($i); } @h = hist(-1); @k[1] = hist(2048); for ($i : 0..30) { @l = lhist($i, 10, 20, 5); } }";
    let full = "@".repeat(52);
    let half = format!("{:<52}", "@".repeat(26));
    let five = format!("{:<52}", "@".repeat(26));
    assert_eq!(
        run(script),
        format!(
            "@h:\n(..., 0)               1 |{half}|\n[0]                    1 |{half}|\n[1]                    1 |{half}|\n[2, 4)                 2 |{full}|\n[4, 8)                 2 |{full}|\n\n\
             @k[1]:\n[2K, 4K)               1 |{full}|\n\n\
             @l:\n(..., 10)             10 |{full}|\n[10, 15)               5 |{five}|\n[15, 20)               5 |{five}|\n[20, ...)             10 |{full}|\n\n"
        )
    );
}

#[test]
fn print_shows_the_greatest_and_divides() {
    let script = r#"BEGIN { for ($i : 0..10) { @[$i] = $i * 10; } print(@, 2); print(@, 2, 10); print(@[3]); clear(@); print("x"); print((1, 2)); }"#;
    assert_eq!(run(script), "@[8]: 80\n@[9]: 90\n@[8]: 8\n@[9]: 9\n30\nx\n(1, 2)\n");
}

#[test]
fn memory_is_read_by_the_structures_that_it_is_cast_to() {
    let address = [2u8, 0, 0x3a, 0x9e, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let task = FakeTask { arguments: [22, 0x1000, 16, 0, 0, 0], comm: "envoy", ..FakeTask::default() };
    let script = r#"tracepoint:syscalls:sys_enter_bind { $sa = (struct sockaddr *)args->umyaddr;
        if ($sa->sa_family == AF_INET) { $s = (struct sockaddr_in *)$sa; $port = ($s->sin_port >> 8) | (($s->sin_port << 8) & 0xff00);
        $ip = ntop(AF_INET, $s->sin_addr.s_addr); printf("comm:%-16s: bind AF_INET: ip:%-16s port:%-5d fd=%d \n", comm, $ip, $port, args->fd);
        @fd2bind[args->fd] = ($ip, $port); } printf("%s\n", sockaddr(args->umyaddr)); print(*$sa); }"#;
    let printed = run_as(OutputFormat::Text, script, &task.with(0x1000, &address));
    assert_eq!(
        printed,
        "comm:envoy           : bind AF_INET: ip:127.0.0.1        port:15006 fd=22 \n127.0.0.1:15006\n\
         { .sa_family = 2, .sa_data = :\u{fffd}\u{7f} }\n@fd2bind[22]: (127.0.0.1, 15006)\n"
    );
}

#[test]
fn a_key_that_is_not_there_is_nothing() {
    let script = r#"BEGIN { @m[1] = (ntop(0), 5); $v = @m[2]; if ($v.1 == 0 && @m[2].1 == 0) { printf("none %d %s\n", $v.1, $v.0); }
        @s[1] = "x"; printf("[%s] %d\n", @s[2], has_key(@s, 1)); delete(@m[1]); printf("%d %d\n", len(@m), len(@s)); clear(@s); }"#;
    assert_eq!(run(script), "none 0 0.0.0.0\n[] 1\n0 1\n");
}

#[test]
fn texts_end_at_their_nul_and_unreadable_ones_are_empty() {
    let task = FakeTask { arguments: [0x1000, 0x9000, 0, 0, 0, 0], ..FakeTask::default() }.with(0x1000, b"hello\0rest");
    let script = r#"uprobe:/bin/a:f { printf("%s|%s|%s|%r|%rh\n", str(arg0), str(arg0, 3), str(arg1), buf(arg0, 7), buf(arg0, 3));
        if (str(arg0) == "hello" && strncmp(str(arg0), "help", 3) == 0 && strcontains("hello", "ell")) { printf("%d\n", *(uint16 *)arg0); } }"#;
    assert_eq!(run_as(OutputFormat::Text, script, &task), "hello|hel||hello\\x00r|68 65 6c\n25960\n");
}

#[test]
fn loops_end_and_flow_out_as_they_are_told() {
    let script = r#"BEGIN { for ($i : 0..10) { if ($i == 2) { continue; } if ($i == 4) { break; } printf("%d ", $i); }
        while (1) { $x = 1; } unroll(3) { printf("u"); } @a[1] = 2; for ($kv : @a) { printf(" %d=%d\n", $kv.0, $kv.1); } clear(@a); return; printf("no"); }"#;
    let printed = run(script);
    assert!(
        printed.ends_with("uuu 1=2\n") && printed.contains("0 1 3 ") && printed.contains("a loop was ended"),
        "{printed}"
    );
}

#[test]
fn a_map_can_be_used_as_a_whole_before_the_probe_that_fills_it() {
    let script = r#"interval:s:1 { print(@seen); print(len(@seen)); for ($kv : @seen) { print($kv.0.1); } clear(@seen); zero(@zeroed); }
        BEGIN { @seen[1, "a"] = count(); @zeroed[2] = 3; }
        interval:s:2 { for ($kv : @seen) { print($kv); } print(@seen); }"#;
    assert_eq!(run(script), "0\n((1, a), 1)\n@seen[1, a]: 1\n@seen[1, a]: 1\n@zeroed[2]: 3\n");
}

#[test]
fn exit_ends_the_run_at_once() {
    assert_eq!(run("BEGIN { printf(\"a\"); exit(); printf(\"b\"); } BEGIN { printf(\"c\"); }"), "a");
}

#[test]
fn a_map_takes_no_more_keys_than_it_may() {
    let printed = run("config = { max_map_keys = 2 } BEGIN { for ($i : 0..5) { @[$i] = 1; } }");
    assert!(printed.contains("Map full") && printed.ends_with("@[0]: 1\n@[1]: 1\n"), "{printed}");
}

#[test]
fn json_is_an_object_a_line() {
    let script =
        r#"BEGIN { printf("a\n"); print(5); @a = 1; @b[1, "x"] = 2; @h = hist(3); @t[1] = (1, "y"); time("%H"); }"#;
    let printed = run_as(OutputFormat::Json, script, &FakeTask::default());
    assert_eq!(
        printed,
        "{\"type\": \"printf\", \"data\": \"a\\n\"}\n{\"type\": \"value\", \"data\": 5}\n{\"type\": \"time\", \"data\": \"<%H 1000>\"}\n\
         {\"type\": \"map\", \"data\": {\"@a\": 1}}\n{\"type\": \"map\", \"data\": {\"@b\": {\"1,x\": 2}}}\n\
         {\"type\": \"hist\", \"data\": {\"@h\": [{\"min\": 2, \"max\": 3, \"count\": 1}]}}\n{\"type\": \"map\", \"data\": {\"@t\": {\"1\": [1,\"y\"]}}}\n"
    );
    for line in printed.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn stacks_are_keys_and_texts() {
    let printed = run("uprobe:/bin/a:f { @[ustack] = count(); @[ustack] = count(); printf(\"%s\", ustack(1)); @k[kstack] = 1; clear(@k); }");
    assert_eq!(printed, "\n        0x1234\n@[\n        0x1234\n]: 2\n");
}

/// What a program prints, or why it does not run.
fn outcome(script: &str) -> String {
    let parameters = ["42".to_owned(), "hello".to_owned()];
    let options = CompileOptions { parameters: &parameters, environment: &|_| None, safety: Safety::Unsafe };
    let source = Source { name: "stdin".into(), text: script.into() };
    match compile(&source, &options) {
        Err(errors) => {
            let told = source.explain(&errors[0]);
            let lines = told.lines().enumerate().filter(|(at, line)| *at == 0 || line.starts_with("HINT: "));
            lines.map(|(_, line)| line.to_owned()).collect::<Vec<_>>().join("\n")
        }
        Ok(compiled) => {
            let task = FakeTask { comm: "wrk:worker_0", arguments: [0x2000, 7, 0, 0, 0, 0], ..FakeTask::default() };
            output(compiled.program, OutputFormat::Text, &task.with(0x2000, b"\x03text\0"))
        }
    }
}

/// The cells of the tables of docs/trace-language.md: the number of the line, and what stands in each.
fn table_rows() -> Vec<(usize, Vec<String>)> {
    let text = include_str!("../../docs/trace-language.md");
    let rows = text.lines().enumerate().filter(|(_, line)| line.starts_with("| ") && !line.starts_with("| Construct"));
    rows.map(|(at, line)| (at + 1, cells(line))).collect()
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim_matches('|').replace("\\|", "\u{1}");
    let plain = |cell: &str| cell.trim().trim_matches('`').trim().replace('\u{1}', "|").replace(" ⏎ ", "\n");
    inner.split('|').map(plain).collect()
}

#[test]
fn the_table_of_the_language_is_true() {
    let rows = table_rows();
    assert!(rows.len() > 120, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (line, cells) in rows {
        let [construct, status, program, given] = cells.as_slice() else {
            wrong.push(format!("line {line}: {} cells", cells.len()));
            continue;
        };
        if program == "–" {
            continue;
        }
        let outcome = outcome(program).trim().to_owned();
        let refused = outcome.starts_with("stdin:1:") && outcome.contains(": ERROR: ");
        if outcome != given.trim() || (status == "no" && !refused) {
            wrong.push(format!("line {line}, {construct}: {status}, {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
