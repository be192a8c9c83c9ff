//! The arrows between rooms run one way (docs/architecture.md).

use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and the rooms it may use.
const ROOMS: [(&str, &[&str]); 10] = [
    ("base", &[]),
    ("api", &["base"]),
    ("arch", &["base"]),
    ("binary", &["base", "arch"]),
    ("os", &["base", "arch"]),
    ("target", &["base", "arch", "binary"]),
    ("lang", &["base", "arch", "binary", "target"]),
    ("engine", &["base", "api", "arch", "binary", "os", "target", "lang", "trace"]),
    ("frontend", &["api", "base"]),
    ("trace", &["base", "api", "arch", "binary", "target", "lang"]),
];

/// What begins a use of the keyword; the word alone may stand in a text.
const UNSAFE: [&str; 5] = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern \""];

fn sources(room: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|one| one == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let mut wrong = Vec::new();
    for (room, allowed) in ROOMS {
        for path in sources(room) {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                for part in line.split("crate::").skip(1) {
                    let used: String = part.chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect();
                    let is_room = ROOMS.iter().any(|(name, _)| *name == used);
                    if is_room && used != room && !allowed.contains(&used.as_str()) {
                        wrong.push(format!("{}:{}: {room} uses {used}", path.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows against docs/architecture.md:\n{}", wrong.join("\n"));
}

#[test]
fn system_calls_and_unsafe_are_in_os_only() {
    let mut wrong = Vec::new();
    for (room, _) in ROOMS.iter().filter(|(room, _)| *room != "os") {
        for path in sources(room) {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let mut words = code.split(|one: char| !one.is_alphanumeric() && one != '_' && one != ':');
                let is_unsafe = UNSAFE.iter().any(|one| code.contains(one));
                if is_unsafe || words.any(|word| word.starts_with("nix::") || word.starts_with("libc::")) {
                    wrong.push(format!("{}:{}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "outside src/os:\n{}", wrong.join("\n"));
}
