//! Records of fixed size, each twice: as the codec writes it, and as it is read in place.

use super::{MAX_TEXT, NONE};
use crate::codec::{Decode, Encode};
use prefix_indexer_models::{Gaps, IndexSpec, KeyPolicy, Ladder, Tally, Utility};
use std::num::NonZeroU32;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

/// Bytes of a checksum: a BLAKE3 digest cut to 128 bits.
pub(crate) const CHECKSUM: usize = 16;

/// The checksum of a page.
pub(crate) type Checksum = [u8; CHECKSUM];

/// Bytes of the [`Head`].
pub(crate) const HEAD: usize = 16;

/// Bytes of the [`Tail`].
pub(crate) const TAIL: usize = 40;

/// At most so many checksums are kept in the directory itself; more become a level of pages with checksums of their own.
pub(crate) const TAIL_PAGES: usize = 64;

/// The first bytes of a segment.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct Head {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
    pub(crate) reserved: u32,
}

/// The last bytes of a segment.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct Tail {
    /// Checksum of the directory.
    pub(crate) checksum: Checksum,
    /// Where the directory starts.
    pub(crate) directory: u64,
    /// Its length in bytes.
    pub(crate) length: u32,
    pub(crate) version: u32,
    pub(crate) magic: [u8; 8],
}

/// What opening a segment reads: settings, counts, and the checksums that everything else hangs on.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct Directory {
    pub(crate) half_lives_ms: Vec<u64>,
    /// Position in [`Utility::ALL`].
    pub(crate) utility: u8,
    /// 0 for none.
    pub(crate) layer_band: u32,
    /// 0 for none.
    pub(crate) page_band: u32,
    pub(crate) rows: u64,
    pub(crate) fresh: u64,
    pub(crate) newest_ms: u64,
    /// Bit `rung`: a row has a sum below the normal numbers there, so that it may rank behind an older row of its key.
    pub(crate) faint: u32,
    pub(crate) text: u64,
    pub(crate) partitions: u32,
    pub(crate) tenants: u32,
    pub(crate) models: u32,
    pub(crate) name_slots: u64,
    pub(crate) key_slots: u64,
    /// Whether there are checksums: segments that never leave the heap have none.
    pub(crate) checked: bool,
    /// Checksums of the pages of the last level.
    pub(crate) roots: Vec<Checksum>,
}

impl Directory {
    /// The settings, unless they are none that an index can have.
    pub(crate) fn spec(&self) -> Option<IndexSpec> {
        Some(IndexSpec {
            ladder: Ladder::new(&self.half_lives_ms).ok()?,
            utility: *Utility::ALL.get(usize::from(self.utility))?,
            key_policy: KeyPolicy {
                layer_band: NonZeroU32::new(self.layer_band),
                page_band: NonZeroU32::new(self.page_band),
            },
        })
    }

    /// The settings as the directory holds them; everything else 0.
    pub(crate) fn of_spec(spec: &IndexSpec) -> Directory {
        let band = |band: Option<NonZeroU32>| band.map_or(0, NonZeroU32::get);
        Directory {
            half_lives_ms: spec.ladder.half_lives_ms().collect(),
            utility: Utility::ALL.iter().position(|&utility| utility == spec.utility).unwrap_or(0) as u8,
            layer_band: band(spec.key_policy.layer_band),
            page_band: band(spec.key_policy.page_band),
            rows: 0,
            fresh: 0,
            newest_ms: 0,
            faint: 0,
            text: 0,
            partitions: 0,
            tenants: 0,
            models: 0,
            name_slots: 0,
            key_slots: 0,
            checked: false,
            roots: Vec::new(),
        }
    }
}

/// A piece of the text section: offset (40 bits) and length (24 bits). Length 0 is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TextRef(pub(crate) u64);

impl TextRef {
    pub(crate) const NONE: TextRef = TextRef(0);

    /// `None` for what does not fit.
    pub(crate) fn new(offset: u64, length: usize) -> Option<TextRef> {
        (length <= MAX_TEXT && offset < 1 << 40).then_some(TextRef(offset << 24 | length as u64))
    }

