//! The cache, in $XDG_CACHE_HOME/rdbg: packs, one for each build of a stripped program that was indexed, indexes of the
//! names of large files, and catalogues of what their debug information names.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::hex;
use crate::api::{ApiError, CacheRequest, Outcome, Reply};
use crate::binary::{FileBytes, Module, NamesFile};

/// How much the files may hold together until the user says otherwise, bytes.
const DEFAULT_LIMIT: u64 = 1_000_000_000;
/// The file that holds the limit that the user has set.
const LIMIT_FILE: &str = "limit";
/// A hostile build-id can be long: what a file's name has of one, in characters.
const MAX_ID: usize = 128;
const PACK: &str = "pack";
const INDEX: &str = "index";
const CATALOGUE: &str = "catalogue";

/// Where they are kept. Nothing in it is trusted: what does not fit is removed.
pub(super) struct Cache {
    directory: PathBuf,
}

/// One file.
struct Kept {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

impl Cache {
    /// $XDG_CACHE_HOME/rdbg, else ~/.cache/rdbg (XDG base directory specification); `None` without a home.
    pub fn of_user() -> Option<Cache> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
        Some(Cache { directory: base.join("rdbg") })
    }

    /// The pack of a module. `key` names the file where it has no build-id.
    pub fn load(&self, module: &Module, key: &str) -> Option<NamesFile> {
        let path = self.path_of(module, key);
        let bytes = map_own(&path)?;
        let fits = |pack: &NamesFile| {
            pack.is_pack() && pack.build_id() == module.build_id() && pack.identity() == module.pack_identity(key)
        };
        match NamesFile::parse(path.clone(), bytes) {
            Ok(pack) if fits(&pack) => {
                touch(&path);
                Some(pack)
            }
            outcome => {
                tracing::debug!(path = %path.display(), error = ?outcome.err(), "a pack that does not fit is removed");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Has a module use its index, if there is one that fits it.
    pub fn load_index(&self, module: &Module, key: &str) -> bool {
        let path = self.index_path(module, key);
        let Some(bytes) = map_own(&path) else { return false };
        let fits = module.use_ready(bytes, key);
        if fits {
            touch(&path);
        } else {
            tracing::debug!(path = %path.display(), "an index that does not fit is removed");
            let _ = fs::remove_file(&path);
        }
        fits
    }

    /// Keeps a module's index; returns where.
    ///
    /// # Errors
    /// As [`Cache::keep_pack`].
    pub fn store_index(&self, module: &Module, key: &str, index: &[u8]) -> io::Result<PathBuf> {
        self.keep(self.index_path(module, key), index)
    }

    /// Keeps a module's pack that nobody has asked for; returns where.
    ///
    /// # Errors
    /// The directory cannot be written, or its place is another user's: what root put there that user could not remove.
    pub fn keep_pack(&self, module: &Module, key: &str, pack: &[u8]) -> io::Result<PathBuf> {
        self.keep(self.path_of(module, key), pack)
    }

    /// What is kept of the debug information of this identity.
    pub fn load_catalogue(&self, file_id: &str, identity: &[u8]) -> Option<FileBytes> {
        let path = self.catalogue_path(file_id, identity);
        let bytes = map_own(&path)?;
        touch(&path);
        Some(bytes)
    }

    /// Keeps a catalogue.
    ///
    /// # Errors
    /// As [`Cache::keep_pack`].
    pub fn keep_catalogue(&self, file_id: &str, identity: &[u8], bytes: &[u8]) -> io::Result<PathBuf> {
        self.keep(self.catalogue_path(file_id, identity), bytes)
    }

    /// Writes a file that need not survive a power cut: one that is damaged is made again.
    fn keep(&self, path: PathBuf, bytes: &[u8]) -> io::Result<PathBuf> {
        let standing = self.directory.ancestors().find_map(|place| fs::metadata(place).ok());
        if standing.is_none_or(|place| place.uid() != crate::os::own_uid()) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the directory is another user's"));
        }
        fs::create_dir_all(&self.directory)?;
        write_as(&path, bytes, Lasting::UntilPowerCut)?;
        self.trim(self.limit())?;
        Ok(path)
    }

    /// Keeps a module's pack; returns where.
    pub fn store(&self, module: &Module, key: &str, pack: &[u8]) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.directory)?;
        let path = self.path_of(module, key);
        write_whole(&path, pack)?;
        self.trim(self.limit())?;
        Ok(path)
    }

