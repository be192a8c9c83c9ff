//! Tables of known names: which method stands in which slot of a class's virtual table.
//!
//! A line is empty, a comment (`#`), or one of these; words are parted by spaces:
//!
//! ```text
//! class NAME slots COUNT       begins a class; NAME is demangled, without template arguments
//! SLOT METHOD [-> FUNCTION]    the method in a slot; its body must call FUNCTION of another file
//! ```
//!
//! A class is named by it only if its primary table has exactly COUNT slots and every `->` holds: slots move from one
//! release to the next, and a table that does not fit names nothing.

use std::collections::BTreeMap;

/// What is known of one class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownClass {
    /// Demangled, without template arguments.
    pub name: String,
    /// How many slots its primary table has.
    pub slots: u16,
    /// By slot.
    pub methods: BTreeMap<u16, KnownMethod>,
}

/// A method in a slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownMethod {
    /// Without scope and parameters.
    pub name: String,
    /// A function of another file that its body calls.
    pub calls: Option<String>,
}

/// All that is known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VtableNames {
    classes: Vec<KnownClass>,
}

/// Why a table is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {reason}; expected `class NAME slots COUNT`, or below it `SLOT METHOD [-> FUNCTION]`")]
pub struct BadTable {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The classes of the standard libraries, whose slots their ABIs fix, and Envoy's system calls.
const BUILT_IN: [&str; 2] = [include_str!("names/standard.txt"), include_str!("names/envoy.txt")];

impl VtableNames {
    /// The tables that rdbg brings along.
    pub fn built_in() -> VtableNames {
        let parsed = BUILT_IN.iter().filter_map(|text| VtableNames::parse(text).ok());
        VtableNames { classes: parsed.flat_map(|one| one.classes).collect() }
    }

    /// Parses the text of a table.
    ///
    /// # Errors
    /// A line that is neither of the two forms, a slot beyond the count, or a slot that is named twice.
    pub fn parse(text: &str) -> Result<VtableNames, BadTable> {
        let mut classes: Vec<KnownClass> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let bad = |reason| BadTable { line: number + 1, reason };
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            match words[..] {
                [] => {}
                ["class", name, "slots", count] => {
                    let slots = count.parse().map_err(|_| bad("the count is no number below 65536"))?;
                    classes.push(KnownClass { name: name.to_owned(), slots, methods: BTreeMap::new() });
                }
                ["class", ..] => return Err(bad("neither a class nor a slot")),
                [slot, name] => add(&mut classes, slot, name, None).map_err(bad)?,
                [slot, name, "->", function] => add(&mut classes, slot, name, Some(function)).map_err(bad)?,
                _ => return Err(bad("neither a class nor a slot")),
            }
        }
        Ok(VtableNames { classes })
    }

    /// Puts another table's classes before these.
    pub fn with(mut self, mut first: VtableNames) -> VtableNames {
        first.classes.append(&mut self.classes);
        first
    }

    /// The names of all methods.
    pub fn method_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.classes.iter().flat_map(|class| class.methods.values()).map(|method| method.name.as_str())
    }

    /// The classes and the slots in which a method stands.
    pub fn places_of<'a>(&'a self, method: &'a str) -> impl Iterator<Item = (&'a str, u16)> + 'a {
        self.classes.iter().flat_map(move |class| {
            let slots = class.methods.iter().filter(move |(_, one)| one.name == method);
            slots.map(|(slot, _)| (class.name.as_str(), *slot))
        })
    }

    /// What may hold of a class with this name and so many slots, in order.
    pub fn of_class<'a>(&'a self, name: &'a str, slots: usize) -> impl Iterator<Item = &'a KnownClass> + 'a {
        self.classes.iter().filter(move |class| class.name == name && usize::from(class.slots) == slots)
    }
}

fn add(classes: &mut [KnownClass], slot: &str, name: &str, calls: Option<&str>) -> Result<(), &'static str> {
    let class = classes.last_mut().ok_or("a slot before the first class")?;
    let slot: u16 = slot.parse().map_err(|_| "the slot is no number below 65536")?;
    if slot >= class.slots {
        return Err("the slot is beyond the class's count");
    }
    let method = KnownMethod { name: name.to_owned(), calls: calls.map(str::to_owned) };
    class.methods.insert(slot, method).map_or(Ok(()), |_| Err("the slot is named twice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_tables_parse() {
        for text in BUILT_IN {
            assert!(!VtableNames::parse(text).unwrap().classes.is_empty());
        }
        let names = VtableNames::built_in();
        let func = names.of_class("std::__1::__function::__func", 9).next().unwrap();
        assert_eq!(func.methods[&6].name, "operator()");
        assert_eq!(names.of_class("std::__1::__function::__func", 8).count(), 0);
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = |text: &str| VtableNames::parse(text).unwrap_err().to_string();
        assert!(error("1 f").starts_with("line 1: a slot before the first class; expected"));
        assert!(error("class A slots 2\n\n2 f").starts_with("line 3: the slot is beyond"));
        assert!(error("class A slots 2\n1 f\n1 g").starts_with("line 3: the slot is named twice"));
        assert!(error("class A slots x").contains("no number"));
        assert!(error("class A\n").contains("neither a class nor a slot"));
        let names = VtableNames::parse("class A::B slots 3 # comment\n 2 f -> bind\n").unwrap();
        assert_eq!(names.classes[0].methods[&2].calls.as_deref(), Some("bind"));
    }
}
