//! How a function's arguments are read, decided once; nothing is parsed at a hit.

use super::described;
use super::membership::{self, Membership};
use super::plausible::fit;
use super::reader::ArgumentReader;
use super::shape::Shape;
use crate::arch::{place_arguments, ArgumentPlace, IntegerRegister, ParameterClass};
use crate::base::VirtAddr;
use crate::binary::symbols::demangle_without_parameters;
use crate::binary::{rtti::Forward, symbols::parse_signature, MethodKind, Module, Signature as CxxSignature};
use crate::target::syscalls::{self, find_signature, CallMemory, Signature};
use crate::target::LoadedModule;

/// How far an argument can be believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Certainty {
    /// Its type and place are known.
    Certain,
    /// Its type or place is likely.
    Guess,
    /// It is only a register.
    Raw,
}

/// An argument as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodedArgument {
    /// The parameter's name, or `this`, or a register's where nothing is known.
    pub name: Option<String>,
    /// The value.
    pub text: String,
    /// How far it can be believed.
    pub certainty: Certainty,
}

/// A call as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodedCall {
    /// The function's name without parameters.
    pub function: String,
    /// In order, `this` first.
    pub arguments: Vec<DecodedArgument>,
}

/// How the arguments of one function are read at its first instruction.
#[derive(Clone, Debug)]
pub struct CallPlan {
    /// The function's name without parameters.
    pub function: String,
    source: Source,
}

/// What the plan rests on.
#[derive(Clone, Debug)]
enum Source {
    /// A C++ name.
    Cxx(Box<CxxPlan>),
    /// A method that hands its arguments on to a function of libc.
    Forward { signature: &'static Signature, places: Vec<ArgumentPlace> },
    /// A function of libc.
    C { signature: &'static Signature, places: Vec<ArgumentPlace>, certainty: Certainty },
    /// The debug information.
    Described { parameters: Vec<described::Parameter>, certainty: Certainty },
    /// Nothing: the registers.
    Raw,
}

/// What a C++ name leaves open is decided at the hit: whether there is a `this`, and whether the result is returned in
/// memory, whose address is then a hidden first parameter.
#[derive(Clone, Debug)]
struct CxxPlan {
    membership: Membership,
    /// The first declared parameter is an address, so that rdi says nothing.
    starts_with_address: bool,
    /// A constructor or destructor: returns nothing.
    returns_nothing: bool,
    altered: Certainty,
    free: Vec<Planned>,
    method: Vec<Planned>,
    free_with_result: Vec<Planned>,
    method_with_result: Vec<Planned>,
}

/// One argument of a plan.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// `this` and `result`; the names of others are not known.
    pub(super) name: Option<&'static str>,
    pub(super) shape: Shape,
    /// None: an empty class, which is passed nowhere.
    pub(super) place: Option<ArgumentPlace>,
    certainty: Certainty,
}

const REGISTERS: [&str; 6] = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"];
/// More parameters than this are not shown; no one writes them, and a hostile name could hold any number.
const MAX_PARAMETERS: usize = 64;

impl CallPlan {
    /// The plan for a function by the name that the linker gave it. Worth keeping: a name is parsed and looked up, which
    /// can take a millisecond in a large module.
    pub fn new(symbol: &str, loaded: &LoadedModule) -> CallPlan {
        let file = loaded.name();
        let is_libc = ["libc.so", "libc-", "libpthread", "libdl", "ld-musl", "libc.musl"];
        let is_libc = is_libc.iter().any(|prefix| file.starts_with(prefix));
        CallPlan::of_names(symbol, Some(&loaded.module), if is_libc { Certainty::Certain } else { Certainty::Guess })
    }

