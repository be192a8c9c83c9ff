//! A Rust program: its functions by path, and its values.

use super::source::batch;
use crate::support::{Fixture, Variant};

#[test]
fn rusts_types_are_shown_by_what_they_hold() {
    let fixture = Fixture::build("rusty", Variant::O0);
    let source = std::fs::read_to_string("fixtures/rusty.rs").expect("the source");
    let line = source.lines().position(|line| line.contains("// line: shown")).expect("the mark") + 1;
    let commands = [
        "break rusty::shown",
        "continue",
        &format!("tbreak rusty.rs:{line}"),
        "continue",
        "info args",
        "info locals",
        "print points",
        "print *boxed",
        "print point.x + point.y",
        "whatis some",
        "bt 2",
    ];
    let output = batch(&fixture, &[], &commands);
    for shown in [
        "Breakpoint 1, rusty::shown(text=\"hello\", bytes=",
        "\ntext = \"hello\"\n",
        "\nbytes = &[u8](size=4) = b\"raw\\001\"\n",
        "\nlist = &[rusty::Point](size=1) = {{x = 1, y = 1}}\n",
        "\nowned = \"owned text\"\n",
        "\nempty = \"\"\n",
        "\nnumbers = Vec(size=3) = {1, 2, 3}\n",
        "\nsome = Option<u32>::Some(5)\n",
        "\nnone = Option<u32>::None\n",
        "::Some(\"inside\")\n",
        "\nfine = Result<u8, alloc::string::String>::Ok(7)\n",
        "\nwrong = Result<u8, alloc::string::String>::Err(\"bad\")\n",
        "\nshapes = {Shape::Unit, Shape::Circle(1.5), Shape::Named{width = 3, label = \"wide\"}}\n",
        "\nshared = Rc(strong=1, weak=0) = 42\n",
        "\npair = (1, \"two\", 3.5)\n",
        "\nletter = 233 '\u{e9}'\n",
        "\ndeque = VecDeque(size=3) = {1, 2, 3}\n",
        "\nmap = HashMap(size=1) = {[\"key\"] = 1}\n",
        "\nfixed = {1, -2, 3}\n",
        "\n$1 = Vec(size=2) = {{x = 1, y = 2}, {x = 3, y = 4}}\n",
        "\n$2 = {x = 9, y = 8}\n",
        "\n$3 = 11\n",
        "\ntype = core::option::Option<u32>\n",
        " rusty::main+",
    ] {
        assert!(output.stdout.contains(shown), "no `{shown}` in:\n{}\n{}", output.stdout, output.stderr);
    }
}
