//! Source files: where they are, their lines, and which line a frame stands at.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::api::{ApiError, Reply, SourceLine, SourceQuery, SourceText};
use crate::base::{Inferior, VirtAddr};
use crate::binary::dwarf::{CodePlace, SourceFile, SourceName};
use crate::engine::state::{Engine, Space};
use crate::target::address_space::LoadedModule;

/// How many lines `list` shows.
const LISTED: u32 = 10;
/// How many lines are shown before and after the one where the target stopped.
const AROUND_STOP: u32 = 2;
/// A source file that is larger is not shown, bytes.
const FILE_LIMIT: u64 = 64 << 20;
/// How many files are kept.
const KEPT: usize = 64;

/// What is known of source files.
#[derive(Default)]
pub(in crate::engine) struct Sources {
    /// `set substitute-path`: a path that begins with the first is looked for under the second.
    pub(in crate::engine) maps: Vec<(String, String)>,
    files: HashMap<PathBuf, Arc<SourceContent>>,
    /// What was listed last: file and lines.
    listed: Option<(SourceFile, u32, u32)>,
}

/// A file's lines.
struct SourceContent {
    text: String,
    /// Where each line begins.
    starts: Vec<usize>,
    modified: Option<SystemTime>,
}

impl SourceContent {
    fn read(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() || metadata.len() > FILE_LIMIT {
            return Err(std::io::Error::other("not a regular file of less than 64 MiB"));
        }
        let bytes = std::fs::read(path)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let newlines = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        let starts = std::iter::once(0).chain(newlines).filter(|at| *at < text.len()).collect();
        Ok(Self { text, starts, modified: metadata.modified().ok() })
    }

    fn count(&self) -> u32 {
        self.starts.len() as u32
    }

    fn line(&self, number: u32) -> Option<String> {
        let at = number.checked_sub(1)? as usize;
        let start = *self.starts.get(at)?;
        let end = self.starts.get(at + 1).copied().unwrap_or(self.text.len());
        Some(self.text[start..end].trim_end_matches(['\n', '\r']).to_owned())
    }
}

impl Sources {
    /// Where a path leads under the user's rules; the newest rule first.
    fn mapped(&self, path: &str) -> String {
        mapped(&self.maps, path)
    }

    /// A path as the user has it, as the debug information has it: the rules backwards.
    pub(in crate::engine) fn unmapped(&self, path: &str) -> String {
        for (from, to) in self.maps.iter().rev() {
            if let Some(rest) = path.strip_prefix(to.trim_end_matches('/')).filter(|rest| rest.starts_with('/')) {
                return format!("{}{rest}", from.trim_end_matches('/'));
            }
        }
        path.to_owned()
    }

    /// The paths under which a file of the debug information may be found, in order.
    fn candidates(&self, file: &SourceFile) -> Vec<PathBuf> {
        let mut paths = vec![PathBuf::from(self.mapped(&file.path)), PathBuf::from(self.mapped(&file.name))];
        paths.push(PathBuf::from(&file.path));
        paths.dedup();
        paths
    }

    fn open(&mut self, file: &SourceFile) -> Result<(PathBuf, Arc<SourceContent>), String> {
        let mut first = None;
        for path in self.candidates(file) {
            if let Some(content) = self.files.get(&path) {
                return Ok((path, content.clone()));
            }
            match SourceContent::read(&path) {
                Ok(content) => {
                    if self.files.len() >= KEPT {
                        self.files.clear();
                    }
                    let content = Arc::new(content);
                    self.files.insert(path.clone(), content.clone());
                    return Ok((path, content));
                }
                Err(error) => {
                    first.get_or_insert_with(|| match error.kind() {
                        std::io::ErrorKind::NotFound => format!("{} is not here", path.display()),
                        _ => format!("{}: {error}", path.display()),
                    });
                }
            }
        }
        let tried = first.unwrap_or_default();
        Err(format!("no source: {tried}; `set substitute-path FROM TO` says where it is"))
    }

    /// Lines `first..=last` of a file, as far as there are any.
    fn text(
        &mut self,
        file: &SourceFile,
        lines: (u32, u32),
        current: Option<u32>,
        built: Option<SystemTime>,
    ) -> SourceText {
        let (first, last) = (lines.0.max(1), lines.1);
        let (path, content) = match self.open(file) {
            Ok(found) => found,
            Err(note) => {
                return SourceText { path: file.path.clone(), first, lines: Vec::new(), current, note: Some(note) }
            }
        };
        let newer = matches!((content.modified, built), (Some(source), Some(binary)) if source > binary);
        let mut note = newer.then(|| "the source is newer than the program".to_owned());
        let lines: Vec<String> = (first..=last).map_while(|number| content.line(number)).collect();
        if lines.is_empty() {
            note =
                Some(format!("{} has {} lines only; line {first} is beyond its end", path.display(), content.count()));
        }
        SourceText { path: path.display().to_string(), first, lines, current, note }
    }
}

