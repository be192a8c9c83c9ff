//! Vector, x87 and control registers: what `print`, `info registers` and `set` make of them, compared with gdb.

use std::process::Command;

use super::source::batch;
use crate::support::{Fixture, Variant};

/// Expressions that both debuggers show alike.
const ALIKE: [&str; 34] = [
    "$xmm3",
    "$xmm3.v4_float",
    "$xmm3.v4_float[0]",
    "$xmm3.v4_float[1] * 2",
    "$xmm3.v2_int64[1]",
    "$xmm3.v16_int8[3]",
    "$xmm3.v8_half[5]",
    "$xmm3.v8_bfloat16",
    "$xmm3.uint128",
    "$ymm4",
    "$ymm4.v8_int32",
    "$ymm4.v8_int32[6]",
    "$ymm4.v4_double",
    "$ymm4.v2_int128[1]",
    "$st0",
    "$st1",
    "$st2",
    "$st3",
    "$mxcsr",
    "$mxcsr + 0",
    "$fctrl",
    "$fstat",
    "$ftag",
    "$fop",
    "sizeof($ymm4)",
    "sizeof($xmm4.v4_float[0])",
    "$eflags & 0x200",
    "$cs",
    "$orig_rax",
    "$xmm3.v4_float[0] > 1",
    "$st1 > 3",
    "($xmm3.v4_int32[1] & 0xff) == 0",
    "$xmm3.v4_float[3 - 2]",
    "$st1 == $st1",
];

/// The same of types. gdb calls a ymm register's by an internal name, and its rows as a compiler's extension.
const TYPES: [&str; 5] = ["whatis $xmm3", "ptype $xmm3", "whatis $xmm3.v4_float", "whatis $mxcsr", "whatis $eflags"];

fn has(feature: &str) -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").expect("/proc");
    text.split_whitespace().any(|word| word == feature)
}

/// What gdb says of each command at `registers_stand`.
fn of_gdb(fixture: &Fixture, commands: &[String]) -> Vec<String> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]);
    gdb.args(["-ex", "break registers_stand", "-ex", "run"]);
    for one in commands {
        gdb.args(["-ex", "echo @@@\\n", "-ex", one]);
    }
    let output = gdb.arg(fixture.path()).output().expect("gdb runs");
    answers(&String::from_utf8_lossy(&output.stdout), commands.len())
}

fn of_rdbg(fixture: &Fixture, commands: &[String]) -> Vec<String> {
    let mut all = vec!["break registers_stand", "continue"];
    for one in commands {
        all.extend(["echo @@@", one]);
    }
    answers(&batch(fixture, &[], &all).stdout, commands.len())
}

fn answers(text: &str, count: usize) -> Vec<String> {
    let found: Vec<String> = text.split("@@@\n").skip(1).map(|one| one.trim_end().to_owned()).collect();
    assert_eq!(found.len(), count, "{text}");
    found
}

#[test]
fn registers_are_shown_as_gdb_shows_them() {
    let avx = has("avx");
    let wanted = |text: &&&str| avx || !text.contains("ymm");
    let prints = ALIKE.iter().filter(wanted).flat_map(|one| [format!("print {one}"), format!("print/x {one}")]);
    // Of a comparison's truth gdb's int and ours are alike; `print/x` of a float shows its bits in both.
    let commands: Vec<String> = prints.chain(TYPES.iter().filter(wanted).map(|one| (*one).to_owned())).collect();
    for variant in [Variant::O0, Variant::CLANG] {
        let fixture = Fixture::build("registers", variant);
        let (ours, theirs) = (of_rdbg(&fixture, &commands), of_gdb(&fixture, &commands));
        let mut compared = 0;
        for ((command, ours), theirs) in commands.iter().zip(&ours).zip(&theirs) {
            // The last one has what follows the stop.
            let first = |text: &str| text.lines().take_while(|line| !line.starts_with("Process ")).collect::<String>();
            assert_eq!(first(ours), first(theirs), "{command}: rdbg's and gdb's");
            compared += 1;
        }
        assert_eq!(compared, commands.len());
    }
}

#[test]
fn info_registers_shows_what_gdb_shows() {
    let mut commands = vec!["info registers xmm3 st0 st1 mxcsr eflags rax cs al fctrl ftag".to_owned()];
    if has("avx") {
        commands.push("info registers ymm4".to_owned());
        commands.push("info vector".to_owned());
    }
    let fixture = Fixture::build("registers", Variant::O0);
    let (ours, theirs) = (of_rdbg(&fixture, &commands), of_gdb(&fixture, &commands));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        // What the loader left in vectors differs from run to run.
        let set = |text: &str| -> Vec<String> {
            let kept = |line: &&str| {
                ["xmm3 ", "ymm3 ", "ymm4 ", "st", "mxcsr", "cs", "f"].iter().any(|one| line.starts_with(one))
            };
            text.lines().filter(kept).map(str::to_owned).collect()
        };
        assert_eq!(set(ours), set(theirs));
        assert!(!set(ours).is_empty());
    }
    // The instruction pointer has its symbol.
    let rip = of_rdbg(&fixture, &["info registers rip".to_owned()]);
    assert!(rip[0].starts_with("rip            0x") && rip[0].contains("<registers_stand"), "{rip:?}");
}

