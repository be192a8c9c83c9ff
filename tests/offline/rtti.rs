//! Recovered names, against the symbol tables of files that have one.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rdbg::base::FileAddr;
use rdbg::binary::symbols::demangle_without_parameters;
use rdbg::binary::{Module, NamePattern, NameSource, Recovered, Sureness, VtableNames};

use crate::support::envoy::find_workerd_or_skip;
use crate::support::{Envoy, Fixture, Variant};

const GCC: Variant = Variant { name: "rtti-gcc", clang: false, flags: &["-O2"], strip: false };
const CLANG: Variant = Variant { name: "rtti-clang", clang: true, flags: &["-O2"], strip: false };
const NO_PIE: Variant =
    Variant { name: "rtti-no-pie", clang: false, flags: &["-O2", "-fno-pie", "-no-pie"], strip: false };
const STATIC: Variant = Variant { name: "rtti-static", clang: false, flags: &["-O2", "-static"], strip: false };
const RELR: Variant =
    Variant { name: "rtti-relr", clang: false, flags: &["-O2", "-Wl,-z,pack-relative-relocs"], strip: false };
const STRIPPED: Variant = Variant { name: "rtti-stripped", clang: true, flags: &["-O2"], strip: true };

fn module(path: &Path) -> Module {
    let bytes = std::fs::read(path).unwrap();
    Module::parse(path.to_owned(), Arc::new(bytes)).unwrap()
}

/// The recovered name of the function that a symbol names.
fn recovered(module: &Module, symbol: &str) -> (String, Sureness) {
    let found = module.symbols().find_exact(symbol).unwrap_or_else(|| panic!("no {symbol}"));
    let name = module.recovered().unwrap().name_at(found.address).unwrap_or_else(|| panic!("no name for {symbol}"));
    assert_eq!(name.function.start, found.address, "{symbol}");
    (name.text, name.sureness)
}

#[test]
fn classes_of_every_shape_get_their_names_back() {
    for variant in [GCC, CLANG, NO_PIE, STATIC, RELR] {
        let module = module(Fixture::build("classes", variant).path());
        let certain = [
            ("_start", "_start"),
            ("main", "main"),
            ("_ZN6shapes5Shape4areaEi", "shapes::Shape::[virtual 2]"),
            ("_ZN6shapes5Shape7cornersEv", "shapes::Shape::[virtual 3]"),
            ("_ZN6shapes6Circle4areaEi", "shapes::Circle::[virtual 2]"),
            ("_ZN6shapes6Circle6radiusEv", "shapes::Circle::[virtual 4]"),
            ("_ZN6shapes5NamedD2Ev", "shapes::Named::~Named"),
            ("_ZN6shapes6CircleD0Ev", "shapes::Circle::~Circle [deleting]"),
            ("_ZN6shapes5Badge7cornersEv", "shapes::Badge::[virtual 3]"),
            ("_ZN6shapes6Shared4areaEi", "shapes::Shared::[virtual 2]"),
            ("_ZN5calls9CallsImplD0Ev", "calls::CallsImpl::~CallsImpl [deleting]"),
        ];
        for (symbol, name) in certain {
            assert_eq!(
                recovered(&module, symbol),
                (name.to_owned(), Sureness::Certain),
                "{symbol} by {}",
                variant.name
            );
        }
        // The base has no table: it could be the base's.
        let likely = [
            ("_ZN5calls9CallsImpl6listenEii", "calls::CallsImpl::[virtual 2 -> listen]?"),
            ("_ZN5calls9CallsImpl8shutdownEii", "calls::CallsImpl::[virtual 3 -> shutdown]?"),
            ("_ZN7curious4BaseINS_4HeirEE5twiceEv", "curious::Heir::[virtual 2]?"),
        ];
        for (symbol, name) in likely {
            if variant.name == STATIC.name && name.contains("->") {
                continue;
            }
            assert_eq!(recovered(&module, symbol), (name.to_owned(), Sureness::Likely), "{symbol} by {}", variant.name);
        }
    }
}

#[test]
fn thunks_and_second_bases_are_told() {
    let module = module(Fixture::build("classes", CLANG).path());
    let (name, sureness) = recovered(&module, "_ZThn8_N6shapes5Badge6renameEi");
    assert!(
        name.starts_with("shapes::Badge::[virtual 2") || name.starts_with("thunk to shapes::Badge::[virtual"),
        "{name}"
    );
    assert_eq!(sureness, Sureness::Certain);
}

#[test]
fn a_callable_is_named_by_its_lambda_and_its_maker_by_both() {
    let module = module(Fixture::build("classes", CLANG).path());
    let is_call =
        |name: &str| name.contains("__function6__func") && name.contains("makeAdder") && name.contains("clEOi");
    let call = module.symbols().iter().find(|symbol| is_call(&symbol.name)).unwrap();
    let name = module.recovered().unwrap().name_at(call.address).unwrap();
    assert!(name.text.contains("makeAdder(int)") && name.text.ends_with("::operator()"), "{name:?}");
    assert_eq!(name.sureness, Sureness::Certain);
    let (maker, sureness) = recovered(&module, "_Z9makeAdderi");
    assert_eq!(sureness, Sureness::Hint);
    assert!(maker.starts_with("sub_") && maker.contains("{makeAdder(int)? it makes its lambda}"), "{maker}");
    let (printer, sureness) = recovered(&module, "complain_of_shape");
    assert_eq!(sureness, Sureness::Hint);
    assert!(printer.contains("{complain_of_shape? it prints so}"), "{printer}");
}