/// Where a path leads under these rules, the newest of which is the last.
pub(in crate::engine) fn mapped(maps: &[(String, String)], path: &str) -> String {
    for (from, to) in maps.iter().rev() {
        if let Some(rest) = path.strip_prefix(from.as_str()) {
            if rest.is_empty() || rest.starts_with('/') || from.ends_with('/') {
                let rest = rest.trim_start_matches('/');
                return format!("{}/{rest}", to.trim_end_matches('/'));
            }
        }
    }
    path.to_owned()
}

/// What the source says of an address in a space. `lookup` is the address whose row is meant: of a return address the
/// byte before it.
pub(in crate::engine) fn code_place(space: &Space, lookup: VirtAddr) -> Option<CodePlace> {
    let loaded = space.modules.module_at(lookup)?;
    loaded.module.dwarf().find_line(loaded.to_file(lookup))
}

/// The file, line and column of an address's row.
pub(super) fn line_of_row(space: &Space, lookup: VirtAddr) -> Option<(SourceFile, u32, u32)> {
    let place = code_place(space, lookup)?;
    let file = place.file()?.clone();
    (place.row.line > 0).then(|| (file, place.row.line, u32::from(place.row.column)))
}

/// The line of an address, as it is shown.
pub(super) fn source_line(space: &Space, lookup: VirtAddr) -> Option<SourceLine> {
    let (file, line, column) = line_of_row(space, lookup)?;
    Some(SourceLine { file: file.name, line, column })
}

/// When a module's file was last written.
fn built(loaded: &LoadedModule) -> Option<SystemTime> {
    std::fs::metadata(&loaded.path).ok()?.modified().ok()
}

impl<I: Inferior> Engine<I> {
    /// The source around the line where the selected frame stands.
    pub(in crate::engine) fn source_around_selected(&mut self) -> Option<Box<SourceText>> {
        let (_, shown) = self.selected_frame().ok()?;
        let (file, line, _) = shown.line?;
        let space = self.selected_tid().ok().and_then(|tid| self.spaces.get(&self.space_of(tid)?))?;
        let built = space.modules.module_at(shown.frame.address.address_for_lookup()).and_then(built);
        let lines = (line.saturating_sub(AROUND_STOP), line.saturating_add(AROUND_STOP));
        self.sources.listed = None;
        Some(Box::new(self.sources.text(&file, lines, Some(line), built)))
    }

    /// `list`, `info line`, `info source`, `set substitute-path`.
    pub(in crate::engine) fn source_query(&mut self, query: SourceQuery) -> Result<Reply, ApiError> {
        match query {
            SourceQuery::List { place: Some(place) } => self.list_place(&place),
            SourceQuery::List { place: None } => self.list_on(),
            SourceQuery::ListBefore => self.list_before(),
            SourceQuery::Line { place } => self.info_line(place.as_deref()),
            SourceQuery::File => self.info_source(),
            SourceQuery::Map { from, to } => self.map_source(from, to),
        }
    }

    fn map_source(&mut self, from: Option<String>, to: Option<String>) -> Result<Reply, ApiError> {
        let maps = &mut self.sources.maps;
        match (from, to) {
            (Some(from), Some(to)) => {
                maps.retain(|(one, _)| *one != from);
                maps.push((from, to));
                self.sources.files.clear();
            }
            (Some(from), None) => {
                let before = maps.len();
                maps.retain(|(one, _)| *one != from);
                if maps.len() == before {
                    return Err(ApiError::user(format!("no rule begins with `{from}`"))
                        .with_hint("`show substitute-path` lists them"));
                }
            }
            (None, _) => {
                let rows = maps.iter().map(|(from, to)| format!("{from} -> {to}")).collect::<Vec<_>>();
                let text = if rows.is_empty() { "No paths are substituted.".to_owned() } else { rows.join("\n") };
                return Ok(Reply::Text { text });
            }
        }
        self.map_split_files();
        Ok(Reply::Done)
    }

