//! How much a tier holds, as people write it.

use crate::units::{show_size, size};
use anyhow::bail;
use prefix_indexer::simulator::{Capacity, Trace};
use std::str::FromStr;

/// A share of the trace's unique blocks (`5%`), a number of blocks (`4096`), or a size (`200GiB`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum CapacityArg {
    Blocks(Capacity),
    Bytes(u64),
}

impl FromStr for CapacityArg {
    type Err = String;

    fn from_str(text: &str) -> Result<CapacityArg, String> {
        if text.ends_with(|last: char| last.is_ascii_alphabetic()) {
            return size(text).map(CapacityArg::Bytes);
        }
        text.parse().map(CapacityArg::Blocks).map_err(|_| {
            format!("`{text}` is not a capacity: expected a share of the blocks (5%), a number of them (4096) or a size (200GiB)")
        })
    }
}

impl CapacityArg {
    /// The same in blocks: a size is divided by the mean size of the trace's blocks, rounded down.
    pub(crate) fn resolve(self, trace: &Trace) -> anyhow::Result<Capacity> {
        let bytes = match self {
            CapacityArg::Blocks(capacity) => return Ok(capacity),
            CapacityArg::Bytes(bytes) => bytes,
        };
        let all = trace.total_bytes();
        if all == 0 {
            bail!(
                "a tier of {} cannot be counted in blocks: the blocks of this trace have no size; \
                 give a share of them (5%) or a number",
                show_size(bytes)
            );
        }
        let blocks = u128::from(bytes) * trace.unique_blocks() as u128 / u128::from(all);
        Ok(Capacity::Blocks(u64::try_from(blocks).unwrap_or(u64::MAX)))
    }
}

/// All of a list, in blocks.
pub(crate) fn resolve_all(list: &[CapacityArg], trace: &Trace) -> anyhow::Result<Vec<Capacity>> {
    list.iter().map(|capacity| capacity.resolve(trace)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities() {
        let check = |text: &str, expect| assert_eq!(text.parse().ok(), expect, "{text}");
        check("5%", "5%".parse().ok().map(CapacityArg::Blocks));
        check("4096", Some(CapacityArg::Blocks(Capacity::Blocks(4096))));
        check("2KiB", Some(CapacityArg::Bytes(2048)));
        ["", "x", "101%", "-1", "5XB"].into_iter().for_each(|text| check(text, None));
    }
}
