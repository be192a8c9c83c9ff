//! debuginfod: servers that have the debug information of a build-id (elfutils, debuginfod(8)). Asked only when the user has
//! said so; what they gave lies in a cache that other tools share, which is looked into in any case.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::{unbounded, Receiver, Sender};

use super::cache::megabytes;
use super::hex;
use crate::api::{ApiError, Event, Toggle};
use crate::base::progress::Ticket;
use crate::base::{Inferior, Progress};
use crate::binary::Module;
use crate::engine::state::{Engine, Input};
use crate::os::{download, Doorbell, Download};

/// Debug information that is larger is not fetched, bytes.
const LIMIT: u64 = 16 << 30;
/// How often a command that waits for names looks how far they are.
const PERIOD: Duration = Duration::from_millis(50);

/// Which servers there are, and whether they may be asked.
pub(in crate::engine) struct Servers {
    enabled: Toggle,
    urls: String,
    cache: Option<PathBuf>,
}

impl Default for Servers {
    fn default() -> Servers {
        let urls = std::env::var("DEBUGINFOD_URLS").unwrap_or_default();
        Servers { enabled: Toggle::Off, urls, cache: cache_directory() }
    }
}

/// $DEBUGINFOD_CACHE_PATH, else $XDG_CACHE_HOME/debuginfod_client, else ~/.cache/debuginfod_client
/// (debuginfod_find_debuginfo(3), "CACHE").
fn cache_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    variable("DEBUGINFOD_CACHE_PATH").or_else(|| Some(base()?.join("debuginfod_client")))
}

impl Servers {
    /// `set debuginfod on|off`, `set debuginfod-urls "URL .."`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ApiError> {
        if name == "debuginfod-urls" {
            self.urls = value.trim_matches('"').to_owned();
            return Ok(());
        }
        let enabled = crate::engine::settings::parse_toggle(value)?;
        if enabled == Toggle::On && self.urls.trim().is_empty() {
            return Err(ApiError::user("debuginfod: no server is known")
                .with_hint("DEBUGINFOD_URLS, or `set debuginfod-urls URL`, names them"));
        }
        self.enabled = enabled;
        Ok(())
    }

    /// The settings' values.
    pub fn show(&self) -> [String; 2] {
        [if self.enabled == Toggle::On { "on" } else { "off" }.to_owned(), self.urls.clone()]
    }

    /// Where the debug information of a build is kept, whether it is there or not.
    pub fn cached(&self, module: &Module) -> Option<PathBuf> {
        // A build-id is a directory's name here: an empty one, or a long one of a hostile file, is none.
        let id = module.build_id().filter(|id| (1..=64).contains(&id.len()))?;
        Some(self.cache.as_ref()?.join(hex(id)).join("debuginfo"))
    }
}

/// What is being fetched.
#[derive(Default)]
pub(in crate::engine) struct Fetching {
    worker: Option<Worker>,
    /// What has been asked for, so that nothing is asked for twice.
    asked: Vec<PathBuf>,
    /// Jobs whose outcome has not been taken.
    pending: usize,
    /// The user no longer waits for them.
    given_up: bool,
}

struct Worker {
    jobs: Sender<Job>,
    outcomes: Receiver<String>,
    progress: Progress,
}

/// One file to fetch.
struct Job {
    name: String,
    id: String,
    to: PathBuf,
    urls: Vec<String>,
}

impl<I: Inferior> Engine<I> {
    /// Asks for what the loaded modules lack, in the background, where the user wants that.
    pub(super) fn ask_for_names(&mut self) {
        if self.settings.names.servers.enabled == Toggle::Off {
            return;
        }
        let modules: Vec<_> = self.spaces.values().flat_map(|one| one.modules.modules()).cloned().collect();
        for loaded in modules {
            let module = &loaded.module;
            // What is no file (the vdso) no server has.
            let lacks = loaded.path.is_absolute() && (module.is_stripped() || module.dwarf().is_empty());
            let Some(to) = self.settings.names.servers.cached(module).filter(|_| lacks) else { continue };
            if self.fetching.asked.contains(&to) || to.exists() {
                continue;
            }
            self.fetching.asked.push(to.clone());
            let urls = self.settings.names.servers.urls.split_whitespace().map(str::to_owned).collect();
            let id = module.build_id().map(hex).unwrap_or_default();
            self.fetch(Job { name: loaded.name(), id, to, urls });
        }
    }

