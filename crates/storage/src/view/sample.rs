//! Prefixes picked by their keys: what is true of all of them, from a look at few.

use super::View;
use crate::{Row, Segment, StorageError, segment::slots};

/// Tags that there are: the upper halves of key hashes.
const TAGS: u128 = 1 << 32;

impl View {
    /// About `count` prefixes (all, where there are no more), in the order of their keys: a uniform sample, and the same one
    /// however the rows are spread over segments. Costs a lookup or two a prefix.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`].
    pub fn sample(&self, count: u64) -> Result<Vec<Row<'_>>, StorageError> {
        // Keys are digests: those below a share of their range are that share of them.
        let below = (u128::from(count) * TAGS).checked_div(u128::from(self.len())).unwrap_or(TAGS).min(TAGS) as u64;
        let mut sample = Vec::new();
        for (place, segment) in self.segments.iter().enumerate() {
            for row in tagged(segment, below) {
                let row = row?;
                let mut superseded = false;
                for newer in &self.segments[..place] {
                    superseded |= newer.find(&row.key())?.is_some();
                }
                if !superseded {
                    sample.push(row);
                }
            }
        }
        sample.sort_unstable_by_key(Row::key);
        Ok(sample)
    }
}

/// The rows of a segment whose tags are below a bound: the table of keys is in their order.
fn tagged(segment: &Segment, below: u64) -> impl Iterator<Item = Result<Row<'_>, StorageError>> {
    let slots = (0..segment.key_slots()).map(|position| segment.key_slot(position));
    let few = slots.take_while(move |slot| slot.as_ref().map_or(true, |&slot| u64::from(slots::tag(slot)) < below));
    few.filter_map(|slot| slot.map(slots::number).transpose()).map(|number| segment.row(number?))
}
