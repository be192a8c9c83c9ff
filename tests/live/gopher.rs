//! A Go program: its values, its functions by name and line, and the stack of a goroutine.

use super::source::batch;
use crate::support::{Fixture, Variant};

#[test]
fn a_go_functions_arguments_are_right_at_its_entry() {
    let fixture = Fixture::build("gopher", Variant::O0);
    let entry = format!("tbreak main.go:{}", line_of("func shown("));
    let at_line = format!("break main.go:{}", line_of("// line: stepped"));
    let commands = [
        "tbreak main.shown",
        "continue",
        "info args",
        &entry,
        "continue",
        "info args",
        "tbreak main.square2 if n == 9",
        &at_line,
        "continue",
        "next",
        "continue",
        "info args",
        "finish",
        "next",
        "info locals",
        "continue",
    ];
    let output = batch(&fixture, &[], &commands);
    for shown in [
        "\ntext = \"hello\"\n",
        "\nraw = []uint8(len=5, cap=5) = \"raw\\000\\377\"\n",
        "\ntable = map[string]int(len=2) = {[\"a\"] = 1, [\"b\"] = 2}\n",
        "\nheld = (*main.square) 0x",
        "\nbare = 36.600000000000001\n",
        "\nboth = {Small = 7, Ratio = 0.5}\n",
        "\nthree = {1, -2, 3}\n",
    ] {
        let times = output.stdout.matches(shown).count();
        assert_eq!(times, 2, "`{shown}` in:\n{}\n{}", output.stdout, output.stderr);
    }
    for shown in ["\nfirst = 9\n", "\nsecond = 81\n", "\nn = 9\n", " main.stepped+", " exited with status 0\n"] {
        assert!(output.stdout.contains(shown), "no `{shown}` in:\n{}\n{}", output.stdout, output.stderr);
    }
}

fn line_of(mark: &str) -> usize {
    let source = std::fs::read_to_string("fixtures/gopher/main.go").expect("the source");
    source.lines().position(|line| line.contains(mark)).expect("the mark") + 1
}

#[test]
fn gos_types_are_shown_by_what_they_hold() {
    let fixture = Fixture::build("gopher", Variant::O0);
    let commands = [
        &format!("break main.go:{}", line_of("// line: filled")),
        "continue",
        "info args",
        "info locals",
        "print table",
        "print words[1]",
        "print points[1].Y",
        "print *last",
        "print/r words",
        "print/x raw",
        "bt",
        "delete",
        "continue",
    ];
    let output = batch(&fixture, &[], &commands);
    for shown in [
        " at main.shown+",
        "(text=\"hello\", raw=..., table=0x",
        "\ntext = \"hello\"\n",
        "\nraw = []uint8(len=5, cap=5) = \"raw\\000\\377\"\n",
        "\nheld = (*main.square) 0x",
        "\nvalue = (main.celsius) 36.6",
        "\nboth = {Small = 7, Ratio = 0.5}\n",
        "\nthree = {1, -2, 3}\n",
        "\nwords = []string(len=3, cap=3) = {\"one\", \"two\", \"three\"}\n",
        "\npoints = []main.point(len=2, cap=2) = {{X = 1, Y = 2}, {X = 3, Y = 4}}\n",
        "\nempty = []int(len=0, cap=0) = {}\n",
        "\nnone = nil\n",
        "\nunmade = map[int]string(len=0) = {}\n",
        "\nmany = map[int]int(len=100) = {[",
        "[99] = 9801",
        "\n$1 = map[string]int(len=2) = {[\"a\"] = 1, [\"b\"] = 2}\n",
        "\n$2 = \"two\"\n",
        "\n$3 = 4\n",
        "\n$4 = {Name = \"box\", At = {X = 5, Y = 6}, Side = 3}\n",
        "\n$5 = {array = 0x",
        "\n$6 = []uint8(len=5, cap=5) = {0x72, 0x61, 0x77, 0x0, 0xff}\n",
        " main.main.func1+",
        " runtime.goexit",
        "hello [114 97 119 0 255] map[a:1 b:2]",
        " exited with status 0\n",
    ] {
        assert!(output.stdout.contains(shown), "no `{shown}` in:\n{}\n{}", output.stdout, output.stderr);
    }
    // Each entry of the map once, and the stack to its bottom.
    assert_eq!((0..100).filter(|n| output.stdout.contains(&format!("[{n}] = {}", n * n))).count(), 100);
    assert!(!output.stdout.contains("walk ended"), "{}", output.stdout);
}

/// A goroutine's stack is a few kilobytes on Go's heap.
#[test]
fn nothing_is_called_in_a_go_program() {
    let fixture = Fixture::build("gopher", Variant::O0);
    let at_line = format!("break main.go:{}", line_of("// line: filled"));
    let commands = ["set allow-calls on", &at_line, "continue", "print main.square2(3)", "delete", "continue"];
    let output = batch(&fixture, &[], &commands);
    assert!(output.stderr.contains("may be on a goroutine's stack"), "{output:?}");
    assert!(output.stdout.contains(" exited with status 0\n"), "{output:?}");
}
