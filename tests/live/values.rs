//! Arguments and variables by their types, compared with gdb's at the same stops.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use regex::Regex;

use super::source::batch;
use crate::support::{Fixture, Variant};

/// Names and values, addresses made alike.
type Listed = BTreeMap<String, String>;

/// Lines of `name = value`.
fn listed(text: &str) -> Listed {
    let address = Regex::new("0x[0-9a-f]{4,}").expect("a constant");
    let fixed = Regex::new(r", static \w+ = [^,}]*").expect("a constant");
    let lines = text.lines().filter_map(|line| line.split_once(" = ")).filter(|(name, _)| !name.contains(' '));
    let value = |text: &str| {
        let text = text.replace("std::__cxx11::", "std::");
        fixed.replace_all(&address.replace_all(&text, "0xN"), "").into_owned()
    };
    lines.map(|(name, text)| (name.to_owned(), value(text))).collect()
}

/// What gdb lists after these commands.
fn of_gdb(fixture: &Fixture, commands: &[&str]) -> Listed {
    let mut command = Command::new("gdb");
    command.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]);
    let (last, before) = commands.split_last().expect("at least one command");
    for one in before.iter().copied().chain(["echo @@@\\n", last]) {
        command.args(["-ex", one]);
    }
    let output = command.arg(fixture.path()).output().expect("gdb runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    listed(text.split_once("@@@").expect("gdb came to the last command").1)
}

/// What rdbg lists after these commands.
fn of_rdbg(fixture: &Fixture, commands: &[&str]) -> Listed {
    let output = batch(fixture, &[], commands);
    let mark = output.stdout.rfind("thread 1 \"").unwrap_or_else(|| panic!("no stop in:\n{}", output.stdout));
    listed(&output.stdout[mark..])
}

/// Every name that either lists, but the excepted, has the same value in both.
#[track_caller]
fn agree(ours: &Listed, theirs: &Listed, except: &[&str], about: &str) {
    let names: Vec<&String> =
        theirs.keys().chain(ours.keys()).filter(|name| !except.contains(&name.as_str())).collect();
    assert!(names.len() > 4, "{about}: nothing to compare");
    for name in names {
        assert_eq!(ours.get(name), theirs.get(name), "{about}: `{name}`, rdbg's and gdb's");
    }
}

#[test]
fn at_a_functions_entry_arguments_are_where_the_caller_put_them() {
    // gdb stops behind the prologue, rdbg before it: the values are the same.
    for (variant, except) in
        [(Variant::O0, &[][..]), (Variant::DWARF4, &[]), (Variant::CLANG_O0, &["copy", "reference"])]
    {
        let fixture = Fixture::build("values", variant);
        let ours = of_rdbg(&fixture, &["break entered", "continue", "info args"]);
        let theirs = of_gdb(&fixture, &["break entered", "run", "info args"]);
        agree(&ours, &theirs, except, variant.name);
        assert_eq!(ours["reference"], "\"a string that is longer than what fits in place\"", "{}", variant.name);
        assert_eq!(ours["copy"], ours["reference"], "{}", variant.name);
    }
}

#[test]
fn arguments_stand_in_the_stop_the_frame_and_the_backtrace() {
    let fixture = Fixture::build("values", Variant::O0);
    let output = batch(&fixture, &[], &["break entered", "continue", "frame", "bt"]);
    let call = "(letter=99 'c', little=-2, number=3, big=4, single=1.5, real=2.5, truth=true, text=0x";
    assert_eq!(output.stdout.matches(call).count(), 3, "{}", output.stdout);
    assert!(
        output.stdout.contains("small=..., mixed=..., floats=..., large=..., copy=\"a string"),
        "{}",
        output.stdout
    );
}

#[test]
fn variables_have_the_values_that_gdb_gives_them() {
    // A nested scope, bit-fields, pieces in registers, values that the call's description tells.
    let optimised = ["single", "real", "whole", "extended", "rows"];
    for variant in [Variant::O0, Variant::DWARF4, Variant::CLANG_O0, Variant::GCC] {
        let fixture = Fixture::build("values", variant);
        let is_plain = variant.flags.contains(&"-O0");
        // What gdb leaves out: variables that are constants of a floating type.
        let except = if is_plain { &[][..] } else { &optimised };
        for (continues, wanted) in [(0, "info args"), (1, "info locals"), (2, "info locals")] {
            let mut ours = vec!["break stop_here", "continue"];
            let mut theirs = vec!["break stop_here", "run"];
            for _ in 0..continues {
                ours.push("continue");
                theirs.push("continue");
            }
            ours.extend(["up", wanted]);
            theirs.extend(["up", wanted]);
            let about = format!("{}, {wanted} after {continues}", variant.name);
            let strings = if variant.clang { &["copy", "reference"][..] } else { &[] };
            let except = [except, strings].concat();
            agree(&of_rdbg(&fixture, &ours), &of_gdb(&fixture, &theirs), &except, &about);
        }
    }
}