#[test]
fn parts_of_vectors_and_x87_registers_are_set() {
    let fixture = Fixture::build("registers", Variant::O0);
    let mut commands: Vec<&str> = vec![
        "set var $xmm3.v2_int64[0] = -7",
        "print $xmm3.v2_int64",
        "set var $xmm3.v4_float[3] = 0.5",
        "print $xmm3.v4_float",
        "set var $st1 = 0.1",
        "print $st1",
        "set var $mxcsr = 0x1fa0",
        "print $mxcsr",
        "print $xmm4.v4_float[1] = 1",
        "set var $eax = -1",
        "print $rax",
    ];
    if has("avx") {
        commands.extend(["set var $ymm4.v4_double[3] = 2.5", "print $ymm4.v4_double"]);
        commands.extend(["set var $ymm4.v8_int32[1] += 3", "print $xmm4.v4_int32"]);
    }
    let mut commands: Vec<String> = commands.into_iter().map(str::to_owned).collect();
    commands.retain(|one| !one.starts_with("print $xmm4.v4_float[1] ="));
    let (ours, theirs) = (of_rdbg(&fixture, &commands), of_gdb(&fixture, &commands));
    for ((command, ours), theirs) in
        commands.iter().zip(&ours).zip(&theirs).filter(|((one, _), _)| one.starts_with("print"))
    {
        let value =
            |text: &str| text.lines().next().and_then(|line| line.split_once(" = ")).map(|one| one.1.to_owned());
        assert_eq!(value(ours), value(theirs), "{command}: rdbg's and gdb's");
        assert!(value(ours).is_some(), "{command}: {ours}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let fixture = Fixture::build("registers", Variant::O0);
    let mut wrong = String::new();
    for (command, reason) in [
        ("print $xmm3.v4_float[9]", "there is no element 9"),
        ("print $xmm3.v4_float[-1]", "there is no element -1"),
        ("print $xmm3.v4_float[$eax]", "chosen by a constant"),
        ("print $xmm3.v5_float", "no member named v5_float"),
        ("print $xmm3.v4_float.x", "has no members"),
        ("print $xmm3[0]", "choose a member"),
        ("print $xmm3 + 1", "not a number"),
        ("print &$xmm3", "not in memory"),
        ("print *$xmm3", "not a number"),
        ("set var $xmm3 = 1", "must be a register"),
        ("break main if $xmm3", "not a number"),
        ("info registers xmm99", "there is no register `xmm99`"),
        ("x/4x $xmm3", "not a number"),
    ] {
        let output = batch(&fixture, &[], &["break registers_stand", "continue", command]);
        let said = format!("{}{}", output.stdout, output.stderr);
        if !said.contains(reason) {
            wrong += &format!("{command}: no `{reason}` in\n{said}\n");
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn a_condition_reads_vector_registers_at_each_hit() {
    let fixture = Fixture::build("registers", Variant::O0);
    // xmm5 is -2.5 at the second of these, and not a number at the fourth.
    let output = batch(
        &fixture,
        &[],
        &["break registers_stand if $xmm5.v4_float[0] < -1", "continue", "up", "print number", "print $st1 > 3"],
    );
    assert!(output.stdout.contains("$1 = 1\n"), "{}\n{}", output.stdout, output.stderr);
}

#[test]
fn an_outer_frame_has_the_registers_that_are_kept() {
    let fixture = Fixture::build("registers", Variant::O0);
    let commands = ["break registers_stand", "continue", "up", "info registers rax rbx rip xmm3 mxcsr", "print $xmm3"];
    let output = batch(&fixture, &[], &commands);
    for line in ["rax            <not saved>", "xmm3           <not saved>", "mxcsr          0x1f80"] {
        assert!(output.stdout.contains(line), "no `{line}` in\n{}", output.stdout);
    }
    assert!(output.stdout.contains("\nrbx            0x"), "{}", output.stdout);
    assert!(output.stderr.contains("not saved") || output.stdout.contains("error: not saved"), "{}", output.stderr);
}

#[test]
fn the_history_keeps_a_vector_as_it_was() {
    let fixture = Fixture::build("registers", Variant::O0);
    let commands = [
        "break registers_stand",
        "continue",
        "print $xmm3",
        "set var $xmm3.v4_float[0] = 9",
        "print $1.v4_float[0]",
        "print $xmm3.v4_float[0]",
        "set $old = $st1",
        "print $old + 1",
    ];
    let output = batch(&fixture, &[], &commands);
    for line in ["$2 = 1.5", "$3 = 9", "$4 = 4.1415926535897931"] {
        assert!(output.stdout.contains(line), "no `{line}` in\n{}\n{}", output.stdout, output.stderr);
    }
}
