//! Writing a merged segment, section by section.

use super::{
    duplicates,
    links::{Links, Merged},
};
use crate::{
    Row, Segment, StorageError,
    format::segment::{Counts, Links as RowLinks, NONE, TextRef},
    front::Front,
    rank::{Best, Ranking},
    segment::{Output, Plan, slots},
};
use prefix_indexer_models::IndexSpec;
use zerocopy::IntoBytes;

/// Bytes that are collected before they are written.
const CHUNK: usize = 1 << 18;

pub(super) fn write(
    spec: &IndexSpec,
    segments: &[&Segment],
    keep: &mut dyn FnMut(&Row<'_>) -> bool,
    mut out: Output<'_>,
) -> Result<u64, StorageError> {
    segments.iter().try_for_each(|segment| spec.check_same(segment.spec()))?;
    let (merged, plan) = Merged::new(segments, keep)?;
    let mut counts = Counts { rungs: spec.ladder.len(), rows: merged.from.len(), ..Counts::default() };
    plan.count(&mut counts);
    let links = merged.links(plan.text.len() as u64)?;
    counts.text = links.text as usize;
    rows(&merged, &links, &plan, &mut out)?;
    text(&merged, &links, &plan, &mut out)?;
    drop(links);
    let rankings = ranked(&merged, &plan, &counts, &mut out)?;
    out.rankings(&rankings)?;
    counts.name_slots = plan.write(&mut out)? as usize;
    counts.key_slots = keys(&merged, &mut out)? as usize;
    out.finish(spec, counts, merged.facts)
}

fn rows(merged: &Merged<'_>, links: &Links, plan: &Plan, out: &mut Output<'_>) -> Result<(), StorageError> {
    let lengths = |number: usize| links.offsets.get(number);
    let mut bytes = Vec::with_capacity(CHUNK + 1024);
    let mut partition = 0;
    for (number, ((segment, row), &parent_row)) in merged.replay().zip(&links.parents).enumerate() {
        while plan.partitions.get(partition as usize).is_some_and(|p| p.first + p.count <= number as u32) {
            partition += 1;
        }
        let raw = segment.raw(row)?;
        let id_length = TextRef(raw.record.prefix_id.get()).length();
        let parent_length = TextRef(raw.record.parent_id.get()).length();
        let offset = lengths(number);
        let parent_id = match (parent_length, parent_row) {
            (0, _) => TextRef::NONE,
            (_, NONE) => TextRef::new(offset + id_length as u64, parent_length).unwrap_or_default(),
            // The same id, so the same length.
            (_, parent) => TextRef::new(lengths(parent as usize), parent_length).unwrap_or_default(),
        };
        let prefix_id = TextRef::new(offset, id_length).unwrap_or_default();
        let record = raw.record.moved(RowLinks { prefix_id, parent_id, partition, parent_row });
        bytes.extend_from_slice(raw.sums);
        bytes.extend_from_slice(record.as_bytes());
        if bytes.len() >= CHUNK {
            out.append(&bytes)?;
            bytes.clear();
        }
    }
    out.section(&bytes)
}

fn text(merged: &Merged<'_>, links: &Links, plan: &Plan, out: &mut Output<'_>) -> Result<(), StorageError> {
    out.append(&plan.text)?;
    for ((segment, row), &parent) in merged.replay().zip(&links.parents) {
        let row = segment.row(row)?;
        out.append(row.prefix_id().as_bytes())?;
        if let Some(foreign) = row.parent_id().filter(|_| parent == NONE) {
            out.append(foreign.as_bytes())?;
        }
    }
    out.end_section()
}

/// Merges the ranked lists of every partition, and finds the best rows of every order.
fn ranked(
    merged: &Merged<'_>,
    plan: &Plan,
    counts: &Counts,
    out: &mut Output<'_>,
) -> Result<Vec<Ranking>, StorageError> {
    let mut best: Vec<Best> = (0..counts.orders()).map(|_| Best::new(counts.top())).collect();
    let mut bytes = Vec::new();
    for partition in 0..plan.partitions.len() {
        for (order, best) in best.iter_mut().enumerate() {
            order_of(merged, partition, order, best, &mut |row| {
                // Rows are in the order of recency, which comes last.
                if order < counts.rungs {
                    bytes.extend_from_slice(&row.to_le_bytes());
                }
            })?;
            if bytes.len() >= CHUNK {
                out.append(&bytes)?;
                bytes.clear();
            }
        }
    }
    out.section(&bytes)?;
    Ok(best.into_iter().map(|best| best.finish(plan)).collect())
}

/// Merges the lists of one partition in one order.
fn order_of(
    merged: &Merged<'_>,
    partition: usize,
    order: usize,
    best: &mut Best,
    emit: &mut dyn FnMut(u32),
) -> Result<(), StorageError> {
    let mut front = Front::new(order, 16);
    for &(number, source) in merged.sources(partition) {
        if let Some(&segment) = merged.segments.get(number as usize) {
            front.add_list(segment, number, segment.list_of(source, order)?)?;
        }
    }
    let mut first = true;
    while let Some(cursor) = front.next(merged.segments)? {
        let Some(row) = merged.kept(cursor.segment as usize, cursor.row) else { continue };
        if first {
            best.partition(partition as u32, cursor.rank, cursor.key);
            first = false;
        }
        if best.is_open() {
            best.offer(row, cursor.rank, cursor.key);
        }
        emit(row);
    }
    Ok(())
}

/// Merges the tables of keys; returns the number of slots.
fn keys(merged: &Merged<'_>, out: &mut Output<'_>) -> Result<u64, StorageError> {
    let mut writer = slots::SlotWriter::new(merged.from.len() as u64);
    let mut bytes = Vec::new();
    let mut same = Vec::new();
    duplicates::by_tag(merged.segments, |tag, rows| {
        same.clear();
        let kept = rows.iter().filter_map(|&(segment, row)| merged.kept(segment, row));
        same.extend(kept.map(|row| slots::slot(u64::from(tag) << 32, row)));
        same.sort_unstable();
        same.iter().for_each(|&slot| writer.push(slot, &mut bytes));
        if bytes.len() >= CHUNK {
            out.append(&bytes)?;
            bytes.clear();
        }
        Ok(())
    })?;
    let slots = writer.finish(&mut bytes);
    out.section(&bytes)?;
    Ok(slots)
}
