//! Elements of the libraries' containers in expressions, of libstdc++ and of libc++: found as the program finds them.

use super::source::{batch, line_in};
use crate::support::{Fixture, Output, Variant};

const BOTH: [Variant; 2] = [Variant::O0, Variant::CLANG_O0];

/// What expressions come to where all containers are filled.
fn asked(variant: Variant, commands: &[&str]) -> Output {
    let fixture = Fixture::build("contained", variant);
    let stop = format!("break contained.cpp:{}", line_in("contained/contained.cpp", "stop"));
    let all: Vec<&str> = [stop.as_str(), "continue", "up"].iter().chain(commands).copied().collect();
    batch(&fixture, &[], &all)
}

/// That each expression has its value.
#[track_caller]
fn holds(table: &[(&str, &str)]) {
    for variant in BOTH {
        let commands: Vec<String> = table.iter().map(|(text, _)| format!("print {text}")).collect();
        let output = asked(variant, &commands.iter().map(String::as_str).collect::<Vec<_>>());
        let mut values = output.stdout.lines().filter_map(|line| line.strip_prefix('$')?.split_once(" = "));
        for (text, wanted) in table {
            let found = values.next().map(|(_, value)| value);
            assert_eq!(found, Some(*wanted), "{}: {text}\n{}\n{}", variant.name, output.stdout, output.stderr);
        }
    }
}

#[test]
fn elements_have_numbers() {
    holds(&[
        ("items[1].name", "\"two\""),
        ("items.at(2).id", "3"),
        ("referred[0]", "{id = 1, name = \"one\"}"),
        ("numbers[numbers[0] - 8]", "30"),
        ("bits[1]", "true"),
        ("bits[69]", "true"),
        ("bits[0]", "false"),
        ("queue[0]", "10"),
        ("queue[300]", "610"),
        ("queue[2994]", "5998"),
        ("wides[2].number", "77"),
        ("fixed[2]", "9"),
        ("text[4]", "120 'x'"),
        ("text[39]", "0 '\\000'"),
        ("brief[1]", "114 'r'"),
        ("part[1]", "105 'i'"),
        ("row[2]", "3"),
    ]);
}

#[test]
fn elements_have_keys() {
    holds(&[
        ("words[\"b\"]", "2"),
        ("words[\"a key that is long enough for the heap\"]", "3"),
        ("words.at(\"a\")", "1"),
        ("signs[2].name", "\"twenty-two\""),
        ("signs[-1].id", "11"),
        ("colors[Color::blue]", "3"),
        ("colors[(Color)0]", "1"),
        ("backwards[\"a\"] + backwards[\"c\"]", "4"),
        ("many[5997]", "1999"),
        ("people[\"y\"]", "{id = 6, name = \"six\"}"),
        ("hashed[6993]", "999"),
        ("hashed[numbers[0] * 7]", "10"),
        ("some.contains(2)", "true"),
        ("some.contains(7)", "false"),
        ("words.count(\"nosuch\")", "0"),
    ]);
}

#[test]
fn functions_that_read_the_object_are_answered() {
    holds(&[
        ("items.size()", "3"),
        ("items.empty()", "false"),
        ("nothing.empty()", "true"),
        ("bits.size()", "70"),
        ("queue.size()", "2995"),
        ("queue.front() + queue.back()", "6008"),
        ("items.front().id", "1"),
        ("items.back().name", "\"three\""),
        ("chain.front() * 10 + chain.back()", "46"),
        ("chain.size()", "3"),
        ("words.size()", "3"),
        ("many.size()", "2000"),
        ("hashed.size()", "1000"),
        ("twice.size()", "2"),
        ("empty.size()", "0"),
        ("text.size() + brief.length() + part.size()", "48"),
        ("*text.c_str()", "97 'a'"),
        ("*items.data()", "{id = 1, name = \"one\"}"),
        ("*owned.get()", "{id = 9, name = \"nine\"}"),
        ("shared.get()->id", "8"),
        ("*shared", "{id = 8, name = \"eight\"}"),
        ("maybe.value().name", "\"four\""),
        ("maybe->id", "4"),
        ("maybe.has_value()", "true"),
        ("none.has_value()", "false"),
        ("items.size() > 2 && words.contains(\"a\") ? 5 : 6", "5"),
    ]);
}