#[test]
fn library_types_are_shown_by_what_they_hold() {
    let commands = ["break stop_here", "continue", "continue", "continue", "continue", "up", "info locals"];
    let of_gcc = Fixture::build("values", Variant::O0);
    let ours = of_rdbg(&of_gcc, &commands);
    let theirs = of_gdb(&of_gcc, &["break stop_here", "run", "continue", "continue", "continue", "up", "info locals"]);
    // gdb has no text of its own for these.
    agree(&ours, &theirs, &["fixed", "wait", "call", "uncallable"], "libstdc++");
    assert_eq!(ours["call"], "std::function<int (int)> = {0xN <twice(int)>}");
    assert_eq!(ours["uncallable"], "std::function<int (int)> [empty]");
    assert_eq!((ours["fixed"].as_str(), ours["wait"].as_str()), ("{1, 2, 3}", "std::chrono::duration = { 15ms }"));
    // The same texts for libc++'s types, as far as they know the same.
    let other = of_rdbg(&Fixture::build("values", Variant::CLANG_O0), &commands);
    agree(&other, &ours, &["bits", "call", "anything"], "libc++");
    assert_eq!(other["bits"], "std::vector<bool> of length 3 = {true, false, true}");
    assert_eq!(other["call"], "std::function<int (int)> = {int (*)(int)}");
}

#[test]
fn elements_beyond_the_setting_are_left_out() {
    let fixture = Fixture::build("values", Variant::O0);
    let to_library = ["break stop_here", "continue", "continue", "continue", "continue", "up"];
    let ours = of_rdbg(&fixture, &[&to_library[..], &["set print elements 2", "info locals"]].concat());
    assert_eq!(ours["numbers"], "std::vector of length 3, capacity 3 = {1, 2...}");
    assert_eq!(ours["queue"], "std::deque with 149 elements = {1, 2...}");
    assert_eq!(ours["ordered"], "std::set with 3 elements = {[0] = 1, [1] = 2...}");
    assert_eq!(ours["text"], "\"te\"...");
}

#[test]
fn a_function_without_debug_information_says_so() {
    let fixture = Fixture::build("hits", Variant::STRIPPED);
    let output = batch(&fixture, &[], &["info locals"]);
    assert!(output.stderr.contains("there is no debug information for the function at 0x"), "{}", output.stderr);
}

/// What each expression is, by gdb or by rdbg.
fn printed(text: &str) -> Vec<String> {
    let address = Regex::new("0x[0-9a-f]{4,}").expect("a constant");
    let shown = text
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(|(name, _)| name.starts_with('$') || *name == "type");
    let fixed = Regex::new(r", static \w+ = [^,}]*").expect("a constant");
    shown.map(|(_, value)| fixed.replace_all(&address.replace_all(value, "0xN"), "").into_owned()).collect()
}

#[track_caller]
fn same_answers(fixture: &Fixture, stop: &[&str], commands: &[&str], about: &str) {
    let mut ours = vec!["break stop_here", "continue"];
    ours.extend(stop);
    ours.extend(commands);
    let ours = printed(&batch(fixture, &[], &ours).stdout);
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "break stop_here", "-ex", "run"]);
    for one in stop.iter().chain(commands) {
        gdb.args(["-ex", one]);
    }
    let output = gdb.arg(fixture.path()).output().expect("gdb runs");
    let theirs = printed(&String::from_utf8_lossy(&output.stdout));
    assert_eq!((ours.len(), theirs.len()), (commands.len(), commands.len()), "{about}: {ours:#?}, gdb's: {theirs:#?}");
    for ((command, own), other) in commands.iter().zip(&ours).zip(&theirs) {
        assert_eq!(own, other, "{about}: `{command}`, rdbg's and gdb's");
    }
}