    /// The plan for the function at `at` that is shown as `name`. What is known of libc's functions says more than debug
    /// information; that says more than a name. A recovered name says nothing of parameters, but a method that hands them
    /// on to a function of libc has that one's.
    pub fn at(name: &str, loaded: &LoadedModule, at: VirtAddr) -> CallPlan {
        let plan = CallPlan::new(name, loaded);
        if matches!(plan.source, Source::C { certainty: Certainty::Certain, .. }) {
            return plan;
        }
        if let Some(parameters) = described::parameters(&loaded.module, loaded.to_file(at)) {
            let certainty = altered(name);
            return CallPlan { source: Source::Described { parameters, certainty }, ..plan };
        }
        if !matches!(plan.source, Source::Raw) || !loaded.module.is_stripped() {
            return plan;
        }
        let forward = loaded.module.forward_of(loaded.to_file(at));
        match forward.and_then(|forward| CallPlan::forwarding(&forward)) {
            Some(source) => CallPlan { source, ..plan },
            None => plan,
        }
    }

    /// Each argument must be the one behind it of the method, whose first is `this`.
    fn forwarding(forward: &Forward) -> Option<Source> {
        let signature = find_signature(&forward.function)?;
        let count = signature.parameters.len();
        let shifted = forward.arguments.iter().zip(1..).take(count).all(|(from, number)| *from == Some(number));
        let places = place_arguments(&vec![ParameterClass::Integer; count + 1]).split_off(1);
        (shifted && count < REGISTERS.len()).then_some(Source::Forward { signature, places })
    }

    /// The plan by names alone; `in_libc` is how far the table of libc's functions applies.
    fn of_names(symbol: &str, module: Option<&Module>, in_libc: Certainty) -> CallPlan {
        let (stem, certainty) = match symbol.strip_suffix("@plt") {
            Some(stem) => (stem, Certainty::Certain),
            None => (symbol, in_libc),
        };
        if let Some(signature) = parse_signature(stem) {
            return CallPlan::of_cxx(stem, &signature, module);
        }
        match find_signature(stem) {
            Some(signature) => {
                let classes = vec![ParameterClass::Integer; signature.parameters.len()];
                let certainty = if signature.name == "main" { Certainty::Certain } else { certainty };
                let places = place_arguments(&classes);
                let function = stem.split('@').next().unwrap_or(stem).to_owned();
                CallPlan { function, source: Source::C { signature, places, certainty } }
            }
            None => CallPlan { function: demangle_without_parameters(stem).into_owned(), source: Source::Raw },
        }
    }

    fn of_cxx(mangled: &str, signature: &CxxSignature, module: Option<&Module>) -> CallPlan {
        let shapes: Vec<Shape> =
            signature.parameters.iter().take(MAX_PARAMETERS).map(|text| Shape::parse(text)).collect();
        let membership = membership::of_function(mangled, signature, module);
        CallPlan {
            function: signature.qualified_name.clone(),
            source: Source::Cxx(Box::new(CxxPlan {
                membership,
                starts_with_address: shapes.first().is_some_and(Shape::starts_with_address),
                returns_nothing: matches!(signature.method, MethodKind::Constructor | MethodKind::Destructor),
                altered: altered(mangled),
                free: place(&[], &shapes),
                method: place(&["this"], &shapes),
                free_with_result: place(&["result"], &shapes),
                method_with_result: place(&["result", "this"], &shapes),
            })),
        }
    }

    /// The arguments of a call whose first instruction is executed next.
    pub fn read(&self, reader: &ArgumentReader<'_>) -> Vec<DecodedArgument> {
        match &self.source {
            Source::Raw => raw(reader),
            Source::Described { parameters, certainty } => {
                parameters.iter().map(|one| one.read(reader, *certainty)).collect()
            }
            Source::C { signature, places, certainty } => c_arguments(signature, places, *certainty, reader),
            Source::Forward { signature, places } => {
                let this = ArgumentPlace::Integer(IntegerRegister(0));
                let this = Planned {
                    name: Some("this"),
                    shape: Shape::Pointer,
                    place: Some(this),
                    certainty: Certainty::Certain,
                };
                let handed_on = c_arguments(signature, places, Certainty::Certain, reader);
                std::iter::once(this.read(reader, Certainty::Certain)).chain(handed_on).collect()
            }
            Source::Cxx(plan) => {
                let (arguments, certainty) = plan.choose(reader);
                arguments.iter().map(|planned| planned.read(reader, certainty.max(plan.altered))).collect()
            }
        }
    }