#[test]
fn a_stripped_file_is_searched_completed_and_described_by_recovered_names() {
    let module = module(Fixture::build("classes", STRIPPED).path());
    assert!(module.is_stripped());
    let search = |pattern: NamePattern| module.functions_named(&pattern, 100);
    let regex = |text: &str| search(NamePattern::parse_regex(text).unwrap());
    let circles = regex("Circle::");
    let names: Vec<&str> = circles.functions.iter().map(|one| one.names[0].as_str()).collect();
    assert!(names.contains(&"shapes::Circle::[virtual 2]") && names.contains(&"shapes::Circle::~Circle"), "{names:?}");
    assert!(circles.functions.iter().all(|one| one.source == NameSource::Rtti));
    assert_eq!(regex("-> listen").total, 1);
    assert_eq!(regex("no_such_thing_anywhere").total, 0);
    let main = search(NamePattern::Plain("main".to_owned()));
    assert_eq!((main.total, main.functions[0].source), (1, NameSource::Startup));
    // What is shown can be typed again.
    for typed in ["shapes::Circle::[virtual 2]", "Circle::[virtual 2]", "calls::CallsImpl::[virtual 2 -> listen]?"] {
        assert_eq!(search(NamePattern::Plain(typed.to_owned())).total, 1, "{typed}");
    }
    let unnamed = format!("sub_{:x}", circles.functions[0].address.0);
    let again = search(NamePattern::Plain(unnamed));
    assert_eq!(again.functions[0].address, circles.functions[0].address);
    let completed = module.complete("shapes::Ci", 10);
    assert!(completed.contains(&"shapes::Circle::[virtual 2]".to_owned()), "{completed:?}");
    assert!(module.complete("Ci", 10).is_empty());
    let within = module.complete_within("Ci", 10);
    assert!(within.contains(&"shapes::Circle::[virtual 2]".to_owned()), "{within:?}");
    let (symbol, offset) = module.name_at(circles.functions[0].address.offset(1)).unwrap();
    assert_eq!((symbol.source, offset), (NameSource::Rtti, 1));
}

#[test]
fn a_table_of_known_names_is_used_where_it_fits_only() {
    let listen = "_ZN5calls9CallsImpl6listenEii";
    let path = Fixture::build("classes", CLANG).path().to_owned();
    let with = |text: &str| {
        let module = module(&path);
        module.set_vtable_names(Arc::new(VtableNames::parse(text).unwrap()));
        recovered(&module, listen)
    };
    let known = with("class calls::CallsImpl slots 4\n2 listen -> listen\n3 shutdown -> shutdown");
    assert_eq!(known, ("calls::CallsImpl::listen".to_owned(), Sureness::Certain));
    for misfit in
        ["class calls::CallsImpl slots 5\n2 f", "class calls::CallsImpl slots 4\n2 f -> listen\n3 g -> listen"]
    {
        assert_eq!(with(misfit).1, Sureness::Likely, "{misfit}");
    }
}

/// Changes some bytes; the same for a seed.
fn mutate(bytes: &mut [u8], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..1 + next(40) {
        let (from, to, len) = (next(bytes.len()), next(bytes.len()), 1 + next(32));
        match next(3) {
            0 => bytes[to] ^= 1 << next(8),
            1 => bytes[to..].iter_mut().take(len).for_each(|byte| *byte = 0xff),
            _ => bytes.copy_within(from..(from + len).min(bytes.len()), to.min(bytes.len() - len)),
        }
    }
}

#[test]
fn a_changed_file_costs_no_more_than_it_holds() {
    for variant in [STRIPPED, RELR] {
        let original = std::fs::read(Fixture::build("classes", variant).path()).unwrap();
        for seed in 0..150 {
            let mut bytes = original.clone();
            mutate(&mut bytes, seed);
            let Ok(module) = Module::parse("changed".into(), Arc::new(bytes)) else { continue };
            exercise(module.recovered().unwrap(), &module);
        }
    }
}

fn exercise(recovered: &Recovered, module: &Module) {
    let _ = recovered.functions_named(&NamePattern::parse_regex("shapes|virtual").unwrap(), 10);
    let _ = recovered.functions_hinted(&NamePattern::parse_regex("make").unwrap(), 10);
    for function in module.unwind().function_starts().into_iter().take(50) {
        let _ = (
            recovered.name_at(function.start),
            recovered.forward_of(function.start),
            recovered.candidates(function.start),
        );
    }
}

