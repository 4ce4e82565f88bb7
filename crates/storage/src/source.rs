//! Where the bytes of a segment are: a mapped file, or the heap.

use crate::mmap::MappedFile;
use std::{fs::File, io, io::Read};

/// The bytes of a whole segment. Readers see no difference between the two kinds.
#[derive(Debug)]
pub struct Source(Kind);

#[derive(Debug)]
enum Kind {
    Mapped(MappedFile),
    Heap(Vec<u8>),
}

impl Source {
    /// Maps a file that nobody writes to any more.
    ///
    /// # Errors
    /// Those of the system.
    pub fn map(file: &File) -> io::Result<Source> {
        MappedFile::map(file).map(Kind::Mapped).map(Source)
    }

    /// Reads a whole file into memory: for file systems where mapping is not to be trusted.
    ///
    /// # Errors
    /// Those of the system.
    pub fn read(mut file: &File) -> io::Result<Source> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Source::heap(bytes))
    }

    /// Bytes on the heap.
    pub fn heap(bytes: Vec<u8>) -> Source {
        Source(Kind::Heap(bytes))
    }

    /// All of them.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Kind::Mapped(file) => file,
            Kind::Heap(bytes) => bytes,
        }
    }
}
