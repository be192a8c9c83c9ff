//! Abseil's types, shown by what they hold.

use std::path::Path;

use super::source::batch;
use crate::support::{skip, Fixture, Variant};

#[test]
fn abseils_types_are_shown_by_what_they_hold() {
    if !Path::new("/usr/include/absl/strings/cord.h").exists() {
        return skip("Abseil's headers are not there (libabsl-dev)");
    }
    let fixture = Fixture::build("abseil", Variant::O0);
    let source = std::fs::read_to_string("fixtures/abseil/abseil.cpp").expect("the source");
    let line = source.lines().position(|line| line.contains("// line: shown")).expect("the mark") + 1;
    let output = batch(
        &fixture,
        &[],
        &[
            &format!("break abseil.cpp:{line}"),
            "continue",
            "info locals",
            "set print elements 5",
            "print tree",
            "print outside",
            "print *&wrong",
            "print/r fine",
            "print three.size_",
        ],
    );
    for shown in [
        "\nnone = absl::flat_hash_map with 0 elements\n",
        "\nthree = absl::flat_hash_map with 3 elements = {",
        "\nthousand = absl::flat_hash_set with 1000 elements = {[0] = ",
        "\nnodes = absl::node_hash_map with 1 element = {[7] = \"seven\"}\n",
        "\ninside = absl::InlinedVector of length 3, capacity 4 = {1, 2, 3}\n",
        "\noutside = absl::InlinedVector of length 5, capacity 8 = {1, 2, 3, 4, 5}\n",
        "\nempty = absl::InlinedVector of length 0, capacity 2\n",
        "\nfine = absl::Status OK\n",
        "\ncancelled = absl::Status CANCELLED\n",
        "\nwrong = absl::Status INVALID_ARGUMENT: \"port 99999\"\n",
        "\nvalue = absl::StatusOr<int> = {[value] = 5}\n",
        "\nfailure = absl::StatusOr<int> [absl::Status NOT_FOUND: \"no cluster\"]\n",
        "\nnothing = absl::Cord of length 0 = \"\"\n",
        "\nlittle = absl::Cord of length 15 = \"fifteen letters\"\n",
        "\nflat = absl::Cord of length 100 = 'f' <repeats 100 times>\n",
        "\ntree = absl::Cord of length 24000 = 'a' <repeats 200 times>...\n",
        "\npart = absl::Cord of length 10 = \"aaaaabbbbb\"\n",
        "\nspan = absl::Span of length 3 = {4, 5, 6}\n",
        "\n$1 = absl::Cord of length 24000 = \"aaaaa\"...\n",
        "\n$2 = absl::InlinedVector of length 5, capacity 8 = {1, 2, 3, 4, 5}\n",
        "\n$3 = absl::Status INVALID_ARGUMENT: \"port \"...\n",
        "\n$4 = {rep_ = 0}\n",
        "\n$5 = 3\n",
    ] {
        assert!(output.stdout.contains(shown), "no `{shown}` in:\n{}\n{}", output.stdout, output.stderr);
    }
    let three = output.stdout.lines().find(|line| line.starts_with("three = ")).expect("the map");
    for entry in ["[\"one\"] = 1", "[\"two\"] = 2", "[\"three\"] = 3"] {
        assert!(three.contains(entry), "{three}");
    }
}

#[test]
fn elements_of_abseils_containers_are_found() {
    if !Path::new("/usr/include/absl/strings/cord.h").exists() {
        return skip("Abseil's headers are not there (libabsl-dev)");
    }
    let fixture = Fixture::build("abseil", Variant::O0);
    let table = [
        ("three[\"two\"] * 10 + three.at(\"three\")", "23"),
        ("thousand.contains(999)", "true"),
        ("thousand.contains(1000)", "false"),
        ("thousand.size()", "1000"),
        ("none.empty()", "true"),
        ("nodes[7]", "\"seven\""),
        ("inside[2] * 10 + outside[4]", "35"),
        ("outside.back() + inside.size()", "8"),
        ("empty.size()", "0"),
        ("span[2]", "6"),
        ("span.front()", "4"),
    ];
    let stop = format!("break abseil.cpp:{}", super::source::line_in("abseil/abseil.cpp", "shown"));
    let prints: Vec<String> = table.iter().map(|(text, _)| format!("print {text}")).collect();
    let mut commands = vec![stop.as_str(), "continue"];
    commands.extend(prints.iter().map(String::as_str));
    commands.extend(["print three[\"four\"]", "print outside[5]"]);
    let output = batch(&fixture, &[], &commands);
    let values: Vec<&str> = output
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix('$')?.split_once(" = "))
        .map(|(_, value)| value)
        .collect();
    assert_eq!(values, table.map(|(_, value)| value), "{output:?}");
    assert!(output.stderr.contains("it has no such key; it has 3 element(s)"), "{output:?}");
    assert!(output.stderr.contains("there is no element 5: it has 5"), "{output:?}");
}