    /// The file and line of the selected frame and an address of its code, or what to tell the user.
    fn selected_line(&self) -> Result<(SourceFile, u32, VirtAddr), ApiError> {
        let (_, shown) = self.selected_frame()?;
        let space = self.space_of_pid(self.selected_pid()?)?;
        let lookup = shown.frame.address.address_for_lookup();
        let (file, line, _) = shown.line.ok_or_else(|| {
            let module = space.modules.module_at(lookup).map_or_else(|| lookup.to_string(), LoadedModule::name);
            ApiError::user(format!("no source line is known for {lookup} ({module})"))
                .with_hint("the module has no debug information for it")
        })?;
        Ok((file, line, lookup))
    }

    /// The full path of the selected frame's file.
    pub(in crate::engine) fn current_file(&self) -> Result<String, ApiError> {
        Ok(self.selected_line()?.0.path)
    }

    fn show_lines(&mut self, file: SourceFile, first: u32, last: u32) -> Reply {
        let current = self.selected_line().ok().filter(|(of, ..)| *of == file).map(|(_, line, _)| line);
        let text = self.sources.text(&file, (first, last), current, None);
        if !text.lines.is_empty() {
            self.sources.listed = Some((file, text.first, text.first + text.lines.len() as u32 - 1));
        }
        Reply::Source { source: text }
    }

    fn list_on(&mut self) -> Result<Reply, ApiError> {
        if let Some((file, _, last)) = self.sources.listed.clone() {
            return Ok(self.show_lines(file, last + 1, last + LISTED));
        }
        let (file, line, _) = self.selected_line()?;
        let first = line.saturating_sub(LISTED / 2).max(1);
        Ok(self.show_lines(file, first, first + LISTED - 1))
    }

    fn list_before(&mut self) -> Result<Reply, ApiError> {
        match self.sources.listed.clone() {
            Some((_, 1, _)) => Err(ApiError::user("the file's first line has been listed already")),
            Some((file, first, _)) => Ok(self.show_lines(file, first.saturating_sub(LISTED).max(1), first - 1)),
            None => self.list_on(),
        }
    }

    /// `N`, `N,M`, `FILE:N`, `FUNCTION`.
    fn list_place(&mut self, text: &str) -> Result<Reply, ApiError> {
        let (place, last) = match text.split_once(',') {
            Some((place, last)) if last.trim().parse::<u32>().is_ok() => {
                (place.trim(), last.trim().parse::<u32>().ok())
            }
            _ => (text, None),
        };
        let (file, line) = self.place_of_text(place)?;
        let first = if last.is_some() { line } else { line.saturating_sub(LISTED / 2).max(1) };
        let last = last.unwrap_or(first + LISTED - 1);
        if last < first {
            return Err(ApiError::user(format!("line {last} comes before line {first}")));
        }
        Ok(self.show_lines(file, first, last.min(first.saturating_add(10_000))))
    }

    fn place_of_text(&self, text: &str) -> Result<(SourceFile, u32), ApiError> {
        if let Ok(line) = text.parse::<u32>() {
            let file = match &self.sources.listed {
                Some((file, ..)) => file.clone(),
                None => self.selected_line()?.0,
            };
            return Ok((file, line));
        }
        if let Some((name, line)) = split_file_line(text) {
            return Ok((self.source_file_named(name)?, line));
        }
        let at = self.evaluate_address(text)?;
        let space = self.space_of_pid(self.selected_pid()?)?;
        let place =
            code_place(space, at).ok_or_else(|| ApiError::user(format!("no source line is known for `{text}`")))?;
        Ok((place.file().cloned().unwrap_or_default(), place.row.line))
    }

    /// The one file of the loaded modules that a name means.
    fn source_file_named(&self, name: &str) -> Result<SourceFile, ApiError> {
        let space = self.space_of_pid(self.selected_pid()?)?;
        let wanted = SourceName::new(name);
        let modules = space.modules.modules().iter();
        let mut found: Vec<String> =
            modules.flat_map(|loaded| loaded.module.dwarf().addresses_of_line(&wanted, 1).files).collect();
        found.sort_unstable();
        found.dedup();
        match found.as_slice() {
            [] => Err(ApiError::user(no_such_file(name))),
            [path] => Ok(SourceFile { name: path.clone(), path: path.clone() }),
            many => Err(ApiError::user(format!("`{name}` is the name of {} files", many.len()))
                .with_hint(format!("more of the path tells which: {}", many.join(", ")))),
        }
    }