    #[inline]
    pub(crate) fn offset(self) -> u64 {
        self.0 >> 24
    }

    #[inline]
    pub(crate) fn length(self) -> usize {
        (self.0 & MAX_TEXT as u64) as usize
    }
}

/// All of a row but its sums, which stand before it, one f64 a rung. What every query reads comes first.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct Record {
    pub(crate) key: [u8; 16],
    pub(crate) last_seen_ms: u64,
    pub(crate) prefix_id: u64,
    pub(crate) parent_id: u64,
    pub(crate) partition: u32,
    pub(crate) parent_row: u32,
    pub(crate) hit_count: u64,
    pub(crate) total_bytes: u64,
    pub(crate) footprint_bytes: u64,
    pub(crate) latency_bits: u64,
    pub(crate) first_seen_ms: u64,
    pub(crate) gap_smoothed_bits: u64,
    pub(crate) gap_first_ms: u32,
    pub(crate) gap_last_ms: u32,
    pub(crate) gap_histogram: [u16; 8],
    pub(crate) layer_min: u32,
    pub(crate) layer_max: u32,
    pub(crate) page_start: u32,
    pub(crate) page_end: u32,
    pub(crate) depth: u32,
}

/// Where a row belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links {
    pub(crate) prefix_id: TextRef,
    pub(crate) parent_id: TextRef,
    pub(crate) partition: u32,
    pub(crate) parent_row: u32,
}

impl Record {
    pub(crate) fn new(key: [u8; 16], tally: &Tally, links: Links) -> Record {
        Record {
            key,
            last_seen_ms: tally.last_seen_ms,
            prefix_id: links.prefix_id.0,
            parent_id: links.parent_id.0,
            partition: links.partition,
            parent_row: links.parent_row,
            hit_count: tally.hit_count,
            total_bytes: tally.total_bytes,
            footprint_bytes: tally.footprint_bytes,
            latency_bits: tally.latency_sum_ms.to_bits(),
            first_seen_ms: tally.first_seen_ms,
            gap_smoothed_bits: tally.gaps.smoothed_ms.to_bits(),
            gap_first_ms: tally.gaps.first_ms,
            gap_last_ms: tally.gaps.last_ms,
            gap_histogram: tally.gaps.histogram,
            layer_min: tally.layer_min,
            layer_max: tally.layer_max,
            page_start: tally.page_start,
            page_end: tally.page_end,
            depth: tally.depth.unwrap_or(NONE),
        }
    }
}

/// Bytes of a [`Record`].
pub(crate) const RECORD: usize = size_of::<RecordView>();

/// A [`Record`] in place.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct RecordView {
    pub(crate) key: [u8; 16],
    pub(crate) last_seen_ms: U64,
    pub(crate) prefix_id: U64,
    pub(crate) parent_id: U64,
    pub(crate) partition: U32,
    pub(crate) parent_row: U32,
    pub(crate) hit_count: U64,
    pub(crate) total_bytes: U64,
    pub(crate) footprint_bytes: U64,
    pub(crate) latency_bits: U64,
    pub(crate) first_seen_ms: U64,
    pub(crate) gap_smoothed_bits: U64,
    pub(crate) gap_first_ms: U32,
    pub(crate) gap_last_ms: U32,
    pub(crate) gap_histogram: [U16; 8],
    pub(crate) layer_min: U32,
    pub(crate) layer_max: U32,
    pub(crate) page_start: U32,
    pub(crate) page_end: U32,
    pub(crate) depth: U32,
}

impl RecordView {
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            hit_count: self.hit_count.get(),
            total_bytes: self.total_bytes.get(),
            footprint_bytes: self.footprint_bytes.get(),
            latency_sum_ms: f64::from_bits(self.latency_bits.get()),
            first_seen_ms: self.first_seen_ms.get(),
            last_seen_ms: self.last_seen_ms.get(),
            layer_min: self.layer_min.get(),
            layer_max: self.layer_max.get(),
            page_start: self.page_start.get(),
            page_end: self.page_end.get(),
            depth: self.depth(),
            gaps: Gaps {
                smoothed_ms: f64::from_bits(self.gap_smoothed_bits.get()),
                first_ms: self.gap_first_ms.get(),
                last_ms: self.gap_last_ms.get(),
                histogram: self.gap_histogram.map(U16::get),
            },
        }
    }

    pub(crate) fn depth(&self) -> Option<u32> {
        Some(self.depth.get()).filter(|&depth| depth != NONE)
    }

    /// The same record moved to where it belongs in another segment.
    pub(crate) fn moved(&self, links: Links) -> RecordView {
        RecordView {
            prefix_id: links.prefix_id.0.into(),
            parent_id: links.parent_id.0.into(),
            partition: links.partition.into(),
            parent_row: links.parent_row.into(),
            ..self.clone()
        }
    }
}

