//! Catalogues of what large files' debug information names, in the cache. One is written as soon as it is made: the user has
//! waited for it, and writing it costs little beside that.

use std::path::Path;
use std::sync::Arc;

use super::cache::Cache;
use super::{hex, key_of};
use crate::binary::dwarf::CatalogueStore;
use crate::binary::{FileBytes, Module};

/// What must be to spare to make one, beside the debug information itself, bytes: a target must not be killed for it. DuckDB's
/// 377 MB of .debug_info take 231 MiB in all.
const MARGIN: u64 = 256 << 20;

/// The place of one file's catalogue, if the user has a cache.
struct InCache {
    cache: Option<Cache>,
    /// Its build-id; without one, where it is and when it was changed.
    file_id: String,
}

/// The module, with a place for its catalogue.
pub(super) fn with_store(module: Module, path: &Path, root: &Path) -> Module {
    let file_id = module.build_id().filter(|id| !id.is_empty()).map_or_else(|| key_of(path, Some(root)), hex);
    module.with_store(Arc::new(InCache { cache: Cache::of_user(), file_id }))
}

impl CatalogueStore for InCache {
    fn file_id(&self) -> &str {
        &self.file_id
    }

    fn has_room(&self, size: u64) -> bool {
        let spare = crate::os::spare_memory();
        let has_room = spare >= size.saturating_add(MARGIN);
        if !has_room {
            tracing::debug!(file = self.file_id, spare, "no catalogue: memory is short");
        }
        has_room
    }

    fn load(&self, identity: &[u8]) -> Option<FileBytes> {
        self.cache.as_ref()?.load_catalogue(&self.file_id, identity)
    }

    fn keep(&self, identity: &[u8], bytes: &[u8]) {
        let Some(cache) = &self.cache else { return };
        if let Err(error) = cache.keep_catalogue(&self.file_id, identity, bytes) {
            tracing::debug!(file = self.file_id, %error, "a catalogue is not kept");
        }
    }
}