const EXPRESSIONS: [&str; 55] = [
    "print small.x",
    "print small.y * 2",
    "print nested.matrix[1][2]",
    "print nested.named.inner->y",
    "print nested.number + 1",
    "print *nested.named.inner",
    "print &small",
    "print (long)octet + 1",
    "print bits.middle",
    "print bits.wide + 1",
    "print bits.flag",
    "print holder.held.y",
    "print flags",
    "print flags & READ",
    "print names[1]",
    "print *names",
    "print buffer[1]",
    "print &buffer[1]",
    "print run[12] + run[13]",
    "print rows[1]",
    "print sizeof(small)",
    "print sizeof(struct Nested)",
    "print outer::global",
    "print Derived::count",
    "print of_thread",
    "print function",
    "print functions[0]",
    "print single",
    "print whole / 2",
    "print huge",
    "print reference.x",
    "print bad",
    "print (Small *)&small",
    "print ((Small *)&small)->y",
    "print truth ? 3 : 4",
    "print inner - seed",
    "print hidden.secret",
    "print holder.inside",
    "print ONE",
    "print Colour::Red",
    "print tiny",
    "print wide[1]",
    "print *&small",
    "print nested.matrix[0]",
    "print &nested.matrix",
    "print unit",
    "print/x small",
    "print/x run[2]",
    "print/d octet",
    "print/c buffer[0]",
    "whatis small",
    "whatis &nested.matrix",
    "whatis names",
    "whatis bits.wide",
    "whatis rows[0]",
];

#[test]
fn expressions_over_variables_have_gdbs_answers() {
    for variant in [Variant::O0, Variant::CLANG_O0, Variant::DWARF4] {
        let fixture = Fixture::build("values", variant);
        same_answers(&fixture, &["continue", "up"], &EXPRESSIONS, variant.name);
    }
}

#[test]
fn an_object_is_shown_by_its_own_class() {
    let fixture = Fixture::build("values", Variant::O0);
    let to_objects = ["break stop_here", "continue", "continue", "continue", "up"];
    let ours = |commands: &[&str]| printed(&batch(&fixture, &[], &[&to_objects[..], commands].concat()).stdout);
    let shown = ours(&["print base", "print left", "print base->base + left->left", "print left->base"]);
    assert_eq!(shown, ["(Derived *) 0xN", "(Derived *) 0xN", "3", "1"]);
    assert_eq!(ours(&["set print object off", "print left"]), ["(Left *) 0xN"]);
    same_answers(
        &fixture,
        &["continue", "continue", "up"],
        &["print derived", "print derived.left", "print *base"],
        "objects",
    );
}

#[test]
fn variables_are_set_and_results_are_kept() {
    for variant in [Variant::O0, Variant::CLANG_O0] {
        let fixture = Fixture::build("variables", variant);
        let commands = [
            "break f",
            "continue",
            "set var n = 40",
            "print n",
            "set var p->x = 5",
            "print *p",
            "print $.x + $1",
            "set $mine = p",
            "print $mine->x",
            "print $2",
            "print total",
            "whatis $mine",
            "print p->name",
        ];
        let output = batch(&fixture, &[], &commands);
        let shown = printed(&output.stdout);
        let record = "{x = 5, next = 0x0, name = \"a\\000\\000\\000\\000\\000\\000\", b = 2}";
        let name = "\"a\\000\\000\\000\\000\\000\\000\"";
        assert_eq!(shown, ["40", record, "45", "5", record, "0", "struct P *", name], "{}", output.stderr);
    }
}

#[test]
fn a_bit_field_is_set_and_its_neighbours_are_kept() {
    let set =
        ["continue", "up", "set var bits.low = 2", "set var bits.middle = -16", "set var bits.wide = 0x123456789"];
    let set_more = ["continue", "up", "set var bits.low = 13", "set var bits.middle += 5", "set var bits.flag = 0"];
    for variant in [Variant::O0, Variant::CLANG_O0, Variant::DWARF4] {
        let fixture = Fixture::build("values", variant);
        same_answers(&fixture, &set, &["print bits"], variant.name);
        same_answers(&fixture, &set_more, &["print bits"], variant.name);
    }
    let fixture = Fixture::build("values", Variant::O0);
    let output =
        batch(&fixture, &[], &["break stop_here", "continue", "continue", "up", "watch bits.low", "print &bits.low"]);
    assert!(output.stderr.contains("bits.low is a bit-field"), "{}", output.stderr);
}