    fn info_line(&self, text: Option<&str>) -> Result<Reply, ApiError> {
        let Some((name, line)) = text.and_then(split_file_line) else {
            let at = match text {
                None => self.selected_line()?.2,
                Some(text) => self.evaluate_address(text)?,
            };
            let space = self.space_of_pid(self.selected_pid()?)?;
            let place = code_place(space, at);
            let place = place.ok_or_else(|| ApiError::user(format!("no source line is known for {at}")))?;
            let bias = space.modules.module_at(at).map(|loaded| loaded.bias).unwrap_or_default();
            let (start, end) = (bias.to_virt(place.row.addr), bias.to_virt(place.end));
            let file = place.file().cloned().unwrap_or_default();
            let text = format!("Line {} of {} is the code from {start} to {end}", place.row.line, file.name);
            return Ok(Reply::Text { text });
        };
        let space = self.space_of_pid(self.selected_pid()?)?;
        let wanted = SourceName::new(name);
        let mut lines = Vec::new();
        for loaded in space.modules.modules() {
            let matches = loaded.module.dwarf().addresses_of_line(&wanted, line);
            let moved = if matches.line == line { String::new() } else { format!(" (line {line} has no code)") };
            for at in matches.addresses {
                let at = loaded.to_virt(at);
                let function = space.modules.find_symbol(at);
                let function = function
                    .map_or_else(String::new, |one| format!(" in {}", crate::binary::symbols::demangle(&one.name)));
                lines.push(format!("Line {} of {name} has code at {at}{function}{moved}", matches.line));
            }
        }
        match lines.is_empty() {
            true => Err(ApiError::user(no_such_file(name))),
            false => Ok(Reply::Text { text: lines.join("\n") }),
        }
    }

    fn info_source(&mut self) -> Result<Reply, ApiError> {
        let (file, ..) = self.selected_line()?;
        let found = match self.sources.open(&file) {
            Ok((path, content)) => format!("read from {} ({} lines)", path.display(), content.count()),
            Err(note) => note,
        };
        Ok(Reply::Text { text: format!("Source file {}\ncompiled as {}\n{found}", file.name, file.path) })
    }
}

/// What to say of a file that no module was made from.
pub(in crate::engine) fn no_such_file(name: &str) -> String {
    format!("no module that is loaded has code of a source file `{name}` in its debug information")
}

/// `FILE:LINE`; a C++ name with `::` is none.
pub(in crate::engine) fn split_file_line(text: &str) -> Option<(&str, u32)> {
    let (file, line) = text.rsplit_once(':')?;
    let line = line.trim().parse().ok()?;
    (!file.is_empty() && !file.ends_with(':')).then_some((file.trim(), line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_rule_that_fits_whole_parts_wins() {
        let mut sources = Sources::default();
        sources.maps.push(("/proc/self/cwd".into(), "/src/envoy/".into()));
        sources.maps.push(("/proc/self/cwd/external".into(), "/src/ext".into()));
        assert_eq!(sources.mapped("/proc/self/cwd/source/a.cc"), "/src/envoy/source/a.cc");
        assert_eq!(sources.mapped("/proc/self/cwd/external/b.cc"), "/src/ext/b.cc");
        assert_eq!(sources.mapped("/proc/self/cwdx/b.cc"), "/proc/self/cwdx/b.cc");
    }

    #[test]
    fn a_missing_file_says_which_path_was_tried() {
        let mut sources = Sources::default();
        let file = SourceFile { name: "a.cc".into(), path: "/none/such/a.cc".into() };
        let text = sources.text(&file, (1, 3), Some(2), None);
        assert!(text.lines.is_empty() && text.note.unwrap().contains("/none/such/a.cc"));
    }

    #[test]
    fn lines_are_counted_from_one_and_end_with_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.c");
        std::fs::write(&path, "one\r\ntwo\nthree").unwrap();
        let file = SourceFile { name: "a.c".into(), path: path.display().to_string() };
        let mut sources = Sources::default();
        let text = sources.text(&file, (0, 2), None, Some(SystemTime::UNIX_EPOCH));
        assert_eq!((text.first, text.lines), (1, vec!["one".to_string(), "two".to_string()]));
        assert!(text.note.unwrap().contains("newer"));
        assert_eq!(sources.text(&file, (3, 9), None, None).lines, ["three"]);
        assert!(sources.text(&file, (4, 9), None, None).note.unwrap().contains("3 lines only"));
    }

    #[test]
    fn a_qualified_name_is_no_file_and_line() {
        assert_eq!(split_file_line("a/b.cc:12"), Some(("a/b.cc", 12)));
        assert_eq!((split_file_line("Envoy::x"), split_file_line("a::1"), split_file_line(":1")), (None, None, None));
    }
}
