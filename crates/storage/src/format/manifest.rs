//! The body of the manifest: one bincode value, fixed-width integers.

use crate::{
    Counters,
    codec::{self, Decode, Encode},
    log_record::Source,
    manifest::{Manifest, SegmentEntry, SideEntry},
};
use prefix_indexer_models::{IndexSpec, KeyPolicy, Ladder, SourcePosition, Utility};
use std::num::NonZeroU32;

#[derive(Debug, Encode, Decode)]
struct Body {
    generation: u64,
    half_lives_ms: Vec<u64>,
    /// Position in [`UTILITIES`].
    utility: u32,
    /// 0: none.
    layer_band: u32,
    /// 0: none.
    page_band: u32,
    segments: Vec<SegmentBody>,
    next_segment: u64,
    log_from: u64,
    sources: Vec<Source>,
    sides: Vec<SideBody>,
    seen: Vec<u64>,
    events: u64,
    bytes: u64,
    duplicates: u64,
    parent_conflicts: u64,
    parent_cycles: u64,
}

#[derive(Debug, Encode, Decode)]
struct SegmentBody {
    id: u64,
    bytes: u64,
    fresh: u64,
}

#[derive(Debug, Encode, Decode)]
struct SideBody {
    name: String,
    generation: u64,
}

/// What the numbers in the file mean: positions never change, new ones are added at the end.
const UTILITIES: [Utility; 3] = [Utility::Hits, Utility::Bytes, Utility::Latency];

pub(crate) fn encode(manifest: &Manifest) -> Result<Vec<u8>, String> {
    let Manifest { generation, spec, segments, next_segment, log_from, sources, sides, seen, counters } = manifest;
    let band = |band: Option<NonZeroU32>| band.map_or(0, NonZeroU32::get);
    let utility = UTILITIES.iter().position(|utility| *utility == spec.utility);
    let body = Body {
        generation: *generation,
        half_lives_ms: spec.ladder.half_lives_ms().collect(),
        utility: utility.ok_or("a utility without a number")? as u32,
        layer_band: band(spec.key_policy.layer_band),
        page_band: band(spec.key_policy.page_band),
        segments: segments.iter().map(|&SegmentEntry { id, bytes, fresh }| SegmentBody { id, bytes, fresh }).collect(),
        next_segment: *next_segment,
        log_from: *log_from,
        sources: sources.iter().map(Source::from).collect(),
        sides: sides
            .iter()
            .map(|SideEntry { name, generation }| SideBody { name: name.clone(), generation: *generation })
            .collect(),
        seen: seen.clone(),
        events: counters.events,
        bytes: counters.bytes,
        duplicates: counters.duplicates,
        parent_conflicts: counters.parent_conflicts,
        parent_cycles: counters.parent_cycles,
    };
    let mut out = Vec::new();
    codec::encode(&body, &mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Manifest, String> {
    let body: Body = codec::decode(bytes).map_err(|error| error.to_string())?;
    let utility = UTILITIES.get(body.utility as usize).copied().ok_or("an unknown utility")?;
    let key_policy =
        KeyPolicy { layer_band: NonZeroU32::new(body.layer_band), page_band: NonZeroU32::new(body.page_band) };
    let ladder = Ladder::new(&body.half_lives_ms).map_err(|error| error.to_string())?;
    Ok(Manifest {
        generation: body.generation,
        spec: IndexSpec { ladder, utility, key_policy },
        segments: body
            .segments
            .iter()
            .map(|&SegmentBody { id, bytes, fresh }| SegmentEntry { id, bytes, fresh })
            .collect(),
        next_segment: body.next_segment,
        log_from: body.log_from,
        sources: body.sources.into_iter().map(SourcePosition::from).collect(),
        sides: body.sides.into_iter().map(|SideBody { name, generation }| SideEntry { name, generation }).collect(),
        seen: body.seen,
        counters: Counters {
            events: body.events,
            bytes: body.bytes,
            duplicates: body.duplicates,
            parent_conflicts: body.parent_conflicts,
            parent_cycles: body.parent_cycles,
        },
    })
}