    fn fetch(&mut self, job: Job) {
        if self.fetching.worker.is_none() {
            match Worker::start(self.input_sender.clone(), self.doorbell.clone()) {
                Ok(worker) => self.fetching.worker = Some(worker),
                Err(error) => return self.emit(Event::Notice { text: format!("debuginfod: no thread: {error}") }),
            }
        }
        let Some(worker) = &self.fetching.worker else { return };
        if worker.jobs.send(job).is_ok() {
            self.fetching.pending += 1;
            self.fetching.given_up = false;
        }
    }

    /// Takes what has been fetched: modules get their names, breakpoints their places.
    pub(in crate::engine) fn take_fetched(&mut self) {
        let Some(worker) = &self.fetching.worker else { return };
        let outcomes: Vec<String> = worker.outcomes.try_iter().collect();
        if outcomes.is_empty() {
            return;
        }
        self.fetching.pending -= outcomes.len().min(self.fetching.pending);
        for text in outcomes {
            self.emit(Event::Notice { text });
        }
        self.rename_modules();
    }

    /// Before a function is looked for by name while the target stands: waits for the names that were asked for. The user can
    /// break the wait off; they come then when they come.
    pub(in crate::engine) fn await_names(&mut self) {
        let stands = self.stop.is_some();
        while stands && self.fetching.pending > 0 && !self.fetching.given_up {
            if let Some(worker) = &self.fetching.worker {
                // The worker's own count is shown as this command's.
                if let Some(stage) = worker.progress.look(Ticket::default()) {
                    self.progress.stage(&stage.what, stage.total);
                    self.progress.advance(stage.done);
                }
            }
            std::thread::sleep(PERIOD);
            self.fetching.given_up = self.progress.is_cancelled();
            self.take_fetched();
        }
        self.take_fetched();
    }
}

impl Worker {
    fn start(inputs: Sender<Input>, doorbell: Doorbell) -> std::io::Result<Worker> {
        let (jobs, taken) = unbounded::<Job>();
        let (outcomes, told) = unbounded();
        let progress = Progress::default();
        let reported = progress.clone();
        std::thread::Builder::new().name("rdbg-debuginfod".to_owned()).spawn(move || {
            for job in taken {
                let outcome = job.run(&reported);
                reported.stage("", 0);
                if outcomes.send(outcome).is_err() || inputs.send(Input::Fetched).is_err() {
                    return;
                }
                doorbell.ring();
            }
        })?;
        Ok(Worker { jobs, outcomes: told, progress })
    }
}

impl Job {
    /// Asks one server after the other. What came of it, for people.
    fn run(&self, progress: &Progress) -> String {
        let mut reasons = Vec::new();
        for url in &self.urls {
            match self.fetch_from(url.trim_end_matches('/'), progress) {
                Ok(Download::Whole(size)) => {
                    return format!("{}: its debug information is here ({}, from {url})", self.name, megabytes(size));
                }
                Ok(Download::NotThere) => {}
                Err(reason) => reasons.push(format!("{url}: {reason}")),
            }
        }
        match reasons.is_empty() {
            true => format!("{}: no debuginfod server knows build-id {}", self.name, self.id),
            false => format!("{}: no debug information: {}", self.name, reasons.join("; ")),
        }
    }

    /// The file appears in the cache whole or not at all.
    fn fetch_from(&self, url: &str, progress: &Progress) -> Result<Download, String> {
        let url = format!("{url}/buildid/{}/debuginfo", self.id);
        let unfinished = self.to.with_extension(format!("rdbg-{}", std::process::id()));
        let directory = self.to.parent().unwrap_or(&self.to);
        let fail = |error: std::io::Error| format!("{}: {error}", directory.display());
        fs::create_dir_all(directory).map_err(fail)?;
        let mut file = File::create(&unfinished).map_err(fail)?;
        progress.stage(&format!("asking {url}"), 0);
        let outcome = download(&url, &mut file, LIMIT, progress);
        match outcome {
            Ok(Download::Whole(_)) => fs::rename(&unfinished, &self.to).map_err(fail)?,
            _ => {
                // What is left of it is in nobody's way.
                let _ = fs::remove_file(&unfinished);
                let _ = fs::remove_dir(directory);
            }
        }
        outcome
    }
}