    /// `rdbg cache`.
    pub fn answer(&self, request: CacheRequest) -> Outcome {
        let fail = |error: io::Error| ApiError::user(format!("{}: {error}", self.directory.display()));
        match request {
            CacheRequest::Show => {}
            CacheRequest::Clear => self.trim(0).map_err(fail)?,
            CacheRequest::Limit(bytes) => {
                fs::create_dir_all(&self.directory).map_err(fail)?;
                write_whole(&self.directory.join(LIMIT_FILE), bytes.to_string().as_bytes()).map_err(fail)?;
                self.trim(bytes).map_err(fail)?;
            }
        }
        let kept = self.kept();
        let total: u64 = kept.iter().map(|one| one.size).sum();
        let mut text =
            format!("{}: {} of at most {}", self.directory.display(), megabytes(total), megabytes(self.limit()));
        for one in &kept {
            let age = one.used.elapsed().unwrap_or_default().as_secs() / 3600;
            let name = one.path.file_name().unwrap_or_default().to_string_lossy();
            text.push_str(&format!("\n  {name}  {}  used {age} h ago", megabytes(one.size)));
        }
        Ok(Reply::Text { text })
    }

    fn path_of(&self, module: &Module, key: &str) -> PathBuf {
        let name = module.build_id().filter(|id| !id.is_empty()).map_or_else(|| key.to_owned(), hex);
        let name: String = name.chars().take(MAX_ID).collect();
        self.directory.join(name).with_extension(PACK)
    }

    /// Debug information of one build can be in several files, packed and not.
    fn catalogue_path(&self, file_id: &str, identity: &[u8]) -> PathBuf {
        let name: String = file_id.chars().take(MAX_ID).collect();
        self.directory.join(format!("{name}-{:08x}.{CATALOGUE}", crc32fast::hash(identity)))
    }

    /// Files of one build can have different tables: one of them may be stripped.
    fn index_path(&self, module: &Module, key: &str) -> PathBuf {
        let name = self.path_of(module, key);
        let name = name.file_stem().unwrap_or_default().to_string_lossy();
        let tables = crc32fast::hash(&module.index_identity(key));
        self.directory.join(format!("{name}-{tables:08x}.{INDEX}"))
    }

    fn limit(&self) -> u64 {
        let text = fs::read_to_string(self.directory.join(LIMIT_FILE)).unwrap_or_default();
        text.trim().parse().unwrap_or(DEFAULT_LIMIT)
    }

    /// The packs and indexes, the one used last first; files that were never finished are removed on the way.
    fn kept(&self) -> Vec<Kept> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let packs = entries.filter_map(|entry| {
            let path = entry.path();
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            let used = metadata.modified().ok()?;
            if path.extension()? == "tmp" && used.elapsed().is_ok_and(|age| age.as_secs() > 3600) {
                let _ = fs::remove_file(&path);
            }
            let is_ours =
                [PACK, INDEX, CATALOGUE].iter().any(|ending| path.extension().is_some_and(|one| one == *ending));
            is_ours.then_some(Kept { path, size: metadata.len(), used })
        });
        let mut packs: Vec<Kept> = packs.collect();
        packs.sort_by_key(|one| std::cmp::Reverse(one.used));
        packs
    }

    fn trim(&self, limit: u64) -> io::Result<()> {
        let mut total = 0u64;
        for one in self.kept() {
            total = total.saturating_add(one.size);
            if total > limit {
                match fs::remove_file(&one.path) {
                    // Another rdbg did it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    outcome => outcome?,
                }
            }
        }
        Ok(())
    }
}

/// A file that nobody but its owner, who is the user, can have written.
fn map_own(path: &Path) -> Option<FileBytes> {
    let metadata = fs::metadata(path).ok()?;
    let is_own = metadata.uid() == crate::os::own_uid() && metadata.mode() & 0o022 == 0;
    is_own.then(|| crate::os::map_file(path).ok()).flatten()
}

/// What was used last is removed last. A cache that cannot be written serves all the same.
fn touch(path: &Path) {
    let touched = fs::File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::debug!(%error, path = %path.display(), "the time of use is not kept");
    }
}

/// Whether a file is to be there after a power cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lasting {
    Always,
    UntilPowerCut,
}

