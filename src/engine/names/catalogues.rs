//! Catalogues of what large files' debug information names, in the cache. One is written as soon as it is made: the user has
//! waited for it, and writing it costs little beside that.

use std::path::Path;
use std::sync::Arc;

use super::cache::Cache;
use super::{hex, key_of};
use crate::binary::dwarf::CatalogueStore;
use crate::binary::{FileBytes, Module};

/// The place of one file's catalogue.
struct InCache {
    cache: Cache,
    /// Its build-id; without one, where it is and when it was changed.
    file_id: String,
}

/// The module, with a place for its catalogue where the user has a cache.
pub(super) fn with_store(module: Module, path: &Path, root: &Path) -> Module {
    let Some(cache) = Cache::of_user() else { return module };
    let file_id = module.build_id().filter(|id| !id.is_empty()).map_or_else(|| key_of(path, Some(root)), hex);
    module.with_store(Arc::new(InCache { cache, file_id }))
}

impl CatalogueStore for InCache {
    fn file_id(&self) -> &str {
        &self.file_id
    }

    fn load(&self, identity: &[u8]) -> Option<FileBytes> {
        self.cache.load_catalogue(&self.file_id, identity)
    }

    fn keep(&self, identity: &[u8], bytes: &[u8]) {
        if let Err(error) = self.cache.keep_catalogue(&self.file_id, identity, bytes) {
            tracing::debug!(file = self.file_id, %error, "a catalogue is not kept");
        }
    }
}
