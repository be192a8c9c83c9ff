//! Fixtures are compiled on demand and kept in target/fixtures by name, variant, compiler version and source.

use std::collections::HashMap;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// Which compiler with which flags.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub name: &'static str,
    pub clang: bool,
    pub flags: &'static [&'static str],
    /// Remove .symtab and the debug information after linking.
    pub strip: bool,
}

impl Variant {
    /// gcc/g++ with libstdc++, -O2, no frame pointers: what a distribution ships.
    pub const GCC: Variant =
        Variant { name: "gcc", clang: false, flags: &["-O2", "-g", "-fomit-frame-pointer"], strip: false };
    pub const GCC_FP: Variant =
        Variant { name: "gcc-fp", clang: false, flags: &["-O2", "-g", "-fno-omit-frame-pointer"], strip: false };
    /// clang/clang++ with libc++, as Envoy is built.
    pub const CLANG: Variant =
        Variant { name: "clang", clang: true, flags: &["-O2", "-g", "-fomit-frame-pointer"], strip: false };
    pub const CLANG_FP: Variant =
        Variant { name: "clang-fp", clang: true, flags: &["-O2", "-g", "-fno-omit-frame-pointer"], strip: false };
    /// Not position-independent, so the load bias is 0.
    pub const NO_PIE: Variant =
        Variant { name: "no-pie", clang: false, flags: &["-O2", "-g", "-fno-pie", "-no-pie"], strip: false };
    /// No dynamic loader, no link map.
    pub const STATIC: Variant =
        Variant { name: "static", clang: false, flags: &["-O2", "-g", "-static"], strip: false };
    pub const STATIC_PIE: Variant =
        Variant { name: "static-pie", clang: false, flags: &["-O2", "-g", "-static-pie", "-fPIE"], strip: false };
    /// musl's C library and loader instead of glibc's; for C only.
    pub const MUSL: Variant = Variant { name: "musl", clang: false, flags: &["-O2", "-g"], strip: false };
    pub const MUSL_STATIC: Variant =
        Variant { name: "musl-static", clang: false, flags: &["-O2", "-g", "-static"], strip: false };
    pub const STRIPPED: Variant = Variant { name: "stripped", clang: false, flags: &["-O2"], strip: true };
    /// endbr64 at each function's entry.
    pub const CET: Variant =
        Variant { name: "cet", clang: false, flags: &["-O2", "-g", "-fcf-protection"], strip: false };
    /// Version 4 of DWARF in compressed sections.
    pub const DWARF4: Variant =
        Variant { name: "dwarf4", clang: false, flags: &["-O0", "-g", "-gdwarf-4", "-gz=zlib"], strip: false };
    pub const CLANG_O0: Variant = Variant { name: "clang-o0", clang: true, flags: &["-O0", "-g"], strip: false };
    /// The linker inlines across units.
    pub const LTO: Variant = Variant { name: "lto", clang: false, flags: &["-O3", "-g", "-flto"], strip: false };
    pub const O0: Variant = Variant { name: "o0", clang: false, flags: &["-O0", "-g"], strip: false };

    fn is_musl(&self) -> bool {
        self.name.starts_with("musl")
    }

    /// Whether its compiler is there.
    pub fn is_available(&self) -> bool {
        !self.is_musl() || version("musl-gcc").is_ok()
    }

    /// The four builds in which mini_envoy is tested.
    pub const ALL_ENVOY: [Variant; 4] = [Variant::GCC, Variant::GCC_FP, Variant::CLANG, Variant::CLANG_FP];
}

/// A compiled fixture.
#[derive(Clone, Debug)]
pub struct Fixture {
    path: PathBuf,
}

impl Fixture {
    /// Compiles `fixtures/NAME` unless it is there already. NAME is a file without its suffix (`hits`), a directory
    /// (`mini_envoy`, `pilot-agent`), or `plugin..` (a shared object).
    #[track_caller]
    pub fn build(name: &str, variant: Variant) -> Fixture {
        let built = BUILT.get_or_init(Mutex::default);
        // Held while compiling: with few processors, one compiler at a time is quickest.
        let mut built = built.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let key = (name.to_owned(), variant.name);
        if let Some(path) = built.get(&key) {
            return Fixture { path: path.clone() };
        }
        let path = build(name, variant).unwrap_or_else(|error| panic!("fixture {name} ({}): {error}", variant.name));
        built.insert(key, path.clone());
        Fixture { path }
    }