    /// Where each of the arguments of [`CallPlan::read`] is.
    pub fn places(&self, reader: &ArgumentReader<'_>) -> Vec<Option<ArgumentPlace>> {
        match &self.source {
            Source::Raw => {
                (0..REGISTERS.len() as u8).map(|at| Some(ArgumentPlace::Integer(IntegerRegister(at)))).collect()
            }
            Source::Described { parameters, .. } => parameters.iter().map(|one| one.place).collect(),
            Source::C { places, .. } => places.iter().copied().map(Some).collect(),
            Source::Forward { places, .. } => {
                let this = ArgumentPlace::Integer(IntegerRegister(0));
                std::iter::once(this).chain(places.iter().copied()).map(Some).collect()
            }
            Source::Cxx(plan) => plan.choose(reader).0.iter().map(|one| one.place).collect(),
        }
    }

    /// The call as a whole.
    pub fn decode(&self, reader: &ArgumentReader<'_>) -> DecodedCall {
        DecodedCall { function: self.function.clone(), arguments: self.read(reader) }
    }
}

/// How far above rsp an address is still taken for one of a caller's variables.
const STACK_REACH: u64 = 1 << 20;

impl CxxPlan {
    /// Which arguments there are, and how far that can be believed at best.
    fn choose(&self, reader: &ArgumentReader<'_>) -> (&[Planned], Certainty) {
        let is_object = |value: u64| membership::has_vtable(reader.space, reader.mem, value);
        let is_mapped = |value: u64| reader.mem.read_mem(VirtAddr(value), &mut [0]).is_ok_and(|count| count > 0);
        let (first, second) = (reader.regs.rdi, reader.regs.rsi);
        // A result that is returned in memory almost always goes to a variable of the caller.
        let may_be_result =
            !self.returns_nothing && VirtAddr(first).since(reader.regs.sp()) < STACK_REACH && is_mapped(first);
        if self.membership == Membership::Free {
            return if may_be_result && !self.free.is_empty() && !self.starts_with_address {
                (&self.free_with_result, Certainty::Guess)
            } else {
                (&self.free, Certainty::Certain)
            };
        }
        // An object that begins with a vtable is a sure sign of a method, unless the arguments fit better without it:
        // a std::function of libc++ begins with one too.
        let fits_free = self.membership == Membership::InClass && fit(&self.free, reader) > fit(&self.method, reader);
        if self.returns_nothing || is_object(first) && !fits_free {
            return (&self.method, Certainty::Certain);
        }
        let second_is_this = is_mapped(second) && !self.starts_with_address && self.method.len() > 1;
        if may_be_result && (is_object(second) || second_is_this) {
            return (&self.method_with_result, Certainty::Guess);
        }
        match self.membership {
            Membership::Method if !may_be_result => (&self.method, Certainty::Certain),
            Membership::InClass if fits_free => (&self.free, Certainty::Guess),
            _ => (&self.method, Certainty::Guess),
        }
    }
}

impl ArgumentReader<'_> {
    /// The call of the function that the linker named `symbol`, for what is asked once; a hit keeps a [`CallPlan`].
    pub fn decode_call(&self, symbol: &str, loaded: &LoadedModule) -> DecodedCall {
        CallPlan::new(symbol, loaded).decode(self)
    }
}

impl Planned {
    fn read(&self, reader: &ArgumentReader<'_>, at_best: Certainty) -> DecodedArgument {
        let text = match self.place {
            Some(place) => reader.read(&self.shape, place),
            None => "{}".to_owned(),
        };
        DecodedArgument { name: self.name.map(str::to_owned), text, certainty: self.certainty.max(at_best) }
    }
}

