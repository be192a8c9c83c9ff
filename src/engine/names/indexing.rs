//! Indexes of large files' names, and packs of recovered ones: made for the cache in the background, while the target runs. The
//! indexes are taken from there when a file is opened.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{unbounded, Receiver, Sender};

use super::cache::Cache;
use super::key_of;
use crate::base::{Inferior, Progress};
use crate::binary::Module;
use crate::engine::state::{Engine, World};

/// Bytes that must be to spare before a pack is made, several times what that takes: rdbg may share its container's memory with
/// the target, which would be killed for it.
const MEMORY_FOR_A_PACK: u64 = 512 << 20;
/// How long the end of a session waits for the thread to put down its work.
const END: Duration = Duration::from_millis(200);

/// What is being done for the cache.
#[derive(Default)]
pub(in crate::engine) struct Indexing {
    /// Files that would be the quicker for one, once a name is looked for in them.
    lacking: Vec<Lacking>,
    gate: Arc<Gate>,
    worker: Option<Worker>,
}

/// A file of which the cache has less than it could.
struct Lacking {
    what: Lack,
    module: Arc<Module>,
    /// Names it where it has no build-id.
    key: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lack {
    Index,
    Pack,
}

struct Worker {
    jobs: Sender<Lacking>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

/// Lets the work go on, or keeps it waiting.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// The target stands: its time is the user's.
    #[default]
    Held,
    Open,
    /// The session ends.
    Over,
}

impl Gate {
    fn set(&self, state: State) {
        let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != state {
            *now = state;
            self.changed.notify_all();
        }
    }

    /// Waits while it is held; whether the work goes on.
    fn pass(&self) -> bool {
        let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while *now == State::Held {
            now = self.changed.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        *now == State::Open
    }
}

impl<I: Inferior> Engine<I> {
    /// A file was opened: takes its index from the cache, if it is a large one.
    pub(super) fn take_index(&mut self, module: &Arc<Module>, path: &Path, root: &Path) {
        let Some(cache) = Cache::of_user() else { return };
        let key = key_of(path, Some(root));
        let mut lacks = |what| self.indexing.lacking.push(Lacking { what, module: module.clone(), key: key.clone() });
        if module.has_many_names() && !cache.load_index(module, &key) {
            lacks(Lack::Index);
        }
        if module.is_stripped() && module.stored().is_none() {
            lacks(Lack::Pack);
        }
    }

    /// Before the engine waits: lets be made what a search has lacked, while the target runs.
    pub(in crate::engine) fn mind_indexes(&mut self) {
        if self.indexing.lacking.is_empty() && self.indexing.worker.is_none() {
            return;
        }
        if self.world != World::Running {
            return self.hold_indexing();
        }
        self.indexing.gate.set(State::Open);
        while let Some(due) = self.indexing.lacking.iter().position(Lacking::is_due) {
            let one = self.indexing.lacking.swap_remove(due);
            self.indexing.make(one);
        }
    }

    /// The target stops: nothing is done behind its back while it stands.
    pub(in crate::engine) fn hold_indexing(&self) {
        self.indexing.gate.set(State::Held);
    }

    /// The session ends: so does the work, with nothing left behind.
    pub(in crate::engine) fn end_indexing(&mut self) {
        self.indexing.gate.set(State::Over);
        if let Some(Worker { jobs, ended }) = self.indexing.worker.take() {
            drop(jobs);
            let _ = ended.recv_timeout(END);
        }
    }
}

impl Indexing {
    fn make(&mut self, one: Lacking) {
        if self.worker.is_none() {
            match Worker::start(self.gate.clone()) {
                Ok(worker) => self.worker = Some(worker),
                Err(error) => return tracing::debug!(%error, "no thread for an index"),
            }
        }
        if let Some(worker) = &self.worker {
            let _ = worker.jobs.send(one);
        }
    }
}

impl Worker {
    fn start(gate: Arc<Gate>) -> std::io::Result<Worker> {
        let (jobs, taken) = unbounded::<Lacking>();
        let (ends, ended) = unbounded();
        std::thread::Builder::new().name("rdbg-cache".to_owned()).spawn(move || {
            let _ends: Sender<()> = ends;
            crate::os::yield_to_others();
            // What would be spread over threads is done on this one, which has the least claim on the CPU.
            let alone = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
            if let Err(error) = alone {
                return tracing::debug!(%error, "nothing is made for the cache");
            }
            for one in taken {
                match one.what {
                    Lack::Index => one.index(&gate),
                    Lack::Pack => one.pack(&gate),
                }
            }
        })?;
        Ok(Worker { jobs, ended })
    }
}

impl Lacking {
    /// Whether the session would have been the quicker for it.
    fn is_due(&self) -> bool {
        match self.what {
            Lack::Index => self.module.lacks_ready(),
            Lack::Pack => self.module.lacks_pack(),
        }
    }

    /// Makes the pack for later sessions; this one has the names. They are recovered anew, since what is broken off here must
    /// not be what the user sees.
    fn pack(self, gate: &Arc<Gate>) {
        let path = self.module.path().display();
        let Some(cache) = Cache::of_user() else { return };
        let spare = crate::os::spare_memory();
        if spare < MEMORY_FOR_A_PACK {
            return tracing::debug!(%path, spare, "no pack: memory is short");
        }
        let asked = gate.clone();
        let module = self.module.reopened().reporting_to(Progress::unattended(move || asked.pass()));
        let pack = module.make_pack(&self.key);
        if !gate.pass() {
            return;
        }
        match cache.keep_pack(&module, &self.key, &pack) {
            Ok(_) => tracing::debug!(%path, bytes = pack.len(), "a pack is in the cache"),
            Err(error) => tracing::debug!(%path, %error, "a pack is not kept"),
        }
    }

    /// Makes the index, keeps it, and has the file use it. A cache that cannot be written is nobody's concern here.
    fn index(self, gate: &Gate) {
        let path = self.module.path().display();
        let Some(cache) = Cache::of_user() else { return };
        let Some(bytes) = self.module.make_ready(&self.key, &|| gate.pass()) else { return };
        match cache.store_index(&self.module, &self.key, &bytes) {
            Ok(_) => {
                let used = cache.load_index(&self.module, &self.key);
                tracing::debug!(%path, bytes = bytes.len(), used, "an index is in the cache");
            }
            Err(error) => tracing::debug!(%path, %error, "an index is not kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_waits_at_a_held_gate_and_ends_with_the_session() {
        let gate = Arc::new(Gate::default());
        let (tells, told) = unbounded();
        let other = gate.clone();
        let work = std::thread::spawn(move || while other.pass() && tells.send(()).is_ok() {});
        assert!(told.recv_timeout(Duration::from_millis(20)).is_err());
        gate.set(State::Open);
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        gate.set(State::Held);
        gate.set(State::Over);
        work.join().unwrap();
    }
}
