//! Every kind of thing that C++ has, asked of rdbg and of gdb at the same stops of the same program: arguments, locals,
//! expressions, types. Where they part, it is listed here with who is right.

use std::collections::BTreeMap;
use std::process::Command;

use regex::Regex;

use super::source::{batch, line_in};
use crate::support::{Fixture, Variant};

const CLANG4: Variant =
    Variant { name: "clang-o0-dwarf4", clang: true, flags: &["-O0", "-g", "-gdwarf-4"], strip: false };

/// The stops in the order in which they come first, and what is asked there besides `info args` and `info locals`: of a
/// word with `:t` its `ptype`, with `:w` its `whatis`, with `/x` and the like its value in that format.
const ASKED: &[(&str, &str)] = &[
    (
        "inheritance",
        "animal->legs; *animal; dog; young; same; runner; *fixed; litter; litter[1].name; method; member; legs; animal->age; same.age; \
         dog.age; young.name; &young.name; animal->limit; zoo::Animal::limit; ((zoo::Puppy*)animal)->mood; sizeof(young); \
         sizeof(litter)/sizeof(litter[0]); &litter[1]; &litter[1]-&litter[0]; *(zoo::Dog*)animal; young.zoo::Animal::age; \
         dog.mood; dog.speed; dog.age + young.age; -dog.age; ~dog.age; young.age ? 1 : 2; dog:t; young:t; litter:t; \
         method:t; member:t; animal:w; dog:w; litter:w; &litter:w; litter[0].name:w; method:w; member:w; fixed:w",
    ),
    (
        "integers",
        "letter; little; octet; wide; unit; point; zero; quote; newline; high; truth; small; port; number; big; largest; \
         huge; vast; eighth; bytes; size; address; letter+1; number+1; number*2; small*2; port+small; -number; big-1; \
         largest/3; largest%10; truth+1; octet<<4; small>>2; small/7; small%7; (char)number; (unsigned char)small; \
         (short)number; (bool)small; (int)'a'; 'a'; 1.0/3; 7/2; 7/2.0; -7/2; -7%3; 1<<31; 0xffffffff; 0x100000000; 10u; \
         '\\n'; '\\x41'; bytes[1]; *bytes; *(short*)bytes; *(int*)&bytes; /x letter; /x little; /d octet; /c number; \
         /c octet; /t small; /o number; /x bytes; /x huge; /u small; /x small; /z port; /c bytes; /d letter; /x truth; \
         huge:w; letter+1:w; number+1:w; number+big:w; largest+1:w; truth:w; bytes:w; &bytes:w; size:w; wide:w; unit:w; \
         eighth:w; size:t; eighth:t",
    ),
    (
        "reals",
        "single; real; extended; third; tiny; large; whole; tenth; none; sum; million; exact; small; infinite; precise; \
         several; single+real; single*2; real/3; third+tenth; 1.5f; -real; (int)real; (float)tenth; (long)exact; /x real; \
         /f single; /x single; single:w; extended:w; single+real:w; single+1:w; several:t",
    ),
    (
        "enumerations",
        "level; mode; tint; bits; both; odd; Level::HIGH; READ; WRITE; nil; beyond; negative; packed; overlay; tagged; local; packed.low; \
         packed.middle; packed.level; packed.nested.inner.b; packed.wide; packed.flag; overlay.letters; overlay.halves.low; \
         tagged.number; tagged.real; mode+1; both&2; both|1; (zoo::Mode)5; (zoo::Level)5; zoo::READ; zoo::Level::HIGH; \
         zoo::Registry::Kind::SECOND; /d level; /x both; sizeof(packed); sizeof(zoo::Tagged); &packed; &tagged.number; \
         packed.low+packed.middle; -packed.middle; level:t; mode:t; tint:t; overlay:t; tagged:t; local:t; zoo::Mode:t; \
         zoo::Signed:t; level:w; local:w; packed:w; packed.low:w; tagged.number:w; mode+1:w; overlay.letters:w; zoo::READ:w",
    ),
    (
        "arrays",
        "rows; *rows; rows[1]; rows[1][2]; fixed; fixed[3]; names; *names; names[1]; *names[0]; names[0][1]; count; grid; \
         grid[1]; grid[1][2]; pairs; pairs[1]; pairs[1].second; text; full; texts; texts[1]; wide; repeated; pointers; \
         *pointers[0]; variable; variable[2]; &grid; &grid[1]; &text; &text[1]; *grid; **grid; ***grid; text+1; *text@3; \
         fixed[1]@2; repeated[10]@3; *rows@2; sizeof(grid); sizeof(variable); /x grid; /x fixed; /d text; /x text; \
         /x pairs[1]; rows:w; fixed:w; names:w; grid:w; grid[1]:w; &grid:w; &grid[1]:w; pairs:w; text:w; variable:w; \
         pointers:w; rows:t; fixed:t; variable:t; grid:t",
    ),
    ("templated", "pair; buffer; inner; calls; buffer.items[1]; inner.held; pair:w; buffer:w; inner:w; &buffer.items[1]; P; *P; N; \
         P:w; T:t; Inner:w"),
    ("variadic", "first; sum; first[1]; first:w"),
    ("lambda", "n; base; seed; word; base+n; seed+1; base:w; seed:w; n:w; &base"),
    ("generic", "value; twice; base; value+twice"),
    ("lambdas", "seed; word; base; plain; result; first; second; left; right; left+right; &left; first:w; left:w"),
    (
        "functions",
        "call; callback; table; nowhere; opaque; sum; result; table[0]; table[1]; callback.function; call:w; callback:w; \
         table:w; maker:w; nowhere:w; sum:w; call:t; maker:t; table:t; callback:t; \
         *call; *table[0]; *callback.function; &doubled; doubled; *doubled; main; doubled:w; &doubled:w; *call:w; main:w; \
         doubled:t; arrays:w; zoo::Registry::sum:w; (long)call == (long)&doubled ? 1 : 2; /x doubled",
    ),
    ("caught", "depth; kind; depth+kind"),
    ("failure", "depth; kind; failure; failure.reason; failure.code; *failure.reason; failure:w; failure:t"),
    ("recursion", "n; path; longer; n*2"),
    ("innermost", "value; cube; cube+value; cube:w"),
    ("loop", "turn; turn_squared; total; value; turn+total; &total"),
    ("inlining", "total; value"),
    (
        "shadow",
        "total; this; *this; id; span; span.low; extra; made; limit; this->id; &this->span; Registry::made; \
         zoo::Registry::made; zoo::Registry::limit; id+extra; (*this).id; sizeof(*this); this:w; *this:w; total:w; span:w; \
         made:w; *this:t; this:t",
    ),
    ("member", "total; id; extra; hidden_count; alias::depth; detail::depth; zoo::detail::depth; ::pointed; of_thread; &of_thread; sink; sink:w"),
    ("merged", "result; this; *this; other; &other; id; result.id; other.span; other.id+id; other:w; other:t; /x result"),
    ("containers", "list; map; text; empty; *pointer; moved; sizeof(text); sizeof(list); text:w"),
    ("end", "dog; puppy; rows; fixed; names; table; argc; total; puppy.name; dog.age; rows:w; table:w; argv:w"),
];

