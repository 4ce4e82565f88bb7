//! The memory store: the same segments, on the heap, and nothing on disk.

use crate::{
    IndexStore, OpenOptions, Segment, StorageError, View,
    core::{Accepted, Core},
    heap::{MAX_SEGMENTS, merge_all, next_segments},
    live::Live,
    live_store::{Extent, LiveStore, Medium, Next},
    seen::Seen,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

pub(super) fn open(_path: &Path, options: &OpenOptions) -> Result<Box<dyn IndexStore>, StorageError> {
    let spec = options.spec.clone().unwrap_or_default();
    let followed = options.followed(&spec, |_| Ok(None))?;
    let mut core = Core::new(Live::new(spec, Vec::new())?, Seen::default(), Vec::new(), Default::default());
    core.followed = followed;
    Ok(Box::new(LiveStore::new(core, Memory::default(), options.retention())?))
}

#[derive(Default)]
struct Memory {
    sides: BTreeMap<String, (u32, Vec<u8>)>,
    generation: u64,
}

impl Medium for Memory {
    fn log(&mut self, _group: &[Accepted<'_>]) -> Result<(), StorageError> {
        Ok(())
    }

    fn log_bytes(&self) -> u64 {
        0
    }

    fn commit(&mut self, next: Next<'_>) -> Result<Vec<Arc<Segment>>, StorageError> {
        let segments = next_segments(next.flushed, next.rows)?;
        let sides = next.sides.iter().map(|(name, version, bytes)| (name.to_owned(), (version, bytes.to_vec())));
        self.sides.extend(sides);
        self.generation += 1;
        Ok(segments)
    }

    fn maintain(&mut self, flushed: &View) -> Result<Option<Vec<Arc<Segment>>>, StorageError> {
        if flushed.segments().len() <= MAX_SEGMENTS {
            return Ok(None);
        }
        self.generation += 1;
        merge_all(flushed, &mut |_| true).map(Some)
    }

    fn side(&self, name: &str) -> Result<Option<(u32, Vec<u8>)>, StorageError> {
        Ok(self.sides.get(name).cloned())
    }

    fn extent(&self, view: &View) -> Extent {
        let bytes = view.segments().iter().map(|segment| segment.bytes()).sum();
        Extent { bytes, generation: self.generation }
    }
}
