//! What names mean in expressions, and the kinds of values that they reach; compared with gdb's answers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::source::batch;
use crate::support::{Fixture, Rdbg, Variant};

/// The values that `print` showed: `$1 = ..` and so on.
fn printed(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| line.starts_with('$'));
    lines.filter_map(|line| line.split_once(" = ")).map(|(_, value)| value).collect()
}

/// What gdb prints after these commands.
fn of_gdb(program: &Path, commands: &[&str]) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]);
    for one in commands {
        gdb.args(["-ex", one]);
    }
    let output = gdb.arg(program).output().expect("gdb runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn compile(directory: &Path, name: &str, text: &str, arguments: &[&str]) {
    let source = directory.join(format!("{name}.c"));
    std::fs::write(&source, text).expect("a file of ours");
    let mut gcc = Command::new("gcc");
    let done = gcc.args(["-g", "-O0", "-o", name]).arg(&source).args(arguments).current_dir(directory).output();
    let done = done.expect("gcc runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_plain_name_in_a_librarys_frame_is_not_some_other_files_static() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = directory.path();
    std::fs::write(
        at.join("other.c"),
        "static volatile int state = 2, kept = 7;\nint shared = 8;\nint touch(void) { return state + kept; }\n",
    )
    .expect("a file of ours");
    let library = "int touch(void);\nint side(void) { return touch(); }\n";
    compile(at, "libside.so", library, &["other.c", "-shared", "-fPIC"]);
    let program = "static volatile int state = 1;\nint side(void);\nint main(void) { return side() + state - 10; }\n";
    compile(at, "program", program, &["libside.so", "-Wl,-rpath,$ORIGIN"]);

    let asked = ["print state", "print kept", "print shared"];
    let stops = ["break side", "continue"].iter().chain(&asked);
    let stops: Vec<&str> = stops.chain(&["break touch", "continue"]).chain(&asked).copied().collect();
    let mut words = vec!["run", "--batch"];
    words.extend(stops.iter().flat_map(|one| ["--ex", one]));
    let path = at.join("program");
    words.extend(["--", path.to_str().expect("a path in UTF-8")]);
    let ours = Rdbg::run(words, Duration::from_secs(60));
    assert_eq!(printed(&ours.stdout), ["1", "7", "8", "2", "7", "8"], "{}\n{}", ours.stdout, ours.stderr);
    let theirs: Vec<&str> = ["break main", "run"].iter().chain(&stops).copied().collect();
    assert_eq!(printed(&of_gdb(&path, &theirs)), printed(&ours.stdout));
}

#[test]
fn a_condition_reads_an_argument_that_a_hidden_pointer_passes() {
    let source = include_str!("../../fixtures/values/values.cpp");
    let behind = source.lines().position(|line| line.starts_with("  return letter + little")).expect("a line of it");
    for variant in [Variant::O0, Variant::CLANG_O0] {
        let fixture = Fixture::build("values", variant);
        for place in ["entered".to_owned(), format!("values.cpp:{behind}")] {
            let never = format!("break {place} if copy == \"another text\"");
            let holds = format!("break {place} if copy == \"a string that is longer than what fits in place\"");
            let output = batch(&fixture, &[], &[&never, &holds, "continue", "print number"]);
            let about = format!("{place}, {}:\n{}\n{}", variant.name, output.stdout, output.stderr);
            assert!(output.stdout.contains("Continuing.\nBreakpoint 2"), "{about}");
            assert_eq!(printed(&output.stdout), ["3"], "{about}");
        }
    }
}

const WORDS: &str = "#include <stddef.h>
enum level { LOW, HIGH = 4 };
struct pair { char c; double d; };
struct pair one = {'q', 1.5};
int number = 5;
short row[4] = {1, 2, 3, 4};
wchar_t wide = L'w';
int *pointer = &number;
int main(void) {
  enum level level = HIGH;
  return number + row[0] + *pointer + level + one.c + (int)wide == 0;
}
";

#[test]
fn commas_casts_sizes_and_changes_are_as_gdb_has_them() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    compile(directory.path(), "words", WORDS, &[]);
    let path = directory.path().join("words");
    let asked = [
        "number, row[1]",
        "(number, row[2]) + 1",
        "number = 7",
        "number += 2",
        "number++",
        "++number",
        "number--",
        "--number",
        "number",
        "row[0] <<= 3",
        "$count = number * 2",
        "$count + 1",
        "sizeof(struct pair)",
        "sizeof one.d",
        "_Alignof(struct pair)",
        "_Alignof(int)",
        "_Alignof(short)",
        "(typeof(number))2.5",
        "*(typeof(pointer))pointer",
        "'a' + 1",
        "level",
    ];
    let commands: Vec<String> = asked.iter().map(|one| format!("print {one}")).collect();
    let whatis = ["whatis typeof(pointer)", "whatis __typeof__(one.d)", "whatis L'a'"];
    let commands: Vec<&str> = commands.iter().map(String::as_str).chain(whatis).collect();
    let stops = ["break words.c:11", "continue"];
    let mut words = vec!["run", "--batch"];
    words.extend(stops.iter().chain(&commands).flat_map(|one| ["--ex", one]));
    words.extend(["--", path.to_str().expect("a path in UTF-8")]);
    let ours = Rdbg::run(words, Duration::from_secs(60));
    let theirs: Vec<&str> = ["break words.c:11", "run"].into_iter().chain(commands.iter().copied()).collect();
    let theirs = of_gdb(&path, &theirs);
    assert_eq!(printed(&ours.stdout).len(), asked.len(), "{}\n{}", ours.stdout, ours.stderr);
    assert_eq!(printed(&ours.stdout), printed(&theirs), "{}", ours.stderr);
    let types =
        |text: &str| text.lines().filter(|line| line.starts_with("type = ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(types(&ours.stdout).len(), whatis.len(), "{}", ours.stderr);
    assert_eq!(types(&ours.stdout), types(&theirs));
}

#[test]
fn cxx_casts_convert_as_cs_do() {
    let fixture = Fixture::build("contained", Variant::O0);
    let table = [
        ("static_cast<char>(65)", "65 'A'"),
        ("static_cast<Color>(5)", "Color::green"),
        ("static_cast<double>(7) / 2", "3.5"),
        ("reinterpret_cast<Item *>(&items[0])->id", "1"),
        ("const_cast<int *>(&numbers[1]) == &numbers[1]", "1"),
        ("sizeof(decltype(items[0]))", "40"),
        ("static_cast<decltype(numbers[0])>(2.75)", "2"),
        ("alignof(Item)", "8"),
    ];
    let prints: Vec<String> = table.iter().map(|(text, _)| format!("print {text}")).collect();
    let mut commands = vec!["break stop", "continue", "up"];
    commands.extend(prints.iter().map(String::as_str));
    let output = batch(&fixture, &[], &commands);
    assert_eq!(printed(&output.stdout), table.map(|(_, value)| value), "{output:?}");
}

#[test]
fn the_session_is_asked_for_threads_signals_and_the_end() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = "#include <pthread.h>\n#include <signal.h>\nstatic int hits;\nvoid work(int n) { hits += n; }\n\
                   static void *body(void *a) { for (int i = 0; i < 3; i++) work(i); return a; }\n\
                   int main(int c, char **v) { pthread_t t; pthread_create(&t, 0, body, 0); pthread_join(t, 0);\n\
                   work(7); raise(SIGUSR2); if (c > 1) *(volatile int *)0x123 = 4; return 3; }\n";
    compile(directory.path(), "asked", program, &["-pthread"]);
    let path = directory.path().join("asked");
    let run = |commands: &[&str], arguments: &[&str]| {
        let mut words = vec!["run", "--batch"];
        words.extend(commands.iter().flat_map(|one| ["--ex", one]));
        words.extend(["--", path.to_str().expect("a path in UTF-8")]);
        words.extend(arguments);
        Rdbg::run(words, Duration::from_secs(60))
    };
    let output = run(
        &[
            "break work if $_thread == 2 && n > 0",
            "continue",
            "print $_thread * 10 + n",
            "print $_tid == $_pid",
            "print $_inferior",
            "condition 1 $_thread == 1",
            "continue",
            "print $_gthread * 10 + n",
            "handle SIGUSR2 stop nopass",
            "continue",
            "print $_siginfo.si_signo",
            "print $_siginfo._sifields._kill.si_pid == $_pid",
            "continue",
            "print $_siginfo._sifields._sigfault.si_addr",
            "set $_thread = 5",
            "continue",
            "print $_exitsignal",
            "print $_siginfo.si_signo",
        ],
        &["fault"],
    );
    assert_eq!(printed(&output.stdout), ["21", "0", "1", "17", "12", "1", "(void *) 0x123", "11"], "{output:?}");
    assert!(output.stderr.contains("`thread N` selects"), "{output:?}");
    assert!(output.stderr.contains("$_siginfo has no si_signo here"), "{output:?}");
    let output = run(&["handle SIGUSR2 nostop nopass", "continue", "print $_exitcode"], &[]);
    assert_eq!(printed(&output.stdout), ["3"], "{output:?}");
}

#[test]
fn variables_are_named_by_their_file_and_by_their_function() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let other = directory.path().join("other.cpp");
    std::fs::write(&other, "static int kept = 22;\nint other() { return kept; }\n").expect("a file of ours");
    let program = "int other();\nstatic int kept = 11;\nint global = 3;\n\
                   int twice(int a) { static int seen = 9; seen += 8; return seen + a; }\n\
                   namespace deep { struct S { int calls(int a) { static int made = 100; return made += a; } }; }\n\
                   int main() {\n  int own = 5; deep::S s;\n  return twice(2) + s.calls(1) + kept + other() + own;\n}\n";
    let source = directory.path().join("scoped.cpp");
    std::fs::write(&source, program).expect("a file of ours");
    let mut compiler = Command::new("g++");
    let done =
        compiler.args(["-g", "-O0", "-o", "scoped", "scoped.cpp", "other.cpp"]).current_dir(directory.path()).output();
    assert!(done.expect("g++ runs").status.success());
    let path = directory.path().join("scoped");
    let asked = [
        "'scoped.cpp'::kept",
        "'other.cpp'::kept",
        "'scoped.cpp'::global",
        "twice::seen",
        "'twice(int)'::seen",
        "main::own",
        "twice::seen = 4",
        "*&twice::seen",
    ];
    let prints: Vec<String> = asked.iter().map(|one| format!("print {one}")).collect();
    let prints: Vec<&str> = prints.iter().map(String::as_str).collect();
    let judged = ["break twice if twice::seen == 9 && 'other.cpp'::kept == 22", "continue", "print a"];
    let ways =
        ["print deep::S::calls::made", "print 'other.cpp'::global", "print 'nowhere.cpp'::kept", "print main::seen"];
    let mut words = vec!["run", "--batch"];
    let commands = judged.iter().chain(&["up"]).chain(&prints).chain(&ways);
    words.extend(commands.flat_map(|one| ["--ex", one]));
    words.extend(["--", path.to_str().expect("a path in UTF-8")]);
    let ours = Rdbg::run(words, Duration::from_secs(60));
    let theirs =
        of_gdb(&path, &["break main", "run"].into_iter().chain(judged).chain(["up"]).chain(prints).collect::<Vec<_>>());
    let (own, other) = (printed(&ours.stdout), printed(&theirs));
    assert_eq!(own[..=asked.len()], other, "{ours:?}");
    assert_eq!(own[asked.len() + 1..], ["100", "3"], "{ours:?}");
    assert!(ours.stderr.contains("no symbol \"'nowhere.cpp'::kept\""), "{ours:?}");
    assert!(ours.stderr.contains("no symbol \"main::seen\""), "{ours:?}");
}