/// Where the two part, by what was asked, and why rdbg's answer stays.
const PARTED: &[(&str, &str)] = &[
    ("functions: info locals", "a closure's function by its whole name"),
    ("containers: info locals", "smart pointers with the class of what they point at"),
    ("functions: print main", "gdb gives a C symbol parameters"),
    ("functions: print/x doubled", "gdb shows the function's first byte, rdbg its address"),
    ("containers: print moved", "a reference to a library's type by what it holds"),
    ("variadic: info args", "clang gives each of a pack's parts its name; gdb shows the last for all"),
];

/// A line of the fixture.
fn line(mark: &str) -> u32 {
    line_in("kinds/kinds.cpp", mark)
}

/// The command that asks for an entry of [`ASKED`].
fn command(asked: &str) -> String {
    match asked.rsplit_once(':') {
        Some((expression, "t")) => format!("ptype {expression}"),
        Some((expression, "w")) => format!("whatis {expression}"),
        _ if asked.starts_with('/') => format!("print{asked}"),
        _ => format!("print {asked}"),
    }
}

/// The text of each answer: addresses, names of one type that both mean, and what only one of them writes made alike.
struct Alike(Vec<(Regex, &'static str)>);

impl Alike {
    fn new() -> Self {
        let rules = [
            // Another command's answer, and a stop.
            (r"(?s)\n(Continuing\.|(Breakpoint|Thread) \d+[, ]).*", ""),
            (r"std::(__cxx11|__1)::", "std::"),
            ("0x[0-9a-f]{5,}", "0xN"),
            (r"(?m)^(\$\d+ = |type = )", ""),
            // A class's own constants are not a part of each object: rdbg shows them by name and in ptype.
            (r", static \w+ = [^,}]*", ""),
            // gdb counts a template's arguments up, and writes that `this` is const.
            (r" \[with [^\]]*\]", ""),
            (r" \* const([,)])", " *$1"),
            // gdb has a label in a struct whose members are all public, and forgets that a destructor is virtual.
            (r"(?m)^  (public|private|protected):\n", ""),
            (r"(?m)^ +virtual ~", "    ~"),
        ];
        Self(rules.map(|(rule, with)| (Regex::new(rule).expect("a constant"), with)).into())
    }

    fn text(&self, answer: &str) -> String {
        let text =
            self.0.iter().fold(answer.to_owned(), |text, (rule, with)| rule.replace_all(&text, *with).into_owned());
        text.trim().to_owned()
    }
}

/// The answers in what a debugger printed, by the number that was echoed in front of each.
fn answers(printed: &str) -> BTreeMap<usize, String> {
    let mut parts = printed.split("@@@");
    parts.next();
    let parts: Vec<&str> = parts.collect();
    let pairs = parts.chunks_exact(2).filter_map(|pair| Some((pair[0].trim().parse().ok()?, pair[1].to_owned())));
    pairs.collect()
}

fn of_gdb(fixture: &Fixture, commands: &[String]) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]);
    let first = commands.iter().position(|one| one == "continue");
    for (number, one) in commands.iter().enumerate() {
        gdb.args(["-ex", if Some(number) == first { "run" } else { one }]);
    }
    let output = gdb.arg(fixture.path()).output().expect("gdb (run scripts/setup)");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether rdbg's answer stays where it is another: by its list, or because gdb has no text for libc++'s types.