    /// [`Fixture::build`] with [`Variant::GCC`].
    #[track_caller]
    pub fn get(name: &str) -> Fixture {
        Fixture::build(name, Variant::GCC)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A copy (another inode) under another name, so that a test can wait for a program that no other test starts.
    #[track_caller]
    pub fn copy_as(&self, directory: &Path, name: &str) -> PathBuf {
        let to = directory.join(name);
        super::copy_program(&self.path, &to);
        to
    }
}

static BUILT: OnceLock<Mutex<HashMap<(String, &'static str), PathBuf>>> = OnceLock::new();

fn build(name: &str, variant: Variant) -> Result<PathBuf, String> {
    let sources = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let (mut command, inputs) = compiler(&sources, name, variant)?;
    let file = if is_library(name) { format!("{name}.so") } else { name.to_owned() };

    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    hasher.write(format!("{command:?} {}", variant.strip).as_bytes());
    hasher.write(&version(command.get_program().to_str().unwrap_or_default())?);
    for input in &inputs {
        hasher.write(&fs::read(input).map_err(|e| format!("{}: {e}", input.display()))?);
    }
    let root = super::target_dir().join("fixtures");
    let place = root.join(format!("{name}-{}-{:016x}", variant.name, hasher.finish()));
    let path = place.join(&file);
    if path.exists() {
        return Ok(path);
    }

    // Compiled in a directory of its own and moved into place whole: another process may be doing the same.
    fs::create_dir_all(&root).map_err(|e| format!("{}: {e}", root.display()))?;
    let scratch = tempfile::Builder::new().prefix(".build-").tempdir_in(&root).map_err(|e| e.to_string())?;
    let output = scratch.path().join(&file);
    command.arg("-o").arg(&output);
    if is_go(name) {
        command.arg(".");
        if std::env::var_os("GOCACHE").is_none() {
            command.env("GOCACHE", root.join("go-cache"));
        }
    } else {
        command.args(inputs.iter().filter(|i| i.extension().is_some_and(|e| e != "h")));
        if name == "abseil" {
            command.args(abseil_libraries());
        }
        if name != "rusty" {
            command.args(["-lpthread", "-ldl"]);
        }
    }
    run(&mut command)?;
    if variant.strip && !is_go(name) {
        run(Command::new("strip").arg("--strip-all").arg(&output))?;
    }
    let scratch = scratch.keep();
    if fs::rename(&scratch, &place).is_err() {
        let _ = fs::remove_dir_all(&scratch);
    }
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} did not come into being", path.display()))
    }
}

/// Whether a fixture is a Go module.
fn is_go(name: &str) -> bool {
    matches!(name, "pilot-agent" | "gopher")
}

/// Whether a fixture is a shared object.
fn is_library(name: &str) -> bool {
    name.starts_with("plugin")
}

/// Abseil comes in some seventy archives that need each other.
fn abseil_libraries() -> Vec<String> {
    let entries = fs::read_dir("/usr/lib/x86_64-linux-gnu").into_iter().flatten().flatten();
    let archives = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libabsl_") && name.ends_with(".a") && !name.contains("_flags")
    });
    let archives = archives.map(|path| path.display().to_string());
    ["-Wl,--start-group".to_owned()].into_iter().chain(archives).chain(["-Wl,--end-group".to_owned()]).collect()
}

fn compiler(sources: &Path, name: &str, variant: Variant) -> Result<(Command, Vec<PathBuf>), String> {
    let directory = sources.join(name);
    if is_go(name) {
        let mut command = Command::new("go");
        // What is debugged is built so that all of it is there, and names its sources as they lie here.
        let how: &[&str] = if name == "gopher" { &["-gcflags=-N -l"] } else { &["-trimpath"] };
        command.args(["build", "-buildvcs=false"]).args(how).current_dir(&directory).env("CGO_ENABLED", "0");
        return Ok((command, vec![directory.join("main.go"), directory.join("go.mod")]));
    }
    if name == "rusty" {
        let mut command = Command::new("rustc");
        command.args(["--edition", "2021", "-g", "--crate-name", name]);
        return Ok((command, vec![sources.join("rusty.rs")]));
    }
    let mut inputs = Vec::new();
    let plus_plus = directory.is_dir();
    if plus_plus {
        for entry in fs::read_dir(&directory).map_err(|e| e.to_string())?.flatten() {
            inputs.push(entry.path());
        }
    } else {
        let assembly = sources.join(format!("{name}_first.S"));
        inputs.push(sources.join(format!("{name}.c")));
        inputs.extend(assembly.exists().then_some(assembly));
    }
    inputs.push(sources.join("fixture.h"));
    inputs.sort();
    let program = match (variant.clang, plus_plus) {
        (false, false) if variant.is_musl() => "musl-gcc",
        (false, false) => "gcc",
        (false, true) => "g++",
        (true, false) => "clang",
        (true, true) => "clang++",
    };
    let mut command = Command::new(program);
    command.args(variant.flags);
    if plus_plus {
        command.arg("-std=c++17");
    }
    if plus_plus && variant.clang {
        command.arg("-stdlib=libc++");
    }
    if is_library(name) {
        command.args(["-shared", "-fPIC"]);
    }
    Ok((command, inputs))
}

fn version(program: &str) -> Result<Vec<u8>, String> {
    let argument = if program == "go" { "version" } else { "--version" };
    let output =
        Command::new(program).arg(argument).output().map_err(|e| format!("{program}: {e} (run scripts/setup)"))?;
    Ok(output.stdout)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e} (run scripts/setup)"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
