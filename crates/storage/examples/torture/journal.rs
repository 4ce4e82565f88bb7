//! A follower that learns the times of all events by heart, in order: none may be missing, none twice.

use prefix_indexer_models::{EventBatch, IndexSpec};
use prefix_indexer_storage::{Follower, FollowerKind};

pub(crate) const NAME: &str = "journal";
pub(crate) const JOURNAL: FollowerKind = FollowerKind { name: NAME, make };

#[derive(Default)]
struct Journal {
    counted: Vec<u64>,
    admitted: Option<Vec<u64>>,
}

fn make(_spec: &IndexSpec, side: Option<(u32, Vec<u8>)>) -> Result<Box<dyn Follower>, String> {
    let counted = side.map_or(Ok(Vec::new()), |(_, bytes)| times(&bytes))?;
    Ok(Box::new(Journal { counted, admitted: None }))
}

/// The times that were written down.
pub(crate) fn times(bytes: &[u8]) -> Result<Vec<u64>, String> {
    let (times, rest) = bytes.as_chunks();
    if rest.is_empty() { Ok(times.iter().map(|&time| u64::from_le_bytes(time)).collect()) } else { Err("cut".into()) }
}

impl Follower for Journal {
    fn observe(&mut self, events: &EventBatch) {
        self.counted.extend(events.timestamps_ms());
        if let Some(admitted) = &mut self.admitted {
            admitted.extend(events.timestamps_ms());
        }
    }

    fn admit(&mut self, events: &EventBatch) {
        self.admitted.get_or_insert_with(|| self.counted.clone()).extend(events.timestamps_ms());
    }

    fn settle(&mut self) {
        self.counted = self.admitted.take().unwrap_or_default();
    }

    fn abandon(&mut self) {
        self.admitted = None;
    }

    fn merge(&mut self, _version: u32, bytes: &[u8]) -> Result<(), String> {
        self.counted.extend(times(bytes)?);
        Ok(())
    }

    fn save(&self, with_admitted: bool) -> Result<(u32, Vec<u8>), String> {
        let times = self.admitted.as_ref().filter(|_| with_admitted).unwrap_or(&self.counted);
        Ok((1, times.iter().flat_map(|time| time.to_le_bytes()).collect()))
    }
}