fn may_part(about: &str, theirs: Option<&String>) -> bool {
    let members = |text: &String| text.contains("__compressed_pair") || text.contains("__begin_ = 0x");
    PARTED.iter().any(|(known, _)| *known == about) || theirs.is_some_and(members)
}

fn compare(variant: Variant) {
    let fixture = Fixture::build("kinds", variant);
    let (mut commands, mut asked) = (Vec::new(), Vec::new());
    for (mark, expressions) in ASKED {
        commands.push("echo @@@next@@@\\n".to_owned());
        commands.extend([format!("tbreak kinds.cpp:{}", line(mark)), "continue".to_owned()]);
        for one in
            ["info args".to_owned(), "info locals".to_owned()].into_iter().chain(expressions.split("; ").map(command))
        {
            commands.extend([format!("echo @@@{}@@@\\n", asked.len()), one.clone()]);
            asked.push(format!("{mark}: {one}"));
        }
    }
    commands.push("echo @@@end@@@\\n".to_owned());
    let theirs = answers(&of_gdb(&fixture, &commands));
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let ours = answers(&batch(&fixture, &[], &commands).stdout);
    let alike = Alike::new();
    let (mut compared, mut parted) = (0, Vec::new());
    for (number, about) in asked.iter().enumerate() {
        let [ours, theirs] = [&ours, &theirs].map(|all| all.get(&number).map(|answer| alike.text(answer)));
        if may_part(about, theirs.as_ref()) {
            continue;
        }
        compared += 1;
        if ours != theirs || ours.is_none() {
            parted.push(format!("{about}\n  rdbg: {ours:?}\n  gdb:  {theirs:?}"));
        }
    }
    assert!(parted.is_empty(), "{}: {} of {compared} part:\n{}", variant.name, parted.len(), parted.join("\n"));
    assert!(compared > 450, "{compared} answers");
}

#[test]
fn every_kind_of_thing_is_as_gdb_has_it_in_gccs_code() {
    compare(Variant::O0);
}

#[test]
fn every_kind_of_thing_is_as_gdb_has_it_in_gccs_dwarf_4() {
    compare(Variant::DWARF4);
}

#[test]
fn every_kind_of_thing_is_as_gdb_has_it_in_clangs_code() {
    compare(Variant::CLANG_O0);
}

#[test]
fn every_kind_of_thing_is_as_gdb_has_it_in_clangs_dwarf_4() {
    compare(CLANG4);
}

#[test]
fn elements_and_targets_of_the_libraries_types_are_members() {
    let (recursion, member, containers) = (line("recursion"), line("member"), line("containers"));
    let stops = [recursion, member, containers].map(|line| format!("tbreak kinds.cpp:{line}"));
    for variant in [Variant::O0, Variant::CLANG_O0] {
        let fixture = Fixture::build("kinds", variant);
        let ours = batch(
            &fixture,
            &[],
            &[
                &stops[1],
                "continue",
                "print zoo::detail::registry.span",
                "print '(anonymous namespace)::hidden_count'",
                &stops[0],
                "continue",
                "print longer[0] * 100 + longer[2] * 10 + path[1]",
                "print &longer[1] - &longer[0]",
                "whatis longer[0]",
                &stops[2],
                "continue",
                "print list[1].second",
                "print *shared",
                "print shared->age * 10 + unique->age",
                "print moved[1]",
                "ptype zoo::Pair<int,char>",
                "print map[0]",
            ],
        );
        let wanted = [
            "{low = 1, high = 2}",
            "= 3\n",
            "= 312\n",
            "= 1\n",
            "type = int\n",
            "= 121 'y'\n",
            "age = 5}, ",
            "= 52\n",
            "= \"q\"\n",
            "struct zoo::Pair<int, char> {\n    int first;\n    char second;\n",
        ];
        let mut rest = ours.stdout.as_str();
        for one in wanted {
            let Some((_, after)) = rest.split_once(one) else {
                panic!("{}: no `{one}` in\n{rest}\n{}", variant.name, ours.stderr)
            };
            rest = after;
        }
        assert!(ours.stderr.contains("is looked for by a literal: \"text\": `0`"), "{}", ours.stderr);
    }
}
