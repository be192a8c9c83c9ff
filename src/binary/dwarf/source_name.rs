//! What a user calls a source file: the last parts of its path, or all of it.

use super::lines::normalise;

/// `server.cc`, `server/server.cc`, or an absolute path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceName {
    text: String,
    base: String,
}

impl SourceName {
    /// Made plain: `./a/../b.c` is `b.c`.
    pub fn new(text: &str) -> Self {
        let text = normalise(text);
        let base = text.rsplit('/').next().unwrap_or_default().to_owned();
        Self { text, base }
    }

    /// Whether a file of that name, which may be all that is needed to say no, can be meant.
    pub fn may_be(&self, name: &[u8]) -> bool {
        let start = memchr::memrchr(b'/', name).map_or(0, |slash| slash + 1);
        name[start..] == *self.base.as_bytes()
    }

    /// Whether the file with this full path is meant.
    pub fn is(&self, path: &str) -> bool {
        match path.strip_suffix(self.text.as_str()) {
            Some(before) => before.is_empty() || before.ends_with('/'),
            None => false,
        }
    }

    /// As the user wrote it, made plain.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_parts_of_the_path_must_agree() {
        let name = SourceName::new("server/./server.cc");
        assert!(name.may_be(b"source/server/server.cc") && !name.may_be(b"myserver.cc"));
        assert!(name.is("/src/source/server/server.cc") && name.is("server/server.cc"));
        assert!(!name.is("/src/myserver/server.cc") && !name.is("/server.cc"));
        assert!(SourceName::new("/a/b.c").is("/a/b.c") && !SourceName::new("/a/b.c").is("/x/a/b.c"));
    }
}
