//! The only `unsafe` of the project: mapping a file.

use std::{fs::File, io, ops::Deref};

/// A whole file, read-only, in the page cache.
#[derive(Debug)]
pub(crate) struct MappedFile(memmap2::Mmap);

impl MappedFile {
    /// Maps an open file. The mapping outlives the file's name, so a reader keeps a segment that compaction removed.
    #[expect(unsafe_code, reason = "a mapped file must not be changed by anyone; see the argument inside")]
    pub(crate) fn map(file: &File) -> io::Result<MappedFile> {
        // SAFETY: the bytes behind a shared slice must not change. Segment files are written under a temporary name,
        // synced, renamed, and from then on neither written nor truncated by any prefix-indexer process: compaction and
        // retention write new files and unlink old ones, which leaves existing mappings whole. A foreign process that
        // writes into the index directory is outside what the type system can promise; every page is verified against
        // its checksum on first touch, and nothing read from it is used as an index without a bounds check. Where
        // files may change under the reader (network file systems), `--mmap off` reads segments into memory.
        let map = unsafe { memmap2::Mmap::map(file)? };
        Ok(MappedFile(map))
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
