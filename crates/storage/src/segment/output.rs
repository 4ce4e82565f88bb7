//! Writing a segment as a stream: bytes go out, checksums of their pages stay behind.

use super::pages::checksum;
use crate::{
    StorageError,
    codec::encode,
    format::segment::{CHECKSUM, Checksum, Counts, Directory, Head, Layout, MAGIC, PAGE, TAIL_PAGES, Tail, VERSION},
    rank::Ranking,
};
use prefix_indexer_models::IndexSpec;
use std::{
    io::{self, Write},
    path::Path,
};

/// Small writes are collected up to this size.
const BUFFER: usize = 1 << 18;

/// A segment under way.
pub(crate) struct Output<'w> {
    out: &'w mut (dyn Write + Send),
    path: &'w Path,
    buffer: Vec<u8>,
    written: usize,
    /// Checksums of the pages so far, unless none are wanted.
    checksums: Option<Vec<Checksum>>,
}

/// What is known of a segment at its end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts {
    pub(crate) fresh: u64,
    pub(crate) newest_ms: u64,
    pub(crate) faint: u32,
}

impl<'w> Output<'w> {
    /// Starts a segment.
    pub(crate) fn new(
        out: &'w mut (dyn Write + Send),
        path: &'w Path,
        checked: bool,
    ) -> Result<Output<'w>, StorageError> {
        let mut output = Output { out, path, buffer: Vec::new(), written: 0, checksums: checked.then(Vec::new) };
        let mut head = Vec::new();
        output.encoded(encode(&Head { magic: MAGIC, version: VERSION, reserved: 0 }, &mut head))?;
        output.section(&head)?;
        Ok(output)
    }

    /// Turns the codec's error, which only a defect can cause, into one of ours.
    pub(crate) fn encoded<T>(&self, result: Result<T, impl std::fmt::Display>) -> Result<T, StorageError> {
        result.map_err(|error| self.failed(io::Error::other(error.to_string())))
    }

    fn failed(&self, source: io::Error) -> StorageError {
        StorageError::Io { action: "cannot write", path: self.path.to_owned(), source }
    }

    /// Appends a whole section.
    pub(crate) fn section(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.append(bytes)?;
        self.end_section()
    }

    /// Appends to a section.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) -> Result<(), StorageError> {
        if !self.buffer.is_empty() {
            let (fits, rest) = bytes.split_at(bytes.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(fits);
            bytes = rest;
            if self.buffer.len() == BUFFER {
                let buffer = std::mem::take(&mut self.buffer);
                self.write_pages(&buffer)?;
                self.buffer = buffer;
                self.buffer.clear();
            }
        }
        let (pages, rest) = bytes.split_at(bytes.len() / BUFFER * BUFFER);
        self.write_pages(pages)?;
        self.buffer.extend_from_slice(rest);
        Ok(())
    }

    /// Pads to where the next section starts.
    pub(crate) fn end_section(&mut self) -> Result<(), StorageError> {
        const ZEROS: [u8; 64] = [0; 64];
        let padding = Layout::padding(self.written + self.buffer.len());
        self.append(ZEROS.get(..padding).unwrap_or_default())
    }

    /// Writes whole pages, or the end.
    fn write_pages(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(checksums) = &mut self.checksums {
            checksums.extend(bytes.chunks(PAGE).map(checksum));
        }
        self.written += bytes.len();
        self.out.write_all(bytes).map_err(|error| self.failed(error))
    }

    /// Writes the sections of the best rows and of the partitions, in all orders.
    pub(crate) fn rankings(&mut self, rankings: &[Ranking]) -> Result<(), StorageError> {
        for ranking in rankings {
            self.append(&numbers(&ranking.top))?;
        }
        self.end_section()?;
        for list in rankings.iter().flat_map(|ranking| &ranking.lists) {
            self.append(&numbers(list))?;
        }
        self.end_section()
    }

    /// Writes checksums, directory and tail. Returns the size of the segment in bytes.
    pub(crate) fn finish(mut self, spec: &IndexSpec, counts: Counts, facts: Facts) -> Result<u64, StorageError> {
        let rest = std::mem::take(&mut self.buffer);
        self.write_pages(&rest)?;
        let checked = self.checksums.is_some();
        let mut checksums = self.checksums.take().unwrap_or_default();
        while checksums.len() > TAIL_PAGES {
            let level = checksums.as_flattened();
            self.written += level.len();
            self.out.write_all(level).map_err(|error| self.failed(error))?;
            checksums = level.chunks(PAGE).map(checksum).collect();
        }
        let start = self.written;
        let directory = Directory {
            rows: counts.rows as u64,
            fresh: facts.fresh.min(counts.rows as u64),
            newest_ms: facts.newest_ms,
            faint: facts.faint,
            text: counts.text as u64,
            partitions: counts.partitions as u32,
            tenants: counts.tenants as u32,
            models: counts.models as u32,
            name_slots: counts.name_slots as u64,
            key_slots: counts.key_slots as u64,
            checked,
            roots: checksums,
            ..Directory::of_spec(spec)
        };
        let mut end = Vec::new();
        self.encoded(encode(&directory, &mut end))?;
        let tail = Tail {
            checksum: checksum(&end),
            directory: start as u64,
            length: end.len() as u32,
            version: VERSION,
            magic: MAGIC,
        };
        self.encoded(encode(&tail, &mut end))?;
        self.out.write_all(&end).and_then(|()| self.out.flush()).map_err(|error| self.failed(error))?;
        Ok((start + end.len()) as u64)
    }
}

/// Numbers as they stand in lists.
pub(crate) fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

const _: () = assert!(BUFFER.is_multiple_of(PAGE) && size_of::<Checksum>() == CHECKSUM);