/// A clone that the optimiser made of a function may have lost parameters, or take them elsewhere.
fn altered(mangled: &str) -> Certainty {
    let clones = [".isra.", ".constprop.", ".part.", ".cold", ".llvm."];
    if clones.iter().any(|clone| mangled.contains(clone)) {
        Certainty::Guess
    } else {
        Certainty::Certain
    }
}

/// Places for the hidden parameters, which are addresses, and then the others. Behind a type whose size is not known
/// every place is a guess.
fn place(hidden: &[&'static str], shapes: &[Shape]) -> Vec<Planned> {
    let hidden = hidden.iter().map(|name| (Some(*name), Shape::Pointer));
    let all: Vec<_> = hidden.chain(shapes.iter().map(|shape| (None, shape.clone()))).collect();
    let classes: Vec<ParameterClass> = all.iter().filter_map(|(_, shape)| shape.class()).collect();
    let mut places = place_arguments(&classes).into_iter();
    let mut certainty = Certainty::Certain;
    let mut planned = Vec::with_capacity(all.len());
    for (name, shape) in all {
        if shape == Shape::Unknown {
            certainty = Certainty::Guess;
        }
        let place = shape.class().and_then(|_| places.next());
        planned.push(Planned { name, shape, place, certainty });
    }
    planned
}

fn raw(reader: &ArgumentReader<'_>) -> Vec<DecodedArgument> {
    let arguments = REGISTERS.iter().zip(0..);
    let arguments = arguments.map(|(name, index)| DecodedArgument {
        name: Some((*name).to_owned()),
        text: reader.read(&Shape::Quad, ArgumentPlace::Integer(IntegerRegister(index))),
        certainty: Certainty::Raw,
    });
    arguments.collect()
}

fn c_arguments(
    signature: &Signature,
    places: &[ArgumentPlace],
    certainty: Certainty,
    reader: &ArgumentReader<'_>,
) -> Vec<DecodedArgument> {
    let values: Vec<u64> = places.iter().map(|place| reader.word(*place).unwrap_or_default()).collect();
    let function_name = |at: VirtAddr| reader.function_name(at);
    let memory = CallMemory { mem: reader.mem, function_name: &function_name };
    let arguments = signature.parameters.iter().enumerate();
    let arguments = arguments.map(|(index, parameter)| DecodedArgument {
        name: Some(parameter.name.to_owned()),
        text: syscalls::decode(parameter.kind, index, &values, &memory),
        certainty,
    });
    arguments.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Regs, VectorRegs};
    use crate::target::fake_memory::FakeMemory;
    use crate::target::AddressSpace;

    fn call(symbol: &str, regs: Regs, mem: &FakeMemory) -> String {
        let space = AddressSpace::new();
        let vectors = || {
            let mut vectors = VectorRegs::default();
            vectors.xmm[0][..8].copy_from_slice(&2.5f64.to_le_bytes());
            vectors.xmm[1][..4].copy_from_slice(&0.5f32.to_le_bytes());
            Some(vectors)
        };
        let reader = ArgumentReader::new(&space, mem, &regs, &vectors);
        let call = CallPlan::of_names(symbol, None, Certainty::Certain).decode(&reader);
        let arguments = call.arguments.iter().map(|argument| {
            let mark = ["", "?", "!"][argument.certainty as usize];
            let name = argument.name.as_ref().map(|name| format!("{name}=")).unwrap_or_default();
            format!("{name}{}{mark}", argument.text)
        });
        format!("{}({})", call.function, arguments.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn a_method_of_envoys_shape_is_read_with_this_and_its_view() {
        let mem = FakeMemory::default().with(0x7000, &[0; 8]).with(0x8000, b"0.0.0.0_8080");
        let regs = Regs { rdi: 0x7000, rsi: 0x8000, rdx: 12, ..Regs::default() };
        let symbol = "_ZN5Envoy10StreamInfo14StreamInfoImpl18setFilterChainNameEN4absl11string_viewE";
        let name = "Envoy::StreamInfo::StreamInfoImpl::setFilterChainName";
        assert_eq!(call(symbol, regs, &mem), format!("{name}(this=0x7000?, \"0.0.0.0_8080\"?)"));
        let regs = Regs { rdi: 12, rsi: 0x8000, ..regs };
        assert!(call(symbol, regs, &mem).starts_with(&format!("{name}({{data=0xc, size=32768}}?")), "no this: static");
    }

    #[test]
    fn widths_signs_floats_and_the_stack() {
        let stack = [0x40_1000u64, 7, 0xffff_ffff_ffff_fff8];
        let mem = FakeMemory::default().with_words(0x9000, &stack);
        let regs =
            Regs { rdi: u64::MAX, rsi: 1, rdx: 0x1_0041, rcx: 0xffff, r8: 5, r9: 6, rsp: 0x9000, ..Regs::default() };
        assert_eq!(
            call("_ZN1a1fEibcthjxmdf", regs, &mem),
            "a::f(-1, true, 'A', 65535, 5, 6, 7, 18446744073709551608, 2.5, 0.5)"
        );
    }

    #[test]
    fn libstdcxx_views_are_size_first_and_what_follows_an_unknown_class_is_a_guess() {
        let mem = FakeMemory::default().with(0x8000, b"text");
        let regs = Regs { rdi: 4, rsi: 0x8000, rdx: 3, rcx: 9, ..Regs::default() };
        assert_eq!(call("_Z1fSt17basic_string_viewIcSt11char_traitsIcEE4Modei", regs, &mem), "f(\"text\", 3?, 9?)");
    }

    #[test]
    fn a_result_in_memory_is_taken_for_the_hidden_parameter_that_it_is() {
        let mem = FakeMemory::default().with(0x7000, &[0; 64]).with(0x20_0000, &[0; 8]);
        let regs = Regs { rsp: 0x7000, rdi: 0x7020, rsi: 0x20_0000, rdx: 3, ..Regs::default() };
        assert_eq!(call("_ZNK1A4nameEi", regs, &mem), "A::name(result=0x7020?, this=0x200000?, 3?)");
        let regs = Regs { rdi: 0x20_0000, rsi: 3, ..regs };
        assert_eq!(call("_ZNK1A4nameEi", regs, &mem), "A::name(this=0x200000, 3)");
    }

    #[test]
    fn a_method_that_hands_its_arguments_on_has_those_of_the_function() {
        let forward = |arguments| Forward { function: "listen".to_owned(), arguments };
        let source = CallPlan::forwarding(&forward([Some(1), Some(2), Some(2), None, None, None])).unwrap();
        let (space, mem) = (AddressSpace::new(), FakeMemory::default());
        let regs = Regs { rdi: 0x7000, rsi: 3, rdx: 128, ..Regs::default() };
        let vectors = || None;
        let reader = ArgumentReader::new(&space, &mem, &regs, &vectors);
        let arguments = CallPlan { function: String::new(), source }.read(&reader);
        let shown: Vec<String> =
            arguments.iter().map(|one| format!("{}={}", one.name.as_deref().unwrap_or("?"), one.text)).collect();
        assert_eq!(shown, ["this=0x7000", "fd=3", "backlog=128"]);
        assert!(CallPlan::forwarding(&forward([Some(1), None, None, None, None, None])).is_none());
        assert!(CallPlan::forwarding(&forward([Some(0), Some(1), None, None, None, None])).is_none());
    }

    #[test]
    fn an_optimisers_clone_is_a_guess_and_a_nameless_function_is_registers() {
        let mem = FakeMemory::default();
        let regs = Regs { rdi: 4, ..Regs::default() };
        assert_eq!(call("_Z1fi.isra.0", regs, &mem), "f(4?)");
        assert!(call("sub_1000", regs, &mem).starts_with("sub_1000(rdi=0x4!, rsi=0x0!"));
        assert_eq!(call("__GI___close", regs, &mem), "__GI___close(fd=4)");
    }
}