/// Writes a file so that nobody ever sees a part of it.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_as(path, bytes, Lasting::Always)
}

fn write_as(path: &Path, bytes: &[u8], lasting: Lasting) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::File::create(&unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        if lasting == Lasting::Always {
            file.sync_data()?;
        }
        fs::rename(&unfinished, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Names a file that has no build-id: another file has another name, or has it later.
pub(super) fn file_key(path: &Path) -> String {
    let of = |file: fs::Metadata| {
        format!("file-{:x}-{:x}-{:x}-{:x}.{:09}", file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec())
    };
    fs::metadata(path).map_or_else(|_| "file".to_owned(), of)
}

/// Bytes for people.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::FileAddr;

    fn module(path: &str) -> Module {
        Module::parse(path.into(), std::sync::Arc::new(fs::read(path).unwrap())).unwrap()
    }

    /// A stripped program with a few names to recover.
    const PROGRAM: &str = "/bin/true";

    #[test]
    fn a_pack_comes_back_as_it_was_stored_and_says_what_the_file_says() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache { directory: directory.path().join("rdbg") };
        let module = module(PROGRAM);
        assert!(cache.load(&module, "").is_none());
        cache.store(&module, "", &module.make_pack("")).unwrap();
        let packed = module.with_names(cache.load(&module, "").unwrap());
        assert!(packed.stored().is_some_and(|stored| !stored.is_empty()));
        for function in module.unwind().function_starts() {
            assert_eq!(packed.name_at(function.start), module.name_at(function.start));
        }
        assert!(!packed.has_recovered());
    }

    #[test]
    fn a_pack_that_does_not_fit_or_is_damaged_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache { directory: directory.path().to_owned() };
        let (own, other) = (module(PROGRAM), module("/bin/false"));
        let mut pack = own.make_pack("");
        fs::write(cache.path_of(&other, ""), &pack).unwrap();
        assert!(cache.load(&other, "").is_none() && !cache.path_of(&other, "").exists());
        let middle = pack.len() / 2;
        pack[middle] ^= 1;
        fs::write(cache.path_of(&own, ""), &pack).unwrap();
        assert!(cache.load(&own, "").is_none() && !cache.path_of(&own, "").exists());
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache { directory: directory.path().to_owned() };
        for (age, name) in ["new", "middle", "old"].iter().enumerate() {
            let file = fs::File::create(directory.path().join(name).with_extension(PACK)).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(SystemTime::now() - std::time::Duration::from_secs(age as u64 * 60)).unwrap();
        }
        cache.answer(CacheRequest::Limit(250)).unwrap();
        let names: Vec<_> = cache.kept().iter().map(|one| one.path.file_stem().unwrap().to_owned()).collect();
        assert_eq!(names, ["new", "middle"]);
        cache.answer(CacheRequest::Clear).unwrap();
        assert!(cache.kept().is_empty() && cache.limit() == 250);
    }

    /// Bytes that are changed are found by the checksum; where a hostile file has the right one, nothing is trusted.
    #[test]
    fn every_change_of_a_pack_is_refused_or_costs_only_its_names() {
        let module = module(PROGRAM);
        let pack = module.make_pack("");
        let body = pack.len() - 4;
        for at in (0..body).step_by(7) {
            let mut changed = pack.clone();
            changed[at] ^= 0x80 | at as u8;
            let parse = |bytes: &[u8]| NamesFile::parse("pack".into(), std::sync::Arc::new(bytes.to_vec()));
            if changed[at] != pack[at] {
                assert!(!parse(&changed).is_ok_and(|file| file.is_pack()), "{at}");
            }
            let crc = crc32fast::hash(&changed[..body]).to_le_bytes();
            changed[body..].copy_from_slice(&crc);
            let Ok(names) = parse(&changed) else { continue };
            let with = module.with_names(names);
            let _ = with.name_at(module.entry());
            let _ = with.functions_named(&crate::binary::NamePattern::parse_regex("ma.n|sub").unwrap(), 10);
            let _ = (
                with.complete("ma", 10),
                with.forward_of(FileAddr(0x1000)),
                with.candidates_of("main", module.entry()),
            );
        }
        for len in (0..pack.len()).step_by(13) {
            assert!(!NamesFile::parse("pack".into(), std::sync::Arc::new(pack[..len].to_vec()))
                .is_ok_and(|file| file.is_pack()));
        }
    }
}