#[test]
fn what_a_container_does_not_have_is_said() {
    let table = [
        ("items[3]", "there is no element 3: it has 3"),
        ("items[-1]", "there is no element -1: it has 3"),
        ("bits[70]", "there is no element 70: it has 70"),
        ("queue[2995]", "there is no element 2995: it has 2995"),
        ("fixed.at(3)", "there is no element 3: it has 3"),
        ("nothing.front()", "it has no elements"),
        ("words[\"c\"]", "it has no such key; it has 3 element(s)"),
        ("many[5998]", "it has no such key; it has 2000 element(s)"),
        ("hashed[1]", "it has no such key; it has 1000 element(s)"),
        ("empty[0]", "it has no such key; it has 0 element(s)"),
        ("words[5]", "is looked for by a literal"),
        ("signs[\"x\"]", "is looked for by a number"),
        ("*none", "the optional holds no value"),
        ("none.value()", "the optional holds no value"),
        ("items.reserve(5)", "`reserve` cannot be called"),
    ];
    for variant in BOTH {
        for (text, wanted) in table {
            let output = asked(variant, &[&format!("print {text}")]);
            assert!(output.stderr.contains(wanted), "{}: {text}: {output:?}", variant.name);
        }
    }
}

#[test]
fn elements_are_places() {
    for variant in BOTH {
        let commands = [
            "print &items[2] - &items[0]",
            "set var items[1].id = 42",
            "print *(&items[0] + 1)",
            "set var words[\"b\"] = 7",
            "set var queue[2994] = 8",
            "print words[\"b\"] + queue.back()",
            "print &words[\"b\"] == &words.at(\"b\")",
            "watch numbers[2]",
            "info breakpoints",
        ];
        let output = asked(variant, &commands);
        let values: Vec<&str> = output
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix('$')?.split_once(" = "))
            .map(|(_, value)| value)
            .collect();
        assert_eq!(values, ["2", "{id = 42, name = \"two\"}", "15", "1"], "{output:?}");
        assert!(output.stdout.contains("numbers[2]"), "{output:?}");
    }
}

#[test]
fn a_condition_finds_elements_at_each_hit() {
    for variant in BOTH {
        let fixture = Fixture::build("contained", variant);
        let line = line_in("contained/contained.cpp", "more");
        let breaks = format!("break contained.cpp:{line} if queue.size() > 2998 && many.contains(3)");
        let output = batch(&fixture, &[], &[&breaks, "continue", "print queue.size()", "print many.contains(3)"]);
        assert!(output.stdout.contains("$1 = 2999\n$2 = true"), "{}: {output:?}", variant.name);
    }
}

#[test]
fn containers_that_are_overwritten_end_a_look_at_them() {
    for variant in BOTH {
        let spoil = match variant.clang {
            // The first node's links lead in a circle; the numbers of elements are absurd.
            true => ["many.__tree_.__begin_node_->__right_ = many.__tree_.__begin_node_", "queue.__start_ = -5"],
            false => [
                "many._M_t._M_impl._M_header._M_left->_M_right = many._M_t._M_impl._M_header._M_left",
                "queue._M_impl._M_finish._M_node = 0",
            ],
        };
        let begun = std::time::Instant::now();
        let spoil = spoil.map(|one| format!("set var {one}"));
        let mut commands: Vec<&str> = spoil.iter().map(String::as_str).collect();
        commands.extend(["print many", "print many[1]", "print queue[5]", "print queue", "print numbers[0]"]);
        let output = asked(variant, &commands);
        assert!(output.stdout.contains(" = 10\n"), "{}: {output:?}", variant.name);
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{}", variant.name);
    }
}