/// The mangled class of a method, without what is numbered by its depth in a name.
fn normal(mangled: &str) -> String {
    let depth = regex::Regex::new("fL[0-9]+p").unwrap();
    depth.replace_all(mangled, "fLp").into_owned()
}

/// What is certain of workerd's 29,000 virtual functions, held against its symbol table.
#[test]
fn what_is_certain_of_workerd_is_true() {
    let Some(path) = find_workerd_or_skip() else { return };
    let module = module(&path);
    let mut symbols: HashMap<FileAddr, Vec<String>> = HashMap::new();
    for symbol in module.symbols().iter().filter(|symbol| symbol.source == NameSource::Symtab) {
        symbols.entry(symbol.address).or_default().push(symbol.name.into_owned());
    }
    let (mut counts, mut wrong) = (HashMap::<(Sureness, bool), u32>::new(), Vec::new());
    for at in module.recovered().unwrap().named_functions() {
        let (Some(name), Some(truth)) = (module.recovered().unwrap().name_at(at), symbols.get(&at)) else { continue };
        let Some(class) = module.recovered().unwrap().class_at(at) else { continue };
        let right = truth.iter().any(|symbol| is_method_of(&normal(symbol), &normal(&class), &name.text));
        *counts.entry((name.sureness, right)).or_default() += 1;
        if !right && name.sureness == Sureness::Certain {
            let cut = |text: &str| text.chars().take(160).collect::<String>();
            wrong.push(format!("{} is {}", cut(&name.text), cut(&demangle_without_parameters(&truth[0]))));
        }
    }
    let count = |sureness, right| counts.get(&(sureness, right)).copied().unwrap_or(0);
    let share = |sureness| f64::from(count(sureness, true)) / f64::from(count(sureness, true) + count(sureness, false));
    println!("{counts:?}: certain {:.4}, likely {:.4}", share(Sureness::Certain), share(Sureness::Likely));
    wrong.iter().step_by(wrong.len() / 40 + 1).for_each(|line| println!("{line}"));
    assert!(count(Sureness::Certain, true) > 18_000, "{counts:?}");
    assert!(share(Sureness::Certain) >= 0.975, "{counts:?}");
}

/// Whether a symbol is of a method of the class, and of the kind of destructor that the name says.
fn is_method_of(symbol: &str, class: &str, name: &str) -> bool {
    let Some(symbol) = symbol.strip_prefix("_Z") else { return false };
    // A thunk: `Th`, `Tv` or `Tc`, numbers, and the method's own encoding.
    let thunk = symbol.starts_with('T').then(|| symbol.find("_N").or_else(|| symbol.find("_ZN"))).flatten();
    let symbol = thunk.map_or(symbol, |at| &symbol[at + 1..]);
    let destructor = if name.ends_with("[deleting]") { "D0Ev" } else { "D2Ev" };
    let is_destructor = name.rsplit("::").next().is_some_and(|last| last.starts_with('~'));
    if is_destructor && !(symbol.ends_with(destructor) || symbol.ends_with("D1Ev") && destructor == "D2Ev") {
        return false;
    }
    let qualified = |rest: &str, class: &str| rest.trim_start_matches(['K', 'V', 'r', 'R', 'O']).starts_with(class);
    if let Some(nested) = class.strip_prefix('N').and_then(|rest| rest.strip_suffix('E')) {
        return symbol.strip_prefix('N').is_some_and(|rest| qualified(rest, nested));
    }
    if !class.starts_with('Z') {
        return symbol.strip_prefix('N').is_some_and(|rest| qualified(rest, class));
    }
    // A class in a function: the method's name goes between the function's and the class's own, `Z<f>EN<class><method>E`.
    let end = class.rfind('_').filter(|at| class[at + 1..].bytes().all(|byte| byte.is_ascii_digit()));
    let class = &class[..end.unwrap_or(class.len())];
    let common = symbol.bytes().zip(class.bytes()).take_while(|(a, b)| a == b).count();
    (0..=common).rev().take(3).any(|at| {
        let method = symbol.get(at..).and_then(|rest| rest.strip_prefix('N'));
        method.is_some_and(|rest| class.get(at..).is_some_and(|class| qualified(rest, class)))
    })
}

/// How many of Envoy's functions get a name.
#[test]
fn half_of_envoys_functions_have_a_name() {
    let Some(envoy) = Envoy::find_or_skip() else { return };
    let module = module(envoy.path());
    let functions = module.unwind().function_starts();
    let recovered = module.recovered().unwrap();
    let mut counts: HashMap<Option<Sureness>, usize> = HashMap::new();
    for function in &functions {
        *counts.entry(recovered.name_at(function.start).map(|name| name.sureness)).or_default() += 1;
    }
    println!("{counts:?} of {}", functions.len());
    let unnamed = counts.get(&None).copied().unwrap_or(0);
    assert!((functions.len() - unnamed) * 1000 > functions.len() * 483, "{counts:?}");
    let found = module
        .functions_named(&NamePattern::parse_regex("Envoy::Api::OsSysCallsImpl::(bind|listen|accept)$").unwrap(), 10);
    assert_eq!(found.total, 3, "{found:?}");
}