#[test]
fn types_are_listed_by_the_names_that_gdb_lists() {
    let after_keyword = Regex::new("^(?:class|struct|union|enum) ").expect("a constant");
    let in_gdb = Regex::new(r"^\d+:\s+(.*);$").expect("a constant");
    for variant in [Variant::O0, Variant::CLANG_O0, Variant::DWARF4] {
        let fixture = Fixture::build("values", variant);
        let commands = ["info types Small", "info types outer", "info types ^Colour", "info types ^Nested"];
        let output = batch(&fixture, &[], &commands);
        let lines = output.stdout.lines().filter(|line| after_keyword.is_match(line));
        let ours: BTreeSet<String> = lines.map(|line| after_keyword.replace(line, "").replace(" *", "*")).collect();
        let mut gdb = Command::new("gdb");
        gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0"]);
        gdb.args(commands.iter().flat_map(|one| ["-ex", one])).arg(fixture.path());
        let theirs = String::from_utf8_lossy(&gdb.output().expect("gdb runs").stdout).into_owned();
        let names = theirs.lines().filter_map(|line| Some(in_gdb.captures(line)?[1].to_owned()));
        let theirs: BTreeSet<String> = names.filter(|line| !line.starts_with("typedef ")).collect();
        assert!(theirs.len() > 8, "{}: gdb lists {theirs:?}", variant.name);
        assert_eq!(ours, theirs, "{}", variant.name);
    }
}

#[test]
fn a_condition_reads_variables_where_they_are_at_its_place() {
    let inside = super::source::line_in("variables.c", "inside");
    for variant in [Variant::O0, Variant::CLANG_O0] {
        let fixture = Fixture::build("variables", variant);
        let at_line = format!("break variables.c:{inside} if local == 16 && k == RED");
        let commands = [
            "break f if p->x == 3 && n == 7",
            "continue",
            "print n",
            "delete",
            &at_line,
            "continue",
            "print n",
            "delete",
        ];
        let output = batch(&fixture, &[], &commands);
        assert_eq!(printed(&output.stdout), ["7", "8"], "{}{}", output.stdout, output.stderr);
    }
    let fixture = Fixture::build("variables", Variant::O0);
    let output = batch(&fixture, &[], &["break f if nosuch == 3", "info breakpoints"]);
    assert!(output.stderr.contains("no symbol \"nosuch\" in the current context"), "{}", output.stderr);
    assert!(!output.stdout.contains("nosuch"), "{}", output.stdout);
}

#[test]
fn strings_of_both_libraries_are_compared_with_texts() {
    let source = std::fs::read_to_string("fixtures/values/values.cpp").expect("the source");
    let locals = source
        .lines()
        .enumerate()
        .skip_while(|(_, line)| !line.contains("std::string_view view"))
        .find(|(_, line)| line.contains("stop_here();"));
    let at_locals = format!("tbreak values.cpp:{}", locals.expect("the stop").0 + 1);
    for variant in [Variant::O0, Variant::CLANG_O0] {
        let fixture = Fixture::build("values", variant);
        let commands = [
            "break entered if reference == \"a string that is longer than what fits in placE\"",
            "break entered if reference == \"a string that is longer than what fits in place\" && reference != \"\"",
            "continue",
            "delete",
            &at_locals,
            "continue",
            "print text == \"text\"",
            "print text != \"text\"",
            "print text == \"tex\" || text == \"\"",
            "print shortest == \"\"",
            "print view == \"text\" && words[1] == \"b\"",
            "print longer == \"x\"",
            "print text == 5",
        ];
        let output = batch(&fixture, &[], &commands);
        assert!(output.stdout.contains("Breakpoint 2, entered("), "{}{}", output.stdout, output.stderr);
        assert_eq!(printed(&output.stdout), ["1", "0", "0", "1", "1", "0"], "{}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains("is not a number: `text` in `text == 5`"), "{}", output.stderr);
    }
}

#[test]
fn what_is_corrupt_is_shown_as_far_as_it_goes() {
    let fixture = Fixture::build("values", Variant::O0);
    let to_damaged = ["break damaged", "continue"];
    let started = std::time::Instant::now();
    let output = batch(
        &fixture,
        &[],
        &[&to_damaged[..], &["print *corrupt", "print *thousand", "print thousand->size"]].concat(),
    );
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    let shown = printed(&output.stdout);
    assert!(shown[0].starts_with("std::vector of length 46116"), "{}", shown[0]);
    assert!(
        shown[1].starts_with("std::map with 1000 elements = {[0] = \"value 0\", [1] = \"value 1\""),
        "{}",
        shown[1]
    );
    assert!(shown[1].contains("[199] = \"value 199\"...}"), "{}", shown[1]);
}
