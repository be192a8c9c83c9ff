//! What is shown at every stop, printf, and rows of elements; compared with gdb's where it has the same.

use std::process::Command;

use super::source::batch;
use crate::support::{Fixture, Variant};

#[test]
fn displays_are_shown_at_every_stop_where_they_mean_something() {
    let fixture = Fixture::build("variables", Variant::O0);
    let commands = [
        "display 40 + 2",
        "break f",
        "continue",
        "display n",
        "display/x n + 16",
        "display/i $pc",
        "continue",
        "disable display 1",
        "undisplay 3",
        "up",
        "display sum",
        "finish",
        "info display",
        "display no_such_thing",
        "undisplay 9",
        "undisplay",
        "info display",
    ];
    let output = batch(&fixture, &[], &commands);
    let text = &output.stdout;
    let stops: Vec<&str> = text.split("Breakpoint 1, ").skip(1).collect();
    assert_eq!(stops.len(), 3, "{text}");
    assert!(stops[0].contains("\n1: 40 + 2 = 42\n2: n = 0\n3: /x n + 16 = 0x10\n4: x/i $pc\n=> 0x"), "{text}");
    assert!(stops[1].contains("\n1: 40 + 2 = 42\n2: n = 1\n3: /x n + 16 = 0x11\n4: x/i $pc\n=> 0x"), "{text}");
    assert!(stops[1].contains("5: sum = 1\n"), "{text}");
    // `sum` is the caller's.
    assert!(stops[2].contains("\n2: n = 2\n4: x/i $pc\n=> 0x"), "{text}");
    let (_, listed) = stops[2].rsplit_once("=> 0x").expect("the instruction");
    assert!(listed.contains("\n1: 40 + 2  (disabled)\n2: n\n4: /i $pc\n5: sum\nNothing is displayed"), "{text}");
    let errors = &output.stderr;
    assert!(errors.contains("no_such_thing") && errors.contains("there is no display 9"), "{errors}");
}

/// The lines that follow the stop.
fn lines_of(text: &str, mark: &str) -> Vec<String> {
    let (_, after) = text.rsplit_once(mark).unwrap_or_else(|| panic!("no `{mark}` in\n{text}"));
    after.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[test]
fn printf_and_rows_of_elements_are_as_gdbs() {
    let commands = [
        r#"printf "n=%d name=%s 100%% %5.2f|%-6d|%x|%#o|%05d|%c\n", n, p->name, 2.5, n, n + 17, 8, n, p->name[0]"#,
        r#"printf "%s and %.1s|%8s|%-8s|\n", p->next->name, p->name, p->name, p->name"#,
        r#"printf "%lu %lx %e %g\n", 5000000000, 5000000000, 0.5, 1e30"#,
        "print p->name[0]@3",
        "print *p->next@1",
        "print/x n@1",
        "print (&p->x)[0]@p->x - 2",
        "print *(int *) p@1",
    ];
    let fixture = Fixture::build("variables", Variant::O0);
    let ours = [&["break f if n == 7", "continue", "next", "echo @@@\\n"][..], &commands].concat();
    let ours = lines_of(&batch(&fixture, &[], &ours).stdout, "@@@\n");
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]);
    for one in ["break f if n == 7", "run", "echo @@@\\n"].iter().chain(&commands) {
        gdb.args(["-ex", one]);
    }
    let theirs = gdb.arg(fixture.path()).output().expect("gdb runs");
    let theirs = lines_of(&String::from_utf8_lossy(&theirs.stdout), "@@@\n");
    assert!(theirs.len() == commands.len(), "{theirs:#?}");
    assert_eq!(ours[..theirs.len()], theirs[..]);
}

#[test]
fn what_cannot_be_printed_says_why() {
    let fixture = Fixture::build("variables", Variant::O0);
    let output = batch(
        &fixture,
        &[],
        &[
            "break f",
            "continue",
            "print n@0",
            "print 5@3",
            "print n@100001",
            "print *p@no_such",
            "printf \"%s\\n\", p->next",
            "printf \"%s\\n\", (char *) 16",
            "printf \"%d\\n\"",
        ],
    );
    let text = format!("{}{}", output.stdout, output.stderr);
    for part in ["0 is no count", "`5` is not in memory", "100001 is no count", "no_such", "0x10", "takes 1 values"] {
        assert!(text.contains(part), "`{part}` in\n{text}");
    }
}

#[test]
fn global_data_is_listed_by_pattern() {
    let fixture = Fixture::build("variables", Variant::O0);
    let output = batch(&fixture, &[], &["info variables ^total$", "info variables ^main$", "info variables ("]);
    assert!(output.stdout.contains(" total"), "{}", output.stdout);
    assert!(output.stdout.contains("No symbol matches."), "functions are no variables:\n{}", output.stdout);
    assert!(output.stderr.contains("error"), "{}", output.stderr);
}