/// A tenant and model, and the rows that they have.
#[derive(Debug, Clone, Copy, PartialEq, Encode, Decode)]
pub(crate) struct Partition {
    pub(crate) tenant: u64,
    pub(crate) model_id: u64,
    /// First row.
    pub(crate) first: u32,
    /// Number of rows.
    pub(crate) count: u32,
}

/// A [`Partition`] in place.
#[derive(Debug, FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct PartitionView {
    pub(crate) tenant: U64,
    pub(crate) model_id: U64,
    pub(crate) first: U32,
    pub(crate) count: U32,
}

/// A tenant or a model, and its places in the lists of partitions that are grouped by it.
#[derive(Debug, Clone, Copy, PartialEq, Encode, Decode)]
pub(crate) struct Named {
    pub(crate) name: u64,
    /// First place.
    pub(crate) first: u32,
    /// Number of partitions.
    pub(crate) count: u32,
}

/// A [`Named`] in place.
#[derive(Debug, FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct NamedView {
    pub(crate) name: U64,
    pub(crate) first: U32,
    pub(crate) count: U32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};

    /// What the codec writes, the view reads: every byte of a record differs from its neighbours.
    #[test]
    fn codec_and_views_agree() {
        let bytes: Vec<u8> = (1..=size_of::<RecordView>() as u8).collect();
        let view = RecordView::ref_from_bytes(&bytes).unwrap();
        let record: Record = decode(&bytes).unwrap();
        let mut again = Vec::new();
        encode(&record, &mut again).unwrap();
        assert_eq!(again, bytes);
        let links = Links {
            prefix_id: TextRef(view.prefix_id.get()),
            parent_id: TextRef(view.parent_id.get()),
            partition: view.partition.get(),
            parent_row: view.parent_row.get(),
        };
        assert_eq!(Record::new(view.key, &view.tally(), links), record);
        assert_eq!(view.moved(links).as_bytes(), bytes);

        let bytes: Vec<u8> = (1..=24).collect();
        let (view, partition) = (PartitionView::ref_from_bytes(&bytes).unwrap(), decode::<Partition>(&bytes).unwrap());
        let seen = Partition {
            tenant: view.tenant.get(),
            model_id: view.model_id.get(),
            first: view.first.get(),
            count: view.count.get(),
        };
        assert_eq!(seen, partition);

        let bytes: Vec<u8> = (1..=16).collect();
        let (view, named) = (NamedView::ref_from_bytes(&bytes).unwrap(), decode::<Named>(&bytes).unwrap());
        assert_eq!(Named { name: view.name.get(), first: view.first.get(), count: view.count.get() }, named);
    }

    #[test]
    fn head_and_tail_have_their_sizes() {
        let mut bytes = Vec::new();
        assert_eq!(encode(&Head { magic: [1; 8], version: 2, reserved: 0 }, &mut bytes).unwrap(), HEAD);
        let tail = Tail { checksum: [0; 16], directory: 1, length: 2, version: 3, magic: [4; 8] };
        assert_eq!(encode(&tail, &mut bytes).unwrap(), TAIL);
    }

    #[test]
    fn text_refs_hold_what_fits() {
        let text = TextRef::new((1 << 40) - 1, MAX_TEXT).unwrap();
        assert_eq!((text.offset(), text.length()), ((1 << 40) - 1, MAX_TEXT));
        assert_eq!(TextRef::new(1 << 40, 1), None);
        assert_eq!(TextRef::new(0, MAX_TEXT + 1), None);
    }
}
